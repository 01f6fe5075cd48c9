/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks of the system tests: each prints "ok NAME" or "not ok NAME: WHY" on a line of its own;
 * the script that boots the machine numbers them.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>

#define SKIPPED 77
#define LEAK_CYCLES 8192 /* of fewer, a leak of a small object each is less than what other processes take */
#define PATIENCE_US 20000000 /* what takes longer never comes; bounds waiting, is never waited out */

extern int failures;

/* Prints the result. @why is for a failure only. */
void check(bool good, const char *name, const char *why, ...)
	__attribute__((format(printf, 3, 4)));
/* Ends the program: something that the test needs, and does not test, went wrong. */
void broken(const char *what, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A figure for %llu. */
static inline unsigned long long u(uint64_t value)
{
	return value;
}

/* ioctl with a pointer; 0, or the errno. */
int try_ioctl(int fd, unsigned long cmd, void *arg);

/* The state that the module shows in debugfs (vms, routes, harts, mmio, signals, contexts), as text; to be freed. */
char *module_state(void);
/* One number of the state: the sum of "KEY=N" over all lines of the file. */
uint64_t state_sum(const char *file, const char *key);
/* The same for the lines that contain @which only. */
uint64_t state_sum_of(const char *file, const char *which, const char *key);
/* A counter of the VEIC. */
uint64_t veic_counter(const char *name);
/* A number in kB out of /proc/meminfo. */
uint64_t meminfo(const char *key);
/*
 * Whether amounts of memory say anything: with KASAN what is freed stays in quarantine, and the
 * detectors keep books of their own. There kmemleak looks for leaks instead.
 */
bool memory_is_exact(void);
/* How many files this process has open. */
unsigned int open_fds(void);

/* What must be as before once everything of a test is gone. */
struct baseline {
	char *state;
	unsigned int fds;
	uint64_t slab_kb, free_kb;
};

struct baseline take_baseline(void);
/* Waits for that, since files close in the background when a process is killed. */
bool back_to(const struct baseline *b, const char *name);
/* The kB of slab that cannot be reclaimed, once they are @limit_kb at most or stay above: RCU frees late. */
uint64_t slab_settles(uint64_t limit_kb);
/* Checks that none of @cycles of something has left memory behind, where amounts of memory say anything. */
void no_leak(const struct baseline *warm, unsigned int cycles);
/*
 * Checks the same of @vms killed VMs, of 2 MiB each, since @slab_kb and @free_kb were seen. The bounds are above what the
 * system does by itself, and hold for whole VMs; small objects are what no_leak() looks for. Freeing goes
 * on in the background.
 */
void no_vm_leak(uint64_t slab_kb, uint64_t free_kb, unsigned int vms);

void write_file(const char *path, const char *text);
/*
 * Takes a CPU off or brings it back; 0, or the errno. The firmware may still be stopping a CPU that is to
 * come back (it says that it is not supported, or not valid): that is waited for.
 */
int cpu_online(unsigned int cpu, bool online);
void pin_to(unsigned int cpu);

uint64_t now_us(void);

#endif
