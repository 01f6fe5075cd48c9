/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "hcs-soak-vmm.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

#define OUTPUT	 "vmm.out"
#define FOUND	 "pieces: found "
#define WROTE	 "pieces: wrote "
#define WRONG	 "pieces: wrong: "
#define WELL	 "haiov-guest: status 0"
#define STUCK_US 300000000 /* what takes longer never comes, whatever goes on beside it */

/* Of all lives that have ended. */
static struct {
	unsigned int begun, killed, well;
	unsigned int wrote, found;
	unsigned int found_again; /* by those that came after a kill */
	uint64_t signaled;	  /* interrupts that handlers gave guests without a system call */
} sum;

static struct {
	char pid[32];
	int due; /* killed when its guest has written so many pieces; never if negative */
	unsigned int wrote;
	int found; /* negative: it has not looked yet */
	uint64_t signaled, since;
	ssize_t size;
} life;

static bool after_kill;
static char said[1 << 18];

void vmm_become(char **command)
{
	int in = open("/dev/null", O_RDONLY), out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	/* Its guest has a kernel to boot, while others only want to be in the way. */
	if (setpriority(PRIO_PROCESS, 0, -10) || in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	execv(command[0], command);
	_exit(127);
}

void vmm_begins(pid_t pid, unsigned int *seed)
{
	memset(&life, 0, sizeof(life));
	snprintf(life.pid, sizeof(life.pid), " pid=%d ", pid);
	life.since = now_us();
	life.found = -1;
	/* The first one, once it has left something to be found. */
	life.due = sum.begun++ ? (int)(rand_r(seed) % 4) - 1 : 1;
}

static void look(void)
{
	int fd = open(OUTPUT, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? 0 : read(fd, said, sizeof(said) - 1);
	uint64_t signaled = state_sum_of("contexts", life.pid, "signaled");
	const char *at;

	if (fd >= 0)
		close(fd);
	if (size < 0)
		broken("%s", OUTPUT);
	said[size] = '\0';
	if (size != life.size)
		life.since = now_us();
	life.size = size;
	if (signaled > life.signaled)
		life.signaled = signaled;
	at = strstr(said, FOUND);
	if (at)
		life.found = atoi(at + strlen(FOUND));
	life.wrote = 0;
	for (at = said; (at = strstr(at, WROTE)); at++)
		life.wrote++;
}

bool vmm_is_due(void)
{
	look();
	return life.due >= 0 && life.found >= 0 && life.wrote >= (unsigned int)life.due;
}

static void last_words(void)
{
	printf("# the VMM's last words: %s\n", life.size > 1500 ? said + life.size - 1500 : said);
}

bool vmm_is_stuck(void)
{
	char *state;

	look();
	if (now_us() - life.since < STUCK_US)
		return false;
	state = module_state();
	printf("# the VMM's guest does not go on\n%s\n", state);
	free(state);
	last_words();
	return true;
}

bool vmm_ended(bool killed)
{
	bool well;

	look();
	well = !strstr(said, WRONG) && (killed || strstr(said, WELL));
	if (!well)
		last_words();
	if (killed)
		sum.killed++;
	else
		sum.well += well;
	sum.wrote += life.wrote;
	sum.signaled += life.signaled;
	if (life.found > 0) {
		sum.found += life.found;
		if (after_kill)
			sum.found_again += life.found;
	}
	after_kill = killed;
	/* The next one's is not there at once. */
	unlink(OUTPUT);
	return well;
}

bool vmm_was_killed(void)
{
	return sum.killed;
}

void vmm_report(void)
{
	printf("# %u lives of the VMM, %u killed: their guests wrote %u pieces, and found %u of earlier lives, %u after a kill; "
	       "%llu interrupts came from handlers\n",
	       sum.begun, sum.killed, sum.wrote, sum.found, sum.found_again, u(sum.signaled));
	check(sum.well && sum.killed && sum.found_again && sum.signaled, "a guest goes on where another one was killed",
	      "%u ended well, %u were killed, %u pieces were found after that, %llu interrupts came from handlers", sum.well,
	      sum.killed, sum.found_again, u(sum.signaled));
}
