/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where a context's thread parks, where its handler begins and ends, and how that signals (DOC: Contexts in the UAPI
 * header).
 *
 * The handler has the thread's stack, from where that parked on, and its gp and tp. The area that uscratch or a0 names
 * begins with the kernel's word, which is not 0 on the thread. These three follow, then the function to be called and
 * its argument, then the system call that parks.
 */
	.pushsection .text.haiov_user_vei, "ax", @progbits
	.option	push
	.option	norelax
	.option	norvc

	.globl	haiov_user_vei_entry
	.hidden	haiov_user_vei_entry
	.type	haiov_user_vei_entry, @function
	.balign	64
haiov_user_vei_entry:
	.cfi_startproc
	.cfi_undefined ra
	bnez	a0, 1f			/* on the thread */
	csrr	a0, {USCRATCH}
1:	mv	s0, a0
	ld	sp, 8(a0)
	ld	gp, 16(a0)
	ld	tp, 24(a0)
	ld	t0, 32(a0)
	ld	a0, 40(a0)
	jalr	t0
	ld	t0, 0(s0)
	beqz	t0, 2f			/* a frame */
	ld	a0, 48(s0)
	ld	a1, 56(s0)
	ld	a2, 64(s0)
	li	a7, {IOCTL}
	ecall				/* comes back only if the context is gone */
2:	.insn	4, 0x00200073		/* URET */
	.cfi_endproc
	.size	haiov_user_vei_entry, . - haiov_user_vei_entry

	/* a0: the area; a1 to a3: arguments of ioctl(2), whose result is the system call's */
	.globl	haiov_user_vei_park
	.hidden	haiov_user_vei_park
	.type	haiov_user_vei_park, @function
haiov_user_vei_park:
	.cfi_startproc
	sd	sp, 8(a0)
	sd	gp, 16(a0)
	sd	tp, 24(a0)
	sd	a1, 48(a0)
	sd	a2, 56(a0)
	sd	a3, 64(a0)
	mv	a0, a1
	mv	a1, a2
	mv	a2, a3
	li	a7, {IOCTL}
	ecall
	ret
	.cfi_endproc
	.size	haiov_user_vei_park, . - haiov_user_vei_park

	/* a0: an index; in a frame the kernel's service for it, elsewhere a system call that does not exist */
	.globl	haiov_user_vei_signal
	.hidden	haiov_user_vei_signal
	.type	haiov_user_vei_signal, @function
haiov_user_vei_signal:
	.cfi_startproc
	li	a7, {SIGNAL}
	ecall
	ret
	.cfi_endproc
	.size	haiov_user_vei_signal, . - haiov_user_vei_signal

	.option	pop
	.popsection
