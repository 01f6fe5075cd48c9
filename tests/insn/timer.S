/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A timer whose deadline is moved, for test-wakes: stimecmp as well as vstimecmp. Bare metal, `virt`. The status with which it
 * ends the machine is the number of the check that failed, or 0.
 *
 * REWRITES: how many times a deadline that is far away is taken back and set again at the end, as a hypervisor does it
 * when it leaves a guest for user space.
 */
	.equ TEST_DEV, 0x100000
	.equ PASS, 0x5555
	.equ FAIL, 0x3333
	.equ MS, 10000			/* of time, which has 10 MHz */
	.equ WORK, 20000		/* rounds of a loop: longer than a thread takes to fall asleep */
	.equ STCE, 63			/* of menvcfg and henvcfg */
	.equ STIP, 5			/* bits of mip */
	.equ VSTIP, 6

	.section .text.start
	.globl _start
_start:
	li	t0, 1
	slli	t0, t0, STCE
	csrw	menvcfg, t0
	csrw	henvcfg, t0
	li	s0, 0			/* the check */

	.macro	moved timecmp, bit
	/* Later: it comes then, and not before. */
	csrr	s1, time
	li	t0, MS
	add	t1, s1, t0
	csrw	\timecmp, t1
	li	t0, 5 * MS
	add	s1, s1, t0
	csrw	\timecmp, s1
	li	a0, \bit
	call	waits
	/* Never, until it is set again. */
	csrr	s1, time
	li	t0, MS
	add	t1, s1, t0
	csrw	\timecmp, t1
	li	t0, -1
	csrw	\timecmp, t0
	li	t0, 3 * MS
	add	s1, s1, t0
	call	quiet
	csrr	s1, time
	li	t0, MS
	add	s1, s1, t0
	csrw	\timecmp, s1
	call	waits
	/* Sooner: it does not wait. */
	csrr	s1, time
	li	t0, 10000 * MS
	add	s2, s1, t0
	csrw	\timecmp, s2
	li	t0, MS
	add	s1, s1, t0
	csrw	\timecmp, s1
	call	waits
	addi	s0, s0, 1
	csrr	t0, time
	bgeu	t0, s2, failed
	/* At once. */
	csrw	\timecmp, s2
	call	quiet
	csrw	\timecmp, zero
	addi	s0, s0, 1
	csrr	t0, mip
	bexti	t0, t0, \bit
	beqz	t0, failed
	.endm

	moved	stimecmp, STIP
	moved	vstimecmp, VSTIP

	/* Sooner than what the timer of stimecmp may still wait for. */
	csrr	s1, time
	li	t0, 5000 * MS
	add	s1, s1, t0
	li	s2, -1
	li	s3, REWRITES
1:	csrw	vstimecmp, s2
	csrw	vstimecmp, s1
	li	t0, WORK
6:	addi	t0, t0, -1
	bnez	t0, 6b
	addi	s3, s3, -1
	bgtz	s3, 1b
	li	t0, TEST_DEV
	li	t1, PASS
	sw	t1, (t0)
2:	wfi
	j	2b

/* Waits for the bit a0 of mip, which is not to be there before s1. */
waits:	addi	s0, s0, 1
3:	csrr	t0, mip
	csrr	t1, time
	bext	t0, t0, a0
	beqz	t0, 3b
	bltu	t1, s1, failed
	ret

/* The bit a0 of mip is 0 until s1. */
quiet:	addi	s0, s0, 1
4:	csrr	t0, mip
	bext	t0, t0, a0
	bnez	t0, failed
	csrr	t0, time
	bltu	t0, s1, 4b
	ret

failed:	li	t0, TEST_DEV
	slli	t1, s0, 16
	li	t2, FAIL
	or	t1, t1, t2
	sw	t1, (t0)
5:	wfi
	j	5b
