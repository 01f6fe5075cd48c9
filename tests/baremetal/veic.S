/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.7, the VEIC's registers themselves: fields of CAP, CTL, VMTBASE,
 * VDTBASE, INVAL, the counters, EIE, EIP, EIPCLR, EUT; which accesses count;
 * what is absent. (What INVAL does: cache.S; what counters count: send.S.)
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "harness.h"
#define HARTS	2

/* an access of another size or alignment, to a register that is not 0 */
.macro DEAD insn, offset, text
	li	s4, VEIC + \offset
	TRY	M, ENDED, "3.7 \text does not fault", \insn a0, 0(s4)
	EXPECT	a1, 0, "3.7 \text reads 0"
	TRY	HS, ENDED, "3.7 \text from HS does not fault", \insn a0, 0(s4)
	EXPECT	a1, 0, "3.7 \text from HS reads 0"
.endm

.macro DEAD_STORE insn, offset, text
	li	s4, VEIC + \offset
	li	a1, -1
	TRY	M, ENDED, "3.7 \text does not fault", \insn a1, 0(s4)
	li	a1, 0
	TRY	M, ENDED, "3.7 \text of 0 does not fault", \insn a1, 0(s4)
.endm

/* read 0, ignore writes */
.macro ABSENT offset, text
	li	s4, VEIC + \offset
	li	a1, -1
	TRY	M, ENDED, "3.7 \text: a write does not fault", sd a1, 0(s4)
	TRY	M, ENDED, "3.7 \text: a read does not fault", ld a0, 0(s4)
	EXPECT	a1, 0, "3.7 \text: reads 0 after a write of ones"
.endm

.macro WRITABLE offset, mask, text
	VEIC_W	\offset, -1
	VEIC_IS	\offset, \mask, "3.7 \text: the bits that can be set"
	VEIC_W	\offset, 0x5555555555555555
	VEIC_IS	\offset, \mask & 0x5555555555555555, "3.7 \text: 0x55..."
	VEIC_W	\offset, 0
	VEIC_IS	\offset, 0, "3.7 \text: cleared"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	call	fresh

	/* CAP */
	li	s4, VEIC
	ld	s5, 0(s4)
	andi	t5, s5, 0xff
	EXPECT	t5, 2, "3.7 CAP: version 2"
	srli	t5, s5, 8
	andi	t5, t5, 0xff
	EXPECT	t5, 10, "3.7 CAP: 2^10 VEIIDs a hart"
	srli	t5, s5, 16
	slli	t5, t5, 48
	srli	t5, t5, 48
	EXPECT	t5, HARTS, "3.7 CAP: the number of harts"
	srli	t5, s5, 48
	EXPECT	t5, 0, "3.7 CAP: [63:48] are 0"
	VEIC_W	VEIC_CAP, -1
	ld	t5, 0(s4)
	EXPECTR	t5, s5, "3.7 CAP: read-only, ones"
	VEIC_W	VEIC_CAP, 0
	ld	t5, 0(s4)
	EXPECTR	t5, s5, "3.7 CAP: read-only, zeros"
	TRY	HS, ENDED, "3.7 CAP: HS reads it", ld a0, 0(s4)
	EXPECTR	a1, s5, "3.7 CAP: the same from HS"

	WRITABLE VEIC_CTL, 1, "CTL"
	WRITABLE VEIC_VMTBASE, 0x00fffffffffff01f, "VMTBASE"
	WRITABLE VEIC_VDTBASE, 0x00fffffffffff000, "VDTBASE"
	VEIC_W	VEIC_INVAL, 1
	VEIC_IS	VEIC_INVAL, 0, "3.7 INVAL: reads 0"
	VEIC_W	VEIC_INVAL, -1
	VEIC_IS	VEIC_INVAL, 0, "3.7 INVAL: reads 0 after a write of ones"

	/* the files: EIE, EUT */
	.irp	hart, 0, 1
	WRITABLE EIE(\hart, 0), -2, "EIE of hart \hart, word 0, VEIID 0 reads 0"
	WRITABLE EIE(\hart, 1), -1, "EIE of hart \hart, word 1"
	WRITABLE EIE(\hart, 15), -1, "EIE of hart \hart, word 15"
	WRITABLE EUT(\hart, 0), -2, "EUT of hart \hart, word 0, VEIID 0 reads 0"
	WRITABLE EUT(\hart, 1), -1, "EUT of hart \hart, word 1"
	WRITABLE EUT(\hart, 15), -1, "EUT of hart \hart, word 15"
	/* EIP, EIPCLR */
	VEIC_W	EIP(\hart, 0), -1
	VEIC_IS	EIP(\hart, 0), -2, "3.7 EIP of hart \hart: ones set all but VEIID 0"
	VEIC_W	EIP(\hart, 0), 0
	VEIC_IS	EIP(\hart, 0), -2, "3.7 EIP of hart \hart: zeros change nothing"
	VEIC_IS	EIPCLR(\hart, 0), 0, "3.7 EIPCLR of hart \hart: reads 0"
	VEIC_W	EIPCLR(\hart, 0), 0
	VEIC_IS	EIP(\hart, 0), -2, "3.7 EIPCLR of hart \hart: zeros change nothing"
	VEIC_W	EIPCLR(\hart, 0), 0xf0
	VEIC_IS	EIP(\hart, 0), -2 & ~0xf0, "3.7 EIPCLR of hart \hart: ones clear"
	VEIC_W	EIP(\hart, 0), 0x30
	VEIC_IS	EIP(\hart, 0), -2 & ~0xc0, "3.7 EIP of hart \hart: ones set, the others stay"
	VEIC_W	EIPCLR(\hart, 0), -1
	VEIC_IS	EIP(\hart, 0), 0, "3.7 EIPCLR of hart \hart: all cleared"
	VEIC_W	EIP(\hart, 15), -1
	VEIC_IS	EIP(\hart, 15), -1, "3.7 EIP of hart \hart: the last word"
	VEIC_IS	EIP(\hart, 14), 0, "3.7 EIP of hart \hart: not the word before"
	VEIC_W	EIPCLR(\hart, 15), -1
	VEIC_IS	EIP(\hart, 15), 0, "3.7 EIPCLR of hart \hart: the last word"
	/* past CAP: word 16 is VEIID 1024 */
	ABSENT	EIE(\hart, 16), "EIE of hart \hart, first word past CAP"
	ABSENT	EIE(\hart, 63), "EIE of hart \hart, last word of its space"
	ABSENT	EIP(\hart, 16), "EIP of hart \hart, first word past CAP"
	ABSENT	EIP(\hart, 63), "EIP of hart \hart, last word of its space"
	ABSENT	EIPCLR(\hart, 16), "EIPCLR of hart \hart, first word past CAP"
	ABSENT	EUT(\hart, 16), "EUT of hart \hart, first word past CAP"
	ABSENT	EUT(\hart, 63), "EUT of hart \hart, last word of its space"
	.endr
	/* one hart's file is not the other's */
	VEIC_W	EIE(1, 2), 0x123456789abcdef0
	VEIC_IS	EIE(0, 2), 0, "3.7 EIE of hart 1 is not hart 0's"
	VEIC_IS	EIE(1, 2), 0x123456789abcdef0, "3.7 EIE of hart 1 keeps its value"
	VEIC_IS	EIE(1, 3), 0, "3.7 EIE of hart 1, the next word is untouched"
	VEIC_IS	EIP(1, 2), 0, "3.7 EIE of hart 1 is not its EIP"
	VEIC_W	EIE(1, 2), 0

	/* setting EIP by hand is not a send */
	VEIC_W	EIP(0, 3), 1
	VEIC_W	EIP(0, 3), 1
	VEIC_W	EIPCLR(0, 3), 1
	VEIC_IS	VEIC_SENT, 0, "3.7 SENT: a write of EIP is no send"
	VEIC_IS	VEIC_COALESCED, 0, "3.7 COALESCED: a write of EIP is no send"

	/* absent harts and undefined places */
	ABSENT	EIE(HARTS, 0), "EIE of the first absent hart"
	ABSENT	EIP(HARTS, 0), "EIP of the first absent hart"
	ABSENT	EIPCLR(HARTS, 0), "EIPCLR of the first absent hart"
	ABSENT	EUT(HARTS, 1), "EUT of the first absent hart"
	ABSENT	0xfff000, "the last page of the window"
	ABSENT	0xfffff8, "the last word of the window"
	ABSENT	0x28, "offset 0x28"
	ABSENT	0x38, "offset 0x38"
	ABSENT	0x68, "offset 0x68"
	ABSENT	0x1000, "offset 0x1000"
	ABSENT	0xfff8, "offset 0xfff8"
	ABSENT	0x10800, "offset 0x800 of a file"
	VEIC_IS	VEIC_CTL, 0, "3.7 CTL: untouched by the writes to absent places"
	VEIC_IS	EIE(0, 0), 0, "3.7 EIE: untouched by the writes to absent places"
	VEIC_IS	EIP(0, 0), 0, "3.7 EIP: untouched by the writes to absent places"

	/* only aligned 64-bit accesses count */
	DEAD	lb, 0, "lb of CAP"
	DEAD	lbu, 1, "lbu of CAP + 1"
	DEAD	lh, 0, "lh of CAP"
	DEAD	lhu, 2, "lhu of CAP + 2"
	DEAD	lw, 0, "lw of CAP"
	DEAD	lwu, 0, "lwu of CAP"
	VEIC_W	VEIC_VMTBASE, 0x00fffffffffff01f
	VEIC_W	VEIC_VDTBASE, 0x00fffffffffff000
	DEAD	lw, 0x14, "lw of VMTBASE + 4"
	DEAD	ld, 0x11, "ld of VMTBASE + 1"
	DEAD	ld, 0x12, "ld of VMTBASE + 2"
	DEAD	ld, 0x14, "ld of VMTBASE + 4"
	DEAD	lw, 0x12, "lw of VMTBASE + 2"
	DEAD	lh, 0x11, "lh of VMTBASE + 1"
	DEAD_STORE sb, 0x11, "sb to VMTBASE + 1"
	DEAD_STORE sb, 0x10, "sb to VMTBASE"
	DEAD_STORE sh, 0x10, "sh to VMTBASE"
	DEAD_STORE sh, 0x13, "sh to VMTBASE + 3"
	DEAD_STORE sw, 0x10, "sw to VMTBASE"
	DEAD_STORE sw, 0x14, "sw to VMTBASE + 4"
	DEAD_STORE sw, 0x12, "sw to VMTBASE + 2"
	DEAD_STORE sd, 0x11, "sd to VMTBASE + 1"
	DEAD_STORE sd, 0x14, "sd to VMTBASE + 4"
	VEIC_IS	VEIC_VMTBASE, 0x00fffffffffff01f, "3.7 VMTBASE: narrow and misaligned stores wrote nothing"
	VEIC_IS	VEIC_VDTBASE, 0x00fffffffffff000, "3.7 VDTBASE: misaligned stores before it wrote nothing"
	VEIC_W	VEIC_VMTBASE, 0
	VEIC_W	VEIC_VDTBASE, 0
	DEAD_STORE sb, 0x8, "sb to CTL"
	li	a1, 1
	li	s4, VEIC + VEIC_CTL
	TRY	M, ENDED, "3.7 sw of 1 to CTL does not fault", sw a1, 0(s4)
	VEIC_IS	VEIC_CTL, 0, "3.7 CTL: narrow stores wrote nothing"
	li	a1, -1
	li	s4, VEIC + EIP(0, 1)
	TRY	M, ENDED, "3.7 sw to EIP does not fault", sw a1, 0(s4)
	TRY	M, ENDED, "3.7 sd to EIP + 4 does not fault", sd a1, 4(s4)
	TRY	M, ENDED, "3.7 sb to EIP does not fault", sb a1, 0(s4)
	VEIC_IS	EIP(0, 1), 0, "3.7 EIP: narrow and misaligned stores set nothing"
	VEIC_IS	EIP(0, 2), 0, "3.7 EIP: nor in the next word"
	VEIC_W	EIP(0, 1), -1
	li	a1, -1
	li	s4, VEIC + EIPCLR(0, 1)
	TRY	M, ENDED, "3.7 sw to EIPCLR does not fault", sw a1, 0(s4)
	TRY	M, ENDED, "3.7 sd to EIPCLR - 4 does not fault", sd a1, -4(s4)
	VEIC_IS	EIP(0, 1), -1, "3.7 EIPCLR: narrow and misaligned stores clear nothing"
	VEIC_W	EIPCLR(0, 1), -1

	/* the counters: a send makes SENT 1; any write clears, that counter only */
	FRESH
	ROUTE	RT0, 1, 5, 0
	SEND	1, 1
	SEND	1, 1
	SEND	1, 2
	VEIC_IS	VEIC_SENT, 2, "3.7 SENT: two sends"
	VEIC_IS	VEIC_COALESCED, 1, "3.7 COALESCED: one of them"
	VEIC_IS	VEIC_MISSES, 1, "3.7 MISSES: one"
	li	s4, VEIC + VEIC_SENT
	DEAD	lw, VEIC_SENT, "lw of SENT"
	li	s4, VEIC + VEIC_SENT
	li	a1, 0
	TRY	M, ENDED, "3.7 sw to SENT does not fault", sw a1, 0(s4)
	VEIC_IS	VEIC_SENT, 2, "3.7 SENT: a narrow store does not clear it"
	VEIC_W	VEIC_SENT, 0x1234
	VEIC_IS	VEIC_SENT, 0, "3.7 SENT: any write clears it"
	VEIC_IS	VEIC_COALESCED, 1, "3.7 COALESCED: not cleared by a write of SENT"
	VEIC_IS	VEIC_MISSES, 1, "3.7 MISSES: not cleared by a write of SENT"
	VEIC_W	VEIC_COALESCED, -1
	VEIC_IS	VEIC_COALESCED, 0, "3.7 COALESCED: any write clears it"
	VEIC_IS	VEIC_MISSES, 1, "3.7 MISSES: not cleared by a write of COALESCED"
	VEIC_W	VEIC_MISSES, 0
	VEIC_IS	VEIC_MISSES, 0, "3.7 MISSES: any write clears it"
	li	s4, VEIC
	ld	t4, VEIC_HITS(s4)
	ld	t5, VEIC_WALKS(s4)
	add	t5, t4, t5
	EXPECT	t5, 2, "3.7 HITS + WALKS: the two valid look-ups"
	VEIC_W	VEIC_WALKS, 7
	VEIC_IS	VEIC_WALKS, 0, "3.7 WALKS: any write clears it"
	VEIC_W	VEIC_HITS, 7
	VEIC_IS	VEIC_HITS, 0, "3.7 HITS: any write clears it"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
