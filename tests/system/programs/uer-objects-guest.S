/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that stores to a device and loads from it for ever, and checks what it reads and that no
 * register changes meanwhile. a0: its struct lane, a1: its device. Position-independent; the host
 * copies it into the guest's memory.
 *
 * All other registers hold numbers that stay, but t0 to t2, and s11, which is their sum.
 */
#include "uer-objects.h"

#define SISELECT	0x150
#define SIREG		0x151
#define STOPEI		0x15c

	.macro	each_register do
	.irp	r, ra, sp, gp, tp, s0, s1, a2, a3, a4, a5, a6, a7, s2, s3, s4, s5, s6, s7, s8, s9, s10, t3, t4, t5, t6
	\do	\r
	.endr
	.endm

	.macro	fill r
	mv	\r, t0
	slli	t1, t0, 7
	xor	t0, t0, t1
	srli	t1, t0, 9
	xor	t0, t0, t1
	add	s11, s11, \r
	.endm

	.macro	sum r
	add	t0, t0, \r
	.endm

	.section .rodata
	.option	norvc
	.globl uer_guest
	.globl uer_guest_end
	.balign	8
uer_guest:
	lla	t0, trap
	csrw	stvec, t0
	ld	t0, LANE_WAIT_IRQ(a0)
	beqz	t0, 1f
	/* enable the one identity of the IMSIC: eidelivery, eithreshold, eie0 */
	li	t0, 0x70
	csrw	SISELECT, t0
	li	t0, 1
	csrw	SIREG, t0
	li	t0, 0x72
	csrw	SISELECT, t0
	csrw	SIREG, zero
	li	t0, 0xc0
	csrw	SISELECT, t0
	li	t0, 1 << IMSIC_ID
	csrw	SIREG, t0
1:	li	t0, 0x123456789abcdef1
	add	t0, t0, a0
	li	s11, 0
	each_register fill

round:
	ld	t0, LANE_STOP(a0)
	bnez	t0, stop

	ld	t1, LANE_ROUNDS(a0)
	sw	t1, DEVICE_LATCH(a1)
	lw	t2, DEVICE_VALUE(a1)
	li	t0, DEVICE_TURNS
	xor	t0, t0, t1
	sext.w	t0, t0
	beq	t0, t2, 1f
	ld	t0, LANE_ERRORS(a0)
	addi	t0, t0, 1
	sd	t0, LANE_ERRORS(a0)
1:	/* t1 is as before the accesses, and so is everything else */
	ld	t0, LANE_ROUNDS(a0)
	bne	t0, t1, 2f
	li	t0, 0
	each_register sum
	beq	t0, s11, 3f
2:	ld	t0, LANE_ERRORS(a0)
	addi	t0, t0, 1
	sd	t0, LANE_ERRORS(a0)

3:	ld	t0, LANE_WAIT_IRQ(a0)
	beqz	t0, 5f
4:	csrrw	t0, STOPEI, zero
	beqz	t0, 4b
	ld	t0, LANE_IRQS(a0)
	addi	t0, t0, 1
	sd	t0, LANE_IRQS(a0)

5:	ld	t0, LANE_ROUNDS(a0)
	addi	t0, t0, 1
	sd	t0, LANE_ROUNDS(a0)
	j	round

	/* a store to STOP_GPA, where there is nothing, tells the host */
stop:
	li	t0, 0x10000000
	sw	zero, 0(t0)
	j	stop

	.balign	4
trap:
	csrr	t0, scause
	sd	t0, LANE_SCAUSE(a0)
	csrr	t0, stval
	sd	t0, LANE_STVAL(a0)
	j	stop
uer_guest_end:
