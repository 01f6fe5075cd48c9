/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest whose device is served by a handler (UER), while things happen to handlers, MMIO ranges,
 * signals and processes. The guest checks each value that it reads and all its registers; the host
 * checks that each access was served exactly once, by the handler or by an exit.
 *
 *   uer-objects serve ROUNDS   handlers on all vCPUs, none of the accesses exits
 *   uer-objects punt ROUNDS    the handler leaves every access to exits
 *   uer-objects signal ROUNDS  an ecall signals an eventfd
 *   uer-objects irqfd ROUNDS   an ecall interrupts the guest
 *   uer-objects calls          every other ecall is refused
 *   uer-objects close ROUNDS   the file is closed while the guest runs, and opened again
 *   uer-objects churn CYCLES   vCPUs, ranges and signals come and go
 *   uer-objects kill ROUNDS    kill -9 in the middle of that
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "check.h"
#include "guest.h"
#include "haiov.h"
#include "uer-objects.h"

#define NR_LANES_MAX	3
#define PAGE		4096

extern const char uer_guest[], uer_guest_end[];
void uer_handler(void);

/* Shared with the guest, and with other processes of the host. */
struct lane {
	volatile uint64_t stop, rounds, errors, scause, stval, wait_irq, irqs;
	uint64_t pad;
};

/* What the handler of a vCPU works on; the VMM's thread of that vCPU too, for accesses that exit. */
struct area {
	uint64_t a0, t0, t1, a7;
	volatile uint64_t count, punt, punted, call, number, argument, answers;
	volatile int64_t last;
	volatile uint64_t refused;
	volatile uint32_t latch;
};

#define SAME(type, field, offset) \
	_Static_assert(offsetof(struct type, field) == (offset), "uer-objects.h and uer-objects.c differ: " #field)
SAME(lane, stop, LANE_STOP);
SAME(lane, rounds, LANE_ROUNDS);
SAME(lane, errors, LANE_ERRORS);
SAME(lane, scause, LANE_SCAUSE);
SAME(lane, stval, LANE_STVAL);
SAME(lane, wait_irq, LANE_WAIT_IRQ);
SAME(lane, irqs, LANE_IRQS);
_Static_assert(sizeof(struct lane) == LANE_SIZE, "uer-objects.h and uer-objects.c differ: size");
SAME(area, a0, AREA_A0);
SAME(area, t0, AREA_T0);
SAME(area, t1, AREA_T1);
SAME(area, a7, AREA_A7);
SAME(area, count, AREA_COUNT);
SAME(area, punt, AREA_PUNT);
SAME(area, punted, AREA_PUNTED);
SAME(area, call, AREA_CALL);
SAME(area, number, AREA_NUMBER);
SAME(area, argument, AREA_ARGUMENT);
SAME(area, answers, AREA_ANSWERS);
SAME(area, last, AREA_LAST);
SAME(area, refused, AREA_REFUSED);
SAME(area, latch, AREA_LATCH);

struct vmm {
	int vm, haiov;
	uint64_t id; /* of the VM */
	char *memory;
	unsigned int nr;
	struct cpu {
		struct vmm *vmm;
		unsigned int number;
		int fd;
		uint64_t id, range; /* of the handler and of the device's MMIO range */
		struct lane *lane;
		struct area area;
		volatile uint64_t exits;
		pthread_t thread;
	} cpu[NR_LANES_MAX];
};

static uint64_t device_gpa(unsigned int number)
{
	return DEVICE_GPA + number * PAGE;
}

static uint64_t vcpu_add(const struct cpu *c)
{
	struct haiov_vcpu_create a = {
		.size = sizeof(a), .vm_id = c->vmm->id, .vcpu_fd = c->fd, .entry = (uintptr_t)uer_handler,
		.data = (uintptr_t)&c->area,
	};

	errno = try_ioctl(c->vmm->haiov, HAIOV_VCPU_CREATE, &a);
	if (errno)
		broken("VCPU_CREATE");
	return a.out_vcpu_id;
}

static uint64_t range_add(const struct cpu *c)
{
	struct haiov_mmio_add a = {
		.size = sizeof(a), .vm_id = c->vmm->id, .gpa = device_gpa(c->number), .length = PAGE,
	};

	errno = try_ioctl(c->vmm->haiov, HAIOV_MMIO_ADD, &a);
	if (errno)
		broken("MMIO_ADD");
	return a.out_mmio_id;
}

static uint64_t signal_add(const struct vmm *v, int eventfd, uint32_t *index)
{
	struct haiov_signal_add a = { .size = sizeof(a), .vm_id = v->id, .eventfd = eventfd };

	errno = try_ioctl(v->haiov, HAIOV_SIGNAL_ADD, &a);
	if (errno)
		broken("SIGNAL_ADD");
	if (index)
		*index = a.out_index;
	return a.out_signal_id;
}

static void set_reg(const struct cpu *c, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | id, .addr = (uintptr_t)&value,
	};

	if (ioctl(c->fd, KVM_SET_ONE_REG, &reg))
		broken("KVM_SET_ONE_REG");
}

/* A VM with @nr vCPUs that does not run yet, in @memory if that is shared with somebody. */
static void vmm_create(struct vmm *v, int kvm, unsigned int nr, char *memory)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_GPA, .memory_size = GUEST_SIZE,
	};

	memset(v, 0, sizeof(*v));
	v->nr = nr;
	v->memory = memory ? memory : mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->memory == MAP_FAILED)
		broken("mmap");
	memcpy(v->memory, uer_guest, uer_guest_end - uer_guest);
	region.userspace_addr = (uintptr_t)v->memory;
	v->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0 || ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &region))
		broken("creating a VM");
	for (unsigned int i = 0; i < nr; i++) {
		struct cpu *c = &v->cpu[i];

		c->vmm = v;
		c->number = i;
		c->lane = (struct lane *)(v->memory + SHARED_OFFSET) + i;
		c->fd = ioctl(v->vm, KVM_CREATE_VCPU, i);
		if (c->fd < 0 || ioctl(c->fd, KVM_SET_MP_STATE, &runnable))
			broken("creating a vCPU");
		set_reg(c, KVM_REG_RISCV_CORE_REG(regs.pc), GUEST_GPA);
		set_reg(c, KVM_REG_RISCV_CORE_REG(regs.a0), SHARED_GPA + i * LANE_SIZE);
		set_reg(c, KVM_REG_RISCV_CORE_REG(regs.a1), device_gpa(i));
	}
}

/* Gives all vCPUs handlers and devices. */
static void vmm_bind(struct vmm *v)
{
	v->haiov = open_haiov();
	v->id = vm_bind(v->haiov, v->vm, 1);
	for (unsigned int i = 0; i < v->nr; i++) {
		v->cpu[i].id = vcpu_add(&v->cpu[i]);
		v->cpu[i].range = range_add(&v->cpu[i]);
	}
}

static void vmm_unbind(struct vmm *v)
{
	for (unsigned int i = 0; i < v->nr; i++) {
		object_destroy(v->haiov, v->cpu[i].id);
		object_destroy(v->haiov, v->cpu[i].range);
	}
	object_destroy(v->haiov, v->id);
	close(v->haiov);
}

static void device(struct cpu *c, struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - device_gpa(c->number);
	uint32_t value = c->area.latch ^ DEVICE_TURNS;

	if (run->mmio.len != 4)
		broken("an access of %u bytes", run->mmio.len);
	if (run->mmio.is_write && offset == DEVICE_LATCH) {
		memcpy(&value, run->mmio.data, 4);
		c->area.latch = value;
	} else if (!run->mmio.is_write && offset == DEVICE_VALUE) {
		memcpy(run->mmio.data, &value, 4);
	} else {
		broken("an access to %#llx", (unsigned long long)run->mmio.phys_addr);
	}
	c->exits++;
}

static void *run_cpu(void *arg)
{
	struct cpu *c = arg;
	struct kvm_run *run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);

	if (run == MAP_FAILED)
		broken("mmap of the vCPU");
	for (;;) {
		if (ioctl(c->fd, KVM_RUN, 0)) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			broken("KVM_RUN");
		}
		if (run->exit_reason != KVM_EXIT_MMIO)
			broken("KVM_RUN: exit reason %u (%#x %#llx %#llx %#llx %llu), guest's scause %#llx, stval %#llx",
			       run->exit_reason, run->internal.suberror, u(run->internal.data[0]),
			       u(run->internal.data[1]), u(run->internal.data[2]), u(run->internal.data[3]),
			       u(c->lane->scause), u(c->lane->stval));
		if (run->mmio.phys_addr == STOP_GPA)
			break;
		device(c, run);
	}
	munmap(run, PAGE);
	return NULL;
}

static void vmm_start(struct vmm *v)
{
	for (unsigned int i = 0; i < v->nr; i++)
		if (pthread_create(&v->cpu[i].thread, NULL, run_cpu, &v->cpu[i]))
			broken("no thread");
}

/* Waits until every vCPU has done @more rounds. */
static bool flows(const struct vmm *v, uint64_t more)
{
	uint64_t deadline = now_us() + PATIENCE_US + more * 1000, from[NR_LANES_MAX];

	for (unsigned int i = 0; i < v->nr; i++)
		from[i] = v->cpu[i].lane->rounds;
	for (unsigned int i = 0; i < v->nr; i++) {
		while (v->cpu[i].lane->rounds - from[i] < more) {
			if (now_us() > deadline) {
				printf("# vCPU %u stands at round %llu\n", i, u(v->cpu[i].lane->rounds));
				return false;
			}
			sched_yield();
		}
	}
	return true;
}

static void vmm_stop(struct vmm *v)
{
	for (unsigned int i = 0; i < v->nr; i++)
		v->cpu[i].lane->stop = 1;
	for (unsigned int i = 0; i < v->nr; i++)
		pthread_join(v->cpu[i].thread, NULL);
}

static uint64_t sum_of_exits(const struct vmm *v)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < v->nr; i++)
		sum += v->cpu[i].exits;
	return sum;
}

static uint64_t sum_of_frames(const struct vmm *v)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < v->nr; i++)
		sum += v->cpu[i].area.count;
	return sum;
}

static uint64_t sum_of_rounds(const struct vmm *v)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < v->nr; i++)
		sum += v->cpu[i].lane->rounds;
	return sum;
}

/* A stopped guest saw nothing wrong, and each of its accesses was served once. */
static void check_guest(const struct vmm *v)
{
	for (unsigned int i = 0; i < v->nr; i++) {
		const struct cpu *c = &v->cpu[i];

		if (c->lane->errors || c->lane->scause || c->area.count + c->exits != 2 * c->lane->rounds) {
			check(false, "each access was served once, and no register changed",
			      "vCPU %u: %llu rounds, %llu frames, %llu exits, %llu errors, scause %#llx, stval %#llx",
			      i, u(c->lane->rounds), u(c->area.count), u(c->exits), u(c->lane->errors),
			      u(c->lane->scause), u(c->lane->stval));
			return;
		}
	}
	check(true, "each access was served once, and no register changed", " ");
}

static void vmm_destroy(struct vmm *v)
{
	for (unsigned int i = 0; i < v->nr; i++)
		close(v->cpu[i].fd);
	close(v->vm);
	munmap(v->memory, GUEST_SIZE);
}

/* ---- served, and punted ---- */

static void do_serve(uint64_t rounds, bool punt)
{
	struct baseline before = take_baseline();
	struct vmm v;
	int kvm = open_kvm();

	vmm_create(&v, kvm, NR_LANES_MAX, NULL);
	for (unsigned int i = 0; i < v.nr; i++)
		v.cpu[i].area.punt = punt;
	vmm_bind(&v);
	vmm_start(&v);
	check(flows(&v, rounds), "the guest goes on", "it stands");
	vmm_stop(&v);
	check_guest(&v);
	if (punt)
		check(!sum_of_frames(&v) && sum_of_exits(&v) == 2 * sum_of_rounds(&v), "every access became an exit",
		      "%llu frames, %llu exits", u(sum_of_frames(&v)), u(sum_of_exits(&v)));
	else
		check(!sum_of_exits(&v), "none of the accesses exited", "%llu did", u(sum_of_exits(&v)));
	vmm_unbind(&v);
	vmm_destroy(&v);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- ecall ---- */

static void set_call(struct cpu *c, bool call, uint64_t number, uint64_t argument)
{
	c->area.number = number;
	c->area.argument = argument;
	c->area.call = call;
}

static void do_signal(uint64_t rounds)
{
	struct baseline before = take_baseline();
	struct vmm v;
	int kvm = open_kvm(), event = new_eventfd(), other = new_eventfd();
	uint64_t first, second, got = 0;
	uint32_t index, other_index;
	char which[48];

	vmm_create(&v, kvm, 1, NULL);
	vmm_bind(&v);
	first = signal_add(&v, other, &other_index);
	second = signal_add(&v, event, &index);
	set_call(&v.cpu[0], true, HAIOV_UER_SIGNAL, index);
	vmm_start(&v);
	check(flows(&v, rounds), "the guest goes on", "it stands");
	vmm_stop(&v);
	check_guest(&v);
	check(!sum_of_exits(&v), "none of the accesses exited", "%llu did", u(sum_of_exits(&v)));
	if (read(event, &got, sizeof(got)) != sizeof(got))
		got = 0;
	check(got == v.cpu[0].lane->rounds && !v.cpu[0].area.refused, "the eventfd was signaled once for each store",
	      "%llu of %llu, %llu refused", u(got), u(v.cpu[0].lane->rounds), u(v.cpu[0].area.refused));
	check(read(other, &got, sizeof(got)) < 0 && errno == EAGAIN, "and no other one", "it was");
	snprintf(which, sizeof(which), " index=%u ", index);
	check(state_sum_of("signals", which, "signaled") == v.cpu[0].lane->rounds, "debugfs counts the same", "%llu",
	      u(state_sum_of("signals", which, "signaled")));
	object_destroy(v.haiov, first);
	object_destroy(v.haiov, second);
	vmm_unbind(&v);
	vmm_destroy(&v);
	close(event);
	close(other);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* What an ecall with @number and @argument answers; every other register is checked by the guest. */
static int64_t answer(struct vmm *v, uint64_t number, uint64_t argument)
{
	struct area *a = &v->cpu[0].area;
	uint64_t deadline = now_us() + PATIENCE_US, from;

	a->call = 0;
	/* One that is under way may still take the old numbers. */
	flows(v, 2);
	set_call(&v->cpu[0], true, number, argument);
	from = a->answers;
	while (a->answers < from + 2) {
		if (now_us() > deadline)
			broken("ecall %#llx does not return", u(number));
		sched_yield();
	}
	return a->last;
}

static void do_calls(void)
{
	static const struct {
		const char *what;
		uint64_t number, argument;
		int64_t want;
	} calls[] = {
		{ "signal 0", HAIOV_UER_SIGNAL, 0, 0 },
		{ "signal 1, which is free", HAIOV_UER_SIGNAL, 1, -ENOENT },
		{ "the last signal, which is free", HAIOV_UER_SIGNAL, HAIOV_MAX_SIGNALS - 1, -ENOENT },
		{ "the signal past the last", HAIOV_UER_SIGNAL, HAIOV_MAX_SIGNALS, -ENOENT },
		{ "signal 1 << 32", HAIOV_UER_SIGNAL, 1ULL << 32, -ENOENT },
		{ "signal -1", HAIOV_UER_SIGNAL, -1ULL, -ENOENT },
		{ "number 2", 2, 0, -ENOSYS },
		{ "number 64, which is write", 64, 1, -ENOSYS },
		{ "number 93, which is exit", 93, 0, -ENOSYS },
		{ "number 1 << 32 | 1", 1ULL << 32 | 1, 0, -ENOSYS },
		{ "number 1 << 63", 1ULL << 63, 0, -ENOSYS },
		{ "number -1", -1ULL, 0, -ENOSYS },
	};
	struct baseline before = take_baseline();
	struct vmm v;
	int kvm = open_kvm(), event = new_eventfd();
	uint64_t signal;
	char name[96];

	vmm_create(&v, kvm, 1, NULL);
	vmm_bind(&v);
	signal = signal_add(&v, event, NULL);
	vmm_start(&v);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int64_t got = answer(&v, calls[i].number, calls[i].argument);

		snprintf(name, sizeof(name), "ecall: %s: %s", calls[i].what,
			 calls[i].want ? strerrorname_np(-calls[i].want) : "success");
		check(got == calls[i].want, name, "%lld", (long long)got);
	}
	check(answer(&v, HAIOV_UER_SIGNAL, 0) == 0, "ecall: signal 0 again", "%lld", (long long)v.cpu[0].area.last);
	object_destroy(v.haiov, signal);
	check(answer(&v, HAIOV_UER_SIGNAL, 0) == -ENOENT, "ecall: signal 0 when it is gone: ENOENT", "%lld",
	      (long long)v.cpu[0].area.last);
	vmm_stop(&v);
	check_guest(&v);
	vmm_unbind(&v);
	vmm_destroy(&v);
	close(event);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- the guest's own interrupt controller ---- */

static void aia_set(int aia, uint32_t group, uint64_t attr, uint64_t value, bool wide)
{
	uint32_t narrow = value;
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)&narrow };

	if (wide)
		a.addr = (uintptr_t)&value;
	if (ioctl(aia, KVM_SET_DEVICE_ATTR, &a))
		broken("AIA: group %u, attribute %llu", group, u(attr));
}

/* An IMSIC for one vCPU, and GSI 0 that is its identity IMSIC_ID. */
static int aia_create(struct vmm *v, int eventfd)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_RISCV_AIA };
	struct kvm_irq_routing *routing = calloc(1, sizeof(*routing) + sizeof(routing->entries[0]));
	struct kvm_irqfd irqfd = { .fd = eventfd, .gsi = 0 };

	if (ioctl(v->vm, KVM_CREATE_DEVICE, &d))
		broken("KVM_CREATE_DEVICE: AIA");
	aia_set(d.fd, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_IDS, 63, false);
	aia_set(d.fd, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_SRCS, 0, false);
	aia_set(d.fd, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 0, false);
	aia_set(d.fd, KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_IMSIC(0), IMSIC_GPA, true);
	aia_set(d.fd, KVM_DEV_RISCV_AIA_GRP_CTRL, KVM_DEV_RISCV_AIA_CTRL_INIT, 0, true);
	if (!routing)
		broken("no memory");
	routing->nr = 1;
	routing->entries[0] = (struct kvm_irq_routing_entry){
		.gsi = 0, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = IMSIC_GPA, .data = IMSIC_ID },
	};
	if (ioctl(v->vm, KVM_SET_GSI_ROUTING, routing) || ioctl(v->vm, KVM_IRQFD, &irqfd))
		broken("KVM_IRQFD");
	free(routing);
	return d.fd;
}

static void do_irqfd(uint64_t rounds)
{
	struct baseline before = take_baseline();
	struct vmm v;
	int kvm = open_kvm(), event = new_eventfd(), aia;
	uint64_t signal;
	uint32_t index;

	vmm_create(&v, kvm, 1, NULL);
	aia = aia_create(&v, event);
	vmm_bind(&v);
	signal = signal_add(&v, event, &index);
	set_call(&v.cpu[0], true, HAIOV_UER_SIGNAL, index);
	v.cpu[0].lane->wait_irq = 1;
	vmm_start(&v);
	/* It waits for the interrupt of each store. */
	check(flows(&v, rounds), "the guest gets an interrupt for each store", "it waits for one");
	vmm_stop(&v);
	check_guest(&v);
	check(v.cpu[0].lane->irqs == v.cpu[0].lane->rounds && !v.cpu[0].area.refused, "and no more",
	      "%llu in %llu rounds, %llu refused", u(v.cpu[0].lane->irqs), u(v.cpu[0].lane->rounds),
	      u(v.cpu[0].area.refused));
	object_destroy(v.haiov, signal);
	vmm_unbind(&v);
	close(aia);
	vmm_destroy(&v);
	close(event);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- the file is closed with everything alive ---- */

static void do_close(unsigned int rounds)
{
	struct baseline before = take_baseline();
	struct vmm v;
	int kvm = open_kvm(), event = new_eventfd();
	uint32_t index;
	bool good = true;

	vmm_create(&v, kvm, 2, NULL);
	vmm_start(&v);
	for (unsigned int i = 0; good && i < rounds; i++) {
		uint64_t frames, exits;

		vmm_bind(&v);
		signal_add(&v, event, &index);
		set_call(&v.cpu[0], true, HAIOV_UER_SIGNAL, index);
		good = flows(&v, 20);
		/* An access may be on its way out since before the handler came. */
		exits = sum_of_exits(&v);
		good = good && flows(&v, 20);
		if (!good || sum_of_exits(&v) != exits) {
			check(false, "no access exits with handlers", "round %u: %llu more exits", i,
			      u(sum_of_exits(&v) - exits));
			break;
		}
		close(v.haiov);
		back_to(&before, "a file that is closed leaves nothing");
		frames = sum_of_frames(&v);
		good = flows(&v, 20);
		if (!good || sum_of_frames(&v) != frames) {
			check(false, "no handler runs when the file is closed", "round %u: %llu more frames", i,
			      u(sum_of_frames(&v) - frames));
			break;
		}
	}
	check(good, "the guest goes on with handlers and without", "it stands");
	vmm_stop(&v);
	check_guest(&v);
	vmm_destroy(&v);
	close(event);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- churn ---- */

/* Takes away and brings back handlers, ranges and signals in turn; a byte into @pipe for each 8. */
static void churn(struct vmm *v, uint64_t *signal, int event, unsigned int cycles, int pipe)
{
	for (unsigned int i = 0; i < cycles; i++) {
		struct cpu *c = &v->cpu[i / 3 % v->nr];

		switch (i % 3) {
		case 0:
			object_destroy(v->haiov, c->id);
			c->id = vcpu_add(c);
			break;
		case 1:
			object_destroy(v->haiov, c->range);
			c->range = range_add(c);
			break;
		case 2:
			object_destroy(v->haiov, *signal);
			*signal = signal_add(v, event, NULL);
			break;
		}
		if (pipe >= 0 && i % 8 == 0 && write(pipe, "", 1) != 1)
			broken("pipe");
	}
}

static void do_churn(unsigned int cycles)
{
	struct baseline before = take_baseline(), warm;
	struct vmm v;
	int kvm = open_kvm(), event = new_eventfd();
	uint64_t signal, rounds, exits, frames, began, got, refused = 0, answers = 0;
	uint32_t index;

	vmm_create(&v, kvm, 2, NULL);
	vmm_bind(&v);
	signal = signal_add(&v, event, &index);
	for (unsigned int i = 0; i < v.nr; i++)
		set_call(&v.cpu[i], true, HAIOV_UER_SIGNAL, index);
	vmm_start(&v);
	if (!flows(&v, 10))
		broken("the guest does not start");
	churn(&v, &signal, event, cycles / 4 + 3, -1);
	warm = take_baseline();
	rounds = sum_of_rounds(&v);
	began = now_us();
	churn(&v, &signal, event, 3 * cycles, -1);
	printf("# %u of each in %llu ms, %llu rounds of the guest meanwhile\n", cycles, u((now_us() - began) / 1000),
	       u(sum_of_rounds(&v) - rounds));
	check(sum_of_rounds(&v) > rounds, "the guest runs meanwhile", "it stands");
	check(flows(&v, 100), "the guest goes on", "it stands");
	check(open_fds() == warm.fds, "no file descriptor leaks", "%u, were %u", open_fds(), warm.fds);
	no_leak(&warm, cycles);
	exits = sum_of_exits(&v);
	frames = sum_of_frames(&v);
	check(flows(&v, 100) && sum_of_exits(&v) == exits && sum_of_frames(&v) > frames,
	      "handlers serve every access again", "%llu exits, %llu frames", u(sum_of_exits(&v) - exits),
	      u(sum_of_frames(&v) - frames));
	vmm_stop(&v);
	check_guest(&v);
	for (unsigned int i = 0; i < v.nr; i++) {
		refused += v.cpu[i].area.refused;
		answers += v.cpu[i].area.answers;
	}
	if (read(event, &got, sizeof(got)) != sizeof(got))
		got = 0;
	check(got && got == answers - refused, "each ecall signaled the eventfd or was refused",
	      "%llu signals, %llu ecalls, %llu refused", u(got), u(answers), u(refused));
	printf("# %llu frames, %llu exits, %llu ecalls, %llu of them refused\n", u(sum_of_frames(&v)),
	       u(sum_of_exits(&v)), u(answers), u(refused));
	object_destroy(v.haiov, signal);
	vmm_unbind(&v);
	vmm_destroy(&v);
	close(event);
	close(kvm);
	back_to(&before, "vCPUs, ranges, signals and VMs are back to the start");
	check(open_fds() == before.fds, "files are back to the start", "%u, were %u", open_fds(), before.fds);
}

/* ---- kill -9 ---- */

static void child_vmm(char *memory, int pipe)
{
	struct vmm v;
	int event = new_eventfd();
	uint64_t signal;
	uint32_t index;

	vmm_create(&v, open_kvm(), 2, memory);
	vmm_bind(&v);
	signal = signal_add(&v, event, &index);
	for (unsigned int i = 0; i < v.nr; i++)
		set_call(&v.cpu[i], true, HAIOV_UER_SIGNAL, index);
	vmm_start(&v);
	if (!flows(&v, 10))
		broken("the guest does not start");
	for (;;)
		churn(&v, &signal, event, 1000, pipe);
}

static void do_kill(unsigned int rounds)
{
	struct baseline before = take_baseline();
	unsigned int seed = 3;
	uint64_t slab_kb = 0, free_kb = 0;
	bool good = true;

	/* One round more: what grows once is no leak. */
	for (unsigned int i = 0; good && i <= rounds; i++) {
		char *memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		struct lane *lane = (struct lane *)(memory + SHARED_OFFSET);
		unsigned int bytes = 1 + rand_r(&seed) % 20;
		int fds[2], status;
		pid_t pid;
		char byte;

		if (memory == MAP_FAILED || pipe2(fds, O_CLOEXEC))
			broken("mmap, pipe");
		pid = fork();
		if (!pid)
			child_vmm(memory, fds[1]);
		close(fds[1]);
		while (bytes--)
			if (read(fds[0], &byte, 1) != 1)
				broken("the VMM ended by itself");
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid)
			broken("waitpid");
		if (lane[0].errors || lane[1].errors || lane[0].scause || lane[1].scause || !lane[0].rounds) {
			check(false, "guests run well until then", "round %u: %llu and %llu errors", i, u(lane[0].errors),
			      u(lane[1].errors));
			good = false;
		}
		close(fds[0]);
		munmap(memory, GUEST_SIZE);
		good = back_to(&before, "a killed VMM leaves nothing") && good;
		if (i == 0) {
			slab_kb = meminfo("SUnreclaim");
			free_kb = meminfo("MemFree");
		}
	}
	if (good)
		check(true, "guests run well until then", " ");
	no_vm_leak(slab_kb, free_kb, rounds);
	check(open_fds() == before.fds, "files are back to the start", "%u, were %u", open_fds(), before.fds);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned int n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (!strcmp(what, "serve"))
		do_serve(n, false);
	else if (!strcmp(what, "punt"))
		do_serve(n, true);
	else if (!strcmp(what, "signal"))
		do_signal(n);
	else if (!strcmp(what, "irqfd"))
		do_irqfd(n);
	else if (!strcmp(what, "calls"))
		do_calls();
	else if (!strcmp(what, "close"))
		do_close(n);
	else if (!strcmp(what, "churn"))
		do_churn(n);
	else if (!strcmp(what, "kill"))
		do_kill(n);
	else
		broken("unknown scenario '%s'", what);
	return failures != 0;
}
