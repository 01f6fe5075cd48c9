/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owns: 2.1 and utinst for the load and store forms of extensions that are off
 * by default: Zcb, Zfh, Zabha, Zacas, V. In HS htinst is what a guest-page fault
 * of the same instruction gives. Vector accesses that begin in RAM and go on in
 * an MMIO page do what they do before a missing page; fault-only-first loads
 * trap for their first element only.
 *
 * run: machine=virt cpu=rv64,h=true,v=true,zcb=true,zfh=true,zacas=true,zabha=true,xhaiov=on smp=1
 * run: machine=virt cpu=rv64,h=true,v=true,zcb=true,zfh=true,zacas=true,zabha=true,xhaiov=on smp=2
 */
#include "guest.h"
#include "insn-list.h"

#define PAGE	0x10
#define AT	0x340

.macro EACH do
	EACH_ZCB \do
	EACH_ZFH \do
	EACH_ZABHA \do
	EACH_ZACAS \do
	EACH_V	\do
.endm

/* vl 4, SEW 32; v0 and v8 and the following hold 0: indexed accesses have no
 * offset, each first element is at the address in a2 */
.macro VECTORS
	.option	push
	.option	arch, +v
	vsetivli zero, 4, e32, m1, ta, ma
	vmv.v.i	v0, 0
	.option	pop
.endm

.macro TO_U kind, tinst, imm, insn:vararg
	VECTORS
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE) + AT, \tinst, PAGE, "2.1 from VS to U: \insn"
.endm
.macro TO_U_VU kind, tinst, imm, insn:vararg
	VECTORS
	ACCESS	VU, GVA(PAGE) + AT, \imm, \insn
	MMIO_TO_U VU, LOAD_MMIO + \kind, GPA(PAGE) + AT, \tinst, PAGE, "2.1 from VU to U: \insn"
.endm
/* first on a missing page, then on the MMIO page */
.macro TO_HS_LIKE kind, tinst, imm, insn:vararg
	VECTORS
	G_LEAF	PAGE, 0
	CSRW	CSR_MEDELEG, BIT(LOAD_GUEST) | BIT(STORE_GUEST)
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.2 a guest-page fault without the bit: \insn"
	ld	s4, REC_TINST(tp)
	csrw	CSR_MEDELEG, zero
	G_LEAF	PAGE, PTE_DEVICE
	VECTORS
	ACCESS	VS, GVA(PAGE) + AT, \imm, \insn
	WANT_HS	VS, LOAD_MMIO + \kind, GVA(PAGE) + AT, GPA(PAGE) + AT, 0
	sd	s4, WANTED_OF(F_TINST)(tp)
	WANT	F_PAGE, RPA(PAGE)
	JUDGE	FIELDS_HS | BIT(F_PAGE), "2.2 from VS to HS: \insn"
.endm

/* a scalar access: `before` bytes in RAM, the rest in the MMIO page */
.macro INTO before, kind, tinst, insn:vararg
	ACCESS	VS, GVA(PAGE) - \before, 0, \insn
	MMIO_TO_U VS, LOAD_MMIO + \kind, GPA(PAGE), (\tinst) | T_OFFSET(\before), PAGE, "2.3 from RAM, \before bytes, into MMIO: \insn"
	INTACT	PAGE - 1, "2.1 from RAM, \before bytes, into MMIO, the RAM: \insn"
.endm

/*
 * `skip` bytes of the access are in RAM, the rest in the MMIO page: cause,
 * vstart and the RAM before are what they are with a missing page.
 */
.macro V_CROSS skip, kind, insn:vararg
	G_LEAF	PAGE, 0
	call	fill
	VECTORS
	ACCESS	VS, GVA(PAGE) - \skip, 0, \insn
	EXPECT	a0, LOAD_GUEST + 2 * \kind, "2.1 \skip bytes before a missing page: \insn"
	csrr	s4, CSR_VSTART
	call	sum
	mv	s5, a0
	ld	s6, REC_TVAL(tp)
	li	t5, GVA(PAGE)
	sub	s6, s6, t5
	csrw	CSR_VSTART, zero
	G_LEAF	PAGE, PTE_DEVICE
	call	fill
	VECTORS
	ACCESS	VS, GVA(PAGE) - \skip, 0, \insn
	mv	s7, a0
	csrr	s8, CSR_VSTART
	call	sum
	mv	s9, a0
	csrw	CSR_VSTART, zero
	csrw	CSR_USTATUS, zero
	EXPECT	s7, LOAD_MMIO + \kind, "2.1 \skip bytes before an MMIO page: \insn"
	EXPECTR	s8, s4, "2.1 vstart as before a missing page, \skip bytes: \insn"
	EXPECTR	s9, s5, "2.1 the RAM before it as with a missing page, \skip bytes: \insn"
	ld	t5, REC_TVAL(tp)
	li	t6, GPA(PAGE)
	sub	t5, t5, t6
	EXPECTR	t5, s6, "1 utval, \skip bytes before an MMIO page: \insn"
	ld	t5, REC_TINST(tp)
	EXPECT	t5, 0, "1 utinst is 0, \skip bytes before an MMIO page: \insn"
	INTACT	PAGE, "2.1 the MMIO page is not touched, \skip bytes before it: \insn"
.endm

	.text
	.globl	test_main
test_main:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	GUEST
	UER
	G_LEAF	PAGE, PTE_DEVICE
	EACH	TO_U
	VSATP	VU
	EACH	TO_U_VU
	VSATP	VS
	csrw	CSR_HUEDELEG, zero
	EACH	TO_HS_LIKE
	CSRW	CSR_HUEDELEG, VEI_BITS

	INTO	1, 0, T_C(T_LOAD(5, 10)), ZCB c.lhu a0, 0(a2)
	INTO	1, 0, T_C(T_LOAD(1, 10)), ZCB c.lh a0, 0(a2)
	INTO	1, 1, T_C(T_STORE(1, 13)), ZCB c.sh a3, 0(a2)
	INTO	1, 0, T_FLOAD(1, 10), ARCH zfh, flh fa0, 0(a2)
	INTO	1, 1, T_FSTORE(1, 10), ARCH zfh, fsh fa0, 0(a2)
	/* with an offset of its own */
	ACCESS	VS, GVA(PAGE) - 1, 2, ZCB c.sh a3, 2(a2)
	MMIO_TO_U VS, STORE_MMIO, GPA(PAGE), T_C(T_STORE(1, 13)) | T_OFFSET(1), PAGE, "2.3 from RAM into MMIO: ZCB c.sh a3, 2(a2)"
	INTACT	PAGE - 1, "2.1 from RAM into MMIO, the RAM: ZCB c.sh a3, 2(a2)"

	V_CROSS	4, 0, ARCH v, vle32.v v8, (a2)
	V_CROSS	8, 0, ARCH v, vle32.v v8, (a2)
	V_CROSS	2, 0, ARCH v, vle8.v v8, (a2)
	V_CROSS	4, 0, ARCH v, vluxei32.v v8, (a2), v16
	V_CROSS	4, 1, ARCH v, vse32.v v8, (a2)
	V_CROSS	12, 1, ARCH v, vse32.v v8, (a2)
	V_CROSS	2, 1, ARCH v, vse8.v v8, (a2)
	V_CROSS	8, 1, ARCH v, vsuxei32.v v8, (a2), v16
	V_CROSS	8, 1, ARCH v, vs1r.v v8, (a2)
	/* the element itself crosses the border */
	V_CROSS	2, 0, ARCH v, vle32.v v8, (a2)
	V_CROSS	2, 1, ARCH v, vse32.v v8, (a2)
	V_CROSS	7, 1, ARCH v, vse32.v v8, (a2)
	VECTORS
	call	fill
	ACCESS	VS, GVA(PAGE) - 2, 0, ARCH v, vse32.v v8, (a2)
	EXPECT	a0, STORE_MMIO, "2.1 vse32.v whose first element crosses into an MMIO page"
	csrw	CSR_USTATUS, zero
	INTACT	PAGE - 1, "2.1 vse32.v whose first element crosses into an MMIO page writes no byte of RAM"

	/* masked-off elements make no access */
	.option	push
	.option	arch, +v
	VECTORS
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH v, vle32.v v8, (a2), v0.t
	EXPECT	a0, ENDED, "2.1 a load with every element masked off does not trap"
	VECTORS
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH v, vse32.v v8, (a2), v0.t
	EXPECT	a0, ENDED, "2.1 a store with every element masked off does not trap"
	/* the mask lets only element 2 through: utval is its address */
	vsetivli zero, 4, e32, m1, ta, ma
	li	t0, 4
	vmv.v.i	v0, 0
	vmv.s.x	v0, t0
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH v, vse32.v v8, (a2), v0.t
	EXPECT	a0, STORE_MMIO, "2.1 a store of element 2 only"
	ld	t5, REC_TVAL(tp)
	EXPECT	t5, GPA(PAGE) + AT + 8, "1 utval is the address of the first active element"
	csrr	t5, CSR_VSTART
	EXPECT	t5, 2, "2.1 vstart is its index"
	csrw	CSR_VSTART, zero
	csrw	CSR_USTATUS, zero
	/* vl=0 */
	vsetivli zero, 0, e32, m1, ta, ma
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH v, vle32.v v8, (a2)
	EXPECT	a0, ENDED, "2.1 a load of no element does not trap"

	/* fault-only-first: vl becomes 3, no trap */
	VECTORS
	ACCESS	VS, GVA(PAGE) - 12, 0, ARCH v, vle32ff.v v8, (a2)
	EXPECT	a0, ENDED, "2.1 vle32ff with three elements in RAM does not trap"
	csrr	t5, CSR_VL
	EXPECT	t5, 3, "2.1 vle32ff before an MMIO page: vl is the elements in RAM"
	VECTORS
	ACCESS	VS, GVA(PAGE) - 12, 0, ARCH v, vlseg2e32ff.v v8, (a2)
	EXPECT	a0, ENDED, "2.1 vlseg2e32ff with one segment in RAM does not trap"
	csrr	t5, CSR_VL
	EXPECT	t5, 1, "2.1 vlseg2e32ff before an MMIO page: vl is the segments in RAM"

	/* the vector registers are the guest's: those not loaded keep their values */
	vsetivli zero, 4, e32, m1, ta, ma
	li	t0, 0x1234567
	vmv.v.x	v8, t0
	ACCESS	VS, GVA(PAGE) + AT, 0, ARCH v, vle32.v v8, (a2)
	EXPECT	a0, LOAD_MMIO, "2.1 vle32.v"
	csrw	CSR_USTATUS, zero
	li	t0, SCRATCH
	add	t0, t0, tp
	vse32.v	v8, (t0)
	.irp	n, 0, 4, 8, 12
	lwu	t5, \n(t0)
	EXPECT	t5, 0x1234567, "2.1 vle32.v leaves byte \n of its register"
	.endr
	.option	pop

	/* amocas that would succeed, and its registers */
	G_LEAF	PAGE, PTE_DEVICE
	ACCESS	VS, GVA(PAGE) + AT, 0, ld a0, 0(a2)
	csrw	CSR_USTATUS, zero
	li	a2, GVA(PAGE) + AT
	IN	VS
	li	a0, (RPA(PAGE) + AT) ^ 0x5a5a5a5a5a5a5a5a
	li	a3, 99
	ARCH	zacas, amocas.d a0, a3, (a2)
	ENDIN
	EXPECT	a0, STORE_MMIO, "2.1 amocas.d that would succeed"
	li	t5, (RPA(PAGE) + AT) ^ 0x5a5a5a5a5a5a5a5a
	EXPECTR	a1, t5, "2.1 amocas.d that would succeed leaves rd"
	INTACT	PAGE, "2.1 amocas.d that would succeed stores nothing"
	csrw	CSR_USTATUS, zero

	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* v8.. := a pattern; v16 := 0, 4, 8, 12; the page before PAGE as GUEST left it */
fill:	addi	sp, sp, -16
	sd	ra, 0(sp)
	.option	push
	.option	arch, +v
	vsetivli zero, 4, e32, m1, ta, ma
	li	t0, 0x1f2f3f4f
	vmv.v.x	v8, t0
	vid.v	v16
	vsll.vi	v16, v16, 2
	.option	pop
	li	a0, RPA(PAGE - 1)
	call	intact
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

/* something that depends on the last 64 bytes of the page before PAGE */
sum:	li	t0, RPA(PAGE - 1) + 0x1000 - 64
	li	t1, RPA(PAGE - 1) + 0x1000
	li	a0, 0
1:	lbu	t2, 0(t0)
	slli	t3, a0, 5
	sub	a0, t3, a0
	add	a0, a0, t2
	addi	t0, t0, 1
	bne	t0, t1, 1b
	ret
