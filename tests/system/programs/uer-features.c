/* SPDX-License-Identifier: GPL-2.0-only */
/* Handlers beside what else KVM does for a vCPU: steal time, logs of dirty pages, walks of the guest's page tables. */
#define _GNU_SOURCE
#include "uer-vm.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

/* newer than the C library's headers */
#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif
/* Pages from the start of a vCPU's file. The C library's headers say 0, as for an architecture without rings */
#define RING_AT 64

#define CSR(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_REG(name))
#define STA(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_SBI_STATE | KVM_REG_RISCV_SBI_STA | KVM_REG_RISCV_SBI_STA_REG(name))

/* In the guest's memory */
#define STEAL_OFFSET 0x180000
#define TABLES_OFFSET 0x190000
#define DIRTY_OFFSET 0x200000
#define NR_DIRTY 500

#define RING_SIZE 4096
#define RINGS 3
#define SD_X6_AT_X5 0x0062b023
#define LW_X7 0x0005a383

/* SBI's struct of the steal-time extension */
struct steal {
	volatile uint32_t sequence, flags;
	volatile uint64_t steal;
	volatile uint8_t preempted;
};

static void log_dirty(struct vm *vm, bool on)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_GPA, .memory_size = GUEST_SIZE, .userspace_addr = (uintptr_t)vm->memory,
		.flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		broken("KVM_SET_USER_MEMORY_REGION");
}

/* Of a vCPU, for the pages that are written. */
struct ring {
	struct kvm_dirty_gfn *entries;
	uint32_t next;
};

static void create_with_ring(struct vm *vm, struct ring *ring)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = { RING_SIZE } };

	/* a ring is chosen before there is a vCPU */
	create_vm_only(vm);
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		broken("KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
	add_vcpu(vm);
	bind_vm(vm);
	add_range(vm);
	set_handler(&vm->vcpu[0]);
	ring->next = 0;
	ring->entries = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu[0].fd, RING_AT * PAGE);
	if (ring->entries == MAP_FAILED)
		broken("mmap of the ring");
}

/* What the ring has goes into the bitmap, and the ring has room again. */
static void harvest(struct vm *vm, struct ring *ring, uint64_t *seen)
{
	for (;; ring->next++) {
		struct kvm_dirty_gfn *entry = &ring->entries[ring->next % (RING_SIZE / sizeof(*entry))];
		uint64_t page;

		if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			break;
		page = entry->offset;
		if (page < GUEST_SIZE / PAGE)
			seen[page / 64] |= 1ULL << page % 64;
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	if (ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
		broken("KVM_RESET_DIRTY_RINGS");
}

static void *burn(void *stop)
{
	pin_to(1);
	while (!*(volatile int *)stop)
		;
	return NULL;
}

/* KVM writes the steal time when the vCPU is scheduled in, which mostly is in the middle of a frame then. */
static void prepare_steal(struct vcpu *v)
{
	/* in the order of KVM_GET_REG_LIST */
	set_reg(v, STA(shmem_lo), GUEST_GPA + STEAL_OFFSET);
	set_reg(v, STA(shmem_hi), 0);
	prepare(v, SD, FOREVER);
	v->frame->mode = MODE_SPIN;
	v->frame->spins = 300000;
	v->cpu = 1;
}

/* Each time it is a page for the ring, and that the ring is full is a reason to leave KVM_RUN: after the frame. */
static void steal_time_in_ring(void)
{
	uint64_t seen[GUEST_SIZE / PAGE / 64] = { 0 }, odd = 0;
	unsigned int full = 0;
	volatile int stop = 0;
	pthread_t burner;
	struct ring ring;
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];

	create_with_ring(&vm, &ring);
	log_dirty(&vm, true);
	prepare_steal(v);
	if (pthread_create(&burner, NULL, burn, (void *)&stop))
		broken("no thread");
	for (int i = 0; i < RINGS; i++) {
		begin(v);
		pthread_join(v->thread, NULL);
		full += v->result == KVM_EXIT_DIRTY_RING_FULL;
		odd += !is_guest(v);
		harvest(&vm, &ring, seen);
	}
	stop = 1;
	pthread_join(burner, NULL);
	check(full == RINGS && !odd, "steal time that fills a ring waits for frames", "%u of %u times, %llu without the guest's registers",
	      full, RINGS, (long long)odd);
	munmap(ring.entries, RING_SIZE);
	close_vm(&vm);
}

void steal_time(uint64_t milliseconds)
{
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	struct steal *steal;
	pthread_t burner;
	volatile int stop = 0;
	uint64_t until, before, tur;
	int result;

	create(&vm);
	prepare_steal(v);
	expect_count(get_reg(v, STA(shmem_lo)), GUEST_GPA + STEAL_OFFSET, "the address of the steal time stays when its upper half is written");
	steal = (struct steal *)(vm.memory + STEAL_OFFSET);
	tur = stat_of(v, "uer_tur");
	begin(v);
	before = steal->steal;
	if (pthread_create(&burner, NULL, burn, (void *)&stop))
		broken("no thread");
	for (until = now_us() + milliseconds * 1000; now_us() < until;)
		usleep(1000);
	stop = 1;
	pthread_join(burner, NULL);
	result = end(v);
	expect_well(v, result, v->job->done, "steal time while frames are in flight");
	expect_count(v->frame->ended, v->job->done, "each access by the handler");
	check(steal->steal > before && steal->sequence && !(steal->sequence & 1), "the guest sees the time that it was not given",
	      "%llu ns, were %llu, sequence %u", (long long)steal->steal, (long long)before, steal->sequence);
	check(stat_of(v, "uer_tur") > tur, "updates have waited for frames", "none");
	close_vm(&vm);
	steal_time_in_ring();
}

/* Each round stores to the next page, by the guest; the device is accessed in between. */
static void prepare_dirty(struct vcpu *v)
{
	prepare(v, SD, NR_DIRTY);
	set_accesses(v->vm, SD, LD_X6, LW_X7, SD_X6_AT_X5);
	v->job->step = PAGE;
	v->job->in[5] = v->job->expect[5] = v->job->expect[6] = GUEST_GPA + DIRTY_OFFSET;
	v->job->expect[7] = (int32_t)(GUEST_GPA + DIRTY_OFFSET);
	v->frame->mode = MODE_SPIN;
	v->frame->spins = 3000;
}

static void expect_dirty(struct vcpu *v, int result, const char *name)
{
	uint64_t wrong = 0, address = GUEST_GPA + DIRTY_OFFSET;

	expect_well(v, result, NR_DIRTY, name);
	expect_count(v->frame->ended, 3 * NR_DIRTY, "each access by the handler");
	for (uint64_t i = 0; i < NR_DIRTY; i++, address += PAGE)
		wrong += *(uint64_t *)(v->vm->memory + (address - GUEST_GPA)) != address;
	expect_count(wrong, 0, "each page written");
}

/* The pages that are dirty since the last time: ored into the bitmap. */
static void collect_log(struct vm *vm, uint64_t *seen)
{
	static uint64_t bitmap[GUEST_SIZE / PAGE / 64];
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		broken("KVM_GET_DIRTY_LOG");
	for (size_t i = 0; i < sizeof(bitmap) / sizeof(bitmap[0]); i++)
		seen[i] |= bitmap[i];
}

static uint64_t missing(const uint64_t *seen)
{
	uint64_t missing = 0, page = DIRTY_OFFSET / PAGE;

	for (uint64_t i = 0; i < NR_DIRTY; i++, page++)
		missing += !(seen[page / 64] >> (page % 64) & 1);
	return missing;
}

static void log_of_pages(void)
{
	uint64_t seen[GUEST_SIZE / PAGE / 64] = { 0 };
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];

	create(&vm);
	prepare_dirty(v);
	log_dirty(&vm, true);
	begin(v);
	while (!v->over)
		collect_log(&vm, seen);
	pthread_join(v->thread, NULL);
	collect_log(&vm, seen);
	expect_dirty(v, v->result, "a log of dirty pages is read again and again");
	expect_count(missing(seen), 0, "each page logged");
	close_vm(&vm);
}

static void ring_of_pages(void)
{
	uint64_t seen[GUEST_SIZE / PAGE / 64] = { 0 }, full = 0, odd = 0;
	struct ring ring;
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	int result;

	create_with_ring(&vm, &ring);
	prepare_dirty(v);
	log_dirty(&vm, true);
	do {
		result = run(v);
		if (result == KVM_EXIT_DIRTY_RING_FULL) {
			full++;
			odd += !is_guest(v);
		}
		harvest(&vm, &ring, seen);
	} while (result == KVM_EXIT_DIRTY_RING_FULL);
	expect_dirty(v, result, "a ring of dirty pages");
	expect_count(missing(seen), 0, "each page in the ring");
	check(full && !odd, "it was full, with the guest's registers", "%llu times, %llu of them without", (long long)full, (long long)odd);
	munmap(ring.entries, RING_SIZE);
	close_vm(&vm);
}

void dirty(uint64_t times)
{
	while (times--) {
		log_of_pages();
		ring_of_pages();
	}
}

/* What a load through page tables in the device does, in this VM. */
static void walk_once(struct vcpu *v, uint64_t *outcome)
{
	uint64_t *root = (uint64_t *)(v->vm->memory + TABLES_OFFSET);
	int result;

	/* Sv39: what is below 1 GiB and the guest's memory are themselves; the tables of the second GiB are in the device */
	memset(root, 0, PAGE);
	root[0] = 0xcf;
	root[1] = DEVICE_GPA >> 12 << 10 | 1;
	root[2] = (uint64_t)GUEST_GPA >> 12 << 10 | 0xcf;
	prepare(v, LD, 1);
	v->job->in[11] = v->job->expect[11] = 0x40000000;
	v->job->expect[5] = v->vm->registers[0] = 0;
	set_reg(v, CSR(satp), 8ULL << 60 | (GUEST_GPA + TABLES_OFFSET) >> 12);
	result = run(v);
	outcome[0] = result;
	outcome[1] = v->exits;
	outcome[2] = v->job->traps;
	outcome[3] = v->job->scause;
	outcome[4] = v->job->out[5];
	set_reg(v, CSR(satp), 0);
}

/* The hardware's look at a page table is no access that a handler could serve, whatever leaf is there. */
void walk(uint64_t unused)
{
	uint64_t plain[5], first[5], second[5];
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	int result;

	(void)unused;
	create_vm(&vm);
	walk_once(v, plain);
	close_vm(&vm);

	create(&vm);
	/* before there is a leaf, and with one */
	walk_once(v, first);
	expect_count(v->frame->frames, 0, "a walk of page tables in the range starts no handler");
	start_over(v);
	prepare(v, SD, 10);
	v->job->in[11] = v->job->expect[11] = DEVICE_GPA;
	result = run(v);
	expect_well(v, result, 10, "accesses of the page do");
	walk_once(v, second);
	expect_count(v->frame->frames, 0, "nor does one where the leaf is");
	check(!memcmp(plain, first, sizeof(plain)) && !memcmp(plain, second, sizeof(plain)), "it ends as in a VM without a range",
	      "result %lld %lld %lld, exits %llu %llu %llu, traps %llu %llu %llu, cause %llu %llu %llu, x5 %#llx %#llx %#llx",
	      (long long)plain[0], (long long)first[0], (long long)second[0], (long long)plain[1], (long long)first[1],
	      (long long)second[1], (long long)plain[2], (long long)first[2], (long long)second[2], (long long)plain[3],
	      (long long)first[3], (long long)second[3], (long long)plain[4], (long long)first[4], (long long)second[4]);
	printf("# result %lld, %llu exits, %llu traps, cause %llu, x5 %#llx\n", (long long)plain[0], (long long)plain[1],
	       (long long)plain[2], (long long)plain[3], (long long)plain[4]);
	start_over(v);
	prepare(v, SD, 10);
	result = run(v);
	expect_well(v, result, 10, "the guest goes on afterwards");
	expect_count(v->frame->ended, 10, "with its handler");
	close_vm(&vm);
}
