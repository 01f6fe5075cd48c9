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
#include <sys/wait.h>
#include <unistd.h>

#include <linux/haiov.h>
#include <linux/kvm.h>

#define ROOM 8192
#define NR_VEIRQS 64
#define CONTEXT_CPU 1

/* guest physical addresses: memory, an MMIO range that stays, and a place for one that comes and goes */
#define RAM_GPA 0x80000000ULL
#define RAM_SIZE 0x200000ULL
#define RANGE_GPA 0x10000000ULL
#define RANGE_SIZE 0x4000ULL
#define SPARE_GPA 0x20000000ULL

union any {
	__u32 size;
	struct haiov_info info;
	struct haiov_destroy destroy;
	struct haiov_vm_create vm_create;
	struct haiov_vm_query vm_query;
	struct haiov_route_add route_add;
	struct haiov_route_move route_move;
	struct haiov_route_query route_query;
	struct haiov_vcpu_create vcpu_create;
	struct haiov_mmio_add mmio_add;
	struct haiov_signal_add signal_add;
	struct haiov_context_create context_create;
	struct haiov_context_wait context_wait;
	struct haiov_context_query context_query;
	struct haiov_context_move context_move;
	struct haiov_context_listen context_listen;
	unsigned char bytes[ROOM];
};

static int kvm = -1, haiov = -1, other = -1; /* /dev/kvm, and two files of /dev/haiov */
static int vm_fd = -1, free_vm_fd = -1, vcpu_fd = -1, spare_vcpu_fd = -1, event = -1;
static int mem_vm_fd = -1; /* a VM with memory */
static __u64 mem_vm_id;
static __u64 vcpu_id, range_id, signal_id, dead_signal_id, context_id, other_context_id, dead_context_id;
static __u64 listener_id; /* a context that listens now and then, and has an event since */
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

/* Where a handler begins. None of these vCPUs runs, so that nothing is ever executed there. */
static __u64 entry(void)
{
	return (uintptr_t)page_end - 4096;
}

static __u64 data(void)
{
	static __u64 word;

	return (uintptr_t)&word;
}

static __u64 add_vcpu(int fd, __u64 vm, int vcpu)
{
	struct haiov_vcpu_create c = { .size = sizeof(c), .vm_id = vm, .vcpu_fd = vcpu, .entry = entry() };

	errno = try_ioctl(fd, HAIOV_VCPU_CREATE, &c);
	if (errno)
		broken("VCPU_CREATE");
	return c.out_vcpu_id;
}

static __u64 add_range(int fd, __u64 vm, __u64 gpa, __u64 length)
{
	struct haiov_mmio_add m = { .size = sizeof(m), .vm_id = vm, .gpa = gpa, .length = length };

	errno = try_ioctl(fd, HAIOV_MMIO_ADD, &m);
	if (errno)
		broken("MMIO_ADD");
	return m.out_mmio_id;
}

static __u64 add_signal(int fd, __u64 vm, __u32 *index)
{
	struct haiov_signal_add s = { .size = sizeof(s), .vm_id = vm, .eventfd = event };

	errno = try_ioctl(fd, HAIOV_SIGNAL_ADD, &s);
	if (errno)
		broken("SIGNAL_ADD");
	if (index)
		*index = s.out_index;
	return s.out_signal_id;
}

static __u64 add_context(int fd)
{
	struct haiov_context_create c = {
		.size = sizeof(c), .flags = HAIOV_CONTEXT_CPU, .entry = entry(), .data = data(), .cpu = CONTEXT_CPU,
	};

	errno = try_ioctl(fd, HAIOV_CONTEXT_CREATE, &c);
	if (errno)
		broken("CONTEXT_CREATE");
	return c.out_context_id;
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
	size_t size, min_size; /* of its first version, if that was another one */
	size_t flags_at, reserved_at; /* 0: none */
	__u32 known_flags;
	size_t id_at; /* 0: takes none */
	bool id_is_vm, id_is_route, id_is_context;
	bool has_output;
	bool sleeps; /* when it succeeds: what fails is tried only */
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

static void prepare_vcpu_create(union any *a)
{
	a->vcpu_create = (struct haiov_vcpu_create){
		.size = sizeof(a->vcpu_create), .vm_id = vm_id, .vcpu_fd = spare_vcpu_fd, .entry = entry(),
	};
}

static void undo_vcpu_create(union any *a)
{
	errno = destroy(haiov, a->vcpu_create.out_vcpu_id);
	if (errno)
		broken("undoing VCPU_CREATE");
}

static void prepare_mmio_add(union any *a)
{
	a->mmio_add = (struct haiov_mmio_add){
		.size = sizeof(a->mmio_add), .vm_id = vm_id, .gpa = SPARE_GPA, .length = 4096,
	};
}

static void undo_mmio_add(union any *a)
{
	errno = destroy(haiov, a->mmio_add.out_mmio_id);
	if (errno)
		broken("undoing MMIO_ADD");
}

static void prepare_signal_add(union any *a)
{
	a->signal_add = (struct haiov_signal_add){
		.size = sizeof(a->signal_add), .vm_id = vm_id, .eventfd = event,
	};
}

static void undo_signal_add(union any *a)
{
	errno = destroy(haiov, a->signal_add.out_signal_id);
	if (errno)
		broken("undoing SIGNAL_ADD");
}

static void prepare_context_create(union any *a)
{
	a->context_create = (struct haiov_context_create){
		.size = sizeof(a->context_create), .flags = HAIOV_CONTEXT_CPU, .entry = entry(), .data = data(), .cpu = 0,
	};
}

static void undo_context_create(union any *a)
{
	errno = destroy(haiov, a->context_create.out_context_id);
	if (errno)
		broken("undoing CONTEXT_CREATE");
}

static void prepare_context_wait(union any *a)
{
	a->context_wait = (struct haiov_context_wait){
		.size = sizeof(a->context_wait), .context_id = context_id,
	};
}

static void prepare_context_query(union any *a)
{
	a->context_query = (struct haiov_context_query){
		.size = sizeof(a->context_query), .context_id = context_id,
	};
}

static void prepare_context_move(union any *a)
{
	a->context_move = (struct haiov_context_move){
		.size = sizeof(a->context_move), .context_id = context_id, .cpu = CONTEXT_CPU,
	};
}

static void prepare_context_listen(union any *a)
{
	a->context_listen = (struct haiov_context_listen){
		.size = sizeof(a->context_listen), .context_id = listener_id, .eventfd = event,
	};
}

static void undo_context_listen(union any *a)
{
	errno = destroy(haiov, a->context_listen.out_listening_id);
	if (errno)
		broken("undoing CONTEXT_LISTEN");
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
	  .min_size = offsetof(struct haiov_route_add, context_id),
	  .known_flags = HAIOV_ROUTE_CPU | HAIOV_ROUTE_CONTEXT, .id_at = offsetof(struct haiov_route_add, vm_id), .id_is_vm = true,
	  .has_output = true, .undo = undo_route_add },
	{ COMMON(ROUTE_MOVE, route_move), .id_at = offsetof(struct haiov_route_move, route_id),
	  .id_is_route = true, .has_output = true },
	{ COMMON(ROUTE_QUERY, route_query), .id_at = offsetof(struct haiov_route_query, route_id),
	  .id_is_route = true, .has_output = true },
	{ COMMON(VCPU_CREATE, vcpu_create), .reserved_at = offsetof(struct haiov_vcpu_create, __reserved),
	  .id_at = offsetof(struct haiov_vcpu_create, vm_id), .id_is_vm = true, .has_output = true,
	  .undo = undo_vcpu_create },
	{ COMMON(MMIO_ADD, mmio_add), .id_at = offsetof(struct haiov_mmio_add, vm_id), .id_is_vm = true,
	  .has_output = true, .undo = undo_mmio_add },
	{ COMMON(SIGNAL_ADD, signal_add), .min_size = offsetof(struct haiov_signal_add, context_id),
	  .known_flags = HAIOV_SIGNAL_CONTEXT, .id_at = offsetof(struct haiov_signal_add, vm_id), .id_is_vm = true,
	  .has_output = true, .undo = undo_signal_add },
	{ COMMON(CONTEXT_CREATE, context_create), .known_flags = HAIOV_CONTEXT_CPU | HAIOV_CONTEXT_ANY, .has_output = true,
	  .undo = undo_context_create },
	{ COMMON(CONTEXT_WAIT, context_wait), .id_at = offsetof(struct haiov_context_wait, context_id),
	  .id_is_context = true, .sleeps = true },
	{ COMMON(CONTEXT_QUERY, context_query), .min_size = offsetof(struct haiov_context_query, out_signaled), .reserved_at = offsetof(struct haiov_context_query, __reserved),
	  .id_at = offsetof(struct haiov_context_query, context_id), .id_is_context = true, .has_output = true },
	{ COMMON(CONTEXT_MOVE, context_move), .id_at = offsetof(struct haiov_context_move, context_id), .id_is_context = true,
	  .has_output = true },
	{ COMMON(CONTEXT_LISTEN, context_listen), .reserved_at = offsetof(struct haiov_context_listen, __reserved),
	  .id_at = offsetof(struct haiov_context_listen, context_id), .id_is_context = true, .has_output = true,
	  .undo = undo_context_listen },
};

static const struct command *command(unsigned long number)
{
	const struct command *c = commands;

	while (c->number != number)
		c++;
	return c;
}

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
	if (!want && c->sleeps)
		return;
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

	size_t min_size = c->min_size ? c->min_size : c->size;

	for (size_t size = 0; size < min_size; size += size < min_size - 4 ? 4 : 1) {
		if (brief && size && size != 4 && size != min_size - 1)
			continue;
		c->prepare(&a);
		a.size = size;
		snprintf(what, sizeof(what), "size %zu", size);
		call(c, &a, EINVAL, what);
	}
	for (size_t size = min_size; size < c->size; size++) {
		memset(&a, 0, sizeof(a));
		c->prepare(&a);
		/* what an older caller does not have is not looked at */
		memset(a.bytes + size, 0xff, c->size - size);
		a.size = size;
		snprintf(what, sizeof(what), "size %zu", size);
		call(c, &a, verdict(c), what);
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
	bool any_kind = !c->id_is_vm && !c->id_is_route && !c->id_is_context;
	const struct {
		const char *what;
		__u64 id;
		bool skip;
	} bad[] = {
		{ "id 0", 0, false },
		{ "id of all ones", ~0ULL, false },
		{ "an id that never was", vm_id + 1000, false },
		{ "the id in the lower half alone", (__u32)vm_id, (__u32)vm_id == vm_id },
		{ "the VM of another file", other_vm_id, !hardware },
		{ "the route of another file", other_route_id, !hardware },
		{ "a VM that is gone", dead_vm_id, false },
		{ "a route that is gone", dead_route_id, false },
		{ "a VM", vm_id, any_kind || c->id_is_vm },
		{ "a route", route_id, any_kind || c->id_is_route },
		{ "a vCPU", vcpu_id, any_kind },
		{ "an MMIO range", range_id, any_kind },
		{ "a signal", signal_id, any_kind },
		{ "a signal that is gone", dead_signal_id, false },
		{ "a context", context_id, any_kind || c->id_is_context },
		{ "the context of another file", other_context_id, !hardware },
		{ "a context that is gone", dead_context_id, false },
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
	const __u64 ours[] = { vm_id, route_id, vcpu_id, range_id, signal_id, mem_vm_id, context_id, listener_id };
	bool differ = true;

	expect(other, "VM_QUERY", HAIOV_VM_QUERY, &q, 0, "the other file's VM, on that file");
	expect(other, "ROUTE_QUERY", HAIOV_ROUTE_QUERY, &r, 0, "the other file's route, on that file");
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		differ &= ours[i] != other_vm_id && ours[i] != other_route_id && ours[i] != other_context_id;
	check(differ, "ids of two files differ", "they are the same");
}

static void unknown_numbers(void)
{
	static const unsigned int gaps[] = { 0x02, 0x0f, 0x12, 0x1f, 0x23, 0x2f, 0x31, 0x3f, 0x41, 0x4f, 0x51, 0x5f, 0x65, 0x6f, 0x70, 0x7f,
					     0xff };
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
	call(command(HAIOV_VM_CREATE), &a, 0, "65536 VEIRQs");
	prepare_vm_create(&a);
	a.vm_create.nr_veirqs = 1;
	call(command(HAIOV_VM_CREATE), &a, 0, "1 VEIRQ");
}

/* The eventfd of a call: what is none, and one that was closed. @field is that of @a, which @prepare fills in. */
static void bad_eventfds(const char *name, unsigned long number, void (*prepare)(union any *a), union any *a,
			 __s32 *field)
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
		{ "eventfd is closed", closed, EBADF },
	};

	close(closed);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		prepare(a);
		*field = fds[i].fd;
		expect(haiov, name, number, a, with_hardware(fds[i].want), fds[i].what);
	}
	close(timer);
}

static void prepare_route_to_context(union any *a)
{
	prepare_route_add(a);
	a->route_add.flags = HAIOV_ROUTE_CONTEXT;
	a->route_add.eventfd = 0;
	a->route_add.context_id = context_id;
}

static void route_add_fields(void)
{
	const struct {
		const char *what;
		__u64 id;
	} contexts[] = {
		{ "context 0", 0 },
		{ "a context that is gone", dead_context_id },
		{ "a context that is a VM", vm_id },
		{ "a context that is a route", route_id },
		{ "a context of another file", other_context_id },
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

	bad_eventfds("ROUTE_ADD", HAIOV_ROUTE_ADD, prepare_route_add, &a, &a.route_add.eventfd);
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
	prepare_route_add(&a);
	/* Without the hardware there is no context: what counts is that it is not 0. */
	a.route_add.context_id = ~0ULL;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, EINVAL, "a context without the flag");
	prepare_route_to_context(&a);
	a.route_add.eventfd = event;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, EINVAL, "an eventfd and a context");
	prepare_route_to_context(&a);
	a.route_add.flags |= HAIOV_ROUTE_CPU;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, EINVAL, "a CPU and a context");
	for (size_t i = 0; i < sizeof(contexts) / sizeof(contexts[0]); i++) {
		prepare_route_to_context(&a);
		a.route_add.context_id = contexts[i].id;
		expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, with_hardware(ENOENT), contexts[i].what);
	}
	prepare_route_to_context(&a);
	a.route_add.veirq = 1;
	expect(haiov, "ROUTE_ADD", HAIOV_ROUTE_ADD, &a, with_hardware(EEXIST), "VEIRQ has a route, to a context");
	if (!hardware)
		return;
	prepare_route_to_context(&a);
	call(command(HAIOV_ROUTE_ADD), &a, 0, "to a context");
	prepare_route_add(&a);
	a.route_add.flags = 0;
	call(command(HAIOV_ROUTE_ADD), &a, 0, "no CPU given");
	prepare_route_add(&a);
	a.route_add.veirq = NR_VEIRQS - 1;
	a.route_add.cpu = nr_harts - 1;
	call(command(HAIOV_ROUTE_ADD), &a, 0, "the last VEIRQ, the last CPU");
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

static void vcpu_create_fields(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), closed = dup(spare_vcpu_fd), foreign;
	int path = open("/", O_PATH | O_CLOEXEC);
	static const struct {
		const char *what;
		__u64 add;
	} entries[] = {
		{ "entry 1 off", 1 },
		{ "entry 2 off", 2 },
		{ "entry 3 off", 3 },
	};
	static const struct {
		const char *what;
		__u64 entry;
	} absolute[] = {
		{ "entry 0", 0 },
		{ "entry -4", -4ULL },
		{ "entry in the lowest page of the kernel's half", 1ULL << 63 },
		{ "entry between the halves", 1ULL << 62 },
	};
	union any a;

	foreign = ioctl(mem_vm_fd, KVM_CREATE_VCPU, 0);
	if (foreign < 0)
		broken("KVM_CREATE_VCPU");
	const struct {
		const char *what;
		int fd, want;
	} fds[] = {
		{ "vCPU fd -1", -1, EBADF },
		{ "vCPU fd 12345", 12345, EBADF },
		{ "vCPU fd is an eventfd", event, EINVAL },
		{ "vCPU fd is a timerfd", timer, EINVAL },
		{ "vCPU fd is its VM", vm_fd, EINVAL },
		{ "vCPU fd is /dev/kvm", kvm, EINVAL },
		{ "vCPU fd is /dev/haiov", haiov, EINVAL },
		{ "vCPU fd is standard output", 1, EINVAL },
		{ "vCPU fd is a path only", path, EBADF },
		{ "a vCPU of another VM", foreign, EINVAL },
	};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		prepare_vcpu_create(&a);
		a.vcpu_create.vcpu_fd = fds[i].fd;
		expect(haiov, "VCPU_CREATE", HAIOV_VCPU_CREATE, &a, with_hardware(fds[i].want), fds[i].what);
	}
	close(closed);
	prepare_vcpu_create(&a);
	a.vcpu_create.vcpu_fd = closed;
	expect(haiov, "VCPU_CREATE", HAIOV_VCPU_CREATE, &a, with_hardware(EBADF), "vCPU fd is closed");
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		prepare_vcpu_create(&a);
		a.vcpu_create.entry += entries[i].add;
		expect(haiov, "VCPU_CREATE", HAIOV_VCPU_CREATE, &a, with_hardware(EINVAL), entries[i].what);
	}
	for (size_t i = 0; i < sizeof(absolute) / sizeof(absolute[0]); i++) {
		prepare_vcpu_create(&a);
		a.vcpu_create.entry = absolute[i].entry;
		expect(haiov, "VCPU_CREATE", HAIOV_VCPU_CREATE, &a, with_hardware(EINVAL), absolute[i].what);
	}
	close(timer);
	close(path);
	if (!hardware) {
		close(foreign);
		return;
	}
	prepare_vcpu_create(&a);
	a.vcpu_create.vcpu_fd = vcpu_fd;
	expect(haiov, "VCPU_CREATE", HAIOV_VCPU_CREATE, &a, EBUSY, "the vCPU has a handler");
	/* what the handler finds in uscratch is its own affair */
	prepare_vcpu_create(&a);
	a.vcpu_create.data = ~0ULL;
	call(command(HAIOV_VCPU_CREATE), &a, 0, "any data");
	/* the handler runs in the VM's process, so nobody else may say where it begins */
	if (!fork()) {
		prepare_vcpu_create(&a);
		_exit(try_ioctl(haiov, HAIOV_VCPU_CREATE, &a));
	}
	char *before = module_state(), *after;
	int status = -1;

	if (wait(&status) < 0)
		broken("wait");
	after = module_state();
	check(WIFEXITED(status) && WEXITSTATUS(status) == EPERM && !strcmp(before, after),
	      "VCPU_CREATE: by another process: EPERM", "status %#x", status);
	free(before);
	free(after);
	close(foreign);
}

static void mmio_add_fields(void)
{
	static const struct {
		const char *what;
		__u64 gpa, length;
		int want;
	} ranges[] = {
		{ "gpa 1 off", SPARE_GPA + 1, 4096, EINVAL },
		{ "gpa 8 off", SPARE_GPA + 8, 4096, EINVAL },
		{ "gpa 2048 off", SPARE_GPA + 2048, 4096, EINVAL },
		{ "gpa 4095 off", SPARE_GPA + 4095, 4096, EINVAL },
		{ "length 0", SPARE_GPA, 0, EINVAL },
		{ "length 1", SPARE_GPA, 1, EINVAL },
		{ "length 4095", SPARE_GPA, 4095, EINVAL },
		{ "length 4097", SPARE_GPA, 4097, EINVAL },
		{ "a range that wraps", -4096ULL, 8192, EINVAL },
		{ "a range that wraps to 0", -4096ULL, 4096, EINVAL },
		{ "a range of nearly everything", 4096, -4096ULL, EINVAL },
		{ "a range of nearly everything that wraps", SPARE_GPA, -4096ULL, EINVAL },
		{ "gpa 1 << 62", 1ULL << 62, 4096, EINVAL },
		{ "another range", RANGE_GPA, RANGE_SIZE, EEXIST },
		{ "a page of another range", RANGE_GPA + 4096, 4096, EEXIST },
		{ "the end of another range", RANGE_GPA + RANGE_SIZE - 4096, 8192, EEXIST },
		{ "the beginning of another range", RANGE_GPA - 4096, 8192, EEXIST },
		{ "around another range", RANGE_GPA - 4096, RANGE_SIZE + 8192, EEXIST },
	};
	static const struct {
		const char *what;
		__u64 gpa, length;
		int want;
	} slots[] = {
		{ "a memory slot", RAM_GPA, RAM_SIZE, EEXIST },
		{ "a page of a memory slot", RAM_GPA + 4096, 4096, EEXIST },
		{ "the end of a memory slot", RAM_GPA + RAM_SIZE - 4096, 8192, EEXIST },
		{ "the beginning of a memory slot", RAM_GPA - 4096, 8192, EEXIST },
		{ "around a memory slot", RAM_GPA - 4096, RAM_SIZE + 8192, EEXIST },
		{ "right before a memory slot", RAM_GPA - 4096, 4096, 0 },
		{ "right after a memory slot", RAM_GPA + RAM_SIZE, 4096, 0 },
		{ "where another VM has a range", RANGE_GPA, RANGE_SIZE, 0 },
	};
	union any a;
	__u64 end;
	int bits;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		prepare_mmio_add(&a);
		a.mmio_add.gpa = ranges[i].gpa;
		a.mmio_add.length = ranges[i].length;
		expect(haiov, "MMIO_ADD", HAIOV_MMIO_ADD, &a, with_hardware(ranges[i].want), ranges[i].what);
	}
	if (!hardware)
		return;
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		prepare_mmio_add(&a);
		a.mmio_add.vm_id = mem_vm_id;
		a.mmio_add.gpa = slots[i].gpa;
		a.mmio_add.length = slots[i].length;
		call(command(HAIOV_MMIO_ADD), &a, slots[i].want, slots[i].what);
	}
	prepare_mmio_add(&a);
	a.mmio_add.gpa = RANGE_GPA - 4096;
	call(command(HAIOV_MMIO_ADD), &a, 0, "right before another range");
	prepare_mmio_add(&a);
	a.mmio_add.gpa = RANGE_GPA + RANGE_SIZE;
	call(command(HAIOV_MMIO_ADD), &a, 0, "right after another range");

	bits = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_GPA_BITS);
	if (bits <= 0 || bits >= 64)
		broken("KVM_CAP_VM_GPA_BITS: %d", bits);
	end = 1ULL << bits;
	prepare_mmio_add(&a);
	a.mmio_add.gpa = end - 4096;
	call(command(HAIOV_MMIO_ADD), &a, 0, "the last page of the guest");
	prepare_mmio_add(&a);
	a.mmio_add.gpa = end - 4096;
	a.mmio_add.length = 8192;
	call(command(HAIOV_MMIO_ADD), &a, EINVAL, "one page past the last of the guest");
	prepare_mmio_add(&a);
	a.mmio_add.gpa = end;
	call(command(HAIOV_MMIO_ADD), &a, EINVAL, "the first page past the guest");
}

static void prepare_signal_of_context(union any *a)
{
	prepare_signal_add(a);
	a->signal_add.flags = HAIOV_SIGNAL_CONTEXT;
	a->signal_add.vm_id = 0;
	a->signal_add.context_id = context_id;
}

static void signal_add_fields(void)
{
	static __u64 made[HAIOV_MAX_SIGNALS];
	__u32 index, n = 0;
	bool in_order = true;
	union any a;

	bad_eventfds("SIGNAL_ADD", HAIOV_SIGNAL_ADD, prepare_signal_add, &a, &a.signal_add.eventfd);
	prepare_signal_add(&a);
	/* without hardware there is none, and 0 would be as it should be */
	a.signal_add.context_id = 1;
	expect(haiov, "SIGNAL_ADD", HAIOV_SIGNAL_ADD, &a, EINVAL, "a VM and a context");
	prepare_signal_add(&a);
	a.signal_add.flags = HAIOV_SIGNAL_CONTEXT;
	expect(haiov, "SIGNAL_ADD", HAIOV_SIGNAL_ADD, &a, EINVAL, "a VM as a context");
	prepare_signal_of_context(&a);
	a.signal_add.context_id = vm_id;
	expect(haiov, "SIGNAL_ADD", HAIOV_SIGNAL_ADD, &a, with_hardware(ENOENT), "a context that is a VM");
	prepare_signal_of_context(&a);
	a.signal_add.context_id = 0;
	expect(haiov, "SIGNAL_ADD", HAIOV_SIGNAL_ADD, &a, with_hardware(ENOENT), "no context");
	prepare_signal_of_context(&a);
	a.signal_add.eventfd = haiov;
	expect(haiov, "SIGNAL_ADD", HAIOV_SIGNAL_ADD, &a, with_hardware(EINVAL), "of a context, not an eventfd");
	if (!hardware)
		return;
	prepare_signal_of_context(&a);
	call(command(HAIOV_SIGNAL_ADD), &a, 0, "of a context");
	/* index 0 is taken by the signal that stays */
	while (n < HAIOV_MAX_SIGNALS - 1) {
		made[n] = add_signal(haiov, vm_id, &index);
		in_order &= index == ++n;
	}
	check(in_order, "indices are given out from the lowest", "they are not");
	prepare_signal_add(&a);
	call(command(HAIOV_SIGNAL_ADD), &a, ENOSPC, "the VM has all signals");
	if (destroy(haiov, made[100]))
		broken("DESTROY");
	made[100] = add_signal(haiov, vm_id, &index);
	check(index == 101, "a free index is taken again", "%u", index);
	while (n)
		if (destroy(haiov, made[--n]))
			broken("DESTROY");
	prepare_signal_add(&a);
	call(command(HAIOV_SIGNAL_ADD), &a, 0, "all are free again");
}

/* HAIOV_CONTEXT_ANY by a process that has the file but not the privilege. */
static void unprivileged_context(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		union any a;

		if (setuid(65534))
			_exit(1);
		prepare_context_create(&a);
		a.context_create.flags |= HAIOV_CONTEXT_ANY;
		if (try_ioctl(haiov, HAIOV_CONTEXT_CREATE, &a) != EPERM)
			_exit(2);
		prepare_context_create(&a);
		if (try_ioctl(haiov, HAIOV_CONTEXT_CREATE, &a) || destroy(haiov, a.context_create.out_context_id))
			_exit(3);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		broken("fork");
	check(!status, "CONTEXT_CREATE: HAIOV_CONTEXT_ANY without the privilege: EPERM, and without the flag success",
	      "status %#x", status);
}

static void context_create_fields(void)
{
	const struct {
		const char *what;
		__u64 entry, data;
		__u32 cpu, budget_us;
	} fields[] = {
		{ "entry 0", 0, data(), 0, 0 },
		{ "entry 1 off", entry() + 1, data(), 0, 0 },
		{ "entry 2 off", entry() + 2, data(), 0, 0 },
		{ "entry -4", -4ULL, data(), 0, 0 },
		{ "entry in the lowest page of the kernel's half", 1ULL << 63, data(), 0, 0 },
		{ "entry between the halves", 1ULL << 62, data(), 0, 0 },
		{ "data 0", entry(), 0, 0, 0 },
		{ "data 4 off", entry(), data() + 4, 0, 0 },
		{ "data in the kernel's half", entry(), -8ULL, 0, 0 },
		{ "CPU past the end", entry(), data(), 4096, 0 },
		{ "CPU 0x80000000", entry(), data(), 0x80000000, 0 },
		{ "CPU 0xffffffff", entry(), data(), UINT32_MAX, 0 },
		{ "a budget that is too large", entry(), data(), 0, HAIOV_BUDGET_MAX_US + 1 },
		{ "budget 0xffffffff", entry(), data(), 0, UINT32_MAX },
	};
	union any a;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		prepare_context_create(&a);
		a.context_create.entry = fields[i].entry;
		a.context_create.data = fields[i].data;
		a.context_create.cpu = fields[i].cpu;
		a.context_create.budget_us = fields[i].budget_us;
		expect(haiov, "CONTEXT_CREATE", HAIOV_CONTEXT_CREATE, &a, with_hardware(EINVAL), fields[i].what);
	}
	prepare_context_create(&a);
	a.context_create.flags = 0;
	a.context_create.cpu = 1;
	expect(haiov, "CONTEXT_CREATE", HAIOV_CONTEXT_CREATE, &a, EINVAL, "a CPU without the flag");
	if (!hardware)
		return;
	prepare_context_create(&a);
	a.context_create.flags = 0;
	call(command(HAIOV_CONTEXT_CREATE), &a, 0, "no CPU given");
	prepare_context_create(&a);
	a.context_create.cpu = nr_harts - 1;
	a.context_create.budget_us = HAIOV_BUDGET_MAX_US;
	call(command(HAIOV_CONTEXT_CREATE), &a, 0, "the last CPU, the largest budget");
	prepare_context_create(&a);
	a.context_create.flags |= HAIOV_CONTEXT_ANY;
	call(command(HAIOV_CONTEXT_CREATE), &a, 0, "HAIOV_CONTEXT_ANY");
	unprivileged_context();
}

/* Whether a context and a route to it are at one place, and where. */
static bool together(__u64 context, __u64 route, __u32 *cpu, __u32 *veiid)
{
	struct haiov_context_query q = { .size = sizeof(q), .context_id = context };
	struct haiov_route_query r = { .size = sizeof(r), .route_id = route };

	if (try_ioctl(haiov, HAIOV_CONTEXT_QUERY, &q) || try_ioctl(haiov, HAIOV_ROUTE_QUERY, &r))
		broken("QUERY");
	*cpu = q.out_cpu;
	*veiid = q.out_veiid;
	return q.out_cpu == r.out_cpu && q.out_veiid == r.out_veiid;
}

static void context_move_fields(void)
{
	static const __u32 cpus[] = { 4096, 0x80000000, UINT32_MAX };
	union any a;
	char what[32];

	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		prepare_context_move(&a);
		a.context_move.cpu = cpus[i];
		snprintf(what, sizeof(what), "CPU %u", cpus[i]);
		expect(haiov, "CONTEXT_MOVE", HAIOV_CONTEXT_MOVE, &a, with_hardware(EINVAL), what);
	}
}

/* Whether @status is that of a child that ended with @err. */
static bool ended_with(int status, int err)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == err;
}

static void context_listen_fields(void)
{
	int spare = eventfd(0, EFD_CLOEXEC), status;
	union any a, b;
	pid_t pid;

	bad_eventfds("CONTEXT_LISTEN", HAIOV_CONTEXT_LISTEN, prepare_context_listen, &a, &a.context_listen.eventfd);
	if (!hardware)
		return;
	prepare_context_listen(&a);
	if (try_ioctl(haiov, HAIOV_CONTEXT_LISTEN, &a))
		broken("CONTEXT_LISTEN");
	prepare_context_listen(&b);
	expect(haiov, "CONTEXT_LISTEN", HAIOV_CONTEXT_LISTEN, &b, EBUSY, "an eventfd that it listens for already");
	b.context_listen.context_id = context_id;
	expect(haiov, "CONTEXT_LISTEN", HAIOV_CONTEXT_LISTEN, &b, EBUSY, "an eventfd that another context listens for");
	b.context_listen.context_id = other_context_id;
	expect(other, "CONTEXT_LISTEN", HAIOV_CONTEXT_LISTEN, &b, EBUSY, "the same by another file");
	b.context_listen.context_id = a.context_listen.out_listening_id;
	expect(haiov, "CONTEXT_LISTEN", HAIOV_CONTEXT_LISTEN, &b, ENOENT, "a context that is a listening");
	prepare_context_listen(&b);
	b.context_listen.eventfd = spare;
	call(command(HAIOV_CONTEXT_LISTEN), &b, 0, "for another eventfd too");
	check(destroy(haiov, listener_id) == EBUSY, "DESTROY: a context that listens: EBUSY", "another errno");
	check(destroy(other, a.context_listen.out_listening_id) == ENOENT, "DESTROY: a listening of another file: ENOENT", "another errno");
	undo_context_listen(&a);
	check(destroy(haiov, a.context_listen.out_listening_id) == ENOENT, "DESTROY: a listening that is gone: ENOENT", "another errno");
	prepare_context_listen(&a);
	call(command(HAIOV_CONTEXT_LISTEN), &a, 0, "again, once it has ended");
	/* The handler is this process's, whoever has the file. */
	pid = fork();
	if (!pid) {
		prepare_context_listen(&a);
		_exit(try_ioctl(haiov, HAIOV_CONTEXT_LISTEN, &a));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		broken("fork");
	check(ended_with(status, EPERM), "CONTEXT_LISTEN: by another process: EPERM", "status %#x", status);
	close(spare);
}

/* A context stays while it has a route, which goes where the context goes. */
static void busy_context(void)
{
	struct haiov_context_query q = { .size = sizeof(q), .context_id = context_id };
	union any a, move;
	__u32 cpu, veiid, first;

	prepare_route_to_context(&a);
	if (try_ioctl(haiov, HAIOV_ROUTE_ADD, &a) || try_ioctl(haiov, HAIOV_CONTEXT_QUERY, &q))
		broken("ROUTE_ADD to a context");
	check(q.out_nr_routes == 1 && q.out_cpu == a.route_add.out_cpu && q.out_veiid == a.route_add.out_veiid && !q.out_parked &&
		      !q.out_pending && !q.out_doorbells,
	      "CONTEXT_QUERY tells of the context", "%u routes, CPU %u and %u", q.out_nr_routes, q.out_cpu,
	      a.route_add.out_cpu);
	check(destroy(haiov, context_id) == EBUSY, "DESTROY: a context that has a route: EBUSY", "another errno");
	prepare_route_move(&move);
	move.route_move.route_id = a.route_add.out_route_id;
	move.route_move.cpu = q.out_cpu;
	expect(haiov, "ROUTE_MOVE", HAIOV_ROUTE_MOVE, &move, EINVAL, "a route to a context");
	if (!together(context_id, a.route_add.out_route_id, &cpu, &first) || cpu != CONTEXT_CPU)
		broken("the context is on CPU %u", cpu);
	prepare_context_move(&move);
	expect(haiov, "CONTEXT_MOVE", HAIOV_CONTEXT_MOVE, &move, 0, "to where it is");
	check(move.context_move.out_veiid == first, "CONTEXT_MOVE: it keeps its VEIID there", "%u and %u",
	      move.context_move.out_veiid, first);
	move.context_move.cpu = nr_harts - 1;
	expect(haiov, "CONTEXT_MOVE", HAIOV_CONTEXT_MOVE, &move, 0, "to another CPU");
	check(together(context_id, a.route_add.out_route_id, &cpu, &veiid) && cpu == nr_harts - 1 &&
		      veiid == move.context_move.out_veiid,
	      "CONTEXT_MOVE moves its route too", "to CPU %u, VEIID %u and %u", cpu, veiid, move.context_move.out_veiid);
	if (cpu_online(cpu, false))
		broken("CPU %u does not go offline", cpu);
	check(together(context_id, a.route_add.out_route_id, &cpu, &veiid) && cpu != nr_harts - 1,
	      "a CPU that goes offline has its context moved, and the route", "CPU %u", cpu);
	if (cpu_online(nr_harts - 1, true))
		broken("CPU %u does not come back", nr_harts - 1);
	prepare_context_move(&move);
	expect(haiov, "CONTEXT_MOVE", HAIOV_CONTEXT_MOVE, &move, 0, "back");
	if (destroy(haiov, a.route_add.out_route_id))
		broken("DESTROY");
}

/* A VM stays while it has a leaf of any kind, and goes when it has none. */
static void busy_vm(void)
{
	struct haiov_destroy d = { .size = sizeof(d), .id = vm_id };
	int fd = create_kvm_vm(), vcpu = ioctl(fd, KVM_CREATE_VCPU, 0);
	__u64 vm = create_vm(haiov, fd);
	const struct {
		const char *what;
		__u64 leaf;
	} leaves[] = {
		{ "a VM that has a vCPU only", add_vcpu(haiov, vm, vcpu) },
		{ "a VM that has an MMIO range only", add_range(haiov, vm, SPARE_GPA, 8192) },
		{ "a VM that has a signal only", add_signal(haiov, vm, NULL) },
		{ "a VM that has a route only", add_route(haiov, vm, 0) },
	};
	size_t nr = sizeof(leaves) / sizeof(leaves[0]);

	expect(haiov, "DESTROY", HAIOV_DESTROY, &d, EBUSY, "a VM that has leaves");
	for (size_t i = 0; i < nr; i++)
		if (destroy(haiov, leaves[i].leaf))
			broken("DESTROY");
	for (size_t i = 0; i < nr; i++) {
		__u64 leaf = i == 0 ? add_vcpu(haiov, vm, vcpu) :
			     i == 1 ? add_range(haiov, vm, SPARE_GPA, 8192) :
			     i == 2 ? add_signal(haiov, vm, NULL) :
				      add_route(haiov, vm, 0);

		d.id = vm;
		expect(haiov, "DESTROY", HAIOV_DESTROY, &d, EBUSY, leaves[i].what);
		if (destroy(haiov, leaf))
			broken("DESTROY");
	}
	check(!destroy(haiov, vm), "DESTROY: a VM that has no leaf any more", "errno %d", errno);
	close(vcpu);
	close(fd);
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
	prepare_context_move(&a);
	a.context_move.cpu = cpu;
	expect(haiov, "CONTEXT_MOVE", HAIOV_CONTEXT_MOVE, &a, ENODEV, "a CPU that is offline");
	errno = cpu_online(cpu, true);
	if (errno)
		broken("CPU %u does not come back", cpu);
	prepare_route_add(&a);
	a.route_add.cpu = cpu;
	call(command(HAIOV_ROUTE_ADD), &a, 0, "the CPU is online again");
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
	prepare_context_move(&a);
	a.context_move.cpu = nr_harts - 1;
	if (try_ioctl(haiov, HAIOV_CONTEXT_MOVE, &a))
		broken("CONTEXT_MOVE");
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
	prepare_context_move(&a);
	a.context_move.cpu = cpu;
	expect(haiov, "CONTEXT_MOVE", HAIOV_CONTEXT_MOVE, &a, ENOSPC, "no VEIID is left there");
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
	prepare_context_move(&a);
	if (try_ioctl(haiov, HAIOV_CONTEXT_MOVE, &a))
		broken("CONTEXT_MOVE");
	close(vm_fd2);
	free(made);
}

static __u64 make_route(void)
{
	return add_route(haiov, vm_id, 62);
}

static __u64 make_vcpu(void)
{
	return add_vcpu(haiov, vm_id, spare_vcpu_fd);
}

static __u64 make_range(void)
{
	return add_range(haiov, vm_id, SPARE_GPA, 4096);
}

static __u64 make_signal(void)
{
	return add_signal(haiov, vm_id, NULL);
}

static __u64 make_context(void)
{
	return add_context(haiov);
}

static __u64 make_listening(void)
{
	union any a;

	prepare_context_listen(&a);
	errno = try_ioctl(haiov, HAIOV_CONTEXT_LISTEN, &a);
	if (errno)
		broken("CONTEXT_LISTEN");
	return a.context_listen.out_listening_id;
}

/* What was destroyed stays destroyed although its place is taken by another. */
static void generations(void)
{
	static __u64 (*const make[])(void) = { make_route, make_vcpu, make_range, make_signal, make_context,
						make_listening };
	const int nr = sizeof(make) / sizeof(make[0]);

	for (int i = 0; i < (brief ? nr * nr : 300); i++) {
		__u64 old = make[i % nr](), young;

		if (destroy(haiov, old))
			broken("DESTROY");
		young = make[i / nr % nr]();
		if (old == young || destroy(haiov, old) != ENOENT) {
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

	check(!try_ioctl(haiov, HAIOV_INFO, &i) && i.features == (HAIOV_FEATURE_VEI | HAIOV_FEATURE_UER | HAIOV_FEATURE_HCS) &&
		      i.nr_harts == 4 &&
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

	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	char text[32];

	add_route(fd, id, 3);
	add_vcpu(fd, id, vcpu);
	add_range(fd, id, SPARE_GPA, 8192);
	add_signal(fd, id, NULL);
	add_context(fd);
	close(vcpu);
	close(vm);
	check(!try_ioctl(fd, HAIOV_VM_QUERY, &q) && q.out_nr_routes == 1, "a VM outlives the KVM fd", "errno %d",
	      errno);
	snprintf(text, sizeof(text), "vmid=%u ", q.out_vmid);
	check(state_sum_of("vms", text, "vcpus") == 1 && state_sum_of("vms", text, "mmio") == 1 &&
		      state_sum_of("vms", text, "signals") == 1,
	      "its leaves outlive the files that they were made from", "%llu %llu %llu",
	      (unsigned long long)state_sum_of("vms", text, "vcpus"),
	      (unsigned long long)state_sum_of("vms", text, "mmio"),
	      (unsigned long long)state_sum_of("vms", text, "signals"));
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
	context_move_fields();
	vcpu_create_fields();
	mmio_add_fields();
	signal_add_fields();
	context_create_fields();
	context_listen_fields();
	closed_file();
}

static int create_vm_with_memory(void)
{
	void *memory = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = RAM_GPA, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)memory,
	};
	int fd = create_kvm_vm();

	if (memory == MAP_FAILED || ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region))
		broken("KVM_SET_USER_MEMORY_REGION");
	return fd;
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
	spare_vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 1);
	if (vcpu_fd < 0 || spare_vcpu_fd < 0)
		broken("KVM_CREATE_VCPU");
	mem_vm_fd = create_vm_with_memory();
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
	dead_signal_id = add_signal(haiov, dead_vm_id, NULL);
	dead_context_id = add_context(haiov);
	if (destroy(haiov, dead_context_id) || destroy(haiov, dead_route_id) || destroy(haiov, dead_signal_id) || destroy(haiov, dead_vm_id))
		broken("DESTROY");
	vm_id = create_vm(haiov, vm_fd);
	route_id = add_route(haiov, vm_id, 1);
	vcpu_id = add_vcpu(haiov, vm_id, vcpu_fd);
	range_id = add_range(haiov, vm_id, RANGE_GPA, RANGE_SIZE);
	signal_id = add_signal(haiov, vm_id, NULL);
	mem_vm_id = create_vm(haiov, mem_vm_fd);
	context_id = add_context(haiov);
	listener_id = add_context(haiov);
	for (int i = 0; i < 13; i++) {
		int vm = create_kvm_vm();

		other_vm_id = create_vm(other, vm);
		close(vm);
	}
	other_route_id = add_route(other, other_vm_id, 1);
	other_context_id = add_context(other);
	close(spare);

	answers();
	foreign_ids();
	common();
	busy_vm();
	busy_context();
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
	static const char *const files[] = { "vms", "routes", "mmio", "signals", "contexts" };
	int fd;

	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		broken("cannot give up privileges");
	fd = open("/dev/haiov", O_RDWR | O_CLOEXEC);
	check(fd < 0 && errno == EACCES, "a user outside the group cannot open /dev/haiov: EACCES", "fd %d, errno %d",
	      fd, errno);
	fd = open("/dev/haiov", O_RDONLY | O_CLOEXEC);
	check(fd < 0 && errno == EACCES, "nor for reading: EACCES", "fd %d, errno %d", fd, errno);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64], name[64];

		snprintf(path, sizeof(path), "/sys/kernel/debug/haiov/%s", files[i]);
		snprintf(name, sizeof(name), "nor see other people's %s: EACCES", files[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		check(fd < 0 && errno == EACCES, name, "fd %d, errno %d", fd, errno);
	}
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
