/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's program and its host agree on. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define CSR_SVEI	0x5d2

#define GUEST_GPA	0x80000000
#define GUEST_SIZE	0x200000
#define SHARED_OFFSET	0x100000
#define SHARED_GPA	0x80100000
#define STOP_GPA	0x10000000

/* offsets in struct shared */
#define SHARED_STOP	0
#define SHARED_RUNNING	8
#define SHARED_SCAUSE	16
#define SHARED_STVAL	24
#define SHARED_TRAPS	32
#define SHARED_ROUNDS	40
#define SHARED_SENT	48
#define SHARED_NR_ACKED	56
#define SHARED_NR_FIRED	64
#define SHARED_PAUSE	72
#define SHARED_FIRED	128
#define SHARED_ACKED	640
#define NR_SLOTS	32

#endif
