/* SPDX-License-Identifier: GPL-2.0-only */
/* The first and last instructions of a handler, and what its victims compute with. */
#include "hcs.h"

	.text
	.option push
	.option norelax
	.macro	begin_handler
	bnez	a0, 1f
	csrr	a0, 0x040		/* uscratch: in a frame */
1:	mv	s0, a0
	ld	sp, AREA_SP(a0)
	ld	gp, AREA_GP(a0)
	ld	tp, AREA_TP(a0)
	ld	t0, AREA_HANDLER(a0)
	jalr	t0
	.endm

	.globl hcs_entry
	.balign	4
hcs_entry:
	begin_handler
	ld	t0, AREA_ON_THREAD(s0)
	beqz	t0, 2f
	ld	a0, AREA_WAIT(s0)
	ld	a1, AREA_WAIT + 8(s0)
	ld	a2, AREA_WAIT + 16(s0)
	li	a7, 29			/* ioctl */
	ecall				/* comes back only if the context is gone */
2:	.4byte	0x00200073		/* uret */

	.globl hcs_entry_uret
	.balign	4
hcs_entry_uret:
	begin_handler
	.4byte	0x00200073		/* uret */

	.globl hcs_wait
hcs_wait:
	sd	sp, AREA_SP(a0)
	sd	gp, AREA_GP(a0)
	sd	tp, AREA_TP(a0)
	sd	a1, AREA_WAIT(a0)
	sd	a2, AREA_WAIT + 8(a0)
	sd	a3, AREA_WAIT + 16(a0)
	mv	a0, a1
	mv	a1, a2
	mv	a2, a3
	li	a7, 29			/* ioctl */
	ecall
	ret

	.globl hcs_hold
hcs_hold:
	mv	t0, a0
	mv	a0, a1
1:	bne	a0, a1, 2f
	lb	t1, 0(t0)
	beqz	t1, 1b
2:	ret

	/* What a caller keeps of x1 to x31, but for sp: each at its number on the stack */
	.macro	kept	op
	.irp	n, 1, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
	\op	x\n, 8 * \n(sp)
	.endr
	.endm

	/* s0 to s11, ra, gp, tp, fs0 to fs11: kept on the stack, with out behind them */
	.globl hcs_compute
hcs_compute:
	addi	sp, sp, -256
	kept	sd
	sd	a1, 0(sp)
	sd	a2, 16(sp)		/* x2's place */
	addi	sp, sp, -256
	.irp	n, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
	fsd	f\n, 8 * \n(sp)
	.endr
	frcsr	t0
	sd	t0, 0(sp)
	ld	t0, REGS_FCSR(a0)
	fscsr	t0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fld	f\n, REGS_F + 8 * \n(a0)
	.endr
	.irp	n, 1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	ld	x\n, 8 * \n(a0)
	.endr
	ld	a0, 80(a0)
	ld	x31, 272(sp)		/* the rounds */
	/* every register takes part */
1:	add	x1, x1, x3
	xor	x3, x3, x4
	add	x4, x4, x5
	xor	x5, x5, x6
	add	x6, x6, x7
	xor	x7, x7, x8
	add	x8, x8, x9
	xor	x9, x9, x10
	add	x10, x10, x11
	xor	x11, x11, x12
	add	x12, x12, x13
	xor	x13, x13, x14
	add	x14, x14, x15
	xor	x15, x15, x16
	add	x16, x16, x17
	xor	x17, x17, x18
	add	x18, x18, x19
	xor	x19, x19, x20
	add	x20, x20, x21
	xor	x21, x21, x22
	add	x22, x22, x23
	xor	x23, x23, x24
	add	x24, x24, x25
	xor	x25, x25, x26
	add	x26, x26, x27
	xor	x27, x27, x28
	add	x28, x28, x29
	xor	x29, x29, x30
	add	x30, x30, x1
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
	fsgnjx.d f\n, f\n, f1
	.endr
	fadd.d	f1, f1, f3
	fadd.d	f5, f5, f7
	addi	x31, x31, -1
	bnez	x31, 1b
	/* x31 is 0 now, as it is to be; out is where it was put */
	ld	x31, 256(sp)
	.irp	n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	sd	x\n, 8 * \n(x31)
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fsd	f\n, REGS_F + 8 * \n(x31)
	.endr
	frcsr	t0
	sd	t0, REGS_FCSR(x31)
	ld	t0, 0(sp)
	fscsr	t0
	.irp	n, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
	fld	f\n, 8 * \n(sp)
	.endr
	addi	sp, sp, 256
	kept	ld
	addi	sp, sp, 256
	ret

	/* Integer registers only: it runs in frames. What the caller keeps and out are on the stack. */
	.globl hcs_ecall
hcs_ecall:
	addi	sp, sp, -256
	kept	sd
	sd	a1, 0(sp)
	.irp	n, 1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, 8 * \n(a0)
	.endr
	ld	a0, 80(a0)
	ecall
	sd	x31, 16(sp)		/* x2's place */
	ld	x31, 0(sp)
	.irp	n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	sd	x\n, 8 * \n(x31)
	.endr
	ld	t0, 16(sp)
	sd	t0, 248(x31)
	kept	ld
	addi	sp, sp, 256
	ret

	.option arch, +v
	.globl hcs_vlenb
hcs_vlenb:
	csrr	a0, 0xc22		/* vlenb */
	ret

	.globl hcs_compute_v
hcs_compute_v:
	csrr	t0, 0xc22
	slli	t0, t0, 3		/* of eight registers */
	vsetvli	t1, zero, e64, m8, ta, ma
	.irp	n, 0, 8, 16, 24
	vle64.v	v\n, (a0)
	add	a0, a0, t0
	.endr
1:	vadd.vv	v0, v0, v8
	vxor.vv	v8, v8, v16
	vadd.vv	v16, v16, v24
	vxor.vv	v24, v24, v0
	addi	a2, a2, -1
	bnez	a2, 1b
	.irp	n, 0, 8, 16, 24
	vse64.v	v\n, (a1)
	add	a1, a1, t0
	.endr
	ret
	.option pop

	.section .note.GNU-stack, "", @progbits
