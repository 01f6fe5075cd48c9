/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: no rule. It tests the harness on what every RISC-V machine does, so
 * that a failure elsewhere is the model's. Runs without Xhaiov.
 *
 * run: machine=virt cpu=rv64,h=true smp=2
 */
#include "harness.h"

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* an ecall of the test's own tells the mode that it came from */
	TRY	U, ECALL_U, "harness: U runs in U", ecall
	TRY	HS, ECALL_HS, "harness: HS runs in HS", ecall
	TRY	VS, ECALL_VS, "harness: VS runs in VS", ecall
	TRY	VU, ECALL_U, "harness: VU runs in VU", ecall
	TRY	M, ECALL_M, "harness: M runs in M", ecall
	/* only from V=1 are these virtual-instruction exceptions */
	TRY	VU, VIRTUAL, "harness: VU is virtual", csrr a0, CSR_HSTATUS
	TRY	VS, VIRTUAL, "harness: VS is virtual", csrr a0, CSR_HSTATUS
	TRY	U, ILLEGAL, "harness: U is not virtual", csrr a0, CSR_HSTATUS
	TRY	HS, ENDED, "harness: HS reads hstatus", csrr a0, CSR_HSTATUS

	IN	VS
	li	a0, 0x1234
	ENDIN
	EXPECT	a0, ENDED, "harness: a snippet ends"
	EXPECT	a1, 0x1234, "harness: a0 of the snippet comes back"

	li	a2, 7
	li	s3, 9
	IN	U
	add	a0, a2, s3
	li	s3, 0
7000:	csrw	CSR_SSCRATCH, a0
	ENDIN
	EXPECT	a0, ILLEGAL, "harness: the cause of a trap"
	EXPECT	a1, 16, "harness: registers go in, a0 comes out"
	EXPECT	s3, 9, "harness: saved registers survive"
	ld	t0, REC_EPC(tp)
	la	t1, 7000b
	EXPECTR	t0, t1, "harness: the pc of a trap"
	ld	t0, REC_WHERE(tp)
	EXPECT	t0, M, "harness: taken in M"

	/* delegated: taken in HS */
	CSRW	CSR_MEDELEG, BIT(ILLEGAL)
	TRY	U, ILLEGAL, "harness: a delegated exception", csrw CSR_SSCRATCH, a0
	ld	t0, REC_WHERE(tp)
	EXPECT	t0, HS, "harness: taken in HS"
	csrw	CSR_MEDELEG, zero

	/* an undelegated interrupt is taken at once below M */
	CSRS	CSR_MIE, BIT(IRQ_SSI)
	CSRS	CSR_MIP, BIT(IRQ_SSI)
	TRY	VS, INTR(IRQ_SSI), "harness: an interrupt in M", nop
	ld	t0, REC_WHERE(tp)
	EXPECT	t0, M, "harness: an undelegated interrupt goes to M"
	TRY	M, ENDED, "harness: not taken with MIE=0", nop
	CSRW	CSR_MIDELEG, BIT(IRQ_SSI)
	TRY	HS, ENDED, "harness: not taken with SIE=0", nop
	TRY	U, INTR(IRQ_SSI), "harness: a delegated interrupt", nop
	ld	t0, REC_WHERE(tp)
	EXPECT	t0, HS, "harness: a delegated interrupt goes to HS"
	CSRC	CSR_MIP, BIT(IRQ_SSI)
	csrw	CSR_MIE, zero

	li	s4, VEIC
TRY	HS, LOAD_FAULT, "harness: no device at the VEIC's place, read", ld a0, 0(s4)
	START	1, other
	JOIN	1
	ld	t0, areas + AREA_SIZE + SCRATCH
	EXPECT	t0, 0xf00d, "harness: another hart works"
	ld	t0, areas + AREA_SIZE + HARTID
	EXPECT	t0, 1, "harness: with its own area"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

other:	li	t0, 0xf00d
	sd	t0, SCRATCH(tp)
	ret
