/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: no rule of its own. Guest-page faults as every RISC-V machine with H
 * raises them, which Xhaiov leaves as they are: each load and store form, from
 * VS and VU, to M and to HS; HLV, HSV, HLVX and MPRV; fetch and VS-stage walk;
 * permissions, A and D; accesses that cross into a missing page.
 *
 * run: machine=virt cpu=rv64,h=true smp=1
 * run: machine=virt cpu=rv64,h=true smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10		/* the page that is not there */
#define AT	0x340		/* an offset in it */

/* cbo.* fault with some address of their block: the operand's is aligned here */
.macro M_FAULT kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	TO_M	VS, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst, "missing page from VS to M: \insn"
.endm
.macro HS_FAULT kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	TO_HS	VS, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst, "missing page from VS to HS: \insn"
.endm
.macro VU_FAULT kind, tinst, imm, insn:vararg
	ACCESS	VU, GVA(PAGE) + AT, \imm, \insn
	TO_HS	VU, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst, "missing page from VU to HS: \insn"
.endm
/* the same accesses to RAM work; cbo.zero is given memory of its own */
.macro WORKS kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE + 1) + AT, \imm, \insn
	EXPECT	a0, ENDED, "RAM from VS: \insn"
.endm

/* HLV and HSV: from HS to HS, from U to HS, from M to M */
.macro HLV_HS kind, tinst, imm, insn:vararg
	ACCESS	HS, GVA(PAGE) + AT, \imm, \insn
	WANT_HS	HS, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst
	/* SPVP is only written by a trap from V=1 */
	WANT	F_HSTATUS, HSTATUS_GVA | HSTATUS_SPVP
	JUDGE	FIELDS_HS, "missing page from HS to HS: \insn"
.endm
.macro HLV_U kind, tinst, imm, insn:vararg
	ACCESS	U, GVA(PAGE) + AT, \imm, \insn
	WANT_HS	U, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst
	WANT	F_HSTATUS, HSTATUS_GVA | HSTATUS_SPVP
	JUDGE	FIELDS_HS, "missing page from U to HS: \insn"
.endm
/* mtval2 and mtinst are as in HS; mstatus.GVA is not looked at, QEMU 10.0 leaves
 * it 0 when M itself was in V=0 */
.macro HLV_M kind, tinst, imm, insn:vararg
	ACCESS	M, GVA(PAGE) + AT, \imm, \insn
	WANT_HS	M, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst
	WANT	F_WHERE, M
	JUDGE	FIELDS_M & ~BIT(F_STATUS), "missing page from M to M: \insn"
.endm

/* A leaf with other flags: what load and store get. The page is RAM. */
.macro LEAF flags, load, store, text
	G_LEAF	PAGE, \flags
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, \load, "\text: load"
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, \store, "\text: store"
.endm

/* Bits of the leaf after a load, and after a store. */
.macro AD flags, load, load_bits, store, store_bits, text
	LEAF	\flags, \load, \store, "\text"
	G_LEAF	PAGE, \flags
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	R64	t5, G_L0 + 8 * G_INDEX(PAGE)
	andi	t5, t5, PTE_A | PTE_D
	EXPECT	t5, \load_bits, "\text: A and D after the load"
	G_LEAF	PAGE, \flags
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	R64	t5, G_L0 + 8 * G_INDEX(PAGE)
	andi	t5, t5, PTE_A | PTE_D
	EXPECT	t5, \store_bits, "\text: A and D after the store"
.endm

/* An access that begins `before` bytes before the end of PAGE - 1. The fault is
 * in PAGE, and names its first byte. */
.macro CROSS before, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE) - \before, 0, \insn
	WANT_HS	VS, LOAD_GUEST + 2 * \kind, GVA(PAGE), GPA(PAGE), (\tinst) | T_OFFSET(\before)
	WANT	F_PAGE, RPA(PAGE - 1)
	JUDGE	FIELDS_HS | BIT(F_PAGE), "\before bytes before a missing page: \insn"
.endm
/* and one that begins in the missing page and ends in RAM */
.macro CROSS_OUT before, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE + 1) - \before, 0, \insn
	WANT_HS	VS, LOAD_GUEST + 2 * \kind, GVA(PAGE + 1) - \before, GPA(PAGE) + 0x1000 - \before, \tinst
	WANT	F_PAGE, RPA(PAGE + 1)
	JUDGE	FIELDS_HS | BIT(F_PAGE), "\before bytes before the end of a missing page: \insn"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST

	EACH_ACCESS WORKS
	GUEST
	G_LEAF	PAGE, 0
	EACH_ACCESS M_FAULT
	CSRW	CSR_MEDELEG, BIT(FETCH_GUEST) | BIT(LOAD_GUEST) | BIT(STORE_GUEST)
	EACH_ACCESS HS_FAULT
	VSATP	VU
	EACH_ACCESS VU_FAULT
	VSATP	VS

	/* HLV and HSV read as VS (hstatus.SPVP), with vsstatus.SUM */
	CSRS	CSR_HSTATUS, HSTATUS_SPVP | HSTATUS_HU
	EACH_HLV HLV_HS
	EACH_HLV HLV_U
	EACH_HLV HLV_M
	G_LEAF	PAGE, PTE_RAM
	ACCESS	HS, GVA(PAGE) + AT, 0, hlv.d a0, (a2)
	EXPECT	a0, ENDED, "hlv.d reads RAM"
	li	t5, (RPA(PAGE) + AT) ^ 0x5a5a5a5a5a5a5a5a
	EXPECTR	a1, t5, "hlv.d reads the guest's memory"
	/* U=1 in VS-stage: with SUM, HLVX has no permission, without X neither */
	V_LEAF	PAGE, PTE_RAM & ~PTE_U
	ACCESS	HS, GVA(PAGE) + AT, 0, hlvx.wu a0, (a2)
	EXPECT	a0, ENDED, "hlvx.wu reads RAM that is executable"
	V_LEAF	PAGE, PTE_RAM

	/* MPRV: M as VS and as VU */
	.irp	mpp, 0, 1
	G_LEAF	PAGE, 0
	.if	\mpp
	VSATP	VS
	.else
	VSATP	VU
	.endif
	la	t6, 7400f
	sd	t6, HOOK(tp)
	li	a2, GVA(PAGE) + AT
	IN	VU | \mpp
	li	a7, MAGIC_HOOK
	ecall
	ENDIN
	j	7401f
	/* in M, MPV=1, MPP as wanted; s_trap and m_trap do the rest */
7400:	li	a0, SENTINEL
	li	t6, MSTATUS_MPRV
	csrs	CSR_MSTATUS, t6
7800:	ld	a0, 0(a2)
	csrc	CSR_MSTATUS, t6
	ret
7401:	WANT_HS	VS, LOAD_GUEST, GVA(PAGE) + AT, GPA(PAGE) + AT, T_LOAD(3, 10)
	WANT	F_WHERE, M
	JUDGE	FIELDS_M & ~BIT(F_STATUS), "missing page by MPRV, MPP=\mpp: ld"
	.endr
	VSATP	VS

	/* fetch: htinst 0; the pc is the address */
	li	a2, GVA(PAGE) + AT
	V_LEAF	PAGE, PTE_CODE
	IN	VS
	li	a0, SENTINEL
	jr	a2
	ENDIN
	WANT_HS	VS, FETCH_GUEST, GVA(PAGE) + AT, GPA(PAGE) + AT, 0
	WANT	F_EPC, GVA(PAGE) + AT
	JUDGE	FIELDS_HS, "fetch from a missing page"
	V_LEAF	PAGE, PTE_RAM

	/* walk: the table of VS-stage is in a missing page of the guest */
	V_PTE	V_L1, PTE(GPA(PAGE), PTE_V)
	ACCESS	VS, GVA(3) + AT, 0, ld a0, 0(a2)
	TO_HS	VS, LOAD_GUEST, GVA(3) + AT, GPA(PAGE) + 8 * 3, 0x3000, "VS-stage walk in a missing page: load"
	ACCESS	VS, GVA(3) + AT, 0, sd a3, 0(a2)
	TO_HS	VS, STORE_GUEST, GVA(3) + AT, GPA(PAGE) + 8 * 3, 0x3000, "VS-stage walk in a missing page: store"
	ACCESS	VS, GVA(3) + AT, 0, amoadd.d a0, a3, (a2)
	TO_HS	VS, STORE_GUEST, GVA(3) + AT, GPA(PAGE) + 8 * 3, 0x3000, "VS-stage walk in a missing page: AMO"
	li	a2, GVA(3) + AT
	IN	VS
	li	a0, SENTINEL
	jr	a2
	ENDIN
	WANT_HS	VS, FETCH_GUEST, GVA(3) + AT, GPA(PAGE) + 8 * 3, 0x3000
	WANT	F_EPC, GVA(3) + AT
	JUDGE	FIELDS_HS, "VS-stage walk in a missing page: fetch"
	V_PTE	V_L1, PTE(V_L0, PTE_V)

	/* VS-stage comes first */
	V_LEAF	PAGE, 0
	G_LEAF	PAGE, 0
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_PAGE, "missing at both stages: load"
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_PAGE, "missing at both stages: store"
	V_LEAF	PAGE, PTE_RAM

	/* permissions and reserved encodings of the G-stage leaf */
	LEAF	PTE_RAM, ENDED, ENDED, "G-stage RWXUAD"
	LEAF	PTE_RAM & ~PTE_W, ENDED, STORE_GUEST, "G-stage without W"
	LEAF	PTE_RAM & ~PTE_X, ENDED, ENDED, "G-stage without X"
	LEAF	PTE_RAM & ~PTE_R, LOAD_GUEST, STORE_GUEST, "G-stage W without R"
	LEAF	PTE_RAM & ~(PTE_R | PTE_W), LOAD_GUEST, STORE_GUEST, "G-stage X only"
	LEAF	PTE_RAM & ~PTE_U, LOAD_GUEST, STORE_GUEST, "G-stage without U"
	LEAF	PTE_RAM & ~PTE_V, LOAD_GUEST, STORE_GUEST, "G-stage without V"
	LEAF	PTE_RAM | PTE_G, ENDED, ENDED, "G-stage with G"
	LEAF	PTE_RAM | PTE_N, LOAD_GUEST, STORE_GUEST, "G-stage with N, no Svnapot"
	LEAF	PTE_RAM | PTE_PBMT(1), LOAD_GUEST, STORE_GUEST, "G-stage with PBMT, no Svpbmt"
	LEAF	PTE_RAM | PTE_PBMT(3), LOAD_GUEST, STORE_GUEST, "G-stage with PBMT=3"
	.irp	bit, 54, 55, 56, 57, 59, 60
	LEAF	PTE_RAM | (1 << \bit), LOAD_GUEST, STORE_GUEST, "G-stage with reserved bit \bit"
	.endr
	CSRS	CSR_MSTATUS, MSTATUS_MXR
	LEAF	PTE_RAM & ~(PTE_R | PTE_W), ENDED, STORE_GUEST, "G-stage X only, sstatus.MXR"
	CSRC	CSR_MSTATUS, MSTATUS_MXR
	/* an address wider than Sv39x4 */
	csrw	CSR_VSATP, zero
	ACCESS	VU, 1 << 41, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_GUEST, "a guest physical address of 42 bits: load"
	ACCESS	VU, 1 << 41, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_GUEST, "a guest physical address of 42 bits: store"
	VSATP	VS

	/* A and D of the G-stage, by hardware and by software */
	CSRC	CSR_MENVCFG, ENVCFG_ADUE
	AD	PTE_RAM & ~(PTE_A | PTE_D), LOAD_GUEST, 0, STORE_GUEST, 0, "A=0 D=0, ADUE=0"
	AD	PTE_RAM & ~PTE_D, ENDED, PTE_A, STORE_GUEST, PTE_A, "A=1 D=0, ADUE=0"
	CSRS	CSR_MENVCFG, ENVCFG_ADUE
	AD	PTE_RAM & ~(PTE_A | PTE_D), ENDED, PTE_A, ENDED, PTE_A | PTE_D, "A=0 D=0, ADUE=1"
	AD	PTE_RAM & ~PTE_D, ENDED, PTE_A, ENDED, PTE_A | PTE_D, "A=1 D=0, ADUE=1"
	CSRC	CSR_MENVCFG, ENVCFG_ADUE

	/* across the border of two pages */
	GUEST
	CSRW	CSR_MEDELEG, BIT(FETCH_GUEST) | BIT(LOAD_GUEST) | BIT(STORE_GUEST)
	G_LEAF	PAGE, 0
	CROSS	1, 0, T_LOAD(1, 10), lh a0, 0(a2)
	CROSS	3, 0, T_LOAD(2, 10), lw a0, 0(a2)
	CROSS	4, 0, T_LOAD(3, 10), ld a0, 0(a2)
	CROSS	7, 0, T_LOAD(3, 10), ld a0, 0(a2)
	CROSS	5, 0, T_FLOAD(3, 10), fld fa0, 0(a2)
	CROSS	2, 0, T_C(T_LOAD(2, 10)), RVC c.lw a0, 0(a2)
	CROSS	1, 1, T_STORE(1, 13), sh a3, 0(a2)
	CROSS	3, 1, T_STORE(2, 13), sw a3, 0(a2)
	CROSS	4, 1, T_STORE(3, 13), sd a3, 0(a2)
	CROSS	7, 1, T_STORE(3, 13), sd a3, 0(a2)
	CROSS	5, 1, T_FSTORE(3, 10), fsd fa0, 0(a2)
	CROSS	2, 1, T_C(T_STORE(2, 13)), RVC c.sw a3, 0(a2)
	CROSS_OUT 1, 0, T_LOAD(1, 10), lh a0, 0(a2)
	CROSS_OUT 4, 0, T_LOAD(3, 10), ld a0, 0(a2)
	CROSS_OUT 7, 1, T_STORE(3, 13), sd a3, 0(a2)
	CROSS_OUT 2, 1, T_C(T_STORE(2, 13)), RVC c.sw a3, 0(a2)
	/* RAM on both sides: both stages are walked for each half */
	G_LEAF	PAGE, PTE_RAM
	ACCESS	VS, GVA(PAGE) - 4, 0, sd a3, 0(a2)
	EXPECT	a0, ENDED, "a store across two RAM pages"
	li	t6, RPA(PAGE - 1) + 0x1000 - 4
	lw	t5, 0(t6)
	EXPECT	t5, 0x55667788, "a store across two RAM pages: the first"
	li	t6, RPA(PAGE)
	lw	t5, 0(t6)
	EXPECT	t5, 0x11223344, "a store across two RAM pages: the second"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
