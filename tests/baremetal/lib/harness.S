/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Start-up, modes and traps, TAP output.
 *
 * Every hart starts here in M-mode (-bios none). Hart 0 runs the test, the
 * others wait for work. Nothing is delegated beyond what the hardware fixes,
 * so that an exception ends in M-mode, whatever the mode it was raised in, and
 * the standard interrupts do too, unless a test delegates them. Interrupts 24
 * and 25 are delegated by the hardware: HS has a handler that records the trap
 * and hands over to M-mode.
 */
#include "harness.h"

	.section .text.start, "ax"
	.globl	_start
_start:
	csrr	a0, CSR_MHARTID
	li	t0, MAX_HARTS
	bgeu	a0, t0, halt
	la	tp, areas
	slli	t0, a0, 10
	add	tp, tp, t0
	sd	a0, HARTID(tp)
	la	sp, stacks
	addi	t0, a0, 1
	slli	t0, t0, 13
	add	sp, sp, t0
	la	t0, m_trap
	csrw	CSR_MTVEC, t0
	csrw	CSR_MSCRATCH, tp
	csrr	t0, CSR_MEDELEG
	sd	t0, RESET_MEDELEG(tp)
	csrr	t0, CSR_MIDELEG
	sd	t0, RESET_MIDELEG(tp)
	/* all memory for all modes */
	li	t0, -1
	csrw	CSR_PMPADDR0, t0
	li	t0, 0x1f
	csrw	CSR_PMPCFG0, t0
	csrw	CSR_MIE, zero
	csrw	CSR_MEDELEG, zero
	csrw	CSR_MIDELEG, zero
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	bnez	a0, work
	call	test_main
	call	plan
	j	finish

halt:	wfi
	j	halt

/* A hart other than 0: poll for a function. */
work:	ld	t0, WORK(tp)
	bnez	t0, 1f
	nop
	j	work
1:	fence	iorw, iorw
	jalr	t0
	fence	iorw, iorw
	sd	zero, WORK(tp)
	j	work

	.text
/* run_mode: a6 mode, a7 address. See harness.h. */
	.globl	run_mode
run_mode:
	sd	ra, SAVE+0(tp)
	sd	sp, SAVE+8(tp)
	sd	s0, SAVE+16(tp)
	sd	s1, SAVE+24(tp)
	sd	s2, SAVE+32(tp)
	sd	s3, SAVE+40(tp)
	sd	s4, SAVE+48(tp)
	sd	s5, SAVE+56(tp)
	sd	s6, SAVE+64(tp)
	sd	s7, SAVE+72(tp)
	sd	s8, SAVE+80(tp)
	sd	s9, SAVE+88(tp)
	sd	s10, SAVE+96(tp)
	sd	s11, SAVE+104(tp)
	li	t0, MSTATUS_MPP | MSTATUS_MPIE
	csrc	CSR_MSTATUS, t0
	andi	t0, a6, 3
	slli	t0, t0, 11
	csrs	CSR_MSTATUS, t0
	csrw	CSR_MEPC, a7
	li	t0, 1
	sd	t0, RUNNING(tp)
	la	ra, snippet_end
	/* nothing that the test did not put there */
	li	a0, 0
	andi	t0, a6, 4
	bnez	t0, 1f
	mret

	/* V=1 is entered by SRET: QEMU 10.0 has a read-only mstatus.MPV. SIE is
	 * to stay what it is, so SPIE becomes that first. */
1:	csrw	CSR_SEPC, a7
	li	t0, HSTATUS_SPV
	csrs	CSR_HSTATUS, t0
	li	t0, MSTATUS_SPP | MSTATUS_SPIE
	csrc	CSR_MSTATUS, t0
	csrr	t0, CSR_MSTATUS
	andi	t0, t0, MSTATUS_SIE
	slli	t0, t0, 4
	csrs	CSR_MSTATUS, t0
	andi	t0, a6, 1
	slli	t0, t0, 8
	csrs	CSR_MSTATUS, t0
	sret

	.globl	snippet_end
snippet_end:
	li	a7, MAGIC_END
	ecall

/* Traps taken in M-mode. */
	.balign	4
	.globl	m_trap
m_trap:
	/* the snippet may have changed tp, and MPRV */
	csrr	tp, CSR_MSCRATCH
	sd	a0, REC_A0(tp)
	li	a0, MSTATUS_MPRV
	csrc	CSR_MSTATUS, a0
	ld	a0, RUNNING(tp)
	beqz	a0, unexpected
	sd	zero, RUNNING(tp)
	csrr	t0, CSR_MCAUSE
	/* the end of a snippet, in whatever mode? */
	addi	t1, t0, -8
	li	t2, 4
	bgeu	t1, t2, 1f
	li	t2, MAGIC_END
	beq	a7, t2, 2f
	li	t2, MAGIC_HS
	beq	a7, t2, 4f
	li	t2, MAGIC_UER
	beq	a7, t2, 6f
	li	t2, MAGIC_HOOK
	beq	a7, t2, 7f
1:	csrr	t2, CSR_MTVAL
	sd	t2, REC_TVAL(tp)
	csrr	t2, CSR_MEPC
	sd	t2, REC_EPC(tp)
	csrr	t2, CSR_MTVAL2
	sd	t2, REC_TVAL2(tp)
	csrr	t2, CSR_MTINST
	sd	t2, REC_TINST(tp)
	j	3f
2:	li	t0, ENDED
3:	sd	t0, REC_CAUSE(tp)
	li	t0, M
	sd	t0, REC_WHERE(tp)
	csrr	t0, CSR_HSTATUS
	sd	t0, REC_HSTATUS(tp)
	csrr	t0, CSR_MSTATUS
	sd	t0, REC_STATUS(tp)
	/* MPV stays set after a trap from V=1, and only an MRET clears it */
4:	li	t0, MSTATUS_MPIE
	csrc	CSR_MSTATUS, t0
	li	t0, MSTATUS_MPP
	csrs	CSR_MSTATUS, t0
	la	t0, 5f
	csrw	CSR_MEPC, t0
	mret
5:	ld	ra, SAVE+0(tp)
	ld	sp, SAVE+8(tp)
	ld	s0, SAVE+16(tp)
	ld	s1, SAVE+24(tp)
	ld	s2, SAVE+32(tp)
	ld	s3, SAVE+40(tp)
	ld	s4, SAVE+48(tp)
	ld	s5, SAVE+56(tp)
	ld	s6, SAVE+64(tp)
	ld	s7, SAVE+72(tp)
	ld	s8, SAVE+80(tp)
	ld	s9, SAVE+88(tp)
	ld	s10, SAVE+96(tp)
	ld	s11, SAVE+104(tp)
	ld	a0, REC_CAUSE(tp)
	ld	a1, REC_A0(tp)
	ret

	/* from uer_record, which has recorded the rest */
6:	csrr	t0, CSR_HSTATUS
	sd	t0, REC_HSTATUS(tp)
	csrr	t0, CSR_MSTATUS
	sd	t0, REC_STATUS(tp)
	j	4b

	/* the test goes on in M-mode, with MPP and MPV as the trap left them */
7:	li	t0, 1
	sd	t0, RUNNING(tp)
	ld	t0, HOOK(tp)
	jr	t0

/* Traps taken in HS: record, and hand over to M-mode, which stores a0 in REC_A0
 * again: it has to be what it was. */
	.balign	4
	.globl	s_trap
s_trap:
	sd	a0, REC_A0(tp)
	csrr	a0, CSR_SCAUSE
	sd	a0, REC_CAUSE(tp)
	csrr	a0, CSR_STVAL
	sd	a0, REC_TVAL(tp)
	csrr	a0, CSR_SEPC
	sd	a0, REC_EPC(tp)
	csrr	a0, CSR_HTVAL
	sd	a0, REC_TVAL2(tp)
	csrr	a0, CSR_HTINST
	sd	a0, REC_TINST(tp)
	csrr	a0, CSR_HSTATUS
	sd	a0, REC_HSTATUS(tp)
	csrr	a0, CSR_SSTATUS
	sd	a0, REC_STATUS(tp)
	li	a0, HS
	sd	a0, REC_WHERE(tp)
	ld	a0, REC_A0(tp)
	li	a7, MAGIC_HS
	ecall

/* A trap outside any snippet: say so and end. */
unexpected:
	la	sp, stacks + 8192
	la	a0, bail_text
	call	puts
	csrr	a0, CSR_MCAUSE
	call	puthex
	li	a0, ' '
	call	putc
	csrr	a0, CSR_MEPC
	call	puthex
	li	a0, ' '
	call	putc
	csrr	a0, CSR_MTVAL
	call	puthex
	li	a0, '\n'
	call	putc
	li	t1, 0x23333
	j	stop

/* The end: status 0 if every check passed, 1 if not. */
finish:
	ld	t0, failed
	li	t1, 0x5555
	beqz	t0, stop
	li	t1, 0x13333
stop:	li	t0, FINISHER
	sw	t1, 0(t0)
	j	halt

/* check: a0 got, a1 wanted, a2 name. Changes no register. */
	.globl	check
check:
	addi	sp, sp, -160
	sd	ra, 0(sp)
	sd	t0, 8(sp)
	sd	t1, 16(sp)
	sd	t2, 24(sp)
	sd	t3, 32(sp)
	sd	t4, 40(sp)
	sd	t5, 48(sp)
	sd	t6, 56(sp)
	sd	a0, 64(sp)
	sd	a1, 72(sp)
	sd	a2, 80(sp)
	sd	a3, 88(sp)
	sd	a4, 96(sp)
	sd	a5, 104(sp)
	sd	a6, 112(sp)
	sd	a7, 120(sp)
	la	t0, number
	ld	t1, 0(t0)
	addi	t1, t1, 1
	sd	t1, 0(t0)
	beq	a0, a1, 1f
	la	t0, failed
	ld	t1, 0(t0)
	addi	t1, t1, 1
	sd	t1, 0(t0)
	la	a0, not_text
	call	puts
1:	la	a0, ok_text
	call	puts
	ld	a0, number
	call	putdec
	la	a0, dash_text
	call	puts
	ld	a0, 80(sp)
	call	puts
	li	a0, '\n'
	call	putc
	ld	a0, 64(sp)
	ld	a1, 72(sp)
	beq	a0, a1, 2f
	la	a0, got_text
	call	puts
	ld	a0, 64(sp)
	call	puthex
	la	a0, want_text
	call	puts
	ld	a0, 72(sp)
	call	puthex
	li	a0, '\n'
	call	putc
2:	ld	ra, 0(sp)
	ld	t0, 8(sp)
	ld	t1, 16(sp)
	ld	t2, 24(sp)
	ld	t3, 32(sp)
	ld	t4, 40(sp)
	ld	t5, 48(sp)
	ld	t6, 56(sp)
	ld	a0, 64(sp)
	ld	a1, 72(sp)
	ld	a2, 80(sp)
	ld	a3, 88(sp)
	ld	a4, 96(sp)
	ld	a5, 104(sp)
	ld	a6, 112(sp)
	ld	a7, 120(sp)
	addi	sp, sp, 160
	ret

	.globl	say
say:	addi	sp, sp, -16
	sd	ra, 0(sp)
	sd	a0, 8(sp)
	la	a0, hash_text
	call	puts
	ld	a0, 8(sp)
	call	puts
	li	a0, '\n'
	call	putc
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

plan:	addi	sp, sp, -16
	sd	ra, 0(sp)
	la	a0, plan_text
	call	puts
	ld	a0, number
	call	putdec
	li	a0, '\n'
	call	putc
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* putc, puts, puthex, putdec: argument in a0; use t0..t4 only. */
	.globl	putc
putc:	li	t0, UART
1:	lbu	t1, 5(t0)
	andi	t1, t1, 0x20
	beqz	t1, 1b
	sb	a0, 0(t0)
	ret

	.globl	getc
getc:	li	t0, UART
1:	lbu	t1, 5(t0)
	andi	t1, t1, 1
	beqz	t1, 1b
	lbu	a0, 0(t0)
	ret

	.globl	puts
puts:	mv	t2, ra
	mv	t3, a0
1:	lbu	a0, 0(t3)
	beqz	a0, 2f
	call	putc
	addi	t3, t3, 1
	j	1b
2:	mv	ra, t2
	ret

	.globl	puthex
puthex:	mv	t2, ra
	mv	t3, a0
	li	a0, '0'
	call	putc
	li	a0, 'x'
	call	putc
	li	t4, 60
1:	srl	a0, t3, t4
	andi	a0, a0, 15
	la	t0, digits
	add	a0, a0, t0
	lbu	a0, 0(a0)
	call	putc
	addi	t4, t4, -4
	bgez	t4, 1b
	mv	ra, t2
	ret

putdec:	addi	sp, sp, -48
	sd	ra, 0(sp)
	addi	t3, sp, 47
	sb	zero, 0(t3)
1:	li	t1, 10
	remu	t2, a0, t1
	divu	a0, a0, t1
	addi	t2, t2, '0'
	addi	t3, t3, -1
	sb	t2, 0(t3)
	bnez	a0, 1b
	mv	a0, t3
	call	puts
	ld	ra, 0(sp)
	addi	sp, sp, 48
	ret

	.section .rodata
digits:		.ascii	"0123456789abcdef"
bail_text:	.asciz	"Bail out! trap outside a snippet: mcause, mepc, mtval "
not_text:	.asciz	"not "
ok_text:	.asciz	"ok "
dash_text:	.asciz	" - "
got_text:	.asciz	"# got "
want_text:	.asciz	" want "
hash_text:	.asciz	"# "
plan_text:	.asciz	"1.."

	.bss
	.balign	16
	.globl	areas
areas:	.zero	AREA_SIZE * MAX_HARTS
stacks:	.zero	8192 * MAX_HARTS
	.globl	number
number:	.zero	8
failed:	.zero	8
