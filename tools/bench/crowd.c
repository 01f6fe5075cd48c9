// SPDX-License-Identifier: GPL-2.0
#include "crowd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/haiov.h>
#include <linux/kvm.h>

#include "check.h"
#include "haiov.h"

void crowd_vms(struct crowd *c, int haiov, int kvm, unsigned int nr_vms)
{
	c->haiov = haiov;
	c->nr_vms = nr_vms;
	c->vms = calloc(nr_vms + 1, sizeof(*c->vms));
	if (!c->vms)
		broken("no memory");
	for (unsigned int i = 0; i < nr_vms; i++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, 0);

		if (vm < 0)
			broken("VM %u of %u", i, nr_vms);
		c->vms[i] = vm_bind(haiov, vm, 1);
		/* The binding keeps it. */
		close(vm);
	}
}

unsigned int crowd_eventfds(const struct crowd *c, uint64_t vm, unsigned int nr, unsigned int cpu)
{
	struct haiov_info info = { .size = sizeof(info) };
	int eventfd = new_eventfd();

	errno = try_ioctl(c->haiov, HAIOV_INFO, &info);
	if (errno)
		broken("INFO");
	/* VEIID 0 is none. */
	if (nr > info.nr_veiids - 1 - CROWD_SPARE)
		nr = info.nr_veiids - 1 - CROWD_SPARE;
	for (unsigned int veirq = 0; veirq < nr; veirq++)
		route_add(c->haiov, vm, veirq, eventfd, cpu);
	return nr;
}

static void to_context(const struct crowd *c, uint64_t vm, unsigned int veirq, uint64_t context)
{
	struct haiov_route_add r = {
		.size = sizeof(r), .flags = HAIOV_ROUTE_CONTEXT, .vm_id = vm, .veirq = veirq, .context_id = context,
	};

	errno = try_ioctl(c->haiov, HAIOV_ROUTE_ADD, &r);
	if (errno)
		broken("ROUTE_ADD of VEIRQ %u, to a context", veirq);
}

void crowd_context(const struct crowd *c, uint64_t vm, unsigned int first, unsigned int end, uint64_t context)
{
	for (unsigned int veirq = first; veirq < end; veirq++)
		to_context(c, vm, veirq, context);
	for (unsigned int i = 0; i < c->nr_vms; i++)
		to_context(c, c->vms[i], 0, context);
}
