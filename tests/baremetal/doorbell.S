/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.4 and 3.5, uip and the doorbell 25: D and T and each input of them,
 * what sets and what clears sip.25; 3.6 as to where 25 is taken.
 *
 * U or V=1 with UEIE=1 and UEIP=1 is where HCS (section 4) would be taken. The
 * tests that go there do it with an interrupt of M-mode pending, which comes
 * first by 4.1, so that they hold with and without section 4.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 accel=tcg,thread=single
 */
#include "harness.h"

/* VEIIDs 7, 8, 11 are user VEIIDs, enabled; 9 a supervisor one, enabled. */
.macro USER
	FRESH
	ROUTE	RT0, 7, 7, 0
	ROUTE	RT0, 8, 8, 0
	ROUTE	RT0, 9, 9, 0
	ROUTE	RT0, 11, 11, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	EUT(0, 0), BIT(7) | BIT(8) | BIT(11)
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8) | BIT(9) | BIT(11)
.endm

.macro UEIP want, text
	CSR_IS	CSR_UIP, -1, \want << 8, "3.4 \text: uip"
.endm

.macro BELL want, text
	CSR_IS	CSR_MIP, BIT(25), \want << 25, "3.5 \text: mip.25"
	IN	HS
	csrr	a0, CSR_SIP
	ENDIN
	li	t0, BIT(25)
	and	t5, a1, t0
	EXPECT	t5, \want << 25, "3.5 \text: sip.25"
.endm

.macro CLEAR_BELL
	CSRC	CSR_MIP, BIT(25)
.endm

/* Into `mode` and out again at once, by an interrupt of M-mode. */
.macro VISIT mode
	CSRS	CSR_MIE, BIT(IRQ_SSI)
	CSRS	CSR_MIP, BIT(IRQ_SSI)
	IN	\mode
	nop
	ENDIN
	CSRC	CSR_MIP, BIT(IRQ_SSI)
	CSRC	CSR_MIE, BIT(IRQ_SSI)
.endm

/* UEIP=1, D holds in M, 25 cleared. A visit to a mode where T is true makes D
 * false and true again: 25 is set. */
.macro VISITED mode, want, text
	CLEAR_BELL
	BELL	0, "\text, before"
	VISIT	\mode
	EXPECT	a0, INTR(IRQ_SSI), "3.5 \text: M took its interrupt"
	BELL	\want, "\text"
	UEIP	1, "\text"
.endm

/* 25 comes from another hart while this one runs a loop in `mode`. */
.macro RUNNING_IN mode, where
	VEIC_W	EIPCLR(0, 0), -1
	la	a2, runs
	sd	zero, 0(a2)
	START	1, send_8_later
	CSRW	CSR_MIE, BIT(25)
	IN	\mode
	li	a1, 1
	sd	a1, 0(a2)
	li	a1, 1000000000
1:	addi	a1, a1, -1
	bnez	a1, 1b
	ENDIN
	mv	s4, a0
	JOIN	1
	EXPECT	s4, INTR(IRQ_DOORBELL), "3.5 delivered while the hart runs in \where: 25 is taken"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* uip: pending and enabled user VEIIDs of this hart */
	USER
	UEIP	0, "at rest"
	BELL	0, "at rest"
	SEND	1, 7
	UEIP	1, "a user VEIID sent"
	BELL	1, "a user VEIID sent: D became true"
	CSR_IS	CSR_MIP, BIT(24), 0, "3.3 a user VEIID does not make 24 pending"
	TRY	HS, ENDED, "3.3 stopvei with a user VEIID", csrr a0, CSR_STOPVEI
	EXPECT	a1, 0, "3.3 stopvei does not show a user VEIID"
	TRY	HS, ENDED, "3.4 HS writes uip", csrrw a0, CSR_UIP, zero
	EXPECT	a1, UIP_UEIP, "3.4 HS reads uip"
	UEIP	1, "HS wrote 0 to uip: ignored"
	CSRW	CSR_USTATUS, USTATUS_UACT
	TRY	U, ENDED, "3.4 U inside a frame reads uip", csrr a0, CSR_UIP
	EXPECT	a1, UIP_UEIP, "3.4 U inside a frame sees UEIP"
	csrw	CSR_USTATUS, zero

	/* 25 clears when UEIP becomes 0, by every way */
	USER
	VEIC_W	EIP(0, 0), BIT(7)
	BELL	1, "EIP written"
	VEIC_W	EIPCLR(0, 0), BIT(7)
	UEIP	0, "EIPCLR"
	BELL	0, "EIPCLR: UEIP became 0"
	VEIC_W	EIP(0, 0), BIT(7)
	BELL	1, "EIP written again"
	VEIC_W	EIE(0, 0), BIT(8)
	UEIP	0, "disabled"
	BELL	0, "EIE: UEIP became 0"
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8) | BIT(9)
	UEIP	1, "enabled again"
	BELL	1, "EIE: D became true"
	VEIC_W	EUT(0, 0), BIT(8)
	UEIP	0, "made a supervisor VEIID"
	BELL	0, "EUT: UEIP became 0"
	CSR_IS	CSR_MIP, BIT(24), BIT(24), "3.3 EUT: it is a supervisor VEIID now"
	VEIC_W	EUT(0, 0), BIT(7) | BIT(8)
	UEIP	1, "made a user VEIID again"
	BELL	1, "EUT: D became true"
	CSR_IS	CSR_MIP, BIT(24), 0, "3.3 EUT: it is no supervisor VEIID now"
	/* with two pending, one cleared: UEIP stays, so does 25 */
	VEIC_W	EIP(0, 0), BIT(8)
	VEIC_W	EIPCLR(0, 0), BIT(7)
	UEIP	1, "one of two cleared"
	BELL	1, "one of two cleared"
	VEIC_W	EIPCLR(0, 0), BIT(8)
	UEIP	0, "both cleared"
	BELL	0, "both cleared"
	/* stopvei does not claim user VEIIDs */
	VEIC_W	EIP(0, 0), BIT(7)
	TRY	HS, ENDED, "3.3 csrrw stopvei", csrrw a0, CSR_STOPVEI, zero
	UEIP	1, "after a write of stopvei"
	BELL	1, "after a write of stopvei"

	/* software clears by writing 0, and sets nothing by writing 1 */
	.irp	csr, 0x344, 0x144
	USER
	VEIC_W	EIP(0, 0), BIT(7)
	BELL	1, "CSR \csr, before"
	CSRS	\csr, BIT(25)
	BELL	1, "csrrs \csr of a pending 25"
	CSRW	\csr, BIT(25)
	BELL	1, "csrrw \csr with 25 set, pending"
	CSRC	\csr, BIT(25)
	BELL	0, "csrrc \csr clears 25"
	UEIP	1, "csrrc \csr leaves UEIP"
	CSRS	\csr, BIT(25)
	BELL	0, "csrrs \csr sets nothing"
	CSRW	\csr, BIT(25)
	BELL	0, "csrrw \csr sets nothing"
	CSRW	\csr, -1
	BELL	0, "csrrw \csr of ones sets nothing"
	CSRW	\csr, 0
	VEIC_W	EIPCLR(0, 0), BIT(7)
	VEIC_W	EIP(0, 0), BIT(7)
	BELL	1, "CSR \csr, D became true again"
	csrw	\csr, zero
	BELL	0, "csrrw \csr of 0 clears 25"
	UEIP	1, "csrrw \csr of 0 leaves UEIP"
	/* writes of other bits of the register leave it alone */
	VEIC_W	EIPCLR(0, 0), BIT(7)
	VEIC_W	EIP(0, 0), BIT(7)
	CSRS	\csr, BIT(IRQ_SSI)
	CSRC	\csr, BIT(IRQ_SSI)
	BELL	1, "csrrs and csrrc \csr of another bit leave 25"
	.endr
	/* the same from HS */
	IN	HS
	li	a1, BIT(25)
	csrc	CSR_SIP, a1
	ENDIN
	BELL	0, "csrrc sip from HS"
	IN	HS
	li	a1, BIT(25)
	csrs	CSR_SIP, a1
	ENDIN
	BELL	0, "csrrs sip from HS sets nothing"

	/* while D holds and 25 is clear: what sets it again */
	USER
	SEND	1, 7
	BELL	1, "first"
	CLEAR_BELL
	BELL	0, "first, cleared"
	SEND	1, 7
	BELL	0, "the same VEIID again: it coalesced"
	VEIC_W	EIP(0, 0), BIT(7)
	BELL	0, "EIP of what is pending already"
	SEND	1, 9
	BELL	0, "a supervisor VEIID"
	SEND	1, 8
	BELL	1, "a further user VEIID, sent"
	CLEAR_BELL
	VEIC_W	EIP(0, 0), BIT(11)
	BELL	1, "a further user VEIID, by EIP"
	CLEAR_BELL
	VEIC_W	EIPCLR(0, 0), BIT(11)
	BELL	0, "one of three cleared"
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8) | BIT(9)
	VEIC_W	EIP(0, 0), BIT(11)
	BELL	0, "a further user VEIID, not enabled"
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8) | BIT(9) | BIT(11)
	BELL	1, "a further user VEIID, enabled"
	CLEAR_BELL
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8) | BIT(9) | BIT(11)
	BELL	0, "EIE written with what it is"
	VEIC_W	EIP(1, 0), BIT(12)
	BELL	0, "another hart's file"
	/* by another hart */
	VEIC_W	EIPCLR(0, 0), BIT(8)
	START	1, send_8
	JOIN	1
	BELL	1, "a further user VEIID, sent by another hart"
	VEIC_W	EIPCLR(0, 0), -1
	BELL	0, "all cleared"
	START	1, send_8
	JOIN	1
	UEIP	1, "sent by another hart"
	BELL	1, "sent by another hart"

	/* UACT */
	USER
	CSRW	CSR_USTATUS, USTATUS_UACT
	SEND	1, 7
	UEIP	1, "delivered with UACT=1"
	BELL	0, "delivered with UACT=1"
	SEND	1, 8
	BELL	0, "a further one with UACT=1"
	csrw	CSR_USTATUS, zero
	BELL	1, "UACT cleared: D became true"
	CSRW	CSR_USTATUS, USTATUS_UACT
	BELL	1, "UACT set: 25 stays"
	CLEAR_BELL
	BELL	0, "cleared with UACT=1"
	CSRW	CSR_USTATUS, USTATUS_UACT | USTATUS_TUR
	BELL	0, "ustatus written, UACT still 1"
	IN	HS
	li	a1, USTATUS_UACT
	csrc	CSR_USTATUS, a1
	ENDIN
	BELL	1, "UACT cleared by csrrc from HS: D became true"
	CLEAR_BELL
	CSRW	CSR_USTATUS, USTATUS_TUR | USTATUS_UPP
	BELL	0, "ustatus written, UACT still 0"
	csrw	CSR_USTATUS, zero
	BELL	0, "ustatus written with 0, UACT still 0"
	/* in a frame in U: T does not matter, D is false */
	CSRW	CSR_USTATUS, USTATUS_UACT
	CSRW	CSR_UIE, UIE_UEIE
	VISITED	U, 0, "a visit to U with UACT=1"
	csrw	CSR_UIE, zero
	csrw	CSR_USTATUS, zero
	BELL	1, "UACT cleared after the frame"

	/* in HS and M, T is false, whatever uie and HUR say */
	USER
	SEND	1, 7
	CLEAR_BELL
	CSRW	CSR_UIE, UIE_UEIE
	BELL	0, "uie written: D holds on"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	BELL	0, "hstatus written: D holds on"
	csrw	CSR_UIE, zero
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	BELL	0, "uie and hstatus written back: D holds on"
	CSRW	CSR_UIE, UIE_UEIE
	VEIC_W	EIPCLR(0, 0), -1
	SEND	1, 7
	BELL	1, "delivered in HS with UEIE=1"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	VEIC_W	EIPCLR(0, 0), -1
	SEND	1, 7
	BELL	1, "delivered in HS with UEIE=1, HUR=1"

	/* return and trap: T in each mode */
	USER
	SEND	1, 7
	CSRW	CSR_UIE, UIE_UEIE
	VISITED	U, 1, "a visit to U with UEIE=1: T, then D again"
	VISITED	HS, 0, "a visit to HS with UEIE=1"
	VISITED	VS, 0, "a visit to VS with UEIE=1, HUR=0"
	VISITED	VU, 0, "a visit to VU with UEIE=1, HUR=0"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	VISITED	VS, 1, "a visit to VS with UEIE=1, HUR=1: T, then D again"
	VISITED	VU, 1, "a visit to VU with UEIE=1, HUR=1: T, then D again"
	VISITED	HS, 0, "a visit to HS with UEIE=1, HUR=1"
	VISITED	U, 1, "a visit to U with UEIE=1, HUR=1"
	csrw	CSR_UIE, zero
	VISITED	U, 0, "a visit to U with UEIE=0"
	VISITED	VS, 0, "a visit to VS with UEIE=0, HUR=1"
	VISITED	VU, 0, "a visit to VU with UEIE=0, HUR=1"
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	VISITED	VS, 0, "a visit to VS with UEIE=0, HUR=0"
	/* 25 pending is not cleared by T becoming true */
	CSRW	CSR_UIE, UIE_UEIE
	VEIC_W	EIPCLR(0, 0), -1
	SEND	1, 7
	BELL	1, "before a visit to U"
	VISIT	U
	BELL	1, "25 stays through a visit to U with UEIE=1"
	csrw	CSR_UIE, zero

	/* where 25 is taken: UEIE=0, T false everywhere */
	USER
	SEND	1, 7
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	TRY	U, ENDED, "3.6 25 is not taken with sie.25=0, from U", nop
	TRY	HS, ENDED, "3.6 25 is not taken with sie.25=0, from HS", nop
	TRY	VS, ENDED, "3.6 25 is not taken with sie.25=0, from VS", nop
	CSRW	CSR_MIE, BIT(25)
	TRY	HS, INTR(IRQ_DOORBELL), "3.6 25 is taken from HS with SIE=1", nop
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	TRY	HS, ENDED, "3.6 25 is not taken from HS with SIE=0", nop
	TRY	U, INTR(IRQ_DOORBELL), "3.5 25 is taken from U with UEIE=0", nop
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.6 25 is taken in HS"
	TRY	VS, INTR(IRQ_DOORBELL), "3.5 25 is taken from VS with UEIE=0", nop
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, HSTATUS_SPV, "3.6 25 from VS: hstatus.SPV"
	TRY	VU, INTR(IRQ_DOORBELL), "3.5 25 is taken from VU with UEIE=0", nop
	CSRW	CSR_UIE, UIE_UEIE
	TRY	VS, INTR(IRQ_DOORBELL), "3.5 25 is taken from VS with UEIE=1, HUR=0", nop
	csrw	CSR_UIE, zero
	CSRW	CSR_HIDELEG, -1
	TRY	VS, INTR(IRQ_DOORBELL), "3.6 25 is taken from VS in HS with hideleg all ones", nop
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.6 25 is HS's own"
	csrw	CSR_HIDELEG, zero
	IN	M
	li	a1, MSTATUS_MIE
	csrs	CSR_MSTATUS, a1
	nop
	nop
	csrc	CSR_MSTATUS, a1
	ENDIN
	EXPECT	a0, ENDED, "3.6 25 is not taken from M, even with MIE=1"
	BELL	1, "taking 25 does not clear it"
	IN	HS
	li	a1, BIT(25)
	csrc	CSR_SIP, a1
	li	a2, MSTATUS_SIE
	csrs	CSR_SSTATUS, a2
	nop
	csrc	CSR_SSTATUS, a2
	ENDIN
	EXPECT	a0, ENDED, "3.5 cleared by software, it is not taken again"
	UEIP	1, "the event is still pending for software to read EIP"
	VEIC_IS	EIP(0, 0), BIT(7), "3.5 and EIP shows it"
	TRY	U, ENDED, "3.5 nor from U, with UEIE=0 and D holding on", nop
	/* in U inside a frame, 25 that was set earlier is still taken */
	VEIC_W	EIPCLR(0, 0), -1
	SEND	1, 7
	CSRW	CSR_USTATUS, USTATUS_UACT
	TRY	U, INTR(IRQ_DOORBELL), "3.6 25 set before the frame is taken from U in it", nop
	csrw	CSR_USTATUS, zero

	/* a write of ustatus that makes D true is followed by 25 at once */
	USER
	CSRW	CSR_USTATUS, USTATUS_UACT
	SEND	1, 7
	CSRW	CSR_MIE, BIT(25)
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	IN	HS
	li	a1, USTATUS_UACT
	nop
7600:	csrc	CSR_USTATUS, a1
	nop
	nop
	nop
	ENDIN
	EXPECT	a0, INTR(IRQ_DOORBELL), "3.5 a write of ustatus in HS that makes D true: 25 is taken"
	ld	t5, REC_EPC(tp)
	la	t4, 7600b + 4
	EXPECTR	t5, t4, "3.5 25 is taken right behind the write of ustatus"
	CSRC	CSR_MSTATUS, MSTATUS_SIE

	/* delivered while the hart runs, and does nothing that would make it look */
	RUNNING_IN U, "U"
	RUNNING_IN VS, "VS"
	RUNNING_IN VU, "VU"
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	RUNNING_IN HS, "HS"
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	csrw	CSR_MIE, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

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
	.text

/* On hart 1. */
send_8:	mv	s0, ra
	SEND	1, 8
	jr	s0
