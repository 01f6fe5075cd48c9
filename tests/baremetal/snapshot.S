/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 0, "Everything migrates": a snapshot taken with bits pending,
 * every CSR set, the VEIC set up, is loaded again, in the same process after
 * everything has changed, and in a new one. Caches do not migrate.
 *
 * The runner sees the lines "snapshot: ..." and answers with a character: `c`,
 * go on and change everything; `v`, verify. It saves between "ready" and `c`,
 * loads after "changed", and answers `v` to the loaded machine.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 snapshot=yes
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=2 snapshot=yes
 */
#include "harness.h"
#include "csr-list.h"

.macro SET name, num, keeps
	.if	\keeps
	CSRW	\num, \keeps
	.endif
.endm
.macro HELD name, num, keeps
	.if	\keeps
	csrr	t5, \num
	EXPECT	t5, \keeps, "0 \name is as it was saved"
	.endif
.endm
.macro WIPE name, num, keeps
	.if	\keeps
	csrw	\num, zero
	.endif
.endm
.macro DIFFER name, num, keeps
	.if	\keeps
	csrr	t6, \num
	li	t5, \keeps
	xor	t6, t6, t5
	or	t0, t0, t6
	.endif
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	ROUTE	RT0, 1, 9, 0
	ROUTE	RT0, 2, 7, 0
	ROUTE	RT0, 3, 80, 1
	ROUTE	RT0, 4, 81, 1
	VEIC_W	VEIC_VDTBASE, VDT
	.irp	hart, 0, 1
	VEIC_W	EIE(\hart, 0), BIT(7) | BIT(8) | BIT(9)
	VEIC_W	EIE(\hart, 1), (1 << 16) | (1 << 17)
	VEIC_W	EUT(\hart, 0), BIT(7) | BIT(8)
	VEIC_W	EUT(\hart, 1), (1 << 17)
	VEIC_W	EIE(\hart, 15), 0x123400000000\hart
	VEIC_W	EUT(\hart, 15), 0x567800000000\hart
	.endr
	VEIC_W	EIP(0, 14), 0xdeadbeef
	/* hart 0: 24 pending; 25 cleared by software while D holds */
	SEND	1, 1
	SEND	1, 1
	SEND	1, 2
	SEND	1, 9
	CSRC	CSR_MIP, BIT(25)
	/* hart 1: supervisor 80, user 81, its 25 left set, then inside a frame */
	SEND	1, 3
	SEND	1, 4
	START	1, set
	JOIN	1
	EACH_CSR SET
	CSRS	CSR_HSTATUS, HSTATUS_HUR
	CSRW	CSR_MIE, BIT(24)
	VEIC_W	VEIC_HITS, 0
	VEIC_W	VEIC_WALKS, 0
	CSR_IS	CSR_MIP, VEI_BITS, BIT(24), "3.5 before: 24 pending, 25 cleared"
	ld	t5, areas + AREA_SIZE + SCRATCH
	EXPECT	t5, VEI_BITS, "3.5 before: the other hart has 24 and 25 pending"

	SAY	"snapshot: ready"
	call	getc
	li	t0, 'v'
	beq	a0, t0, verify

	/* change everything that was saved */
	call	fresh
	START	1, wipe
	JOIN	1
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	/* other routes, and in the cache */
	VM	1, RT1, 4
	ROUTE	RT1, 1, 30, 0
	ROUTE	RT1, 2, 31, 0
	VEIC_W	VEIC_VMTBASE, VMT | 4
	VEIC_W	VEIC_CTL, 1
	SEND	1, 1
	SEND	1, 2
	VEIC_IS	EIP(0, 0), BIT(30) | BIT(31), "0 changed: other routes"
	VEIC_W	VEIC_VMTBASE, VMT | 5
	SEND	1, 1
	CSR_IS	CSR_MIP, VEI_BITS, 0, "0 changed: nothing pending"
	SAY	"snapshot: changed"
1:	call	getc
	j	1b

verify:	EACH_CSR HELD
	CSR_IS	CSR_HSTATUS, HSTATUS_HUR, HSTATUS_HUR, "0 hstatus.HUR is as it was saved"
	CSR_IS	CSR_MIE, VEI_BITS, BIT(24), "0 mie is as it was saved"
	CSR_IS	CSR_MIP, VEI_BITS, BIT(24), "0 24 is pending again, 25 still cleared"
	CSR_IS	CSR_UIP, -1, UIP_UEIP, "0 uip is as it was saved"
	csrr	t5, CSR_STOPVEI
	EXPECT	t5, 9, "0 stopvei shows the VEIID that was pending"
	VEIC_IS	EIP(0, 0), BIT(7) | BIT(9), "0 EIP of hart 0 is as it was saved"
	VEIC_IS	EIP(0, 14), 0xdeadbeef, "0 EIP of hart 0, word 14, is as it was saved"
	VEIC_IS	EIP(1, 1), (1 << 16) | (1 << 17), "0 EIP of hart 1 is as it was saved"
	.irp	hart, 0, 1
	VEIC_IS	EIE(\hart, 0), BIT(7) | BIT(8) | BIT(9), "0 EIE of hart \hart is as it was saved"
	VEIC_IS	EUT(\hart, 0), BIT(7) | BIT(8), "0 EUT of hart \hart is as it was saved"
	VEIC_IS	EIE(\hart, 15), 0x123400000000\hart, "0 EIE of hart \hart, last word, is as it was saved"
	VEIC_IS	EUT(\hart, 15), 0x567800000000\hart, "0 EUT of hart \hart, last word, is as it was saved"
	.endr
	VEIC_IS	VEIC_CTL, 1, "0 CTL is as it was saved"
	VEIC_IS	VEIC_VMTBASE, VMT | 4, "0 VMTBASE is as it was saved"
	VEIC_IS	VEIC_VDTBASE, VDT, "0 VDTBASE is as it was saved"
	VEIC_IS	VEIC_SENT, 5, "0 SENT is as it was saved"
	VEIC_IS	VEIC_COALESCED, 1, "0 COALESCED is as it was saved"
	VEIC_IS	VEIC_MISSES, 1, "0 MISSES is as it was saved"
	VEIC_IS	VEIC_HITS, 0, "0 HITS is as it was saved"
	VEIC_IS	VEIC_WALKS, 0, "0 WALKS is as it was saved"
	/* the first look-up is from memory, and finds the saved tables */
	VEIC_W	EIPCLR(0, 0), BIT(9)
	csrw	CSR_MIE, zero
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(7) | BIT(9), "0 the first send after the load goes by the saved routes"
	VEIC_IS	VEIC_WALKS, 1, "0 caches do not migrate: the first look-up walks"
	VEIC_IS	VEIC_HITS, 0, "0 caches do not migrate: the first look-up does not hit"
	/* the machine goes on as if nothing had been */
	CSRW	CSR_MIE, BIT(24)
	TRY	U, INTR(IRQ_VEI), "0 24 is taken after the load", nop
	TRY	HS, ENDED, "0 stopvei after the load", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 9, "0 stopvei claims what was saved"
	CSR_IS	CSR_MIP, BIT(24), 0, "0 24 is gone after the claim"
	/* the visit to U with the saved UEIE=1 made D false and true again */
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "3.5 T and D go on after the load"
	CSRC	CSR_MIP, BIT(25)
	VEIC_W	EIP(0, 0), BIT(8)
	CSR_IS	CSR_MIP, VEI_BITS, BIT(25), "3.5 a further user VEIID while D holds, after the load"
	START	1, look
	JOIN	1
	ld	t5, areas + AREA_SIZE + SCRATCH
	EXPECT	t5, VEI_BITS, "0 the other hart has 24 and 25 pending again"
	ld	t5, areas + AREA_SIZE + SCRATCH + 8
	EXPECT	t5, 0, "0 the other hart's CSRs are as they were saved"
	ld	t5, areas + AREA_SIZE + SCRATCH + 16
	EXPECT	t5, 80, "0 the other hart's stopvei shows the VEIID that was pending"
	SAY	"snapshot: verified"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1. */
set:	EACH_CSR SET
	CSRS	CSR_USTATUS, USTATUS_UACT
	CSRC	CSR_USTATUS, USTATUS_UHCS
	csrr	t0, CSR_MIP
	li	t1, VEI_BITS
	and	t0, t0, t1
	sd	t0, SCRATCH(tp)
	ret

wipe:	EACH_CSR WIPE
	CSRC	CSR_MIP, BIT(25)
	ret

look:	csrr	t0, CSR_MIP
	li	t1, VEI_BITS
	and	t0, t0, t1
	sd	t0, SCRATCH(tp)
	csrr	t0, CSR_USTATUS
	li	t1, 0x1b00
	xor	t0, t0, t1
	csrw	CSR_USTATUS, zero
	CSRS	CSR_USTATUS, 0x1700
	EACH_CSR DIFFER
	sd	t0, SCRATCH+8(tp)
	csrr	t0, CSR_STOPVEI
	sd	t0, SCRATCH+16(tp)
	ret
