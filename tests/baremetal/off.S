/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: what must not change without xhaiov and veic: the CSR numbers are
 * illegal instructions in every mode, the VEIC's window is empty, medeleg and
 * mideleg bits 24, 25 are not fixed.
 *
 * run: machine=virt cpu=rv64,h=true smp=1
 * run: machine=virt,veic=off cpu=rv64,h=true,xhaiov=off smp=1
 * run: machine=virt,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true smp=1
 */
#include "harness.h"
#include "csr-list.h"

.macro ABSENT name, num, keeps
	TRY	M, ILLEGAL, "0 \name without xhaiov: csrr from M is illegal", csrr a0, \num
	TRY1	M, 1, ILLEGAL, "0 \name without xhaiov: csrrw from M is illegal", csrw \num, a1
	TRY	HS, ILLEGAL, "0 \name without xhaiov: csrr from HS is illegal", csrr a0, \num
	TRY1	HS, 1, ILLEGAL, "0 \name without xhaiov: csrrw from HS is illegal", csrw \num, a1
	TRY	U, ILLEGAL, "0 \name without xhaiov: csrr from U is illegal", csrr a0, \num
	TRY1	U, 1, ILLEGAL, "0 \name without xhaiov: csrrw from U is illegal", csrw \num, a1
	TRY	VS, ILLEGAL, "0 \name without xhaiov: csrr from VS is illegal", csrr a0, \num
	TRY1	VS, 1, ILLEGAL, "0 \name without xhaiov: csrrw from VS is illegal", csrw \num, a1
	TRY	VU, ILLEGAL, "0 \name without xhaiov: csrr from VU is illegal", csrr a0, \num
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	EACH_CSR ABSENT

	.irp	offset, 0, 8, 0x58, 0x10000, 0xfffff8
	li	s4, VEIC + \offset
	TRY	M, LOAD_FAULT, "0 no VEIC: a load at \offset faults", ld a0, 0(s4)
	TRY1	M, 1, STORE_FAULT, "0 no VEIC: a store at \offset faults", sd a1, 0(s4)
	.endr

	CSR_IS	CSR_MISA, 1 << 13, 0, "0 misa.N is 0"
	csrw	CSR_MEDELEG, zero
	CSR_IS	CSR_MEDELEG, VEI_BITS, 0, "0 medeleg without xhaiov: bits 24, 25 are 0"
	CSRW	CSR_MEDELEG, -1
	CSR_IS	CSR_MEDELEG, VEI_BITS, 0, "0 medeleg without xhaiov: bits 24, 25 cannot be set"
	csrw	CSR_MEDELEG, zero
	csrw	CSR_MIDELEG, zero
	CSR_IS	CSR_MIDELEG, VEI_BITS, 0, "0 mideleg without xhaiov: bits 24, 25 are not fixed to 1"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
