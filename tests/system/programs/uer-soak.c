/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Handlers of four vCPUs under everything at once: the host is loaded, signals arrive, the threads of the vCPUs move
 * from CPU to CPU, what the handlers use is swapped out, and other threads pause the vCPUs, look at their
 * registers, overwrite them, put them back, and put them into another vCPU.
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define NR_BURNERS 2
#define NR_X 32		/* of them, number 0 is the pc */
#define CSR(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_REG(name))
#define FP(n) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_FP_D | KVM_REG_RISCV_FP_D_REG(f[n]))

extern char __executable_start[], etext[];

/* All of a vCPU that uer-guest.S changes. */
struct snapshot {
	uint64_t x[NR_X], f[32], csr[7], mode;
	struct job *job;
};

static const uint64_t csrs[] = {
	CSR(sstatus), CSR(sie), CSR(stvec), CSR(sscratch), CSR(sepc), CSR(scause), CSR(stval),
};

static struct state {
	struct vm vm;
	pthread_mutex_t control[MAX_VCPUS];	/* held by who pauses the vCPU or looks at it */
	volatile int stop, stop_kicking;
	volatile uint64_t pauses, torn, peeks, odd_peeks, swaps, moves, kicks;
} s;

static uint64_t random_from(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct port *port_of(struct job *job)
{
	return (struct port *)((char *)s.vm.registers + (job->in[11] - DEVICE_GPA));
}

/* ---- pausing ---- */

static void kick(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	pthread_kill(v->thread, SIGUSR1);
	s.kicks++;
}

/* With the control; false if the vCPU has stopped for good. */
static bool pause_vcpu(struct vcpu *v)
{
	struct timespec until;

	v->pause = 1;
	atomic_thread_fence(memory_order_seq_cst);
	kick(v);
	for (int patience = 0; patience < 600; patience++) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!sem_timedwait(&v->paused, &until))
			return true;
		if (v->over)
			return false;
	}
	broken("a vCPU does not stop");
}

static void resume_vcpu(struct vcpu *v)
{
	v->pause = 0;
	sem_post(&v->resumed);
}

static void take(struct vcpu *v, struct snapshot *to)
{
	for (int i = 0; i < NR_X; i++)
		to->x[i] = get_reg(v, CORE(regs.pc) + i);
	for (int i = 0; i < 32; i++)
		to->f[i] = get_reg(v, FP(i));
	for (size_t i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++)
		to->csr[i] = get_reg(v, csrs[i]);
	to->mode = get_reg(v, CORE(mode));
	to->job = v->job;
}

static void put(struct vcpu *v, const struct snapshot *from)
{
	for (int i = 0; i < NR_X; i++)
		set_reg(v, CORE(regs.pc) + i, from->x[i]);
	for (int i = 0; i < 32; i++)
		set_reg(v, FP(i), from->f[i]);
	for (size_t i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++)
		set_reg(v, csrs[i], from->csr[i]);
	set_reg(v, CORE(mode), from->mode);
	v->job = from->job;
}

/*
 * A paused vCPU stands between two instructions of the guest: what the device has seen and what the registers
 * hold go together.
 */
static bool is_whole(struct vcpu *v, const struct snapshot *at)
{
	struct job *job = v->job;
	struct port *port = port_of(job);
	uint64_t step = (at->x[0] - GUEST_GPA - (uer_guest_slot - uer_guest)) / 4, rounds = job->done;
	uint64_t value = job->in[5];

	if (!is_guest(v) || port->wrong || memcmp(at->f, (void *)job->fp_in, sizeof(at->f)))
		return false;
	if (step > 4)	/* before the accesses, or when some of what they did has been written down already */
		return port->stores - rounds <= 1 && port->halves - rounds <= 1;
	for (int i = 1; i < 31; i++)
		if (i != 6 && i != 7 && at->x[i] != job->in[i])
			return false;
	return port->stores == rounds + (step > 0) && port->halves == rounds + (step > 2) &&
	       port->value == (step > 0 ? value : value - PORT_STEP) && (step < 2 || at->x[6] == value) &&
	       (step < 3 || (uint32_t)port->half == (uint32_t)value) && (step < 4 || at->x[7] == (uint64_t)(int32_t)value);
}

static void snapshot(struct vcpu *v)
{
	struct snapshot before, junk, after;

	take(v, &before);
	s.torn += !is_whole(v, &before);
	memset(&junk, 0x5a, sizeof(junk));
	for (int i = 1; i < NR_X; i++)
		set_reg(v, CORE(regs.pc) + i, junk.x[i]);
	for (int i = 0; i < 32; i++)
		set_reg(v, FP(i), junk.f[i]);
	take(v, &after);
	s.torn += !!memcmp(after.x + 1, junk.x + 1, sizeof(junk.x) - 8) || !!memcmp(after.f, junk.f, sizeof(junk.f));
	put(v, &before);
	take(v, &after);
	s.torn += !!memcmp(&after, &before, sizeof(after));
	s.pauses++;
}

/* Each guest goes on in another vCPU. */
static void rotate(void)
{
	struct snapshot all[MAX_VCPUS];
	int paused = 0;

	for (int i = 0; i < MAX_VCPUS; i++)
		pthread_mutex_lock(&s.control[i]);
	while (paused < MAX_VCPUS && pause_vcpu(&s.vm.vcpu[paused]))
		paused++;
	if (paused == MAX_VCPUS) {
		for (int i = 0; i < MAX_VCPUS; i++) {
			take(&s.vm.vcpu[i], &all[i]);
			s.torn += !is_whole(&s.vm.vcpu[i], &all[i]);
		}
		for (int i = 0; i < MAX_VCPUS; i++)
			put(&s.vm.vcpu[i], &all[(i + 1) % MAX_VCPUS]);
		s.swaps++;
	}
	while (paused)
		resume_vcpu(&s.vm.vcpu[--paused]);
	for (int i = 0; i < MAX_VCPUS; i++)
		pthread_mutex_unlock(&s.control[i]);
}

/* ---- what goes on beside the vCPUs ---- */

/* One for each vCPU: signals with and without immediate_exit, and pauses. */
static void *annoy(void *arg)
{
	struct vcpu *v = arg;
	pthread_mutex_t *control = &s.control[v - s.vm.vcpu];
	uint64_t seed = 88172645463325252ULL + (v - s.vm.vcpu);

	while (!s.stop_kicking && !v->over) {
		uint64_t what = random_from(&seed) % 3;

		if (what == 0) {
			pthread_kill(v->thread, SIGUSR1);
			s.kicks++;
		} else if (what == 1 || pthread_mutex_trylock(control)) {
			kick(v);	/* who has the control may be waiting for it */
		} else {
			if (pause_vcpu(v)) {
				snapshot(v);
				resume_vcpu(v);
			}
			pthread_mutex_unlock(control);
		}
		usleep(random_from(&seed) % 4000);
	}
	return NULL;
}

/* The registers of a vCPU that runs: the ioctls wait until KVM_RUN returns for whatever reason. */
static void *peek(void *arg)
{
	uint64_t seed = 362436069ULL, value;

	(void)arg;
	while (!s.stop) {
		int i = random_from(&seed) % MAX_VCPUS;
		struct vcpu *v = &s.vm.vcpu[i];

		pthread_mutex_lock(&s.control[i]);
		value = get_reg(v, CORE(regs.t6));
		s.odd_peeks += value != job_gpa(v);
		set_reg(v, CORE(regs.t6), value);
		value = get_reg(v, CORE(regs.pc));
		s.odd_peeks += value - GUEST_GPA >= (uint64_t)(uer_guest_end - uer_guest);
		pthread_mutex_unlock(&s.control[i]);
		s.peeks++;
		usleep(random_from(&seed) % 4000);
	}
	return NULL;
}

static void *wander(void *arg)
{
	uint64_t seed = 2463534242ULL;

	(void)arg;
	while (!s.stop) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(random_from(&seed) % sysconf(_SC_NPROCESSORS_ONLN), &set);
		sched_setaffinity(s.vm.vcpu[random_from(&seed) % MAX_VCPUS].tid, sizeof(set), &set);
		s.moves++;
		usleep(random_from(&seed) % 1000);
	}
	return NULL;
}

/* Another program, which shares no page with this one: shared ones would stay in memory. */
static pid_t burn(void)
{
	pid_t child = fork();

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sh", "sh", "-c", "while :; do :; done", NULL);
		_exit(127);
	}
	if (child < 0)
		broken("fork");
	return child;
}

/* ---- swapping out ---- */

struct part {
	const char *name;
	bool handlers;			/* a frame uses it, and is what finds it gone */
	uint64_t gone, faults;		/* pages that were unmapped, faults of frames that came then */
	uint64_t read_again;		/* of the pages, those that were not in memory either */
};

/* Pages of the range that the next access will fault on. */
static void count_gone(int pagemap, struct part *part, char *from, size_t size)
{
	for (char *page = from; page < from + size; page += PAGE) {
		unsigned char resident;
		uint64_t entry;

		if (pread(pagemap, &entry, sizeof(entry), (uintptr_t)page / PAGE * sizeof(entry)) != sizeof(entry) ||
		    mincore(page, PAGE, &resident))
			broken("pagemap");
		part->gone += !(entry >> 63);
		part->read_again += !(resident & 1);
	}
}

static void swap_out(int pagemap, struct part *part, void *at, size_t size)
{
	char *from = (char *)((uintptr_t)at & ~(PAGE - 1ULL));

	size = ((char *)at + size - from + PAGE - 1) & ~(PAGE - 1ULL);
	if (madvise(from, size, MADV_PAGEOUT))
		broken("MADV_PAGEOUT");
	count_gone(pagemap, part, from, size);
}

static uint64_t faults_of_all(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < MAX_VCPUS; i++)
		sum += stat_of(&s.vm.vcpu[i], "uer_faults");
	return sum;
}

static void let_all_run(void)
{
	uint64_t before[MAX_VCPUS], deadline = now_us() + 60000000;

	for (int i = 0; i < MAX_VCPUS; i++)
		before[i] = s.vm.vcpu[i].frame->frames;
	for (int i = 0; i < MAX_VCPUS; i++) {
		while (s.vm.vcpu[i].frame->frames < before[i] + 2 && !s.vm.vcpu[i].over) {
			if (now_us() > deadline)
				broken("vCPU %d does not come forward", i);
			usleep(200);
		}
	}
}

static void swap_out_each(int pagemap, struct part *parts)
{
	for (int n = 0; parts[n].name && !s.stop; n++) {
		uint64_t before = faults_of_all();

		for (int i = 0; i < MAX_VCPUS; i++) {
			struct frame *frame = s.vm.vcpu[i].frame;

			if (n == 1)
				swap_out(pagemap, &parts[n], (void *)(uintptr_t)(frame->stack - PAGE), PAGE);
			else if (n == 2)
				swap_out(pagemap, &parts[n], frame, PAGE);
		}
		if (n == 0)
			swap_out(pagemap, &parts[n], __executable_start, etext - __executable_start);
		else if (n == 3)
			swap_out(pagemap, &parts[n], s.vm.registers, DEVICE_SIZE);
		else if (n == 4)
			swap_out(pagemap, &parts[n], s.vm.memory, GUEST_SIZE);
		let_all_run();
		parts[n].faults += faults_of_all() - before;
	}
}

static bool has_swap(void)
{
	char text[4096];
	int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	return strchr(text, '\n') && strchr(text, '\n')[1];
}

static void prepare_vcpu(struct vcpu *v, int n)
{
	static const enum mode modes[MAX_VCPUS] = { MODE_DEVICE, MODE_SPIN, MODE_PUNT_SOME, MODE_ECALL };
	struct job *job = v->job;

	prepare(v, SD, FOREVER);
	job->step = PORT_STEP;
	job->in[11] = job->expect[11] = DEVICE_GPA + (n & 1 ? PAGE : 0) + PORTS + PORT_SIZE * n;
	job->expect[6] = job->in[5];
	job->expect[7] = (int32_t)job->in[5];
	job->user = n == 2;
	port_of(job)->value = job->in[5] - PORT_STEP;
	v->frame->mode = modes[n];
	v->frame->spins = 3000;
	v->frame->number = 99;
}

void soak(uint64_t seconds)
{
	struct part parts[] = {
		{ "the handlers' code", true, 0, 0, 0 }, { "their stacks", true, 0, 0, 0 }, { "their data", true, 0, 0, 0 },
		{ "the device", true, 0, 0, 0 }, { "the guest's memory", false, 0, 0, 0 }, { NULL, false, 0, 0, 0 },
	};
	struct sigaction action = { .sa_handler = on_signal };
	struct vcpu *v = s.vm.vcpu;
	uint64_t until, frames = 0, exits = 0, accesses = 0, ended = 0, tur = 0, rounds = 0;
	pthread_t annoyers[MAX_VCPUS], wanderer, peeker;
	pid_t burners[NR_BURNERS];
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), result[MAX_VCPUS];
	char name[96];

	if (!has_swap() || pagemap < 0)
		broken("no swap, or no pagemap");
	for (int i = 0; i < NR_BURNERS; i++)
		burners[i] = burn();
	sigaction(SIGUSR1, &action, NULL);
	create(&s.vm);
	for (int i = 1; i < MAX_VCPUS; i++) {
		add_vcpu(&s.vm);
		set_handler(&v[i]);
	}
	for (int i = 0; i < MAX_VCPUS; i++) {
		prepare_vcpu(&v[i], i);
		pthread_mutex_init(&s.control[i], NULL);
	}
	set_accesses(&s.vm, SD, LD_X6, SW_AT_8, LW_X7_AT_8);
	for (int i = 0; i < MAX_VCPUS; i++)
		begin(&v[i]);
	for (int i = 0; i < MAX_VCPUS; i++)
		if (pthread_create(&annoyers[i], NULL, annoy, &v[i]))
			broken("no thread");
	if (pthread_create(&wanderer, NULL, wander, NULL) || pthread_create(&peeker, NULL, peek, NULL))
		broken("no thread");

	for (until = now_us() + seconds * 1000000; now_us() < until;) {
		swap_out_each(pagemap, parts);
		rotate();
	}
	s.stop = 1;
	pthread_join(wanderer, NULL);
	/* it may need a signal to the vCPU to come to its end */
	pthread_join(peeker, NULL);
	s.stop_kicking = 1;
	for (int i = 0; i < MAX_VCPUS; i++)
		pthread_join(annoyers[i], NULL);
	for (int i = 0; i < MAX_VCPUS; i++)
		v[i].job->stop = 1;
	for (int i = 0; i < MAX_VCPUS; i++)
		result[i] = end(&v[i]);
	for (int i = 0; i < NR_BURNERS; i++) {
		kill(burners[i], SIGKILL);
		waitpid(burners[i], NULL, 0);
	}

	for (int i = 0; i < MAX_VCPUS; i++) {
		struct job *job = v[i].job;
		struct port *port = port_of(job);

		snprintf(name, sizeof(name), "vCPU %d: registers", i);
		expect_well(&v[i], result[i], job->done, name);
		snprintf(name, sizeof(name), "vCPU %d: each store once and in order", i);
		check(!port->wrong && port->stores == job->done && port->halves == job->done &&
		      port->value == job->in[5] - PORT_STEP, name, "wrong %llu, %llu and %llu stores, %llu rounds",
		      (long long)port->wrong, (long long)port->stores, (long long)port->halves, (long long)job->done);
		rounds += job->done;
		accesses += 4 * job->done;
		frames += v[i].frame->ended;
		exits += v[i].exits;
		ended += stat_of(&v[i], "uer_ended");
		tur += stat_of(&v[i], "uer_tur");
	}
	expect_count(frames + exits, accesses, "each access either by a handler or by an exit");
	expect_count(ended, 0, "no frame ended by KVM");
	expect_count(s.torn, 0, "a paused vCPU is between two instructions, and takes what is written to it");
	expect_count(s.odd_peeks, 0, "whoever looks finds the guest's registers");
	check(s.pauses && s.peeks && s.swaps && s.moves && tur && exits, "everything has happened",
	      "%llu pauses, %llu peeks, %llu swaps, %llu moves, %llu TUR, %llu exits", (long long)s.pauses,
	      (long long)s.peeks, (long long)s.swaps, (long long)s.moves, (long long)tur, (long long)exits);
	for (struct part *part = parts; part->name; part++) {
		snprintf(name, sizeof(name), "%s%s swapped out", part->name, part->handlers ? " found" : "");
		/* What handlers use may be back before anybody has looked. */
		check(part->handlers ? part->faults : part->gone, name, "%llu pages gone, %llu faults of handlers",
		      (long long)part->gone, (long long)part->faults);
		printf("# %s: %llu pages unmapped, %llu of them out of memory, %llu faults of handlers\n", part->name,
		       (long long)part->gone, (long long)part->read_again, (long long)part->faults);
	}
	printf("# %llu rounds, %llu frames, %llu exits, %llu kicks, %llu pauses, %llu peeks, %llu swaps of all vCPUs, %llu moves, %llu TUR\n",
	       (long long)rounds, (long long)frames, (long long)exits, (long long)s.kicks, (long long)s.pauses,
	       (long long)s.peeks, (long long)s.swaps, (long long)s.moves, (long long)tur);
	close_vm(&s.vm);
}
