/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.5 where it meets section 4: no event is lost, whenever it arrives: in
 * HS, with UEIE=0, while UACT=1, while HS switches contexts. Whoever is not
 * interrupted gets the doorbell; D and T over entry, traps, and URET. 3.6, WFI
 * where an HCS would be taken.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 accel=tcg,thread=single
 */
#include "hcs.h"

#define LONG	50000000	/* 5 s of the 10 MHz timer */
#define SHORT	1000000

.macro BELL want, text
	CSR_IS	CSR_MIP, BIT(25), \want << 25, "3.5 \text: 25"
.endm
.macro CLEAR_BELL
	CSRC	CSR_MIP, BIT(25)
.endm
/* The event that is pending is not lost: it is taken in U with UEIE=1. */
.macro NOT_LOST id, text
	CSRW	CSR_UIE, UIE_UEIE
	TRY	U, TAKEN, "3.5 \text: taken later", nop
	csrr	t5, CSR_UTVAL
	EXPECT	t5, \id, "3.5 \text: it is that event"
	csrw	CSR_USTATUS, zero
.endm
/* A handler of 7 that asks M to run `hook`, and then returns. */
.macro WITH_HOOK hook
	HCS
	la	t0, \hook
	sd	t0, HOOK(tp)
	HANDLER_OF 7
	li	a7, MAGIC_HOOK
	ecall
	URET
	ENDHANDLER
	EVENT	7
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* arrives in HS: the doorbell; then the way back to U takes it */
	HCS
	EVENT	7
	BELL	1, "an event in HS"
	TRY	HS, ENDED, "3.5 an event in HS: not taken there", nop
	CLEAR_BELL
	NOT_LOST 7, "an event in HS, the doorbell cleared"
	/* with UEIE=0: the doorbell, in U too */
	HCS
	csrw	CSR_UIE, zero
	CSRW	CSR_MIE, BIT(25)
	EVENT	7
	TRY	U, INTR(IRQ_DOORBELL), "3.5 an event with UEIE=0: the doorbell is taken from U", nop
	CLEAR_BELL
	TRY	U, ENDED, "3.5 an event with UEIE=0, cleared: nothing is taken in U", nop
	NOT_LOST 7, "an event with UEIE=0"
	csrw	CSR_MIE, zero
	/* while UACT=1: in a frame of HCS, seen by URET */
	WITH_HOOK hook_event_8
	IN	U
7800:	nop
7801:	nop
	ENDIN
	SWITCHED U, 8, 7801b, "3.5 an event in a frame is taken behind its URET"
	ld	t5, MORE(tp)
	EXPECT	t5, 0, "3.5 an event in a frame: no doorbell there"
	csrw	CSR_USTATUS, zero
	/* the same VEIID again, in its own frame */
	WITH_HOOK hook_event_7_end
	IN	U
7800:	nop
7801:	nop
	ENDIN
	SWITCHED U, 7, 7801b, "3.5 an event of the frame's own VEIID is taken behind its URET"
	csrw	CSR_USTATUS, zero
	/* HS ends the frame instead: the doorbell */
	WITH_HOOK hook_event_8_end
	CSRW	CSR_MIE, BIT(25)
	IN	U
	nop
	ENDIN
	EXPECT	a0, ENDED, "3.5 HS ends the frame: harness"
	ld	t5, MORE(tp)
	EXPECT	t5, 0, "3.5 HS ends the frame: no doorbell in it"
	ld	t5, MORE + 8(tp)
	EXPECT	t5, BIT(25), "3.5 HS ends the frame: D is true then"
	csrw	CSR_MIE, zero
	NOT_LOST 8, "an event in a frame that HS ended"
	/* in a frame of UER */
	HCS
	CSRW	CSR_USTATUS, USTATUS_UACT
	EVENT	7
	BELL	0, "an event in a UER frame"
	TRY	U, ENDED, "3.5 an event in a UER frame: not taken in it", nop
	la	t6, 7804f
	csrw	CSR_UEPC, t6
	IN	U
	URET
7804:	nop
7805:	nop
	ENDIN
	SWITCHED U, 7, 7805b, "3.5 an event in a UER frame is taken behind its URET, one instruction later"
	csrw	CSR_USTATUS, zero

	/* HS switches contexts: from one that may be interrupted to one that may
	 * not, and back; the event comes at each step */
	.irp	step, 0, 1, 2, 3
	HCS
	CSRW	CSR_MIE, BIT(25)
	.if	\step == 0
	EVENT	8
	.endif
	csrrw	s2, CSR_UIE, zero
	.if	\step == 1
	EVENT	8
	.endif
	csrrw	s3, CSR_USTATUS, zero
	.if	\step == 2
	EVENT	8
	.endif
	.if	\step < 3
	BELL	1, "an event at step \step of a context switch"
	.endif
	.if	\step == 3
	/* the other context runs, and is not to be interrupted */
	IN	U
	li	a1, VEIC + EIP(0, 0)
	li	a2, BIT(8)
	sd	a2, 0(a1)
	fence	iorw, iorw
1:	j	1b
	ENDIN
	EXPECT	a0, INTR(IRQ_DOORBELL), "3.5 an event while the other context runs: the doorbell"
	.else
	TRY	U, INTR(IRQ_DOORBELL), "3.5 an event at step \step: the doorbell interrupts the other context", nop
	.endif
	CLEAR_BELL
	csrw	CSR_USTATUS, s3
	csrw	CSR_UIE, s2
	TRY	U, TAKEN, "3.5 an event at step \step is taken when the first context is back", nop
	csrr	t5, CSR_UTVAL
	EXPECT	t5, 8, "3.5 an event at step \step: that event"
	BELL	0, "an event at step \step, taken"
	csrw	CSR_USTATUS, zero
	csrw	CSR_MIE, zero
	.endr

	/* a frame that HS takes off the hart, with all that belongs to it, and
	 * puts back: the event that came meanwhile rings, and is taken at last */
	WITH_HOOK hook_away
	IN	U
7800:	nop
7801:	nop
	ENDIN
	SWITCHED U, 8, 7801b, "3.5 a frame saved and put back: the event is taken behind its URET"
	ld	t5, MORE(tp)
	EXPECT	t5, BIT(25), "3.5 a frame saved: the event that comes then rings"
	ld	t5, MORE + 8(tp)
	EXPECT	t5, 0, "3.5 a frame put back, 25 cleared: no doorbell"
	csrw	CSR_USTATUS, zero

	/* D over entry and trap: a further VEIID pending rings when HS clears UACT */
	HCS
	EVENT	7
	EVENT	8
	CLEAR_BELL
	TRY	U, TAKEN, "3.5 two events: the first is taken", nop
	BELL	0, "two events, in M with the frame alive"
	VEIC_W	EIP(0, 0), BIT(11)
	BELL	0, "a further one, in M with the frame alive"
	csrw	CSR_USTATUS, zero
	BELL	1, "two events, the frame ended by M"
	NOT_LOST 8, "the second of them"
	NOT_LOST 11, "the third of them"

	/* WFI in VS: a user VEI that would be taken wakes it */
	HCS
	CSRS	CSR_MENVCFG, 1 << 63	/* STCE */
	ROUTE	RT0, 8, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	call	far_alarm
	START	1, send_8_later
	IN	VS
	wfi
7800:	nop
	ENDIN
	mv	s4, a0
	csrr	s5, CSR_TIME
	JOIN	1
	EXPECT	s4, TAKEN, "3.6 a user VEI wakes WFI in VS and is taken"
	csrr	t5, CSR_UEPC
	la	t6, 7800b
	EXPECTR	t5, t6, "3.6 a user VEI wakes WFI in VS: behind it"
	ld	t0, areas + AREA_SIZE + SCRATCH
	sltu	t5, s5, t0
	EXPECT	t5, 0, "3.6 a user VEI wakes WFI in VS: not before the event"
	csrw	CSR_USTATUS, zero
	/* and only where it would be taken */
	.irp	why, 0, 1, 2
	HCS
	.if	\why == 0
	csrw	CSR_UIE, zero
	.elseif	\why == 1
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	.else
	CSRW	CSR_USTATUS, USTATUS_UACT
	.endif
	EVENT	7
	CLEAR_BELL
	call	near_alarm
	IN	VS
	wfi
	ENDIN
	EXPECT	a0, INTR(IRQ_STI), "3.6 a user VEI that would not be taken, \why, does not wake WFI in VS"
	csrw	CSR_USTATUS, zero
	csrw	CSR_MIE, zero
	.endr
	HCS
	csrw	CSR_MIE, zero
	EVENT	7
	CLEAR_BELL
	call	near_alarm
	IN	HS
	wfi
	ENDIN
	EXPECT	a0, INTR(IRQ_STI), "3.6 a user VEI does not wake WFI in HS, UEIE=1"
	csrw	CSR_MIE, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

far_alarm:
	li	t1, LONG
	j	1f
near_alarm:
	li	t1, SHORT
1:	csrr	t0, CSR_TIME
	add	t0, t0, t1
	csrw	CSR_STIMECMP, t0
	CSRS	CSR_MIE, BIT(IRQ_STI)
	ret

/* On hart 1: a tenth of a second, the time of the event, the event. */
send_8_later:
	mv	s0, ra
	csrr	t0, CSR_TIME
	li	t1, 1000000
	add	t0, t0, t1
1:	csrr	t1, CSR_TIME
	bltu	t1, t0, 1b
	sd	t1, SCRATCH(tp)
	fence	iorw, iorw
	SEND	1, 8
	jr	s0

/* hooks, in M, of a handler; mip.25 as it is then at MORE */
.macro BELL_AT where
	csrr	t0, CSR_MIP
	li	t1, BIT(25)
	and	t0, t0, t1
	sd	t0, \where(tp)
.endm
hook_event_7_end:
	VEIC_W	EIP(0, 0), BIT(7)
	/* the second time the handler is to end the snippet */
	DESC_LA	7, DESC_UTVEC, uer_record
	j	hook_none
hook_event_8:
	VEIC_W	EIP(0, 0), BIT(8)
	BELL_AT	MORE
hook_none:
	csrr	t0, CSR_MEPC
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	mret
hook_event_8_end:
	VEIC_W	EIP(0, 0), BIT(8)
	BELL_AT	MORE
	csrw	CSR_USTATUS, zero
	BELL_AT	MORE + 8
	/* the snippet is over */
	li	a7, MAGIC_END
	ecall
hook_away:
	csrrw	t3, CSR_USTATUS, zero
	csrr	t4, CSR_SUFRAME
	csrw	CSR_SUFRAME, zero
	VEIC_W	EIP(0, 0), BIT(8)
	BELL_AT	MORE
	CSRC	CSR_MIP, BIT(25)
	csrw	CSR_SUFRAME, t4
	csrw	CSR_USTATUS, t3
	BELL_AT	MORE + 8
	j	hook_none
