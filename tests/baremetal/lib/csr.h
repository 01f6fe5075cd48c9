/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CSR numbers, so that no assembler has to know the Xhaiov names, and the bits
 * of them that the tests use.
 */
#ifndef BAREMETAL_CSR_H
#define BAREMETAL_CSR_H

/* Xhaiov, readable by U inside a frame */
#define CSR_USTATUS	0x000
#define CSR_UIE		0x004
#define CSR_UTVEC	0x005
#define CSR_USCRATCH	0x040
#define CSR_UEPC	0x041
#define CSR_UCAUSE	0x042
#define CSR_UTVAL	0x043
#define CSR_UIP		0x044
#define CSR_UTINST	0x810
/* Xhaiov, HS only */
#define CSR_SUSCRATCH	0x5d0
#define CSR_SUATP	0x5d1
#define CSR_SVEI	0x5d2
#define CSR_STOPVEI	0x5d3
#define CSR_SUUSCRATCH	0x5d4
#define CSR_SUFRAME	0x5d5
#define CSR_HUEDELEG	0x6c0
#define CSR_HVEICTL	0x6c1

/* standard, user */
#define CSR_FCSR	0x003
#define CSR_VSTART	0x008
#define CSR_JVT		0x017
#define CSR_CYCLE	0xc00
#define CSR_VL		0xc20
#define CSR_VTYPE	0xc21
#define CSR_VLENB	0xc22
/* standard, machine */
#define CSR_MSTATUS	0x300
#define CSR_MISA	0x301
#define CSR_MEDELEG	0x302
#define CSR_MIDELEG	0x303
#define CSR_MIE		0x304
#define CSR_MTVEC	0x305
#define CSR_MVIEN	0x308
#define CSR_MVIP	0x309
#define CSR_MENVCFG	0x30a
#define CSR_MSTATEEN0	0x30c
#define CSR_MSCRATCH	0x340
#define CSR_MEPC	0x341
#define CSR_MCAUSE	0x342
#define CSR_MTVAL	0x343
#define CSR_MIP		0x344
#define CSR_MTINST	0x34a
#define CSR_MTVAL2	0x34b
#define CSR_PMPCFG0	0x3a0
#define CSR_PMPADDR0	0x3b0
#define CSR_PMPADDR1	0x3b1
#define CSR_MHARTID	0xf14
/* standard, supervisor and hypervisor */
#define CSR_SSTATUS	0x100
#define CSR_SIE		0x104
#define CSR_STVEC	0x105
#define CSR_SCOUNTEREN	0x106
#define CSR_SENVCFG	0x10a
#define CSR_SSTATEEN0	0x10c
#define CSR_SSCRATCH	0x140
#define CSR_SEPC	0x141
#define CSR_SCAUSE	0x142
#define CSR_STVAL	0x143
#define CSR_SIP		0x144
#define CSR_STIMECMP	0x14d
#define CSR_SISELECT	0x150
#define CSR_SIREG	0x151
#define CSR_SATP	0x180
#define CSR_STOPI	0xdb0
#define CSR_VSSTATUS	0x200
#define CSR_VSIE	0x204
#define CSR_VSTVEC	0x205
#define CSR_VSSCRATCH	0x240
#define CSR_VSEPC	0x241
#define CSR_VSCAUSE	0x242
#define CSR_VSTVAL	0x243
#define CSR_VSIP	0x244
#define CSR_VSATP	0x280
#define CSR_HSTATUS	0x600
#define CSR_HEDELEG	0x602
#define CSR_HIDELEG	0x603
#define CSR_HCOUNTEREN	0x606
#define CSR_HVIEN	0x608
#define CSR_HENVCFG	0x60a
#define CSR_HSTATEEN0	0x60c
#define CSR_HTVAL	0x643
#define CSR_HVIP	0x645
#define CSR_HTINST	0x64a
#define CSR_HGATP	0x680
#define CSR_TIME	0xc01

/* ustatus, uie, uip */
#define USTATUS_UPP	(1 << 8)
#define USTATUS_UPV	(1 << 9)
#define USTATUS_UHCS	(1 << 10)
#define USTATUS_UACT	(1 << 11)
#define USTATUS_TUR	(1 << 12)
#define UIE_UEIE	(1 << 8)
#define UIP_UEIP	(1 << 8)
#define HVEICTL_EN	(1 << 63)

#define HSTATUS_GVA	(1 << 6)
#define HSTATUS_SPV	(1 << 7)
#define HSTATUS_SPVP	(1 << 8)
#define HSTATUS_HU	(1 << 9)
#define HSTATUS_HUR	(1 << 10)

#define MSTATUS_SIE	(1 << 1)
#define MSTATUS_MIE	(1 << 3)
#define MSTATUS_SPIE	(1 << 5)
#define MSTATUS_SPP	(1 << 8)
#define MSTATUS_MPIE	(1 << 7)
#define MSTATUS_MPP	(3 << 11)
#define MSTATUS_FS	(3 << 13)
#define MSTATUS_VS	(3 << 9)
#define MSTATUS_MPRV	(1 << 17)
#define MSTATUS_SUM	(1 << 18)
#define MSTATUS_MXR	(1 << 19)
#define MSTATUS_TVM	(1 << 20)
#define MSTATUS_TSR	(1 << 22)
#define MSTATUS_GVA	(1 << 38)
#define MSTATUS_MPV	(1 << 39)

#define ENVCFG_CBO	0xf0		/* CBIE = 3, CBCFE, CBZE */
#define ENVCFG_ADUE	(1 << 61)
#define ENVCFG_PBMTE	(1 << 62)

/* interrupt numbers */
#define IRQ_SSI		1
#define IRQ_VSSI	2
#define IRQ_STI		5
#define IRQ_SEI		9
#define IRQ_VEI		24
#define IRQ_DOORBELL	25
#define BIT(n)		(1 << (n))
#define VEI_BITS	(3 << 24)

/* exception causes; interrupts have bit 63 set */
#define ILLEGAL		2
#define BREAKPOINT	3
#define LOAD_MISALIGNED	4
#define LOAD_FAULT	5
#define STORE_MISALIGNED 6
#define STORE_FAULT	7
#define ECALL_U		8
#define ECALL_HS	9
#define ECALL_VS	10
#define ECALL_M		11
#define FETCH_PAGE	12
#define LOAD_PAGE	13
#define STORE_PAGE	15
#define FETCH_GUEST	20
#define LOAD_GUEST	21
#define VIRTUAL		22
#define STORE_GUEST	23
#define LOAD_MMIO	24
#define STORE_MMIO	25
#define INTR(n)		((1 << 63) | (n))
/* not a cause of the architecture: the snippet ran to its end */
#define ENDED		99

#endif
