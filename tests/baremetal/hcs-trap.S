/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 4.4, the swap holds only in U: each kind of trap from a handler undoes
 * it, to HS and to M, with x1..x31 as the handler left them; a return to U does
 * it again, a return elsewhere does not. What HS does to a frame: it may end it
 * (the registers are then for software to take over), or make one.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "hcs.h"

#define HELD(n)	(0x6000 + (n))

/* what a trap handler saw, in the hart's area; it needs sscratch for that */
#define SEEN_SATP	(MORE + 8)
#define SEEN_USCRATCH	(MORE + 16)
#define SEEN_SUATP	(MORE + 24)
#define SEEN_SUSCRATCH	(MORE + 32)
#define SEEN_SUUSCRATCH	(MORE + 40)
#define SEEN_CAUSE	(MORE + 48)
#define SEEN_EPC	(MORE + 56)
#define SEEN_USTATUS	(MORE + 64)
#define SEEN_TP		(MORE + 72)
#define TRAPS		(MORE + 80)
#define SKIP		(MORE + 88)	/* bytes to go on behind the trap */
#define SEEN_A0		(MORE + 96)
#define SEEN_STATUS	(MORE + 104)

.macro EACH_HELD do
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	\do	\n
	.endr
.endm
.macro HOLD n
	li	x\n, HELD(\n)
.endm
.macro STILL n
	li	t6, HELD(\n)
	bne	t6, x\n, 7853f
.endm

/* A context whose handler holds values in x1..x30 around an instruction */
.macro AROUND bytes, insn:vararg
	HCS
	csrw	CSR_SSCRATCH, tp
	sd	zero, TRAPS(tp)
	li	t0, \bytes
	sd	t0, SKIP(tp)
	HANDLER_OF 7
	EACH_HELD HOLD
7850:	\insn
7851:	EACH_HELD STILL
	csrr	a0, CSR_USCRATCH
	li	a7, MAGIC_END
	ecall
7853:	li	a0, -1
	li	a7, MAGIC_END
	ecall
	ENDHANDLER
	EVENT	7
.endm

/* the trap handler saw no swap; behind the return there is one */
.macro WENT_ON cause, pc, text
	IN	U
	nop
	ENDIN
	EXPECT	a0, ENDED, "4.4 \text: the handler ran to its end"
	EXPECTR	a1, tp, "4.4 \text: its registers and uscratch are its own behind the return"
	ld	t5, TRAPS(tp)
	EXPECT	t5, 1, "4.4 \text: one trap"
	ld	t5, SEEN_CAUSE(tp)
	EXPECT	t5, \cause, "4.4 \text: its cause"
	ld	t5, SEEN_EPC(tp)
	la	t6, \pc
	sub	t5, t5, t6
	EXPECT	t5, 0, "4.4 \text: its pc"
	ld	t5, SEEN_SATP(tp)
	EXPECT	t5, 0, "4.4 \text: satp is the interrupted thread's"
	ld	t5, SEEN_USCRATCH(tp)
	EXPECT	t5, OLD_USCRATCH, "4.4 \text: uscratch is the interrupted thread's"
	ld	t5, SEEN_SUATP(tp)
	EXPECT	t5, HCS_SATP(7), "4.4 \text: suatp is the handler's"
	ld	t5, SEEN_SUSCRATCH(tp)
	EXPECT	t5, HCS_SUSCRATCH(7), "4.4 \text: suscratch is the handler's"
	ld	t5, SEEN_SUUSCRATCH(tp)
	EXPECTR	t5, tp, "4.4 \text: suuscratch is the handler's"
	ld	t5, SEEN_TP(tp)
	EXPECT	t5, HELD(4), "4.4 \text: x4 is the handler's"
	ld	t5, SEEN_A0(tp)
	EXPECT	t5, HELD(10), "4.4 \text: x10 is the handler's"
	ld	t5, SEEN_USTATUS(tp)
	EXPECT	t5, USTATUS_HCS(U), "4.4 \text: ustatus"
	ld	t5, SEEN_STATUS(tp)
	EXPECT	t5, 0, "4.4 \text: it came from U"
	csrw	CSR_USTATUS, zero
	csrw	CSR_MIE, zero
	CSRC	CSR_MIP, BIT(IRQ_SSI)
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MEDELEG, zero
	csrw	CSR_MIDELEG, zero
.endm
/* Ask M for something, by its hook; the a7 of the handler is as before then. */
.macro TO_HOOK
	li	a7, MAGIC_HOOK
7852:	ecall
	li	a7, HELD(17)
.endm
.macro BY_HOOK
	li	a7, MAGIC_HOOK
	ecall
7852:	j	7852b
	li	a7, HELD(17)
.endm
/* x30 has bit 13 set, and none of an enabled VEIID else */
.macro BY_STORE
	li	x31, VEIC + EIP(0, 0)
	sd	x30, 0(x31)
7852:	j	7852b
.endm

.macro TO_S deleg
	la	t0, hs_entry
	csrw	CSR_STVEC, t0
	CSRW	CSR_MEDELEG, \deleg
.endm

/* A trap to M that ends the snippet. */
.macro ENDS cause, text, insn:vararg
	AROUND	0, \insn
	IN	U
	nop
	ENDIN
	EXPECT	a0, \cause, "4.4 \text: the handler's trap"
	EXPECT	a1, HELD(10), "4.4 \text: x10 is the handler's"
	ld	t5, REC_EPC(tp)
	la	t6, 7850b
	sub	t5, t5, t6
	EXPECT	t5, 0, "4.4 \text: its pc"
	csrr	t5, CSR_SSCRATCH
	EXPECTR	t5, tp, "4.4 \text: sscratch"
	CSRW	CSR_SSCRATCH, OLD_SSCRATCH
	UNSWAPPED 7, "4.4 \text"
	CSR_IS	CSR_USTATUS, -1, USTATUS_HCS(U), "4.4 \text: the frame is still there"
	csrw	CSR_USTATUS, zero
	csrw	CSR_MIE, zero
	CSRC	CSR_MIP, BIT(IRQ_SSI)
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* to HS, and back by SRET */
	AROUND	4, ecall
	TO_S	BIT(ECALL_U)
	WENT_ON	ECALL_U, 7850b, "ecall to HS"
	AROUND	4, csrr a0, CSR_SATP
	TO_S	BIT(ILLEGAL)
	WENT_ON	ILLEGAL, 7850b, "illegal instruction to HS"
	AROUND	4, ebreak
	TO_S	BIT(BREAKPOINT)
	WENT_ON	BREAKPOINT, 7850b, "breakpoint to HS"
	AROUND	4, ld x0, -2048(x0)
	TO_S	BIT(LOAD_PAGE)
	WENT_ON	LOAD_PAGE, 7850b, "load page fault to HS"
	AROUND	4, sd x1, -2048(x0)
	TO_S	BIT(STORE_PAGE)
	WENT_ON	STORE_PAGE, 7850b, "store page fault to HS"
	/* interrupts of HS, which become pending in the handler: it waits in a
	 * branch to itself, which the trap handler steps over */
	AROUND	4, BY_HOOK
	la	t0, m_hook_ssi
	sd	t0, HOOK(tp)
	TO_S	0
	CSRW	CSR_MIDELEG, BIT(IRQ_SSI)
	CSRW	CSR_MIE, BIT(IRQ_SSI)
	WENT_ON	INTR(IRQ_SSI), 7852b, "interrupt of HS"
	AROUND	4, BY_STORE
	TO_S	0
	VEIC_W	EIE(0, 0), HCS_IDS | BIT(13)
	CSRW	CSR_MIE, BIT(24)
	WENT_ON	INTR(IRQ_VEI), 7852b, "interrupt 24"

	/* to M, and back by MRET */
	AROUND	4, TO_HOOK
	la	t0, m_hook
	sd	t0, HOOK(tp)
	WENT_ON	ECALL_U, 7852b, "ecall to M"

	ENDS	ECALL_U, "ecall to M, the end", ecall
	ENDS	ILLEGAL, "illegal instruction to M", csrr a0, CSR_SATP
	ENDS	BREAKPOINT, "breakpoint to M", ebreak
	ENDS	LOAD_PAGE, "load page fault to M", ld x0, -2048(x0)
	ENDS	STORE_PAGE, "store page fault to M", sd x1, -2048(x0)

	/* a return elsewhere: no swap there, nothing to undo behind it */
	.irp	mode, HS, VS, VU, M
	HCS
	CSRW	CSR_SUATP, HCS_SATP(7)
	CSRW	CSR_SUSCRATCH, HCS_SUSCRATCH(7)
	csrw	CSR_SUUSCRATCH, tp
	CSRW	CSR_SUFRAME, HCS_FRAME(7)
	CSRW	CSR_USTATUS, USTATUS_HCS(U)
	UNSWAPPED 7, "4.4 HS makes a frame"
	IN	\mode
	nop
	.if	\mode == HS
	csrr	a0, CSR_USCRATCH
	.endif
	ENDIN
	EXPECT	a0, ENDED, "4.4 a return to \mode inside a frame"
	.if	\mode == HS
	EXPECT	a1, OLD_USCRATCH, "4.4 no swap in HS"
	.endif
	UNSWAPPED 7, "4.4 behind a return to \mode inside a frame"
	csrw	CSR_USTATUS, zero
	.endr

	/* a frame that HS has made: U sees the swap, what it writes is swapped back */
	HCS
	CSRW	CSR_SUATP, HCS_SATP(7)
	CSRW	CSR_SUSCRATCH, HCS_SUSCRATCH(7)
	CSRW	CSR_SUUSCRATCH, 0x1919
	CSRW	CSR_USTATUS, USTATUS_HCS(U)
	IN	U
	li	a1, 0x2929
	csrrw	a0, CSR_USCRATCH, a1
	ENDIN
	EXPECT	a1, 0x1919, "4.4 a frame that HS made: U has the partner's uscratch"
	CSR_IS	CSR_USCRATCH, -1, OLD_USCRATCH, "4.4 a frame that HS made: uscratch behind it"
	CSR_IS	CSR_SUUSCRATCH, -1, 0x2929, "4.4 a frame that HS made: what U wrote is the partner's"
	csrw	CSR_USTATUS, zero
	/* UACT without UHCS, and UHCS without UACT: no swap */
	.irp	bits, USTATUS_UACT, USTATUS_UHCS
	HCS
	csrw	CSR_UIE, zero
	CSRW	CSR_SUUSCRATCH, 0x1919
	CSRW	CSR_SUATP, HCS_SATP(7)
	CSRW	CSR_USTATUS, \bits
	IN	U
	nop
	.if	\bits == USTATUS_UACT
	csrr	a0, CSR_USCRATCH
	.endif
	ENDIN
	.if	\bits == USTATUS_UACT
	EXPECT	a1, OLD_USCRATCH, "4.4 UHCS=0: no swap in U"
	.endif
	CSR_IS	CSR_SUUSCRATCH, -1, 0x1919, "4.4 ustatus=\bits: nothing swapped behind U"
	CSR_IS	CSR_SATP, -1, 0, "4.4 ustatus=\bits: satp behind U"
	csrw	CSR_USTATUS, zero
	.endr

	/* HS ends the frame at a trap, as if it had been the thread's own */
	AROUND	0, ecall
	la	t0, 7860f
	csrw	CSR_STVEC, t0
	CSRW	CSR_MEDELEG, BIT(ECALL_U)
	IN	U
	li	a1, 0x4455
7861:	mv	a0, a1
	ENDIN
	EXPECT	a0, ENDED, "4.4 HS ends the frame: the thread goes on"
	EXPECT	a1, 0x4455, "4.4 HS ends the frame: with its registers"
	CSR_IS	CSR_USTATUS, -1, 0, "4.4 HS ends the frame: none is left"
	CSR_IS	CSR_SATP, -1, 0, "4.4 HS ends the frame: satp is the thread's"
	CSR_IS	CSR_SUATP, -1, HCS_SATP(7), "4.4 HS ends the frame: suatp is the handler's"
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MEDELEG, zero
	j	7862f
	.balign	4
7860:	li	t0, MAGIC_END
	beq	a7, t0, 7863f
	/* detach: x1..x31 from the frame, pc and ustatus from the CSRs */
	csrr	t1, CSR_UEPC
	csrw	CSR_SEPC, t1
	csrw	CSR_USTATUS, zero
	csrr	x31, CSR_SUFRAME
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, 8 * \n(x31)
	.endr
	sret
	/* the end of the snippet is M's */
7863:	ecall
7862:
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* Traps taken in HS: as a kernel does, by sscratch. */
	.balign	4
hs_entry:
	csrrw	tp, CSR_SSCRATCH, tp
	sd	t0, MORE(tp)
	sd	ra, SCRATCH(tp)
	li	t0, MAGIC_END
	beq	a7, t0, 1f
	sd	a0, SEEN_A0(tp)
	csrr	t0, CSR_SATP
	sd	t0, SEEN_SATP(tp)
	csrr	t0, CSR_SCAUSE
	sd	t0, SEEN_CAUSE(tp)
	csrr	t0, CSR_SEPC
	sd	t0, SEEN_EPC(tp)
	ld	a0, SKIP(tp)
	add	t0, t0, a0
	csrw	CSR_SEPC, t0
	csrr	t0, CSR_SSTATUS
	andi	t0, t0, MSTATUS_SPP
	sd	t0, SEEN_STATUS(tp)
	/* what interrupted: once is enough */
	li	t0, BIT(IRQ_SSI)
	csrc	CSR_SIP, t0
	csrw	CSR_STOPVEI, zero
	csrrw	t0, CSR_SSCRATCH, tp
	sd	t0, SEEN_TP(tp)
	call	look
	ld	a0, SEEN_A0(tp)
	ld	t0, MORE(tp)
	ld	ra, SCRATCH(tp)
	ld	tp, SEEN_TP(tp)
	sret
	/* the end of the snippet is M's */
1:	ecall

m_hook:	csrr	t0, CSR_MEPC
	sd	t0, SEEN_EPC(tp)
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	csrr	t0, CSR_MCAUSE
	sd	t0, SEEN_CAUSE(tp)
	csrr	t0, CSR_SATP
	sd	t0, SEEN_SATP(tp)
	csrr	t0, CSR_MSTATUS
	li	t1, MSTATUS_MPP | MSTATUS_MPV
	and	t0, t0, t1
	sd	t0, SEEN_STATUS(tp)
	ld	a0, REC_A0(tp)
	sd	a0, SEEN_A0(tp)
	li	t0, HELD(4)		/* m_trap has replaced it */
	sd	t0, SEEN_TP(tp)
	call	look
	j	7870f
m_hook_ssi:
	csrr	t0, CSR_MEPC
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	CSRS	CSR_MIP, BIT(IRQ_SSI)
	/* what m_trap and this have used */
7870:	li	a0, HELD(10)
	li	t0, HELD(5)
	li	t1, HELD(6)
	li	t2, HELD(7)
	li	ra, HELD(1)
	li	tp, HELD(4)
	mret

look:	sd	ra, SCRATCH+8(tp)
	csrr	t0, CSR_USCRATCH
	sd	t0, SEEN_USCRATCH(tp)
	csrr	t0, CSR_SUATP
	sd	t0, SEEN_SUATP(tp)
	csrr	t0, CSR_SUSCRATCH
	sd	t0, SEEN_SUSCRATCH(tp)
	csrr	t0, CSR_SUUSCRATCH
	sd	t0, SEEN_SUUSCRATCH(tp)
	csrr	t0, CSR_USTATUS
	sd	t0, SEEN_USTATUS(tp)
	ld	t0, TRAPS(tp)
	addi	t0, t0, 1
	sd	t0, TRAPS(tp)
	ret
