/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 1, "stateen0.C does not gate them": with Smstateen and every
 * bit of mstateen0, hstateen0 and sstateen0 clear, the accesses that section 1
 * and 3.1 allow work.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,smstateen=true,xhaiov=on smp=1
 */
#include "harness.h"
#include "csr-list.h"

.macro HS_OPEN name, num, keeps
	IN	HS
	li	a1, \keeps
	csrw	\num, a1
	csrr	a0, \num
	ENDIN
	EXPECT	a0, ENDED, "1 \name: HS access with mstateen0=0"
	EXPECT	a1, \keeps, "1 \name: HS writes and reads with mstateen0=0"
	csrw	\num, zero
.endm

.macro U_OPEN name, num, keeps
	CSRW	CSR_USTATUS, USTATUS_UACT
	TRY	U, ENDED, "1 \name: U inside a frame reads with stateen0=0", csrr a0, \num
	csrw	CSR_USTATUS, zero
	TRY	U, ILLEGAL, "1 \name: U outside a frame is illegal with stateen0=0", csrr a0, \num
.endm

.macro V_CLOSED name, num, keeps
	.if	\num - CSR_SVEI
	TRY	VS, VIRTUAL, "1 \name: VS is a virtual-instruction exception with stateen0=0", csrr a0, \num
	.endif
	TRY	VU, VIRTUAL, "1 \name: VU is a virtual-instruction exception with stateen0=0", csrr a0, \num
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	/* M may: clear all three from above */
	CSRW	CSR_MSTATEEN0, -1
	csrw	CSR_HSTATEEN0, zero
	csrw	CSR_SSTATEEN0, zero
	csrw	CSR_MSTATEEN0, zero
	TRY	HS, ILLEGAL, "harness: stateen gates hstateen0 from HS", csrr a0, CSR_HSTATEEN0
	EACH_CSR HS_OPEN
	EACH_U_CSR U_OPEN
	EACH_CSR V_CLOSED
	/* only sstateen0 and hstateen0 closed: what a hypervisor does to a guest */
	CSRW	CSR_MSTATEEN0, -1
	EACH_U_CSR U_OPEN
	EACH_CSR V_CLOSED
	csrw	CSR_MSTATEEN0, zero

	/* sends */
	ROUTE	RT0, 3, 5, 0
	VMID	1
	VSEND	3
	EXPECT	a0, ENDED, "3.1 VS sends with stateen0=0"
	VEIC_IS	EIP(0, 0), BIT(5), "3.1 VS sends with stateen0=0: it arrived"
	VEIC_W	EIPCLR(0, 0), -1
	SEND	1, 3
	EXPECT	a0, ENDED, "3.1 HS sends with stateen0=0"
	VEIC_IS	EIP(0, 0), BIT(5), "3.1 HS sends with stateen0=0: it arrived"
	CSRW	CSR_USTATUS, USTATUS_UACT
	IN	U
	li	a1, 0x77
	csrw	CSR_USCRATCH, a1
	csrr	a0, CSR_USCRATCH
	ENDIN
	EXPECT	a0, ENDED, "1 uscratch: U inside a frame writes with stateen0=0"
	EXPECT	a1, 0x77, "1 uscratch: U inside a frame reads what it wrote with stateen0=0"
	csrw	CSR_USTATUS, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
