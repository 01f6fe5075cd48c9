/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest that needs no operating system: it sends, in a loop, what the host wrote into the
 * memory that they share (struct shared in guest.h), and survives exceptions. Position-independent;
 * the host copies it to the start of the guest's memory.
 */
#include "layout.h"

	.section .rodata
	.globl payload
	.globl payload_end
	.balign	8
payload:
	lla	t0, trap
	csrw	stvec, t0
	li	s0, SHARED_GPA
	li	t0, 1
	sd	t0, SHARED_RUNNING(s0)
	li	s3, 1			/* of the pseudo-random numbers */
round:
	ld	t0, SHARED_STOP(s0)
	bnez	t0, stop

	ld	t0, SHARED_PAUSE(s0)
	beqz	t0, 8f
	li	t1, 0x5851f42d4c957f2d
	mul	s3, s3, t1
	addi	s3, s3, 1
	srli	t1, s3, 33
	remu	t0, t1, t0
	rdtime	t1
	add	t0, t0, t1
7:	rdtime	t1
	bltu	t1, t0, 7b
8:

	/* numbered events: the next one only when the host has seen the last */
	ld	s1, SHARED_NR_ACKED(s0)
	addi	s2, s0, SHARED_ACKED
1:	beqz	s1, 3f
	ld	t0, 0(s2)
	ld	t1, 8(s2)
	bne	t0, t1, 2f
	addi	t0, t0, 1
	sd	t0, 0(s2)
	ld	t2, 16(s2)
	fence	w, o
	csrw	CSR_SVEI, t2
2:	addi	s2, s2, 32
	addi	s1, s1, -1
	j	1b

	/* events that nobody waits for */
3:	ld	s1, SHARED_NR_FIRED(s0)
	addi	s2, s0, SHARED_FIRED
	ld	t1, SHARED_SENT(s0)
4:	beqz	s1, 5f
	ld	t0, 0(s2)
	fence	w, o
	csrw	CSR_SVEI, t0
	addi	t1, t1, 1
	addi	s2, s2, 8
	addi	s1, s1, -1
	j	4b
5:	sd	t1, SHARED_SENT(s0)
	ld	t0, SHARED_ROUNDS(s0)
	addi	t0, t0, 1
	sd	t0, SHARED_ROUNDS(s0)
	j	round

stop:
	li	t0, STOP_GPA
	sw	zero, 0(t0)
	j	stop

	/* Only what the rounds keep in s0 to s3 and t0 to t2 is live. */
	.balign	4
trap:
	csrr	t3, scause
	sd	t3, SHARED_SCAUSE(s0)
	csrr	t3, stval
	sd	t3, SHARED_STVAL(s0)
	ld	t3, SHARED_TRAPS(s0)
	addi	t3, t3, 1
	sd	t3, SHARED_TRAPS(s0)
	csrr	t3, sepc
	addi	t3, t3, 4
	csrw	sepc, t3
	sret
payload_end:
