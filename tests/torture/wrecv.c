// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Receives: taken when the round is over, and posted again */

#include "worker.h"

static struct queue *queue_by_number(struct worker *w, uint32_t qp_num)
{
	unsigned int i;

	for (i = 0; i < NR_QUEUES; i++)
		if (w->queues[i].qp->qp_num == qp_num)
			return &w->queues[i];
	t_fail("a receive completed for a QP %#x that there is not", qp_num);
}

static void received(struct worker *w, const struct ibv_wc *wc)
{
	struct queue *q = queue_by_number(w, wc->qp_num);
	char *at = w->inbox + wc->wr_id * RECV_SLOT;
	uint32_t len = wc->byte_len;
	struct rec *rec;

	T_ASSERT(wc->wr_id < NR_RECV_SLOTS, "receive %#llx completed",
		 (unsigned long long)wc->wr_id);
	w->step = -1;
	rec = rec_new(w, REC_RECV);
	rec->owner = q->peer;
	rec->qp = q->number;
	rec->type = q->type;
	rec->status = wc->status;
	if (q == &w->queues[UD_QUEUE])
		rec->flags |= REC_UD | REC_UNRELIABLE;
	else if (q->type == Q_UC)
		rec->flags |= REC_UNRELIABLE;
	if (wc->status != IBV_WC_SUCCESS)
		return;
	q->received++;
	if (wc->wr_id < SRQ_RECVS)
		tally_done(SEEN_SRQ);
	if (wc->wc_flags & IBV_WC_WITH_IMM) {
		rec->flags |= REC_HAS_IMM;
		rec->imm = wc->imm_data;
	}
	if (wc->wc_flags & IBV_WC_WITH_INV) {
		rec->flags |= REC_HAS_INV;
		rec->imm = wc->invalidated_rkey;
		window_taken(w, q->peer, rec->imm);
	}
	if (rec->flags & REC_UD) {
		T_ASSERT(len >= GRH, "a datagram of %u bytes", len);
		at += GRH;
		len -= GRH;
	}
	rec->len = len;
	if (wc->opcode == IBV_WC_RECV) {
		T_ASSERT(len <= RECV_LEN, "a receive of %u bytes", len);
		rec->data = arena_take(w, at, len);
	} else {
		T_ASSERT(wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM,
			 "a receive of opcode %#x", wc->opcode);
		rec->region = 1;
	}
}

static unsigned int recv_poll(struct worker *w)
{
	struct ibv_wc wc[16];
	bool again[16];
	int n;
	int i;

	n = cq_poll(&w->rcq, wc, T_ARRAY_SIZE(wc));
	for (i = 0; i < n; i++) {
		received(w, &wc[i]);
		/* Others come back when their QP is made anew */
		again[i] = wc[i].status == IBV_WC_SUCCESS ||
			   wc[i].wr_id < QP_SLOTS;
	}
	for (i = 0; i < n; i++)
		if (again[i])
			recv_post(w, wc[i].wr_id);
	return n;
}

/* A SEND completes before its receive does: all those must still come */
static bool expects(struct worker *w)
{
	struct queue *q;
	unsigned int i;

	for (i = 0; i < UD_QUEUE; i++) {
		q = &w->queues[i];
		if (q->responder && q->type != Q_UC &&
		    q->received < w->b->side[q->peer].sent[w->id][q->type])
			return true;
	}
	return false;
}

void recv_drain(struct worker *w)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	unsigned int i;

	do {
		while (recv_poll(w))
			;
		if (!expects(w))
			break;
		cq_arm(&w->rcq);
		if (recv_poll(w))
			continue;
		T_ASSERT(!w->rcq.channel || cq_event(&w->rcq, end) ||
				 !recv_poll(w),
			 "a receive completed, and no event came");
	} while (t_now_ns() < end);
	T_ASSERT(!expects(w), "a receive of what was sent does not complete");
	while (recv_poll(w))
		;
	for (i = 0; i < NR_QUEUES; i++)
		w->queues[i].received = 0;
}
