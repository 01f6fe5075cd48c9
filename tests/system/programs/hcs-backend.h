/* SPDX-License-Identifier: GPL-2.0-only */
/* What the scenarios of hcs.c, hcs-listen.c, hcs-move.c, hcs-signal.c and hcs-soak.c share: a guest, and the context that its events go to. */
#ifndef HCS_BACKEND_H
#define HCS_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest.h"
#include "haiov.h"
#include "hcs.h"

#define NR_VEIRQS	64
#define NR_EVENTS	4 /* numbered ones */
#define VCPU_CPU	1
#define CPU		2 /* of the context */

/* A guest whose events go to a context, with its thread. */
struct backend {
	struct area area; /* first: what the handler gets */
	struct guest guest;
	int haiov;
	uint64_t vm, context, route[NR_EVENTS];
	pthread_t thread;
	pid_t tid;
	void (*act)(struct backend *b); /* what the handler does first, or NULL */
	volatile uint64_t calls;	/* handlers that have begun */
	volatile uint64_t on_thread;	/* those of them that were told that they are on the thread */
	volatile uint64_t done;		/* and that are about to return */
	volatile uint64_t wrong;	/* what act() found not to be as it should */
	volatile long ended;		/* what WAIT returned */
	char *page;
};

/* How handlers began and where they ended. */
struct tally {
	uint64_t calls, frames, on_thread, doorbells, faults, preempted, expired, interrupted;
};

/* Leaves the CPUs of the vCPU and of the context alone: where a thread wakes there is no frame meanwhile. */
void stay_away(void);
/* Between two looks at what is to change: a loop would take the CPU from those that change it. */
void look_later(void);

/* Where contexts are that are created from now on; ANY_CPU leaves the choice to the module. */
extern int context_cpu;

/* The guest's memory and what the handler needs. The guest has no VM, and nothing of haiov is there. */
struct backend *backend_alloc(void (*act)(struct backend *));
/* Takes along its file of /dev/haiov and its VM, if it has them. */
void backend_free(struct backend *b);
/* All but the guest's start. */
struct backend *backend_create(unsigned int flags, unsigned int budget_us, void (*act)(struct backend *));
void backend_context(struct backend *b, unsigned int flags, unsigned int budget_us);
void backend_route(struct backend *b);
void backend_park(struct backend *b);
void backend_destroy(struct backend *b);
struct haiov_context_query query(const struct backend *b);
/* What the kernel has told the handler: whether it runs on the thread. */
static inline bool on_thread(const struct backend *b)
{
	return __atomic_load_n(&b->area.on_thread, __ATOMIC_RELAXED);
}

/* Whether so many more events are handled. */
bool arrive(const struct backend *b, uint64_t events);
/* Stops the guest, and waits until all that it sent has been seen. */
bool drain(struct backend *b);
struct tally tally(const struct backend *b);
void show(const char *what, const struct tally *t);
/* Starts the guest on a CPU, and stops it when there have been half as many frames as @events: all must be as it should. */
struct tally run_frames(const char *what, struct backend *b, uint64_t events, int vcpu_cpu);

/* Handlers: one that runs for several ticks, and one that does something else each time. */
void act_loop(struct backend *b);
void act_mixed(struct backend *b);

/* A process of the user @uid with a victim; it ends when that finds something wrong. */
pid_t victim_of(uid_t uid);

void do_listen(uint64_t events);
void do_move(uint64_t events);
void do_signal(uint64_t events);
/* @vmm_command: what is to be run beside it, or NULL. */
void do_soak(uint64_t seconds, char **vmm_command);

#endif
