/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Handlers in user space (UER), seen from the VMM: usage: uer SCENARIO [COUNT].
 * The guest accesses a device with every integer register full, and looks at all of them afterwards.
 */
#define _GNU_SOURCE
#include "uer-vm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/haiov.h>

#include "check.h"

/* newer than the C library's headers */
#ifndef KVM_CAP_RISCV_MP_STATE_RESET
#define KVM_CAP_RISCV_MP_STATE_RESET 242
#endif

static void basic(uint64_t rounds)
{
	static const struct {
		const char *name;
		uint32_t inst;
		unsigned int size, rd;
		bool sign;
	} accesses[] = {
		{ "sb", SB, 1, 0, 0 }, { "sh", SH, 2, 0, 0 }, { "sw", SW, 4, 0, 0 }, { "sd", SD, 8, 0, 0 },
		{ "c.sw", C_SW_X12, 4, 0, 0 }, { "c.sd", C_SD_X12, 8, 0, 0 },
		{ "lb", LB, 1, 5, 1 }, { "lbu", LBU, 1, 5, 0 }, { "lh", LH, 2, 5, 1 }, { "lhu", LHU, 2, 5, 0 },
		{ "lw", LW, 4, 5, 1 }, { "lwu", LWU, 4, 5, 0 }, { "ld", LD, 8, 5, 1 },
		{ "c.lw", C_LW_X12, 4, 12, 1 }, { "c.ld", C_LD_X12, 8, 12, 1 },
	};
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	char name[64];

	create(&vm);
	for (int user = 0; user < 2; user++) {
		for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
			unsigned int shift = 64 - 8 * accesses[i].size, source = (accesses[i].inst & 3) == 3 ? 5 : 12;
			uint64_t mask = ~0ULL >> shift, before = 0x8182838485868788ULL, value;
			int result;

			prepare(v, accesses[i].inst, rounds);
			v->job->user = user;
			vm.registers[1] = before;
			if (accesses[i].rd) {
				value = before << shift;
				v->job->expect[accesses[i].rd] = accesses[i].sign ? (uint64_t)((int64_t)value >> shift) : value >> shift;
			}
			result = run(v);
			snprintf(name, sizeof(name), "%s in V%c-mode", accesses[i].name, user ? 'U' : 'S');
			expect_well(v, result, rounds, name);
			value = accesses[i].rd ? before : (before & ~mask) | (v->job->in[source] & mask);
			check(vm.registers[1] == value, strcat(name, ": the device's register"), "%#llx, not %#llx",
			      (long long)vm.registers[1], (long long)value);
			name[strlen(name) - strlen(": the device's register")] = '\0';
			check(v->frame->frames == rounds && v->frame->ended == rounds && !v->exits &&
			      v->frame->cause == (accesses[i].rd ? 24 : 25) && v->frame->gpa == DEVICE_GPA + 8,
			      strcat(name, ": by the handler"), "frames %llu, exits %llu, cause %llu, address %#llx",
			      (long long)v->frame->frames, (long long)v->exits, (long long)v->frame->cause,
			      (long long)v->frame->gpa);
		}
	}
	/* none of that needed KVM, but for what interrupts it */
	expect_count(stat_of(v, "uer_punts"), 0, "no punt");
	expect_count(stat_of(v, "uer_ecalls"), 0, "no ecall");
	expect_count(stat_of(v, "uer_ended"), 0, "no frame ended");
	expect_count(stat_of(v, "mmio_exit_user"), 2 * sizeof(accesses) / sizeof(accesses[0]), "no exit but at the end of each job");

	prepare(v, JR_X11, 1);
	run(v);
	check(v->job->traps == 1 && v->job->scause == 1 && v->job->stval == DEVICE_GPA + 8,
	      "a jump to the device is an access fault of the guest's", "traps %llu, cause %llu, value %#llx",
	      (long long)v->job->traps, (long long)v->job->scause, (long long)v->job->stval);
	close_vm(&vm);
}

static void punt(uint64_t rounds)
{
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	int result;

	create(&vm);
	for (int user = 0; user < 2; user++) {
		prepare(v, SD, rounds);
		v->job->user = user;
		v->frame->mode = MODE_PUNT;
		result = run(v);
		expect_well(v, result, rounds, user ? "stores of VU-mode left to the VMM" : "stores left to the VMM");
		expect_count(v->exits, rounds, "each one an exit");
		expect_count(vm.registers[1], v->job->in[5], "the value stored");

		prepare(v, LW, rounds);
		v->job->user = user;
		vm.registers[1] = 0x80000001;
		v->job->expect[5] = (int32_t)0x80000001;
		result = run(v);
		expect_well(v, result, rounds, user ? "loads of VU-mode left to the VMM" : "loads left to the VMM");
		expect_count(v->exits, rounds, "each one an exit");
	}
	expect_count(stat_of(v, "uer_punts"), 4 * rounds, "all counted");

	prepare(v, C_LD_X12, rounds & ~1ULL);
	v->job->expect[12] = vm.registers[1];
	v->frame->mode = MODE_PUNT_SOME;
	result = run(v);
	expect_well(v, result, rounds & ~1ULL, "every other access left to the VMM");
	expect_count(v->exits, rounds / 2, "and the others not");

	/* a7 is what the guest gets, and what it stores */
	prepare(v, 0x0005b883 /* ld x17 */, rounds);
	v->job->expect[17] = vm.registers[1];
	v->frame->mode = MODE_PUNT;
	result = run(v);
	expect_well(v, result, rounds, "a load of a7 left to the VMM");
	prepare(v, 0x0115b023 /* sd x17 */, rounds);
	result = run(v);
	expect_well(v, result, rounds, "a store of a7 left to the VMM");
	expect_count(vm.registers[1], v->job->in[17], "the value stored");

	/* what KVM cannot emulate ends as it does without a handler */
	prepare(v, AMOADD_D_X5, 1);
	result = run(v);
	check(result == -EOPNOTSUPP, "an atomic operation left to KVM ends KVM_RUN as without a handler", "%d", result);
	destroy(&vm, &v->object);
	start_over(v);
	prepare(v, AMOADD_D_X5, 1);
	result = run(v);
	check(result == -EOPNOTSUPP, "an atomic operation without a handler", "%d", result);
	start_over(v);
	prepare(v, SD, rounds);
	result = run(v);
	expect_well(v, result, rounds, "stores to a range of a vCPU without a handler");
	expect_count(v->exits, rounds, "each one an exit");
	close_vm(&vm);
}

static void faults(uint64_t times)
{
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	uint64_t *page = map(PAGE, PROT_READ | PROT_WRITE), good = 0, served = 0, before;
	int file = memfd_create("code", 0);
	const uint32_t code[] = { 0x02a00513 /* li a0, 42 */, 0x00008067 /* ret */ };
	char *text;
	pid_t child;

	create(&vm);
	if (file < 0 || ftruncate(file, 2 * PAGE) || pwrite(file, code, sizeof(code), 0) != sizeof(code))
		broken("memfd");
	text = mmap(NULL, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
	if (text == MAP_FAILED)
		broken("mmap");

#define REPEAT(name, before_each, mode_, address_, argument_, condition) do {             \
		for (uint64_t i = good = served = 0; i < times; i++) {                     \
			int result;                                                        \
			prepare(v, SD, 1);                                                 \
			v->frame->mode = mode_;                                            \
			v->frame->address = (uintptr_t)(address_);                         \
			v->frame->argument = argument_;                                    \
			before_each;                                                       \
			before = stat_of(v, "uer_faults");                                 \
			result = run(v);                                                   \
			good += went_well(v, result, 1) && v->frame->ended == 1 && !v->exits && (condition); \
			served += stat_of(v, "uer_faults") > before;                       \
		}                                                                          \
		check(good == times && served == times, name, "%llu good, %llu served of %llu", \
		      (long long)good, (long long)served, (long long)times);               \
	} while (0)

	REPEAT("a read of a page that is not there", madvise(page, PAGE, MADV_DONTNEED), MODE_READ, page, 0, v->frame->result == 0);
	REPEAT("a write to it", madvise(page, PAGE, MADV_DONTNEED), MODE_WRITE, page, i + 1, *page == i + 1);
	REPEAT("a write after a read", { madvise(page, PAGE, MADV_DONTNEED); (void)*(volatile uint64_t *)page; }, MODE_WRITE, page, i + 1, *page == i + 1);
	REPEAT("a call into a page that is not there", madvise(text, PAGE, MADV_DONTNEED), MODE_CALL, text, 0, v->frame->result == 42);
	REPEAT("a stack that is not there", madvise((void *)(uintptr_t)(v->frame->stack - STACK_SIZE), STACK_SIZE, MADV_DONTNEED), MODE_DEVICE, 0, 0, true);
	REPEAT("a device that is not there", madvise(vm.registers, PAGE, MADV_DONTNEED), MODE_DEVICE, 0, 0, vm.registers[1] == v->job->in[5]);
	/* All pages of this process are then shared, and copied on write: the first store of the handler faults. */
	REPEAT("a process that has forked", {
		child = fork();
		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
		child = fork();
		if (!child) {
			pause();
			_exit(0);
		}
	}, MODE_DEVICE, 0, 0, !kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
	close_vm(&vm);
	munmap(text, 2 * PAGE);
	munmap(page, PAGE);
	close(file);
}

/* stval of a breakpoint may be its address or 0 */
#define ANY_VALUE (~0ULL)

/* The exit that says that KVM has ended a frame */
static bool says_ended(struct vcpu *v, int result, uint64_t cause, uint64_t value, uint64_t budget)
{
	struct kvm_run *r = v->run;

	return result == KVM_EXIT_INTERNAL_ERROR && r->internal.suberror == HAIOV_UER_ENDED && r->internal.ndata == 4 &&
	       r->internal.data[3] == budget &&
	       (budget || (r->internal.data[0] == cause && (value == ANY_VALUE || r->internal.data[2] == value)));
}

static void expect_ended(struct vcpu *v, uint64_t cause, uint64_t value, uint64_t budget, const char *what)
{
	uint64_t before = stat_of(v, "uer_ended"), pc = GUEST_GPA + (uer_guest_slot - uer_guest), left = 0;
	struct kvm_run *r = v->run;
	int result = run(v);
	char name[128];

	check(says_ended(v, result, cause, value, budget), what, "result %d, suberror %#x, data %llu %#llx %#llx %llu, errors %llu",
	      result, r->internal.suberror, (long long)r->internal.data[0], (long long)r->internal.data[1],
	      (long long)r->internal.data[2], (long long)r->internal.data[3], (long long)v->job->traps);
	snprintf(name, sizeof(name), "%s: counted", what);
	expect_count(stat_of(v, "uer_ended"), before + 1, name);
	for (int i = 1; i < 32; i++)
		left |= get_reg(v, CORE(regs.pc) + i);
	snprintf(name, sizeof(name), "%s: nothing of the handler's in the vCPU", what);
	check(!left && get_reg(v, CORE(regs.pc)) == pc && get_reg(v, CORE(mode)) == KVM_RISCV_MODE_S, name, "%#llx, pc %#llx",
	      (long long)left, (long long)get_reg(v, CORE(regs.pc)));
	r->exit_reason = 0;
	memset(&r->internal, 0, sizeof(r->internal));
	snprintf(name, sizeof(name), "%s: KVM_RUN says it again", what);
	check(says_ended(v, run(v), cause, value, budget), name, "exit reason %u", r->exit_reason);
	start_over(v);
	prepare(v, SD, 10);
	v->frame->mode = MODE_DEVICE;
	snprintf(name, sizeof(name), "%s: the vCPU runs again once its pc is set", what);
	result = run(v);
	expect_well(v, result, 10, name);
}

static void endings(uint64_t unused)
{
	static uint64_t constant = 1;
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	const uint64_t kernel = 0xffffffff80000000ULL;
	int file = memfd_create("empty", 0);
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	uint64_t *none = map(PAGE, PROT_NONE), *readable = map(PAGE, PROT_READ), *past;

	(void)unused;
	past = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	if (past == MAP_FAILED)
		broken("mmap");
	create(&vm);
#define ENDING(name, mode_, address_, cause, value) do {            \
		prepare(v, SD, 1);                                   \
		v->frame->mode = mode_;                              \
		v->frame->address = (uintptr_t)(address_);           \
		expect_ended(v, cause, value, 0, name);              \
	} while (0)
	ENDING("a read at 8", MODE_READ, 8, 13, 8);
	ENDING("a write at 8", MODE_WRITE, 8, 15, 8);
	ENDING("a jump to 8", MODE_JUMP, 8, 12, 8);
	ENDING("a read of a page without permission", MODE_READ, none, 13, (uintptr_t)none);
	ENDING("a write to a page that is readable", MODE_WRITE, readable, 15, (uintptr_t)readable);
	ENDING("a read past the end of a file", MODE_READ, past, 13, (uintptr_t)past);
	ENDING("a jump to data", MODE_JUMP, &constant, 12, (uintptr_t)&constant);
	ENDING("a read of the kernel", MODE_READ, kernel, 13, kernel);
	ENDING("a write to the kernel", MODE_WRITE, kernel, 15, kernel);
	ENDING("a jump to the kernel", MODE_JUMP, kernel, 12, kernel);
	ENDING("a floating-point instruction", MODE_FP, 0, 2, 0xf2000053);
	ENDING("a vector instruction", MODE_VECTOR, 0, 2, 0xcd027057);
	ENDING("an illegal instruction", MODE_ILLEGAL, 0, 2, 0xc0001073);
	ENDING("sret", MODE_SRET, 0, 2, 0x10200073);
	ENDING("a write of ustatus", MODE_WRITE_CSR, 0, 2, 0x00001073);
	prepare(v, SD, 1);
	v->frame->mode = MODE_EBREAK;
	expect_ended(v, 3, ANY_VALUE, 0, "a breakpoint");
	if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, &debug))
		broken("KVM_SET_GUEST_DEBUG");
	prepare(v, SD, 1);
	v->frame->mode = MODE_EBREAK;
	expect_ended(v, 3, ANY_VALUE, 0, "a breakpoint while the guest is debugged");
	close_vm(&vm);
	munmap(none, PAGE);
	munmap(readable, PAGE);
	munmap(past, PAGE);
	close(file);
}

static void budget(uint64_t times)
{
	struct itimerval soon = { .it_value = { .tv_usec = 200000 } };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_RISCV_MP_STATE_RESET };
	struct kvm_mp_state init = { KVM_MP_STATE_INIT_RECEIVED };
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	uint64_t us;
	int result;

	create(&vm);
	for (uint64_t i = 0; i < times; i++) {
		prepare(v, SD, 1);
		v->frame->mode = MODE_LOOP;
		us = now_us();
		expect_ended(v, 0, 0, 1, "a handler that does not end");
		us = now_us() - us;
		check(us > 90000 && us < 20000000, "it is given its time, and no more", "%llu us", (long long)us);
	}

	/* what takes long in all, but in many frames, is nobody's fault */
	prepare(v, SD, 500);
	v->frame->mode = MODE_SPIN;
	v->frame->spins = 100000;
	result = run(v);
	expect_well(v, result, 500, "frames that are long together");

	if (ioctl(vm.fd, KVM_ENABLE_CAP, &cap))
		broken("KVM_CAP_RISCV_MP_STATE_RESET");
	prepare(v, SD, 1);
	v->frame->mode = MODE_ILLEGAL;
	result = run(v);
	check(says_ended(v, result, 2, 0xc0001073, 0), "a frame ended before a reset", "%d", result);
	if (ioctl(v->fd, KVM_SET_MP_STATE, &init))
		broken("KVM_SET_MP_STATE");
	signal(SIGALRM, on_signal);
	setitimer(ITIMER_REAL, &soon, NULL);
	result = ioctl(v->fd, KVM_RUN, 0) ? errno : 0;
	check(result == EINTR, "the vCPU runs again once it is reset", "%d, exit reason %u", result, v->run->exit_reason);
	start_over(v);
	prepare(v, SD, 10);
	v->frame->mode = MODE_DEVICE;
	result = run(v);
	expect_well(v, result, 10, "a vCPU that was reset has its handler");
	expect_count(v->frame->ended, 10, "and uses it");
	close_vm(&vm);
}

static void ecalls(uint64_t rounds)
{
	static const uint64_t unknown[] = { 2, 3, 64, 93, 0x100000001, 0x100000000, 0x8000000000000001, -1ULL };
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	int event = eventfd(0, EFD_NONBLOCK), result;
	struct haiov_signal_add s = { .size = sizeof(s), .eventfd = event };
	uint64_t count = 0, before;
	char name[64];

	create(&vm);
	s.vm_id = vm.object;
	errno = try_ioctl(vm.haiov, HAIOV_SIGNAL_ADD, &s);
	if (errno)
		broken("HAIOV_SIGNAL_ADD");
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		prepare(v, SD, rounds);
		v->frame->mode = MODE_ECALL;
		v->frame->number = unknown[i];
		v->frame->argument = s.out_index;
		before = stat_of(v, "uer_ecalls");
		result = run(v);
		snprintf(name, sizeof(name), "ecall %#llx", (long long)unknown[i]);
		expect_well(v, result, rounds, name);
		check((int64_t)v->frame->result == -ENOSYS && read(event, &count, 8) < 0, strcat(name, ": ENOSYS and nothing else"),
		      "%lld", (long long)v->frame->result);
		expect_count(stat_of(v, "uer_ecalls") - before, rounds, "ecalls are counted");
	}
	before = 0;
	for (uint64_t number = 2; number < 1024; number++) {
		prepare(v, SD, 1);
		v->frame->mode = MODE_ECALL;
		v->frame->number = number;
		before += went_well(v, run(v), 1) && (int64_t)v->frame->result == -ENOSYS;
	}
	expect_count(before, 1022, "no number is a system call");
	prepare(v, SD, rounds);
	v->frame->mode = MODE_ECALL;
	v->frame->number = HAIOV_UER_SIGNAL;
	v->frame->argument = s.out_index;
	result = run(v);
	expect_well(v, result, rounds, "signaling an eventfd");
	check(!v->frame->result && read(event, &count, 8) == 8 && count == rounds, "the eventfd's count", "%lld, %llu",
	      (long long)v->frame->result, (long long)count);
	for (int i = 0; i < 2; i++) {
		prepare(v, SD, rounds);
		v->frame->mode = MODE_ECALL;
		v->frame->argument = i ? -1ULL : s.out_index + 1;
		result = run(v);
		expect_well(v, result, rounds, "signaling what is not there");
		check((int64_t)v->frame->result == -ENOENT && read(event, &count, 8) < 0, "ENOENT", "%lld", (long long)v->frame->result);
	}
	close_vm(&vm);
	close(event);
}

struct storm {
	struct vcpu *v;
	volatile int stop;
	uint64_t sent;
	bool immediate_exit;
};

static void wait_for_return(struct vcpu *v, uint64_t least)
{
	uint64_t deadline = now_us() + 60000000;

	while (v->interrupted < least && !v->over) {
		if (now_us() > deadline)
			broken("KVM_RUN does not return for a signal");
		sched_yield();
	}
}

static void *storm_thread(void *arg)
{
	struct storm *s = arg;

	while (!s->stop) {
		if (s->immediate_exit)
			s->v->run->immediate_exit = 1;
		pthread_kill(s->v->thread, SIGUSR1);
		s->sent++;
		for (uint64_t seen = s->v->interrupted, until = now_us() + 20000; s->v->interrupted == seen && !s->stop && now_us() < until;)
			sched_yield();
	}
	return NULL;
}

/* KVM_RUN returns again and again, and never with the handler's registers for the guest's. */
static void signals(uint64_t least)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	static const enum mode modes[] = { MODE_DEVICE, MODE_SPIN, MODE_PUNT_SOME, MODE_READ, MODE_ECALL };
	static const char *const names[] = { "short frames", "long frames", "punts", "page faults", "ecalls" };
	uint64_t *page = map(PAGE, PROT_READ | PROT_WRITE), tur;
	char name[64];

	sigaction(SIGUSR1, &action, NULL);
	create(&vm);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct storm storm = { .v = v, .immediate_exit = i & 1 };
		pthread_t thread;
		int result;

		prepare(v, i & 2 ? LD : SD, FOREVER);
		if (i & 2) {
			vm.registers[1] = 77;
			v->job->expect[5] = 77;
		}
		v->job->user = i == 2;
		v->frame->mode = modes[i];
		v->frame->spins = 20000;
		v->frame->address = (uintptr_t)page;
		v->frame->number = 99;
		tur = stat_of(v, "uer_tur");
		begin(v);
		if (pthread_create(&thread, NULL, storm_thread, &storm))
			broken("no thread");
		for (uint64_t n = 1; n <= least && !v->over; n++) {
			/* not oftener: the handler would never find the page */
			madvise(page, PAGE, MADV_DONTNEED);
			wait_for_return(v, n);
		}
		storm.stop = 1;
		pthread_join(thread, NULL);
		result = end(v);
		snprintf(name, sizeof(name), "signals meet %s", names[i]);
		expect_well(v, result, v->job->done, name);
		printf("# %s: %llu signals, %llu returns, %llu rounds, %llu frames ended by the kernel\n", names[i],
		       (long long)storm.sent, (long long)v->interrupted, (long long)v->job->done,
		       (long long)(stat_of(v, "uer_tur") - tur));
		if (modes[i] == MODE_SPIN)
			check(stat_of(v, "uer_tur") > tur, "signals meet frames in flight", "none of %llu", (long long)storm.sent);
		check(v->frame->ended + v->exits == v->job->done, "each access once", "%llu frames, %llu exits, %llu rounds",
		      (long long)v->frame->ended, (long long)v->exits, (long long)v->job->done);
	}
	expect_count(stat_of(v, "uer_ended"), 0, "no frame ended by KVM");
	close_vm(&vm);
	munmap(page, PAGE);
}

/* The handler is taken away and given back while the guest uses it. */
static void clear(uint64_t times)
{
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	uint64_t frames, done, late = 0, stuck = 0;
	int result;

	create(&vm);
	for (int spin = 0; spin < 2; spin++) {
		prepare(v, SD, FOREVER);
		v->frame->mode = spin ? MODE_SPIN : MODE_DEVICE;
		v->frame->spins = 30000;
		begin(v);
		for (uint64_t i = 0; i < times; i++) {
			destroy(&vm, &v->object);
			stuck += v->frame->inside;
			frames = v->frame->frames;
			done = v->job->done;
			wait_for(&v->job->done, done + 5, "rounds without a handler");
			late += v->frame->frames != frames;
			set_handler(v);
			wait_for(&v->frame->ended, frames + 5, "rounds with a handler");
		}
		result = end(v);
		expect_well(v, result, v->job->done, spin ? "handlers taken away from long frames" : "handlers taken away");
		check(!late && !stuck, "no handler runs or starts afterwards", "%llu in flight, %llu started", (long long)stuck, (long long)late);
		check(v->frame->ended + v->exits == v->job->done, "each access once", "%llu frames, %llu exits, %llu rounds",
		      (long long)v->frame->ended, (long long)v->exits, (long long)v->job->done);
	}
	prepare(v, SD, FOREVER);
	v->frame->mode = MODE_DEVICE;
	begin(v);
	v->frame->mode = MODE_LOOP;
	wait_for(&v->frame->result, 1, "a frame that does not end");
	destroy(&vm, &v->object);
	pthread_join(v->thread, NULL);
	check(says_ended(v, v->result, 0, 0, 1), "taking away a handler that does not end", "%d", v->result);
	close_vm(&vm);
}

static void ranges(uint64_t times)
{
	struct kvm_userspace_memory_region region = { .slot = 1, .guest_phys_addr = DEVICE_GPA, .memory_size = PAGE };
	uint64_t *ram = map(PAGE, PROT_READ | PROT_WRITE), other, frames, exits, wrong = 0;
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	int result;

	region.userspace_addr = (uintptr_t)ram;
	create(&vm);
	expect_count(try_range(&vm, DEVICE_GPA, PAGE, &other), EEXIST, "a range that is there");
	expect_count(try_range(&vm, DEVICE_GPA + PAGE, 4 * PAGE, &other), EEXIST, "a range that overlaps another at its end");
	expect_count(try_range(&vm, DEVICE_GPA - PAGE, 16 * PAGE, &other), EEXIST, "a range around another");
	expect_count(try_range(&vm, GUEST_GPA - PAGE, 2 * PAGE, &other), EEXIST, "a range that overlaps memory");
	expect_count(try_range(&vm, GUEST_GPA + PAGE, PAGE, &other), EEXIST, "a range in memory");
	expect_count(try_range(&vm, 0, 1ULL << 60, &other), EINVAL, "a range past what the guest can address");
	expect_count(try_range(&vm, -PAGE, 2 * PAGE, &other), EINVAL, "a range around 0");
	expect_count(try_range(&vm, DEVICE_GPA + DEVICE_SIZE, PAGE, &other), 0, "a range beside another");
	destroy(&vm, &other);

	prepare(v, SD, FOREVER);
	begin(v);
	for (uint64_t i = 0; i < times; i++) {
		/* memory wins while it is there */
		region.memory_size = PAGE;
		if (ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region))
			broken("KVM_SET_USER_MEMORY_REGION");
		frames = v->frame->frames;
		ram[1] = 0;
		wait_for(&v->job->done, v->job->done + 5, "rounds in memory");
		wrong += ram[1] != v->job->in[5] || v->frame->frames > frames + 1;
		region.memory_size = 0;
		if (ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region))
			broken("KVM_SET_USER_MEMORY_REGION");
		wait_for(&v->frame->ended, v->frame->frames + 5, "frames after memory");

		/* without the range it is an exit */
		destroy(&vm, &vm.range);
		frames = v->frame->frames;
		exits = v->exits;
		wait_for(&v->exits, exits + 5, "exits without a range");
		/* one may have been on its way */
		wrong += v->frame->frames > frames + 1;
		add_range(&vm);
		wait_for(&v->frame->ended, v->frame->frames + 5, "frames with a range");
	}
	result = end(v);
	expect_well(v, result, v->job->done, "ranges and memory come and go");
	expect_count(wrong, 0, "what comes last wins");

	region.memory_size = PAGE;
	if (ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &region))
		broken("KVM_SET_USER_MEMORY_REGION");
	destroy(&vm, &vm.range);
	expect_count(try_range(&vm, DEVICE_GPA, DEVICE_SIZE, &other), EEXIST, "a range over memory that was made later");
	close_vm(&vm);
	munmap(ram, PAGE);
}

static void *wander(void *arg)
{
	struct storm *s = arg;

	while (!s->stop) {
		for (int i = 0; i < 2; i++) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET((s->sent + i) % sysconf(_SC_NPROCESSORS_ONLN), &set);
			if (s->v[i].tid)
				sched_setaffinity(s->v[i].tid, sizeof(set), &set);
		}
		s->sent++;
		usleep(500);
	}
	return NULL;
}

/* vCPUs with handlers and one without take turns on all CPUs: to each its own. */
static void migrate(uint64_t milliseconds)
{
	struct storm storm = { 0 };
	struct vm vm, plain;
	struct vcpu *v = vm.vcpu, *p = plain.vcpu;
	pthread_t thread;
	int result[3];

	create(&vm);
	add_vcpu(&vm);
	set_handler(&v[1]);
	/* it has the range, so that its accesses raise the same exceptions */
	create_vm(&plain);
	bind_vm(&plain);
	add_range(&plain);
	prepare(&v[0], SD, FOREVER);
	prepare(&v[1], SD, FOREVER);
	prepare(p, SD, FOREVER);
	v[1].frame->mode = MODE_SPIN;
	v[1].frame->spins = 10000;
	v[1].job->in[11] = v[1].job->expect[11] = DEVICE_GPA + PAGE + 8;
	storm.v = v;
	begin(&v[0]);
	begin(&v[1]);
	begin(p);
	if (pthread_create(&thread, NULL, wander, &storm))
		broken("no thread");
	for (uint64_t until = now_us() + milliseconds * 1000; now_us() < until;) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(now_us() / 1000 % sysconf(_SC_NPROCESSORS_ONLN), &set);
		sched_setaffinity(p->tid, sizeof(set), &set);
		usleep(700);
	}
	storm.stop = 1;
	pthread_join(thread, NULL);
	result[0] = end(&v[0]);
	result[1] = end(&v[1]);
	result[2] = end(p);
	expect_well(&v[0], result[0], v[0].job->done, "a vCPU with a handler moves between CPUs");
	expect_well(&v[1], result[1], v[1].job->done, "another one moves along");
	expect_well(p, result[2], p->job->done, "a VM with a range and no handler does too");
	check(v[0].frame->ended == v[0].job->done && v[1].frame->ended == v[1].job->done && !v[0].exits && !v[1].exits,
	      "to each its own handler", "%llu of %llu, %llu of %llu", (long long)v[0].frame->ended, (long long)v[0].job->done,
	      (long long)v[1].frame->ended, (long long)v[1].job->done);
	expect_count(p->exits, p->job->done, "none for the other VM");
	check(vm.registers[1] == v[0].job->in[5] && vm.registers[513] == v[1].job->in[5] && plain.registers[1] == p->job->in[5],
	      "to each its own device", "%#llx %#llx %#llx", (long long)vm.registers[1], (long long)vm.registers[513],
	      (long long)plain.registers[1]);
	printf("# %llu moves, %llu and %llu frames, %llu exits\n", (long long)storm.sent, (long long)v[0].frame->ended,
	       (long long)v[1].frame->ended, (long long)p->exits);
	close_vm(&vm);
	close_vm(&plain);
}

/* The VMM is killed wherever it is. */
static void kill_it(uint64_t times)
{
	static const enum mode modes[] = { MODE_DEVICE, MODE_SPIN, MODE_LOOP, MODE_PUNT, MODE_ECALL };
	char *before = module_state(), *after;

	for (uint64_t i = 0; i < times; i++) {
		int ready[2], status;
		pid_t child;
		char c;

		if (pipe(ready))
			broken("pipe");
		child = fork();
		if (!child) {
			struct vm vm;
			struct vcpu *v = &vm.vcpu[0];

			create(&vm);
			prepare(v, SD, FOREVER);
			v->cpu = i % sysconf(_SC_NPROCESSORS_ONLN);
			begin(v);
			v->frame->mode = modes[i % 5];
			v->frame->spins = 100000;
			v->frame->number = 99;
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		close(ready[1]);
		if (read(ready[0], &c, 1) != 1)
			broken("the child ended");
		close(ready[0]);
		usleep(i * 997 % 20000);
		kill(child, SIGKILL);
		if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
			broken("waitpid");
	}
	after = module_state();
	check(!strcmp(before, after), "killed VMMs leave nothing", "before:\n%s\nafter:\n%s", before, after);
	free(before);
	free(after);
}

static int signal_of(uint32_t inst)
{
	uint32_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	if (code == MAP_FAILED)
		broken("mmap");
	code[0] = inst;
	code[1] = 0x00008067;	/* ret */
	child = fork();
	if (!child) {
		pin_to(1);
		for (int i = 0; i < 100; i++)
			sched_yield();
		__builtin___clear_cache((char *)code, (char *)(code + 2));
		((void (*)(void))code)();
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		broken("waitpid");
	munmap(code, PAGE);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Beside a vCPU with long frames, a process has nothing of them. */
static void process(uint64_t times)
{
	static const struct {
		const char *name;
		uint32_t inst;
	} forbidden[] = {
		{ "uret", 0x00200073 }, { "a read of ustatus", 0x000022f3 }, { "a read of uscratch", 0x040022f3 },
		{ "a write of uscratch", 0x04001073 }, { "a write of uepc", 0x04101073 }, { "a read of utvec", 0x005022f3 },
		{ "a read of utinst", 0x810022f3 }, { "a write of ustatus", 0x00001073 }, { "a write of ucause", 0x04201073 },
		{ "a write of utval", 0x04301073 }, { "a write of uie", 0x00401073 }, { "a write of utvec", 0x00501073 },
		{ "a read of uip", 0x044022f3 }, { "a write of huedeleg", 0x6c001073 }, { "a write of hstatus", 0x60001073 },
	};
	struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	int result;

	create(&vm);
	prepare(v, SD, FOREVER);
	v->frame->mode = MODE_SPIN;
	v->frame->spins = 100000;
	v->cpu = 1;
	begin(v);
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		uint64_t bad = 0;

		for (uint64_t n = 0; n < times; n++)
			bad += signal_of(forbidden[i].inst) != SIGILL;
		check(!bad, forbidden[i].name, "%llu of %llu went through", (long long)bad, (long long)times);
	}
	result = end(v);
	expect_well(v, result, v->job->done, "the guest beside it");
	expect_count(v->frame->ended, v->job->done, "its handler");
	close_vm(&vm);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*scenario)(uint64_t);
		uint64_t count;
	} scenarios[] = {
		{ "basic", basic, 1000 }, { "punt", punt, 1000 }, { "faults", faults, 50 }, { "endings", endings, 1 },
		{ "budget", budget, 2 }, { "ecalls", ecalls, 100 }, { "signals", signals, 150 }, { "clear", clear, 50 },
		{ "ranges", ranges, 100 }, { "migrate", migrate, 3000 }, { "kill", kill_it, 20 }, { "process", process, 3 }, { "soak", soak, 600 },
		{ "steal", steal_time, 2000 }, { "dirty", dirty, 2 }, { "walk", walk, 1 }, { "trace", trace, 100 },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (!strcmp(argv[1], scenarios[i].name)) {
			scenarios[i].scenario(argc > 2 ? strtoull(argv[2], NULL, 0) : scenarios[i].count);
			return failures ? 1 : 0;
		}
	}
	fprintf(stderr, "usage: uer SCENARIO [COUNT]\n");
	return 2;
}
