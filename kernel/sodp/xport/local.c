// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The same-host transport: the responder's code is run by the requester's
 * context, and payload goes from page to page in one copy.
 */
#include "net/net.h"
#include "qp/ops.h"
#include "xport/transports.h"

/* XRC only has different types at its ends */
static enum ib_qp_type local_peer_type(const struct sodp_qp *qp)
{
	return qp->type == IB_QPT_XRC_INI ? IB_QPT_XRC_TGT : qp->type;
}

/*
 * Part of the message is placed, in a receive that is not there any more: the
 * peer was reset and connected anew in the middle of it.
 */
static bool local_lost_recv(const struct sodp_qp *qp,
			    const struct sodp_qp *peer)
{
	return qp->req.wqe.req.done && !peer->resp.recv.valid &&
	       (sodp_op_of(qp->req.wqe.req.opcode)->flags & SODP_OP_RECV);
}

/*
 * Are the two connected to each other? Asked before the peer's lock is taken,
 * so that whoever names a stranger's number cannot keep that lock busy, and
 * again under it. READ_ONCE: all this is written under both mutexes of
 * @peer, and single words. Its device may be gone, if we hold no lock.
 */
static bool local_is_peer(const struct sodp_qp *qp, const struct sodp_qp *peer)
{
	return !READ_ONCE(peer->dead) && peer->type == local_peer_type(qp) &&
	       peer->dev_id == READ_ONCE(qp->peer_dev_id) &&
	       READ_ONCE(peer->peer_dev_id) == qp->dev_id &&
	       READ_ONCE(peer->attr.dest_qp_num) == qp->qpn;
}

/*
 * Would a packet of this QP be taken by @peer? What a wire would drop in
 * silence is lost here too, and ends in the requester's retry count.
 */
static bool local_accepts(struct sodp_qp *qp, struct sodp_qp *peer)
{
	lockdep_assert_held(&peer->resp.resp_mutex);
	return sodp_qp_receives(peer) &&
	       (peer->resp.psn == qp->req.wqe.req.psn ||
		qp->type == IB_QPT_UC) &&
	       !local_lost_recv(qp, peer);
}

/*
 * UC has no answers: whatever became of the message, it is done, and what
 * the responder refused is as if lost. The receive that an abandoned SEND
 * had begun to fill serves the next one.
 */
static enum sodp_verdict local_uc(struct sodp_qp *peer,
				  enum sodp_verdict verdict)
{
	if (verdict == SODP_E_REM_OP)
		sodp_resp_fail(peer, verdict);
	peer->resp.recv.fail_status = 0;
	peer->resp.recv.fail_why = 0;
	/* Not the responder's affair: memory of the requester is bad */
	if (unlikely(verdict == SODP_E_LOC_PROT))
		return verdict;
	return verdict == SODP_AGAIN || verdict == SODP_BUDGET ||
	       verdict == SODP_BUSY ? verdict : SODP_OK;
}

/*
 * The peer, kept from one request to the next. Only one that is connected to
 * us is: it has us let go of it, see local_leave().
 */
static struct sodp_qp *local_peer(struct sodp_qp *qp)
{
	struct sodp_qp *peer = qp->req.peer;

	lockdep_assert_held(&qp->req.exec_mutex);
	if (likely(peer))
		return peer;
	peer = sodp_qp_get(qp->attr.dest_qp_num);
	if (peer && !local_is_peer(qp, peer)) {
		sodp_qp_put(peer);
		return NULL;
	}
	WRITE_ONCE(qp->req.peer, peer);
	return peer;
}

/**
 * local_forget() - let go of the peer that was kept
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
static void local_forget(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	if (qp->req.peer)
		sodp_qp_put(qp->req.peer);
	WRITE_ONCE(qp->req.peer, NULL);
}

/**
 * local_check() - let go of the peer that was kept, if it is none now
 * @qp: the requester
 *
 * Context: process, under exec_mutex.
 */
static void local_check(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	if (unlikely(qp->req.peer && !local_is_peer(qp, qp->req.peer)))
		local_forget(qp);
}

/**
 * local_leave() - this QP is nobody's peer any more
 * @qp: it was destroyed or reset
 * @peer_qpn: who may have kept it
 *
 * An idle requester would keep its memory for ever. Its worker lets go: its
 * lock may be another process', for which this does not wait. Who keeps it
 * just now, not seen here, finds out under our resp_mutex.
 *
 * Context: process.
 */
static void local_leave(struct sodp_qp *qp, u32 peer_qpn)
{
	struct sodp_qp *peer = sodp_qp_get(peer_qpn);

	if (!peer)
		return;
	/* Pairs with WRITE_ONCE() in local_peer(): only compared */
	if (READ_ONCE(peer->req.peer) == qp)
		sodp_qp_kick(peer);
	sodp_qp_put(peer);
}

/*
 * The peer's application sees its receive next, and may answer before we are
 * back: our completion is in the CQ by then, as a card's would be.
 */
static void local_executed(struct sodp_request *req)
{
	struct sodp_qp *qp = container_of(req, struct sodp_qp, req.wqe.req);

	qp->req.wqe.acked = true;
	sodp_sq_sent(qp);
}

/* Hand the request to the peer's responder, or @failed: tell it of a fault */
static enum sodp_verdict local_request(struct sodp_qp *qp,
				       struct sodp_cursor *payload,
				       enum sodp_verdict failed, u64 *budget,
				       struct sodp_stop *stop)
{
	struct sodp_qp *peer = local_peer(qp);
	enum sodp_verdict verdict = SODP_LOST;
	bool connected;

	if (unlikely(!peer))
		return qp->type == IB_QPT_UC ? SODP_OK : SODP_LOST;
	mutex_lock(&peer->resp.resp_mutex);
	connected = local_is_peer(qp, peer);
	if (likely(connected && local_accepts(qp, peer))) {
		peer->resp.psn = qp->req.wqe.req.psn;
		qp->req.wqe.req.executed = local_executed;
		verdict = failed ? : sodp_resp_request(peer, &qp->req.wqe.req,
						       payload, budget, stop);
		if (qp->type == IB_QPT_UC)
			verdict = local_uc(peer, verdict);
		else if (unlikely(verdict >= SODP_E_REM_INV_REQ))
			sodp_resp_fail(peer, verdict);
		else if (unlikely(verdict == SODP_RNR))
			qp->req.rnr_ns = sodp_rnr_ns(peer);
	}
	if (qp->type == IB_QPT_UC && verdict == SODP_LOST)
		verdict = SODP_OK;
	mutex_unlock(&peer->resp.resp_mutex);
	/* Its number may be another QP's by now */
	if (unlikely(!connected))
		local_forget(qp);
	return verdict;
}

/**
 * local_execute() - carry out the current WQE on a peer of this host
 * @qp: the requester
 * @failed: SODP_OK, or what the responder has to be failed with because its
 *	memory could not be faulted in
 * @budget: bytes that may be moved
 * @stop: filled on SODP_AGAIN
 *
 * A request that takes a receive is completed before that receive is.
 *
 * Context: process, under exec_mutex.
 * Return: as sodp_wqe_execute().
 */
static enum sodp_verdict local_execute(struct sodp_qp *qp,
				       enum sodp_verdict failed, u64 *budget,
				       struct sodp_stop *stop)
{
	struct sodp_cursor payload;
	struct sodp_wqe *wqe = &qp->req.wqe;
	const struct sodp_op *op = sodp_op_of(wqe->sqe.opcode);
	struct sodp_cursor result = {};
	enum sodp_verdict verdict;
	struct sodp_buf buf;

	/* Not connected yet */
	if (unlikely(!qp->peer_dev_id))
		return SODP_LOST;
	verdict = sodp_wqe_payload(qp, op->flags & SODP_OP_IN ?
				   IB_ACCESS_LOCAL_WRITE : 0, &payload, &buf);
	if (unlikely(verdict))
		return verdict;
	if (likely(!wqe->acked)) {
		verdict = local_request(qp, &payload, failed, budget, stop);
		if (verdict)
			goto out_put;
		wqe->acked = true;
	}
	/* An atomic's old value; the operation itself is not run again */
	if ((op->flags & (SODP_OP_IN | SODP_OP_ATOMIC)) ==
	    (SODP_OP_IN | SODP_OP_ATOMIC)) {
		buf.addr = (u8 *)&wqe->req.result;
		buf.length = sizeof(u64);
		result.bufs = &buf;
		result.nr_bufs = 1;
		verdict = sodp_move(&payload, &result, sizeof(u64),
				    sizeof(u64), &wqe->result_done, budget,
				    stop, false);
	}
out_put:
	sodp_wqe_put_payload(&payload);
	return verdict;
}

/* A device of this host that has the address? */
static int local_connect(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			 int mask)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(&attr->ah_attr);
	u64 peer = sodp_device_by_gid(qp->dev,
				      (const struct in6_addr *)grh->dgid.raw);

	if (!peer)
		return 1;
	/* Pairs with the READ_ONCE() in local_is_peer() */
	WRITE_ONCE(qp->peer_dev_id, peer);
	return 0;
}

const struct sodp_transport sodp_local_transport = {
	.types = BIT(IB_QPT_RC) | BIT(IB_QPT_UC) | BIT(IB_QPT_XRC_INI) |
		 BIT(IB_QPT_XRC_TGT),
	.connect = local_connect,
	.execute = local_execute,
	.check = local_check,
	.forget = local_forget,
	.leave = local_leave,
};
