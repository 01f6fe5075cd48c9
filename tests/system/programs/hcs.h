/* SPDX-License-Identifier: GPL-2.0-only */
/* Contexts for programs: a thread that parks, its handler, and threads that are interrupted. */
#ifndef HCS_H
#define HCS_H

/* offsets in struct area */
#define AREA_ON_THREAD	0
#define AREA_SP		8
#define AREA_GP		16
#define AREA_TP		24
#define AREA_WAIT	32
#define AREA_HANDLER	56

/* offsets in struct registers */
#define REGS_F		256
#define REGS_FCSR	512

#ifndef __ASSEMBLER__
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What uscratch points to. hcs_wait() fills in the stack, which is that of its caller from there down, gp, tp and its
 * arguments; the kernel on_thread.
 */
struct area {
	uint64_t on_thread, sp, gp, tp, wait[3];
	void (*handler)(struct area *area);
};

/* Where handlers begin: calls area->handler, and returns by uret or, on the thread, by waiting. */
void hcs_entry(void);
/* The same, but always by uret. */
void hcs_entry_uret(void);
/* ioctl(fd, cmd, arg) as the system call gives it back: 0 or -errno. */
long hcs_wait(struct area *area, int fd, unsigned long cmd, void *arg);

/* x1 to x31 but sp, which is left alone, f0 to f31, fcsr. */
struct registers {
	uint64_t x[32], f[32], fcsr;
};

/* Loads all of @in, computes with them for @rounds rounds, and stores all into @out. */
void hcs_compute(const struct registers *in, struct registers *out, uint64_t rounds);
/* The same for v0 to v31, where there are vectors: @in and @out are 32 registers of vlenb bytes. */
void hcs_compute_v(const void *in, void *out, uint64_t rounds);
uint64_t hcs_vlenb(void);
/* Loads x1 to x31 of @in but sp, executes ecall, and stores them to @out. */
void hcs_ecall(const struct registers *in, struct registers *out);

/* Keeps a value in a0 until *stop. What is there then, or as soon as it is another one. */
long hcs_hold(const volatile bool *stop, long value);

/*
 * A thread that computes the same again and again, and looks whether it is. A restless one makes system calls and
 * sleeps in between.
 */
struct victim {
	pthread_t thread;
	int cpu;
	bool restless;
	volatile bool stop;
	volatile uint64_t rounds, wrong;
};

void victim_start(struct victim *v, int cpu);
void victim_start_restless(struct victim *v, int cpu);
/* Whether every round came out right, and there were rounds at all. */
bool victim_stop(struct victim *v);
#endif

#endif
