// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a QP has when its peer is on another host: made by the modify that
 * first sets such a path, kept until the QP is freed.
 */
#include <linux/log2.h>
#include <linux/slab.h>
#include <net/inet_ecn.h>
#include <rdma/ib_verbs.h>

#include "xport/rc/requester.h"
#include "xport/transports.h"

/* In one piece, of its size: kmalloc() would take more */
struct wire_whole {
	struct sodp_wire wire;
	struct sodp_wire_req req;
};

static struct kmem_cache *wire_cache;

int sodp_wire_init(void)
{
	wire_cache = kmem_cache_create("sodp_wire", sizeof(struct wire_whole),
				       0, SLAB_ACCOUNT, NULL);
	return wire_cache ? 0 : -ENOMEM;
}

void sodp_wire_exit(void)
{
	kmem_cache_destroy(wire_cache);
}

static int wire_init_req(struct sodp_wire_req *w, struct sodp_qp *qp)
{
	u32 records;

	records = clamp_t(u32, qp->req.sq_depth, 1, sodp_policy.records);
	w->out = kcalloc(records, sizeof(*w->out), GFP_KERNEL_ACCOUNT);
	if (!w->out)
		return -ENOMEM;
	w->mask = records - 1;
	w->begun = qp->req.sq_ci;
	w->send = qp->req.sq_ci;
	w->qp = qp;
	sodp_wreq_timer_init(w);
	return 0;
}

static void wire_dealloc(struct sodp_wire *wire)
{
	sodp_way_put(wire->way);
	sodp_rxq_free(&wire->ack_queue);
	sodp_wresp_free(&wire->resp);
	kfree(wire->req->rd_end);
	kfree(wire->req->out);
	kmem_cache_free(wire_cache,
			container_of(wire, struct wire_whole, wire));
}

/* The stack is done with packets: whoever stopped for it may go on */
static void wire_requests_left(struct sodp_flow *flow, bool room)
{
	struct sodp_qp *qp =
		container_of(flow, struct sodp_wire, requests)->resp.qp;

	if (room)
		sodp_qp_kick(qp);
	sodp_qp_put(qp);
}

static void wire_answers_left(struct sodp_flow *flow, bool room)
{
	struct sodp_qp *qp =
		container_of(flow, struct sodp_wire, answers)->resp.qp;

	if (room)
		sodp_wresp_kick(qp);
	sodp_qp_put(qp);
}

/* What packets need; nobody sees it before qp->wire is set */
static struct sodp_wire *wire_alloc(struct sodp_qp *qp)
{
	struct wire_whole *whole;
	struct sodp_wire *wire;

	whole = kmem_cache_zalloc(wire_cache, GFP_KERNEL_ACCOUNT);
	if (!whole)
		return NULL;
	wire = &whole->wire;
	wire->req = &whole->req;
	wire->service = sodp_service_of(qp->type);
	if (wire_init_req(wire->req, qp) || sodp_wresp_init(qp, &wire->resp) ||
	    sodp_rxq_init(&wire->ack_queue, qp, sodp_policy.queue_bytes)) {
		wire_dealloc(wire);
		return NULL;
	}
	wire->requests.ref = &qp->ref;
	wire->requests.left_stack = wire_requests_left;
	wire->answers.ref = &qp->ref;
	wire->answers.left_stack = wire_answers_left;
	/* Without a window nothing would react to a mark */
	if (wire->service->acked) {
		wire->requests.ecn = INET_ECN_ECT_0;
		wire->answers.ecn = INET_ECN_ECT_0;
	}
	sodp_wresp_hold_init(wire);
	return wire;
}

/**
 * wire_connect() - point a QP at a peer on another host
 * @qp: the QP
 * @attr: what it is being modified to
 * @mask: with IB_QP_AV
 *
 * Packets of one pair of QPs take one path through the network: the source
 * port is drawn from their numbers.
 *
 * Context: process, may sleep, under both mutexes.
 * Return: 0; -ENOMEM; that of sodp_net_reach() or sodp_path_init().
 */
static int wire_connect(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			int mask)
{
	u32 peer = mask & IB_QP_DEST_QPN ? attr->dest_qp_num :
					   qp->attr.dest_qp_num;
	const struct ib_global_route *grh = rdma_ah_read_grh(&attr->ah_attr);
	u32 flow = grh->flow_label;
	struct sodp_wire *wire = qp->wire;
	struct sodp_path path;
	struct sodp_way *way;
	int ret;

	lockdep_assert_held(&qp->req.exec_mutex);
	lockdep_assert_held(&qp->resp.resp_mutex);
	sodp_net_retry(qp->dev);
	ret = sodp_net_reach(qp->dev,
			     (const struct in6_addr *)grh->dgid.raw);
	if (ret)
		return ret;
	ret = sodp_path_init(&path, qp->dev, &attr->ah_attr,
			     rdma_get_udp_sport(flow, qp->qpn, peer));
	if (ret)
		return ret;
	way = sodp_way_get(&path);
	if (IS_ERR(way)) {
		ret = PTR_ERR(way);
		goto err_release;
	}
	if (!wire) {
		wire = wire_alloc(qp);
		if (!wire) {
			ret = -ENOMEM;
			goto err_put_way;
		}
	} else {
		sodp_path_release(&wire->path);
		sodp_way_put(wire->way);
	}
	wire->path = path;
	wire->way = way;
	spin_lock_init(&wire->path.dst_lock);
	sodp_cc_reset(wire->req);
	/* Pairs with the acquire loads where packets come in */
	smp_store_release(&qp->wire, wire);
	/* From a peer on this host, in SQD: there is no new PSN to reset it */
	if (qp->peer_dev_id)
		sodp_wreq_reset(qp);
	/* Pairs with the READ_ONCE() in local_is_peer() */
	WRITE_ONCE(qp->peer_dev_id, 0);
	return 0;

err_put_way:
	sodp_way_put(way);
err_release:
	sodp_path_release(&path);
	return ret;
}

/**
 * sodp_wreq_connect() - make room for READs and atomics on their way
 * @qp: the requester
 * @max_rd_atomic: how many there may be
 *
 * It does not shrink: in SQD as many may be on their way as there could be
 * before.
 *
 * Context: process, may sleep, under exec_mutex.
 * Return: 0, -ENOMEM.
 */
int sodp_wreq_connect(struct sodp_qp *qp, u8 max_rd_atomic)
{
	struct sodp_wire_req *w = qp->wire->req;
	u32 *ring, size, i;

	lockdep_assert_held(&qp->req.exec_mutex);
	if (!max_rd_atomic || (w->rd_end && max_rd_atomic <= w->rd_mask + 1))
		return 0;
	size = roundup_pow_of_two(max_rd_atomic);
	ring = kcalloc(size, sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return -ENOMEM;
	for (i = 0; i < w->rd_known; i++)
		ring[i] = *sodp_wreq_rd_end(w, i);
	kfree(w->rd_end);
	w->rd_end = ring;
	w->rd_mask = size - 1;
	w->rd_first = 0;
	return 0;
}

/**
 * wire_stop() - no timer of the QP's runs after this
 * @qp: a dead QP
 *
 * Context: process, may sleep.
 */
static void wire_stop(struct sodp_qp *qp)
{
	if (!qp->wire)
		return;
	hrtimer_cancel(&qp->wire->req->timer);
	hrtimer_cancel(&qp->wire->hold_timer);
}

/**
 * wire_free() - free it with the QP
 * @qp: nobody else has a reference
 *
 * Context: any.
 */
static void wire_free(struct sodp_qp *qp)
{
	if (!qp->wire)
		return;
	sodp_path_release(&qp->wire->path);
	wire_dealloc(qp->wire);
}

/* Before there is a wire, these are of no use */
static int wire_rd_atomic(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			  int mask)
{
	int ret = 0;

	if (!qp->wire)
		return 0;
	if (mask & (IB_QP_AV | IB_QP_MAX_QP_RD_ATOMIC))
		ret = sodp_wreq_connect(qp, mask & IB_QP_MAX_QP_RD_ATOMIC ?
					    attr->max_rd_atomic :
					    qp->attr.max_rd_atomic);
	if (!ret && (mask & (IB_QP_AV | IB_QP_MAX_DEST_RD_ATOMIC)))
		ret = sodp_wresp_connect(qp, mask & IB_QP_MAX_DEST_RD_ATOMIC ?
					     attr->max_dest_rd_atomic :
					     qp->attr.max_dest_rd_atomic);
	return ret;
}

static void wire_reset_sends(struct sodp_qp *qp)
{
	if (qp->wire)
		sodp_wreq_reset(qp);
}

static void wire_reset_recvs(struct sodp_qp *qp)
{
	if (qp->wire)
		sodp_wresp_reset(qp);
}

static void wire_close(struct sodp_qp *qp)
{
	if (!qp->wire)
		return;
	sodp_wresp_reset(qp);
	sodp_rxq_close(&qp->wire->ack_queue);
}

static bool wire_resp_queued(const struct sodp_qp *qp)
{
	/* Pairs with the release store that publishes it */
	const struct sodp_wire *wire = smp_load_acquire(&qp->wire);

	return wire && work_pending(&wire->resp.work);
}

static bool wire_resp_waits(const struct sodp_qp *qp)
{
	/* Pairs with the release store that publishes it */
	const struct sodp_wire *wire = smp_load_acquire(&qp->wire);

	return wire && (work_pending(&wire->resp.work) ||
			sodp_wait_is_queued(&wire->resp.wait));
}

const struct sodp_transport sodp_rc_transport = {
	.packets = BIT(IB_QPT_RC) | BIT(IB_QPT_UC) | BIT(IB_QPT_XRC_INI) |
		   BIT(IB_QPT_XRC_TGT),
	.connect = wire_connect,
	.rd_atomic = wire_rd_atomic,
	.run = sodp_wreq_run,
	.busy = sodp_wreq_busy,
	.reset_sends = wire_reset_sends,
	.reset_recvs = wire_reset_recvs,
	.close = wire_close,
	.stop = wire_stop,
	.free = wire_free,
	.resp_queued = wire_resp_queued,
	.resp_waits = wire_resp_waits,
	.rescue = sodp_wresp_rescue,
	.wants = sodp_wire_wants,
	.receive = sodp_wire_receive,
};
