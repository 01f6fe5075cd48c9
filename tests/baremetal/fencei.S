/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: no rule. A hart that executes fence.i after another one has told it of a
 * change of the code runs what is there now (the unprivileged specification,
 * Zifencei). All that a kernel patches while it runs depends on that. Runs without
 * Xhaiov.
 *
 * run: machine=virt cpu=rv64,h=true smp=2
 */
#include "harness.h"

#define N	20000

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	START	1, reader
	la	s2, code
	la	s3, told
	li	s1, 1
1:	andi	t0, s1, 1023
	slli	t0, t0, 20
	li	t1, 0x513		/* addi a0, x0, the round */
	or	t0, t0, t1
	sw	t0, 0(s2)
	fence	rw, rw
	sd	s1, 0(s3)
2:	ld	t0, 8(s3)
	bne	t0, s1, 2b
	fence	rw, rw
	addi	s1, s1, 1
	li	t0, N
	bleu	s1, t0, 1b
	JOIN	1
	ld	t0, 16(s3)
	EXPECT	t0, 0, "fence.i: code that was changed before it runs after it"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

	/* Runs the code all the time, so that it is being fetched while it changes. */
reader:
	mv	s0, ra
	la	s2, code
	la	s3, told
	li	s1, 0
1:	jalr	s2
	ld	s4, 0(s3)
	beq	s4, s1, 1b
	fence	rw, rw
	fence.i
	jalr	s2
	andi	t0, s4, 1023
	beq	a0, t0, 2f
	ld	t0, 16(s3)
	addi	t0, t0, 1
	sd	t0, 16(s3)
2:	mv	s1, s4
	fence	rw, rw
	sd	s1, 8(s3)
	li	t0, N
	bltu	s1, t0, 1b
	jr	s0

	/* a page of its own */
	.data
	.balign	4096
code:
	li	a0, 0
	ret
	.balign	4096
told:
	.dword	0, 0, 0			/* the round, who has seen it, how many were wrong */
