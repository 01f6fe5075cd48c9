/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The explicit loads and stores, one macro call each: kind (0 load, 1 store as
 * to exceptions), what the rules of htinst make of it when it faults with its
 * first byte, immediate, instruction. Operands as ACCESS of guest.h has them.
 */
#ifndef BAREMETAL_INSN_LIST_H
#define BAREMETAL_INSN_LIST_H

#define T_LOAD(f3, rd)		(((f3) << 12) | ((rd) << 7) | 0x03)
#define T_FLOAD(f3, rd)		(((f3) << 12) | ((rd) << 7) | 0x07)
#define T_STORE(f3, rs2)	(((rs2) << 20) | ((f3) << 12) | 0x23)
#define T_FSTORE(f3, rs2)	(((rs2) << 20) | ((f3) << 12) | 0x27)
#define T_C(t)			((t) & ~2)
#define T_AMO(f5, f3, rd, rs2)	(((f5) << 27) | ((rs2) << 20) | ((f3) << 12) | ((rd) << 7) | 0x2f)
#define T_HLV(f7, rs2, rd)	(((f7) << 25) | ((rs2) << 20) | (4 << 12) | ((rd) << 7) | 0x73)
#define T_OFFSET(n)		((n) << 15)
#define AQ			(1 << 26)
#define RL			(1 << 25)

#ifdef __ASSEMBLER__

/* RV64GC with Zicbom and Zicboz. cbo.*: 0, their opcode has no transformation. */
.macro EACH_ACCESS do
	EACH_I	\do
	EACH_FD	\do
	EACH_C	\do
	EACH_A	\do
	EACH_CBO \do
.endm

.macro EACH_I do
	\do	0, T_LOAD(0, 10), 0, lb a0, 0(a2)
	\do	0, T_LOAD(1, 10), 2, lh a0, 2(a2)
	\do	0, T_LOAD(2, 10), -4, lw a0, -4(a2)
	\do	0, T_LOAD(3, 10), 2040, ld a0, 2040(a2)
	\do	0, T_LOAD(4, 10), -2048, lbu a0, -2048(a2)
	\do	0, T_LOAD(5, 10), 0, lhu a0, 0(a2)
	\do	0, T_LOAD(6, 10), 0, lwu a0, 0(a2)
	\do	0, T_LOAD(3, 0), 8, ld x0, 8(a2)
	\do	0, T_LOAD(3, 1), 0, ld x1, 0(a2)
	\do	0, T_LOAD(2, 31), 0, lw x31, 0(x31)
	\do	0, T_LOAD(3, 12), -8, ld a2, -8(a2)
	\do	0, T_LOAD(1, 10), 16, lh a0, 16(sp)
	\do	1, T_STORE(0, 13), 0, sb a3, 0(a2)
	\do	1, T_STORE(1, 13), 2, sh a3, 2(a2)
	\do	1, T_STORE(2, 13), -4, sw a3, -4(a2)
	\do	1, T_STORE(3, 13), 2040, sd a3, 2040(a2)
	\do	1, T_STORE(3, 0), -2048, sd x0, -2048(a2)
	\do	1, T_STORE(2, 31), 31, sw x31, 31(x31)
	\do	1, T_STORE(0, 12), 0, sb a2, 0(a2)
	\do	1, T_STORE(3, 16), 8, sd x16, 8(sp)
.endm

.macro EACH_FD do
	\do	0, T_FLOAD(2, 10), 4, flw fa0, 4(a2)
	\do	0, T_FLOAD(3, 10), -8, fld fa0, -8(a2)
	\do	0, T_FLOAD(2, 31), 0, flw f31, 0(t6)
	\do	0, T_FLOAD(3, 0), 0, fld f0, 0(a2)
	\do	1, T_FSTORE(2, 10), 4, fsw fa0, 4(a2)
	\do	1, T_FSTORE(3, 10), -8, fsd fa0, -8(a2)
	\do	1, T_FSTORE(2, 31), 0, fsw f31, 0(t6)
	\do	1, T_FSTORE(3, 0), 0, fsd f0, 0(a2)
.endm

.macro EACH_C do
	\do	0, T_C(T_LOAD(2, 10)), 4, RVC c.lw a0, 4(a2)
	\do	0, T_C(T_LOAD(2, 8)), 124, RVC c.lw s0, 124(a2)
	\do	0, T_C(T_LOAD(3, 10)), 8, RVC c.ld a0, 8(a2)
	\do	0, T_C(T_LOAD(3, 15)), 248, RVC c.ld a5, 248(a2)
	\do	0, T_C(T_LOAD(2, 10)), 12, RVC c.lwsp a0, 12(sp)
	\do	0, T_C(T_LOAD(2, 31)), 252, RVC c.lwsp t6, 252(sp)
	\do	0, T_C(T_LOAD(3, 10)), 16, RVC c.ldsp a0, 16(sp)
	\do	0, T_C(T_LOAD(3, 1)), 504, RVC c.ldsp ra, 504(sp)
	\do	0, T_C(T_FLOAD(3, 10)), 16, RVC c.fld fa0, 16(a2)
	\do	0, T_C(T_FLOAD(3, 31)), 24, RVC c.fldsp f31, 24(sp)
	\do	1, T_C(T_STORE(2, 13)), 64, RVC c.sw a3, 64(a2)
	\do	1, T_C(T_STORE(2, 8)), 0, RVC c.sw s0, 0(a2)
	\do	1, T_C(T_STORE(3, 13)), 192, RVC c.sd a3, 192(a2)
	\do	1, T_C(T_STORE(3, 12)), 8, RVC c.sd a2, 8(a2)
	\do	1, T_C(T_STORE(2, 13)), 4, RVC c.swsp a3, 4(sp)
	\do	1, T_C(T_STORE(2, 0)), 128, RVC c.swsp x0, 128(sp)
	\do	1, T_C(T_STORE(3, 13)), 8, RVC c.sdsp a3, 8(sp)
	\do	1, T_C(T_STORE(3, 31)), 256, RVC c.sdsp t6, 256(sp)
	\do	1, T_C(T_FSTORE(3, 10)), 16, RVC c.fsd fa0, 16(a2)
	\do	1, T_C(T_FSTORE(3, 31)), 24, RVC c.fsdsp f31, 24(sp)
.endm

.macro EACH_A do
	\do	0, T_AMO(2, 2, 10, 0), 0, lr.w a0, (a2)
	\do	0, T_AMO(2, 3, 10, 0), 0, lr.d a0, (a2)
	\do	0, T_AMO(2, 2, 0, 0) | AQ, 0, lr.w.aq x0, (a2)
	\do	0, T_AMO(2, 3, 31, 0) | AQ | RL, 0, lr.d.aqrl t6, (t6)
	EACH_SC	\do
	EACH_AMO \do
.endm

/* there is no reservation when these run: they would fail */
.macro EACH_SC do
	\do	1, T_AMO(3, 2, 10, 13), 0, sc.w a0, a3, (a2)
	\do	1, T_AMO(3, 3, 10, 13), 0, sc.d a0, a3, (a2)
	\do	1, T_AMO(3, 2, 0, 0) | RL, 0, sc.w.rl x0, x0, (a2)
	\do	1, T_AMO(3, 3, 31, 31) | AQ | RL, 0, sc.d.aqrl t6, t6, (t6)
.endm

.macro EACH_AMO do
	\do	1, T_AMO(0x01, 2, 10, 13), 0, amoswap.w a0, a3, (a2)
	\do	1, T_AMO(0x00, 2, 10, 13), 0, amoadd.w a0, a3, (a2)
	\do	1, T_AMO(0x04, 2, 10, 13), 0, amoxor.w a0, a3, (a2)
	\do	1, T_AMO(0x0c, 2, 10, 13), 0, amoand.w a0, a3, (a2)
	\do	1, T_AMO(0x08, 2, 10, 13), 0, amoor.w a0, a3, (a2)
	\do	1, T_AMO(0x10, 2, 10, 13), 0, amomin.w a0, a3, (a2)
	\do	1, T_AMO(0x14, 2, 10, 13), 0, amomax.w a0, a3, (a2)
	\do	1, T_AMO(0x18, 2, 10, 13), 0, amominu.w a0, a3, (a2)
	\do	1, T_AMO(0x1c, 2, 10, 13), 0, amomaxu.w a0, a3, (a2)
	\do	1, T_AMO(0x01, 3, 10, 13), 0, amoswap.d a0, a3, (a2)
	\do	1, T_AMO(0x00, 3, 10, 13), 0, amoadd.d a0, a3, (a2)
	\do	1, T_AMO(0x04, 3, 10, 13), 0, amoxor.d a0, a3, (a2)
	\do	1, T_AMO(0x0c, 3, 10, 13), 0, amoand.d a0, a3, (a2)
	\do	1, T_AMO(0x08, 3, 10, 13), 0, amoor.d a0, a3, (a2)
	\do	1, T_AMO(0x10, 3, 10, 13), 0, amomin.d a0, a3, (a2)
	\do	1, T_AMO(0x14, 3, 10, 13), 0, amomax.d a0, a3, (a2)
	\do	1, T_AMO(0x18, 3, 10, 13), 0, amominu.d a0, a3, (a2)
	\do	1, T_AMO(0x1c, 3, 10, 13), 0, amomaxu.d a0, a3, (a2)
	/* a zero operand: what an implementation might take for a plain load */
	\do	1, T_AMO(0x00, 3, 10, 0), 0, amoadd.d a0, x0, (a2)
	\do	1, T_AMO(0x01, 2, 0, 13) | AQ, 0, amoswap.w.aq x0, a3, (a2)
	\do	1, T_AMO(0x08, 3, 31, 31) | AQ | RL, 0, amoor.d.aqrl t6, t6, (t6)
.endm

.macro EACH_CBO do
	\do	1, 0, 0, ARCH zicbom, cbo.clean 0(a2)
	\do	1, 0, 0, ARCH zicbom, cbo.flush 0(a2)
	\do	1, 0, 0, ARCH zicbom, cbo.inval 0(a2)
	\do	1, 0, 0, ARCH zicboz, cbo.zero 0(a2)
.endm

/* What a CPU may have besides. Needs zcb, zfh, zabha, zacas, v; vtype e32, vl 4. */
.macro EACH_ZCB do
	\do	0, T_C(T_LOAD(4, 10)), 3, ZCB c.lbu a0, 3(a2)
	\do	0, T_C(T_LOAD(4, 15)), 0, ZCB c.lbu a5, 0(a2)
	\do	0, T_C(T_LOAD(5, 10)), 2, ZCB c.lhu a0, 2(a2)
	\do	0, T_C(T_LOAD(5, 8)), 0, ZCB c.lhu s0, 0(a2)
	\do	0, T_C(T_LOAD(1, 10)), 2, ZCB c.lh a0, 2(a2)
	\do	0, T_C(T_LOAD(1, 9)), 0, ZCB c.lh s1, 0(a2)
	\do	1, T_C(T_STORE(0, 13)), 3, ZCB c.sb a3, 3(a2)
	\do	1, T_C(T_STORE(0, 8)), 1, ZCB c.sb s0, 1(a2)
	\do	1, T_C(T_STORE(1, 13)), 2, ZCB c.sh a3, 2(a2)
	\do	1, T_C(T_STORE(1, 15)), 0, ZCB c.sh a5, 0(a2)
.endm

.macro EACH_ZFH do
	\do	0, T_FLOAD(1, 10), -2, ARCH zfh, flh fa0, -2(a2)
	\do	0, T_FLOAD(1, 31), 0, ARCH zfh, flh f31, 0(a2)
	\do	1, T_FSTORE(1, 10), -2, ARCH zfh, fsh fa0, -2(a2)
	\do	1, T_FSTORE(1, 31), 0, ARCH zfh, fsh f31, 0(a2)
.endm

.macro EACH_ZABHA do
	\do	1, T_AMO(0x01, 0, 10, 13), 0, ARCH zabha, amoswap.b a0, a3, (a2)
	\do	1, T_AMO(0x00, 0, 10, 13), 0, ARCH zabha, amoadd.b a0, a3, (a2)
	\do	1, T_AMO(0x1c, 0, 10, 13), 0, ARCH zabha, amomaxu.b a0, a3, (a2)
	\do	1, T_AMO(0x01, 1, 10, 13), 0, ARCH zabha, amoswap.h a0, a3, (a2)
	\do	1, T_AMO(0x0c, 1, 10, 13), 0, ARCH zabha, amoand.h a0, a3, (a2)
	\do	1, T_AMO(0x10, 1, 10, 13), 0, ARCH zabha, amomin.h a0, a3, (a2)
.endm

/* They compare with SENTINEL, or with a4 and a5: they would fail. */
.macro EACH_ZACAS do
	\do	1, T_AMO(0x05, 2, 10, 13), 0, ARCH zacas, amocas.w a0, a3, (a2)
	\do	1, T_AMO(0x05, 3, 10, 13), 0, ARCH zacas, amocas.d a0, a3, (a2)
	\do	1, T_AMO(0x05, 4, 14, 16), 0, ARCH zacas, amocas.q a4, a6, (a2)
	\do	1, T_AMO(0x05, 3, 10, 0) | AQ | RL, 0, ARCH zacas, amocas.d.aqrl a0, x0, (a2)
.endm

.macro EACH_V do
	\do	0, 0, 0, ARCH v, vle8.v v8, (a2)
	\do	0, 0, 0, ARCH v, vle16.v v8, (a2)
	\do	0, 0, 0, ARCH v, vle32.v v8, (a2)
	\do	0, 0, 0, ARCH v, vle64.v v8, (a2)
	\do	0, 0, 0, ARCH v, vlm.v v8, (a2)
	\do	0, 0, 0, ARCH v, vle32ff.v v8, (a2)
	\do	0, 0, 0, ARCH v, vlse32.v v8, (a2), a4
	\do	0, 0, 0, ARCH v, vluxei32.v v8, (a2), v0
	\do	0, 0, 0, ARCH v, vloxei32.v v8, (a2), v0
	\do	0, 0, 0, ARCH v, vlseg2e32.v v8, (a2)
	\do	0, 0, 0, ARCH v, vlsseg2e32.v v8, (a2), a4
	\do	0, 0, 0, ARCH v, vluxseg2ei32.v v8, (a2), v0
	\do	0, 0, 0, ARCH v, vl1re8.v v8, (a2)
	\do	0, 0, 0, ARCH v, vl8re64.v v8, (a2)
	\do	1, 0, 0, ARCH v, vse8.v v8, (a2)
	\do	1, 0, 0, ARCH v, vse16.v v8, (a2)
	\do	1, 0, 0, ARCH v, vse32.v v8, (a2)
	\do	1, 0, 0, ARCH v, vse64.v v8, (a2)
	\do	1, 0, 0, ARCH v, vsm.v v8, (a2)
	\do	1, 0, 0, ARCH v, vsse32.v v8, (a2), a4
	\do	1, 0, 0, ARCH v, vsuxei32.v v8, (a2), v0
	\do	1, 0, 0, ARCH v, vsoxei32.v v8, (a2), v0
	\do	1, 0, 0, ARCH v, vsseg2e32.v v8, (a2)
	\do	1, 0, 0, ARCH v, vssseg2e32.v v8, (a2), a4
	\do	1, 0, 0, ARCH v, vsuxseg2ei32.v v8, (a2), v0
	\do	1, 0, 0, ARCH v, vs1r.v v8, (a2)
	\do	1, 0, 0, ARCH v, vs8r.v v8, (a2)
.endm

.macro EACH_HLV do
	\do	0, T_HLV(0x30, 0, 10), 0, hlv.b a0, (a2)
	\do	0, T_HLV(0x30, 1, 10), 0, hlv.bu a0, (a2)
	\do	0, T_HLV(0x32, 0, 10), 0, hlv.h a0, (a2)
	\do	0, T_HLV(0x32, 1, 10), 0, hlv.hu a0, (a2)
	\do	0, T_HLV(0x34, 0, 10), 0, hlv.w a0, (a2)
	\do	0, T_HLV(0x34, 1, 10), 0, hlv.wu a0, (a2)
	\do	0, T_HLV(0x36, 0, 10), 0, hlv.d a0, (a2)
	\do	0, T_HLV(0x36, 0, 0), 0, hlv.d x0, (a2)
	\do	1, T_HLV(0x31, 13, 0), 0, hsv.b a3, (a2)
	\do	1, T_HLV(0x33, 13, 0), 0, hsv.h a3, (a2)
	\do	1, T_HLV(0x35, 13, 0), 0, hsv.w a3, (a2)
	\do	1, T_HLV(0x37, 13, 0), 0, hsv.d a3, (a2)
	\do	1, T_HLV(0x37, 31, 0), 0, hsv.d t6, (t6)
.endm

/* The smallest list: one of each kind of path. */
.macro EACH_FEW do
	\do	0, T_LOAD(2, 10), 0, lw a0, 0(a2)
	\do	1, T_STORE(3, 13), 8, sd a3, 8(a2)
	\do	0, T_C(T_LOAD(3, 10)), 8, RVC c.ld a0, 8(a2)
	\do	1, T_C(T_STORE(2, 13)), 64, RVC c.sw a3, 64(a2)
	\do	0, T_FLOAD(3, 10), 0, fld fa0, 0(a2)
	\do	1, T_FSTORE(2, 10), 0, fsw fa0, 0(a2)
	\do	0, T_AMO(2, 3, 10, 0), 0, lr.d a0, (a2)
	\do	1, T_AMO(3, 2, 10, 13), 0, sc.w a0, a3, (a2)
	\do	1, T_AMO(0x00, 2, 10, 13), 0, amoadd.w a0, a3, (a2)
	\do	1, 0, 0, ARCH zicboz, cbo.zero 0(a2)
	\do	1, 0, 0, ARCH zicbom, cbo.flush 0(a2)
.endm
#endif

#endif
