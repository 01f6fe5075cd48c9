/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "hcs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define ROUNDS	  20000
#define VECTOR	  (1UL << ('V' - 'A')) /* in AT_HWCAP */
#define VLENB_MAX 8192

static unsigned char v_in[32 * VLENB_MAX];

static bool has_vector(void)
{
	return getauxval(AT_HWCAP) & VECTOR && hcs_vlenb() <= VLENB_MAX;
}

static void fill(struct registers *in)
{
	for (int i = 0; i < 32; i++) {
		double f = 1.0 + i / 64.0;

		in->x[i] = 0x0123456789abcdefULL * (2 * i + 1);
		memcpy(&in->f[i], &f, sizeof(f));
	}
	in->fcsr = 0;
	for (size_t i = 0; i < sizeof(v_in); i++)
		v_in[i] = i * 7 + (i >> 8);
}

/* In and out of the kernel, and off the CPU for a while that is another one each time. */
static void rest(unsigned int *seed)
{
	for (unsigned int calls = rand_r(seed) % 200; calls; calls--)
		getppid();
	nanosleep(&(struct timespec){ .tv_nsec = rand_r(seed) % 2000000 }, NULL);
}

static void *run_victim(void *arg)
{
	static struct registers in, wanted;
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	static unsigned char *v_wanted;
	struct registers out;
	struct victim *v = arg;
	bool vector = has_vector();
	size_t v_size = vector ? 32 * hcs_vlenb() : 1;
	unsigned char *v_out = malloc(v_size);
	unsigned int seed = 1;

	if (v->cpu >= 0)
		pin_to(v->cpu);
	/* What comes out is what came out the first time, in which nobody knows of contexts yet. */
	pthread_mutex_lock(&once);
	if (!v_wanted) {
		fill(&in);
		memset(&wanted, 0, sizeof(wanted));
		hcs_compute(&in, &wanted, ROUNDS);
		v_wanted = malloc(v_size);
		if (vector)
			hcs_compute_v(v_in, v_wanted, ROUNDS);
		else
			printf("# no vector registers here\n");
	}
	pthread_mutex_unlock(&once);
	while (!v->stop) {
		memset(&out, 0, sizeof(out));
		hcs_compute(&in, &out, ROUNDS);
		if (memcmp(&out, &wanted, sizeof(out)))
			v->wrong++;
		if (vector) {
			hcs_compute_v(v_in, v_out, ROUNDS);
			if (memcmp(v_out, v_wanted, v_size))
				v->wrong++;
		}
		v->rounds++;
		if (v->restless)
			rest(&seed);
	}
	free(v_out);
	return NULL;
}

static void start(struct victim *v, int cpu, bool restless)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	memset(v, 0, sizeof(*v));
	v->cpu = cpu;
	v->restless = restless;
	if (pthread_create(&v->thread, NULL, run_victim, v))
		broken("no thread");
	while (!v->rounds)
		if (now_us() > deadline)
			broken("the victim does not run");
}

void victim_start(struct victim *v, int cpu)
{
	start(v, cpu, false);
}

void victim_start_restless(struct victim *v, int cpu)
{
	start(v, cpu, true);
}

bool victim_stop(struct victim *v)
{
	v->stop = true;
	pthread_join(v->thread, NULL);
	return v->rounds && !v->wrong;
}
