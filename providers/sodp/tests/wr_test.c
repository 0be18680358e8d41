// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * wr_test.c - ibv_wr_*
 */
#include "rig.h"

static void test_wr_batch(void)
{
	struct sodp_sqe *sqe;
	struct rig rig;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	rig.qpx->wr_start(rig.qpx);
	rig.qpx->wr_id = 1;
	rig.qpx->wr_flags = IBV_SEND_FENCE;
	rig.qpx->wr_rdma_write(rig.qpx, 6, 0x2000);
	rig.qpx->wr_set_sge(rig.qpx, 5, 0x1000, 8);
	rig.qpx->wr_id = 2;
	rig.qpx->wr_flags = IBV_SEND_SIGNALED;
	rig.qpx->wr_send_imm(rig.qpx, 0x12345678);
	rig.qpx->wr_set_inline_data(rig.qpx, (char *)"xyz", 3);
	CHECK(fake.qp_page->sq_pi != FIRST + 2 && !fake.sq_bells);
	CHECK(!rig.qpx->wr_complete(rig.qpx));
	CHECK(fake.qp_page->sq_pi == FIRST + 2 && fake.sq_bells == 1);
	sqe = fake_sqe(FIRST);
	CHECK(sqe->wr_id == 1 && sqe->flags == SODP_SEND_FENCE);
	CHECK(sqe->rdma.rkey == 6 && sqe->num_sge == 1);
	sqe = fake_sqe(FIRST + 1);
	CHECK(sqe->wr_id == 2 && sqe->ex == 0x12345678 && !sqe->num_sge);
	CHECK(sqe->flags == (SODP_SEND_SIGNALED | SODP_SEND_INLINE));
	CHECK(sqe->inline_len == 3 && !memcmp(sqe + 1, "xyz", 3));

	/* Taken back: the next batch reuses the slots */
	rig.qpx->wr_start(rig.qpx);
	rig.qpx->wr_send(rig.qpx);
	rig.qpx->wr_abort(rig.qpx);
	CHECK(fake.qp_page->sq_pi == FIRST + 2 && fake.sq_bells == 1);

	/* One too many spoils the batch */
	rig.qpx->wr_start(rig.qpx);
	for (i = 0; i < 5; i++) {
		rig.qpx->wr_send(rig.qpx);
		rig.qpx->wr_set_sge(rig.qpx, 5, 0x1000, 8);
	}
	CHECK(rig.qpx->wr_complete(rig.qpx) == ENOMEM);
	CHECK(fake.qp_page->sq_pi == FIRST + 2 && fake.sq_bells == 1);
	rig_close(&rig);
}

static void test_wr_errors(void)
{
	static char big[FAKE_INLINE + 1];
	struct ibv_sge sge[FAKE_SGE + 1] = {};
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	rig.qpx->wr_start(rig.qpx);
	rig.qpx->wr_send(rig.qpx);
	rig.qpx->wr_set_inline_data(rig.qpx, big, sizeof(big));
	rig.qpx->wr_send(rig.qpx);
	rig.qpx->wr_set_sge(rig.qpx, 1, 2, 3);
	CHECK(rig.qpx->wr_complete(rig.qpx) == EINVAL);

	rig.qpx->wr_start(rig.qpx);
	rig.qpx->wr_send(rig.qpx);
	rig.qpx->wr_set_sge_list(rig.qpx, FAKE_SGE + 1, sge);
	CHECK(rig.qpx->wr_complete(rig.qpx) == EINVAL);

	/* A setter before any builder */
	rig.qpx->wr_start(rig.qpx);
	rig.qpx->wr_set_sge(rig.qpx, 1, 2, 3);
	CHECK(!rig.qpx->wr_complete(rig.qpx));
	CHECK(fake.qp_page->sq_pi == FIRST && !fake.sq_bells);

	rig_set_state(&rig, IBV_QPS_RESET);
	rig.qpx->wr_start(rig.qpx);
	rig.qpx->wr_send(rig.qpx);
	CHECK(rig.qpx->wr_complete(rig.qpx) == EINVAL);
	rig_close(&rig);
}

static void test_create_attrs(void)
{
	struct ibv_qp_init_attr_ex attr = {
		.qp_type = IBV_QPT_UD,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE,
	};
	struct ibv_qp *qp;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	CHECK(!sodp_create_qp_ex(rig.pd.pd.context, &attr));
	CHECK(errno == EOPNOTSUPP && fake.destroyed == 1);
	fake.destroyed = 0;

	/* Create flags: none, said explicitly, is no error */
	attr.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_CREATE_FLAGS;
	attr.create_flags = IBV_QP_CREATE_BLOCK_SELF_MCAST_LB;
	CHECK(!sodp_create_qp_ex(rig.pd.pd.context, &attr));
	CHECK(errno == EOPNOTSUPP && !fake.destroyed);
	attr.create_flags = 0;
	qp = sodp_create_qp_ex(rig.pd.pd.context, &attr);
	CHECK(qp && !sodp_destroy_qp(qp));
	CHECK(attr.comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS);
	fake.destroyed = 0;
	rig_close(&rig);
}

/* Members that the type does not have; those of others stay */
static void test_unused_attrs(void)
{
	void *junk = (void *)-4096L;
	struct ibv_qp_init_attr_ex attr = {
		.qp_type = IBV_QPT_XRC_RECV,
		.comp_mask = IBV_QP_INIT_ATTR_XRCD,
		.pd = junk,
		.send_cq = junk,
		.recv_cq = junk,
	};
	struct ibv_qp *qp;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	CHECK(rig.qp->pd == &rig.pd.pd);
	CHECK(rig.qp->send_cq == rig.cq && rig.qp->recv_cq == rig.cq);

	qp = sodp_create_qp_ex(rig.pd.pd.context, &attr);
	CHECK(qp && !qp->pd && !qp->send_cq && !qp->recv_cq);
	CHECK(!sodp_destroy_qp(qp));

	attr.qp_type = IBV_QPT_XRC_SEND;
	attr.comp_mask = IBV_QP_INIT_ATTR_PD;
	attr.pd = &rig.pd.pd;
	attr.send_cq = rig.cq;
	qp = sodp_create_qp_ex(rig.pd.pd.context, &attr);
	CHECK(qp && qp->pd == attr.pd && qp->send_cq == rig.cq &&
	      !qp->recv_cq);
	CHECK(!sodp_destroy_qp(qp));
	fake.destroyed = 0;
	rig_close(&rig);
}

const struct test wr_tests[] = {
	{ "ibv_wr batches", test_wr_batch },
	{ "ibv_wr errors", test_wr_errors },
	{ "creation attributes", test_create_attrs },
	{ "attributes that a type has not", test_unused_attrs },
	{},
};
