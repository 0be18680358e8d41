// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wirecap NETDEV FILE: what passes by a device, into a pcap file
 *
 * Says "ready" when it listens. At SIGTERM it takes what has come until then
 * and ends; status 1 when packets were lost.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (64 << 20)
#define SNAP 262144
/* Silence after SIGTERM that means that nothing is on its way any more */
#define QUIET_MS 200

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	stop = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static int open_socket(const char *netdev)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(netdev),
	};
	int size = BUFFER;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || !addr.sll_ifindex)
		die(netdev);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("SO_RCVBUFFORCE");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("bind");
	return fd;
}

static void save(FILE *file, const uint8_t *frame, uint32_t len)
{
	struct timespec ts;
	uint32_t rec[4];

	clock_gettime(CLOCK_REALTIME, &ts);
	rec[0] = ts.tv_sec;
	rec[1] = ts.tv_nsec / 1000;
	rec[2] = rec[3] = len;
	if (fwrite(rec, sizeof(rec), 1, file) != 1 ||
	    fwrite(frame, 1, len, file) != len)
		die("write");
}

static void copy(int fd, FILE *file)
{
	static uint8_t frame[SNAP];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t len;

	for (;;) {
		len = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);
		if (len > 0)
			save(file, frame, len);
		else if (len < 0 && errno != EAGAIN && errno != EINTR)
			die("recv");
		else if (poll(&pfd, 1, QUIET_MS) == 0 && stop)
			return;
	}
}

int main(int argc, char **argv)
{
	/* Magic, version 2.4, zone, accuracy, snap length, Ethernet */
	const uint32_t head[6] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, SNAP, 1 };
	struct tpacket_stats stats = { 0 };
	socklen_t size = sizeof(stats);
	FILE *file;
	int fd;

	if (argc != 3)
		return 2;
	signal(SIGTERM, on_term);
	fd = open_socket(argv[1]);
	file = fopen(argv[2], "wb");
	if (!file || fwrite(head, sizeof(head), 1, file) != 1)
		die(argv[2]);
	puts("ready");
	fflush(stdout);
	copy(fd, file);
	if (fclose(file))
		die(argv[2]);
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size))
		die("PACKET_STATISTICS");
	printf("%u packets, %u lost\n", stats.tp_packets, stats.tp_drops);
	return stats.tp_drops ? 1 : 0;
}
