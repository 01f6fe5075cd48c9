/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest: does what its struct job says, all integer registers full of what the host wrote there.
 * Position-independent; the host copies it to the start of the guest's memory and writes the access into
 * the slot. a0 is where the struct job is.
 */
#include "uer.h"

	.section .rodata
	.globl uer_guest
	.globl uer_guest_slot
	.globl uer_guest_end
	.balign	8
uer_guest:
	.option push
	.option norvc
	.option norelax
	mv	x31, a0
	lla	t0, trap
	csrw	stvec, t0
	li	t0, 0x6000		/* sstatus.FS */
	csrs	sstatus, t0
order:
	fence.i
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fld	f\n, JOB_FP_IN + 8 * \n(x31)
	.endr
	ld	t0, JOB_USER(x31)
	beqz	t0, round
	li	t0, 0x100		/* sstatus.SPP */
	csrc	sstatus, t0
	lla	t0, round
	csrw	sepc, t0
	sret

round:
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	ld	x\n, JOB_IN + 8 * \n(x31)
	.endr
	j	uer_guest_slot
	.balign	64
uer_guest_slot:
	nop
	nop
	nop
	nop
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	sd	x\n, JOB_OUT + 8 * \n(x31)
	.endr
	/* an x31 that is not restored would have faulted above, or stored elsewhere */
	sd	x31, JOB_OUT + 8 * 31(x31)
	addi	t0, x31, 8
	addi	t1, x31, 256
	li	t4, 0
1:	ld	t2, JOB_EXPECT(t0)
	ld	t3, JOB_OUT(t0)
	xor	t2, t2, t3
	or	t4, t4, t2
	addi	t0, t0, 8
	bne	t0, t1, 1b
	beqz	t4, 2f
	ld	t0, JOB_BAD(x31)
	addi	t0, t0, 1
	sd	t0, JOB_BAD(x31)
	j	done
2:	ld	t0, JOB_DONE(x31)
	addi	t0, t0, 1
	sd	t0, JOB_DONE(x31)
	ld	t1, JOB_STEP(x31)
	ld	t2, JOB_IN + 8 * 5(x31)
	add	t2, t2, t1
	sd	t2, JOB_IN + 8 * 5(x31)
	ld	t2, JOB_EXPECT + 8 * 5(x31)
	add	t2, t2, t1
	sd	t2, JOB_EXPECT + 8 * 5(x31)
	beqz	t1, 3f
	sd	t2, JOB_EXPECT + 8 * 6(x31)
	sext.w	t2, t2
	sd	t2, JOB_EXPECT + 8 * 7(x31)
3:	ld	t1, JOB_STOP(x31)
	bnez	t1, done
	ld	t1, JOB_ROUNDS(x31)
	bltu	t0, t1, round
done:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fsd	f\n, JOB_FP_OUT + 8 * \n(x31)
	.endr
	li	t0, DONE_GPA
	ld	t1, JOB_USER(x31)	/* before the host changes it */
	sw	zero, 0(t0)
	beqz	t1, order
	ecall				/* back to VS-mode */

	.balign	4
trap:
	csrr	t0, scause
	li	t1, 8			/* ecall from VU */
	beq	t0, t1, order
	sd	t0, JOB_SCAUSE(x31)
	csrr	t0, stval
	sd	t0, JOB_STVAL(x31)
	ld	t0, JOB_TRAPS(x31)
	addi	t0, t0, 1
	sd	t0, JOB_TRAPS(x31)
	j	done
	.option pop
uer_guest_end:

	.section .note.GNU-stack, "", @progbits
