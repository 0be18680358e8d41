// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * ring_test.c - the provider's rings against a fake kernel, without a device
 *
 * TAP on stdout; exit status 1 when a test failed.
 */
#include "rig.h"

int test_failed;

void rig_set_state(struct rig *rig, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	CHECK(!sodp_modify_qp(rig->qp, &attr, IBV_QP_STATE));
}

void rig_open(struct rig *rig, enum ibv_qp_type type, uint64_t ops)
{
	struct ibv_qp_init_attr_ex attr = {
		.qp_type = type,
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.send_ops_flags = ops,
		.pd = &rig->pd.pd,
		.cap = { .max_send_wr = 6, .max_recv_wr = 4 },
	};

	fake_start(FIRST);
	rig->ctx = calloc(1, sizeof(*rig->ctx));
	rig->ctx->db_fd = 77;
	rig->pd = (struct sodp_pd){};
	rig->pd.pd.context = &rig->ctx->vctx.context;
	rig->cq = sodp_create_cq(rig->pd.pd.context, 8, NULL, 0);
	attr.send_cq = rig->cq;
	attr.recv_cq = rig->cq;
	rig->qp = sodp_create_qp_ex(rig->pd.pd.context, &attr);
	if (!rig->cq || !rig->qp)
		abort();
	sodp_cq_init_ex(to_sodp_cq(rig->cq),
			IBV_WC_EX_WITH_COMPLETION_TIMESTAMP);
	rig->qpx = &to_sodp_qp(rig->qp)->vqp.qp_ex;
	rig_set_state(rig, IBV_QPS_RESET);
	rig_set_state(rig, IBV_QPS_RTS);
}

void rig_close(struct rig *rig)
{
	CHECK(!sodp_destroy_qp(rig->qp));
	CHECK(!sodp_destroy_cq(rig->cq));
	CHECK(fake.destroyed == 2);
	free(rig->ctx);
}

static unsigned int run_all(const struct test *test, unsigned int nr, int *ret)
{
	for (; test->run; test++) {
		test_failed = 0;
		test->run();
		printf("%sok %u %s\n", test_failed ? "not " : "", ++nr,
		       test->name);
		*ret |= test_failed;
	}
	return nr;
}

int main(void)
{
	unsigned int nr = 0;
	int ret = 0;

	/* A test that hangs ends the program: what it said is kept */
	setlinebuf(stdout);
	nr = run_all(post_tests, nr, &ret);
	nr = run_all(wr_tests, nr, &ret);
	nr = run_all(cq_tests, nr, &ret);
	printf("1..%u\n", nr);
	return ret;
}
