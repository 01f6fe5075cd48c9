/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest (uer-guest.S), the handler (uer-entry.S, uer-handler.c) and their VMM (uer.c) agree on.
 */
#ifndef UER_H
#define UER_H

#define GUEST_GPA	0x80000000
#define GUEST_SIZE	0x400000
/* The orders of vCPU n are at JOB_OFFSET + n pages. */
#define JOB_OFFSET	0x100000
#define JOB_GPA		(GUEST_GPA + JOB_OFFSET)
#define SLOT_GPA	(GUEST_GPA + 0x800)

/* A device of REGISTERS_SIZE bytes in the first page of the range, and one more page after it. */
#define DEVICE_GPA	0x20000000
#define DEVICE_SIZE	0x2000
/*
 * In the upper half of each page, ports: each stored value is to be the one before plus PORT_STEP, and after each
 * store of 8 bytes comes one of its lower half, 8 bytes on.
 */
#define PORTS		0x800
#define PORT_SIZE	64
#define PORT_STEP	0x9e3779b97f4a7c15
/* Outside of any range: the guest is through with its orders. */
#define DONE_GPA	0x10000000

/* offsets in struct job */
#define JOB_IN		0
#define JOB_EXPECT	256
#define JOB_OUT		512
#define JOB_ROUNDS	768
#define JOB_DONE	776
#define JOB_STOP	784
#define JOB_BAD		792
#define JOB_USER	800
#define JOB_TRAPS	808
#define JOB_SCAUSE	816
#define JOB_STVAL	824
#define JOB_STEP	832
#define JOB_FP_IN	1024
#define JOB_FP_OUT	1280

/* offsets in struct frame */
#define FRAME_X		0
#define FRAME_STACK	256

#define OUTCOME_URET	0
#define OUTCOME_PUNT	1

#ifndef __ASSEMBLER__
#include <stdint.h>

/* What the guest is to do: load the registers, access the device, look at the registers, and again. */
struct job {
	volatile uint64_t in[32];	/* x1 to x30; x31 is where this is */
	volatile uint64_t expect[32];	/* after the access */
	volatile uint64_t out[32];
	volatile uint64_t rounds, done, stop;
	volatile uint64_t bad;		/* rounds whose registers were not as expected */
	volatile uint64_t user;		/* in VU-mode */
	volatile uint64_t traps, scause, stval;
	volatile uint64_t step;		/* added after each round to in[5] and to what is expected in x5 to x7 */
	uint64_t pad[23];
	volatile uint64_t fp_in[32], fp_out[32];
};

enum mode {
	MODE_DEVICE,		/* do what a device does */
	MODE_PUNT,		/* leave it to the VMM */
	MODE_PUNT_SOME,		/* every other time */
	MODE_SPIN,		/* after a while */
	MODE_READ,		/* after a read of *address */
	MODE_WRITE,		/* after a write to it */
	MODE_CALL,		/* after a call of it */
	MODE_ECALL,		/* after an ecall with number and argument */
	MODE_LOOP,		/* never */
	MODE_JUMP,		/* to address, with nothing put back */
	MODE_FP,
	MODE_VECTOR,
	MODE_EBREAK,
	MODE_ILLEGAL,
	MODE_SRET,
	MODE_WRITE_CSR,
};

/* One per vCPU: what uscratch points to. */
struct frame {
	uint64_t x[32];
	uint64_t stack;
	volatile uint64_t mode, address, number, argument, result, spins;
	volatile uint64_t frames;	/* begun */
	volatile uint64_t ended;	/* by URET */
	volatile uint64_t cause, gpa, inst, pc, status;	/* of the last */
	volatile uint64_t inside;	/* between begin and end */
	volatile uint64_t *registers;	/* of the device */
};

/* What the device keeps of a port. */
struct port {
	volatile uint64_t value, half;
	volatile uint64_t stores, halves;	/* that came */
	volatile uint64_t wrong;		/* of them, or loads in between */
};

extern const char uer_guest[], uer_guest_end[], uer_guest_slot[];
void uer_entry(void);
/* An access to the device; for the VMM too. The value that a load gets. */
uint64_t device_access(volatile uint64_t *registers, uint64_t gpa, unsigned int size, int is_write, uint64_t value);
#endif

#endif
