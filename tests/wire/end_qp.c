// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Queue pairs of an end: RC, UC and UD */

#include <poll.h>
#include <stdlib.h>

#include "wire.h"

static struct ibv_cq *end_cq(struct w_end *end, unsigned int depth)
{
	struct ibv_cq *cq = ibv_create_cq(end->dev.ctx, 2 * depth, NULL, NULL,
					  0);

	T_ASSERT(cq, "ibv_create_cq: %s", t_errname(errno));
	return cq;
}

static void end_qp_init(const struct w_end *end, struct w_qp *qp)
{
	unsigned int local = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND;

	bool ud = qp->opt.type == IBV_QPT_UD;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = T_PORT,
		.qkey = W_QKEY,
		.qp_access_flags = end_access(end) & ~local,
	};

	if (qp->opt.type == IBV_QPT_UC)
		attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
	T_OK(ibv_modify_qp(qp->qp, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   (ud ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS)));
}

void end_qp(struct w_end *end, const struct w_req *req, struct w_rep *rep)
{
	struct w_qp *qp = &end->qp[req->qp];
	struct ibv_qp_init_attr_ex init = {
		.qp_type = req->opt.type,
		.cap = {
			.max_send_wr = req->opt.depth,
			.max_recv_wr = req->opt.depth,
			.max_send_sge = 2,
			.max_recv_sge = 2,
		},
		.pd = end->dev.pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
	};
	int index = end->dev.gid_index;

	qp->opt = req->opt;
	if (qp->opt.v6) {
		index = end->gid6_index;
		if (index < 0)
			t_skip("no IPv6 address");
	}
	qp->scq = end_cq(end, qp->opt.depth);
	qp->rcq = end_cq(end, qp->opt.depth);
	init.send_cq = qp->scq;
	init.recv_cq = qp->rcq;
	if (qp->opt.wr_ops) {
		init.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		init.send_ops_flags = qp->opt.wr_ops;
	}
	qp->qp = ibv_create_qp_ex(end->dev.ctx, &init);
	T_ASSERT(qp->qp, "ibv_create_qp_ex: %s", t_errname(errno));
	if (qp->opt.wr_ops)
		qp->qpx = ibv_qp_to_qp_ex(qp->qp);
	end_qp_init(end, qp);
	qp->addr.qpn = qp->qp->qp_num;
	/* PSNs that wrap soon */
	qp->addr.psn = 0xffffff - (qp->addr.qpn * 7 & 0xff);
	qp->addr.mtu = end->dev.port.active_mtu;
	T_OK(ibv_query_gid(end->dev.ctx, T_PORT, index, &qp->addr.gid));
	rep->addr = qp->addr;
}

static void end_ah(struct w_end *end, const struct w_qp *qp,
		   struct ibv_ah_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->is_global = 1;
	attr->port_num = T_PORT;
	attr->grh.dgid = qp->peer.gid;
	attr->grh.sgid_index = qp->opt.v6 ? end->gid6_index :
					    end->dev.gid_index;
	attr->grh.hop_limit = 64;
}

static void connect_ud(struct w_end *end, struct w_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTR };
	struct ibv_ah_attr ah;

	T_OK(ibv_modify_qp(qp->qp, &attr, IBV_QP_STATE));
	attr.qp_state = IBV_QPS_RTS;
	attr.sq_psn = qp->addr.psn;
	T_OK(ibv_modify_qp(qp->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN));
	end_ah(end, qp, &ah);
	qp->ah = ibv_create_ah(end->dev.pd, &ah);
	T_ASSERT(qp->ah, "ibv_create_ah: %s", t_errname(errno));
}

void end_connect(struct w_end *end, unsigned int number,
		 const struct w_addr *peer)
{
	struct w_qp *qp = &end->qp[number];
	int rtr = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
		  IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
	int rts = IBV_QP_STATE | IBV_QP_SQ_PSN;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = peer->mtu < qp->addr.mtu ? peer->mtu :
						       qp->addr.mtu,
		.dest_qp_num = peer->qpn,
		.rq_psn = peer->psn,
		.max_dest_rd_atomic = qp->opt.rd_atomic,
		.min_rnr_timer = qp->opt.min_rnr,
		.timeout = qp->opt.timeout,
		.retry_cnt = qp->opt.retry_cnt,
		.rnr_retry = qp->opt.rnr_retry,
		.max_rd_atomic = qp->opt.rd_atomic,
		.sq_psn = qp->addr.psn,
	};

	qp->peer = *peer;
	if (qp->opt.type == IBV_QPT_UD) {
		connect_ud(end, qp);
		return;
	}
	if (qp->opt.type == IBV_QPT_RC) {
		rtr |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
		rts |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
		       IBV_QP_MAX_QP_RD_ATOMIC;
	}
	end_ah(end, qp, &attr.ah_attr);
	T_OK(ibv_modify_qp(qp->qp, &attr, rtr));
	attr.qp_state = IBV_QPS_RTS;
	T_OK(ibv_modify_qp(qp->qp, &attr, rts));
}

int end_post(struct w_end *end, unsigned int number, struct ibv_send_wr *wr)
{
	struct w_qp *qp = &end->qp[number];
	struct ibv_send_wr *bad = NULL;

	wr->send_flags |= IBV_SEND_SIGNALED;
	if (qp->opt.type == IBV_QPT_UD) {
		wr->wr.ud.ah = qp->ah;
		wr->wr.ud.remote_qpn = qp->peer.qpn;
		wr->wr.ud.remote_qkey = W_QKEY;
	}
	return ibv_post_send(qp->qp, wr, &bad);
}

static bool grh_good(const struct w_qp *qp, const unsigned char *grh)
{
	const struct ibv_grh *six = (const void *)grh;

	if (qp->opt.v6)
		return !memcmp(&six->sgid, &qp->peer.gid, 16) &&
		       !memcmp(&six->dgid, &qp->addr.gid, 16);
	/* An IPv4 header is in the last 20 bytes */
	return grh[20] >> 4 == 4 &&
	       !memcmp(grh + 32, qp->peer.gid.raw + 12, 4) &&
	       !memcmp(grh + 36, qp->addr.gid.raw + 12, 4);
}

/* rdma_rxe hands out the kernel's flag, which is another one here. */
static unsigned int inv_flag(const struct w_end *end)
{
	return strncmp(end->dev.name, "rxe", 3) ? IBV_WC_WITH_INV : 1 << 2;
}

void end_want_recv(struct w_end *end, unsigned int number,
		   const struct w_place *place, struct w_rep *rep)
{
	const struct w_qp *qp = &end->qp[number];
	bool imm = place->recv == W_RECV_IMM || place->recv == W_RECV_MSG_IMM;
	bool inv = place->recv == W_RECV_MSG_INV;
	bool ud = qp->opt.type == IBV_QPT_UD;
	struct ibv_wc wc;

	if (!t_poll_for(qp->rcq, &wc, T_WAIT_MS)) {
		uint64_t drops = 0;

		w_counter(end->dev.name, "rx_drops", &drops);
		rep->bad = true;
		snprintf(rep->text, sizeof(rep->text),
			 "nothing received, %llu packets dropped",
			 (unsigned long long)drops);
		return;
	}
	rep->bad = wc.status != IBV_WC_SUCCESS || wc.wr_id != place->seed ||
		   wc.byte_len != place->len ||
		   wc.qp_num != qp->addr.qpn ||
		   wc.opcode != (place->recv == W_RECV_IMM ?
					 IBV_WC_RECV_RDMA_WITH_IMM :
					 IBV_WC_RECV) ||
		   !!(wc.wc_flags & IBV_WC_WITH_IMM) != imm ||
		   (imm && wc.imm_data != htobe32(place->imm)) ||
		   !!(wc.wc_flags & inv_flag(end)) != inv ||
		   (inv && wc.invalidated_rkey != place->imm) ||
		   (ud && (wc.src_qp != qp->peer.qpn ||
			   !(wc.wc_flags & IBV_WC_GRH)));
	if (rep->bad) {
		snprintf(rep->text, sizeof(rep->text),
			 "'%s' opcode %#x length %u flags %#x imm %#x from %#x",
			 t_wc_name(wc.status), wc.opcode, wc.byte_len,
			 wc.wc_flags, be32toh(wc.imm_data), wc.src_qp);
		return;
	}
	rep->bad = ud && !grh_good(qp, (void *)(end->buf[place->buf].base +
						place->off));
	if (rep->bad)
		snprintf(rep->text, sizeof(rep->text), "wrong GRH");
}

/* Takes the place of what was bound before, which must be invalid by now. */
void end_bind(struct w_end *end, unsigned int number,
	      const struct w_place *place, struct w_rep *rep)
{
	const struct w_buf *buf = &end->buf[place->buf];
	struct ibv_send_wr wr = {
		.wr_id = place->seed,
		.opcode = IBV_WR_BIND_MW,
		.bind_mw.bind_info = {
			.mr = buf->mr,
			.addr = (uintptr_t)buf->base + buf->delta + place->off,
			.length = place->len,
			.mw_access_flags = IBV_ACCESS_REMOTE_WRITE,
		},
	};

	if (!end->mw)
		end->mw = ibv_alloc_mw(end->dev.pd, IBV_MW_TYPE_2);
	T_ASSERT(end->mw, "ibv_alloc_mw: %s", t_errname(errno));
	wr.bind_mw.mw = end->mw;
	wr.bind_mw.rkey = ibv_inc_rkey(end->mw->rkey);
	T_OK(end_post(end, number, &wr));
	t_want_wc(end->qp[number].scq, place->seed, IBV_WC_SUCCESS);
	end->mw->rkey = wr.bind_mw.rkey;
	rep->rkey = wr.bind_mw.rkey;
}

/* --- taking messages --- */

static void sink_post(struct w_end *end, unsigned int number)
{
	struct w_qp *qp = &end->qp[number];
	unsigned int slot = number * qp->opt.depth +
			    qp->posted % qp->opt.depth;
	struct ibv_sge sge = end_sge(end, 1, (uint64_t)slot * W_MSG_MAX,
				     W_MSG_MAX);
	struct ibv_recv_wr wr = {
		.wr_id = slot, .sg_list = &sge, .num_sge = 1
	};
	struct ibv_recv_wr *bad;

	T_OK(ibv_post_recv(qp->qp, &wr, &bad));
	qp->posted++;
}

static bool sink_take(struct w_end *end, unsigned int number)
{
	struct w_qp *qp = &end->qp[number];
	struct ibv_wc wc;
	uint32_t seq;

	if (!qp->qp || !ibv_poll_cq(qp->rcq, 1, &wc))
		return false;
	if (wc.status == IBV_WC_WR_FLUSH_ERR)
		return true;
	T_ASSERT(wc.status == IBV_WC_SUCCESS, "QP %u: message %llu: '%s'",
		 number, (unsigned long long)qp->taken, t_wc_name(wc.status));
	seq = be32toh(wc.imm_data);
	T_ASSERT(seq == (uint32_t)qp->taken,
		 "QP %u: message %u after %llu messages", number, seq,
		 (unsigned long long)qp->taken);
	T_ASSERT(t_check_data(end->buf[1].base + wc.wr_id * W_MSG_MAX,
			      wc.byte_len, w_msg_seed(number, seq), 0) < 0,
		 "QP %u: message %u of %u bytes is wrong", number, seq,
		 wc.byte_len);
	qp->taken++;
	sink_post(end, number);
	return true;
}

/* Takes messages of all QPs, and checks them, until fd has something. */
void end_sink(struct w_end *end, int fd, struct w_rep *rep)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	bool busy = false;
	unsigned int i;

	for (i = 0; i < W_NR_QPS; i++)
		while (end->qp[i].qp &&
		       end->qp[i].posted < end->qp[i].opt.depth)
			sink_post(end, i);
	t_msg_send(fd, rep, sizeof(*rep));
	while (!poll(&pfd, 1, busy ? 0 : 1)) {
		busy = false;
		for (i = 0; i < W_NR_QPS; i++)
			busy |= sink_take(end, i);
	}
}

/* The count; more may be on its way into the CQ when this is asked. */
void end_sunk(struct w_end *end, unsigned int number, struct w_rep *rep)
{
	while (sink_take(end, number))
		;
	rep->value = end->qp[number].taken;
}
