/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 0, "Everything migrates", for section 2: a snapshot taken while
 * a handler runs in U, with the guest's registers in hand, is loaded in the same
 * process after everything has changed, and in a new one. The handler goes on,
 * returns to the guest by URET, and the next fault of the guest is redirected.
 * A second hart is in a frame that HS made, with TUR.
 *
 * The runner's part: see snapshot.S.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2 snapshot=yes
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=2 snapshot=yes
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340
#define PATTERN(n)	(0x2468135780000000 + (n) * 0x0123456789)

/* what the handler saw of its own CSRs, behind the load; then the guest's */
#define SEEN	MORE
#define FRAMES	(MORE + 64)
#define ALONE	(MORE + 72)

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	la	t0, handler
	csrw	CSR_UTVEC, t0
	sd	zero, FRAMES(tp)
	CSRW	CSR_SSCRATCH, 0x5353
	CSRW	CSR_VSSCRATCH, 0x7575
	START	1, other_frame
	JOIN	1
	IN	VS
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	li	x\n, PATTERN(\n)
	.endr
	li	a2, GVA(PAGE) + AT
7800:	ld	a0, 0(a2)
	/* behind URET: x10 is the device's, the rest as it was */
	li	a1, 0x1234
	xor	a0, a0, a1
	snez	a0, a0
	.irp	n, 1, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	li	a1, PATTERN(\n)
	xor	a1, a1, x\n
	snez	a1, a1
	or	a0, a0, a1
	.endr
	/* a second fault: another frame */
	li	a3, 0x77
7802:	sd	a3, 8(a2)
	la	ra, snippet_end
	ENDIN
	/* the handler ends the snippet for a snapshot that is to be changed */
	ld	t0, FRAMES(tp)
	li	t1, 1
	beq	t0, t1, change

	EXPECT	a0, ENDED, "0 the guest ran to its end behind the load"
	EXPECT	a1, 0, "0 the guest had all its registers behind URET"
	EXPECT	t0, 2, "0 its next fault was redirected, too"
	ld	t5, SEEN(tp)
	EXPECT	t5, USTATUS_OF(VS), "0 ustatus, read by the handler behind the load"
	ld	t5, SEEN + 8(tp)
	la	t6, 7800b
	EXPECTR	t5, t6, "0 uepc, read by the handler behind the load"
	ld	t5, SEEN + 16(tp)
	EXPECT	t5, LOAD_MMIO, "0 ucause, read by the handler behind the load"
	ld	t5, SEEN + 24(tp)
	EXPECT	t5, GPA(PAGE) + AT, "0 utval, read by the handler behind the load"
	ld	t5, SEEN + 32(tp)
	EXPECT	t5, T_LOAD(3, 10), "0 utinst, read by the handler behind the load"
	ld	t5, SEEN + 40(tp)
	EXPECTR	t5, tp, "0 uscratch, read by the handler behind the load"
	ld	t5, SEEN + 48(tp)
	EXPECT	t5, 1, "0 the handler's registers are as they were saved"
	csrr	t5, CSR_UEPC
	la	t6, 7802b + 4
	EXPECTR	t5, t6, "0 uepc of the second frame"
	csrr	t5, CSR_UCAUSE
	EXPECT	t5, STORE_MMIO, "0 ucause of the second frame"
	CSR_IS	CSR_USTATUS, -1, 0, "0 no frame is left"
	CSR_IS	CSR_HSTATUS, HSTATUS_HUR, HSTATUS_HUR, "0 HUR is as it was saved"
	CSR_IS	CSR_HUEDELEG, -1, VEI_BITS, "0 huedeleg is as it was saved"
	CSR_IS	CSR_SSCRATCH, -1, 0x5353, "0 sscratch is HS's"
	CSR_IS	CSR_VSSCRATCH, -1, 0x7575, "0 vsscratch is the guest's"
	INTACT	PAGE, "0 the page behind the leaf is not touched"
	START	1, other_ends
	JOIN	1
	la	s4, areas + AREA_SIZE
	ld	t5, SEEN(s4)
	EXPECT	t5, ILLEGAL, "0 the other hart: URET with TUR=1 is refused behind the load"
	ld	t5, SEEN + 8(s4)
	EXPECT	t5, USTATUS_UACT | USTATUS_TUR, "0 the other hart: ustatus is as it was saved"
	ld	t5, SEEN + 16(s4)
	EXPECT	t5, ILLEGAL, "0 the other hart: FP is illegal in its frame"
	ld	t5, SEEN + 24(s4)
	EXPECT	t5, 8, "0 the other hart: URET with TUR=0 goes to uepc"
	ld	t5, SEEN + 32(s4)
	EXPECT	t5, ENDED, "0 the other hart: FP is legal behind its frame"
	SAY	"snapshot: verified"
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

change:	csrw	CSR_USTATUS, zero
	csrw	CSR_UEPC, zero
	csrw	CSR_UCAUSE, zero
	csrw	CSR_UTVAL, zero
	csrw	CSR_UTINST, zero
	csrw	CSR_USCRATCH, zero
	csrw	CSR_UTVEC, zero
	csrw	CSR_HUEDELEG, zero
	CSRC	CSR_HSTATUS, HSTATUS_HUR
	csrw	CSR_HGATP, zero
	csrw	CSR_VSATP, zero
	csrw	CSR_SSCRATCH, zero
	csrw	CSR_VSSCRATCH, zero
	W64	G_L0 + 8 * G_INDEX(PAGE), 0
	hfence.gvma
	START	1, other_changes
	JOIN	1
	SAY	"snapshot: changed"
1:	call	getc
	j	1b

/* U. The first frame is where the snapshot is taken. */
	.balign	4
handler:
	csrrw	a0, CSR_USCRATCH, a0
	EACH_BUT_A0 sd
	csrrw	t0, CSR_USCRATCH, a0
	sd	t0, UREGS + 8 * 10(a0)
	ld	t0, FRAMES(a0)
	addi	t0, t0, 1
	sd	t0, FRAMES(a0)
	li	t1, 1
	bne	t0, t1, 2f
	mv	s0, a0
	li	s1, PATTERN(77)
	la	sp, u_stack + 4096
	SAY	"snapshot: ready"
	call	getc
	li	t0, 'v'
	beq	a0, t0, 1f
	/* M is to change everything */
	li	a7, MAGIC_END
	ecall
1:	mv	a0, s0
	csrr	t0, CSR_USTATUS
	sd	t0, SEEN(a0)
	csrr	t0, CSR_UEPC
	sd	t0, SEEN + 8(a0)
	csrr	t0, CSR_UCAUSE
	sd	t0, SEEN + 16(a0)
	csrr	t0, CSR_UTVAL
	sd	t0, SEEN + 24(a0)
	csrr	t0, CSR_UTINST
	sd	t0, SEEN + 32(a0)
	csrr	t0, CSR_USCRATCH
	sd	t0, SEEN + 40(a0)
	li	t0, PATTERN(77)
	xor	t0, t0, s1
	seqz	t0, t0
	sd	t0, SEEN + 48(a0)
	li	t0, 0x1234
	sd	t0, UREGS + 8 * 10(a0)
2:	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	EACH_BUT_A0 ld
	ld	a0, UREGS + 8 * 10(a0)
	URET

/* On hart 1. */
other_frame:
	CSRS	CSR_MSTATUS, MSTATUS_FS
	la	t0, 7804f
	csrw	CSR_UEPC, t0
	CSRW	CSR_USTATUS, USTATUS_UACT | USTATUS_TUR
	ret
other_changes:
	csrw	CSR_USTATUS, zero
	csrw	CSR_UEPC, zero
	ret
other_ends:
	mv	s0, ra
	IN	U
	URET
	ENDIN
	sd	a0, SEEN(tp)
	csrr	t0, CSR_USTATUS
	sd	t0, SEEN + 8(tp)
	IN	U
	fadd.d	fa0, fa0, fa0
	ENDIN
	sd	a0, SEEN + 16(tp)
	CSRC	CSR_USTATUS, USTATUS_TUR
	IN	U
	URET
	li	a0, 1
	ret
7804:	li	a0, 8
	ENDIN
	sd	a1, SEEN + 24(tp)
	IN	U
	fadd.d	fa0, fa0, fa0
	ENDIN
	sd	a0, SEEN + 32(tp)
	jr	s0

	.bss
	.balign	16
u_stack: .zero	4096
