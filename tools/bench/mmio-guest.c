// SPDX-License-Identifier: GPL-2.0
/*
 * A guest of QEMU's virt machine without an operating system: loads and stores of device registers in a tight loop, for
 * tools/bench/qemu-mmio.sh, which reads what it says.
 *
 * It goes through its ways REPEAT times. Before each, and in the end, it says "::done 0" and waits in wfi until
 * its host stops and continues it, so that the host can read its counters while no access is under way. All that it
 * says goes by SBI, which is no access of a device. After each way: "took WAY TICKS OTHERS", where OTHERS is how many
 * accesses it has made since it last waited, besides the N that are measured.
 *
 * Around what is counted stand the markers of the instruction counter (tools/insn), with the number of the way, plus
 * REGION, as region. No interrupt is enabled.
 */
#include <stdint.h>

#define SERIAL		0x10000000UL
#define THR		0
#define FCR		2
#define FCR_ENABLE	1
#define LSR		5
#define LSR_TEMT	0x40
#define SCR		7
#define PATTERN		0x5a

#define VIRTIO		0x10001000UL
#define DRIVER_FEATURES	0x020
#define DRIVER_FEATURES_SEL 0x024
#define QUEUE_SEL	0x030
#define QUEUE_NUM	0x038
#define QUEUE_READY	0x044
#define QUEUE_NOTIFY	0x050
#define INTERRUPT_STATUS 0x060
#define STATUS		0x070
#define STATUS_KNOWN	3
#define STATUS_FEATURES	8
#define STATUS_RUNS	4
#define QUEUE_DESC	0x080
#define QUEUE_DRIVER	0x090
#define QUEUE_DEVICE	0x0a0
#define FEATURE_VERSION_1_HIGH 1
#define QUEUE_SIZE	8

#define REGION		40

enum way { EMPTY, SERIAL_READ, SERIAL_WRITE, VIRTIO_READ, VIRTIO_WRITE, NR_WAYS };

static const char *const names[NR_WAYS] = { "empty", "serial-read", "serial-write", "virtio-read", "virtio-write" };

/* Nothing is ever put into it: a notification finds it empty. */
static uint8_t queue[4096] __attribute__((aligned(4096)));
static unsigned long others;

/* At the lowest address, where QEMU begins. */
asm(".text\n"
    ".globl _start\n"
    "_start:\n"
    "	lla	sp, stack_end\n"
    "	call	guest\n"
    "1:	wfi\n"
    "	j	1b\n"
    ".bss\n"
    ".balign	16\n"
    "	.zero	4096\n"
    "stack_end:\n"
    ".text");

static void say_byte(char c)
{
	register long a0 asm("a0") = c;
	register long a7 asm("a7") = 1; /* legacy console, put a byte */

	asm volatile("ecall" : "+r"(a0) : "r"(a7) : "a1", "memory");
}

static void say(const char *text)
{
	while (*text)
		say_byte(*text++);
}

static void say_number(unsigned long n)
{
	if (n >= 10)
		say_number(n / 10);
	say_byte('0' + n % 10);
}

static void rest(void)
{
	say("::done 0\n");
	others = 0;
	asm volatile("wfi" : : : "memory");
}

static uint8_t in8(unsigned long at)
{
	others++;
	return *(volatile uint8_t *)at;
}

static void out8(unsigned long at, uint8_t value)
{
	others++;
	*(volatile uint8_t *)at = value;
}

static uint32_t in32(unsigned long at)
{
	others++;
	return *(volatile uint32_t *)at;
}

static void out32(unsigned long at, uint32_t value)
{
	others++;
	*(volatile uint32_t *)at = value;
}

static unsigned long now(void)
{
	unsigned long ticks;

	asm volatile("rdtime %0" : "=r"(ticks) : : "memory");
	return ticks;
}

#define MARK(imm) asm volatile("slti x0, x0, %0" : : "i"(imm) : "memory")

/* One function per way, all of the same shape, so that subtracting the empty one leaves the access. */
#define DEFINE_LOOP(name, region, access)							\
static __attribute__((noinline)) uint32_t loop_##name(unsigned long at, uint32_t value)		\
{												\
	unsigned long n = N;									\
												\
	MARK(0x400 | (REGION + (region)));							\
	do {											\
		access;										\
		n--;										\
		asm volatile("" : "+r"(n), "+r"(value) : : "memory");				\
	} while (n);										\
	MARK(0x500 | (REGION + (region)));							\
	return value;										\
}

DEFINE_LOOP(empty, EMPTY, (void)at)
DEFINE_LOOP(serial_read, SERIAL_READ, value = *(volatile uint8_t *)at)
DEFINE_LOOP(serial_write, SERIAL_WRITE, *(volatile uint8_t *)at = value)
DEFINE_LOOP(virtio_read, VIRTIO_READ, value = *(volatile uint32_t *)at)
DEFINE_LOOP(virtio_write, VIRTIO_WRITE, *(volatile uint32_t *)at = value)

/* A driver of the device that has a queue and never uses it. */
static void start_virtio(void)
{
	const unsigned long rings[][2] = {
		{ QUEUE_DESC, 0 }, { QUEUE_DRIVER, 1024 }, { QUEUE_DEVICE, 2048 },
	};

	out32(VIRTIO + STATUS, 0);
	out32(VIRTIO + STATUS, STATUS_KNOWN);
	out32(VIRTIO + DRIVER_FEATURES_SEL, 1);
	out32(VIRTIO + DRIVER_FEATURES, FEATURE_VERSION_1_HIGH);
	out32(VIRTIO + STATUS, STATUS_KNOWN | STATUS_FEATURES);
	out32(VIRTIO + QUEUE_SEL, 0);
	out32(VIRTIO + QUEUE_NUM, QUEUE_SIZE);
	for (int i = 0; i < 3; i++) {
		unsigned long ring = (unsigned long)queue + rings[i][1];

		out32(VIRTIO + rings[i][0], ring);
		out32(VIRTIO + rings[i][0] + 4, ring >> 32);
	}
	out32(VIRTIO + QUEUE_READY, 1);
	out32(VIRTIO + STATUS, STATUS_KNOWN | STATUS_FEATURES | STATUS_RUNS);
	if (in32(VIRTIO + STATUS) != (STATUS_KNOWN | STATUS_FEATURES | STATUS_RUNS))
		say("the virtio device is not what was expected\n");
}

/* The ticks that it took; what was read must be what is there. */
static unsigned long measure(enum way way)
{
	unsigned long began = now(), ended;
	uint32_t value = 0, wanted = 0;

	switch (way) {
	case SERIAL_READ:
		wanted = PATTERN;
		value = loop_serial_read(SERIAL + SCR, 0);
		break;
	case SERIAL_WRITE:
		loop_serial_write(SERIAL + THR, '.');
		break;
	case VIRTIO_READ:
		value = loop_virtio_read(VIRTIO + INTERRUPT_STATUS, PATTERN);
		break;
	case VIRTIO_WRITE:
		loop_virtio_write(VIRTIO + QUEUE_NOTIFY, 0);
		break;
	default:
		loop_empty(SERIAL, 0);
		break;
	}
	ended = now();
	if (way == SERIAL_WRITE) {
		while (!(in8(SERIAL + LSR) & LSR_TEMT))
			;
		say_byte('\n');
	}
	if (value != wanted)
		say("a register is not what it was\n");
	return ended - began;
}

void guest(void)
{
	say("::ready\n");
	/* the first access of a page installs it */
	out8(SERIAL + FCR, FCR_ENABLE);
	out8(SERIAL + SCR, PATTERN);
	start_virtio();
	rest();
	for (int i = 0; i < REPEAT; i++) {
		for (enum way way = 0; way < NR_WAYS; way++) {
			unsigned long ticks = measure(way);

			say("took ");
			say(names[way]);
			say_byte(' ');
			say_number(ticks);
			say_byte(' ');
			say_number(others);
			say_byte('\n');
			rest();
		}
	}
}
