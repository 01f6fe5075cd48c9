/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that makes one access, and then stores to a3, which ends KVM_RUN. a0 is what is loaded or stored, a1 the
 * address. The accesses are FRAGMENT bytes apart, in the order of enum access. Position-independent.
 */
#include "ioregionfd.h"

	.macro	fragment insn:vararg
	.balign	FRAGMENT
	\insn
	sw	zero, 0(a3)
	.endm

	.section .rodata
	.globl ioregionfd_guest
	.globl ioregionfd_guest_end
	.balign	FRAGMENT
	.option	norvc
ioregionfd_guest:
	fragment lb	a0, 0(a1)
	fragment lbu	a0, 0(a1)
	fragment lh	a0, 0(a1)
	fragment lhu	a0, 0(a1)
	fragment lw	a0, 0(a1)
	fragment lwu	a0, 0(a1)
	fragment ld	a0, 0(a1)
	fragment sb	a0, 0(a1)
	fragment sh	a0, 0(a1)
	fragment sw	a0, 0(a1)
	fragment sd	a0, 0(a1)
	/* a2 loads of a0, and stores of a0 + 1: a4 says how many loads gave something else */
	.balign	FRAGMENT
	li	a4, 0
1:	lwu	a5, 0(a1)
	beq	a5, a0, 2f
	addi	a4, a4, 1
2:	addi	a5, a0, 1
	sw	a5, 0(a1)
	addi	a2, a2, -1
	bnez	a2, 1b
	sw	zero, 0(a3)
ioregionfd_guest_end:
