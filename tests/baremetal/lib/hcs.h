/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User VEIs that are taken: contexts for VEIIDs 7, 8 and 11 of hart 0, which are
 * user VEIIDs, enabled. Their handler is uer_record, which records what it sees
 * in the hart's area and ends the snippet: REC_CAUSE, and so a0 behind ENDIN,
 * is then TAKEN. The frame is still there; M looks at it, and drops it by a
 * write of ustatus.
 *
 * suatp has no Bare mode: handlers run in a table that maps the devices and
 * the RAM to themselves, for U.
 */
#ifndef BAREMETAL_HCS_H
#define BAREMETAL_HCS_H

#include "guest.h"

#define TAKEN		INTR(8)
#define MTIMECMP	0x02004000	/* of hart 0 */

#define HCS_ROOT	0x87000000	/* Sv39, of the handlers */
#define HCS_SATP(id)	(SV39 | ((id) << 44) | (HCS_ROOT >> 12))
#define HCS_FRAME(id)	(0x87010000 + ((id) << 8))
#define HCS_DESC(hart, id) (VDT + ((hart) << 16) + ((id) << 6))
#define HCS_SUSCRATCH(id) (0x5c00 + (id))
#define HCS_IDS		(BIT(7) | BIT(8) | BIT(11))

/* fields of a descriptor */
#define DESC_VALID	0
#define DESC_USCRATCH	8
#define DESC_UTVEC	16
#define DESC_SUSCRATCH	24
#define DESC_SUATP	32
#define DESC_FRAME	40

/* what the interrupted context has in the registers that are swapped */
#define OLD_SSCRATCH	0x5353
#define OLD_USCRATCH	0x1515

#define USTATUS_HCS(mode) (USTATUS_UACT | USTATUS_UHCS | (((mode) >> 2) << 9) | SPP_OF(mode))

#ifdef __ASSEMBLER__

/* All of it, as after reset else; UEIE=1 and HUR=1. */
.macro HCS
	FRESH
	call	hcs_up
.endm

/* Let a user VEIID become pending. */
.macro EVENT id
	VEIC_W	EIP(0, 0), BIT(\id)
.endm

.macro DESC_W id, field, value
	W64	HCS_DESC(0, \id) + \field, \value
.endm
.macro DESC_LA id, field, symbol
	li	t6, HCS_DESC(0, \id) + \field
	la	t5, \symbol
	sd	t5, 0(t6)
	fence	iorw, iorw
.endm

/* The last snippet was interrupted: what the handler saw, one check. */
.macro SWITCHED mode, id, pc, name
	WANT	F_CAUSE, TAKEN
	WANT	F_TVAL, \id
	la	t5, \pc
	sd	t5, WANTED_OF(F_EPC)(tp)
	WANT	F_A0, 0
	WANT	F_WHERE, U
	WANT	F_TVAL2, 0
	WANT	F_TINST, 0
	/* the handler's ecall was one from U, not VU */
	WANT	F_STATUS, 0
	li	t5, MSTATUS_MPV | MSTATUS_MPP
	sd	t5, STATUS_MASK(tp)
	WANT	F_USTATUS, USTATUS_HCS(\mode)
	JUDGE	FIELDS_U & ~BIT(F_HSTATUS), "\name"
.endm

/* What M and HS see of the swap: that there is none. */
.macro UNSWAPPED id, name
	CSR_IS	CSR_SATP, -1, 0, "\name: satp"
	CSR_IS	CSR_SSCRATCH, -1, OLD_SSCRATCH, "\name: sscratch"
	CSR_IS	CSR_USCRATCH, -1, OLD_USCRATCH, "\name: uscratch"
	CSR_IS	CSR_SUATP, -1, HCS_SATP(\id), "\name: suatp"
	CSR_IS	CSR_SUSCRATCH, -1, HCS_SUSCRATCH(\id), "\name: suscratch"
	csrr	t5, CSR_SUUSCRATCH
	EXPECTR	t5, tp, "\name: suuscratch"
	CSR_IS	CSR_SUFRAME, -1, HCS_FRAME(\id), "\name: suframe"
.endm

/* Inline handler of context `id`: up to ENDHANDLER. */
.macro HANDLER_OF id
	li	t6, HCS_DESC(0, \id) + DESC_UTVEC
	la	t5, 7711f
	sd	t5, 0(t6)
	fence	iorw, iorw
	j	7712f
	.balign	4
7711:
.endm

#endif /* __ASSEMBLER__ */
#endif
