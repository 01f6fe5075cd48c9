/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 1 "Reset: all 0" and 3.7's reset values, for a cold machine and
 * for one that is reset with everything set; medeleg and mideleg at reset.
 *
 * The test runs twice: it ends its first run by a reset of the machine, and
 * knows by a word of RAM which run it is in.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "harness.h"
#include "csr-list.h"

#define SECOND	0x5ec0d

.macro ZERO name, num, keeps
	csrr	t5, \num
	EXPECT	t5, 0, "1 \name: 0 at reset"
.endm

.macro FILL name, num, keeps
	CSRW	\num, \keeps
	csrr	t5, \num
	EXPECT	t5, \keeps, "1 \name: set before the reset"
.endm

.macro FILL_UNLESS_UIP name, num, keeps
	.if	\keeps
	FILL	\name, \num, \keeps
	.endif
.endm

.macro SET_UNLESS_SEND name, num, keeps
	.if	\keeps
	CSRW	\num, \keeps
	.endif
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	/* the second run goes on with the numbers of the first */
	li	s11, PERSIST
	ld	t0, 0(s11)
	li	t1, SECOND
	bne	t0, t1, 1f
	sd	zero, 0(s11)
	la	t0, number
	ld	t1, 8(s11)
	sd	t1, 0(t0)
	ld	t1, 16(s11)
	sd	t1, 8(t0)
	SAY	"the second run, after a reset"
	call	at_reset
	j	2f
1:	SAY	"the first run, cold"
	call	at_reset
	call	dirty
	la	t0, number
	ld	t1, 0(t0)
	sd	t1, 8(s11)
	ld	t1, 8(t0)
	sd	t1, 16(s11)
	li	t1, SECOND
	sd	t1, 0(s11)
	fence	iorw, iorw
	li	t0, FINISHER
	li	t1, 0x7777
	sw	t1, 0(t0)
3:	j	3b
2:	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

at_reset:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	EACH_CSR ZERO
	CSR_IS	CSR_HSTATUS, HSTATUS_HUR, 0, "1 hstatus.HUR: 0 at reset"
	ld	t5, RESET_MEDELEG(tp)
	li	t6, VEI_BITS
	and	t5, t5, t6
	EXPECT	t5, VEI_BITS, "1 medeleg: bits 24, 25 are 1 at reset"
	ld	t5, RESET_MIDELEG(tp)
	li	t6, VEI_BITS
	and	t5, t5, t6
	EXPECT	t5, VEI_BITS, "1 mideleg: bits 24, 25 are 1 at reset"
	CSR_IS	CSR_MIP, VEI_BITS, 0, "3.6 mip: bits 24, 25 are 0 at reset"
	VEIC_IS	VEIC_CTL, 0, "3.7 CTL: 0 at reset"
	VEIC_IS	VEIC_VMTBASE, 0, "3.7 VMTBASE: 0 at reset"
	VEIC_IS	VEIC_VDTBASE, 0, "3.7 VDTBASE: 0 at reset"
	VEIC_IS	VEIC_INVAL, 0, "3.7 INVAL: 0 at reset"
	VEIC_IS	VEIC_HITS, 0, "3.7 HITS: 0 at reset"
	VEIC_IS	VEIC_MISSES, 0, "3.7 MISSES: 0 at reset"
	VEIC_IS	VEIC_WALKS, 0, "3.7 WALKS: 0 at reset"
	VEIC_IS	VEIC_SENT, 0, "3.7 SENT: 0 at reset"
	VEIC_IS	VEIC_COALESCED, 0, "3.7 COALESCED: 0 at reset"
	/* the files of both harts, every word */
	.irp	hart, 0, 1
	li	t0, VEIC + EIE(\hart, 0)
	li	t1, 16
	li	t2, 0
	li	t3, 0
	li	t4, 0
7400:	ld	t5, 0(t0)
	or	t2, t2, t5
	ld	t5, 0x200(t0)
	or	t3, t3, t5
	ld	t5, 0x600(t0)
	or	t4, t4, t5
	addi	t0, t0, 8
	addi	t1, t1, -1
	bnez	t1, 7400b
	EXPECT	t2, 0, "3.7 EIE of hart \hart: 0 at reset"
	EXPECT	t3, 0, "3.7 EIP of hart \hart: 0 at reset"
	EXPECT	t4, 0, "3.7 EUT of hart \hart: 0 at reset"
	.endr
	/* the other hart's CSRs */
	START	1, look
	JOIN	1
	ld	t5, areas + AREA_SIZE + SCRATCH
	EXPECT	t5, 0, "1 the other hart's CSRs: 0 at reset"
	ld	t5, areas + AREA_SIZE + SCRATCH + 8
	EXPECT	t5, 0, "3.6 the other hart's mip.24, mip.25: 0 at reset"
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* Set everything. */
dirty:	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	ROUTE	RT0, 1, 5, 0
	ROUTE	RT0, 2, 6, 1
	VEIC_W	VEIC_VDTBASE, VDT
	SEND	1, 1
	SEND	1, 1
	SEND	1, 2
	SEND	1, 3
	.irp	hart, 0, 1
	VEIC_W	EIE(\hart, 0), -1
	VEIC_W	EIE(\hart, 15), -1
	VEIC_W	EUT(\hart, 0), 0xff00
	VEIC_W	EUT(\hart, 15), -1
	VEIC_W	EIP(\hart, 0), -1
	VEIC_W	EIP(\hart, 15), -1
	.endr
	CSR_IS	CSR_MIP, VEI_BITS, VEI_BITS, "3.6 24 and 25 pending before the reset"
	EACH_U_CSR FILL_UNLESS_UIP
	FILL	suscratch, 0x5d0, 0x1122334455667788
	FILL	suatp, 0x5d1, 0x8000100000080123
	FILL	suuscratch, 0x5d4, 0x99aabbccddeeff00
	FILL	suframe, 0x5d5, 0x00123456789abc00
	FILL	huedeleg, 0x6c0, 0x3000000
	FILL	hveictl, 0x6c1, 0x8000000000001234
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	CSRS	CSR_MIE, VEI_BITS
	START	1, fill
	JOIN	1
	VEIC_IS	EIP(1, 0), -2, "3.7 EIP of hart 1 set before the reset"
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1. */
.macro COLLECT name, num, keeps
	csrr	t6, \num
	or	t0, t0, t6
.endm
fill:	EACH_CSR SET_UNLESS_SEND
	CSRS	CSR_MIE, VEI_BITS
	ret
look:	li	t0, 0
	EACH_CSR COLLECT
	sd	t0, SCRATCH(tp)
	csrr	t0, CSR_MIP
	li	t1, VEI_BITS
	and	t0, t0, t1
	sd	t0, SCRATCH+8(tp)
	ret
