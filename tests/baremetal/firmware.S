/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 1, "so unmodified firmware works": delegated as firmware that
 * never heard of Xhaiov does it, HS gets 24, 25 and every refused access of the
 * guest, and M gets what firmware keeps.
 *
 * run: machine=virt,veic=on,aia=aplic-imsic,aia-guests=3 cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"

/* misaligned fetch, breakpoint, U and VS calls, page faults, guest-page faults,
 * virtual instruction */
#define MEDELEG	0x00f0b509
/* the supervisor's software, timer, external interrupts */
#define MIDELEG	0x00000222

.macro TO_HS mode, cause, text, insn:vararg
	TRY1	\mode, 9, \cause, "1 \text", \insn
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "1 \text, to HS"
.endm
.macro TO_M mode, cause, text, insn:vararg
	TRY1	\mode, 9, \cause, "1 \text", \insn
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, M, "1 \text, to M"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	ROUTE	RT0, 3, 5, 0
	ROUTE	RT0, 4, 6, 0
	VEIC_W	EUT(0, 0), BIT(6)
	VEIC_W	EIE(0, 0), BIT(5) | BIT(6)
	CSRW	CSR_MEDELEG, MEDELEG
	CSRW	CSR_MIDELEG, MIDELEG
	CSR_IS	CSR_MEDELEG, MEDELEG | VEI_BITS, MEDELEG | VEI_BITS, "1 medeleg: as firmware wrote it, and bits 24, 25"
	CSR_IS	CSR_MIDELEG, MIDELEG | VEI_BITS, MIDELEG | VEI_BITS, "1 mideleg: as firmware wrote it, and bits 24, 25"

	VMID	1
	TO_HS	VS, VIRTUAL, "a refused send from VS", csrw CSR_SVEI, a1
	csrw	CSR_HVEICTL, zero
	TO_HS	VS, VIRTUAL, "svei from VS with EN=0", csrw CSR_SVEI, a1
	TO_HS	VS, VIRTUAL, "stopvei from VS", csrr a0, CSR_STOPVEI
	TO_HS	VU, VIRTUAL, "svei from VU", csrw CSR_SVEI, a1
	TO_HS	VU, VIRTUAL, "ustatus from VU", csrr a0, CSR_USTATUS
	TO_HS	VS, VIRTUAL, "hveictl from VS", csrr a0, CSR_HVEICTL
	TO_M	U, ILLEGAL, "ustatus from U", csrr a0, CSR_USTATUS
	TO_M	U, ILLEGAL, "svei from U", csrw CSR_SVEI, a1

	CSRW	CSR_MIE, VEI_BITS
	VMID	1
	IN	VS
	li	a1, 3
	fence	w, o
	csrw	CSR_SVEI, a1
	li	a0, 1
	nop
	nop
	ENDIN
	EXPECT	a0, INTR(IRQ_VEI), "3.3 a guest's send to its own hart interrupts it with 24"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.3 24 to HS"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, HSTATUS_SPV, "3.3 24 from the guest: hstatus.SPV"
	TRY	HS, ENDED, "3.3 HS claims it", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 5, "3.3 HS gets the VEIID"
	VSEND	4
	EXPECT	a0, INTR(IRQ_DOORBELL), "3.5 a guest's send to a user VEIID of its hart interrupts it with 25"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.5 25 to HS"
	/* taken between the send and the next instruction */
	VEIC_W	EIPCLR(0, 0), -1
	CSRC	CSR_MIP, BIT(25)
	IN	VS
	li	a1, 3
7500:	csrw	CSR_SVEI, a1
	nop
	nop
	nop
	ENDIN
	ld	t5, REC_EPC(tp)
	la	t4, 7500b + 4
	EXPECTR	t5, t4, "3.3 24 is taken right behind the send"
	csrw	CSR_MIE, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
