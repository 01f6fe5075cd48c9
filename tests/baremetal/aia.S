/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.6 with AIA, the iprio bytes and stopi; section 1, bits 24 and 25 of
 * hvien, hvip and mvien; that the guest's vstopi never shows 24 or 25.
 *
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"

#define CSR_VSISELECT	0x250
#define CSR_VSIREG	0x251
#define CSR_HGEIE	0x607
#define CSR_HGEIP	0xe12
#define CSR_VSTOPI	0xeb0
#define IMSIC_S		0x28000000	/* hart 0's supervisor file, then guests' */

.macro STOPI want, text
	TRY	HS, ENDED, "3.6 \text: HS reads stopi", csrr a0, CSR_STOPI
	EXPECT	a1, \want, "3.6 \text: stopi"
.endm

.macro IID irq, csr, text
	CSRS	\csr, BIT(\irq)
	CSRW	CSR_MIE, VEI_BITS | BIT(\irq)
	IN	HS
	csrr	a0, CSR_STOPI
	srli	a0, a0, 16
	ENDIN
	EXPECT	a1, \irq, "3.6 \text before 24 and 25 in stopi"
	CSRC	\csr, BIT(\irq)
	STOPI	(24 << 16) | 254, "\text gone, 24"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* as they are at reset: before anything wrote them */
	IN	HS
	li	a1, 0x36
	csrw	CSR_SISELECT, a1
	csrr	a0, CSR_SIREG
	ENDIN
	EXPECT	a0, ENDED, "3.6 iprio of 24..31 can be read in HS"
	slli	a1, a1, 48
	srli	a1, a1, 48
	EXPECT	a1, 0xfffe, "3.6 iprio bytes of 24 and 25 reset to 254 and 255"

	FRESH
	VEIC_W	EUT(0, 0), BIT(7)
	VEIC_W	EIE(0, 0), BIT(7) | BIT(9)
	CSRW	CSR_MIDELEG, BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI)
	CSRW	CSR_MIE, VEI_BITS
	STOPI	0, "nothing pending"
	VEIC_W	EIP(0, 0), BIT(9)
	STOPI	(24 << 16) | 254, "24 pending"
	VEIC_W	EIP(0, 0), BIT(7)
	STOPI	(24 << 16) | 254, "24 and 25 pending"
	CSRW	CSR_MIE, BIT(25)
	STOPI	(25 << 16) | 255, "24 and 25 pending, only 25 enabled"
	CSRW	CSR_MIE, BIT(24)
	STOPI	(24 << 16) | 254, "24 and 25 pending, only 24 enabled"
	csrw	CSR_MIE, zero
	STOPI	0, "24 and 25 pending, none enabled"
	CSRW	CSR_MIE, VEI_BITS
	TRY	HS, ENDED, "3.6 claim 24's cause", csrw CSR_STOPVEI, zero
	STOPI	(25 << 16) | 255, "24 claimed, 25 pending"
	CSRC	CSR_MIP, BIT(25)
	STOPI	0, "25 cleared"
	VEIC_W	EIPCLR(0, 0), -1
	VEIC_W	EIP(0, 0), BIT(7) | BIT(9)
	STOPI	(24 << 16) | 254, "both again"

	IID	IRQ_SSI, CSR_MIP, "the supervisor software interrupt"
	IID	IRQ_STI, CSR_MIP, "the supervisor timer interrupt"
	IID	IRQ_SEI, CSR_MIP, "the supervisor external interrupt"
	IID	IRQ_VSSI, CSR_HVIP, "the VS software interrupt"
	IID	6, CSR_HVIP, "the VS timer interrupt"
	IID	10, CSR_HVIP, "the VS external interrupt"

	/* whatever their priority numbers: none, so that the default order of AIA
	 * holds, and the last one */
	.irp	number, 0, 255
	CSRW	CSR_SISELECT, 0x30	/* interrupts 0 to 7 */
	csrr	s4, CSR_SIREG
	CSRW	CSR_SIREG, (\number << 8) | (\number << 40)
	IID	IRQ_SSI, CSR_MIP, "the supervisor software interrupt with iprio \number"
	IID	IRQ_STI, CSR_MIP, "the supervisor timer interrupt with iprio \number"
	CSRS	CSR_MIP, BIT(IRQ_SSI)
	CSRW	CSR_MIE, VEI_BITS | BIT(IRQ_SSI)
	TRY	U, INTR(IRQ_SSI), "3.6 the supervisor software interrupt with iprio \number before 24 and 25", nop
	CSRC	CSR_MIP, BIT(IRQ_SSI)
	CSRW	CSR_SISELECT, 0x30
	csrw	CSR_SIREG, s4
	.endr
	CSRW	CSR_MIE, VEI_BITS

	/* the guest external interrupt, by guest file 1 of the IMSIC */
	CSRS	CSR_HSTATUS, 1 << 12
	CSRW	CSR_VSISELECT, 0x70	/* eidelivery */
	CSRW	CSR_VSIREG, 1
	CSRW	CSR_VSISELECT, 0xc0	/* eie0 */
	CSRW	CSR_VSIREG, BIT(3)
	CSRC	CSR_HSTATUS, 0x3f << 12
	li	t0, IMSIC_S + 0x1000
	li	t1, 3
	sw	t1, 0(t0)
	fence	iorw, iorw
	CSRW	CSR_HGEIE, BIT(1)
	CSR_IS	CSR_MIP, BIT(12), BIT(12), "harness: a guest external interrupt is pending"
	CSRW	CSR_MIE, VEI_BITS | BIT(12)
	IN	HS
	csrr	a0, CSR_STOPI
	srli	a0, a0, 16
	ENDIN
	EXPECT	a1, 12, "3.6 the guest external interrupt before 24 and 25 in stopi"
	TRY	U, INTR(12), "3.6 the guest external interrupt before 24 and 25", nop
	csrw	CSR_HGEIE, zero
	CSRW	CSR_MIE, VEI_BITS
	TRY	U, INTR(IRQ_VEI), "3.6 then 24", nop

	/* what the guest has of it: nothing */
	CSRW	CSR_HIDELEG, -1
	CSRW	CSR_HVIEN, -1
	CSR_IS	CSR_HVIEN, VEI_BITS, 0, "1 hvien: bits 24, 25 read 0 after a write of ones"
	CSR_IS	CSR_HVIEN, BIT(26), BIT(26), "1 hvien: the next bit is as it was"
	CSRW	CSR_HVIP, -1
	CSR_IS	CSR_HVIP, VEI_BITS, 0, "1 hvip: bits 24, 25 read 0 with hvien all ones"
	csrw	CSR_HVIP, zero
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "1 hvip: a write of 0 with hvien all ones does not reach mip"
	CSRW	CSR_VSIE, -1
	CSR_IS	CSR_VSIE, VEI_BITS, 0, "1 vsie: bits 24, 25 read 0 with hvien all ones"
	CSRW	CSR_VSIP, -1
	CSR_IS	CSR_VSIP, VEI_BITS, 0, "1 vsip: bits 24, 25 read 0 with hvien all ones"
	csrw	CSR_VSIP, zero
	csrw	CSR_HVIP, zero
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "1 vsip: a write of 0 with hvien all ones does not reach mip"
	csrr	t5, CSR_VSTOPI
	EXPECT	t5, 0, "3.6 vstopi does not show 24 or 25"
	csrw	CSR_VSIE, zero
	csrw	CSR_HIDELEG, zero
	csrw	CSR_HVIEN, zero
	CSRW	CSR_MIE, VEI_BITS
	VEIC_W	EIPCLR(0, 0), -1
	CSRW	CSR_HVIEN, -1
	CSRW	CSR_HVIP, -1
	CSR_IS	CSR_MIP, VEI_BITS, 0, "1 hvip: a write of ones with hvien all ones does not reach mip"
	csrw	CSR_HVIP, zero
	csrw	CSR_HVIEN, zero

	CSRW	CSR_MVIEN, -1
	CSR_IS	CSR_MVIEN, VEI_BITS, 0, "1 mvien: bits 24, 25 read 0 after a write of ones"
	CSR_IS	CSR_MIP, VEI_BITS, 0, "1 mvien: a write does not reach mip"
	VEIC_W	EIP(0, 0), BIT(7) | BIT(9)
	CSR_IS	CSR_SIP, VEI_BITS, VEI_BITS, "3.6 sip shows mip with mvien all ones"
	CSR_IS	CSR_SIE, VEI_BITS, VEI_BITS, "3.6 sie is mie with mvien all ones"
	TRY	U, INTR(IRQ_VEI), "3.6 24 is taken with mvien all ones", nop
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.6 24 goes to HS with mvien all ones"
	csrw	CSR_MVIEN, zero
	csrw	CSR_MIE, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
