// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Queue pairs of a worker: made, connected, and made anew after an error */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "worker.h"

static enum ibv_qp_type qp_type_of(const struct queue *q)
{
	if (q->type == Q_XRC)
		return q->responder ? IBV_QPT_XRC_RECV : IBV_QPT_XRC_SEND;
	return q->type == Q_UC ? IBV_QPT_UC : IBV_QPT_RC;
}

#define OPS_UD (IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM)
#define OPS_UC                                \
	(OPS_UD | IBV_QP_EX_WITH_RDMA_WRITE | \
	 IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM)
#define OPS_XRC                                                           \
	(OPS_UC | IBV_QP_EX_WITH_RDMA_READ |                              \
	 IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |                              \
	 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD)
#define OPS_RC                                                            \
	(OPS_XRC | IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_LOCAL_INV |    \
	 IBV_QP_EX_WITH_SEND_WITH_INV)

static const uint64_t ops_of[] = {
	[IBV_QPT_RC] = OPS_RC,
	[IBV_QPT_UC] = OPS_UC,
	[IBV_QPT_XRC_SEND] = OPS_XRC,
	[IBV_QPT_UD] = OPS_UD,
};

static uint64_t newer_ops(struct worker *w, enum ibv_qp_type type)
{
	uint64_t ops = 0;

	if (type != IBV_QPT_RC && type != IBV_QPT_XRC_SEND)
		return 0;
#ifdef HAVE_WR_ATOMIC_WRITE
	if (w->may_write_atomic)
		ops |= IBV_QP_EX_WITH_ATOMIC_WRITE;
#endif
#ifdef HAS_FLUSH
	if (w->may_flush)
		ops |= IBV_QP_EX_WITH_FLUSH;
#endif
	return ops;
}

static void make_xrc_target(struct worker *w, struct queue *q)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_XRC_RECV,
		.comp_mask = IBV_QP_INIT_ATTR_XRCD,
		.xrcd = w->xrcd,
	};

	q->qp = ibv_create_qp_ex(w->dev.ctx, &init);
	T_ASSERT(q->qp, "ibv_create_qp_ex: %s", t_errname(errno));
}

static void make_qp(struct worker *w, struct queue *q, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = type,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = w->dev.pd,
		.send_cq = w->scq.cq,
		.recv_cq = w->rcq.cq,
		.cap = { .max_send_wr = QUEUE_DEPTH,
			 .max_recv_wr = UD_RECVS,
			 .max_send_sge = 4,
			 .max_recv_sge = 1,
			 .max_inline_data = 256 },
	};
	bool ex = w->p->ex[w->id] >> (q->peer * NR_Q + q->type) & 1;

	if (type == IBV_QPT_XRC_SEND) {
		init.recv_cq = NULL;
		init.cap.max_recv_wr = 0;
		init.cap.max_recv_sge = 0;
	} else if (q->responder && w->srq) {
		init.srq = w->srq;
		init.cap.max_recv_wr = 0;
		init.cap.max_recv_sge = 0;
	}
	if (ex) {
		init.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		init.send_ops_flags = ops_of[type] | newer_ops(w, type);
	}
	q->qp = ibv_create_qp_ex(w->dev.ctx, &init);
	T_ASSERT(q->qp, "ibv_create_qp_ex: %s", t_errname(errno));
	q->qpx = ex ? ibv_qp_to_qp_ex(q->qp) : NULL;
}

int queue_state(struct queue *q, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	return ibv_modify_qp(q->qp, &attr, IBV_QP_STATE);
}

static void to_init(struct worker *w, struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qp_access_flags = T_ACCESS_ALL & ~IBV_ACCESS_LOCAL_WRITE,
		.qkey = UD_QKEY,
	};
	int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT;

	if (w->may_flush)
		attr.qp_access_flags |= ACCESS_FLUSH;
	if (qp->qp_type == IBV_QPT_UC)
		attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
	mask |= qp->qp_type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
	T_OK(ibv_modify_qp(qp, &attr, mask));
}

static void ud_to_rts(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTR };

	T_OK(ibv_modify_qp(qp, &attr, IBV_QP_STATE));
	attr.qp_state = IBV_QPS_RTS;
	T_OK(ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
}

static uint32_t psn_of(uint32_t qpn)
{
	return (qpn * 2654435761U) & 0xffffff;
}

static void to_rts(struct worker *w, struct queue *q, const struct t_addr *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = w->dev.port.active_mtu,
		.dest_qp_num = peer->qpn,
		.rq_psn = peer->psn,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 1,
		.ah_attr = { .is_global = 1,
			     .port_num = T_PORT,
			     .grh = { .dgid = peer->gid,
				      .sgid_index = w->dev.gid_index,
				      .hop_limit = 64 } },
	};
	int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
		   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;

	if (q->type != Q_UC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	T_OK(ibv_modify_qp(q->qp, &attr, mask));
	attr.qp_state = IBV_QPS_RTS;
	attr.sq_psn = psn_of(q->qp->qp_num);
	attr.timeout = 14;
	attr.retry_cnt = 7;
	attr.rnr_retry = 7;
	attr.max_rd_atomic = 4;
	mask = IBV_QP_STATE | IBV_QP_SQ_PSN;
	if (q->type != Q_UC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_MAX_QP_RD_ATOMIC;
	T_OK(ibv_modify_qp(q->qp, &attr, mask));
}

static unsigned int first_slot(const struct queue *q, unsigned int index)
{
	(void)q;
	return QP_SLOTS + index * RECVS;
}

static void post_recvs(struct worker *w, struct queue *q)
{
	unsigned int index = (q->peer * NR_Q + q->type);
	unsigned int i;

	for (i = 0; i < RECVS; i++)
		recv_post(w, first_slot(q, index) + i);
}

static void queue_make(struct worker *w, struct queue *q)
{
	struct t_addr addr;

	if (q->type == Q_XRC && q->responder)
		make_xrc_target(w, q);
	else
		make_qp(w, q, qp_type_of(q));
	q->number = ++w->queues_made;
	q->head = 0;
	q->tail = 0;
	q->gone = false;
	q->failed = false;
	to_init(w, q->qp);
	if (q->responder && !w->srq && q->type != Q_XRC)
		post_recvs(w, q);
	addr.qpn = q->qp->qp_num;
	addr.psn = psn_of(addr.qpn);
	addr.gid = w->dev.gid;
	if (q->responder)
		w->self->resp[q->peer][q->type] = addr;
	else
		w->self->req[q->peer][q->type] = addr;
}

static void queue_connect(struct worker *w, struct queue *q)
{
	struct side *peer = &w->b->side[q->peer];

	to_rts(w, q,
	       q->responder ? &peer->req[w->id][q->type] :
			      &peer->resp[w->id][q->type]);
}

void recv_post(struct worker *w, unsigned int slot)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)w->inbox + slot * RECV_SLOT,
		.length = RECV_LEN,
		.lkey = w->inbox_mr->lkey,
	};
	struct ibv_recv_wr wr = {
		.wr_id = slot,
		.sg_list = &sge,
		.num_sge = 1,
	};
	unsigned int index = (slot - QP_SLOTS) / RECVS;
	struct ibv_recv_wr *bad;
	struct ibv_qp *qp;

	if (slot < QP_SLOTS) {
		T_OK(ibv_post_srq_recv(slot < SRQ_RECVS ? w->srq : w->xrc_srq,
				       &wr, &bad));
		return;
	}
	if (index >= WORKERS * NR_Q) {
		qp = w->queues[UD_QUEUE].qp;
		sge.length += GRH;
	} else {
		qp = w->queues[2 * index + 1].qp;
	}
	T_OK(ibv_post_recv(qp, &wr, &bad));
}

static void make_ud(struct worker *w)
{
	struct queue *q = &w->queues[UD_QUEUE];
	unsigned int i;

	q->type = NR_Q;
	make_qp(w, q, IBV_QPT_UD);
	q->number = ++w->queues_made;
	to_init(w, q->qp);
	for (i = 0; i < UD_RECVS; i++)
		recv_post(w, NR_RECV_SLOTS - UD_RECVS + i);
	ud_to_rts(q->qp);
	w->self->ud.qpn = q->qp->qp_num;
	w->self->ud.gid = w->dev.gid;
}

static void make_xrc(struct worker *w)
{
	struct ibv_xrcd_init_attr domain = {
		.comp_mask = IBV_XRCD_INIT_ATTR_FD | IBV_XRCD_INIT_ATTR_OFLAGS,
		.fd = memfd_create("xrcd", MFD_CLOEXEC),
		.oflags = O_CREAT,
	};
	struct ibv_srq_init_attr_ex init = {
		.attr = { .max_wr = XRC_RECVS, .max_sge = 1 },
		.comp_mask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD |
			     IBV_SRQ_INIT_ATTR_XRCD | IBV_SRQ_INIT_ATTR_CQ,
		.srq_type = IBV_SRQT_XRC,
		.pd = w->dev.pd,
		.cq = w->rcq.cq,
	};
	unsigned int i;

	if (!(w->dev.attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC))
		t_skip("no XRC");
	w->xrcd = ibv_open_xrcd(w->dev.ctx, &domain);
	T_ASSERT(w->xrcd, "ibv_open_xrcd: %s", t_errname(errno));
	init.xrcd = w->xrcd;
	w->xrc_srq = ibv_create_srq_ex(w->dev.ctx, &init);
	T_ASSERT(w->xrc_srq, "ibv_create_srq_ex: %s", t_errname(errno));
	T_OK(ibv_get_srq_num(w->xrc_srq, &w->self->srqn));
	for (i = 0; i < XRC_RECVS; i++)
		recv_post(w, SRQ_RECVS + i);
}

void queues_make(struct worker *w)
{
	struct ibv_srq_init_attr init = {
		.attr = { .max_wr = SRQ_RECVS, .max_sge = 1 },
	};
	struct queue *q;
	unsigned int i;

	cq_make(w, &w->scq, NR_QUEUES * QUEUE_DEPTH, w->p->cq[w->id]);
	cq_make(w, &w->rcq, 2 * NR_RECV_SLOTS, w->p->cq[w->id]);
	if (w->p->srq[w->id]) {
		w->srq = ibv_create_srq(w->dev.pd, &init);
		T_ASSERT(w->srq, "ibv_create_srq: %s", t_errname(errno));
		for (i = 0; i < SRQ_RECVS; i++)
			recv_post(w, i);
	}
	make_xrc(w);
	for (i = 0; i < UD_QUEUE; i++) {
		q = &w->queues[i];
		q->responder = i & 1;
		q->type = i / 2 % NR_Q;
		q->peer = i / 2 / NR_Q;
		queue_make(w, q);
	}
	make_ud(w);
}

void queues_connect(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < UD_QUEUE; i++)
		queue_connect(w, &w->queues[i]);
}

/* Where datagrams go to */
void queues_address(struct worker *w)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = T_PORT,
		.grh = { .sgid_index = w->dev.gid_index, .hop_limit = 64 },
	};
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		attr.grh.dgid = w->b->side[i].ud.gid;
		w->ah[i] = ibv_create_ah(w->dev.pd, &attr);
		T_ASSERT(w->ah[i], "ibv_create_ah: %s", t_errname(errno));
	}
}

/* Both ends are made anew when either has seen something */
static bool is_bad(struct worker *w, const struct queue *q)
{
	struct side *peer = &w->b->side[q->peer];

	return w->self->bad[q->peer][q->type][q->responder] ||
	       peer->bad[w->id][q->type][!q->responder];
}

void queues_note_state(struct worker *w)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	struct queue *q;
	unsigned int i;

	for (i = 0; i < UD_QUEUE; i++) {
		q = &w->queues[i];
		T_OK(ibv_query_qp(q->qp, &attr, IBV_QP_STATE, &init));
		if (attr.qp_state != IBV_QPS_RTS)
			w->self->bad[q->peer][q->type][q->responder] = true;
	}
	T_OK(ibv_query_qp(w->queues[UD_QUEUE].qp, &attr, IBV_QP_STATE, &init));
	T_ASSERT(attr.qp_state == IBV_QPS_RTS, "the UD QP is in state %d",
		 attr.qp_state);
}

void queues_close_bad(struct worker *w)
{
	struct queue *q;
	unsigned int i;

	for (i = 0; i < UD_QUEUE; i++) {
		q = &w->queues[i];
		if (!is_bad(w, q))
			continue;
		if (q->responder && q->type == Q_RC)
			windows_drop_peer(w, q->peer);
		T_OK(ibv_destroy_qp(q->qp));
		queue_make(w, q);
	}
}

void queues_open_bad(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < UD_QUEUE; i++)
		if (is_bad(w, &w->queues[i]))
			queue_connect(w, &w->queues[i]);
}
