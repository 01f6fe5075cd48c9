/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that goes on around the routes of a QEMU while its guest works.
 *
 *   churn SECONDS QMP-SOCKET TAP DEVICE...
 *
 * Ten times a second the routes of a device, of each in its turn, go to another CPU, by its property vei-cpu.
 * One CPU after the other is unplugged and replugged, and all of the module's debugfs is read, over and
 * over. TAP has traffic in both directions, which may pause but never ends: a queue whose kick is lost is
 * never kicked again. Prints checks.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "live.h"

#define DEBUGFS		"/sys/kernel/debug/haiov"
#define PERIOD_US	100000
#define ENOUGH_TENTHS	80 /* moves in ten seconds lived */
#define PLUG_US		500000
#define READ_PAUSE_US	20000
#define DEAD_MS		10000 /* of live time, without a packet */
#define CATCH_UP	10 /* moves that were due, and are made up for */

static int monitor;
static FILE *answers;
static unsigned int nr_cpus;
static atomic_bool over;
static _Atomic unsigned int unplugged, plug_failures, files_read, read_failures;

/* One command of QEMU's monitor; whether it says yes. */
static bool qmp(const char *command)
{
	static char line[65536];

	dprintf(monitor, "%s\n", command);
	while (fgets(line, sizeof(line), answers)) {
		if (strstr(line, "\"return\":"))
			return true;
		if (strstr(line, "\"error\":"))
			return false;
	}
	broken("the monitor is gone");
}

/* Who moves routes is to keep the rate, whatever the load that is disturbed; it does little else. */
static void set_priority(pid_t tid)
{
	if (sched_setscheduler(tid, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }))
		broken("no real-time priority for %d", tid);
}

static void open_monitor(const char *path)
{
	struct ucred qemu;
	socklen_t size = sizeof(qemu);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	monitor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (monitor < 0 || connect(monitor, (struct sockaddr *)&address, sizeof(address)))
		broken("%s", path);
	if (getsockopt(monitor, SOL_SOCKET, SO_PEERCRED, &qemu, &size))
		broken("whose is %s", path);
	set_priority(qemu.pid);
	answers = fdopen(monitor, "r");
	if (!answers || !qmp("{\"execute\": \"qmp_capabilities\"}"))
		broken("%s does not answer", path);
}

static bool move(const char *device, unsigned int cpu)
{
	char command[256];

	snprintf(command, sizeof(command), "{\"execute\": \"qom-set\", \"arguments\": {\"path\": "
		 "\"/machine/peripheral/%s\", \"property\": \"vei-cpu\", \"value\": \"%u\"}}", device, cpu);
	return qmp(command);
}

/* Moves a device's routes to another CPU than @at; false if they could not be moved anywhere else. */
static bool move_on(const char *device, unsigned int *at)
{
	unsigned int step;

	/* A CPU that is offline just now refuses. */
	for (step = 1; step < nr_cpus; step++)
		if (move(device, (*at + step) % nr_cpus)) {
			*at = (*at + step) % nr_cpus;
			return true;
		}
	return false;
}

static void *plug(void *arg)
{
	(void)arg;
	for (unsigned int cpu = 1; !over; cpu = cpu % (nr_cpus - 1) + 1) {
		if (cpu_online(cpu, false))
			plug_failures++;
		else
			unplugged++;
		usleep(PLUG_US);
		if (cpu_online(cpu, true))
			plug_failures++;
		usleep(PLUG_US);
	}
	return NULL;
}

static bool read_file(const char *name)
{
	char path[512], data[16384];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), DEBUGFS "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while ((got = read(fd, data, sizeof(data))) > 0)
		;
	close(fd);
	return got == 0;
}

static void *read_debugfs(void *arg)
{
	(void)arg;
	while (!over) {
		DIR *dir = opendir(DEBUGFS);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (entry->d_name[0] != '.') {
				files_read++;
				if (!read_file(entry->d_name))
					read_failures++;
			}
		if (dir)
			closedir(dir);
		else
			read_failures++;
		usleep(READ_PAUSE_US);
	}
	return NULL;
}

static uint64_t tap_packets(const char *tap, const char *direction)
{
	char path[128], text[32];
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s_packets", tap, direction);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (got <= 0)
		broken("%s", path);
	text[got] = '\0';
	return strtoull(text, NULL, 10);
}

/* One direction of the traffic, and since when it has not moved. */
struct flow {
	const char *direction;
	uint64_t packets;
	struct live since;
	uint32_t longest;
};

static void watch_flow(struct flow *flow, const char *tap)
{
	uint64_t packets = tap_packets(tap, flow->direction);
	struct live now = live_now();

	if (packets != flow->packets) {
		flow->packets = packets;
		flow->since = now;
	} else if (live_since(&flow->since, &now) > flow->longest) {
		flow->longest = live_since(&flow->since, &now);
	}
}

int main(int argc, char **argv)
{
	struct flow in = { .direction = "rx" }, out = { .direction = "tx" };
	unsigned int moves = 0, turns = 0, nr_devices, *at;
	uint64_t began, next, end, now, longest_move = 0;
	pthread_t plugger, reader;
	double seconds, rate;
	struct live first, last;

	if (argc < 5)
		broken("usage");
	nr_cpus = live_start();
	nr_devices = argc - 4;
	at = calloc(nr_devices, sizeof(*at));
	open_monitor(argv[2]);
	if (!at || pthread_create(&plugger, NULL, plug, NULL) || pthread_create(&reader, NULL, read_debugfs, NULL))
		broken("no thread");

	set_priority(0);
	began = next = now_us();
	end = began + strtoull(argv[1], NULL, 10) * 1000000;
	first = in.since = out.since = live_now();
	/* Traffic that stands still is to be looked at as it stands. */
	while ((now = now_us()) < end && in.longest < DEAD_MS && out.longest < DEAD_MS) {
		if (now < next)
			usleep(next - now);
		next += PERIOD_US;
		if (now > next + CATCH_UP * PERIOD_US)
			next = now;
		now = now_us();
		moves += move_on(argv[4 + turns % nr_devices], &at[turns % nr_devices]);
		turns++;
		if (now_us() - now > longest_move)
			longest_move = now_us() - now;
		watch_flow(&in, argv[3]);
		watch_flow(&out, argv[3]);
	}
	seconds = (now_us() - began) / 1e6;
	last = live_now();
	over = true;
	pthread_join(plugger, NULL);
	pthread_join(reader, NULL);
	for (unsigned int cpu = 1; cpu < nr_cpus; cpu++)
		cpu_online(cpu, true);

	/* A machine that stands still moves nothing. */
	rate = moves * 1000.0 / live_since(&first, &last);
	printf("# churn: %.1f s, of which the slowest CPU lived %.1f s; %u moves in %u turns, the longest took "
	       "%.0f ms; %u unplugs, %u files of debugfs; the traffic paused for at most %u and %u ms\n",
	       seconds, live_since(&first, &last) / 1e3, moves, turns, longest_move / 1e3,
	       unplugged, files_read, in.longest, out.longest);
	check(rate * 10 >= ENOUGH_TENTHS, "routes move ten times in a second that the machine lives", "%.2f moves/s", rate);
	check(unplugged > 0 && !plug_failures, "CPUs come and go", "%u unplugged, %u failures", unplugged,
	      plug_failures);
	check(files_read > 0 && !read_failures, "debugfs can be read all the while", "%u failures of %u",
	      read_failures, files_read);
	check(in.longest < DEAD_MS, "traffic from the guest goes on", "%u ms", in.longest);
	check(out.longest < DEAD_MS, "traffic to the guest goes on", "%u ms", out.longest);
	check(live_since(&first, &last) > seconds * 1000 / 4, "the machine lived enough to tell", "%u ms of %.1f s",
	      live_since(&first, &last), seconds);
	return failures ? 1 : 0;
}
