/* SPDX-License-Identifier: GPL-2.0-only */
#include "haiov.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"

int open_haiov(void)
{
	int fd = open("/dev/haiov", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		broken("/dev/haiov");
	return fd;
}

uint64_t vm_bind(int haiov, int kvm_vm, unsigned int nr_veirqs)
{
	struct haiov_vm_create c = { .size = sizeof(c), .kvm_fd = kvm_vm, .nr_veirqs = nr_veirqs };

	errno = try_ioctl(haiov, HAIOV_VM_CREATE, &c);
	if (errno)
		broken("VM_CREATE");
	return c.out_vm_id;
}

int try_route(int haiov, uint64_t vm, unsigned int veirq, int eventfd, int cpu, uint64_t *id)
{
	struct haiov_route_add r = {
		.size = sizeof(r), .vm_id = vm, .veirq = veirq, .eventfd = eventfd,
		.flags = cpu == ANY_CPU ? 0 : HAIOV_ROUTE_CPU, .cpu = cpu == ANY_CPU ? 0 : cpu,
	};
	int err = try_ioctl(haiov, HAIOV_ROUTE_ADD, &r);

	*id = r.out_route_id;
	return err;
}

uint64_t route_add(int haiov, uint64_t vm, unsigned int veirq, int eventfd, int cpu)
{
	uint64_t id;

	errno = try_route(haiov, vm, veirq, eventfd, cpu, &id);
	if (errno)
		broken("ROUTE_ADD of VEIRQ %u", veirq);
	return id;
}

void route_move(int haiov, uint64_t route, unsigned int cpu)
{
	struct haiov_route_move m = { .size = sizeof(m), .route_id = route, .cpu = cpu };

	errno = try_ioctl(haiov, HAIOV_ROUTE_MOVE, &m);
	if (errno)
		broken("ROUTE_MOVE to CPU %u", cpu);
}

void object_destroy(int haiov, uint64_t id)
{
	struct haiov_destroy d = { .size = sizeof(d), .id = id };

	errno = try_ioctl(haiov, HAIOV_DESTROY, &d);
	if (errno)
		broken("DESTROY of %#llx", (unsigned long long)id);
}

struct haiov_route_query route_query(int haiov, uint64_t route)
{
	struct haiov_route_query q = { .size = sizeof(q), .route_id = route };

	errno = try_ioctl(haiov, HAIOV_ROUTE_QUERY, &q);
	if (errno)
		broken("ROUTE_QUERY");
	return q;
}

struct haiov_vm_query vm_query(int haiov, uint64_t vm)
{
	struct haiov_vm_query q = { .size = sizeof(q), .vm_id = vm };

	errno = try_ioctl(haiov, HAIOV_VM_QUERY, &q);
	if (errno)
		broken("VM_QUERY");
	return q;
}

int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		broken("eventfd");
	return fd;
}
