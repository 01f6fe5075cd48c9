/* SPDX-License-Identifier: GPL-2.0-only */
/* What uer-objects.c, its guest (uer-objects-guest.S) and its handler (uer-objects-handler.S) agree on. */
#ifndef UER_OBJECTS_H
#define UER_OBJECTS_H

/* The device: a page for each vCPU. What is stored at LATCH is read, with some bits turned, at VALUE. */
#define DEVICE_GPA	0x10001000
#define DEVICE_LATCH	0
#define DEVICE_VALUE	4
#define DEVICE_TURNS	0x5a5a5a5a

#define IMSIC_GPA	0x28000000
#define IMSIC_ID	5

/* offsets in struct lane, which guest and host share */
#define LANE_STOP	0
#define LANE_ROUNDS	8
#define LANE_ERRORS	16
#define LANE_SCAUSE	24
#define LANE_STVAL	32
#define LANE_WAIT_IRQ	40
#define LANE_IRQS	48
#define LANE_SIZE	64

/* offsets in struct area, which a handler finds in uscratch */
#define AREA_A0		0
#define AREA_T0		8
#define AREA_T1		16
#define AREA_A7		24
#define AREA_COUNT	32
#define AREA_PUNT	40
#define AREA_PUNTED	48
#define AREA_CALL	56
#define AREA_NUMBER	64
#define AREA_ARGUMENT	72
#define AREA_ANSWERS	80
#define AREA_LAST	88
#define AREA_REFUSED	96
#define AREA_LATCH	104

#endif
