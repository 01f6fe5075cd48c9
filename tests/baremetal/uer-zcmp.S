/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1 and utinst for Zcmp: cm.push raises 25, cm.pop 24, utinst is 0, sp
 * and the registers stay; cm.jt with its table in an MMIO page fetches: what a
 * missing page raises.
 *
 * run: machine=virt cpu=rv64,h=true,c=false,zca=true,zcb=true,zcmp=true,zcmt=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,c=false,zca=true,zcb=true,zcmp=true,zcmt=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

/* by number: rlist 4 is {ra}, 5 {ra, s0}, 15 {ra, s0-s11}; all with spimm 0 */
#define CM_PUSH(rlist)		(0xb802 | ((rlist) << 4))
#define CM_POP(rlist)		(0xba02 | ((rlist) << 4))
#define CM_POPRETZ(rlist)	(0xbc02 | ((rlist) << 4))
#define CM_POPRET(rlist)	(0xbe02 | ((rlist) << 4))
#define CM_JT(index)		(0xa002 | ((index) << 2))

.macro CODE value
	.option	push
	.option	arch, +zca
	.2byte	\value
	c.nop
	.option	pop
.endm

/* `sp_at`: sp less the address of the one access, if there is but one */
.macro ONE kind, value, sp_at, text
	ACCESS	VS, GVA(PAGE) + AT, -(\sp_at), CODE \value
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE) + AT, 0, PAGE, "2.1 to U: \text"
	ld	t5, UREGS + 8 * 2(tp)
	EXPECT	t5, GVA(PAGE) + AT + (\sp_at), "2.3 sp stays: \text"
	/* in HS as a missing page: htinst too */
	G_LEAF	PAGE, 0
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	ACCESS	VS, GVA(PAGE) + AT, -(\sp_at), CODE \value
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.2 a guest-page fault without the bit: \text"
	SAME_AS_THIS
	WANT	F_CAUSE, LOAD_MMIO + \kind
	csrw	CSR_MEDELEG, zero
	csrw	CSR_HUEDELEG, zero
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	VS, GVA(PAGE) + AT, -(\sp_at), CODE \value
	JUDGE_SAME_ACCESS PAGE, "2.2 to HS: \text"
	CSRW	CSR_HUEDELEG, VEI_BITS
.endm

/* several accesses: utval is somewhere in the `bytes` from `first` */
.macro MANY kind, value, sp_at, first, bytes, text
	ACCESS	VS, GVA(PAGE) + AT, -(\sp_at), CODE \value
	ld	s2, REC_WHERE(tp)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, LOAD_MMIO + \kind, "2.1 \text"
	EXPECT	s2, U, "2.2 \text, to U"
	ld	t5, REC_TVAL(tp)
	li	t6, GPA(PAGE) + AT + (\sp_at) + (\first)
	sub	t5, t5, t6
	sltiu	t5, t5, \bytes
	EXPECT	t5, 1, "1 utval is in what it accesses: \text"
	ld	t5, REC_TINST(tp)
	EXPECT	t5, 0, "1 utinst is 0: \text"
	ld	t5, UREGS + 8 * 2(tp)
	EXPECT	t5, GVA(PAGE) + AT + (\sp_at), "2.3 sp stays: \text"
	la	t5, snippet_end
	ld	t6, UREGS + 8 * 1(tp)
	EXPECTR	t6, t5, "2.3 ra stays: \text"
	ld	t6, UREGS + 8 * 8(tp)
	EXPECTR	t6, s0, "2.3 s0 stays: \text"
	ld	t6, UREGS + 8 * 27(tp)
	EXPECTR	t6, s11, "2.3 s11 stays: \text"
	INTACT	PAGE, "2.1 nothing is written: \text"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	li	s0, 0x1234
	li	s11, 0x5678

	ONE	1, CM_PUSH(4), 8, "cm.push {ra}, -16"
	ONE	0, CM_POP(4), -8, "cm.pop {ra}, 16"
	ONE	0, CM_POPRET(4), -8, "cm.popret {ra}, 16"
	ONE	0, CM_POPRETZ(4), -8, "cm.popretz {ra}, 16"
	MANY	1, CM_PUSH(5), 64, -16, 16, "cm.push {ra, s0}, -16"
	MANY	0, CM_POP(5), 64, 0, 16, "cm.pop {ra, s0}, 16"
	MANY	1, CM_PUSH(15), 256, -112, 112, "cm.push {ra, s0-s11}, -112"
	MANY	0, CM_POP(15), 256, 0, 112, "cm.pop {ra, s0-s11}, 112"
	MANY	0, CM_POPRETZ(15), 256, 0, 112, "cm.popretz {ra, s0-s11}, 112"

	/* on the stack of the guest they work as ever */
	ACCESS	VS, GVA(PAGE + 1) + AT, 0, CODE CM_PUSH(5)
	EXPECT	a0, ENDED, "2.1 cm.push to RAM"

	/* the table of cm.jt */
	li	t5, GVA(PAGE)
	csrw	CSR_JVT, t5
	csrr	t6, CSR_JVT
	EXPECTR	t6, t5, "harness: this CPU has Zcmt"
	V_LEAF	PAGE, PTE_CODE
	G_LEAF	PAGE, 0
	CSRW	CSR_MEDELEG, PAGE_FAULTS
	ACCESS	VS, 0, 0, CODE CM_JT(3)
	SAME_AS_THIS
	xori	t5, a0, ENDED
	snez	t5, t5
	EXPECT	t5, 1, "2.1 cm.jt with its table in a missing page traps"
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	VS, 0, 0, CODE CM_JT(3)
	JUDGE_SAME_ACCESS PAGE, "2.1 cm.jt with its table in an MMIO page: a fetch"
	V_LEAF	PAGE, PTE_RAM
	csrw	CSR_MEDELEG, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
