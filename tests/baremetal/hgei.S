/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: that a guest external interrupt is not lost between harts (Advanced
 * Interrupt Architecture, 3.12 and H extension, hgeip and hgeie): SGEIP is set
 * while a bit of hgeip is that is set in hgeie, and a claim from one guest file
 * leaves the bits of others alone, whoever sends meanwhile. A vCPU that waits
 * for such an interrupt is woken by nothing else.
 *
 * run: machine=virt,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true smp=3
 */
#include "harness.h"

#define CSR_VSISELECT	0x250
#define CSR_VSIREG	0x251
#define CSR_VSTOPEI	0x25c
#define CSR_HGEIE	0x607
#define CSR_HGEIP	0xe12
#define IMSIC_S		0x28000000	/* hart 0's supervisor file, then guests' */
#define IMSIC_HART	0x4000		/* from one hart's files to the next's */
#define SGEIP		BIT(12)
#define ID		3
#define N		20000		/* rounds, unless they take longer than */
#define LIMIT		20000000	/* this, in cycles of 100 ns */

/* The guest file that VGEIN names, ready for ID */
.macro FILE n
	li	t0, 0x3f << 12
	csrc	CSR_HSTATUS, t0
	li	t0, (\n) << 12
	csrs	CSR_HSTATUS, t0
.endm

.macro READY n
	FILE	\n
	CSRW	CSR_VSISELECT, 0x70	/* eidelivery */
	CSRW	CSR_VSIREG, 1
	CSRW	CSR_VSISELECT, 0xc0	/* eie0 */
	CSRW	CSR_VSIREG, BIT(ID)
	csrw	CSR_VSTOPEI, zero
.endm

/* Sends ID to a guest file of hart 0 */
.macro MSI n
	li	t0, IMSIC_S + (\n) * 0x1000
	li	t1, ID
	sw	t1, 0(t0)
.endm

/* Hart 1's round: s1 has its number, from 1 up; it may begin. */
.macro GO
	la	s7, round
	fence	iorw, iorw
	sd	s1, 0(s7)
.endm

/* ... and is over */
.macro OVER
7751:	ld	t0, 8(s7)
	bne	t0, s1, 7751b
	fence	iorw, iorw
.endm

.macro OTHER fn
	la	t0, round
	sd	zero, 0(t0)
	sd	zero, 8(t0)
	START	1, \fn
	rdtime	s4
	li	t0, LIMIT
	add	s4, s4, t0
	li	s1, 1
.endm

/* Another one, which begins at 1 */
.macro AGAIN
	addi	s1, s1, 1
	li	t0, N
	bgtu	s1, t0, 7752f
	rdtime	t0
	bltu	t0, s4, 1b
7752:	li	s1, -1
	GO
	JOIN	1
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	csrw	CSR_HGEIE, zero
	READY	2
	READY	1
	la	t0, busy
	li	t1, 1
	sd	t1, 0(t0)
	START	2, keep_busy

	/* hgeie is written while the interrupt arrives */
	OTHER	send_1
	li	s2, 0			/* rounds in which it is not in hgeip */
	li	s3, 0			/* ... in SGEIP */
1:	csrw	CSR_HGEIE, zero
	GO
	li	t0, BIT(1)
	csrw	CSR_HGEIE, t0
	OVER
	csrr	t0, CSR_HGEIP
	andi	t0, t0, BIT(1)
	seqz	t0, t0
	add	s2, s2, t0
	csrr	t0, CSR_MIP
	srli	t0, t0, 12
	andi	t0, t0, 1
	seqz	t0, t0
	add	s3, s3, t0
	csrw	CSR_VSTOPEI, zero
	AGAIN
	EXPECT	s2, 0, "an interrupt that arrives while hgeie is written is in hgeip"
	EXPECT	s3, 0, "an interrupt that arrives while hgeie is written sets SGEIP"

	/* file 1 is claimed while the interrupt arrives in file 2 */
	csrw	CSR_HGEIE, zero
	OTHER	send_2
	li	s2, 0			/* lost */
	li	s3, 0			/* not claimed */
1:	MSI	1
	GO
	csrw	CSR_VSTOPEI, zero
	OVER
	csrr	t0, CSR_HGEIP
	andi	t1, t0, BIT(2)
	seqz	t1, t1
	add	s2, s2, t1
	andi	t1, t0, BIT(1)
	snez	t1, t1
	add	s3, s3, t1
	FILE	2
	csrw	CSR_VSTOPEI, zero
	FILE	1
	csrw	CSR_VSTOPEI, zero
	AGAIN
	EXPECT	s2, 0, "an interrupt that arrives in a guest file while another is claimed stays in hgeip"
	EXPECT	s3, 0, "a guest file that was claimed is not in hgeip"

	la	t0, busy
	sd	zero, 0(t0)
	JOIN	2
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* Hart 1: in each round, one interrupt to a guest file of hart 0 */
.macro SENDER n
	la	s7, round
	li	s1, 0
7753:	ld	t0, 0(s7)
	beq	t0, s1, 7753b
	bltz	t0, 7754f
	mv	s1, t0
	fence	iorw, iorw
	MSI	\n
	fence	iorw, iorw
	sd	s1, 8(s7)
	j	7753b
7754:	ret
.endm

send_1:
	SENDER	1
send_2:
	SENDER	2

/* Hart 2: sends to a file of its own, so that harts meet at what they share */
keep_busy:
	la	t2, busy
	li	t0, IMSIC_S + 2 * IMSIC_HART
	li	t1, ID
1:	sw	t1, 0(t0)
	li	t3, 20
2:	addi	t3, t3, -1
	bnez	t3, 2b
	ld	t3, 0(t2)
	bnez	t3, 1b
	ret

	.bss
	.balign	8
round:	.zero	16
busy:	.zero	8
