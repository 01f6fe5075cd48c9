/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry and exit of the haiov crate's handler (user/haiov/src/uer/entry.S), on the bare model: a guest
 * with a number of its own in each register makes loads and stores with each of them, in both lengths.
 * The functions that the entry calls spoil all that a function may, and say what they saw.
 *
 * Each check that counts registers gives a mask: bit n is an access that names xn.
 */
#include "guest.h"

#define PAGE		0x10
#define HOST_GP		0x1111222233334444
#define HOST_TP		0x5555666677778888
#define ANSWER		0x8877665544332211
#define GUARD		0x0badc0de0badc0de
#define SPOILED		0xdead
#define NOP		0x00000013
#define C_ADDI		0x0285	/* c.addi x5, 1 */

/* what the functions are to do, and what they saw; at `seen` */
#define VERDICT		0	/* 0 done, 1 punt */
#define CALLS		8
#define VALUE		16
#define UTINST		24
#define GPA_SEEN	32
#define WRONG		40	/* not 0: something of the surroundings was not right */
#define PUNT_USCRATCH	48
#define PUNT_UEPC	56

/* x1..x31 but the one that holds the pointer */
.macro EACH_REGISTER do, base
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	\do	x\n, 8 * \n(\base)
	.endr
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	G_LEAF	PAGE, PTE_DEVICE
	UER
	la	t0, haiov_uer_entry
	csrw	CSR_UTVEC, t0
	la	t0, m_entry
	csrw	CSR_MTVEC, t0
	la	t0, area
	csrw	CSR_USCRATCH, t0
	li	t1, HOST_GP
	sd	t1, 0(t0)
	li	t1, HOST_TP
	sd	t1, 16(t0)
	la	t0, stack
	li	t1, GUARD
	sd	t1, 0(t0)

	/* s1: which instruction; s2: its operands are one register */
	.macro	ALL what, encode, same, first, last, check
	la	s1, \encode
	li	s2, \same
	li	s3, \first
	li	s4, \last
	la	s5, \check
	call	each
	EXPECT	a0, 0, "\what: it ran to its end, one call each, in the right surroundings"
	EXPECT	a1, 0, "\what: the value"
	EXPECT	a2, 0, "\what: every other register is what it was"
	EXPECT	a3, 0, "\what: uscratch is the area again"
	.endm

	la	t0, seen
	sd	zero, VERDICT(t0)
	ALL	"store", encode_sd, 0, 0, 31, check_store
	ALL	"store of its own base", encode_sd, 1, 1, 31, check_store
	ALL	"store of two bytes", encode_c_sd, 0, 8, 15, check_c_store
	ALL	"load", encode_ld, 0, 0, 31, check_load
	ALL	"load over its own base", encode_ld, 1, 1, 31, check_load
	ALL	"load of two bytes", encode_c_ld, 0, 8, 15, check_c_load
	la	t0, seen
	li	t1, 1
	sd	t1, VERDICT(t0)
	ALL	"punted store", encode_sd, 0, 0, 31, check_punt
	ALL	"punted store of two bytes", encode_c_sd, 0, 8, 15, check_punt
	ALL	"punted load", encode_ld, 0, 0, 31, check_punt
	ALL	"punted load over its own base", encode_ld, 1, 1, 31, check_punt
	ALL	"punted load of two bytes", encode_c_ld, 0, 8, 15, check_punt
	ALL	"punted AMO", encode_amo, 0, 0, 31, check_punt
	ld	t5, stack
	EXPECT	t5, GUARD, "the stack is used from its upper end"

	la	t0, m_trap
	csrw	CSR_MTVEC, t0
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* s3: a register, s6: the base. a0: an instruction, and what fills up four bytes. */
encode_sd:
	li	a0, 0x3023
	slli	t0, s3, 20
	or	a0, a0, t0
	slli	t0, s6, 15
	or	a0, a0, t0
	ret
encode_ld:
	li	a0, 0x3003
	slli	t0, s3, 7
	or	a0, a0, t0
	slli	t0, s6, 15
	or	a0, a0, t0
	ret
encode_amo:
	/* amoadd.d x0, xn, (base) */
	li	a0, 0x302f
	slli	t0, s3, 20
	or	a0, a0, t0
	slli	t0, s6, 15
	or	a0, a0, t0
	ret
encode_c_ld:
	li	a0, 0x6000 | (C_ADDI << 16)
	j	1f
encode_c_sd:
	li	a0, 0xe000 | (C_ADDI << 16)
1:	addi	t0, s3, -8
	slli	t0, t0, 2
	or	a0, a0, t0
	addi	t0, s6, -8
	slli	t0, t0, 7
	or	a0, a0, t0
	ret

/* Run one access for each register s3..s4. Gives four masks of those where something was wrong. */
each:	addi	sp, sp, -48
	sd	ra, 0(sp)
	sd	zero, 8(sp)
	sd	zero, 16(sp)
	sd	zero, 24(sp)
	sd	zero, 32(sp)
1:	/* a base that is not the register, unless it is to be */
	mv	s6, s3
	bnez	s2, 2f
	li	s6, 10
	bne	s3, s6, 2f
	li	s6, 11
2:	la	t0, guest
	li	t1, 1
	li	t2, 0x0101010101010101
	li	t3, 0x8000000000000000
3:	slli	t4, t1, 3
	add	t4, t4, t0
	mul	t5, t1, t2
	xor	t5, t5, t3
	sd	t5, 0(t4)
	addi	t1, t1, 1
	li	t5, 32
	bne	t1, t5, 3b
	slli	t4, s6, 3
	add	t4, t4, t0
	li	t5, GVA(PAGE)
	sd	t5, 0(t4)
	sd	zero, 0(t0)
	la	t0, seen
	sd	zero, CALLS(t0)
	sd	zero, WRONG(t0)
	jalr	s1
	la	t0, patch
	sw	a0, 0(t0)
	fence.i
	IN	VS
	la	t0, after
	csrw	CSR_SSCRATCH, t0
	la	x31, guest
	EACH_REGISTER ld, x31
	ld	x31, 8 * 31(x31)
patch:	.word	NOP
	csrrw	x31, CSR_SSCRATCH, x31
	EACH_REGISTER sd, x31
	csrr	x1, CSR_SSCRATCH
	sd	x1, 8 * 31(x31)
	la	ra, snippet_end
	ENDIN
	/* the end, one call, nothing wrong */
	li	s7, 1
	sll	s7, s7, s3
	la	s8, seen
	li	t0, ENDED
	bne	a0, t0, 4f
	ld	t0, CALLS(s8)
	li	t1, 1
	bne	t0, t1, 4f
	ld	t0, WRONG(s8)
	bnez	t0, 4f
	ld	t0, GPA_SEEN(s8)
	li	t1, GPA(PAGE)
	beq	t0, t1, 5f
4:	ld	t0, 8(sp)
	or	t0, t0, s7
	sd	t0, 8(sp)
5:	/* the check says what is to be in `guest` now; a0: the value was wrong */
	jalr	s5
	beqz	a0, 6f
	ld	t0, 16(sp)
	or	t0, t0, s7
	sd	t0, 16(sp)
6:	la	t0, guest
	la	t1, after
	li	t2, 31
7:	addi	t0, t0, 8
	addi	t1, t1, 8
	ld	t3, 0(t0)
	ld	t4, 0(t1)
	bne	t3, t4, 8f
	addi	t2, t2, -1
	bnez	t2, 7b
	j	9f
8:	ld	t0, 24(sp)
	or	t0, t0, s7
	sd	t0, 24(sp)
9:	csrr	t0, CSR_USCRATCH
	la	t1, area
	beq	t0, t1, 10f
	ld	t0, 32(sp)
	or	t0, t0, s7
	sd	t0, 32(sp)
10:	csrw	CSR_USTATUS, zero
	csrw	CSR_USCRATCH, t1
	addi	s3, s3, 1
	bleu	s3, s4, 1b
	ld	a0, 8(sp)
	ld	a1, 16(sp)
	ld	a2, 24(sp)
	ld	a3, 32(sp)
	ld	ra, 0(sp)
	addi	sp, sp, 48
	ret

/* Behind an instruction of two bytes there is one more. */
	.macro	SECOND
	la	t0, guest
	ld	t1, 8 * 5(t0)
	addi	t1, t1, 1
	sd	t1, 8 * 5(t0)
	.endm
check_c_store:
	SECOND
	j	check_store
check_c_load:
	SECOND
	j	check_load

/* a0: whether what arrived is not what the guest's register held */
check_store:
	la	t0, guest
	slli	t1, s3, 3
	add	t0, t0, t1
	ld	t0, 0(t0)
	ld	t1, VALUE(s8)
	xor	a0, t0, t1
	ret

/* rd has the answer; a0: whether x0 is not 0, which nothing can change: never */
check_load:
	li	a0, 0
	beqz	s3, 1f
	la	t0, guest
	slli	t1, s3, 3
	add	t0, t0, t1
	li	t1, ANSWER
	sd	t1, 0(t0)
1:	ret

/* At the ecall: a7 selects PUNT, uscratch has the guest's; uepc is the instruction. What the kernel is to put right,
 * uscratch and a7, is put right here. */
check_punt:
	la	t0, guest
	ld	t1, 8 * 17(t0)
	ld	t2, PUNT_USCRATCH(s8)
	xor	a0, t1, t2
	ld	t1, PUNT_UEPC(s8)
	la	t2, patch
	xor	t1, t1, t2
	or	a0, a0, t1
	la	t2, after
	ld	t1, 8 * 17(t2)
	li	t3, HAIOV_UER_PUNT
	xor	t1, t1, t3
	or	a0, a0, t1
	sd	t3, 8 * 17(t0)
	la	t0, area
	csrw	CSR_USCRATCH, t0
	ret

/* M: an ecall from U that punts ends the snippet with all registers in `after`. */
	.balign	4
m_entry:
	csrrw	tp, CSR_MSCRATCH, tp
	sd	t6, SCRATCH(tp)
	csrr	t6, CSR_MCAUSE
	addi	t6, t6, -8
	bnez	t6, 1f
	li	t6, HAIOV_UER_PUNT
	bne	a7, t6, 1f
	ld	t6, SCRATCH(tp)
	csrrw	tp, CSR_MSCRATCH, tp
	csrw	CSR_SSCRATCH, t6
	la	t6, after
	EACH_REGISTER sd, t6
	csrr	t0, CSR_SSCRATCH
	sd	t0, 8 * 31(t6)
	la	t6, seen
	csrr	t0, CSR_USCRATCH
	sd	t0, PUNT_USCRATCH(t6)
	csrr	t0, CSR_UEPC
	sd	t0, PUNT_UEPC(t6)
	li	a7, MAGIC_END
	j	m_trap
1:	ld	t6, SCRATCH(tp)
	csrrw	tp, CSR_MSCRATCH, tp
	j	m_trap

/* In U, with the handler's surroundings: these stand for Rust's functions. */
	.macro	SURROUNDINGS table
	la	t0, seen
	ld	t1, CALLS(t0)
	addi	t1, t1, 1
	sd	t1, CALLS(t0)
	sd	a0, UTINST(t0)
	sd	a1, GPA_SEEN(t0)
	la	t1, area
	xor	t2, sp, t1
	addi	t1, t1, 256
	xor	t3, \table, t1
	or	t2, t2, t3
	li	t1, HOST_GP
	xor	t3, gp, t1
	or	t2, t2, t3
	li	t1, HOST_TP
	xor	t3, tp, t1
	or	t2, t2, t3
	sd	t2, WRONG(t0)
	.endm

	/* what a function may spoil, less what it returns; gp and tp, since nothing may rest on them */
	.macro	SPOIL
	.irp	n, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	li	x\n, SPOILED + \n
	.endr
	.endm

test_store:
	addi	sp, sp, -32
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s11, 16(sp)
	addi	sp, sp, 32
	SURROUNDINGS a3
	addi	sp, sp, -32
	sd	a2, VALUE(t0)
	li	s0, SPOILED
	li	s11, SPOILED
	ld	a0, VERDICT(t0)
	li	a1, SPOILED
	SPOIL
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s11, 16(sp)
	addi	sp, sp, 32
	ret

test_load:
	SURROUNDINGS a2
	ld	t1, VERDICT(t0)
	srli	a0, a0, 7
	andi	a0, a0, 31
	li	a1, ANSWER
	beqz	t1, 1f
	li	a0, 32
1:	mv	t0, ra
	li	ra, SPOILED
	.irp	n, 3, 4, 6, 7, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	li	x\n, SPOILED + \n
	.endr
	jr	t0

#include "entry.S"

	.bss
	.balign	16
stack:	.zero	4096
area:	.zero	512
seen:	.zero	64
guest:	.zero	256
after:	.zero	256
