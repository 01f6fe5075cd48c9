/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.7, the route cache and INVAL: what a send may use after a table
 * changed, each kind of INVAL, writes of CTL, VMTBASE and VDTBASE, HITS and
 * WALKS. Where CAP says that there is no cache, nothing may hit.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 global=riscv-veic.route-cache=0
 */
#include "harness.h"

#define TABLES	0x86000000	/* a page for each of 1024 VMs */

/* s10: 1 if there are cache entries, 0 if not */

.macro ZERO_COUNTERS
	VEIC_W	VEIC_HITS, 0
	VEIC_W	VEIC_WALKS, 0
	VEIC_W	VEIC_MISSES, 0
	VEIC_W	VEIC_SENT, 0
	VEIC_W	EIPCLR(0, 0), -1
.endm

/* `n` valid look-ups from memory, none from the cache */
.macro WALKED n, text
	VEIC_IS	VEIC_WALKS, \n, "3.7 \text: WALKS"
	VEIC_IS	VEIC_HITS, 0, "3.7 \text: HITS"
.endm

/* one look-up, from the cache if there is one */
.macro HIT text
	li	s4, VEIC
	ld	t5, VEIC_HITS(s4)
	EXPECTR	t5, s10, "3.7 \text: HITS"
	ld	t5, VEIC_WALKS(s4)
	xori	t4, s10, 1
	EXPECTR	t5, t4, "3.7 \text: WALKS"
.endm

/* EIP is one of two: the route before the change, or the one after it */
.macro OLD_OR_NEW old, new, text
	li	s4, VEIC + EIP(0, 0)
	ld	t5, 0(s4)
	li	t4, 1 << \old
	beq	t5, t4, 7200f
	EXPECT	t5, 1 << \new, "3.7 \text: the old route or the new one"
	j	7201f
7200:	EXPECT	t5, 1 << \old, "3.7 \text: the old route or the new one"
7201:
.endm

/* Routes (1,1)->10, (1,2)->11, (2,1)->20 for hart 0, all looked up once. */
.macro WARM
	FRESH
	ROUTE	RT0, 1, 10, 0
	ROUTE	RT0, 2, 11, 0
	ROUTE	RT1, 1, 20, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	SEND	1, 1
	SEND	1, 2
	SEND	2, 1
	ZERO_COUNTERS
.endm

/* After WARM, a changed route and the write `offset`, `value`: the new one. */
.macro DROPS offset, value, text
	WARM
	ROUTE	RT0, 1, 12, 0
	VEIC_W	\offset, \value
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(12), "3.7 \text: the new route"
	WALKED	1, "\text"
.endm

/* The same, for a change of the VM's table. */
.macro DROPS_VM offset, value, text
	WARM
	ROUTE	RT2, 1, 13, 0
	VM	1, RT2, 4
	VEIC_W	\offset, \value
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(13), "3.7 \text: the new table of the VM"
	WALKED	1, "\text, new VM entry"
.endm

/* The write drops nothing: the next send still hits. */
.macro IGNORED value, text
	WARM
	VEIC_W	VEIC_INVAL, \value
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(10), "3.7 \text: the route works"
	HIT	"\text"
.endm

/* Hart 1 has the route in its cache; hart 0 changes it. */
.macro BY_OTHER value, text
	ROUTE	RT0, 1, 12, 0
	VEIC_W	VEIC_INVAL, \value
	ZERO_COUNTERS
	START	1, send_1_1
	JOIN	1
	VEIC_IS	EIP(0, 0), BIT(12), "3.7 \text: the new route"
	WALKED	1, "\text"
	ROUTE	RT0, 1, 10, 0
	VEIC_W	VEIC_INVAL, \value
	START	1, send_1_1
	JOIN	1
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	li	t0, VEIC
	ld	t0, VEIC_CAP(t0)
	srli	t0, t0, 32
	slli	t0, t0, 48
	snez	s10, t0

	/* HITS and WALKS */
	FRESH
	ROUTE	RT0, 1, 10, 0
	ROUTE	RT0, 2, 11, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	ZERO_COUNTERS
	SEND	1, 1
	WALKED	1, "the first send"
	VEIC_W	VEIC_WALKS, 0
	SEND	1, 1
	HIT	"the same send again"
	VEIC_IS	VEIC_MISSES, 0, "3.7 valid look-ups are not misses"
	VEIC_W	VEIC_HITS, 0
	VEIC_W	VEIC_WALKS, 0
	SEND	1, 5
	SEND	9, 1
	WALKED	0, "failed look-ups"
	VEIC_IS	VEIC_MISSES, 2, "3.7 failed look-ups are misses"
	ZERO_COUNTERS
	VMID	1
	VSEND	1
	HIT	"VS uses the same cache as HS"
	SEND	1, 2
	SEND	1, 2
	SEND	1, 1
	li	s4, VEIC
	ld	t4, VEIC_HITS(s4)
	ld	t5, VEIC_WALKS(s4)
	add	t4, t4, t5
	EXPECT	t4, 4, "3.7 HITS + WALKS: every valid look-up is one of them"
	VEIC_IS	VEIC_SENT, 4, "3.7 SENT: and was a send"

	/* more routes than any cache has entries: none is lost or mixed up */
	FRESH
	VM	1, RT0, 16
	li	s4, 1			/* route n -> VEIID n of hart n & 1 */
	li	s5, 1024
	li	s6, RT0
7210:	slli	t0, s4, 3
	add	t0, t0, s6
	slli	t1, s4, 16
	ori	t1, t1, 1
	andi	t2, s4, 1
	slli	t2, t2, 32
	or	t1, t1, t2
	sd	t1, 0(t0)
	addi	s4, s4, 1
	bltu	s4, s5, 7210b
	fence	iorw, iorw
	VEIC_W	VEIC_INVAL, INVAL_ALL
	ZERO_COUNTERS
	li	s7, 3			/* three rounds, the later ones hit or walk */
	li	s8, 0			/* wrong ones */
7211:	li	s4, 1
7212:	IN	HS
	li	a1, 1 << 16
	or	a1, a1, s4
	csrw	CSR_SVEI, a1
	ENDIN
	andi	t0, s4, 1
	slli	t0, t0, 12
	srli	t1, s4, 6
	slli	t1, t1, 3
	add	t0, t0, t1
	li	t1, VEIC + EIP(0, 0)
	add	t0, t0, t1
	ld	t1, 0(t0)
	li	t2, 1
	sll	t2, t2, s4
	beq	t1, t2, 7213f
	addi	s8, s8, 1
7213:	sd	t2, 0x200(t0)		/* EIPCLR */
	addi	s4, s4, 1
	bltu	s4, s5, 7212b
	addi	s7, s7, -1
	bnez	s7, 7211b
	EXPECT	s8, 0, "3.7 1023 routes, each found, whatever the cache holds"
	VEIC_IS	VEIC_SENT, 3 * 1023, "3.7 1023 routes, three times: SENT"
	li	s4, VEIC
	ld	t4, VEIC_HITS(s4)
	ld	t5, VEIC_WALKS(s4)
	add	t4, t4, t5
	EXPECT	t4, 3 * 1023, "3.7 1023 routes, three times: HITS + WALKS"
	VEIC_IS	VEIC_MISSES, 0, "3.7 1023 routes, three times: MISSES"

	/* the same with as many VMs, which all use the same VEIRQ */
	FRESH
	VEIC_W	VEIC_VMTBASE, VMT | 10
	li	s4, 1			/* VM n: VEIRQ 1 -> VEIID n of hart n & 1 */
	li	s5, 1024
7220:	slli	t0, s4, 12
	li	t1, TABLES
	add	t0, t0, t1
	slli	t1, s4, 4
	li	t2, VMT
	add	t1, t1, t2
	ori	t2, t0, (4 << 1) | 1
	sd	t2, 0(t1)
	slli	t1, s4, 16
	ori	t1, t1, 1
	andi	t2, s4, 1
	slli	t2, t2, 32
	or	t1, t1, t2
	sd	t1, 8(t0)
	addi	s4, s4, 1
	bltu	s4, s5, 7220b
	fence	iorw, iorw
	VEIC_W	VEIC_INVAL, INVAL_ALL
	ZERO_COUNTERS
	li	s7, 3
	li	s8, 0			/* wrong ones */
7221:	li	s4, 1
7222:	IN	HS
	slli	a1, s4, 16
	ori	a1, a1, 1
	csrw	CSR_SVEI, a1
	ENDIN
	andi	t0, s4, 1
	slli	t0, t0, 12
	srli	t1, s4, 6
	slli	t1, t1, 3
	add	t0, t0, t1
	li	t1, VEIC + EIP(0, 0)
	add	t0, t0, t1
	ld	t1, 0(t0)
	li	t2, 1
	sll	t2, t2, s4
	beq	t1, t2, 7223f
	addi	s8, s8, 1
7223:	sd	t2, 0x200(t0)		/* EIPCLR */
	addi	s4, s4, 1
	bltu	s4, s5, 7222b
	addi	s7, s7, -1
	bnez	s7, 7221b
	EXPECT	s8, 0, "3.7 1023 VMs, the same VEIRQ of each, each found, whatever the cache holds"
	VEIC_IS	VEIC_SENT, 3 * 1023, "3.7 1023 VMs, three times: SENT"
	VEIC_IS	VEIC_MISSES, 0, "3.7 1023 VMs, three times: MISSES"

	/* without INVAL the old route may still be used, and nothing else */
	WARM
	ROUTE	RT0, 1, 12, 0
	SEND	1, 1
	OLD_OR_NEW 10, 12, "a changed route without INVAL"
	VEIC_IS	VEIC_SENT, 1, "3.7 a changed route without INVAL: sent once"
	WARM
	NOROUTE	RT0, 1
	SEND	1, 1
	li	s4, VEIC
	ld	t4, VEIC_SENT(s4)
	ld	t5, VEIC_MISSES(s4)
	add	t5, t4, t5
	EXPECT	t5, 1, "3.7 a removed route without INVAL: sent by the old one or missed"
	VEIC_W	VEIC_INVAL, INVAL_ROUTE(1, 1)
	ZERO_COUNTERS
	SEND	1, 1
	VEIC_IS	VEIC_MISSES, 1, "3.7 a removed route after INVAL 3: a miss"
	VEIC_IS	VEIC_SENT, 0, "3.7 a removed route after INVAL 3: not sent"
	WARM
	NOVM	1
	VEIC_W	VEIC_INVAL, INVAL_VM(1)
	SEND	1, 1
	SEND	1, 2
	SEND	2, 1
	VEIC_IS	VEIC_MISSES, 2, "3.7 a removed VM after INVAL 2: misses"
	VEIC_IS	EIP(0, 0), BIT(20), "3.7 a removed VM after INVAL 2: the other VM sends"

	/* each kind drops what it names */
	DROPS	VEIC_INVAL, INVAL_ALL, "INVAL 1"
	DROPS	VEIC_INVAL, INVAL_VM(1), "INVAL 2"
	DROPS	VEIC_INVAL, INVAL_ROUTE(1, 1), "INVAL 3"
	DROPS	VEIC_INVAL, INVAL_ALL | (9 << 16) | (9 << 32), "INVAL 1 of whatever VMID and VEIRQ"
	DROPS	VEIC_INVAL, INVAL_VM(1) | (9 << 32), "INVAL 2 of whatever VEIRQ"
	DROPS	VEIC_INVAL, INVAL_ROUTE(1, 1) | 0xffff00000000fff0, "INVAL 3 with all other bits set"
	DROPS_VM VEIC_INVAL, INVAL_ALL, "INVAL 1"
	DROPS_VM VEIC_INVAL, INVAL_VM(1), "INVAL 2"
	/* writes that act as INVAL 1, even of the value that is there */
	DROPS	VEIC_CTL, 1, "a write of CTL"
	DROPS	VEIC_VMTBASE, VMT | 4, "a write of VMTBASE"
	DROPS	VEIC_VDTBASE, 0, "a write of VDTBASE"
	DROPS_VM VEIC_CTL, 1, "a write of CTL"
	DROPS_VM VEIC_VMTBASE, VMT | 4, "a write of VMTBASE"
	DROPS_VM VEIC_VDTBASE, 0, "a write of VDTBASE"

	/* a moved VM table */
	WARM
	ROUTE	RT2, 1, 14, 0
	W64	VMT + 4096 + 16, RT2 | (4 << 1) | 1
	VEIC_W	VEIC_VMTBASE, (VMT + 4096) | 4
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(14), "3.7 VMTBASE moved: the new table"
	W64	VMT + 4096 + 16, 0

	/* what a kind does not name stays: it still hits */
	WARM
	VEIC_W	VEIC_INVAL, INVAL_ROUTE(1, 1)
	SEND	1, 2
	HIT	"INVAL 3 of another VEIRQ"
	WARM
	VEIC_W	VEIC_INVAL, INVAL_ROUTE(1, 1)
	SEND	2, 1
	HIT	"INVAL 3 of another VMID"
	WARM
	VEIC_W	VEIC_INVAL, INVAL_VM(1)
	SEND	2, 1
	HIT	"INVAL 2 of another VMID"
	IGNORED	INVAL_VM(0x101), "INVAL 2 of VMID 257"
	IGNORED	INVAL_ROUTE(0x101, 1), "INVAL 3 of VMID 257"
	IGNORED	INVAL_ROUTE(1, 0x101), "INVAL 3 of VEIRQ 257"
	.irp	kind, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	IGNORED	(1 << 32) | (1 << 16) | \kind, "INVAL kind \kind is ignored"
	.endr
	/* narrow and misaligned writes of INVAL do nothing */
	WARM
	li	s4, VEIC + VEIC_INVAL
	li	a1, INVAL_ALL
	TRY	M, ENDED, "3.7 sw to INVAL does not fault", sw a1, 0(s4)
	SEND	1, 1
	HIT	"sw to INVAL"

	/*
	 * INVAL 3 does not drop the VM entry: after a change of the VM's table it
	 * is not enough. Either table may be used, then INVAL 2 brings the new one.
	 */
	WARM
	ROUTE	RT2, 1, 13, 0
	VM	1, RT2, 4
	VEIC_W	VEIC_INVAL, INVAL_ROUTE(1, 1)
	SEND	1, 1
	OLD_OR_NEW 10, 13, "a changed VM entry after INVAL 3 only"
	VEIC_W	VEIC_INVAL, INVAL_VM(1)
	VEIC_W	EIPCLR(0, 0), -1
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(13), "3.7 a changed VM entry after INVAL 2"

	/* invalid entries are never cached */
	FRESH
	VEIC_W	VEIC_INVAL, INVAL_ALL
	SEND	1, 1
	SEND	1, 1
	VEIC_IS	VEIC_MISSES, 2, "3.7 an invalid route misses each time"
	ROUTE	RT0, 1, 10, 0
	SEND	1, 1
	VEIC_IS	EIP(0, 0), BIT(10), "3.7 a route made valid is found without INVAL"
	SEND	3, 1
	SEND	3, 1
	VEIC_IS	VEIC_MISSES, 4, "3.7 an invalid VM entry misses each time"
	ROUTE	RT2, 1, 15, 0
	VM	3, RT2, 4
	SEND	3, 1
	VEIC_IS	EIP(0, 0), BIT(10) | BIT(15), "3.7 a VM entry made valid is found without INVAL"

	/* INVAL changes no EIP, EIE, EUT, and no counter */
	WARM
	VEIC_W	EIE(0, 3), 0x1234
	VEIC_W	EUT(0, 3), 0x5678
	SEND	1, 1
	SEND	1, 1
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	VEIC_INVAL, INVAL_VM(1)
	VEIC_W	VEIC_INVAL, INVAL_ROUTE(1, 1)
	VEIC_IS	EIP(0, 0), BIT(10), "3.7 INVAL changes no EIP"
	VEIC_IS	EIE(0, 3), 0x1234, "3.7 INVAL changes no EIE"
	VEIC_IS	EUT(0, 3), 0x5678, "3.7 INVAL changes no EUT"
	VEIC_IS	VEIC_SENT, 2, "3.7 INVAL does not clear SENT"
	VEIC_IS	VEIC_COALESCED, 1, "3.7 INVAL does not clear COALESCED"
	VEIC_IS	VEIC_CTL, 1, "3.7 INVAL does not change CTL"
	VEIC_IS	VEIC_VMTBASE, VMT | 4, "3.7 INVAL does not change VMTBASE"

	/* caches are per hart; INVAL from one hart drops the other's entries */
	WARM
	START	1, send_1_1
	JOIN	1
	VEIC_W	EIPCLR(0, 0), -1
	BY_OTHER INVAL_ROUTE(1, 1), "INVAL 3 by another hart"
	BY_OTHER INVAL_VM(1), "INVAL 2 by another hart"
	BY_OTHER INVAL_ALL, "INVAL 1 by another hart"

	/*
	 * INVAL against sends: hart 1 sends without end, hart 0 moves the route.
	 * When the write of INVAL is complete and EIP of the old VEIID is cleared,
	 * it never comes back.
	 */
	WARM
	la	s9, stop_flag
	sd	zero, 0(s9)
	fence	iorw, iorw
	START	1, send_on
	li	s7, 1000
	li	s8, 0			/* old VEIIDs seen again */
	li	s6, 0			/* rounds in which the new one arrived */
	li	s4, VEIC
	li	s5, VEIC + EIP(0, 0)
	li	s1, 10			/* the old VEIID */
	li	s2, 12			/* the new one */
	li	s3, RT0
7230:	slli	t0, s2, 16
	ori	t0, t0, 1
	sd	t0, 8(s3)
	fence	iorw, iorw
	li	t0, INVAL_ROUTE(1, 1)
	sd	t0, VEIC_INVAL(s4)
	fence	iorw, iorw
	li	t1, 1
	sll	t1, t1, s1
	sd	t1, 0x200(s5)		/* EIPCLR of the old one */
	fence	iorw, iorw
	/* until the new one is there: sends go on */
	li	t2, 1
	sll	t2, t2, s2
7231:	ld	t3, 0(s5)
	and	t4, t3, t1
	beqz	t4, 7232f
	addi	s8, s8, 1
	j	7233f
7232:	and	t4, t3, t2
	beqz	t4, 7231b
	addi	s6, s6, 1
7233:	mv	t0, s1
	mv	s1, s2
	mv	s2, t0
	addi	s7, s7, -1
	bnez	s7, 7230b
	li	t0, 1
	sd	t0, 0(s9)
	fence	iorw, iorw
	JOIN	1
	EXPECT	s8, 0, "3.7 after INVAL no concurrent send uses the old route"
	EXPECT	s6, 1000, "3.7 after INVAL concurrent sends use the new route"
	VEIC_IS	VEIC_MISSES, 0, "3.7 moving a route loses no send"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1. */
send_1_1:
	mv	s0, ra
	SEND	1, 1
	jr	s0

send_on:
	mv	s0, ra
	IN	HS
	la	a2, stop_flag
	li	a1, (1 << 16) | 1
1:	csrw	CSR_SVEI, a1
	ld	a3, 0(a2)
	beqz	a3, 1b
	ENDIN
	jr	s0

	.bss
	.balign	64
stop_flag: .zero 64
