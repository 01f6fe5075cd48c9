/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of guest.h: its tables and memory, the judge of a fault, and the
 * handler in U that records what it sees.
 */
#include "guest.h"

/* Store constants at constant addresses. */
.macro PUT where, value
	li	t0, \where
	li	t1, \value
	sd	t1, 0(t0)
.endm

	.text
	.globl	guest_up
guest_up:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	li	t0, TABLES
	li	t1, TABLES_END
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bne	t0, t1, 1b

	/* G-stage: code and tables, the window, a superpage, a GiB */
	PUT	G_ROOT + 8 * (GIGA_RPA >> 30), PTE(GIGA_RPA, PTE_RAM)
	PUT	G_ROOT + 8 * (GIGA_GPA >> 30), PTE(GIGA_RPA, PTE_RAM)
	PUT	G_ROOT + 8 * (GPA0 >> 30), PTE(G_L1, PTE_V)
	PUT	G_L1, PTE(G_L0, PTE_V)
	PUT	G_L1 + 8, PTE(SUPER_RPA, PTE_RAM)
	/* VS-stage */
	PUT	V_ROOT_S, PTE(GIGA_GPA, PTE_RAM)
	PUT	V_ROOT_U, PTE(GIGA_GPA, PTE_RAM)
	PUT	V_ROOT_S + 8 * (GIGA_RPA >> 30), PTE(GIGA_RPA, PTE_CODE)
	PUT	V_ROOT_U + 8 * (GIGA_RPA >> 30), PTE(GIGA_RPA, PTE_RAM)
	PUT	V_ROOT_S + 8 * (GVA0 >> 30), PTE(V_L1, PTE_V)
	PUT	V_ROOT_U + 8 * (GVA0 >> 30), PTE(V_L1, PTE_V)
	PUT	V_ROOT_S + 8 * (GIGA_GVA >> 30), PTE(GIGA_GPA, PTE_RAM)
	PUT	V_ROOT_U + 8 * (GIGA_GVA >> 30), PTE(GIGA_GPA, PTE_RAM)
	PUT	V_L1, PTE(V_L0, PTE_V)
	PUT	V_L1 + 8, PTE(SUPER_GPA, PTE_RAM)
	/* satp: devices for U, code for HS and for U, the window */
	PUT	H_ROOT, PTE(0, PTE_RAM)
	PUT	H_ROOT + 8 * (GIGA_RPA >> 30), PTE(GIGA_RPA, PTE_CODE)
	PUT	H_ROOT + 8 * ((GIGA_RPA + ALIAS) >> 30), PTE(GIGA_RPA, PTE_RAM)
	PUT	H_ROOT + 8 * (GVA0 >> 30), PTE(H_L1, PTE_V)
	PUT	H_L1, PTE(H_L0, PTE_V)
	li	t2, 0
2:	li	t0, G_L0
	li	t1, PAGES - 1
	sub	t1, t1, t2		/* G_INDEX */
	slli	t3, t1, 3
	add	t0, t0, t3
	addi	t3, t1, 3
	andi	t3, t3, PAGES - 1
	slli	t3, t3, 12
	li	t4, WINDOW
	add	t3, t3, t4
	srli	t3, t3, 2
	ori	t3, t3, PTE_RAM
	sd	t3, 0(t0)
	li	t0, V_L0
	slli	t3, t2, 3
	add	t0, t0, t3
	slli	t3, t1, 12
	li	t4, GPA0
	add	t3, t3, t4
	srli	t3, t3, 2
	ori	t3, t3, PTE_RAM
	sd	t3, 0(t0)
	li	t0, H_L0
	slli	t3, t2, 3
	add	t0, t0, t3
	slli	t3, t2, 12
	li	t4, WINDOW_H
	add	t3, t3, t4
	srli	t3, t3, 2
	ori	t3, t3, PTE_RAM
	sd	t3, 0(t0)
	addi	t2, t2, 1
	li	t0, PAGES
	bne	t2, t0, 2b

	li	t0, WINDOW
	li	t1, WINDOW_END
	li	t2, 0x5a5a5a5a5a5a5a5a
3:	xor	t3, t0, t2
	sd	t3, 0(t0)
	addi	t0, t0, 8
	bne	t0, t1, 3b
	fence	iorw, iorw
	call	guest_csrs
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* guest_csrs: those of this hart. A further hart of a guest needs no more. */
	.globl	guest_csrs
guest_csrs:
	CSRW	CSR_HGATP, SV39 | (G_ROOT >> 12)
	CSRW	CSR_VSATP, SV39 | (V_ROOT_S >> 12)
	csrw	CSR_SATP, zero
	csrw	CSR_MEDELEG, zero
	csrw	CSR_MIDELEG, zero
	csrw	CSR_HEDELEG, zero
	csrw	CSR_HIDELEG, zero
	csrw	CSR_MIE, zero
	CSRC	CSR_HSTATUS, HSTATUS_TRAP | HSTATUS_HU
	CSRC	CSR_MSTATUS, MSTATUS_SIE | MSTATUS_MIE | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM
	CSRS	CSR_MSTATUS, MSTATUS_FS | MSTATUS_VS
	csrw	CSR_VSSTATUS, zero
	CSRS	CSR_VSSTATUS, MSTATUS_FS | MSTATUS_VS | MSTATUS_SUM
	/* A and D: faults, unless a test says otherwise */
	CSRC	CSR_MENVCFG, ENVCFG_ADUE | ENVCFG_PBMTE
	CSRS	CSR_MENVCFG, ENVCFG_CBO
	CSRW	CSR_HENVCFG, ENVCFG_CBO
	CSRW	CSR_SENVCFG, ENVCFG_CBO
	hfence.gvma
	hfence.vvma
	sfence.vma
	ret

	.globl	uer_up
uer_up:
	csrw	CSR_USTATUS, zero
	csrw	CSR_UIE, zero
	csrw	CSR_UEPC, zero
	csrw	CSR_UCAUSE, zero
	csrw	CSR_UTVAL, zero
	csrw	CSR_UTINST, zero
	csrw	CSR_USCRATCH, tp
	la	t0, uer_record
	csrw	CSR_UTVEC, t0
	li	t0, VEI_BITS
	csrw	CSR_HUEDELEG, t0
	li	t0, HSTATUS_HUR
	csrs	CSR_HSTATUS, t0
	ret

/*
 * The handler in U: uscratch points to the hart's area, in the address space of
 * the handler. It records x1..x31 and the CSRs, all as U sees them, and ends
 * the snippet.
 */
	.balign	4
	.globl	uer_record
uer_record:
	csrrw	a0, CSR_USCRATCH, a0
	EACH_BUT_A0 sd
	csrrw	t0, CSR_USCRATCH, a0
	sd	t0, UREGS + 8 * 10(a0)
	csrr	t1, CSR_UCAUSE
	sd	t1, REC_CAUSE(a0)
	csrr	t1, CSR_UTVAL
	sd	t1, REC_TVAL(a0)
	csrr	t1, CSR_UEPC
	sd	t1, REC_EPC(a0)
	csrr	t1, CSR_UTINST
	sd	t1, REC_TINST(a0)
	csrr	t1, CSR_USTATUS
	sd	t1, REC_USTATUS(a0)
	sd	zero, REC_TVAL2(a0)
	li	t1, U
	sd	t1, REC_WHERE(a0)
	mv	a0, t0
	li	a7, MAGIC_UER
	ecall

/* intact: a0 a page. 0, or the first address that is not as guest_up left it;
 * the page is put right. */
	.globl	intact
intact:	li	t2, 0x5a5a5a5a5a5a5a5a
	li	t3, 4096
	add	t3, a0, t3
	li	t5, 0
1:	xor	t4, a0, t2
	ld	t1, 0(a0)
	beq	t1, t4, 2f
	sd	t4, 0(a0)
	bnez	t5, 2f
	mv	t5, a0
2:	addi	a0, a0, 8
	bne	a0, t3, 1b
	mv	a0, t5
	ret

/* judge: a0 the fields that count, a2 the name. One check; each field that is
 * not as wanted is named before it. */
	.globl	judge
judge:	addi	sp, sp, -64
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	mv	s0, a0
	mv	s1, a2
	li	s2, 0			/* fields that differ */
	li	s3, 0
1:	srl	t0, s0, s3
	andi	t0, t0, 1
	beqz	t0, 5f
	slli	t0, s3, 3
	add	t1, t0, tp
	ld	s5, WANTED(t1)
	li	t2, F_PAGE
	beq	s3, t2, 3f
	li	t2, F_STATUS
	bgeu	s3, t2, 2f
	ld	s4, REC_CAUSE(t1)	/* the first eight, in a row */
	li	t2, F_HSTATUS
	bne	s3, t2, 4f
	ld	t3, HSTATUS_MASK(tp)
	and	s4, s4, t3
	j	4f
2:	ld	s4, REC_STATUS - 8 * F_STATUS(t1)
	bne	s3, t2, 4f
	ld	t3, STATUS_MASK(tp)
	and	s4, s4, t3
	j	4f
3:	mv	a0, s5
	call	intact
	mv	s4, a0
	li	s5, 0
4:	beq	s4, s5, 5f
	li	t0, 1
	sll	t0, t0, s3
	or	s2, s2, t0
	la	a0, field_names
	slli	t0, s3, 3
	add	a0, a0, t0
	call	puts
	la	a0, got_text
	call	puts
	mv	a0, s4
	call	puthex
	la	a0, want_text
	call	puts
	mv	a0, s5
	call	puthex
	li	a0, '\n'
	call	putc
5:	addi	s3, s3, 1
	li	t0, FIELDS
	bne	s3, t0, 1b
	mv	a0, s2
	li	a1, 0
	mv	a2, s1
	call	check
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	addi	sp, sp, 64
	ret

	.section .rodata
	.balign	8
field_names:
	.balign	8; .asciz "# cause"
	.balign	8; .asciz "# tval"
	.balign	8; .asciz "# epc"
	.balign	8; .asciz "# a0"
	.balign	8; .asciz "# where"
	.balign	8; .asciz "# tval2"
	.balign	8; .asciz "# tinst"
	.balign	8; .asciz "#hstat."
	.balign	8; .asciz "# stat."
	.balign	8; .asciz "#ustat."
	.balign	8; .asciz "# page"
got_text:	.asciz	": got "
want_text:	.asciz	", want "
