/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: uepc (section 1, "as sepc") and exceptions of a handler where
 * instructions lie on four bytes only: URET goes to a multiple of four, and a
 * misaligned jump of the handler is a trap of U, with nothing of the guest's.
 *
 * run: machine=virt cpu=rv64,h=true,c=false,xhaiov=on smp=1
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE

	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	MMIO_TO_U VS, LOAD_MMIO, GPA(PAGE) + AT, T_LOAD(3, 10), PAGE, "2.1 without C: ld a0, 0(a2)"
	ACCESS	VS, GVA(PAGE) - 3, 0, sw a3, 0(a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE), T_STORE(2, 13) | T_OFFSET(3), PAGE, "2.3 without C: sw across into MMIO"

	/* bit 1 of uepc is as that of sepc: not there for a return */
	.irp	low, 0, 1, 2, 3
	la	t6, 7802f
	addi	t6, t6, \low
	csrw	CSR_UEPC, t6
	CSRW	CSR_USTATUS, USTATUS_OF(VS)
	IN	U
	URET
7802:	auipc	a0, 0
	ENDIN
	csrw	CSR_USTATUS, zero
	EXPECT	a0, ENDED, "2.4 URET without C, \low added to uepc"
	la	t6, 7802b
	EXPECTR	a1, t6, "2.4 URET without C, \low added to uepc: to a multiple of four"
	.endr

	/* the guest's fault was one of two stages, the handler's is not */
	CSRW	CSR_MEDELEG, BIT(0)
	HANDLER
	la	t0, 7803f + 2
7803:	jr	t0
	ENDHANDLER
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	EXPECT	a0, 0, "2.2 in a handler, a misaligned jump"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "2.2 in a handler, a misaligned jump: to HS"
	ld	t5, REC_TVAL(tp)
	la	t6, 7803b + 2
	EXPECTR	t5, t6, "2.2 in a handler, a misaligned jump: stval"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_GVA | HSTATUS_SPV
	EXPECT	t5, 0, "2.2 in a handler, a misaligned jump: GVA=0, SPV=0"
	csrw	CSR_MEDELEG, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
