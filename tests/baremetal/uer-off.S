/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1, "everywhere without xhaiov": bit 58 of a G-stage leaf is reserved
 * and raises the guest-page fault of a missing page, for every kind of access
 * and size of leaf; URET is an illegal instruction in every mode.
 *
 * run: machine=virt cpu=rv64,h=true smp=1
 * run: machine=virt cpu=rv64,h=true smp=2
 * run: machine=virt cpu=rv64,h=true,xhaiov=off smp=1
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

.macro FAULT kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	TO_HS	VS, LOAD_GUEST + 2 * \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, \tinst, "2.1 bit 58 without xhaiov: \insn"
	INTACT	PAGE, "2.1 bit 58 without xhaiov, the page: \insn"
.endm
.macro HLV kind, tinst, imm, insn:vararg
	ACCESS	HS, GVA(PAGE) + AT, \imm, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.1 bit 58 without xhaiov: \insn"
.endm
.macro LEAF flags, text
	G_LEAF	PAGE, \flags
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_GUEST, "2.1 without xhaiov, \text: load"
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_GUEST, "2.1 without xhaiov, \text: store"
	R64	t5, G_L0 + 8 * G_INDEX(PAGE)
	EXPECT	t5, PTE(RPA(PAGE), \flags), "2.1 without xhaiov, \text: the PTE is as it was"
.endm
.macro LARGE where, target, address, text
	G_PTE	\where, PTE(\target, PTE_DEVICE)
	ACCESS	VS, \address, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_GUEST, "2.1 without xhaiov, \text: load"
	ACCESS	VS, \address, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_GUEST, "2.1 without xhaiov, \text: store"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	G_LEAF	PAGE, PTE_DEVICE
	EACH_ACCESS FAULT
	CSRS	CSR_HSTATUS, HSTATUS_SPVP
	EACH_HLV HLV
	V_LEAF	PAGE, PTE_CODE
	li	a2, GVA(PAGE) + AT
	IN	VS
	jr	a2
	ENDIN
	EXPECT	a0, FETCH_GUEST, "2.1 without xhaiov, bit 58: fetch"
	V_LEAF	PAGE, PTE_RAM

	LEAF	PTE_DEVICE & ~(PTE_A | PTE_D), "A=0, D=0"
	CSRS	CSR_MENVCFG, ENVCFG_ADUE
	LEAF	PTE_DEVICE & ~(PTE_A | PTE_D), "A=0, D=0, ADUE=1"
	CSRC	CSR_MENVCFG, ENVCFG_ADUE
	LEAF	PTE_DEVICE | PTE_N, "N=1"
	.irp	bit, 54, 55, 56, 57, 59, 60
	LEAF	PTE_DEVICE | (1 << \bit), "bits 58 and \bit"
	.endr
	LARGE	G_L1 + 8, SUPER_RPA, SUPER_GVA + 0x123458, "2 MiB leaf"
	LARGE	G_ROOT + 8 * (GIGA_GPA >> 30), GIGA_RPA, GIGA_GVA + 0x12345678, "1 GiB leaf"

	/* nothing but the bit was wrong */
	G_LEAF	PAGE, PTE_RAM
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, ENDED, "2.1 without bit 58: load"

	csrw	CSR_MEDELEG, zero
	TRY	M, ILLEGAL, "2.4 without xhaiov, URET in M", URET
	TRY	HS, ILLEGAL, "2.4 without xhaiov, URET in HS", URET
	TRY	U, ILLEGAL, "2.4 without xhaiov, URET in U", URET
	TRY	VS, ILLEGAL, "2.4 without xhaiov, URET in VS", URET
	VSATP	VU
	TRY	VU, ILLEGAL, "2.4 without xhaiov, URET in VU", URET

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
