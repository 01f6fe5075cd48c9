/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest with two-stage translation, and what is expected of a fault in it.
 *
 * Snippets run where they are linked, so both stages and satp map the GiB at
 * 0x80000000 to itself. Beside it there is a window of PAGES pages, where
 * virtual, guest physical and physical addresses differ, and contiguous ones
 * do not stay contiguous: GVA(n), GPA(n), RPA(n) are the three addresses of
 * page n. SUPER_* is a 2 MiB page at each stage, GIGA_* one of 1 GiB, which is
 * also at virtual address 0. satp maps the window's virtual addresses to other
 * memory, HPA(n), and has a second view of the GiB at 0x80000000, for U, at
 * ALIAS more.
 */
#ifndef BAREMETAL_GUEST_H
#define BAREMETAL_GUEST_H

#include "harness.h"

#define PAGES		32
#define GVA0		0x2040000000
#define GPA0		0x10040000000
#define TABLES		0x86000000
#define G_ROOT		(TABLES + 0x0000)	/* Sv39x4: 16 KiB */
#define G_L1		(TABLES + 0x4000)
#define G_L0		(TABLES + 0x5000)
#define V_ROOT_S	(TABLES + 0x6000)	/* Sv39, for VS */
#define V_ROOT_U	(TABLES + 0x7000)	/* the same for VU */
#define V_L1		(TABLES + 0x8000)
#define V_L0		(TABLES + 0x9000)
#define H_ROOT		(TABLES + 0xa000)	/* Sv39, for satp */
#define H_L1		(TABLES + 0xb000)
#define H_L0		(TABLES + 0xc000)
#define TABLES_END	(TABLES + 0xd000)
#define WINDOW		0x86200000	/* the pages behind the window */
#define WINDOW_H	0x86240000	/* those that satp maps there */
#define WINDOW_END	0x86280000
#define SUPER_RPA	0x86400000
#define ALIAS		0x100000000

#define G_INDEX(n)	(PAGES - 1 - (n))
#define GVA(n)		(GVA0 + ((n) << 12))
#define GPA(n)		(GPA0 + (G_INDEX(n) << 12))
#define RPA(n)		(WINDOW + (((G_INDEX(n) + 3) % PAGES) << 12))
#define HPA(n)		(WINDOW_H + ((n) << 12))
#define SUPER_GVA	(GVA0 + 0x200000)
#define SUPER_GPA	(GPA0 + 0x200000)
#define GIGA_GVA	(GVA0 + 0x40000000)
#define GIGA_GPA	0xc0000000
#define GIGA_RPA	0x80000000

#define SV39		(8 << 60)	/* in hgatp: Sv39x4 */
#define PTE_V		0x01
#define PTE_R		0x02
#define PTE_W		0x04
#define PTE_X		0x08
#define PTE_U		0x10
#define PTE_G		0x20
#define PTE_A		0x40
#define PTE_D		0x80
#define PTE_MMIO	(1 << 58)
#define PTE_PBMT(n)	((n) << 61)
#define PTE_N		(1 << 63)
#define PTE_RAM		(PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D)
#define PTE_CODE	(PTE_RAM & ~PTE_U)
#define PTE_DEVICE	(PTE_RAM | PTE_MMIO)
#define PTE(pa, flags)	(((pa) >> 2) | (flags))

/* fields that JUDGE compares, in the order of the records */
#define F_CAUSE		0
#define F_TVAL		1
#define F_EPC		2
#define F_A0		3
#define F_WHERE		4
#define F_TVAL2		5
#define F_TINST		6
#define F_HSTATUS	7
#define F_STATUS	8
#define F_USTATUS	9
#define F_PAGE		10	/* a page of RAM that nobody has written */
#define FIELDS		11
#define WANTED_OF(f)	(WANTED + 8 * (f))
#define HSTATUS_MASK	(WANTED + 8 * 12)	/* the bits that count */
#define STATUS_MASK	(WANTED + 8 * 13)
#define HSTATUS_TRAP	(HSTATUS_GVA | HSTATUS_SPV | HSTATUS_SPVP)
/* for medeleg */
#define PAGE_FAULTS	(BIT(FETCH_PAGE) | BIT(LOAD_PAGE) | BIT(STORE_PAGE) | \
			 BIT(FETCH_GUEST) | BIT(LOAD_GUEST) | BIT(STORE_GUEST))
/* what a guest-page fault is judged by in M and in HS, and 24, 25 in U */
#define FIELDS_M	(BIT(F_CAUSE) | BIT(F_TVAL) | BIT(F_EPC) | BIT(F_A0) | BIT(F_WHERE) | \
			 BIT(F_TVAL2) | BIT(F_TINST) | BIT(F_STATUS))
#define FIELDS_HS	(FIELDS_M | BIT(F_HSTATUS))
#define FIELDS_U	(FIELDS_M | BIT(F_HSTATUS) | BIT(F_USTATUS))

/* what a0 holds before the instruction of a test */
#define SENTINEL	0x5a5
/* hstatus.SPVP and sstatus.SPP of a mode with V=1; ustatus.UPP is like SPP */
#define SPVP_OF(mode)	(((mode) & 1) << 8)
#define SPP_OF(mode)	(((mode) & 1) << 8)
#define USTATUS_OF(mode) (USTATUS_UACT | USTATUS_UPV | SPP_OF(mode))

#ifdef __ASSEMBLER__

/* Build it all: every page is RAM, full of a pattern; UER is not touched. */
.macro GUEST
	call	guest_up
	VSATP	VS
.endm

/* The tables of VS-stage for a mode: code needs U=0 in VS, U=1 in VU. */
.macro VSATP mode
	.if	(\mode) - VU
	CSRW	CSR_VSATP, SV39 | (V_ROOT_S >> 12)
	.else
	CSRW	CSR_VSATP, SV39 | (V_ROOT_U >> 12)
	.endif
	hfence.vvma
.endm

/* huedeleg, HUR and utvec as a VMM wants them; the handler records, and ends
 * the snippet. */
.macro UER
	call	uer_up
.endm

/* Leaf PTEs of page n: G-stage, VS-stage, satp. Window addresses go unchanged
 * to the next stage. */
.macro G_LEAF page, flags
	W64	G_L0 + 8 * G_INDEX(\page), PTE(RPA(\page), \flags)
	hfence.gvma
.endm
.macro V_LEAF page, flags
	W64	V_L0 + 8 * (\page), PTE(GPA(\page), \flags)
	hfence.vvma
.endm
.macro H_LEAF page, flags
	W64	H_L0 + 8 * (\page), PTE(HPA(\page), \flags)
	sfence.vma
.endm
/* any PTE of the G-stage */
.macro G_PTE where, value
	W64	\where, \value
	hfence.gvma
.endm
.macro V_PTE where, value
	W64	\where, \value
	hfence.vvma
.endm

/* An instruction that an assembler option hides. Two bytes get a c.nop. */
.macro RVC insn:vararg
	.option	push
	.option	rvc
	\insn
	c.nop
	.option	pop
.endm
.macro ZCB insn:vararg
	.option	push
	.option	arch, +zca, +zcb
	\insn
	c.nop
	.option	pop
.endm
.macro ARCH ext, insn:vararg
	.option	push
	.option	arch, +\ext
	\insn
	.option	pop
.endm

/*
 * Run one instruction, at label 7800, whose effective address is `address`:
 * base registers a2, sp, t6 hold that less the immediate; a3, a4 data.
 */
.macro ACCESS mode, address, imm, insn:vararg
	li	a2, (\address) - (\imm)
	IN	\mode
	mv	sp, a2
	mv	t6, a2
	li	a0, SENTINEL
	li	a3, 0x1122334455667788
	li	a4, 0
7800:	\insn
	la	ra, snippet_end
	ENDIN
.endm

.macro WANT field, value
	li	t5, \value
	sd	t5, WANTED_OF(\field)(tp)
.endm
/* that the instruction of the last ACCESS is the one that trapped, or did not:
 * and that x10 is what it was */
.macro WANT_EPC
	la	t5, 7800b
	sd	t5, WANTED_OF(F_EPC)(tp)
	WANT	F_A0, SENTINEL
.endm

/* One check: those fields that are in the mask. Changes a0..a7, t0..t6. */
.macro JUDGE mask, name
	.pushsection .rodata.names, "a"
7703:	.asciz	"\name"
	.popsection
	li	a0, \mask
	la	a2, 7703b
	call	judge
.endm

/* The last ACCESS raised a guest-page fault, or 24 or 25, that M or HS took. */
.macro TO_M mode, cause, gva, gpa, tinst, name
	WANT_EPC
	WANT	F_CAUSE, \cause
	WANT	F_WHERE, M
	WANT	F_TVAL, \gva
	WANT	F_TVAL2, (\gpa) >> 2
	WANT	F_TINST, \tinst
	WANT	F_STATUS, MSTATUS_MPV | MSTATUS_GVA | (((\mode) & 1) << 11)
	li	t5, MSTATUS_MPV | MSTATUS_GVA | MSTATUS_MPP
	sd	t5, STATUS_MASK(tp)
	JUDGE	FIELDS_M, "\name"
.endm
.macro WANT_HS mode, cause, gva, gpa, tinst
	WANT_EPC
	WANT	F_CAUSE, \cause
	WANT	F_WHERE, HS
	WANT	F_TVAL, \gva
	WANT	F_TVAL2, (\gpa) >> 2
	WANT	F_TINST, \tinst
	WANT	F_HSTATUS, HSTATUS_GVA | HSTATUS_SPV | SPVP_OF(\mode)
	li	t5, HSTATUS_TRAP
	sd	t5, HSTATUS_MASK(tp)
	WANT	F_STATUS, SPP_OF(\mode)
	li	t5, MSTATUS_SPP
	sd	t5, STATUS_MASK(tp)
.endm
.macro TO_HS mode, cause, gva, gpa, tinst, name
	WANT_HS	\mode, \cause, \gva, \gpa, \tinst
	JUDGE	FIELDS_HS, "\name"
.endm
/* The same for 24 and 25: besides, there is no frame, and the page is intact. */
.macro MMIO_TO_HS mode, cause, gva, gpa, tinst, page, name
	WANT_HS	\mode, \cause, \gva, \gpa, \tinst
	WANT	F_PAGE, RPA(\page)
	WANT	F_USTATUS, 0
	csrr	t5, CSR_USTATUS
	sd	t5, REC_USTATUS(tp)
	JUDGE	FIELDS_HS | BIT(F_USTATUS) | BIT(F_PAGE), "\name"
.endm
/* It was redirected to U, where uer_record took it. The frame is ended. */
.macro MMIO_TO_U mode, cause, gpa, tinst, page, name
	WANT_EPC
	WANT	F_CAUSE, \cause
	WANT	F_WHERE, U
	WANT	F_TVAL, \gpa
	WANT	F_TVAL2, 0
	WANT	F_TINST, \tinst
	WANT	F_USTATUS, USTATUS_OF(\mode)
	/* the handler's ecall was one from U, not VU */
	WANT	F_STATUS, 0
	li	t5, MSTATUS_MPV | MSTATUS_MPP
	sd	t5, STATUS_MASK(tp)
	WANT	F_PAGE, RPA(\page)
	JUDGE	(FIELDS_U & ~BIT(F_HSTATUS)) | BIT(F_PAGE), "\name"
	csrw	CSR_USTATUS, zero
.endm

/* What was recorded of the last fault is what the next one is to be judged by. */
.macro SAME_AS_THIS
	.irp	f, F_CAUSE, F_TVAL, F_EPC, F_A0, F_WHERE, F_TVAL2, F_TINST, F_HSTATUS
	ld	t5, REC_CAUSE + 8 * \f(tp)
	sd	t5, WANTED_OF(\f)(tp)
	.endr
	ld	t5, REC_STATUS(tp)
	sd	t5, WANTED_OF(F_STATUS)(tp)
	WANT	F_USTATUS, 0
	li	t5, -1
	sd	t5, HSTATUS_MASK(tp)
	sd	t5, STATUS_MASK(tp)
.endm
.macro JUDGE_SAME page, name
	WANT	F_PAGE, RPA(\page)
	csrr	t5, CSR_USTATUS
	sd	t5, REC_USTATUS(tp)
	JUDGE	FIELDS_HS | BIT(F_USTATUS) | BIT(F_PAGE), "\name"
	csrw	CSR_USTATUS, zero
.endm

/* the same when both were made by ACCESS, in two places */
.macro JUDGE_SAME_ACCESS page, name
	WANT_EPC
	JUDGE_SAME \page, "\name"
.endm

/* Expect that a page behind the window is as GUEST has filled it. */
.macro INTACT page, name
	li	a0, RPA(\page)
	call	intact
	EXPECT	a0, 0, "\name"
.endm

/* For a handler: x1..x31 but a0, which points to the hart's area. */
.macro EACH_BUT_A0 do
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	\do	x\n, UREGS + 8 * \n(a0)
	.endr
.endm

/* Inline handler: utvec := what follows, up to ENDHANDLER. a0..a7 are the
 * guest's. It ends by its own URET, or by HANDLER_DONE. */
.macro HANDLER
	la	t6, 7711f
	csrw	CSR_UTVEC, t6
	j	7712f
	.balign	4
7711:
.endm
.macro ENDHANDLER
7712:
.endm
/* the end of a snippet in U, as if it had returned; a0 is what a1 becomes */
.macro DONE
	li	a7, MAGIC_END
	ecall
.endm
.macro URET
	.insn	4, 0x00200073
.endm

#endif /* __ASSEMBLER__ */
#endif
