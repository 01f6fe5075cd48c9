/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM with vCPUs that run uer-guest.S, their handlers, and orders to them. What cannot be done ends the program. */
#ifndef UER_VM_H
#define UER_VM_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "uer.h"

#define PAGE 4096
#define STACK_SIZE 65536
#define MAX_VCPUS 4
#define FOREVER (~0ULL)
#define CORE(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(name))

/* Accesses at x11, of x5 where there is a choice */
#define SB 0x00558023
#define SH 0x00559023
#define SW 0x0055a023
#define SD 0x0055b023
#define LB 0x00058283
#define LH 0x00059283
#define LW 0x0005a283
#define LD 0x0005b283
#define LBU 0x0005c283
#define LHU 0x0005d283
#define LWU 0x0005e283
#define C_SW_X12 0x0001c190	/* c.sw x12, 0(x11); c.nop */
#define C_SD_X12 0x0001e190
#define C_LW_X12 0x00014190
#define C_LD_X12 0x00016190
#define AMOADD_D_X5 0x0055b02f
#define JR_X11 0x00058067
#define LD_X6 0x0005b303
#define SW_AT_8 0x0055a423
#define LW_X7_AT_8 0x0085a383

struct vm;

struct vcpu {
	struct vm *vm;
	int fd, stats;
	struct kvm_run *run;
	struct job *job;
	struct frame *frame;
	uint64_t object;		/* of /dev/haiov, 0 if it has no handler */
	pthread_t thread;
	int cpu, result;
	volatile uint64_t exits;	/* of the device's accesses to the VMM */
	volatile uint64_t interrupted;	/* returns of KVM_RUN with EINTR */
	volatile uint64_t inconsistent;	/* those where the vCPU's registers were no guest's */
	volatile int tid, over;		/* of the thread */
	atomic_int pause;		/* wait for resumed when KVM_RUN next returns with EINTR */
	sem_t paused, resumed;
};

struct vm {
	int kvm, fd, haiov;
	char *memory;
	uint64_t *registers;
	uint64_t object, range;
	int nr_vcpus;
	struct vcpu vcpu[MAX_VCPUS];
};

/* Anonymous memory. */
void *map(size_t size, int prot);

/* Objects of /dev/haiov: the VM's binding, a vCPU's handler, the device's range. */
void destroy(struct vm *vm, uint64_t *object);
void bind_vm(struct vm *vm);
void set_handler(struct vcpu *v);
int try_range(struct vm *vm, uint64_t gpa, uint64_t length, uint64_t *object);
void add_range(struct vm *vm);

uint64_t stat_of(struct vcpu *v, const char *name);
void set_reg(struct vcpu *v, uint64_t id, uint64_t value);
uint64_t get_reg(struct vcpu *v, uint64_t id);
uint64_t job_gpa(struct vcpu *v);
/* The guest's program from its beginning. */
void start_over(struct vcpu *v);

void create_vm_only(struct vm *vm);
/* A VM with one vCPU and no handler. */
void create_vm(struct vm *vm);
void add_vcpu(struct vm *vm);
/* The same with a range and a handler. */
void create(struct vm *vm);
void close_vm(struct vm *vm);

/* No frame, and the guest's program with its x31: what another thread may find at any time. */
bool is_guest(struct vcpu *v);
/* Until the guest has done its job: 0; or the exit reason; or -errno. */
int run(struct vcpu *v);

/* What the guest does in each round. */
void set_accesses(struct vm *vm, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth);
/* One access in each round, with all registers full. */
void prepare(struct vcpu *v, uint32_t inst, uint64_t rounds);
bool went_well(struct vcpu *v, int result, uint64_t rounds);
void expect_well(struct vcpu *v, int result, uint64_t rounds, const char *name);
void expect_count(uint64_t value, uint64_t wanted, const char *name);

void wait_for(volatile uint64_t *count, uint64_t least, const char *what);
/* Runs it in a thread of its own; returns after the first round. */
void begin(struct vcpu *v);
/* Ends that; what run() gave. */
int end(struct vcpu *v);
/* For signals that are to interrupt and nothing else. */
void on_signal(int signal);

/* Scenarios: uer-features.c */
void steal_time(uint64_t milliseconds);
void dirty(uint64_t times);
void walk(uint64_t unused);
/* uer-trace.c */
void trace(uint64_t rounds);
/* and uer-soak.c */
void soak(uint64_t seconds);

#endif
