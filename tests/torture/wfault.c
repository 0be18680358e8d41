// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Steps that take away objects, processes, memory of the kernel, the network */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

static void rereg(struct worker *w, const struct step *s)
{
	struct region *r = &w->regions[s->region];
	uint32_t begin = ++w->clock;

	windows_drop_region(w, s->region);
	t_dereg(r->mr);
	region_register(w, s->region);
	rec_perm(w, s, begin, 0, r->plan.len, PERM_NONE, 0);
}

/* Brings pages in, or cannot: no byte changes */
static void advise(struct worker *w, const struct step *s)
{
	static const enum ibv_advise_mr_advice advices[] = {
		IBV_ADVISE_MR_ADVICE_PREFETCH,
		IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
		IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
	};
	struct region *r = &w->regions[s->region];
	struct ibv_sge sge = {
		.addr = (uintptr_t)r->addr + s->off,
		.length = s->len,
		.lkey = r->mr->lkey,
	};
	/* A flush of pages that come late would wait for this process */
	uint32_t flags = (s->arg & 8) && !r->late ?
				 IBV_ADVISE_MR_FLAG_FLUSH : 0;
	int ret;

	ret = ibv_advise_mr(w->dev.pd, advices[s->arg % 3], flags, &sge, 1);
	T_ASSERT(!ret || ret == EFAULT || ret == EBUSY || ret == EAGAIN ||
			 ret == ENOMEM,
		 "step %u: ibv_advise_mr: %s", w->step + 1, t_errname(ret));
}

static void resize(struct worker *w, const struct step *s)
{
	unsigned int most = NR_QUEUES * QUEUE_DEPTH;
	int ret = ibv_resize_cq(w->scq.cq, most + s->arg);

	T_ASSERT(!ret, "step %u: ibv_resize_cq: %s", w->step + 1,
		 t_errname(ret));
}

static void rec_flushed(struct worker *w, const struct queue *q, bool peer)
{
	struct rec *rec = rec_new(w, REC_FLUSHED);

	rec->owner = q->peer;
	rec->qp = q->number;
	rec->type = q->type;
	if (peer)
		rec->flags |= REC_BROKEN;
	if (q->type == Q_UC)
		rec->flags |= REC_UNRELIABLE;
}

static void reset(struct worker *w, const struct step *s)
{
	struct queue *q = queue_of(w, s->peer, s->arg % NR_Q, false);

	if (q->gone) {
		w->idle = true;
		return;
	}
	rec_flushed(w, q, false);
	T_OK(queue_state(q, IBV_QPS_RESET));
	verbs_gone(w, q);
}

static unsigned int type_of(const struct step *s)
{
	return s->arg & 2 ? Q_XRC : Q_RC;
}

static void error(struct worker *w, const struct step *s)
{
	struct queue *q = queue_of(w, s->peer, type_of(s), false);

	if (q->gone) {
		w->idle = true;
		return;
	}
	T_OK(queue_state(q, IBV_QPS_ERR));
	q->failed = true;
	w->self->bad[q->peer][q->type][0] = true;
	rec_flushed(w, q, false);
}

static void peer_error(struct worker *w, const struct step *s)
{
	struct queue *q = queue_of(w, s->peer, type_of(s), true);

	rec_flushed(w, q, true);
	T_OK(queue_state(q, IBV_QPS_ERR));
	w->self->bad[q->peer][q->type][1] = true;
}

/* --- another process, which ends in the middle of its work --- */

struct victim {
	struct t_addr addr;
	uint64_t target;
	uint32_t rkey;
	uint32_t len;
};

enum end {
	END_KILL,
	END_EXIT,
	END_EXEC,
	END_CLOSE,
	NR_ENDS,
};

static void __attribute__((noreturn)) end_victim(const struct t_dev *dev,
						 enum end end)
{
	char *const argv[] = { (char *)"/bin/true", NULL };

	if (end == END_EXEC)
		execv(argv[0], argv);
	if (end == END_CLOSE) {
		close(dev->ctx->cmd_fd);
		t_sleep_ms(5);
	}
	_exit(0);
}

static void __attribute__((noreturn)) victim_main(int fd, uint64_t tag,
						  enum end end,
						  unsigned int posts)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct victim self = { 0 };
	struct victim peer;
	struct ibv_mr *mr;
	struct ibv_wc wc;
	unsigned int i;
	struct t_dev dev;
	struct t_ep ep;
	char *buf;

	opt.sq = 64;
	opt.cqe = 128;
	t_open(&dev);
	t_ep_open(&ep, &dev, &opt);
	self.addr = t_ep_addr(&ep);
	t_msg_send(fd, &self, sizeof(self));
	t_msg_recv(fd, &peer, sizeof(peer));
	buf = t_map(MAX_MSG);
	t_fill_data(buf, peer.len, tag, 0);
	mr = t_reg_kind(&dev, tag % T_NR_KINDS, buf, MAX_MSG, T_ACCESS_ALL);
	t_ep_connect(&ep, &peer.addr);
	t_msg_send(fd, &self, sizeof(self));
	for (i = 0; end == END_KILL || i < posts; i++) {
		if (i >= 32 && (t_poll_for(ep.scq, &wc, T_WAIT_MS) != 1 ||
				wc.status))
			break;
		t_post(&ep, IBV_WR_RDMA_WRITE, i, t_sge(mr, buf, peer.len),
		       peer.target, peer.rkey);
	}
	if (end == END_KILL)
		t_sleep_ms(T_WAIT_MS);
	end_victim(&dev, end);
}

static void victim(struct worker *w, const struct step *s)
{
	struct region *r = &w->regions[s->region];
	struct victim self = {
		.target = w->self->region[s->region].addr + s->off,
		.rkey = r->mr->rkey,
		.len = s->len > MAX_MSG ? MAX_MSG : s->len,
	};
	enum end end = s->arg % NR_ENDS;
	uint32_t begin = ++w->clock;
	struct victim peer;
	struct t_ep door;
	struct rec *rec;
	int status;
	int fds[2];
	pid_t pid;

	t_ep_open(&door, &w->dev, NULL);
	self.addr = t_ep_addr(&door);
	t_msg_pair(fds);
	pid = t_fork();
	if (!pid) {
		close(fds[0]);
		victim_main(fds[1], s->tag, end, 4 + 4 * s->n);
	}
	close(fds[1]);
	t_msg_recv(fds[0], &peer, sizeof(peer));
	t_ep_connect(&door, &peer.addr);
	t_msg_send(fds[0], &self, sizeof(self));
	t_msg_recv(fds[0], &peer, sizeof(peer));
	if (end == END_KILL) {
		t_sleep_ms(2 * s->n);
		kill(pid, SIGKILL);
	}
	T_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	T_ASSERT(end == END_KILL || !status,
		 "step %u: the victim ended with status %#x", w->step + 1,
		 status);
	t_ep_close(&door);
	close(fds[0]);
	rec = rec_new(w, REC_DATA);
	rec->begin = begin;
	rec->region = s->region;
	rec->off = s->off;
	rec->len = self.len;
	rec->tag = s->tag;
	rec->flags = REC_MAY;
}

/* The switch itself needs memory */
int make_fail(const char *value)
{
	int ret;

	do {
		ret = t_write_file("/proc/thread-self/make-it-fail", value);
	} while (ret == ENOMEM);
	return ret;
}

/* Some of the kernel's allocations for this thread fail */
static void failslab(struct worker *w, const struct step *s)
{
	char *buf = w->regions[COUNTERS].addr;
	struct ibv_mr *mr;
	struct ibv_cq *cq;
	unsigned int i;
	int ret;

	for (i = 0; i < 4U * s->n; i++) {
		if (make_fail("1")) {
			tally_lacks(s->op);
			w->idle = true;
			return;
		}
		errno = 0;
		mr = ibv_reg_mr(w->dev.pd, buf, 4 * T_PAGE,
				T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
		cq = mr ? ibv_create_cq(w->dev.ctx, 16, NULL, NULL, 0) : NULL;
		ret = mr && cq ? 0 : errno;
		make_fail("0");
		T_ASSERT(!ret || ret == ENOMEM, "step %u: out of memory is %s",
			 w->step + 1, t_errname(ret));
		if (cq)
			T_OK(ibv_destroy_cq(cq));
		if (mr)
			t_dereg(mr);
	}
}

static void link_down(struct worker *w, const struct step *s)
{
	uint32_t begin = ++w->clock;
	struct ibv_port_attr port;
	char name[IF_NAMESIZE];
	unsigned int i;
	struct rec *rec;

	rec = rec_new(w, REC_LINK);
	rec->begin = begin;
	t_netdev(&w->dev, name);
	surround_link(name, 5 * s->n);
	for (i = 0; i < T_WAIT_MS; i++) {
		T_OK(ibv_query_port(w->dev.ctx, T_PORT, &port));
		if (port.state == IBV_PORT_ACTIVE)
			return;
		t_sleep_ms(1);
	}
	t_fail("step %u: the port is in state %d", w->step + 1, port.state);
}

/* The coordinator kills it, whatever it may be doing then */
static void die(struct worker *w, const struct step *s)
{
	if (!w->self->kill_at)
		w->self->kill_at = t_now_ns() + s->n * s->arg * 20000ULL;
}

/* Another program, which has nothing of what this one had */
static void become(struct worker *w)
{
	char *const argv[] = { (char *)"sleep", (char *)"1000", NULL };

	w->self->execs = true;
	execv("/bin/sleep", argv);
	t_fail("exec: %s", t_errname(errno));
}

void other_step(struct worker *w, const struct step *s)
{
	switch (s->op) {
	case OP_REREG:
		return rereg(w, s);
	case OP_ADVISE:
		return advise(w, s);
	case OP_RESIZE:
		return resize(w, s);
	case OP_RESET:
		return reset(w, s);
	case OP_ERROR:
		return error(w, s);
	case OP_PEER_ERROR:
		return peer_error(w, s);
	case OP_VICTIM:
		return victim(w, s);
	case OP_FAILSLAB:
		return failslab(w, s);
	case OP_LINK:
		return link_down(w, s);
	case OP_NETEM:
		rec_new(w, REC_LINK);
		return surround_netem(s->arg);
	case OP_KILL:
		return die(w, s);
	case OP_EXEC:
		return become(w);
	}
}
