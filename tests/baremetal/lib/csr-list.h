/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The CSRs of section 1, one macro call each: name, number, and a value that
 * the register keeps whole (0: it keeps nothing that is written). The value of
 * ustatus leaves UACT alone.
 */
#ifndef BAREMETAL_CSR_LIST_H
#define BAREMETAL_CSR_LIST_H

#ifdef __ASSEMBLER__
/* those that U may read inside a frame */
.macro EACH_U_CSR do
	\do	ustatus,    0x000, 0x1700
	\do	uie,        0x004, 0x100
	\do	utvec,      0x005, 0x123456789abc
	\do	uscratch,   0x040, 0x0123456789abcdef
	\do	uepc,       0x041, 0xfedcba987654
	\do	ucause,     0x042, 0x8000000000000008
	\do	utval,      0x043, 0xfedcba9876543210
	\do	uip,        0x044, 0
	\do	utinst,     0x810, 0x8877665544332211
.endm
/* those of the column with a dash, hstatus apart */
.macro EACH_S_CSR do
	\do	suscratch,  0x5d0, 0x1122334455667788
	\do	suatp,      0x5d1, 0x8000100000080123
	\do	svei,       0x5d2, 0
	\do	stopvei,    0x5d3, 0
	\do	suuscratch, 0x5d4, 0x99aabbccddeeff00
	\do	suframe,    0x5d5, 0x00123456789abc00
	\do	huedeleg,   0x6c0, 0x3000000
	\do	hveictl,    0x6c1, 0x8000000000001234
.endm
.macro EACH_CSR do
	EACH_U_CSR \do
	EACH_S_CSR \do
.endm

/* Every form of access from a mode must trap with `cause`. */
.macro REFUSED mode, where, cause, what, name, num
	TRY	\mode, \cause, "1 \name: csrr from \where is \what", csrr a0, \num
	TRY1	\mode, -1, \cause, "1 \name: csrrw from \where is \what", csrrw a0, \num, a1
	TRY1	\mode, -1, \cause, "1 \name: csrrw with rd=x0 from \where is \what", csrw \num, a1
	TRY1	\mode, -1, \cause, "1 \name: csrrs from \where is \what", csrrs a0, \num, a1
	TRY1	\mode, -1, \cause, "1 \name: csrrc from \where is \what", csrrc a0, \num, a1
	TRY	\mode, \cause, "1 \name: csrrwi from \where is \what", csrrwi a0, \num, 1
	TRY	\mode, \cause, "1 \name: csrrsi from \where is \what", csrrsi a0, \num, 1
	TRY	\mode, \cause, "1 \name: csrrci from \where is \what", csrrci a0, \num, 1
.endm
#endif

#endif
