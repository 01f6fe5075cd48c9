/* SPDX-License-Identifier: GPL-2.0-only */
/* The tracepoints of handlers: each fires when it should, as often as it should, and says what it should. */
#define _GNU_SOURCE
#include "uer-vm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <linux/haiov.h>

#include "check.h"

#define TRACEFS "/sys/kernel/tracing/"
#define CAUSE_ECALL 8
#define CAUSE_ILLEGAL 2
#define CAUSE_INTERRUPT (1ULL << 63)

enum event { TRAP, PUNT, ECALL, URET, END, NR_EVENTS };

static const char *const events[NR_EVENTS] = {
	"kvm_uer_trap", "kvm_uer_punt", "kvm_uer_ecall", "kvm_uer_uret", "kvm_uer_end",
};

/* The linker's, around the program's code */
extern const char __executable_start[], etext[];

static void put(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), TRACEFS "%s", file);
	write_file(path, text);
}

static void enable(enum event event, bool on)
{
	char file[64];

	snprintf(file, sizeof(file), "events/kvm/%s/enable", events[event]);
	put(file, on ? "1" : "0");
}

static void forget(void)
{
	int fd = open(TRACEFS "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		broken(TRACEFS "trace");
	close(fd);
}

/* Calls found(argument, what it says) for each event of that kind since forget(); how many there were. */
static uint64_t each(enum event event, void (*found)(void *, const char *), void *argument)
{
	char line[512], name[64];
	uint64_t n = 0;
	FILE *trace = fopen(TRACEFS "trace", "re");

	if (!trace)
		broken(TRACEFS "trace");
	snprintf(name, sizeof(name), " %s: ", events[event]);
	while (fgets(line, sizeof(line), trace)) {
		const char *at = *line == '#' ? NULL : strstr(line, name);

		if (!at)
			continue;
		n++;
		line[strcspn(line, "\n")] = '\0';
		if (found)
			found(argument, at + strlen(name));
	}
	fclose(trace);
	return n;
}

struct wanted {
	const char *text;
	uint64_t good;
	char other[256];	/* the last that says something else */
};

static void compare(void *argument, const char *text)
{
	struct wanted *w = argument;

	if (!strcmp(text, w->text))
		w->good++;
	else
		snprintf(w->other, sizeof(w->other), "%s", text);
}

static void expect_events(enum event event, uint64_t times, const char *text, const char *name)
{
	struct wanted w = { .text = text };
	uint64_t n = each(event, compare, &w);

	check(n == times && w.good == times, name, "%llu of %llu, %llu say '%s'; another one: '%s'", (long long)n,
	      (long long)times, (long long)w.good, text, w.other);
}

static void expect_none(enum event event, const char *name)
{
	expect_count(each(event, NULL, NULL), 0, name);
}

/* The traps of a job, whose access the handler has seen. */
struct traps {
	struct vcpu *v;
	uint64_t uepc;
	uint64_t ecalls, illegal, interrupts, others, wrong;
	char example[256];
};

static void count_trap(void *argument, const char *text)
{
	struct traps *t = argument;
	unsigned long id, uepc, ucause, utval, sepc, scause;
	int all = 0;

	if (sscanf(text, "VCPU: %lu, UEPC: 0x%lx, UCAUSE: 0x%lx, UTVAL: 0x%lx, SEPC: 0x%lx, SCAUSE: 0x%lx%n", &id, &uepc,
		   &ucause, &utval, &sepc, &scause, &all) != 6 || text[all]) {
		t->wrong++;
		snprintf(t->example, sizeof(t->example), "%s", text);
		return;
	}
	/* the handler advances uepc */
	if (id != 1 || (uepc != t->uepc && uepc != t->uepc + 4) || ucause != t->v->frame->cause ||
	    utval != t->v->frame->gpa || sepc < (uintptr_t)__executable_start || sepc >= (uintptr_t)etext) {
		t->wrong++;
		snprintf(t->example, sizeof(t->example), "%s", text);
	}
	if (scause & CAUSE_INTERRUPT)
		t->interrupts++;
	else if (scause == CAUSE_ECALL)
		t->ecalls++;
	else if (scause == CAUSE_ILLEGAL)
		t->illegal++;
	else
		t->others++;
}

/* What the vCPU had counted when its job began. */
static struct {
	uint64_t tur, faults;
} before;

static void begin_trace(struct vcpu *v)
{
	before.tur = stat_of(v, "uer_tur");
	before.faults = stat_of(v, "uer_faults");
	forget();
}

/* A job with a handler of that kind, from a clean trace. */
static int traced(struct vcpu *v, uint32_t inst, enum mode mode, uint64_t rounds)
{
	prepare(v, inst, rounds);
	v->frame->mode = mode;
	begin_trace(v);
	return run(v);
}

/* Traps, and what KVM ended by URET: as many as there were, of their causes, and none of another frame. */
static struct traps expect_traps(struct vcpu *v, uint64_t ecalls, const char *job)
{
	struct traps t = { .v = v, .uepc = GUEST_GPA + (uint64_t)(uer_guest_slot - uer_guest) };
	uint64_t tur = stat_of(v, "uer_tur") - before.tur, faults = stat_of(v, "uer_faults") - before.faults;
	char name[128], text[64];

	each(TRAP, count_trap, &t);
	snprintf(name, sizeof(name), "%s: traps say whose and which access it was", job);
	check(!t.wrong, name, "%llu do not, as '%s'", (long long)t.wrong, t.example);
	snprintf(name, sizeof(name), "%s: a trap for each ecall, page fault and URET", job);
	check(t.ecalls == ecalls && t.illegal == tur && t.others == faults, name,
	      "%llu of %llu ecalls, %llu of %llu URETs, %llu of %llu faults", (long long)t.ecalls, (long long)ecalls,
	      (long long)t.illegal, (long long)tur, (long long)t.others, (long long)faults);
	/* the handler has moved uepc on */
	snprintf(text, sizeof(text), "VCPU: 1, UEPC: 0x%llx", (long long)(t.uepc + 4));
	snprintf(name, sizeof(name), "%s: each URET of the kernel's says where it leads", job);
	expect_events(URET, tur, text, name);
	return t;
}

static void punts(struct vcpu *v, uint64_t rounds)
{
	static const struct {
		const char *name;
		uint32_t inst;
		int cause;
	} kinds[] = { { "stores that are punted", SD, 25 }, { "loads that are punted", LD, 24 } };
	char text[256], name[128];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int result;

		prepare(v, kinds[i].inst, rounds);
		if (kinds[i].inst == LD)
			v->job->expect[5] = v->vm->registers[1];
		v->frame->mode = MODE_PUNT;
		begin_trace(v);
		result = run(v);
		expect_well(v, result, rounds, kinds[i].name);
		snprintf(text, sizeof(text), "VCPU: 1, UEPC: 0x%llx, UCAUSE: 0x%x, UTVAL: 0x%x, UTINST: 0x%llx",
			 (long long)v->frame->pc, kinds[i].cause, DEVICE_GPA + 8, (long long)v->frame->inst);
		snprintf(name, sizeof(name), "%s: each says what it was", kinds[i].name);
		expect_events(PUNT, rounds, text, name);
		expect_traps(v, rounds, kinds[i].name);
		expect_none(ECALL, "a punt is no other ecall");
		expect_none(END, "nor the end of a frame by force");
	}
}

static void ecalls(struct vcpu *v, uint64_t rounds)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct haiov_signal_add s = { .size = sizeof(s), .vm_id = v->vm->object, .eventfd = event };
	struct {
		const char *name;
		uint64_t number, argument;
		long result;
	} calls[] = {
		{ "a signal", HAIOV_UER_SIGNAL, 0, 0 },
		{ "a signal that is not there", HAIOV_UER_SIGNAL, 0xabcdef, -ENOENT },
		{ "a number that is not there", 0x123456789a, 0xfedcba9876543210, -ENOSYS },
	};
	char text[256], name[128];

	errno = event < 0 ? errno : try_ioctl(v->vm->haiov, HAIOV_SIGNAL_ADD, &s);
	if (errno)
		broken("HAIOV_SIGNAL_ADD");
	calls[0].argument = s.out_index;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int result;

		v->frame->number = calls[i].number;
		v->frame->argument = calls[i].argument;
		result = traced(v, SD, MODE_ECALL, rounds);
		expect_well(v, result, rounds, calls[i].name);
		snprintf(text, sizeof(text), "VCPU: 1, number: 0x%llx, arg: 0x%llx, ret: %ld", (long long)calls[i].number,
			 (long long)calls[i].argument, calls[i].result);
		snprintf(name, sizeof(name), "%s: each ecall says what, and what came of it", calls[i].name);
		expect_events(ECALL, rounds, text, name);
		expect_traps(v, rounds, calls[i].name);
		expect_none(PUNT, "an ecall is no punt");
		expect_none(END, "and ends no frame");
	}
	close(event);
}

/* Signals find frames in flight: interrupts trap out of them, and KVM ends those by TUR. */
static void urets(struct vcpu *v)
{
	struct sigaction action = { .sa_handler = on_signal };
	uint64_t deadline = now_us() + 60000000;
	struct traps t;
	int result;

	sigaction(SIGUSR1, &action, NULL);
	prepare(v, SD, FOREVER);
	v->frame->mode = MODE_SPIN;
	v->frame->spins = 200000;
	begin_trace(v);
	begin(v);
	while (stat_of(v, "uer_tur") < before.tur + 3 && !v->over) {
		uint64_t seen = v->interrupted;

		if (now_us() > deadline)
			broken("no signal finds a frame in flight");
		pthread_kill(v->thread, SIGUSR1);
		wait_for(&v->interrupted, seen + 1, "a return of KVM_RUN");
	}
	result = end(v);
	expect_well(v, result, v->job->done, "signals find long frames");
	t = expect_traps(v, 0, "long frames");
	check(t.illegal >= 3 && t.interrupts > 0, "interrupts that find a frame are seen", "%llu of %llu frames, and %llu URETs",
	      (long long)t.interrupts, (long long)v->frame->frames, (long long)t.illegal);
	printf("# %llu frames, %llu interrupts, %llu URETs\n", (long long)v->frame->frames, (long long)t.interrupts,
	       (long long)t.illegal);
	expect_none(END, "no frame ends by force");
}

static void ends(struct vcpu *v)
{
	static const struct {
		const char *name;
		enum mode mode;
		bool budget;
	} kinds[] = {
		{ "a read of what is not there", MODE_READ, false },
		{ "an illegal instruction", MODE_ILLEGAL, false },
		{ "a handler that does not end", MODE_LOOP, true },
	};
	char text[256], name[128];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct kvm_run *r = v->run;
		int result;

		v->frame->address = 8;
		result = traced(v, SD, kinds[i].mode, 1);
		snprintf(name, sizeof(name), "%s: KVM ends the frame", kinds[i].name);
		check(result == KVM_EXIT_INTERNAL_ERROR && r->internal.suberror == HAIOV_UER_ENDED, name, "%d", result);
		snprintf(text, sizeof(text), "VCPU: 1, SEPC: 0x%llx, SCAUSE: 0x%llx, STVAL: 0x%llx, budget: %d",
			 (long long)r->internal.data[1], (long long)r->internal.data[0], (long long)r->internal.data[2],
			 kinds[i].budget);
		snprintf(name, sizeof(name), "%s: the event says what KVM_RUN says", kinds[i].name);
		expect_events(END, 1, text, name);
		expect_none(PUNT, "no punt ends so");
		expect_none(URET, "nor a URET");
		start_over(v);
	}
}

void trace(uint64_t rounds)
{
	struct vm vm;
	struct vcpu *v = &vm.vcpu[1];
	int result;

	if (mount("tracefs", TRACEFS, "tracefs", 0, NULL) && errno != EBUSY)
		broken("no tracefs: the kernel lacks CONFIG_EVENT_TRACING");
	create(&vm);
	/* not the first: 0 is what anybody would say */
	add_vcpu(&vm);
	set_handler(v);
	for (int i = 0; i < NR_EVENTS; i++)
		enable(i, true);

	result = traced(v, SD, MODE_DEVICE, rounds);
	expect_well(v, result, rounds, "frames that need no kernel");
	expect_traps(v, 0, "frames that need no kernel");
	expect_none(PUNT, "no punt among them");
	expect_none(ECALL, "nor an ecall");
	expect_none(END, "nor an end by force");
	punts(v, rounds);
	ecalls(v, rounds);
	urets(v);
	ends(v);

	for (int i = 0; i < NR_EVENTS; i++)
		enable(i, false);
	result = traced(v, SD, MODE_PUNT, rounds);
	expect_well(v, result, rounds, "punts that nobody watches");
	for (int i = 0; i < NR_EVENTS; i++)
		expect_none(i, "events that are off");
	close_vm(&vm);
}
