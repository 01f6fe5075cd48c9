/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "check.h"

extern const char payload[], payload_end[];

#define SAME(field, offset) \
	_Static_assert(offsetof(struct shared, field) == (offset), "layout.h and guest.h differ: " #field)
SAME(stop, SHARED_STOP);
SAME(running, SHARED_RUNNING);
SAME(scause, SHARED_SCAUSE);
SAME(stval, SHARED_STVAL);
SAME(traps, SHARED_TRAPS);
SAME(rounds, SHARED_ROUNDS);
SAME(sent, SHARED_SENT);
SAME(nr_acked, SHARED_NR_ACKED);
SAME(nr_fired, SHARED_NR_FIRED);
SAME(pause, SHARED_PAUSE);
SAME(fired, SHARED_FIRED);
SAME(acked, SHARED_ACKED);

int open_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		broken("/dev/kvm");
	return fd;
}

void guest_memory(struct guest *g)
{
	char *memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		broken("mmap");
	memcpy(memory, payload, payload_end - payload);
	g->shared = (struct shared *)(memory + SHARED_OFFSET);
	g->vm = g->vcpu = -1;
}

void guest_vm(struct guest *g, int kvm)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_GPA, .memory_size = GUEST_SIZE,
		.userspace_addr = (uintptr_t)g->shared - SHARED_OFFSET,
	};

	/* ptrace interrupts this one for good. */
	do
		g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	while (g->vm < 0 && errno == EINTR);
	if (g->vm < 0 || ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region))
		broken("creating a VM");
}

void guest_create(struct guest *g, int kvm)
{
	guest_memory(g);
	guest_vm(g, kvm);
}

void slot_ack(struct slot *slot)
{
	uint64_t ack = slot->ack, seq = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);

	while (ack < seq && !__atomic_compare_exchange_n(&slot->ack, &ack, seq, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

void guest_add_vcpu(struct guest *g)
{
	uint64_t pc = GUEST_GPA;
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE |
		      KVM_REG_RISCV_CORE_REG(regs.pc),
		.addr = (uintptr_t)&pc,
	};

	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	if (g->vcpu < 0 || ioctl(g->vcpu, KVM_SET_ONE_REG, &reg))
		broken("creating a vCPU");
}

static void *run_vcpu(void *arg)
{
	struct guest *g = arg;
	struct kvm_run *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);

	if (run == MAP_FAILED)
		broken("mmap of the vCPU");
	if (g->cpu >= 0)
		pin_to(g->cpu);
	for (;;) {
		if (ioctl(g->vcpu, KVM_RUN, 0)) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			broken("KVM_RUN");
		}
		if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == STOP_GPA)
			break;
		broken("KVM_RUN: exit reason %u (scause %#llx)", run->exit_reason,
		       (unsigned long long)g->shared->scause);
	}
	munmap(run, 4096);
	return NULL;
}

void guest_start(struct guest *g, int cpu)
{
	uint64_t deadline = now_us() + 60000000;

	g->cpu = cpu;
	g->shared->stop = 0;
	g->shared->running = 0;
	if (pthread_create(&g->thread, NULL, run_vcpu, g))
		broken("no thread");
	while (!g->shared->running && !g->shared->rounds) {
		if (now_us() > deadline)
			broken("the guest does not start");
		sched_yield();
	}
}

void guest_stop(struct guest *g)
{
	g->shared->stop = 1;
	pthread_join(g->thread, NULL);
}

void guest_destroy(struct guest *g)
{
	if (g->vcpu >= 0)
		close(g->vcpu);
	if (g->vm >= 0)
		close(g->vm);
	munmap((char *)g->shared - SHARED_OFFSET, GUEST_SIZE);
}
