/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.3, the supervisor interrupt 24 and stopvei: what is pending and
 * enabled, lowest first, claims, level, read-only bit; 3.6 as to where 24 is
 * taken; 3.7, that EIE, EIP, EIPCLR and EUT act on it at once.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2 accel=tcg,thread=single
 */
#include "harness.h"

.macro PENDING want, text
	CSR_IS	CSR_MIP, VEI_BITS, \want << 24, "3.3 \text: mip.24"
	IN	HS
	csrr	a0, CSR_SIP
	ENDIN
	li	t0, VEI_BITS
	and	t5, a1, t0
	EXPECT	t5, \want << 24, "3.3 \text: sip.24"
.endm

.macro TOP want, text
	TRY	HS, ENDED, "3.3 \text: stopvei can be read in HS", csrr a0, CSR_STOPVEI
	EXPECT	a1, \want, "3.3 \text: stopvei"
	TRY	M, ENDED, "3.3 \text: stopvei can be read in M", csrr a0, CSR_STOPVEI
	EXPECT	a1, \want, "3.3 \text: stopvei in M"
.endm

/* VEIIDs 9 and 10 pending; one form of write must claim 9 and only 9 */
.macro CLAIMS mode, where, text, insn:vararg
	VEIC_W	EIP(0, 0), BIT(9) | BIT(10)
	li	a1, 1
	TRY	\mode, ENDED, "3.3 \text from \where", \insn
	VEIC_IS	EIP(0, 0), BIT(10), "3.3 \text from \where claims the lowest VEIID"
	VEIC_W	EIPCLR(0, 0), -1
.endm

.macro CLAIMS_NOT mode, where, text, insn:vararg
	VEIC_W	EIP(0, 0), BIT(9) | BIT(10)
	li	a1, 0
	TRY	\mode, ENDED, "3.3 \text from \where", \insn
	EXPECT	a1, 9, "3.3 \text from \where reads the lowest VEIID"
	VEIC_IS	EIP(0, 0), BIT(9) | BIT(10), "3.3 \text from \where does not claim"
	VEIC_W	EIPCLR(0, 0), -1
.endm

.macro ALL_FORMS mode, where
	CLAIMS	\mode, "\where", "csrrw", csrrw a0, CSR_STOPVEI, a1
	EXPECT	a1, 9, "3.3 csrrw from \where returns the VEIID that it claims"
	CLAIMS	\mode, "\where", "csrrw x0 to x0", csrw CSR_STOPVEI, zero
	CLAIMS	\mode, "\where", "csrrwi 0", csrrwi a0, CSR_STOPVEI, 0
	EXPECT	a1, 9, "3.3 csrrwi from \where returns the VEIID that it claims"
	CLAIMS	\mode, "\where", "csrrs of 1", csrrs a0, CSR_STOPVEI, a1
	EXPECT	a1, 9, "3.3 csrrs from \where returns the VEIID that it claims"
	CLAIMS	\mode, "\where", "csrrc of 1", csrrc a0, CSR_STOPVEI, a1
	EXPECT	a1, 9, "3.3 csrrc from \where returns the VEIID that it claims"
	CLAIMS	\mode, "\where", "csrrsi 1", csrrsi a0, CSR_STOPVEI, 1
	CLAIMS	\mode, "\where", "csrrci 1", csrrci a0, CSR_STOPVEI, 1
	CLAIMS_NOT \mode, "\where", "csrr", csrr a0, CSR_STOPVEI
	CLAIMS_NOT \mode, "\where", "csrrs of a register with 0", csrrs a0, CSR_STOPVEI, a1
	CLAIMS_NOT \mode, "\where", "csrrc of a register with 0", csrrc a0, CSR_STOPVEI, a1
	CLAIMS_NOT \mode, "\where", "csrrsi 0", csrrsi a0, CSR_STOPVEI, 0
	CLAIMS_NOT \mode, "\where", "csrrci 0", csrrci a0, CSR_STOPVEI, 0
.endm

/* 24 pending and enabled in sie: is it taken, and as what */
.macro TAKEN mode, where, spv
	TRY	\mode, INTR(IRQ_VEI), "3.6 24 is taken from \where", nop
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.6 24 from \where is taken in HS"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, \spv << 7, "3.6 24 from \where: hstatus.SPV"
	ld	t5, REC_TVAL(tp)
	EXPECT	t5, 0, "3.6 24 from \where: stval"
.endm

/* 24 comes from another hart while this one runs a loop in `mode`. */
.macro RUNNING_IN mode, where
	VEIC_W	EIPCLR(0, 0), -1
	la	a2, runs
	sd	zero, 0(a2)
	START	1, send_later
	CSRW	CSR_MIE, BIT(24)
	IN	\mode
	li	a1, 1
	sd	a1, 0(a2)
	li	a1, 1000000000
1:	addi	a1, a1, -1
	bnez	a1, 1b
	ENDIN
	mv	s4, a0
	JOIN	1
	EXPECT	s4, INTR(IRQ_VEI), "3.3 delivered while the hart runs in \where: 24 is taken"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	PENDING	0, "at rest"
	TOP	0, "at rest"
	TRY	HS, ENDED, "3.3 a claim of nothing does not trap", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 0, "3.3 a claim of nothing gives 0"

	/* pending and enabled, in either order */
	VEIC_W	EIP(0, 0), BIT(9)
	PENDING	0, "pending, not enabled"
	TOP	0, "pending, not enabled"
	TRY	HS, ENDED, "3.3 a claim of what is not enabled", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 0, "3.3 a claim of what is not enabled gives 0"
	VEIC_IS	EIP(0, 0), BIT(9), "3.3 a claim of what is not enabled leaves it"
	VEIC_W	EIE(0, 0), BIT(9)
	PENDING	1, "enabled while pending"
	TOP	9, "enabled while pending"
	VEIC_W	EIE(0, 0), 0
	PENDING	0, "disabled while pending"
	TOP	0, "disabled while pending"
	VEIC_W	EIE(0, 0), -1
	PENDING	1, "enabled again"
	VEIC_W	EIPCLR(0, 0), BIT(9)
	PENDING	0, "cleared by EIPCLR"
	TOP	0, "cleared by EIPCLR"
	ROUTE	RT0, 1, 9, 0
	SEND	1, 1
	PENDING	1, "sent"
	TOP	9, "sent"
	/* user VEIIDs are not seen */
	VEIC_W	EUT(0, 0), BIT(9)
	TOP	0, "made a user VEIID"
	CSR_IS	CSR_MIP, BIT(24), 0, "3.3 made a user VEIID: mip.24"
	TRY	HS, ENDED, "3.3 a claim with only a user VEIID pending", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 0, "3.3 a claim with only a user VEIID pending gives 0"
	VEIC_IS	EIP(0, 0), BIT(9), "3.3 a claim leaves a user VEIID pending"
	VEIC_W	EUT(0, 0), 0
	CSR_IS	CSR_MIP, BIT(24), BIT(24), "3.3 made a supervisor VEIID again: mip.24"
	TOP	9, "made a supervisor VEIID again"
	VEIC_W	EIP(0, 0), BIT(8)
	VEIC_W	EUT(0, 0), BIT(8)
	TOP	9, "a lower user VEIID is passed over"
	VEIC_W	EUT(0, 0), 0
	VEIC_W	EIPCLR(0, 0), -1
	CSRC	CSR_MIP, BIT(25)

	/* the lowest first, over all words */
	VEIC_W	EIE(0, 1), -1
	VEIC_W	EIE(0, 7), -1
	VEIC_W	EIE(0, 15), -1
	VEIC_W	EIP(0, 15), 1 << 63
	VEIC_W	EIP(0, 7), 1 << 0
	VEIC_W	EIP(0, 1), 1 << 63
	VEIC_W	EIP(0, 1), 1 << 0
	VEIC_W	EIP(0, 0), 1 << 63
	VEIC_W	EIP(0, 0), 1 << 1
	.irp	veiid, 1, 63, 64, 127, 448, 1023
	PENDING	1, "before \veiid"
	TRY	HS, ENDED, "3.3 claim", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, \veiid, "3.3 csrrw stopvei returns and claims the lowest VEIID, \veiid"
	.endr
	PENDING	0, "all claimed"
	TOP	0, "all claimed"
	VEIC_IS	EIP(0, 0), 0, "3.3 all claimed: EIP word 0"
	VEIC_IS	EIP(0, 1), 0, "3.3 all claimed: EIP word 1"
	VEIC_IS	EIP(0, 7), 0, "3.3 all claimed: EIP word 7"
	VEIC_IS	EIP(0, 15), 0, "3.3 all claimed: EIP word 15"

	ALL_FORMS HS, "HS"
	ALL_FORMS M, "M"

	/* a claim skips what is pending below but not enabled */
	VEIC_W	EIE(0, 0), BIT(10)
	VEIC_W	EIP(0, 0), BIT(9) | BIT(10)
	TRY	HS, ENDED, "3.3 claim above a disabled VEIID", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 10, "3.3 claim above a disabled VEIID: the enabled one"
	VEIC_IS	EIP(0, 0), BIT(9), "3.3 claim above a disabled VEIID: that one stays pending"
	VEIC_W	EIPCLR(0, 0), -1
	VEIC_W	EIE(0, 0), -1

	/* of this hart's file only */
	VEIC_W	EIE(1, 0), -1
	VEIC_W	EIP(1, 0), BIT(3)
	PENDING	0, "pending in another hart's file"
	TOP	0, "pending in another hart's file"
	START	1, other
	JOIN	1
	ld	t5, areas + AREA_SIZE + SCRATCH
	EXPECT	t5, BIT(24), "3.3 the other hart has 24 pending"
	ld	t5, areas + AREA_SIZE + SCRATCH + 8
	EXPECT	t5, 3, "3.3 the other hart claims its own VEIID"
	ld	t5, areas + AREA_SIZE + SCRATCH + 16
	EXPECT	t5, 0, "3.3 the other hart has nothing pending after the claim"
	VEIC_IS	EIP(1, 0), 0, "3.3 the other hart's EIP is clear"

	/* level, and read-only */
	VEIC_W	EIP(0, 0), BIT(9)
	csrw	CSR_MIP, zero
	PENDING	1, "csrrw mip, 0 does not clear it"
	CSRC	CSR_MIP, VEI_BITS
	PENDING	1, "csrrc mip does not clear it"
	IN	HS
	li	a1, VEI_BITS
	csrc	CSR_SIP, a1
	csrw	CSR_SIP, zero
	ENDIN
	PENDING	1, "writes of sip do not clear it"
	VEIC_W	EIPCLR(0, 0), -1
	CSRS	CSR_MIP, BIT(24)
	PENDING	0, "csrrs mip does not set it"
	IN	HS
	li	a1, BIT(24)
	csrs	CSR_SIP, a1
	ENDIN
	PENDING	0, "csrrs sip does not set it"

	/* sie.24 */
	IN	HS
	li	a1, VEI_BITS
	csrs	CSR_SIE, a1
	csrr	a0, CSR_SIE
	ENDIN
	li	t0, VEI_BITS
	and	t5, a1, t0
	EXPECT	t5, VEI_BITS, "3.6 sie: HS sets bits 24, 25"
	CSR_IS	CSR_MIE, VEI_BITS, VEI_BITS, "3.6 mie shows the same bits as sie"
	IN	HS
	li	a1, BIT(25)
	csrc	CSR_SIE, a1
	ENDIN
	CSR_IS	CSR_MIE, VEI_BITS, BIT(24), "3.6 sie: HS clears bit 25"
	csrw	CSR_MIE, zero

	/* where it is taken */
	VEIC_W	EIP(0, 0), BIT(9)
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	TRY	HS, ENDED, "3.6 24 is not taken with sie.24=0, from HS", nop
	TRY	U, ENDED, "3.6 24 is not taken with sie.24=0, from U", nop
	TRY	VS, ENDED, "3.6 24 is not taken with sie.24=0, from VS", nop
	CSRS	CSR_MIE, BIT(24)
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	TRY	HS, ENDED, "3.6 24 is not taken from HS with SIE=0", nop
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	TAKEN	HS, "HS with SIE=1", 0
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	TAKEN	U, "U with SIE=0", 0
	TAKEN	VS, "VS", 1
	TAKEN	VU, "VU", 1
	IN	M
	li	a1, MSTATUS_MIE
	csrs	CSR_MSTATUS, a1
	nop
	nop
	csrc	CSR_MSTATUS, a1
	ENDIN
	EXPECT	a0, ENDED, "3.6 24 is not taken from M, even with MIE=1"
	/* whatever the hypervisor delegates, it stays its own */
	CSRW	CSR_HIDELEG, -1
	CSRW	CSR_VSSTATUS, MSTATUS_SIE
	TAKEN	VS, "VS with hideleg all ones", 1
	TAKEN	VU, "VU with hideleg all ones", 1
	csrw	CSR_HIDELEG, zero
	csrw	CSR_VSSTATUS, zero
	/* a claim in HS takes the level away */
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	IN	U
	nop
	ENDIN
	EXPECT	a0, INTR(IRQ_VEI), "3.3 24 is taken again and again while pending"
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	IN	HS
	csrrw	a0, CSR_STOPVEI, zero
	ENDIN
	EXPECT	a0, INTR(IRQ_VEI), "3.3 with SIE=1 the level is taken before the first instruction"
	VEIC_IS	EIP(0, 0), BIT(9), "3.3 and that instruction claimed nothing"
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	IN	HS
	csrrw	a0, CSR_STOPVEI, zero
	li	a2, MSTATUS_SIE
	csrs	CSR_SSTATUS, a2
	nop
	csrc	CSR_SSTATUS, a2
	ENDIN
	EXPECT	a0, ENDED, "3.3 after the claim nothing is taken"
	EXPECT	a1, 9, "3.3 the claim gave the VEIID"
	TRY	U, ENDED, "3.3 after the claim nothing is taken from U", nop
	/* raised while the hart runs in HS with SIE=1: taken at once */
	IN	HS
	li	a2, MSTATUS_SIE
	csrs	CSR_SSTATUS, a2
	li	a3, VEIC + EIP(0, 0)
	li	a4, BIT(9)
	sd	a4, 0(a3)
	ld	a4, 0(a3)
	li	a0, 1
	nop
	nop
	csrc	CSR_SSTATUS, a2
	ENDIN
	EXPECT	a0, INTR(IRQ_VEI), "3.3 EIP set by the hart itself is taken"

	/* delivered while the hart runs, and does nothing that would make it look */
	ROUTE	RT0, 1, 9, 0
	VEIC_W	VEIC_INVAL, INVAL_ALL
	RUNNING_IN U, "U"
	RUNNING_IN VS, "VS"
	RUNNING_IN VU, "VU"
	CSRS	CSR_MSTATUS, MSTATUS_SIE
	RUNNING_IN HS, "HS"
	CSRC	CSR_MSTATUS, MSTATUS_SIE
	csrw	CSR_MIE, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1: wait until hart 0 says that it runs, then send. */
send_later:
	mv	s0, ra
	la	t0, runs
1:	ld	t1, 0(t0)
	beqz	t1, 1b
	SEND	1, 1
	jr	s0

	.bss
	.balign	64
runs:	.zero	64
	.text

/* On hart 1: mip.24, a claim, mip.24 again. */
other:	li	t1, BIT(24)
	csrr	t0, CSR_MIP
	and	t0, t0, t1
	sd	t0, SCRATCH(tp)
	csrrw	t0, CSR_STOPVEI, zero
	sd	t0, SCRATCH+8(tp)
	csrr	t0, CSR_MIP
	and	t0, t0, t1
	sd	t0, SCRATCH+16(tp)
	ret
