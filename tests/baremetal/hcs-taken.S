/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 4.1, when a user VEI is taken: each input of it, in each mode; what it
 * outranks, and what outranks it. Delivery while the hart runs a loop.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 accel=tcg,thread=single
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "hcs.h"

/* An event is pending; is it taken in `mode`? The VEIID stays pending if not. */
.macro TAKE mode, text
	EVENT	7
	IN	\mode
7800:	nop
	ENDIN
	SWITCHED \mode, 7, 7800b, "4.1 \text: taken"
	VEIC_IS	EIP(0, 0), 0, "4.1 \text: claimed"
	csrw	CSR_USTATUS, zero
.endm
.macro LEAVE mode, text
	EVENT	7
	TRY	\mode, ENDED, "4.1 \text: not taken", nop
	VEIC_IS	EIP(0, 0), BIT(7), "4.1 \text: still pending"
	CSR_IS	CSR_SUATP, -1, 0, "4.1 \text: nothing is loaded"
.endm

/* Another interrupt is pending and enabled; it comes first, from `mode`. */
.macro FIRST mode, irq, where, text
	EVENT	7
	IN	\mode
	nop
	ENDIN
	EXPECT	a0, INTR(\irq), "4.1 \text comes first"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, \where, "4.1 \text comes first, taken there"
	VEIC_IS	EIP(0, 0), BIT(7), "4.1 \text comes first: the event is still pending"
	CSR_IS	CSR_USTATUS, -1, 0, "4.1 \text comes first: no frame"
.endm

/* Hart 1 sends while this one runs a loop in `mode`: 8, which has a route */
.macro RUNNING_IN mode, where
	HCS
	ROUTE	RT0, 8, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	la	a2, runs
	sd	zero, 0(a2)
	START	1, send_8_later
	li	s3, 0
	IN	\mode
	li	a1, 1
	sd	a1, 0(a2)
	li	a1, 1000000000
7800:	addi	a1, a1, -1
	bnez	a1, 7800b
7801:	nop
	ENDIN
	mv	s4, a0
	JOIN	1
	EXPECT	s4, TAKEN, "4.1 sent while the hart runs in \where: taken"
	ld	t5, REC_EPC(tp)
	la	t6, 7800b
	sub	t5, t5, t6
	sltiu	t5, t5, 5
	EXPECT	t5, 1, "4.1 sent while the hart runs in \where: uepc is in the loop"
	VEIC_IS	EIP(0, 0), 0, "4.1 sent while the hart runs in \where: claimed"
	CSR_IS	CSR_MIP, BIT(25), 0, "3.5 sent while the hart runs in \where: no doorbell"
	csrw	CSR_USTATUS, zero
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	.irp	mode, U, VS, VU
	HCS
	TAKE	\mode, "\mode, UEIE=1, HUR=1"
	HCS
	csrw	CSR_UIE, zero
	LEAVE	\mode, "\mode, UEIE=0"
	HCS
	VEIC_W	EIE(0, 0), BIT(8)
	LEAVE	\mode, "\mode, VEIID not enabled"
	HCS
	VEIC_W	EUT(0, 0), BIT(8)
	LEAVE	\mode, "\mode, a supervisor VEIID"
	.endr
	HCS
	CSRW	CSR_USTATUS, USTATUS_UACT
	EVENT	7
	TRY	U, ENDED, "4.1 U, UACT=1: not taken", nop
	VEIC_IS	EIP(0, 0), BIT(7), "4.1 U, UACT=1: still pending"
	CSR_IS	CSR_USTATUS, -1, USTATUS_UACT, "4.1 U, UACT=1: the frame is as it was"
	csrw	CSR_USTATUS, zero
	.irp	mode, VS, VU
	HCS
	CSRW	CSR_USTATUS, USTATUS_UACT
	EVENT	7
	TRY	\mode, ENDED, "4.1 \mode, UACT=1: not taken", nop
	csrw	CSR_USTATUS, zero
	HCS
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	LEAVE	\mode, "\mode, HUR=0"
	.endr
	HCS
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	TAKE	U, "U, HUR=0"
	HCS
	LEAVE	HS, "HS"
	HCS
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	LEAVE	HS, "HS, SIE=1"
	HCS
	LEAVE	M, "M"
	/* SIE and MIE are not for it; sie and mie have no bit of it */
	HCS
	CSRS	CSR_MSTATUS, MSTATUS_SIE | MSTATUS_MIE
	TAKE	U, "U, SIE=1, MIE=1"
	CSRC	CSR_MSTATUS, MSTATUS_SIE | MSTATUS_MIE
	HCS
	TAKE	U, "U, SIE=0, MIE=0, mie=0"
	/* other bits of ustatus count not */
	HCS
	CSRW	CSR_USTATUS, USTATUS_TUR | USTATUS_UHCS | USTATUS_UPP | USTATUS_UPV
	EVENT	7
	TRY	U, TAKEN, "4.1 every bit of ustatus but UACT: taken", nop
	csrw	CSR_USTATUS, zero

	/* M and HS outrank it, from U and from VS */
	.irp	mode, U, VS
	.irp	irq, IRQ_SSI, IRQ_STI, IRQ_SEI
	HCS
	CSRW	CSR_MIE, BIT(\irq)
	CSRS	CSR_MIP, BIT(\irq)
	FIRST	\mode, \irq, M, "\irq of M, from \mode,"
	CSRW	CSR_MIDELEG, BIT(\irq)
	FIRST	\mode, \irq, HS, "\irq of HS, from \mode,"
	csrw	CSR_MIE, zero
	TRY	\mode, TAKEN, "4.1 \irq pending but not enabled does not outrank, from \mode", nop
	csrw	CSR_USTATUS, zero
	CSRC	CSR_MIP, BIT(\irq)
	.endr
	HCS
	VEIC_W	EIE(0, 0), HCS_IDS | BIT(9)
	VEIC_W	EIP(0, 0), BIT(9)
	CSRW	CSR_MIE, VEI_BITS
	EVENT	7
	TRY	\mode, INTR(IRQ_VEI), "4.1 24 outranks, from \mode", nop
	VEIC_IS	EIP(0, 0), BIT(7) | BIT(9), "4.1 24 outranks, from \mode: both still pending"
	CSRW	CSR_MIE, BIT(25)
	TRY	\mode, TAKEN, "4.1 24 not enabled does not outrank, from \mode", nop
	csrw	CSR_USTATUS, zero
	/* 25 does not outrank it */
	HCS
	csrw	CSR_UIE, zero
	EVENT	7
	CSRW	CSR_MIE, BIT(25)
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "harness: 25 is pending"
	TRY	\mode, INTR(IRQ_DOORBELL), "harness: 25 is taken with UEIE=0, from \mode", nop
	CSRW	CSR_UIE, UIE_UEIE
	TRY	\mode, TAKEN, "4.1 25 pending and enabled does not outrank, from \mode", nop
	CSR_IS	CSR_MIP, BIT(25), 0, "3.5 25 pending and enabled clears, from \mode"
	csrw	CSR_USTATUS, zero
	csrw	CSR_MIE, zero
	.endr

	/* it outranks VS interrupts */
	.irp	mode, VS, VU
	HCS
	CSRW	CSR_HIDELEG, BIT(IRQ_VSSI)
	CSRW	CSR_VSIE, 2
	CSRS	CSR_VSSTATUS, MSTATUS_SIE
	la	t6, 7830f
	csrw	CSR_VSTVEC, t6
	CSRW	CSR_HVIP, BIT(IRQ_VSSI)
	IN	\mode
	nop
	nop
	ENDIN
	EXPECT	a0, ENDED, "harness: an interrupt of VS, from \mode"
	EXPECT	a1, 0x5555, "harness: an interrupt of VS is taken in VS, from \mode"
	TAKE	\mode, "an interrupt of VS pending and enabled, from \mode"
	csrw	CSR_HVIP, zero
	csrw	CSR_VSIE, zero
	csrw	CSR_HIDELEG, zero
	csrw	CSR_VSSTATUS, zero
	/* one that HS has not delegated is HS's, and outranks */
	HCS
	CSRW	CSR_MIE, BIT(IRQ_VSSI)
	CSRW	CSR_HVIP, BIT(IRQ_VSSI)
	FIRST	\mode, IRQ_VSSI, HS, "a VS interrupt with hideleg=0, from \mode,"
	csrw	CSR_HVIP, zero
	csrw	CSR_MIE, zero
	.endr

	/* behind the write of the guest itself that sends it */
	HCS
	ROUTE	RT0, 8, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VMID	1
	IN	VS
	li	a1, 8
	csrw	CSR_SVEI, a1
7840:	nop
	nop
	nop
	ENDIN
	SWITCHED VS, 8, 7840b, "4.1 a guest sends to its own hart: taken behind the send"
	csrw	CSR_USTATUS, zero

	/* nothing is taken any more when it is withdrawn */
	HCS
	EVENT	7
	VEIC_W	EIPCLR(0, 0), BIT(7)
	TRY	U, ENDED, "4.1 withdrawn: not taken", nop
	TRY	VS, ENDED, "4.1 withdrawn: not taken in VS", nop

	RUNNING_IN U, "U"
	RUNNING_IN VS, "VS"
	RUNNING_IN VU, "VU"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

	.balign	4
7830:	csrw	CSR_SIP, zero
	li	a0, 0x5555
	li	a7, MAGIC_END
	ecall

/* On hart 1: wait until hart 0 says that it runs, then send. */
send_8_later:
	mv	s0, ra
	la	t0, runs
1:	ld	t1, 0(t0)
	beqz	t1, 1b
	SEND	1, 8
	jr	s0

	.bss
	.balign	64
runs:	.zero	64
