// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* A process that has memory */

#include <unistd.h>

#include "t_owner.h"

struct hello {
	struct t_addr addr;
	uint64_t mem;
	uint32_t rkey;
};

static void __attribute__((noreturn))
owner_run(int fd, const struct t_owner_ops *ops, const void *arg)
{
	struct hello self = {}, peer;
	unsigned char answer[256];
	struct t_dev dev;
	struct t_ep ep;
	void *mem;

	mem = ops->make(arg);
	t_open(&dev);
	t_need_odp(&dev);
	t_ep_open(&ep, &dev, NULL);
	self.addr = t_ep_addr(&ep);
	self.mem = (uintptr_t)mem;
	self.rkey = t_reg_kind(&dev, T_EXPLICIT, mem, ops->len,
			       T_ACCESS_ALL)->rkey;
	t_msg_send(fd, &self, sizeof(self));
	t_msg_recv(fd, &peer, sizeof(peer));
	t_ep_connect(&ep, &peer.addr);
	t_msg_send(fd, &self, sizeof(self));
	t_msg_recv(fd, &peer, sizeof(peer));
	if (ops->end)
		ops->end(arg, mem, answer);
	if (ops->answer)
		t_msg_send(fd, answer, ops->answer);
	_exit(0);
}

void t_owner_start(struct t_owner *o, struct t_duo *d,
		   const struct t_owner_ops *ops, const void *arg)
{
	struct hello self = {}, peer;
	int fds[2];

	t_msg_pair(fds);
	o->ops = ops;
	o->fd = fds[0];
	o->pid = t_fork();
	if (!o->pid) {
		close(fds[0]);
		owner_run(fds[1], ops, arg);
	}
	close(fds[1]);
	t_msg_recv(o->fd, &peer, sizeof(peer));
	o->mem = peer.mem;
	o->rkey = peer.rkey;
	t_ep_reset(&d->a);
	self.addr = t_ep_addr(&d->a);
	t_ep_connect(&d->a, &peer.addr);
	t_msg_send(o->fd, &self, sizeof(self));
	t_msg_recv(o->fd, &peer, sizeof(peer));
}

void t_owner_end(struct t_owner *o, void *answer)
{
	struct hello bye = {};

	t_msg_send(o->fd, &bye, sizeof(bye));
	if (o->ops->answer)
		t_msg_recv(o->fd, answer, o->ops->answer);
	t_reap(o->pid);
	close(o->fd);
}

void (t_owner_write)(const struct t_owner *o, struct t_duo *d, size_t off,
		     uint32_t len)
{
	(t_post)(&d->a, IBV_WR_RDMA_WRITE, off, t_duo_sge(d, 0, len),
		 o->mem + off, o->rkey);
	(t_want_wc)(d->a.scq, off, IBV_WC_SUCCESS);
}
