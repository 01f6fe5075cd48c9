/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The macro library of the bare-metal tests.
 *
 * A test is a function `test_main` that runs in M-mode on hart 0. It runs
 * snippets in any mode, looks at what came of them and makes checks:
 *
 *	IN	HS
 *	csrr	a0, CSR_USTATUS
 *	ENDIN
 *	EXPECT	a0, ENDED, "3.3 reading works"
 *	EXPECT	a1, 0, "3.3 it reads zero"
 *
 * After ENDIN, a0 is the cause of the trap that ended the snippet, or ENDED,
 * and a1 is what a0 held at that time. REC_* of the hart's area (at tp) hold
 * the rest. A snippet sees a1..a5 and s0..s11 of the test and may use any
 * register but tp; s0..s11 are as before the snippet when it is over. A check
 * changes no register.
 */
#ifndef BAREMETAL_HARNESS_H
#define BAREMETAL_HARNESS_H

#include "csr.h"

/* modes, for IN: bit 2 is V, the rest is the privilege */
#define U	0
#define HS	1
#define M	3
#define VU	4
#define VS	5

/* the area of a hart, at tp */
#define SAVE		0	/* ra, sp, s0..s11 */
#define RUNNING		112	/* a snippet runs */
#define REC_CAUSE	120
#define REC_TVAL	128
#define REC_EPC		136
#define REC_A0		144
#define REC_WHERE	152	/* the mode that the trap was taken in: M or HS */
#define REC_TVAL2	160
#define REC_TINST	168
#define REC_HSTATUS	176
#define HARTID		184
#define WORK		192	/* function for this hart to run, or 0 */
#define WORK_ARG	200
#define RESET_MEDELEG	208	/* what these held when the hart began */
#define RESET_MIDELEG	216
#define SCRATCH		224	/* for the test, 96 bytes */
#define REC_STATUS	320	/* mstatus or sstatus in the trap handler */
#define REC_USTATUS	328	/* ustatus, as the handler in U read it */
#define HOOK		336	/* where MAGIC_HOOK goes on, in M */
#define WANTED		352	/* what JUDGE compares with, see guest.h */
#define UREGS		512	/* x0..x31 at entry to the handler in U */
#define MORE		768	/* for the test, 256 bytes */
#define AREA_SIZE	1024
#define MAX_HARTS	8

/* in a7, how the ecall that ends a snippet is told from one of the test: the
 * end, the handler in HS, the handler in U, "go on at HOOK in M" */
#define MAGIC_END	0x5e55e
#define MAGIC_HS	0x5e55f
#define MAGIC_UER	0x5e560
#define MAGIC_HOOK	0x5e561

/* physical addresses */
#define UART		0x10000000
#define FINISHER	0x100000
#define VEIC		0x06000000
#define RAM		0x80000000
#define VMT		0x84000000	/* a VM table, 1 MiB */
#define RT0		0x84100000	/* route tables, 512 KiB each */
#define RT1		0x84180000
#define RT2		0x84200000
#define VDT		0x84300000	/* descriptors */
#define PERSIST		0x85000000	/* RAM that no ELF segment covers */

/* VEIC registers */
#define VEIC_CAP	0x00
#define VEIC_CTL	0x08
#define VEIC_VMTBASE	0x10
#define VEIC_VDTBASE	0x18
#define VEIC_INVAL	0x20
#define VEIC_HITS	0x40
#define VEIC_MISSES	0x48
#define VEIC_WALKS	0x50
#define VEIC_SENT	0x58
#define VEIC_COALESCED	0x60
#define EIE(hart, word)		(0x10000 + (hart) * 0x1000 + (word) * 8)
#define EIP(hart, word)		(0x10200 + (hart) * 0x1000 + (word) * 8)
#define EIPCLR(hart, word)	(0x10400 + (hart) * 0x1000 + (word) * 8)
#define EUT(hart, word)		(0x10600 + (hart) * 0x1000 + (word) * 8)
#define INVAL_ALL		1
#define INVAL_VM(vm)		(2 | ((vm) << 16))
#define INVAL_ROUTE(vm, irq)	(3 | ((vm) << 16) | ((irq) << 32))

#ifdef __ASSEMBLER__

	.option	norvc

/* --- snippets ---------------------------------------------------------- */

/* Run what follows, up to ENDIN, in `mode`. */
.macro IN mode
	li	a6, \mode
	la	a7, 7701f
	call	run_mode
	j	7702f
7701:
.endm

.macro ENDIN
	ret
7702:
.endm

/* --- checks ------------------------------------------------------------ */

.macro EXPECT reg, want, name
	.pushsection .rodata.names, "a"
7703:	.asciz	"\name"
	.popsection
	addi	sp, sp, -32
	sd	a0, 0(sp)
	sd	a1, 8(sp)
	sd	a2, 16(sp)
	mv	a0, \reg
	li	a1, \want
	la	a2, 7703b
	call	check
	ld	a0, 0(sp)
	ld	a1, 8(sp)
	ld	a2, 16(sp)
	addi	sp, sp, 32
.endm

/* The same with what is wanted in a register. */
.macro EXPECTR reg, want, name
	.pushsection .rodata.names, "a"
7703:	.asciz	"\name"
	.popsection
	addi	sp, sp, -32
	sd	a0, 0(sp)
	sd	a1, 8(sp)
	sd	a2, 16(sp)
	sd	\want, 24(sp)
	mv	a0, \reg
	ld	a1, 24(sp)
	la	a2, 7703b
	call	check
	ld	a0, 0(sp)
	ld	a1, 8(sp)
	ld	a2, 16(sp)
	addi	sp, sp, 32
.endm

/* One CSR instruction in a mode: the cause that it must have. */
.macro TRY mode, want, name, insn:vararg
	IN	\mode
	\insn
	ENDIN
	EXPECT	a0, \want, "\name"
.endm

/* The same with a1 = value in it. */
.macro TRY1 mode, value, want, name, insn:vararg
	li	a1, \value
	TRY	\mode, \want, "\name", \insn
.endm

/* A line of text for the runner or the reader, after "# ". */
.macro SAY text
	.pushsection .rodata.names, "a"
7703:	.asciz	"\text"
	.popsection
	la	a0, 7703b
	call	say
.endm

/* --- memory ------------------------------------------------------------ */

/* 64-bit load and store at a constant address. a0 and t6 are free for it. */
.macro R64 reg, addr
	li	t6, \addr
	ld	\reg, 0(t6)
.endm

.macro W64 addr, value
	li	t6, \addr
	li	t5, \value
	sd	t5, 0(t6)
	fence	iorw, iorw
.endm

/* Expect a value of a VEIC register. */
.macro VEIC_IS offset, want, name
	li	t6, VEIC + \offset
	ld	t5, 0(t6)
	EXPECT	t5, \want, "\name"
.endm

.macro VEIC_W offset, value
	W64	VEIC + \offset, \value
.endm

/* --- route tables ------------------------------------------------------ */

.macro VM vmid, table, log2
	W64	VMT + (\vmid) * 16, \table | ((\log2) << 1) | 1
.endm

.macro NOVM vmid
	W64	VMT + (\vmid) * 16, 0
.endm

.macro ROUTE table, veirq, veiid, hart
	W64	\table + (\veirq) * 8, ((\hart) << 32) | ((\veiid) << 16) | 1
.endm

.macro NOROUTE table, veirq
	W64	\table + (\veirq) * 8, 0
.endm

/* The usual beginning: everything as after reset, VMs 1 and 2 with 16 routes
 * each in RT0 and RT1, a VM table of 16, the VEIC enabled. */
.macro FRESH
	call	fresh
	VM	1, RT0, 4
	VM	2, RT1, 4
	VEIC_W	VEIC_VMTBASE, VMT | 4
	VEIC_W	VEIC_CTL, 1
.endm

/* Send from HS. */
.macro SEND vmid, veirq
	IN	HS
	li	a1, ((\vmid) << 16) | (\veirq)
	fence	w, o
	csrw	CSR_SVEI, a1
	ENDIN
.endm

/* hveictl := enabled for `vmid`, for sends from VS. */
.macro VMID vmid
	li	t6, HVEICTL_EN | (\vmid)
	csrw	CSR_HVEICTL, t6
.endm

/* Send from VS; a0 is then the cause. */
.macro VSEND veirq
	IN	VS
	li	a1, \veirq
	fence	w, o
	csrw	CSR_SVEI, a1
	ENDIN
.endm

/* Set or clear bits of a CSR, whatever their position. */
.macro CSRS csr, bits
	li	t6, \bits
	csrs	\csr, t6
.endm

.macro CSRC csr, bits
	li	t6, \bits
	csrc	\csr, t6
.endm

.macro CSRW csr, value
	li	t6, \value
	csrw	\csr, t6
.endm

/* Expect a value of the bits `mask` of a CSR, read in M-mode. */
.macro CSR_IS csr, mask, want, name
	csrr	t5, \csr
	li	t6, \mask
	and	t5, t5, t6
	EXPECT	t5, \want, "\name"
.endm

/* Let another hart run a function in M-mode; wait for its end. */
.macro START hart, fn
	la	t5, areas + (\hart) * AREA_SIZE
	la	t6, \fn
	fence	iorw, iorw
	sd	t6, WORK(t5)
.endm

.macro JOIN hart
	la	t5, areas + (\hart) * AREA_SIZE
7704:	ld	t6, WORK(t5)
	bnez	t6, 7704b
	fence	iorw, iorw
.endm

#endif /* __ASSEMBLER__ */
#endif
