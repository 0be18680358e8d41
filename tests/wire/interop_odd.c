// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Operations that few programs know: SEND with INV, FLUSH, ATOMIC WRITE */

#include "interop.h"

static const uint32_t odd_sizes[] = {
	1, 3, 64, 1023, 4096, 4097, 65537, 262147,
};

/* --- SEND with INV --- */

/* A WRITE by a window's key, which the SEND behind it takes away; the key */
static uint32_t inv_round(const struct io_group *g, struct w_wire *wire,
			  struct t_rand *r, uint32_t len)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = { .sg_list = &sge, .num_sge = 1 };
	struct w_req req = { .cmd = W_BIND };
	struct io_xfer written, sent;
	struct w_rep rep;

	io_make_xfer(g, wire, r, len, &written);
	written.dst.recv = W_NO_RECV;
	io_at(wire, false, W_SOURCE, &written.src);
	io_at(wire, true, W_TARGET, &written.dst);
	req.place = written.dst;
	peer_do(&wire->peer, &req, &rep);
	sge = end_sge(&wire->here, 0, written.src.off, len);
	wr.opcode = IBV_WR_RDMA_WRITE;
	wr.wr.rdma.remote_addr = wire->iova[0] + written.dst.off;
	wr.wr.rdma.rkey = rep.rkey;
	T_OK(end_post(&wire->here, 0, &wr));
	t_want_wc(wire->here.qp[0].scq, 0, IBV_WC_SUCCESS);
	io_at(wire, true, W_CHECK, &written.dst);

	io_make_xfer(g, wire, r, len, &sent);
	sent.dst.imm = rep.rkey;
	io_at(wire, false, W_SOURCE, &sent.src);
	io_at(wire, true, W_TARGET, &sent.dst);
	sge = end_sge(&wire->here, 0, sent.src.off, len);
	wr.wr_id = 1;
	wr.opcode = IBV_WR_SEND_WITH_INV;
	wr.invalidate_rkey = rep.rkey;
	T_OK(end_post(&wire->here, 0, &wr));
	io_want(g, wire, 1);
	io_at(wire, true, W_CHECK, &sent.dst);
	return rep.rkey;
}

static void inv_stale(struct w_wire *wire, uint32_t rkey)
{
	struct ibv_sge sge = end_sge(&wire->here, 0, 0, 8);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.rdma.remote_addr = wire->iova[0],
		.wr.rdma.rkey = rkey,
	};

	T_OK(end_post(&wire->here, 0, &wr));
	t_want_wc(wire->here.qp[0].scq, 0, IBV_WC_REM_ACCESS_ERR);
}

void io_send_inv(void)
{
	const struct io_group *g = t_this->arg;
	struct t_rand rand = { .state = 0x1a7 + g->number };
	static struct w_wire wire;
	uint32_t rkey = 0;
	unsigned int i;

	io_open(g, &wire);
	for (i = 0; i < T_ARRAY_SIZE(odd_sizes); i++) {
		t_case("%u bytes", odd_sizes[i]);
		rkey = inv_round(g, &wire, &rand, odd_sizes[i]);
	}
	inv_stale(&wire, rkey);
	wire_close(&wire);
}

/* --- FLUSH --- */

#ifdef HAVE_WR_FLUSH
static void flush(const struct io_group *g, struct w_wire *wire,
		  const struct w_place *place, bool whole, uint64_t id)
{
	struct ibv_qp_ex *qpx = wire->here.qp[0].qpx;

	ibv_wr_start(qpx);
	qpx->wr_id = id;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	/* Of a whole region the address and the length do not matter */
	ibv_wr_flush(qpx, wire->rkey[0], wire->iova[0] + place->off,
		     place->len, IBV_FLUSH_GLOBAL,
		     whole ? IBV_FLUSH_MR : IBV_FLUSH_RANGE);
	T_OK(ibv_wr_complete(qpx));
	io_want(g, wire, id);
}

void io_flush(void)
{
	const struct io_group *g = t_this->arg;
	struct t_rand rand = { .state = 0xf1 + g->number };
	static struct w_wire wire;
	struct io_xfer x;
	unsigned int i;

	io_open(g, &wire);
	for (i = 0; i < T_ARRAY_SIZE(odd_sizes); i++) {
		/* Everything there is may be too much */
		bool whole = i % 4 == 3 && g->there != T_IMPLICIT;

		t_case("%u bytes%s", odd_sizes[i], whole ? ", region" : "");
		io_make_xfer(g, &wire, &rand, odd_sizes[i], &x);
		io_at(&wire, false, W_SOURCE, &x.src);
		io_at(&wire, true, W_TARGET, &x.dst);
		/* What is cold, and what was written */
		flush(g, &wire, &x.dst, false, 2);
		T_OK(wire_post(&wire, 0, IBV_WR_RDMA_WRITE, 3, x.src.off,
			       x.dst.off, x.src.len, 0));
		t_want_wc(wire.here.qp[0].scq, 3, IBV_WC_SUCCESS);
		flush(g, &wire, &x.dst, whole, 4);
		io_at(&wire, true, W_CHECK, &x.dst);
	}
	wire_close(&wire);
}
#endif

/* --- ATOMIC WRITE --- */

#ifdef HAVE_WR_ATOMIC_WRITE
void io_atomic_write(void)
{
	const struct io_group *g = t_this->arg;
	struct t_rand rand = { .state = 0xa3 + g->number };
	static struct w_wire wire;
	struct ibv_qp_ex *qpx;
	uint64_t value, off;
	unsigned int i;

	io_open(g, &wire);
	qpx = wire.here.qp[0].qpx;
	for (i = 0; i < 32; i++) {
		t_case("case %u", i);
		off = T_HUGE - 2 * T_PAGE + 8 * (i * 37 % IO_WORDS);
		io_word(&wire, W_WORD_SET, off, t_rand(&rand),
			io_any_cold(&rand, g->there) ? W_COLD : W_WARM);
		value = t_rand(&rand);
		ibv_wr_start(qpx);
		qpx->wr_id = i;
		qpx->wr_flags = IBV_SEND_SIGNALED;
		ibv_wr_atomic_write(qpx, wire.rkey[0], wire.iova[0] + off,
				    &value);
		T_OK(ibv_wr_complete(qpx));
		io_want(g, &wire, i);
		io_word(&wire, W_WORD_CHECK, off, value, W_WARM);
	}
	wire_close(&wire);
}
#endif
