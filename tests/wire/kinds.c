// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Sends every kind of packet that a transport has from one device to the
 * other, and checks what comes out; somebody else watches the wire.
 *
 *	$SODP_MTU: path MTU; $SODP_BIG: bytes of a long message
 *	$SODP_TCLASS: TOS, or traffic class, of all packets
 */

#include <stdlib.h>

#include "leg.h"

#define LEN (4UL << 20)
#define HALF (LEN / 2)

static struct t_dev dev_a, dev_b;
static struct leg a, b;
static uint32_t mtu;
static uint32_t big;
static uint64_t round_seed;

static uint32_t number(const char *name, uint32_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : fallback;
}

static enum ibv_mtu mtu_code(uint32_t bytes)
{
	enum ibv_mtu code = IBV_MTU_256;

	while (bytes > 128U << code)
		code++;
	return code;
}

static bool is_rc(void)
{
	return a.opt.type == IBV_QPT_RC || a.opt.type == IBV_QPT_XRC_SEND;
}

static bool has_odd_ops(uint64_t cap)
{
	return is_rc() && (dev_a.attr.device_cap_flags_ex & cap) &&
	       (dev_b.attr.device_cap_flags_ex & cap);
}

static void make(enum ibv_qp_type type)
{
	struct leg_opt opt = LEG_OPT;

	leg_devices(&dev_a, &dev_b);
	mtu = number("SODP_MTU", 1024);
	big = number("SODP_BIG", 20000);
	opt.type = type;
	opt.mtu = mtu_code(mtu);
	opt.tclass = number("SODP_TCLASS", 0);
	if (type == IBV_QPT_RC)
		opt.wr_ops = IBV_QP_EX_WITH_SEND_WITH_INV |
			     IBV_QP_EX_WITH_BIND_MW;
#ifdef HAVE_WR_FLUSH
	if ((type == IBV_QPT_RC || type == IBV_QPT_XRC_SEND) &&
	    (dev_a.attr.device_cap_flags_ex & LEG_CAP_FLUSH)) {
		opt.wr_ops |= IBV_QP_EX_WITH_FLUSH;
		opt.access |= IBV_ACCESS_FLUSH_GLOBAL;
	}
#endif
#ifdef HAVE_WR_ATOMIC_WRITE
	if ((type == IBV_QPT_RC || type == IBV_QPT_XRC_SEND) &&
	    (dev_a.attr.device_cap_flags_ex & LEG_CAP_ATOMIC_WRITE))
		opt.wr_ops |= IBV_QP_EX_WITH_ATOMIC_WRITE;
#endif
	leg_open(&a, &dev_a, LEN, &opt);
	if (type == IBV_QPT_XRC_SEND) {
		opt.type = IBV_QPT_XRC_RECV;
		opt.wr_ops = 0;
	}
	leg_open(&b, &dev_b, LEN, &opt);
	leg_join(&a, &b);
}

/* Where the receiver's bytes begin: UD puts 40 bytes in front */
static size_t recv_off(void)
{
	return a.opt.type == IBV_QPT_UD ? 40 : 0;
}

static void want_recv(uint32_t len, bool imm)
{
	struct ibv_wc wc = t_want_wc(b.rcq, 1, IBV_WC_SUCCESS);

	T_ASSERT(wc.byte_len == len + recv_off(), "%u bytes of %u",
		 wc.byte_len, len);
	T_ASSERT(!imm || ((wc.wc_flags & IBV_WC_WITH_IMM) &&
			  be32toh(wc.imm_data) == len + 5),
		 "immediate data %#x", be32toh(wc.imm_data));
}

/* The IP header is in the last 20 bytes in front, or in all of them */
static void want_grh(const uint8_t *grh)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	uint8_t tclass = (grh[0] & 15) << 4 | grh[1] >> 4;

	if (!memcmp(dev_b.gid.raw, mapped, sizeof(mapped)))
		tclass = grh[21];
	/* ECN is the sender's matter, and the network's */
	T_ASSERT(tclass >> 2 == a.opt.tclass >> 2, "traffic class %#x, want %#x",
		 tclass, a.opt.tclass);
}

static void send(uint32_t len, bool imm, size_t shift)
{
	struct ibv_qp_ex *qpx;

	t_case("%s of %u bytes", imm ? "SEND imm" : "SEND", len);
	t_fill_data(a.buf + shift, len, ++round_seed, 0);
	leg_recv(&b, 1, shift, len + 40);
	qpx = leg_begin(&a, 2);
	if (imm)
		ibv_wr_send_imm(qpx, htobe32(len + 5));
	else
		ibv_wr_send(qpx);
	leg_end(&a, &b, shift, len);
	want_recv(len, imm);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	T_ASSERT(t_check_data(b.buf + shift + recv_off(), len, round_seed,
			      0) < 0,
		 "data");
	if (a.opt.type == IBV_QPT_UD)
		want_grh((uint8_t *)b.buf + shift);
}

static void write_one(uint32_t len, bool imm, size_t shift)
{
	struct ibv_qp_ex *qpx;
	unsigned int tries;

	t_case("%s of %u bytes", imm ? "WRITE imm" : "WRITE", len);
	t_fill_data(a.buf + shift, len, ++round_seed, 0);
	if (imm)
		leg_recv(&b, 1, 0, 0);
	qpx = leg_begin(&a, 2);
	if (imm)
		ibv_wr_rdma_write_imm(qpx, b.mr->rkey,
				      leg_addr(&b, HALF + shift),
				      htobe32(len + 5));
	else
		ibv_wr_rdma_write(qpx, b.mr->rkey, leg_addr(&b, HALF + shift));
	leg_end(&a, &b, shift, len);
	if (imm)
		want_recv(len, imm);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	/* UC says nothing about when it is there */
	for (tries = 0; tries < 2000; tries++) {
		if (t_check_data(b.buf + HALF + shift, len, round_seed, 0) < 0)
			return;
		t_sleep_ms(1);
	}
	t_fail("data");
}

static void read_one(uint32_t len, size_t shift)
{
	struct ibv_qp_ex *qpx;

	t_case("READ of %u bytes", len);
	t_fill_data(b.buf + shift, len, ++round_seed, 0);
	qpx = leg_begin(&a, 2);
	ibv_wr_rdma_read(qpx, b.mr->rkey, leg_addr(&b, shift));
	leg_end(&a, &b, HALF + shift, len);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	T_ASSERT(t_check_data(a.buf + HALF + shift, len, round_seed, 0) < 0,
		 "data");
}

static void atomics(void)
{
	uint64_t *target = (uint64_t *)b.buf, *was = (uint64_t *)a.buf;
	struct ibv_qp_ex *qpx;

	t_case("atomics");
	*target = 40;
	qpx = leg_begin(&a, 2);
	ibv_wr_atomic_fetch_add(qpx, b.mr->rkey, leg_addr(&b, 0), 2);
	leg_end(&a, &b, 0, 8);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	T_ASSERT(*target == 42 && *was == 40, "FETCH_ADD");
	qpx = leg_begin(&a, 2);
	ibv_wr_atomic_cmp_swp(qpx, b.mr->rkey, leg_addr(&b, 0), 42, 7);
	leg_end(&a, &b, 0, 8);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	T_ASSERT(*target == 7 && *was == 42, "CMP_SWAP");
}

static void odd_ops(void)
{
	struct ibv_qp_ex *qpx;

#ifdef HAVE_WR_FLUSH
	if (has_odd_ops(LEG_CAP_FLUSH)) {
		t_case("FLUSH");
		qpx = leg_begin(&a, 2);
		ibv_wr_flush(qpx, b.mr->rkey, leg_addr(&b, 100), 5000,
			     IBV_FLUSH_GLOBAL, IBV_FLUSH_RANGE);
		leg_end(&a, &b, 0, 0);
		t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	}
#endif
#ifdef HAVE_WR_ATOMIC_WRITE
	if (has_odd_ops(LEG_CAP_ATOMIC_WRITE)) {
		t_case("ATOMIC WRITE");
		qpx = leg_begin(&a, 2);
		ibv_wr_atomic_write(qpx, b.mr->rkey, leg_addr(&b, 64),
				    "8 bytes");
		leg_end(&a, &b, 0, 0);
		t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
		T_ASSERT(!memcmp(b.buf + 64, "8 bytes", 8), "data");
	}
#endif
}

/* A window on the receiver, bound, then invalidated by a SEND */
static void send_inv(uint32_t len)
{
	struct ibv_mw_bind_info info = {
		.addr = leg_addr(&b, 0),
		.length = LEN,
		.mw_access_flags = IBV_ACCESS_REMOTE_WRITE,
	};
	struct ibv_mw *mw = ibv_alloc_mw(dev_b.pd, IBV_MW_TYPE_2);
	unsigned int access = T_ACCESS_ALL | IBV_ACCESS_MW_BIND;
	struct ibv_qp_ex *qpx;
	struct ibv_mr *mr;
	uint32_t rkey;

	t_case("SEND inv of %u bytes", len);
	T_ASSERT(mw, "ibv_alloc_mw: %s", t_errname(errno));
	mr = t_reg(dev_b.pd, b.buf, LEN, access);
	info.mr = mr;
	rkey = ibv_inc_rkey(mw->rkey);
	qpx = leg_begin(&b, 3);
	ibv_wr_bind_mw(qpx, mw, rkey, &info);
	leg_end(&b, &a, 0, 0);
	t_want_wc(b.scq, 3, IBV_WC_SUCCESS);
	t_fill_data(a.buf, len, ++round_seed, 0);
	leg_recv(&b, 1, 0, len);
	qpx = leg_begin(&a, 2);
	ibv_wr_send_inv(qpx, rkey);
	leg_end(&a, &b, 0, len);
	want_recv(len, false);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
	T_ASSERT(t_check_data(b.buf, len, round_seed, 0) < 0, "data");
	T_OK(ibv_dealloc_mw(mw));
	t_dereg(mr);
}

static void sizes(void)
{
	const uint32_t lens[] = { 0,	   1,	    2,	 3,   4,
				  mtu - 1, mtu,	    mtu + 1,
				  2 * mtu, 3 * mtu - 3, big };
	size_t i;

	for (i = 0; i < T_ARRAY_SIZE(lens); i++) {
		if (a.opt.type == IBV_QPT_UD && lens[i] > mtu)
			break;
		send(lens[i], false, i);
		send(lens[i], true, 0);
		if (a.opt.type == IBV_QPT_UD)
			continue;
		write_one(lens[i], false, 3 * i);
		write_one(lens[i], true, 0);
		if (is_rc())
			read_one(lens[i], i);
	}
}

static void rc(void)
{
	make(IBV_QPT_RC);
	sizes();
	atomics();
	odd_ops();
	send_inv(10);
	send_inv(2 * mtu);
}

static void uc(void)
{
	make(IBV_QPT_UC);
	sizes();
}

static void ud(void)
{
	make(IBV_QPT_UD);
	sizes();
}

static void xrc(void)
{
	struct t_dev dev;

	leg_devices(&dev, &dev_b);
	if (!(dev.attr.orig_attr.device_cap_flags & IBV_DEVICE_XRC))
		t_skip("no XRC");
	make(IBV_QPT_XRC_SEND);
	sizes();
	atomics();
	odd_ops();
}

/* Receiver not ready, then each refusal; every one needs a new pair */
static void rnr(void)
{
	struct ibv_qp_ex *qpx;

	make(IBV_QPT_RC);
	qpx = leg_begin(&a, 2);
	ibv_wr_send(qpx);
	leg_end(&a, &b, 0, 100);
	t_sleep_ms(50);
	leg_recv(&b, 1, 0, 100);
	want_recv(100, false);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
}

/* Of eight receives one is used up; code 5, six receives, is below seven */
static void credits(void)
{
	struct ibv_qp_ex *qpx;
	int i;

	make(IBV_QPT_RC);
	for (i = 0; i < 8; i++)
		leg_recv(&b, 1, 0, 100);
	qpx = leg_begin(&a, 2);
	ibv_wr_send(qpx);
	leg_end(&a, &b, 0, 100);
	want_recv(100, false);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
}

static void nak_access(void)
{
	struct ibv_qp_ex *qpx;

	make(IBV_QPT_RC);
	qpx = leg_begin(&a, 2);
	ibv_wr_rdma_write(qpx, b.mr->rkey, leg_addr(&b, LEN - 4));
	leg_end(&a, &b, 0, 100);
	t_want_wc(a.scq, 2, IBV_WC_REM_ACCESS_ERR);
}

static void nak_request(void)
{
	struct ibv_qp_ex *qpx;

	make(IBV_QPT_RC);
	leg_recv(&b, 1, 0, 10);
	qpx = leg_begin(&a, 2);
	ibv_wr_send(qpx);
	leg_end(&a, &b, 0, 100);
	t_want_wc(a.scq, 2, IBV_WC_REM_INV_REQ_ERR);
	t_want_wc(b.rcq, 1, IBV_WC_LOC_LEN_ERR);
}

/* The peer expects an older PSN than there ever comes */
static void nak_sequence(void)
{
	struct ibv_qp_ex *qpx;

	make(IBV_QPT_RC);
	leg_reset(&a);
	a.opt.psn++;
	a.opt.retry_cnt = 1;
	leg_connect(&a, &b);
	qpx = leg_begin(&a, 2);
	ibv_wr_rdma_write(qpx, b.mr->rkey, leg_addr(&b, 0));
	leg_end(&a, &b, 0, 100);
	t_want_wc(a.scq, 2, IBV_WC_RETRY_EXC_ERR);
	T_ASSERT(leg_state(&b) == IBV_QPS_RTS, "state %d", leg_state(&b));
}

/* A receive into memory that its key does not cover */
static void nak_operation(void)
{
	struct ibv_qp_ex *qpx;

	make(IBV_QPT_RC);
	leg_recv(&b, 1, LEN - 4, 100);
	qpx = leg_begin(&a, 2);
	ibv_wr_send(qpx);
	leg_end(&a, &b, 0, 100);
	t_want_wc(a.scq, 2, IBV_WC_REM_OP_ERR);
	t_want_wc(b.rcq, 1, IBV_WC_LOC_PROT_ERR);
}

static void post_send(struct leg *from, const struct leg *to, uint64_t wr_id,
		      size_t off)
{
	struct ibv_qp_ex *qpx = leg_begin(from, wr_id);

	ibv_wr_send(qpx);
	leg_end(from, to, off, 100);
}

/* A bad send ends the sends of an unreliable QP, until it is told to go on */
static void send_error(enum ibv_qp_type type)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTS };

	make(type);
	leg_recv(&a, 7, 0, 140);
	post_send(&a, &b, 3, LEN - 4);
	post_send(&a, &b, 4, 0);
	t_want_wc(a.scq, 3, IBV_WC_LOC_PROT_ERR);
	t_want_wc(a.scq, 4, IBV_WC_WR_FLUSH_ERR);
	T_ASSERT(leg_state(&a) == IBV_QPS_SQE, "state %d", leg_state(&a));
	post_send(&a, &b, 5, 0);
	t_want_wc(a.scq, 5, IBV_WC_WR_FLUSH_ERR);
	t_want_none(a.rcq);
	post_send(&b, &a, 6, 0);
	t_want_wc(a.rcq, 7, IBV_WC_SUCCESS);
	t_want_wc(b.scq, 6, IBV_WC_SUCCESS);
	T_OK(ibv_modify_qp(a.qp, &attr, IBV_QP_STATE));
	leg_recv(&b, 1, 0, 140);
	post_send(&a, &b, 2, 0);
	want_recv(100, false);
	t_want_wc(a.scq, 2, IBV_WC_SUCCESS);
}

static void sqe_uc(void)
{
	send_error(IBV_QPT_UC);
}

static void sqe_ud(void)
{
	send_error(IBV_QPT_UD);
}

static const struct t_test tests[] = {
	{ "rc", rc },
	{ "uc", uc },
	{ "ud", ud },
	{ "xrc", xrc },
	{ "rnr", rnr },
	{ "credits", credits },
	{ "nak_access", nak_access },
	{ "nak_request", nak_request },
	{ "nak_sequence", nak_sequence },
	{ "nak_operation", nak_operation },
	{ "sqe_uc", sqe_uc },
	{ "sqe_ud", sqe_ud },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
