/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The handler's first and last instructions: the guest's registers go into the struct frame and back,
 * but for x31, which stays in uscratch for as long as the frame lasts.
 */
#include "uer.h"

	.text
	.globl uer_entry
	.balign	4
uer_entry:
	.option push
	.option norelax
	csrrw	x31, 0x040, x31		/* uscratch */
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	sd	x\n, FRAME_X + 8 * \n(x31)
	.endr
	mv	s0, x31
	mv	a0, x31
	ld	sp, FRAME_STACK(x31)
	lla	gp, __global_pointer$
	call	uer_handle
	mv	x31, s0
	bnez	a0, punt
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	ld	x\n, FRAME_X + 8 * \n(x31)
	.endr
	csrrw	x31, 0x040, x31
	.4byte	0x00200073		/* uret */

punt:
	ld	t0, FRAME_X + 8 * 17(x31)
	csrrw	t0, 0x040, t0
	sd	t0, FRAME_X + 8 * 31(x31)
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, FRAME_X + 8 * \n(x31)
	.endr
	li	a7, 0			/* HAIOV_UER_PUNT */
	ecall
	.option pop

	.section .note.GNU-stack, "", @progbits
