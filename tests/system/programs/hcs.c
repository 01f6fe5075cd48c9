/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts: handlers that events of a guest start at once, on top of other threads and of guests.
 *
 * The guest sends numbered events, each when the handler has acknowledged the one before: one that is
 * lost stops it for good. On the context's CPU victims compute with all registers, and look whether
 * the result is what it should be.
 *
 *   hcs idle EVENTS         onto an idle CPU
 *   hcs doorbell EVENTS     the same without Sstc
 *   hcs kernel EVENTS       onto a CPU that is in its kernel
 *   hcs frames EVENTS       over threads of this process, of another one, and over a guest
 *   hcs user EVENTS         over threads of another user, and of several
 *   hcs flood EVENTS        over a thread and over a guest, each when the handler of the one before still runs
 *   hcs handlers EVENTS     what takes a handler over to its thread: loops, faults, floating point, ...
 *   hcs handlers-idle EVENTS  the same onto an idle CPU
 *   hcs ends ROUNDS         what ends its process: a bad address, munmap of its stack, exit, execve, ...
 *   hcs thread EVENTS       its thread: signals, fork, a second one, one that is gone
 *   hcs destroy ROUNDS      contexts come and go while events come, and leave nothing
 *   hcs kill ROUNDS         kill -9 of the process at any time
 *   hcs move EVENTS         to other CPUs, also since their own goes offline (hcs-move.c)
 *   hcs listen EVENTS       for eventfds that another file's routes lead to (hcs-listen.c)
 *   hcs signal EVENTS       handlers signal eventfds without leaving the frame (hcs-signal.c)
 *   hcs soak SECONDS [VMM ARGUMENT...]  all of that at once (hcs-soak.c); needs swap
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "guest.h"
#include "haiov.h"
#include "hcs-backend.h"
#include "hcs.h"

#define NOBODY		65534
#define STACK_SIZE	65536
#define SPIN_LONG_US	500000
#define LONG_BUDGET_US	100000
#define SPIN_SHORT_US	1000
#define TICKS_MANY	60 /* of 4 ms: LONG_BUDGET_US has 25 */
#define NAP_NS		300000	/* far less than a tick */
#define FLOOD_SPIN_US	2000
#define FLOODED_ROUNDS	40	/* of a thread that is flooded */
#define FLOODED_LOOPS	5000000 /* of a guest */
#define FLOODED_MOST	10	/* times as long as alone: it is twice with half of the CPU, and fifty times with what is left otherwise */

void stay_away(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (long cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1; cpu >= 0; cpu--)
		if (cpu != VCPU_CPU && cpu != CPU)
			CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		broken("sched_setaffinity");
}

void look_later(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* ---- the backend ---- */

/* Where handlers begin, of backends that are created from now on. */
static void (*handler_entry)(void) = hcs_entry;
int context_cpu = CPU;

static void handle(struct area *area)
{
	struct backend *b = (struct backend *)area;

	/* One at a time, wherever they run. */
	if (b->calls != b->done)
		b->wrong++;
	if (on_thread(b))
		b->on_thread++;
	b->calls++;
	if (b->act)
		b->act(b);
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		slot_ack(&b->guest.shared->acked[i]);
	b->done++;
}

static void *run_backend(void *arg)
{
	struct backend *b = arg;
	struct haiov_context_wait w = { .size = sizeof(w), .context_id = b->context };

	b->tid = gettid();
	b->ended = hcs_wait(&b->area, b->haiov, HAIOV_CONTEXT_WAIT, &w);
	return NULL;
}

static int try_context(int haiov, struct haiov_context_create *c)
{
	return try_ioctl(haiov, HAIOV_CONTEXT_CREATE, c);
}

struct haiov_context_query query(const struct backend *b)
{
	struct haiov_context_query q = { .size = sizeof(q), .context_id = b->context };

	errno = try_ioctl(b->haiov, HAIOV_CONTEXT_QUERY, &q);
	if (errno)
		broken("CONTEXT_QUERY");
	return q;
}

void backend_route(struct backend *b)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++) {
		struct haiov_route_add r = {
			.size = sizeof(r), .flags = HAIOV_ROUTE_CONTEXT, .vm_id = b->vm, .veirq = i,
			.context_id = b->context,
		};

		errno = try_ioctl(b->haiov, HAIOV_ROUTE_ADD, &r);
		if (errno)
			broken("ROUTE_ADD to a context");
		b->route[i] = r.out_route_id;
	}
}

void backend_context(struct backend *b, unsigned int flags, unsigned int budget_us)
{
	struct haiov_context_create c = {
		.size = sizeof(c), .flags = flags | (context_cpu == ANY_CPU ? 0 : HAIOV_CONTEXT_CPU),
		.cpu = context_cpu == ANY_CPU ? 0 : context_cpu, .budget_us = budget_us,
		.entry = (uintptr_t)handler_entry, .data = (uintptr_t)b,
	};

	errno = try_context(b->haiov, &c);
	if (errno)
		broken("CONTEXT_CREATE");
	b->context = c.out_context_id;
}

void backend_park(struct backend *b)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	b->ended = 0;
	if (pthread_create(&b->thread, NULL, run_backend, b))
		broken("no thread");
	/* Events that come before are not lost, but then no frame takes them. */
	while (!query(b).out_parked && !b->done)
		if (now_us() > deadline)
			broken("the thread does not park");
}

struct backend *backend_alloc(void (*act)(struct backend *))
{
	struct backend *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		broken("mmap");
	b->area.handler = handle;
	b->act = act;
	b->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->page == MAP_FAILED)
		broken("mmap");
	guest_memory(&b->guest);
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		b->guest.shared->acked[i].value = i;
	b->guest.shared->nr_acked = NR_EVENTS;
	b->haiov = -1;
	return b;
}

void backend_free(struct backend *b)
{
	if (b->haiov >= 0)
		close(b->haiov);
	guest_destroy(&b->guest);
	munmap(b->page, 4096);
	munmap(b, sizeof(*b));
}

struct backend *backend_create(unsigned int flags, unsigned int budget_us, void (*act)(struct backend *))
{
	struct backend *b = backend_alloc(act);
	int kvm = open_kvm();

	guest_vm(&b->guest, kvm);
	b->haiov = open_haiov();
	b->vm = vm_bind(b->haiov, b->guest.vm, NR_VEIRQS);
	guest_add_vcpu(&b->guest);
	close(kvm);
	backend_context(b, flags, budget_us);
	backend_route(b);
	backend_park(b);
	return b;
}

void backend_destroy(struct backend *b)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		object_destroy(b->haiov, b->route[i]);
	object_destroy(b->haiov, b->context);
	pthread_join(b->thread, NULL);
	check(b->ended == -ENOENT, "its thread comes back when it is destroyed", "with %ld", b->ended);
	object_destroy(b->haiov, b->vm);
	backend_free(b);
}

/* Where the backend's thread is, for whoever looks for a fault. */
static void show_thread(const struct backend *b)
{
	static const char *const files[] = { "stat", "stack", "syscall" };
	char path[64], line[512];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/%s", b->tid, files[i]);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			printf("# %s: %s", files[i], line);
		if (f)
			fclose(f);
	}
}

bool arrive(const struct backend *b, uint64_t events)
{
	uint64_t from = b->done, last = from, deadline = now_us() + PATIENCE_US;

	for (; b->done - from < events; look_later()) {
		if (b->done != last) {
			last = b->done;
			deadline = now_us() + PATIENCE_US;
		} else if (now_us() > deadline) {
			struct haiov_context_query q = query(b);

			printf("# after %llu of %llu events none for %u s: parked %u, pending %u\n", u(last - from), u(events),
			       PATIENCE_US / 1000000, q.out_parked, q.out_pending);
			for (unsigned int i = 0; i < NR_EVENTS; i++)
				printf("# slot %u: %llu sent, %llu seen\n", i, u(b->guest.shared->acked[i].seq),
				       u(b->guest.shared->acked[i].ack));
			show_thread(b);
			return false;
		}
	}
	return true;
}

bool drain(struct backend *b)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	guest_stop(&b->guest);
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		for (; b->guest.shared->acked[i].ack != b->guest.shared->acked[i].seq; look_later())
			if (now_us() > deadline)
				return false;
	/* The handler that saw the last one is on its way out. */
	for (; b->done != b->calls || !query(b).out_parked; look_later())
		if (now_us() > deadline)
			return false;
	return true;
}

struct tally tally(const struct backend *b)
{
	/* First, since a handler counts later than the kernel. */
	uint64_t calls = b->calls;
	struct haiov_context_query q = query(b);

	return (struct tally){ calls, calls > q.out_doorbells ? calls - q.out_doorbells : 0, b->on_thread, q.out_doorbells,
			       q.out_faults, q.out_preempted, q.out_expired, q.out_interrupted };
}

void show(const char *what, const struct tally *t)
{
	printf("# %s: %llu handlers, %llu of them frames; %llu doorbells, %llu faults, %llu preempted, %llu expired, %llu interrupted\n",
	       what, u(t->calls), u(t->frames), u(t->doorbells), u(t->faults), u(t->preempted),
	       u(t->expired), u(t->interrupted));
}

/* A figure of the tally, by its offset. */
static uint64_t figure(const struct tally *t, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)t + offset, sizeof(value));
	return value;
}

#define TOO_MANY 20 /* times as many events as were asked for will not do what they have not done yet */

/* @events to the end, and more until the figure of the tally at @offset is @least; with the guest on @vcpu_cpu. */
static struct tally run_until(const char *what, struct backend *b, uint64_t events, int vcpu_cpu, size_t offset,
			      uint64_t least)
{
	uint64_t enough = b->done + events * TOO_MANY;
	struct tally t;
	bool flows;

	guest_start(&b->guest, vcpu_cpu);
	flows = arrive(b, events);
	for (t = tally(b); flows && figure(&t, offset) < least && b->done < enough; t = tally(b))
		flows = arrive(b, 1);
	check(flows, what, "events stop");
	check(drain(b), what, "not all that was sent was seen");
	t = tally(b);
	show(what, &t);
	check(t.calls >= t.doorbells, what, "%llu doorbells of %llu handlers", u(t.doorbells), u(t.calls));
	check(!b->wrong, what, "%llu handlers went wrong", u(b->wrong));
	/* Some may have been taken over before they looked. */
	check(t.on_thread >= t.doorbells && t.on_thread <= t.doorbells + t.faults + t.preempted + t.expired, what,
	      "%llu handlers were told that they began on the thread, of %llu doorbells", u(t.on_thread), u(t.doorbells));
	return t;
}

static struct tally run(const char *what, struct backend *b, uint64_t events, int vcpu_cpu)
{
	return run_until(what, b, events, vcpu_cpu, offsetof(struct tally, calls), events);
}

/*
 * How many events it takes is up to the load of the machine that emulates this one: where a hart has stood still its timer
 * is due as well when it goes on, and comes first.
 */
struct tally run_frames(const char *what, struct backend *b, uint64_t events, int vcpu_cpu)
{
	struct tally t = run_until(what, b, events, vcpu_cpu, offsetof(struct tally, frames), events / 2);

	check(t.frames >= events / 2, what, "%llu frames of %llu handlers", u(t.frames), u(t.calls));
	return t;
}

/* ---- other processes ---- */

pid_t victim_of(uid_t uid)
{
	int ready[2];
	pid_t pid;
	char byte = 0;

	if (pipe2(ready, O_CLOEXEC))
		broken("pipe2");
	pid = fork();
	if (!pid) {
		struct victim v;

		if (setresuid(uid, uid, uid) || prctl(PR_SET_PDEATHSIG, SIGKILL))
			_exit(3);
		victim_start(&v, CPU);
		if (write(ready[1], &byte, 1) != 1)
			_exit(4);
		while (!v.wrong)
			nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		_exit(5);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		broken("no victim of user %u", uid);
	close(ready[0]);
	return pid;
}

/* A process that does nothing but wake up. */
static pid_t napper_of(uid_t uid)
{
	pid_t pid = fork();

	if (!pid) {
		if (setresuid(uid, uid, uid) || prctl(PR_SET_PDEATHSIG, SIGKILL))
			_exit(3);
		pin_to(CPU);
		for (;;)
			nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
	}
	if (pid < 0)
		broken("fork");
	return pid;
}

static void end_victim(pid_t pid, const char *name)
{
	int status = 0;

	check(waitpid(pid, &status, WNOHANG) == 0, name, "status %#x", status);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- signals ---- */

static volatile uint64_t signals, in_handler, beside_frame;
static struct backend *signaled;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
	if (signaled->calls != signaled->done) {
		in_handler++;
		beside_frame += !on_thread(signaled);
	}
}

static void take_signals(struct backend *b, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	signals = in_handler = beside_frame = 0;
	signaled = b;
	if (sigaction(SIGUSR1, &action, NULL))
		broken("sigaction");
}

/* ---- where they begin ---- */

static void spin(uint64_t us)
{
	/* No clock: reading that is a system call, or a trap, in a frame. */
	for (volatile uint64_t n = us * 20; n; n--)
		;
}

static void act_stay(struct backend *b)
{
	while (!on_thread(b))
		;
}

/* Shorter than its budget. */
static void act_linger(struct backend *b)
{
	(void)b;
	spin(SPIN_SHORT_US);
}

/* As long as a tick, or so. */
static void act_linger_on(struct backend *b)
{
	(void)b;
	spin(20 * SPIN_SHORT_US);
}

static void act_syscall(struct backend *b)
{
	if (syscall(SYS_gettid) != b->tid || getppid() < 1 || !on_thread(b))
		b->wrong++;
}

/* Longer than it takes to be idle again, and of no rhythm that a timer could have. */
#define PAUSE_TICKS 8191
#define RARE_TICKS 65535
#define LONG_PAUSE_TICKS 500000
/* For an event, on average. Where harts take turns those that wait for a timer take 75000, the others 800. */
#define LATE_US 20000

/* The next event is there before this handler ends, unless the guest has been stopped. */
static void await_next(struct backend *b)
{
	struct slot *slot = &b->guest.shared->acked[0];

	slot_ack(slot);
	while (slot->ack == slot->seq && !b->guest.shared->stop)
		;
}

static void act_await_every_other(struct backend *b)
{
	if (b->calls % 2) {
		await_next(b);
		spin(FLOOD_SPIN_US / 10);
	}
}

/*
 * Behind URET the hart owes whom it has interrupted an instruction, and the idle task has none: what has come meanwhile is
 * its thread's at once, and not when the CPU's next timer is due.
 */
static void idle_with_more(uint64_t events)
{
	const char *what = "onto an idle CPU, while a handler runs";
	struct backend *b = backend_create(0, 0, act_await_every_other);
	uint64_t began = now_us(), took;
	struct tally t;

	b->guest.shared->pause = PAUSE_TICKS;
	t = run(what, b, events, VCPU_CPU);
	took = now_us() - began;
	printf("# %s: %llu us\n", what, u(took));
	check(t.frames && t.doorbells, what, "%llu frames and %llu doorbells", u(t.frames), u(t.doorbells));
	check(took < t.calls * LATE_US, what, "%llu events took %llu us", u(t.calls), u(took));
	backend_destroy(b);
}

static void do_idle(uint64_t events)
{
	struct baseline before = take_baseline();
	struct backend *b = backend_create(0, 0, NULL);
	struct victim v;

	run_frames("onto an idle CPU, one after the other", b, events, VCPU_CPU);
	backend_destroy(b);

	b = backend_create(0, 0, NULL);
	b->guest.shared->pause = PAUSE_TICKS;
	run_frames("onto an idle CPU, at any time", b, events * 10, VCPU_CPU);
	backend_destroy(b);

	idle_with_more(events / 2);

	/* One that may not be interrupted leaves the idle task to them. */
	b = backend_create(0, 0, NULL);
	b->guest.shared->pause = PAUSE_TICKS;
	victim_start_restless(&v, CPU);
	run_frames("onto a CPU that is idle now and then", b, events, VCPU_CPU);
	check(victim_stop(&v), "its thread's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong), u(v.rounds));
	backend_destroy(b);
	back_to(&before, "nothing is left");
}

static void do_doorbell(uint64_t events)
{
	struct baseline before = take_baseline();
	struct backend *b = backend_create(0, 0, NULL);
	struct tally t = run("every event arrives", b, events, VCPU_CPU);

	check(t.doorbells > t.calls / 2, "an idle CPU without a timer of its own is rung", "%llu of %llu", u(t.doorbells), u(t.calls));
	backend_destroy(b);

	/* Slow, as the firmware sees it first, and says so on the console. */
	handler_entry = hcs_entry_uret;
	b = backend_create(0, 0, NULL);
	run("handlers that end by uret on the thread", b, events / 50, VCPU_CPU);
	backend_destroy(b);
	handler_entry = hcs_entry;
	back_to(&before, "nothing is left");
}

#define STRETCHES	3
#define STRETCH_PARTS	512
#define STRETCH_PART	1048576

/* Stays in the kernel for long, and counts the handlers meanwhile. */
struct stretch {
	struct backend *b;
	uint64_t us, handlers;
};

static void *run_stretch(void *arg)
{
	static struct iovec parts[STRETCH_PARTS];
	struct stretch *s = arg;
	char *buffer = malloc(STRETCH_PART);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	uint64_t handlers, us;

	if (!buffer || zero < 0)
		broken("/dev/zero");
	for (unsigned int i = 0; i < STRETCH_PARTS; i++)
		parts[i] = (struct iovec){ buffer, STRETCH_PART };
	pin_to(CPU);
	handlers = s->b->done;
	us = now_us();
	if (readv(zero, parts, STRETCH_PARTS) != (long)STRETCH_PARTS * STRETCH_PART)
		broken("readv");
	s->us = now_us() - us;
	s->handlers = s->b->done - handlers;
	close(zero);
	free(buffer);
	return NULL;
}

static void *run_calls(void *arg)
{
	pin_to(CPU);
	while (!*(volatile bool *)arg)
		getppid();
	return NULL;
}

static void do_kernel(uint64_t events)
{
	struct baseline before = take_baseline();
	struct backend *b = backend_create(0, 0, NULL);
	bool stop = false;
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_calls, &stop))
		broken("no thread");
	run_frames("over a thread that makes system calls", b, events, VCPU_CPU);
	*(volatile bool *)&stop = true;
	pthread_join(thread, NULL);
	backend_destroy(b);

	b = backend_create(0, 0, NULL);
	guest_start(&b->guest, VCPU_CPU);
	for (unsigned int i = 0; i < STRETCHES; i++) {
		struct stretch s = { .b = b };

		if (pthread_create(&thread, NULL, run_stretch, &s))
			broken("no thread");
		pthread_join(thread, NULL);
		printf("# a long system call: %llu handlers in %llu us\n", u(s.handlers), u(s.us));
		/* The tick is every 4 ms; the machine that emulates this one may be busy. */
		check(s.us > 40000 && s.handlers > s.us / 30000, "a long system call does not hold them up",
		      "%llu in %llu us", u(s.handlers), u(s.us));
	}
	check(drain(b), "all that was sent was seen", "not all");
	backend_destroy(b);
	back_to(&before, "nothing is left");
}

/* Of the kernel: what a system call leaves in a0 that is to begin anew after a signal. No program ever sees it. */
#define ERESTARTNOINTR 513

struct held {
	volatile bool stop;
	long value;
};

static void *run_hold(void *arg)
{
	struct held *h = arg;

	pin_to(CPU);
	h->value = hcs_hold(&h->stop, -ERESTARTNOINTR);
	return NULL;
}

static void act_syscall_and_linger(struct backend *b)
{
	act_syscall(b);
	spin(SPIN_SHORT_US);
}

/* The handler makes system calls; the thread below it gets signals, and looks as if one were to begin anew. */
static void over_signaled(uint64_t events)
{
	struct held h = { .value = -ERESTARTNOINTR };
	struct backend *b = backend_create(0, 0, act_syscall_and_linger);
	uint64_t last = 0, deadline = now_us() + PATIENCE_US;
	pthread_t thread;
	cpu_set_t set;

	/* The handler's thread takes that thread's CPU, so that signals find it on its way out of the kernel, from the system call. */
	CPU_ZERO(&set);
	CPU_SET(CPU, &set);
	if (sched_setaffinity(b->tid, sizeof(set), &set))
		broken("sched_setaffinity");
	take_signals(b, SA_RESTART);
	if (pthread_create(&thread, NULL, run_hold, &h))
		broken("no thread");
	guest_start(&b->guest, VCPU_CPU);
	while (b->done < events && now_us() < deadline) {
		uint64_t before = signals;

		if (b->done != last) {
			last = b->done;
			deadline = now_us() + PATIENCE_US;
		}
		while (b->calls == b->done && now_us() < deadline)
			;
		if (pthread_kill(thread, SIGUSR1))
			break;
		while (signals == before && h.value == -ERESTARTNOINTR && now_us() < deadline)
			sched_yield();
	}
	check(drain(b) && b->done >= events, "system calls over a thread that gets signals", "%llu of %llu events", u(b->done), u(events));
	h.stop = true;
	pthread_join(thread, NULL);
	check(h.value == -ERESTARTNOINTR, "they are none of that thread's", "a0 is %ld after %llu signals", h.value, u(signals));
	backend_destroy(b);
}

static void do_frames(uint64_t events)
{
	struct baseline before = take_baseline();
	struct backend *b;
	struct victim v;
	struct tally t;
	pid_t other;

	victim_start(&v, CPU);
	b = backend_create(0, 0, NULL);
	run_frames("over a thread of this process", b, events, VCPU_CPU);
	backend_destroy(b);

	/* Ticks interrupt them more often than there are ticks in one budget. */
	b = backend_create(0, LONG_BUDGET_US, act_linger_on);
	t = run_until("within their budget, each", b, events / 10, VCPU_CPU, offsetof(struct tally, interrupted), TICKS_MANY);
	check(t.interrupted >= TICKS_MANY && t.expired < t.interrupted / 2, "each has a budget of its own",
	      "%llu were over it, %llu went on", u(t.expired), u(t.interrupted));
	backend_destroy(b);

	/* A frame lasts until somebody wakes up. It is not to go on over that one, who may not be interrupted, as over who is there again. */
	other = napper_of(NOBODY);
	b = backend_create(0, LONG_BUDGET_US, act_stay);
	t = run_until("over one that is preempted", b, events / 10, VCPU_CPU, offsetof(struct tally, preempted), events / 50);
	check(t.preempted >= events / 50 && t.interrupted < t.preempted / 2, "who has preempted it does without the handler",
	      "%llu of %llu were taken over, %llu times one went on", u(t.preempted), u(t.frames), u(t.interrupted));
	backend_destroy(b);
	end_victim(other, "and goes on");
	check(victim_stop(&v), "its registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong), u(v.rounds));

	other = victim_of(0);
	b = backend_create(0, 0, NULL);
	run_frames("over another process", b, events, VCPU_CPU);
	end_victim(other, "its registers are as they were as well");
	backend_destroy(b);

	/* The guest interrupts itself: what it keeps in its registers counts its events. */
	b = backend_create(0, 0, NULL);
	run_frames("over a guest", b, events, CPU);
	check(!b->guest.shared->traps, "the guest notices nothing", "%llu traps, scause %#llx",
	      u(b->guest.shared->traps), u(b->guest.shared->scause));
	backend_destroy(b);

	b = backend_create(0, 0, act_syscall);
	t = run_until("system calls over a guest", b, events / 4, CPU, offsetof(struct tally, faults), 1);
	check(t.faults > 0, "they take the handler over to its thread", "none of %llu", u(t.calls));
	check(!b->guest.shared->traps, "and the guest notices nothing", "%llu traps, scause %#llx",
	      u(b->guest.shared->traps), u(b->guest.shared->scause));
	backend_destroy(b);

	over_signaled(events / 2);
	back_to(&before, "nothing is left");
}

/* The same handlers find first a thread of ours on their CPU, then @theirs. */
static void over_ours_then_theirs(uint64_t events, pid_t theirs)
{
	struct tally ours, all;
	struct backend *b;
	struct victim v;
	bool flows;

	kill(theirs, SIGSTOP);
	victim_start(&v, CPU);
	b = backend_create(0, 0, NULL);
	/* So few that frames do not have their share of the CPU soon: from then on they would be none, over whomever. */
	b->guest.shared->pause = RARE_TICKS;
	guest_start(&b->guest, VCPU_CPU);
	flows = arrive(b, events);
	ours = tally(b);

	kill(theirs, SIGCONT);
	check(victim_stop(&v), "a thread of ours", "%llu of %llu rounds are wrong", u(v.wrong), u(v.rounds));
	flows = arrive(b, events) && flows;
	check(drain(b) && flows, "over ours, then beside theirs", "not all that was sent was seen");
	all = tally(b);
	show("over ours, then beside theirs", &all);

	check(ours.frames > ours.calls / 10, "ours is interrupted", "%llu frames of %llu", u(ours.frames), u(ours.calls));
	check(all.frames - ours.frames < (all.calls - ours.calls) / 10, "theirs is not, once it has the CPU", "%llu frames of %llu",
	      u(all.frames - ours.frames), u(all.calls - ours.calls));
	backend_destroy(b);
}

static void do_user(uint64_t events)
{
	struct baseline before = take_baseline();
	pid_t victim = victim_of(NOBODY);
	struct backend *b;
	struct tally t;

	/*
	 * Ours is root's. A few frames may be over the threads of this process that pass by, such as the backend's own
	 * when it has been rung.
	 */
	b = backend_create(0, 0, NULL);
	t = run("beside another user's threads", b, events, VCPU_CPU);
	check(t.frames < t.calls / 10, "they are not interrupted", "%llu frames of %llu", u(t.frames), u(t.calls));
	backend_destroy(b);

	over_ours_then_theirs(events, victim);

	b = backend_create(HAIOV_CONTEXT_ANY, 0, NULL);
	run_frames("HAIOV_CONTEXT_ANY: over another user's threads", b, events, VCPU_CPU);
	backend_destroy(b);
	end_victim(victim, "their registers are as they were");
	back_to(&before, "nothing is left");
}

/* ---- what handlers do ---- */

void act_loop(struct backend *b)
{
	(void)b;
	spin(SPIN_LONG_US);
}

static void act_flood(struct backend *b)
{
	await_next(b);
	/* The guest writes down what it sends next. */
	spin(FLOOD_SPIN_US);
}

/* How long it takes until @done has grown by @wanted, or @most if that is less. */
static uint64_t time_of(volatile uint64_t *done, uint64_t wanted, uint64_t most)
{
	uint64_t before = *done, began = now_us();

	while (*done - before < wanted && now_us() - began < most)
		look_later();
	return now_us() - began;
}

/* @done is of whoever runs where the handlers begin. */
static void flood(const char *what, uint64_t events, volatile uint64_t *done, uint64_t wanted)
{
	uint64_t most = FLOODED_MOST * time_of(done, wanted, PATIENCE_US), took;
	struct backend *b = backend_create(0, LONG_BUDGET_US, act_flood);
	struct tally t;

	guest_start(&b->guest, VCPU_CPU);
	check(arrive(b, events), what, "events stop");
	took = time_of(done, wanted, most);
	check(took < most, what, "it takes more than %u times as long as alone, %llu us", FLOODED_MOST, u(took));
	t = tally(b);
	printf("# %s: %llu us for what takes %llu us alone\n", what, u(took), u(most / FLOODED_MOST));
	show(what, &t);
	check(t.frames > 0 && t.doorbells > 0, what, "%llu frames and %llu doorbells of %llu", u(t.frames), u(t.doorbells), u(t.calls));
	check(drain(b), what, "not all that was sent was seen");
	check(!b->wrong, what, "%llu handlers went wrong", u(b->wrong));
	backend_destroy(b);
}

static void do_flood(uint64_t events)
{
	struct baseline before = take_baseline();
	struct guest other;
	struct victim v;
	int kvm;

	victim_start(&v, CPU);
	flood("events flood a thread", events, &v.rounds, FLOODED_ROUNDS);
	check(victim_stop(&v), "its registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong), u(v.rounds));

	kvm = open_kvm();
	guest_create(&other, kvm);
	guest_add_vcpu(&other);
	guest_start(&other, CPU);
	flood("events flood another guest", events, &other.shared->rounds, FLOODED_LOOPS);
	check(!other.shared->traps, "it notices nothing", "%llu traps, scause %#llx", u(other.shared->traps), u(other.shared->scause));
	guest_stop(&other);
	guest_destroy(&other);
	close(kvm);
	back_to(&before, "nothing is left");
}

static void act_fault(struct backend *b)
{
	/* It is not there: what is read is 0, and what is written stays until it is dropped again. */
	if (b->page[64])
		b->wrong++;
	b->page[64] = 1;
	if (b->page[64] != 1)
		b->wrong++;
	if (madvise(b->page, 4096, MADV_DONTNEED))
		b->wrong++;
}

static void act_float(struct backend *b)
{
	double x = 1.5, y = b->calls, z;

	/* Across the instruction that takes it over. */
	asm volatile("fmul.d %0, %1, %2\n\tfsub.d %0, %0, %2" : "=&f"(z) : "f"(x), "f"(y));
	if (z != b->calls * 0.5)
		b->wrong++;
}

static void act_sleep(struct backend *b)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	if (nanosleep(&ms, NULL))
		b->wrong++;
}

static void act_uscratch(struct backend *b)
{
	uint64_t data;

	/* First in the frame, if it is one, then on the thread. */
	for (int i = 0; i < 2; i++) {
		asm volatile("csrr %0, 0x040" : "=r"(data));
		if (data != (uintptr_t)b)
			b->wrong++;
		sched_yield();
	}
}

void act_mixed(struct backend *b)
{
	switch (b->calls % 7) {
	case 0:
		return act_fault(b);
	case 1:
		return act_float(b);
	case 2:
		return act_syscall(b);
	case 3:
		return act_uscratch(b);
	case 4:
		return spin(2000);
	}
}

struct act {
	const char *name;
	void (*act)(struct backend *b);
	unsigned int budget_us, share; /* one in @share of the events that were asked for will do */
	size_t taken_over;	       /* which figure of the tally must say so, of frames */
};

/* Over a victim or, without one, over nobody. */
static void do_acts(uint64_t events, struct victim *v)
{
	static const struct act acts[] = {
		{ "a page that is not there", act_fault, 0, 2, offsetof(struct tally, faults) },
		{ "floating point", act_float, 0, 1, offsetof(struct tally, faults) },
		{ "system calls", act_syscall, 0, 2, offsetof(struct tally, faults) },
		{ "sleep", act_sleep, 0, 4, offsetof(struct tally, faults) },
		{ "uscratch", act_uscratch, 0, 2, offsetof(struct tally, faults) },
		{ "a loop, without a budget", act_loop, 0, 50, offsetof(struct tally, expired) },
		{ "a loop that only its thread ends", act_stay, 2000, 50, offsetof(struct tally, expired) },
		{ "a loop, over its budget", act_loop, 2000, 50, offsetof(struct tally, expired) },
		{ "a loop, within its budget", act_loop, 100000, 50, offsetof(struct tally, interrupted) },
		{ "a bit of everything", act_mixed, 1000, 1, offsetof(struct tally, faults) },
	};
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		const struct act *act = &acts[i];
		struct backend *b = backend_create(0, act->budget_us, act->act);
		uint64_t rounds = v ? v->rounds : 0;
		size_t taken_over = act->taken_over;
		struct tally t;

		if (!v) {
			/* Whatever the budget, a tick's time is what there is over nobody. */
			if (taken_over == offsetof(struct tally, interrupted))
				taken_over = offsetof(struct tally, expired);
			/* Where it ends at an interrupt, the tick has been stopped, and no other timer is near. */
			b->guest.shared->pause = taken_over == offsetof(struct tally, expired) ? LONG_PAUSE_TICKS : PAUSE_TICKS;
		}
		t = run_until(act->name, b, events / act->share, VCPU_CPU, taken_over, 1);
		check(figure(&t, taken_over) > 0, act->name, "nothing was taken over to the thread, or went on after an interrupt");
		if (v) {
			check(v->rounds > rounds, act->name, "the victim does not run");
			check(!v->wrong, act->name, "%llu rounds of the victim are wrong", u(v->wrong));
		} else {
			check(t.frames > 0, act->name, "no frames");
		}
		backend_destroy(b);
	}
}

static void do_handlers(uint64_t events)
{
	struct baseline before = take_baseline();
	struct victim v;

	victim_start(&v, CPU);
	do_acts(events, &v);
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong),
	      u(v.rounds));
	back_to(&before, "nothing is left");
}

static void do_handlers_idle(uint64_t events)
{
	struct baseline before = take_baseline();

	do_acts(events, NULL);
	back_to(&before, "nothing is left");
}

/* ---- what ends the process ---- */

#define LAST_CALL 5 /* handlers that return before */

static void act_null(struct backend *b)
{
	if (b->calls > LAST_CALL)
		*(volatile int *)NULL = 1;
}

static void act_illegal(struct backend *b)
{
	if (b->calls > LAST_CALL)
		asm volatile("unimp");
}

static void act_unmap(struct backend *b)
{
	/* No further than where it begins: the vDSO may follow, which cannot be unmapped in part. */
	uintptr_t end = (b->area.sp | 4095) + 1;

	if (b->calls > LAST_CALL && syscall(SYS_munmap, end - STACK_SIZE, STACK_SIZE))
		b->wrong++;
}

static void act_exit(struct backend *b)
{
	if (b->calls > LAST_CALL)
		exit(7);
}

static void act_exit_thread(struct backend *b)
{
	if (b->calls > LAST_CALL) {
		b->wrong = 1; /* who waits for that ends the process */
		pthread_exit(NULL);
	}
}

static void act_exec(struct backend *b)
{
	if (b->calls > LAST_CALL)
		execl("/bin/sh", "sh", "-c", "exit 8", NULL);
}

static void act_kill(struct backend *b)
{
	if (b->calls > LAST_CALL)
		kill(getpid(), SIGKILL);
}

static void act_abort(struct backend *b)
{
	/* A write of uscratch is nothing for a thread; in a frame it is taken for the handler's own. */
	if (b->calls > LAST_CALL) {
		sched_yield();
		asm volatile("csrw 0x040, zero");
	}
}

static void do_ends(unsigned int rounds)
{
	static const struct {
		const char *name;
		void (*act)(struct backend *b);
		int signal, status;
	} ends[] = {
		{ "a bad address", act_null, SIGSEGV, 0 },
		{ "an illegal instruction", act_illegal, SIGILL, 0 },
		{ "munmap of its stack", act_unmap, SIGSEGV, 0 },
		{ "a write of uscratch on the thread", act_abort, SIGILL, 0 },
		{ "exit", act_exit, 0, 7 },
		{ "execve", act_exec, 0, 8 },
		{ "exit of the thread", act_exit_thread, 0, 9 },
		{ "kill -9 of itself", act_kill, SIGKILL, 0 },
	};
	struct baseline before = take_baseline();
	struct victim v;

	victim_start_restless(&v, CPU);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (unsigned int n = 0; n < rounds; n++) {
			int status = 0;
			pid_t pid = fork();

			if (!pid) {
				struct backend *b = backend_create(0, 0, ends[i].act);
				uint64_t deadline = now_us() + PATIENCE_US;

				guest_start(&b->guest, VCPU_CPU);
				while (!b->wrong && now_us() < deadline)
					look_later();
				_exit(b->wrong ? 9 : 10);
			}
			waitpid(pid, &status, 0);
			if (ends[i].signal ? !WIFSIGNALED(status) || WTERMSIG(status) != ends[i].signal :
					     !WIFEXITED(status) || WEXITSTATUS(status) != ends[i].status) {
				check(false, ends[i].name, "round %u: status %#x", n, status);
				break;
			}
			if (v.wrong)
				break;
		}
		check(!v.wrong, ends[i].name, "%llu rounds of the victim are wrong", u(v.wrong));
		back_to(&before, ends[i].name);
	}
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong),
	      u(v.rounds));
}

/* ---- its thread ---- */

static void act_yield(struct backend *b)
{
	(void)b;
	sched_yield();
	spin(200);
}

static void act_fork(struct backend *b)
{
	int status;
	pid_t pid;

	if (b->calls % 16 != 1)
		return;
	/* The child stands in the handler, but has no context: uret is nothing there. */
	pid = fork();
	if (!pid) {
		asm volatile(".4byte 0x00200073");
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGILL)
		b->wrong++;
}

static long wait_for(int haiov, uint64_t context)
{
	struct haiov_context_wait w = { .size = sizeof(w), .context_id = context };

	return try_ioctl(haiov, HAIOV_CONTEXT_WAIT, &w);
}

/* At least @count signals, and so many that one comes into a handler. */
static void signal_thread(struct backend *b, uint64_t count)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	while ((signals < count || !in_handler) && now_us() < deadline) {
		uint64_t before = signals;

		if (pthread_kill(b->thread, SIGUSR1))
			break;
		while (signals == before && now_us() < deadline)
			sched_yield();
	}
}

/* The thread is parked; has a signal ended its WAIT? */
static bool has_ended(const struct backend *b)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	while (pthread_tryjoin_np(b->thread, NULL) == EBUSY) {
		if (now_us() > deadline)
			return false;
		look_later();
	}
	return true;
}

static void do_thread(uint64_t events)
{
	struct baseline before = take_baseline();
	struct backend *b;
	struct victim v;
	pid_t pid;
	bool ended;
	int status;

	victim_start(&v, CPU);
	b = backend_create(0, 0, act_yield);
	guest_start(&b->guest, VCPU_CPU);
	check(wait_for(b->haiov, b->context) == EBUSY, "a second thread cannot park", "it could");
	pid = fork();
	if (!pid)
		_exit(wait_for(b->haiov, b->context) == EPERM ? 0 : 1);
	waitpid(pid, &status, 0);
	check(!status, "another process cannot park", "status %#x", status);
	check(arrive(b, events / 4), "events arrive", "they stop");
	take_signals(b, SA_RESTART);
	signal_thread(b, events / 4);
	check(signals >= events / 4, "signals reach the thread", "%llu", u(signals));
	check(in_handler > 0, "in its handler too", "not one of %llu", u(signals));
	check(arrive(b, events / 4), "and it parks again", "events stop");
	check(drain(b), "all that was sent was seen", "not all");
	backend_destroy(b);

	/* Most signals find a frame. */
	b = backend_create(0, 0, act_linger);
	guest_start(&b->guest, VCPU_CPU);
	take_signals(b, SA_RESTART);
	signal_thread(b, events / 4);
	check(!beside_frame, "the thread runs no signal's handler beside a frame", "%llu times", u(beside_frame));
	check(arrive(b, 10) && drain(b), "and events go on", "they stop");
	backend_destroy(b);

	/* Without SA_RESTART, WAIT ends; who parks next gets what has come meanwhile. */
	b = backend_create(0, 0, NULL);
	guest_start(&b->guest, VCPU_CPU);
	check(arrive(b, 10), "events arrive", "they stop");
	take_signals(b, 0);
	for (unsigned int i = 0; i < 20; i++) {
		/* One that comes while it runs the handler does not end WAIT. */
		do {
			pthread_kill(b->thread, SIGUSR1);
			look_later();
		} while (pthread_tryjoin_np(b->thread, NULL) == EBUSY);
		if (b->ended != -EINTR)
			check(false, "a signal ends WAIT", "it ended with %ld", b->ended);
		backend_park(b);
		if (!arrive(b, 10))
			check(false, "events that came while nobody was parked are not lost", "round %u", i);
	}
	check(drain(b), "all that was sent was seen, by one thread after the other", "not all");
	backend_destroy(b);

	/* Those have parked in WAIT, or from a handler that was rung. This one parks from one that was taken over. */
	b = backend_create(0, 0, act_syscall);
	run("system calls", b, 10, VCPU_CPU);
	take_signals(b, 0);
	pthread_kill(b->thread, SIGUSR1);
	ended = has_ended(b);
	check(ended && b->ended == -EINTR, "one signal ends WAIT, where it is called in the handler", "it ended with %ld", b->ended);
	if (ended)
		backend_park(b);
	backend_destroy(b);

	b = backend_create(0, 0, act_fork);
	run("fork", b, events / 4, VCPU_CPU);
	backend_destroy(b);
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong),
	      u(v.rounds));
	back_to(&before, "nothing is left");
}

/* ---- coming and going ---- */

#define THREADS 2048

/*
 * Threads that belong to a context until they end, and take it along. It is a KiB of slab; what threads leave in the
 * kernel's own caches is less than half of that, but more than no_leak() allows for.
 */
static void no_leak_by_threads(void)
{
	/* Where amounts of memory say nothing, kmemleak needs no more than some. */
	unsigned int cycles = memory_is_exact() ? THREADS : THREADS / 16;
	struct backend *b = backend_alloc(NULL);
	uint64_t limit_kb = 0, slab;

	b->haiov = open_haiov();
	for (unsigned int i = 0; i < cycles / 4 + cycles; i++) {
		if (i == cycles / 4)
			limit_kb = meminfo("SUnreclaim") + cycles / 2;
		backend_context(b, 0, 0);
		backend_park(b);
		object_destroy(b->haiov, b->context);
		pthread_join(b->thread, NULL);
	}
	if (memory_is_exact()) {
		slab = slab_settles(limit_kb);
		check(slab <= limit_kb, "no context leaks", "%llu kB; %llu would be half of each", u(slab), u(limit_kb));
	}
	backend_free(b);
}

static void do_destroy(unsigned int rounds)
{
	struct baseline before = take_baseline();
	struct backend *b;
	struct victim v;
	bool flows = true;

	victim_start(&v, CPU);
	b = backend_create(0, 0, act_mixed);
	guest_start(&b->guest, VCPU_CPU);
	for (unsigned int i = 0; i < rounds && flows; i++) {
		struct haiov_destroy d = { .size = sizeof(d), .id = b->context };

		flows = arrive(b, 1 + i % 8);
		if (try_ioctl(b->haiov, HAIOV_DESTROY, &d) != EBUSY)
			check(false, "a context with routes cannot be destroyed", "it could");
		for (unsigned int n = 0; n < NR_EVENTS; n++)
			object_destroy(b->haiov, b->route[n]);
		object_destroy(b->haiov, b->context);
		pthread_join(b->thread, NULL);
		if (b->ended != -ENOENT)
			check(false, "its thread comes back", "with %ld", b->ended);
		/* What was sent meanwhile went nowhere. */
		for (unsigned int n = 0; n < NR_EVENTS; n++)
			b->guest.shared->acked[n].ack = b->guest.shared->acked[n].seq;
		backend_context(b, 0, i % 2 * 1000);
		backend_route(b);
		for (unsigned int n = 0; n < NR_EVENTS; n++)
			b->guest.shared->acked[n].ack = b->guest.shared->acked[n].seq;
		backend_park(b);
	}
	check(flows, "contexts come and go", "events stop");
	check(arrive(b, 100) && drain(b), "and the last one works", "events stop");
	backend_destroy(b);
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong),
	      u(v.rounds));
	no_leak_by_threads();
	back_to(&before, "nothing is left");
}

static void do_kill(unsigned int rounds)
{
	struct baseline before = take_baseline();
	/* The root of an address space's page table is there for as long as anybody refers to it. */
	uint64_t tables_kb, limit_kb = rounds * 2, patience;
	struct victim v;
	unsigned int seed = 3;
	bool left = false;

	victim_start_restless(&v, CPU);
	tables_kb = meminfo("PageTables");
	for (unsigned int i = 0; i < rounds && !left; i++) {
		uint64_t *calls = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		uint64_t deadline = now_us() + PATIENCE_US, wanted = rand_r(&seed) % 100;
		pid_t pid = fork();

		if (!pid) {
			struct backend *b = backend_create(0, i % 3 * 1000, i % 2 ? act_mixed : NULL);

			guest_start(&b->guest, i % 4 ? VCPU_CPU : CPU);
			for (;; look_later())
				*(volatile uint64_t *)calls = b->calls;
		}
		while (*(volatile uint64_t *)calls < wanted && now_us() < deadline)
			look_later();
		check(now_us() < deadline, "events arrive", "round %u: %llu", i, u(*calls));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		munmap(calls, 4096);
		left = !back_to(&before, "kill -9 leaves nothing") || v.wrong;
	}
	/* Those that idle CPUs have still, and who else comes and goes, are less than half of them. */
	for (patience = now_us() + PATIENCE_US; meminfo("PageTables") > tables_kb + limit_kb && now_us() < patience;)
		look_later();
	check(meminfo("PageTables") <= tables_kb + limit_kb, "nor the address spaces", "%llu kB of page tables, were %llu",
	      u(meminfo("PageTables")), u(tables_kb));
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong),
	      u(v.rounds));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned int n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 3)
		broken("at least 3 CPUs");
	stay_away();
	if (!strcmp(what, "idle"))
		do_idle(n);
	else if (!strcmp(what, "doorbell"))
		do_doorbell(n);
	else if (!strcmp(what, "kernel"))
		do_kernel(n);
	else if (!strcmp(what, "frames"))
		do_frames(n);
	else if (!strcmp(what, "user"))
		do_user(n);
	else if (!strcmp(what, "flood"))
		do_flood(n);
	else if (!strcmp(what, "handlers"))
		do_handlers(n);
	else if (!strcmp(what, "handlers-idle"))
		do_handlers_idle(n);
	else if (!strcmp(what, "ends"))
		do_ends(n);
	else if (!strcmp(what, "thread"))
		do_thread(n);
	else if (!strcmp(what, "destroy"))
		do_destroy(n);
	else if (!strcmp(what, "kill"))
		do_kill(n);
	else if (!strcmp(what, "move"))
		do_move(n);
	else if (!strcmp(what, "listen"))
		do_listen(n);
	else if (!strcmp(what, "signal"))
		do_signal(n);
	else if (!strcmp(what, "soak"))
		do_soak(n, argc > 3 ? argv + 3 : NULL);
	else
		broken("unknown scenario '%s'", what);
	return failures != 0;
}
