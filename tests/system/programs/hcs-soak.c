/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts under everything at once. Processes with a guest and a backend, and processes with a victim, which computes
 * with all registers, run wherever they are put: their threads are moved, signaled, and stopped by ptrace, their memory is
 * paged out, CPUs go and come, contexts move, and now and then one of the processes is killed, and another begins.
 *
 * The guests number their events, and send each when the one before has been acknowledged: one that is lost never comes
 * again, and its process says so. In the end all stop in good order, and nothing is left.
 *
 * With a VMM's command, that one is run beside them, again and again (hcs-soak-vmm.c).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "hcs-backend.h"
#include "hcs-soak-vmm.h"

#define NR_BACKENDS 3
#define NR_VICTIMS  2
#define NR_ALL	    (NR_BACKENDS + NR_VICTIMS)
#define VMM	    NR_ALL /* comes after them, if there is one */
#define STALL_US    60000000 /* what takes longer never comes, whatever goes on beside it */
#define LIFE_US	    1000000  /* at most, from one kill to the next */
#define PLUG_US	    300000
#define HOG_LOOK    (1 << 20)
#define REGISTERS   64	     /* at least as many as ptrace knows */

/* A process, as it tells of itself; in memory that all share. */
struct entry {
	volatile pid_t pid;
	volatile bool stop;
	volatile uint64_t done, rounds;
	struct tally sum; /* of all that were killed; theirs is in now */
	struct tally now;
	uint64_t moves, moves_now;
};

static struct shared_state {
	struct entry all[NR_ALL + 1];
	unsigned int nr;
	char **vmm_command;
	volatile bool stop;
	volatile uint64_t stops;
} *s;

static void rest(unsigned int *seed, unsigned int most_us)
{
	unsigned int us = rand_r(seed) % most_us;

	nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 }, NULL);
}

static void add(struct tally *to, const struct tally *from)
{
	to->calls += from->calls;
	to->frames += from->frames;
	to->on_thread += from->on_thread;
	to->doorbells += from->doorbells;
	to->faults += from->faults;
	to->preempted += from->preempted;
	to->expired += from->expired;
	to->interrupted += from->interrupted;
}

static void everywhere(pid_t tid)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(tid, sizeof(set), &set);
}

static void on_signal(int signal)
{
	(void)signal;
}

static void begin_process(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || sigaction(SIGUSR1, &action, NULL))
		broken("a process");
	everywhere(0);
	context_cpu = ANY_CPU;
}

/* ---- the processes ---- */

/* What a handler and its guest use: the next access faults, and reads it again. */
static void page_out(struct backend *b)
{
	uintptr_t stack = b->area.sp & -4096UL;

	madvise(b, sizeof(*b), MADV_PAGEOUT);
	madvise(b->page, 4096, MADV_PAGEOUT);
	if (stack)
		madvise((void *)(stack - 4096), 8192, MADV_PAGEOUT);
	madvise((char *)b->guest.shared - SHARED_OFFSET, GUEST_SIZE, MADV_PAGEOUT);
}

static int run_backend_process(struct entry *e, unsigned int seed)
{
	static const unsigned int budgets[] = { 0, 1000, 20000 };
	struct backend *b = backend_create(0, budgets[seed % 3], seed % 4 ? act_mixed : NULL);
	uint64_t seen[NR_EVENTS] = { 0 }, since[NR_EVENTS];
	bool good;

	for (unsigned int i = 0; i < NR_EVENTS; i++)
		since[i] = now_us();
	guest_start(&b->guest, -1);
	while (!e->stop) {
		struct haiov_context_move m = {
			.size = sizeof(m), .context_id = b->context, .cpu = rand_r(&seed) % sysconf(_SC_NPROCESSORS_CONF),
		};

		rest(&seed, 5000);
		e->done = b->done;
		e->now = tally(b);
		if (rand_r(&seed) % 8 == 0) {
			int err = try_ioctl(b->haiov, HAIOV_CONTEXT_MOVE, &m);

			if (err && err != ENODEV)
				broken("CONTEXT_MOVE to CPU %u", m.cpu);
			e->moves_now += !err;
		}
		if (rand_r(&seed) % 32 == 0)
			page_out(b);
		for (unsigned int i = 0; i < NR_EVENTS; i++) {
			uint64_t ack = b->guest.shared->acked[i].ack;

			if (ack != seen[i]) {
				seen[i] = ack;
				since[i] = now_us();
			} else if (now_us() - since[i] > STALL_US) {
				struct haiov_context_query q = query(b);

				printf("not ok no event is lost: slot %u: %llu sent, %llu seen; parked %u, pending %u, CPU %u\n",
				       i, u(b->guest.shared->acked[i].seq), u(ack), q.out_parked, q.out_pending, q.out_cpu);
				return 1;
			}
		}
		if (b->wrong || b->guest.shared->traps) {
			printf("not ok handlers and guests find all as it should be: %llu did not, %llu traps of the guest\n",
			       u(b->wrong), u(b->guest.shared->traps));
			return 1;
		}
	}
	good = drain(b);
	if (!good)
		printf("not ok all that was sent was seen: not all\n");
	e->now = tally(b);
	/* Without words: it is one of many. */
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		object_destroy(b->haiov, b->route[i]);
	object_destroy(b->haiov, b->context);
	pthread_join(b->thread, NULL);
	return !good || b->ended != -ENOENT || b->wrong;
}

static int run_victim_process(struct entry *e)
{
	struct victim v;

	victim_start(&v, -1);
	while (!e->stop && !v.wrong) {
		look_later();
		e->rounds = v.rounds;
	}
	if (!victim_stop(&v)) {
		printf("not ok victims' registers are as they were: %llu of %llu rounds are wrong\n", u(v.wrong), u(v.rounds));
		return 1;
	}
	return 0;
}

static void start(unsigned int i, unsigned int seed)
{
	struct entry *e = &s->all[i];
	pid_t pid;

	e->stop = false;
	e->moves_now = 0;
	memset(&e->now, 0, sizeof(e->now));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		begin_process();
		if (i == VMM)
			vmm_become(s->vmm_command);
		_exit(i < NR_BACKENDS ? run_backend_process(e, seed) : run_victim_process(e));
	}
	if (pid < 0)
		broken("fork");
	e->pid = pid;
}

/* Whether it ended as it should: by @signal, or well if that is 0. */
static bool end(unsigned int i, int signal)
{
	struct entry *e = &s->all[i];
	int status;

	if (signal)
		kill(e->pid, signal);
	else
		e->stop = true;
	if (waitpid(e->pid, &status, 0) != e->pid)
		broken("waitpid");
	e->pid = 0;
	add(&e->sum, &e->now);
	e->moves += e->moves_now;
	if (signal ? WIFSIGNALED(status) && WTERMSIG(status) == signal : WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	printf("# %s %u ended with status %#x\n", i == VMM ? "VMM" : i < NR_BACKENDS ? "backend" : "victim", i, status);
	return false;
}

/* Whether it has ended by itself; end() tells how. */
static bool has_ended(unsigned int i)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, s->all[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

static void start_vmm(unsigned int *seed)
{
	start(VMM, 0);
	vmm_begins(s->all[VMM].pid, seed);
}

/* Whether the VMM's life goes on well, or has ended well and another one begins. */
static bool see_to_vmm(unsigned int *seed)
{
	bool ended = has_ended(VMM), well;

	if (!ended && !vmm_is_due())
		return !vmm_is_stuck();
	well = end(VMM, ended ? 0 : SIGKILL);
	if (!vmm_ended(!ended) || !well)
		return false;
	start_vmm(seed);
	return true;
}

/* Whether the last one comes to its end, and well. */
static bool end_vmm(unsigned int *seed)
{
	bool well;

	while (!has_ended(VMM)) {
		if (vmm_is_stuck()) {
			end(VMM, SIGKILL);
			return false;
		}
		rest(seed, 100000);
	}
	well = end(VMM, 0);
	return vmm_ended(false) && well;
}

/* ---- what is done to them ---- */

/* Any thread of any of the processes, or 0. */
static pid_t some_thread(unsigned int *seed, pid_t *pid)
{
	pid_t chosen = 0;
	unsigned int n = 0;
	struct dirent *d;
	char path[64];
	DIR *dir;

	*pid = s->all[rand_r(seed) % s->nr].pid;
	if (!*pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task", *pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.' && rand_r(seed) % ++n == 0)
			chosen = atoi(d->d_name);
	closedir(dir);
	return chosen;
}

struct doer {
	const char *what;
	void (*once)(struct doer *d);
	unsigned int every_us, seed;
	pthread_t thread;
	uint64_t times, failures;
};

static void wander(struct doer *d)
{
	pid_t pid, tid = some_thread(&d->seed, &pid);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(rand_r(&d->seed) % sysconf(_SC_NPROCESSORS_CONF), &set);
	if (tid && rand_r(&d->seed) % 8 == 0)
		everywhere(tid);
	else if (tid && !sched_setaffinity(tid, sizeof(set), &set))
		d->times++;
}

/* Threads of vCPUs take this signal as soon as they have their names. What the others know is that all are stopped. */
static void signal_vmm(struct doer *d, pid_t pid, pid_t tid)
{
	char path[64], name[8] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, name, 4) == 4 && !strcmp(name, "vcpu")) {
		d->times += !syscall(SYS_tgkill, pid, tid, SIGUSR1);
	} else {
		kill(pid, SIGSTOP);
		rest(&d->seed, 2000);
		d->times += !kill(pid, SIGCONT);
	}
	close(fd);
}

static void signal_some(struct doer *d)
{
	pid_t pid, tid = some_thread(&d->seed, &pid);

	if (tid && pid == s->all[VMM].pid) {
		signal_vmm(d, pid, tid);
		return;
	}
	/* A process that has just begun does not know the signal yet, and all have handlers before they have threads. */
	if (tid && tid != pid && !syscall(SYS_tgkill, pid, tid, SIGUSR1))
		d->times++;
}

static void plug(struct doer *d)
{
	unsigned int nr = sysconf(_SC_NPROCESSORS_CONF), first = 1 + rand_r(&d->seed) % (nr - 1);
	unsigned int second = 1 + rand_r(&d->seed) % (nr - 1);
	int err = cpu_online(first, false);

	d->failures += !!err;
	if (second != first)
		d->failures += !!cpu_online(second, false);
	rest(&d->seed, PLUG_US);
	if (second != first)
		d->failures += !!cpu_online(second, true);
	d->failures += !!cpu_online(first, true);
	d->times++;
}

/*
 * As much memory as there is, and a little more: the rest is paged out, until there is hardly any swap left. Beyond that
 * nobody would go on, until this process is killed for it.
 */
static void hog_memory(void)
{
	size_t size = (meminfo("MemFree") + 8192) * 1024;
	char *memory;

	write_file("/proc/self/oom_score_adj", "1000");
	if (meminfo("MemAvailable") < 32768 || meminfo("MemAvailable") * 1024 < size)
		size = meminfo("MemFree") * 768;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	madvise(memory, size, MADV_HUGEPAGE); /* quicker */
	for (size_t at = 0; at < size && !s->stop; at += 4096) {
		if (at % HOG_LOOK == 0 && meminfo("SwapFree") < 4096)
			break;
		memory[at] = 1;
	}
	_exit(0);
}

static void hog(struct doer *d)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		begin_process();
		hog_memory();
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status)))
		d->failures++;
	else
		d->times++;
}

static void *keep_doing(void *arg)
{
	struct doer *d = arg;

	while (!s->stop) {
		d->once(d);
		rest(&d->seed, d->every_us);
	}
	return NULL;
}

/* Attaches, stops, reads and writes back the registers, lets it run and stops it again, detaches. */
static void trace_once(unsigned int *seed)
{
	uint64_t registers[REGISTERS];
	struct iovec io;
	pid_t pid, tid = some_thread(seed, &pid);
	int status, signal = 0;

	if (!tid || ptrace(PTRACE_SEIZE, tid, 0, 0))
		return;
	for (unsigned int stops = 1 + rand_r(seed) % 3; stops; stops--) {
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) || waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
			goto gone;
		io = (struct iovec){ registers, sizeof(registers) };
		if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) || ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &io))
			goto gone;
		rest(seed, 2000);
		s->stops++;
		/* A signal that was on its way goes on. */
		signal = status >> 16 ? 0 : WSTOPSIG(status);
		if (stops > 1) {
			if (ptrace(PTRACE_CONT, tid, 0, signal))
				goto gone;
			rest(seed, 2000);
		}
	}
	if (!ptrace(PTRACE_DETACH, tid, 0, signal))
		return;
gone:
	/* Killed meanwhile. Its parent hears of that when we have. */
	while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status))
		ptrace(PTRACE_DETACH, tid, 0, 0);
}

static pid_t start_tracer(void)
{
	unsigned int seed = 7;
	pid_t pid = fork();

	if (pid)
		return pid;
	begin_process();
	while (!s->stop) {
		trace_once(&seed);
		rest(&seed, 5000);
	}
	_exit(0);
}

void do_soak(uint64_t seconds, char **vmm_command)
{
	struct doer doers[] = {
		{ .what = "moves of threads", .once = wander, .every_us = 2000, .seed = 1 },
		{ .what = "signals", .once = signal_some, .every_us = 4000, .seed = 2 },
		{ .what = "CPUs that went and came", .once = plug, .every_us = PLUG_US, .seed = 3 },
		{ .what = "times without memory", .once = hog, .every_us = 900000, .seed = 4 },
	};
	const size_t nr_doers = sizeof(doers) / sizeof(doers[0]);
	struct baseline before = take_baseline();
	unsigned int seed = 11, kills = 0, ends = 0, odd = 0;
	uint64_t until = now_us() + seconds * 1000000, moves = 0;
	struct tally sum = { 0 };
	struct victim v;
	pid_t tracer;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		broken("mmap");
	s->vmm_command = vmm_command;
	s->nr = vmm_command ? NR_ALL + 1 : NR_ALL;
	/* Finds out what victims are to compute, while nothing can interrupt it. */
	everywhere(0);
	victim_start(&v, -1);
	check(victim_stop(&v), "a victim that nobody interrupts", "%llu rounds are wrong", u(v.wrong));
	for (unsigned int i = 0; i < NR_ALL; i++)
		start(i, i);
	if (vmm_command)
		start_vmm(&seed);
	tracer = start_tracer();
	for (size_t i = 0; i < nr_doers; i++)
		if (pthread_create(&doers[i].thread, NULL, keep_doing, &doers[i]))
			broken("no thread");
	while ((now_us() < until || (vmm_command && !vmm_was_killed())) && !odd) {
		/* The first of each kind stay to the end. */
		unsigned int i = rand_r(&seed) % NR_ALL;
		bool stays = i == 0 || i == NR_BACKENDS;

		rest(&seed, LIFE_US);
		/* Those that find something wrong end by themselves, and are seen to when they are ended. */
		for (unsigned int n = 0; n < NR_ALL; n++)
			odd += has_ended(n);
		if (vmm_command)
			odd += !see_to_vmm(&seed);
		if (stays || odd)
			continue;
		/* In the middle of whatever it does, or in good order. */
		if (rand_r(&seed) % 4) {
			odd += !end(i, SIGKILL);
			kills++;
		} else {
			odd += !end(i, 0);
			ends++;
		}
		start(i, rand_r(&seed));
	}
	s->stop = true;
	for (size_t i = 0; i < nr_doers; i++)
		pthread_join(doers[i].thread, NULL);
	waitpid(tracer, NULL, 0);
	for (unsigned int i = 0; i < NR_ALL; i++) {
		odd += !end(i, 0);
		add(&sum, &s->all[i].sum);
		moves += s->all[i].moves;
	}
	if (vmm_command && s->all[VMM].pid)
		odd += !end_vmm(&seed);
	check(!odd, "no event is lost, and no register changed", "%u processes did not end well", odd);
	show("all backends", &sum);
	printf("# %u killed, %u ended in good order, %llu moves of contexts, %llu stops by ptrace\n", kills, ends, u(moves),
	       u(s->stops));
	check(sum.frames && sum.doorbells && sum.faults && sum.preempted && kills && moves && s->stops, "everything has happened",
	      "%llu frames, %llu doorbells, %llu faults, %llu preempted, %u kills, %llu moves, %llu stops", u(sum.frames),
	      u(sum.doorbells), u(sum.faults), u(sum.preempted), kills, u(moves), u(s->stops));
	for (size_t i = 0; i < nr_doers; i++) {
		printf("# %s: %llu\n", doers[i].what, u(doers[i].times));
		check(doers[i].times && !doers[i].failures, doers[i].what, "%llu, and %llu failures", u(doers[i].times),
		      u(doers[i].failures));
	}
	if (vmm_command)
		vmm_report();
	munmap(s, sizeof(*s));
	back_to(&before, "nothing is left");
}
