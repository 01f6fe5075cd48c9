/* SPDX-License-Identifier: GPL-2.0-only */
/* Contexts that move from CPU to CPU, by HAIOV_CONTEXT_MOVE and as their CPU goes offline, while events come. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "hcs-backend.h"

#define OTHER_CPU  3
#define LAST_CPU   3
#define BALLAST	   8 /* routes on CPU 0, so that it is not where there is most room */
#define MOVE_US	   2000 /* at most, from one move to the next */
#define MIN_MOVES  50
#define MIN_FRAMES 15 /* that were under way when it moved */
#define STOPS	   5

static int try_move(const struct backend *b, unsigned int cpu)
{
	struct haiov_context_move m = { .size = sizeof(m), .context_id = b->context, .cpu = cpu };

	return try_ioctl(b->haiov, HAIOV_CONTEXT_MOVE, &m);
}

static void move_to(const struct backend *b, unsigned int cpu)
{
	errno = try_move(b, cpu);
	if (errno)
		broken("CONTEXT_MOVE to CPU %u", cpu);
}

static void put_cpu(unsigned int cpu, bool online)
{
	errno = cpu_online(cpu, online);
	if (errno)
		broken("CPU %u does not %s", cpu, online ? "come back" : "go offline");
}

static void follow(struct victim *v, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(v->thread, sizeof(set), &set))
		broken("CPU %u", cpu);
}

/* ---- by ioctl ---- */

struct mover {
	struct backend *b;
	volatile bool stop;
	uint64_t moves, odd;
};

/* Whether its thread runs a handler and an event can start another one all the same. */
static bool armed_twice(const struct backend *b)
{
	uint64_t calls = b->calls;
	bool handles = on_thread(b), parked = query(b).out_parked;

	return handles && parked && b->done < calls;
}

static void *keep_moving(void *arg)
{
	struct mover *m = arg;
	unsigned int seed = 5;

	for (unsigned int cpu = OTHER_CPU; !m->stop; cpu = cpu == CPU ? OTHER_CPU : CPU) {
		move_to(m->b, cpu);
		m->moves++;
		for (uint64_t until = now_us() + rand_r(&seed) % MOVE_US; now_us() < until;)
			m->odd += armed_twice(m->b);
	}
	return NULL;
}

static void by_ioctl(const char *what, uint64_t events, unsigned int budget_us, void (*act)(struct backend *))
{
	struct backend *b = backend_create(0, budget_us, act);
	struct mover m = { .b = b };
	uint64_t enough = b->done + 20 * events + 500;
	pthread_t thread;
	struct tally t;
	bool flows;

	guest_start(&b->guest, VCPU_CPU);
	if (pthread_create(&thread, NULL, keep_moving, &m))
		broken("no thread");
	flows = arrive(b, events);
	/* Often enough, so that there were frames, and, where they last, moves of frames. */
	for (t = tally(b); flows && b->done < enough &&
	     (m.moves < MIN_MOVES || !t.frames || (act == act_loop && t.preempted < MIN_FRAMES));
	     t = tally(b))
		flows = arrive(b, 1);
	m.stop = true;
	pthread_join(thread, NULL);
	check(flows, what, "events stop after %llu moves", u(m.moves));
	check(drain(b), what, "not all that was sent was seen");
	t = tally(b);
	show(what, &t);
	printf("# %s: %llu moves\n", what, u(m.moves));
	check(m.moves >= MIN_MOVES && t.frames && (act != act_loop || t.preempted >= MIN_FRAMES), what,
	      "%llu moves, %llu frames, %llu doorbells, %llu preempted", u(m.moves), u(t.frames), u(t.doorbells), u(t.preempted));
	check(!b->wrong && !m.odd, what, "%llu handlers went wrong, %llu times another one could begin", u(b->wrong), u(m.odd));
	backend_destroy(b);
}

/* Nothing is under way when it moves. */
static void at_rest(void)
{
	struct backend *b = backend_create(0, 0, NULL);
	struct haiov_context_query q;
	bool parked = true;

	for (unsigned int cpu = 0; cpu <= LAST_CPU; cpu++) {
		move_to(b, cpu);
		q = query(b);
		parked &= q.out_parked && q.out_cpu == cpu && !q.out_pending;
	}
	check(parked, "its thread stays parked", "it does not");
	guest_start(&b->guest, VCPU_CPU);
	check(arrive(b, 10) && drain(b), "and events reach it", "they do not");
	backend_destroy(b);
}

/* ---- CPUs that go ---- */

static void unplugged(uint64_t rounds)
{
	struct backend *b = backend_create(0, 1000, act_mixed);
	uint64_t extra[BALLAST];
	unsigned int odd = 0;
	int event = new_eventfd();
	struct victim v;
	struct tally t;
	bool flows = true;

	victim_start(&v, CPU);
	for (unsigned int i = 0; i < BALLAST; i++)
		extra[i] = route_add(b->haiov, b->vm, NR_EVENTS + i, event, 0);
	guest_start(&b->guest, VCPU_CPU);
	for (uint64_t i = 0; i < rounds && flows; i++) {
		/* One after the other until CPU 0 is left. It goes to each, as that has most room. */
		move_to(b, 1);
		for (unsigned int cpu = 1; cpu <= LAST_CPU && flows; cpu++) {
			unsigned int at = query(b).out_cpu;

			odd += at != cpu;
			follow(&v, at);
			flows = arrive(b, 3);
			put_cpu(cpu, false);
			flows = flows && arrive(b, 3);
		}
		odd += query(b).out_cpu != 0;
		for (unsigned int cpu = 1; cpu <= LAST_CPU; cpu++)
			put_cpu(cpu, true);
		/* It does not come back by itself. */
		odd += query(b).out_cpu != 0;
	}
	check(flows, "events flow while CPUs go and come", "they stop");
	check(!odd, "it is where the most room is", "%u times it was not", odd);
	check(drain(b), "all that was sent was seen", "not all");
	t = tally(b);
	show("CPUs go and come", &t);
	check(t.frames && t.faults, "frames, and handlers that go on on the thread", "%llu, %llu", u(t.frames), u(t.faults));
	check(!b->wrong, "handlers find all as it should be", "%llu do not", u(b->wrong));
	check(victim_stop(&v), "the victim's registers are as they were", "%llu of %llu rounds are wrong", u(v.wrong),
	      u(v.rounds));
	for (unsigned int i = 0; i < BALLAST; i++)
		object_destroy(b->haiov, extra[i]);
	close(event);
	backend_destroy(b);
}

/* No VEIID is left on any CPU. */
static void refused(void)
{
	struct backend *b = backend_create(0, 0, NULL);
	int event = new_eventfd(), err, kvm = open_kvm(), all = open_haiov();
	unsigned int n = 0;
	struct guest other;
	uint64_t vm, id;

	guest_create(&other, kvm);
	vm = vm_bind(all, other.vm, 65536);
	do
		err = try_route(all, vm, n, event, ANY_CPU, &id);
	while (!err && ++n < 65536);
	check(err == ENOSPC, "all VEIIDs of all CPUs can be used", "errno %d after %u", err, n);
	guest_start(&b->guest, VCPU_CPU);
	err = try_move(b, OTHER_CPU);
	check(err == ENOSPC, "it does not move where there is no room: ENOSPC", "errno %d", err);
	err = cpu_online(CPU, false);
	check(err == EBUSY, "nor does its CPU go offline: EBUSY", "errno %d", err);
	check(query(b).out_cpu == CPU && arrive(b, 10), "it is where it was, and works", "it does not");
	/* At once, which is much quicker than one after the other. */
	close(all);
	guest_destroy(&other);
	put_cpu(CPU, false);
	check(query(b).out_cpu != CPU && arrive(b, 10), "with room it goes", "it does not");
	put_cpu(CPU, true);
	check(drain(b), "all that was sent was seen", "not all");
	backend_destroy(b);
	close(event);
	close(kvm);
}

/* ---- its thread cannot park ---- */

/* A process that stops a thread of this one by ptrace, and says so, until it hears of it. */
static pid_t tracer_of(pid_t tid, int *go)
{
	int stopped[2], leave[2];
	char byte = 0;
	pid_t pid;

	if (pipe(stopped) || pipe(leave))
		broken("pipe");
	pid = fork();
	if (!pid) {
		close(leave[1]);
		if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) || waitpid(tid, NULL, __WALL) != tid ||
		    write(stopped[1], &byte, 1) != 1 || read(leave[0], &byte, 1) != 1 || ptrace(PTRACE_DETACH, tid, 0, 0))
			_exit(1);
		_exit(0);
	}
	close(stopped[1]);
	close(leave[0]);
	if (pid < 0 || read(stopped[0], &byte, 1) != 1)
		broken("ptrace");
	close(stopped[0]);
	*go = leave[1];
	return pid;
}

static bool let_go(pid_t tracer, int go)
{
	int status;

	if (write(go, "", 1) != 1 || waitpid(tracer, &status, 0) != tracer)
		return false;
	close(go);
	return !status;
}

/* Whether the guest has sent all that it sends before it hears from the handler. */
static bool all_sent(const struct backend *b)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		if (b->guest.shared->acked[i].seq == b->guest.shared->acked[i].ack)
			return false;
	return true;
}

/* Its thread is stopped, and an event waits for it: that one must not get lost. */
static void stopped(void)
{
	struct backend *b = backend_create(0, 0, NULL);
	unsigned int odd = 0, waited = 0, n = 0;
	bool flows = true;

	guest_start(&b->guest, VCPU_CPU);
	/* Where it is stopped in a handler that has not acknowledged anything, none waits: on a busy machine, most times. */
	for (; waited < STOPS && n < 40 * STOPS && flows; n++) {
		uint64_t deadline = now_us() + PATIENCE_US, done;
		struct haiov_context_query before, after;
		pid_t tracer;
		int go;

		flows = arrive(b, 10);
		move_to(b, CPU);
		tracer = tracer_of(b->tid, &go);
		done = b->done;
		while (!all_sent(b) && now_us() < deadline)
			look_later();
		before = query(b);
		if (n % 2)
			move_to(b, OTHER_CPU);
		else
			put_cpu(CPU, false);
		after = query(b);
		odd += before.out_parked || after.out_parked || after.out_pending != before.out_pending ||
		       before.out_cpu != CPU || after.out_cpu == CPU || b->done != done;
		waited += before.out_pending;
		if (n % 2 == 0)
			put_cpu(CPU, true);
		odd += !let_go(tracer, go);
		flows = flows && arrive(b, 10);
	}
	check(!odd && waited == STOPS, "an event that waits goes along", "%u times not; %u of %u waited", odd, waited, n);
	check(flows && drain(b), "and is seen, as are all others", "events stop");
	backend_destroy(b);

}

/* The same for the whole process, guest and all, by SIGSTOP. */
static void stopped_process(void)
{
	volatile uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	unsigned int moved = 0;
	bool flows = true;

	if (!pid) {
		struct backend *b = backend_create(0, 0, act_mixed);

		guest_start(&b->guest, VCPU_CPU);
		for (;; look_later()) {
			if (query(b).out_cpu != CPU)
				move_to(b, CPU);
			*done = b->done;
		}
	}
	for (unsigned int i = 0; i < STOPS && flows; i++) {
		uint64_t deadline = now_us() + PATIENCE_US, before = *done;
		int status;

		do {
			while (*done < before + 10 && now_us() < deadline)
				look_later();
			kill(pid, SIGSTOP);
			if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
				broken("SIGSTOP");
			flows = *done >= before + 10;
			/* It may have been stopped before it moved back. */
		} while (flows && state_sum("contexts", "cpu") != CPU && !kill(pid, SIGCONT));
		put_cpu(CPU, false);
		moved += state_sum("contexts", "cpu") != CPU;
		put_cpu(CPU, true);
		kill(pid, SIGCONT);
	}
	check(moved == STOPS, "the context of a process that is stopped moves", "%u times of %u", moved, STOPS);
	check(flows, "and misses nothing", "events stop");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap((void *)done, 4096);
}

/* ---- contexts that are made while their CPU goes ---- */

static void *keep_plugging(void *arg)
{
	struct mover *m = arg;

	while (!m->stop) {
		put_cpu(CPU, false);
		put_cpu(CPU, true);
		m->moves++;
	}
	return NULL;
}

static void made_meanwhile(uint64_t rounds)
{
	uint64_t word = 0, made = 0, gone = 0, refusals = 0, deadline = now_us() + PATIENCE_US;
	struct mover m = { 0 };
	int haiov = open_haiov();
	pthread_t thread;

	if (pthread_create(&thread, NULL, keep_plugging, &m))
		broken("no thread");
	for (uint64_t i = 0; (i < rounds || m.moves < 5) && now_us() < deadline; i++) {
		struct haiov_context_create c = {
			.size = sizeof(c), .flags = i % 2 ? HAIOV_CONTEXT_CPU : 0, .cpu = i % 2 ? CPU : 0,
			.entry = (uintptr_t)hcs_entry, .data = (uintptr_t)&word,
		};
		int err = try_ioctl(haiov, HAIOV_CONTEXT_CREATE, &c);

		if (!err) {
			made++;
			object_destroy(haiov, c.out_context_id);
		} else if (err == ENODEV && i % 2) {
			gone++;
		} else {
			refusals++;
		}
	}
	m.stop = true;
	pthread_join(thread, NULL);
	check(made && !refusals, "contexts are made while a CPU goes and comes", "%llu were refused", u(refusals));
	printf("# %llu contexts made, %llu refused on the CPU that was offline, %llu unplugs\n", u(made), u(gone), u(m.moves));
	close(haiov);
}

void do_move(uint64_t events)
{
	struct baseline before = take_baseline();
	struct victim v, w;

	at_rest();
	victim_start(&v, CPU);
	victim_start(&w, OTHER_CPU);
	by_ioctl("moves while events come", events, 0, NULL);
	by_ioctl("moves of what goes on on its thread", events, 1000, act_mixed);
	by_ioctl("moves under frames that last", events / 20, 100000, act_loop);
	check(victim_stop(&v) && victim_stop(&w), "the victims' registers are as they were", "%llu and %llu rounds are wrong",
	      u(v.wrong), u(w.wrong));
	back_to(&before, "nothing is left of moves");
	unplugged(events / 100);
	stopped();
	stopped_process();
	refused();
	made_meanwhile(events);
	back_to(&before, "nothing is left");
}
