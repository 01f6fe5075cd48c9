/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 1, the fields and legal values of each CSR, TVM on suatp,
 * hstatus.HUR, misa.N, medeleg and mideleg, bits 24 and 25 of hedeleg, hideleg,
 * hvip, vsip and vsie. (hvien, mvien: aia.S.)
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,c=false,xhaiov=on smp=1
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"

/* write all ones from HS, then all zeros */
.macro KEEPS name, num, mask
	IN	HS
	li	a1, -1
	csrw	\num, a1
	csrr	a0, \num
	ENDIN
	EXPECT	a1, \mask, "1 \name: the bits that can be set"
	csrr	t5, \num
	EXPECT	t5, \mask, "1 \name: M sees the same"
	IN	HS
	csrw	\num, zero
	csrr	a0, \num
	ENDIN
	EXPECT	a1, 0, "1 \name: all bits can be cleared"
.endm

/* each bit on its own: nothing but itself, and only if it is in the mask */
.macro EACH_BIT name, num, mask
	li	s1, 1
	li	s2, \mask
	li	s3, 0			/* bits that did not behave */
7100:	csrw	\num, s1
	csrr	t0, \num
	and	t1, s1, s2
	beq	t0, t1, 7101f
	or	s3, s3, s1
7101:	slli	s1, s1, 1
	bnez	s1, 7100b
	EXPECT	s3, 0, "1 \name: each bit alone, reserved ones read 0"
	csrw	\num, zero
.endm

/* a value in two registers must be kept alike; M-mode uses neither */
.macro ALIKE new, old, value, text
	li	t6, \value
	csrw	\new, t6
	csrw	\old, t6
	csrr	t4, \old
	csrr	t5, \new
	EXPECTR	t5, t4, "\text"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	call	fresh

	KEEPS	ustatus, 0x000, 0x1f00
	EACH_BIT ustatus, 0x000, 0x1f00
	KEEPS	uie, 0x004, 0x100
	EACH_BIT uie, 0x004, 0x100
	KEEPS	uscratch, 0x040, -1
	EACH_BIT uscratch, 0x040, -1
	KEEPS	ucause, 0x042, -1
	EACH_BIT ucause, 0x042, -1
	KEEPS	utval, 0x043, -1
	EACH_BIT utval, 0x043, -1
	KEEPS	uip, 0x044, 0
	EACH_BIT uip, 0x044, 0
	KEEPS	utinst, 0x810, -1
	EACH_BIT utinst, 0x810, -1
	KEEPS	suscratch, 0x5d0, -1
	EACH_BIT suscratch, 0x5d0, -1
	KEEPS	stopvei, 0x5d3, 0
	KEEPS	suuscratch, 0x5d4, -1
	EACH_BIT suuscratch, 0x5d4, -1
	KEEPS	suframe, 0x5d5, 0x00ffffffffffff00
	EACH_BIT suframe, 0x5d5, 0x00ffffffffffff00
	KEEPS	huedeleg, 0x6c0, 0x3000000
	EACH_BIT huedeleg, 0x6c0, 0x3000000
	KEEPS	hveictl, 0x6c1, 0x800000000000ffff
	EACH_BIT hveictl, 0x6c1, 0x800000000000ffff

	/* uepc as sepc. QEMU 10.0 lets sepc keep bit 0: only that bit is not
	 * compared, but checked to be 0. */
	ALIKE	CSR_UEPC, CSR_SEPC, -2, "1 uepc: all ones but bit 0 are kept as sepc keeps them"
	ALIKE	CSR_UEPC, CSR_SEPC, 0x5555555555555554, "1 uepc: 0x55... as sepc"
	ALIKE	CSR_UEPC, CSR_SEPC, 0xaaaaaaaaaaaaaaaa, "1 uepc: 0xaa... as sepc"
	ALIKE	CSR_UEPC, CSR_SEPC, 0, "1 uepc: zero"
	CSRW	CSR_UEPC, 1
	CSR_IS	CSR_UEPC, -1, 0, "1 uepc: bit 0 is 0"
	CSRW	CSR_UEPC, -1
	CSR_IS	CSR_UEPC, 1, 0, "1 uepc: bit 0 is 0 after a write of ones"

	/* utvec as stvec, direct mode only */
	ALIKE	CSR_UTVEC, CSR_STVEC, -4, "1 utvec: all ones but the mode are kept as stvec keeps them"
	ALIKE	CSR_UTVEC, CSR_STVEC, 0x5555555555555554, "1 utvec: 0x55... as stvec"
	ALIKE	CSR_UTVEC, CSR_STVEC, 0xaaaaaaaaaaaaaaa8, "1 utvec: 0xaa... as stvec"
	CSRW	CSR_UTVEC, 0x123456789abd
	csrr	t5, CSR_UTVEC
	EXPECT	t5, 0x123456789abc, "1 utvec: vectored mode is kept as direct mode"
	CSRW	CSR_UTVEC, 0x123456789abe
	CSR_IS	CSR_UTVEC, 3, 0, "1 utvec: low bits 10 read 0"
	CSRW	CSR_UTVEC, 0x123456789abf
	CSR_IS	CSR_UTVEC, 3, 0, "1 utvec: low bits 11 read 0"
	csrw	CSR_UTVEC, zero
	la	t0, s_trap
	csrw	CSR_STVEC, t0

	/* suatp: WARL as satp */
	.irp	mode, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	CSRW	CSR_SATP, 0x8000000000000001
	CSRW	CSR_SUATP, 0x8000000000000001
	ALIKE	CSR_SUATP, CSR_SATP, (\mode << 60) | 0x0123456789abcde, "1 suatp: mode \mode is kept or ignored as in satp"
	.endr
	CSRW	CSR_SATP, 0x8000000000000001
	CSRW	CSR_SUATP, 0x8000000000000001
	ALIKE	CSR_SUATP, CSR_SATP, 0x8fffffffffffffff, "1 suatp: ASID and PPN are as wide as in satp"
	ALIKE	CSR_SUATP, CSR_SATP, 0x8000000000000000, "1 suatp: ASID and PPN 0"
	ALIKE	CSR_SUATP, CSR_SATP, 0, "1 suatp: zero"
	/* a known value, so that alike is not just both 0 */
	CSRW	CSR_SUATP, 0x8000100000080123
	csrr	t5, CSR_SUATP
	EXPECT	t5, 0x8000100000080123, "1 suatp: an Sv39 value is kept"
	CSRW	CSR_SUATP, 0xf000200000080456
	csrr	t5, CSR_SUATP
	EXPECT	t5, 0x8000100000080123, "1 suatp: a write of a reserved mode has no effect"
	csrw	CSR_SATP, zero

	/* suatp obeys mstatus.TVM */
	CSRS	CSR_MSTATUS, MSTATUS_TVM
	TRY	HS, ILLEGAL, "1 suatp: reading in HS with TVM=1 is illegal", csrr a0, CSR_SUATP
	TRY	HS, ILLEGAL, "1 suatp: writing in HS with TVM=1 is illegal", csrw CSR_SUATP, zero
	TRY	HS, ILLEGAL, "1 suatp: csrrwi in HS with TVM=1 is illegal", csrrwi a0, CSR_SUATP, 0
	TRY	VS, VIRTUAL, "1 suatp: VS with TVM=1 is still a virtual-instruction exception", csrr a0, CSR_SUATP
	TRY	U, ILLEGAL, "1 suatp: U with TVM=1 is illegal", csrr a0, CSR_SUATP
	TRY	M, ENDED, "1 suatp: TVM does not bind M", csrr a0, CSR_SUATP
	EXPECT	a1, 0x8000100000080123, "1 suatp: refused writes changed nothing"
	.irp	num, 0x000, 0x004, 0x005, 0x040, 0x041, 0x042, 0x043, 0x044, 0x810, 0x5d0, \
		0x5d2, 0x5d3, 0x5d4, 0x5d5, 0x6c0, 0x6c1
	TRY	HS, ENDED, "1 CSR \num: TVM does not gate it", csrr a0, \num
	.endr
	CSRC	CSR_MSTATUS, MSTATUS_TVM
	TRY	HS, ENDED, "1 suatp: HS reads again with TVM=0", csrr a0, CSR_SUATP
	csrw	CSR_SUATP, zero

	/* hstatus.HUR */
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	IN	HS
	li	a1, HSTATUS_HUR
	csrs	CSR_HSTATUS, a1
	csrr	a0, CSR_HSTATUS
	ENDIN
	li	t0, HSTATUS_HUR
	and	t5, a1, t0
	EXPECT	t5, HSTATUS_HUR, "1 hstatus: HUR can be set from HS"
	IN	HS
	li	a1, HSTATUS_HUR
	csrc	CSR_HSTATUS, a1
	csrr	a0, CSR_HSTATUS
	ENDIN
	and	t5, a1, t0
	li	t0, HSTATUS_HUR
	and	t5, a1, t0
	EXPECT	t5, 0, "1 hstatus: HUR can be cleared from HS"

	CSR_IS	CSR_MISA, 1 << 13, 0, "0 misa.N stays 0"
	CSRS	CSR_MISA, 1 << 13
	CSR_IS	CSR_MISA, 1 << 13, 0, "0 misa.N cannot be set"

	/* delegation */
	csrw	CSR_MEDELEG, zero
	csrw	CSR_MIDELEG, zero
	CSR_IS	CSR_MEDELEG, VEI_BITS, VEI_BITS, "1 medeleg: bits 24, 25 read 1 after a write of 0"
	CSR_IS	CSR_MIDELEG, VEI_BITS, VEI_BITS, "1 mideleg: bits 24, 25 read 1 after a write of 0"
	CSRC	CSR_MEDELEG, VEI_BITS
	CSRC	CSR_MIDELEG, VEI_BITS
	CSR_IS	CSR_MEDELEG, VEI_BITS, VEI_BITS, "1 medeleg: csrrc does not clear bits 24, 25"
	CSR_IS	CSR_MIDELEG, VEI_BITS, VEI_BITS, "1 mideleg: csrrc does not clear bits 24, 25"
	CSRW	CSR_MEDELEG, -1
	CSRW	CSR_MIDELEG, -1
	CSR_IS	CSR_MEDELEG, VEI_BITS, VEI_BITS, "1 medeleg: bits 24, 25 read 1 after a write of ones"
	CSR_IS	CSR_MIDELEG, VEI_BITS, VEI_BITS, "1 mideleg: bits 24, 25 read 1 after a write of ones"
	csrw	CSR_MEDELEG, zero
	CSRW	CSR_MIDELEG, BIT(IRQ_SSI)
	csrr	t5, CSR_MEDELEG
	EXPECT	t5, VEI_BITS, "1 medeleg: no other bit sticks"
	CSR_IS	CSR_MIDELEG, VEI_BITS | 0x222, VEI_BITS | BIT(IRQ_SSI), "1 mideleg: the other bits as written"
	csrw	CSR_MIDELEG, zero

	/*
	 * The guest's view, with both interrupts pending, enabled in HS and as
	 * much delegated to VS as can be.
	 */
	FRESH
	ROUTE	RT0, 1, 5, 0
	ROUTE	RT0, 2, 6, 0
	VEIC_W	EIE(0, 0), BIT(5) | BIT(6)
	VEIC_W	EUT(0, 0), BIT(6)
	SEND	1, 1
	SEND	1, 2
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "3.3 mip has 24 and 25 pending"
	CSRW	CSR_HEDELEG, -1
	CSRW	CSR_HIDELEG, -1
	CSRW	CSR_MIE, VEI_BITS
	CSR_IS	CSR_MIE, VEI_BITS, VEI_BITS, "3.6 mie: bits 24, 25 can be set"
	CSR_IS	CSR_HEDELEG, VEI_BITS, 0, "1 hedeleg: bits 24, 25 read 0 after a write of ones"
	CSR_IS	CSR_HIDELEG, VEI_BITS, 0, "1 hideleg: bits 24, 25 read 0 after a write of ones"
	CSR_IS	CSR_VSIP, VEI_BITS, 0, "1 vsip: bits 24, 25 read 0 while 24, 25 are pending"
	CSR_IS	CSR_VSIE, VEI_BITS, 0, "1 vsie: bits 24, 25 read 0 while 24, 25 are enabled"
	CSRW	CSR_VSIE, -1
	CSR_IS	CSR_VSIE, VEI_BITS, 0, "1 vsie: bits 24, 25 read 0 after a write of ones"
	CSRW	CSR_MIE, BIT(IRQ_SSI)
	CSRW	CSR_VSIE, -1
	CSR_IS	CSR_MIE, VEI_BITS, 0, "1 vsie: a write of ones does not reach mie"
	CSRW	CSR_MIE, VEI_BITS
	csrw	CSR_VSIE, zero
	CSR_IS	CSR_MIE, VEI_BITS, VEI_BITS, "1 vsie: a write of 0 does not reach mie"
	csrw	CSR_VSIP, zero
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "1 vsip: a write of 0 does not reach mip"
	csrw	CSR_HVIP, zero
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "1 hvip: a write of 0 does not reach mip"
	csrw	CSR_MIE, zero
	/* seen from VS: sip and sie are vsip and vsie */
	IN	VS
	li	a1, -1
	csrw	CSR_SIE, a1
	csrr	a0, CSR_SIE
	ENDIN
	EXPECT	a0, ENDED, "1 sie in VS is allowed"
	li	t0, VEI_BITS
	and	t5, a1, t0
	EXPECT	t5, 0, "1 sie in VS: bits 24, 25 read 0"
	IN	VS
	li	a1, -1
	csrw	CSR_SIP, a1
	csrr	a0, CSR_SIP
	ENDIN
	li	t0, VEI_BITS
	and	t5, a1, t0
	EXPECT	t5, 0, "1 sip in VS: bits 24, 25 read 0"
	csrw	CSR_VSIE, zero

	/* nothing pending: ones do not get there either */
	VEIC_W	EIPCLR(0, 0), -1
	CSR_IS	CSR_MIP, VEI_BITS, 0, "3.3 mip: 24 and 25 are gone with their cause"
	CSRW	CSR_HVIP, -1
	CSR_IS	CSR_HVIP, VEI_BITS, 0, "1 hvip: bits 24, 25 read 0 after a write of ones"
	CSR_IS	CSR_MIP, VEI_BITS, 0, "1 hvip: a write of ones does not reach mip"
	csrw	CSR_HVIP, zero
	CSRW	CSR_VSIP, -1
	CSR_IS	CSR_VSIP, VEI_BITS, 0, "1 vsip: bits 24, 25 read 0 after a write of ones"
	CSR_IS	CSR_MIP, VEI_BITS, 0, "1 vsip: a write of ones does not reach mip"
	csrw	CSR_VSIP, zero
	csrw	CSR_HIDELEG, zero
	csrw	CSR_HEDELEG, zero

	/* with the VS bits delegated to nobody the same */
	CSRW	CSR_HVIP, VEI_BITS
	CSR_IS	CSR_HVIP, VEI_BITS, 0, "1 hvip: bits 24, 25 alone, hideleg=0"
	CSR_IS	CSR_MIP, VEI_BITS, 0, "1 hvip: bits 24, 25 alone do not reach mip"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
