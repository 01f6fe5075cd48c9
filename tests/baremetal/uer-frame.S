/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: what happens inside a frame: exceptions and interrupts of the handler go
 * to HS or M as those of any U-mode program and leave the frame whole, also a
 * second MMIO fault (2.2); HS and M return to the handler, whose URET then goes
 * through. 2.6: with UACT=1 FP, vector and cbo.* are illegal in U, and only
 * there, whatever sstatus and senvcfg say, and legal again behind URET.
 *
 * run: machine=virt cpu=rv64,h=true,v=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,v=true,xhaiov=on smp=2
 * run: machine=virt cpu=rv64,h=true,v=true,xhaiov=on smp=1 accel=tcg,one-insn-per-tb=on
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
#define WORD	0x85110000
#define NOWHERE	0x18000000	/* no memory, no device */

/* A trap of the handler: cause, where, the frame whole; then back to the next
 * instruction of the handler, and URET. */
.macro NESTED cause, where, text, insn:vararg
	HANDLER
	li	t0, NOWHERE
	li	t1, WORD + 1
	li	t2, 0x3000000000
7801:	\insn
	/* M or HS comes back here */
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	li	a0, 0x99
	URET
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, \cause, "2.2 in a handler: \text"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, \where, "2.2 in a handler: \text, where it goes"
	ld	t5, REC_EPC(tp)
	la	t6, 7801b
	EXPECTR	t5, t6, "2.2 in a handler: \text, its pc"
	ld	t5, REC_STATUS(tp)
	.if	\where - M
	andi	t5, t5, MSTATUS_SPP
	EXPECT	t5, 0, "2.2 in a handler: \text, SPP=0"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, 0, "2.2 in a handler: \text, SPV=0"
	.else
	li	t6, MSTATUS_MPV | MSTATUS_MPP
	and	t5, t5, t6
	EXPECT	t5, 0, "2.2 in a handler: \text, MPP=0, MPV=0"
	.endif
	csrr	t5, CSR_USTATUS
	EXPECT	t5, USTATUS_OF(VS), "2.2 in a handler: \text, ustatus stays"
	csrr	t5, CSR_UCAUSE
	EXPECT	t5, LOAD_MMIO, "2.2 in a handler: \text, ucause stays"
	csrr	t5, CSR_UTVAL
	EXPECT	t5, GPA(PAGE) + AT, "2.2 in a handler: \text, utval stays"
	csrr	t5, CSR_UTINST
	EXPECT	t5, T_LOAD(3, 10), "2.2 in a handler: \text, utinst stays"
	csrr	t5, CSR_UEPC
	la	t6, 7800b
	EXPECTR	t5, t6, "2.2 in a handler: \text, uepc stays"
	/* back into the handler, by M; x1 for the guest's end */
	la	a2, 7801b + 4
	IN	U
	jr	a2
	ENDIN
	EXPECT	a0, ENDED, "2.4 behind a trap of the handler, its URET: \text"
	EXPECT	a1, 0x99, "2.4 behind a trap of the handler, its URET: \text, x10"
	csrr	t5, CSR_USTATUS
	EXPECT	t5, 0, "2.4 behind a trap of the handler, its URET: \text, ustatus"
	csrw	CSR_USTATUS, zero
.endm

/* one instruction in `mode`, in a frame that HS made or outside */
.macro WITH_UACT mode, want, text, insn:vararg
	CSRW	CSR_USTATUS, USTATUS_UACT
	li	a2, WORD
	TRY	\mode, \want, "2.6 UACT=1, \text: \insn", \insn
	csrw	CSR_VSTART, zero
	csrw	CSR_USTATUS, zero
.endm
.macro WITHOUT mode, want, text, insn:vararg
	li	a2, WORD
	TRY	\mode, \want, "2.6 UACT=0, \text: \insn", \insn
	csrw	CSR_VSTART, zero
.endm

.macro EACH_FP do
	\do	fadd.d fa0, fa0, fa1
	\do	fmv.d fa0, fa1
	\do	fmv.x.d a0, fa0
	\do	fmv.w.x fa0, zero
	\do	fcvt.d.l fa0, a0
	\do	feq.d a0, fa0, fa1
	\do	fmadd.s fa0, fa0, fa1, fa2
	\do	flw fa0, 0(a2)
	\do	fld fa0, 0(a2)
	\do	fsw fa0, 0(a2)
	\do	fsd fa0, 0(a2)
	\do	RVC c.fld fa0, 0(a2)
	\do	RVC c.fsd fa0, 0(a2)
	\do	csrr a0, CSR_FCSR
	\do	csrr a0, 0x001
	\do	csrr a0, 0x002
	\do	csrw CSR_FCSR, zero
	\do	csrrwi zero, 0x001, 0
.endm
.macro EACH_VECTOR do
	\do	ARCH v, vsetivli zero, 4, e32, m1, ta, ma
	\do	ARCH v, vadd.vv v8, v8, v8
	\do	ARCH v, vmv.v.i v8, 0
	\do	ARCH v, vle32.v v8, (a2)
	\do	ARCH v, vse32.v v8, (a2)
	\do	ARCH v, vl1re8.v v8, (a2)
	\do	ARCH v, vs1r.v v8, (a2)
	\do	ARCH v, vmv.x.s a0, v8
	\do	csrr a0, CSR_VL
	\do	csrr a0, CSR_VTYPE
	\do	csrr a0, CSR_VLENB
	\do	csrr a0, CSR_VSTART
	\do	csrw CSR_VSTART, zero
	\do	csrr a0, 0x009
	\do	csrr a0, 0x00f
.endm
.macro EACH_CBO_OF_U do
	\do	ARCH zicbom, cbo.clean 0(a2)
	\do	ARCH zicbom, cbo.flush 0(a2)
	\do	ARCH zicbom, cbo.inval 0(a2)
	\do	ARCH zicboz, cbo.zero 0(a2)
.endm
.macro U_ILLEGAL insn:vararg
	WITHOUT	U, ENDED, "U", \insn
	WITH_UACT U, ILLEGAL, "U", \insn
	WITHOUT	U, ENDED, "U again", \insn
.endm
.macro OTHERS_LEGAL insn:vararg
	WITH_UACT HS, ENDED, "HS", \insn
	WITH_UACT VS, ENDED, "VS", \insn
	WITH_UACT M, ENDED, "M", \insn
.endm
/* the same, in a handler that a fault started */
.macro HANDLER_ILLEGAL insn:vararg
	HANDLER
	li	a2, WORD
7801:	\insn
	DONE
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ILLEGAL, "2.6 in a handler: \insn"
	ld	t5, REC_EPC(tp)
	la	t6, 7801b
	EXPECTR	t5, t6, "2.6 in a handler, the trap's pc: \insn"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	.option	push
	.option	arch, +v
	vsetivli zero, 4, e32, m1, ta, ma
	.option	pop

	/* nothing delegated: to M */
	NESTED	ILLEGAL, M, "illegal instruction, to M", csrr a0, CSR_SSCRATCH
	NESTED	ECALL_U, M, "ecall, to M", ecall
	NESTED	BREAKPOINT, M, "ebreak, to M", ebreak
	NESTED	LOAD_FAULT, M, "load access fault, to M", ld a0, 0(t0)
	NESTED	STORE_FAULT, M, "store access fault, to M", sd a0, 0(t0)
	NESTED	STORE_MISALIGNED, M, "misaligned AMO, to M", amoadd.w a0, a0, (t1)
	/* delegated: to HS */
	CSRW	CSR_MEDELEG, PAGE_FAULTS | BIT(ILLEGAL) | BIT(BREAKPOINT) | BIT(LOAD_FAULT) | BIT(STORE_FAULT) | BIT(STORE_MISALIGNED)
	NESTED	ILLEGAL, HS, "illegal instruction, to HS", csrr a0, CSR_SSCRATCH
	NESTED	ILLEGAL, HS, "write of ustatus, to HS", csrw CSR_USTATUS, zero
	NESTED	ILLEGAL, HS, "FP, to HS", fadd.d fa0, fa0, fa1
	NESTED	BREAKPOINT, HS, "ebreak, to HS", ebreak
	NESTED	LOAD_FAULT, HS, "load access fault, to HS", lb a0, 0(t0)
	NESTED	STORE_FAULT, HS, "store access fault, to HS", amoadd.w a0, a0, (t0)
	NESTED	STORE_MISALIGNED, HS, "misaligned AMO, to HS", amoadd.w a0, a0, (t1)
	/* hedeleg is no matter: the handler is not the guest */
	CSRW	CSR_HEDELEG, -1
	NESTED	ILLEGAL, HS, "illegal instruction with hedeleg of ones", csrr a0, CSR_SSCRATCH
	NESTED	BREAKPOINT, HS, "ebreak with hedeleg of ones", ebreak
	csrw	CSR_HEDELEG, zero

	/* a second MMIO fault: by HLV and HSV of the handler, with HU=1 */
	CSRS	CSR_HSTATUS, HSTATUS_HU | HSTATUS_SPVP
	NESTED	LOAD_MMIO, HS, "hlv.w on the MMIO page", hlv.w a0, (a2)
	NESTED	STORE_MMIO, HS, "hsv.w on the MMIO page", hsv.w a0, (a2)
	G_LEAF	PAGE + 1, 0
	HANDLER
	li	t0, GVA(PAGE + 1)
	hlv.d	a0, (t0)
	DONE
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, LOAD_GUEST, "2.2 in a handler: hlv.d on a missing page"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 in a handler: hlv.d on a missing page, to HS"
	/* HLV works where it should, and the guest's tables are still there */
	HANDLER
	li	t0, GVA(3) + 8
	hlv.d	a0, (t0)
	DONE
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 in a handler: hlv.d on a page of the guest's"
	EXPECT	a1, (RPA(3) + 8) ^ 0x5a5a5a5a5a5a5a5a, "2.3 in a handler: hlv.d reads the guest's memory"
	CSRC	CSR_HSTATUS, HSTATUS_HU
	csrw	CSR_MEDELEG, zero

	/* page faults of the handler's own, by satp */
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	CSRW	CSR_SATP, SV39 | (H_ROOT >> 12)
	sfence.vma
	.macro	FAULT want, insn:vararg
	HANDLER
	li	t2, 0x3000000000
	\insn
	DONE
	ENDHANDLER
	csrr	t1, CSR_UTVEC
	li	t0, ALIAS
	add	t1, t1, t0
	csrw	CSR_UTVEC, t1
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, \want, "2.2 in a handler, page fault by satp: \insn"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 in a handler, page fault by satp, to HS: \insn"
	ld	t5, REC_TVAL(tp)
	EXPECT	t5, 0x3000000000, "2.2 in a handler, page fault by satp, stval: \insn"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_GVA | HSTATUS_SPV
	EXPECT	t5, 0, "2.2 in a handler, page fault by satp, GVA=0, SPV=0: \insn"
	ld	t5, REC_TVAL2(tp)
	EXPECT	t5, 0, "2.2 in a handler, page fault by satp, htval=0: \insn"
	CSR_IS	CSR_USTATUS, -1, USTATUS_OF(VS), "2.2 in a handler, page fault by satp, the frame is whole: \insn"
	csrw	CSR_USTATUS, zero
	.endm
	FAULT	LOAD_PAGE, ld a0, 0(t2)
	FAULT	STORE_PAGE, sb a0, 0(t2)
	FAULT	STORE_PAGE, amoadd.d a0, a0, (t2)
	FAULT	FETCH_PAGE, jr t2
	csrw	CSR_SATP, zero
	sfence.vma
	csrw	CSR_MEDELEG, zero

	/*
	 * An interrupt of HS in the handler, by HS's own code: it is taken at
	 * once, though sstatus.SIE=0, and SRET goes back into the handler.
	 */
	UER
	CSRW	CSR_MIDELEG, BIT(IRQ_SSI)
	CSRW	CSR_MIE, BIT(IRQ_SSI)
	la	t0, 7440f
	csrw	CSR_STVEC, t0
	la	t0, 7442f
	sd	t0, HOOK(tp)
	li	s2, 0
	li	s3, 0
	HANDLER
	li	s2, 0
	li	a7, MAGIC_HOOK
	ecall				/* M makes it pending and comes back */
7801:	nop
	nop
	nop
	sd	s2, MORE(tp)
	sd	s3, MORE + 8(tp)
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	li	a0, 0x31
	URET
	ENDHANDLER
	la	s4, 7801b
	li	a2, GVA(PAGE) + AT
	sd	zero, MORE(tp)
	IN	VS
	ld	a0, 0(a2)
	ENDIN
	j	7443f
	.balign	4
7440:	csrr	s2, CSR_SCAUSE
	csrr	s3, CSR_SEPC
	sub	s3, s3, s4
	li	t0, BIT(IRQ_SSI)
	csrc	CSR_SIP, t0
	csrr	t0, CSR_SSTATUS
	csrr	t1, CSR_HSTATUS
	andi	t0, t0, MSTATUS_SPP
	andi	t1, t1, HSTATUS_SPV
	or	s3, s3, t0
	or	s3, s3, t1
	csrr	t0, CSR_USTATUS
	sd	t0, MORE + 16(tp)
	sret
7442:	csrw	CSR_MEPC, s4
	li	t0, MSTATUS_MPP
	csrc	CSR_MSTATUS, t0
	li	t0, BIT(IRQ_SSI)
	csrs	CSR_MIP, t0
	mret
7443:	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MIE, zero
	csrw	CSR_MIDELEG, zero
	csrr	s5, CSR_USTATUS
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.3 an interrupt in a handler: all goes on"
	EXPECT	a1, 0x31, "2.3 an interrupt in a handler: the guest goes on with the handler's value"
	ld	t5, MORE(tp)
	EXPECT	t5, INTR(IRQ_SSI), "2.3 an interrupt in a handler: HS takes it, SIE=0"
	ld	t5, MORE + 8(tp)
	EXPECT	t5, 0, "2.3 an interrupt in a handler: sepc is in the handler, SPP=0, SPV=0"
	ld	t5, MORE + 16(tp)
	EXPECT	t5, USTATUS_OF(VS), "2.3 an interrupt in a handler: HS sees the frame"
	EXPECT	s5, 0, "2.4 an interrupt in a handler: no frame is left"

	/* HS runs another guest with the frame not cleared: its MMIO goes to HS */
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_MMIO, "2.2 a guest's MMIO with UACT=1"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 a guest's MMIO with UACT=1, to HS"
	csrw	CSR_USTATUS, zero

	/* 2.6 */
	CSRW	CSR_SENVCFG, ENVCFG_CBO
	EACH_FP	U_ILLEGAL
	EACH_VECTOR U_ILLEGAL
	EACH_CBO_OF_U U_ILLEGAL
	EACH_FP	OTHERS_LEGAL
	EACH_VECTOR OTHERS_LEGAL
	EACH_CBO_OF_U OTHERS_LEGAL
	.option	push
	.option	arch, +v
	vsetivli zero, 4, e32, m1, ta, ma
	.option	pop
	EACH_FP	HANDLER_ILLEGAL
	EACH_VECTOR HANDLER_ILLEGAL
	EACH_CBO_OF_U HANDLER_ILLEGAL
	/* what is as if it were Off and 0 reads as it is, in HS */
	CSRW	CSR_USTATUS, USTATUS_UACT
	IN	HS
	csrr	a0, CSR_SSTATUS
	ENDIN
	li	t6, MSTATUS_FS | MSTATUS_VS
	and	t5, a1, t6
	EXPECTR	t5, t6, "2.6 UACT=1: sstatus.FS and VS read as HS set them"
	TRY	HS, ENDED, "2.6 UACT=1: HS reads senvcfg", csrr a0, CSR_SENVCFG
	EXPECT	a1, ENVCFG_CBO, "2.6 UACT=1: senvcfg reads as HS set it"
	csrw	CSR_USTATUS, zero
	/* the gate is UACT */
	CSRW	CSR_USTATUS, USTATUS_UPP | USTATUS_UPV | USTATUS_UHCS | USTATUS_TUR
	li	a2, WORD
	TRY	U, ENDED, "2.6 every bit of ustatus but UACT: FP", fadd.d fa0, fa0, fa1
	TRY	U, ENDED, "2.6 every bit of ustatus but UACT: vector", csrr a0, CSR_VL
	TRY	U, ENDED, "2.6 every bit of ustatus but UACT: cbo.zero", ARCH zicboz, cbo.zero 0(a2)
	csrw	CSR_USTATUS, zero
	/* a refused instruction does nothing, and makes nothing dirty */
	li	t5, 0x1234
	fmv.d.x	fa0, t5
	CSRC	CSR_MSTATUS, MSTATUS_FS
	CSRS	CSR_MSTATUS, 2 << 13		/* Clean */
	CSRW	CSR_USTATUS, USTATUS_UACT
	TRY	U, ILLEGAL, "2.6 fmv.d.x in a frame", fmv.d.x fa0, zero
	csrw	CSR_USTATUS, zero
	CSR_IS	CSR_MSTATUS, MSTATUS_FS, 2 << 13, "2.6 fmv.d.x in a frame: FS stays Clean"
	fmv.x.d	t5, fa0
	EXPECT	t5, 0x1234, "2.6 fmv.d.x in a frame: the register stays"
	CSRS	CSR_MSTATUS, MSTATUS_FS

	/* The same code, by turns outside a frame, in one, in a guest: what was
	 * translated for one must not serve the other. */
	la	s4, 7820f
	CSRW	CSR_MEDELEG, 0
	.irp	round, 1, 2, 3
	mv	a7, s4
	li	a6, U
	call	run_mode
	EXPECT	a0, ENDED, "2.6 one piece of code, round \round: U without a frame"
	EXPECT	a1, 3, "2.6 one piece of code, round \round: U without a frame, its result"
	CSRW	CSR_USTATUS, USTATUS_UACT
	mv	a7, s4
	li	a6, U
	call	run_mode
	EXPECT	a0, ILLEGAL, "2.6 one piece of code, round \round: U in a frame"
	csrw	CSR_USTATUS, zero
	mv	a7, s4
	li	a6, VS
	call	run_mode
	EXPECT	a0, ENDED, "2.6 one piece of code, round \round: VS"
	csrw	CSR_UTVEC, s4
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, ILLEGAL, "2.6 one piece of code, round \round: as a handler"
	csrw	CSR_USTATUS, zero
	mv	a7, s4
	li	a6, HS
	call	run_mode
	EXPECT	a0, ENDED, "2.6 one piece of code, round \round: HS"
	.endr
	j	7821f
	.balign	4
7820:	li	a0, 1
	li	a1, 2
	fcvt.d.l fa0, a0
	fcvt.d.l fa1, a1
	fadd.d	fa0, fa0, fa1
	fcvt.l.d a0, fa0
	la	ra, snippet_end
	ret
7821:
	/* a guest that computes with FP goes on behind its MMIO */
	HANDLER
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	li	a5, 40
	URET
	ENDHANDLER
	li	a2, GVA(PAGE) + AT
	IN	VS
	li	a1, 2
	fcvt.d.l fa1, a1
	ld	a5, 0(a2)
	fcvt.d.l fa0, a5
	fadd.d	fa0, fa0, fa1
	fcvt.l.d a0, fa0
	ENDIN
	EXPECT	a0, ENDED, "2.6 FP of the guest works behind URET"
	EXPECT	a1, 42, "2.6 FP of the guest works behind URET: its result"
	li	a2, WORD
	TRY	U, ENDED, "2.6 FP of U works behind URET", fadd.d fa0, fa0, fa1
	TRY	U, ENDED, "2.6 cbo.zero of U works behind URET", ARCH zicboz, cbo.zero 0(a2)

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
