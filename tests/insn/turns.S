/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two harts that sleep and wake by their timers, SLEEPS times each, and fold the time in which they go to sleep and wake into
 * a sum. Bare metal, `virt`, for test-turns: when harts take turns (-icount) the cycle CSR is the virtual time in
 * nanoseconds. Hart 0 writes both sums to the serial port, in hex, and ends the machine.
 */
	.equ TEST_DEV, 0x100000
	.equ PASS, 0x5555
	.equ CLINT_MTIMECMP, 0x2004000
	.equ CLINT_MTIME, 0x200bff8
	.equ UART, 0x10000000
	.equ MTIE, 1 << 7
	.equ SLEEPS, 10000
	.equ PAUSES, 63			/* of the timer, at most: a mask */

	.section .text.start
	.globl _start
_start:
	csrr	s0, mhartid
	li	s1, CLINT_MTIMECMP
	sh3add	s1, s0, s1
	li	s2, CLINT_MTIME
	li	s3, SLEEPS
	addi	s4, s0, 1		/* the sum */
	li	t0, MTIE
	csrw	mie, t0			/* it wakes, and interrupts nobody: mstatus.MIE is 0 */
1:	csrr	t0, mcycle
	li	t1, 0x5deece66d
	mul	s4, s4, t1
	add	s4, s4, t0
	srli	t1, s4, 40
	andi	t1, t1, PAUSES
	ld	t2, (s2)
	add	t2, t2, t1
	addi	t2, t2, 1
	sd	t2, (s1)
	wfi
	addi	s3, s3, -1
	bnez	s3, 1b

	la	t0, sums
	sh3add	t1, s0, t0
	sd	s4, (t1)
	fence
	la	t1, ended
	li	t2, 1
	amoadd.w.aqrl t3, t2, (t1)
	bnez	s0, 3f
2:	lw	t3, (t1)
	li	t2, 2
	bne	t3, t2, 2b
	fence
	ld	a0, (t0)
	call	hex
	ld	a0, 8(t0)
	call	hex
	li	t0, TEST_DEV
	li	t1, PASS
	sw	t1, (t0)
3:	wfi
	j	3b

/* Writes a0 to the serial port. */
hex:	li	t3, UART
	li	t4, 60
4:	srl	t5, a0, t4
	andi	t5, t5, 15
	addi	t5, t5, '0'
	li	t6, '9'
	ble	t5, t6, 5f
	addi	t5, t5, 'a' - '0' - 10
5:	sb	t5, (t3)
	addi	t4, t4, -4
	bgez	t4, 4b
	li	t5, '\n'
	sb	t5, (t3)
	ret

	.bss
	.balign 8
sums:	.dword	0, 0
ended:	.word	0
