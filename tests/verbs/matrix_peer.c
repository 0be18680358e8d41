// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The second side of the transfer matrix: here, or in a child process */

#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "matrix.h"

static void serve(int fd, enum t_kind kind)
{
	static struct side side;
	struct request req;
	struct reply reply;

	side_open(&side, kind);
	do {
		t_msg_recv(fd, &req, sizeof(req));
		memset(&reply, 0, sizeof(reply));
		side_do(&side, &req, &reply);
		t_msg_send(fd, &reply, sizeof(reply));
	} while (req.command != CMD_QUIT);
	_exit(0);
}

/*
 * On one CPU the two processes hand over to each other at once; on two they
 * wait for each other's wake-ups, but run in parallel. Half of the groups each.
 */
static void share_cpu(void)
{
	cpu_set_t set;

	if (t_this->arg && ((const struct group *)t_this->arg)->number / 2 % 2)
		return;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Call this before the process has anything of the device open. */
void peer_open(struct peer *peer, enum t_kind kind, bool other_process)
{
	int fds[2];

	memset(peer, 0, sizeof(*peer));
	peer->fd = -1;
	t_patterns_init();
	if (!other_process) {
		peer->local = calloc(1, sizeof(*peer->local));
		T_ASSERT(peer->local, "no memory");
		side_open(peer->local, kind);
		return;
	}
	share_cpu();
	t_msg_pair(fds);
	peer->pid = t_fork();
	if (!peer->pid) {
		close(fds[0]);
		serve(fds[1], kind);
	}
	close(fds[1]);
	peer->fd = fds[0];
}

void peer_do(struct peer *peer, const struct request *req, struct reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	if (peer->local) {
		side_do(peer->local, req, reply);
		return;
	}
	t_msg_send(peer->fd, req, sizeof(*req));
	t_msg_recv(peer->fd, reply, sizeof(*reply));
}

void peer_connect(struct peer *peer, struct side *side)
{
	struct request req = { .command = CMD_ADDR };
	struct t_addr addr;
	struct reply reply;

	peer_do(peer, &req, &reply);
	addr = reply.addr;
	memcpy(peer->rkey, reply.rkey, sizeof(peer->rkey));
	memcpy(peer->window_iova, reply.window_iova,
	       sizeof(peer->window_iova));
	req.command = CMD_CONNECT;
	req.addr = t_ep_addr(&side->ep);
	peer_do(peer, &req, &reply);
	t_ep_connect(&side->ep, &addr);
}

void peer_close(struct peer *peer)
{
	struct request req = { .command = CMD_QUIT };
	struct reply reply;

	if (peer->local)
		return;
	peer_do(peer, &req, &reply);
	t_reap(peer->pid);
	close(peer->fd);
}
