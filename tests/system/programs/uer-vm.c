/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "uer-vm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/haiov.h>
#include <linux/kvm.h>

#include "check.h"

#define SAME(type, field, offset) \
	_Static_assert(offsetof(struct type, field) == (offset), "uer.h differs: " #field)
SAME(job, in, JOB_IN);
SAME(job, expect, JOB_EXPECT);
SAME(job, out, JOB_OUT);
SAME(job, rounds, JOB_ROUNDS);
SAME(job, done, JOB_DONE);
SAME(job, stop, JOB_STOP);
SAME(job, bad, JOB_BAD);
SAME(job, user, JOB_USER);
SAME(job, step, JOB_STEP);
SAME(job, traps, JOB_TRAPS);
SAME(job, scause, JOB_SCAUSE);
SAME(job, stval, JOB_STVAL);
SAME(job, fp_in, JOB_FP_IN);
SAME(job, fp_out, JOB_FP_OUT);
SAME(frame, x, FRAME_X);
SAME(frame, stack, FRAME_STACK);

#define NOP 0x00000013

void *map(size_t size, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		broken("mmap");
	return at;
}

void destroy(struct vm *vm, uint64_t *object)
{
	struct haiov_destroy d = { .size = sizeof(d), .id = *object };

	errno = try_ioctl(vm->haiov, HAIOV_DESTROY, &d);
	if (errno)
		broken("HAIOV_DESTROY");
	*object = 0;
}

void bind_vm(struct vm *vm)
{
	struct haiov_vm_create c = { .size = sizeof(c), .kvm_fd = vm->fd, .nr_veirqs = 1 };

	vm->haiov = open("/dev/haiov", O_RDWR | O_CLOEXEC);
	if (vm->haiov < 0)
		broken("/dev/haiov");
	errno = try_ioctl(vm->haiov, HAIOV_VM_CREATE, &c);
	if (errno)
		broken("HAIOV_VM_CREATE");
	vm->object = c.out_vm_id;
}

void set_handler(struct vcpu *v)
{
	struct haiov_vcpu_create c = {
		.size = sizeof(c), .vm_id = v->vm->object, .vcpu_fd = v->fd,
		.entry = (uintptr_t)uer_entry, .data = (uintptr_t)v->frame,
	};

	errno = try_ioctl(v->vm->haiov, HAIOV_VCPU_CREATE, &c);
	if (errno)
		broken("HAIOV_VCPU_CREATE");
	v->object = c.out_vcpu_id;
}

int try_range(struct vm *vm, uint64_t gpa, uint64_t length, uint64_t *object)
{
	struct haiov_mmio_add a = { .size = sizeof(a), .vm_id = vm->object, .gpa = gpa, .length = length };
	int err = try_ioctl(vm->haiov, HAIOV_MMIO_ADD, &a);

	if (!err)
		*object = a.out_mmio_id;
	return err;
}

void add_range(struct vm *vm)
{
	errno = try_range(vm, DEVICE_GPA, DEVICE_SIZE, &vm->range);
	if (errno)
		broken("HAIOV_MMIO_ADD");
}

uint64_t stat_of(struct vcpu *v, const char *name)
{
	struct kvm_stats_header header;
	char buffer[sizeof(struct kvm_stats_desc) + 256];
	struct kvm_stats_desc *desc = (struct kvm_stats_desc *)buffer;
	uint64_t value;

	if (pread(v->stats, &header, sizeof(header), 0) != sizeof(header) || header.name_size > 256)
		broken("statistics");
	for (uint32_t i = 0; i < header.num_desc; i++) {
		size_t size = sizeof(*desc) + header.name_size;

		if (pread(v->stats, buffer, size, header.desc_offset + i * size) != (ssize_t)size)
			broken("statistics");
		if (strcmp(desc->name, name))
			continue;
		if (pread(v->stats, &value, sizeof(value), header.data_offset + desc->offset) != sizeof(value))
			broken("statistics");
		return value;
	}
	broken("no statistic %s", name);
}

void set_reg(struct vcpu *v, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	if (ioctl(v->fd, KVM_SET_ONE_REG, &reg))
		broken("KVM_SET_ONE_REG");
}

uint64_t get_reg(struct vcpu *v, uint64_t id)
{
	uint64_t value;
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	if (ioctl(v->fd, KVM_GET_ONE_REG, &reg))
		broken("KVM_GET_ONE_REG");
	return value;
}

uint64_t job_gpa(struct vcpu *v)
{
	return GUEST_GPA + ((char *)v->job - v->vm->memory);
}

void start_over(struct vcpu *v)
{
	set_reg(v, CORE(regs.pc), GUEST_GPA);
	set_reg(v, CORE(regs.a0), job_gpa(v));
	set_reg(v, CORE(mode), KVM_RISCV_MODE_S);
}

void add_vcpu(struct vm *vm)
{
	struct vcpu *v = &vm->vcpu[vm->nr_vcpus];
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };

	v->vm = vm;
	v->cpu = -1;
	sem_init(&v->paused, 0, 0);
	sem_init(&v->resumed, 0, 0);
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, vm->nr_vcpus);
	if (v->fd < 0)
		broken("KVM_CREATE_VCPU");
	v->stats = ioctl(v->fd, KVM_GET_STATS_FD, NULL);
	if (v->stats < 0)
		broken("KVM_GET_STATS_FD");
	v->run = mmap(NULL, ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		broken("mmap of the vCPU");
	v->job = (struct job *)(vm->memory + JOB_OFFSET + PAGE * vm->nr_vcpus++);
	v->frame = map(PAGE, PROT_READ | PROT_WRITE);
	v->frame->stack = (uintptr_t)map(STACK_SIZE, PROT_READ | PROT_WRITE) + STACK_SIZE;
	v->frame->registers = vm->registers;
	if (ioctl(v->fd, KVM_SET_MP_STATE, &runnable))
		broken("KVM_SET_MP_STATE");
	start_over(v);
}

void create_vm_only(struct vm *vm)
{
	struct kvm_userspace_memory_region region = { .guest_phys_addr = GUEST_GPA, .memory_size = GUEST_SIZE };

	memset(vm, 0, sizeof(*vm));
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	vm->memory = map(GUEST_SIZE, PROT_READ | PROT_WRITE);
	vm->registers = map(DEVICE_SIZE, PROT_READ | PROT_WRITE);
	region.userspace_addr = (uintptr_t)vm->memory;
	if (vm->fd < 0 || ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		broken("creating a VM");
	memcpy(vm->memory, uer_guest, uer_guest_end - uer_guest);
	vm->haiov = -1;
}

void create_vm(struct vm *vm)
{
	create_vm_only(vm);
	add_vcpu(vm);
}

void create(struct vm *vm)
{
	create_vm(vm);
	bind_vm(vm);
	add_range(vm);
	set_handler(&vm->vcpu[0]);
}

void close_vm(struct vm *vm)
{
	if (vm->haiov >= 0)
		close(vm->haiov);
	for (int i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpu[i].run, ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
		munmap((void *)(uintptr_t)(vm->vcpu[i].frame->stack - STACK_SIZE), STACK_SIZE);
		munmap(vm->vcpu[i].frame, PAGE);
		close(vm->vcpu[i].stats);
		close(vm->vcpu[i].fd);
	}
	close(vm->fd);
	close(vm->kvm);
	munmap(vm->memory, GUEST_SIZE);
	munmap(vm->registers, DEVICE_SIZE);
}

bool is_guest(struct vcpu *v)
{
	uint64_t pc = get_reg(v, CORE(regs.pc));

	return pc >= GUEST_GPA && pc < GUEST_GPA + (uint64_t)(uer_guest_end - uer_guest) &&
	       get_reg(v, CORE(regs.t6)) == job_gpa(v) && !get_reg(v, CORE(mode)) == !!v->job->user && !v->frame->inside;
}

/* KVM_RUN has returned with EINTR, so that other threads may use the vCPU, and wait for that. */
static void interrupted(struct vcpu *v)
{
	v->interrupted++;
	v->run->immediate_exit = 0;
	v->inconsistent += !is_guest(v);
	atomic_thread_fence(memory_order_seq_cst);
	if (!v->pause)
		return;
	sem_post(&v->paused);
	while (sem_wait(&v->resumed))
		;
}

int run(struct vcpu *v)
{
	struct kvm_run *r = v->run;
	uint64_t value;

	for (;;) {
		if (ioctl(v->fd, KVM_RUN, 0)) {
			if (errno != EINTR)
				return -errno;
			interrupted(v);
			continue;
		}
		if (r->exit_reason != KVM_EXIT_MMIO)
			return r->exit_reason;
		if (r->mmio.phys_addr == DONE_GPA)
			return 0;
		if (r->mmio.phys_addr - DEVICE_GPA >= DEVICE_SIZE)
			return KVM_EXIT_MMIO;
		value = 0;
		memcpy(&value, r->mmio.data, r->mmio.len);
		value = device_access(v->vm->registers, r->mmio.phys_addr, r->mmio.len, r->mmio.is_write, value);
		if (!r->mmio.is_write)
			memcpy(r->mmio.data, &value, r->mmio.len);
		v->exits++;
	}
}

void set_accesses(struct vm *vm, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth)
{
	uint64_t *slot = (uint64_t *)(vm->memory + (uer_guest_slot - uer_guest));

	slot[0] = (uint64_t)second << 32 | first;
	slot[1] = (uint64_t)fourth << 32 | third;
}

void prepare(struct vcpu *v, uint32_t inst, uint64_t rounds)
{
	struct job *job = v->job;

	set_accesses(v->vm, inst, NOP, NOP, NOP);
	memset(job, 0, sizeof(*job));
	for (int i = 1; i < 31; i++)
		job->in[i] = 0x0101010101010101ULL * (i + 0x80) ^ (uintptr_t)v << 13;
	job->in[11] = DEVICE_GPA + 8;
	job->in[31] = job_gpa(v);
	memcpy((void *)job->expect, (void *)job->in, sizeof(job->in));
	for (int i = 0; i < 32; i++)
		job->fp_in[i] = 0x4010000000000000ULL + i * 0x123456789ULL;
	job->rounds = rounds;
	v->exits = v->interrupted = v->inconsistent = 0;
	v->frame->frames = v->frame->ended = v->frame->result = v->frame->inside = 0;
}

bool went_well(struct vcpu *v, int result, uint64_t rounds)
{
	struct job *job = v->job;

	return !result && job->done == rounds && !job->bad && !job->traps && !v->inconsistent &&
	       !memcmp((void *)job->fp_in, (void *)job->fp_out, sizeof(job->fp_in));
}

void expect_well(struct vcpu *v, int result, uint64_t rounds, const char *name)
{
	struct job *job = v->job;
	int reg = 0;

	for (int i = 1; i < 32 && !reg; i++)
		if (job->out[i] != job->expect[i])
			reg = i;
	check(went_well(v, result, rounds), name,
	      "result %d, %llu of %llu rounds, bad %llu (x%d is %#llx, not %#llx), traps %llu (%llu, %#llx), inconsistent %llu, fp %d",
	      result, (long long)job->done, (long long)rounds, (long long)job->bad, reg, (long long)job->out[reg],
	      (long long)job->expect[reg], (long long)job->traps, (long long)job->scause, (long long)job->stval,
	      (long long)v->inconsistent, memcmp((void *)job->fp_in, (void *)job->fp_out, sizeof(job->fp_in)));
}

void expect_count(uint64_t value, uint64_t wanted, const char *name)
{
	check(value == wanted, name, "%llu, not %llu", (long long)value, (long long)wanted);
}

static void *run_thread(void *arg)
{
	struct vcpu *v = arg;

	if (v->cpu >= 0)
		pin_to(v->cpu);
	v->tid = gettid();
	v->result = run(v);
	v->over = 1;
	return NULL;
}

void wait_for(volatile uint64_t *count, uint64_t least, const char *what)
{
	uint64_t deadline = now_us() + 60000000;

	while (*count < least) {
		if (now_us() > deadline)
			broken("%s: %llu, waiting for %llu", what, (long long)*count, (long long)least);
		sched_yield();
	}
}

void begin(struct vcpu *v)
{
	v->tid = v->over = 0;
	if (pthread_create(&v->thread, NULL, run_thread, v))
		broken("no thread");
	wait_for(&v->job->done, 1, "rounds");
}

int end(struct vcpu *v)
{
	v->job->stop = 1;
	pthread_join(v->thread, NULL);
	return v->result;
}

void on_signal(int signal)
{
	(void)signal;
}
