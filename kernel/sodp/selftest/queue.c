// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * queue.c - draining, SRQs, arming, rings that are full
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "kt.h"

static int drain_run(struct kt_pair *p)
{
	struct ib_sge in = kt_sge(p, p->b.buf, 64);
	struct kt_wr *recvs;
	int ret = 0;
	int i;

	recvs = kcalloc(40, sizeof(*recvs), GFP_KERNEL);
	if (!recvs)
		return -ENOMEM;
	for (i = 0; i < 40 && !ret; i++)
		ret = kt_recv(&p->b, &recvs[i], &in, 1);
	ib_drain_qp(p->b.qp);
	for (i = 0; i < 40 && !ret; i++)
		if (kt_wait(&recvs[i]) != IB_WC_WR_FLUSH_ERR)
			ret = -EBADMSG;
	kfree(recvs);
	return ret;
}

static int queue_drain_in(struct ib_device *dev, enum ib_poll_context context)
{
	struct kt_pair p;
	int ret;

	ret = kt_pair_open(&p, dev, context, false);
	if (!ret)
		ret = drain_run(&p);
	kt_pair_close(&p);
	return ret;
}

static int queue_drain(struct ib_device *dev)
{
	return queue_drain_in(dev, IB_POLL_DIRECT) ? :
	       queue_drain_in(dev, IB_POLL_SOFTIRQ) ? :
	       queue_drain_in(dev, IB_POLL_WORKQUEUE);
}

static int srq_run(struct kt_pair *p)
{
	struct ib_sge out = kt_sge(p, p->a.buf, 3000);
	struct ib_sge in = kt_sge(p, p->b.buf, 3000);
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND, .sg_list = &out, .num_sge = 1,
	};
	struct ib_sge many[5] = { };
	struct kt_wr recv;
	u32 i;

	for (i = 0; i < 100; i++) {
		/* Both QPs take from it, so each side sends in turn */
		struct kt_side *from = i & 1 ? &p->a : &p->b;
		struct kt_side *to = i & 1 ? &p->b : &p->a;

		kt_fill(from->buf, 3000, i);
		out.addr = (uintptr_t)from->buf;
		in.addr = (uintptr_t)to->buf;
		KT_EXPECT(!kt_recv(to, &recv, &in, 1));
		KT_EXPECT(!kt_run(from, &send));
		KT_EXPECT(!kt_wait(&recv));
		KT_EXPECT(kt_filled(to->buf, 3000, i));
	}
	KT_EXPECT(kt_recv(&p->a, &recv, many, 5) == -EINVAL);
	return 0;
}

static int queue_srq(struct ib_device *dev)
{
	struct kt_pair p;
	int ret;

	ret = kt_pair_open(&p, dev, IB_POLL_WORKQUEUE, true);
	if (!ret)
		ret = srq_run(&p);
	kt_pair_close(&p);
	return ret;
}

static atomic_t queue_events;

static void queue_event(struct ib_cq *cq, void *context)
{
	atomic_inc(&queue_events);
}

static int arm_send(struct kt_pair *p, struct ib_cq *cq, int flags)
{
	struct ib_sge sge = kt_sge(p, p->b.buf, 8);
	struct ib_recv_wr recv = { .wr_id = 77, .sg_list = &sge, .num_sge = 1 };
	struct ib_send_wr send = {
		.opcode = IB_WR_SEND, .sg_list = &sge, .num_sge = 1,
		.send_flags = flags,
	};

	KT_EXPECT(!ib_post_recv(p->b.qp, &recv, NULL));
	KT_EXPECT(!kt_run(&p->a, &send));
	return 0;
}

/* B's completions go to a CQ that we poll and arm ourselves */
static int arm_run(struct kt_pair *p, struct ib_cq *cq)
{
	struct ib_wc wc[4];

	atomic_set(&queue_events, 0);
	KT_EXPECT(!ib_req_notify_cq(cq, IB_CQ_SOLICITED));
	KT_EXPECT(!arm_send(p, cq, 0));
	KT_EXPECT(!atomic_read(&queue_events));
	KT_EXPECT(ib_req_notify_cq(cq, IB_CQ_SOLICITED |
				   IB_CQ_REPORT_MISSED_EVENTS) == 1);
	KT_EXPECT(!arm_send(p, cq, IB_SEND_SOLICITED));
	KT_EXPECT(atomic_read(&queue_events) == 1);
	KT_EXPECT(ib_poll_cq(cq, 4, wc) == 2);
	KT_EXPECT(wc[0].qp == p->b.qp && wc[0].wr_id == 77 &&
		  wc[0].byte_len == 8 && wc[0].status == IB_WC_SUCCESS);
	KT_EXPECT(!ib_req_notify_cq(cq, IB_CQ_NEXT_COMP |
				    IB_CQ_REPORT_MISSED_EVENTS));
	/* This asks for less, and must not take back what is asked for */
	KT_EXPECT(!ib_req_notify_cq(cq, IB_CQ_SOLICITED));
	KT_EXPECT(!arm_send(p, cq, 0));
	KT_EXPECT(atomic_read(&queue_events) == 2);
	KT_EXPECT(!arm_send(p, cq, IB_SEND_SOLICITED));
	KT_EXPECT(atomic_read(&queue_events) == 2);
	/* An entry of a QP that goes is not seen: it has no QP to point to */
	ib_destroy_qp(p->b.qp);
	p->b.qp = NULL;
	KT_EXPECT(!ib_poll_cq(cq, 4, wc));
	return 0;
}

static int queue_arm(struct ib_device *dev)
{
	struct ib_cq_init_attr attr = { .cqe = 16 };
	struct ib_qp_init_attr init = {
		.cap = { .max_send_wr = 4, .max_recv_wr = 4,
			 .max_send_sge = 1, .max_recv_sge = 1 },
		.qp_type = IB_QPT_RC,
	};
	struct kt_pair p;
	struct ib_cq *cq;
	struct ib_qp *qp;
	int ret;

	ret = kt_pair_open(&p, dev, IB_POLL_WORKQUEUE, false);
	if (ret)
		goto out_close;
	cq = ib_create_cq(dev, queue_event, NULL, NULL, &attr);
	if (IS_ERR(cq)) {
		ret = PTR_ERR(cq);
		goto out_close;
	}
	init.send_cq = cq;
	init.recv_cq = cq;
	qp = ib_create_qp(p.pd, &init);
	if (!IS_ERR(qp)) {
		ib_destroy_qp(p.b.qp);
		p.b.qp = qp;
		ret = kt_pair_reconnect(&p) ? : arm_run(&p, cq);
		if (p.b.qp)
			ib_destroy_qp(p.b.qp);
		p.b.qp = NULL;
	} else {
		ret = PTR_ERR(qp);
	}
	ib_destroy_cq(cq);
out_close:
	kt_pair_close(&p);
	return ret;
}

/* More than the ring holds is refused, and what was posted is carried out */
static int full_run(struct kt_pair *p)
{
	struct ib_sge in = kt_sge(p, p->b.buf, 64);
	struct ib_recv_wr recv = { .sg_list = &in, .num_sge = 1 };
	struct kt_wr wr;
	int posted = 0;
	int ret;

	kt_wr_init(&wr, &p->b);
	recv.wr_cqe = &wr.cqe;
	do {
		ret = ib_post_recv(p->b.qp, &recv, NULL);
	} while (!ret && ++posted < 100000);
	KT_EXPECT(ret == -ENOMEM && posted >= 64 && posted <= 128);
	return 0;
}

static int queue_full(struct ib_device *dev)
{
	struct ib_qp_attr attr = { .qp_state = IB_QPS_RESET };
	struct kt_pair p;
	int ret;

	ret = kt_pair_open(&p, dev, IB_POLL_WORKQUEUE, false);
	if (!ret)
		ret = full_run(&p);
	if (!ret)
		ret = ib_modify_qp(p.b.qp, &attr, IB_QP_STATE);
	if (!ret)
		ret = kt_pair_reconnect(&p);
	kt_pair_close(&p);
	return ret;
}

/* Posts until there is no room: how many */
static int slots_fill(struct kt_pair *p, struct kt_wr *wr)
{
	struct ib_rdma_wr write = {
		.wr = {
			.wr_cqe = &wr->cqe,
			.opcode = IB_WR_RDMA_WRITE,
			.send_flags = IB_SEND_SIGNALED,
		},
	};
	int nr = 0;

	while (nr < 4096 && !ib_post_send(p->a.qp, &write.wr, NULL))
		nr++;
	return nr;
}

/* Polls so many completions, each of which frees a slot */
static int slots_poll(struct kt_pair *p, int nr)
{
	int tries = 0;

	while (nr && tries++ < 10000) {
		nr -= ib_process_cq_direct(p->a.cq, nr);
		usleep_range(50, 100);
	}
	return nr;
}

/* That a request was carried out does not free its slot */
static int slots_run(struct kt_pair *p)
{
	struct kt_wr wr;
	int depth;

	kt_wr_init(&wr, &p->a);
	depth = slots_fill(p, &wr);
	KT_EXPECT(depth >= 64 && depth < 4096);
	msleep(50);
	KT_EXPECT(!slots_fill(p, &wr));
	KT_EXPECT(!slots_poll(p, 1));
	KT_EXPECT(slots_fill(p, &wr) == 1);
	KT_EXPECT(!slots_poll(p, 10));
	KT_EXPECT(slots_fill(p, &wr) == 10);
	KT_EXPECT(!slots_poll(p, depth));
	KT_EXPECT(slots_fill(p, &wr) == depth);
	KT_EXPECT(!slots_poll(p, depth));
	KT_EXPECT(wr.status == IB_WC_SUCCESS);
	return 0;
}

static int queue_slots(struct ib_device *dev)
{
	struct kt_pair p;
	int ret;

	ret = kt_pair_open(&p, dev, IB_POLL_DIRECT, false);
	if (!ret)
		ret = slots_run(&p);
	kt_pair_close(&p);
	return ret;
}

const struct kt_case kt_queue_cases[] = {
	{ "drain", queue_drain },
	{ "SRQ", queue_srq },
	{ "arming", queue_arm },
	{ "a full ring", queue_full },
	{ "slots", queue_slots },
	{ }
};
