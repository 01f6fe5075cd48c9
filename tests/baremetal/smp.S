/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.2 and 3.7 between harts: two harts send to one VEIID while a third
 * claims; nothing is lost, sent = seen + coalesced. Claims by stopvei, by
 * EIPCLR, while EIE and EUT change; sends from HS and VS.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=3
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=3 accel=tcg,thread=single
 */
#include "harness.h"

#define N	50000

/* s1: seen. sent = 2N, sent = seen + coalesced */
.macro ACCOUNT text
	VEIC_IS	VEIC_SENT, 2 * N, "3.2 \text: every send was accepted"
	VEIC_IS	VEIC_MISSES, 0, "3.2 \text: no look-up failed"
	li	s4, VEIC
	ld	t5, VEIC_COALESCED(s4)
	add	t5, t5, s1
	EXPECT	t5, 2 * N, "3.2 \text: sent = seen + coalesced"
	ld	t4, VEIC_HITS(s4)
	ld	t5, VEIC_WALKS(s4)
	add	t5, t4, t5
	EXPECT	t5, 2 * N, "3.7 \text: HITS + WALKS"
	snez	t5, s1
	EXPECT	t5, 1, "3.2 \text: something was seen"
	VEIC_IS	EIP(0, 0), 0, "3.2 \text: nothing is left"
.endm

.macro SENDERS fn
	START	1, \fn
	START	2, \fn
.endm

/* s6: both senders are done. A look taken after that is the last. */
.macro BOTH_DONE
	la	t0, areas + AREA_SIZE
	ld	t1, WORK(t0)
	la	t0, areas + 2 * AREA_SIZE
	ld	t2, WORK(t0)
	or	t1, t1, t2
	seqz	s6, t1
	fence	iorw, iorw
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* claims by stopvei */
	.irp	fn, send_hs, send_vs
	call	setup
	SENDERS	\fn
	li	s1, 0
	li	s2, 0			/* wrong VEIIDs */
7300:	BOTH_DONE
7301:	csrrw	t0, CSR_STOPVEI, zero
	beqz	t0, 7302f
	addi	s1, s1, 1
	li	t1, 5
	beq	t0, t1, 7301b
	addi	s2, s2, 1
	j	7301b
7302:	beqz	s6, 7300b
	JOIN	1
	JOIN	2
	EXPECT	s2, 0, "3.3 two harts, \fn: stopvei gives the one VEIID"
	ACCOUNT	"two harts to one VEIID, claimed by stopvei, \fn"
	.endr

	/* by EIPCLR: cleared means seen */
	call	setup
	SENDERS	send_hs
	li	s1, 0
	li	s7, VEIC + EIP(0, 0)
7310:	BOTH_DONE
	ld	t0, 0(s7)
	andi	t0, t0, BIT(5)
	beqz	t0, 7311f
	sd	t0, 0x200(s7)
	fence	iorw, iorw
	addi	s1, s1, 1
	j	7310b
7311:	beqz	s6, 7310b
	JOIN	1
	JOIN	2
	ACCOUNT	"two harts to one VEIID, cleared by EIPCLR"

	/* claims while EIE, EUT of the word and of others change */
	call	setup
	SENDERS	send_hs
	li	s1, 0
	li	s7, VEIC + EIE(0, 0)
	li	s8, BIT(5) | BIT(6)
7320:	BOTH_DONE
	sd	s8, 0(s7)
	csrrw	t0, CSR_STOPVEI, zero
	snez	t0, t0
	add	s1, s1, t0
	xori	s8, s8, BIT(6)
	sd	s8, 0x600(s7)		/* EUT: a user VEIID for a while */
	sd	zero, 0x600(s7)
	sd	zero, 0(s7)		/* disabled for a while */
	fence	iorw, iorw
	sd	s8, 0(s7)
	fence	iorw, iorw
	csrrw	t0, CSR_STOPVEI, zero
	snez	t0, t0
	add	s1, s1, t0
	beqz	s6, 7320b
	JOIN	1
	JOIN	2
	ACCOUNT	"two harts to one VEIID, while EIE and EUT change"

	/* by interrupt: the hart sleeps in between, no wake-up is lost */
	call	setup
	CSRS	CSR_MENVCFG, 1 << 63
	SENDERS	send_hs
	CSRW	CSR_MIE, BIT(24)
	li	s1, 0
7330:	BOTH_DONE
	bnez	s6, 7332f
	/* an alarm ends the last wait, when the senders are done */
	csrr	t0, CSR_TIME
	li	t1, 100000
	add	t0, t0, t1
	csrw	CSR_STIMECMP, t0
	CSRS	CSR_MIE, BIT(IRQ_STI)
	IN	HS
	wfi
	ENDIN
7332:	csrrw	t0, CSR_STOPVEI, zero
	beqz	t0, 7333f
	addi	s1, s1, 1
	j	7332b
7333:	beqz	s6, 7330b
	csrw	CSR_MIE, zero
	JOIN	1
	JOIN	2
	ACCOUNT	"two harts to one VEIID, seen by the interrupt"

	/* each sends to its own VEIID of one word */
	call	setup
	ROUTE	RT1, 3, 6, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	EIE(0, 0), BIT(5) | BIT(6)
	SENDERS	send_hs
	li	s1, 0
7340:	BOTH_DONE
7341:	csrrw	t0, CSR_STOPVEI, zero
	beqz	t0, 7342f
	addi	s1, s1, 1
	j	7341b
7342:	beqz	s6, 7340b
	JOIN	1
	JOIN	2
	ACCOUNT	"two harts to two VEIIDs of one word"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

setup:	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	ROUTE	RT0, 3, 5, 0
	ROUTE	RT1, 3, 5, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	EIE(0, 0), BIT(5)
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On harts 1 and 2: N sends, hart n for VM n. */
send_hs:
	mv	s0, ra
	ld	s1, HARTID(tp)
	IN	HS
	slli	a1, s1, 16
	ori	a1, a1, 3
	li	a2, N
1:	csrw	CSR_SVEI, a1
	addi	a2, a2, -1
	bnez	a2, 1b
	ENDIN
	jr	s0

send_vs:
	mv	s0, ra
	ld	s1, HARTID(tp)
	li	t0, HVEICTL_EN
	or	t0, t0, s1
	csrw	CSR_HVEICTL, t0
	IN	VS
	li	a1, 3
	li	a2, N
1:	csrw	CSR_SVEI, a1
	addi	a2, a2, -1
	bnez	a2, 1b
	ENDIN
	jr	s0
