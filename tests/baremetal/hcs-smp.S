/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 4 between harts: others send user VEIs to a hart that computes
 * in U, VS or VU. Nothing is lost, sent = seen + coalesced, and the computation
 * comes out right, in integer and in FP registers. Two harts are interrupted at
 * once, each by its own descriptors.
 *
 * (Harts that take turns would need a turn for each event: hours.)
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=3
 * run: machine=virt,veic=on cpu=rv64,h=true,smstateen=true,xhaiov=on smp=4
 */
#include "hcs.h"

#define N	20000
#define SEEN	MORE		/* of 7, of 8; counted by the handlers */

/* xorshift in a1, its sum in a2, and a count in fa0: `rounds` of it */
.macro COMPUTE rounds
	li	a1, 0x9e3779b97f4a7c15
	li	a2, 0
	li	a3, \rounds
	li	t0, 1
	fcvt.d.l fa1, t0
	fmv.d.x	fa0, x0
1:	slli	t0, a1, 13
	xor	a1, a1, t0
	srli	t0, a1, 7
	xor	a1, a1, t0
	slli	t0, a1, 17
	xor	a1, a1, t0
	add	a2, a2, a1
	fadd.d	fa0, fa0, fa1
	addi	a3, a3, -1
	bnez	a3, 1b
	fcvt.l.d t0, fa0
	xor	a0, a2, t0
.endm
#define ROUNDS	1000
#define SHORT	200
#define ENOUGH	100	/* of each kind, where both kinds are asked for */

/* Compute until all senders are done: a0 then counts wrong results. */
.macro COMPUTING mode, senders
	IN	\mode
	li	s5, 0
	li	s6, 0
7810:	la	t0, areas + AREA_SIZE
	ld	s7, WORK(t0)
	.if	\senders > 1
	la	t0, areas + 2 * AREA_SIZE
	ld	t1, WORK(t0)
	or	s7, s7, t1
	.endif
	COMPUTE	ROUNDS
	sub	a0, a0, s3
	snez	a0, a0
	add	s5, s5, a0
	addi	s6, s6, 1
	bnez	s7, 7810b
	/* what was sent last is taken by now */
	mv	a0, s5
	ENDIN
.endm

.macro ACCOUNT sent, text
	EXPECT	a0, ENDED, "4.1 \text: the computation ended"
	EXPECT	a1, 0, "4.3 \text: every result is right"
	VEIC_IS	VEIC_SENT, \sent, "3.2 \text: every send was accepted"
	VEIC_IS	VEIC_MISSES, 0, "3.2 \text: no look-up failed, no VEIID was dropped"
	li	s4, VEIC
	ld	t5, VEIC_COALESCED(s4)
	ld	t4, SEEN(tp)
	add	t5, t5, t4
	ld	t4, SEEN + 8(tp)
	add	t5, t5, t4
	EXPECT	t5, \sent, "3.2 \text: sent = seen + coalesced"
	ld	t5, SEEN(tp)
	snez	t5, t5
	ld	t4, SEEN + 8(tp)
	snez	t4, t4
	and	t5, t5, t4
	EXPECT	t5, 1, "3.2 \text: both were seen"
	VEIC_IS	EIP(0, 0), 0, "3.2 \text: nothing is left"
	CSR_IS	CSR_USTATUS, -1, 0, "4.1 \text: no frame is left"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	CSRS	CSR_MSTATUS, MSTATUS_FS

	/* what is right: without interruption */
	COMPUTE	ROUNDS
	mv	s3, a0

	.irp	mode, U, VS, VU
	HCS
	CSRS	CSR_VSSTATUS, MSTATUS_FS
	ROUTE	RT0, 3, 7, 0
	ROUTE	RT1, 3, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	sd	zero, SEEN(tp)
	sd	zero, SEEN + 8(tp)
	DESC_LA	7, DESC_UTVEC, count_7
	DESC_LA	8, DESC_UTVEC, count_8
	START	1, send_hs
	START	2, send_hs
	COMPUTING \mode, 2
	ACCOUNT	2 * N, "two harts send to one in mode \mode"
	JOIN	1
	JOIN	2
	.endr

	/* a guest on another hart sends */
	HCS
	ROUTE	RT0, 3, 7, 0
	ROUTE	RT0, 4, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	sd	zero, SEEN(tp)
	sd	zero, SEEN + 8(tp)
	DESC_LA	7, DESC_UTVEC, count_7
	DESC_LA	8, DESC_UTVEC, count_8
	START	1, send_vs
	COMPUTING U, 1
	ACCOUNT	2 * N, "a guest sends to a thread"
	JOIN	1

	/* a kernel between stretches of U, in every second of which it does not let
	 * itself be interrupted: each event comes by HCS or by the doorbell */
	COMPUTE	SHORT
	mv	s4, a0
	HCS
	ROUTE	RT0, 3, 7, 0
	ROUTE	RT1, 3, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	sd	zero, SEEN(tp)
	sd	zero, SEEN + 8(tp)
	DESC_LA	7, DESC_UTVEC, count_7
	DESC_LA	8, DESC_UTVEC, count_8
	CSRW	CSR_MIE, BIT(25)
	la	t0, stop
	sd	zero, 0(t0)
	START	1, send_on
	START	2, send_on
	li	s5, 0			/* wrong results */
	li	s6, 0			/* stretches */
	li	s8, 0			/* events by the doorbell */
	li	s9, 0			/* pending without a doorbell */
	li	s10, 0			/* doorbells that interrupted U */
7820:	andi	t0, s6, 1
	slli	t0, t0, 8
	csrw	CSR_UIE, t0
	IN	U
	COMPUTE	SHORT
	ENDIN
	li	t0, INTR(IRQ_DOORBELL)
	bne	a0, t0, 7821f
	addi	s10, s10, 1
	j	7822f
7821:	xori	a0, a0, ENDED
	sub	a1, a1, s4
	or	a0, a0, a1
	snez	a0, a0
	add	s5, s5, a0
7822:	csrr	t0, CSR_UIP
	csrr	t1, CSR_MIP
	li	t2, BIT(25)
	and	t1, t1, t2
	bnez	t1, 7823f
	snez	t0, t0
	add	s9, s9, t0
	j	7825f
	/* the doorbell: clear, read EIP, claim */
7823:	csrc	CSR_MIP, t2
	li	t3, VEIC + EIP(0, 0)
	ld	t1, 0(t3)
	sd	t1, 0x200(t3)
	fence	iorw, iorw
7824:	beqz	t1, 7825f
	addi	s8, s8, 1
	addi	t2, t1, -1
	and	t1, t1, t2
	j	7824b
7825:	addi	s6, s6, 1
	/* until there was enough of each kind */
	li	t0, ENOUGH
	bltu	s10, t0, 7820b
	ld	t1, SEEN(tp)
	bltu	t1, t0, 7820b
	ld	t1, SEEN + 8(tp)
	bltu	t1, t0, 7820b
	la	t1, stop
	sd	t0, 0(t1)
	JOIN	1
	JOIN	2
	csrw	CSR_MIE, zero
	/* what was sent last is pending, and rings */
	li	t3, VEIC + EIP(0, 0)
	ld	t1, 0(t3)
	sd	t1, 0x200(t3)
	fence	iorw, iorw
7826:	beqz	t1, 7827f
	addi	s8, s8, 1
	addi	t2, t1, -1
	and	t1, t1, t2
	j	7826b
7827:
	EXPECT	s5, 0, "4.3 by HCS and by the doorbell: every result is right"
	EXPECT	s9, 0, "3.5 by HCS and by the doorbell: what is pending in M always rings"
	VEIC_IS	VEIC_MISSES, 0, "3.2 by HCS and by the doorbell: no look-up failed, no VEIID was dropped"
	VEIC_IS	EIP(0, 0), 0, "3.2 by HCS and by the doorbell: nothing is left"
	li	t6, VEIC
	ld	t5, VEIC_COALESCED(t6)
	ld	t4, SEEN(tp)
	add	t5, t5, t4
	ld	t4, SEEN + 8(tp)
	add	t5, t5, t4
	add	t5, t5, s8
	ld	t6, VEIC_SENT(t6)
	EXPECTR	t5, t6, "3.2 by HCS and by the doorbell: sent = seen + coalesced"

	/* two harts are interrupted, by one that sends to both */
	HCS
	ROUTE	RT0, 5, 7, 1
	ROUTE	RT0, 6, 7, 2
	VEIC_W	VEIC_INVAL, INVAL_ALL
	.irp	hart, 1, 2
	VEIC_W	EUT(\hart, 0), BIT(7)
	VEIC_W	EIE(\hart, 0), BIT(7)
	li	t0, HCS_DESC(\hart, 7)
	la	t1, areas + \hart * AREA_SIZE
	sd	zero, SEEN(t1)
	sd	s3, MORE + 16(t1)
	sd	t1, DESC_USCRATCH(t0)
	la	t2, count_7
	sd	t2, DESC_UTVEC(t0)
	sd	zero, DESC_SUSCRATCH(t0)
	li	t2, HCS_SATP(\hart)
	sd	t2, DESC_SUATP(t0)
	li	t2, HCS_FRAME(\hart)
	sd	t2, DESC_FRAME(t0)
	li	t2, 1
	sd	t2, DESC_VALID(t0)
	.endr
	la	t0, stop
	sd	zero, 0(t0)
	START	1, interrupted
	START	2, interrupted
	/* both are computing */
	.irp	hart, 1, 2
	la	t0, areas + \hart * AREA_SIZE
1:	ld	t1, MORE + 24(t0)
	beqz	t1, 1b
	.endr
	IN	HS
	li	a1, (1 << 16) | 5
	li	a2, (1 << 16) | 6
	li	a3, N
1:	csrw	CSR_SVEI, a1
	csrw	CSR_SVEI, a2
	addi	a3, a3, -1
	bnez	a3, 1b
	ENDIN
	la	t0, stop
	li	t1, 1
	fence	iorw, iorw
	sd	t1, 0(t0)
	JOIN	1
	JOIN	2
	VEIC_IS	VEIC_SENT, 2 * N, "3.2 one hart sends to two: every send was accepted"
	VEIC_IS	VEIC_MISSES, 0, "3.2 one hart sends to two: no miss"
	la	s4, areas + AREA_SIZE
	la	s5, areas + 2 * AREA_SIZE
	ld	t4, SEEN(s4)
	ld	t5, SEEN(s5)
	add	t5, t5, t4
	li	t6, VEIC
	ld	t4, VEIC_COALESCED(t6)
	add	t5, t5, t4
	EXPECT	t5, 2 * N, "3.2 one hart sends to two: sent = seen + coalesced"
	.irp	reg, s4, s5
	ld	t5, SEEN(\reg)
	snez	t5, t5
	EXPECT	t5, 1, "3.2 one hart sends to two: \reg has seen some"
	ld	t5, MORE + 32(\reg)
	EXPECT	t5, 0, "4.3 one hart sends to two: every result of \reg is right"
	ld	t5, MORE + 40(\reg)
	EXPECT	t5, ENDED, "4.1 one hart sends to two: \reg ended"
	.endr
	VEIC_IS	EIP(1, 0), 0, "3.2 one hart sends to two: nothing is left, 1"
	VEIC_IS	EIP(2, 0), 0, "3.2 one hart sends to two: nothing is left, 2"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* handlers */
	.balign	4
count_7:
	csrr	a0, CSR_USCRATCH
	ld	a1, SEEN(a0)
	addi	a1, a1, 1
	sd	a1, SEEN(a0)
	li	a7, -1
	li	t0, -1
	li	s5, -1
	URET
	.balign	4
count_8:
	csrr	a0, CSR_USCRATCH
	ld	a1, SEEN + 8(a0)
	addi	a1, a1, 1
	sd	a1, SEEN + 8(a0)
	li	a2, -1
	li	a3, -1
	URET

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

/* The same, until told to stop. */
send_on:
	mv	s0, ra
	ld	s1, HARTID(tp)
	IN	HS
	slli	a1, s1, 16
	ori	a1, a1, 3
	la	a2, stop
1:	csrw	CSR_SVEI, a1
	ld	a3, 0(a2)
	beqz	a3, 1b
	ENDIN
	jr	s0

send_vs:
	mv	s0, ra
	VMID	1
	IN	VS
	li	a1, 3
	li	a3, 4
	li	a2, N
1:	csrw	CSR_SVEI, a1
	csrw	CSR_SVEI, a3
	addi	a2, a2, -1
	bnez	a2, 1b
	ENDIN
	jr	s0

/* On harts 1 and 2: compute in U until told to stop. */
interrupted:
	mv	s0, ra
	sd	zero, MORE + 24(tp)
	CSRS	CSR_MSTATUS, MSTATUS_FS
	CSRW	CSR_UIE, UIE_UEIE
	csrw	CSR_SATP, zero
	csrw	CSR_MIE, zero
	ld	s3, MORE + 16(tp)
	IN	U
	li	s5, 0
	li	a0, 1
	sd	a0, MORE + 24(tp)
7810:	la	t0, stop
	ld	s7, 0(t0)
	COMPUTE	ROUNDS
	sub	a0, a0, s3
	snez	a0, a0
	add	s5, s5, a0
	beqz	s7, 7810b
	mv	a0, s5
	ENDIN
	sd	a0, MORE + 40(tp)
	sd	a1, MORE + 32(tp)
	csrw	CSR_UIE, zero
	jr	s0

	.bss
	.balign	64
stop:	.zero	64
