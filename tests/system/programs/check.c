/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DEBUGFS "/sys/kernel/debug/haiov/"

int failures;

void check(bool good, const char *name, const char *why, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, why);
	vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	if (good) {
		printf("ok %s\n", name);
	} else {
		failures++;
		printf("not ok %s: %s\n", name, text);
	}
	fflush(stdout);
}

void broken(const char *what, ...)
{
	va_list ap;

	printf("broken: ");
	va_start(ap, what);
	vprintf(what, ap);
	va_end(ap);
	printf(" (errno %d, %s)\n", errno, strerror(errno));
	fflush(stdout);
	_exit(2);
}

int try_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) == -1 ? errno : 0;
}

static char *read_text(const char *path)
{
	size_t size = 0, room = 65536;
	char *text = malloc(room + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (!text)
		broken("no memory");
	if (fd >= 0) {
		while ((got = read(fd, text + size, room - size)) > 0) {
			size += got;
			if (size == room) {
				room *= 2;
				text = realloc(text, room + 1);
				if (!text)
					broken("no memory");
			}
		}
		close(fd);
	}
	text[size] = '\0';
	return text;
}

static char *read_state(const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "%s", file);
	return read_text(path);
}

char *module_state(void)
{
	static const char *const files[] = { "vms", "routes", "harts", "mmio", "signals", "contexts" };
	char *all = strdup("");

	for (size_t i = 0; all && i < sizeof(files) / sizeof(files[0]); i++) {
		char *part = read_state(files[i]), *before = all;

		if (asprintf(&all, "%s%s\n", before, part) < 0)
			all = NULL;
		free(before);
		free(part);
	}
	if (!all)
		broken("no memory");
	return all;
}

uint64_t state_sum_of(const char *file, const char *which, const char *key)
{
	char *text = read_state(file), *save, *line, word[64];
	uint64_t sum = 0;
	size_t len;

	len = snprintf(word, sizeof(word), " %s=", key);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strstr(line, word);

		if (!strncmp(line, word + 1, len - 1))
			at = line - 1;
		if (at && strstr(line, which))
			sum += strtoull(at + len, NULL, 10);
	}
	free(text);
	return sum;
}

uint64_t state_sum(const char *file, const char *key)
{
	return state_sum_of(file, "", key);
}

static uint64_t number_after(const char *path, const char *name)
{
	char *text = read_text(path), *save, *line;
	uint64_t value = 0;
	bool found = false;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, name, strlen(name))) {
			value = strtoull(line + strlen(name), NULL, 10);
			found = true;
		}
	}
	free(text);
	if (!found)
		broken("no %s in %s", name, path);
	return value;
}

uint64_t veic_counter(const char *name)
{
	char word[64];

	snprintf(word, sizeof(word), "%s ", name);
	return number_after(DEBUGFS "counters", word);
}

uint64_t meminfo(const char *key)
{
	char word[64];

	snprintf(word, sizeof(word), "%s:", key);
	return number_after("/proc/meminfo", word);
}

bool memory_is_exact(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) != 0;
}

unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	if (!dir)
		broken("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	return err;
}

void write_file(const char *path, const char *text)
{
	errno = put_file(path, text);
	if (errno)
		broken("write %s", path);
}

/* Of the kernel; what its SBI calls make of an error that they do not know, such as that the hart has not stopped yet */
#define ENOTSUPP	524

int cpu_online(unsigned int cpu, bool online)
{
	uint64_t deadline = now_us() + 10000000;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
	do
		err = put_file(path, online ? "1" : "0");
	/* EINVAL is what OpenSBI says of a hart that is on its way to stop. */
	while (online && (err == EOPNOTSUPP || err == ENOTSUPP || err == EINVAL) && now_us() < deadline);
	return err;
}

void pin_to(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		broken("cannot run on CPU %u", cpu);
}

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

struct baseline take_baseline(void)
{
	return (struct baseline){ .state = module_state(), .fds = open_fds(),
				  .slab_kb = meminfo("SUnreclaim"), .free_kb = meminfo("MemFree") };
}

bool back_to(const struct baseline *b, const char *name)
{
	uint64_t deadline = now_us() + PATIENCE_US;
	char *state = module_state();
	bool same;

	while (strcmp(state, b->state) && now_us() < deadline) {
		free(state);
		sched_yield();
		state = module_state();
	}
	same = !strcmp(state, b->state);
	check(same, name, "state was\n%s\nand is\n%s", b->state, state);
	free(state);
	return same;
}

uint64_t slab_settles(uint64_t limit_kb)
{
	uint64_t deadline = now_us() + PATIENCE_US, slab;

	while ((slab = meminfo("SUnreclaim")) > limit_kb && now_us() < deadline)
		sched_yield();
	return slab;
}

void no_leak(const struct baseline *warm, unsigned int cycles)
{
	/* The smallest thing that could leak is one slab object of 8 bytes a cycle. */
	uint64_t limit_kb = warm->slab_kb + cycles * 8 / 1024, slab, free_kb;

	if (!memory_is_exact() || cycles < LEAK_CYCLES)
		return;
	slab = slab_settles(limit_kb);
	check(slab <= limit_kb, "no slab object leaks", "%llu kB, were %llu; %llu would be 8 bytes a cycle",
	      (unsigned long long)slab, (unsigned long long)warm->slab_kb, (unsigned long long)limit_kb);
	/* Nor a page in every fourth cycle; 4 MiB are for what the rest of the system does meanwhile. */
	free_kb = meminfo("MemFree");
	check(free_kb + cycles + 4096 >= warm->free_kb, "no page leaks", "%llu kB free, were %llu",
	      (unsigned long long)free_kb, (unsigned long long)warm->free_kb);
}

void no_vm_leak(uint64_t slab_kb, uint64_t free_kb, unsigned int vms)
{
	uint64_t deadline = now_us() + PATIENCE_US;

	if (!memory_is_exact())
		return;
	while ((meminfo("SUnreclaim") > slab_kb + vms * 16 || meminfo("MemFree") + vms * 512 + 1024 < free_kb) &&
	       now_us() < deadline)
		sched_yield();
	check(meminfo("SUnreclaim") <= slab_kb + vms * 16, "nor slab objects", "%llu kB, were %llu after one",
	      (unsigned long long)meminfo("SUnreclaim"), (unsigned long long)slab_kb);
	check(meminfo("MemFree") + vms * 512 + 1024 >= free_kb, "nor memory", "%llu kB free, were %llu after one",
	      (unsigned long long)meminfo("MemFree"), (unsigned long long)free_kb);
}
