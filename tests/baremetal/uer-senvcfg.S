/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.6, the fields of senvcfg that belong to extensions off by default:
 * pointer masking (PMM) and UKTE do nothing for U while UACT=1, and do what
 * they do behind it. senvcfg is the guest's while it runs.
 *
 * run: machine=virt cpu=rv64,h=true,ssnpm=true,smnpm=true,x-svukte=true,xhaiov=on smp=1
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
#define WORD	0x85110000
#define PMM	(2 << 32)	/* the upper 7 bits */
#define UKTE	(1 << 8)
#define TAG	(0x5a << 57)
#define HIGH	0xffffffff80000000

/* U accesses WORD by a pointer with a tag, in a frame and outside */
.macro TAGGED want, bits, text, insn:vararg
	CSRW	CSR_USTATUS, \bits
	li	a2, WORD | TAG
	TRY	U, \want, "2.6 tagged pointer, \text: \insn", \insn
	csrw	CSR_USTATUS, zero
.endm
.macro BY_TURNS insn:vararg
	TAGGED	ENDED, 0, "senvcfg.PMM=2, no frame", \insn
	TAGGED	LOAD_FAULT, USTATUS_UACT, "senvcfg.PMM=2, in a frame", \insn
	TAGGED	ENDED, 0, "senvcfg.PMM=2, no frame again", \insn
.endm
/* U at its second address reads WORD at the kernel's */
.macro AT_HIGH want, bits, text
	CSRW	CSR_USTATUS, \bits
	la	a7, 7830b
	li	t0, ALIAS
	add	a7, a7, t0
	li	a6, U
	li	a2, HIGH + WORD - RAM
	call	run_mode
	csrw	CSR_USTATUS, zero
	EXPECT	a0, \want, "2.6 address of the upper half, \text"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	CSRW	CSR_SENVCFG, PMM
	csrr	t5, CSR_SENVCFG
	EXPECT	t5, PMM, "harness: senvcfg.PMM exists"
	BY_TURNS ld a0, 0(a2)
	BY_TURNS RVC c.lw a0, 0(a2)
	BY_TURNS lr.d a0, (a2)
	CSRW	CSR_USTATUS, USTATUS_UACT
	li	a2, WORD | TAG
	TRY	U, STORE_FAULT, "2.6 tagged pointer, in a frame: sd a3, 0(a2)", sd a3, 0(a2)
	TRY	U, STORE_FAULT, "2.6 tagged pointer, in a frame: amoadd.d a0, a3, (a2)", amoadd.d a0, a3, (a2)
	li	a2, WORD
	TRY	U, ENDED, "2.6 a pointer without a tag, in a frame", ld a0, 0(a2)
	csrw	CSR_USTATUS, zero

	/* a handler that a fault started, and the same code in U */
	HANDLER
7801:	ld	a0, 0(a5)
	DONE
	ENDHANDLER
	.irp	round, 1, 2
	li	a5, WORD | TAG
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, LOAD_FAULT, "2.6 tagged pointer, in a handler, round \round"
	ld	t5, REC_EPC(tp)
	la	t6, 7801b
	EXPECTR	t5, t6, "2.6 tagged pointer, in a handler, round \round: the trap's pc"
	ld	t5, REC_TVAL(tp)
	EXPECT	t5, WORD | TAG, "2.6 tagged pointer, in a handler, round \round: its address is whole"
	la	a7, 7801b
	li	a6, U
	li	a5, WORD | TAG
	call	run_mode
	EXPECT	a0, ENDED, "2.6 tagged pointer, the handler's code without a frame, round \round"
	.endr
	/* utval of a guest whose own pointers are masked: senvcfg is VU's too */
	VSATP	VU
	li	a2, (GVA(PAGE) + AT) | TAG
	IN	VU
	li	a0, SENTINEL
7800:	ld	a0, 0(a2)
	la	ra, snippet_end
	ENDIN
	csrr	s2, CSR_USTATUS
	csrr	s3, CSR_UTVAL
	csrr	s4, CSR_UTINST
	csrw	CSR_USTATUS, zero
	EXPECT	s2, USTATUS_OF(VU), "2.1 a tagged pointer of VU: redirected"
	EXPECT	s3, GPA(PAGE) + AT, "1 utval of a tagged pointer of VU"
	EXPECT	s4, T_LOAD(3, 10), "1 utinst of a tagged pointer of VU: offset 0"
	VSATP	VS

	/* UKTE: the upper half of the addresses */
	CSRW	CSR_SENVCFG, UKTE
	csrr	t5, CSR_SENVCFG
	EXPECT	t5, UKTE, "harness: senvcfg.UKTE exists"
	W64	H_ROOT + 8 * 510, PTE(GIGA_RPA, PTE_RAM)
	CSRW	CSR_SATP, SV39 | (H_ROOT >> 12)
	sfence.vma
	j	7831f
7830:	ld	a0, 0(a2)
	DONE
7831:	AT_HIGH	LOAD_PAGE, 0, "UKTE=1, no frame"
	AT_HIGH	ENDED, USTATUS_UACT, "UKTE=1, in a frame"
	AT_HIGH	LOAD_PAGE, 0, "UKTE=1, no frame again"
	AT_HIGH	ENDED, USTATUS_UACT, "UKTE=1, in a frame again"
	csrw	CSR_SENVCFG, zero
	AT_HIGH	ENDED, 0, "UKTE=0, no frame"
	AT_HIGH	ENDED, USTATUS_UACT, "UKTE=0, in a frame"
	csrw	CSR_SATP, zero
	sfence.vma

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
