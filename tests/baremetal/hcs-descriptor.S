/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 4.5, bad descriptors: the VEIID is dropped and counted in MISSES, and
 * nothing else changes; that the next one is taken instead; a descriptor that
 * becomes bad while its VEIID is pending, and good again.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on,sv57=off smp=1
 */
#include "hcs.h"

/* what no entry may have changed */
.macro CSR_SUM reg
	li	\reg, 0
	.irp	csr, CSR_USTATUS, CSR_UEPC, CSR_UCAUSE, CSR_UTVAL, CSR_UTINST, CSR_USCRATCH, \
		CSR_UTVEC, CSR_UIE, CSR_SUSCRATCH, CSR_SUATP, CSR_SUUSCRATCH, CSR_SUFRAME, \
		CSR_SSCRATCH, CSR_SATP, CSR_HSTATUS, CSR_VSSCRATCH, CSR_VSATP, CSR_SCAUSE, CSR_SEPC
	slli	t5, \reg, 3
	sub	\reg, t5, \reg
	csrr	t5, \csr
	add	\reg, \reg, t5
	.endr
.endm

/* VEIID 7 with a bad descriptor is dropped, in U and in VS. */
.macro DROPPED text
	.irp	mode, U, VS
	EVENT	7
	VEIC_W	VEIC_MISSES, 0
	CSRW	CSR_UEPC, 0x4444
	CSRW	CSR_UCAUSE, 0x5555
	CSRW	CSR_UTVAL, 0x6666
	CSRW	CSR_UTINST, 0x7777
	CSRW	CSR_SUSCRATCH, 0x8888
	CSRW	CSR_SUATP, HCS_SATP(0x99)
	CSRW	CSR_SUUSCRATCH, 0xaaaa
	CSRW	CSR_SUFRAME, 0xbb00
	CSRW	CSR_SCAUSE, 0
	CSRW	CSR_SEPC, 0
	CSR_SUM	s2
	li	a4, 0x1234
	IN	\mode
	nop
	mv	a0, a4
	nop
	ENDIN
	CSRW	CSR_SEPC, 0
	EXPECT	a0, ENDED, "4.5 \text, in \mode: not taken"
	EXPECT	a1, 0x1234, "4.5 \text, in \mode: the registers stay"
	VEIC_IS	EIP(0, 0), 0, "4.5 \text, in \mode: the VEIID is dropped"
	VEIC_IS	VEIC_MISSES, 1, "4.5 \text, in \mode: it is counted in MISSES"
	CSR_IS	CSR_UIP, -1, 0, "4.5 \text, in \mode: UEIP"
	CSR_IS	CSR_MIP, BIT(25), 0, "4.5 \text, in \mode: no doorbell"
	CSR_SUM	s4
	EXPECTR	s4, s2, "4.5 \text, in \mode: no CSR changes"
	li	s4, 0
	li	t0, HCS_FRAME(0)
	li	t1, HCS_FRAME(16)
7880:	ld	t2, 0(t0)
	not	t2, t2
	or	s4, s4, t2
	addi	t0, t0, 8
	bne	t0, t1, 7880b
	EXPECT	s4, 0, "4.5 \text, in \mode: no frame is written"
	.endr
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	HCS
	DESC_W	7, DESC_VALID, 0
	DROPPED	"not valid"
	DESC_W	7, DESC_VALID, -2
	DROPPED	"not valid, the other bits set"
	/* where it cannot be read: no memory, a device, flash */
	.irp	base, 0x7fe00000, FINISHER, UART & ~4095, 0x20000000, 0x88000000, 0xfffffffffff000
	HCS
	VEIC_W	VEIC_VDTBASE, \base
	DROPPED	"VDTBASE \base"
	.endr
	/* suatp: Bare, reserved modes */
	.irp	mode, 0, 1, 2, 7, 11, 12, 15
	HCS
	DESC_W	7, DESC_SUATP, (\mode << 60) | (HCS_ROOT >> 12)
	DROPPED	"suatp mode \mode"
	.endr
	/* the frame: no RAM */
	.irp	where, 0, 0x1000, FINISHER, UART, 0x20000000, 0x40000000, 0x7fffff00, 0x88000000, 0xffffffffffff00
	HCS
	DESC_W	7, DESC_FRAME, \where
	DROPPED	"frame \where"
	.endr
	/* not aligned; bits above 55 */
	.irp	bit, 0, 1, 2, 3, 4, 5, 6, 7, 56, 63
	HCS
	DESC_W	7, DESC_FRAME, HCS_FRAME(7) | (1 << \bit)
	DROPPED	"frame, bit \bit set"
	.endr
	/* not for HS by PMP, to write or at all: hardware does not help HS to it */
	.irp	rights, 0x18, 0x19, 0x1a
	HCS
	li	t0, -1
	csrw	CSR_PMPADDR1, t0
	li	t0, (HCS_FRAME(6) >> 2) | 63	/* the frames of 6 to 7 */
	csrw	CSR_PMPADDR0, t0
	li	t0, 0x1f00 | \rights
	csrw	CSR_PMPCFG0, t0
	sfence.vma
	DROPPED	"frame that PMP \rights keeps from HS"
	li	t0, -1
	csrw	CSR_PMPADDR0, t0
	li	t0, 0x1f
	csrw	CSR_PMPCFG0, t0
	sfence.vma
	.endr

	/* the ends of RAM are good */
	.irp	where, 0x87ffff00
	HCS
	DESC_W	7, DESC_FRAME, \where
	EVENT	7
	TRY	U, TAKEN, "4.5 frame \where is in RAM: taken", nop
	CSR_IS	CSR_SUFRAME, -1, \where, "4.5 frame \where is in RAM"
	csrw	CSR_USTATUS, zero
	.endr
	/* what the CPU supports is good, as in satp */
	HCS
	.irp	mode, 8, 9, 10
	DESC_W	7, DESC_SUATP, (\mode << 60) | (HCS_ROOT >> 12)
	VEIC_W	VEIC_MISSES, 0
	CSRW	CSR_SATP, (\mode << 60)
	csrr	s2, CSR_SATP
	srli	s2, s2, 60
	csrw	CSR_SATP, zero
	EVENT	7
	IN	U
	nop
	ENDIN
	/* the first entry of the table is a leaf at its level in each mode */
	li	t0, TAKEN
	xor	s3, a0, t0
	seqz	s3, s3
	csrw	CSR_USTATUS, zero
	li	t0, \mode
	xor	s2, s2, t0
	seqz	s2, s2
	EXPECTR	s3, s2, "4.5 suatp mode \mode is taken if satp has that mode"
	li	t0, VEIC
	ld	t5, VEIC_MISSES(t0)
	xori	s2, s2, 1
	EXPECTR	t5, s2, "4.5 suatp mode \mode: MISSES"
	.endr

	/* the next VEIID is taken instead, however many bad ones come first */
	HCS
	DESC_W	7, DESC_VALID, 0
	EVENT	7
	EVENT	8
	IN	U
7800:	nop
	ENDIN
	SWITCHED U, 8, 7800b, "4.5 the next VEIID is taken at once"
	VEIC_IS	VEIC_MISSES, 1, "4.5 the next VEIID is taken: the first one is a miss"
	VEIC_IS	EIP(0, 0), 0, "4.5 the next VEIID is taken: both are gone"
	csrw	CSR_USTATUS, zero
	HCS
	DESC_W	7, DESC_VALID, 0
	DESC_W	8, DESC_FRAME, 0
	VEIC_W	EUT(0, 1), -1
	VEIC_W	EIE(0, 1), -1
	li	t0, HCS_DESC(0, 64)
	li	t1, HCS_DESC(0, 128)
1:	sd	zero, 0(t0)
	addi	t0, t0, 64
	bne	t0, t1, 1b
	li	t0, HCS_DESC(0, 7)
	li	t1, HCS_DESC(0, 127)
	.irp	field, DESC_USCRATCH, DESC_UTVEC, DESC_SUSCRATCH, DESC_SUATP, DESC_FRAME
	ld	t2, \field(t0)
	sd	t2, \field(t1)
	.endr
	li	t2, 1
	sd	t2, 0(t1)
	EVENT	7
	EVENT	8
	VEIC_W	EIP(0, 1), -1
	IN	VS
7800:	nop
	ENDIN
	SWITCHED VS, 127, 7800b, "4.5 65 bad ones, and then a good one"
	VEIC_IS	VEIC_MISSES, 65, "4.5 65 bad ones, and then a good one: MISSES"
	csrw	CSR_USTATUS, zero

	/* bad while pending, then sent again with a good one */
	HCS
	EVENT	7
	DESC_W	7, DESC_VALID, 0
	TRY	U, ENDED, "4.5 made invalid while pending: not taken", nop
	VEIC_IS	VEIC_MISSES, 1, "4.5 made invalid while pending: a miss"
	DESC_W	7, DESC_VALID, 1
	TRY	U, ENDED, "4.5 good again, but it was dropped", nop
	EVENT	7
	TRY	U, TAKEN, "4.5 good again, and sent again: taken", nop
	csrw	CSR_USTATUS, zero
	/* bad while pending, good again before anybody looks: nothing was lost */
	HCS
	EVENT	7
	DESC_W	7, DESC_VALID, 0
	DESC_W	7, DESC_VALID, 1
	TRY	U, TAKEN, "4.5 invalid for a while: taken", nop
	VEIC_IS	VEIC_MISSES, 0, "4.5 invalid for a while: no miss"
	csrw	CSR_USTATUS, zero
	/* invalid in the frame that it leads to: that goes on */
	HCS
	HANDLER_OF 7
	li	t0, HCS_DESC(0, 7)
	sd	zero, 0(t0)
	URET
	ENDHANDLER
	EVENT	7
	li	a4, 0x77
	IN	U
	mv	a0, a4
	ENDIN
	EXPECT	a1, 0x77, "4.5 invalid in its own frame: URET works"
	VEIC_IS	VEIC_MISSES, 0, "4.5 invalid in its own frame: no miss"

	/* 25 that was pending stays while something is, and clears with UEIP */
	HCS
	csrw	CSR_UIE, zero
	DESC_W	7, DESC_VALID, 0
	EVENT	7
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "harness: 25 is pending"
	CSRW	CSR_UIE, UIE_UEIE
	TRY	U, ENDED, "4.5 dropped with 25 pending: not taken", nop
	CSR_IS	CSR_MIP, BIT(25), 0, "4.5 dropped with 25 pending: UEIP became 0, 25 clears"
	/* HS does not look at descriptors: the doorbell rings for a bad one, too */
	HCS
	DESC_W	7, DESC_VALID, 0
	EVENT	7
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "4.5 in M and HS nothing is dropped: the doorbell"
	VEIC_IS	EIP(0, 0), BIT(7), "4.5 in M and HS nothing is dropped: EIP"
	VEIC_IS	VEIC_MISSES, 0, "4.5 in M and HS nothing is dropped: MISSES"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
