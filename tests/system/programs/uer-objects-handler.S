/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A handler for the device of uer-objects-guest.S, of which it knows that it stores from t1 and loads into
 * t2, by instructions of four bytes. For each store it executes the ecall that struct area asks for.
 */
#include "uer-objects.h"

#define USCRATCH	0x040
#define UEPC		0x041
#define UCAUSE		0x042
#define STORE_FAULT	25

	.text
	.globl uer_handler
	.balign	4
uer_handler:
	csrrw	a0, USCRATCH, a0
	sd	t0, AREA_T0(a0)
	sd	t1, AREA_T1(a0)
	ld	t0, AREA_PUNT(a0)
	bnez	t0, punt
	csrr	t0, UCAUSE
	addi	t0, t0, -STORE_FAULT
	bnez	t0, load

	sw	t1, AREA_LATCH(a0)
	ld	t0, AREA_CALL(a0)
	beqz	t0, done
	sd	a7, AREA_A7(a0)
	mv	t1, a0
	ld	a7, AREA_NUMBER(t1)
	ld	a0, AREA_ARGUMENT(t1)
	ecall
	sd	a0, AREA_LAST(t1)
	snez	t0, a0
	mv	a0, t1
	ld	t1, AREA_REFUSED(a0)
	add	t1, t1, t0
	sd	t1, AREA_REFUSED(a0)
	ld	t0, AREA_ANSWERS(a0)
	addi	t0, t0, 1
	sd	t0, AREA_ANSWERS(a0)
	ld	a7, AREA_A7(a0)
	j	done

load:
	lw	t2, AREA_LATCH(a0)
	li	t0, DEVICE_TURNS
	xor	t2, t2, t0
	sext.w	t2, t2

done:
	ld	t0, AREA_COUNT(a0)
	addi	t0, t0, 1
	sd	t0, AREA_COUNT(a0)
	csrr	t0, UEPC
	addi	t0, t0, 4
	csrw	UEPC, t0
	ld	t0, AREA_T0(a0)
	ld	t1, AREA_T1(a0)
	csrrw	a0, USCRATCH, a0
	.word	0x00200073	/* uret */

	/* All registers as they were, but a7, which goes to uscratch. */
punt:
	ld	t0, AREA_PUNTED(a0)
	addi	t0, t0, 1
	sd	t0, AREA_PUNTED(a0)
	ld	t0, AREA_T0(a0)
	mv	t1, a0
	csrrw	a0, USCRATCH, a7
	mv	a7, t1
	ld	t1, AREA_T1(a7)
	li	a7, 0
	ecall
	ebreak			/* never returned to */
