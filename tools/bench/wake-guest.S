/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of wake.c: after each acknowledged event it lets some time pass, and kicks again, in the way that the host
 * asked for. Without events it computes. Position-independent, like payload.S, whose memory map it shares.
 */
#include "layout.h"
#include "wake.h"

	.section .rodata
	.globl payload
	.globl payload_end
	.balign	8
payload:
	li	s0, SHARED_GPA
	li	t0, 1
	sd	t0, SHARED_RUNNING(s0)
	addi	s2, s0, SHARED_ACKED
	li	s3, 1			/* of the pseudo-random numbers */
	li	s4, DOORBELL_GPA
	li	s6, MULTIPLIER
round:
	ld	t0, SHARED_STOP(s0)
	bnez	t0, stop
	ld	t0, SHARED_ROUNDS(s0)
	addi	t0, t0, 1
	sd	t0, SHARED_ROUNDS(s0)
	ld	s1, 0(s2)		/* seq */
	ld	t1, 8(s2)		/* ack */
	bne	s1, t1, round
	ld	t0, SHARED_NR_ACKED(s0)	/* events to send in all */
	bgeu	s1, t0, round

	mul	s3, s3, s6
	addi	s3, s3, 1
	srli	t0, s3, 33
	li	t1, PAUSE_RANGE
	remu	t0, t0, t1
	li	t1, PAUSE_LEAST
	add	t0, t0, t1
	rdtime	t1
	add	t0, t0, t1
1:	rdtime	t1
	bltu	t1, t0, 1b

	ld	t2, 16(s2)		/* what is written to svei */
	addi	s1, s1, 1
	ld	t0, SHARED_NR_FIRED(s0)
	li	t1, KICK_SVEI
	beq	t0, t1, 2f
	li	t1, KICK_STORE
	beq	t0, t1, 3f

	slti	x0, x0, 0x400 | REGION_SENDER
	slti	x0, x0, 0x400 | REGION_WAKE
	sd	s1, 0(s2)
	slti	x0, x0, 0x500 | REGION_SENDER
	j	round

2:	slti	x0, x0, 0x400 | REGION_SENDER
	slti	x0, x0, 0x400 | REGION_WAKE
	sd	s1, 0(s2)
	fence	w, o
	csrw	CSR_SVEI, t2
	slti	x0, x0, 0x500 | REGION_SENDER
	j	round

3:	slti	x0, x0, 0x400 | REGION_SENDER
	slti	x0, x0, 0x400 | REGION_WAKE
	sd	s1, 0(s2)
	fence	w, o
	sw	zero, 0(s4)
	slti	x0, x0, 0x500 | REGION_SENDER
	j	round

stop:
	li	t0, STOP_GPA
	sw	zero, 0(t0)
	j	stop
payload_end:
