/* SPDX-License-Identifier: GPL-2.0-only */
/* Other VMs, and other routes, among which a program has its own: to see what a send, or a route, costs then. */
#ifndef CROWD_H
#define CROWD_H

#include <stdint.h>

struct crowd {
	int haiov;
	unsigned int nr_vms;
	uint64_t *vms;
};

/* So many VMs without vCPUs, each with one VEIRQ. They are bound before any that comes later. */
void crowd_vms(struct crowd *c, int haiov, int kvm, unsigned int nr_vms);
/*
 * Up to @nr routes of a VM, VEIRQs from 0 on, to one eventfd that nobody reads: each takes a VEIID of @cpu, and
 * CROWD_SPARE of these are left. Gives how many routes there are.
 */
unsigned int crowd_eventfds(const struct crowd *c, uint64_t vm, unsigned int nr, unsigned int cpu);
/* Routes of VEIRQs @first to @end - 1 of that VM, and one of each of the others, to a context. */
void crowd_context(const struct crowd *c, uint64_t vm, unsigned int first, unsigned int end, uint64_t context);

#define CROWD_SPARE 2

#endif
