/* SPDX-License-Identifier: GPL-2.0-only */
/* Handlers of contexts that signal eventfds, from where they are. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "guest.h"
#include "haiov.h"
#include "hcs-backend.h"
#include "hcs.h"

#define NO_INDEX (HAIOV_MAX_SIGNALS - 1)
#define MANY	 1000000000
#define CHURN	 500

static int event;
static uint32_t index_of_event;
/* What ecalls have given back: 0, -ENOENT and -ENOSYS. */
static volatile uint64_t signaled, refused, unknown;
static volatile bool comes_and_goes;

static long ecall(uint64_t nr, uint64_t arg)
{
	register long a0 asm("a0") = arg;
	register uint64_t a7 asm("a7") = nr;

	asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
	return a0;
}

/* The same with all registers full, and a look at what is left in them. */
static long ecall_full(struct backend *b, uint64_t nr, uint64_t arg)
{
	struct registers in, out;

	for (int i = 0; i < 32; i++)
		in.x[i] = 0x0123456789abcdefULL * (2 * i + 1) + b->calls;
	in.x[10] = arg;
	in.x[17] = nr;
	hcs_ecall(&in, &out);
	for (int i = 1; i < 32; i++)
		if (i != 2 && i != 10 && in.x[i] != out.x[i])
			b->wrong++;
	return out.x[10];
}

static void take(struct backend *b, long ret, bool in_use)
{
	switch (ret) {
	case 0:
		signaled++;
		if (!in_use)
			b->wrong++;
		break;
	case -ENOENT:
		refused++;
		if (in_use && !comes_and_goes)
			b->wrong++;
		break;
	case -ENOSYS:
		/* On the thread it is a system call. */
		unknown++;
		if (!on_thread(b))
			b->wrong++;
		break;
	default:
		b->wrong++;
	}
}

static void act_signal(struct backend *b)
{
	take(b, ecall_full(b, HAIOV_CONTEXT_SIGNAL, index_of_event), true);
	take(b, ecall(HAIOV_CONTEXT_SIGNAL, NO_INDEX), false);
	take(b, ecall(HAIOV_CONTEXT_SIGNAL, UINT64_MAX), false);
	take(b, ecall(HAIOV_CONTEXT_SIGNAL, index_of_event), true);
}

static void act_signal_forever(struct backend *b)
{
	/* Until it is taken over. */
	for (uint64_t n = MANY; n && !on_thread(b); n--)
		take(b, ecall(HAIOV_CONTEXT_SIGNAL, index_of_event), true);
}

static uint64_t add_signal(const struct backend *b)
{
	struct haiov_signal_add s = {
		.size = sizeof(s), .flags = HAIOV_SIGNAL_CONTEXT, .eventfd = event, .context_id = b->context,
	};

	errno = try_ioctl(b->haiov, HAIOV_SIGNAL_ADD, &s);
	if (errno)
		broken("SIGNAL_ADD to a context");
	index_of_event = s.out_index;
	return s.out_signal_id;
}

static uint64_t counted(void)
{
	uint64_t value = 0;

	return read(event, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

static struct backend *begin(void (*act)(struct backend *), uint64_t *signal)
{
	struct backend *b = backend_create(0, 0, act);

	event = new_eventfd();
	*signal = add_signal(b);
	signaled = refused = unknown = 0;
	return b;
}

/* Nothing flows any more, and @seen events have been read already. */
static void end(const char *what, struct backend *b, uint64_t signal, uint64_t seen)
{
	struct tally t = tally(b);

	seen += counted();
	show(what, &t);
	printf("# %llu ecalls signaled, %llu found nothing, %llu were system calls\n", u(signaled), u(refused), u(unknown));
	check(!b->wrong, what, "%llu handlers went wrong", u(b->wrong));
	check(seen == signaled, what, "%llu signals, %llu arrived", u(signaled), u(seen));
	check(query(b).out_signaled == signaled + refused, what, "out_signaled is %llu", u(query(b).out_signaled));
	if (signal) {
		struct haiov_destroy d = { .size = sizeof(d), .id = b->context };

		for (unsigned int n = 0; n < NR_EVENTS; n++)
			object_destroy(b->haiov, b->route[n]);
		check(try_ioctl(b->haiov, HAIOV_DESTROY, &d) == EBUSY, "a context with a signal cannot be destroyed", "it could");
		object_destroy(b->haiov, signal);
		backend_route(b);
	}
	backend_destroy(b);
	close(event);
}

static void over(const char *what, uint64_t events, int vcpu_cpu)
{
	uint64_t signal;
	struct backend *b = begin(act_signal, &signal);
	struct tally t = run_frames(what, b, events, vcpu_cpu);

	/* Two each, and not one of them but those of handlers that were elsewhere when they asked. */
	check(signaled + 2 * (t.doorbells + t.faults + t.preempted + t.expired) >= 2 * t.calls, what,
	      "%llu signals of %llu handlers", u(signaled), u(t.calls));
	check(!b->guest.shared->traps, what, "the guest notices: %llu traps, scause %#llx", u(b->guest.shared->traps),
	      u(b->guest.shared->scause));
	end(what, b, signal, 0);
}

static void forever(const char *what, uint64_t events, int vcpu_cpu)
{
	uint64_t signal;
	struct backend *b = begin(act_signal_forever, &signal);
	struct tally t = run_frames(what, b, events, vcpu_cpu);

	check(t.preempted + t.expired >= t.frames / 2, what, "%llu of %llu frames were taken over", u(t.preempted + t.expired),
	      u(t.frames));
	end(what, b, signal, 0);
}

struct reader {
	volatile bool stop;
	volatile uint64_t seen;
};

static void *run_reader(void *arg)
{
	struct reader *r = arg;

	pin_to(CPU);
	while (!r->stop) {
		struct pollfd p = { .fd = event, .events = POLLIN };

		/* Not for ever, since nobody wakes it at the end. */
		if (poll(&p, 1, 10) > 0)
			r->seen += counted();
	}
	return NULL;
}

/* What a frame signals is what its CPU has to do next. */
static void wakes_here(uint64_t events)
{
	uint64_t signal;
	struct backend *b = begin(act_signal, &signal);
	struct reader r = {};
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_reader, &r))
		broken("no thread");
	run_frames("a thread of the same CPU waits for it", b, events, VCPU_CPU);
	r.stop = true;
	pthread_join(thread, NULL);
	check(r.seen > 0, "it wakes", "it does not");
	end("all of that arrives", b, signal, r.seen);
}

static void goes(uint64_t events)
{
	uint64_t signal;
	struct backend *b = begin(act_signal, &signal);
	bool flows;

	comes_and_goes = true;
	guest_start(&b->guest, VCPU_CPU);
	flows = arrive(b, events);
	for (int i = 0; i < CHURN && flows; i++) {
		object_destroy(b->haiov, signal);
		flows = arrive(b, 1);
		signal = add_signal(b);
		flows = flows && arrive(b, 1);
	}
	check(flows && drain(b), "signals come and go", "events stop");
	comes_and_goes = false;
	end("what was signaled in between has arrived", b, signal, 0);
}

static void elsewhere(void)
{
	check(ecall(HAIOV_CONTEXT_SIGNAL, 0) == -ENOSYS, "to a thread it is a system call that does not exist", "it did something");
}

void do_signal(uint64_t events)
{
	struct baseline before = take_baseline();
	struct victim v;

	elsewhere();
	over("onto an idle CPU", events, VCPU_CPU);
	over("over a guest", events, CPU);
	wakes_here(events);
	victim_start(&v, CPU);
	over("over a thread", events, VCPU_CPU);
	forever("without end, over a thread", events / 50, VCPU_CPU);
	goes(events);
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong), u(v.rounds));
	forever("without end, onto an idle CPU", events / 50, VCPU_CPU);
	forever("without end, over a guest", events / 50, CPU);
	back_to(&before, "nothing is left");
}
