/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts that listen for an eventfd, by HAIOV_CONTEXT_LISTEN: the VM and its routes are of one file of /dev/haiov, or of
 * one process, and the context is of another.
 *
 * While a context listens its handler alone acknowledges events, and nobody reads the eventfd; else who reads the eventfd.
 * So an event that is lost, or that goes the other way, stops the guest for good.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "hcs-backend.h"

#define OTHER_CPU  3
#define MAX_LATE   2 /* handlers that an event which came before may still start: one at work, one pending */
#define MIN_ROUNDS 20
#define CYCLES	   (4 * LEAK_CYCLES)

/* The side that has the guest; the side of the context is @b. */
struct vmm {
	struct backend *b;
	int haiov, event;
	uint64_t vm, route[NR_EVENTS], listening;
};

static int try_listen(const struct backend *b, int event, uint64_t *id)
{
	struct haiov_context_listen l = { .size = sizeof(l), .context_id = b->context, .eventfd = event };
	int err = try_ioctl(b->haiov, HAIOV_CONTEXT_LISTEN, &l);

	*id = l.out_listening_id;
	return err;
}

static void listen_to(struct vmm *v)
{
	errno = try_listen(v->b, v->event, &v->listening);
	if (errno)
		broken("CONTEXT_LISTEN");
}

static void unlisten(struct vmm *v)
{
	object_destroy(v->b->haiov, v->listening);
}

static void add_routes(struct vmm *v)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		v->route[i] = route_add(v->haiov, v->vm, i, v->event, ANY_CPU);
}

static void remove_routes(struct vmm *v)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		object_destroy(v->haiov, v->route[i]);
}

/* What the guest sent while it led nowhere is not waited for. */
static void forget(struct vmm *v)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		slot_ack(&v->b->guest.shared->acked[i]);
}

/* A VM of this process over the guest's memory, without routes. */
static void create_vm(struct vmm *v)
{
	int kvm = open_kvm();

	guest_vm(&v->b->guest, kvm);
	v->haiov = open_haiov();
	v->vm = vm_bind(v->haiov, v->b->guest.vm, NR_VEIRQS);
	guest_add_vcpu(&v->b->guest);
	close(kvm);
}

/* A context of this process, whose thread is parked. */
static void create_context(struct backend *b)
{
	b->haiov = open_haiov();
	backend_context(b, 0, 0);
	backend_park(b);
}

static void end_context(struct backend *b)
{
	object_destroy(b->haiov, b->context);
	pthread_join(b->thread, NULL);
	check(b->ended == -ENOENT, "its thread comes back when it is destroyed", "with %ld", b->ended);
}

static struct vmm create(void (*act)(struct backend *))
{
	struct vmm v = { .b = backend_alloc(act), .event = new_eventfd() };

	create_vm(&v);
	create_context(v.b);
	return v;
}

static void destroy(struct vmm *v)
{
	end_context(v->b);
	object_destroy(v->haiov, v->vm);
	close(v->haiov);
	close(v->event);
	backend_free(v->b);
}

/* Whether the eventfd is signaled so many times more. What has been sent is acknowledged each time. */
static bool take(struct vmm *v, uint64_t times)
{
	struct pollfd p = { .fd = v->event, .events = POLLIN };
	uint64_t count;

	for (uint64_t i = 0; i < times; i++) {
		if (poll(&p, 1, PATIENCE_US / 1000) != 1)
			return false;
		if (read(v->event, &count, sizeof(count)) != sizeof(count))
			broken("read of an eventfd");
		forget(v);
	}
	return true;
}

/* Stops the guest, and reads the eventfd until all that it sent has been seen. */
static bool take_rest(struct vmm *v)
{
	guest_stop(&v->b->guest);
	for (unsigned int i = 0; i < NR_EVENTS; i++) {
		struct slot *slot = &v->b->guest.shared->acked[i];

		while (slot->ack != slot->seq)
			if (!take(v, 1))
				return false;
	}
	return true;
}

static uint64_t delivered(const struct vmm *v)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < NR_EVENTS; i++)
		sum += route_query(v->haiov, v->route[i]).out_delivered;
	return sum;
}

/* ---- there and back ---- */

/* Whether events come by the eventfd alone, after what is late. */
static bool by_eventfd(struct vmm *v, uint64_t events)
{
	uint64_t done = v->b->done;

	return take(v, events) && v->b->done - done <= MAX_LATE;
}

/* Whether they come to the handler alone. */
static bool by_handler(struct vmm *v, uint64_t events)
{
	uint64_t before = delivered(v);

	/* Nobody acknowledges what comes by the eventfd, so that every slot would stop at the first such event. */
	return arrive(v->b, events) && delivered(v) == before;
}

static void there_and_back(uint64_t events)
{
	struct vmm v = create(NULL);
	struct tally t;

	add_routes(&v);
	guest_start(&v.b->guest, VCPU_CPU);
	check(take(&v, events) && !v.b->calls, "without a listening events come by the eventfd", "%llu handlers", u(v.b->calls));
	listen_to(&v);
	check(query(v.b).out_nr_routes == NR_EVENTS, "routes that are there lead to who listens", "%u", query(v.b).out_nr_routes);
	/* What was on its way has arrived. */
	check(arrive(v.b, 10) && by_handler(&v, events), "and their events start the handler", "they do not");
	unlisten(&v);
	check(by_eventfd(&v, events), "they lead back when that has ended", "%llu handlers", u(v.b->calls));
	check(!query(v.b).out_nr_routes, "and no longer to the context", "%u", query(v.b).out_nr_routes);
	remove_routes(&v);
	listen_to(&v);
	add_routes(&v);
	forget(&v);
	check(query(v.b).out_nr_routes == NR_EVENTS && by_handler(&v, events), "routes that are added later lead there too", "%u",
	      query(v.b).out_nr_routes);
	remove_routes(&v);
	check(!query(v.b).out_nr_routes, "until they are removed", "%u", query(v.b).out_nr_routes);
	add_routes(&v);
	forget(&v);
	check(by_handler(&v, events), "and again", "events stop");
	t = tally(v.b);
	show("for an eventfd", &t);
	check(t.frames && !v.b->wrong, "handlers are frames", "%llu of %llu, %llu wrong", u(t.frames), u(t.calls), u(v.b->wrong));
	unlisten(&v);
	remove_routes(&v);
	add_routes(&v);
	forget(&v);
	check(by_eventfd(&v, events), "routes that are added once it has ended lead to the eventfd", "%llu handlers",
	      u(v.b->calls));
	check(take_rest(&v), "all that was sent was seen", "not all");
	remove_routes(&v);
	destroy(&v);
}

/* Others have the eventfd as well, and the context has a route of its own. */
static void beside_others(uint64_t events)
{
	struct vmm v = create(NULL);
	int other = new_eventfd();
	uint64_t twin, count;

	v.route[0] = route_add(v.haiov, v.vm, 0, v.event, ANY_CPU);
	v.route[1] = route_add(v.haiov, v.vm, 1, other, ANY_CPU);
	v.b->guest.shared->nr_acked = 2;
	listen_to(&v);
	check(query(v.b).out_nr_routes == 1, "a route to another eventfd stays there", "%u lead to the context",
	      query(v.b).out_nr_routes);
	check(try_listen(v.b, v.event, &twin) == EBUSY, "nobody else can listen: EBUSY", "errno %d", errno);
	guest_start(&v.b->guest, VCPU_CPU);
	check(arrive(v.b, events), "events of both come", "they stop");
	check(read(other, &count, sizeof(count)) == sizeof(count) && count, "each to its own", "none by the other eventfd");
	count = 1;
	check(read(v.event, &count, sizeof(count)) < 0 && errno == EAGAIN, "and none to the eventfd that is listened for",
	      "%llu", u(count));
	/* What does not come from the guest is the eventfd's own affair. */
	guest_stop(&v.b->guest);
	count = 7;
	if (write(v.event, &count, sizeof(count)) != sizeof(count))
		broken("write to an eventfd");
	count = 0;
	check(read(v.event, &count, sizeof(count)) == sizeof(count) && count == 7, "a write stays in the eventfd", "%llu", u(count));
	unlisten(&v);
	object_destroy(v.haiov, v.route[0]);
	object_destroy(v.haiov, v.route[1]);
	close(other);
	destroy(&v);
}

/* While events come: at any moment of sending, taking and handling. */
static void switches(const char *what, unsigned int rounds, void (*act)(struct backend *))
{
	struct vmm v = create(act);
	unsigned int seed = 7, n;
	bool flows = true;

	add_routes(&v);
	guest_start(&v.b->guest, VCPU_CPU);
	for (n = 0; n < rounds && flows; n++) {
		listen_to(&v);
		flows = arrive(v.b, rand_r(&seed) % 4);
		unlisten(&v);
		flows = flows && take(&v, 1 + rand_r(&seed) % 4);
	}
	check(flows, what, "events stop in round %u", n);
	check(take_rest(&v), what, "not all that was sent was seen");
	check(!v.b->wrong, what, "%llu handlers went wrong", u(v.b->wrong));
	remove_routes(&v);
	destroy(&v);
}

/* ---- moves ---- */

static void put_cpu(unsigned int cpu, bool online)
{
	errno = cpu_online(cpu, online);
	if (errno)
		broken("CPU %u does not %s", cpu, online ? "come back" : "go offline");
}

static bool all_at(const struct vmm *v, unsigned int cpu)
{
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		if (route_query(v->haiov, v->route[i]).out_cpu != cpu)
			return false;
	return true;
}

static void moves(uint64_t events)
{
	struct vmm v = create(NULL);
	struct haiov_context_move m = { .size = sizeof(m), .context_id = v.b->context, .cpu = OTHER_CPU };
	uint64_t deadline;

	add_routes(&v);
	listen_to(&v);
	guest_start(&v.b->guest, VCPU_CPU);
	check(arrive(v.b, events), "events come", "they stop");
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		route_move(v.haiov, v.route[i], OTHER_CPU);
	check(all_at(&v, OTHER_CPU) && by_handler(&v, events), "a route that moves leads to who listens as before", "it does not");
	errno = try_ioctl(v.b->haiov, HAIOV_CONTEXT_MOVE, &m);
	if (errno)
		broken("CONTEXT_MOVE");
	check(by_handler(&v, events), "a context that moves takes them along", "they do not come");
	put_cpu(OTHER_CPU, false);
	check(query(v.b).out_cpu != OTHER_CPU && !all_at(&v, OTHER_CPU) && by_handler(&v, events),
	      "so does one whose CPU goes offline, and theirs", "they do not come");
	put_cpu(OTHER_CPU, true);
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		route_move(v.haiov, v.route[i], OTHER_CPU);
	unlisten(&v);
	check(by_eventfd(&v, events) && all_at(&v, OTHER_CPU), "they go back to where they have moved", "they do not");
	/* One may come between the two readings. */
	for (deadline = now_us() + PATIENCE_US; state_sum_of("routes", "cpu=3 ", "delivered") != delivered(&v) && now_us() < deadline;)
		look_later();
	check(now_us() < deadline, "that is where they arrive", "%llu of %llu",
	      u(state_sum_of("routes", "cpu=3 ", "delivered")), u(delivered(&v)));
	check(take_rest(&v), "all that was sent was seen", "not all");
	remove_routes(&v);
	destroy(&v);
}

/* ---- ends ---- */

/* Routes, VM, listening, context: in every order in which they can be destroyed. */
static void orders(const struct baseline *before)
{
	static const char *const order[] = { "RVLC", "RLVC", "RLCV", "LRVC", "LRCV", "LCRV" };

	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		struct vmm v = create(NULL);
		char name[48];

		snprintf(name, sizeof(name), "destroyed in the order %s", order[i]);
		add_routes(&v);
		listen_to(&v);
		guest_start(&v.b->guest, VCPU_CPU);
		check(arrive(v.b, 20), name, "events stop");
		check(try_ioctl(v.b->haiov, HAIOV_DESTROY, &(struct haiov_destroy){ sizeof(struct haiov_destroy), 0, v.b->context }) == EBUSY,
		      name, "a context that listens could be destroyed");
		for (const char *step = order[i]; *step; step++) {
			if (*step == 'R') {
				remove_routes(&v);
			} else if (*step == 'V') {
				guest_stop(&v.b->guest);
				object_destroy(v.haiov, v.vm);
			} else if (*step == 'L') {
				unlisten(&v);
			} else {
				end_context(v.b);
			}
		}
		close(v.haiov);
		close(v.event);
		backend_free(v.b);
		if (!back_to(before, name))
			break;
	}
}

/* Files, not objects. A thread that is parked keeps its file open, so there is none. */
static void closes(const struct baseline *before)
{
	struct vmm v = { .b = backend_alloc(NULL), .event = new_eventfd() };

	create_vm(&v);
	v.b->haiov = open_haiov();
	backend_context(v.b, 0, 0);
	add_routes(&v);
	listen_to(&v);
	guest_start(&v.b->guest, VCPU_CPU);
	close(v.b->haiov);
	check(take(&v, 100), "when the context's file is closed events come by the eventfd, also those that waited for it", "they do not");

	v.b->haiov = open_haiov();
	backend_context(v.b, 0, 0);
	listen_to(&v);
	backend_park(v.b);
	check(arrive(v.b, 20), "another context can listen then", "events stop");
	close(v.haiov);
	check(!query(v.b).out_nr_routes && !state_sum("vms", "vmid"), "when the VMM's file is closed nothing leads there", "%u routes",
	      query(v.b).out_nr_routes);
	guest_stop(&v.b->guest);
	unlisten(&v);
	end_context(v.b);
	close(v.event);
	backend_free(v.b);
	back_to(before, "nothing is left of files that were closed");
}

static bool killed(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
}

static bool wait_until_none(const char *file, const char *key)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	while (state_sum(file, key) && now_us() < deadline)
		look_later();
	return !state_sum(file, key);
}

/* The process of the context, at any time. */
static void kill_context(unsigned int rounds)
{
	struct vmm v = { .b = backend_alloc(NULL), .event = new_eventfd() };
	unsigned int seed = 11, n;
	bool flows = true;

	create_vm(&v);
	add_routes(&v);
	guest_start(&v.b->guest, VCPU_CPU);
	for (n = 0; n < rounds && flows; n++) {
		pid_t pid;

		/* One that was killed may have been at work. */
		v.b->calls = v.b->done = 0;
		pid = fork();
		if (!pid) {
			create_context(v.b);
			listen_to(&v);
			for (;;)
				pause();
		}
		flows = arrive(v.b, 1 + rand_r(&seed) % 50) && killed(pid) && wait_until_none("contexts", "veiid") && take(&v, 20);
	}
	check(flows, "when the process of a context is killed the eventfd is signaled again", "events stop in round %u", n);
	check(take_rest(&v), "and all that was sent was seen", "not all");
	remove_routes(&v);
	object_destroy(v.haiov, v.vm);
	close(v.haiov);
	close(v.event);
	backend_free(v.b);
}

/* The process of the VM, at any time. */
static void kill_vmm(unsigned int rounds)
{
	struct vmm v = { .b = backend_alloc(NULL), .event = new_eventfd() };
	unsigned int seed = 13, n;
	bool flows = true;

	create_context(v.b);
	listen_to(&v);
	for (n = 0; n < rounds && flows; n++) {
		uint64_t done = v.b->done;
		pid_t pid = fork();

		if (!pid) {
			create_vm(&v);
			forget(&v);
			add_routes(&v);
			guest_start(&v.b->guest, VCPU_CPU);
			for (;;)
				pause();
		}
		/* It waits a little until the first. */
		flows = arrive(v.b, 10 + rand_r(&seed) % 50) && killed(pid) && wait_until_none("vms", "vmid") &&
			!query(v.b).out_nr_routes && v.b->done - done >= 10;
	}
	check(flows, "when the process of the VM is killed, the next one's events reach who listens", "they do not in round %u", n);
	check(!v.b->wrong, "handlers find all as it should be", "%llu do not", u(v.b->wrong));
	unlisten(&v);
	end_context(v.b);
	close(v.event);
	backend_free(v.b);
}

static void leaks(void)
{
	struct vmm v = create(NULL);
	/* Where amounts of memory say nothing, kmemleak needs no more than some. */
	unsigned int cycles = memory_is_exact() ? CYCLES : CYCLES / 64;
	struct baseline warm;

	add_routes(&v);
	for (unsigned int i = 0; i < cycles / 4; i++) {
		listen_to(&v);
		unlisten(&v);
	}
	warm = take_baseline();
	for (unsigned int i = 0; i < cycles; i++) {
		listen_to(&v);
		unlisten(&v);
	}
	no_leak(&warm, cycles);
	remove_routes(&v);
	destroy(&v);
}

void do_listen(uint64_t events)
{
	struct baseline before = take_baseline();
	unsigned int rounds = events / 50 > MIN_ROUNDS ? events / 50 : MIN_ROUNDS;

	there_and_back(events);
	beside_others(events);
	switches("listening begins and ends while events come", events, NULL);
	switches("the same with handlers that go on on the thread", events / 4, act_mixed);
	moves(events);
	back_to(&before, "nothing is left");
	orders(&before);
	closes(&before);
	kill_context(rounds);
	back_to(&before, "nothing is left of contexts that were killed");
	kill_vmm(rounds);
	back_to(&before, "nothing is left of VMs that were killed");
	leaks();
	back_to(&before, "nothing is left at the end");
}
