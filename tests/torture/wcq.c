// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Completion queues of both kinds, with a channel or without */

#include <poll.h>

#include "worker.h"

#define CQ_EXTENDED 1
#define CQ_CHANNEL  2

void cq_make(struct worker *w, struct queue_of_cqes *c, unsigned int cqe,
	     unsigned int how)
{
	struct ibv_cq_init_attr_ex init = {
		.cqe = cqe,
		.wc_flags = IBV_WC_EX_WITH_BYTE_LEN | IBV_WC_EX_WITH_IMM |
			    IBV_WC_EX_WITH_QP_NUM | IBV_WC_EX_WITH_SRC_QP,
	};

	if (how & CQ_CHANNEL) {
		c->channel = ibv_create_comp_channel(w->dev.ctx);
		T_ASSERT(c->channel, "ibv_create_comp_channel: %s",
			 t_errname(errno));
		init.channel = c->channel;
	}
	if (how & CQ_EXTENDED) {
		c->ex = ibv_create_cq_ex(w->dev.ctx, &init);
		T_ASSERT(c->ex, "ibv_create_cq_ex: %s", t_errname(errno));
		c->cq = ibv_cq_ex_to_cq(c->ex);
		return;
	}
	c->cq = ibv_create_cq(w->dev.ctx, cqe, NULL, c->channel, 0);
	T_ASSERT(c->cq, "ibv_create_cq: %s", t_errname(errno));
}

static void read_entry(struct ibv_cq_ex *ex, struct ibv_wc *wc)
{
	memset(wc, 0, sizeof(*wc));
	wc->wr_id = ex->wr_id;
	wc->status = ex->status;
	wc->qp_num = ibv_wc_read_qp_num(ex);
	if (wc->status != IBV_WC_SUCCESS)
		return;
	wc->opcode = ibv_wc_read_opcode(ex);
	wc->byte_len = ibv_wc_read_byte_len(ex);
	wc->wc_flags = ibv_wc_read_wc_flags(ex);
	if (wc->wc_flags & IBV_WC_WITH_IMM)
		wc->imm_data = ibv_wc_read_imm_data(ex);
	if (wc->wc_flags & IBV_WC_WITH_INV)
		wc->invalidated_rkey = ibv_wc_read_invalidated_rkey(ex);
}

static int poll_extended(struct ibv_cq_ex *ex, struct ibv_wc wc[], int nr)
{
	struct ibv_poll_cq_attr attr = { 0 };
	int ret = ibv_start_poll(ex, &attr);
	int n = 0;

	if (ret == ENOENT)
		return 0;
	T_ASSERT(!ret, "ibv_start_poll: %s", t_errname(ret));
	do {
		read_entry(ex, &wc[n++]);
		if (n == nr)
			break;
		ret = ibv_next_poll(ex);
		T_ASSERT(!ret || ret == ENOENT, "ibv_next_poll: %s",
			 t_errname(ret));
	} while (!ret);
	ibv_end_poll(ex);
	tally_done(SEEN_CQ_EX);
	return n;
}

int cq_poll(struct queue_of_cqes *c, struct ibv_wc wc[], int nr)
{
	int n = c->ex ? poll_extended(c->ex, wc, nr) :
			ibv_poll_cq(c->cq, nr, wc);

	T_ASSERT(n >= 0, "ibv_poll_cq: %d", n);
	return n;
}

void cq_arm(struct queue_of_cqes *c)
{
	if (c->channel)
		T_OK(ibv_req_notify_cq(c->cq, 0));
}

bool cq_event(struct queue_of_cqes *c, uint64_t until)
{
	uint64_t now = t_now_ns();
	struct pollfd pfd = { .fd = c->channel->fd, .events = POLLIN };
	struct ibv_cq *cq;
	void *context;

	if (now >= until || poll(&pfd, 1, (until - now) / 1000000 + 1) != 1)
		return false;
	T_ASSERT(!ibv_get_cq_event(c->channel, &cq, &context),
		 "ibv_get_cq_event: %s", t_errname(errno));
	T_ASSERT(cq == c->cq, "an event of another CQ");
	ibv_ack_cq_events(cq, 1);
	tally_done(SEEN_EVENT);
	return true;
}
