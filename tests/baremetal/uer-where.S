/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.2, where a load or store MMIO page fault of a guest goes: to U only
 * with huedeleg[c]=1, HUR=1 and UACT=0; otherwise to HS, whatever medeleg and
 * hedeleg say, with no change to the CSRs of a frame. stateen0 gates nothing.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,smstateen=true,xhaiov=on smp=1
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

/* One combination. `bits` is what ustatus holds before. */
.macro COMBINATION mode, where, kind, deleg, hur, bits, tinst, insn:vararg
	csrw	CSR_UEPC, zero
	CSRW	CSR_HUEDELEG, (\deleg)
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	.if	\hur
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	.endif
	CSRW	CSR_USTATUS, \bits
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	.if	((\deleg) >> (24 + \kind)) & \hur & ~((\bits) >> 11) & 1
	MMIO_TO_U \mode, LOAD_MMIO + \kind, GPA(PAGE) + AT, \tinst, PAGE, "2.2 huedeleg=\deleg, HUR=\hur, ustatus=\bits, \where, to U: \insn"
	.else
	WANT_HS	\mode, LOAD_MMIO + \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst
	WANT	F_PAGE, RPA(PAGE)
	WANT	F_USTATUS, \bits
	csrr	t5, CSR_USTATUS
	sd	t5, REC_USTATUS(tp)
	JUDGE	FIELDS_HS | BIT(F_USTATUS) | BIT(F_PAGE), "2.2 huedeleg=\deleg, HUR=\hur, ustatus=\bits, \where, to HS: \insn"
	csrr	t5, CSR_UEPC
	EXPECT	t5, 0, "2.2 huedeleg=\deleg, HUR=\hur, ustatus=\bits, \where, uepc stays: \insn"
	.endif
.endm

.macro TABLE_OF mode, where
	.irp	deleg, 0, BIT(24), BIT(25), BIT(24) | BIT(25)
	.irp	hur, 0, 1
	.irp	bits, 0, USTATUS_UACT
	COMBINATION \mode, \where, 0, \deleg, \hur, \bits, T_LOAD(3, 10), ld a0, 0(a2)
	COMBINATION \mode, \where, 1, \deleg, \hur, \bits, T_STORE(2, 13), sw a3, 0(a2)
	.endr
	.endr
	.endr
	/* it is UACT, no other bit, that keeps a fault from going to U */
	COMBINATION \mode, \where, 0, BIT(24) | BIT(25), 1, USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, T_LOAD(3, 10), ld a0, 0(a2)
	COMBINATION \mode, \where, 1, BIT(24) | BIT(25), 1, USTATUS_UACT | USTATUS_TUR, T_C(T_STORE(3, 13)), RVC c.sd a3, 0(a2)
	/* an AMO goes by bit 25, an LR by bit 24 */
	COMBINATION \mode, \where, 1, BIT(24), 1, 0, T_AMO(0, 2, 10, 13), amoadd.w a0, a3, (a2)
	COMBINATION \mode, \where, 1, BIT(25), 1, 0, T_AMO(0, 2, 10, 13), amoadd.w a0, a3, (a2)
	COMBINATION \mode, \where, 0, BIT(24), 1, 0, T_AMO(2, 3, 10, 0), lr.d a0, (a2)
	COMBINATION \mode, \where, 0, BIT(25), 1, 0, T_AMO(2, 3, 10, 0), lr.d a0, (a2)
	COMBINATION \mode, \where, 1, BIT(24), 1, 0, T_AMO(3, 3, 10, 13), sc.d a0, a3, (a2)
	COMBINATION \mode, \where, 1, BIT(25), 1, 0, T_AMO(3, 3, 10, 13), sc.d a0, a3, (a2)
	COMBINATION \mode, \where, 1, BIT(24), 1, 0, 0, ARCH zicboz, cbo.zero 0(a2)
	COMBINATION \mode, \where, 1, BIT(25), 1, 0, 0, ARCH zicboz, cbo.zero 0(a2)
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE

	TABLE_OF VS, from_VS
	VSATP	VU
	TABLE_OF VU, from_VU
	VSATP	VS

	/* guest-page faults and the guest's own page faults are not redirected */
	UER
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	G_LEAF	PAGE + 1, 0
	ACCESS	VS, GVA(PAGE + 1) + AT, 0, ld a0, 0(a2)
	TO_HS	VS, LOAD_GUEST, GVA(PAGE + 1) + AT, GPA(PAGE + 1) + AT, T_LOAD(3, 10), "2.2 a guest-page fault goes to HS with UER on: load"
	ACCESS	VS, GVA(PAGE + 1) + AT, 0, sd a3, 0(a2)
	TO_HS	VS, STORE_GUEST, GVA(PAGE + 1) + AT, GPA(PAGE + 1) + AT, T_STORE(3, 13), "2.2 a guest-page fault goes to HS with UER on: store"
	csrr	t5, CSR_USTATUS
	EXPECT	t5, 0, "2.2 a guest-page fault makes no frame"
	csrw	CSR_MEDELEG, zero

	/* medeleg cannot keep 24, 25 in M, hedeleg cannot give them to VS */
	csrw	CSR_HUEDELEG, zero
	.irp	medeleg, 0, PAGE_FAULTS
	.irp	hedeleg, 0, -1
	CSRW	CSR_MEDELEG, (\medeleg)
	CSRW	CSR_HEDELEG, \hedeleg
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	MMIO_TO_HS VS, LOAD_MMIO, GVA(PAGE) + AT, GPA(PAGE) + AT, T_LOAD(3, 10), PAGE, "2.2 medeleg=\medeleg, hedeleg=\hedeleg: load"
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	MMIO_TO_HS VS, STORE_MMIO, GVA(PAGE) + AT, GPA(PAGE) + AT, T_STORE(3, 13), PAGE, "2.2 medeleg=\medeleg, hedeleg=\hedeleg: store"
	CSRW	CSR_HUEDELEG, VEI_BITS
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE) + AT, T_STORE(3, 13), PAGE, "2.2 medeleg=\medeleg, hedeleg=\hedeleg, huedeleg on: store"
	csrw	CSR_HUEDELEG, zero
	.endr
	.endr
	csrw	CSR_HEDELEG, zero
	csrw	CSR_MEDELEG, zero

	/* an ordinary trap in HS: what sret needs to go back is right, and HS can
	 * return to the same instruction */
	csrw	CSR_HUEDELEG, zero
	la	t0, 7420f
	csrw	CSR_STVEC, t0
	li	a2, GVA(PAGE) + AT
	li	a3, 0
	IN	VS
	ld	a0, 0(a2)
	li	a1, 1
	ENDIN
	j	7421f
	.balign	4
	/* in HS: the first time leave the page, the second time skip */
7420:	addi	a3, a3, 1
	li	t0, 2
	bltu	a3, t0, 1f
	csrr	t0, CSR_SEPC
	addi	t0, t0, 4
	csrw	CSR_SEPC, t0
	li	a0, 0x77
1:	sret
7421:	la	t0, s_trap
	csrw	CSR_STVEC, t0
	EXPECT	a0, ENDED, "2.2 HS can emulate the load: it returns to the guest"
	EXPECT	a1, 0x77, "2.2 HS can emulate the load: with its value"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
