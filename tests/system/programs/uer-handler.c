/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The handler. It is built like the rest of the program, and keeps to the integer registers because
 * there is nothing in it that would want others (-mno-implicit-float).
 */
#include "uer.h"

#include <linux/haiov.h>

#define csr_read(number)                                                       \
	({                                                                     \
		uint64_t value_;                                               \
		asm volatile("csrr %0, " #number : "=r"(value_) : : "memory"); \
		value_;                                                        \
	})

uint64_t device_access(volatile uint64_t *registers, uint64_t gpa, unsigned int size, int is_write, uint64_t value)
{
	volatile char *at = (volatile char *)registers + gpa % DEVICE_SIZE;
	struct port *port = (struct port *)((uintptr_t)at & ~(PORT_SIZE - 1ULL));

	if (is_write && gpa & PORTS) {
		if (size == 8) {
			port->wrong += value != port->value + PORT_STEP || port->stores != port->halves;
			port->stores++;
		} else {
			port->halves++;
			port->wrong += (uint32_t)value != (uint32_t)port->value || port->stores != port->halves;
		}
	}

	switch (size) {
	case 1:
		return is_write ? *(volatile uint8_t *)at = value : *(volatile uint8_t *)at;
	case 2:
		return is_write ? *(volatile uint16_t *)at = value : *(volatile uint16_t *)at;
	case 4:
		return is_write ? *(volatile uint32_t *)at = value : *(volatile uint32_t *)at;
	default:
		return is_write ? *(volatile uint64_t *)at = value : *(volatile uint64_t *)at;
	}
}

static long ecall(uint64_t number, uint64_t argument)
{
	register uint64_t a7 asm("a7") = number;
	register uint64_t a0 asm("a0") = argument;

	asm volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
	return a0;
}

/* The access as an instruction of 32 bits; loads and stores of integers only. */
static void emulate(struct frame *f)
{
	uint32_t inst = f->inst;
	unsigned int shift = 64 - (8 << (inst >> 12 & 3)), size = 1 << (inst >> 12 & 3);
	uint64_t value;

	if (f->cause == 25) {
		device_access(f->registers, f->gpa, size, 1, f->x[inst >> 20 & 31]);
	} else {
		value = device_access(f->registers, f->gpa, size, 0, 0);
		if (!(inst >> 14 & 1))
			value = (int64_t)(value << shift) >> shift;
		if (inst >> 7 & 31)
			f->x[inst >> 7 & 31] = value;
	}
	asm volatile("csrw 0x041, %0" : : "r"(f->pc + (inst & 2 ? 4 : 2)) : "memory");
}

int uer_handle(struct frame *f)
{
	uint64_t n = f->frames + 1;

	f->inside = 1;
	f->frames = n;
	f->status = csr_read(0x000);
	f->pc = csr_read(0x041);
	f->cause = csr_read(0x042);
	f->gpa = csr_read(0x043);
	f->inst = csr_read(0x810);

	switch (f->mode) {
	case MODE_DEVICE:
		break;
	case MODE_PUNT_SOME:
		if (n & 1)
			break;
		/* fallthrough */
	case MODE_PUNT:
		f->inside = 0;
		return OUTCOME_PUNT;
	case MODE_SPIN:
		for (uint64_t i = f->spins; i; i--)
			asm volatile("");
		break;
	case MODE_READ:
		f->result = *(volatile uint64_t *)f->address;
		break;
	case MODE_WRITE:
		*(volatile uint64_t *)f->address = f->argument;
		break;
	case MODE_CALL:
		f->result = ((uint64_t(*)(void))f->address)();
		break;
	case MODE_ECALL:
		f->result = ecall(f->number, f->argument);
		break;
	case MODE_LOOP:
		f->result = 1;
		for (;;)
			asm volatile("");
	case MODE_JUMP:
		asm volatile("jr %0" : : "r"(f->address));
		break;
	case MODE_FP:
		asm volatile("fmv.d.x ft0, zero");
		break;
	case MODE_VECTOR:
		asm volatile(".4byte 0xcd027057"); /* vsetivli zero, 4, e32 */
		break;
	case MODE_EBREAK:
		asm volatile("ebreak");
		break;
	case MODE_ILLEGAL:
		asm volatile(".4byte 0xc0001073"); /* unimp */
		break;
	case MODE_SRET:
		asm volatile("sret");
		break;
	case MODE_WRITE_CSR:
		asm volatile("csrw 0x000, zero");
		break;
	}
	emulate(f);
	f->inside = 0;
	f->ended++;
	return OUTCOME_URET;
}
