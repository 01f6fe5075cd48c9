/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.3, the state at entry to the handler: each field of the u-CSRs, the
 * mode, pc = utvec, and all that stays as it was: x1..x31, f0..f31, satp and
 * sscratch, every other CSR of HS and of VS; the load reservation is dropped;
 * the handler is translated by satp.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
#define SAVED	0x85100000	/* CSRs as they were before the fault */
#define WORD	0x85110000	/* a word of RAM, mapped to itself everywhere */

/* x1..x31 but tp and the base register: a value of its own for each */
#define PATTERN(n)	(0x1357924680000000 + (n) * 0x0123456789)

.macro ALL_REGISTERS mode, base, text, insn:vararg
	IN	\mode
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.if	\n - \base
	li	x\n, PATTERN(\n)
	.else
	li	x\n, GVA(PAGE) + AT
	.endif
	.endr
7800:	\insn
	la	ra, snippet_end
	ENDIN
	csrw	CSR_USTATUS, zero
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, U, "2.3 \text: redirected"
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	t5, UREGS + 8 * \n(tp)
	.if	\n - \base
	EXPECT	t5, PATTERN(\n), "2.3 \text: x\n is the guest's"
	.else
	EXPECT	t5, GVA(PAGE) + AT, "2.3 \text: x\n is the guest's"
	.endif
	.endr
	ld	t5, UREGS + 8 * 4(tp)
	EXPECTR	t5, tp, "2.3 \text: x4 is the guest's"
.endm

/*
 * Every CSR that entry leaves alone, with a value that it may hold. What the
 * value becomes is read back when the fault is near, so that WARL is no matter.
 */
.macro EACH_KEPT do
	\do	sscratch, CSR_SSCRATCH, 0x1111000011110000
	\do	sepc, CSR_SEPC, 0x12345670
	\do	scause, CSR_SCAUSE, 0x8000000000000005
	\do	stval, CSR_STVAL, 0x2222000022220000
	\do	htval, CSR_HTVAL, 0x3333000033330000
	\do	htinst, CSR_HTINST, 0x3003
	\do	scounteren, CSR_SCOUNTEREN, 5
	\do	senvcfg, CSR_SENVCFG, 0xf0
	\do	sie, CSR_SIE, 0
	\do	hedeleg, CSR_HEDELEG, 0xb100
	\do	hideleg, CSR_HIDELEG, 0x444
	\do	hcounteren, CSR_HCOUNTEREN, 7
	\do	hvip, CSR_HVIP, 0
	\do	vsscratch, CSR_VSSCRATCH, 0x4444000044440000
	\do	vsepc, CSR_VSEPC, 0x76543210
	\do	vscause, CSR_VSCAUSE, 0x8000000000000001
	\do	vstval, CSR_VSTVAL, 0x5555000055550000
	\do	vstvec, CSR_VSTVEC, 0x56780000
	\do	vsie, CSR_VSIE, 0x222
	\do	huedeleg, CSR_HUEDELEG, 0x3000000
	\do	uie, CSR_UIE, 0x100
	\do	suscratch, CSR_SUSCRATCH, 0x6666000066660000
	\do	suatp, CSR_SUATP, 0x8000000000080123
	\do	suuscratch, CSR_SUUSCRATCH, 0x7777000077770000
	\do	suframe, CSR_SUFRAME, 0x85000000
	\do	hveictl, CSR_HVEICTL, 0x8000000000001234
	READ_ONLY_HERE \do
.endm
/* read, but not written: the test lives by their values */
.macro READ_ONLY_HERE do
	\do	satp, CSR_SATP, -1
	\do	hgatp, CSR_HGATP, -1
	\do	vsatp, CSR_VSATP, -1
	\do	vsstatus, CSR_VSSTATUS, -1
	\do	hstatus, CSR_HSTATUS, -1
	\do	stvec, CSR_STVEC, -1
	\do	utvec, CSR_UTVEC, -1
	\do	medeleg, CSR_MEDELEG, -1
	\do	mideleg, CSR_MIDELEG, -1
	\do	mie, CSR_MIE, -1
	\do	menvcfg, CSR_MENVCFG, -1
	\do	henvcfg, CSR_HENVCFG, -1
	\do	fcsr, CSR_FCSR, -1
.endm
.macro SET_KEPT name, csr, value
	.if	\value + 1
	CSRW	\csr, \value
	.endif
	csrr	t6, \csr
	sd	t6, 0(s0)
	addi	s0, s0, 8
.endm
.macro SAME_KEPT_VS name, csr, value
	SAME_KEPT \name, \csr, VS
.endm
.macro SAME_KEPT_VU name, csr, value
	SAME_KEPT \name, \csr, VU
.endm
.macro SAME_KEPT name, csr, mode
	csrr	t5, \csr
	ld	t6, 0(s0)
	addi	s0, s0, 8
	EXPECTR	t5, t6, "2.3 \name is as it was before the fault (mode \mode)"
.endm

/*
 * The guest first calls M, which sets and saves everything and returns to it by
 * MRET; then it makes the access.
 */
.macro CSRS_KEPT mode, text, insn:vararg
	la	t6, 7400f
	sd	t6, HOOK(tp)
	la	s1, 7401f
	li	a2, GVA(PAGE) + AT
	IN	\mode
	li	a7, MAGIC_HOOK
	ecall
7400:	li	s0, SAVED
	EACH_KEPT SET_KEPT
	csrr	t6, CSR_MSTATUS
	sd	t6, 0(s0)
	csrw	CSR_MEPC, s1
	mret
7401:	\insn
	ENDIN
	csrr	s2, CSR_USTATUS
	csrw	CSR_USTATUS, zero
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, U, "2.3 \text: redirected"
	EXPECT	s2, USTATUS_OF(\mode), "2.3 \text: ustatus"
	li	s0, SAVED
	.if	(\mode) - VU
	EACH_KEPT SAME_KEPT_VS
	.else
	EACH_KEPT SAME_KEPT_VU
	.endif
	ld	t5, 0(s0)
	/* what sstatus shows; SD and XLEN besides */
	li	t6, 0x80000003000de762
	and	t5, t5, t6
	ld	t4, REC_STATUS(tp)
	and	t4, t4, t6
	EXPECTR	t4, t5, "2.3 \text: sstatus is as it was before the fault"
.endm

/* what the u-CSRs held is gone: all bits set, all clear */
.macro OVERWRITTEN value, bits, want, text
	CSRW	CSR_UEPC, \value
	CSRW	CSR_UCAUSE, \value
	CSRW	CSR_UTVAL, \value
	CSRW	CSR_UTINST, \value
	CSRW	CSR_USTATUS, \bits
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrr	t5, CSR_UEPC
	la	t4, 7800b
	EXPECTR	t5, t4, "2.3 uepc = pc, \text"
	csrr	t5, CSR_UCAUSE
	EXPECT	t5, LOAD_MMIO, "2.3 ucause = c, \text"
	csrr	t5, CSR_UTVAL
	EXPECT	t5, GPA(PAGE) + AT, "2.3 utval = GPA, \text"
	csrr	t5, CSR_UTINST
	EXPECT	t5, T_LOAD(3, 10), "2.3 utinst, \text"
	csrr	t5, CSR_USTATUS
	EXPECT	t5, (\want), "2.3 ustatus, \text"
	csrr	t5, CSR_USCRATCH
	EXPECTR	t5, tp, "2.3 uscratch is what the handler left, \text"
	csrw	CSR_USTATUS, zero
.endm

/* in the handler, `insn` is refused as in any U-mode program */
.macro NOT_MORE_THAN_U want, text, insn:vararg
	HANDLER
	\insn
	DONE
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, \want, "2.3 the handler is in U, V=0: \text"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_MPV | MSTATUS_MPP
	and	t5, t5, t6
	EXPECT	t5, 0, "2.3 the handler is in U, V=0: \text, MPP and MPV of its trap"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE

	ALL_REGISTERS VS, 12, "load from VS", ld a3, 0(a2)
	ALL_REGISTERS VS, 2, "store from VS", RVC c.sdsp x31, 0(sp)
	ALL_REGISTERS VS, 31, "load into its own base", lw x31, 0(x31)
	ALL_REGISTERS VS, 1, "AMO from VS, base ra", amoadd.d x5, x6, (x1)
	VSATP	VU
	ALL_REGISTERS VU, 10, "load from VU", lbu a0, 0(a0)
	VSATP	VS

	/* f0..f31 and fcsr */
	CSRW	CSR_FCSR, 0x55
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	li	t5, PATTERN(\n + 50)
	fmv.d.x	f\n, t5
	.endr
	ACCESS	VS, GVA(PAGE) + AT, 0, fld f9, 0(a2)
	csrw	CSR_USTATUS, zero
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, U, "2.3 fld: redirected"
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmv.x.d	t5, f\n
	EXPECT	t5, PATTERN(\n + 50), "2.3 fld: f\n is the guest's"
	.endr

	OVERWRITTEN -1, 0, USTATUS_OF(VS), "u-CSRs of ones before"
	OVERWRITTEN 0, 0, USTATUS_OF(VS), "u-CSRs of zeros before"
	/* UPP, UPV and UHCS get their values, TUR stays */
	OVERWRITTEN 0, USTATUS_UHCS, USTATUS_OF(VS), "UHCS=1 before"
	OVERWRITTEN 0, USTATUS_UPP | USTATUS_UPV, USTATUS_OF(VS), "UPP=1, UPV=1 before"
	OVERWRITTEN 0, USTATUS_TUR, USTATUS_OF(VS) | USTATUS_TUR, "TUR=1 before"
	OVERWRITTEN -1, USTATUS_TUR | USTATUS_UHCS | USTATUS_UPP, USTATUS_OF(VS) | USTATUS_TUR, "TUR=1, UHCS=1, UPP=1 before"
	VSATP	VU
	CSRW	CSR_USTATUS, USTATUS_UPP | USTATUS_UHCS | USTATUS_TUR
	ACCESS	VU, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrr	t5, CSR_USTATUS
	EXPECT	t5, USTATUS_OF(VU) | USTATUS_TUR, "2.3 ustatus from VU, UPP=1, UHCS=1, TUR=1 before"
	csrw	CSR_USTATUS, zero
	VSATP	VS

	/* uepc of an instruction that does not lie on four bytes */
	li	a2, GVA(PAGE) + AT
	IN	VS
	.option	push
	.option	rvc
	c.nop
7800:	ld	a0, 0(a2)
	c.nop
	.option	pop
	ENDIN
	csrw	CSR_USTATUS, zero
	csrr	t5, CSR_UEPC
	la	t4, 7800b
	EXPECTR	t5, t4, "2.3 uepc of an instruction at an odd multiple of two"

	/* every other CSR, with hstatus as a return to VS leaves it, and otherwise */
	CSRS_KEPT VS, "from VS", ld a0, 0(a2)
	UER
	G_LEAF	PAGE, PTE_DEVICE
	CSRS	CSR_HSTATUS, HSTATUS_HU
	CSRS	CSR_MSTATUS, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SIE
	VSATP	VU
	CSRS_KEPT VU, "from VU", amoor.w a0, a3, (a2)
	GUEST
	UER
	csrw	CSR_HVEICTL, zero
	G_LEAF	PAGE, PTE_DEVICE

	/* the guest's sstatus stays in vsstatus, HS's in sstatus */
	CSRC	CSR_MSTATUS, MSTATUS_SUM | MSTATUS_SIE | MSTATUS_SPIE
	li	a2, GVA(PAGE) + AT
	IN	VS
	li	a1, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPIE | MSTATUS_SPP
	csrs	CSR_SSTATUS, a1
	ld	a0, 0(a2)
	ENDIN
	csrw	CSR_USTATUS, zero
	csrr	t5, CSR_VSSTATUS
	li	t6, MSTATUS_SUM | MSTATUS_MXR | MSTATUS_SPIE | MSTATUS_SPP
	and	t5, t5, t6
	EXPECTR	t5, t6, "2.3 vsstatus is the guest's sstatus"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_SUM | MSTATUS_MXR
	and	t5, t5, t6
	EXPECT	t5, 0, "2.3 sstatus is not"

	/* pc = utvec */
	.irp	n, 1, 2
	HANDLER
7801:	auipc	a0, 0
	DONE
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 handler \n of its own runs"
	la	t5, 7801b
	EXPECTR	a1, t5, "2.3 pc = utvec, handler \n"
	.endr

	/* the mode */
	NOT_MORE_THAN_U ECALL_U, "ecall", ecall
	NOT_MORE_THAN_U ILLEGAL, "csrr hstatus is illegal, not virtual", csrr a0, CSR_HSTATUS
	NOT_MORE_THAN_U ILLEGAL, "csrr sscratch", csrr a0, CSR_SSCRATCH
	NOT_MORE_THAN_U ILLEGAL, "csrr vsatp", csrr a0, CSR_VSATP
	NOT_MORE_THAN_U ILLEGAL, "csrr huedeleg", csrr a0, CSR_HUEDELEG
	NOT_MORE_THAN_U ILLEGAL, "csrr suscratch", csrr a0, CSR_SUSCRATCH
	NOT_MORE_THAN_U ILLEGAL, "sret", sret
	NOT_MORE_THAN_U ILLEGAL, "mret", mret
	NOT_MORE_THAN_U ILLEGAL, "sfence.vma", sfence.vma
	NOT_MORE_THAN_U ILLEGAL, "hfence.gvma", hfence.gvma
	NOT_MORE_THAN_U ILLEGAL, "hlv.d without HU", hlv.d a0, (a2)
	NOT_MORE_THAN_U ILLEGAL, "csrw ustatus", csrw CSR_USTATUS, zero
	NOT_MORE_THAN_U ILLEGAL, "csrw utvec", csrw CSR_UTVEC, zero
	NOT_MORE_THAN_U ENDED, "csrw uepc", csrw CSR_UEPC, zero
	NOT_MORE_THAN_U ENDED, "csrw uscratch", csrw CSR_USCRATCH, zero

	/* the handler is translated by satp: code and data at their second
	 * address, and the window's addresses are other memory */
	UER
	CSRW	CSR_SATP, SV39 | (H_ROOT >> 12)
	sfence.vma
	li	t0, ALIAS
	la	t1, uer_record
	add	t1, t1, t0
	csrw	CSR_UTVEC, t1
	add	t1, tp, t0
	csrw	CSR_USCRATCH, t1
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	MMIO_TO_U VS, LOAD_MMIO, GPA(PAGE) + AT, T_LOAD(3, 10), PAGE, "2.3 a handler in its own address space"
	ld	t5, UREGS + 8 * 12(tp)
	EXPECT	t5, GVA(PAGE) + AT, "2.3 a handler in its own address space: x12 is the guest's"

	/* the same virtual address in the guest, in the handler, in the guest */
	HANDLER
	li	t0, GVA(5)
	ld	a4, 8(t0)
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	URET
	ENDHANDLER
	csrr	t1, CSR_UTVEC
	li	t0, ALIAS
	add	t1, t1, t0
	csrw	CSR_UTVEC, t1
	.irp	round, 1, 2
	li	a2, GVA(PAGE) + AT
	li	a5, GVA(5)
	li	s2, 0
	IN	VS
	ld	a3, 8(a5)
	ld	a0, 0(a2)
	ld	a5, 8(a5)
	xor	a0, a3, a5
	seqz	a0, a0
	sd	a3, MORE(tp)
	sd	a4, MORE + 8(tp)
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 a handler in its own address space returns, round \round"
	EXPECT	a1, 1, "2.3 the guest reads the same before and after, round \round"
	ld	t5, MORE(tp)
	EXPECT	t5, (RPA(5) + 8) ^ 0x5a5a5a5a5a5a5a5a, "2.3 the guest reads its memory, round \round"
	ld	t5, MORE + 8(tp)
	EXPECT	t5, (HPA(5) + 8) ^ 0x5a5a5a5a5a5a5a5a, "2.3 the handler reads memory of satp, round \round"
	.endr
	/* pages of HS are not the handler's */
	HANDLER
	li	t0, WORD
	ld	a0, 0(t0)
	DONE
	ENDHANDLER
	csrr	t1, CSR_UTVEC
	li	t0, ALIAS
	add	t1, t1, t0
	csrw	CSR_UTVEC, t1
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, LOAD_PAGE, "2.3 a handler cannot read a page with U=0"
	/* utvec in a page with U=0, or nowhere: the frame is entered, then a fetch
	 * page fault of U */
	la	t0, uer_record
	.irp	where, 0, 0x3000000000
	.if	\where
	li	t0, \where
	.endif
	mv	s4, t0
	csrw	CSR_UTVEC, t0
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrr	s2, CSR_USTATUS
	csrw	CSR_USTATUS, zero
	EXPECT	a0, FETCH_PAGE, "2.3 utvec that U may not fetch, \where: fetch page fault"
	ld	t5, REC_EPC(tp)
	EXPECTR	t5, s4, "2.3 utvec that U may not fetch, \where: its pc is utvec"
	EXPECT	s2, USTATUS_OF(VS), "2.3 utvec that U may not fetch, \where: inside the frame"
	csrr	t5, CSR_UEPC
	la	t4, 7800b
	EXPECTR	t5, t4, "2.3 utvec that U may not fetch, \where: uepc"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_MPV | MSTATUS_MPP
	and	t5, t5, t6
	EXPECT	t5, 0, "2.3 utvec that U may not fetch, \where: from U, V=0"
	.endr
	csrw	CSR_SATP, zero
	sfence.vma

	/* the load reservation: an SC of the handler to the guest's word fails;
	 * first that it can succeed without a fault between */
	UER
	li	s4, WORD
	li	t5, 0x55
	sd	t5, 0(s4)
	li	a2, GVA(PAGE) + AT
	li	a3, 0x66
	li	a4, WORD
	IN	VS
	lr.d	a0, (a4)
	nop
	sc.d	a0, a3, (a4)
	ENDIN
	EXPECT	a1, 0, "harness: LR and SC of the guest succeed"
	ld	t5, 0(s4)
	EXPECT	t5, 0x66, "harness: the guest's SC stores"
	HANDLER
	li	t0, 0x77
	sc.d	a0, t0, (a4)
	DONE
	ENDHANDLER
	IN	VS
	lr.d	a5, (a4)
	ld	a0, 0(a2)
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 the handler's SC without a reservation does not trap"
	snez	a1, a1
	EXPECT	a1, 1, "2.3 entry drops the load reservation: the handler's SC fails"
	ld	t5, 0(s4)
	EXPECT	t5, 0x66, "2.3 entry drops the load reservation: nothing is stored"
	/* the same with lr.w, sc.w, from VU, by a store */
	VSATP	VU
	HANDLER
	li	t0, 0x77
	sc.w	a0, t0, (a4)
	DONE
	ENDHANDLER
	IN	VU
	lr.w	a5, (a4)
	sd	a3, 0(a2)
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 the handler's sc.w without a reservation does not trap"
	snez	a1, a1
	EXPECT	a1, 1, "2.3 entry drops the load reservation: the handler's sc.w fails"
	ld	t5, 0(s4)
	EXPECT	t5, 0x66, "2.3 entry drops the load reservation: nothing is stored by sc.w"
	/* a reservation of the handler itself is one */
	HANDLER
	li	t0, 0x88
	lr.d	a0, (a4)
	sc.d	a0, t0, (a4)
	DONE
	ENDHANDLER
	IN	VU
	ld	a0, 0(a2)
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 LR and SC in the handler work"
	EXPECT	a1, 0, "2.3 LR and SC in the handler succeed"
	ld	t5, 0(s4)
	EXPECT	t5, 0x88, "2.3 LR and SC in the handler store"
	VSATP	VS

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
