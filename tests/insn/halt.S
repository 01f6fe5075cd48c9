/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two harts that wake each other TURNS times, and are halted meanwhile. Bare metal, `virt`, for test-wakes.
 */
	.equ TEST_DEV, 0x100000
	.equ PASS, 0x5555
	.equ CLINT_MSIP, 0x2000000
	.equ MSIE, 1 << 3
	.equ TURNS, 3000
	.equ WORK, 20000		/* rounds of a loop: longer than the other one takes to fall asleep */

	.section .text.start
	.globl _start
_start:
	csrr	s0, mhartid
	li	t0, CLINT_MSIP
	sh2add	s1, s0, t0		/* its own */
	xori	t1, s0, 1
	sh2add	s2, t1, t0		/* the other one's */
	li	s3, TURNS
	li	s4, 1
	li	t0, MSIE
	csrw	mie, t0			/* it wakes, and interrupts nobody: mstatus.MIE is 0 */
	beqz	s0, 2f
1:	wfi
	csrr	t0, mip
	andi	t0, t0, MSIE
	beqz	t0, 1b
	sw	zero, (s1)
2:	li	t0, WORK
3:	addi	t0, t0, -1
	bnez	t0, 3b
	sw	s4, (s2)
	addi	s3, s3, -1
	bnez	s3, 1b
	beqz	s0, 4f
	li	t0, TEST_DEV
	li	t1, PASS
	sw	t1, (t0)
4:	wfi
	j	4b
