/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hcs_up: see hcs.h. Runs in M-mode on hart 0, behind fresh.
 */
#include "hcs.h"

	.text
	.globl	hcs_up
hcs_up:	li	t0, HCS_ROOT
	li	t1, HCS_ROOT + 4096
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bne	t0, t1, 1b
	li	t0, HCS_ROOT
	li	t1, PTE(0, PTE_RAM)
	sd	t1, 0(t0)
	li	t1, PTE(RAM, PTE_RAM)
	sd	t1, 8 * (RAM >> 30)(t0)

	/* the contexts, and frames that nobody has written */
	li	t0, HCS_DESC(0, 0)
	li	t1, HCS_DESC(0, 64)
2:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bne	t0, t1, 2b
	la	t2, uer_record
	.irp	id, 7, 8, 11
	li	t0, HCS_DESC(0, \id)
	sd	tp, DESC_USCRATCH(t0)
	sd	t2, DESC_UTVEC(t0)
	li	t1, HCS_SUSCRATCH(\id)
	sd	t1, DESC_SUSCRATCH(t0)
	li	t1, HCS_SATP(\id)
	sd	t1, DESC_SUATP(t0)
	li	t1, HCS_FRAME(\id)
	sd	t1, DESC_FRAME(t0)
	li	t1, 1
	sd	t1, DESC_VALID(t0)
	.endr
	li	t0, HCS_FRAME(0)
	li	t1, HCS_FRAME(16)
	li	t2, -1
3:	sd	t2, 0(t0)
	addi	t0, t0, 8
	bne	t0, t1, 3b
	fence	iorw, iorw

	/* no interrupt of M is pending, enabled or not: nothing but the user VEI
	 * makes the hart look */
	li	t0, MTIMECMP
	li	t1, -1
	sd	t1, 0(t0)
	fence	iorw, iorw

	VEIC_W	VEIC_VDTBASE, VDT
	VEIC_W	EUT(0, 0), HCS_IDS
	VEIC_W	EIE(0, 0), HCS_IDS
	CSRW	CSR_SSCRATCH, OLD_SSCRATCH
	CSRW	CSR_USCRATCH, OLD_USCRATCH
	CSRW	CSR_UIE, UIE_UEIE
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	CSRC	CSR_HSTATUS, HSTATUS_SPV | HSTATUS_SPVP
	sfence.vma
	sd	zero, REC_TVAL2(tp)
	ret
