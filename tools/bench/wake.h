/* SPDX-License-Identifier: GPL-2.0-only */
/* What wake.c and its guest agree on, and tools/bench/bench-wake reads. */
#ifndef WAKE_H
#define WAKE_H

/* Regions of the instruction counter. */
#define REGION_SENDER	0 /* the kick */
#define REGION_WAKE	1 /* from the kick to the first instruction of the backend */
#define REGION_IDLE	2 /* a time in which nobody kicks */
#define REGION_REMOVE	3 /* HAIOV_DESTROY of the route */
#define REGION_ADD	4 /* HAIOV_ROUTE_ADD of the same */

/* How the guest kicks, beside the store of the event's number that all ways have: in shared.nr_fired. */
#define KICK_NONE	0
#define KICK_SVEI	1
#define KICK_STORE	2 /* to DOORBELL_GPA, which is an ioeventfd */
#define DOORBELL_GPA	0x10001000

/*
 * How long it waits before: PAUSE_LEAST to PAUSE_LEAST + PAUSE_RANGE - 1 ticks of the time CSR, so that the backend is at
 * rest again, and that kicks and the timer's ticks do not keep step.
 */
#define PAUSE_LEAST	2000
#define PAUSE_RANGE	8191
#define MULTIPLIER	0x5851f42d4c957f2d

#endif
