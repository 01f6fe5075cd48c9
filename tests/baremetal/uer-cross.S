/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1 and 2.3, misaligned accesses and those that cross from RAM into an
 * MMIO page, out of one, and from one into the next: the cause, utval = first
 * faulting byte, the rs1 field of utinst (2.3) and of htinst = its offset, and
 * that no byte is read or written on either side. With a guest-page fault on
 * one side that comes first.
 *
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10		/* MMIO; PAGE - 1 and PAGE + 1 are RAM */

/* within the page, misaligned: the first byte is the address, offset 0 */
.macro INSIDE offset, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE) + \offset, 0, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE) + \offset, \tinst, PAGE, "2.1 misaligned, page + \offset, to U: \insn"
	csrw	CSR_HUEDELEG, zero
	ACCESS	VS, GVA(PAGE) + \offset, 0, \insn
	MMIO_TO_HS VS, LOAD_MMIO + \kind, GVA(PAGE) + \offset, GPA(PAGE) + \offset, \tinst, PAGE, "2.2 misaligned, page + \offset, to HS: \insn"
	CSRW	CSR_HUEDELEG, VEI_BITS
.endm

/* `before` bytes in RAM, the rest in the page */
.macro INTO before, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE) - \before, 0, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE), (\tinst) | T_OFFSET(\before), PAGE, "2.3 from RAM, \before bytes, into MMIO, to U: \insn"
	INTACT	PAGE - 1, "2.1 from RAM, \before bytes, into MMIO, to U, the RAM: \insn"
	csrw	CSR_HUEDELEG, zero
	ACCESS	VS, GVA(PAGE) - \before, 0, \insn
	MMIO_TO_HS VS, LOAD_MMIO + \kind, GVA(PAGE), GPA(PAGE), (\tinst) | T_OFFSET(\before), PAGE, "2.2 from RAM, \before bytes, into MMIO, to HS: \insn"
	INTACT	PAGE - 1, "2.1 from RAM, \before bytes, into MMIO, to HS, the RAM: \insn"
	CSRW	CSR_HUEDELEG, VEI_BITS
.endm

/* `before` bytes in the page, the rest in RAM */
.macro OUT_OF before, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE + 1) - \before, 0, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE) + 0x1000 - \before, \tinst, PAGE, "2.3 from MMIO, \before bytes, into RAM, to U: \insn"
	INTACT	PAGE + 1, "2.1 from MMIO, \before bytes, into RAM, to U, the RAM: \insn"
	csrw	CSR_HUEDELEG, zero
	ACCESS	VS, GVA(PAGE + 1) - \before, 0, \insn
	MMIO_TO_HS VS, LOAD_MMIO + \kind, GVA(PAGE + 1) - \before, GPA(PAGE) + 0x1000 - \before, \tinst, PAGE, "2.2 from MMIO, \before bytes, into RAM, to HS: \insn"
	INTACT	PAGE + 1, "2.1 from MMIO, \before bytes, into RAM, to HS, the RAM: \insn"
	CSRW	CSR_HUEDELEG, VEI_BITS
.endm

/* both pages are MMIO: the first byte is in the first */
.macro BOTH before, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE) - \before, 0, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE - 1) + 0x1000 - \before, \tinst, PAGE, "2.3 from MMIO, \before bytes, into MMIO: \insn"
	INTACT	PAGE - 1, "2.1 from MMIO, \before bytes, into MMIO, the first: \insn"
.endm

.macro ALL do
	\do	1, 0, T_LOAD(1, 10), lh a0, 0(a2)
	\do	1, 0, T_LOAD(5, 10), lhu a0, 0(a2)
	\do	1, 0, T_LOAD(2, 10), lw a0, 0(a2)
	\do	2, 0, T_LOAD(2, 10), lw a0, 0(a2)
	\do	3, 0, T_LOAD(6, 10), lwu a0, 0(a2)
	\do	1, 0, T_LOAD(3, 10), ld a0, 0(a2)
	\do	4, 0, T_LOAD(3, 10), ld a0, 0(a2)
	\do	7, 0, T_LOAD(3, 10), ld a0, 0(a2)
	\do	3, 0, T_FLOAD(2, 10), flw fa0, 0(a2)
	\do	5, 0, T_FLOAD(3, 10), fld fa0, 0(a2)
	\do	1, 0, T_C(T_LOAD(2, 10)), RVC c.lw a0, 0(a2)
	\do	6, 0, T_C(T_LOAD(3, 10)), RVC c.ld a0, 0(a2)
	\do	4, 0, T_C(T_LOAD(3, 10)), RVC c.ldsp a0, 0(sp)
	\do	2, 0, T_C(T_FLOAD(3, 10)), RVC c.fld fa0, 0(a2)
	\do	1, 1, T_STORE(1, 13), sh a3, 0(a2)
	\do	1, 1, T_STORE(2, 13), sw a3, 0(a2)
	\do	2, 1, T_STORE(2, 13), sw a3, 0(a2)
	\do	3, 1, T_STORE(2, 13), sw a3, 0(a2)
	\do	1, 1, T_STORE(3, 13), sd a3, 0(a2)
	\do	4, 1, T_STORE(3, 13), sd a3, 0(a2)
	\do	7, 1, T_STORE(3, 13), sd a3, 0(a2)
	\do	3, 1, T_FSTORE(2, 10), fsw fa0, 0(a2)
	\do	5, 1, T_FSTORE(3, 10), fsd fa0, 0(a2)
	\do	1, 1, T_C(T_STORE(2, 13)), RVC c.sw a3, 0(a2)
	\do	6, 1, T_C(T_STORE(3, 13)), RVC c.sd a3, 0(a2)
	\do	4, 1, T_C(T_STORE(3, 13)), RVC c.sdsp a3, 0(sp)
	\do	2, 1, T_C(T_FSTORE(3, 10)), RVC c.fsd fa0, 0(a2)
.endm

/* Of the two pages one is missing: the first byte that faults decides. */
.macro MISSING_FIRST before, kind, insn:vararg
	ACCESS	VS, GVA(PAGE) - \before, 0, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.1 from a missing page, \before bytes, into MMIO: \insn"
	ld	t5, REC_TVAL(tp)
	EXPECT	t5, GVA(PAGE) - \before, "2.1 from a missing page, \before bytes, into MMIO, stval: \insn"
	INTACT	PAGE, "2.1 from a missing page, \before bytes, into MMIO, the page: \insn"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE

	INSIDE	0x341, 0, T_LOAD(1, 10), lh a0, 0(a2)
	INSIDE	0x342, 0, T_LOAD(2, 10), lw a0, 0(a2)
	INSIDE	0x343, 0, T_LOAD(3, 10), ld a0, 0(a2)
	INSIDE	0x347, 0, T_C(T_LOAD(3, 10)), RVC c.ld a0, 0(a2)
	INSIDE	0x341, 0, T_FLOAD(3, 10), fld fa0, 0(a2)
	INSIDE	0x341, 1, T_STORE(1, 13), sh a3, 0(a2)
	INSIDE	0x342, 1, T_STORE(2, 13), sw a3, 0(a2)
	INSIDE	0x343, 1, T_STORE(3, 13), sd a3, 0(a2)
	INSIDE	0x347, 1, T_C(T_STORE(2, 13)), RVC c.sw a3, 0(a2)
	INSIDE	0x341, 1, T_FSTORE(2, 10), fsw fa0, 0(a2)
	/* the first and the last bytes of the page */
	INSIDE	0, 0, T_LOAD(3, 10), ld a0, 0(a2)
	INSIDE	0xff8, 0, T_LOAD(3, 10), ld a0, 0(a2)
	INSIDE	0xfff, 0, T_LOAD(0, 10), lb a0, 0(a2)
	INSIDE	0, 1, T_STORE(3, 13), sd a3, 0(a2)
	INSIDE	0xff8, 1, T_STORE(3, 13), sd a3, 0(a2)
	INSIDE	0xfff, 1, T_STORE(0, 13), sb a3, 0(a2)

	ALL	INTO
	ALL	OUT_OF
	G_LEAF	PAGE - 1, PTE_DEVICE
	ALL	BOTH

	/* an access that only borders on the page does not touch it */
	G_LEAF	PAGE - 1, PTE_RAM
	ACCESS	VS, GVA(PAGE) - 8, 0, sd a3, 0(a2)
	EXPECT	a0, ENDED, "2.1 a store that ends where MMIO begins"
	ACCESS	VS, GVA(PAGE + 1), 0, ld a0, 0(a2)
	EXPECT	a0, ENDED, "2.1 a load that begins where MMIO ends"
	li	a0, RPA(PAGE - 1)
	call	intact

	G_LEAF	PAGE - 1, 0
	MISSING_FIRST 4, 0, ld a0, 0(a2)
	MISSING_FIRST 4, 1, sd a3, 0(a2)
	MISSING_FIRST 1, 1, sh a3, 0(a2)
	/* a store into MMIO from a page that may only be read */
	G_LEAF	PAGE - 1, PTE_RAM & ~PTE_W
	MISSING_FIRST 4, 1, sd a3, 0(a2)
	ACCESS	VS, GVA(PAGE) - 4, 0, ld a0, 0(a2)
	EXPECT	a0, LOAD_MMIO, "2.1 a load into MMIO from a page that may only be read"
	csrw	CSR_USTATUS, zero
	G_LEAF	PAGE - 1, PTE_RAM

	/* a page fault of VS-stage in the second page is not MMIO's */
	V_LEAF	PAGE, 0
	ACCESS	VS, GVA(PAGE) - 4, 0, sd a3, 0(a2)
	EXPECT	a0, STORE_PAGE, "2.1 from RAM into a page that VS-stage does not map: page fault"
	INTACT	PAGE - 1, "2.1 from RAM into a page that VS-stage does not map: the RAM"
	V_LEAF	PAGE, PTE_RAM

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret
