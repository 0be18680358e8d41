// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The ibv_wr_* calls, and completions through ibv_cq_ex */

#include <sys/mman.h>

#include "common/t_duo.h"

#define LEN (4 * T_PAGE)

/* In device_cap_flags_ex; the kernel's ib_user_verbs.h has the names */
#define CAP_FLUSH_GLOBAL (1ULL << 38)
#define CAP_ATOMIC_WRITE (1ULL << 40)

#define OPS_BASE                                                          \
	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
	 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |             \
	 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |   \
	 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD)

#define OPS_MW                                                            \
	(IBV_QP_EX_WITH_LOCAL_INV | IBV_QP_EX_WITH_BIND_MW |              \
	 IBV_QP_EX_WITH_SEND_WITH_INV)

static void open_ops(struct t_duo *d, uint64_t ops, enum t_kind kind)
{
	struct t_qp_opt opt = T_QP_OPT;

	opt.wr_ops = ops;
	opt.inline_max = 64;
	t_duo_open(d, LEN, kind, &opt);
}

static struct ibv_qp_ex *begin(struct t_duo *d, uint64_t id)
{
	struct ibv_qp_ex *qpx = d->a.qpx;

	ibv_wr_start(qpx);
	qpx->wr_id = id;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	return qpx;
}

static struct ibv_wc finish(struct t_duo *d, uint64_t id,
			    enum ibv_wc_opcode opcode)
{
	struct ibv_wc wc;

	T_OK(ibv_wr_complete(d->a.qpx));
	wc = t_want_wc(d->a.scq, id, IBV_WC_SUCCESS);
	T_ASSERT(wc.opcode == opcode, "opcode %#x, want %#x", wc.opcode,
		 opcode);
	return wc;
}

static void one_sided(enum t_kind kind)
{
	struct ibv_qp_ex *qpx;
	struct ibv_sge sge[3];
	struct t_duo d;

	open_ops(&d, OPS_BASE, kind);
	t_case("write, one SGE");
	qpx = begin(&d, 1);
	ibv_wr_rdma_write(qpx, d.bmr->rkey, t_remote(&d, 5));
	ibv_wr_set_sge(qpx, d.amr->lkey, (uintptr_t)d.abuf, 5000);
	finish(&d, 1, IBV_WC_RDMA_WRITE);
	t_want_data(d.bbuf + 5, 5000, 1);
	T_ASSERT(t_check_background(d.bbuf, 5) < 0 &&
			 t_check_background(d.bbuf + 5005, 200) < 0,
		 "bytes around the target changed");
	t_case("write, SGE list");
	t_fill_background(d.bbuf, LEN);
	sge[0] = t_duo_sge(&d, 0, 1);
	sge[1] = t_duo_sge(&d, 1, 4500);
	sge[2] = t_duo_sge(&d, 4501, 99);
	qpx = begin(&d, 2);
	ibv_wr_rdma_write(qpx, d.bmr->rkey, t_remote(&d, 0));
	ibv_wr_set_sge_list(qpx, 3, sge);
	finish(&d, 2, IBV_WC_RDMA_WRITE);
	t_want_data(d.bbuf, 4600, 1);
	t_case("write, no data");
	qpx = begin(&d, 3);
	ibv_wr_rdma_write(qpx, 0, 0);
	ibv_wr_set_sge_list(qpx, 0, NULL);
	finish(&d, 3, IBV_WC_RDMA_WRITE);
	t_case("read");
	t_fill(d.bbuf, LEN, 9);
	qpx = begin(&d, 4);
	ibv_wr_rdma_read(qpx, d.bmr->rkey, t_remote(&d, 0));
	ibv_wr_set_sge(qpx, d.amr->lkey, (uintptr_t)d.abuf, LEN);
	T_ASSERT(finish(&d, 4, IBV_WC_RDMA_READ).byte_len == LEN, "byte_len");
	t_want_data(d.abuf, LEN, 9);
}

static void one_sided_pinned(void)
{
	one_sided(T_PINNED);
}

static void one_sided_odp(void)
{
	one_sided(T_EXPLICIT);
}

static void atomics(void)
{
	uint64_t *target;
	struct ibv_qp_ex *qpx;
	struct t_duo d;

	open_ops(&d, OPS_BASE, T_PINNED);
	target = (uint64_t *)d.bbuf;
	*target = 40;
	qpx = begin(&d, 1);
	ibv_wr_atomic_fetch_add(qpx, d.bmr->rkey, t_remote(&d, 0), 2);
	ibv_wr_set_sge(qpx, d.amr->lkey, (uintptr_t)d.abuf, 8);
	finish(&d, 1, IBV_WC_FETCH_ADD);
	T_ASSERT(*target == 42 && *(uint64_t *)d.abuf == 40, "fetch_add");
	qpx = begin(&d, 2);
	ibv_wr_atomic_cmp_swp(qpx, d.bmr->rkey, t_remote(&d, 0), 42, 7);
	ibv_wr_set_sge(qpx, d.amr->lkey, (uintptr_t)d.abuf, 8);
	finish(&d, 2, IBV_WC_COMP_SWAP);
	T_ASSERT(*target == 7 && *(uint64_t *)d.abuf == 42, "cmp_swp");
}

static void messages(void)
{
	char text[] = "inline data";
	struct ibv_data_buf bufs[2] = { { text, 4 }, { text + 4, 8 } };
	struct ibv_qp_ex *qpx;
	struct ibv_wc wc;
	struct t_duo d;

	open_ops(&d, OPS_BASE, T_PINNED);
	t_case("send");
	t_post_recv(&d.b, 100, t_sge(d.bmr, d.bbuf, LEN));
	qpx = begin(&d, 1);
	ibv_wr_send(qpx);
	ibv_wr_set_sge(qpx, d.amr->lkey, (uintptr_t)d.abuf, LEN);
	finish(&d, 1, IBV_WC_SEND);
	t_want_wc(d.b.rcq, 100, IBV_WC_SUCCESS);
	t_want_data(d.bbuf, LEN, 1);
	t_case("send_imm, inline");
	t_post_recv(&d.b, 101, t_sge(d.bmr, d.bbuf, LEN));
	qpx = begin(&d, 2);
	ibv_wr_send_imm(qpx, htobe32(0xabcd));
	ibv_wr_set_inline_data(qpx, text, sizeof(text));
	finish(&d, 2, IBV_WC_SEND);
	wc = t_want_wc(d.b.rcq, 101, IBV_WC_SUCCESS);
	T_ASSERT(wc.imm_data == htobe32(0xabcd) &&
			 (wc.wc_flags & IBV_WC_WITH_IMM),
		 "imm %#x", be32toh(wc.imm_data));
	T_ASSERT(!memcmp(d.bbuf, text, sizeof(text)), "inline data");
	t_case("write_imm, inline list");
	memset(d.bbuf, 0, 100);
	t_post_recv(&d.b, 102, t_sge(NULL, NULL, 0));
	qpx = begin(&d, 3);
	ibv_wr_rdma_write_imm(qpx, d.bmr->rkey, t_remote(&d, 50),
			      htobe32(77));
	ibv_wr_set_inline_data_list(qpx, 2, bufs);
	finish(&d, 3, IBV_WC_RDMA_WRITE);
	wc = t_want_wc(d.b.rcq, 102, IBV_WC_SUCCESS);
	T_ASSERT(wc.opcode == IBV_WC_RECV_RDMA_WITH_IMM &&
			 wc.imm_data == htobe32(77) && wc.byte_len == 12,
		 "opcode %#x imm %u", wc.opcode, be32toh(wc.imm_data));
	T_ASSERT(!memcmp(d.bbuf + 50, text, sizeof(text)), "inline data");
}

/* Several in one session; an abort throws all of them away. */
static void batches(void)
{
	struct ibv_qp_ex *qpx;
	struct t_duo d;
	unsigned int round;
	unsigned int i;

	open_ops(&d, OPS_BASE, T_PINNED);
	qpx = d.a.qpx;
	for (round = 0; round < 100; round++) {
		t_case("round %u", round);
		ibv_wr_start(qpx);
		for (i = 0; i < 8; i++) {
			qpx->wr_id = 8 * round + i;
			qpx->wr_flags = IBV_SEND_SIGNALED;
			ibv_wr_rdma_write(qpx, d.bmr->rkey,
					  t_remote(&d, 16 * i));
			ibv_wr_set_sge(qpx, d.amr->lkey,
				       (uintptr_t)d.abuf + 16 * i, 16);
		}
		if (round % 3 == 1) {
			ibv_wr_abort(qpx);
			continue;
		}
		T_OK(ibv_wr_complete(qpx));
		for (i = 0; i < 8; i++)
			t_want_wc(d.a.scq, 8 * round + i, IBV_WC_SUCCESS);
		t_want_data(d.bbuf, 128, 1);
	}
	t_want_none(d.a.scq);
	/* More than the queue holds */
	ibv_wr_start(qpx);
	for (i = 0; i < 100000; i++) {
		qpx->wr_id = i;
		qpx->wr_flags = IBV_SEND_SIGNALED;
		ibv_wr_rdma_write(qpx, d.bmr->rkey, t_remote(&d, 0));
		ibv_wr_set_sge(qpx, d.amr->lkey, (uintptr_t)d.abuf, 16);
	}
	T_ERR(ibv_wr_complete(qpx), ENOMEM);
	t_want_none(d.a.scq);
}

static void windows(void)
{
	struct ibv_mw_bind_info info = { 0 };
	struct ibv_qp_ex *qpx;
	struct ibv_mw *mw;
	struct t_duo d;
	uint32_t key;

	open_ops(&d, OPS_BASE | OPS_MW, T_PINNED);
	mw = ibv_alloc_mw(d.dev.pd, IBV_MW_TYPE_2);
	T_ASSERT(mw, "ibv_alloc_mw: %s", t_errname(errno));
	info.mr = t_reg(d.dev.pd, d.abuf, LEN,
			T_ACCESS_ALL | IBV_ACCESS_MW_BIND);
	info.addr = (uintptr_t)d.abuf + 100;
	info.length = 200;
	info.mw_access_flags = IBV_ACCESS_REMOTE_WRITE;
	key = ibv_inc_rkey(mw->rkey);
	qpx = begin(&d, 1);
	ibv_wr_bind_mw(qpx, mw, key, &info);
	finish(&d, 1, IBV_WC_BIND_MW);
	t_fill(d.bbuf, LEN, 4);
	t_post(&d.b, IBV_WR_RDMA_WRITE, 2, t_sge(d.bmr, d.bbuf, 200), info.addr,
	       key);
	t_want_wc(d.b.scq, 2, IBV_WC_SUCCESS);
	t_want_data(d.abuf + 100, 200, 4);
	qpx = begin(&d, 3);
	ibv_wr_local_inv(qpx, key);
	finish(&d, 3, IBV_WC_LOCAL_INV);
	t_case("send_inv");
	t_post_recv(&d.b, 4, t_sge(d.bmr, d.bbuf, 8));
	qpx = begin(&d, 5);
	ibv_wr_send_inv(qpx, 0xdeadbeef);
	ibv_wr_set_sge_list(qpx, 0, NULL);
	T_OK(ibv_wr_complete(qpx));
	t_want_wc(d.a.scq, 5, IBV_WC_REM_ACCESS_ERR);
}

#ifdef HAVE_WR_ATOMIC_WRITE
static void atomic_write(void)
{
	uint64_t value = 0x1122334455667788ULL;
	struct ibv_qp_ex *qpx;
	enum t_kind kind;
	struct t_duo d;
	unsigned int i;

	t_open(&d.dev);
	if (!(d.dev.attr.device_cap_flags_ex & CAP_ATOMIC_WRITE))
		t_skip("no ATOMIC_WRITE");
	for (kind = T_PINNED; kind <= T_EXPLICIT; kind++) {
		if (!t_can_kind(&d.dev, kind))
			continue;
		open_ops(&d, OPS_BASE | IBV_QP_EX_WITH_ATOMIC_WRITE, kind);
		for (i = 0; i < 512; i++) {
			t_case("%s, word %u", t_kind_names[kind], i);
			qpx = begin(&d, i);
			ibv_wr_atomic_write(qpx, d.bmr->rkey,
					    t_remote(&d, 8 * i), &value);
			finish(&d, i, IBV_WC_ATOMIC_WRITE);
			T_ASSERT(!memcmp(d.bbuf + 8 * i, &value, 8),
				 "wrong value");
			T_ASSERT(t_check_background(d.bbuf + 8 * i + 8,
						    64) < 0,
				 "bytes behind it changed");
			value = value * 31 + 7;
		}
		t_case("unaligned");
		qpx = begin(&d, i);
		ibv_wr_atomic_write(qpx, d.bmr->rkey, t_remote(&d, 4),
				    &value);
		T_OK(ibv_wr_complete(qpx));
		t_want_wc(d.a.scq, i, IBV_WC_REM_INV_REQ_ERR);
	}
}
#endif

#if defined(HAVE_WR_FLUSH) && defined(HAVE_FLUSH_ACCESS)
static void flush_one(struct t_duo *d, struct ibv_mr *mr, uint64_t addr,
		      size_t len, uint8_t type, uint8_t level,
		      enum ibv_wc_status status)
{
	struct ibv_qp_ex *qpx = begin(d, 5);
	struct ibv_wc wc;

	ibv_wr_flush(qpx, mr->rkey, addr, len, type, level);
	T_OK(ibv_wr_complete(qpx));
	wc = t_want_wc(d->a.scq, 5, status);
	if (status == IBV_WC_SUCCESS)
		T_ASSERT(wc.opcode == IBV_WC_FLUSH, "opcode %#x", wc.opcode);
	else
		t_duo_renew(d);
}

static void flush(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	enum t_kind kind;
	struct ibv_mr *mr;
	struct t_duo d;

	t_open(&d.dev);
	if (!(d.dev.attr.device_cap_flags_ex & CAP_FLUSH_GLOBAL))
		t_skip("no FLUSH");
	opt.wr_ops = OPS_BASE | IBV_QP_EX_WITH_FLUSH;
	opt.access |= IBV_ACCESS_FLUSH_GLOBAL;
	for (kind = T_PINNED; kind <= T_EXPLICIT; kind++) {
		if (!t_can_kind(&d.dev, kind))
			continue;
		t_case("%s", t_kind_names[kind]);
		t_duo_open(&d, LEN, kind, &opt);
		mr = t_reg_kind(&d.dev, kind, d.bbuf, LEN,
				T_ACCESS_ALL | IBV_ACCESS_FLUSH_GLOBAL);
		t_duo_works(&d);
		flush_one(&d, mr, t_remote(&d, 10), LEN - 20, IBV_FLUSH_GLOBAL,
			  IBV_FLUSH_RANGE, IBV_WC_SUCCESS);
		/* The whole MR: the range is not looked at */
		flush_one(&d, mr, 0xdead, 0xffffffff, IBV_FLUSH_GLOBAL,
			  IBV_FLUSH_MR, IBV_WC_SUCCESS);
		/* More than the wire can say, of which a part would do */
		t_case("%s, 4 GiB and a little", t_kind_names[kind]);
		flush_one(&d, mr, t_remote(&d, 0), (4ULL << 30) + 8,
			  IBV_FLUSH_GLOBAL, IBV_FLUSH_RANGE,
			  IBV_WC_LOC_LEN_ERR);
		t_case("%s, out of range", t_kind_names[kind]);
		flush_one(&d, mr, t_remote(&d, 10), LEN, IBV_FLUSH_GLOBAL,
			  IBV_FLUSH_RANGE, IBV_WC_REM_ACCESS_ERR);
		t_case("%s, no right", t_kind_names[kind]);
		flush_one(&d, d.bmr, t_remote(&d, 0), 8, IBV_FLUSH_GLOBAL,
			  IBV_FLUSH_RANGE, IBV_WC_REM_ACCESS_ERR);
	}
}
#endif

/* Every field that ibv_cq_ex can give, against what the old poll gives */
static void cq_ex(void)
{
	struct ibv_cq_init_attr_ex init = {
		.cqe = 64,
		.wc_flags = IBV_WC_EX_WITH_BYTE_LEN | IBV_WC_EX_WITH_IMM |
			    IBV_WC_EX_WITH_QP_NUM | IBV_WC_EX_WITH_SRC_QP,
	};
	struct ibv_poll_cq_attr poll_attr = { 0 };
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_send_wr wr = {
		.wr_id = 0,
		.opcode = IBV_WR_SEND_WITH_IMM,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_cq_ex *cq;
	struct ibv_sge sge;
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	cq = ibv_create_cq_ex(d.dev.ctx, &init);
	if (!cq && (errno == EOPNOTSUPP || errno == ENOSYS))
		t_skip("no extended CQ");
	T_ASSERT(cq, "ibv_create_cq_ex: %s", t_errname(errno));
	t_ep_close(&d.b);
	t_ep_reset(&d.a);
	opt.scq = ibv_cq_ex_to_cq(cq);
	opt.rcq = opt.scq;
	t_ep_open(&d.b, &d.dev, &opt);
	t_join(&d.a, &d.b);
	T_ASSERT(ibv_start_poll(cq, &poll_attr) == ENOENT,
		 "an entry in an empty CQ");
	wr.sg_list = &sge;
	wr.num_sge = 1;
	for (i = 0; i < 10; i++) {
		t_post_recv(&d.b, 100 + i, t_sge(d.bmr, d.bbuf, LEN));
		sge = t_duo_sge(&d, 0, 11 * i + 1);
		wr.imm_data = htobe32(i);
		wr.wr_id = i;
		T_OK(t_try_post(&d.a, &wr));
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
	T_OK(ibv_start_poll(cq, &poll_attr));
	for (i = 0; i < 10; i++) {
		t_case("entry %u", i);
		T_ASSERT(cq->wr_id == 100 + i && cq->status == IBV_WC_SUCCESS,
			 "wr_id %llu status %d", (unsigned long long)cq->wr_id,
			 cq->status);
		T_ASSERT(ibv_wc_read_opcode(cq) == IBV_WC_RECV, "opcode %d",
			 ibv_wc_read_opcode(cq));
		T_ASSERT(ibv_wc_read_byte_len(cq) == 11 * i + 1,
			 "byte_len %u", ibv_wc_read_byte_len(cq));
		T_ASSERT(ibv_wc_read_wc_flags(cq) & IBV_WC_WITH_IMM,
			 "no IBV_WC_WITH_IMM");
		T_ASSERT(ibv_wc_read_imm_data(cq) == htobe32(i), "imm %u",
			 be32toh(ibv_wc_read_imm_data(cq)));
		T_ASSERT(ibv_wc_read_qp_num(cq) == d.b.qp->qp_num, "qp_num");
		T_ASSERT(ibv_next_poll(cq) == (i < 9 ? 0 : ENOENT),
			 "ibv_next_poll");
	}
	/* A session holds no lock that this wants */
	T_OK(ibv_req_notify_cq(opt.scq, 0));
	ibv_end_poll(cq);
	T_ASSERT(ibv_start_poll(cq, &poll_attr) == ENOENT,
		 "an entry came twice");
}

/* Timestamps rise, and are of the clock that the device is asked about. */
static void cq_timestamps(void)
{
	struct ibv_cq_init_attr_ex init = {
		.cqe = 64,
		.wc_flags = IBV_WC_EX_WITH_COMPLETION_TIMESTAMP,
	};
	struct ibv_values_ex values = { .comp_mask = IBV_VALUES_MASK_RAW_CLOCK };
	struct ibv_poll_cq_attr poll_attr = { 0 };
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE,
				  .send_flags = IBV_SEND_SIGNALED };
	uint64_t last = 0;
	struct ibv_cq_ex *cq;
	struct t_duo d;
	unsigned int i;

	t_open(&d.dev);
	if (!d.dev.attr.completion_timestamp_mask)
		t_skip("no timestamps");
	cq = ibv_create_cq_ex(d.dev.ctx, &init);
	T_ASSERT(cq, "ibv_create_cq_ex: %s", t_errname(errno));
	opt.scq = ibv_cq_ex_to_cq(cq);
	t_pair(&d.dev, &d.a, &d.b, &opt);
	for (i = 0; i < 10; i++) {
		T_OK(t_try_post(&d.a, &wr));
		while (ibv_start_poll(cq, &poll_attr) == ENOENT)
			;
		T_ASSERT(ibv_wc_read_completion_ts(cq) > last,
			 "timestamps do not rise");
		last = ibv_wc_read_completion_ts(cq);
		ibv_end_poll(cq);
		t_sleep_ms(1);
	}
	T_OK(ibv_query_rt_values_ex(d.dev.ctx, &values));
	T_ASSERT(values.raw_clock.tv_sec * 1000000000ULL +
				 values.raw_clock.tv_nsec >
			 last,
		 "the device's clock is behind its timestamps");
}

static const struct t_test tests[] = {
	{ "one_sided_pinned", one_sided_pinned },
	{ "one_sided_odp", one_sided_odp },
	{ "atomics", atomics },
	{ "messages", messages },
	{ "batches", batches },
	{ "windows", windows },
#ifdef HAVE_WR_ATOMIC_WRITE
	{ "atomic_write", atomic_write },
#endif
#if defined(HAVE_WR_FLUSH) && defined(HAVE_FLUSH_ACCESS)
	{ "flush", flush },
#endif
	{ "cq_ex", cq_ex },
	{ "cq_timestamps", cq_timestamps },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
