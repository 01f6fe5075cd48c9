/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1, the MMIO bit with Svnapot and Svpbmt: a leaf with N=1 that is good
 * as RAM is a guest-page fault with the bit; memory types of Svpbmt that are
 * legal are no matter, those that are not come first.
 *
 * run: machine=virt cpu=rv64,h=true,svnapot=true,svpbmt=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,svnapot=true,svpbmt=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x14		/* guest physical pages 0..15 are one NAPOT page */
#define AT	0x340
/* where the guest's page is then */
#define TARGET	(WINDOW + (G_INDEX(PAGE) << 12))

.macro CAUSE want, text, insn:vararg
	ACCESS	VS, GVA(PAGE) + AT, 0, \insn
	csrw	CSR_USTATUS, zero
	EXPECT	a0, \want, "2.1 \text: \insn"
.endm
.macro LEAF flags, load, store, text
	G_LEAF	PAGE, \flags
	CAUSE	\load, "\text", ld a0, 0(a2)
	CAUSE	\store, "\text", sd a3, 0(a2)
	CAUSE	\store, "\text", amoadd.d a0, x0, (a2)
.endm
/* sixteen leaves of 64 KiB */
.macro NAPOT bits, flags
	li	t0, G_L0
	li	t1, PTE(WINDOW | \bits, \flags)
	.rept	16
	sd	t1, 0(t0)
	addi	t0, t0, 8
	.endr
	fence	iorw, iorw
	hfence.gvma
.endm
.macro REFUSED text
	CAUSE	LOAD_GUEST, "\text", ld a0, 0(a2)
	CAUSE	LOAD_GUEST, "\text", lr.w a0, (a2)
	CAUSE	STORE_GUEST, "\text", sd a3, 0(a2)
	CAUSE	STORE_GUEST, "\text", sc.w a0, a3, (a2)
	CAUSE	STORE_GUEST, "\text", amoswap.d a0, a3, (a2)
	CAUSE	STORE_GUEST, "\text", ARCH zicboz, cbo.zero 0(a2)
	CAUSE	STORE_GUEST, "\text", ARCH zicbom, cbo.flush 0(a2)
	li	a0, TARGET
	call	intact
	EXPECT	a0, 0, "2.1 \text: nothing is written"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER

	NAPOT	0x8000, PTE_RAM | PTE_N
	CAUSE	ENDED, "RAM with N=1", ld a0, 0(a2)
	li	t5, (TARGET + AT) ^ 0x5a5a5a5a5a5a5a5a
	EXPECTR	a1, t5, "harness: this CPU has Svnapot"
	NAPOT	0x8000, PTE_DEVICE | PTE_N
	REFUSED	"MMIO leaf with N=1, 64 KiB"
	csrw	CSR_HUEDELEG, zero
	REFUSED	"MMIO leaf with N=1, 64 KiB, huedeleg=0"
	CSRW	CSR_HUEDELEG, VEI_BITS
	/* encodings that are reserved, N=1 with A=0, and with everything else right */
	NAPOT	0x4000, PTE_DEVICE | PTE_N
	REFUSED	"MMIO leaf with N=1, reserved size"
	NAPOT	0x0000, PTE_DEVICE | PTE_N
	REFUSED	"MMIO leaf with N=1, no size"
	NAPOT	0x8000, (PTE_DEVICE | PTE_N) & ~(PTE_A | PTE_D)
	REFUSED	"MMIO leaf with N=1, A=0, D=0"
	R64	t5, G_L0 + 8 * G_INDEX(PAGE)
	EXPECT	t5, PTE(WINDOW | 0x8000, (PTE_DEVICE | PTE_N) & ~(PTE_A | PTE_D)), "2.1 MMIO leaf with N=1, A=0, D=0: they stay"
	CSRS	CSR_MENVCFG, ENVCFG_ADUE
	REFUSED	"MMIO leaf with N=1, A=0, D=0, ADUE=1"
	R64	t5, G_L0 + 8 * G_INDEX(PAGE)
	EXPECT	t5, PTE(WINDOW | 0x8000, (PTE_DEVICE | PTE_N) & ~(PTE_A | PTE_D)), "2.1 MMIO leaf with N=1, A=0, D=0, ADUE=1: they stay"
	CSRC	CSR_MENVCFG, ENVCFG_ADUE
	/* N=1 at VS-stage is its own matter: four of its leaves, one MMIO page */
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	li	t0, V_L0 + 8 * 16
	li	t1, PTE(GPA(31) | 0x8000, PTE_RAM | PTE_N)
	.rept	16
	sd	t1, 0(t0)
	addi	t0, t0, 8
	.endr
	hfence.vvma
	/* VS-stage page 16 + n is now guest physical page n */
	ACCESS	VS, GVA(16 + G_INDEX(PAGE)) + AT, 0, ld a0, 0(a2)
	MMIO_TO_U VS, LOAD_MMIO, GPA(PAGE) + AT, T_LOAD(3, 10), PAGE, "2.1 N=1 at VS-stage, MMIO at G-stage"
	ACCESS	VS, GVA(16 + G_INDEX(PAGE) + 1) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, ENDED, "2.1 N=1 at VS-stage, the next page is RAM"

	/* Svpbmt */
	GUEST
	UER
	LEAF	PTE_DEVICE | PTE_PBMT(1), LOAD_GUEST, STORE_GUEST, "MMIO leaf with PBMT=1, PBMTE=0"
	CSRS	CSR_MENVCFG, ENVCFG_PBMTE
	hfence.gvma
	LEAF	PTE_RAM | PTE_PBMT(1), ENDED, ENDED, "harness: this CPU has Svpbmt"
	LEAF	PTE_DEVICE | PTE_PBMT(1), LOAD_MMIO, STORE_MMIO, "MMIO leaf with PBMT=1"
	LEAF	PTE_DEVICE | PTE_PBMT(2), LOAD_MMIO, STORE_MMIO, "MMIO leaf with PBMT=2"
	LEAF	PTE_DEVICE | PTE_PBMT(3), LOAD_GUEST, STORE_GUEST, "MMIO leaf with PBMT=3"
	LEAF	(PTE_DEVICE | PTE_PBMT(2)) & ~PTE_W, LOAD_MMIO, STORE_GUEST, "MMIO leaf with PBMT=2 without W"
	LEAF	PTE_DEVICE | PTE_PBMT(2) | PTE_N, LOAD_GUEST, STORE_GUEST, "MMIO leaf with PBMT=2 and N=1"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
