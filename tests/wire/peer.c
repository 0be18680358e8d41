// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wire-peer PORT: the far end. Every connection gets a process of its own,
 * so that what a test leaves behind goes with its connection.
 */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define MAGIC 0x77697265

static void serve(int fd)
{
	static struct w_end end;
	struct w_req req;
	struct w_rep rep;

	do {
		if (recv(fd, &req, sizeof(req), MSG_PEEK) <= 0)
			_exit(0);
		t_msg_recv(fd, &req, sizeof(req));
		memset(&rep, 0, sizeof(rep));
		rep.magic = MAGIC;
		if (req.cmd == W_SINK) {
			end_sink(&end, fd, &rep);
			continue;
		}
		end_do(&end, &req, &rep);
		t_msg_send(fd, &rep, sizeof(rep));
	} while (req.cmd != W_QUIT);
	_exit(0);
}

static int listen_on(int port)
{
	struct sockaddr_in6 addr = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
	};
	int one = 1;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, 16)) {
		perror("wire-peer");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	int listener;
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: wire-peer PORT\n");
		return 2;
	}
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	t_patterns_init();
	listener = listen_on(atoi(argv[1]));
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/* system() wants to wait for its child */
			signal(SIGCHLD, SIG_DFL);
			close(listener);
			/* What a failure says goes to the test */
			dup2(fd, STDERR_FILENO);
			serve(fd);
		}
		close(fd);
	}
	perror("wire-peer: accept");
	return 1;
}
