/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 3.5 where it meets section 2: D is evaluated at entry to a handler and
 * at URET. In a frame D is false: no user VEIID rings; behind URET it holds
 * again, and 25 is set. (With UEIE=1 it is HCS that URET leads to.)
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

/* The handler calls M in the middle, which runs `hook`, and then returns. */
.macro WITH_HOOK hook
	la	t6, \hook
	sd	t6, HOOK(tp)
	HANDLER
	li	a7, MAGIC_HOOK
	ecall
	csrr	t0, CSR_UEPC
	addi	t0, t0, 4
	csrw	CSR_UEPC, t0
	URET
	ENDHANDLER
	sd	zero, MORE(tp)
.endm
/* the end of a hook: back into the handler; mip.25 as it is now at MORE */
.macro UNHOOK
	csrr	t0, CSR_MIP
	li	t1, BIT(25)
	and	t0, t0, t1
	sd	t0, MORE(tp)
	csrr	t0, CSR_MEPC
	addi	t0, t0, 4
	csrw	CSR_MEPC, t0
	mret
.endm
.macro READY
	call	fresh
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	VEIC_W	VEIC_CTL, 1
	VEIC_W	EUT(0, 0), BIT(7) | BIT(8)
	VEIC_W	EIE(0, 0), BIT(7) | BIT(8)
.endm
.macro IN_FRAME want, text
	ld	t5, MORE(tp)
	EXPECT	t5, \want << 25, "3.5 \text: 25 inside the frame"
.endm
.macro BEHIND want, text
	CSR_IS	CSR_MIP, BIT(25), \want << 25, "3.5 \text: 25 behind URET"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)

	/* an event that arrives in the frame */
	READY
	WITH_HOOK 7900f
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, ENDED, "harness: the guest went on"
	IN_FRAME 0, "an event in a frame"
	BEHIND	1, "an event in a frame"
	CSR_IS	CSR_UIP, -1, UIP_UEIP, "3.4 an event in a frame: UEIP"

	/* the same with 25 enabled: it interrupts the guest behind URET */
	READY
	WITH_HOOK 7900f
	CSRW	CSR_MIE, BIT(25)
	li	a2, GVA(PAGE) + AT
	IN	VS
	ld	a0, 0(a2)
7801:	li	a1, 1000000
7802:	addi	a1, a1, -1
	bnez	a1, 7802b
	ENDIN
	csrw	CSR_MIE, zero
	EXPECT	a0, INTR(IRQ_DOORBELL), "3.5 an event in a frame: 25 is taken behind URET"
	ld	t5, REC_EPC(tp)
	la	t6, 7801b
	EXPECTR	t5, t6, "3.5 an event in a frame: before the next instruction of the guest"
	ld	t5, REC_HSTATUS(tp)
	andi	t5, t5, HSTATUS_SPV
	EXPECT	t5, HSTATUS_SPV, "3.5 an event in a frame: 25 is taken from the guest"
	CSR_IS	CSR_USTATUS, -1, 0, "3.5 an event in a frame: the frame was over"
	IN_FRAME 0, "an event in a frame, 25 enabled"

	/* D held before: entry makes it false, URET true; 25 stays meanwhile */
	READY
	VEIC_W	EIP(0, 0), BIT(7)
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "3.5 D before the frame: 25"
	WITH_HOOK 7901f
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	EXPECT	a0, ENDED, "harness: the guest went on, D before"
	IN_FRAME 1, "25 set before the frame"
	BEHIND	1, "25 set before the frame"
	/* cleared by software in the frame: D becomes true at URET and sets it */
	READY
	VEIC_W	EIP(0, 0), BIT(7)
	WITH_HOOK 7902f
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	IN_FRAME 0, "25 cleared in the frame"
	BEHIND	1, "25 cleared in the frame, D true again"
	/* cleared before the frame, D holding on: false and true again */
	READY
	VEIC_W	EIP(0, 0), BIT(7)
	CSRC	CSR_MIP, BIT(25)
	WITH_HOOK 7901f
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	IN_FRAME 0, "25 cleared before the frame"
	BEHIND	1, "25 cleared before the frame, D true again"
	/* no frame, no change: the fault goes to HS */
	READY
	VEIC_W	EIP(0, 0), BIT(7)
	CSRC	CSR_MIP, BIT(25)
	csrw	CSR_HUEDELEG, zero
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_MMIO, "harness: to HS"
	CSR_IS	CSR_MIP, BIT(25), 0, "3.5 a fault that goes to HS changes nothing of 25"
	/* a further event in the frame: UEIP stays, 25 is for URET to set */
	READY
	VEIC_W	EIP(0, 0), BIT(8)
	CSRC	CSR_MIP, BIT(25)
	WITH_HOOK 7900f
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	IN_FRAME 0, "a further event in a frame"
	BEHIND	1, "a further event in a frame"
	/* the event is gone before URET */
	READY
	WITH_HOOK 7903f
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, ENDED, "harness: the guest went on, nothing pending"
	IN_FRAME 0, "an event that came and went in a frame"
	BEHIND	0, "an event that came and went in a frame"
	/* TUR: URET is refused, D stays false; HS ends the frame by ustatus */
	READY
	CSRW	CSR_USTATUS, USTATUS_TUR
	WITH_HOOK 7900f
	ACCESS	VS, GVA(PAGE) + AT, 0, sd a3, 0(a2)
	EXPECT	a0, ILLEGAL, "2.5 harness: URET is refused"
	CSR_IS	CSR_MIP, BIT(25), 0, "3.5 a refused URET: 25 stays clear"
	CSRC	CSR_USTATUS, USTATUS_UACT
	CSR_IS	CSR_MIP, BIT(25), BIT(25), "3.5 HS ends the frame by a write of ustatus: 25"
	csrw	CSR_USTATUS, zero

	/* a frame that interrupted U: URET to U is no change of mode */
	READY
	VEIC_W	EIP(0, 0), BIT(7)
	CSRW	CSR_USTATUS, USTATUS_UACT
	CSRC	CSR_MIP, BIT(25)
	CSR_IS	CSR_MIP, BIT(25), 0, "3.5 a frame of U, 25 cleared in it"
	la	t6, 7804f
	csrw	CSR_UEPC, t6
	IN	U
	URET
7804:	li	a0, 1
	ENDIN
	EXPECT	a0, ENDED, "harness: URET to U"
	BEHIND	1, "a frame of U"

	VEIC_W	EIPCLR(0, 0), -1
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* hooks, in M */
7900:	li	t6, VEIC + EIP(0, 0)
	li	t5, BIT(7)
	sd	t5, 0(t6)
	fence	iorw, iorw
7901:	UNHOOK
7902:	CSRC	CSR_MIP, BIT(25)
	UNHOOK
7903:	li	t6, VEIC + EIP(0, 0)
	li	t5, BIT(7)
	sd	t5, 0(t6)
	fence	iorw, iorw
	li	t6, VEIC + EIPCLR(0, 0)
	sd	t5, 0(t6)
	fence	iorw, iorw
	UNHOOK
