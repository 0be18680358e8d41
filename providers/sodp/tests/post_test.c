// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * post_test.c - ibv_post_send, ibv_post_recv, ibv_bind_mw
 */
#include "rig.h"

static const struct sodp_sge *sge_of(const struct sodp_sqe *sqe)
{
	return (const struct sodp_sge *)(sqe + 1);
}

static void write_wr(struct ibv_send_wr *wr, struct ibv_sge *sge)
{
	*sge = (struct ibv_sge){ .addr = 0x1000, .length = 8, .lkey = 5 };
	*wr = (struct ibv_send_wr){
		.wr_id = 42,
		.sg_list = sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = 0x2000, .rkey = 6 },
	};
}

static void test_post_write(void)
{
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr;
	struct ibv_sge sge;
	struct sodp_sqe *sqe;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	write_wr(&wr, &sge);
	CHECK(!sodp_post_send(rig.qp, &wr, &bad));
	sqe = fake_sqe(FIRST);
	CHECK(sqe->wr_id == 42);
	CHECK(sqe->opcode == SODP_WR_RDMA_WRITE);
	CHECK(sqe->num_sge == 1);
	CHECK(sqe->flags == SODP_SEND_SIGNALED);
	CHECK(sqe->rdma.remote_addr == 0x2000 && sqe->rdma.rkey == 6);
	CHECK(sge_of(sqe)->addr == 0x1000);
	CHECK(sge_of(sqe)->length == 8);
	CHECK(sge_of(sqe)->lkey == 5);
	CHECK(fake.qp_page->sq_pi == FIRST + 1);
	CHECK(fake.sq_bells == 1 && fake.bell_arg == FAKE_QPN);
	CHECK(fake.seen_pi == FIRST + 1);

	/* Somebody is at it: no call */
	fake.qp_page->flags = SODP_QPF_SQ_BUSY;
	CHECK(!sodp_post_send(rig.qp, &wr, &bad));
	CHECK(fake.qp_page->sq_pi == FIRST + 2 && fake.sq_bells == 1);

	/* The device is gone, or its QPs are already */
	fake.qp_page->flags = 0;
	fake.ioctl_errno = EIO;
	CHECK(sodp_post_send(rig.qp, &wr, &bad) == EIO && bad == &wr);
	fake.ioctl_errno = EINVAL;
	CHECK(sodp_post_send(rig.qp, &wr, &bad) == EIO && bad == &wr);
	rig_close(&rig);
}

static void test_post_full(void)
{
	struct ibv_send_wr *bad = NULL;
	struct ibv_send_wr wr[8];
	struct ibv_sge sge;
	struct ibv_wc wc[1];
	struct rig rig;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	for (i = 0; i < 8; i++) {
		write_wr(&wr[i], &sge);
		wr[i].next = i < 7 ? &wr[i + 1] : NULL;
	}
	/* 6 fit, whatever the depth is; what fits is rung for */
	CHECK(sodp_post_send(rig.qp, wr, &bad) == ENOMEM && bad == &wr[6]);
	CHECK(fake.qp_page->sq_pi == FIRST + 6 && fake.sq_bells == 1);
	CHECK(sodp_post_send(rig.qp, &wr[7], &bad) == ENOMEM && bad == &wr[7]);
	CHECK(fake.sq_bells == 1);

	/* That they were carried out frees none, only that this was polled */
	fake.qp_page->sq_ci = FIRST + 2;
	CHECK(sodp_post_send(rig.qp, &wr[6], &bad) == ENOMEM);
	fake_complete_entry(SODP_WC_RDMA_WRITE, fake.sq_cookie, FIRST + 1);
	CHECK(sodp_post_send(rig.qp, &wr[6], &bad) == ENOMEM);
	CHECK(sodp_poll_cq(rig.cq, 1, wc) == 1);
	CHECK(!sodp_post_send(rig.qp, &wr[6], &bad));
	CHECK(fake.qp_page->sq_pi == FIRST + 8);
	CHECK(sodp_post_send(rig.qp, &wr[7], &bad) == ENOMEM);
	rig_close(&rig);
}

/* A kernel that does not say whose a completion is frees slots itself */
static void test_post_full_old(void)
{
	struct ibv_recv_wr recv = {};
	struct ibv_recv_wr *bad_recv;
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr;
	struct ibv_sge sge;
	struct rig rig;
	int i;

	fake_is_old = true;
	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	fake_is_old = false;
	write_wr(&wr, &sge);
	for (i = 0; i < 6; i++)
		CHECK(!sodp_post_send(rig.qp, &wr, &bad));
	for (i = 0; i < 4; i++)
		CHECK(!sodp_post_recv(rig.qp, &recv, &bad_recv));
	CHECK(sodp_post_send(rig.qp, &wr, &bad) == ENOMEM);
	CHECK(sodp_post_recv(rig.qp, &recv, &bad_recv) == ENOMEM);
	fake.qp_page->sq_ci = FIRST + 1;
	fake.qp_page->rq_ci = FIRST + 1;
	CHECK(!sodp_post_send(rig.qp, &wr, &bad));
	CHECK(!sodp_post_recv(rig.qp, &recv, &bad_recv));
	CHECK(sodp_post_send(rig.qp, &wr, &bad) == ENOMEM);
	CHECK(sodp_post_recv(rig.qp, &recv, &bad_recv) == ENOMEM);
	rig_close(&rig);
}

static void test_post_bad(void)
{
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr[2];
	struct ibv_sge sge;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	write_wr(&wr[0], &sge);
	write_wr(&wr[1], &sge);
	wr[0].next = &wr[1];

	wr[1].num_sge = FAKE_SGE + 1;
	CHECK(sodp_post_send(rig.qp, wr, &bad) == EINVAL && bad == &wr[1]);
	CHECK(fake.qp_page->sq_pi == FIRST + 1 && fake.sq_bells == 1);
	wr[1].num_sge = -1;
	CHECK(sodp_post_send(rig.qp, &wr[1], &bad) == EINVAL);
	wr[1].num_sge = 1;
	wr[1].opcode = IBV_WR_TSO;
	CHECK(sodp_post_send(rig.qp, &wr[1], &bad) == EINVAL);
	wr[1].opcode = 0x107;
	CHECK(sodp_post_send(rig.qp, &wr[1], &bad) == EINVAL);
	wr[1].opcode = IBV_WR_RDMA_READ;
	wr[1].send_flags = IBV_SEND_INLINE;
	CHECK(sodp_post_send(rig.qp, &wr[1], &bad) == EINVAL);
	wr[1].opcode = IBV_WR_RDMA_WRITE;
	sge.length = FAKE_INLINE + 1;
	CHECK(sodp_post_send(rig.qp, &wr[1], &bad) == EINVAL);
	CHECK(fake.qp_page->sq_pi == FIRST + 1 && fake.sq_bells == 1);
	rig_close(&rig);

	rig_open(&rig, IBV_QPT_UD, IBV_QP_EX_WITH_SEND);
	write_wr(&wr[0], &sge);
	CHECK(sodp_post_send(rig.qp, wr, &bad) == EINVAL);
	rig_close(&rig);
}

static void test_states(void)
{
	static const struct {
		enum ibv_qp_state state;
		int send;
		int recv;
	} table[] = {
		{ IBV_QPS_RESET, EINVAL, EINVAL },
		{ IBV_QPS_INIT, EINVAL, 0 },
		{ IBV_QPS_RTR, EINVAL, 0 },
		{ IBV_QPS_RTS, 0, 0 },
		{ IBV_QPS_SQD, 0, 0 },
		{ IBV_QPS_SQE, 0, 0 },
		{ IBV_QPS_ERR, 0, 0 },
	};
	struct ibv_recv_wr *bad_recv;
	struct ibv_send_wr *bad;
	struct ibv_recv_wr recv = {};
	struct ibv_send_wr wr;
	struct ibv_sge sge;
	struct rig rig;
	unsigned int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	write_wr(&wr, &sge);
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		rig_set_state(&rig, IBV_QPS_RESET);
		rig_set_state(&rig, table[i].state);
		CHECK(sodp_post_send(rig.qp, &wr, &bad) == table[i].send);
		CHECK(sodp_post_recv(rig.qp, &recv, &bad_recv) ==
		      table[i].recv);
	}
	/* Reset forgets what was posted */
	rig_set_state(&rig, IBV_QPS_RESET);
	CHECK(fake.qp_page->sq_pi == FIRST && fake.qp_page->rq_pi == FIRST);
	rig_close(&rig);
}

static void test_inline(void)
{
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr;
	struct ibv_sge sge[2];
	struct sodp_sqe *sqe;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	memcpy(rig.buf, "abcdefgh", 8);
	write_wr(&wr, sge);
	wr.send_flags |= IBV_SEND_INLINE;
	wr.num_sge = 2;
	sge[0] = (struct ibv_sge){ .addr = (uintptr_t)rig.buf, .length = 3 };
	sge[1] =
		(struct ibv_sge){ .addr = (uintptr_t)rig.buf + 3, .length = 5 };
	CHECK(!sodp_post_send(rig.qp, &wr, &bad));
	sqe = fake_sqe(FIRST);
	CHECK(sqe->flags == (SODP_SEND_SIGNALED | SODP_SEND_INLINE));
	CHECK(sqe->inline_len == 8 && !memcmp(sqe + 1, "abcdefgh", 8));
	rig_close(&rig);
}

static void test_recv(void)
{
	struct ibv_sge sge[2] = { { 1, 2, 3 }, { 4, 5, 6 } };
	struct ibv_recv_wr wr[5];
	struct ibv_recv_wr *bad;
	struct sodp_rqe *rqe;
	struct ibv_wc wc[1];
	struct rig rig;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	for (i = 0; i < 5; i++)
		wr[i] = (struct ibv_recv_wr){
			.wr_id = i,
			.next = i < 4 ? &wr[i + 1] : NULL,
			.sg_list = sge,
			.num_sge = 2,
		};
	CHECK(sodp_post_recv(rig.qp, wr, &bad) == ENOMEM && bad == &wr[4]);
	CHECK(fake.qp_page->rq_pi == FIRST + 4 && !fake.rq_bells);
	rqe = fake_rqe(FIRST + 3);
	CHECK(rqe->wr_id == 3 && rqe->num_sge == 2);
	CHECK(!memcmp(rqe + 1, sge, sizeof(sge)));

	fake.qp_page->flags = SODP_QPF_RQ_BELL;
	fake.qp_page->rq_ci = FIRST + 2;
	CHECK(sodp_post_recv(rig.qp, &wr[4], &bad) == ENOMEM);
	fake_complete_entry(SODP_WC_RECV, fake.rq_cookie, FIRST);
	fake_complete_entry(SODP_WC_RECV, fake.rq_cookie, FIRST + 1);
	CHECK(sodp_poll_cq(rig.cq, 1, wc) == 1);
	CHECK(!sodp_post_recv(rig.qp, &wr[4], &bad));
	CHECK(fake.rq_bells == 1 && fake.bell_arg == FAKE_QPN);
	CHECK(fake.seen_pi == FIRST + 5);
	CHECK(sodp_post_recv(rig.qp, &wr[4], &bad) == ENOMEM);
	wr[4].num_sge = 3;
	CHECK(sodp_poll_cq(rig.cq, 1, wc) == 1);
	CHECK(sodp_post_recv(rig.qp, &wr[4], &bad) == EINVAL);
	rig_close(&rig);
}

static void test_bind(void)
{
	struct ibv_mr mr = { .lkey = 9 };
	struct ibv_mw mw = { .type = IBV_MW_TYPE_1, .rkey = 0x1ff };
	struct ibv_mw_bind bind = {
		.wr_id = 3,
		.bind_info = { &mr, 0x1000, 16, IBV_ACCESS_REMOTE_READ },
	};
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.bind_mw = { .mw = &mw, .rkey = 0x105 },
	};
	struct ibv_send_wr *bad;
	struct sodp_sqe *sqe;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	CHECK(!sodp_bind_mw(rig.qp, &mw, &bind));
	sqe = fake_sqe(FIRST);
	CHECK(sqe->opcode == SODP_WR_BIND_MW && sqe->bind.mr_lkey == 9);
	CHECK(sqe->bind.mw_rkey == 0x1ff && sqe->bind.new_rkey == 0x100);
	CHECK(sqe->bind.addr == 0x1000 && sqe->bind.length == 16);
	CHECK(sqe->bind.access == IBV_ACCESS_REMOTE_READ);
	CHECK(mw.rkey == 0x100);

	/* Not by ibv_post_send(); a type 2 window not by ibv_bind_mw() */
	CHECK(sodp_post_send(rig.qp, &wr, &bad) == EINVAL);
	mw.type = IBV_MW_TYPE_2;
	CHECK(sodp_bind_mw(rig.qp, &mw, &bind) == EINVAL);
	CHECK(mw.rkey == 0x100);
	wr.bind_mw.bind_info = bind.bind_info;
	CHECK(!sodp_post_send(rig.qp, &wr, &bad));
	CHECK(fake_sqe(FIRST + 1)->bind.new_rkey == 0x105);
	rig_close(&rig);
}

const struct test post_tests[] = {
	{ "post_send of a write, doorbell", test_post_write },
	{ "post_send to a full queue", test_post_full },
	{ "full queues of an older kernel", test_post_full_old },
	{ "post_send of bad requests", test_post_bad },
	{ "states that take requests", test_states },
	{ "inline data", test_inline },
	{ "post_recv", test_recv },
	{ "memory window binds", test_bind },
	{},
};
