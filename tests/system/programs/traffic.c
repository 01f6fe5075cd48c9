/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that keeps sending while things happen to routes, CPUs and processes.
 *
 * Nothing may be lost on routes that stay: their events are numbered, and the guest sends the next only
 * when the host has acknowledged the last, so that one that is lost stops its slot for good.
 *
 *   traffic churn CYCLES THREADS   routes come and go
 *   traffic move MOVES             routes go from CPU to CPU
 *   traffic kill ROUNDS            kill -9 of another VMM in the middle of the same
 *   traffic consumer ROUNDS        kill -9 of the consumer
 *   traffic hotplug ROUNDS [full]  CPUs go and come back; full: also with every VEIID in use
 *   traffic refused                sends without a route
 *   traffic unbound                svei in a guest that is not bound, or no longer
 *   traffic isolation              guests of different VMIDs on one CPU
 *   traffic storm EVENTS WINDOW_US the rate limit, which the module was loaded with
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "guest.h"
#include "haiov.h"

#define NR_STABLE	8
#define NR_VEIRQS	128
#define CHURNED		100 /* first VEIRQ that comes and goes */
#define VCPU_CPU	1

/* A bound guest with numbered events and their consumer. */
struct traffic {
	struct guest guest;
	int haiov;
	uint64_t vm;
	unsigned int nr;
	int event[NR_SLOTS];
	uint64_t route[NR_SLOTS];
	int epoll, quit;
	pthread_t consumer;
	bool has_consumer;
};

static unsigned int nr_cpus;

/* One event was read from the slot's eventfd: whatever was sent before the read has been seen. */
static bool consume(int event, struct slot *slot)
{
	uint64_t value;

	__atomic_store_n(&slot->busy, 1, __ATOMIC_SEQ_CST);
	if (read(event, &value, sizeof(value)) == sizeof(value))
		__atomic_store_n(&slot->ack, __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	else if (errno != EAGAIN)
		return false;
	__atomic_store_n(&slot->busy, 0, __ATOMIC_SEQ_CST);
	return true;
}

static void watch(int epoll, int fd, uint32_t number)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = number };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e))
		broken("epoll_ctl");
}

#define QUIT UINT32_MAX

static void *run_consumer(void *arg)
{
	struct traffic *t = arg;
	struct epoll_event e[NR_SLOTS];

	for (;;) {
		int n = epoll_wait(t->epoll, e, NR_SLOTS, -1);

		for (int i = 0; i < n; i++) {
			if (e[i].data.u32 == QUIT)
				return NULL;
			if (!consume(t->event[e[i].data.u32], &t->guest.shared->acked[e[i].data.u32]))
				broken("reading an eventfd");
		}
	}
}

/* A bound guest with @nr numbered events, on all CPUs in turn, that does not run yet. */
static void traffic_create(struct traffic *t, int kvm, unsigned int nr)
{
	memset(t, 0, sizeof(*t));
	t->nr = nr;
	guest_create(&t->guest, kvm);
	t->haiov = open_haiov();
	t->vm = vm_bind(t->haiov, t->guest.vm, NR_VEIRQS);
	guest_add_vcpu(&t->guest);
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	t->quit = new_eventfd();
	if (t->epoll < 0)
		broken("epoll_create1");
	watch(t->epoll, t->quit, QUIT);
	for (unsigned int i = 0; i < nr; i++) {
		t->event[i] = new_eventfd();
		t->route[i] = route_add(t->haiov, t->vm, i, t->event[i], i % nr_cpus);
		t->guest.shared->acked[i].value = i;
		watch(t->epoll, t->event[i], i);
	}
	t->guest.shared->nr_acked = nr;
}

static void traffic_start(struct traffic *t, int cpu, bool consumer)
{
	t->has_consumer = consumer;
	if (consumer && pthread_create(&t->consumer, NULL, run_consumer, t))
		broken("no thread");
	guest_start(&t->guest, cpu);
}

static uint64_t total(const struct traffic *t)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < t->nr; i++)
		sum += t->guest.shared->acked[i].ack;
	return sum;
}

/* Waits until every numbered route has brought @more events: what is lost never comes. */
static bool flows(const struct traffic *t, uint64_t more)
{
	uint64_t deadline = now_us() + PATIENCE_US, from[NR_SLOTS];

	for (unsigned int i = 0; i < t->nr; i++)
		from[i] = t->guest.shared->acked[i].ack;
	for (unsigned int i = 0; i < t->nr; i++) {
		while (t->guest.shared->acked[i].ack - from[i] < more) {
			if (now_us() > deadline) {
				printf("# slot %u stands at %llu sent, %llu seen\n", i,
				       u(t->guest.shared->acked[i].seq), u(t->guest.shared->acked[i].ack));
				return false;
			}
			sched_yield();
		}
	}
	return true;
}

/* Stops the guest and waits until all that it sent has been seen. */
static bool drain(struct traffic *t)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	guest_stop(&t->guest);
	for (unsigned int i = 0; i < t->nr; i++) {
		struct slot *s = &t->guest.shared->acked[i];

		while (s->ack != s->seq) {
			if (now_us() > deadline) {
				printf("# slot %u: %llu sent, %llu seen\n", i, u(s->seq), u(s->ack));
				return false;
			}
			sched_yield();
		}
	}
	return true;
}

static void traffic_destroy(struct traffic *t)
{
	uint64_t one = 1;

	if (t->has_consumer) {
		if (write(t->quit, &one, sizeof(one)) != sizeof(one))
			broken("write");
		pthread_join(t->consumer, NULL);
	}
	for (unsigned int i = 0; i < t->nr; i++) {
		object_destroy(t->haiov, t->route[i]);
		close(t->event[i]);
	}
	object_destroy(t->haiov, t->vm);
	close(t->haiov);
	close(t->epoll);
	close(t->quit);
	guest_destroy(&t->guest);
}

/* Every event of a route that never moved was signaled exactly once. */
static void check_counts(const struct traffic *t, const char *name)
{
	for (unsigned int i = 0; i < t->nr; i++) {
		struct haiov_route_query q = route_query(t->haiov, t->route[i]);
		uint64_t sent = t->guest.shared->acked[i].seq;

		if (q.out_delivered + q.out_fallbacks != sent || q.out_pending) {
			check(false, name, "slot %u: sent %llu, delivered %llu, fallbacks %llu, pending %u", i, u(sent),
			      u(q.out_delivered), u(q.out_fallbacks), q.out_pending);
			return;
		}
	}
	check(true, name, " ");
}

/* ---- churn ---- */

struct churn {
	const struct traffic *t;
	unsigned int number, cycles, seed;
	volatile unsigned int *done; /* shared: cycles of all threads, or NULL */
	int pipe; /* a byte for each 16 cycles, or -1 */
	unsigned int silent; /* routes that got no event in time */
};

static void *run_churn(void *arg)
{
	struct churn *c = arg;
	const struct traffic *t = c->t;

	for (unsigned int i = 0; i < c->cycles; i++) {
		int event = new_eventfd();
		int cpu = rand_r(&c->seed) % (nr_cpus + 1);
		uint64_t id = route_add(t->haiov, t->vm, CHURNED + c->number, event,
					cpu == (int)nr_cpus ? ANY_CPU : cpu);

		/* The guest never stops sending it: now it must arrive. */
		if (i % 16 == 0) {
			struct pollfd p = { .fd = event, .events = POLLIN };

			if (poll(&p, 1, PATIENCE_US / 1000) != 1)
				c->silent++;
			if (c->pipe >= 0 && write(c->pipe, "", 1) != 1)
				broken("pipe");
		}
		object_destroy(t->haiov, id);
		close(event);
	}
	return NULL;
}

static unsigned int churn(const struct traffic *t, unsigned int cycles, unsigned int threads, int pipe)
{
	struct churn c[16] = { 0 };
	pthread_t thread[16];
	unsigned int silent = 0;

	for (unsigned int i = 0; i < threads; i++) {
		c[i] = (struct churn){ .t = t, .number = i, .cycles = cycles / threads, .seed = 1 + i, .pipe = pipe };
		if (pthread_create(&thread[i], NULL, run_churn, &c[i]))
			broken("no thread");
	}
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		silent += c[i].silent;
	}
	return silent;
}

static void fire_churned(struct traffic *t, unsigned int threads)
{
	for (unsigned int i = 0; i < threads; i++)
		t->guest.shared->fired[i] = CHURNED + i;
	t->guest.shared->nr_fired = threads;
}

static void do_churn(unsigned int cycles, unsigned int threads)
{
	struct baseline before = take_baseline(), warm;
	struct traffic t;
	int kvm = open_kvm();
	unsigned int silent;

	if (!threads || threads > 16 || cycles < threads)
		broken("1 to 16 threads, and no fewer cycles");
	traffic_create(&t, kvm, NR_STABLE);
	fire_churned(&t, threads);
	traffic_start(&t, VCPU_CPU, true);
	/* Caches fill and pools grow once; that is no leak. */
	churn(&t, cycles / 4 + threads, threads, -1);
	warm = take_baseline();
	uint64_t seen = total(&t), began = now_us();
	silent = churn(&t, cycles, threads, -1);
	printf("# %u cycles in %llu ms, %llu numbered events meanwhile\n", cycles, u((now_us() - began) / 1000),
	       u(total(&t) - seen));
	check(!silent, "a route that was added gets the next event", "%u did not", silent);
	check(flows(&t, 10), "routes that stay: events still flow", "one is lost");
	check(open_fds() == warm.fds, "no file descriptor leaks", "%u, were %u", open_fds(), warm.fds);
	no_leak(&warm, cycles);
	check(drain(&t), "routes that stay: all that was sent was seen", "some are lost");
	check_counts(&t, "routes that stay: each event was signaled once");
	traffic_destroy(&t);
	close(kvm);
	back_to(&before, "VEIIDs, routes and VMs are back to the start");
	check(open_fds() == before.fds, "files are back to the start", "%u, were %u", open_fds(), before.fds);
}

/* ---- move ---- */

static void do_move(unsigned int moves)
{
	struct baseline before = take_baseline();
	struct traffic t;
	unsigned int seed = 7;
	int kvm = open_kvm();

	traffic_create(&t, kvm, NR_STABLE);
	traffic_start(&t, VCPU_CPU, true);
	for (unsigned int i = 0; i < moves; i++)
		route_move(t.haiov, t.route[i % t.nr], rand_r(&seed) % nr_cpus);
	check(flows(&t, 10), "events still flow after all moves", "one is lost");
	check(drain(&t), "all that was sent was seen", "some are lost");
	for (unsigned int i = 0; i < t.nr; i++) {
		struct haiov_route_query q = route_query(t.haiov, t.route[i]);
		uint64_t sent = t.guest.shared->acked[i].seq, got = q.out_delivered + q.out_fallbacks;

		/* A move may signal what is under way twice, not lose it. */
		if (got < sent || got > sent + moves) {
			check(false, "each event was signaled, at most one more for each move", "slot %u: %llu, sent %llu",
			      i, u(got), u(sent));
			break;
		}
		if (i == t.nr - 1)
			check(true, "each event was signaled, at most one more for each move", " ");
	}
	traffic_destroy(&t);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- kill -9 ---- */

static void child_vmm(int pipe)
{
	struct traffic t;

	traffic_create(&t, open_kvm(), NR_STABLE);
	fire_churned(&t, 2);
	traffic_start(&t, 2, true);
	for (;;)
		churn(&t, 1000, 2, pipe);
}

static void do_kill(unsigned int rounds)
{
	uint64_t slab_kb = 0, free_kb = 0;
	struct traffic t;
	unsigned int seed = 5, fds = 0;
	int kvm = open_kvm();
	bool left = false;

	traffic_create(&t, kvm, NR_STABLE);
	traffic_start(&t, VCPU_CPU, true);
	if (!flows(&t, 1))
		broken("no event arrives");
	/* One round more: what grows once is no leak. */
	for (unsigned int i = 0; i <= rounds && !left; i++) {
		uint64_t deadline, used = state_sum("harts", "used"), vms;
		int pipes[2], status;
		char byte;
		pid_t pid;

		if (pipe2(pipes, O_CLOEXEC))
			broken("pipe2");
		pid = fork();
		if (!pid) {
			close(pipes[0]);
			child_vmm(pipes[1]);
			_exit(0);
		}
		close(pipes[1]);
		/* at a cycle that differs each time */
		for (unsigned int n = rand_r(&seed) % 40; n; n--)
			if (read(pipes[0], &byte, 1) != 1)
				broken("the other VMM ended by itself");
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		close(pipes[0]);
		deadline = now_us() + PATIENCE_US;
		do {
			vms = state_sum("vms", "routes");
			left = state_sum("harts", "used") != used || state_sum("harts", "eie") != used ||
			       vms != t.nr || !WIFSIGNALED(status);
		} while (left && now_us() < deadline);
		if (i == 0) {
			slab_kb = meminfo("SUnreclaim");
			free_kb = meminfo("MemFree");
			fds = open_fds();
		}
		if (left)
			check(false, "kill -9 of a VMM leaves nothing", "round %u: used %llu, were %llu; enabled %llu", i,
			      u(state_sum("harts", "used")), u(used), u(state_sum("harts", "eie")));
	}
	if (!left)
		check(true, "kill -9 of a VMM leaves nothing", " ");
	no_vm_leak(slab_kb, free_kb, rounds);
	check(open_fds() == fds, "nor files", "%u, were %u", open_fds(), fds);
	check(flows(&t, 10), "another VM's events still flow", "one is lost");
	check(drain(&t), "another VM's events: all that was sent was seen", "some are lost");
	check_counts(&t, "another VM's events: each was signaled once");
	traffic_destroy(&t);
	close(kvm);
	check(!state_sum("harts", "used") && !state_sum("harts", "eie") && !state_sum("harts", "eip"),
	      "no VEIID is used, enabled or pending", "%llu used", u(state_sum("harts", "used")));
}

/* The consumer is a process of its own; it inherits the eventfds and the guest's memory. */
static pid_t fork_consumer(struct traffic *t)
{
	pid_t pid = fork();

	if (!pid) {
		run_consumer(t);
		_exit(1);
	}
	return pid;
}

static void do_consumer(unsigned int rounds)
{
	struct baseline before = take_baseline();
	struct traffic t;
	int kvm = open_kvm(), status;
	bool lost = false;
	pid_t pid;

	traffic_create(&t, kvm, NR_STABLE);
	traffic_start(&t, VCPU_CPU, false);
	for (unsigned int i = 0; i < rounds && !lost; i++) {
		pid = fork_consumer(&t);
		lost = !flows(&t, 1 + i * 7 % 50);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		/* Each event that it did not get to is in the eventfd: the next consumer finds it there. */
		for (unsigned int j = 0; j < t.nr && !lost; j++) {
			struct slot *s = &t.guest.shared->acked[j];
			struct pollfd p = { .fd = t.event[j], .events = POLLIN };

			if (s->busy) {
				/* killed between its read and the ack: it had the event */
				s->ack = s->seq;
				s->busy = 0;
			} else if (poll(&p, 1, PATIENCE_US / 1000) != 1) {
				printf("# round %u: slot %u: %llu sent, %llu seen, none waits\n", i, j, u(s->seq),
				       u(s->ack));
				lost = true;
			}
		}
	}
	check(!lost, "kill -9 of the consumer: events wait for the next one", "one is lost");
	pid = fork_consumer(&t);
	check(flows(&t, 10), "and flow again", "one is lost");
	check(drain(&t), "all that was sent was seen", "some are lost");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	check_counts(&t, "each event was signaled once");
	traffic_destroy(&t);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- CPU hotplug ---- */

static void do_hotplug(unsigned int rounds, bool all)
{
	struct baseline before = take_baseline();
	struct traffic t;
	int kvm = open_kvm(), err = 0, full;
	unsigned int stayed = 0, n = 0;
	uint64_t vm, extra[4096];
	struct guest other;

	traffic_create(&t, kvm, NR_STABLE);
	traffic_start(&t, VCPU_CPU, true);
	for (unsigned int i = 0; i < rounds; i++) {
		/* CPU 0 of this machine stays; that of the vCPU goes like any other */
		unsigned int cpu = 1 + i % (nr_cpus - 1);

		err = cpu_online(cpu, false);
		if (err)
			break;
		for (unsigned int j = 0; j < t.nr; j++)
			stayed += route_query(t.haiov, t.route[j]).out_cpu == cpu;
		if (!flows(&t, 5)) {
			err = ETIMEDOUT;
			break;
		}
		err = cpu_online(cpu, true);
		if (err)
			break;
		/* so that the next one to go has something to move */
		for (unsigned int j = 0; j < t.nr; j++)
			route_move(t.haiov, t.route[j], j % nr_cpus);
	}
	check(!err, "CPUs go and come back while a guest sends", "errno %d (%s)", err, strerror(err));
	check(!stayed, "no route stays on a CPU that is offline", "%u did", stayed);

	if (!all)
		goto end;
	/* No room elsewhere: the CPU stays. */
	guest_create(&other, kvm);
	vm = vm_bind(t.haiov, other.vm, 65536);
	full = new_eventfd();
	for (;;) {
		err = try_route(t.haiov, vm, n, full, ANY_CPU, &extra[n]);
		if (err)
			break;
		n++;
	}
	check(err == ENOSPC, "all VEIIDs of all CPUs can be used", "errno %d after %u", err, n);
	err = cpu_online(nr_cpus - 1, false);
	check(err != 0, "a CPU whose routes have no room elsewhere stays online", "it went");
	check(flows(&t, 5), "and all events flow", "one is lost");
	while (n)
		object_destroy(t.haiov, extra[--n]);
	object_destroy(t.haiov, vm);
	guest_destroy(&other);
	close(full);
	err = cpu_online(nr_cpus - 1, false);
	check(!err, "with room it goes", "errno %d", err);
	err = cpu_online(nr_cpus - 1, true);
	check(!err, "and comes back", "errno %d", err);
end:
	check(drain(&t), "all that was sent was seen", "some are lost");
	traffic_destroy(&t);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- sends that the hardware refuses ---- */

/* Lets the guest run this many rounds more. */
static void let_run(const struct guest *g, uint64_t rounds)
{
	uint64_t deadline = now_us() + PATIENCE_US, from = g->shared->rounds;

	while (g->shared->rounds - from < rounds) {
		if (now_us() > deadline)
			broken("the guest does not go on: %llu rounds, %llu exceptions, the last %llu, stval %#llx",
			       u(g->shared->rounds), u(g->shared->traps), u(g->shared->scause), u(g->shared->stval));
		sched_yield();
	}
}

static void do_refused(void)
{
	/* look-ups that fail, then values that are no VEIRQ */
	static const uint64_t bad[] = { 5, NR_VEIRQS - 1, NR_VEIRQS, 0xffff, 0x10005, 1ULL << 63 | 5 };
	const unsigned int nr = sizeof(bad) / sizeof(bad[0]), nr_lookups = 4;
	struct baseline before = take_baseline();
	struct haiov_vm_query q;
	struct traffic t;
	int kvm = open_kvm();
	uint64_t misses = veic_counter("misses"), sends = veic_counter("sent");

	/* No route at all. */
	traffic_create(&t, kvm, 0);
	memcpy((void *)t.guest.shared->fired, bad, sizeof(bad));
	t.guest.shared->nr_fired = nr;
	guest_start(&t.guest, VCPU_CPU);
	let_run(&t.guest, 200);
	guest_stop(&t.guest);
	q = vm_query(t.haiov, t.vm);
	check(q.out_dropped == t.guest.shared->sent && !q.out_fallbacks, "a send without a route is dropped and counted",
	      "sent %llu, dropped %llu", u(t.guest.shared->sent), u(q.out_dropped));
	check(!t.guest.shared->traps, "the guest sees no exception", "%llu, the last %llu", u(t.guest.shared->traps),
	      u(t.guest.shared->scause));
	misses = veic_counter("misses") - misses;
	check(misses == t.guest.shared->sent / nr * nr_lookups, "the VEIC counts each look-up that failed",
	      "%llu of %llu", u(misses), u(t.guest.shared->sent / nr * nr_lookups));
	check(veic_counter("sent") == sends, "and accepts none", "%llu", u(veic_counter("sent") - sends));
	traffic_destroy(&t);

	/* Among routes that work. */
	traffic_create(&t, kvm, NR_STABLE);
	t.guest.shared->fired[0] = CHURNED;
	t.guest.shared->nr_fired = 1;
	traffic_start(&t, VCPU_CPU, true);
	check(flows(&t, 20), "other routes of the VM work meanwhile", "one is lost");
	check(drain(&t), "all that was sent there was seen", "some are lost");
	check_counts(&t, "each was signaled once");
	q = vm_query(t.haiov, t.vm);
	check(q.out_dropped == t.guest.shared->sent, "those without a route were dropped", "sent %llu, dropped %llu",
	      u(t.guest.shared->sent), u(q.out_dropped));
	traffic_destroy(&t);
	close(kvm);
	back_to(&before, "nothing is left");
}

#define ILLEGAL_INSTRUCTION 2

static void check_illegal(const struct guest *g, const char *name)
{
	check(g->shared->traps && g->shared->scause == ILLEGAL_INSTRUCTION &&
		      (g->shared->stval & 0xfff0007f) == (CSR_SVEI << 20 | 0x73),
	      name, "%llu exceptions, the last %llu, stval %#llx", u(g->shared->traps), u(g->shared->scause),
	      u(g->shared->stval));
}

static void do_unbound(void)
{
	struct baseline before = take_baseline();
	struct guest g;
	struct traffic t;
	int kvm = open_kvm(), event = new_eventfd();
	uint64_t traps, other, route;
	uint32_t vmid;

	guest_create(&g, kvm);
	guest_add_vcpu(&g);
	g.shared->fired[0] = 1;
	g.shared->nr_fired = 1;
	guest_start(&g, VCPU_CPU);
	let_run(&g, 100);
	guest_stop(&g);
	check_illegal(&g, "svei in a guest that is not bound is an illegal instruction");
	check(g.shared->traps == g.shared->sent, "each time, and the guest and its VMM go on", "%llu of %llu",
	      u(g.shared->traps), u(g.shared->sent));
	guest_destroy(&g);

	/* Bound, used, unbound under the running guest, and bound again. */
	traffic_create(&t, kvm, 4);
	traffic_start(&t, VCPU_CPU, true);
	check(flows(&t, 5), "a guest that is bound sends", "one is lost");
	for (unsigned int i = 0; i < t.nr; i++)
		object_destroy(t.haiov, t.route[i]);
	t.guest.shared->nr_acked = 0;
	t.guest.shared->fired[0] = 1;
	t.guest.shared->nr_fired = 1;
	let_run(&t.guest, 100);
	check(!t.guest.shared->traps, "without routes it still gets no exception", "%llu", u(t.guest.shared->traps));
	vmid = vm_query(t.haiov, t.vm).out_vmid;
	object_destroy(t.haiov, t.vm);
	traps = t.guest.shared->traps;
	/* Another VM gets the VMID, and none of what the former one sends on. */
	guest_create(&g, kvm);
	other = vm_bind(t.haiov, g.vm, NR_VEIRQS);
	check(vm_query(t.haiov, other).out_vmid == vmid, "its VMID is the next one's", "that has %u", vm_query(t.haiov, other).out_vmid);
	route = route_add(t.haiov, other, 1, event, 0);
	let_run(&t.guest, 100);
	check(!route_query(t.haiov, route).out_delivered, "which gets nothing of what it sends", "%llu events",
	      u(route_query(t.haiov, route).out_delivered));
	object_destroy(t.haiov, route);
	object_destroy(t.haiov, other);
	guest_destroy(&g);
	check_illegal(&t.guest, "unbound while it runs, it gets illegal instructions");
	check(t.guest.shared->traps > traps, "from the moment on that it is unbound", "none came");
	t.vm = vm_bind(t.haiov, t.guest.vm, NR_VEIRQS);
	let_run(&t.guest, 2);
	traps = t.guest.shared->traps;
	let_run(&t.guest, 100);
	check(t.guest.shared->traps == traps, "bound again, it gets none", "%llu", u(t.guest.shared->traps - traps));
	for (unsigned int i = 0; i < t.nr; i++) {
		t.guest.shared->acked[i].ack = t.guest.shared->acked[i].seq;
		t.route[i] = route_add(t.haiov, t.vm, i, t.event[i], i % nr_cpus);
	}
	t.guest.shared->nr_acked = t.nr;
	check(flows(&t, 5), "and with routes it sends", "one is lost");
	check(drain(&t), "all that was sent was seen", "some are lost");
	traffic_destroy(&t);
	close(event);
	close(kvm);
	back_to(&before, "nothing is left");
}

static void do_isolation(void)
{
	struct baseline before = take_baseline();
	struct traffic a, b;
	struct guest c;
	int kvm = open_kvm(), event = new_eventfd();
	uint64_t quiet, value = 0;

	/* A and B are bound, C is not; all send VEIRQ 7, on the same CPU; only A has a route for it that it
	 * does not use. */
	traffic_create(&a, kvm, 4);
	traffic_create(&b, kvm, 4);
	quiet = route_add(a.haiov, a.vm, 7, event, 0);
	guest_create(&c, kvm);
	guest_add_vcpu(&c);
	b.guest.shared->fired[0] = c.shared->fired[0] = 7;
	b.guest.shared->nr_fired = c.shared->nr_fired = 1;
	traffic_start(&a, VCPU_CPU, true);
	traffic_start(&b, VCPU_CPU, true);
	guest_start(&c, VCPU_CPU);
	check(flows(&a, 50) && flows(&b, 50), "two VMs send on one CPU, each to its own routes", "one is lost");
	let_run(&c, 50);
	guest_stop(&c);
	check(drain(&a) && drain(&b), "all that they sent was seen", "some are lost");
	check_counts(&a, "each event of the first was signaled once");
	check_counts(&b, "each event of the second was signaled once");
	check(read(event, &value, sizeof(value)) < 0 && errno == EAGAIN && !route_query(a.haiov, quiet).out_delivered,
	      "no VM reaches a route of another", "%llu events", u(value));
	check(vm_query(b.haiov, b.vm).out_dropped == b.guest.shared->sent, "its own sends without a route were dropped",
	      "%llu of %llu", u(vm_query(b.haiov, b.vm).out_dropped), u(b.guest.shared->sent));
	check_illegal(&c, "a VM that is not bound inherits nothing from those that are");
	check(c.shared->traps == c.shared->sent, "not once", "%llu of %llu", u(c.shared->traps), u(c.shared->sent));
	object_destroy(a.haiov, quiet);
	close(event);
	guest_destroy(&c);
	traffic_destroy(&a);
	traffic_destroy(&b);

	/* Who gets their VMIDs next inherits nothing that the hardware knew of them. */
	traffic_create(&a, kvm, 4);
	traffic_create(&b, kvm, 4);
	traffic_start(&a, VCPU_CPU, true);
	traffic_start(&b, VCPU_CPU, true);
	check(flows(&a, 50) && flows(&b, 50), "so do the next two", "one is lost");
	check(drain(&a) && drain(&b), "all that these sent was seen", "some are lost");
	value = vm_query(a.haiov, a.vm).out_fallbacks + vm_query(b.haiov, b.vm).out_fallbacks;
	check(!value, "the hardware has found all of their routes", "%llu sends were refused", u(value));
	traffic_destroy(&a);
	traffic_destroy(&b);
	close(kvm);
	back_to(&before, "nothing is left");
}

/* ---- the rate limit ---- */

/* So often is the storm to be over its rate. */
#define STORM_PAUSES	5

static void do_storm(uint64_t events, uint64_t window_us)
{
	struct baseline before = take_baseline();
	uint64_t route, began, elapsed, most, deadline;
	struct haiov_route_query q;
	struct traffic t;
	int kvm = open_kvm(), event = new_eventfd();

	/* Numbered events share the storm's CPU: they must get through. */
	traffic_create(&t, kvm, NR_STABLE);
	route = route_add(t.haiov, t.vm, CHURNED, event, 2);
	t.guest.shared->fired[0] = CHURNED;
	t.guest.shared->nr_fired = 1;
	began = now_us();
	traffic_start(&t, VCPU_CPU, true);
	deadline = began + PATIENCE_US;
	do {
		q = route_query(t.haiov, route);
		sched_yield();
	} while (q.out_throttled < STORM_PAUSES && now_us() < deadline);
	elapsed = now_us() - began;
	check(q.out_throttled >= STORM_PAUSES, "a storm is throttled", "%llu times; %llu events of %llu sends in %llu us",
	      u(q.out_throttled), u(q.out_delivered), u(t.guest.shared->sent), u(elapsed));
	/* One burst of twice the limit, then the limit in each window, see kmod/storm.rs. */
	most = (elapsed / window_us + 2) * 2 * events;
	check(q.out_delivered <= most, "and is held to its rate", "%llu events, %llu allowed in %llu us",
	      u(q.out_delivered), u(most), u(elapsed));
	printf("# %llu sends, %llu events, throttled %llu times in %llu us (limit: %llu in %llu us)\n",
	       u(t.guest.shared->sent), u(q.out_delivered), u(q.out_throttled), u(elapsed), u(events),
	       u(window_us));
	check(flows(&t, 20), "other routes work meanwhile", "one is lost");
	check(drain(&t), "all that was sent there was seen", "some are lost");
	deadline = now_us() + PATIENCE_US;
	do
		q = route_query(t.haiov, route);
	while (q.out_pending && now_us() < deadline);
	check(!q.out_pending, "the last event of the storm arrives too", "it is pending still");
	object_destroy(t.haiov, route);
	close(event);
	traffic_destroy(&t);
	close(kvm);
	back_to(&before, "nothing is left");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned int n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (nr_cpus < 3)
		broken("at least 3 CPUs");
	if (!strcmp(what, "churn"))
		do_churn(n, argc > 3 ? strtoul(argv[3], NULL, 10) : 4);
	else if (!strcmp(what, "move"))
		do_move(n);
	else if (!strcmp(what, "kill"))
		do_kill(n);
	else if (!strcmp(what, "consumer"))
		do_consumer(n);
	else if (!strcmp(what, "hotplug"))
		do_hotplug(n, argc > 3 && !strcmp(argv[3], "full"));
	else if (!strcmp(what, "refused"))
		do_refused();
	else if (!strcmp(what, "unbound"))
		do_unbound();
	else if (!strcmp(what, "isolation"))
		do_isolation();
	else if (!strcmp(what, "storm"))
		do_storm(n, argc > 3 ? strtoul(argv[3], NULL, 10) : 0);
	else
		broken("unknown scenario '%s'", what);
	return failures != 0;
}
