/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VMM whose console is served by handlers, on a busy host: usage: uer-console SECONDS VMM ARGUMENT...
 * Runs it again and again. The guest is to print "line WRITER NUMBER" by four processes at once, each number from 1
 * to LINES in order; whatever comes between the first and the last of them is an error. Meanwhile the program
 * and its memory are swapped out, the threads of its vCPUs move from CPU to CPU, and it is stopped and goes on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define WRITERS 4
#define LINES 500
#define PAGE 4096
/* Larger ones are the guest's memory, which is not what this is about. */
#define LARGEST (32UL << 20)

static struct output {
	char line[256];
	size_t length;
	unsigned int next[WRITERS];	/* the last number of each */
	unsigned int lines, odd;
} out;

static uint64_t gone, faults, moves;

static void take_line(void)
{
	unsigned int writer, number;
	char end;

	if (sscanf(out.line, "line %u %u%c", &writer, &number, &end) == 2 && writer < WRITERS &&
	    number == out.next[writer] + 1) {
		out.next[writer] = number;
		out.lines++;
	} else if (out.lines && out.lines < WRITERS * LINES) {
		if (!out.odd++)
			printf("# not what was to come: \"%s\"\n", out.line);
	}
}

static void take_output(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n') {
			/* the guest's terminal puts one before each */
			if (out.length && out.line[out.length - 1] == '\r')
				out.length--;
			else if (out.lines)
				out.odd++;
			out.line[out.length] = '\0';
			take_line();
			out.length = 0;
		} else if (out.length < sizeof(out.line) - 1) {
			out.line[out.length++] = text[i];
		}
	}
}

/* All private memory of the process but the guest's; pages that it has to fetch afterwards are counted. */
static void swap_out(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), pagemap;
	char path[64], text[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	/* It is the reader's child: when it has ended, and was not waited for yet, it has no memory. */
	if ((pidfd < 0 || pagemap < 0 || !maps) && errno != ESRCH)
		broken("%s", path);
	while (pagemap >= 0 && maps && fgets(text, sizeof(text), maps)) {
		unsigned long from, to;
		struct iovec range;
		char mode[8];

		if (sscanf(text, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[3] != 'p' || mode[0] != 'r' ||
		    to - from > LARGEST || strstr(text, "[v"))
			continue;
		range = (struct iovec){ (void *)from, to - from };
		/* the process may be ending, or unmapping it */
		if (syscall(SYS_process_madvise, pidfd, &range, 1, MADV_PAGEOUT, 0) < 0 && errno != ESRCH && errno != ENOMEM)
			broken("MADV_PAGEOUT of %s", text);
		for (; from < to; from += PAGE) {
			uint64_t entry;

			gone += pread(pagemap, &entry, 8, from / PAGE * 8) == 8 && !(entry >> 63);
		}
	}
	if (maps)
		fclose(maps);
	close(pagemap);
	close(pidfd);
}

static void move(pid_t pid)
{
	char path[64], name[32];
	struct dirent *task;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks))) {
		cpu_set_t set;
		FILE *comm;

		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", pid, task->d_name);
		comm = fopen(path, "r");
		if (!comm)
			continue;
		CPU_ZERO(&set);
		CPU_SET(moves % sysconf(_SC_NPROCESSORS_ONLN), &set);
		if (fgets(name, sizeof(name), comm) && !strncmp(name, "vcpu", 4))
			moves += !sched_setaffinity(atoi(task->d_name), sizeof(set), &set);
		fclose(comm);
	}
	if (tasks)
		closedir(tasks);
}

/* What KVM says about the VM of this process; 0 while there is none. */
static uint64_t faults_of(pid_t pid)
{
	DIR *vms = opendir("/sys/kernel/debug/kvm");
	struct dirent *vm;
	char path[320], word[16];
	uint64_t value = 0;

	snprintf(word, sizeof(word), "%d-", pid);
	while (vms && (vm = readdir(vms))) {
		FILE *file;

		if (strncmp(vm->d_name, word, strlen(word)))
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%s/uer_faults", vm->d_name);
		file = fopen(path, "r");
		if (file && fscanf(file, "%lu", &value) != 1)
			value = 0;
		if (file)
			fclose(file);
	}
	if (vms)
		closedir(vms);
	return value;
}

/* Once; whether all came as it was to come. */
static bool run_vmm(char **argv)
{
	uint64_t next = 0, step = 0, last = 0;
	char buffer[4096];
	int ends[2], status;
	pid_t child;

	memset(&out, 0, sizeof(out));
	if (pipe2(ends, O_CLOEXEC))
		broken("pipe");
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	for (;;) {
		struct pollfd ready = { .fd = ends[0], .events = POLLIN };
		ssize_t got;

		if (poll(&ready, 1, 10) > 0) {
			got = read(ends[0], buffer, sizeof(buffer));
			if (got <= 0)
				break;
			take_output(buffer, got);
		}
		if (now_us() < next || !out.lines)
			continue;
		next = now_us() + 50000;
		move(child);
		kill(child, SIGSTOP);
		kill(child, SIGCONT);
		/* not oftener: the guest's kernel complains when its vCPUs do nothing but wait for pages */
		if (step++ % 20 == 0) {
			uint64_t seen = faults_of(child);

			last = seen > last ? seen : last;
			swap_out(child);
		}
	}
	faults += last;
	close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		broken("waitpid");
	if (status || out.odd || out.lines != WRITERS * LINES)
		printf("# status %#x, %u of %u lines, %u odd ones\n", status, out.lines, WRITERS * LINES, out.odd);
	return !status && !out.odd && out.lines == WRITERS * LINES;
}

int main(int argc, char **argv)
{
	uint64_t until, runs = 0, good = 0;
	pid_t burner;

	if (argc < 3) {
		fprintf(stderr, "usage: uer-console SECONDS VMM ARGUMENT...\n");
		return 2;
	}
	until = now_us() + strtoull(argv[1], NULL, 0) * 1000000;
	burner = fork();
	if (!burner) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sh", "sh", "-c", "while :; do :; done", NULL);
		_exit(127);
	}
	do {
		good += run_vmm(argv + 2);
		runs++;
	} while (now_us() < until);
	kill(burner, SIGKILL);
	check(good == runs, "every line of every guest, and nothing else", "%lu good ones of %lu", good, runs);
	check(gone && faults, "handlers found pages swapped out", "%lu pages gone, %lu faults", gone, faults);
	check(moves, "threads moved", "none");
	printf("# %lu guests, %lu lines each, %lu pages swapped out, %lu faults of handlers, %lu moves\n", runs,
	       (unsigned long)WRITERS * LINES, gone, faults, moves);
	return failures ? 1 : 0;
}
