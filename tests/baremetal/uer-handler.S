/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 2 at work: a handler in U emulates a device from utinst, utval
 * and the registers, as 2.3 and 2.4 let it, for guests on three harts at once,
 * while timer interrupts of M strike guest and handler alike. Every access makes
 * one frame, every value arrives.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=3
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=3 accel=tcg,thread=single
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=3 icount=shift=0
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE		0x10
#define DEVICE		0x85200000	/* the memory of the device, a page per hart */
#define HARTS		3
#define ROUNDS		1500
#define ACCESSES	16		/* of a round */
#define MTIME		0x0200bff8
#define MTIMECMP	0x02004000
#define PERIOD		1000		/* of the 10 MHz timer: 0.1 ms */
#define IRQ_MTI		7

/* in the hart's area */
#define FRAMES		(MORE + 0)
#define MEMORY		(MORE + 8)
#define PUNTED		(MORE + 16)	/* utinst of what the handler does not know */
#define RESULT		(MORE + 24)
#define CAUSE		(MORE + 32)
#define INTERRUPTS	(MORE + 40)
#define IN_HANDLER	(MORE + 48)	/* those that struck U */
#define M_SAVE		(MORE + 56)

/* the guest: a1 what it wants, a3 what it got, a0 collects differences */
.macro SAME
	xor	a3, a3, a1
	or	a0, a0, a3
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	G_LEAF	PAGE, PTE_DEVICE
	START	1, run_guest
	START	2, run_guest
	call	run_guest
	JOIN	1
	JOIN	2
	.irp	hart, 0, 1, 2
	la	s4, areas + \hart * AREA_SIZE
	ld	t5, CAUSE(s4)
	EXPECT	t5, ENDED, "2.4 hart \hart: the guest ran to its end"
	ld	t5, PUNTED(s4)
	EXPECT	t5, 0, "1 hart \hart: the handler knew every instruction"
	ld	t5, RESULT(s4)
	EXPECT	t5, 0, "2.3 hart \hart: every value arrived, in the device and in the guest"
	ld	t5, FRAMES(s4)
	EXPECT	t5, ROUNDS * ACCESSES, "2.1 hart \hart: one frame for each access"
	ld	t5, INTERRUPTS(s4)
	snez	t5, t5
	EXPECT	t5, 1, "harness: hart \hart: the timer struck"
	ld	t5, IN_HANDLER(s4)
	snez	t5, t5
	EXPECT	t5, 1, "harness: hart \hart: the timer struck the handler"
	.endr
	INTACT	PAGE, "2.1 the page behind the leaf is not touched"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On each hart, in M. */
run_guest:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	call	guest_csrs
	UER
	la	t0, emulate
	csrw	CSR_UTVEC, t0
	ld	t0, HARTID(tp)
	slli	t1, t0, 12
	li	t2, DEVICE
	add	t1, t1, t2
	sd	t1, MEMORY(tp)
	sd	zero, FRAMES(tp)
	sd	zero, PUNTED(tp)
	sd	zero, INTERRUPTS(tp)
	sd	zero, IN_HANDLER(tp)
	la	t0, m_entry
	csrw	CSR_MTVEC, t0
	call	arm_timer
	CSRS	CSR_MIE, BIT(IRQ_MTI)
	li	a2, GVA(PAGE)
	IN	VS
	li	s0, ROUNDS
	li	s1, 0x0123456789abcdef	/* a number that changes */
	li	a0, 0
1:	slli	t0, s1, 13
	xor	s1, s1, t0
	srli	t0, s1, 7
	xor	s1, s1, t0
	slli	t0, s1, 17
	xor	s1, s1, t0

	sd	s1, 0(a2)
	ld	a3, 0(a2)
	mv	a1, s1
	SAME
	sw	s1, 12(a2)
	lw	a3, 12(a2)
	sext.w	a1, s1
	SAME
	lwu	a3, 12(a2)
	slli	a1, s1, 32
	srli	a1, a1, 32
	SAME
	sh	s1, 0x7f2(a2)
	lh	a3, 0x7f2(a2)
	slli	a1, s1, 48
	srai	a1, a1, 48
	SAME
	lhu	a3, 0x7f2(a2)
	slli	a1, s1, 48
	srli	a1, a1, 48
	SAME
	sb	s1, 33(a2)
	lb	a3, 33(a2)
	slli	a1, s1, 56
	srai	a1, a1, 56
	SAME
	lbu	a3, 33(a2)
	andi	a1, s1, 0xff
	SAME
	mv	a4, s1
	.option	push
	.option	rvc
	c.sd	a4, 16(a2)
	c.ld	a3, 16(a2)
	.option	pop
	mv	a1, s1
	SAME
	/* 0(a2) holds s1, 12(a2) its low half */
	amoadd.w a3, s0, (a2)
	sext.w	a1, s1
	SAME
	lw	a3, 0(a2)
	addw	a1, s1, s0
	SAME
	lw	x0, 12(a2)
	addi	s0, s0, -1
	bnez	s0, 1b
	ENDIN
	sd	a0, CAUSE(tp)
	sd	a1, RESULT(tp)
	/* wait for the others asleep: where harts take turns, a loop that polls
	 * would have most of them */
	la	s0, finished
	li	t0, 1
	amoadd.w zero, t0, (s0)
1:	call	arm_timer
	wfi
	lw	t0, 0(s0)
	li	t1, HARTS
	bne	t0, t1, 1b
	csrw	CSR_MIE, zero
	la	t0, m_trap
	csrw	CSR_MTVEC, t0
	csrw	CSR_USTATUS, zero
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* the timer: now and PERIOD; uses t0..t2 */
arm_timer:
	li	t0, MTIME
	ld	t1, 0(t0)
	addi	t1, t1, PERIOD
	ld	t2, HARTID(tp)
	slli	t2, t2, 3
	li	t0, MTIMECMP
	add	t0, t0, t2
	sd	t1, 0(t0)
	ret

/* M: timer interrupts here, everything else as ever. */
	.balign	4
m_entry:
	csrrw	tp, CSR_MSCRATCH, tp
	sd	t0, M_SAVE(tp)
	csrr	t0, CSR_MCAUSE
	bltz	t0, 1f
	ld	t0, M_SAVE(tp)
	csrrw	tp, CSR_MSCRATCH, tp
	/* m_trap finds the area in mscratch */
	j	m_trap
1:	sd	t1, M_SAVE + 8(tp)
	sd	t2, M_SAVE + 16(tp)
	sd	ra, M_SAVE + 24(tp)
	call	arm_timer
	ld	t0, INTERRUPTS(tp)
	addi	t0, t0, 1
	sd	t0, INTERRUPTS(tp)
	csrr	t0, CSR_MSTATUS
	li	t1, MSTATUS_MPP | MSTATUS_MPV
	and	t0, t0, t1
	seqz	t0, t0
	ld	t1, IN_HANDLER(tp)
	add	t1, t1, t0
	sd	t1, IN_HANDLER(tp)
	ld	ra, M_SAVE + 24(tp)
	ld	t2, M_SAVE + 16(tp)
	ld	t1, M_SAVE + 8(tp)
	ld	t0, M_SAVE(tp)
	csrrw	tp, CSR_MSCRATCH, tp
	mret

/* U: the handler. uscratch is the hart's area, between frames too. */
	.balign	4
emulate:
	csrrw	a0, CSR_USCRATCH, a0
	EACH_BUT_A0 sd
	csrrw	t0, CSR_USCRATCH, a0
	sd	t0, UREGS + 8 * 10(a0)
	sd	zero, UREGS(a0)
	ld	t0, FRAMES(a0)
	addi	t0, t0, 1
	sd	t0, FRAMES(a0)
	csrr	t1, CSR_UTINST
	/* the length of the instruction is in bit 1 */
	andi	t2, t1, 2
	addi	t2, t2, 2
	csrr	t3, CSR_UEPC
	add	t3, t3, t2
	csrw	CSR_UEPC, t3
	/* t6: the device's memory; t5: funct3 */
	csrr	t6, CSR_UTVAL
	slli	t6, t6, 52
	srli	t6, t6, 52
	ld	t2, MEMORY(a0)
	add	t6, t6, t2
	srli	t5, t1, 12
	andi	t5, t5, 7
	andi	t2, t1, 0x7c
	beqz	t2, emulate_load
	li	t3, 0x20
	beq	t2, t3, emulate_store
	li	t3, 0x2c
	beq	t2, t3, emulate_amo
punt:	sd	t1, PUNTED(a0)
	li	a7, MAGIC_END
	ecall

emulate_load:
	la	t2, loads
	slli	t3, t5, 3
	add	t2, t2, t3
	jr	t2
	.balign	8
loads:	.irp	insn, lb, lh, lw, ld, lbu, lhu, lwu
	\insn	t4, 0(t6)
	j	loaded
	.endr
	j	punt
loaded:	srli	t2, t1, 7
	andi	t2, t2, 31
	beqz	t2, emulated
	slli	t2, t2, 3
	add	t2, t2, a0
	sd	t4, UREGS(t2)
	j	emulated

emulate_store:
	srli	t2, t1, 20
	andi	t2, t2, 31
	slli	t2, t2, 3
	add	t2, t2, a0
	ld	t4, UREGS(t2)
	la	t2, stores
	slli	t3, t5, 3
	add	t2, t2, t3
	jr	t2
	.balign	8
stores:	.irp	insn, sb, sh, sw, sd
	\insn	t4, 0(t6)
	j	emulated
	.endr
	.rept	4
	j	punt
	nop
	.endr

	/* amoadd.w is all that the guest has */
emulate_amo:
	srli	t2, t1, 27
	bnez	t2, punt
	li	t3, 2
	bne	t5, t3, punt
	srli	t2, t1, 20
	andi	t2, t2, 31
	slli	t2, t2, 3
	add	t2, t2, a0
	ld	t3, UREGS(t2)
	amoadd.w t4, t3, (t6)
	j	loaded

emulated:
	EACH_BUT_A0 ld
	ld	a0, UREGS + 8 * 10(a0)
	URET

	.bss
	.balign	8
finished: .zero	8
