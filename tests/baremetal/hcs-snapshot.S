/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 0, "Everything migrates", for section 4: a snapshot taken while
 * a handler of HCS runs in U, the swap in force and another event pending, is
 * loaded in the same process after everything has changed, and in a new one. The
 * handler goes on in its address space and returns by URET to a context that
 * finds all its registers; the other event is taken one instruction behind it.
 * A second hart is in M with a frame, so without the swap.
 *
 * The runner's part: see snapshot.S.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 snapshot=yes
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=2 snapshot=yes
 */
#include "hcs.h"

#define PATTERN(n)	(0x2468135780000000 + (n) * 0x0123456789)
#define SEEN		MORE	/* what the handler saw, behind the load */
#define PRIVATE		0x40000000	/* only the handler's space has it */
#define PRIVATE_PAGE	0x87400000

.macro EACH_OTHER do
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	\do	\n
	.endr
.endm
.macro LOAD_IT n
	li	x\n, PATTERN(\n)
.endm
.macro HELD_IN_FRAME n
	li	t6, HCS_FRAME(8)
	ld	t5, 8 * \n(t6)
	li	t6, PATTERN(\n)
	xor	t5, t5, t6
	or	s4, s4, t5
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	HCS
	/* 1 GiB at PRIVATE */
	W64	HCS_ROOT + 8 * (PRIVATE >> 30), PTE(RAM, PTE_RAM)
	W64	PRIVATE_PAGE, 0x9876
	DESC_LA	7, DESC_UTVEC, handler
	START	1, other_frame
	JOIN	1
	EVENT	8
	EVENT	7
	CSRW	CSR_VSSCRATCH, 0x7575
	la	a7, 7811f
	csrw	CSR_SEPC, a7
	/* into VS with every register full: nothing of the harness is in them */
	sd	sp, SAVE+8(tp)
	la	t0, 7812f
	sd	t0, SAVE+0(tp)
	li	t0, 1
	sd	t0, RUNNING(tp)
	CSRS	CSR_HSTATUS, HSTATUS_SPV
	CSRC	CSR_MSTATUS, MSTATUS_SPIE
	CSRS	CSR_MSTATUS, MSTATUS_SPP
	EACH_OTHER LOAD_IT
	li	x10, PATTERN(10)
	sret
	/* one instruction between the two frames */
7811:	addi	x10, x10, 1
7813:	addi	x10, x10, -1
1:	j	1b
	/* the handler of 8 ends the snippet; or that of 7, when all is to change */
7812:	li	t1, ENDED
	beq	a0, t1, change

	EXPECT	a0, TAKEN, "0 behind URET, the other event is taken"
	csrr	t5, CSR_UTVAL
	EXPECT	t5, 8, "0 it is the other event"
	csrr	t5, CSR_UEPC
	la	t6, 7813b
	EXPECTR	t5, t6, "0 it is taken one instruction behind the URET"
	CSR_IS	CSR_USTATUS, -1, USTATUS_HCS(VS), "0 ustatus of the second frame"
	/* that frame holds what the context had behind the first one */
	li	s4, 0
	EACH_OTHER HELD_IN_FRAME
	EXPECT	s4, 0, "0 the context has its registers behind URET"
	li	t6, HCS_FRAME(8)
	ld	t5, 8 * 10(t6)
	EXPECT	t5, PATTERN(10) + 1, "0 and its one instruction has run"
	UNSWAPPED 8, "0 behind the load and another frame"
	CSR_IS	CSR_VSSCRATCH, -1, 0x7575, "0 vsscratch"
	ld	t5, SEEN(tp)
	EXPECT	t5, USTATUS_HCS(VS), "0 ustatus, read by the handler behind the load"
	ld	t5, SEEN + 8(tp)
	la	t6, 7811b
	EXPECTR	t5, t6, "0 uepc, read by the handler behind the load"
	ld	t5, SEEN + 16(tp)
	EXPECT	t5, TAKEN, "0 ucause, read by the handler behind the load"
	ld	t5, SEEN + 24(tp)
	EXPECT	t5, 7, "0 utval, read by the handler behind the load"
	ld	t5, SEEN + 32(tp)
	EXPECT	t5, 0x9876, "0 the handler is in its address space behind the load"
	ld	t5, SEEN + 40(tp)
	EXPECTR	t5, tp, "0 uscratch, read by the handler behind the load"
	ld	t5, SEEN + 48(tp)
	EXPECT	t5, 1, "0 the handler's registers are as they were saved"
	ld	t5, SEEN + 56(tp)
	EXPECT	t5, UIP_UEIP, "0 uip, read by the handler behind the load"
	csrw	CSR_USTATUS, zero
	START	1, other_ends
	JOIN	1
	la	s4, areas + AREA_SIZE
	ld	t5, SEEN(s4)
	EXPECT	t5, OLD_USCRATCH, "0 the other hart: uscratch in M is the thread's"
	ld	t5, SEEN + 8(s4)
	EXPECT	t5, 0x1919, "0 the other hart: uscratch in U is the handler's"
	ld	t5, SEEN + 16(s4)
	EXPECT	t5, OLD_USCRATCH, "0 the other hart: uscratch in M again"
	ld	t5, SEEN + 24(s4)
	EXPECT	t5, USTATUS_HCS(U), "0 the other hart: ustatus"
	SAY	"snapshot: verified"
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

change:	call	fresh
	W64	PRIVATE_PAGE, 0
	W64	HCS_ROOT, 0
	W64	HCS_ROOT + 8 * (RAM >> 30), 0
	li	t0, HCS_FRAME(0)
	li	t1, HCS_FRAME(16)
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bne	t0, t1, 1b
	CSRW	CSR_VSSCRATCH, 0
	START	1, other_changes
	JOIN	1
	SAY	"snapshot: changed"
1:	call	getc
	j	1b

	.balign	4
handler:
	li	s1, PATTERN(77)
	csrr	s0, CSR_USCRATCH
	la	sp, u_stack + 4096
	SAY	"snapshot: ready"
	call	getc
	li	t0, 'v'
	beq	a0, t0, 1f
	/* M is to change everything */
	li	a7, MAGIC_END
	ecall
1:	csrr	t0, CSR_USTATUS
	sd	t0, SEEN(s0)
	csrr	t0, CSR_UEPC
	sd	t0, SEEN + 8(s0)
	csrr	t0, CSR_UCAUSE
	sd	t0, SEEN + 16(s0)
	csrr	t0, CSR_UTVAL
	sd	t0, SEEN + 24(s0)
	li	t0, PRIVATE + (PRIVATE_PAGE - RAM)
	ld	t0, 0(t0)
	sd	t0, SEEN + 32(s0)
	csrr	t0, CSR_USCRATCH
	sd	t0, SEEN + 40(s0)
	li	t0, PATTERN(77)
	xor	t0, t0, s1
	seqz	t0, t0
	sd	t0, SEEN + 48(s0)
	csrr	t0, CSR_UIP
	sd	t0, SEEN + 56(s0)
	URET

/* On hart 1. */
other_frame:
	CSRW	CSR_USCRATCH, OLD_USCRATCH
	CSRW	CSR_SUUSCRATCH, 0x1919
	CSRW	CSR_SUATP, HCS_SATP(1)
	csrw	CSR_SATP, zero
	CSRW	CSR_USTATUS, USTATUS_HCS(U)
	ret
other_changes:
	csrw	CSR_USTATUS, zero
	csrw	CSR_USCRATCH, zero
	csrw	CSR_SUUSCRATCH, zero
	csrw	CSR_SUATP, zero
	ret
other_ends:
	mv	s0, ra
	csrr	t0, CSR_USCRATCH
	sd	t0, SEEN(tp)
	csrr	t0, CSR_USTATUS
	sd	t0, SEEN + 24(tp)
	IN	U
	csrr	a0, CSR_USCRATCH
	ENDIN
	sd	a1, SEEN + 8(tp)
	csrr	t0, CSR_USCRATCH
	sd	t0, SEEN + 16(tp)
	csrw	CSR_USTATUS, zero
	jr	s0

	.bss
	.balign	16
u_stack: .zero	4096
