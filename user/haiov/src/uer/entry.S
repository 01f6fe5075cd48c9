/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Entry and exit of a handler (Documentation/isa.rst, 2.3 and 2.4).
 *
 * uscratch holds the handler's area, which is 16-aligned and at whose lower end its stack begins; so sp is the area
 * from entry to exit, and uscratch meanwhile is the guest's sp. In the area, at 8n:
 *   x0, x2        the gp and tp of the handler
 *   caller-saved  the guest's, and gp, tp
 * and behind them, at 256, the table of devices. The guest's callee-saved registers stay in place: the code that is
 * called keeps them. What the guest's instruction names, one register at most, is reached by a jump into a table of
 * registers: that costs 7 instructions where saving them all would cost 24.
 *
 * {load} and {store} are Rust functions; punts end in ecall with a7 = {PUNT}.
 */
	.pushsection .text.haiov_uer, "ax", @progbits
	.option	push
	.option	norelax
	.option	norvc

	.macro	HAIOV_EACH do
	.irp	n, 1, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	\do	x\n, 8 * \n(sp)
	.endr
	.endm

	.globl	haiov_uer_entry
	.hidden	haiov_uer_entry
	.type	haiov_uer_entry, @function
	.balign	64
haiov_uer_entry:
	.cfi_startproc
	.cfi_undefined ra
	csrrw	sp, {USCRATCH}, sp
	HAIOV_EACH sd
	ld	gp, 0(sp)
	ld	tp, 16(sp)
	csrr	a0, {UTINST}
	csrr	a1, {UTVAL}
	andi	t0, a0, 0x20		/* a store, if it is one of the two */
	beqz	t0, 3f

	/* a2: the value of rs2 */
	srli	t0, a0, 17
	andi	t0, t0, 0xf8
	auipc	t1, 0
	add	t0, t0, t1
	jr	12(t0)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.if	\n == 2
	csrr	a2, {USCRATCH}
	.elseif	(\n == 0) || (\n == 8) || (\n == 9) || ((\n >= 18) && (\n <= 27))
	mv	a2, x\n
	.else
	ld	a2, 8 * \n(sp)
	.endif
	j	1f
	.endr
1:	addi	a3, sp, 256
	call	{store}
	bnez	a0, 4f

	/* done: behind the instruction, whose length is in bit 1 */
2:	csrr	t0, {UTINST}
	csrr	t1, {UEPC}
	andi	t0, t0, 2
	addi	t1, t1, 2
	add	t1, t1, t0
	csrw	{UEPC}, t1
	HAIOV_EACH ld
	csrrw	sp, {USCRATCH}, sp
	.insn	4, 0x00200073		/* URET */

3:	addi	a2, sp, 256
	call	{load}
	/* a0: the number of rd, or 32; a1: its value */
	slli	a0, a0, 3
	auipc	t0, 0
	add	t0, t0, a0
	jr	12(t0)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.if	\n == 2
	csrw	{USCRATCH}, a1
	.elseif	(\n == 0) || (\n == 8) || (\n == 9) || ((\n >= 18) && (\n <= 27))
	mv	x\n, a1
	.else
	sd	a1, 8 * \n(sp)
	.endif
	j	2b
	.endr

	/* punt: the guest's registers, but a7, which is in uscratch. KVM puts that right again. */
4:	HAIOV_EACH ld
	csrrw	sp, {USCRATCH}, sp
	csrw	{USCRATCH}, a7
	li	a7, {PUNT}
	ecall
	unimp
	.cfi_endproc
	.size	haiov_uer_entry, . - haiov_uer_entry

	.purgem	HAIOV_EACH
	.option	pop
	.popsection
