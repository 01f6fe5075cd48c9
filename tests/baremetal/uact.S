/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: section 1, the column "U while UACT=1": what U may read and write
 * inside a frame, and that everything else is an illegal instruction. HS makes
 * the frame by a write of ustatus.
 *
 * run: machine=virt,veic=on cpu=rv64,h=true,xhaiov=on smp=1
 */
#include "harness.h"
#include "csr-list.h"

/* ustatus itself needs UACT set in its value */
.macro SET name, num, keeps
	.if	\num
	CSRW	\num, \keeps
	CSRW	CSR_USTATUS, USTATUS_UACT
	.else
	CSRW	CSR_USTATUS, USTATUS_UACT | USTATUS_TUR | USTATUS_UPP
	.endif
.endm
.macro KEPT num, keeps, what
	csrr	t5, \num
	.if	\num
	EXPECT	t5, \keeps, "\what"
	csrw	\num, zero
	.else
	EXPECT	t5, USTATUS_UACT | USTATUS_TUR | USTATUS_UPP, "\what"
	.endif
.endm

.macro U_READS name, num, keeps
	SET	\name, \num, \keeps
	TRY	U, ENDED, "1 \name: U with UACT=1 reads", csrr a0, \num
	.if	\num
	EXPECT	a1, \keeps, "1 \name: U with UACT=1 sees the value"
	.else
	EXPECT	a1, USTATUS_UACT | USTATUS_TUR | USTATUS_UPP, "1 \name: U with UACT=1 sees the value"
	.endif
	li	a1, 0
	TRY	U, ENDED, "1 \name: U with UACT=1, csrrs of a register with 0 only reads", csrrs a0, \num, a1
	li	a1, 0
	TRY	U, ENDED, "1 \name: U with UACT=1, csrrc of a register with 0 only reads", csrrc a0, \num, a1
	TRY	U, ENDED, "1 \name: U with UACT=1, csrrsi 0 only reads", csrrsi a0, \num, 0
	TRY	U, ENDED, "1 \name: U with UACT=1, csrrci 0 only reads", csrrci a0, \num, 0
	KEPT	\num, \keeps, "1 \name: reads by U with UACT=1 changed nothing"
.endm

.macro NO_WRITE name, num, where
	TRY1	U, -1, ILLEGAL, "1 \name: csrrw from \where is illegal", csrrw a0, \num, a1
	TRY1	U, 0, ILLEGAL, "1 \name: csrrw of 0 from \where is illegal", csrrw a0, \num, a1
	TRY	U, ILLEGAL, "1 \name: csrrw of x0 with rd=x0 from \where is illegal", csrw \num, zero
	TRY1	U, -1, ILLEGAL, "1 \name: csrrs from \where is illegal", csrrs a0, \num, a1
	TRY1	U, -1, ILLEGAL, "1 \name: csrrc from \where is illegal", csrrc a0, \num, a1
	TRY	U, ILLEGAL, "1 \name: csrrwi 0 from \where is illegal", csrrwi a0, \num, 0
	TRY	U, ILLEGAL, "1 \name: csrrsi from \where is illegal", csrrsi a0, \num, 1
	TRY	U, ILLEGAL, "1 \name: csrrci from \where is illegal", csrrci a0, \num, 1
.endm

.macro U_NO_WRITE name, num, keeps
	.if	(\num - CSR_USCRATCH) && (\num - CSR_UEPC)
	SET	\name, \num, \keeps
	NO_WRITE \name, \num, "U with UACT=1"
	KEPT	\num, \keeps, "1 \name: refused writes by U with UACT=1 changed nothing"
	.endif
.endm

.macro U_WRITES name, num, keeps, where
	IN	U
	li	a1, \keeps
	csrw	\num, a1
	ENDIN
	EXPECT	a0, ENDED, "1 \name: csrrw from \where is allowed"
	csrr	t5, \num
	EXPECT	t5, \keeps, "1 \name: csrrw from \where writes"
	IN	U
	li	a1, \keeps
	csrrc	a0, \num, a1
	ENDIN
	EXPECT	a0, ENDED, "1 \name: csrrc from \where is allowed"
	EXPECT	a1, \keeps, "1 \name: csrrc from \where gives the old value"
	csrr	t5, \num
	EXPECT	t5, 0, "1 \name: csrrc from \where clears"
	TRY	U, ENDED, "1 \name: csrrsi from \where is allowed", csrrsi a0, \num, 30
	csrr	t5, \num
	EXPECT	t5, 30, "1 \name: csrrsi from \where sets"
	TRY	U, ENDED, "1 \name: csrrwi from \where is allowed", csrrwi a0, \num, 6
	csrr	t5, \num
	EXPECT	t5, 6, "1 \name: csrrwi from \where writes"
	csrw	\num, zero
.endm

.macro U_DASH name, num, keeps
	SET	\name, \num, \keeps
	REFUSED	U, "U with UACT=1", ILLEGAL, "illegal", \name, \num
	li	a1, 0
	TRY	U, ILLEGAL, "1 \name: csrrs of a register with 0 from U with UACT=1 is illegal", csrrs a0, \num, a1
	KEPT	\num, \keeps, "1 \name: U with UACT=1 changed nothing"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	call	fresh

	EACH_U_CSR U_READS
	EACH_U_CSR U_NO_WRITE
	EACH_S_CSR U_DASH
	CSRW	CSR_USTATUS, USTATUS_UACT
	REFUSED	U, "U with UACT=1", ILLEGAL, "illegal", hstatus, 0x600

	U_WRITES uscratch, 0x040, 0x0123456789abcdef, "U with UACT=1"
	U_WRITES uepc, 0x041, 0xfedcba987654, "U with UACT=1, UHCS=0"

	/*
	 * UHCS=1 closes uepc, not uscratch. The HS and the partner registers are
	 * alike, so that the swap of 4.4 shows nothing here.
	 */
	CSRW	CSR_SUSCRATCH, 0x5555
	CSRW	CSR_SSCRATCH, 0x5555
	CSRW	CSR_UEPC, 0x40004000
	CSRW	CSR_USTATUS, USTATUS_UACT | USTATUS_UHCS
	NO_WRITE uepc, 0x041, "U with UACT=1, UHCS=1"
	TRY	U, ENDED, "1 uepc: U with UACT=1, UHCS=1 reads", csrr a0, CSR_UEPC
	EXPECT	a1, 0x40004000, "1 uepc: U with UACT=1, UHCS=1 sees the value, unchanged"
	IN	U
	li	a1, 0x77
	csrw	CSR_USCRATCH, a1
	csrr	a0, CSR_USCRATCH
	ENDIN
	EXPECT	a0, ENDED, "1 uscratch: U with UACT=1, UHCS=1 writes and reads"
	EXPECT	a1, 0x77, "1 uscratch: U with UACT=1, UHCS=1 reads what it wrote"
	csrw	CSR_USTATUS, zero
	csrw	CSR_USCRATCH, zero
	csrw	CSR_SUUSCRATCH, zero

	/* the gate is UACT, not the other bits of ustatus */
	CSRW	CSR_USTATUS, USTATUS_UPP | USTATUS_UPV | USTATUS_UHCS | USTATUS_TUR
	TRY	U, ILLEGAL, "1 U access with every bit of ustatus but UACT is illegal", csrr a0, CSR_UTVAL
	/* and HS opens and closes it */
	IN	HS
	li	a1, USTATUS_UACT
	csrw	CSR_USTATUS, a1
	ENDIN
	TRY	U, ENDED, "1 HS opens U's access by UACT=1", csrr a0, CSR_UTVAL
	IN	HS
	li	a1, USTATUS_UACT
	csrc	CSR_USTATUS, a1
	ENDIN
	TRY	U, ILLEGAL, "1 HS closes U's access by UACT=0", csrr a0, CSR_UTVAL

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
