// SPDX-License-Identifier: GPL-2.0
/*
 * Sends from VS-mode with VM and route tables of many sizes, for tools/bench/bench-lookup: a program without firmware and
 * operating system. Hart 0 is the sender; all routes lead to hart 1, which sleeps.
 *
 * For each size there are sets of routes that it sends to, each drawn by a fixed pseudo-random sequence:
 *   near    a few VMs with a few VEIRQs each, next to each other: what one hart has to do with for a while
 *   spread  any of them
 * All of a set has been sent to once when counting begins. It then sends SENDS times; a loop that does not send, but is
 * the same else, comes first. Around both stand the markers of the instruction counter (tools/insn). Prints a line for
 * each:
 *   point VMS ROUTES SET sends=N sent=N hits=N walks=N misses=N wrong=N
 * where wrong counts the words of pending bits of hart 1 that are not what the routes say.
 */
#include <stdint.h>

#define TEXT(word)	TEXT_OF(word)
#define TEXT_OF(word)	#word

#define UART		0x10000000UL
#define FINISHER	0x100000
#define FINISHED	0x5555
#define FINISHED_BADLY	0x13333

#define VEIC		0x06000000UL
#define CTL		0x08
#define VMTBASE		0x10
#define INVAL		0x20
#define INVAL_ALL	1
#define HITS		0x40
#define MISSES		0x48
#define WALKS		0x50
#define SENT		0x58
#define EIP		0x11200 /* of hart 1 */
#define EIPCLR		0x11400
#define WORDS		16 /* of 64 VEIIDs */
#define TARGET		1UL

/* Where the tables are; the VM table has 16 bytes for each VM, a route table 8 for each route. */
#define VM_TABLE	0x88000000UL
#define ROUTE_TABLES	0x88100000UL
#define PAGE		4096UL
#define VALID		1UL

#define LOG2_VMS_MOST	12
#define NEAR		64 /* routes of the set of that name */
#define NEAR_VMS	8
#define MULTIPLIER	0x5851f42d4c957f2dUL

/* As tools/bench/bench-lookup has them. */
#define REGION_EMPTY	0
#define REGION_SENDS	1

struct pair {
	uint16_t veirq, vmid;
};

static struct pair pairs[SENDS];
static uint64_t random_state;

/*
 * At the lowest address, where all harts begin, in M-mode. Hart 0 goes on in HS-mode, where only the calls of
 * the sender in VS-mode arrive; whatever else traps ends the program.
 */
asm(".text\n"
    ".globl _start\n"
    "_start:\n"
    "	csrr	t0, mhartid\n"
    "	bnez	t0, 2f\n"
    "	lla	sp, stack_end\n"
    "	lla	t0, trapped\n"
    "	csrw	mtvec, t0\n"
    "	csrw	stvec, t0\n"
    "	li	t0, -1\n" /* all memory for all modes */
    "	csrw	pmpaddr0, t0\n"
    "	li	t0, 0x1f\n"
    "	csrw	pmpcfg0, t0\n"
    "	li	t0, 1 << 10\n" /* the call from VS-mode */
    "	csrw	medeleg, t0\n"
    "	li	t0, 3 << 11\n"
    "	csrc	mstatus, t0\n"
    "	li	t0, 1 << 11\n"
    "	csrs	mstatus, t0\n"
    "	lla	t0, run\n"
    "	csrw	mepc, t0\n"
    "	mret\n"
    "2:	wfi\n"
    "	j	2b\n"
    "	.balign	4\n"
    "trapped:\n"
    "	li	t0, " TEXT(FINISHED_BADLY) "\n"
    "	li	t1, " TEXT(FINISHER) "\n"
    "	sw	t0, 0(t1)\n"
    "	j	trapped\n"
    ".bss\n"
    ".balign	16\n"
    "	.zero	4096\n"
    "stack_end:\n"
    ".text");

/*
 * Goes through n pairs: becomes the vCPU of the pair's VM, enters VS-mode at @guest with the VEIRQ in t0, and comes back by
 * the call at its end. a0 pairs, a1 n, a2 guest.
 */
#define PASS(name, before, after)			\
	"	.balign	4\n"				\
	"	.globl	" #name "\n"			\
	#name ":\n"					\
	"	li	t3, 1\n"			\
	"	slli	t3, t3, 63\n" /* hveictl.EN */	\
	"	csrr	t4, stvec\n"			\
	"	lla	t1, 2f\n"			\
	"	csrw	stvec, t1\n"			\
	"	li	t1, 1 << 7\n" /* hstatus.SPV */	\
	"	csrs	0x600, t1\n"			\
	"	li	t1, 1 << 8\n" /* sstatus.SPP */	\
	"	csrs	sstatus, t1\n"			\
	before						\
	"1:	lhu	t0, 0(a0)\n"			\
	"	lhu	t1, 2(a0)\n"			\
	"	or	t1, t1, t3\n"			\
	"	csrw	0x6c1, t1\n" /* hveictl */	\
	"	csrw	sepc, a2\n"			\
	"	sret\n"					\
	"	.balign	4\n"				\
	"2:	addi	a0, a0, 4\n"			\
	"	addi	a1, a1, -1\n"			\
	"	bnez	a1, 1b\n"			\
	after						\
	"	csrw	stvec, t4\n"			\
	"	ret\n"

#define BEGIN(region)	"	slti	x0, x0, 0x400 | " TEXT(region) "\n"
#define END(region)	"	slti	x0, x0, 0x500 | " TEXT(region) "\n"

asm(PASS(pass, "", "")
    PASS(pass_empty, BEGIN(REGION_EMPTY), END(REGION_EMPTY))
    PASS(pass_sends, BEGIN(REGION_SENDS), END(REGION_SENDS))
    "	.balign	4\n"
    "guest_empty:\n"
    "	ecall\n"
    "	.balign	4\n"
    "guest_send:\n"
    "	fence	w, o\n"
    "	csrw	0x5d2, t0\n" /* svei */
    "	ecall\n");

void pass(const struct pair *list, unsigned long n, const char *guest);
void pass_empty(const struct pair *list, unsigned long n, const char *guest);
void pass_sends(const struct pair *list, unsigned long n, const char *guest);
extern const char guest_empty[], guest_send[];

static uint64_t veic(unsigned long offset)
{
	return *(volatile uint64_t *)(VEIC + offset);
}

static void set_veic(unsigned long offset, uint64_t value)
{
	asm volatile("fence iorw, iorw" : : : "memory");
	*(volatile uint64_t *)(VEIC + offset) = value;
	asm volatile("fence iorw, iorw" : : : "memory");
}

static void say(const char *text)
{
	while (*text)
		*(volatile uint8_t *)UART = *text++;
}

static void say_number(unsigned long n)
{
	if (n >= 10)
		say_number(n / 10);
	*(volatile uint8_t *)UART = '0' + n % 10;
}

static void say_field(const char *name, unsigned long n)
{
	say(name);
	say_number(n);
}

/* Less than @below, which is a power of two. */
static unsigned int draw(unsigned int below)
{
	random_state = random_state * MULTIPLIER + 1;
	return (random_state >> 33) & (below - 1);
}

/* Not 0, and different for neighbors. */
static unsigned int veiid_of(unsigned int vmid, unsigned int veirq)
{
	return 1 + (vmid * 769 + veirq) % (WORDS * 64 - 1);
}

static void make_tables(unsigned int log2_vms, unsigned int log2_routes)
{
	unsigned long size = 8UL << log2_routes;

	if (size < PAGE)
		size = PAGE;
	for (unsigned int vmid = 0; vmid < 1u << log2_vms; vmid++) {
		uint64_t *routes = (uint64_t *)(ROUTE_TABLES + vmid * size);
		uint64_t *vm = (uint64_t *)(VM_TABLE + vmid * 16);

		for (unsigned int veirq = 0; veirq < 1u << log2_routes; veirq++)
			routes[veirq] = TARGET << 32 | (uint64_t)veiid_of(vmid, veirq) << 16 | VALID;
		vm[0] = (uint64_t)routes | log2_routes << 1 | VALID;
		vm[1] = 0;
	}
	set_veic(VMTBASE, VM_TABLE | log2_vms);
	set_veic(INVAL, INVAL_ALL);
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* The pairs that are sent to. Gives how many there are, from the first on, until each one has been there once. */
static unsigned int draw_near(unsigned int vms, unsigned int routes)
{
	unsigned int near_vms = least(vms, NEAR_VMS), near_routes = least(routes, vms > 1 ? NEAR / NEAR_VMS : NEAR);
	unsigned int first_vm = draw(vms) & ~(near_vms - 1), first_route = draw(routes) & ~(near_routes - 1);
	unsigned int count = near_vms * near_routes;

	for (unsigned int i = 0; i < SENDS; i++) {
		unsigned int which = i < count ? i : draw(count);

		pairs[i].vmid = first_vm + which / near_routes;
		pairs[i].veirq = first_route + which % near_routes;
	}
	return count;
}

static unsigned int draw_spread(unsigned int vms, unsigned int routes)
{
	for (unsigned int i = 0; i < SENDS; i++) {
		pairs[i].vmid = draw(vms);
		pairs[i].veirq = draw(routes);
	}
	return SENDS;
}

static unsigned int count_wrong(void)
{
	unsigned int wrong = 0;

	for (unsigned int word = 0; word < WORDS; word++) {
		uint64_t wanted = 0;

		for (unsigned int i = 0; i < SENDS; i++) {
			unsigned int veiid = veiid_of(pairs[i].vmid, pairs[i].veirq);

			if (veiid / 64 == word)
				wanted |= 1UL << veiid % 64;
		}
		wrong += veic(EIP + 8 * word) != wanted;
	}
	return wrong;
}

static void measure(unsigned int log2_vms, unsigned int log2_routes, const char *set,
		    unsigned int (*draw_set)(unsigned int, unsigned int))
{
	static const unsigned int counters[] = { SENT, HITS, WALKS, MISSES };
	static const char *const names[] = { " sent=", " hits=", " walks=", " misses=" };

	pass(pairs, draw_set(1u << log2_vms, 1u << log2_routes), guest_send);
	for (unsigned int i = 0; i < 4; i++)
		set_veic(counters[i], 0);
	for (unsigned int i = 0; i < WORDS; i++)
		set_veic(EIPCLR + 8 * i, -1UL);
	pass_empty(pairs, SENDS, guest_empty);
	pass_sends(pairs, SENDS, guest_send);
	say_field("point ", 1u << log2_vms);
	say_field(" ", 1u << log2_routes);
	say(" ");
	say(set);
	say_field(" sends=", SENDS);
	for (unsigned int i = 0; i < 4; i++)
		say_field(names[i], veic(counters[i]));
	say_field(" wrong=", count_wrong());
	say("\n");
}

__attribute__((used)) static void run(void)
{
	random_state = 1;
	set_veic(CTL, 1);
	for (unsigned int vms = 0; vms <= LOG2_VMS_MOST; vms += 6)
		for (unsigned int routes = 0; routes <= 16; routes = routes == 12 ? 16 : routes + 6) {
			if (vms + routes > LOG2_ENTRIES)
				continue;
			make_tables(vms, routes);
			measure(vms, routes, "near", draw_near);
			measure(vms, routes, "spread", draw_spread);
			if (routes == 16)
				break;
		}
	*(volatile uint32_t *)FINISHER = FINISHED;
	for (;;)
		;
}
