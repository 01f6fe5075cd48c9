/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "live.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define TICK_US 10000
#define ASLEEP_US 100000 /* a thread that is this late was kept from running */

static _Atomic uint64_t lived_us[LIVE_MAX_CPUS];
static unsigned int nr_cpus;

/* Where a CPU goes offline its thread goes elsewhere, and comes back with it. */
static void stay_on(int cpu)
{
	cpu_set_t set;

	if (sched_getcpu() == cpu)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *live(void *arg)
{
	const struct timespec tick = { .tv_nsec = TICK_US * 1000 };
	int cpu = (intptr_t)arg;
	uint64_t last = now_us(), now;

	for (;; last = now) {
		stay_on(cpu);
		nanosleep(&tick, NULL);
		now = now_us();
		lived_us[cpu] += now - last < ASLEEP_US ? now - last : TICK_US;
	}
	return NULL;
}

unsigned int live_start(void)
{
	pthread_t thread;

	nr_cpus = sysconf(_SC_NPROCESSORS_CONF);
	if (nr_cpus > LIVE_MAX_CPUS)
		broken("%u CPUs", nr_cpus);
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		if (pthread_create(&thread, NULL, live, (void *)(intptr_t)cpu))
			broken("no thread");
	return nr_cpus;
}

struct live live_now(void)
{
	struct live now = { 0 };

	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		now.ms[cpu] = lived_us[cpu] / 1000;
	/* Absent CPUs do not hold up the others. */
	for (unsigned int cpu = nr_cpus; cpu < LIVE_MAX_CPUS; cpu++)
		now.ms[cpu] = UINT32_MAX;
	return now;
}

uint32_t live_since(const struct live *then, const struct live *now)
{
	uint32_t least = UINT32_MAX;

	for (unsigned int cpu = 0; cpu < LIVE_MAX_CPUS; cpu++)
		if (now->ms[cpu] != UINT32_MAX && now->ms[cpu] - then->ms[cpu] < least)
			least = now->ms[cpu] - then->ms[cpu];
	return least;
}
