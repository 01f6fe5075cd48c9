/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a queue ever waits on a kick.
 *
 *   probe ask LINK         in a guest: sends a frame, waits for the answers, and so on until SIGTERM
 *   probe echo LINK        at the other end: says when it is ready, and answers
 *   probe pause TID MS     stops one thread of a process for a while
 *
 * LINK is a network interface, or vsock. The network has no addresses and nobody else on it, there is one frame
 * under way at a time, and none is ever sent again. So every frame needs a kick of the sending queue
 * of its own, and one that is lost is lost for good. Now and then a frame asks for more answers than the receiving queue has
 * buffers: then that queue waits on a kick for new ones, and nothing else gives it any.
 *
 * An answer carries the live time (live.h) of each of the other end's CPUs when it was sent. A wait, from a frame to
 * its answer or from one answer to the next, counts as what the slowest of all CPUs at both ends lived through. It may
 * be the answer that waited, so that for the other end this is the time from the answer before to the answer
 * after. ask fails if a wait reached a second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "live.h"

#define ETHERTYPE	0x88b5 /* for local experiments */
#define LIMIT_MS	1000
#define LAST_WAIT_US	30000000 /* for the answer that is due when ask is told to end */
#define THINK_US	1000
#define BURST		600 /* more than a queue's 256 buffers, fewer than the 1000 that a tap holds */
#define BURST_EVERY	16
#define VSOCK_PORT	5000
#define RECEIVE_BYTES	(16 << 20)

struct frame {
	uint8_t to[6], from[6];
	uint16_t ethertype;
	uint16_t answer; /* its number, from 1; of a request 0 */
	uint16_t answers; /* as many are wanted */
	uint64_t seq;
	struct live live; /* of an answer's sender */
};

static volatile sig_atomic_t told_to_end;
static int receive_flags; /* of a stream: frames as a whole */

static void on_term(int sig)
{
	told_to_end = sig;
}

/* Whether there was a frame; false at a signal, and at the end of a stream, which ends this too. */
static bool receive(int fd, struct frame *frame)
{
	ssize_t got = recv(fd, frame, sizeof(*frame), receive_flags);

	if (got < 0 && errno != EINTR)
		broken("receive");
	if (got == 0)
		told_to_end = 1;
	return got == sizeof(*frame);
}

/* From here on a frame finds its receiver. */
static void say_ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

/* The other end of a guest's vsock: the host listens, the guest connects. */
static int open_vsock(bool listens)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = VSOCK_PORT,
		.svm_cid = listens ? VMADDR_CID_ANY : VMADDR_CID_HOST,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	receive_flags = MSG_WAITALL;
	if (fd < 0)
		broken("vsock");
	if (!listens && connect(fd, (struct sockaddr *)&address, sizeof(address)))
		broken("connect");
	if (!listens)
		return fd;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		broken("listen");
	say_ready();
	return accept(fd, NULL, NULL);
}

static int open_link(const char *iface)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = if_nametoindex(iface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE)), bytes = RECEIVE_BYTES;

	/* No frame of a burst may be dropped here. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		broken("%s", iface);
	return fd;
}

static void send_frame(int fd, struct frame *frame)
{
	memset(frame->to, 0xff, sizeof(frame->to));
	memset(frame->from, 0x02, sizeof(frame->from));
	frame->ethertype = htons(ETHERTYPE);
	if (send(fd, frame, sizeof(*frame), MSG_NOSIGNAL) != sizeof(*frame))
		broken("send");
}

/* A wait for an answer that came, and what the other end had lived when it sent the one before. */
struct wait {
	struct frame answer;
	struct live there_before;
	uint64_t took_us;
	uint32_t live_here;
};

struct waits {
	struct wait last; /* not judged yet, unless answer.seq is 0 */
	uint64_t longest_us;
	uint32_t longest_live;
	unsigned int lost;
};

static void count(struct waits *waits, const struct frame *frame, uint64_t took_us, uint32_t live, bool came)
{
	if (took_us > waits->longest_us)
		waits->longest_us = took_us;
	if (live > waits->longest_live)
		waits->longest_live = live;
	if (live < LIMIT_MS && came)
		return;
	waits->lost++;
	printf("# probe: frame %llu waited %llu ms, %u of them live, for answer %u of %u%s\n",
	       (unsigned long long)frame->seq, (unsigned long long)took_us / 1000, live, frame->answer,
	       frame->answers, came ? "" : ", which never came");
}

/* Judges the last wait, after which the other end had lived so long. */
static void judge(struct waits *waits, const struct live *there_after)
{
	struct wait *last = &waits->last;
	uint32_t there;

	if (!last->answer.seq)
		return;
	there = live_since(&last->there_before, there_after);
	count(waits, &last->answer, last->took_us, there < last->live_here ? there : last->live_here, true);
	last->answer.seq = 0;
}

/* Waits for the answer that @wanted describes; its content in @wanted, or false if it did not come. */
static bool await(int fd, struct frame *wanted, struct waits *waits)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t from = now_us(), end = UINT64_MAX, took;
	struct live then = live_now(), now;
	struct frame frame;
	bool got = false;

	while (!got && now_us() < end) {
		got = poll(&poll_fd, 1, 100) > 0 && receive(fd, &frame) &&
		      frame.seq == wanted->seq && frame.answer == wanted->answer;
		if (told_to_end && end == UINT64_MAX)
			end = now_us() + LAST_WAIT_US;
	}
	took = now_us() - from;
	now = live_now();
	judge(waits, got ? &frame.live : &wanted->live);
	if (!got) {
		count(waits, wanted, took, live_since(&then, &now), false);
		return false;
	}
	waits->last = (struct wait){ .answer = frame, .there_before = wanted->live, .took_us = took,
				     .live_here = live_since(&then, &now) };
	wanted->live = frame.live;
	return true;
}

static int ask(int fd)
{
	struct frame request = { 0 }, wanted = { 0 };
	struct waits waits = { 0 };
	uint64_t began_us = now_us(), bursts = 0, seq;
	bool got = true;

	for (seq = 1; got && !told_to_end; seq++) {
		request.seq = wanted.seq = seq;
		request.answers = wanted.answers = seq % BURST_EVERY ? 1 : BURST;
		bursts += request.answers == BURST;
		send_frame(fd, &request);
		for (wanted.answer = 1; got && wanted.answer <= wanted.answers; wanted.answer++)
			got = await(fd, &wanted, &waits);
		usleep(THINK_US);
	}
	judge(&waits, &wanted.live);
	printf("frames=%llu bursts=%llu seconds=%llu longest_ms=%llu longest_live_ms=%u lost=%u\n",
	       (unsigned long long)seq - 1, (unsigned long long)bursts,
	       (unsigned long long)(now_us() - began_us) / 1000000, (unsigned long long)waits.longest_us / 1000,
	       waits.longest_live, waits.lost);
	return waits.lost ? 1 : 0;
}

static int echo(int fd)
{
	struct frame frame;

	while (!told_to_end) {
		if (!receive(fd, &frame) || frame.answer || frame.answers > BURST)
			continue;
		while (frame.answer < frame.answers) {
			frame.answer++;
			frame.live = live_now();
			send_frame(fd, &frame);
		}
	}
	return 0;
}

static int pause_thread(pid_t tid, unsigned int ms)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ||
	    waitpid(tid, NULL, __WALL) != tid)
		broken("pause %d", tid);
	usleep(ms * 1000);
	/* It goes on when this process ends. */
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction on_end = { .sa_handler = on_term };
	bool asks, vsock;
	int fd;

	if (argc == 4 && !strcmp(argv[1], "pause"))
		return pause_thread(atoi(argv[2]), atoi(argv[3]));
	if (argc != 3)
		broken("usage");
	/* Without SA_RESTART: recv() ends. */
	sigaction(SIGTERM, &on_end, NULL);
	live_start();
	asks = !strcmp(argv[1], "ask");
	vsock = !strcmp(argv[2], "vsock");
	fd = vsock ? open_vsock(!asks) : open_link(argv[2]);
	if (!asks && !vsock)
		say_ready();
	return asks ? ask(fd) : echo(fd);
}
