/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.4 with UHCS=1: URET undoes 4.3, to U, VS and VU; where it is illegal,
 * and that nothing changes then; that exactly one instruction of the interrupted
 * context runs before a pending HCS, whatever that instruction is and whatever
 * else is pending.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 accel=tcg,thread=single
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1 icount=shift=0
 */
#include "hcs.h"

#define HELD(n)	(0x6000 + (n))
#define ENTRIES		MORE		/* how often the handler ran */
#define SEEN_EPC	(MORE + 8)	/* of the trap to HS in between */
#define SEEN_CAUSE	(MORE + 16)
#define TRACE		(MORE + 64)	/* uepc of each entry */
#define THREAD_ROOT	(HCS_ROOT + 0x1000)	/* satp of a thread that faults */
#define MISSING		0x40000000

.macro EACH_HELD do
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29
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

/* Every register through a frame and back. */
.macro ROUND mode, text
	HCS
	sd	zero, ENTRIES(tp)
	HANDLER_OF 7
	csrr	a0, CSR_USCRATCH
	ld	t0, ENTRIES(a0)
	addi	t0, t0, 1
	sd	t0, ENTRIES(a0)
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	li	x\n, -\n
	.endr
	URET
	ENDHANDLER
	IN	\mode
	EACH_HELD HOLD
	li	x30, BIT(7)
	li	x31, VEIC + EIP(0, 0)
	sd	x30, 0(x31)
	fence	iorw, iorw
	.rept	4
	j	7801f
7801:
	.endr
	/* x31 and x30 too, and then they are free */
	addi	x30, x30, -BIT(7)
	bnez	x30, 7853f
	li	x30, VEIC + EIP(0, 0)
	bne	x30, x31, 7853f
	EACH_HELD STILL
	li	a0, 0x77
	j	7854f
7853:	li	a0, 0
7854:	li	a7, MAGIC_END
	ecall
	ENDIN
	EXPECT	a0, ENDED, "2.4 \text: the context ran to its end"
	EXPECT	a1, 0x77, "2.4 \text: x1..x31 are as they were"
	ld	t5, ENTRIES(tp)
	EXPECT	t5, 1, "2.4 \text: there was one frame"
	ld	t5, REC_STATUS(tp)
	li	t6, MSTATUS_MPV | MSTATUS_MPP
	and	t5, t5, t6
	EXPECT	t5, ((\mode) >> 2 << 39) | (((\mode) & 1) << 11), "2.4 \text: the mode is what it was"
	CSR_IS	CSR_USTATUS, -1, 0, "2.4 \text: ustatus is 0"
	UNSWAPPED 7, "2.4 \text"
	CSR_IS	CSR_VSATP, -1, 0, "2.4 \text: vsatp"
	VEIC_IS	EIP(0, 0), 0, "2.4 \text: nothing is pending"
.endm

/* A handler of 7 that makes 7 pending again the first time, and ends the
 * snippet the second time: a1 is then uepc, with ENTRIES 2. */
.macro AGAIN hook=0
	HANDLER_OF 7
	csrr	a0, CSR_USCRATCH
	ld	t0, ENTRIES(a0)
	addi	t0, t0, 1
	sd	t0, ENTRIES(a0)
	li	t1, 2
	beq	t0, t1, 7855f
	li	t1, VEIC + EIP(0, 0)
	li	t2, BIT(7)
	sd	t2, 0(t1)
	fence	iorw, iorw
	.if	\hook
	li	a7, MAGIC_HOOK
	ecall
	.endif
	URET
7855:	csrr	a0, CSR_UEPC
	li	a7, MAGIC_END
	ecall
	ENDHANDLER
	sd	zero, ENTRIES(tp)
.endm

/* One instruction, of 4 bytes, runs between URET and the next entry: at `next`
 * it is over. */
.macro ONE mode, next, text, insn:vararg
	AGAIN
	EVENT	7
	li	a2, HCS_FRAME(1)
	li	a3, UART
	la	a5, 7803f
	IN	\mode
7800:	\insn
7801:	nop
7802:	nop
	nop
7803:	nop
	nop
	j	7803b
	ENDIN
	ONCE	\next, "\text"
	li	t0, HCS_FRAME(1)
	li	t1, -1
	sd	t1, 0(t0)
.endm
.macro ONCE next, text
	EXPECT	a0, ENDED, "2.4 one instruction, \text: the second entry"
	la	t6, \next
	EXPECTR	a1, t6, "2.4 one instruction, \text: it alone has run"
	ld	t5, ENTRIES(tp)
	EXPECT	t5, 2, "2.4 one instruction, \text: two entries"
	csrw	CSR_USTATUS, zero
.endm

.macro SIXTEEN
	.rept	8
	addi	a0, a0, 1
	addi	a0, a0, 2
	.endr
.endm

/* A handler that calls M in the middle; then it is at its URET. */
.macro REFUSED_BY hook, bits, text
	HCS
	la	t0, \hook
	sd	t0, HOOK(tp)
	HANDLER_OF 7
	li	a7, MAGIC_HOOK
	ecall
	li	a0, 0x88
7850:	URET
	li	a0, 0x99
	li	a7, MAGIC_END
	ecall
	ENDHANDLER
	EVENT	7
	IN	VS
	nop
	ENDIN
	EXPECT	a0, ILLEGAL, "2.4 \text: illegal instruction"
	EXPECT	a1, 0x88, "2.4 \text: x10 is the handler's"
	ld	t5, REC_EPC(tp)
	la	t6, 7850b
	EXPECTR	t5, t6, "2.4 \text: the trap's pc is the URET"
	CSR_IS	CSR_USTATUS, -1, USTATUS_HCS(VS) | (\bits), "2.4 \text: the frame is whole"
	CSR_IS	CSR_SATP, -1, 0, "2.4 \text: satp"
	CSR_IS	CSR_SUATP, -1, HCS_SATP(7), "2.4 \text: suatp"
	CSR_IS	CSR_SSCRATCH, -1, OLD_SSCRATCH, "2.4 \text: sscratch"
	CSR_IS	CSR_USCRATCH, -1, OLD_USCRATCH, "2.4 \text: uscratch"
	csrw	CSR_USTATUS, zero
	CSRS	CSR_HSTATUS, HSTATUS_HUR
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	ROUND	U, "a frame over U"
	ROUND	VS, "a frame over VS"
	ROUND	VU, "a frame over VU"

	/* the registers come from the frame in memory, wherever suframe points then */
	.irp	other, 0, 1
	HCS
	HANDLER_OF 7
	li	a7, MAGIC_HOOK
	ecall
	URET
	ENDHANDLER
	.if	\other
	la	t0, hook_other
	.else
	la	t0, hook_frame
	.endif
	sd	t0, HOOK(tp)
	EVENT	7
	li	a5, 1
	IN	U
	mv	a0, a5
	ENDIN
	EXPECT	a0, ENDED, "2.4 HS changes the frame \other: the thread goes on"
	EXPECT	a1, 0x1234, "2.4 HS changes the frame \other: x15 is what HS has put there"
	.endr

	/* illegal */
	REFUSED_BY hook_tur, USTATUS_TUR, "URET of HCS, TUR=1"
	REFUSED_BY hook_hur, 0, "URET of HCS, UPV=1, HUR=0"
	REFUSED_BY hook_suframe, 0, "URET of HCS, suframe not in RAM"
	REFUSED_BY hook_pmp, 0, "URET of HCS, suframe not for HS by PMP"
	call	pmp_open

	/* the reservation */
	HCS
	HANDLER_OF 7
	li	a4, HCS_FRAME(1)
	lr.d	a0, (a4)
	URET
	ENDHANDLER
	li	a4, HCS_FRAME(1)
	EVENT	7
	IN	U
	sc.d	a0, a4, (a4)
	ENDIN
	EXPECT	a0, ENDED, "2.4 LR in the handler, SC behind its URET: no trap"
	snez	a1, a1
	EXPECT	a1, 1, "2.4 LR in the handler, SC behind its URET: it fails"

	/* exactly one instruction, of each kind */
	.irp	mode, U, VS, VU
	HCS
	ONE	\mode, 7801b, "nop in \mode", nop
	ONE	\mode, 7801b, "load in \mode", ld a0, 0(a2)
	ONE	\mode, 7801b, "store in \mode", sd a2, 0(a2)
	ONE	\mode, 7801b, "AMO in \mode", amoadd.d a0, a2, (a2)
	ONE	\mode, 7801b, "device in \mode", lbu a0, 5(a3)
	ONE	\mode, 7801b, "fence.i in \mode", fence.i
	ONE	\mode, 7803b, "jump in \mode", j 7803f
	ONE	\mode, 7803b, "jump to a register in \mode", jr a5
	ONE	\mode, 7803b, "branch taken in \mode", beq x0, x0, 7803f
	ONE	\mode, 7801b, "branch not taken in \mode", bne x0, x0, 7803f
	.endr
	HCS
	ROUTE	RT0, 8, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VMID	1
	ONE	VS, 7801b, "a CSR in VS", csrw CSR_SSCRATCH, a2
	ONE	VS, 7801b, "WFI in VS", wfi
	la	t0, 7890f
	csrw	CSR_VSEPC, t0
	csrw	CSR_VSSTATUS, zero
	ONE	VS, 7890f, "SRET in VS", sret

	/* straight through: sixteen entries, one instruction each */
	HCS
	sd	zero, ENTRIES(tp)
	HANDLER_OF 7
	csrr	a0, CSR_USCRATCH
	ld	t0, ENTRIES(a0)
	slli	t1, t0, 3
	add	t1, t1, a0
	csrr	t2, CSR_UEPC
	sd	t2, TRACE(t1)
	addi	t0, t0, 1
	sd	t0, ENTRIES(a0)
	li	t1, 16
	beq	t0, t1, 7856f
	li	t1, VEIC + EIP(0, 0)
	li	t2, BIT(7)
	sd	t2, 0(t1)
	fence	iorw, iorw
7856:	URET
	ENDHANDLER
	.irp	mode, U, VS
	sd	zero, ENTRIES(tp)
	EVENT	7
	IN	\mode
7804:	SIXTEEN
	ENDIN
	EXPECT	a0, ENDED, "2.4 sixteen entries in \mode: the context ran to its end"
	EXPECT	a1, 24, "2.4 sixteen entries in \mode: all of it, once"
	ld	t5, ENTRIES(tp)
	EXPECT	t5, 16, "2.4 sixteen entries in \mode: none is lost"
	li	s4, 0
	la	s5, 7804b
	addi	s6, tp, TRACE
	li	s7, 16
1:	ld	t5, 0(s6)
	xor	t5, t5, s5
	or	s4, s4, t5
	addi	s5, s5, 4
	addi	s6, s6, 8
	addi	s7, s7, -1
	bnez	s7, 1b
	EXPECT	s4, 0, "2.4 sixteen entries in \mode: one instruction between each two"
	.endr

	/* an event that comes later than URET is taken at once, not one behind */
	HCS
	sd	zero, ENTRIES(tp)
	HANDLER_OF 7
	csrr	a0, CSR_USCRATCH
	ld	t0, ENTRIES(a0)
	addi	t0, t0, 1
	sd	t0, ENTRIES(a0)
	URET
	ENDHANDLER
	ROUTE	RT0, 8, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VMID	1
	EVENT	7
	IN	VS
	li	a1, 8
	csrw	CSR_SVEI, a1
7800:	nop
	nop
	ENDIN
	SWITCHED VS, 8, 7800b, "2.4 an event behind URET is taken at once"
	csrw	CSR_USTATUS, zero

	/* an interrupt of VS that is pending at URET does not come first: HCS
	 * outranks it, one instruction later. (Those of HS and M are taken in the
	 * frame.) */
	HCS
	CSRW	CSR_HIDELEG, BIT(IRQ_VSSI)
	CSRW	CSR_VSIE, 2
	CSRS	CSR_VSSTATUS, MSTATUS_SIE
	la	t6, 7891f
	csrw	CSR_VSTVEC, t6
	la	t0, hook_vssi
	sd	t0, HOOK(tp)
	AGAIN	1
	EVENT	7
	IN	VS
7800:	nop
7801:	nop
	nop
	ENDIN
	ONCE	7801b, "an interrupt of VS pending at URET"
	csrw	CSR_HVIP, zero
	csrw	CSR_VSIE, zero
	csrw	CSR_HIDELEG, zero
	csrw	CSR_VSSTATUS, zero

	/* an instruction that traps has not run: HS first, then it, then HCS */
	HCS
	la	t0, hs_mends
	li	t1, ALIAS
	add	t0, t0, t1
	csrw	CSR_STVEC, t0
	CSRW	CSR_MEDELEG, BIT(LOAD_PAGE)
	AGAIN
	EVENT	7
	li	t0, THREAD_ROOT
	li	t1, PTE(RAM, PTE_RAM)
	sd	t1, 8 * (RAM >> 30)(t0)
	li	t1, PTE(RAM, PTE_CODE)
	sd	t1, 8 * ((RAM + ALIAS) >> 30)(t0)
	sd	zero, 8 * (MISSING >> 30)(t0)
	CSRW	CSR_SATP, SV39 | (THREAD_ROOT >> 12)
	sfence.vma
	li	a2, MISSING
	IN	U
7800:	ld	a0, 0(a2)
7801:	nop
	nop
	ENDIN
	csrw	CSR_SATP, zero
	sfence.vma
	ONCE	7801b, "a load that faults first"
	ld	t5, SEEN_CAUSE(tp)
	EXPECT	t5, LOAD_PAGE, "2.4 a load that faults behind URET: HS takes the fault first"
	ld	t5, SEEN_EPC(tp)
	la	t6, 7800b
	EXPECTR	t5, t6, "2.4 a load that faults behind URET: its pc"
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MEDELEG, zero

	/* what is owed goes with the event: HS withdraws it, and the next one, that
	 * the guest sends to itself, is taken at once */
	HCS
	ROUTE	RT0, 8, 8, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VMID	1
	la	t0, hs_withdraws
	csrw	CSR_STVEC, t0
	CSRW	CSR_MEDELEG, BIT(ECALL_VS)
	AGAIN
	EVENT	7
	li	a1, 8
	IN	VS
	ecall
	csrw	CSR_SVEI, a1
7800:	nop
	nop
	ENDIN
	SWITCHED VS, 8, 7800b, "2.4 an event behind one that HS has withdrawn is taken at once"
	csrw	CSR_USTATUS, zero
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MEDELEG, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

7890:	nop
	nop
	j	7890b
	.balign	4
7891:	li	a0, -1
	li	a7, MAGIC_END
	ecall

	.balign	4
hs_mends:
	li	t0, ALIAS
	add	t1, tp, t0
	csrr	t2, CSR_SEPC
	sd	t2, SEEN_EPC(t1)
	csrr	t2, CSR_SCAUSE
	sd	t2, SEEN_CAUSE(t1)
	li	t0, THREAD_ROOT + ALIAS
	li	t1, PTE(RAM, PTE_RAM)
	sd	t1, 8 * (MISSING >> 30)(t0)
	sfence.vma
	sret

	.balign	4
hs_withdraws:
	li	t0, VEIC + EIPCLR(0, 0)
	li	t1, BIT(7)
	sd	t1, 0(t0)
	fence	iorw, iorw
	csrr	t0, CSR_SEPC
	addi	t0, t0, 4
	csrw	CSR_SEPC, t0
	sret

/* hooks, in M, of a handler */
hook_frame:
	li	t0, HCS_FRAME(7)
	li	t1, 0x1234
	sd	t1, 8 * 15(t0)
	j	hook_none
hook_other:
	li	t0, HCS_FRAME(7)
	li	t1, HCS_FRAME(2)
	li	t2, 32
1:	ld	t3, 0(t0)
	sd	t3, 0(t1)
	addi	t0, t0, 8
	addi	t1, t1, 8
	addi	t2, t2, -1
	bnez	t2, 1b
	li	t1, HCS_FRAME(2)
	csrw	CSR_SUFRAME, t1
	li	t2, 0x1234
	sd	t2, 8 * 15(t1)
	j	hook_none
hook_tur:
	CSRS	CSR_USTATUS, USTATUS_TUR
	j	hook_none
hook_hur:
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	j	hook_none
hook_suframe:
	CSRW	CSR_SUFRAME, 0x1000
	j	hook_none
hook_pmp:
	/* entry 0: none of the frame of 7; entry 1: all the rest */
	li	t0, -1
	csrw	CSR_PMPADDR1, t0
	li	t0, (HCS_FRAME(7) >> 2) | 31
	csrw	CSR_PMPADDR0, t0
	li	t0, 0x1f18
	csrw	CSR_PMPCFG0, t0
	sfence.vma
	j	hook_none
hook_vssi:
	CSRW	CSR_HVIP, BIT(IRQ_VSSI)
hook_none:
	csrr	t0, CSR_MEPC
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	mret

pmp_open:
	li	t0, -1
	csrw	CSR_PMPADDR0, t0
	li	t0, 0x1f
	csrw	CSR_PMPCFG0, t0
	sfence.vma
	ret
