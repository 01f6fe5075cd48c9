/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time as a thread of each CPU lives it.
 *
 * On emulated harts of a loaded machine everything may stand still for seconds, above all while a CPU is
 * unplugged. Whoever waited meanwhile has not waited for what is tested. A thread for each CPU wakes every
 * 10 ms and counts the time; a stretch that it slept through counts 10 ms. It is scheduled like
 * what is tested, so that a CPU with too much to do counts slowly for both.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdint.h>

#define LIVE_MAX_CPUS 8

/* The live time of each CPU since live_start(). */
struct live {
	uint32_t ms[LIVE_MAX_CPUS];
};

/* Starts the threads; the number of CPUs. */
unsigned int live_start(void);
struct live live_now(void);
/* Live time of the CPU that had least of it, from @then to @now. */
uint32_t live_since(const struct live *then, const struct live *now);

#endif
