/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1, the MMIO bit in the tables: leaves of every size and every mode of
 * hgatp, the order against all checks that raise a guest-page fault, A and D,
 * PMP and PMA, HFENCE.GVMA, and that bit 58 is reserved in every other PTE.
 * (N and PBMT with their extensions: uer-napot.S; without xhaiov: uer-off.S.)
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt cpu=rv64,h=true,svade=true,xhaiov=on smp=1
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
#define LEAF_AT	(G_L0 + 8 * G_INDEX(PAGE))
#define ROOT_48	(TABLES + 0x10000)
#define ROOT_57	(TABLES + 0x14000)
#define LEVEL_57 (TABLES + 0x18000)

/* one access, its cause; a frame, if it was redirected, is ended */
.macro CAUSE want, address, text, insn:vararg
	ACCESS	VS, \address, 0, \insn
	csrw	CSR_USTATUS, zero
	EXPECT	a0, \want, "2.1 \text: \insn"
.endm

/* The leaf of PAGE := flags. Load and store, by each route; the leaf itself
 * and the memory behind it stay. */
.macro LEAF flags, load, store, text
	G_LEAF	PAGE, \flags
	CAUSE	\load, GVA(PAGE) + AT, "\text", ld a0, 0(a2)
	CAUSE	\store, GVA(PAGE) + AT, "\text", sd a3, 0(a2)
	csrw	CSR_HUEDELEG, zero
	CAUSE	\load, GVA(PAGE) + AT, "\text, huedeleg=0", ld a0, 0(a2)
	CAUSE	\store, GVA(PAGE) + AT, "\text, huedeleg=0", sd a3, 0(a2)
	CSRW	CSR_HUEDELEG, VEI_BITS
	R64	t5, LEAF_AT
	EXPECT	t5, PTE(RPA(PAGE), \flags), "2.1 \text: the PTE is as it was"
	INTACT	PAGE, "2.1 \text: nothing is written"
.endm

/* a large page: offset far into it, both kinds */
.macro LARGE gva, gpa, offset, text
	ACCESS	VS, (\gva) + (\offset), 0, lw a0, 0(a2)
	MMIO_TO_U VS, LOAD_MMIO, (\gpa) + (\offset), T_LOAD(2, 10), PAGE, "2.1 \text, load"
	ACCESS	VS, (\gva) + (\offset), -1, sb a3, -1(a2)
	MMIO_TO_U VS, STORE_MMIO, (\gpa) + (\offset), T_STORE(0, 13), PAGE, "2.1 \text, store"
	csrw	CSR_HUEDELEG, zero
	ACCESS	VS, (\gva) + (\offset), 0, amoor.w a0, a3, (a2)
	MMIO_TO_HS VS, STORE_MMIO, (\gva) + (\offset), (\gpa) + (\offset), T_AMO(8, 2, 10, 13), PAGE, "2.1 \text, AMO to HS"
	CSRW	CSR_HUEDELEG, VEI_BITS
.endm

/* no access may work through a PTE with bit 58 where it is reserved */
.macro RESERVED address, load, store, text
	CAUSE	\load, \address, "\text", lbu a0, 0(a2)
	CAUSE	\store, \address, "\text", sd a3, 0(a2)
	CAUSE	\store, \address, "\text", amoadd.w a0, a3, (a2)
.endm

.macro H_CAUSE mode, want, address, text, insn:vararg
	ACCESS	\mode, \address, 0, \insn
	EXPECT	a0, \want, "2.1 \text: \insn"
.endm

.macro FETCH mode, want, address, text
	li	a2, \address
	IN	\mode
	jr	a2
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, \want, "2.1 \text: fetch"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER

	/* which pages: only those with the bit */
	LEAF	PTE_DEVICE, LOAD_MMIO, STORE_MMIO, "MMIO leaf, RWXUAD"
	CAUSE	ENDED, GVA(PAGE - 1) + AT, "the page before", ld a0, 0(a2)
	CAUSE	ENDED, GVA(PAGE + 1) + AT, "the page behind", ld a0, 0(a2)
	CAUSE	ENDED, GVA(G_INDEX(PAGE)) + AT, "another page", ld a0, 0(a2)
	/* bits that no check looks at */
	LEAF	PTE_DEVICE | PTE_G, LOAD_MMIO, STORE_MMIO, "MMIO leaf with G"
	LEAF	PTE_DEVICE | 0x300, LOAD_MMIO, STORE_MMIO, "MMIO leaf with the bits for software"
	LEAF	PTE_DEVICE & ~PTE_X, LOAD_MMIO, STORE_MMIO, "MMIO leaf without X"

	/* order: what raises a guest-page fault comes first */
	LEAF	PTE_DEVICE & ~PTE_V, LOAD_GUEST, STORE_GUEST, "MMIO leaf without V"
	LEAF	PTE_DEVICE & ~PTE_U, LOAD_GUEST, STORE_GUEST, "MMIO leaf without U"
	LEAF	PTE_DEVICE & ~PTE_W, LOAD_MMIO, STORE_GUEST, "MMIO leaf without W"
	LEAF	PTE_DEVICE & ~(PTE_W | PTE_X), LOAD_MMIO, STORE_GUEST, "MMIO leaf with R only"
	LEAF	PTE_DEVICE & ~PTE_R, LOAD_GUEST, STORE_GUEST, "MMIO leaf W without R"
	LEAF	PTE_DEVICE & ~(PTE_R | PTE_X), LOAD_GUEST, STORE_GUEST, "MMIO leaf with W only"
	LEAF	PTE_DEVICE & ~(PTE_R | PTE_W), LOAD_GUEST, STORE_GUEST, "MMIO leaf with X only"
	LEAF	PTE_DEVICE & ~(PTE_R | PTE_W | PTE_X), LOAD_GUEST, STORE_GUEST, "MMIO bit, no R, W, X at the last level"
	LEAF	PTE_DEVICE | PTE_N, LOAD_GUEST, STORE_GUEST, "MMIO leaf with N"
	LEAF	PTE_DEVICE | PTE_PBMT(1), LOAD_GUEST, STORE_GUEST, "MMIO leaf with PBMT=1, no Svpbmt"
	LEAF	PTE_DEVICE | PTE_PBMT(2), LOAD_GUEST, STORE_GUEST, "MMIO leaf with PBMT=2, no Svpbmt"
	LEAF	PTE_DEVICE | PTE_PBMT(3), LOAD_GUEST, STORE_GUEST, "MMIO leaf with PBMT=3"
	.irp	bit, 54, 55, 56, 57, 59, 60
	LEAF	PTE_DEVICE | (1 << \bit), LOAD_GUEST, STORE_GUEST, "MMIO leaf with reserved bit \bit"
	LEAF	PTE_RAM | (1 << \bit), LOAD_GUEST, STORE_GUEST, "reserved bit \bit alone"
	.endr
	/* MXR of HS makes X readable at both stages, that of VS only at its own */
	CSRS	CSR_MSTATUS, MSTATUS_MXR
	LEAF	PTE_DEVICE & ~(PTE_R | PTE_W), LOAD_MMIO, STORE_GUEST, "MMIO leaf with X only, sstatus.MXR"
	CSRC	CSR_MSTATUS, MSTATUS_MXR
	CSRS	CSR_VSSTATUS, MSTATUS_MXR
	LEAF	PTE_DEVICE & ~(PTE_R | PTE_W), LOAD_GUEST, STORE_GUEST, "MMIO leaf with X only, vsstatus.MXR"
	CSRC	CSR_VSSTATUS, MSTATUS_MXR

	/* the other kinds on a leaf without W: AMO and SC need it, and so does
	 * cbo.zero; a cbo.* that manages needs to read or to write */
	G_LEAF	PAGE, PTE_DEVICE & ~PTE_W
	.macro	R_ONLY kind, tinst, imm, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	csrw	CSR_USTATUS, zero
	EXPECT	a0, STORE_GUEST, "2.1 MMIO leaf without W: \insn"
	.endm
	EACH_AMO R_ONLY
	EACH_SC	R_ONLY
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "MMIO leaf without W", lr.w a0, (a2)
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "MMIO leaf without W", lr.d a0, (a2)
	CAUSE	STORE_GUEST, GVA(PAGE) + AT, "MMIO leaf without W", ARCH zicboz, cbo.zero 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf without W", ARCH zicbom, cbo.clean 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf without W", ARCH zicbom, cbo.flush 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf without W", ARCH zicbom, cbo.inval 0(a2)
	INTACT	PAGE, "2.1 MMIO leaf without W: nothing is written"
	G_LEAF	PAGE, PTE_DEVICE & ~PTE_U
	CAUSE	STORE_GUEST, GVA(PAGE) + AT, "MMIO leaf without U", ARCH zicbom, cbo.flush 0(a2)
	CAUSE	STORE_GUEST, GVA(PAGE) + AT, "MMIO leaf without U", amoadd.w a0, a3, (a2)
	CAUSE	STORE_GUEST, GVA(PAGE) + AT, "MMIO leaf without U", sc.w a0, a3, (a2)
	CAUSE	LOAD_GUEST, GVA(PAGE) + AT, "MMIO leaf without U", lr.w a0, (a2)

	/* VS-stage comes before any of it, its A and D too */
	G_LEAF	PAGE, PTE_DEVICE
	V_LEAF	PAGE, 0
	RESERVED GVA(PAGE) + AT, LOAD_PAGE, STORE_PAGE, "VS-stage maps nothing there"
	V_LEAF	PAGE, PTE_RAM & ~PTE_W
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "VS-stage without W", ld a0, 0(a2)
	CAUSE	STORE_PAGE, GVA(PAGE) + AT, "VS-stage without W", sd a3, 0(a2)
	CAUSE	STORE_PAGE, GVA(PAGE) + AT, "VS-stage without W", amoadd.w a0, a3, (a2)
	V_LEAF	PAGE, PTE_RAM & ~(PTE_A | PTE_D)
	CAUSE	LOAD_PAGE, GVA(PAGE) + AT, "VS-stage with A=0, no update by hardware", ld a0, 0(a2)
	V_LEAF	PAGE, PTE_RAM & ~PTE_D
	CAUSE	STORE_PAGE, GVA(PAGE) + AT, "VS-stage with D=0, no update by hardware", sd a3, 0(a2)
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "VS-stage with D=0, no update by hardware", ld a0, 0(a2)
	V_LEAF	PAGE, PTE_RAM
	/* updated by hardware, they stop nothing */
	CSRS	CSR_MENVCFG, ENVCFG_ADUE
	CSRS	CSR_HENVCFG, ENVCFG_ADUE
	V_LEAF	PAGE, PTE_RAM & ~(PTE_A | PTE_D)
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "VS-stage with A=0, updated by hardware", ld a0, 0(a2)
	V_LEAF	PAGE, PTE_RAM & ~(PTE_A | PTE_D)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "VS-stage with A=0, updated by hardware", sd a3, 0(a2)
	V_LEAF	PAGE, PTE_RAM & ~(PTE_A | PTE_D)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "VS-stage with A=0, updated by hardware", amoadd.w a0, a3, (a2)
	V_LEAF	PAGE, PTE_RAM
	CSRC	CSR_HENVCFG, ENVCFG_ADUE
	CSRC	CSR_MENVCFG, ENVCFG_ADUE
	CSRC	CSR_VSSTATUS, MSTATUS_SUM
	CAUSE	LOAD_PAGE, GVA(PAGE) + AT, "VS-stage with U=1, SUM=0", ld a0, 0(a2)
	CSRS	CSR_VSSTATUS, MSTATUS_SUM

	/* A and D of the leaf: neither checked nor updated */
	.irp	adue, 0, 1
	.if	\adue
	CSRS	CSR_MENVCFG, ENVCFG_ADUE
	.endif
	LEAF	PTE_DEVICE & ~(PTE_A | PTE_D), LOAD_MMIO, STORE_MMIO, "MMIO leaf with A=0, D=0, ADUE=\adue"
	LEAF	PTE_DEVICE & ~PTE_D, LOAD_MMIO, STORE_MMIO, "MMIO leaf with A=1, D=0, ADUE=\adue"
	LEAF	PTE_DEVICE & ~PTE_A, LOAD_MMIO, STORE_MMIO, "MMIO leaf with A=0, D=1, ADUE=\adue"
	LEAF	PTE_DEVICE & ~(PTE_A | PTE_D | PTE_W), LOAD_MMIO, STORE_GUEST, "MMIO leaf with A=0, D=0, W=0, ADUE=\adue"
	G_LEAF	PAGE, PTE_DEVICE & ~(PTE_A | PTE_D)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "A=0, D=0, ADUE=\adue", amoadd.w a0, a3, (a2)
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "A=0, D=0, ADUE=\adue", lr.w a0, (a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "A=0, D=0, ADUE=\adue", sc.w a0, a3, (a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "A=0, D=0, ADUE=\adue", ARCH zicboz, cbo.zero 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "A=0, D=0, ADUE=\adue", ARCH zicbom, cbo.inval 0(a2)
	CAUSE	LOAD_MMIO, GVA(PAGE) - 4, "across, A=0, D=0, ADUE=\adue", ld a0, 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) - 4, "across, A=0, D=0, ADUE=\adue", sd a3, 0(a2)
	R64	t5, LEAF_AT
	EXPECT	t5, PTE(RPA(PAGE), PTE_DEVICE & ~(PTE_A | PTE_D)), "2.1 A and D of an MMIO leaf, ADUE=\adue: no kind of access sets them"
	.endr
	CSRC	CSR_MENVCFG, ENVCFG_ADUE
	INTACT	PAGE - 1, "2.1 across, A=0, D=0: the RAM before it"

	/* PMP of the target: with the control first, that it forbids RAM */
	li	t6, (RPA(PAGE) >> 2) | 0x1ff
	csrw	CSR_PMPADDR0, t6
	li	t6, -1
	csrw	CSR_PMPADDR0 + 1, t6
	CSRW	CSR_PMPCFG0, 0x1f18
	G_LEAF	PAGE, PTE_RAM
	RESERVED GVA(PAGE) + AT, LOAD_FAULT, STORE_FAULT, "RAM that PMP forbids"
	LEAF	PTE_DEVICE, LOAD_MMIO, STORE_MMIO, "MMIO leaf whose target PMP forbids"
	G_LEAF	PAGE, PTE_DEVICE
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf whose target PMP forbids", amoadd.w a0, a3, (a2)
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "MMIO leaf whose target PMP forbids", lr.w a0, (a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf whose target PMP forbids", sc.w a0, a3, (a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf whose target PMP forbids", ARCH zicboz, cbo.zero 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf whose target PMP forbids", ARCH zicbom, cbo.clean 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) - 1, "across into an MMIO leaf whose target PMP forbids", sh a3, 0(a2)
	/* only reading allowed */
	CSRW	CSR_PMPCFG0, 0x1f19
	LEAF	PTE_DEVICE, LOAD_MMIO, STORE_MMIO, "MMIO leaf whose target PMP allows to read"
	/* PMP of the tables is: the walk itself cannot end */
	li	t6, (G_L0 >> 2) | 0x1ff
	csrw	CSR_PMPADDR0, t6
	CSRW	CSR_PMPCFG0, 0x1f18
	RESERVED GVA(PAGE) + AT, LOAD_FAULT, STORE_FAULT, "MMIO leaf in a table that PMP forbids"
	li	t6, -1
	csrw	CSR_PMPADDR0, t6
	CSRW	CSR_PMPCFG0, 0x1f
	sfence.vma

	/* PMA: there is nothing at the target, or no such address */
	G_PTE	LEAF_AT, PTE(0x18000000, PTE_RAM)
	CAUSE	LOAD_FAULT, GVA(PAGE) + AT, "a leaf to where nothing is", lhu a0, 0(a2)
	CAUSE	STORE_FAULT, GVA(PAGE) + AT, "a leaf to where nothing is", sd a3, 0(a2)
	.irp	target, 0x18000000, 0x1000000000, 0xfffffffffff000, 0
	G_PTE	LEAF_AT, PTE(\target, PTE_DEVICE)
	ACCESS	VS, GVA(PAGE) + AT, 0, lhu a0, 0(a2)
	MMIO_TO_U VS, LOAD_MMIO, GPA(PAGE) + AT, T_LOAD(5, 10), PAGE, "2.1 MMIO leaf to \target: load"
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE) + AT, T_STORE(3, 13), PAGE, "2.1 MMIO leaf to \target: store"
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf to \target", ARCH zicboz, cbo.zero 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "MMIO leaf to \target", sc.w a0, a3, (a2)
	.endr

	/* nor is the target a device: this store would end the machine */
	G_PTE	LEAF_AT, PTE(FINISHER, PTE_DEVICE)
	li	a2, GVA(PAGE)
	li	a3, 0x5555
	IN	VS
	sw	a3, 0(a2)
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, STORE_MMIO, "2.1 MMIO leaf to a device: the store does not reach it"

	/* setting and clearing it, with HFENCE.GVMA, of all and of one page */
	.irp	round, 1, 2
	G_LEAF	PAGE, PTE_RAM
	CAUSE	ENDED, GVA(PAGE) + AT, "the bit cleared, round \round", ld a0, 0(a2)
	li	t5, (RPA(PAGE) + AT) ^ 0x5a5a5a5a5a5a5a5a
	EXPECTR	a1, t5, "2.1 the bit cleared, round \round: the load reads RAM"
	CAUSE	ENDED, GVA(PAGE) + AT, "the bit cleared, round \round", sd a3, 0(a2)
	R64	t5, RPA(PAGE) + AT
	EXPECT	t5, 0x1122334455667788, "2.1 the bit cleared, round \round: the store writes RAM"
	li	a0, RPA(PAGE)
	call	intact
	W64	LEAF_AT, PTE(RPA(PAGE), PTE_DEVICE)
	li	t5, (GPA(PAGE)) >> 2
	hfence.gvma t5, zero
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "the bit set, fence of one page, round \round", ld a0, 0(a2)
	CAUSE	STORE_MMIO, GVA(PAGE) + AT, "the bit set, fence of one page, round \round", sd a3, 0(a2)
	INTACT	PAGE, "2.1 the bit set, round \round: nothing is written"
	W64	LEAF_AT, PTE(RPA(PAGE), PTE_RAM)
	li	t5, (GPA(PAGE)) >> 2
	hfence.gvma t5, zero
	CAUSE	ENDED, GVA(PAGE) + AT, "the bit cleared, fence of one page, round \round", ld a0, 0(a2)
	.endr
	/* fenced by HS itself */
	W64	LEAF_AT, PTE(RPA(PAGE), PTE_DEVICE)
	IN	HS
	hfence.gvma
	ENDIN
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "the bit set, fence by HS", ld a0, 0(a2)

	/* larger leaves */
	G_PTE	G_L1 + 8, PTE(SUPER_RPA, PTE_DEVICE)
	LARGE	SUPER_GVA, SUPER_GPA, 0, "2 MiB leaf, first byte"
	LARGE	SUPER_GVA, SUPER_GPA, 0x1ff348, "2 MiB leaf"
	LARGE	SUPER_GVA, SUPER_GPA, 0x1ffffc, "2 MiB leaf, last word"
	G_PTE	G_L1 + 8, PTE(SUPER_RPA, PTE_DEVICE & ~(PTE_A | PTE_D))
	LARGE	SUPER_GVA, SUPER_GPA, 0x123454, "2 MiB leaf with A=0, D=0"
	R64	t5, G_L1 + 8
	EXPECT	t5, PTE(SUPER_RPA, PTE_DEVICE & ~(PTE_A | PTE_D)), "2.1 2 MiB leaf: A and D are not updated"
	G_PTE	G_L1 + 8, PTE(SUPER_RPA | 0x1000, PTE_DEVICE)
	RESERVED SUPER_GVA + AT, LOAD_GUEST, STORE_GUEST, "misaligned 2 MiB leaf with the bit"
	G_PTE	G_L1 + 8, PTE(SUPER_RPA, PTE_DEVICE | PTE_N)
	RESERVED SUPER_GVA + AT, LOAD_GUEST, STORE_GUEST, "2 MiB leaf with the bit and N"
	G_PTE	G_L1 + 8, PTE(SUPER_RPA, PTE_DEVICE & ~PTE_U)
	RESERVED SUPER_GVA + AT, LOAD_GUEST, STORE_GUEST, "2 MiB leaf with the bit, without U"
	G_PTE	G_L1 + 8, PTE(SUPER_RPA, PTE_DEVICE | (1 << 57))
	RESERVED SUPER_GVA + AT, LOAD_GUEST, STORE_GUEST, "2 MiB leaf with the bit and bit 57"
	G_PTE	G_ROOT + 8 * 3, PTE(GIGA_RPA, PTE_DEVICE)
	LARGE	GIGA_GVA, GIGA_GPA, 0x12345678, "1 GiB leaf"
	LARGE	GIGA_GVA, GIGA_GPA, 0x3ffffffc, "1 GiB leaf, last word"
	G_PTE	G_ROOT + 8 * 3, PTE(GIGA_RPA | 0x200000, PTE_DEVICE)
	RESERVED GIGA_GVA + AT, LOAD_GUEST, STORE_GUEST, "misaligned 1 GiB leaf with the bit"
	G_PTE	G_ROOT + 8 * 3, PTE(GIGA_RPA, PTE_DEVICE)
	/* x0 as the base: virtual address 0x340 */
	ACCESS	VS, 0x340, 0, ld a0, 0x340(x0)
	MMIO_TO_U VS, LOAD_MMIO, GIGA_GPA + 0x340, T_LOAD(3, 10), PAGE, "1 utinst of a load with base x0"
	ACCESS	VS, 0x341, 0, sw a3, 0x341(x0)
	MMIO_TO_U VS, STORE_MMIO, GIGA_GPA + 0x341, T_STORE(2, 13), PAGE, "1 utinst of a store with base x0"
	/* small pages of VS-stage in the GiB, and none at all */
	V_PTE	V_L0 + 8 * 5, PTE(GIGA_GPA + 0x7654000, PTE_RAM)
	ACCESS	VS, GVA(5) + AT, 0, ld a0, 0(a2)
	MMIO_TO_U VS, LOAD_MMIO, GIGA_GPA + 0x7654000 + AT, T_LOAD(3, 10), PAGE, "2.1 a 4 KiB page of VS-stage in a 1 GiB MMIO leaf"
	V_LEAF	5, PTE_RAM
	csrw	CSR_VSATP, zero
	hfence.vvma
	ACCESS	VS, GIGA_GPA + 0x76543210, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_GUEST, "2.1 vsatp Bare: the GiB behind the MMIO leaf is not mapped"
	LARGE	GIGA_GPA, GIGA_GPA, 0x36543210, "vsatp Bare, 1 GiB leaf"
	LARGE	GPA(PAGE), GPA(PAGE), 0xffc, "vsatp Bare, 4 KiB leaf"
	VSATP	VU
	ACCESS	VU, GIGA_GVA + 0x12345678, 0, lw a0, 0(a2)
	MMIO_TO_U VU, LOAD_MMIO, GIGA_GPA + 0x12345678, T_LOAD(2, 10), PAGE, "2.1 1 GiB leaf from VU"
	VSATP	VS

	/* Sv48x4 with a leaf of 512 GiB, Sv57x4 with one of 256 TiB; vsatp Bare */
	csrw	CSR_VSATP, zero
	W64	ROOT_48, PTE(G_ROOT, PTE_V)
	W64	ROOT_48 + 8, PTE(0, PTE_DEVICE)
	CSRW	CSR_HGATP, (9 << 60) | (ROOT_48 >> 12)
	hfence.gvma
	csrr	t5, CSR_HGATP
	EXPECT	t5, (9 << 60) | (ROOT_48 >> 12), "harness: this CPU has Sv48x4"
	LARGE	0x8000000000, 0x8000000000, 0x123456789c, "Sv48x4, 512 GiB leaf"
	G_PTE	ROOT_48 + 8, PTE(0x40000000, PTE_DEVICE)
	RESERVED 0x8012345678, LOAD_GUEST, STORE_GUEST, "Sv48x4, misaligned 512 GiB leaf with the bit"
	G_PTE	ROOT_48 + 8, PTE(G_ROOT, PTE_V | PTE_MMIO)
	RESERVED 0x8080000000, LOAD_GUEST, STORE_GUEST, "Sv48x4, root entry that is not a leaf, with the bit"
	W64	ROOT_57, PTE(LEVEL_57, PTE_V)
	W64	LEVEL_57, PTE(G_ROOT, PTE_V)
	W64	ROOT_57 + 8, PTE(0, PTE_DEVICE)
	CSRW	CSR_HGATP, (10 << 60) | (ROOT_57 >> 12)
	hfence.gvma
	csrr	t5, CSR_HGATP
	EXPECT	t5, (10 << 60) | (ROOT_57 >> 12), "harness: this CPU has Sv57x4"
	LARGE	0x1000000000000, 0x1000000000000, 0x23456789abcc, "Sv57x4, 256 TiB leaf"
	CSRW	CSR_HGATP, SV39 | (G_ROOT >> 12)
	hfence.gvma
	VSATP	VS

	/*
	 * Bit 58 in PTEs that are not G-stage leaves. Each is used once without
	 * it: the same walk works.
	 */
	GUEST
	CAUSE	ENDED, GVA(PAGE) + AT, "without the bit", ld a0, 0(a2)
	G_PTE	G_L1, PTE(G_L0, PTE_V | PTE_MMIO)
	RESERVED GVA(PAGE) + AT, LOAD_GUEST, STORE_GUEST, "the bit in a non-leaf of G-stage, level 1"
	FETCH	VS, FETCH_PAGE, GVA(PAGE) + AT, "VS-stage page with U=1"
	G_PTE	G_L1, PTE(G_L0, PTE_V)
	CAUSE	ENDED, GVA(PAGE) + AT, "non-leaf without the bit again", ld a0, 0(a2)
	G_PTE	G_ROOT + 8 * (GPA0 >> 30), PTE(G_L1, PTE_V | PTE_MMIO)
	RESERVED GVA(PAGE) + AT, LOAD_GUEST, STORE_GUEST, "the bit in a non-leaf of G-stage, root"
	/* with the bit in both the non-leaf and the leaf */
	W64	LEAF_AT, PTE(RPA(PAGE), PTE_DEVICE)
	RESERVED GVA(PAGE) + AT, LOAD_GUEST, STORE_GUEST, "the bit in a non-leaf and in the leaf of G-stage"
	G_PTE	G_ROOT + 8 * (GPA0 >> 30), PTE(G_L1, PTE_V)
	CAUSE	LOAD_MMIO, GVA(PAGE) + AT, "the bit in the leaf only", ld a0, 0(a2)
	W64	LEAF_AT, PTE(RPA(PAGE), PTE_RAM)
	hfence.gvma
	INTACT	PAGE, "2.1 the bit in non-leaves of G-stage: nothing is written"

	V_LEAF	PAGE, PTE_DEVICE
	RESERVED GVA(PAGE) + AT, LOAD_PAGE, STORE_PAGE, "the bit in a leaf of VS-stage"
	G_LEAF	PAGE, PTE_DEVICE
	RESERVED GVA(PAGE) + AT, LOAD_PAGE, STORE_PAGE, "the bit in the leaves of both stages"
	G_LEAF	PAGE, PTE_RAM
	V_LEAF	PAGE, PTE_CODE | PTE_MMIO
	FETCH	VS, FETCH_PAGE, GVA(PAGE) + AT, "the bit in a leaf of VS-stage"
	V_LEAF	PAGE, PTE_RAM
	V_PTE	V_L1 + 8, PTE(SUPER_GPA, PTE_DEVICE)
	RESERVED SUPER_GVA + AT, LOAD_PAGE, STORE_PAGE, "the bit in a 2 MiB leaf of VS-stage"
	V_PTE	V_L1, PTE(V_L0, PTE_V | PTE_MMIO)
	RESERVED GVA(PAGE) + AT, LOAD_PAGE, STORE_PAGE, "the bit in a non-leaf of VS-stage, level 1"
	V_PTE	V_L1, PTE(V_L0, PTE_V)
	V_PTE	V_ROOT_S + 8 * (GVA0 >> 30), PTE(V_L1, PTE_V | PTE_MMIO)
	RESERVED GVA(PAGE) + AT, LOAD_PAGE, STORE_PAGE, "the bit in a non-leaf of VS-stage, root"
	V_PTE	V_ROOT_S + 8 * (GVA0 >> 30), PTE(V_L1, PTE_V)
	/* VS-stage alone */
	V_PTE	V_ROOT_S + 8 * (GIGA_GVA >> 30), PTE(GIGA_RPA, PTE_RAM)
	csrw	CSR_HGATP, zero
	hfence.gvma
	hfence.vvma
	CAUSE	ENDED, GIGA_GVA + 0x6200340, "VS-stage alone, without the bit", lbu a0, 0(a2)
	V_PTE	V_ROOT_S + 8 * (GIGA_GVA >> 30), PTE(GIGA_RPA, PTE_DEVICE)
	RESERVED GIGA_GVA + 0x6200340, LOAD_PAGE, STORE_PAGE, "the bit in VS-stage alone, hgatp Bare"

	/* satp, from HS and from U */
	GUEST
	CSRW	CSR_SATP, SV39 | (H_ROOT >> 12)
	H_LEAF	PAGE, PTE_RAM
	CSRS	CSR_MSTATUS, MSTATUS_SUM
	H_CAUSE	HS, ENDED, GVA(PAGE) + AT, "satp, without the bit", ld a0, 0(a2)
	H_LEAF	PAGE, PTE_DEVICE
	H_CAUSE	HS, LOAD_PAGE, GVA(PAGE) + AT, "the bit in a leaf of satp, HS", ld a0, 0(a2)
	H_CAUSE	HS, STORE_PAGE, GVA(PAGE) + AT, "the bit in a leaf of satp, HS", sd a3, 0(a2)
	H_CAUSE	HS, STORE_PAGE, GVA(PAGE) + AT, "the bit in a leaf of satp, HS", amoadd.w a0, a3, (a2)
	H_LEAF	PAGE, PTE_CODE | PTE_MMIO
	FETCH	HS, FETCH_PAGE, GVA(PAGE) + AT, "the bit in a leaf of satp"
	H_LEAF	PAGE, PTE_RAM
	G_PTE	H_L1, PTE(H_L0, PTE_V | PTE_MMIO)
	sfence.vma
	H_CAUSE	HS, LOAD_PAGE, GVA(PAGE) + AT, "the bit in a non-leaf of satp, level 1", ld a0, 0(a2)
	G_PTE	H_L1, PTE(H_L0, PTE_V)
	G_PTE	H_ROOT + 8 * (GVA0 >> 30), PTE(H_L1, PTE_V | PTE_MMIO)
	sfence.vma
	H_CAUSE	HS, STORE_PAGE, GVA(PAGE) + AT, "the bit in a non-leaf of satp, root", sd a3, 0(a2)
	G_PTE	H_ROOT + 8 * (GVA0 >> 30), PTE(H_L1, PTE_V)
	sfence.vma
	H_CAUSE	HS, ENDED, GVA(PAGE) + AT, "satp, without the bit again", ld a0, 0(a2)
	H_LEAF	PAGE, PTE_DEVICE
	/* U runs the snippet at its second address */
	la	t0, 7811f
	li	t1, ALIAS
	add	a7, t0, t1
	li	a6, U
	li	a2, GVA(PAGE) + AT
	call	run_mode
	j	7812f
7811:	ld	a0, 0(a2)
	DONE
7812:	EXPECT	a0, LOAD_PAGE, "2.1 the bit in a leaf of satp, U: ld a0, 0(a2)"
	H_LEAF	PAGE, PTE_RAM
	la	t0, 7811b
	li	t1, ALIAS
	add	a7, t0, t1
	li	a6, U
	li	a2, GVA(PAGE) + AT
	call	run_mode
	EXPECT	a0, ENDED, "2.1 satp, without the bit, U: ld a0, 0(a2)"
	csrw	CSR_SATP, zero
	sfence.vma

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
