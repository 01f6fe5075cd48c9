/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.6, 24 and 25 rank below every standard interrupt for HS, 24 before
 * 25, above the guest's, below M's. With and without AIA the order is the same.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"

/* With `irq`, pending by the CSR `csr`, and all of 24, 25: `irq` comes first. */
.macro BEFORE irq, csr, text
	CSRS	\csr, BIT(\irq)
	.irp	bits, BIT(24), BIT(25), VEI_BITS
	CSRW	CSR_MIE, \bits | BIT(\irq)
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	TRY	HS, INTR(\irq), "3.6 \text before 24 and 25, in HS, mie.[25:24] \bits", nop
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	TRY	U, INTR(\irq), "3.6 \text before 24 and 25, in U", nop
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.6 \text is HS's"
	.endr
	CSRC	\csr, BIT(\irq)
	TRY	U, INTR(IRQ_VEI), "3.6 without \text, 24 is next", nop
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	VEIC_W	EUT(0, 0), BIT(7)
	VEIC_W	EIE(0, 0), BIT(7) | BIT(9)
	VEIC_W	EIP(0, 0), BIT(7) | BIT(9)
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "3.6 both pending"
	CSRW	CSR_MIDELEG, BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI)

	BEFORE	IRQ_SSI, CSR_MIP, "the supervisor software interrupt"
	BEFORE	IRQ_STI, CSR_MIP, "the supervisor timer interrupt"
	BEFORE	IRQ_SEI, CSR_MIP, "the supervisor external interrupt"
	/* the guest's interrupts, not delegated to it */
	BEFORE	IRQ_VSSI, CSR_HVIP, "the VS software interrupt"
	BEFORE	6, CSR_HVIP, "the VS timer interrupt"
	BEFORE	10, CSR_HVIP, "the VS external interrupt"

	/* 24 before 25 */
	CSRW	CSR_MIE, VEI_BITS
	TRY	U, INTR(IRQ_VEI), "3.6 24 before 25, in U", nop
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	TRY	HS, INTR(IRQ_VEI), "3.6 24 before 25, in HS", nop
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	TRY	VS, INTR(IRQ_VEI), "3.6 24 before 25, in VS", nop
	CSRW	CSR_MIE, BIT(25)
	TRY	U, INTR(IRQ_DOORBELL), "3.6 25 with 24 pending but disabled", nop
	CSRW	CSR_MIE, VEI_BITS
	TRY	HS, ENDED, "3.6 claim 24's cause", csrw CSR_STOPVEI, zero
	TRY	U, INTR(IRQ_DOORBELL), "3.6 25 when 24 is gone", nop

	/* M's interrupts come first */
	csrw	CSR_MIDELEG, zero
	VEIC_W	EIP(0, 0), BIT(9)
	CSRS	CSR_MIP, BIT(IRQ_STI)
	CSRW	CSR_MIE, VEI_BITS | BIT(IRQ_STI)
	TRY	U, INTR(IRQ_STI), "3.6 an interrupt of M-mode before 24 and 25", nop
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, M, "3.6 it is M's"
	CSRC	CSR_MIP, BIT(IRQ_STI)

	/* the guest's own come after */
	CSRW	CSR_HIDELEG, -1
	CSRW	CSR_VSSTATUS, MSTATUS_SIE
	CSRW	CSR_HVIP, BIT(IRQ_VSSI)
	CSRW	CSR_MIE, VEI_BITS | BIT(IRQ_VSSI)
	TRY	VS, INTR(IRQ_VEI), "3.6 24 before an interrupt of the guest, in VS", nop
	TRY	VU, INTR(IRQ_VEI), "3.6 24 before an interrupt of the guest, in VU", nop
	CSRW	CSR_MIE, BIT(25) | BIT(IRQ_VSSI)
	TRY	VS, INTR(IRQ_DOORBELL), "3.6 25 before an interrupt of the guest, in VS", nop
	csrw	CSR_MIE, zero
	csrw	CSR_VSSTATUS, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
