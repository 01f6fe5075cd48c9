/* SPDX-License-Identifier: GPL-2.0-only */
/* A KVM guest with one vCPU that runs payload.S. */
#ifndef GUEST_H
#define GUEST_H

#include <pthread.h>
#include <stdint.h>

#include "layout.h"

/* An event that is sent once the host has acknowledged the one before: what is lost stays lost. */
struct slot {
	volatile uint64_t seq;	 /* of the last that the guest sent */
	volatile uint64_t ack;	 /* of the last that the host saw */
	volatile uint64_t value; /* what is written to svei */
	volatile uint64_t busy;	 /* for the host: a consumer is between its read and the ack */
};

/* In the guest's memory, and shared with other processes of the host too. */
struct shared {
	volatile uint64_t stop, running, scause, stval, traps, rounds;
	volatile uint64_t sent; /* of the fired ones */
	volatile uint64_t nr_acked, nr_fired;
	volatile uint64_t pause; /* if not 0: fewer ticks of the time CSR than this, at random, before each round */
	uint64_t pad[6];
	volatile uint64_t fired[64]; /* values written to svei as fast as possible */
	struct slot acked[NR_SLOTS];
};

struct guest {
	int vm, vcpu;
	struct shared *shared;
	pthread_t thread;
	int cpu; /* of the host, or -1 */
};

int open_kvm(void);
/* The VM with its memory; add_vcpu() may come after it has been bound. */
void guest_create(struct guest *g, int kvm);
/* The two halves of that. The memory is shared with child processes, the VM can only be used by who has made it. */
void guest_memory(struct guest *g);
void guest_vm(struct guest *g, int kvm);
/* Acknowledges what has been sent up to now. Several may do so at a time. */
void slot_ack(struct slot *slot);
void guest_add_vcpu(struct guest *g);
/* Runs it in a thread of its own, on @cpu (-1: any); returns when the guest runs. */
void guest_start(struct guest *g, int cpu);
/* Ends the loop; returns when the guest has. */
void guest_stop(struct guest *g);
void guest_destroy(struct guest *g);

#endif
