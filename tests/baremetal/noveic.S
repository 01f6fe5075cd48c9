/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.1, a CPU with Xhaiov on a machine without VEIC has no valid route,
 * and its stopvei and uip read 0; everything else of section 1 is there.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	VMID	1
	VSEND	3
	EXPECT	a0, VIRTUAL, "3.1 no VEIC: a send from VS is a virtual-instruction exception"
	TRY	VS, ENDED, "3.1 no VEIC: VS reads svei with EN=1", csrr a0, CSR_SVEI
	EXPECT	a1, 0, "3.1 no VEIC: svei reads 0 in VS"
	csrw	CSR_HVEICTL, zero
	VSEND	3
	EXPECT	a0, VIRTUAL, "3.1 no VEIC: EN=0 as ever"
	SEND	1, 3
	EXPECT	a0, ENDED, "3.1 no VEIC: a send from HS is dropped"
	TRY	HS, ENDED, "3.1 no VEIC: HS reads stopvei", csrr a0, CSR_STOPVEI
	EXPECT	a1, 0, "3.1 no VEIC: stopvei reads 0"
	TRY1	HS, -1, ENDED, "3.1 no VEIC: HS writes stopvei", csrrw a0, CSR_STOPVEI, a1
	EXPECT	a1, 0, "3.1 no VEIC: stopvei still reads 0"
	TRY	HS, ENDED, "3.1 no VEIC: HS reads uip", csrr a0, CSR_UIP
	EXPECT	a1, 0, "3.1 no VEIC: uip reads 0"
	TRY1	HS, -1, ENDED, "3.1 no VEIC: HS writes uip", csrrw a0, CSR_UIP, a1
	csrr	t5, CSR_UIP
	EXPECT	t5, 0, "3.1 no VEIC: uip still reads 0"
	CSR_IS	CSR_MIP, VEI_BITS, 0, "3.1 no VEIC: neither 24 nor 25 is pending"
	CSRS	CSR_MIP, VEI_BITS
	CSR_IS	CSR_MIP, VEI_BITS, 0, "3.5 no VEIC: writing 1 to 25 changes nothing"
	CSRW	CSR_UTVAL, 0x123456789abcdef0
	CSRW	CSR_USTATUS, USTATUS_UACT
	TRY	U, ENDED, "1 no VEIC: U reads utval inside a frame", csrr a0, CSR_UTVAL
	EXPECT	a1, 0x123456789abcdef0, "1 no VEIC: U sees utval"
	csrw	CSR_USTATUS, zero
	li	s4, VEIC
	TRY	M, LOAD_FAULT, "0 no VEIC: its window is empty, load", ld a0, 0(s4)
	TRY1	M, 1, STORE_FAULT, "0 no VEIC: its window is empty, store", sd a1, 8(s4)

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
