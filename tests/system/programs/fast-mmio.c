/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stores to an ioeventfd of any length are signaled before they are decoded, if kvm.fast_mmio is set;
 * whether it is makes no other difference.
 *
 *   fast-mmio ROUNDS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "check.h"
#include "guest.h"
#include "haiov.h"

#define DEVICE_GPA	0x10001000
#define ANY_STORES	6 /* to the ioeventfd of any length, in a round */
#define PARAMETER	"/sys/module/kvm/parameters/fast_mmio"

extern const char fast_mmio_guest[], fast_mmio_guest_end[];

static void set_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | id, .addr = (uintptr_t)&value,
	};

	if (ioctl(vcpu, KVM_SET_ONE_REG, &reg))
		broken("KVM_SET_ONE_REG");
}

static void ioeventfd(int vm, int event, uint64_t gpa, uint32_t len, uint64_t data)
{
	struct kvm_ioeventfd e = {
		.addr = gpa, .len = len, .fd = event, .datamatch = data,
		.flags = len ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0,
	};

	if (ioctl(vm, KVM_IOEVENTFD, &e))
		broken("KVM_IOEVENTFD");
}

static uint64_t events(int event)
{
	uint64_t n = 0;

	return read(event, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void run(int kvm, const char *fast, uint64_t rounds)
{
	int any = new_eventfd(), seven = new_eventfd();
	uint64_t stores = 0, loads = 0, other = 0, began, got;
	struct kvm_run *run;
	struct guest g;
	char name[80];

	write_file(PARAMETER, fast);
	guest_create(&g, kvm);
	memcpy((char *)g.shared - SHARED_OFFSET, fast_mmio_guest, fast_mmio_guest_end - fast_mmio_guest);
	guest_add_vcpu(&g);
	set_reg(g.vcpu, KVM_REG_RISCV_CORE_REG(regs.a1), DEVICE_GPA);
	set_reg(g.vcpu, KVM_REG_RISCV_CORE_REG(regs.a2), rounds);
	ioeventfd(g.vm, any, DEVICE_GPA, 0, 0);
	ioeventfd(g.vm, seven, DEVICE_GPA + 16, 4, 7);
	run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, g.vcpu, 0);
	if (run == MAP_FAILED)
		broken("mmap of the vCPU");
	began = now_us();
	while (!ioctl(g.vcpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_MMIO) {
		if (run->mmio.is_write && run->mmio.phys_addr == DEVICE_GPA + 16 && run->mmio.data[0] == 8)
			stores++;
		else if (!run->mmio.is_write && run->mmio.phys_addr == DEVICE_GPA)
			loads++;
		else
			other++;
	}
	printf("# fast_mmio=%s: %llu rounds in %llu us\n", fast, (unsigned long long)rounds,
	       (unsigned long long)(now_us() - began));
	snprintf(name, sizeof(name), "fast_mmio=%s: an atomic operation is refused as ever", fast);
	check(errno == EOPNOTSUPP && run->exit_reason != KVM_EXIT_INTERNAL_ERROR, name, "errno %d, exit reason %u",
	      errno, run->exit_reason);
	got = events(any);
	snprintf(name, sizeof(name), "fast_mmio=%s: one event for each store of any length", fast);
	check(got == ANY_STORES * rounds, name, "%llu events", (unsigned long long)got);
	got = events(seven);
	snprintf(name, sizeof(name), "fast_mmio=%s: an ioeventfd with data gets what matches", fast);
	check(got == rounds && stores == rounds, name, "%llu events, %llu exits", (unsigned long long)got,
	      (unsigned long long)stores);
	snprintf(name, sizeof(name), "fast_mmio=%s: loads, and nothing else, exit", fast);
	check(loads == rounds && !other, name, "%llu loads, %llu others", (unsigned long long)loads,
	      (unsigned long long)other);
	munmap(run, 4096);
	guest_destroy(&g);
	close(any);
	close(seven);
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	char value[2] = "";
	FILE *parameter = fopen(PARAMETER, "r");
	int kvm = open_kvm();

	if (!rounds || !parameter || !fgets(value, sizeof(value), parameter))
		broken("a number of rounds, and a kernel with kvm.fast_mmio");
	fclose(parameter);
	check(!strcmp(value, "N"), "fast_mmio is off unless it is asked for", "%s", value);
	run(kvm, "N", rounds);
	run(kvm, "Y", rounds);
	run(kvm, "N", rounds);
	close(kvm);
	return failures != 0;
}
