/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.7, the route tables: fields of the entries, sizes, log2 above 16,
 * what lies past the end, VEIID 0 or beyond CAP, harts out of range, tables
 * outside RAM. Each is a miss and leaves the machine running.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "harness.h"
#define HARTS	2
/* nothing, ROM, devices, the VEIC itself, flash, around RAM, the ends of a field */
#define OUTSIDE	0, 0x1000, 0x100000, 0x02000000, 0x06000000, 0x10000000, 0x20000000, \
		0x7ffff000, RAM_END, 0xfffffffff000, 0xfffffffffff000
#define RAM_END	0x88000000	/* 128 MiB, QEMU's default */

/* a send from HS is dropped, one from VS refused: two misses, nothing sent */
.macro MISSED vmid, veirq, text
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	VEIC_MISSES, 0
	VEIC_W	VEIC_SENT, 0
	SEND	\vmid, \veirq
	EXPECT	a0, ENDED, "3.7 \text: HS is not trapped"
	VEIC_IS	VEIC_MISSES, 1, "3.7 \text: a miss"
	VMID	\vmid
	VSEND	\veirq
	EXPECT	a0, VIRTUAL, "3.7 \text: VS gets a virtual-instruction exception"
	VEIC_IS	VEIC_MISSES, 2, "3.7 \text: a miss for VS too"
	VEIC_IS	VEIC_SENT, 0, "3.7 \text: nothing sent"
.endm

/* a send that gets to VEIID bit `bit` of word `word` of a hart */
.macro ARRIVED vmid, veirq, hart, word, bit, text
	VEIC_W	VEIC_INVAL, INVAL_ALL
	VEIC_W	VEIC_MISSES, 0
	VEIC_W	VEIC_SENT, 0
	SEND	\vmid, \veirq
	VEIC_IS	VEIC_SENT, 1, "3.7 \text: sent"
	VEIC_IS	VEIC_MISSES, 0, "3.7 \text: no miss"
	VEIC_IS	EIP(\hart, \word), (1 << \bit), "3.7 \text: the right VEIID is pending"
	VEIC_W	EIPCLR(\hart, \word), -1
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH

	/* fields of a route */
	.irp	veiid, 1, 2, 62, 63
	ROUTE	RT0, 1, \veiid, 0
	ARRIVED	1, 1, 0, 0, \veiid, "route to VEIID \veiid"
	.endr
	ROUTE	RT0, 1, 64, 0
	ARRIVED	1, 1, 0, 1, 0, "route to VEIID 64"
	ROUTE	RT0, 1, 1023, 0
	ARRIVED	1, 1, 0, 15, 63, "route to the last VEIID"
	ROUTE	RT0, 1, 1023, 1
	ARRIVED	1, 1, 1, 15, 63, "route to the last VEIID of the last hart"
	ROUTE	RT0, 1, 0, 0
	MISSED	1, 1, "route to VEIID 0"
	VEIC_IS	EIP(0, 0), 0, "3.7 route to VEIID 0: nothing is pending"
	ROUTE	RT0, 1, 1024, 0
	MISSED	1, 1, "route to VEIID 1024"
	ROUTE	RT0, 1, 1025, 0
	MISSED	1, 1, "route to VEIID 1025"
	ROUTE	RT0, 1, 0xffff, 0
	MISSED	1, 1, "route to VEIID 65535"
	ROUTE	RT0, 1, 5, HARTS
	MISSED	1, 1, "route to the first absent hart"
	ROUTE	RT0, 1, 5, 0xffff
	MISSED	1, 1, "route to hart 65535"
	ROUTE	RT0, 1, 5, 0x80000000
	MISSED	1, 1, "route to hart 2^31"
	ROUTE	RT0, 1, 5, 0xffffffff
	MISSED	1, 1, "route to hart 2^32 - 1"
	ROUTE	RT0, 1, 5, 0x100000000 - 65536
	MISSED	1, 1, "route to hart 2^32 - 65536"
	/* all but the valid bit */
	W64	RT0 + 8, (5 << 16)
	MISSED	1, 1, "route without its valid bit"
	W64	RT0 + 8, 0xfffffffffffffffe
	MISSED	1, 1, "route of all ones but the valid bit"
	W64	RT0 + 8, -1
	MISSED	1, 1, "route of all ones"

	/* VEIRQ past the end */
	.irp	log2, 0, 1, 4, 9
	VM	1, RT0, \log2
	W64	RT0 + (8 << \log2), (5 << 16) | 1
	W64	RT0 + (8 << \log2) - 8, (6 << 16) | 1
	ARRIVED	1, (1 << \log2) - 1, 0, 0, 6, "log2 routes \log2: the last entry"
	MISSED	1, (1 << \log2), "log2 routes \log2: the first VEIRQ past the end"
	MISSED	1, 0xffff, "log2 routes \log2: VEIRQ 65535"
	W64	RT0 + (8 << \log2), 0
	W64	RT0 + (8 << \log2) - 8, 0
	.endr

	/* VMID past the end */
	ROUTE	RT0, 1, 7, 0
	.irp	log2, 0, 1, 4, 9
	VEIC_W	VEIC_VMTBASE, VMT | \log2
	VM	(1 << \log2), RT0, 4
	VM	((1 << \log2) - 1), RT0, 4
	ARRIVED	(1 << \log2) - 1, 1, 0, 0, 7, "log2 VMs \log2: the last entry"
	MISSED	(1 << \log2), 1, "log2 VMs \log2: the first VMID past the end"
	MISSED	0xffff, 1, "log2 VMs \log2: VMID 65535"
	NOVM	(1 << \log2)
	NOVM	((1 << \log2) - 1)
	.endr
	VEIC_W	VEIC_VMTBASE, VMT | 4

	/* log2 fields above 16 act as 16 */
	.irp	log2, 16, 17, 24, 31
	VM	1, RT0, \log2
	ROUTE	RT0, 0xffff, 8, 0
	ARRIVED	1, 0xffff, 0, 0, 8, "log2 routes \log2: VEIRQ 65535"
	VM	1, RT0, 4
	VEIC_W	VEIC_VMTBASE, VMT | \log2
	VM	0xffff, RT0, 4
	ARRIVED	0xffff, 1, 0, 0, 7, "log2 VMs \log2: VMID 65535"
	NOVM	0xffff
	MISSED	0xffff, 1, "log2 VMs \log2: VMID 65535 without an entry"
	VEIC_W	VEIC_VMTBASE, VMT | 4
	.endr
	NOROUTE	RT0, 0xffff

	/* a VM entry without its valid bit */
	W64	VMT + 16, RT0 | (4 << 1)
	MISSED	1, 1, "VM entry without its valid bit"
	W64	VMT + 16, 0
	MISSED	1, 1, "empty VM entry"

	/* route tables outside RAM */
	.irp	place, OUTSIDE
	W64	VMT + 16, \place | (16 << 1) | 1
	MISSED	1, 1, "route table at \place"
	MISSED	1, 0xffff, "route table at \place, last entry"
	.endr
	/* straddling the end of RAM */
	ROUTE	(RAM_END - 4096), 511, 9, 0
	W64	VMT + 16, (RAM_END - 4096) | (16 << 1) | 1
	MISSED	1, 512, "route table over the end of RAM, the entry behind"
	MISSED	1, 0xffff, "route table over the end of RAM, the last entry"
	W64	VMT + 16, (RAM_END - 4096) | (9 << 1) | 1
	ARRIVED	1, 511, 0, 0, 9, "route table at the very end of RAM"
	VM	1, RT0, 4

	/* VM tables outside RAM */
	.irp	place, OUTSIDE
	VEIC_W	VEIC_VMTBASE, \place | 16
	MISSED	1, 1, "VM table at \place"
	MISSED	0xffff, 1, "VM table at \place, last entry"
	.endr
	VM	0, RT0, 4
	W64	(RAM_END - 16), RT0 | (4 << 1) | 1
	VEIC_W	VEIC_VMTBASE, (RAM_END - 4096) | 16
	MISSED	256, 1, "VM table over the end of RAM, the entry behind"
	VEIC_W	VEIC_VMTBASE, (RAM_END - 4096) | 8
	ARRIVED	255, 1, 0, 0, 7, "VM table at the very end of RAM"

	/* the UART was not read: a table there would eat its input */
	VEIC_W	VEIC_VMTBASE, VMT | 4
	ARRIVED	1, 1, 0, 0, 7, "the good table after all the bad ones"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
