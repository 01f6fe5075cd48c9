/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.4 and 2.5, URET: where it is an illegal instruction, and that nothing
 * changes then; where it goes, what it clears, that it drops the reservation and
 * touches nothing else; TUR, and URET finished by software. (UHCS=1 with a good
 * suframe is section 4's.)
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,smstateen=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
#define WORD	0x85110000

/* the u-CSRs as a frame has them; ustatus last, it makes the frame */
.macro FRAME bits, pc
	la	t6, \pc
	csrw	CSR_UEPC, t6
	CSRW	CSR_UCAUSE, STORE_MMIO
	CSRW	CSR_UTVAL, 0x123456789a
	CSRW	CSR_UTINST, T_STORE(2, 13)
	CSRW	CSR_USCRATCH, 0x5678
	CSRW	CSR_USTATUS, \bits
.endm
.macro FRAME_IS bits, pc, text
	csrr	t5, CSR_USTATUS
	EXPECT	t5, \bits, "2.4 \text: ustatus"
	csrr	t5, CSR_UEPC
	la	t6, \pc
	EXPECTR	t5, t6, "2.4 \text: uepc"
	csrr	t5, CSR_UCAUSE
	csrr	t6, CSR_UTVAL
	xor	t5, t5, t6
	csrr	t6, CSR_UTINST
	xor	t5, t5, t6
	csrr	t6, CSR_USCRATCH
	xor	t5, t5, t6
	EXPECT	t5, STORE_MMIO ^ 0x123456789a ^ T_STORE(2, 13) ^ 0x5678, "2.4 \text: ucause, utval, utinst, uscratch"
.endm

/* every CSR of HS and VS that URET could touch, in one number */
.macro CSR_SUM reg
	li	\reg, 0
	.irp	csr, CSR_SSCRATCH, CSR_SATP, CSR_SCAUSE, CSR_STVAL, CSR_HTVAL, CSR_HTINST, \
		CSR_HGATP, CSR_VSATP, CSR_VSSTATUS, CSR_VSSCRATCH, CSR_VSEPC, CSR_VSCAUSE, \
		CSR_VSTVAL, CSR_VSTVEC, CSR_STVEC, CSR_UTVEC, CSR_UIE, CSR_HUEDELEG, \
		CSR_SUSCRATCH, CSR_SUATP, CSR_SUUSCRATCH, CSR_SUFRAME, CSR_HEDELEG, CSR_HIDELEG, \
		CSR_SENVCFG, CSR_HENVCFG, CSR_SCOUNTEREN
	slli	t5, \reg, 3
	sub	\reg, t5, \reg
	csrr	t5, \csr
	add	\reg, \reg, t5
	.endr
.endm

/* URET, a jump to it, is legal: it goes to 7802, in `mode`, which calls M */
.macro LEGAL bits, mode, cause, text
	FRAME	\bits, 7802f
	CSR_SUM	s2
	csrr	s3, CSR_HSTATUS
	IN	U
	li	a0, 1
	li	a1, 2
	URET
	/* not reached */
	li	a0, 99
	li	a7, 0
	ecall
7802:	li	a7, 0
7803:	ecall
	ENDIN
	EXPECT	a0, \cause, "2.4 \text: it returns to its mode"
	EXPECT	a1, 1, "2.4 \text: x10 is what it was"
	ld	t5, REC_EPC(tp)
	la	t6, 7803b
	EXPECTR	t5, t6, "2.4 \text: pc = uepc"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_MPV | MSTATUS_MPP
	and	t5, t5, t6
	EXPECT	t5, ((\mode) >> 2 << 39) | (((\mode) & 1) << 11), "2.4 \text: the mode"
	FRAME_IS (\bits) & USTATUS_TUR, 7802b, "\text"
	CSR_SUM	s4
	EXPECTR	s4, s2, "2.4 \text: no other CSR changes"
	ld	t5, REC_HSTATUS(tp)
	EXPECTR	t5, s3, "2.4 \text: hstatus does not change"
.endm

.macro REFUSE mode, bits, text
	FRAME	\bits, 7802f
	CSR_SUM	s2
	IN	\mode
	li	a0, SENTINEL
7801:	URET
7802:	li	a7, 0
	ecall
	ENDIN
	EXPECT	a0, ILLEGAL, "2.4 \text: illegal instruction"
	EXPECT	a1, SENTINEL, "2.4 \text: x10 is what it was"
	ld	t5, REC_EPC(tp)
	la	t6, 7801b
	EXPECTR	t5, t6, "2.4 \text: the trap's pc is the URET"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_MPV | MSTATUS_MPP
	and	t5, t5, t6
	EXPECT	t5, ((\mode) >> 2 << 39) | (((\mode) & 3) << 11), "2.4 \text: the mode is what it was"
	FRAME_IS \bits, 7802b, "\text"
	CSR_SUM	s4
	EXPECTR	s4, s2, "2.4 \text: no other CSR changes"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	/* the partner registers are alike, so that 4.4 shows nothing with UHCS=1 */
	csrw	CSR_SSCRATCH, zero
	csrw	CSR_SUSCRATCH, zero
	csrw	CSR_SUATP, zero
	CSRW	CSR_SUUSCRATCH, 0x5678

	/* legal */
	LEGAL	USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, VS, ECALL_VS, "URET to VS"
	VSATP	VU
	LEGAL	USTATUS_UACT | USTATUS_UPV, VU, ECALL_U, "URET to VU"
	LEGAL	USTATUS_UACT, U, ECALL_U, "URET to U"
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	LEGAL	USTATUS_UACT, U, ECALL_U, "URET to U with HUR=0"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	VSATP	VS
	csrw	CSR_HUEDELEG, zero
	LEGAL	USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, VS, ECALL_VS, "URET to VS with huedeleg=0"
	CSRW	CSR_HUEDELEG, VEI_BITS
	/* hstatus of every kind: URET neither uses nor changes it, HUR excepted */
	CSRS	CSR_HSTATUS, HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA | HSTATUS_HU
	LEGAL	USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, VS, ECALL_VS, "URET to VS, hstatus bits set"
	LEGAL	USTATUS_UACT, U, ECALL_U, "URET to U, hstatus bits set"
	/* TSR is for SRET */
	CSRS	CSR_MSTATUS, MSTATUS_TSR
	LEGAL	USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, VS, ECALL_VS, "URET to VS with TSR=1"
	CSRC	CSR_MSTATUS, MSTATUS_TSR

	/* in U with UACT=1: each condition */
	.irp	rest, USTATUS_UPV | USTATUS_UPP, USTATUS_UPV, 0
	REFUSE	U, USTATUS_UACT | USTATUS_TUR | (\rest), "TUR=1, other bits \rest"
	.endr
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	REFUSE	U, USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, "UPV=1, UPP=1, HUR=0"
	REFUSE	U, USTATUS_UACT | USTATUS_UPV, "UPV=1, UPP=0, HUR=0"
	REFUSE	U, USTATUS_UACT | USTATUS_UPP, "UPV=0, UPP=1, HUR=0"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	REFUSE	U, USTATUS_UACT | USTATUS_UPP, "UPV=0, UPP=1"
	REFUSE	U, USTATUS_UACT | USTATUS_UPP | USTATUS_TUR, "UPV=0, UPP=1, TUR=1"

	/* UHCS=1: a frame address that is not RAM */
	.irp	where, 0, 0x1000, FINISHER, UART, 0x20000000, 0x40000000, 0x88000000, 0xffffffffffff00
	CSRW	CSR_SUFRAME, \where
	REFUSE	U, USTATUS_UACT | USTATUS_UHCS, "UHCS=1, suframe=\where, to U"
	REFUSE	U, USTATUS_UACT | USTATUS_UHCS | USTATUS_UPV | USTATUS_UPP, "UHCS=1, suframe=\where, to VS"
	.endr
	/* the other conditions hold with UHCS=1 and a good frame address, too */
	CSRW	CSR_SUFRAME, WORD
	REFUSE	U, USTATUS_UACT | USTATUS_UHCS | USTATUS_TUR, "UHCS=1, TUR=1"
	REFUSE	U, USTATUS_UACT | USTATUS_UHCS | USTATUS_UPP, "UHCS=1, UPV=0, UPP=1"
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	REFUSE	U, USTATUS_UACT | USTATUS_UHCS | USTATUS_UPV, "UHCS=1, UPV=1, HUR=0"
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	csrw	CSR_SUFRAME, zero

	/* U without a frame, whatever the other bits */
	REFUSE	U, 0, "U with UACT=0"
	REFUSE	U, USTATUS_UPV | USTATUS_UPP, "U with UACT=0, UPV=1, UPP=1"
	REFUSE	U, USTATUS_UPV, "U with UACT=0, UPV=1"
	REFUSE	U, USTATUS_UPV | USTATUS_UPP | USTATUS_UHCS | USTATUS_TUR, "U with every bit but UACT"
	/* other privileges and V=1, with and without a frame */
	.irp	bits, 0, USTATUS_UACT, USTATUS_UACT | USTATUS_UPV | USTATUS_UPP
	REFUSE	HS, (\bits), "HS, ustatus=\bits"
	REFUSE	M, (\bits), "M, ustatus=\bits"
	REFUSE	VS, (\bits), "VS, ustatus=\bits"
	VSATP	VU
	REFUSE	VU, (\bits), "VU, ustatus=\bits"
	VSATP	VS
	.endr

	/* only this encoding: rd, rs1, imm else are what they were, illegal */
	.irp	code, 0x002000f3, 0x00208073, 0x00204073, 0x00300073
	FRAME	USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, 7802f
	IN	U
	.insn	4, \code
7802:	li	a7, 0
	ecall
	ENDIN
	EXPECT	a0, ILLEGAL, "2.4 \code in a frame is illegal"
	CSR_IS	CSR_USTATUS, -1, USTATUS_UACT | USTATUS_UPV | USTATUS_UPP, "2.4 \code in a frame changes nothing"
	.endr
	csrw	CSR_USTATUS, zero

	/* delegated as any illegal instruction: HS takes it */
	CSRW	CSR_MEDELEG, BIT(ILLEGAL)
	FRAME	USTATUS_UACT | USTATUS_UPV | USTATUS_UPP | USTATUS_TUR, 7802f
	IN	U
7801:	URET
7802:	nop
	ENDIN
	EXPECT	a0, ILLEGAL, "2.5 URET with TUR=1: illegal instruction, delegated"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.5 URET with TUR=1: taken in HS"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, 0, "2.5 URET with TUR=1: SPV=0"
	ld	t5, REC_EPC(tp)
	la	t6, 7801b
	EXPECTR	t5, t6, "2.5 URET with TUR=1: sepc"
	CSR_IS	CSR_USTATUS, -1, USTATUS_UACT | USTATUS_UPV | USTATUS_UPP | USTATUS_TUR, "2.5 URET with TUR=1: the frame is whole"
	csrw	CSR_USTATUS, zero

	/*
	 * HS finishes it: sepc=uepc, SPV=1, SPP=SPVP=UPP, ustatus=0. The guest
	 * goes on behind its load with the value that the handler left in x10.
	 */
	UER
	CSRW	CSR_MEDELEG, BIT(ILLEGAL)
	la	t0, 7430f
	csrw	CSR_STVEC, t0
	HANDLER
	li	a0, 0x4321
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	URET
	ENDHANDLER
	.irp	upp, 1, 0
	.if	\upp
	VSATP	VS
	.else
	VSATP	VU
	.endif
	CSRW	CSR_USTATUS, USTATUS_TUR
	li	a2, GVA(PAGE) + AT
	li	a5, 0
	IN	VU | \upp
	ld	a0, 0(a2)
	li	a7, 0
	ecall
	ENDIN
	EXPECT	a0, ECALL_U + 2 * \upp, "2.5 HS finishes a URET that TUR stopped, UPP=\upp"
	EXPECT	a1, 0x4321, "2.5 HS finishes a URET that TUR stopped, UPP=\upp: x10 is the handler's"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_MPV
	and	t5, t5, t6
	EXPECTR	t5, t6, "2.5 HS finishes a URET that TUR stopped, UPP=\upp: in the guest"
	.endr
	VSATP	VS
	j	7431f
	.balign	4
7430:	csrr	t0, CSR_UEPC
	csrw	CSR_SEPC, t0
	csrr	t0, CSR_USTATUS
	andi	t1, t0, USTATUS_UPP
	li	t2, MSTATUS_SPP
	csrc	CSR_SSTATUS, t2
	csrc	CSR_HSTATUS, t2		/* SPVP: the same bit */
	csrs	CSR_SSTATUS, t1
	csrs	CSR_HSTATUS, t1
	li	t2, HSTATUS_SPV
	csrs	CSR_HSTATUS, t2
	csrw	CSR_USTATUS, zero
	sret
7431:	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MEDELEG, zero
	/* TUR holds across entry and stops the URET of a real frame; with TUR
	 * cleared by HS in mid-frame it goes through */
	CSRW	CSR_USTATUS, USTATUS_TUR
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, ILLEGAL, "2.5 TUR=1 set before the fault stops its URET"
	CSR_IS	CSR_USTATUS, -1, USTATUS_OF(VS) | USTATUS_TUR, "2.5 TUR=1 set before the fault: ustatus"
	CSRC	CSR_USTATUS, USTATUS_TUR
	/* go back into the handler, at its URET */
	ld	a2, REC_EPC(tp)
	IN	U
	jr	a2
	ENDIN
	EXPECT	a0, ENDED, "2.5 TUR cleared: the same URET goes through"
	CSR_IS	CSR_USTATUS, -1, 0, "2.5 TUR cleared: no frame is left"

	/* to where the returned-to context may not fetch: its own fault */
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	.irp	page, 0, 1
	.if	\page
	V_LEAF	PAGE, PTE_CODE
	.else
	V_LEAF	PAGE, 0
	.endif
	li	t6, GVA(PAGE) + AT
	csrw	CSR_UEPC, t6
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	IN	U
	URET
	ENDIN
	EXPECT	a0, FETCH_PAGE + \page * (FETCH_GUEST - FETCH_PAGE), "2.4 URET to a page that cannot be fetched, \page"
	ld	t5, REC_EPC(tp)
	EXPECT	t5, GVA(PAGE) + AT, "2.4 URET to a page that cannot be fetched, \page: the pc is uepc"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV | HSTATUS_SPVP
	EXPECT	t5, HSTATUS_SPV | HSTATUS_SPVP, "2.4 URET to a page that cannot be fetched, \page: from VS"
	CSR_IS	CSR_USTATUS, -1, 0, "2.4 URET to a page that cannot be fetched, \page: the frame is over"
	.endr
	V_LEAF	PAGE, PTE_RAM
	/* to a page of HS: U gains nothing */
	CSRW	CSR_SATP, SV39 | (H_ROOT >> 12)
	sfence.vma
	la	t6, test_main
	csrw	CSR_UEPC, t6
	CSRW	CSR_USTATUS, USTATUS_UACT
	la	a7, 7812f
	li	t0, ALIAS
	add	a7, a7, t0
	li	a6, U
	call	run_mode
	j	7813f
7812:	URET
7813:	EXPECT	a0, FETCH_PAGE, "2.4 URET to U at an address of HS: fetch page fault"
	ld	t5, REC_STATUS(tp)
	andi	t5, t5, MSTATUS_SPP
	EXPECT	t5, 0, "2.4 URET to U at an address of HS: from U"
	csrw	CSR_SATP, zero
	sfence.vma
	csrw	CSR_MEDELEG, zero
	csrw	CSR_USTATUS, zero

	/* the reservation: LR in the frame, SC behind URET, at the same address */
	.irp	to, VS, U
	li	s4, WORD
	li	t5, 0x55
	sd	t5, 0(s4)
	li	a4, WORD
	la	t6, 7802f
	csrw	CSR_UEPC, t6
	.if	(\to) - U
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	.else
	CSRW	CSR_USTATUS, USTATUS_UACT
	.endif
	IN	U
	li	a3, 0x66
	lr.d	a0, (a4)
	URET
7802:	sc.d	a0, a3, (a4)
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.4 SC behind URET to mode \to does not trap"
	snez	a1, a1
	EXPECT	a1, 1, "2.4 URET to mode \to drops the load reservation: SC fails"
	ld	t5, 0(s4)
	EXPECT	t5, 0x55, "2.4 URET to mode \to drops the load reservation: nothing is stored"
	.endr
	/* so a guest's LR and SC with MMIO between them fail */
	UER
	HANDLER
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	URET
	ENDHANDLER
	li	a4, WORD
	li	a2, GVA(PAGE) + AT
	IN	VS
	li	a3, 0x66
	lr.d	a0, (a4)
	sd	a3, 0(a2)
	sc.d	a0, a3, (a4)
	ENDIN
	EXPECT	a0, ENDED, "2.4 a guest's LR, MMIO, SC"
	snez	a1, a1
	EXPECT	a1, 1, "2.4 a guest's LR, MMIO, SC: it fails"

	/* bit 0 of uepc is 0; behind an instruction of two bytes */
	la	t6, 7802f
	addi	t6, t6, 1
	csrw	CSR_UEPC, t6
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	IN	U
	URET
7802:	li	a0, 7
	ENDIN
	EXPECT	a0, ENDED, "2.4 URET with an odd value written to uepc"
	EXPECT	a1, 7, "2.4 URET with an odd value written to uepc: to the even address"
	/* written by the handler itself */
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	IN	U
	la	a1, 7802f
	csrw	CSR_UEPC, a1
	URET
	li	a0, 1
	ret
7802:	li	a0, 8
	ENDIN
	EXPECT	a0, ENDED, "2.4 URET to where the handler points uepc"
	EXPECT	a1, 8, "2.4 URET to where the handler points uepc: there"

	/* a guest's own interrupt that became pending meanwhile is taken behind
	 * URET; a fault can be redirected again at once */
	CSRW	CSR_HIDELEG, BIT(IRQ_VSSI)
	CSRW	CSR_VSIE, 2
	li	t6, MSTATUS_SIE
	csrs	CSR_VSSTATUS, t6
	la	t6, 7806f
	csrw	CSR_VSTVEC, t6
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	la	t6, 7802f
	csrw	CSR_UEPC, t6
	CSRW	CSR_HVIP, BIT(IRQ_VSSI)
	IN	U
	.rept	8
	nop
	.endr
	URET
7802:	li	a1, 1000000
7803:	addi	a1, a1, -1
	bnez	a1, 7803b
	li	a0, 1
	ret
	.balign	4
7806:	csrr	a0, CSR_SCAUSE		/* vscause */
	csrr	a2, CSR_SEPC
	csrw	CSR_SIP, zero
	li	a7, MAGIC_END
	ecall
	ENDIN
	EXPECT	a0, ENDED, "2.4 an interrupt of VS behind URET"
	EXPECT	a1, INTR(1), "2.4 an interrupt of VS that waits is taken behind URET, not in the handler"
	csrr	t5, CSR_VSEPC
	la	t6, 7802b
	sltu	t4, t5, t6
	EXPECT	t4, 0, "2.4 an interrupt of VS that waits: vsepc is in the guest"
	csrw	CSR_HVIP, zero
	csrw	CSR_VSIE, zero
	csrw	CSR_HIDELEG, zero
	csrw	CSR_VSSTATUS, zero
	CSRS	CSR_VSSTATUS, MSTATUS_FS | MSTATUS_SUM
	li	a2, GVA(PAGE) + AT
	IN	VS
	li	a0, 0
	.rept	10
	ld	a5, 0(a2)
	addi	a0, a0, 1
	.endr
	ENDIN
	EXPECT	a0, ENDED, "2.4 ten faults, one after the other"
	EXPECT	a1, 10, "2.4 ten faults, one after the other: the guest went on each time"
	CSR_IS	CSR_USTATUS, -1, 0, "2.4 ten faults, one after the other: no frame is left"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
