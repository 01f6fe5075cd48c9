/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 4.2 and 4.3, entry: what the handler sees, from U, VS and VU; the
 * frame; what is swapped, and what stays; that the lowest VEIID is claimed, its
 * descriptor read anew each time, and the load reservation dropped; 2.6 in it.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,smstateen=true,xhaiov=on smp=2
 */
#include "hcs.h"

#define PATTERN(n)	(0x1357246800000000 + (n) * 0x0123456789)

/* x1..x31 but tp, the area, without which the harness cannot look */
.macro EACH_REG do
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	\do	\n
	.endr
.endm
.macro LOAD_IT n
	li	x\n, PATTERN(\n)
.endm
.macro SAVED n
	li	t6, HCS_FRAME(7)
	ld	t5, 8 * \n(t6)
	li	t6, PATTERN(\n)
	xor	t5, t5, t6
	or	s4, s4, t5
.endm

.macro ENTRY mode, text
	HCS
	CSRW	CSR_UTVEC, 0x123454
	CSRW	CSR_UEPC, -2
	CSRW	CSR_UCAUSE, -1
	CSRW	CSR_UTVAL, -1
	CSRW	CSR_UTINST, -1
	CSRW	CSR_HVEICTL, 0x8000000000001234
	CSRW	CSR_HUEDELEG, VEI_BITS
	CSRW	CSR_VSSCRATCH, 0x7575
	EVENT	11
	EVENT	7
	CSRW	CSR_STVAL, 0x5151
	IN	\mode
7800:	nop
	ENDIN
	SWITCHED \mode, 7, 7800b, "4.2 \text: what the handler sees"
	UNSWAPPED 7, "4.2 \text"
	CSR_IS	CSR_UTVEC, -1, 0x123454, "4.2 \text: utvec is untouched"
	CSR_IS	CSR_UIE, -1, UIE_UEIE, "4.2 \text: uie is untouched"
	CSR_IS	CSR_HVEICTL, -1, 0x8000000000001234, "4.2 \text: hveictl is untouched"
	CSR_IS	CSR_HUEDELEG, -1, VEI_BITS, "4.2 \text: huedeleg is untouched"
	CSR_IS	CSR_VSSCRATCH, -1, 0x7575, "4.2 \text: vsscratch is untouched"
	CSR_IS	CSR_VSATP, -1, 0, "4.2 \text: vsatp is untouched"
	CSR_IS	CSR_STVAL, -1, 0x5151, "4.2 \text: stval is untouched"
	VEIC_IS	EIP(0, 0), BIT(11), "4.2 \text: the lowest VEIID is claimed, it alone"
	CSR_IS	CSR_UIP, -1, UIP_UEIP, "4.2 \text: UEIP for the other one"
	VEIC_IS	VEIC_MISSES, 0, "4.2 \text: no miss is counted"
	/* all registers were zero */
	li	s4, 0
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	t5, UREGS + 8 * \n(tp)
	or	s4, s4, t5
	.endr
	EXPECT	s4, 0, "4.3 \text: x1..x31 are zero"
	csrw	CSR_USTATUS, zero
.endm

/* all of x1..x31 in the frame, each in its slot */
.macro STORED mode, text
	HCS
	EVENT	7
	la	a7, 7811f
	li	a6, \mode
	/* in M, nothing is taken: the registers are filled before the return */
	csrw	CSR_SEPC, a7
	csrw	CSR_MEPC, a7
	sd	sp, SAVE+8(tp)
	la	t0, 7812f
	sd	t0, SAVE+0(tp)
	sd	s0, SAVE+16(tp)
	sd	s1, SAVE+24(tp)
	li	t0, 1
	sd	t0, RUNNING(tp)
	CSRC	CSR_HSTATUS, HSTATUS_SPV
	li	t0, MSTATUS_SPP | MSTATUS_SPIE
	csrc	CSR_MSTATUS, t0
	.if	(\mode) >> 2
	CSRS	CSR_HSTATUS, HSTATUS_SPV
	.endif
	.if	(\mode) & 1
	CSRS	CSR_MSTATUS, MSTATUS_SPP
	.endif
	EACH_REG LOAD_IT
	sret
7811:	nop
	j	7811b
7812:	EXPECT	a0, TAKEN, "4.1 \text, registers full: taken"
	li	s4, 0
	EACH_REG SAVED
	EXPECT	s4, 0, "4.3 \text: each register is in its slot of the frame"
	li	t6, HCS_FRAME(7)
	ld	t5, 8 * 4(t6)
	EXPECTR	t5, tp, "4.3 \text: x4 is in its slot"
	ld	t5, 0(t6)
	EXPECT	t5, -1, "4.3 \text: slot 0 of the frame is not written"
	ld	t5, -8(t6)
	EXPECT	t5, -1, "4.3 \text: nothing is written below the frame"
	ld	t5, 256(t6)
	EXPECT	t5, -1, "4.3 \text: nothing is written above the frame"
	li	s4, 0
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	t5, UREGS + 8 * \n(tp)
	or	s4, s4, t5
	.endr
	EXPECT	s4, 0, "4.3 \text: x1..x31 are zero in the handler, full before"
	csrw	CSR_USTATUS, zero
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	ENTRY	U, "from U"
	ENTRY	VS, "from VS"
	ENTRY	VU, "from VU"
	STORED	U, "from U"
	STORED	VS, "from VS"
	STORED	VU, "from VU"

	/* ustatus: UPP, UPV get their values, TUR stays */
	.irp	before, USTATUS_UPP | USTATUS_UPV, USTATUS_UHCS, 0
	HCS
	CSRW	CSR_USTATUS, USTATUS_TUR | (\before)
	EVENT	7
	IN	U
	nop
	ENDIN
	CSR_IS	CSR_USTATUS, -1, USTATUS_HCS(U) | USTATUS_TUR, "4.2 ustatus from U, TUR=1 and \before before"
	csrw	CSR_USTATUS, zero
	.endr

	/* the descriptor is read at each entry, from memory */
	HCS
	EVENT	7
	TRY	U, TAKEN, "4.2 first entry", nop
	csrw	CSR_USTATUS, zero
	DESC_W	7, DESC_SUSCRATCH, 0xabcdef
	DESC_W	7, DESC_SUATP, HCS_SATP(0x55)
	DESC_W	7, DESC_FRAME, HCS_FRAME(3)
	EVENT	7
	TRY	U, TAKEN, "4.2 second entry, descriptor changed in between", nop
	CSR_IS	CSR_SUSCRATCH, -1, 0xabcdef, "4.2 descriptors are not cached: suscratch"
	CSR_IS	CSR_SUATP, -1, HCS_SATP(0x55), "4.2 descriptors are not cached: suatp"
	CSR_IS	CSR_SUFRAME, -1, HCS_FRAME(3), "4.2 descriptors are not cached: suframe"
	csrw	CSR_USTATUS, zero
	li	t0, HCS_FRAME(3)
	ld	t5, 8 * 4(t0)
	EXPECTR	t5, tp, "4.2 descriptors are not cached: the frame"

	/* VDTBASE: another table; a VEIID of the last word */
	HCS
	VEIC_W	VEIC_VDTBASE, VDT + 0x100000
	VEIC_W	EUT(0, 15), 1 << 63
	VEIC_W	EIE(0, 15), 1 << 63
	li	t0, HCS_DESC(0, 7)
	li	t1, HCS_DESC(0, 1023) + 0x100000
	.irp	field, 0, 8, 16, 24, 32, 40, 48, 56
	ld	t2, \field(t0)
	sd	t2, \field(t1)
	.endr
	VEIC_W	EIP(0, 15), 1 << 63
	IN	U
7800:	nop
	ENDIN
	SWITCHED U, 1023, 7800b, "3.7 the descriptor of VEIID 1023 behind VDTBASE"
	csrw	CSR_USTATUS, zero

	/* CTL=0 stops sends, not delivery */
	HCS
	EVENT	7
	VEIC_W	VEIC_CTL, 0
	TRY	U, TAKEN, "3.7 CTL=0: what is pending is taken", nop
	csrw	CSR_USTATUS, zero

	/* the order of VEIIDs, over words, supervisor ones left out */
	HCS
	VEIC_W	EUT(0, 0), BIT(8) | BIT(11)
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8) | BIT(11)
	EVENT	7
	EVENT	11
	EVENT	8
	CSR_IS	CSR_MIP, BIT(24), BIT(24), "harness: 7 is a supervisor VEIID"
	.irp	id, 8, 11
	TRY	U, TAKEN, "4.2 VEIID \id is taken in its turn", nop
	csrr	t5, CSR_UTVAL
	EXPECT	t5, \id, "4.2 the lowest user VEIID is \id"
	csrw	CSR_USTATUS, zero
	.endr
	VEIC_IS	EIP(0, 0), BIT(7), "4.2 a supervisor VEIID is not claimed"
	TRY	U, ENDED, "4.1 nothing is taken for a supervisor VEIID", nop

	/* interrupt 25 clears when an HCS is taken */
	HCS
	csrw	CSR_UIE, zero
	EVENT	7
	EVENT	8
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "harness: 25 is pending"
	CSRW	CSR_UIE, UIE_UEIE
	TRY	U, TAKEN, "3.5 taken with 25 pending", nop
	CSR_IS	CSR_MIP, BIT(25), 0, "3.5 25 clears when an HCS is taken, UEIP still 1"
	CSR_IS	CSR_UIP, -1, UIP_UEIP, "3.5 UEIP is still 1"
	csrw	CSR_USTATUS, zero
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "3.5 UACT cleared by HS: D, for the other VEIID"

	/* the load reservation */
	HCS
	HANDLER_OF 7
	csrr	a0, CSR_UEPC
	li	a4, HCS_FRAME(1)
	li	a3, 0x66
	sc.d	a0, a3, (a4)
	snez	a0, a0
	li	a7, MAGIC_END
	ecall
	ENDHANDLER
	IN	U
	li	a4, HCS_FRAME(1)
	li	a5, VEIC + EIP(0, 0)
	li	a3, BIT(7)
	lr.d	a0, (a4)
	sd	a3, 0(a5)
7800:	j	7800b
	ENDIN
	EXPECT	a0, ENDED, "4.2 SC in the handler, LR before it: no trap"
	EXPECT	a1, 1, "4.2 entry drops the load reservation: SC fails"
	csrw	CSR_USTATUS, zero

	/* 2.6: FP is illegal, senvcfg acts as if it were 0; access rights of U */
	HCS
	CSRS	CSR_MSTATUS, MSTATUS_FS
	HANDLER_OF 7
7820:	fadd.d	fa0, fa0, fa0
	ENDHANDLER
	EVENT	7
	IN	U
	nop
	ENDIN
	EXPECT	a0, ILLEGAL, "2.6 FP in a handler is illegal"
	ld	t5, REC_EPC(tp)
	la	t6, 7820b
	EXPECTR	t5, t6, "2.6 FP in a handler is illegal: there"
	csrw	CSR_USTATUS, zero
	HCS
	CSRS	CSR_MENVCFG, ENVCFG_CBO
	CSRW	CSR_SENVCFG, ENVCFG_CBO
	HANDLER_OF 7
7820:	ARCH	zicboz, cbo.zero 0(a2)
	ENDHANDLER
	EVENT	7
	TRY	U, ILLEGAL, "2.6 senvcfg acts as 0 in a handler", nop
	csrw	CSR_USTATUS, zero
	csrw	CSR_SENVCFG, zero
	HCS
	HANDLER_OF 7
	csrw	CSR_UEPC, zero
	ENDHANDLER
	EVENT	7
	TRY	U, ILLEGAL, "1 uepc is not writable with UHCS=1", nop
	csrw	CSR_USTATUS, zero
	.irp	csr, CSR_SUSCRATCH, CSR_SUATP, CSR_SUUSCRATCH, CSR_SUFRAME, CSR_SATP, CSR_SSCRATCH
	HCS
	HANDLER_OF 7
	csrr	a0, \csr
	ENDHANDLER
	EVENT	7
	TRY	U, ILLEGAL, "1 \csr is not for the handler", nop
	csrw	CSR_USTATUS, zero
	.endr

	/* pc: as from utvec, the low two bits count not; the CSR is not used */
	HCS
	la	t0, uer_record
	addi	t0, t0, 3
	li	t6, HCS_DESC(0, 7) + DESC_UTVEC
	sd	t0, 0(t6)
	csrw	CSR_UTVEC, zero
	EVENT	7
	TRY	U, TAKEN, "4.2 the descriptor's utvec: direct mode", nop
	csrw	CSR_USTATUS, zero
	/* to where it cannot fetch: a fault of the handler, in its frame */
	HCS
	DESC_W	7, DESC_UTVEC, 0x4000000000
	EVENT	7
	TRY	U, FETCH_PAGE, "4.2 a handler that cannot be fetched: its fault", nop
	ld	t5, REC_EPC(tp)
	EXPECT	t5, 0x4000000000, "4.2 a handler that cannot be fetched: the pc"
	CSR_IS	CSR_USTATUS, -1, USTATUS_HCS(U), "4.2 a handler that cannot be fetched: in its frame"
	UNSWAPPED 7, "4.4 a handler that cannot be fetched"
	csrw	CSR_USTATUS, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
