/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A backend that is kicked, for bench-wake and bench-lookup: what is between the kick and its first instruction is marked for the
 * instruction counter, event by event. Each event is sent when the one before has been acknowledged.
 *
 *   wake MECHANISM CPU COMPETITORS EVENTS [IDLE_WINDOWS [VMS ROUTES CHANGES]]
 *
 * MECHANISM: a guest's kick reaches hcs (a context), vei (a thread that reads an eventfd, to which a route leads),
 * ioeventfd (the same by KVM), poll (a thread that looks at a word all the while); a thread of another CPU reaches eventfd,
 * pipe (a thread that reads) and signal (one in pause).
 * CPU is what the backend's CPU does when the kick comes: idle; user (a thread of another process computes; with poll the
 * backend's); foreign (the same, but of another user, so that no context may interrupt it); guest (a vCPU of a VM of
 * this process computes); kernel (a thread of another process makes system calls).
 * COMPETITORS more threads of another process compute there. Then IDLE_WINDOWS times, nobody kicks for a while.
 *
 * With hcs and vei the guest is the last of VMS that are bound, and what it sends is the last of ROUTES of its VM. CHANGES
 * times that is removed and added again in the end.
 *
 * Prints for each event whether the handler of a context began as a frame (f) or on its thread (t).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/haiov.h>
#include <linux/kvm.h>

#include "check.h"
#include "crowd.h"
#include "guest.h"
#include "haiov.h"
#include "hcs.h"
#include "wake.h"

#define SENDER_CPU	1
#define BACKEND_CPU	2
#define FOREIGN_USER	65534
#define MAX_EVENTS	100000
#define IDLE_NS		20000000

/* One marker of the instruction counter; the region is a part of the instruction. */
#define BEGIN(region)	"slti x0, x0, 0x400 | " TEXT(region) "\n\t"
#define END(region)	"slti x0, x0, 0x500 | " TEXT(region) "\n\t"
#define TEXT(word)	TEXT_OF(word)
#define TEXT_OF(word)	#word

enum mechanism { HCS, VEI, IOEVENTFD, POLL, EVENTFD, PIPE, SIGNAL };
static const char *const mechanisms[] = { "hcs", "vei", "ioeventfd", "poll", "eventfd", "pipe", "signal" };

struct backend {
	struct area area; /* first: what the handler gets */
	struct guest guest;
	struct slot *slot;
	enum mechanism mechanism;
	uint64_t events, context;
	bool crowded; /* among other VMs and routes */
	unsigned int vms, routes, changes;
	struct haiov_route_add route; /* the one that is measured */
	int haiov;
	int from, to; /* what it reads, and what the sender writes */
	pid_t tid;
	volatile bool ready;
	char began[MAX_EVENTS + 1];
};

static struct backend *backend;

static void acknowledge(struct backend *b)
{
	__atomic_store_n(&b->slot->ack, b->slot->seq, __ATOMIC_RELEASE);
}

/* ---- what a kick reaches ---- */

/* The handlers: their first instruction is the mark. */
void marked_handler(struct area *area);
void marked_signal(int signal);
asm("	.text\n"
    "	.globl marked_handler, marked_signal\n"
    "marked_handler:\n\t" END(REGION_WAKE)
    "	tail	handle\n"
    "marked_signal:\n\t" END(REGION_WAKE)
    "	tail	on_signal\n");

__attribute__((used)) static void handle(struct area *area)
{
	struct backend *b = (struct backend *)area;

	b->began[b->slot->seq - 1] = __atomic_load_n(&area->on_thread, __ATOMIC_RELAXED) ? 't' : 'f';
	acknowledge(b);
}

__attribute__((used)) static void on_signal(int signal)
{
	(void)signal;
	acknowledge(backend);
}

/* read() of the 8 bytes of an event, with the mark behind it. */
static void read_marked(int fd)
{
	uint64_t value;
	register long a0 asm("a0") = fd;
	register void *a1 asm("a1") = &value;
	register long a2 asm("a2") = sizeof(value);
	register long a7 asm("a7") = SYS_read;

	asm volatile("ecall\n\t" END(REGION_WAKE) : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
	if (a0 != sizeof(value))
		broken("read: %ld", a0);
}

/* Looks until there is another event than the one before. */
static void poll_marked(volatile uint64_t *seq, uint64_t before)
{
	uint64_t now;

	asm volatile("1: ld %0, 0(%1)\n\tbeq %0, %2, 1b\n\t" END(REGION_WAKE) : "=&r"(now) : "r"(seq), "r"(before) : "memory");
}

static void *run_backend(void *arg)
{
	struct backend *b = arg;
	struct haiov_context_wait w = { .size = sizeof(w), .context_id = b->context };
	struct sigaction action = { .sa_handler = marked_signal };

	pin_to(BACKEND_CPU);
	b->tid = gettid();
	if (b->mechanism == SIGNAL && sigaction(SIGUSR1, &action, NULL))
		broken("sigaction");
	b->ready = true;
	for (;;)
		switch (b->mechanism) {
		case HCS:
			broken("CONTEXT_WAIT: %ld", hcs_wait(&b->area, b->haiov, HAIOV_CONTEXT_WAIT, &w));
		case SIGNAL:
			pause();
			break;
		case POLL:
			poll_marked(&b->slot->seq, b->slot->ack);
			acknowledge(b);
			break;
		default:
			read_marked(b->from);
			acknowledge(b);
		}
}

/* ---- who kicks from the host ---- */

static uint64_t ticks(void)
{
	uint64_t now;

	asm volatile("rdtime %0" : "=r"(now));
	return now;
}

/* Stores the number of the event and makes a system call, in marks. */
static void kick(struct slot *slot, long number, long arg0, long arg1, long arg2)
{
	register long a0 asm("a0") = arg0;
	register long a1 asm("a1") = arg1;
	register long a2 asm("a2") = arg2;
	register long a7 asm("a7") = number;

	asm volatile(BEGIN(REGION_SENDER) BEGIN(REGION_WAKE)
		     "sd	%1, 0(%2)\n\t"
		     "ecall\n\t"
		     END(REGION_SENDER)
		     : "+r"(a0) : "r"(slot->seq + 1), "r"(&slot->seq), "r"(a1), "r"(a2), "r"(a7) : "memory");
	if (a0 < 0)
		broken("the kick: %ld", a0);
}

static void *run_sender(void *arg)
{
	struct backend *b = arg;
	uint64_t random = 1, one = 1;

	pin_to(SENDER_CPU);
	while (b->slot->seq < b->events) {
		uint64_t until;

		random = random * MULTIPLIER + 1;
		until = ticks() + PAUSE_LEAST + (random >> 33) % PAUSE_RANGE;
		while (ticks() < until)
			;
		if (b->mechanism == SIGNAL)
			kick(b->slot, SYS_tgkill, getpid(), b->tid, SIGUSR1);
		else
			kick(b->slot, SYS_write, b->to, (long)&one, sizeof(one));
		while (__atomic_load_n(&b->slot->ack, __ATOMIC_ACQUIRE) != b->slot->seq)
			;
	}
	return NULL;
}

/* ---- who else is on the backend's CPU ---- */

static void *compute(void *arg)
{
	pin_to(BACKEND_CPU);
	*(volatile char *)arg += 1;
	for (;;)
		asm volatile("");
}

static void *make_calls(void *arg)
{
	pin_to(BACKEND_CPU);
	*(volatile char *)arg += 1;
	/* Short ones: their own instructions are in the way of the backend, and cannot be told from those of its wake-up. */
	for (;;)
		syscall(SYS_getppid);
}

/* A process of @user with @calling threads that make system calls, and @computing ones that do not. */
static pid_t neighbors(uid_t user, unsigned int calling, unsigned int computing)
{
	char *running = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t deadline = now_us() + PATIENCE_US;
	pid_t pid;

	if (running == MAP_FAILED)
		broken("mmap");
	pid = fork();
	if (pid < 0)
		broken("fork");
	if (!pid) {
		/* In this order: a change of the user takes the other back. */
		if (setresuid(user, user, user) || prctl(PR_SET_PDEATHSIG, SIGKILL))
			broken("user %u", user);
		for (unsigned int i = 0; i < calling + computing; i++) {
			pthread_t thread;

			if (pthread_create(&thread, NULL, i < calling ? make_calls : compute, running + i))
				broken("no thread");
		}
		for (;;)
			pause();
	}
	for (unsigned int i = 0; i < calling + computing; i++)
		while (!((volatile char *)running)[i])
			if (now_us() > deadline)
				broken("who competes does not run");
	return pid;
}

/* ---- a case ---- */

static void add_route(struct backend *b)
{
	errno = try_ioctl(b->haiov, HAIOV_ROUTE_ADD, &b->route);
	if (errno)
		broken("ROUTE_ADD");
}

/* The route that is measured, behind all others that there are to be. */
static void connect_route(struct backend *b, int kvm)
{
	struct haiov_context_create c = {
		.size = sizeof(c), .flags = HAIOV_CONTEXT_CPU, .cpu = BACKEND_CPU,
		.entry = (uintptr_t)hcs_entry, .data = (uintptr_t)b,
	};
	struct crowd crowd;
	unsigned int others;

	b->haiov = open_haiov();
	crowd_vms(&crowd, b->haiov, kvm, b->vms - 1);
	b->route = (struct haiov_route_add){ .size = sizeof(b->route), .veirq = b->routes - 1 };
	b->route.vm_id = vm_bind(b->haiov, b->guest.vm, b->routes);
	others = crowd_eventfds(&crowd, b->route.vm_id, b->routes - 1, BACKEND_CPU);

	if (b->mechanism == HCS || b->crowded) {
		b->area.handler = marked_handler;
		errno = try_ioctl(b->haiov, HAIOV_CONTEXT_CREATE, &c);
		if (errno)
			broken("CONTEXT_CREATE");
		b->context = c.out_context_id;
		crowd_context(&crowd, b->route.vm_id, others, b->routes - 1, b->context);
	}

	if (b->mechanism == HCS) {
		b->route.flags = HAIOV_ROUTE_CONTEXT;
		b->route.context_id = b->context;
	} else {
		b->from = eventfd(0, EFD_CLOEXEC);
		b->route.flags = HAIOV_ROUTE_CPU;
		b->route.eventfd = b->from;
		b->route.cpu = BACKEND_CPU;
	}
	add_route(b);
	if (vm_query(b->haiov, b->route.vm_id).out_nr_routes != b->routes)
		broken("not %u routes", b->routes);
	b->slot->value = b->route.veirq;
}

static void connect_backend(struct backend *b, int kvm)
{
	int ends[2];

	switch (b->mechanism) {
	case HCS:
	case VEI:
		connect_route(b, kvm);
		break;
	case IOEVENTFD: {
		struct kvm_ioeventfd doorbell = { .addr = DOORBELL_GPA, .len = 4 };

		b->from = doorbell.fd = eventfd(0, EFD_CLOEXEC);
		if (ioctl(b->guest.vm, KVM_IOEVENTFD, &doorbell))
			broken("KVM_IOEVENTFD");
		break;
	}
	case EVENTFD:
		b->from = b->to = eventfd(0, EFD_CLOEXEC);
		break;
	case PIPE:
		if (pipe2(ends, O_CLOEXEC))
			broken("pipe2");
		b->from = ends[0];
		b->to = ends[1];
		break;
	default:
		break;
	}
}

static bool context_parked(const struct backend *b)
{
	struct haiov_context_query q = { .size = sizeof(q), .context_id = b->context };

	errno = try_ioctl(b->haiov, HAIOV_CONTEXT_QUERY, &q);
	if (errno)
		broken("CONTEXT_QUERY");
	return q.out_parked;
}

static void look_later(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Until the number of acknowledged events is @events; gives up when there is no progress. */
static void wait_for(const struct backend *b, uint64_t events)
{
	uint64_t last = 0, deadline = now_us() + PATIENCE_US;

	for (; b->slot->ack < events; look_later())
		if (b->slot->ack != last) {
			last = b->slot->ack;
			deadline = now_us() + PATIENCE_US;
		} else if (now_us() > deadline) {
			broken("after event %llu of %llu none", (unsigned long long)last, (unsigned long long)events);
		}
}

#define MARKED_IOCTL(region, fd, cmd, arg) do {								\
	register long a0 asm("a0") = (fd);								\
	register long a1 asm("a1") = (cmd);								\
	register void *a2 asm("a2") = (arg);								\
	register long a7 asm("a7") = SYS_ioctl;								\
													\
	asm volatile(BEGIN(region) "ecall\n\t" END(region) : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory"); \
	if (a0)												\
		broken(#cmd ": %ld", a0);								\
} while (0)

/* On the CPU that the route leads to: who removes one waits for that CPU, and how long another one takes is no cost. */
static void change_route(struct backend *b)
{
	pin_to(BACKEND_CPU);
	for (unsigned int i = 0; i < b->changes; i++) {
		struct haiov_destroy d = { .size = sizeof(d), .id = b->route.out_route_id };

		MARKED_IOCTL(REGION_REMOVE, b->haiov, HAIOV_DESTROY, &d);
		MARKED_IOCTL(REGION_ADD, b->haiov, HAIOV_ROUTE_ADD, &b->route);
	}
}

static unsigned int number(int argc, char **argv, int which, unsigned int otherwise)
{
	return argc > which ? strtoul(argv[which], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	static struct guest other;
	unsigned int competitors, windows, mechanism;
	bool user, foreign, guest, kernel;
	pthread_t thread, sender;
	struct backend *b;
	pid_t neighbor;
	int kvm;

	if (argc < 5)
		broken("wake MECHANISM CPU COMPETITORS EVENTS [IDLE_WINDOWS [VMS ROUTES CHANGES]]");
	for (mechanism = 0; strcmp(argv[1], mechanisms[mechanism]); mechanism++)
		if (mechanism == SIGNAL)
			broken("no mechanism '%s'", argv[1]);
	user = !strcmp(argv[2], "user");
	foreign = !strcmp(argv[2], "foreign");
	guest = !strcmp(argv[2], "guest");
	kernel = !strcmp(argv[2], "kernel");
	if (!user && !foreign && !guest && !kernel && strcmp(argv[2], "idle"))
		broken("no CPU '%s'", argv[2]);
	competitors = number(argc, argv, 3, 0);
	windows = number(argc, argv, 5, 0);

	pin_to(0);
	neighbor = neighbors(foreign ? FOREIGN_USER : geteuid(), kernel, competitors + (foreign || (user && mechanism != POLL)));

	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b == MAP_FAILED || mlockall(MCL_CURRENT | MCL_FUTURE))
		broken("memory");
	backend = b;
	b->mechanism = mechanism;
	b->events = strtoul(argv[4], NULL, 10);
	if (!b->events || b->events > MAX_EVENTS)
		broken("%s events", argv[4]);
	b->crowded = argc > 6;
	b->vms = number(argc, argv, 6, 1);
	b->routes = number(argc, argv, 7, 1);
	b->changes = number(argc, argv, 8, 0);
	if (!b->vms || !b->routes || (mechanism > VEI && b->crowded))
		broken("%u VMs, %u routes", b->vms, b->routes);
	kvm = open_kvm();
	guest_create(&b->guest, kvm);
	b->slot = &b->guest.shared->acked[0];
	connect_backend(b, kvm);
	guest_add_vcpu(&b->guest);
	if (guest) {
		guest_create(&other, kvm);
		guest_add_vcpu(&other);
		guest_start(&other, BACKEND_CPU);
	}

	if (pthread_create(&thread, NULL, run_backend, b))
		broken("no thread");
	while (!b->ready || (mechanism == HCS && !context_parked(b)))
		look_later();
	if (mechanism >= EVENTFD) {
		if (pthread_create(&sender, NULL, run_sender, b))
			broken("no thread");
	} else {
		b->guest.shared->nr_fired = mechanism == POLL ? KICK_NONE : mechanism == IOEVENTFD ? KICK_STORE : KICK_SVEI;
		b->guest.shared->nr_acked = b->events;
		guest_start(&b->guest, SENDER_CPU);
	}
	wait_for(b, b->events);
	for (unsigned int i = 0; i < windows; i++) {
		asm volatile(BEGIN(REGION_IDLE) ::: "memory");
		nanosleep(&(struct timespec){ .tv_nsec = IDLE_NS }, NULL);
		asm volatile(END(REGION_IDLE) ::: "memory");
	}
	if (mechanism < EVENTFD)
		guest_stop(&b->guest);
	if (guest)
		guest_stop(&other);
	kill(neighbor, SIGKILL);
	waitpid(neighbor, NULL, 0);
	change_route(b);
	printf("began %s\n", mechanism == HCS ? b->began : "-");
	fflush(stdout);
	/* The rest goes with the process. */
	_exit(failures != 0);
}
