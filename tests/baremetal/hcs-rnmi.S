/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 4.1 as to resumable NMIs: with mnstatus.NMIE=0 no HCS is taken. Software
 * cannot clear NMIE, and a trap of such a hart would not reach the harness: hart
 * 1, still as reset left it, runs a loop in U that never ends, hart 2 the same
 * with NMIE=1; hart 0 looks on.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,smrnmi=true,xhaiov=on smp=3
 */
#include "hcs.h"

#define CSR_MNSTATUS	0x744
#define MNSTATUS_NMIE	8
#define ROUNDS		MORE		/* of the loop */
#define HANDLED		(MORE + 8)	/* entries of the handler */
#define ENOUGH		1000000

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	csrsi	CSR_MNSTATUS, MNSTATUS_NMIE
	HCS
	EVENT	7
	TRY	U, TAKEN, "4.1 NMIE=1: taken", nop
	csrw	CSR_USTATUS, zero

	.irp	hart, 1, 2
	la	s4, areas + \hart * AREA_SIZE
	sd	zero, ROUNDS(s4)
	sd	zero, HANDLED(s4)
	li	t0, HCS_DESC(\hart, 7)
	sd	s4, DESC_USCRATCH(t0)
	la	t1, handler
	sd	t1, DESC_UTVEC(t0)
	sd	zero, DESC_SUSCRATCH(t0)
	li	t1, HCS_SATP(\hart)
	sd	t1, DESC_SUATP(t0)
	li	t1, HCS_FRAME(\hart)
	sd	t1, DESC_FRAME(t0)
	li	t1, 1
	sd	t1, DESC_VALID(t0)
	VEIC_W	EUT(\hart, 0), BIT(7)
	VEIC_W	EIE(\hart, 0), BIT(7)
	START	\hart, victim_\hart
	li	s5, 1
	call	rounds
	VEIC_W	EIP(\hart, 0), BIT(7)
	ld	s5, ROUNDS(s4)
	li	t0, ENOUGH
	add	s5, s5, t0
	call	rounds
	.endr
	la	s4, areas + 2 * AREA_SIZE
	ld	t5, HANDLED(s4)
	EXPECT	t5, 1, "4.1 a hart in U with NMIE=1: an HCS"
	VEIC_IS	EIP(2, 0), 0, "4.1 a hart in U with NMIE=1: the event is claimed"
	la	s4, areas + AREA_SIZE
	ld	t5, HANDLED(s4)
	EXPECT	t5, 0, "4.1 a hart in U with NMIE=0: no HCS"
	VEIC_IS	EIP(1, 0), BIT(7), "4.1 a hart in U with NMIE=0: the event stays pending"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* wait until the loop of the hart whose area is s4 has made s5 rounds */
rounds:	ld	t0, ROUNDS(s4)
	bltu	t0, s5, rounds
	fence	iorw, iorw
	ret

victim_2:
	csrsi	CSR_MNSTATUS, MNSTATUS_NMIE
victim_1:
	csrw	CSR_SATP, zero
	CSRW	CSR_UIE, UIE_UEIE
	IN	U
1:	ld	t0, ROUNDS(tp)
	addi	t0, t0, 1
	sd	t0, ROUNDS(tp)
	j	1b
	ENDIN
	ret

	.balign	4
handler:
	csrr	a0, CSR_USCRATCH
	ld	a1, HANDLED(a0)
	addi	a1, a1, 1
	sd	a1, HANDLED(a0)
	URET
