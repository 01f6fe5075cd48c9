/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ioregionfd, a baseline of the bench: each access of the guest arrives once, as it was, over sockets and pipes, whatever
 * signals come; and where the other side is gone, it is an exit.
 */
#define _GNU_SOURCE
#include "ioregionfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "guest.h"
#include "haiov.h"

#define REGION_GPA	0x10001000
#define REGION_SIZE	0x1000
#define USER_DATA	0x123456789abcdef0
#define ROUNDS		2000

extern const char ioregionfd_guest[], ioregionfd_guest_end[];

/* The other side of a connection, and KVM's. */
struct files {
	int commands, responses, kvm_read, kvm_write;
};

struct vcpu {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	pid_t tid;
	uint64_t a0, a4;	/* once it has stopped */
	unsigned int eintr;	/* how often KVM_RUN was interrupted */
	bool stopped;		/* it reached its end; otherwise there was another exit */
};

static int kvm;
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static struct files open_files(const char *kind)
{
	struct files f;
	int pair[2];

	if (!strcmp(kind, "pipes")) {
		if (pipe2(pair, O_CLOEXEC))
			broken("pipe2");
		f.commands = pair[0];
		f.kvm_write = pair[1];
		if (pipe2(pair, O_CLOEXEC))
			broken("pipe2");
		f.kvm_read = pair[0];
		f.responses = pair[1];
		return f;
	}
	if (socketpair(AF_UNIX, (strcmp(kind, "seqpacket") ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC, 0, pair))
		broken("socketpair");
	f.commands = f.responses = pair[0];
	f.kvm_read = f.kvm_write = pair[1];
	return f;
}

static void close_two(int a, int b)
{
	if (b != a)
		close(b);
	close(a);
}

/* KVM has them. */
static void close_kvms(struct files *f)
{
	close_two(f->kvm_read, f->kvm_write);
}

static void close_ours(struct files *f)
{
	close_two(f->commands, f->responses);
}

static struct kvm_ioregion region_of(const struct files *f, uint64_t offset, uint64_t size, uint32_t flags)
{
	return (struct kvm_ioregion){
		.guest_paddr = REGION_GPA + offset, .memory_size = size, .user_data = USER_DATA + offset,
		.read_fd = f ? f->kvm_read : -1, .write_fd = f ? f->kvm_write : -1, .flags = flags,
	};
}

static int set_region(int vm, const struct files *f, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct kvm_ioregion r = region_of(f, offset, size, flags);

	return try_ioctl(vm, KVM_SET_IOREGION, &r);
}

static void add_region(int vm, const struct files *f, uint64_t offset, uint64_t size, uint32_t flags)
{
	errno = set_region(vm, f, offset, size, flags);
	if (errno)
		broken("KVM_SET_IOREGION");
}

/* A VM whose memory begins with the fragments. */
static void make_guest(struct guest *g)
{
	guest_create(g, kvm);
	memcpy((char *)g->shared - SHARED_OFFSET, ioregionfd_guest, ioregionfd_guest_end - ioregionfd_guest);
}

static void make_vcpu(struct vcpu *v, const struct guest *g, unsigned int id)
{
	*v = (struct vcpu){ .fd = ioctl(g->vm, KVM_CREATE_VCPU, id) };
	if (v->fd < 0)
		broken("creating a vCPU");
	v->run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		broken("mmap of a vCPU");
	if (id) {
		struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

		if (ioctl(v->fd, KVM_SET_MP_STATE, &runnable))
			broken("KVM_SET_MP_STATE");
	}
}

static void destroy_vcpu(struct vcpu *v)
{
	munmap(v->run, 4096);
	close(v->fd);
}

static void set_reg(const struct vcpu *v, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | id, .addr = (uintptr_t)&value,
	};

	if (ioctl(v->fd, KVM_SET_ONE_REG, &reg))
		broken("KVM_SET_ONE_REG");
}

static uint64_t get_reg(const struct vcpu *v, uint64_t id)
{
	uint64_t value;
	struct kvm_one_reg reg = {
		.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | id, .addr = (uintptr_t)&value,
	};

	if (ioctl(v->fd, KVM_GET_ONE_REG, &reg))
		broken("KVM_GET_ONE_REG");
	return value;
}

/* A guest with one vCPU and one region. */
struct setup {
	struct files f;
	struct guest g;
	struct vcpu v;
};

/* From now on nobody but KVM has its ends of the files. */
static void set_up(struct setup *s, struct files files, uint32_t flags)
{
	s->f = files;
	make_guest(&s->g);
	make_vcpu(&s->v, &s->g, 0);
	add_region(s->g.vm, &s->f, 0, REGION_SIZE, flags);
	close_kvms(&s->f);
}

static void tear_down(struct setup *s)
{
	destroy_vcpu(&s->v);
	guest_destroy(&s->g);
	close_ours(&s->f);
}

/* Prepares an access; a2 is for LOOP. */
static void prepare(struct vcpu *v, enum access what, uint64_t gpa, uint64_t a0, uint64_t a2)
{
	set_reg(v, KVM_REG_RISCV_CORE_REG(regs.pc), GUEST_GPA + what * FRAGMENT);
	set_reg(v, KVM_REG_RISCV_CORE_REG(regs.a0), a0);
	set_reg(v, KVM_REG_RISCV_CORE_REG(regs.a1), gpa);
	set_reg(v, KVM_REG_RISCV_CORE_REG(regs.a2), a2);
	set_reg(v, KVM_REG_RISCV_CORE_REG(regs.a3), STOP_GPA);
}

/* Runs what is prepared, until an exit to us. */
static void run(struct vcpu *v)
{
	int ret;

	v->eintr = 0;
	while ((ret = ioctl(v->fd, KVM_RUN, 0)) && errno == EINTR)
		v->eintr++;
	if (ret || v->run->exit_reason != KVM_EXIT_MMIO)
		broken("KVM_RUN: exit reason %u", v->run->exit_reason);
	v->stopped = v->run->mmio.is_write && v->run->mmio.phys_addr == STOP_GPA;
	/* What the exit was for is ended by the next KVM_RUN: before the registers are set anew. */
	if (v->stopped) {
		v->run->immediate_exit = 1;
		if (!ioctl(v->fd, KVM_RUN, 0) || errno != EINTR)
			broken("KVM_RUN with immediate_exit");
		v->run->immediate_exit = 0;
	}
	v->a0 = get_reg(v, KVM_REG_RISCV_CORE_REG(regs.a0));
	v->a4 = get_reg(v, KVM_REG_RISCV_CORE_REG(regs.a4));
}

static void *run_thread(void *arg)
{
	struct vcpu *v = arg;

	__atomic_store_n(&v->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	run(v);
	return NULL;
}

static void begin(struct vcpu *v, enum access what, uint64_t gpa, uint64_t a0, uint64_t a2)
{
	prepare(v, what, gpa, a0, a2);
	v->tid = 0;
	if (pthread_create(&v->thread, NULL, run_thread, v))
		broken("no thread");
}

static void end(struct vcpu *v)
{
	pthread_join(v->thread, NULL);
}

/* Waits until a thread, once there is one, is in a state of /proc. */
static bool in_state(const pid_t *tid, char wanted)
{
	uint64_t deadline = now_us() + PATIENCE_US;
	char path[64], text[256] = "", *state;
	FILE *file;

	while (!__atomic_load_n(tid, __ATOMIC_ACQUIRE))
		sched_yield();
	snprintf(path, sizeof(path), "/proc/%d/stat", *tid);
	do {
		file = fopen(path, "r");
		if (!file || !fgets(text, sizeof(text), file))
			broken("%s", path);
		fclose(file);
		state = strrchr(text, ')');
		if (state && state[2] == wanted)
			return true;
		sched_yield();
	} while (now_us() < deadline);
	return false;
}

/* Whether something comes, or the end, before long (or at all: patience 0). */
static bool comes(int fd, int patience_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, patience_ms) == 1;
}

/* The next command; false at the end. */
static bool next(const struct files *f, struct kvm_ioregion_cmd *cmd)
{
	size_t filled = 0;
	ssize_t got;

	while (filled < sizeof(*cmd)) {
		if (!comes(f->commands, PATIENCE_US / 1000))
			broken("no command comes");
		got = read(f->commands, (char *)cmd + filled, sizeof(*cmd) - filled);
		if (got < 0)
			broken("reading a command");
		if (!got)
			return false;
		filled += got;
	}
	return true;
}

static void respond(const struct files *f, uint64_t data)
{
	struct kvm_ioregion_resp resp = { .data = data };

	if (write(f->responses, &resp, sizeof(resp)) != sizeof(resp))
		broken("writing a response");
}

static bool is(const struct kvm_ioregion_cmd *c, uint8_t cmd, uint8_t info, uint64_t offset, uint64_t data)
{
	static const uint8_t none[6];

	return c->cmd == cmd && c->info == info && !memcmp(c->pad, none, sizeof(none)) && c->user_data == USER_DATA &&
	       c->offset == offset && c->data == data;
}

#define SHOW "cmd %u info %#x user_data %#llx offset %#llx data %#llx; a0 %#llx"
#define SHOWN(c, v) (c).cmd, (c).info, u((c).user_data), u((c).offset), u((c).data), u((v).a0)

static void refusals(void)
{
	struct files f = open_files("pipes"), s = open_files("stream");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), event = new_eventfd();
	struct kvm_ioeventfd e = { .addr = REGION_GPA + 0x3000, .len = 4, .fd = event };
	struct kvm_ioregion r;
	struct guest g;
	int got;

	make_guest(&g);
#define REFUSED(error, name, ...) do { \
		r = region_of(&f, 0, REGION_SIZE, 0); \
		__VA_ARGS__; \
		got = try_ioctl(g.vm, KVM_SET_IOREGION, &r); \
		check(got == error, "refused: " name, "%d (%s)", got, strerror(got)); \
	} while (0)
	REFUSED(EINVAL, "port I/O", r.flags = KVM_IOREGION_PIO);
	REFUSED(EINVAL, "an unknown flag", r.flags = 8);
	REFUSED(EINVAL, "something in the padding", r.pad[27] = 1);
	REFUSED(EINVAL, "no bytes", r.memory_size = 0);
	REFUSED(EINVAL, "past the end of the address space", r.guest_paddr = UINT64_MAX - 0xffe);
	REFUSED(EINVAL, "2 GiB", r.memory_size = 1ULL << 31);
	REFUSED(EBADF, "no file to read", r.read_fd = -1);
	REFUSED(EBADF, "no file to write", r.write_fd = 1000);
	REFUSED(EINVAL, "a device to read", r.read_fd = null);
	REFUSED(EINVAL, "a device to write", r.write_fd = null);
	REFUSED(EINVAL, "the wrong end of a pipe to read", r.read_fd = f.responses);
	REFUSED(EINVAL, "the wrong end of a pipe to write", r.write_fd = f.commands);
	REFUSED(ENOENT, "to remove a region that is not there", r.flags = KVM_IOREGION_DEASSIGN);
	got = try_ioctl(g.vm, KVM_SET_IOREGION, NULL);
	check(got == EFAULT, "refused: no struct", "%d", got);

	add_region(g.vm, &f, 0, REGION_SIZE, 0);
	REFUSED(EEXIST, "the same again");
	REFUSED(EEXIST, "a part of a region", r.guest_paddr += 8; r.memory_size = 8);
	REFUSED(EEXIST, "the end of a region", r.guest_paddr += REGION_SIZE - 1);
	REFUSED(EEXIST, "the beginning of a region", r.guest_paddr -= REGION_SIZE - 1);
	REFUSED(EEXIST, "all around a region", r.guest_paddr -= 1; r.memory_size += 2);
	if (ioctl(g.vm, KVM_IOEVENTFD, &e))
		broken("KVM_IOEVENTFD");
	REFUSED(EEXIST, "around an ioeventfd", r.guest_paddr += 0x3000);
	e.addr += 0x1000;
	e.len = 0;
	if (ioctl(g.vm, KVM_IOEVENTFD, &e))
		broken("KVM_IOEVENTFD");
	REFUSED(EEXIST, "around an ioeventfd of any length", r.guest_paddr += 0x4000);
	REFUSED(0, "not a region beside it, on other files", r.guest_paddr += REGION_SIZE; r.read_fd = s.kvm_read;
		r.write_fd = s.kvm_write; r.flags = KVM_IOREGION_POSTED_WRITES);
	REFUSED(0, "nor one on the same", r.guest_paddr -= REGION_SIZE);
	REFUSED(ENOENT, "to remove half a region", r.memory_size /= 2; r.flags = KVM_IOREGION_DEASSIGN);
	REFUSED(0, "not to remove a region", r.flags = KVM_IOREGION_DEASSIGN; r.read_fd = r.write_fd = -1);
	REFUSED(ENOENT, "to remove it again", r.flags = KVM_IOREGION_DEASSIGN);
	REFUSED(0, "not to add it again");

	/* Nobody but KVM has the other ends now. */
	close_kvms(&f);
	close_kvms(&s);
	check(!comes(f.commands, 0) && !comes(s.commands, 0), "KVM holds its files", "there is an end already");
	REFUSED(0, "not to remove the one of the socket", r.guest_paddr += REGION_SIZE; r.flags = KVM_IOREGION_DEASSIGN);
	check(comes(s.commands, PATIENCE_US / 1000), "a file ends with its last region", "it does not");
	guest_destroy(&g);
	check(comes(f.commands, PATIENCE_US / 1000), "all files end with the VM", "it does not");
	close_ours(&f);
	close_ours(&s);
	close(event);
	close(null);
}

/* What is sent, and what comes back, for accesses of each size. */
static void accesses(const char *kind)
{
	static const struct {
		enum access what;
		const char *name;
		uint8_t exponent;
		bool is_write;
		uint64_t offset, a0, sent, answer, result;
	} cases[] = {
		{ LB, "lb", 0, false, 0xfff, 0, 0, 0x80, -0x80ULL },
		{ LBU, "lbu", 0, false, 3, 0, 0, 0xffffffffffffff80, 0x80 },
		{ LH, "lh", 1, false, 2, 0, 0, 0x18001, -0x7fffULL },
		{ LHU, "lhu", 1, false, 0xffe, 0, 0, 0x18001, 0x8001 },
		{ LW, "lw", 2, false, 4, 0, 0, 0x180000001, -0x7fffffffULL },
		{ LWU, "lwu", 2, false, 0xffc, 0, 0, 0x180000001, 0x80000001 },
		{ LD, "ld", 3, false, 0, 0, 0, 0x8123456789abcdef, 0x8123456789abcdef },
		{ SB, "sb", 0, true, 0xfff, 0x8123456789abcdef, 0xef, -1ULL, 0x8123456789abcdef },
		{ SH, "sh", 1, true, 2, 0x8123456789abcdef, 0xcdef, -1ULL, 0x8123456789abcdef },
		{ SW, "sw", 2, true, 4, 0x8123456789abcdef, 0x89abcdef, -1ULL, 0x8123456789abcdef },
		{ SD, "sd", 3, true, 0xff8, 0x8123456789abcdef, 0x8123456789abcdef, -1ULL, 0x8123456789abcdef },
	};
	struct setup s;
	struct kvm_ioregion_cmd cmd;
	char name[80];

	set_up(&s, open_files(kind), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(&s.v, cases[i].what, REGION_GPA + cases[i].offset, cases[i].a0, 0);
		if (!next(&s.f, &cmd))
			broken("%s: %s: the other side ended", kind, cases[i].name);
		respond(&s.f, cases[i].answer);
		end(&s.v);
		snprintf(name, sizeof(name), "%s: %s", kind, cases[i].name);
		check(s.v.stopped && s.v.a0 == cases[i].result && !comes(s.f.commands, 0) &&
		      is(&cmd, cases[i].is_write, cases[i].exponent | KVM_IOREGION_INFO_RESP, cases[i].offset, cases[i].sent),
		      name, SHOW, SHOWN(cmd, s.v));
	}
	/* Only what is in it. */
	prepare(&s.v, LW, REGION_GPA + REGION_SIZE, 0, 0);
	run(&s.v);
	snprintf(name, sizeof(name), "%s: an access past the region is an exit", kind);
	check(!s.v.stopped && s.v.run->mmio.phys_addr == REGION_GPA + REGION_SIZE && !comes(s.f.commands, 0), name, "stopped %d",
	      s.v.stopped);
	tear_down(&s);
}

static void posted(const char *kind)
{
	struct setup s;
	struct kvm_ioregion_cmd cmd;
	char name[80];
	bool good = true;

	set_up(&s, open_files(kind), KVM_IOREGION_POSTED_WRITES);
	for (uint64_t i = 0; i < 8; i++) {
		/* Nobody answers, or even looks. */
		prepare(&s.v, SW, REGION_GPA + i * 4, i, 0);
		run(&s.v);
		good = good && s.v.stopped;
	}
	snprintf(name, sizeof(name), "%s: nobody waits for posted stores", kind);
	check(good, name, "an exit");
	begin(&s.v, LWU, REGION_GPA, 0, 0);
	for (uint64_t i = 0; i < 8; i++)
		good = next(&s.f, &cmd) && is(&cmd, KVM_IOREGION_CMD_WRITE, 2, i * 4, i) && good;
	good = next(&s.f, &cmd) && is(&cmd, KVM_IOREGION_CMD_READ, 2 | KVM_IOREGION_INFO_RESP, 0, 0) && good;
	respond(&s.f, 42);
	end(&s.v);
	snprintf(name, sizeof(name), "%s: they come in order, and before a load after them", kind);
	check(good && s.v.stopped && s.v.a0 == 42 && !comes(s.f.commands, 0), name, SHOW, SHOWN(cmd, s.v));
	tear_down(&s);
}

/* Files that do not block, and a response in pieces, are no matter. */
static void pieces(const char *kind)
{
	struct kvm_ioregion_resp resp = { .data = 0x12345678 };
	struct files f = open_files(kind);
	struct kvm_ioregion_cmd cmd;
	struct setup s;
	char name[80];
	bool waits;

	if (fcntl(f.kvm_read, F_SETFL, O_NONBLOCK) || fcntl(f.kvm_write, F_SETFL, O_NONBLOCK))
		broken("O_NONBLOCK");
	set_up(&s, f, 0);
	begin(&s.v, LWU, REGION_GPA, 0, 0);
	waits = next(&s.f, &cmd) && in_state(&s.v.tid, 'D');
	if (write(s.f.responses, &resp, 5) != 5)
		broken("writing a piece");
	waits = in_state(&s.v.tid, 'D') && waits;
	if (write(s.f.responses, (char *)&resp + 5, sizeof(resp) - 5) != sizeof(resp) - 5)
		broken("writing the rest");
	end(&s.v);
	snprintf(name, sizeof(name), "%s: a file that does not block is waited for, and a response in pieces", kind);
	check(waits && s.v.stopped && s.v.a0 == resp.data && !comes(s.f.commands, 0), name, "waits %d, " SHOW, waits, SHOWN(cmd, s.v));
	tear_down(&s);
}

/* A signal while the vCPU waits: the access is made once, and KVM_RUN returns afterwards. */
static void interrupted(const char *kind, enum access what)
{
	bool is_write = what == SW, first, waits, again;
	struct setup s;
	struct kvm_ioregion_cmd cmd;
	char name[100];

	set_up(&s, open_files(kind), 0);
	signals = 0;
	begin(&s.v, what, REGION_GPA + 8, is_write ? 7 : 0, 0);
	first = next(&s.f, &cmd) && is(&cmd, is_write, 2 | KVM_IOREGION_INFO_RESP, 8, is_write ? 7 : 0);
	pthread_kill(s.v.thread, SIGUSR1);
	waits = in_state(&s.v.tid, 'D') && !signals;
	/* And another one, with which nothing changes. */
	pthread_kill(s.v.thread, SIGUSR2);
	waits = in_state(&s.v.tid, 'D') && !signals && waits;
	again = comes(s.f.commands, 0);
	respond(&s.f, 99);
	end(&s.v);
	snprintf(name, sizeof(name), "%s: a %s that is interrupted is made once", kind, is_write ? "store" : "load");
	check(first && !again && !comes(s.f.commands, 0) && s.v.stopped && s.v.a0 == (is_write ? 7 : 99), name, "again %d, " SHOW, again,
	      SHOWN(cmd, s.v));
	snprintf(name, sizeof(name), "%s: a %s is waited for, whatever signals come", kind, is_write ? "store" : "load");
	check(waits, name, "the thread did not wait, or %d handlers ran", signals);
	snprintf(name, sizeof(name), "%s: after a %s the signals are delivered, and KVM_RUN says so", kind, is_write ? "store" : "load");
	check(signals == 2 && s.v.eintr >= 1, name, "%d signals, %u times EINTR", signals, s.v.eintr);
	tear_down(&s);
}

/* The same while there is no room for the command. */
static void no_room(const char *kind)
{
	struct kvm_ioregion_cmd full = { .cmd = 0xff }, cmd = full;
	struct files f = open_files(kind);
	int small = 4096, flags = fcntl(f.kvm_write, F_GETFL);
	unsigned int filled = 0;
	struct setup s;
	char name[80];
	bool waits;

	if (!strcmp(kind, "pipes"))
		fcntl(f.kvm_write, F_SETPIPE_SZ, small);
	else
		setsockopt(f.kvm_write, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	fcntl(f.kvm_write, F_SETFL, flags | O_NONBLOCK);
	while (write(f.kvm_write, &full, sizeof(full)) == sizeof(full))
		filled++;
	fcntl(f.kvm_write, F_SETFL, flags);
	set_up(&s, f, KVM_IOREGION_POSTED_WRITES);
	signals = 0;
	begin(&s.v, SD, REGION_GPA, 0x1122334455667788, 0);
	waits = in_state(&s.v.tid, 'S');
	pthread_kill(s.v.thread, SIGUSR1);
	waits = in_state(&s.v.tid, 'D') && waits;
	while (filled--)
		waits = next(&s.f, &cmd) && cmd.cmd == 0xff && waits;
	waits = next(&s.f, &cmd) && waits;
	end(&s.v);
	snprintf(name, sizeof(name), "%s: a store that finds no room and is interrupted is made once", kind);
	check(waits && is(&cmd, KVM_IOREGION_CMD_WRITE, 3, 0, 0x1122334455667788) && s.v.stopped && !comes(s.f.commands, 0) &&
	      signals == 1, name, "waits %d, " SHOW, waits, SHOWN(cmd, s.v));
	tear_down(&s);
}

/* The other side ends: accesses are exits, to whom there is no SIGPIPE. */
static void ends(const char *kind)
{
	struct setup s;
	struct kvm_ioregion_cmd cmd;
	char name[80];
	bool good;

	set_up(&s, open_files(kind), 0);
	signals = 0;
	begin(&s.v, LW, REGION_GPA + 4, 0, 0);
	if (!next(&s.f, &cmd))
		broken("the other side ended");
	close_ours(&s.f);
	end(&s.v);
	snprintf(name, sizeof(name), "%s: the end while a load waits makes it an exit", kind);
	check(!s.v.stopped && !s.v.run->mmio.is_write && s.v.run->mmio.phys_addr == REGION_GPA + 4 && s.v.run->mmio.len == 4, name,
	      "stopped %d, %#llx", s.v.stopped, u(s.v.run->mmio.phys_addr));
	memset(s.v.run->mmio.data, 0x55, 4);
	run(&s.v);
	snprintf(name, sizeof(name), "%s: which gives it what it wants", kind);
	check(s.v.stopped && s.v.a0 == 0x55555555, name, "a0 %#llx", u(s.v.a0));
	prepare(&s.v, SW, REGION_GPA, 0x77, 0);
	run(&s.v);
	good = !s.v.stopped && s.v.run->mmio.is_write && s.v.run->mmio.phys_addr == REGION_GPA && s.v.run->mmio.data[0] == 0x77;
	run(&s.v);
	snprintf(name, sizeof(name), "%s: a store after the end is an exit, without a signal", kind);
	check(good && s.v.stopped && !signals, name, "stopped %d, %d signals", s.v.stopped, signals);
	destroy_vcpu(&s.v);
	guest_destroy(&s.g);
}

struct server {
	struct files files;
	uint64_t commands, strangers;
};

/* Each vCPU has an address, where 5 more than that is to be read, and 6 more written. */
static void *serve(void *arg)
{
	struct server *s = arg;
	struct kvm_ioregion_cmd cmd;

	while (next(&s->files, &cmd)) {
		s->commands++;
		s->strangers += cmd.cmd == KVM_IOREGION_CMD_WRITE ? cmd.data != cmd.offset + 6 : cmd.data != 0;
		if (cmd.info & KVM_IOREGION_INFO_RESP)
			respond(&s->files, cmd.offset + 5);
	}
	return NULL;
}

/* Two vCPUs by one connection, or two regions that share it: nobody gets the other one's response. */
static void together(const char *kind, bool split)
{
	struct server s = { .files = open_files(kind) };
	struct vcpu v[2];
	pthread_t thread;
	struct guest g;
	char name[100];

	make_guest(&g);
	add_region(g.vm, &s.files, 0, split ? 0x100 : REGION_SIZE, 0);
	if (split)
		add_region(g.vm, &s.files, 0x100, 0x100, KVM_IOREGION_POSTED_WRITES);
	close_kvms(&s.files);
	if (pthread_create(&thread, NULL, serve, &s))
		broken("no thread");
	for (unsigned int i = 0; i < 2; i++)
		make_vcpu(&v[i], &g, i);
	for (unsigned int i = 0; i < 2; i++)
		begin(&v[i], LOOP, REGION_GPA + i * 0x100, (split ? 0 : i * 0x100) + 5, ROUNDS);
	for (unsigned int i = 0; i < 2; i++)
		end(&v[i]);
	snprintf(name, sizeof(name), "%s: two vCPUs%s, each with its own responses", kind, split ? ", one of them posting" : "");
	check(v[0].stopped && v[1].stopped && !v[0].a4 && !v[1].a4, name, "%llu and %llu of %u are wrong", u(v[0].a4), u(v[1].a4),
	      ROUNDS);
	for (unsigned int i = 0; i < 2; i++)
		destroy_vcpu(&v[i]);
	guest_destroy(&g);
	pthread_join(thread, NULL);
	snprintf(name, sizeof(name), "%s: all of them arrived%s, until the VM was destroyed", kind, split ? ", posted or not" : "");
	check(s.commands == 4 * ROUNDS && !s.strangers, name, "%llu commands, %llu wrong", u(s.commands), u(s.strangers));
	close_ours(&s.files);
}

struct removal {
	int vm, result;
	pid_t tid;
	bool done;
};

static void *deassign(void *arg)
{
	struct removal *r = arg;

	__atomic_store_n(&r->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	r->result = set_region(r->vm, NULL, 0, REGION_SIZE, KVM_IOREGION_DEASSIGN);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A region goes when the access that is under way has been answered, and later ones are exits. */
static void removed(void)
{
	struct setup s;
	struct kvm_ioregion_cmd cmd;
	struct removal r;
	pthread_t thread;
	bool early;

	set_up(&s, open_files("stream"), 0);
	begin(&s.v, LW, REGION_GPA, 0, 0);
	if (!next(&s.f, &cmd))
		broken("the other side ended");
	r = (struct removal){ .vm = s.g.vm };
	if (pthread_create(&thread, NULL, deassign, &r))
		broken("no thread");
	in_state(&r.tid, 'D');
	early = __atomic_load_n(&r.done, __ATOMIC_ACQUIRE) || comes(s.f.commands, 0);
	respond(&s.f, 11);
	end(&s.v);
	pthread_join(thread, NULL);
	check(!early && !r.result && s.v.stopped && s.v.a0 == 11, "a region that is removed answers first", "early %d, result %d, a0 %llu",
	      early, r.result, u(s.v.a0));
	check(comes(s.f.commands, PATIENCE_US / 1000) && !read(s.f.commands, &cmd, 1), "and then lets go of its files", "no end");
	prepare(&s.v, LW, REGION_GPA, 0, 0);
	run(&s.v);
	check(!s.v.stopped && s.v.run->mmio.phys_addr == REGION_GPA, "accesses are exits again", "stopped %d", s.v.stopped);
	tear_down(&s);
}

/* A process that is killed while its vCPU waits goes, and its files with it. */
static void killed(void)
{
	struct files f = open_files("stream");
	struct kvm_ioregion_cmd cmd;
	int status, got;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		broken("fork");
	if (!child) {
		struct guest g;
		struct vcpu v;

		make_guest(&g);
		make_vcpu(&v, &g, 0);
		add_region(g.vm, &f, 0, REGION_SIZE, 0);
		close_ours(&f);
		prepare(&v, LW, REGION_GPA, 0, 0);
		run(&v);
		_exit(3);
	}
	close_kvms(&f);
	if (!next(&f, &cmd))
		broken("the child ended");
	/* Afterwards nothing else ends the wait. */
	kill(child, SIGUSR1);
	in_state(&child, 'D');
	kill(child, SIGKILL);
	got = waitpid(child, &status, 0);
	check(got == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "who waits can be killed", "status %#x", status);
	check(comes(f.commands, PATIENCE_US / 1000) && !read(f.commands, &cmd, 1), "its files end with it", "no end");
	close_ours(&f);
}

int main(void)
{
	static const char *const kinds[] = { "stream", "seqpacket", "pipes" };
	struct sigaction action = { .sa_handler = on_signal };
	unsigned int fds;

	kvm = open_kvm();
	fds = open_fds();
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
	refusals();
	for (unsigned int i = 0; i < 3; i++) {
		accesses(kinds[i]);
		posted(kinds[i]);
		interrupted(kinds[i], LW);
		interrupted(kinds[i], SW);
		no_room(kinds[i]);
		ends(kinds[i]);
		together(kinds[i], false);
		together(kinds[i], true);
	}
	/* A packet is one piece. */
	pieces("stream");
	pieces("pipes");
	removed();
	killed();
	check(open_fds() == fds, "no file is left open", "%u, then %u", fds, open_fds());
	close(kvm);
	return failures != 0;
}
