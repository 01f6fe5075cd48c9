/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.1 and 3.2, svei from every mode, with and without a route; which
 * counters a send moves (3.7); that sends coalesce; CTL=0.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "harness.h"

/* the counters since the last time, and what is pending in hart 0's word 0 */
.macro COUNTED sent, coalesced, misses, pending, text
	VEIC_IS	VEIC_SENT, \sent, "\text: SENT"
	VEIC_IS	VEIC_COALESCED, \coalesced, "\text: COALESCED"
	VEIC_IS	VEIC_MISSES, \misses, "\text: MISSES"
	VEIC_IS	EIP(0, 0), \pending, "\text: EIP"
	VEIC_W	VEIC_SENT, 0
	VEIC_W	VEIC_COALESCED, 0
	VEIC_W	VEIC_MISSES, 0
	VEIC_W	EIPCLR(0, 0), -1
.endm

/* HS and M: the VMID is in the value; hveictl does not matter */
.macro FROM_S mode, where
	.irp	en, 0, 1
	CSRW	CSR_HVEICTL, (\en << 63) | 1
	li	a1, (2 << 16) | 3
	TRY	\mode, ENDED, "3.1 \where with EN=\en sends", csrw CSR_SVEI, a1
	COUNTED	1, 0, 0, BIT(6), "3.1 \where with EN=\en: VMID in [31:16]"
	li	a1, (1 << 16) | 3
	TRY	\mode, ENDED, "3.1 \where with EN=\en sends for another VMID", csrw CSR_SVEI, a1
	COUNTED	1, 0, 0, BIT(5), "3.1 \where with EN=\en: another VMID in [31:16]"
	.endr
	li	a1, 0xffffffff00000000 | (2 << 16) | 3
	TRY	\mode, ENDED, "3.1 \where: higher bits do not trap", csrw CSR_SVEI, a1
	COUNTED	1, 0, 0, BIT(6), "3.1 \where: higher bits are ignored"
	li	a1, (1 << 16) | 9
	TRY	\mode, ENDED, "3.1 \where: no route does not trap", csrw CSR_SVEI, a1
	COUNTED	0, 0, 1, 0, "3.1 \where: no route is dropped, a failed look-up"
	li	a1, (3 << 16) | 3
	TRY	\mode, ENDED, "3.1 \where: no VM does not trap", csrw CSR_SVEI, a1
	COUNTED	0, 0, 1, 0, "3.1 \where: no VM is dropped, a failed look-up"
	TRY	\mode, ENDED, "3.1 \where: a read", csrr a0, CSR_SVEI
	EXPECT	a1, 0, "1 svei: \where reads 0"
	li	a1, 0
	TRY	\mode, ENDED, "3.1 \where: csrrs of a register with 0", csrs CSR_SVEI, a1
	li	a1, 0
	TRY	\mode, ENDED, "3.1 \where: csrrc of a register with 0", csrc CSR_SVEI, a1
	TRY	\mode, ENDED, "3.1 \where: csrrsi 0", csrrsi a0, CSR_SVEI, 0
	COUNTED	0, 0, 0, 0, "1 svei: \where, csrrs/c[i] of 0 only read"
	TRY	\mode, ENDED, "3.1 \where: csrrwi 0", csrwi CSR_SVEI, 0
	COUNTED	1, 0, 0, BIT(9), "3.1 \where: csrrwi 0 sends VMID 0, VEIRQ 0"
	TRY	\mode, ENDED, "3.1 \where: csrrsi 7", csrrsi a0, CSR_SVEI, 7
	COUNTED	1, 0, 0, BIT(10), "3.1 \where: csrrsi 7 sends VMID 0, VEIRQ 7"
	li	a1, 0x10003
	TRY	\mode, ENDED, "3.1 \where: csrrc", csrrc a0, CSR_SVEI, a1
	COUNTED	1, 0, 0, BIT(9), "3.1 \where: csrrc writes 0: VMID 0, VEIRQ 0"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	FRESH
	ROUTE	RT0, 0, 4, 0
	ROUTE	RT0, 3, 5, 0
	ROUTE	RT0, 7, 8, 0
	ROUTE	RT1, 3, 6, 0
	VM	0, RT2, 4
	ROUTE	RT2, 0, 9, 0
	ROUTE	RT2, 7, 10, 0

	/* VS, EN=1 */
	VMID	1
	VSEND	3
	EXPECT	a0, ENDED, "3.1 VS with EN=1 sends without a trap"
	COUNTED	1, 0, 0, BIT(5), "3.1 VS sends for hveictl.VMID"
	VMID	2
	VSEND	3
	EXPECT	a0, ENDED, "3.1 VS with another VMID sends"
	COUNTED	1, 0, 0, BIT(6), "3.1 the VMID chooses the route"
	VMID	1
	TRY	VS, ENDED, "3.1 VS with EN=1: a read does not trap", csrr a0, CSR_SVEI
	EXPECT	a1, 0, "3.1 VS with EN=1: a read gives 0"
	COUNTED	0, 0, 0, 0, "3.1 a read from VS does not send"
	li	a1, 3
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrw with rd", csrrw a0, CSR_SVEI, a1
	EXPECT	a1, 0, "3.1 VS with EN=1: csrrw reads 0"
	COUNTED	1, 0, 0, BIT(5), "3.1 csrrw from VS sends"
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrwi", csrwi CSR_SVEI, 3
	COUNTED	1, 0, 0, BIT(5), "3.1 csrrwi from VS sends"
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrwi 0", csrwi CSR_SVEI, 0
	COUNTED	1, 0, 0, BIT(4), "3.1 csrrwi 0 from VS sends VEIRQ 0"
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrw x0", csrw CSR_SVEI, zero
	COUNTED	1, 0, 0, BIT(4), "3.1 csrrw x0 from VS sends VEIRQ 0"
	li	a1, 3
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrs", csrs CSR_SVEI, a1
	COUNTED	1, 0, 0, BIT(5), "3.1 csrrs from VS writes 0 | value"
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrsi", csrrsi a0, CSR_SVEI, 7
	COUNTED	1, 0, 0, BIT(8), "3.1 csrrsi from VS writes 0 | value"
	li	a1, 3
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrc", csrc CSR_SVEI, a1
	COUNTED	1, 0, 0, BIT(4), "3.1 csrrc from VS writes 0"
	li	a1, 0
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrs of a register with 0", csrs CSR_SVEI, a1
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrc of a register with 0", csrc CSR_SVEI, a1
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrsi 0", csrrsi a0, CSR_SVEI, 0
	TRY	VS, ENDED, "3.1 VS with EN=1: csrrci 0", csrrci a0, CSR_SVEI, 0
	COUNTED	0, 0, 0, 0, "1 csrrs/c[i] of 0 only read: nothing sent"

	/* bits 63:16 */
	.irp	bit, 16, 17, 31, 32, 47, 63
	IN	VS
	li	a1, (1 << \bit) | 3
7010:	csrw	CSR_SVEI, a1
	ENDIN
	EXPECT	a0, VIRTUAL, "3.1 VS: bit \bit of the value set is a virtual-instruction exception"
	COUNTED	0, 0, 0, 0, "3.1 VS: bit \bit set, no look-up"
	.endr
	ld	t5, REC_EPC(tp)
	la	t4, 7010b
	EXPECTR	t5, t4, "3.1 VS: the exception is at the csrw"
	/* even where no route is */
	IN	VS
	li	a1, (1 << 16) | 9
	csrw	CSR_SVEI, a1
	ENDIN
	EXPECT	a0, VIRTUAL, "3.1 VS: bit 16 set and no route"
	COUNTED	0, 0, 0, 0, "3.1 VS: bit 16 set and no route, no look-up"

	/* no route */
	IN	VS
	li	a1, 9
7010:	csrw	CSR_SVEI, a1
	ENDIN
	EXPECT	a0, VIRTUAL, "3.1 VS: no valid route is a virtual-instruction exception"
	ld	t5, REC_EPC(tp)
	la	t4, 7010b
	EXPECTR	t5, t4, "3.1 VS: no valid route, the exception is at the csrw"
	COUNTED	0, 0, 1, 0, "3.1 VS: no valid route is a failed look-up"
	IN	VS
	li	a1, 9
	li	a0, 77
	csrrw	a0, CSR_SVEI, a1
	ENDIN
	EXPECT	a0, VIRTUAL, "3.1 VS: no valid route with rd"
	EXPECT	a1, 77, "3.1 VS: the refused instruction did not write rd"
	COUNTED	0, 0, 1, 0, "3.1 VS: no valid route with rd is a failed look-up"
	VMID	3
	VSEND	3
	EXPECT	a0, VIRTUAL, "3.1 VS: no VM entry is a virtual-instruction exception"
	COUNTED	0, 0, 1, 0, "3.1 VS: no VM entry is a failed look-up"
	/* as firmware delegates: to HS */
	VMID	1
	CSRW	CSR_MEDELEG, BIT(VIRTUAL)
	VSEND	9
	EXPECT	a0, VIRTUAL, "3.1 VS: delegated, the cause is the same"
	ld	t5, REC_WHERE(tp)
	EXPECT	t5, HS, "3.1 VS: the hypervisor gets the refused send"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, HSTATUS_SPV, "3.1 VS: hstatus.SPV says that it was the guest"
	csrw	CSR_MEDELEG, zero
	COUNTED	0, 0, 1, 0, "3.1 VS: delegated, a failed look-up"
	/* a disabled VEIID is still a valid route */
	VSEND	3
	VSEND	3
	EXPECT	a0, ENDED, "3.2 VS: a send to what is already pending does not trap"
	COUNTED	2, 1, 0, BIT(5), "3.2 sends coalesce"

	/* EN=0 */
	CSRW	CSR_HVEICTL, 1
	li	a1, 3
	TRY	VS, VIRTUAL, "3.1 VS with EN=0: csrr", csrr a0, CSR_SVEI
	TRY	VS, VIRTUAL, "3.1 VS with EN=0: csrrw", csrw CSR_SVEI, a1
	li	a1, 3
	TRY	VS, VIRTUAL, "3.1 VS with EN=0: csrrs", csrrs a0, CSR_SVEI, a1
	li	a1, 3
	TRY	VS, VIRTUAL, "3.1 VS with EN=0: csrrc", csrrc a0, CSR_SVEI, a1
	TRY	VS, VIRTUAL, "3.1 VS with EN=0: csrrwi", csrrwi a0, CSR_SVEI, 3
	TRY	VS, VIRTUAL, "3.1 VS with EN=0: csrrsi 0", csrrsi a0, CSR_SVEI, 0
	COUNTED	0, 0, 0, 0, "3.1 VS with EN=0: no look-up"

	/* VU and U never, whatever hveictl and UACT */
	.irp	en, 0, 1
	CSRW	CSR_HVEICTL, (\en << 63) | 1
	li	a1, 3
	TRY	VU, VIRTUAL, "3.1 VU with EN=\en: csrr", csrr a0, CSR_SVEI
	li	a1, 3
	TRY	VU, VIRTUAL, "3.1 VU with EN=\en: csrrw", csrw CSR_SVEI, a1
	TRY	VU, VIRTUAL, "3.1 VU with EN=\en: csrrwi", csrwi CSR_SVEI, 3
	li	a1, 3
	TRY	U, ILLEGAL, "3.1 U with EN=\en: csrr", csrr a0, CSR_SVEI
	li	a1, 3
	TRY	U, ILLEGAL, "3.1 U with EN=\en: csrrw", csrw CSR_SVEI, a1
	CSRW	CSR_USTATUS, USTATUS_UACT
	li	a1, 3
	TRY	U, ILLEGAL, "3.1 U with EN=\en, UACT=1: csrrw", csrw CSR_SVEI, a1
	TRY	U, ILLEGAL, "3.1 U with EN=\en, UACT=1: csrrwi", csrwi CSR_SVEI, 3
	csrw	CSR_USTATUS, zero
	COUNTED	0, 0, 0, 0, "3.1 VU and U with EN=\en: nothing sent, no look-up"
	.endr

	FROM_S	HS, "HS"
	FROM_S	M, "M"

	/* to another hart */
	ROUTE	RT0, 4, 70, 1
	VMID	1
	VSEND	4
	EXPECT	a0, ENDED, "3.1 VS sends to another hart"
	VEIC_IS	EIP(1, 1), BIT(6), "3.1 VS: pending in the other hart's file"
	VEIC_IS	EIP(0, 1), 0, "3.1 VS: not in the sender's"
	VSEND	4
	VEIC_W	EIPCLR(1, 1), BIT(6)
	VSEND	4
	COUNTED	3, 1, 0, 0, "3.2 a send after the claim does not coalesce"
	VEIC_W	EIPCLR(1, 1), -1
	/* a user VEIID is sent to in the same way */
	VEIC_W	EUT(0, 0), BIT(5)
	VSEND	3
	VSEND	3
	COUNTED	2, 1, 0, BIT(5), "3.2 sends to a user VEIID coalesce"
	VEIC_W	EUT(0, 0), 0
	/* pending by hand counts as pending */
	VEIC_W	EIP(0, 0), BIT(5)
	VSEND	3
	COUNTED	1, 1, 0, BIT(5), "3.2 a send to a VEIID set by EIP coalesces"

	/* CTL=0 stops sends, not what is pending */
	VEIC_W	EIE(0, 0), BIT(5) | BIT(6)
	VSEND	3
	VEIC_W	VEIC_SENT, 0
	VEIC_W	VEIC_CTL, 0
	VSEND	3
	EXPECT	a0, VIRTUAL, "3.7 CTL=0: VS gets a virtual-instruction exception"
	SEND	2, 3
	EXPECT	a0, ENDED, "3.7 CTL=0: HS does not trap"
	VEIC_IS	VEIC_MISSES, 2, "3.7 CTL=0: every look-up misses"
	VEIC_IS	VEIC_SENT, 0, "3.7 CTL=0: nothing sent"
	VEIC_IS	VEIC_COALESCED, 0, "3.7 CTL=0: nothing coalesced"
	VEIC_IS	EIP(0, 0), BIT(5), "3.7 CTL=0: what was pending stays so"
	CSR_IS	CSR_MIP, BIT(24), BIT(24), "3.7 CTL=0: 24 stays pending"
	CSRW	CSR_MIE, BIT(24)
	TRY	U, INTR(IRQ_VEI), "3.7 CTL=0: 24 is still delivered", nop
	csrw	CSR_MIE, zero
	TRY	HS, ENDED, "3.7 CTL=0: stopvei works", csrrw a0, CSR_STOPVEI, zero
	EXPECT	a1, 5, "3.7 CTL=0: stopvei claims what is pending"
	VEIC_W	EIP(0, 0), BIT(6)
	CSR_IS	CSR_MIP, BIT(24), BIT(24), "3.7 CTL=0: a write of EIP still makes 24 pending"
	VEIC_W	EIPCLR(0, 0), -1
	VEIC_W	VEIC_MISSES, 0
	VEIC_W	VEIC_CTL, 1
	VSEND	3
	EXPECT	a0, ENDED, "3.7 CTL=1 again: VS sends"
	COUNTED	1, 0, 0, BIT(5), "3.7 CTL=1 again"

	/* 3.2: whoever sees the event sees the stores before it */
	VEIC_W	EIE(0, 0), 0
	ROUTE	RT0, 5, 71, 1
	VEIC_W	VEIC_INVAL, INVAL_ALL
	la	s6, shared
	START	1, receiver
	VMID	1
	li	s7, 1000
	li	s8, 0
	li	a2, 5
7020:	ld	t0, 8(s6)		/* what the receiver has seen */
	bne	t0, s8, 7020b
	addi	s8, s8, 1
	IN	VS
	sd	s8, 0(s6)
	fence	w, o
	csrw	CSR_SVEI, a2
	ENDIN
	bltu	s8, s7, 7020b
7021:	ld	t0, 8(s6)
	bne	t0, s8, 7021b
	JOIN	1
	ld	t5, 16(s6)
	EXPECT	t5, 0, "3.2 after fence w, o the receiver saw every store before the send"

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* On hart 1: wait for each event, compare what came before it. */
receiver:
	la	t0, shared
	li	t1, VEIC + EIP(1, 1)
	li	t2, VEIC + EIPCLR(1, 1)
	li	t3, 0
	li	t6, 1000
	li	a1, BIT(7)
1:	ld	t4, 0(t1)
	and	t4, t4, a1
	beqz	t4, 1b
	sd	a1, 0(t2)
	fence	iorw, iorw
	addi	t3, t3, 1
	ld	t5, 0(t0)
	beq	t5, t3, 2f
	ld	t5, 16(t0)
	addi	t5, t5, 1
	sd	t5, 16(t0)
2:	sd	t3, 8(t0)
	bltu	t3, t6, 1b
	ret

	.bss
	.balign	64
shared:	.zero	64
