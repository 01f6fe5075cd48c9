/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1, the exception of each explicit load and store form of RV64GC,
 * Zicbom and Zicboz, with utval and utinst (section 1), redirected to U from VS
 * and VU, and taken in HS with the fields of a guest-page fault (2.2). Nothing
 * is read or written, and no register changes.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt cpu=rv64,h=true,zama16b=true,xhaiov=on smp=1
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

.macro TO_U_VS kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE) + AT, \tinst, PAGE, "2.1 from VS to U: \insn"
.endm
.macro TO_U_VU kind, tinst, imm, insn:vararg
	ACCESS	VU, GVA(PAGE) + AT, \imm, \insn
	MMIO_TO_U VU, LOAD_MMIO + \kind, GPA(PAGE) + AT, \tinst, PAGE, "2.1 from VU to U: \insn"
.endm
.macro TO_HS_VS kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	MMIO_TO_HS VS, LOAD_MMIO + \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst, PAGE, "2.2 from VS to HS: \insn"
.endm
.macro TO_HS_VU kind, tinst, imm, insn:vararg
	ACCESS	VU, GVA(PAGE) + AT, \imm, \insn
	MMIO_TO_HS VU, LOAD_MMIO + \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst, PAGE, "2.2 from VU to HS: \insn"
.endm

/* An FP register keeps its value when the load into it is redirected. */
.macro FP_KEPT fd, insn:vararg
	li	t5, 0x0123456789abcdef
	fmv.d.x	\fd, t5
	ACCESS	VS, GVA(PAGE) + AT, 0, \insn
	EXPECT	a0, LOAD_MMIO, "2.1 \insn: load MMIO page fault"
	fmv.x.d	t5, \fd
	EXPECT	t5, 0x0123456789abcdef, "2.1 \insn: \fd is not written"
	csrw	CSR_USTATUS, zero
.endm

/* cbo.*: utval is the operand's address, wherever in its block that is. In HS
 * it is some address of that block. */
.macro CBO_AT offset, insn:vararg
	ACCESS	VS, GVA(PAGE) + \offset, 0, \insn
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE) + \offset, 0, PAGE, "2.1 utval is the operand's address, page + \offset: \insn"
	csrw	CSR_HUEDELEG, zero
	ACCESS	VS, GVA(PAGE) + \offset, 0, \insn
	EXPECT	a0, STORE_MMIO, "2.2 to HS, page + \offset: \insn"
	ld	t5, REC_TVAL(tp)
	andi	t5, t5, -64
	EXPECT	t5, GVA(PAGE) + ((\offset) & -64), "2.2 stval, block of page + \offset: \insn"
	ld	t5, REC_TVAL2(tp)
	andi	t5, t5, -16
	EXPECT	t5, (GPA(PAGE) + ((\offset) & -64)) >> 2, "2.2 htval, block of page + \offset: \insn"
	CSRW	CSR_HUEDELEG, VEI_BITS
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE

	EACH_ACCESS TO_U_VS
	VSATP	VU
	EACH_ACCESS TO_U_VU
	csrw	CSR_HUEDELEG, zero
	EACH_ACCESS TO_HS_VU
	VSATP	VS
	EACH_ACCESS TO_HS_VS
	CSRW	CSR_HUEDELEG, VEI_BITS

	FP_KEPT	fa0, flw fa0, 0(a2)
	FP_KEPT	fa0, fld fa0, 0(a2)
	FP_KEPT	f31, fld f31, 0(t6)
	FP_KEPT	fa0, RVC c.fld fa0, 0(a2)
	FP_KEPT	fa0, RVC c.fldsp fa0, 0(sp)

	CBO_AT	0x344, ARCH zicbom, cbo.clean 0(a2)
	CBO_AT	0x3ff, ARCH zicbom, cbo.flush 0(a2)
	CBO_AT	0xfff, ARCH zicbom, cbo.inval 0(a2)
	CBO_AT	0x001, ARCH zicboz, cbo.zero 0(a2)
	CBO_AT	0xfff, ARCH zicboz, cbo.zero 0(a2)
	CBO_AT	0x000, ARCH zicboz, cbo.zero 0(a2)

	/* an SC that might succeed raises what one that cannot does */
	G_LEAF	PAGE, PTE_RAM
	ACCESS	VS, GVA(PAGE) + AT, 0, lr.w a0, (a2)
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	VS, GVA(PAGE) + AT, 0, sc.w a0, a3, (a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE) + AT, T_AMO(3, 2, 10, 13), PAGE, "2.1 with a reservation: sc.w"
	G_LEAF	PAGE, PTE_RAM
	ACCESS	VS, GVA(PAGE) + AT, 0, lr.d a0, (a2)
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	VS, GVA(PAGE) + AT, 0, sc.d a0, a3, (a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE) + AT, T_AMO(3, 3, 10, 13), PAGE, "2.1 with a reservation: sc.d"
	/* the reservation is for another page, and there it would have succeeded */
	ACCESS	VS, GVA(PAGE + 1) + AT, 0, lr.d a0, (a2)
	ACCESS	VS, GVA(PAGE) + AT, 0, sc.d a0, a3, (a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE) + AT, T_AMO(3, 3, 10, 13), PAGE, "2.1 with a reservation elsewhere: sc.d"
	/* in RAM it fails as ever, and stores nothing */
	ACCESS	VS, GVA(PAGE + 1) + AT, 0, sc.d a0, a3, (a2)
	EXPECT	a0, ENDED, "2.1 an SC to RAM without a reservation does not trap"
	INTACT	PAGE + 1, "2.1 nor does it store"

	/* misaligned LR, SC, AMO: which exception comes first is as with a
	 * guest-page fault (2.1, priority) */
	.irp	n, 1, 2, 3, 4, 5, 6
	G_LEAF	PAGE, 0
	call	misaligned_\n
	mv	s4, a0
	G_LEAF	PAGE, PTE_DEVICE
	call	misaligned_\n
	mv	s5, a0
	csrw	CSR_USTATUS, zero
	li	t0, LOAD_GUEST
	li	t1, LOAD_MMIO
	beq	s4, t0, 1f
	li	t0, STORE_GUEST
	li	t1, STORE_MMIO
	beq	s4, t0, 1f
	mv	t1, s4
1:	EXPECTR	s5, t1, "2.1 misaligned atomic \n: priority as that of a guest-page fault"
	.endr

	/* prefetches are hints and never trap */
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH zicbop, prefetch.r 0(a2)
	EXPECT	a0, ENDED, "2.1 prefetch.r does not trap"
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH zicbop, prefetch.w 0(a2)
	EXPECT	a0, ENDED, "2.1 prefetch.w does not trap"
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH zicbop, prefetch.i 0(a2)
	EXPECT	a0, ENDED, "2.1 prefetch.i does not trap"

	/* cbo.* that is not allowed to the guest at all comes first */
	CSRW	CSR_HENVCFG, 0
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH zicboz, cbo.zero 0(a2)
	EXPECT	a0, VIRTUAL, "2.1 cbo.zero that henvcfg forbids is a virtual-instruction exception"
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH zicbom, cbo.flush 0(a2)
	EXPECT	a0, VIRTUAL, "2.1 cbo.flush that henvcfg forbids is a virtual-instruction exception"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

.macro MISALIGNED n, offset, insn:vararg
misaligned_\n:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	ACCESS	VS, GVA(PAGE) + AT + \offset, 0, \insn
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
.endm
	MISALIGNED 1, 2, lr.w a0, (a2)
	MISALIGNED 2, 4, lr.d a0, (a2)
	MISALIGNED 3, 1, amoadd.w a0, a3, (a2)
	MISALIGNED 4, 4, amoswap.d a0, a3, (a2)
	MISALIGNED 5, 6, amomaxu.d a0, a3, (a2)
	MISALIGNED 6, 2, lr.w.aqrl a0, (a2)
