/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hand-counted code for the instruction counter. Bare metal, `virt`, one or two harts.
 *
 * `# expect R H: 0.m=3 0.hs=2` stands before the region: hart H ends region R, and these are the
 * retired instructions in it, counted by hand; modes that are not named retired nothing. `0.m.traps=1` are
 * the traps into a mode, where they are named. `*` is any
 * number (a hart that polls); hart 1 in M, where it boots and waits, is always that. Regions that
 * only two harts have are `expect-smp`. What stands
 * between BEGIN and END is written one instruction a line: no pseudo-instruction of two.
 */
	.equ TEST_DEV, 0x100000
	.equ CLINT, 0x2000000
	.equ UART, 0x10000000
	.equ RTC_IRQ_ENABLED, 0x101010
	.equ NOTHING, 0x20000		/* no device, no memory */
	.equ LEAF_S, 0xcf		/* D A X W R V */
	.equ LEAF_U, 0xdf		/* the same for U, and every G-stage leaf */

	.macro BEGIN r
	slti	x0, x0, 0x400 | \r
	.endm
	.macro END r
	slti	x0, x0, 0x500 | \r
	.endm

	/* M, HS, VS or U to M: the trap handler of M jumps to s11. */
	.macro TO_M
	la	s11, .Lm\@
	ecall
.Lm\@:
	.endm
	/* M to HS (1) or U (0) */
	.macro FROM_M mpp
	li	t0, 3 << 11
	csrc	mstatus, t0
	li	t0, \mpp << 11
	csrs	mstatus, t0
	la	t0, .Lf\@
	csrw	mepc, t0
	mret
.Lf\@:
	.endm
	/* VS or VU to M and back go by way of HS: QEMU 10.0 ignores writes of mstatus.MPV. */
	.macro TO_M_V
	la	s11, .Lh\@
	ecall				/* delegated to HS, whose handler jumps to s11 too */
.Lh\@:
	TO_M
	.endm
	.macro FROM_M_V spp
	FROM_M	1
	li	t0, 1 << 8
	csrc	sstatus, t0
	li	t0, \spp << 8
	csrs	sstatus, t0
	li	t0, 1 << 7
	csrs	hstatus, t0
	la	t0, .Lv\@
	csrw	sepc, t0
	sret
.Lv\@:
	.endm
	.macro SET_VEC csr, label
	la	t0, \label
	csrw	\csr, t0
	.endm

	.section .text.start, "ax"
	.globl _start
_start:
	li	t0, -1
	csrw	pmpaddr0, t0
	li	t0, 0x1f
	csrw	pmpcfg0, t0
	SET_VEC	mtvec, resume
	SET_VEC	stvec, fail
	SET_VEC	vstvec, fail
	csrw	mie, zero
	csrr	t0, mhartid
	bnez	t0, hart1

	/* ---- M ---- */

	# expect 1 0:
	BEGIN	1
	END	1

	# expect 2 0: 0.m=6
	BEGIN	2
	c.addi	a0, 1
	addi	a0, a0, 1
	c.li	a1, 3
	lui	a1, 0x12345
	c.nop
	.option push
	.option norvc
	nop
	.option pop
	END	2

	# expect 3 0: 0.m=200002 0.m.traps=0
	BEGIN	3
	lui	a0, 24
	addi	a0, a0, 1696		/* 100 000 */
1:	addi	a0, a0, -1
	bnez	a0, 1b
	END	3

	# expect 4 0: 0.m=2
	# expect 4 0: 0.m=2
	# expect 4 0: 0.m=2
	li	a0, 3
1:	BEGIN	4
	addi	a1, a1, 1
	addi	a1, a1, 1
	END	4
	addi	a0, a0, -1
	bnez	a0, 1b

	/* exceptions: the instruction does not retire; the handler's four do */
	SET_VEC	mtvec, m_skip4
	# expect 6 0: 0.m=6 0.m.traps=1
	BEGIN	6
	addi	a0, a0, 1
	ecall
	addi	a0, a0, 1
	END	6
	# expect 7 0: 0.m=6
	BEGIN	7
	addi	a0, a0, 1
	.option push
	.option norvc
	ebreak
	.option pop
	addi	a0, a0, 1
	END	7
	# expect 8 0: 0.m=6
	BEGIN	8
	addi	a0, a0, 1
	.4byte	0xffffffff
	addi	a0, a0, 1
	END	8
	li	a2, NOTHING
	# expect 9 0: 0.m=7
	BEGIN	9
	addi	a0, a0, 1
	addi	a0, a0, 1
	.option push
	.option norvc
	lw	a1, 0(a2)
	.option pop
	addi	a0, a0, 1
	END	9
	SET_VEC	mtvec, m_skip2
	# expect 10 0: 0.m=6
	BEGIN	10
	addi	a0, a0, 1
	c.lw	a1, 0(a2)
	addi	a0, a0, 1
	END	10
	/* an exception as first instruction of its block, in a loop: 3 + 8 * (2 + 4) */
	# expect 11 0: 0.m=51 0.m.traps=8
	BEGIN	11
	addi	a0, zero, 8
	addi	a3, zero, 0
	j	1f
1:	c.lw	a1, 0(a2)
	addi	a0, a0, -1
	bnez	a0, 1b
	END	11

	/* the handler is the next instruction */
	la	t0, 1f
	csrw	mtvec, t0
	# expect 12 0: 0.m=2 0.m.traps=1
	BEGIN	12
	addi	a0, a0, 1
	lw	a1, 0(a2)
	.balign	4
1:	addi	a0, a0, 1
	END	12
	/* the same, without a trap */
	la	t0, 1f
	csrw	mtvec, t0
	csrw	mepc, zero
	# expect 13 0: 0.m=3
	.balign	4
	BEGIN	13
	.option push
	.option norvc
	addi	a0, a0, 1
	csrr	a1, mscratch
	.option pop
1:	addi	a0, a0, 1
	END	13
	/* mret to the next instruction, in the same mode */
	la	t0, 1f
	csrw	mepc, t0
	li	t0, 3 << 11
	csrs	mstatus, t0
	# expect 14 0: 0.m=3 0.m.traps=0
	BEGIN	14
	addi	a0, a0, 1
	mret
1:	addi	a0, a0, 1
	END	14

	/* devices inside a block */
	SET_VEC	mtvec, fail
	li	a2, UART
	# expect 15 0: 0.m=6
	BEGIN	15
	addi	a0, a0, 1
	sb	a0, 7(a2)
	addi	a0, a0, 1
	lbu	a1, 7(a2)
	addi	a0, a0, 1
	addi	a0, a0, 1
	END	15
	/* an atomic on a device stops the other harts and runs apart */
	li	a2, RTC_IRQ_ENABLED
	# expect 16 0: 0.m=4
	BEGIN	16
	addi	a0, a0, 1
	amoor.w	a1, zero, (a2)
	addi	a0, a0, 1
	addi	a0, a0, 1
	END	16

	/* interrupts: pending before it is enabled, raised inside a block, ending a wfi */
	SET_VEC	mtvec, m_ipi
	li	s10, CLINT
	li	s9, 1
	csrci	mstatus, 8
	csrsi	mie, 8
	sw	s9, 0(s10)
	# expect 17 0: 0.m=5 0.m.traps=1
	BEGIN	17
	addi	a0, a0, 1
	csrsi	mstatus, 8
	addi	a0, a0, 1
	END	17
	# expect 18 0: 0.m=6 0.m.traps=1
	BEGIN	18
	addi	a0, a0, 1
	sw	s9, 0(s10)
	addi	a0, a0, 1
	addi	a0, a0, 1
	END	18
	csrci	mstatus, 8
	sw	s9, 0(s10)
	# expect 19 0: 0.m=3 0.m.traps=0
	BEGIN	19
	addi	a0, a0, 1
	wfi
	addi	a0, a0, 1
	END	19
	sw	zero, 0(s10)
	csrw	mie, zero

	/* regions that overlap, one that begins twice, one that never began */
	# expect 20 0: 0.m=3
	# expect 21 0: 0.m=3
	BEGIN	20
	addi	a0, a0, 1
	BEGIN	21
	addi	a0, a0, 1
	addi	a0, a0, 1
	END	20
	addi	a0, a0, 1
	END	21
	# expect 22 0: 0.m=1
	BEGIN	22
	addi	a0, a0, 1
	BEGIN	22
	addi	a0, a0, 1
	END	22
	# expect 22 0: error
	END	22
	# expect 255 0: 0.m=1
	BEGIN	255
	addi	a0, a0, 1
	END	255

	/* MPRV changes what loads do, not the mode */
	li	t0, 3 << 11
	csrc	mstatus, t0
	li	t0, 1 << 17
	csrs	mstatus, t0
	la	a2, word
	# expect 23 0: 0.m=4
	BEGIN	23
	ld	a1, 0(a2)
	sd	a1, 0(a2)
	addi	a0, a0, 1
	csrrc	zero, mstatus, t0
	END	23

	/* ---- switches ---- */

	SET_VEC	mtvec, resume
	/* M, HS, U, HS, M; the region ends in another mode than it began in only in 31 */
	li	t0, 1 << 8
	csrw	medeleg, t0
	SET_VEC	stvec, 3f
	SET_VEC	sepc, 2f
	li	t0, 3 << 11 | 1 << 8
	csrc	mstatus, t0
	li	t0, 1 << 11
	csrs	mstatus, t0
	la	t0, 1f
	csrw	mepc, t0
	la	s11, 4f
	# expect 31 0: 0.m=2 0.hs=2 0.u=3
	# expect 30 0: 0.m=4 0.hs=4 0.u=5 0.m.traps=1 0.hs.traps=1 0.u.traps=0
	BEGIN	30
	BEGIN	31
	addi	a0, a0, 1
	mret
1:	addi	a0, a0, 1
	sret
2:	addi	a0, a0, 1
	addi	a0, a0, 1
	addi	a0, a0, 1
	END	31
	addi	a0, a0, 1
	addi	a0, a0, 1
	ecall
	.balign	4
3:	addi	a0, a0, 1
	addi	a0, a0, 1
	ecall				/* to M: resume's jr */
4:	addi	a0, a0, 1
	END	30

	/* HS, VS, VU, VS, HS */
	li	t0, 1 << 8 | 1 << 10
	csrw	medeleg, t0
	li	t0, 1 << 8
	csrw	hedeleg, t0
	SET_VEC	vsepc, 2f
	SET_VEC	vstvec, 3f
	SET_VEC	stvec, 4f
	csrw	vsstatus, zero
	FROM_M	1
	SET_VEC	sepc, 1f
	li	t0, 1 << 8
	csrs	sstatus, t0
	li	t0, 1 << 7
	csrs	hstatus, t0
	# expect 32 0: 0.hs=3 0.vs=5 0.vu=4 0.vs.traps=1 0.hs.traps=1
	BEGIN	32
	addi	a0, a0, 1
	sret
1:	addi	a0, a0, 1
	addi	a0, a0, 1
	sret
2:	addi	a0, a0, 1
	addi	a0, a0, 1
	addi	a0, a0, 1
	addi	a0, a0, 1
	ecall
	.balign	4
3:	addi	a0, a0, 1
	addi	a0, a0, 1
	ecall
	.balign	4
4:	addi	a0, a0, 1
	END	32
	TO_M
	csrw	medeleg, zero
	csrw	hedeleg, zero

	/* ---- the same code in the five modes: 1 + 2 * 1000 + 1 ---- */

	# expect 40 0: 0.m=2002
	li	a0, 1000
	BEGIN	40
	jal	shared
	END	40
	FROM_M	1
	# expect 41 0: 0.hs=2002
	li	a0, 1000
	BEGIN	41
	jal	shared
	END	41
	TO_M
	FROM_M	0
	# expect 42 0: 0.u=2002
	li	a0, 1000
	BEGIN	42
	jal	shared
	END	42
	TO_M
	li	t0, 1 << 8 | 1 << 10
	csrw	medeleg, t0
	SET_VEC	stvec, resume
	FROM_M_V 1
	# expect 43 0: 0.vs=2002
	li	a0, 1000
	BEGIN	43
	jal	shared
	END	43
	TO_M_V
	FROM_M_V 0
	# expect 44 0: 0.vu=2002
	li	a0, 1000
	BEGIN	44
	jal	shared
	END	44
	TO_M_V

	/* ---- page faults: what faults is run again, and counted once ---- */

	jal	make_tables
	li	t0, 1 << 8 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 20 | 1 << 21 | 1 << 23 | 1 << 10
	csrw	medeleg, t0
	SET_VEC	stvec, s_map
	FROM_M	1
	la	t0, root_s
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma

	/* s_map stores s2 at s3, which maps the page: 3 instructions */
	.macro WILL_MAP page, flags
	la	s2, \page
	la	s3, leaves_s
	jal	pte_for
	ori	s2, s2, \flags
	.endm
	WILL_MAP data_page, LEAF_S
	la	a2, data_page
	# expect 50 0: 0.hs=7
	BEGIN	50
	addi	a0, a0, 1
	ld	a1, 8(a2)
	sd	a1, 16(a2)
	addi	a0, a0, 1
	END	50
	WILL_MAP code_page, LEAF_S
	la	a2, code_page
	# expect 51 0: 0.hs=6
	BEGIN	51
	jalr	ra, a2
	addi	a0, a0, 1
	END	51
	/* a loop over a page boundary with an instruction across it; the second page faults once:
	   2 + 100 * 5 + 1 + 3 */
	WILL_MAP cross_first, LEAF_S
	sd	s2, 0(s3)
	WILL_MAP cross_second, LEAF_S
	la	a2, cross
	# expect 52 0: 0.hs=506 0.hs.traps=1
	BEGIN	52
	addi	a0, zero, 100
	jalr	ra, a2
	END	52
	/* again, now without a fault */
	# expect 53 0: 0.hs=503 0.hs.traps=0
	BEGIN	53
	addi	a0, zero, 100
	jalr	ra, a2
	END	53
	/* U: the load faults; with s2 = 0 s_map goes to s4 */
	WILL_MAP u_code, LEAF_U
	sd	s2, 0(s3)
	WILL_MAP u_data, LEAF_U
	la	a2, u_data
	la	t0, u_code
	csrw	sepc, t0
	li	t0, 1 << 8
	csrc	sstatus, t0
	li	t0, 1 << 7
	csrc	hstatus, t0
	la	s4, 1f
	# expect 54 0: 0.hs=7 0.u=4 0.hs.traps=2
	BEGIN	54
	sret
	.balign	4
1:	addi	a0, a0, 1
	END	54

	/* ---- two-stage: faults of the G-stage, and one that hides a trap into VS ---- */

	csrw	satp, zero
	sfence.vma
	la	t0, root_g
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	hgatp, t0
	hfence.gvma
	.macro WILL_MAP_G page
	la	s2, \page
	la	s3, leaves_g
	jal	pte_for
	ori	s2, s2, LEAF_U
	.endm
	SET_VEC	stvec, g_map
	TO_M
	li	t0, 1 << 8
	csrw	hedeleg, t0
	FROM_M	1
	WILL_MAP_G data_page
	la	a2, data_page
	la	t0, 1f
	csrw	sepc, t0
	li	t0, 1 << 8
	csrs	sstatus, t0
	li	t0, 1 << 7
	csrs	hstatus, t0
	la	s4, 2f
	# expect 60 0: 0.hs=7 0.vs=4 0.hs.traps=2 0.vs.traps=0
	BEGIN	60
	sret
1:	addi	a0, a0, 1
	ld	a1, 0(a2)
	addi	a0, a0, 1
	addi	s2, zero, 0
	ecall				/* g_map goes to s4 */
2:	addi	a0, a0, 1
	END	60
	/* VU's ecall goes to VS, whose handler's page the G-stage does not map yet: HS gets in first */
	WILL_MAP_G vs_page
	la	t0, vs_page
	csrw	vstvec, t0
	la	t0, 1f
	csrw	sepc, t0
	li	t0, 1 << 8
	csrc	sstatus, t0
	li	t0, 1 << 7
	csrs	hstatus, t0
	la	s4, 2f
	# expect 61 0: 0.hs=7 0.vu=2 0.vs=2 0.hs.traps=2 0.vs.traps=1
	BEGIN	61
	sret
1:	addi	a0, a0, 1
	addi	a0, a0, 1
	ecall
2:	addi	a0, a0, 1
	END	61
	csrw	hgatp, zero
	hfence.gvma
	SET_VEC	stvec, fail
	TO_M
	csrw	medeleg, zero
	csrw	hedeleg, zero

	/* ---- two harts ---- */

	.if	HARTS == 2
	/* each counts its own loop while the other runs */
	li	t0, CLINT + 4
	li	t1, 1
	sw	t1, 0(t0)
	FROM_M	1
	# expect-smp 70 0: 0.hs=200002 1.hs=*
	BEGIN	70
	lui	a0, 24
	addi	a0, a0, 1696
1:	addi	a0, a0, -1
	bnez	a0, 1b
	END	70
	TO_M
	/* hart 1 is done with its own */
	la	s0, hart1_stage
1:	ld	t0, 0(s0)
	li	t1, 1
	bne	t0, t1, 1b
	/* a region that hart 0 begins and hart 1 ends; both go back to M to wait, so HS is exact */
	la	s1, hart0_stage
	FROM_M	1
	BEGIN	72
	addi	a0, a0, 1
	addi	a0, a0, 1
	addi	a0, a0, 1
	la	s11, 3f
	ecall
3:	li	t0, 1
	sd	t0, 0(s1)
1:	ld	t0, 0(s0)
	li	t1, 2
	bne	t0, t1, 1b
	.endif

	li	t0, TEST_DEV
	li	t1, 0x5555
	sw	t1, 0(t0)
	j	.

hart1:
	SET_VEC	mtvec, resume
	csrsi	mie, 8
1:	wfi
	csrr	t0, mip
	andi	t0, t0, 8
	beqz	t0, 1b
	li	t0, CLINT + 4
	sw	zero, 0(t0)
	FROM_M	1
	# expect-smp 71 1: 1.hs=300002 0.hs=* 0.m=*
	BEGIN	71
	lui	a0, 24
	addi	a0, a0, 1696
1:	addi	a0, a0, -1
	nop
	bnez	a0, 1b
	END	71
	TO_M
	la	s0, hart1_stage
	li	t0, 1
	fence	rw, rw
	sd	t0, 0(s0)
	la	s1, hart0_stage
1:	ld	t0, 0(s1)
	beqz	t0, 1b
	FROM_M	1
	# expect-smp 72 1: 0.hs=5 1.hs=2 0.m=*
	addi	a0, a0, 1
	addi	a0, a0, 1
	END	72
	TO_M
	li	t0, 2
	sd	t0, 0(s0)
1:	wfi
	j	1b

	/* ---- handlers ---- */

	.balign	4
resume:
	jr	s11
	.balign	4
m_skip4:
	csrr	t6, mepc
	addi	t6, t6, 4
	csrw	mepc, t6
	mret
	.balign	4
m_skip2:
	csrr	t6, mepc
	addi	t6, t6, 2
	csrw	mepc, t6
	mret
	.balign	4
m_ipi:
	sw	zero, 0(s10)
	mret
	.balign	4
s_map:
	beqz	s2, 1f
	sd	s2, 0(s3)
	sret
1:	jr	s4
	.balign	4
g_map:
	beqz	s2, 1f
	sd	s2, 0(s3)
	sret
1:	jr	s4
	.balign	4
fail:
	li	t0, TEST_DEV
	li	t1, 0x13333
	sw	t1, 0(t0)
	j	.

shared:
	addi	a0, a0, -1
	bnez	a0, shared
	jr	ra

	/* s2 = address of a page of the paged part, s3 = its table: entry without flags, and its place */
pte_for:
	li	t0, 0x80200000
	sub	t0, s2, t0
	srli	t0, t0, 12
	slli	t0, t0, 3
	add	s3, s3, t0
	srli	s2, s2, 12
	slli	s2, s2, 10
	jr	ra

	/* Identity: 1 GiB of devices, 2 MiB of this program, then 4 KiB pages that are not mapped yet. */
make_tables:
	.irp	kind, s, g
	la	t0, root_\kind
	.ifc	\kind, s
	li	t1, LEAF_S
	.else
	li	t1, LEAF_U
	.endif
	sd	t1, 0(t0)
	la	t2, middle_\kind
	srli	t3, t2, 2
	ori	t3, t3, 1
	sd	t3, 16(t0)
	li	t3, 0x80000000 >> 2
	or	t3, t3, t1
	sd	t3, 0(t2)
	la	t3, leaves_\kind
	srli	t3, t3, 2
	ori	t3, t3, 1
	sd	t3, 8(t2)
	.endr
	jr	ra

	.data
	.balign	8
word:		.8byte 0
hart0_stage:	.8byte 0
hart1_stage:	.8byte 0

	.bss
	.balign	16384
root_g:		.skip 16384
root_s:		.skip 4096
middle_s:	.skip 4096
middle_g:	.skip 4096
leaves_s:	.skip 4096
leaves_g:	.skip 4096

	/* ---- at 0x80200000, page by page ---- */
	.section .paged, "awx"
	.balign	4096
data_page:
	.skip	4096
code_page:
	jr	ra
	.balign	4096
cross_first:
	.skip	4096 - 10
cross:
	c.addi	a0, -1
	.option push
	.option norvc
	addi	a1, a1, 1
	.option pop
	c.addi	a1, 1
	.option push
	.option norvc
	addi	a1, a1, 1		/* two bytes here, two on the next page */
	bnez	a0, cross
	jr	ra
	.option pop
	.equ	cross_second, cross_first + 4096
	.balign	4096
u_code:
	ld	a1, 0(a2)
	sd	a1, 8(a2)
	addi	a0, a0, 1
	addi	s2, zero, 0
	ecall
	.balign	4096
u_data:
	.skip	4096
vs_page:
	addi	a0, a0, 1
	addi	s2, zero, 0
	ecall
	.balign	4096
