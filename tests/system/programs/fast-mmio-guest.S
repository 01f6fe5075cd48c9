/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that stores to an ioeventfd in every way that KVM knows, a2 times. a1: the address. It ends
 * with an atomic operation there, which KVM knows not. Position-independent.
 */
	.section .rodata
	.globl fast_mmio_guest
	.globl fast_mmio_guest_end
	.balign	8
fast_mmio_guest:
	li	a5, 7
	li	a4, 8
1:	.option	norvc
	sb	a5, 0(a1)
	sh	a5, 0(a1)
	sw	a5, 0(a1)
	sd	a5, 0(a1)
	.option	rvc
	c.sw	a5, 0(a1)
	c.sd	a5, 0(a1)
	/* 16 bytes on, one that looks at the data too */
	sw	a5, 16(a1)
	sw	a4, 16(a1)
	lw	a3, 0(a1)
	addi	a2, a2, -1
	bnez	a2, 1b
	amoswap.w a3, a5, (a1)
2:	j	2b
fast_mmio_guest_end:
