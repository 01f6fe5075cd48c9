/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 4 over a vCPU that has UER: HCS interrupts it with its UER
 * registers live, and leaves them live; never within a frame of UER; behind the
 * URET of one, after one instruction, which may itself be redirected.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "hcs.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
/* in the hart's area */
#define UERS		MORE		/* frames of UER */
#define SWITCHES	(MORE + 8)	/* frames of HCS */
#define TRACE		(MORE + 16)	/* uepc of each frame, of either kind */
#define RING		(MORE + 112)	/* the UER handler is to send, that often */
#define SAVED		(MORE + 120)
#define SAVED_A		(MORE + 128)
#define SAVED_B		(MORE + 136)

/* A VMM's UER handler and a context of 7 that counts, over a guest. */
.macro BOTH
	HCS
	call	guest_up
	VSATP	VS
	UER
	CSRW	CSR_UIE, UIE_UEIE
	G_LEAF	PAGE, PTE_DEVICE
	la	t0, uer_handler
	csrw	CSR_UTVEC, t0
	DESC_LA	7, DESC_UTVEC, hcs_handler
	.irp	at, UERS, SWITCHES, RING, TRACE, TRACE + 8, TRACE + 16, TRACE + 24, TRACE + 32
	sd	zero, \at(tp)
	.endr
.endm

.macro FRAMES uers, switches, text
	ld	t5, UERS(tp)
	EXPECT	t5, \uers, "4.1 \text: frames of UER"
	ld	t5, SWITCHES(tp)
	EXPECT	t5, \switches, "4.1 \text: frames of HCS"
	csrr	t5, CSR_USCRATCH
	EXPECTR	t5, tp, "4.3 \text: uscratch is UER's"
	csrr	t5, CSR_UTVEC
	la	t6, uer_handler
	EXPECTR	t5, t6, "4.2 \text: utvec is UER's"
	CSR_IS	CSR_HUEDELEG, -1, VEI_BITS, "4.2 \text: huedeleg"
	CSR_IS	CSR_USTATUS, -1, 0, "2.4 \text: no frame is left"
	VEIC_IS	EIP(0, 0), 0, "4.1 \text: nothing is pending"
.endm
.macro TRACED n, pc, text
	ld	t5, TRACE + 8 * (\n)(tp)
	la	t6, \pc
	EXPECTR	t5, t6, "4.1 \text"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* between two frames of UER: the second one works as the first did */
	BOTH
	la	t0, hook_event
	sd	t0, HOOK(tp)
	li	a2, GVA(PAGE) + AT
	IN	VS
7800:	ld	a0, 0(a2)
	/* M lets 7 become pending: HCS behind its return */
	mv	a5, a0
	li	a7, MAGIC_HOOK
	ecall
7801:	nop
7802:	ld	a1, 0(a2)
	slli	a1, a1, 16
	add	a0, a5, a1
	ENDIN
	EXPECT	a0, ENDED, "4.1 UER, HCS, UER: the guest went on"
	EXPECT	a1, 0x20001, "4.1 UER, HCS, UER: its loads got what the UER handler gave"
	FRAMES	2, 1, "UER, HCS, UER"
	TRACED	0, 7800b, "UER, HCS, UER: first the load"
	TRACED	1, 7801b, "UER, HCS, UER: then behind the event"
	TRACED	2, 7802b, "UER, HCS, UER: then the other load"

	/* an event that comes in a frame of UER: one instruction behind its URET */
	BOTH
	li	t0, 1
	sd	t0, RING(tp)
	li	a2, GVA(PAGE) + AT
	IN	VS
7800:	ld	a0, 0(a2)
7801:	addi	a0, a0, 0x100
7802:	addi	a0, a0, 0x200
	ENDIN
	EXPECT	a0, ENDED, "4.1 an event in a frame of UER: the guest went on"
	EXPECT	a1, 0x301, "4.1 an event in a frame of UER: its registers"
	FRAMES	1, 1, "an event in a frame of UER"
	TRACED	0, 7800b, "an event in a frame of UER: the frame is not interrupted"
	TRACED	1, 7802b, "an event in a frame of UER: one instruction behind it"

	/* that instruction is MMIO: redirected, then the next one, then HCS */
	BOTH
	li	t0, 1
	sd	t0, RING(tp)
	li	a2, GVA(PAGE) + AT
	IN	VS
7800:	ld	a0, 0(a2)
7801:	ld	a1, 0(a2)
7802:	slli	a1, a1, 16
7803:	add	a0, a0, a1
	ENDIN
	EXPECT	a1, 0x20001, "4.1 MMIO behind a frame of UER with an event: the values"
	FRAMES	2, 1, "MMIO behind a frame of UER with an event"
	TRACED	0, 7800b, "MMIO behind a frame of UER with an event: the first load"
	TRACED	1, 7801b, "MMIO behind a frame of UER with an event: the second load, redirected"
	TRACED	2, 7803b, "MMIO behind a frame of UER with an event: HCS one instruction behind that"

	/* a flood: an event in each frame of UER, and progress all the same */
	BOTH
	li	t0, 1000
	sd	t0, RING(tp)
	DESC_LA	7, DESC_UTVEC, hcs_count
	la	t0, uer_count
	csrw	CSR_UTVEC, t0
	li	a2, GVA(PAGE) + AT
	IN	VS
	li	a0, 0
	li	a3, 1000
1:	ld	a5, 0(a2)
	addi	a0, a0, 1
	addi	a3, a3, -1
	bnez	a3, 1b
	ENDIN
	EXPECT	a0, ENDED, "4.1 a thousand frames of UER with an event in each: the guest went on"
	EXPECT	a1, 1000, "4.1 a thousand frames of UER with an event in each: the count"
	ld	t5, UERS(tp)
	EXPECT	t5, 1000, "4.1 a thousand frames of UER"
	ld	t5, SWITCHES(tp)
	EXPECT	t5, 1000, "4.1 a thousand frames of HCS between them"

	/* TUR stops a frame of UER; HS finishes it in software: HCS behind SRET, for
	 * no URET was executed */
	BOTH
	CSRW	CSR_USTATUS, USTATUS_TUR
	li	t0, 1
	sd	t0, RING(tp)
	CSRW	CSR_MEDELEG, BIT(ILLEGAL)
	la	t0, hs_finishes
	csrw	CSR_STVEC, t0
	li	a2, GVA(PAGE) + AT
	IN	VS
7800:	ld	a0, 0(a2)
7801:	addi	a0, a0, 0x100
	ENDIN
	EXPECT	a0, ENDED, "2.5 a frame of UER that HS finished, with an event: the guest went on"
	EXPECT	a1, 0x101, "2.5 a frame of UER that HS finished, with an event: its registers"
	ld	t5, SWITCHES(tp)
	EXPECT	t5, 1, "2.5 a frame of UER that HS finished, with an event: HCS"
	TRACED	1, 7801b, "2.5 a frame of UER that HS finished: HCS at once"
	csrw	CSR_MEDELEG, zero
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_USTATUS, zero

	/* the handler of HCS itself is never redirected: its HLV faults to HS */
	BOTH
	CSRS	CSR_HSTATUS, HSTATUS_HU
	HANDLER_OF 7
	csrr	tp, CSR_USCRATCH
	li	a2, GVA(PAGE) + AT
7850:	hlv.d	a0, (a2)
	ENDHANDLER
	EVENT	7
	IN	VS
	nop
	ENDIN
	CSRC	CSR_HSTATUS, HSTATUS_HU
	EXPECT	a0, LOAD_MMIO, "2.2 HLV of an MMIO page in a handler of HCS: 24"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 HLV of an MMIO page in a handler of HCS: to HS"
	CSR_IS	CSR_USTATUS, -1, USTATUS_HCS(VS), "2.2 HLV of an MMIO page in a handler of HCS: the frame is as it was"
	csrw	CSR_USTATUS, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* The VMM's handler: a0 of the guest := how many frames there were; for the
 * device it is the register that the load names (a0 or a1). */
	.balign	4
uer_handler:
	csrrw	a0, CSR_USCRATCH, a0
	sd	t0, SAVED(a0)
	sd	t1, SAVED_A(a0)
	sd	t2, SAVED_B(a0)
	ld	t0, UERS(a0)
	ld	t1, SWITCHES(a0)
	add	t1, t1, t0
	slli	t1, t1, 3
	add	t1, t1, a0
	csrr	t2, CSR_UEPC
	sd	t2, TRACE(t1)
	addi	t2, t2, 4
	csrw	CSR_UEPC, t2
	addi	t0, t0, 1
	sd	t0, UERS(a0)
	ld	t1, RING(a0)
	beqz	t1, 1f
	addi	t1, t1, -1
	sd	t1, RING(a0)
	li	t1, VEIC + EIP(0, 0)
	li	t2, BIT(7)
	sd	t2, 0(t1)
	fence	iorw, iorw
1:	csrr	t1, CSR_UTINST
	andi	t1, t1, 1 << 7		/* rd: x10, or x11 */
	bnez	t1, 2f
	/* the guest's a0 is gone, and that is where the value goes */
	csrw	CSR_USCRATCH, t0
	ld	t0, SAVED(a0)
	ld	t1, SAVED_A(a0)
	ld	t2, SAVED_B(a0)
	csrrw	a0, CSR_USCRATCH, a0
	URET
2:	mv	a1, t0
	ld	t0, SAVED(a0)
	ld	t1, SAVED_A(a0)
	ld	t2, SAVED_B(a0)
	csrrw	a0, CSR_USCRATCH, a0
	URET

	.balign	4
hcs_handler:
	csrr	a0, CSR_USCRATCH
	ld	t0, UERS(a0)
	ld	t1, SWITCHES(a0)
	add	t2, t1, t0
	slli	t2, t2, 3
	add	t2, t2, a0
	csrr	t3, CSR_UEPC
	sd	t3, TRACE(t2)
	addi	t1, t1, 1
	sd	t1, SWITCHES(a0)
	URET

/* The same, which only count; the guest's load goes to a5. */
	.balign	4
uer_count:
	csrrw	a0, CSR_USCRATCH, a0
	ld	a5, UERS(a0)
	addi	a5, a5, 1
	sd	a5, UERS(a0)
	csrr	a5, CSR_UEPC
	addi	a5, a5, 4
	csrw	CSR_UEPC, a5
	sd	t0, SAVED(a0)
	li	a5, VEIC + EIP(0, 0)
	li	t0, BIT(7)
	sd	t0, 0(a5)
	fence	iorw, iorw
	ld	t0, SAVED(a0)
	csrrw	a0, CSR_USCRATCH, a0
	URET
	.balign	4
hcs_count:
	csrr	a0, CSR_USCRATCH
	ld	t1, SWITCHES(a0)
	addi	t1, t1, 1
	sd	t1, SWITCHES(a0)
	URET

hook_event:
	VEIC_W	EIP(0, 0), BIT(7)
	csrr	t0, CSR_MEPC
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	ld	a0, REC_A0(tp)
	/* MPV is as the trap left it */
	mret

	.balign	4
hs_finishes:
	csrr	t0, CSR_UEPC
	csrw	CSR_SEPC, t0
	li	t2, MSTATUS_SPP
	csrs	CSR_SSTATUS, t2
	csrs	CSR_HSTATUS, t2		/* SPVP: the same bit */
	li	t2, HSTATUS_SPV
	csrs	CSR_HSTATUS, t2
	csrw	CSR_USTATUS, zero
	sret
