/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 4.3 as to address spaces: translation uses the new satp at once, and the
 * old one at once behind a trap and behind URET; HS and M, by SUM and by MPRV,
 * see the interrupted thread's.
 *
 * One virtual page has other memory behind it in each address space: the
 * interrupted thread's, the handler's of 7, that of 8, and VS's by its stages.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on,svadu=false smp=1
 */
#include "hcs.h"

#define AT		0x40000000		/* the page, in every space */
#define ROOT(n)		(0x87100000 + (n) * 0x3000)
#define MID(n)		(ROOT(n) + 0x1000)
#define LEAF(n)		(ROOT(n) + 0x2000)
#define PAGE(n)		(0x87200000 + (n) * 0x1000)
#define WORD(n)		(0x1111 * ((n) + 1))	/* what it holds */
#define SPACE(n, asid)	(SV39 | ((asid) << 44) | (ROOT(n) >> 12))
#define ENTRIES		MORE
#define READ(n)		(MORE + 8 + 8 * (n))

/* Space n: RAM and devices to themselves, and at AT the page n. HS has its own
 * view of the RAM ALIAS higher. */
.macro MAKE n
	li	a0, ROOT(\n)
	li	a1, PAGE(\n)
	li	a2, WORD(\n)
	call	make
.endm

/* the handlers of 7 and 8: read and write the page, note what was there */
.macro VISIT n
	csrr	a0, CSR_USCRATCH
	li	a1, AT
	ld	a2, 0(a1)
	sd	a2, READ(\n)(a0)
	ld	a2, 0(a1)
	addi	a2, a2, 1
	sd	a2, 0(a1)
.endm

.macro SPACES asid_thread, asid_7, asid_8
	HCS
	MAKE	0
	MAKE	1
	MAKE	2
	MAKE	3
	CSRW	CSR_SATP, SPACE(0, \asid_thread)
	DESC_W	7, DESC_SUATP, SPACE(1, \asid_7)
	DESC_W	8, DESC_SUATP, SPACE(2, \asid_8)
	sfence.vma
	sd	zero, READ(1)(tp)
	sd	zero, READ(2)(tp)
	HANDLER_OF 7
	VISIT	1
	URET
	ENDHANDLER
	HANDLER_OF 8
	VISIT	2
	URET
	ENDHANDLER
.endm
.macro VISITED text
	ld	t5, READ(1)(tp)
	EXPECT	t5, WORD(1), "4.3 \text: the handler of 7 reads its own page"
	ld	t5, READ(2)(tp)
	EXPECT	t5, WORD(2), "4.3 \text: the handler of 8 reads its own page"
	.irp	n, 1, 2
	li	t6, PAGE(\n)
	ld	t5, 0(t6)
	EXPECT	t5, WORD(\n) + 1, "4.3 \text: the handler writes its own page, \n"
	.endr
.endm

.macro THREAD asid_thread, asid_7, asid_8, text
	SPACES	\asid_thread, \asid_7, \asid_8
	li	a2, AT
	li	a3, VEIC + EIP(0, 0)
	li	a4, BIT(7) | BIT(8)
	/* warm before, looked at behind; the store to it as well */
	IN	U
	ld	a0, 0(a2)
	sd	a4, 0(a3)
	fence	iorw, iorw
	j	7801f
7801:	ld	a1, 0(a2)
	j	7802f
7802:	ld	a5, 0(a2)
	j	7803f
7803:	ld	a6, 0(a2)
	xor	a1, a1, a0
	xor	a5, a5, a0
	xor	a6, a6, a0
	or	a1, a1, a5
	or	a1, a1, a6
	slli	a1, a1, 32
	or	a0, a0, a1
	sd	a4, 0(a2)
	ENDIN
	EXPECT	a0, ENDED, "4.3 \text: the thread ran"
	EXPECT	a1, WORD(0), "4.3 \text: the thread reads its own page before and behind"
	li	t6, PAGE(0)
	ld	t5, 0(t6)
	EXPECT	t5, BIT(7) | BIT(8), "4.3 \text: the thread writes its own page"
	VISITED	"\text"
	csrw	CSR_SATP, zero
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	THREAD	1, 2, 3, "a thread of its own space"

	/* Bare below the thread, paged for the handler */
	SPACES	1, 2, 3
	csrw	CSR_SATP, zero
	li	a2, PAGE(3)
	EVENT	7
	EVENT	8
	IN	U
	ld	a0, 0(a2)
	ld	a0, 0(a2)
	ld	a0, 0(a2)
	ENDIN
	EXPECT	a1, WORD(3), "4.3 a thread in Bare mode: physical addresses behind the frames"
	VISITED	"a thread in Bare mode"

	/* the same space for both: what one writes the other reads */
	SPACES	1, 2, 3
	DESC_W	7, DESC_SUATP, SPACE(0, 1)
	li	a2, AT
	EVENT	7
	IN	U
	ld	a0, 0(a2)
	ld	a0, 0(a2)
	ENDIN
	EXPECT	a1, WORD(0) + 1, "4.3 the thread's own space: it reads what the handler wrote"
	csrw	CSR_SATP, zero

	/* VS: its stages do not see the handler's space, nor the other way round */
	SPACES	1, 2, 3
	CSRW	CSR_VSATP, SPACE(3, 7)
	hfence.vvma
	li	a2, AT
	li	a3, VEIC + EIP(0, 0)
	li	a4, BIT(7) | BIT(8)
	IN	VU
	ld	a0, 0(a2)
	sd	a4, 0(a3)
	fence	iorw, iorw
	j	7801f
7801:	ld	a1, 0(a2)
	j	7802f
7802:	ld	a5, 0(a2)
	xor	a1, a1, a0
	xor	a5, a5, a0
	or	a1, a1, a5
	slli	a1, a1, 32
	or	a0, a0, a1
	ENDIN
	EXPECT	a1, WORD(3), "4.3 over VU: the guest reads its own page before and behind"
	VISITED	"over VU"
	CSR_IS	CSR_SATP, -1, SPACE(0, 1), "4.3 over VU: satp is HS's"
	CSR_IS	CSR_VSATP, -1, SPACE(3, 7), "4.3 over VU: vsatp is the guest's"
	csrw	CSR_VSATP, zero
	csrw	CSR_SATP, zero

	/* HS, by SUM, and M, by MPRV, in the middle of a frame: the thread's page;
	 * U behind them: the handler's again */
	SPACES	1, 2, 3
	la	t0, hook_reads
	sd	t0, HOOK(tp)
	HANDLER_OF 7
	VISIT	1
	li	a7, MAGIC_HOOK
	ecall
	csrr	a0, CSR_USCRATCH
	li	a1, AT
	ld	a2, 0(a1)
	sd	a2, READ(4)(a0)
	li	a7, MAGIC_HS
	ecall
	csrr	a0, CSR_USCRATCH
	li	a1, AT
	ld	a2, 0(a1)
	sd	a2, READ(5)(a0)
	URET
	ENDHANDLER
	la	t0, hs_reads
	li	t1, ALIAS
	add	t0, t0, t1
	csrw	CSR_STVEC, t0
	EVENT	7
	li	a2, AT
	IN	U
	ld	a0, 0(a2)
	ld	a0, 0(a2)
	ENDIN
	csrw	CSR_SATP, zero
	la	t0, s_trap
	csrw	CSR_STVEC, t0
	csrw	CSR_MEDELEG, zero
	EXPECT	a0, ENDED, "4.4 the thread goes on behind HS, M and URET"
	EXPECT	a1, WORD(0), "4.4 the thread reads its own page behind them"
	ld	t5, READ(1)(tp)
	EXPECT	t5, WORD(1), "4.4 the handler reads its own page first"
	ld	t5, READ(3)(tp)
	EXPECT	t5, WORD(0), "4.4 M by MPRV, in a frame: the thread's page"
	ld	t5, READ(4)(tp)
	EXPECT	t5, WORD(1) + 1, "4.4 behind M: the handler's page again"
	ld	t5, READ(6)(tp)
	EXPECT	t5, WORD(0), "4.4 HS by SUM, in a frame: the thread's page"
	ld	t5, READ(5)(tp)
	EXPECT	t5, WORD(1) + 1, "4.4 behind HS: the handler's page again"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* make: a0 root (with the other tables behind it), a1 page, a2 what it holds */
make:	li	t0, 0x3000
	add	t0, a0, t0
	mv	t1, a0
1:	sd	zero, 0(t1)
	addi	t1, t1, 8
	bne	t1, t0, 1b
	sd	a2, 0(a1)
	li	t1, PTE(0, PTE_RAM)
	sd	t1, 0(a0)
	li	t1, PTE(RAM, PTE_RAM)
	sd	t1, 8 * (RAM >> 30)(a0)
	li	t1, PTE(RAM, PTE_CODE)
	sd	t1, 8 * ((RAM + ALIAS) >> 30)(a0)
	li	t2, 0x1000
	add	t3, a0, t2		/* MID */
	srli	t1, t3, 2
	ori	t1, t1, PTE_V
	sd	t1, 8 * (AT >> 30)(a0)
	add	t4, t3, t2		/* LEAF */
	srli	t1, t4, 2
	ori	t1, t1, PTE_V
	sd	t1, 0(t3)
	srli	t1, a1, 2
	ori	t1, t1, PTE_RAM
	sd	t1, 0(t4)
	fence	iorw, iorw
	ret

/* in M; MPP is U */
hook_reads:
	csrr	t0, CSR_MEPC
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	li	t0, AT
	li	t1, MSTATUS_MPRV
	csrs	CSR_MSTATUS, t1
	ld	t2, 0(t0)
	csrc	CSR_MSTATUS, t1
	sd	t2, READ(3)(tp)
	CSRW	CSR_MEDELEG, BIT(ECALL_U)
	mret

/* in HS, at its own view of the RAM */
	.balign	4
hs_reads:
	li	t0, MAGIC_END
	beq	a7, t0, 1f
	csrr	t0, CSR_SEPC
	addi	t0, t0, 4
	csrw	CSR_SEPC, t0
	li	t0, MSTATUS_SUM
	csrs	CSR_SSTATUS, t0
	li	t1, AT
	ld	t2, 0(t1)
	csrr	t3, CSR_SUUSCRATCH
	sd	t2, READ(6)(t3)
	csrc	CSR_SSTATUS, t0
	sret
	/* the end of the snippet is M's */
1:	ecall
