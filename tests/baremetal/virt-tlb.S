/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: no rule of Xhaiov, but what all of them need that change V: what is
 * translated with V=0 and with V=1 stays apart, whichever was there first, and
 * a bit of a status register holds for the next access (privileged ISA).
 * There is no fence between these accesses.
 *
 * run: machine=virt cpu=rv64,h=true smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"

#define PAGE	5
#define AT	0x340
#define PATTERN(address) (((address) + AT) ^ 0x5a5a5a5a5a5a5a5a)
#define STORED	0x1122334455667788	/* by ACCESS */

/* one load in a mode, and what it reads */
.macro READS mode, value, text, insn:vararg
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	EXPECT	a0, ENDED, "\text: \insn"
	EXPECT	a1, \value, "\text: \insn reads its own memory"
.endm
/* one access, and how it ends */
.macro CAUSE mode, want, text, insn:vararg
	ACCESS	\mode, GVA(PAGE) + AT, 0, \insn
	EXPECT	a0, \want, "\text: \insn"
.endm

/* all that reach the address, in this order and from behind */
.macro ALL guest, host, text
	READS	VS, \guest, "\text, VS", ld a0, 0(a2)
	READS	HS, \host, "\text, HS", ld a0, 0(a2)
	READS	HS, \guest, "\text, HS for the guest", hlv.d a0, (a2)
	READS	HS, \host, "\text, HS again", ld a0, 0(a2)
	READS	VS, \guest, "\text, VS again", ld a0, 0(a2)
.endm

/* a bit of a CSR, on and off and on: what is translated by one is not used by the other */
.macro BIT_OF csr, bits, mode, cause, text, insn:vararg
	.irp	round, 1, 2
	CAUSE	\mode, \cause, "\text clear, round \round", \insn
	CSRS	\csr, \bits
	READS	\mode, PATTERN(RPA(PAGE)), "\text set, round \round", \insn
	CSRC	\csr, \bits
	.endr
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	CSRW	CSR_SATP, SV39 | (H_ROOT >> 12)
	sfence.vma
	CSRS	CSR_MEDELEG, PAGE_FAULTS
	CSRS	CSR_HSTATUS, HSTATUS_SPVP
	CSRS	CSR_MSTATUS, MSTATUS_SUM
	CSRS	CSR_VSSTATUS, MSTATUS_SUM

	ALL	PATTERN(RPA(PAGE)), PATTERN(HPA(PAGE)), "one address, two spaces"
	CAUSE	VS, ENDED, "a store of VS", sd a3, 0(a2)
	ALL	STORED, PATTERN(HPA(PAGE)), "after a store of VS"
	W64	RPA(PAGE) + AT, PATTERN(RPA(PAGE))
	CAUSE	HS, ENDED, "a store of HS", sd a3, 0(a2)
	ALL	PATTERN(RPA(PAGE)), STORED, "after a store of HS"
	W64	HPA(PAGE) + AT, PATTERN(HPA(PAGE))

	/* a page that one of them lacks */
	H_LEAF	PAGE, 0
	READS	VS, PATTERN(RPA(PAGE)), "satp maps nothing, VS", ld a0, 0(a2)
	CAUSE	HS, LOAD_PAGE, "satp maps nothing, HS", ld a0, 0(a2)
	READS	VS, PATTERN(RPA(PAGE)), "satp maps nothing, VS again", ld a0, 0(a2)
	H_LEAF	PAGE, PTE_RAM
	G_LEAF	PAGE, 0
	READS	HS, PATTERN(HPA(PAGE)), "hgatp maps nothing, HS", ld a0, 0(a2)
	CAUSE	VS, LOAD_GUEST, "hgatp maps nothing, VS", ld a0, 0(a2)
	READS	HS, PATTERN(HPA(PAGE)), "hgatp maps nothing, HS again", ld a0, 0(a2)
	G_LEAF	PAGE, PTE_RAM

	/* what may be read of pages to execute, and of those of user mode */
	V_LEAF	PAGE, PTE_RAM & ~(PTE_R | PTE_W)
	BIT_OF	CSR_VSSTATUS, MSTATUS_MXR, VS, LOAD_PAGE, "vsstatus.MXR", ld a0, 0(a2)
	BIT_OF	CSR_VSSTATUS, MSTATUS_MXR, HS, LOAD_PAGE, "vsstatus.MXR", hlv.d a0, (a2)
	BIT_OF	CSR_MSTATUS, MSTATUS_MXR, VS, LOAD_PAGE, "sstatus.MXR, VS-stage", ld a0, 0(a2)
	V_LEAF	PAGE, PTE_RAM
	G_LEAF	PAGE, PTE_RAM & ~(PTE_R | PTE_W)
	BIT_OF	CSR_MSTATUS, MSTATUS_MXR, VS, LOAD_GUEST, "sstatus.MXR, G-stage", ld a0, 0(a2)
	CSRS	CSR_VSSTATUS, MSTATUS_MXR
	BIT_OF	CSR_MSTATUS, MSTATUS_MXR, VS, LOAD_GUEST, "sstatus.MXR, G-stage, beside vsstatus.MXR", ld a0, 0(a2)
	CSRC	CSR_VSSTATUS, MSTATUS_MXR
	G_LEAF	PAGE, PTE_RAM
	CSRC	CSR_VSSTATUS, MSTATUS_SUM
	BIT_OF	CSR_VSSTATUS, MSTATUS_SUM, VS, LOAD_PAGE, "vsstatus.SUM", ld a0, 0(a2)
	BIT_OF	CSR_VSSTATUS, MSTATUS_SUM, HS, LOAD_PAGE, "vsstatus.SUM", hlv.d a0, (a2)

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
