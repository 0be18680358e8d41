// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * cq_test.c - polling, arming, cleaning and resizing a CQ
 */
#include <unistd.h>

#include "rig.h"

static void test_poll(void)
{
	struct ibv_wc wc[8];
	struct rig rig;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 0);
	for (i = 0; i < 5; i++)
		fake_complete(FAKE_QPN, i);
	CHECK(sodp_poll_cq(rig.cq, 0, wc) == 0);
	CHECK(sodp_poll_cq(rig.cq, 3, wc) == 3);
	CHECK(fake.cq_page->ci == 3);
	CHECK(wc[2].wr_id == 2 && wc[2].status == IBV_WC_REM_ACCESS_ERR);
	CHECK(wc[2].opcode == IBV_WC_RECV_RDMA_WITH_IMM);
	CHECK(wc[2].vendor_err == 11 && wc[2].byte_len == 12);
	CHECK(wc[2].imm_data == 13 && wc[2].qp_num == FAKE_QPN);
	CHECK(wc[2].src_qp == 14 && wc[2].wc_flags == IBV_WC_WITH_IMM);
	CHECK(wc[2].pkey_index == 16 && wc[2].slid == 17 && wc[2].sl == 18);
	CHECK(wc[2].dlid_path_bits == 19);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 2 && wc[1].wr_id == 4);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 0 && fake.cq_page->ci == 5);
	rig_close(&rig);
}

static void test_poll_ex(void)
{
	struct ibv_poll_cq_attr attr = {};
	struct ibv_cq_ex *cqx;
	struct ibv_wc wc[4];
	struct rig rig;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	cqx = &to_sodp_cq(rig.cq)->vcq.cq_ex;
	CHECK(cqx->start_poll(cqx, &attr) == ENOENT);
	fake_complete(FAKE_QPN, 1);
	fake_complete(FAKE_QPN, 2);
	CHECK(!cqx->start_poll(cqx, &attr));
	CHECK(cqx->wr_id == 1 && cqx->status == IBV_WC_REM_ACCESS_ERR);
	CHECK(cqx->read_completion_ts(cqx) == 15);
	CHECK(cqx->read_byte_len(cqx) == 12);
	CHECK(!cqx->next_poll(cqx) && cqx->wr_id == 2);
	CHECK(cqx->next_poll(cqx) == ENOENT);
	fake_complete(FAKE_QPN, 3);
	CHECK(fake.cq_page->ci == 2);
	CHECK(!cqx->next_poll(cqx) && cqx->wr_id == 3);
	cqx->end_poll(cqx);
	CHECK(fake.cq_page->ci == 3);
	CHECK(cqx->start_poll(cqx, &attr) == ENOENT);

	/* What was polled since the last session is not there for the next */
	for (i = 4; i < 7; i++)
		fake_complete(FAKE_QPN, i);
	CHECK(!cqx->start_poll(cqx, &attr) && cqx->wr_id == 4);
	cqx->end_poll(cqx);
	fake_complete(FAKE_QPN, 7);
	CHECK(sodp_poll_cq(rig.cq, 3, wc) == 3);
	CHECK(cqx->start_poll(cqx, &attr) == ENOENT);
	attr.comp_mask = 1;
	CHECK(cqx->start_poll(cqx, &attr) == EINVAL);
	rig_close(&rig);
}

/*
 * Slots are free when the completion is polled: in a batch, in a session, and
 * of several queues; an SRQ counts, also what is dropped with its QP.
 */
static void test_free(void)
{
	struct ibv_poll_cq_attr attr = {};
	struct sodp_srq srq = {};
	struct ibv_cq_ex *cqx;
	struct ibv_wc wc[8];
	struct sodp_qp *qp;
	struct rig rig;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	qp = to_sodp_qp(rig.qp);
	cqx = &to_sodp_cq(rig.cq)->vcq.cq_ex;
	CHECK(fake.sq_cookie == (uintptr_t)&qp->sq);
	CHECK(fake.rq_cookie == (uintptr_t)&qp->rq);
	fake_complete_entry(SODP_WC_SEND, fake.sq_cookie, FIRST + 2);
	fake_complete_entry(SODP_WC_RECV, fake.rq_cookie, FIRST);
	fake_complete_entry(SODP_WC_RECV, (uintptr_t)&srq.rq, 0);
	fake_complete_entry(SODP_WC_RECV, (uintptr_t)&srq.rq, 0);
	fake_complete_entry(SODP_WC_RECV, fake.rq_cookie, FIRST + 1);
	CHECK(qp->sq.freed == FIRST);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 5);
	CHECK(qp->sq.freed == FIRST + 3 && qp->rq.freed == FIRST + 2);
	CHECK(srq.rq.freed == 2 && fake.cq_page->ci == 5);

	fake_complete_entry(SODP_WC_SEND, fake.sq_cookie, FIRST + 3);
	fake_complete_entry(SODP_WC_RECV, (uintptr_t)&srq.rq, 0);
	CHECK(!cqx->start_poll(cqx, &attr));
	CHECK(qp->sq.freed == FIRST + 4 && fake.cq_page->ci == 6);
	CHECK(!cqx->next_poll(cqx));
	CHECK(srq.rq.freed == 3 && fake.cq_page->ci == 7);
	cqx->end_poll(cqx);

	rig.qp->srq = &srq.vsrq.srq;
	fake_complete_entry(SODP_WC_SEND, fake.sq_cookie, FIRST + 5);
	fake_complete_entry(SODP_WC_RECV, (uintptr_t)&srq.rq, 0);
	rig_set_state(&rig, IBV_QPS_RESET);
	CHECK(srq.rq.freed == 4 && qp->sq.freed == FIRST);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 0);

	/* An XRC SRQ goes, and has no QP that takes its completions along */
	fake_complete_entry(SODP_WC_RECV, (uintptr_t)&srq.rq, 0);
	fake_complete_entry(SODP_WC_SEND, fake.sq_cookie, FIRST);
	sodp_cq_clean_srq(to_sodp_cq(rig.cq), &srq.rq);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 1 && srq.rq.freed == 4);
	rig_close(&rig);
}

static void test_arm(void)
{
	struct rig rig;
	uint32_t arm;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	sodp_req_notify_cq(rig.cq, 1);
	arm = fake.cq_page->arm;
	CHECK((arm & 3) == SODP_CQ_ARM_SOLICITED);
	sodp_req_notify_cq(rig.cq, 0);
	CHECK(fake.cq_page->arm >> 2 == (arm >> 2) + 1);
	CHECK((fake.cq_page->arm & 3) == SODP_CQ_ARM_NEXT);
	/* Not weakened until the event has been had */
	sodp_req_notify_cq(rig.cq, 1);
	CHECK((fake.cq_page->arm & 3) == SODP_CQ_ARM_NEXT);
	fake_complete(FAKE_QPN, 1);
	sodp_cq_event(rig.cq);
	sodp_req_notify_cq(rig.cq, 1);
	CHECK((fake.cq_page->arm & 3) == SODP_CQ_ARM_SOLICITED);

	/* The event that is read was there before the last request */
	sodp_req_notify_cq(rig.cq, 0);
	fake_complete(FAKE_QPN, 2);
	sodp_req_notify_cq(rig.cq, 0);
	sodp_cq_event(rig.cq);
	sodp_req_notify_cq(rig.cq, 1);
	CHECK((fake.cq_page->arm & 3) == SODP_CQ_ARM_NEXT);
	fake_complete(FAKE_QPN, 3);
	sodp_cq_event(rig.cq);
	sodp_req_notify_cq(rig.cq, 1);
	CHECK((fake.cq_page->arm & 3) == SODP_CQ_ARM_SOLICITED);
	rig_close(&rig);
}

static void test_clean(void)
{
	/* Those of others have lower numbers, and higher ones */
	static const uint32_t qpns[] = { 1, FAKE_QPN, FAKE_QPN, 2,
					 FAKE_QPN + 1, FAKE_QPN, 4 };
	struct ibv_wc wc[8];
	struct rig rig;
	unsigned int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	/* Start in the middle, so that the ring wraps */
	for (i = 0; i < 5; i++)
		fake_complete(1, 0);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 5);
	for (i = 0; i < 7; i++)
		fake_complete(qpns[i], i);
	rig_set_state(&rig, IBV_QPS_RESET);
	CHECK(fake.cq_page->ci == 8);
	CHECK(sodp_poll_cq(rig.cq, 8, wc) == 4);
	CHECK(wc[0].qp_num == 1 && wc[1].qp_num == 2);
	CHECK(wc[2].qp_num == FAKE_QPN + 1 && wc[3].qp_num == 4);
	CHECK(wc[1].wr_id == 3 && wc[3].wr_id == 6);
	rig_close(&rig);
}

/* @single: what a session of a CQ for one thread does without, its lock */
static void clean_in_session(bool single)
{
	struct ibv_poll_cq_attr attr = {};
	struct ibv_cq_ex *cqx;
	struct rig rig;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	to_sodp_cq(rig.cq)->single_threaded = single;
	cqx = &to_sodp_cq(rig.cq)->vcq.cq_ex;
	/* The session has seen 3 of these when the QP goes, and read one */
	fake_complete(1, 1);
	fake_complete(FAKE_QPN, 2);
	fake_complete(2, 3);
	CHECK(!cqx->start_poll(cqx, &attr) && cqx->wr_id == 1);
	fake_complete(FAKE_QPN, 4);
	fake_complete(2, 5);
	rig_set_state(&rig, IBV_QPS_RESET);
	/* Still at the first, which is a copy */
	CHECK(fake.cq_page->ci == 3);
	CHECK(cqx->read_qp_num(cqx) == 1);
	CHECK(!cqx->next_poll(cqx) && cqx->wr_id == 3);
	CHECK(!cqx->next_poll(cqx) && cqx->wr_id == 5);
	CHECK(cqx->next_poll(cqx) == ENOENT);
	/* Nothing but what goes, beyond what the session has seen */
	for (i = 6; i < 8; i++)
		fake_complete(FAKE_QPN, i);
	rig_set_state(&rig, IBV_QPS_RESET);
	CHECK(cqx->next_poll(cqx) == ENOENT);
	cqx->end_poll(cqx);
	CHECK(fake.cq_page->ci == 7);

	/* Behind the session the index is told at once, and the lock is free */
	fake_complete(FAKE_QPN, 8);
	rig_set_state(&rig, IBV_QPS_RESET);
	CHECK(fake.cq_page->ci == 8);
	CHECK(cqx->start_poll(cqx, &attr) == ENOENT);
	CHECK(!atomic_load(&to_sodp_cq(rig.cq)->cq_lock.held));
	rig_close(&rig);
}

static void test_clean_in_session(void)
{
	clean_in_session(true);
	/* A deadlock ends the program */
	alarm(60);
	clean_in_session(false);
	alarm(0);
}

static void test_resize(void)
{
	struct ibv_wc wc[16];
	struct rig rig;
	uint32_t arm;
	int i;

	rig_open(&rig, IBV_QPT_RC, RC_OPS);
	for (i = 0; i < 6; i++)
		fake_complete(FAKE_QPN, i);
	CHECK(sodp_poll_cq(rig.cq, 2, wc) == 2);
	sodp_req_notify_cq(rig.cq, 0);
	arm = fake.cq_page->arm;
	CHECK(!sodp_resize_cq(rig.cq, 16));
	CHECK(fake.cq_page->ci == 2 && fake.cq_page->arm == arm);
	for (i = 6; i < 18; i++)
		fake_complete(FAKE_QPN, i);
	CHECK(sodp_poll_cq(rig.cq, 16, wc) == 16);
	for (i = 0; i < 16; i++)
		CHECK(wc[i].wr_id == i + 2);
	sodp_req_notify_cq(rig.cq, 0);
	CHECK(fake.cq_page->arm >> 2 == (arm >> 2) + 1);
	rig_close(&rig);
}

const struct test cq_tests[] = {
	{ "poll_cq", test_poll },
	{ "CQ-ex sessions", test_poll_ex },
	{ "slots are free when polled", test_free },
	{ "arming", test_arm },
	{ "completions of a QP that was reset", test_clean },
	{ "the same in a session", test_clean_in_session },
	{ "CQ resize", test_resize },
	{},
};
