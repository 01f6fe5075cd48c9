/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every ioctl of /dev/haiov with every kind of bad input: the documented errno each, and nothing
 * changed. What is documented stands in kmod/uapi/linux/haiov.h.
 *
 *   ioctls            on a machine with the hardware, as root
 *   ioctls nohw       without the hardware, or with the module but no controller
 *   ioctls nopriv     gives up every privilege first
 *
 * A second word "brief" leaves out what repeats a check with another number, for slow machines.
 */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <linux/haiov.h>
#include <linux/kvm.h>

#define ROOM 8192
#define NR_VEIRQS 64

union any {
	__u32 size;
	struct haiov_info info;
	struct haiov_destroy destroy;
	struct haiov_vm_create vm_create;
	struct haiov_vm_query vm_query;
	struct haiov_route_add route_add;
	struct haiov_route_move route_move;
	struct haiov_route_query route_query;
	unsigned char bytes[ROOM];
};

static int kvm = -1, haiov = -1, other = -1; /* /dev/kvm, and two files of /dev/haiov */
static int vm_fd = -1, free_vm_fd = -1, vcpu_fd = -1, event = -1;
static __u64 vm_id, route_id, other_vm_id, other_route_id, dead_vm_id, dead_route_id;
static bool hardware, brief;
static unsigned int nr_harts, nr_veiids;
static char *page_end; /* after this byte nothing is mapped */

/* ---- the objects ---- */

static int create_kvm_vm(void)
{
	int fd = ioctl(kvm, KVM_CREATE_VM, 0);

	if (fd < 0)
		broken("KVM_CREATE_VM");
	return fd;
}

static __u64 create_vm(int fd, int kvm_fd)
{
	struct haiov_vm_create c = { .size = sizeof(c), .kvm_fd = kvm_fd, .nr_veirqs = NR_VEIRQS };

	errno = try_ioctl(fd, HAIOV_VM_CREATE, &c);
	if (errno)
		broken("VM_CREATE");
	return c.out_vm_id;
}

static __u64 add_route(int fd, __u64 vm, __u32 veirq)
{
	struct haiov_route_add r = { .size = sizeof(r), .vm_id = vm, .veirq = veirq, .eventfd = event };

	errno = try_ioctl(fd, HAIOV_ROUTE_ADD, &r);
	if (errno)
		broken("ROUTE_ADD");
	return r.out_route_id;
}

static int destroy(int fd, __u64 id)
{
	struct haiov_destroy d = { .size = sizeof(d), .id = id };

	return try_ioctl(fd, HAIOV_DESTROY, &d);
}

/* ---- the ioctls, each with a call that is right ---- */

struct command {
	const char *name;
	unsigned long number;
	size_t size;
	size_t flags_at, reserved_at; /* 0: none */
	__u32 known_flags;
	size_t id_at; /* 0: takes none */
	bool id_is_vm, id_is_route;
	bool has_output;
	/* Fills in a call that would succeed, and undoes one that has. */
	void (*prepare)(union any *a);
	void (*undo)(union any *a);
};

static __u64 victim; /* made for DESTROY */

static void prepare_info(union any *a)
{
	a->info = (struct haiov_info){ .size = sizeof(a->info) };
}

static void prepare_destroy(union any *a)
{
	if (hardware && !victim)
		victim = add_route(haiov, vm_id, 60);
	a->destroy = (struct haiov_destroy){ .size = sizeof(a->destroy), .id = victim };
}

static void undo_destroy(union any *a)
{
	(void)a;
	victim = 0;
}

static void prepare_vm_create(union any *a)
{
	a->vm_create = (struct haiov_vm_create){
		.size = sizeof(a->vm_create), .kvm_fd = free_vm_fd, .nr_veirqs = 8,
	};
}

static void undo_vm_create(union any *a)
{
	errno = destroy(haiov, a->vm_create.out_vm_id);
	if (errno)
		broken("undoing VM_CREATE");
}

static void prepare_vm_query(union any *a)
{
	a->vm_query = (struct haiov_vm_query){ .size = sizeof(a->vm_query), .vm_id = vm_id };
}

static void prepare_route_add(union any *a)
{
	a->route_add = (struct haiov_route_add){
		.size = sizeof(a->route_add), .flags = HAIOV_ROUTE_CPU, .vm_id = vm_id, .veirq = 61,
		.eventfd = event, .cpu = 0,
	};
}

static void undo_route_add(union any *a)
{
	errno = destroy(haiov, a->route_add.out_route_id);
	if (errno)
		broken("undoing ROUTE_ADD");
}

static void prepare_route_move(union any *a)
{
	a->route_move = (struct haiov_route_move){
		.size = sizeof(a->route_move), .route_id = route_id, .cpu = 0,
	};
}

static void prepare_route_query(union any *a)
{
	a->route_query = (struct haiov_route_query){
		.size = sizeof(a->route_query), .route_id = route_id,
	};
}

#define COMMON(upper, lower) \
	.name = #upper, .number = HAIOV_##upper, .size = sizeof(struct haiov_##lower), \
	.flags_at = offsetof(struct haiov_##lower, flags), .prepare = prepare_##lower

static const struct command commands[] = {
	{ COMMON(INFO, info), .has_output = true },
	{ COMMON(DESTROY, destroy), .id_at = offsetof(struct haiov_destroy, id), .undo = undo_destroy },
	{ COMMON(VM_CREATE, vm_create), .reserved_at = offsetof(struct haiov_vm_create, __reserved),
	  .has_output = true, .undo = undo_vm_create },
	{ COMMON(VM_QUERY, vm_query), .id_at = offsetof(struct haiov_vm_query, vm_id), .id_is_vm = true,
	  .has_output = true },
	{ COMMON(ROUTE_ADD, route_add), .reserved_at = offsetof(struct haiov_route_add, __reserved),
	  .known_flags = HAIOV_ROUTE_CPU, .id_at = offsetof(struct haiov_route_add, vm_id), .id_is_vm = true,
	  .has_output = true, .undo = undo_route_add },
	{ COMMON(ROUTE_MOVE, route_move), .id_at = offsetof(struct haiov_route_move, route_id),
	  .id_is_route = true, .has_output = true },
	{ COMMON(ROUTE_QUERY, route_query), .id_at = offsetof(struct haiov_route_query, route_id),
	  .id_is_route = true, .has_output = true },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* ---- a call, and what must come of it ---- */

static void expect(int fd, const char *command, unsigned long number, void *arg, int want,
		   const char *what)
{
	char *before = module_state(), *after, name[160];
	int got = try_ioctl(fd, number, arg);

	after = module_state();
	snprintf(name, sizeof(name), "%s: %s: %s", command, what, want ? strerrorname_np(want) : "success");
	if (got != want)
		check(false, name, "got %s", got ? strerrorname_np(got) : "success");
	else
		check(!want || !strcmp(before, after), name, "the module's state changed:\n%s\n--\n%s", before,
		      after);
	free(before);
	free(after);
}

/* The right call of a command gives this: without hardware only INFO works. */
static int verdict(const struct command *c)
{
	return hardware || c->number == HAIOV_INFO ? 0 : EOPNOTSUPP;
}

/* A failure of the structure comes first, any other only with the hardware. */
static int with_hardware(int err)
{
	return hardware ? err : EOPNOTSUPP;
}

static void call(const struct command *c, union any *a, int want, const char *what)
{
	expect(haiov, c->name, c->number, a, want, what);
	if (!want && c->undo)
		c->undo(a);
}

static void sizes(const struct command *c)
{
	static const size_t longer[] = { 1, 4, 8, 64 };
	union any a;
	char what[80];

	memset(&a, 0, sizeof(a));
	c->prepare(&a);
	call(c, &a, verdict(c), "as it should be");

	for (size_t size = 0; size < c->size; size += size < c->size - 4 ? 4 : 1) {
		if (brief && size && size != 4 && size != c->size - 1)
			continue;
		c->prepare(&a);
		a.size = size;
		snprintf(what, sizeof(what), "size %zu", size);
		call(c, &a, EINVAL, what);
	}
	for (size_t i = brief ? 2 : 0; i < sizeof(longer) / sizeof(longer[0]); i++) {
		memset(&a, 0, sizeof(a));
		c->prepare(&a);
		a.size = c->size + longer[i];
		snprintf(what, sizeof(what), "longer by %zu zeros", longer[i]);
		call(c, &a, verdict(c), what);

		memset(&a, 0, sizeof(a));
		c->prepare(&a);
		a.size = c->size + longer[i];
		a.bytes[a.size - 1] = 1;
		snprintf(what, sizeof(what), "longer by %zu, the last byte not zero", longer[i]);
		call(c, &a, E2BIG, what);
	}
	memset(&a, 0, sizeof(a));
	c->prepare(&a);
	a.size = 4096;
	call(c, &a, verdict(c), "4096 bytes, zeros");
	memset(&a, 0, sizeof(a));
	c->prepare(&a);
	a.size = 4096;
	a.bytes[c->size] = 0x80;
	call(c, &a, E2BIG, "4096 bytes, garbage first in the tail");
	memset(&a, 0, sizeof(a));
	c->prepare(&a);
	a.size = 4097;
	call(c, &a, E2BIG, "4097 bytes");
	c->prepare(&a);
	a.size = UINT32_MAX;
	call(c, &a, E2BIG, "size 0xffffffff");
	/* a long tail that ends where nothing is mapped */
	memset(&a, 0, sizeof(a));
	c->prepare(&a);
	a.size = c->size + 8;
	memcpy(page_end - c->size, &a, c->size);
	expect(haiov, c->name, c->number, page_end - c->size, EFAULT, "a tail that is not mapped");
}

static void flags(const struct command *c)
{
	union any a;
	char what[80];
	__u32 word;

	for (int bit = 0; bit < 32; bit++) {
		if (c->known_flags & 1U << bit || (brief && bit > 1 && bit < 31))
			continue;
		memset(&a, 0, sizeof(a));
		c->prepare(&a);
		memcpy(&word, a.bytes + c->flags_at, 4);
		word |= 1U << bit;
		memcpy(a.bytes + c->flags_at, &word, 4);
		snprintf(what, sizeof(what), "flag bit %d", bit);
		call(c, &a, EINVAL, what);
	}
	if (!c->reserved_at)
		return;
	for (int bit = 0; bit < 32; bit += 31) {
		memset(&a, 0, sizeof(a));
		c->prepare(&a);
		word = 1U << bit;
		memcpy(a.bytes + c->reserved_at, &word, 4);
		snprintf(what, sizeof(what), "reserved field, bit %d", bit);
		call(c, &a, EINVAL, what);
	}
}

static void pointers(const struct command *c)
{
	union any a;
	char *place = page_end - c->size;

	expect(haiov, c->name, c->number, NULL, EFAULT, "a null pointer");
	expect(haiov, c->name, c->number, page_end, EFAULT, "a pointer to nothing");
	expect(haiov, c->name, c->number, (void *)-4096L, EFAULT, "a pointer into the kernel");
	/* the size can be read, the rest cannot */
	memset(&a, 0, sizeof(a));
	c->prepare(&a);
	memcpy(page_end - 4, &a, 4);
	expect(haiov, c->name, c->number, page_end - 4, EFAULT, "a structure that ends in nothing");
	if (!c->has_output)
		return;
	c->prepare(&a);
	memcpy(place, &a, c->size);
	if (mprotect(page_end - 4096, 4096, PROT_READ))
		broken("mprotect");
	expect(haiov, c->name, c->number, place, verdict(c) ? verdict(c) : EFAULT, "an answer that cannot be written");
	if (mprotect(page_end - 4096, 4096, PROT_READ | PROT_WRITE))
		broken("mprotect");
}

static void ids(const struct command *c)
{
	const struct {
		const char *what;
		__u64 id;
		bool skip;
	} bad[] = {
		{ "id 0", 0, false },
		{ "id of all ones", ~0ULL, false },
		{ "an id that never was", vm_id + 1000, false },
		{ "the id in the lower half alone", (__u32)vm_id, (__u32)vm_id == vm_id },
		{ "the VM of another file", other_vm_id, other_vm_id == vm_id || other_vm_id == route_id },
		{ "the route of another file", other_route_id, other_route_id == route_id || other_route_id == vm_id },
		{ "a VM that is gone", dead_vm_id, false },
		{ "a route that is gone", dead_route_id, false },
		{ "a VM", vm_id, !c->id_is_route },
		{ "a route", route_id, !c->id_is_vm },
	};
	union any a;

	if (!c->id_at)
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (bad[i].skip)
			continue;
		memset(&a, 0, sizeof(a));
		c->prepare(&a);
		memcpy(a.bytes + c->id_at, &bad[i].id, sizeof(bad[i].id));
		call(c, &a, with_hardware(ENOENT), bad[i].what);
	}
}

/* Ids differ between files, or the checks with another file's ids would prove nothing. */
static void foreign_ids(void)
{
	struct haiov_vm_query q = { .size = sizeof(q), .vm_id = other_vm_id };
	struct haiov_route_query r = { .size = sizeof(r), .route_id = other_route_id };

	expect(other, "VM_QUERY", HAIOV_VM_QUERY, &q, 0, "the other file's VM, on that file");
	expect(other, "ROUTE_QUERY", HAIOV_ROUTE_QUERY, &r, 0, "the other file's route, on that file");
	check(other_vm_id != vm_id && other_route_id != route_id, "ids of two files differ", "they are the same");
}

static void unknown_numbers(void)
{
	static const unsigned int gaps[] = { 0x02, 0x0f, 0x12, 0x1f, 0x23, 0x2f, 0x30, 0x7f, 0xff };
	union any a;
	char what[64];

	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		memset(&a, 0, sizeof(a));
		a.size = 16;
		snprintf(what, sizeof(what), "number %#x", gaps[i]);
		expect(haiov, "unknown", _IO(HAIOV_TYPE, gaps[i]), &a, ENOTTY, what);
	}
	prepare_info(&a);
	expect(haiov, "unknown", _IO(HAIOV_TYPE + 1, HAIOV_CMD_INFO), &a, ENOTTY, "another type");
	expect(haiov, "unknown", _IOWR(HAIOV_TYPE, HAIOV_CMD_INFO, struct haiov_info), &a, ENOTTY,
	       "INFO with a size in its number");
	expect(haiov, "unknown", _IO(HAIOV_TYPE, HAIOV_CMD_INFO) | 1UL << 31, &a, ENOTTY, "INFO with a direction");
}

static void closed_file(void)
{
	int fd = dup(haiov);

	close(fd);
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		union any a;

		memset(&a, 0, sizeof(a));
		commands[i].prepare(&a);
		expect(fd, commands[i].name, commands[i].number, &a, EBADF, "a file that is closed");
	}
}

/* ---- fields of single commands ---- */

static void vm_create_fields(void)
{
	const struct {
		const char *what;
		int fd, want;
	} fds[] = {
		{ "KVM fd -1", -1, EBADF },
		{ "KVM fd 12345", 12345, EBADF },
		{ "KVM fd is an eventfd", event, EINVAL },
		{ "KVM fd is /dev/kvm", kvm, EINVAL },
		{ "KVM fd is a vCPU", vcpu_fd, EINVAL },
		{ "KVM fd is /dev/haiov", haiov, EINVAL },
		{ "KVM fd is standard output", 1, EINVAL },
	};
	static const __u32 numbers[] = { 0, 65537, 0x80000000, UINT32_MAX };
	union any a;
	char what[64];
	int closed = dup(free_vm_fd), path = open("/", O_PATH | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		prepare_vm_create(&a);
		a.vm_create.kvm_fd = fds[i].fd;
		expect(haiov, "VM_CREATE", HAIOV_VM_CREATE, &a, with_hardware(fds[i].want), fds[i].what);
	}
	close(closed);
	prepare_vm_create(&a);
	a.vm_create.kvm_fd = closed;
	expect(haiov, "VM_CREATE", HAIOV_VM_CREATE, &a, with_hardware(EBADF), "KVM fd is closed");
	prepare_vm_create(&a);
	a.vm_create.kvm_fd = path;
	expect(haiov, "VM_CREATE", HAIOV_VM_CREATE, &a, with_hardware(EBADF), "KVM fd is a path only");
	close(path);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		prepare_vm_create(&a);
		a.vm_create.nr_veirqs = numbers[i];
		snprintf(what, sizeof(what), "%u VEIRQs", numbers[i]);
		expect(haiov, "VM_CREATE", HAIOV_VM_CREATE, &a, with_hardware(EINVAL), what);
	}
	if (!hardware)
		return;
	prepare_vm_create(&a);
	a.vm_create.kvm_fd = vm_fd;
	expect(haiov, "VM_CREATE", HAIOV_VM_CREATE, &a, EBUSY, "bound already, same file");
	prepare_vm_create(&a);
	a.vm_create.kvm_fd = vm_fd;
	expect(other, "VM_CREATE", HAIOV_VM_CREATE, &a, EBUSY, "bound already, other file");
	prepare_vm_create(&a);
	a.vm_create.nr_veirqs = 65536;
	call(&commands[2], &a, 0, "65536 VEIRQs");
	prepare_vm_create(&a);
	a.vm_create.nr_veirqs = 1;
	call(&commands[2], &a, 0, "1 VEIRQ");
}

static void route_add_fields(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), closed = dup(event);
	const struct {
		const char *what;
		int fd, want;
	} fds[] = {
		{ "eventfd -1", -1, EBADF },
		{ "eventfd 12345", 12345, EBADF },
		{ "eventfd is a timerfd", timer, EINVAL },
		{ "eventfd is a KVM VM", vm_fd, EINVAL },
		{ "eventfd is /dev/haiov", haiov, EINVAL },
		{ "eventfd is standard output", 1, EINVAL },
	};
	const struct {
		const char *what;
		__u32 flags, veirq, cpu;
		int want;
	} fields[] = {
		{ "VEIRQ past the end", HAIOV_ROUTE_CPU, NR_VEIRQS, 0, EINVAL },
		{ "VEIRQ 65536", HAIOV_ROUTE_CPU, 65536, 0, EINVAL },
		{ "VEIRQ 0xffffffff", HAIOV_ROUTE_CPU, UINT32_MAX, 0, EINVAL },
		{ "CPU past the end", HAIOV_ROUTE_CPU, 61, 4096, EINVAL },
		{ "CPU 0x80000000", HAIOV_ROUTE_CPU, 61, 0x80000000, EINVAL },
		{ "CPU 0xffffffff", HAIOV_ROUTE_CPU, 61, UINT32_MAX, EINVAL },
		{ "VEIRQ has a route", HAIOV_ROUTE_CPU, 1, 0, EEXIST },
		{ "VEIRQ has a route, no CPU given", 0, 1, 0, EEXIST },
	};
	union any a;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		prepare_route_add(&a);
		a.route_add.eventfd = fds[i].fd;
		expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, with_hardware(fds[i].want), fds[i].what);
	}
	close(closed);
	prepare_route_add(&a);
	a.route_add.eventfd = closed;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, with_hardware(EBADF), "eventfd is closed");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		prepare_route_add(&a);
		a.route_add.flags = fields[i].flags;
		a.route_add.veirq = fields[i].veirq;
		a.route_add.cpu = fields[i].cpu;
		expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, with_hardware(fields[i].want), fields[i].what);
	}
	/* a matter of the structure alone, so also without hardware */
	prepare_route_add(&a);
	a.route_add.flags = 0;
	a.route_add.cpu = 1;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, EINVAL, "a CPU without the flag");
	close(timer);
	if (!hardware)
		return;
	prepare_route_add(&a);
	a.route_add.flags = 0;
	call(&commands[4], &a, 0, "no CPU given");
	prepare_route_add(&a);
	a.route_add.veirq = NR_VEIRQS - 1;
	a.route_add.cpu = nr_harts - 1;
	call(&commands[4], &a, 0, "the last VEIRQ, the last CPU");
}

static void route_move_fields(void)
{
	static const __u32 cpus[] = { 4096, 0x80000000, UINT32_MAX };
	union any a;
	char what[64];

	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		prepare_route_move(&a);
		a.route_move.cpu = cpus[i];
		snprintf(what, sizeof(what), "CPU %#x", cpus[i]);
		expect(haiov, "ROUTE_MOVE", HAIOV_ROUTE_MOVE, &a, with_hardware(EINVAL), what);
	}
}

static void busy_vm(void)
{
	struct haiov_destroy d = { .size = sizeof(d), .id = vm_id };

	expect(haiov, "DESTROY", HAIOV_DESTROY, &d, EBUSY, "a VM that has routes");
}

static void offline_cpu(void)
{
	unsigned int cpu = nr_harts - 1;
	union any a;

	errno = cpu_online(cpu, false);
	if (errno)
		broken("CPU %u does not go offline", cpu);
	prepare_route_add(&a);
	a.route_add.cpu = cpu;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, ENODEV, "a CPU that is offline");
	prepare_route_move(&a);
	a.route_move.cpu = cpu;
	expect(haiov, "ROUTE_MOVE", HAIOV_ROUTE_MOVE, &a, ENODEV, "a CPU that is offline");
	errno = cpu_online(cpu, true);
	if (errno)
		broken("CPU %u does not come back", cpu);
	prepare_route_add(&a);
	a.route_add.cpu = cpu;
	call(&commands[4], &a, 0, "the CPU is online again");
}

/* All VEIIDs of a CPU, then one more. */
static void exhaustion(void)
{
	__u64 *made = calloc(nr_veiids, sizeof(*made)), vm;
	unsigned int cpu = 1, n = 0;
	char which[16];
	int vm_fd2 = create_kvm_vm(), err;
	struct haiov_vm_create c = { .size = sizeof(c), .kvm_fd = vm_fd2, .nr_veirqs = 65536 };
	struct haiov_route_add r;
	union any a;

	snprintf(which, sizeof(which), "cpu=%u ", cpu);
	errno = try_ioctl(haiov, HAIOV_VM_CREATE, &c);
	if (errno || !made)
		broken("VM_CREATE");
	vm = c.out_vm_id;
	uint64_t free_before = state_sum_of("harts", which, "free");

	for (;;) {
		r = (struct haiov_route_add){ .size = sizeof(r), .flags = HAIOV_ROUTE_CPU, .vm_id = vm,
					      .veirq = n, .eventfd = event, .cpu = cpu };
		err = try_ioctl(haiov, HAIOV_ROUTE_ADD, &r);
		if (err || n == nr_veiids)
			break;
		made[n++] = r.out_route_id;
	}
	check(err == ENOSPC && n == free_before, "VEIIDs of a CPU can be used up, then ROUTE_ADD: ENOSPC",
	      "errno %d after %u of %llu", err, n, (unsigned long long)free_before);
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &r, ENOSPC, "no VEIID is left there");
	prepare_route_move(&a);
	a.route_move.cpu = cpu;
	struct haiov_route_query q = { .size = sizeof(q), .route_id = route_id };
	try_ioctl(haiov, HAIOV_ROUTE_QUERY, &q);
	if (q.out_cpu != cpu)
		expect(haiov, "ROUTE_MOVE", HAIOV_ROUTE_MOVE, &a, ENOSPC, "no VEIID is left there");
	r.flags = 0;
	r.cpu = 0;
	check(!try_ioctl(haiov, HAIOV_ROUTE_ADD, &r) && r.out_cpu != cpu,
	      "without a CPU given, a full one is avoided", "errno %d, CPU %u", errno, r.out_cpu);
	check(!destroy(haiov, r.out_route_id), "that route goes", "errno %d", errno);
	while (n)
		if (destroy(haiov, made[--n]))
			broken("DESTROY");
	check(state_sum_of("harts", which, "free") == free_before, "all VEIIDs are free again", "%llu of %llu",
	      (unsigned long long)state_sum_of("harts", which, "free"), (unsigned long long)free_before);
	check(!destroy(haiov, vm), "their VM goes", "errno %d", errno);
	close(vm_fd2);
	free(made);
}

/* What was destroyed stays destroyed although its place is taken by another. */
static void generations(void)
{
	union any a;

	for (int i = 0; i < (brief ? 10 : 300); i++) {
		__u64 old = add_route(haiov, vm_id, 62), young;

		if (destroy(haiov, old))
			broken("DESTROY");
		young = add_route(haiov, vm_id, 62);
		a.route_query = (struct haiov_route_query){ .size = sizeof(a.route_query), .route_id = old };
		if (old == young || try_ioctl(haiov, HAIOV_ROUTE_QUERY, &a) != ENOENT ||
		    destroy(haiov, old) != ENOENT) {
			check(false, "a stale id never names a younger object", "round %d: %#llx, %#llx", i,
			      (unsigned long long)old, (unsigned long long)young);
			return;
		}
		if (destroy(haiov, young))
			broken("DESTROY");
	}
	check(true, "a stale id never names a younger object", " ");
}

static void answers(void)
{
	struct haiov_info i = { .size = sizeof(i) };
	struct haiov_vm_query v = { .size = sizeof(v), .vm_id = vm_id };
	struct haiov_route_query r = { .size = sizeof(r), .route_id = route_id };
	struct haiov_route_move m = { .size = sizeof(m), .route_id = route_id, .cpu = 2 };

	check(!try_ioctl(haiov, HAIOV_INFO, &i) && i.features == HAIOV_FEATURE_VEI && i.nr_harts == 4 &&
		      i.nr_veiids == 1024 && i.max_veirqs == 65536,
	      "INFO tells what the machine has", "%#llx %u %u %u", (unsigned long long)i.features,
	      i.nr_harts, i.nr_veiids, i.max_veirqs);
	check(!try_ioctl(haiov, HAIOV_VM_QUERY, &v) && v.out_vmid && v.out_nr_routes == 1 &&
		      !v.out_fallbacks && !v.out_dropped,
	      "VM_QUERY tells of the VM", "%u %u", v.out_vmid, v.out_nr_routes);
	check(!try_ioctl(haiov, HAIOV_ROUTE_MOVE, &m) && m.out_veiid, "ROUTE_MOVE moves", "errno %d", errno);
	check(!try_ioctl(haiov, HAIOV_ROUTE_QUERY, &r) && r.out_veirq == 1 && r.out_cpu == 2 &&
		      r.out_veiid == m.out_veiid && !r.out_pending && !r.out_delivered,
	      "ROUTE_QUERY tells of the route", "%u %u %u", r.out_veirq, r.out_cpu, r.out_veiid);
}

/* Objects do not need the files that they were made from, and die with their own. */
static void lifetimes(void)
{
	int fd = open("/dev/haiov", O_RDWR | O_CLOEXEC), vm = create_kvm_vm(), twin;
	char *before = module_state(), *after;
	__u64 id = create_vm(fd, vm);
	struct haiov_vm_query q = { .size = sizeof(q), .vm_id = id };

	add_route(fd, id, 3);
	close(vm);
	check(!try_ioctl(fd, HAIOV_VM_QUERY, &q) && q.out_nr_routes == 1, "a VM outlives the KVM fd", "errno %d",
	      errno);
	twin = dup(fd);
	close(fd);
	q = (struct haiov_vm_query){ .size = sizeof(q), .vm_id = id };
	check(!try_ioctl(twin, HAIOV_VM_QUERY, &q) && q.out_nr_routes == 1,
	      "objects live while their file has a descriptor", "errno %d", errno);
	close(twin);
	after = module_state();
	check(!strcmp(before, after), "objects die with their file", "%s\n--\n%s", before, after);
	free(before);
	free(after);
}

/* ---- the three runs ---- */

static void common(void)
{
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		sizes(&commands[i]);
		flags(&commands[i]);
		pointers(&commands[i]);
		ids(&commands[i]);
	}
	unknown_numbers();
	vm_create_fields();
	route_add_fields();
	route_move_fields();
	closed_file();
}

static void open_all(void)
{
	int guard;
	char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || munmap(pages + 2 * 4096, 4096))
		broken("mmap");
	page_end = pages + 2 * 4096;
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	haiov = open("/dev/haiov", O_RDWR | O_CLOEXEC);
	other = open("/dev/haiov", O_RDWR | O_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC);
	guard = kvm < 0 || haiov < 0 || other < 0 || event < 0;
	if (guard)
		broken("cannot open /dev/kvm, /dev/haiov, an eventfd");
	vm_fd = create_kvm_vm();
	free_vm_fd = create_kvm_vm();
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0)
		broken("KVM_CREATE_VCPU");
}

static int run_with_hardware(void)
{
	struct haiov_info info = { .size = sizeof(info) };
	char *empty = module_state(), *end;
	unsigned int fds;
	int spare;

	hardware = true;
	open_all();
	fds = open_fds();
	errno = try_ioctl(haiov, HAIOV_INFO, &info);
	if (errno || !info.features)
		broken("INFO: no hardware");
	nr_harts = info.nr_harts;
	nr_veiids = info.nr_veiids;

	/* ids of the other file that are none of ours */
	spare = create_kvm_vm();
	dead_vm_id = create_vm(haiov, spare);
	dead_route_id = add_route(haiov, dead_vm_id, 0);
	if (destroy(haiov, dead_route_id) || destroy(haiov, dead_vm_id))
		broken("DESTROY");
	vm_id = create_vm(haiov, vm_fd);
	route_id = add_route(haiov, vm_id, 1);
	for (int i = 0; i < 5; i++) {
		int vm = create_kvm_vm();

		other_vm_id = create_vm(other, vm);
		close(vm);
	}
	other_route_id = add_route(other, other_vm_id, 1);
	close(spare);

	answers();
	foreign_ids();
	common();
	busy_vm();
	generations();
	lifetimes();
	if (!brief)
		exhaustion();
	offline_cpu();
	check(open_fds() == fds, "no file descriptor is left over", "%u, were %u", open_fds(), fds);

	close(haiov);
	close(other);
	end = module_state();
	check(!strcmp(empty, end), "nothing is left in the module", "%s\n--\n%s", empty, end);
	return failures != 0;
}

static int run_without_hardware(void)
{
	struct haiov_info info = { .size = sizeof(info), .features = 1, .nr_harts = 7 };

	open_all();
	/* Whatever the ids are, without hardware they do not matter. */
	vm_id = 1ULL << 32 | 1;
	route_id = 1ULL << 32 | 2;
	check(!try_ioctl(haiov, HAIOV_INFO, &info) && !info.features && !info.nr_harts && !info.nr_veiids &&
		      !info.cache_entries && !info.max_veirqs,
	      "INFO answers, with nothing", "errno %d, %#llx %u", errno, (unsigned long long)info.features,
	      info.nr_harts);
	common();
	return failures != 0;
}

static int run_without_privilege(void)
{
	int fd;

	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		broken("cannot give up privileges");
	fd = open("/dev/haiov", O_RDWR | O_CLOEXEC);
	check(fd < 0 && errno == EACCES, "a user outside the group cannot open /dev/haiov: EACCES", "fd %d, errno %d",
	      fd, errno);
	fd = open("/dev/haiov", O_RDONLY | O_CLOEXEC);
	check(fd < 0 && errno == EACCES, "nor for reading: EACCES", "fd %d, errno %d", fd, errno);
	fd = open("/sys/kernel/debug/haiov/routes", O_RDONLY | O_CLOEXEC);
	check(fd < 0 && errno == EACCES, "nor see other people's routes: EACCES", "fd %d, errno %d", fd, errno);
	return failures != 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "hw";

	brief = argc > 2 && !strcmp(argv[2], "brief");
	if (!strcmp(what, "hw"))
		return run_with_hardware();
	if (!strcmp(what, "nohw"))
		return run_without_hardware();
	if (!strcmp(what, "nopriv"))
		return run_without_privilege();
	broken("unknown run '%s'", what);
}
