/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.6, what wakes a hart that waits in WFI: 24 and 25 enabled in sie,
 * nothing else of this extension.
 *
 * A timer interrupt that goes to M-mode ends a wait that nobody else ends; where
 * waking is expected it is far away, and its cause is then a failure.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 accel=tcg,thread=single
 */
#include "harness.h"

#define LONG	50000000	/* 5 s of the 10 MHz timer */
#define SHORT	1000000

.macro ALARM ticks
	csrr	t0, CSR_TIME
	li	t1, \ticks
	add	t0, t0, t1
	csrw	CSR_STIMECMP, t0
	CSRS	CSR_MIE, BIT(IRQ_STI)
.endm

.macro WAKES mode, want, text
	ALARM	LONG
	IN	\mode
	wfi
	ENDIN
	EXPECT	a0, \want, "3.6 \text"
.endm

.macro SLEEPS mode, text
	ALARM	SHORT
	IN	\mode
	wfi
	ENDIN
	EXPECT	a0, INTR(IRQ_STI), "3.6 \text"
.endm

/* The same, and hart 1 sends VEIRQ `veirq` when hart 0 has slept a while. */
.macro WAKES_LATER mode, veirq, want, text
	ALARM	LONG
	la	t0, areas + AREA_SIZE
	li	t1, \veirq
	sd	t1, WORK_ARG(t0)
	START	1, send_later
	IN	\mode
	wfi
	ENDIN
	mv	s4, a0
	csrr	s5, CSR_TIME
	JOIN	1
	EXPECT	s4, \want, "3.6 \text"
	ld	t0, areas + AREA_SIZE + SCRATCH
	sltu	t5, s5, t0
	EXPECT	t5, 0, "3.6 \text: not before the event"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	CSRS	CSR_MENVCFG, 1 << 63	/* STCE */
	ROUTE	RT0, 7, 7, 0
	ROUTE	RT0, 9, 9, 0
	VEIC_W	EUT(0, 0), BIT(7)
	VEIC_W	EIE(0, 0), BIT(7) | BIT(9)

	/* nothing pending: the alarm ends it (and works) */
	SLEEPS	HS, "WFI with nothing pending sleeps"

	/* 24 */
	VEIC_W	EIP(0, 0), BIT(9)
	CSRW	CSR_MIE, BIT(24)
	WAKES	HS, ENDED, "WFI in HS with 24 pending and enabled in sie does not sleep"
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	WAKES	HS, INTR(IRQ_VEI), "WFI in HS with SIE=1: 24 is taken"
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	csrw	CSR_MIE, zero
	SLEEPS	HS, "24 pending but not enabled in sie does not wake WFI"
	VEIC_W	EIPCLR(0, 0), -1
	CSRW	CSR_MIE, BIT(24)
	WAKES_LATER HS, 9, ENDED, "24 sent by another hart wakes WFI in HS with SIE=0"
	VEIC_W	EIPCLR(0, 0), -1
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	WAKES_LATER HS, 9, INTR(IRQ_VEI), "24 sent by another hart wakes WFI in HS with SIE=1 and is taken"
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	VEIC_W	EIPCLR(0, 0), -1
	WAKES_LATER VS, 9, INTR(IRQ_VEI), "24 sent by another hart ends WFI in VS and is taken"
	VEIC_W	EIPCLR(0, 0), -1
	WAKES_LATER M, 9, ENDED, "24 sent by another hart wakes WFI in M"
	VEIC_W	EIPCLR(0, 0), -1
	CSRW	CSR_MIE, BIT(25)
	SLEEPS	HS, "with sie.24=0, sie.25=1 and nothing pending WFI sleeps"

	/* 25 */
	VEIC_W	EIP(0, 0), BIT(7)
	CSRW	CSR_MIE, BIT(25)
	WAKES	HS, ENDED, "WFI in HS with 25 pending and enabled in sie does not sleep"
	csrw	CSR_MIE, zero
	SLEEPS	HS, "25 pending but not enabled in sie does not wake WFI"
	CSRW	CSR_MIE, BIT(24)
	SLEEPS	HS, "25 pending does not wake WFI with only sie.24=1"
	CSRC	CSR_MIP, BIT(25)
	CSRW	CSR_MIE, VEI_BITS
	SLEEPS	HS, "UEIP=1 with 25 cleared does not wake WFI in HS"
	CSRW	CSR_UIE, UIE_UEIE
	SLEEPS	HS, "UEIP=1, UEIE=1 with 25 cleared does not wake WFI in HS"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	SLEEPS	HS, "UEIP=1, UEIE=1, HUR=1 with 25 cleared does not wake WFI in HS"
	csrw	CSR_UIE, zero
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	VEIC_W	EIPCLR(0, 0), -1
	CSRW	CSR_USTATUS, USTATUS_UACT
	VEIC_W	EIP(0, 0), BIT(7)
	SLEEPS	HS, "UEIP=1 with UACT=1 does not wake WFI in HS"
	csrw	CSR_USTATUS, zero
	VEIC_W	EIPCLR(0, 0), -1
	CSRW	CSR_MIE, VEI_BITS
	WAKES_LATER HS, 7, ENDED, "25, by a user VEIID sent by another hart, wakes WFI in HS"
	VEIC_W	EIPCLR(0, 0), -1
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	WAKES_LATER HS, 7, INTR(IRQ_DOORBELL), "25 wakes WFI in HS with SIE=1 and is taken"
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	VEIC_W	EIPCLR(0, 0), -1
	WAKES_LATER VS, 7, INTR(IRQ_DOORBELL), "25 ends WFI in VS with UEIE=0 and is taken"
	csrw	CSR_MIE, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1: a tenth of a second, the time of the event, the event. */
send_later:
	mv	s0, ra
	csrr	t0, CSR_TIME
	li	t1, 1000000
	add	t0, t0, t1
1:	csrr	t1, CSR_TIME
	bltu	t1, t0, 1b
	sd	t1, SCRATCH(tp)
	fence	iorw, iorw
	ld	s1, WORK_ARG(tp)
	IN	HS
	li	a1, 1 << 16
	or	a1, a1, s1
	csrw	CSR_SVEI, a1
	ENDIN
	jr	s0
