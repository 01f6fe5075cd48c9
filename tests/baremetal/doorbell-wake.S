/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.6 between harts: a doorbell that another hart causes at the very moment at
 * which its hart begins to wait wakes it, as does any other.
 *
 * Hart 1 sends as soon as hart 0 has taken the last one, and a little later each
 * time, so that sends meet all that leads up to WFI. An alarm ends a wait that nobody
 * else ends.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "harness.h"

#define N	100000
#define LATER	2047		/* turns of an empty loop, at most */
#define LONG	50000000	/* 5 s of the 10 MHz timer */

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	CSRS	CSR_MENVCFG, 1 << 63	/* STCE */
	ROUTE	RT0, 3, 7, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	EUT(0, 0), BIT(7)
	VEIC_W	EIE(0, 0), BIT(7)
	CSRW	CSR_MIE, BIT(25) | BIT(IRQ_STI)

	la	s2, taken
	li	s3, VEIC + EIP(0, 0)
	li	s4, BIT(25)
	li	s5, LONG
	li	s6, 0			/* waits that the alarm has ended */
	li	s1, 0
	START	1, sender
1:	csrr	s7, CSR_TIME
	add	s7, s7, s5
	csrw	CSR_STIMECMP, s7
2:	wfi
	csrr	t0, CSR_MIP
	and	t1, t0, s4
	srli	t0, t0, IRQ_STI
	andi	t0, t0, 1
	add	s6, s6, t0
	bnez	t0, 3f
	beqz	t1, 2b
3:	csrc	CSR_MIP, s4
	ld	t0, 0(s3)
	sd	t0, 0x200(s3)		/* EIPCLR */
	fence	iorw, iorw
	addi	s1, s1, 1
	sd	s1, 0(s2)
	bnez	s6, 4f
	li	t0, N
	bltu	s1, t0, 1b
	/* the sender ends, whatever has become of its events */
4:	li	t0, N
	sd	t0, 0(s2)
	JOIN	1
	EXPECT	s6, 0, "3.6 a doorbell wakes its hart, whenever it comes"
	EXPECT	s1, N, "3.5 each rings once"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1: N sends, each when the one before has been taken. */
sender:
	mv	s0, ra
	la	s2, taken
	li	s1, 0
	li	s3, (1 << 16) | 3
	li	s4, LATER
1:	and	t0, s1, s4
2:	addi	t0, t0, -1
	bgez	t0, 2b
	csrw	CSR_SVEI, s3
	addi	s1, s1, 1
3:	ld	t0, 0(s2)
	bltu	t0, s1, 3b
	li	t0, N
	bltu	s1, t0, 1b
	jr	s0

	.data
	.balign	4096
taken:	.dword	0
