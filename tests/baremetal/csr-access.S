/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 1, who may access the CSRs outside a frame: U with UACT=0, VU
 * and VS (UACT=0 and 1) never, HS and M always, and what each kind of CSR
 * instruction does. svei from VS belongs to send.S, U with UACT=1 to uact.S.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"
#include "csr-list.h"

/* HS and M: read, write, set, clear, by register and by immediate */
.macro GRANTED mode, where, name, num, keeps
	csrw	\num, zero
	IN	\mode
	li	a1, \keeps
	csrrw	a0, \num, a1
	ENDIN
	EXPECT	a0, ENDED, "1 \name: csrrw from \where is allowed"
	EXPECT	a1, 0, "1 \name: csrrw from \where gives the old value"
	TRY	\mode, ENDED, "1 \name: csrr from \where is allowed", csrr a0, \num
	EXPECT	a1, \keeps, "1 \name: \where reads what was written"
	IN	\mode
	li	a1, \keeps
	csrrc	a0, \num, a1
	ENDIN
	EXPECT	a0, ENDED, "1 \name: csrrc from \where is allowed"
	EXPECT	a1, \keeps, "1 \name: csrrc from \where gives the old value"
	csrr	t5, \num
	EXPECT	t5, 0, "1 \name: csrrc from \where clears"
	IN	\mode
	li	a1, \keeps
	csrrs	a0, \num, a1
	ENDIN
	EXPECT	a0, ENDED, "1 \name: csrrs from \where is allowed"
	EXPECT	a1, 0, "1 \name: csrrs from \where gives the old value"
	csrr	t5, \num
	EXPECT	t5, \keeps, "1 \name: csrrs from \where sets"
	IN	\mode
	li	a1, 0
	csrrs	a0, \num, a1
	csrrc	a0, \num, a1
	csrrsi	a0, \num, 0
	csrrci	a0, \num, 0
	ENDIN
	EXPECT	a0, ENDED, "1 \name: csrrs/c[i] of 0 from \where are allowed"
	EXPECT	a1, \keeps, "1 \name: csrrs/c[i] of 0 from \where only read"
	TRY	\mode, ENDED, "1 \name: csrrwi from \where is allowed", csrrwi a0, \num, 0
	EXPECT	a1, \keeps, "1 \name: csrrwi from \where gives the old value"
	csrr	t5, \num
	EXPECT	t5, 0, "1 \name: csrrwi from \where writes"
.endm

.macro HS_GRANTED name, num, keeps
	GRANTED	HS, "HS", \name, \num, \keeps
.endm
.macro M_GRANTED name, num, keeps
	GRANTED	M, "M", \name, \num, \keeps
.endm

.macro U_REFUSED name, num, keeps
	CSRW	\num, (\keeps)
	REFUSED	U, "U with UACT=0", ILLEGAL, "illegal", \name, \num
	csrr	t5, \num
	EXPECT	t5, \keeps, "1 \name: U with UACT=0 changed nothing"
	csrw	\num, zero
.endm
.macro VU_REFUSED name, num, keeps
	CSRW	\num, \keeps
	REFUSED	VU, "VU", VIRTUAL, "a virtual-instruction exception", \name, \num
	csrr	t5, \num
	EXPECT	t5, \keeps, "1 \name: VU changed nothing"
	csrw	\num, zero
.endm
.macro VS_REFUSED name, num, keeps
	.if	\num - CSR_SVEI
	CSRW	\num, \keeps
	REFUSED	VS, "VS", VIRTUAL, "a virtual-instruction exception", \name, \num
	csrr	t5, \num
	EXPECT	t5, \keeps, "1 \name: VS changed nothing"
	csrw	\num, zero
	.endif
.endm
/* the same inside a frame: V=1 has no frame of its own */
.macro V_FRAME name, num, keeps
	CSRS	CSR_USTATUS, USTATUS_UACT
	TRY	VU, VIRTUAL, "1 \name: csrr from VU is a virtual-instruction exception with UACT=1", csrr a0, \num
	TRY1	VU, -1, VIRTUAL, "1 \name: csrrw from VU is a virtual-instruction exception with UACT=1", csrrw a0, \num, a1
	.if	\num - CSR_SVEI
	TRY	VS, VIRTUAL, "1 \name: csrr from VS is a virtual-instruction exception with UACT=1", csrr a0, \num
	TRY1	VS, -1, VIRTUAL, "1 \name: csrrw from VS is a virtual-instruction exception with UACT=1", csrrw a0, \num, a1
	.endif
	csrw	CSR_USTATUS, zero
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	call	fresh

	EACH_CSR HS_GRANTED
	EACH_CSR M_GRANTED
	EACH_CSR VU_REFUSED
	EACH_CSR VS_REFUSED
	EACH_CSR V_FRAME

	/* hstatus by its usual rules */
	REFUSED	U, "U with UACT=0", ILLEGAL, "illegal", hstatus, 0x600
	REFUSED	VU, "VU", VIRTUAL, "a virtual-instruction exception", hstatus, 0x600
	REFUSED	VS, "VS", VIRTUAL, "a virtual-instruction exception", hstatus, 0x600

	/* ustatus of the list has UACT clear: UACT=0 all along */
	EACH_CSR U_REFUSED

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
