// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Unreliable datagrams, the GSI's among them. What comes, from the network
 * stack or from a device of this host, is queued and put into receives by a
 * worker, which may have to wait for a page; datagrams for which there is no
 * room or no receive are dropped, as the spec has it.
 */
#include <linux/ip.h>
#include <rdma/ib_mad.h>

#include "qp/ops.h"
#include "qp/sq.h"
#include "xport/policy.h"
#include "xport/rxq.h"
#include "xport/transports.h"
#include "xport/ud/ud.h"

/* In front of the payload in each receive. IBA 11.4.1.2, A17.4.5.2 */
#define UD_GRH_BYTES		40

/**
 * struct sodp_ud - the receiving side of a UD QP
 * @qp: the QP
 * @queue: datagrams from softirq
 * @work: takes them from @queue
 * @wait: for a page
 * @flow: what is sent
 *
 * The rest is under resp_mutex:
 *
 * @req: the first datagram of @queue, being put into a receive
 * @begun: it is
 * @fault_ret: what the fault for the first datagram ended with
 */
struct sodp_ud {
	struct sodp_qp *qp;
	struct sodp_rxq queue;
	struct work_struct work;
	struct sodp_wait wait;
	struct sodp_flow flow;
	struct sodp_request req;
	bool begun;
	int fault_ret;
};

static void ud_fill_pkt(const struct sodp_qp *qp, struct sodp_pkt *pkt)
{
	const struct sodp_wqe *wqe = &qp->req.wqe;
	const struct sodp_sqe *sqe = &wqe->sqe;

	memset(pkt, 0, sizeof(*pkt));
	pkt->opcode = sqe->opcode == SODP_WR_SEND ?
		      IB_OPCODE_UD_SEND_ONLY :
		      IB_OPCODE_UD_SEND_ONLY_WITH_IMMEDIATE;
	pkt->op = &sodp_wire_ops[pkt->opcode];
	pkt->solicited = sqe->flags & SODP_SEND_SOLICITED;
	pkt->migrated = true;
	pkt->pkey = IB_DEFAULT_PKEY_FULL;
	pkt->qpn = sqe->ud.remote_qpn & SODP_MAX_QPN;
	pkt->psn = qp->req.psn;
	/* IBA 10.2.5: the high bit asks for the QP's own */
	pkt->qkey = sqe->ud.remote_qkey & BIT(31) ? qp->attr.qkey :
						    sqe->ud.remote_qkey;
	pkt->src_qpn = qp->ibqp->qp_num;
	pkt->ex = sqe->ex;
	pkt->length = wqe->length;
}

/* Build and send the packet; nothing is sent unless all of it is there */
static enum sodp_verdict ud_send_to(struct sodp_qp *qp, struct sodp_av *av,
				    struct sodp_cursor *payload, u64 *budget,
				    struct sodp_stop *stop)
{
	struct sodp_buf data = { .length = qp->req.wqe.length };
	struct sodp_cursor dst = { .bufs = &data, .nr_bufs = 1 };
	enum sodp_verdict verdict = SODP_OK;
	struct sodp_burst burst;
	struct sodp_pkt pkt;
	u64 done = 0;
	u32 hdr;

	ud_fill_pkt(qp, &pkt);
	sodp_burst_init(&burst, &av->path, &qp->ud->flow);
	data.addr = sodp_burst_reserve(&burst, pkt.op->len + pkt.length, 0);
	burst.unsent = sodp_ud_stays(av);
	/* No memory: lost, as far as the peer can tell */
	if (unlikely(!data.addr))
		return SODP_OK;
	hdr = sodp_pkt_build(data.addr, &pkt);
	data.addr += hdr;
	/* A packet is never cut by the slice's budget */
	*budget = max_t(u64, *budget, pkt.length);
	verdict = sodp_move(&dst, payload, pkt.length, pkt.length, &done,
			    budget, stop, true);
	if (likely(!verdict)) {
		sodp_burst_commit(&burst, hdr + pkt.length);
		/* On this host it is answered before the stack is back */
		sodp_sq_sent(qp);
	}
	if (!burst.unsent || verdict)
		sodp_burst_send(&burst);
	else
		sodp_ud_local(av, &pkt, sodp_burst_take(&burst));
	return verdict;
}

/**
 * ud_send() - carry out the current WQE of a datagram QP
 * @qp: the requester
 * @failed: SODP_OK: no memory of another is looked at
 * @budget: bytes that may be moved
 * @stop: filled on SODP_AGAIN
 *
 * Context: process, under exec_mutex.
 * Return: SODP_OK also when the network drops it; SODP_AGAIN; an error to
 * complete it with.
 */
static enum sodp_verdict ud_send(struct sodp_qp *qp, enum sodp_verdict failed,
				 u64 *budget, struct sodp_stop *stop)
{
	struct sodp_wqe *wqe = &qp->req.wqe;
	struct sodp_cursor payload;
	enum sodp_verdict verdict;
	struct sodp_buf buf;
	struct sodp_av *av;

	if (wqe->sqe.opcode != SODP_WR_SEND &&
	    wqe->sqe.opcode != SODP_WR_SEND_WITH_IMM)
		return SODP_E_LOC_QP_OP;
	if (wqe->length > ib_mtu_enum_to_int(sodp_active_mtu(qp->dev)))
		return SODP_E_LOC_LEN;
	/* Message and packet are one */
	wqe->req.nr_packets = 1;
	wqe->acked = true;
	av = sodp_av_get(qp, wqe->sqe.ud.ah);
	if (!av) {
		wqe->why = SODP_ERR_AH;
		return SODP_E_LOC_QP_OP;
	}
	verdict = sodp_wqe_payload(qp, 0, &payload, &buf);
	if (!verdict) {
		verdict = ud_send_to(qp, av, &payload, budget, stop);
		sodp_wqe_put_payload(&payload);
	}
	sodp_av_put(av);
	return verdict;
}

/**
 * ud_tx_full() - has the stack enough of this QP's packets?
 * @qp: a QP that sends datagrams
 *
 * A queue below that overflows would lose what a card only delays.
 *
 * Context: any.
 * Return: true: yes; sodp_qp_kick() follows when half of them are gone.
 */
static bool ud_tx_full(const struct sodp_qp *qp)
{
	return sodp_flow_full(&qp->ud->flow);
}

static void ud_kick(struct sodp_qp *qp)
{
	sodp_qp_queue_work(qp, sodp_wq, &qp->ud->work);
}

/**
 * sodp_ud_rx() - a datagram came
 * @qp: to this QP, whose state and P_Key were checked
 * @skb: taken over
 *
 * Context: with softirqs off, or in one.
 */
void sodp_ud_rx(struct sodp_qp *qp, struct sk_buff *skb)
{
	struct sodp_ud *ud = qp->ud;
	struct sodp_pkt pkt;

	if (!sodp_rx_peek(skb, &pkt) || pkt.qkey != READ_ONCE(qp->attr.qkey)) {
		sodp_count(qp->dev, SODP_CNT_rx_drops, 1);
		kfree_skb(skb);
		return;
	}
	if (sodp_rxq_add(&ud->queue, skb))
		ud_kick(qp);
}

static void ud_consume(struct sodp_ud *ud, struct sk_buff *skb)
{
	sodp_rxq_consume(&ud->queue, skb);
	ud->begun = false;
	ud->fault_ret = 0;
}

static void ud_drop(struct sodp_ud *ud, struct sk_buff *skb)
{
	sodp_count(ud->qp->dev, SODP_CNT_rx_drops, 1);
	ud_consume(ud, skb);
}

/**
 * ud_reset() - forget all that came
 * @qp: any QP
 *
 * Does not wait for a fault under way.
 *
 * Context: process, under resp_mutex.
 */
static void ud_reset(struct sodp_qp *qp)
{
	struct sodp_ud *ud = qp->ud;

	if (!ud)
		return;
	lockdep_assert_held(&qp->resp.resp_mutex);
	sodp_rxq_purge(&ud->queue);
	ud->begun = false;
	ud->fault_ret = 0;
	sodp_wait_end(&ud->wait);
}

/* IPv4 stands in the second half, the first is not defined: zero it is */
static void ud_fill_grh(const struct sk_buff *skb, u8 *grh)
{
	memset(grh, 0, UD_GRH_BYTES);
	if (sodp_rx_cb((struct sk_buff *)skb)->ipv6)
		memcpy(grh, skb_network_header(skb), sizeof(struct ipv6hdr));
	else
		memcpy(grh + UD_GRH_BYTES - sizeof(struct iphdr),
		       skb_network_header(skb), sizeof(struct iphdr));
}

static void ud_begin(struct sodp_ud *ud, const struct sk_buff *skb,
		     const struct sodp_pkt *pkt)
{
	struct sodp_request *req = &ud->req;

	memset(req, 0, sizeof(*req));
	req->opcode = pkt->op->wr;
	req->flags = pkt->solicited ? SODP_SEND_SOLICITED : 0;
	req->ex = pkt->ex;
	req->length = UD_GRH_BYTES + pkt->length;
	req->ready = req->length;
	req->last = true;
	req->nr_packets = 1;
	req->src_qpn = pkt->src_qpn;
	req->grh = true;
	req->sl = sodp_rx_cb((struct sk_buff *)skb)->ipv6 ?
		  SODP_WC_SL_IPV6 : SODP_WC_SL_IPV4;
	req->vlan = sodp_rx_cb((struct sk_buff *)skb)->vlan;
	ud->begun = true;
}

/* Into the receive in hand, as far as pages are there */
static enum sodp_verdict ud_place(struct sodp_ud *ud, struct sk_buff *skb,
				  const struct sodp_pkt *pkt,
				  struct sodp_stop *stop)
{
	struct sodp_buf bufs[1 + SODP_RX_MAX_BUFS];
	struct sodp_cursor payload = { .bufs = bufs };
	u8 grh[UD_GRH_BYTES];
	u64 budget = U64_MAX;

	ud_fill_grh(skb, grh);
	bufs[0].addr = grh;
	bufs[0].length = sizeof(grh);
	payload.nr_bufs = 1 + sodp_rx_bufs(skb, pkt, bufs + 1,
					   SODP_RX_MAX_BUFS);
	return sodp_resp_request(ud->qp, &ud->req, &payload, &budget, stop);
}

static void ud_fail(struct sodp_ud *ud, enum sodp_verdict verdict)
{
	/* Told by the completion; no one is sent a NAK */
	if (!ud->qp->resp.recv.fail_status)
		ud->qp->resp.recv.fail_status = IB_WC_LOC_PROT_ERR;
	sodp_resp_fail(ud->qp, verdict);
}

/* Return: false: parked */
static bool ud_deliver(struct sodp_ud *ud, struct sk_buff *skb,
		       struct sodp_turn *turn)
{
	struct sodp_qp *qp = ud->qp;
	enum sodp_verdict verdict;
	struct sodp_stop stop;
	struct sodp_pkt pkt;
	u32 faults = 0;
	int ret;

	if (!sodp_rx_peek(skb, &pkt))
		goto out_drop;
	verdict = sodp_rq_fetch(qp, NULL);
	if (verdict == SODP_RNR)
		goto out_drop;
	/* IBA 9.9.3, class D: the receive serves the next datagram */
	if (!verdict && UD_GRH_BYTES + pkt.length > qp->resp.recv.length)
		goto out_drop;
	/* Whoever made the skb can write to its pages while it waits here */
	if (ud->begun && ud->req.length != UD_GRH_BYTES + pkt.length)
		goto out_drop;
	if (!ud->begun)
		ud_begin(ud, skb, &pkt);
	if (!verdict && ud->fault_ret)
		verdict = SODP_E_REM_OP;
	while (!verdict) {
		verdict = ud_place(ud, skb, &pkt, &stop);
		if (verdict != SODP_AGAIN)
			break;
		ret = sodp_fault_try(&stop, &faults, turn);
		if (ret == -EAGAIN) {
			sodp_wait_begin(&ud->wait, &stop.miss);
			return false;
		}
		verdict = ret ? SODP_E_REM_OP : SODP_OK;
	}
	if (verdict)
		ud_fail(ud, verdict);
	ud_consume(ud, skb);
	return true;

out_drop:
	ud_drop(ud, skb);
	return true;
}

static void ud_work(struct work_struct *work)
{
	struct sodp_ud *ud = container_of(work, struct sodp_ud, work);
	struct sodp_turn turn = { .ns = SODP_WORKER_NS };
	u32 packets = sodp_policy.turn_packets;
	struct sodp_qp *qp = ud->qp;
	struct sk_buff *skb;

	mutex_lock(&qp->resp.resp_mutex);
	for (;;) {
		/* Every time: softirq may queue what it checked before */
		if (qp->dead || !sodp_qp_receives(qp)) {
			ud_reset(qp);
			break;
		}
		skb = sodp_rxq_peek(&ud->queue);
		if (ud->wait.on || !skb || !packets--)
			break;
		if (!ud_deliver(ud, skb, &turn))
			break;
	}
	if (!ud->wait.on && sodp_rxq_peek(&ud->queue))
		ud_kick(qp);
	mutex_unlock(&qp->resp.resp_mutex);
	sodp_qp_put(qp);
}

static void ud_wait_ended(struct sodp_qp *qp, int ret)
{
	if (ret)
		qp->ud->fault_ret = ret;
	ud_kick(qp);
}

static void ud_left_stack(struct sodp_flow *flow, bool room)
{
	struct sodp_qp *qp = container_of(flow, struct sodp_ud, flow)->qp;

	if (room)
		sodp_qp_kick(qp);
	sodp_qp_put(qp);
}

/**
 * ud_free() - undo ud_init()
 * @qp: a QP that nobody refers to
 *
 * Context: any.
 */
static void ud_free(struct sodp_qp *qp)
{
	if (qp->ud)
		sodp_rxq_free(&qp->ud->queue);
	kfree(qp->ud);
	qp->ud = NULL;
}

/**
 * ud_init() - what a datagram QP has beside struct sodp_qp
 * @qp: a new QP
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
static int ud_init(struct sodp_qp *qp)
{
	struct sodp_ud *ud;

	ud = kzalloc(sizeof(*ud), GFP_KERNEL_ACCOUNT);
	if (!ud)
		return -ENOMEM;
	ud->qp = qp;
	ud->flow.ref = &qp->ref;
	ud->flow.left_stack = ud_left_stack;
	qp->ud = ud;
	if (sodp_rxq_init(&ud->queue, qp, sodp_policy.queue_bytes)) {
		ud_free(qp);
		return -ENOMEM;
	}
	INIT_WORK(&ud->work, ud_work);
	sodp_wait_init(&ud->wait, qp, &qp->resp.resp_mutex, ud_wait_ended);
	return 0;
}

/* A datagram's address was looked at when its group or QP 1 was found by it */
static bool ud_wants(const struct sodp_qp *qp, const struct sodp_came *came,
		     const struct sodp_pkt *pkt)
{
	if (pkt->op->type != IB_QPT_UD)
		return false;
	return pkt->qpn == SODP_QPN_MULTICAST || pkt->qpn == SODP_QPN_GSI ||
	       sodp_gid_came_by(qp->dev, &came->daddr, came->in);
}

static void ud_receive(struct sodp_qp *qp, const struct sodp_came *came,
		       const struct sodp_pkt *pkt, struct sk_buff *skb)
{
	sodp_ud_rx(qp, skb);
}

const struct sodp_transport sodp_ud_transport = {
	.types = BIT(IB_QPT_UD) | BIT(IB_QPT_GSI),
	.packets = BIT(IB_QPT_UD) | BIT(IB_QPT_GSI),
	.init = ud_init,
	.execute = ud_send,
	.full = ud_tx_full,
	.detach = sodp_mcast_forget,
	.reset_recvs = ud_reset,
	.close = ud_reset,
	.free = ud_free,
	.wants = ud_wants,
	.receive = ud_receive,
};
