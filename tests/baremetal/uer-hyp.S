/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1 and 2.2 for accesses that a mode with V=0 makes to guest memory:
 * HLV and HSV from HS and U go to HS, from M to M; loads and stores of M by MPRV
 * to M. They are explicit, and never redirected to U. Every field is that of a
 * guest-page fault of the same instruction, but for the cause.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

/* `where` from a mode: on a missing page, then on the MMIO page */
.macro BY_HLV mode, where, from, kind, tinst, imm, insn:vararg
	G_LEAF	PAGE, 0
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.2 from \from, missing page: \insn"
	SAME_AS_THIS
	WANT	F_CAUSE, LOAD_MMIO + \kind
	WANT	F_WHERE, \where
	WANT	F_TVAL, GVA(PAGE) + AT
	WANT	F_TVAL2, (GPA(PAGE) + AT) >> 2
	WANT	F_TINST, \tinst
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	JUDGE_SAME_ACCESS PAGE, "2.2 from \from: \insn"
.endm
.macro FROM_HS kind, tinst, imm, insn:vararg
	BY_HLV	HS, HS, "HS", \kind, \tinst, \imm, \insn
.endm
.macro FROM_U kind, tinst, imm, insn:vararg
	BY_HLV	U, HS, "U", \kind, \tinst, \imm, \insn
.endm
.macro FROM_M kind, tinst, imm, insn:vararg
	BY_HLV	M, M, "M", \kind, \tinst, \imm, \insn
.endm

/* an instruction of M with MPRV=1, MPV=1, MPP as `mode` */
.macro MPRV mode, address, imm, insn:vararg
	la	t6, 7400f
	sd	t6, HOOK(tp)
	li	a2, (\address) - (\imm)
	IN	\mode
	li	a7, MAGIC_HOOK
	ecall
7400:	mv	sp, a2
	mv	t6, a2
	li	a0, SENTINEL
	li	a3, 0x1122334455667788
	li	t5, MSTATUS_MPRV
	csrs	CSR_MSTATUS, t5
7800:	\insn
	li	t5, MSTATUS_MPRV
	csrc	CSR_MSTATUS, t5
	la	ra, snippet_end
	ENDIN
.endm
.macro BY_MPRV mode, mpp, kind, tinst, imm, insn:vararg
	G_LEAF	PAGE, 0
	MPRV	\mode, GVA(PAGE) + AT, \imm, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.2 M with MPRV, MPP=\mpp, missing page: \insn"
	SAME_AS_THIS
	WANT	F_CAUSE, LOAD_MMIO + \kind
	WANT	F_WHERE, M
	WANT	F_TVAL, GVA(PAGE) + AT
	WANT	F_TVAL2, (GPA(PAGE) + AT) >> 2
	WANT	F_TINST, \tinst
	G_LEAF	PAGE, PTE_DEVICE
	MPRV	\mode, GVA(PAGE) + AT, \imm, \insn
	JUDGE_SAME_ACCESS PAGE, "2.2 M with MPRV, MPP=\mpp: \insn"
.endm
.macro AS_VS kind, tinst, imm, insn:vararg
	BY_MPRV	VS, 1, \kind, \tinst, \imm, \insn
.endm
.macro AS_VU kind, tinst, imm, insn:vararg
	BY_MPRV	VU, 0, \kind, \tinst, \imm, \insn
.endm
	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	.irp	medeleg, 0, PAGE_FAULTS
	CSRW	CSR_MEDELEG, (\medeleg)
	CSRS	CSR_HSTATUS, HSTATUS_SPVP | HSTATUS_HU
	EACH_HLV FROM_M
	.if	(\medeleg)
	EACH_HLV FROM_HS
	EACH_HLV FROM_U
	.endif
	.endr

	/* 24, 25 of HS and U go to HS, whatever medeleg says of guest-page faults */
	csrw	CSR_MEDELEG, zero
	.irp	mode, HS, U
	ACCESS	\mode, GVA(PAGE) + AT, 0, hlv.d a0, (a2)
	EXPECT	a0, LOAD_MMIO, "2.2 hlv.d with medeleg=0, mode \mode"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 hlv.d with medeleg=0, mode \mode, to HS"
	ACCESS	\mode, GVA(PAGE) + AT, 0, hsv.d a3, (a2)
	EXPECT	a0, STORE_MMIO, "2.2 hsv.d with medeleg=0, mode \mode"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 hsv.d with medeleg=0, mode \mode, to HS"
	.endr

	/* across a border, and SPVP=0: as VU */
	ACCESS	HS, GVA(PAGE) - 3, 0, hlv.d a0, (a2)
	WANT_HS	HS, LOAD_MMIO, GVA(PAGE), GPA(PAGE), T_HLV(0x36, 0, 10) | T_OFFSET(3)
	JUDGE	FIELDS_HS & ~BIT(F_HSTATUS), "2.2 hlv.d across into an MMIO page"
	ACCESS	HS, GVA(PAGE) - 3, 0, hsv.w a3, (a2)
	WANT_HS	HS, STORE_MMIO, GVA(PAGE), GPA(PAGE), T_HLV(0x35, 13, 0) | T_OFFSET(3)
	JUDGE	FIELDS_HS & ~BIT(F_HSTATUS), "2.2 hsv.w across into an MMIO page"
	INTACT	PAGE - 1, "2.1 hsv.w across into an MMIO page: the RAM"
	CSRC	CSR_HSTATUS, HSTATUS_SPVP
	ACCESS	HS, GVA(PAGE) + AT, 0, hlv.b a0, (a2)
	EXPECT	a0, LOAD_MMIO, "2.2 hlv.b with SPVP=0"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_TRAP
	EXPECT	t5, HSTATUS_GVA, "2.2 hlv.b with SPVP=0: GVA=1, SPV=0, SPVP as it was"
	csrr	t5, CSR_USTATUS
	EXPECT	t5, 0, "2.2 no frame came of it"

	/* from V=1, and from U without HU, they are refused first */
	TRY	VS, VIRTUAL, "2.1 hlv.d from VS", hlv.d a0, (a2)
	VSATP	VU
	TRY	VU, VIRTUAL, "2.1 hsv.d from VU", hsv.d a3, (a2)
	VSATP	VS
	CSRC	CSR_HSTATUS, HSTATUS_HU
	TRY	U, ILLEGAL, "2.1 hlv.d from U without HU", hlv.d a0, (a2)

	/* checks that come first, for these too */
	CSRS	CSR_HSTATUS, HSTATUS_SPVP
	G_LEAF	PAGE, PTE_DEVICE & ~PTE_W
	ACCESS	HS, GVA(PAGE) + AT, 0, hsv.d a3, (a2)
	EXPECT	a0, STORE_GUEST, "2.1 hsv.d, MMIO leaf without W"
	ACCESS	HS, GVA(PAGE) + AT, 0, hlv.d a0, (a2)
	EXPECT	a0, LOAD_MMIO, "2.1 hlv.d, MMIO leaf without W"
	G_LEAF	PAGE, PTE_DEVICE & ~(PTE_A | PTE_D)
	ACCESS	HS, GVA(PAGE) + AT, 0, hsv.d a3, (a2)
	EXPECT	a0, STORE_MMIO, "2.1 hsv.d, MMIO leaf with A=0, D=0"
	R64	t5, G_L0 + 8 * G_INDEX(PAGE)
	EXPECT	t5, PTE(RPA(PAGE), PTE_DEVICE & ~(PTE_A | PTE_D)), "2.1 hsv.d does not update A and D"
	V_LEAF	PAGE, 0
	ACCESS	HS, GVA(PAGE) + AT, 0, hlv.d a0, (a2)
	EXPECT	a0, LOAD_PAGE, "2.1 hlv.d, VS-stage maps nothing there"
	V_LEAF	PAGE, PTE_RAM

	/* MPRV */
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	EACH_ACCESS AS_VS
	VSATP	VU
	EACH_FEW AS_VU
	VSATP	VS
	G_LEAF	PAGE, PTE_DEVICE
	MPRV	VS, GVA(PAGE) - 1, 0, sw a3, 0(a2)
	EXPECT	a0, STORE_MMIO, "2.1 M with MPRV, across into an MMIO page"
	ld	t5, REC_TVAL(tp)
	EXPECT	t5, GVA(PAGE), "2.2 M with MPRV, across into an MMIO page: mtval"
	ld	t5, REC_TINST(tp)
	EXPECT	t5, T_STORE(2, 13) | T_OFFSET(1), "2.2 M with MPRV, across into an MMIO page: mtinst"
	INTACT	PAGE - 1, "2.1 M with MPRV, across into an MMIO page: the RAM"
	/* without MPRV, M's own accesses are not translated */
	li	a2, RPA(PAGE) + AT
	TRY	M, ENDED, "harness: M reads its own memory", ld a0, 0(a2)
	csrr	t5, CSR_USTATUS
	EXPECT	t5, 0, "2.2 no frame came of MPRV"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
