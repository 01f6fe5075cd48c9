/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fresh: everything that these tests change, on the VEIC and on hart 0, as it
 * is after reset, and empty tables. Runs in M-mode.
 */
#include "harness.h"

	.text
	.globl	fresh
fresh:
	li	t0, VEIC
	sd	zero, VEIC_CTL(t0)
	sd	zero, VEIC_VMTBASE(t0)
	sd	zero, VEIC_VDTBASE(t0)
	/* the files of all harts: EIE, EUT to 0, EIP cleared */
	ld	t1, VEIC_CAP(t0)
	srli	t1, t1, 16
	slli	t1, t1, 48
	srli	t1, t1, 48
	li	t2, VEIC + 0x10000
	li	t4, -1
1:	beqz	t1, 3f
	li	t3, 16
2:	sd	zero, 0x000(t2)
	sd	zero, 0x600(t2)
	sd	t4, 0x400(t2)
	addi	t2, t2, 8
	addi	t3, t3, -1
	bnez	t3, 2b
	li	t3, 0x1000 - 128
	add	t2, t2, t3
	addi	t1, t1, -1
	j	1b
3:	fence	iorw, iorw
	sd	zero, VEIC_HITS(t0)
	sd	zero, VEIC_MISSES(t0)
	sd	zero, VEIC_WALKS(t0)
	sd	zero, VEIC_SENT(t0)
	sd	zero, VEIC_COALESCED(t0)
	/* the first entries of each table */
	li	t0, VMT
	li	t1, RT0
	li	t2, RT1
	li	t3, RT2
	li	t4, 64
4:	sd	zero, 0(t0)
	sd	zero, 0(t1)
	sd	zero, 0(t2)
	sd	zero, 0(t3)
	addi	t0, t0, 8
	addi	t1, t1, 8
	addi	t2, t2, 8
	addi	t3, t3, 8
	addi	t4, t4, -1
	bnez	t4, 4b
	fence	iorw, iorw

	csrw	CSR_USTATUS, zero
	csrw	CSR_UIE, zero
	csrw	CSR_UTVEC, zero
	csrw	CSR_USCRATCH, zero
	csrw	CSR_UEPC, zero
	csrw	CSR_UCAUSE, zero
	csrw	CSR_UTVAL, zero
	csrw	CSR_UTINST, zero
	csrw	CSR_SUSCRATCH, zero
	csrw	CSR_SUATP, zero
	csrw	CSR_SUUSCRATCH, zero
	csrw	CSR_SUFRAME, zero
	csrw	CSR_HUEDELEG, zero
	csrw	CSR_HVEICTL, zero
	csrw	CSR_SSCRATCH, zero
	csrw	CSR_SATP, zero
	csrw	CSR_VSATP, zero
	csrw	CSR_HGATP, zero
	csrw	CSR_MIE, zero
	li	t0, BIT(IRQ_DOORBELL) | BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI)
	csrc	CSR_MIP, t0
	csrw	CSR_HVIP, zero
	csrw	CSR_MEDELEG, zero
	csrw	CSR_MIDELEG, zero
	csrw	CSR_HEDELEG, zero
	csrw	CSR_HIDELEG, zero
	li	t0, HSTATUS_HUR | HSTATUS_SPV
	csrc	CSR_HSTATUS, t0
	li	t0, MSTATUS_SIE | MSTATUS_MIE | MSTATUS_TVM
	csrc	CSR_MSTATUS, t0
	ret
