/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1, what is not an explicit access: a fetch from an MMIO page and a
 * VS-stage walk through one raise the ordinary guest-page fault, with UER fully
 * on; HLVX raises what it raises on a page without permission. Each is compared,
 * field by field, with the same fault on a page without MMIO.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define TABLE	0x12		/* a page of the guest that holds VS-stage tables */
#define AT	0x340

/* jump from a mode to an address of which the code may not be fetched */
.macro JUMP mode, address
	li	a2, \address
	IN	\mode
	li	a0, SENTINEL
	jr	a2
	ENDIN
.endm

.macro FETCH mode, address, text
	G_LEAF	PAGE, 0
	JUMP	\mode, \address
	EXPECT	a0, FETCH_GUEST, "2.1 fetch from \text, missing page"
	SAME_AS_THIS
	G_LEAF	PAGE, PTE_DEVICE
	JUMP	\mode, \address
	JUDGE_SAME PAGE, "2.1 fetch from \text, MMIO page"
.endm

/* the same instruction with a table of VS-stage in a missing page */
.macro WALK mode, kind, insn:vararg
	G_LEAF	TABLE, 0
	ACCESS	\mode, GVA(3) + AT, 0, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.1 VS-stage walk, missing page: \insn"
	SAME_AS_THIS
	G_LEAF	TABLE, PTE_DEVICE
	ACCESS	\mode, GVA(3) + AT, 0, \insn
	JUDGE_SAME_ACCESS 3, "2.1 VS-stage walk, MMIO page: \insn"
.endm

.macro ALL_WALKS mode
	WALK	\mode, 0, ld a0, 0(a2)
	WALK	\mode, 0, RVC c.lw a0, 0(a2)
	WALK	\mode, 0, fld fa0, 0(a2)
	WALK	\mode, 0, lr.w a0, (a2)
	WALK	\mode, 1, sb a3, 0(a2)
	WALK	\mode, 1, RVC c.sdsp a3, 0(sp)
	WALK	\mode, 1, fsw fa0, 0(a2)
	WALK	\mode, 1, amoadd.d a0, a3, (a2)
	WALK	\mode, 1, sc.w a0, a3, (a2)
	WALK	\mode, 1, ARCH zicboz, cbo.zero 0(a2)
	WALK	\mode, 1, ARCH zicbom, cbo.flush 0(a2)
.endm

/* HLVX needs X: without it, with MMIO, with neither */
.macro HLVX mode, insn:vararg
	G_LEAF	PAGE, PTE_RAM & ~PTE_X
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	SAME_AS_THIS
	li	t5, ENDED
	xor	t5, t5, a0
	snez	t5, t5
	EXPECT	t5, 1, "2.1 HLVX on a page without X traps: \insn"
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	JUDGE_SAME_ACCESS PAGE, "2.1 HLVX on an MMIO page: \insn"
	G_LEAF	PAGE, PTE_DEVICE & ~PTE_X
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	JUDGE_SAME_ACCESS PAGE, "2.1 HLVX on an MMIO page without X: \insn"
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
	VSATP	VS
	V_LEAF	PAGE, PTE_CODE
	FETCH	VS, GVA(PAGE) + AT, "VS"
	FETCH	VS, GVA(PAGE), "VS, first byte of the page"
	FETCH	VS, GVA(PAGE) + 0xffe, "VS, last two bytes of the page"
	/* an instruction of four bytes that begins in RAM */
	V_LEAF	PAGE - 1, PTE_CODE
	li	t6, RPA(PAGE - 1) + 0xffe
	li	t5, 0x0013
	sh	t5, 0(t6)
	fence.i
	FETCH	VS, GVA(PAGE) - 2, "VS, half of an instruction"
	/* and one of two bytes, behind which the page begins */
	li	t6, RPA(PAGE - 1) + 0xffe
	li	t5, 0x0001
	sh	t5, 0(t6)
	fence.i
	FETCH	VS, GVA(PAGE) - 2, "VS, behind an instruction"
	V_LEAF	PAGE - 1, PTE_RAM
	V_LEAF	PAGE, PTE_RAM
	VSATP	VU
	FETCH	VU, GVA(PAGE) + AT, "VU"
	VSATP	VS

	/* what the page holds is not looked at: the same without X */
	V_LEAF	PAGE, PTE_CODE
	G_LEAF	PAGE, PTE_DEVICE & ~PTE_X
	JUMP	VS, GVA(PAGE) + AT
	EXPECT	a0, FETCH_GUEST, "2.1 fetch from an MMIO page without X"
	V_LEAF	PAGE, PTE_RAM

	/* the last table of VS-stage, then the root, in page TABLE */
	V_PTE	V_L1, PTE(GPA(TABLE), PTE_V)
	W64	RPA(TABLE) + 8 * 3, PTE(GPA(3), PTE_RAM)
	ALL_WALKS VS
	JUMP	VS, GVA(3) + AT
	EXPECT	a0, FETCH_GUEST, "2.1 VS-stage walk for a fetch, MMIO page"
	VSATP	VU
	ALL_WALKS VU
	VSATP	VS
	CSRS	CSR_HSTATUS, HSTATUS_SPVP | HSTATUS_HU
	.irp	mode, HS, U, M
	WALK	\mode, 0, hlv.d a0, (a2)
	WALK	\mode, 1, hsv.w a3, (a2)
	.endr
	/* target and table both MMIO: the table is met first */
	G_LEAF	3, PTE_DEVICE
	WALK	VS, 1, sd a3, 0(a2)
	/* the table is RAM again: the target is met */
	G_LEAF	TABLE, PTE_RAM
	ACCESS	VS, GVA(3) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_MMIO, "2.1 VS-stage walk through RAM to an MMIO page"
	csrw	CSR_USTATUS, zero
	G_LEAF	3, PTE_RAM
	V_PTE	V_L1, PTE(V_L0, PTE_V)
	.endr

	UER
	/* the root table: VS cannot fetch an instruction, so hlv and hsv */
	CSRW	CSR_VSATP, SV39 | (GPA(TABLE) >> 12)
	WALK	HS, 0, hlv.w a0, (a2)
	WALK	HS, 1, hsv.b a3, (a2)
	JUMP	VS, GVA(3)
	EXPECT	a0, FETCH_GUEST, "2.1 fetch with the root of VS-stage in an MMIO page"
	VSATP	VS
	csrr	t5, CSR_USTATUS
	EXPECT	t5, 0, "2.1 no frame came of it"
	csrr	t5, CSR_UCAUSE
	EXPECT	t5, 0, "2.1 ucause is as it was"

	csrw	CSR_MEDELEG, zero
	.irp	medeleg, 0, PAGE_FAULTS
	CSRW	CSR_MEDELEG, (\medeleg)
	.irp	mode, HS, U, M
	HLVX	\mode, hlvx.hu a0, (a2)
	HLVX	\mode, hlvx.wu a0, (a2)
	.endr
	.endr
	csrw	CSR_MEDELEG, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
