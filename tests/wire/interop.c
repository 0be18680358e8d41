// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Every operation of every transport between two ends, whatever they are:
 * sizes that no packet boundary likes at odd places, pinned memory and both
 * kinds of on-demand memory, each byte compared, those around it too.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "interop.h"

#define BIG (8U << 20)
#define BUF_SIZE (3 * T_HUGE)
#define BIG_BUF_SIZE (20UL << 20)
#define RC (1 << IBV_QPT_RC)
#define UC (1 << IBV_QPT_UC)
#define UD (1 << IBV_QPT_UD)

static void transfers(void);
static void atomics(void);

static const struct io_op ops[] = {
	{ "write", transfers, RC | UC, IBV_WR_RDMA_WRITE, IBV_WC_RDMA_WRITE,
	  W_NO_RECV, IBV_ODP_SUPPORT_WRITE, IBV_ODP_SUPPORT_WRITE },
	{ "write_imm", transfers, RC | UC, IBV_WR_RDMA_WRITE_WITH_IMM,
	  IBV_WC_RDMA_WRITE, W_RECV_IMM, IBV_ODP_SUPPORT_WRITE,
	  IBV_ODP_SUPPORT_WRITE },
	{ "send", transfers, RC | UC | UD, IBV_WR_SEND, IBV_WC_SEND,
	  W_RECV_MSG, IBV_ODP_SUPPORT_SEND, IBV_ODP_SUPPORT_RECV },
	{ "send_imm", transfers, RC | UC | UD, IBV_WR_SEND_WITH_IMM,
	  IBV_WC_SEND, W_RECV_MSG_IMM, IBV_ODP_SUPPORT_SEND,
	  IBV_ODP_SUPPORT_RECV },
	{ "read", transfers, RC, IBV_WR_RDMA_READ, IBV_WC_RDMA_READ,
	  W_NO_RECV, IBV_ODP_SUPPORT_READ, IBV_ODP_SUPPORT_READ },
	{ "cas", atomics, RC, IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WC_COMP_SWAP,
	  W_NO_RECV, IBV_ODP_SUPPORT_ATOMIC, IBV_ODP_SUPPORT_ATOMIC },
	{ "faa", atomics, RC, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WC_FETCH_ADD,
	  W_NO_RECV, IBV_ODP_SUPPORT_ATOMIC, IBV_ODP_SUPPORT_ATOMIC },
	{ "send_inv", io_send_inv, RC, IBV_WR_SEND_WITH_INV, IBV_WC_SEND,
	  W_RECV_MSG_INV, IBV_ODP_SUPPORT_SEND, IBV_ODP_SUPPORT_RECV },
	/* libibverbs has no bit for on-demand memory in these two */
#ifdef HAVE_WR_FLUSH
	{ "flush", io_flush, RC, IBV_WR_RDMA_WRITE, IBV_WC_FLUSH, W_NO_RECV,
	  IBV_ODP_SUPPORT_WRITE, IBV_ODP_SUPPORT_WRITE, W_CAP_FLUSH,
	  IBV_QP_EX_WITH_FLUSH },
#endif
#ifdef HAVE_WR_ATOMIC_WRITE
	{ "atomic_write", io_atomic_write, RC, IBV_WR_ATOMIC_WRITE,
	  IBV_WC_ATOMIC_WRITE, W_NO_RECV, 0, IBV_ODP_SUPPORT_WRITE,
	  W_CAP_ATOMIC_WRITE, IBV_QP_EX_WITH_ATOMIC_WRITE },
#endif
};

static const struct {
	enum ibv_qp_type type;
	const char *name;
} types[] = {
	{ IBV_QPT_RC, "rc" },
	{ IBV_QPT_UC, "uc" },
	{ IBV_QPT_UD, "ud" },
};

static const uint32_t sizes[] = {
	1,    2,    3,	  4,	7,     63,    64,    255,     256,
	257,  1023, 1024, 1025, 2049,  4093,  4095,  4096,    4097,
	8192, 9001, 12289, 65535, 65537, 262147, (1 << 20) + 1, BIG,
};

#define MAX_GROUPS                                                        \
	(T_ARRAY_SIZE(types) * T_ARRAY_SIZE(ops) * T_NR_KINDS * T_NR_KINDS)

static struct io_group groups[MAX_GROUPS];
static struct t_test tests[MAX_GROUPS];

static uint32_t odp_of(const struct ibv_odp_caps *caps, enum ibv_qp_type type)
{
	switch (type) {
	case IBV_QPT_RC:
		return caps->per_transport_caps.rc_odp_caps;
	case IBV_QPT_UC:
		return caps->per_transport_caps.uc_odp_caps;
	default:
		return caps->per_transport_caps.ud_odp_caps;
	}
}

/*
 * With on-demand memory rdma_rxe (7.2) moves every packet to or from the begin
 * of a page, between two of it as well: what it has starts at one.
 */
static bool starts_pages(const char *device, enum t_kind kind)
{
	return kind != T_PINNED && !strncmp(device, "rxe", 3);
}

static uint64_t fitting_place(const char *device, enum t_kind kind,
			      uint64_t off)
{
	return starts_pages(device, kind) ? off & ~(T_PAGE - 1) : off;
}

static void need(const struct io_group *g, const char *device, enum t_kind kind,
		 const struct ibv_odp_caps *caps, uint32_t bits)
{
	if (kind == T_PINNED)
		return;
	if (!(caps->general_caps & IBV_ODP_SUPPORT))
		t_skip("%s has no on-demand paging", w_kind_of(device));
	if ((odp_of(caps, g->type) & bits) != bits)
		t_skip("%s has no on-demand paging for %s of this transport",
		       w_kind_of(device), g->op->name);
	if (g->type == IBV_QPT_UD && starts_pages(device, kind))
		t_skip("rxe has payload at begins of pages, UD has a GRH there");
	if (kind == T_IMPLICIT &&
	    !(caps->general_caps & IBV_ODP_SUPPORT_IMPLICIT))
		t_skip("%s has no implicit regions", w_kind_of(device));
}

static void check_caps(const struct io_group *g, const struct w_wire *wire)
{
	need(g, wire->here.dev.name, g->here, &wire->here.dev.attr.odp_caps,
	     g->op->odp_here);
	need(g, wire->there.device, g->there, &wire->there.odp,
	     g->op->odp_there);
	if ((wire->here.dev.attr.device_cap_flags_ex & wire->there.caps &
	     g->op->caps) != g->op->caps)
		t_skip("an end has no %s", g->op->name);
	if (g->op->fn == atomics &&
	    (wire->here.dev.attr.orig_attr.atomic_cap == IBV_ATOMIC_NONE ||
	     wire->there.atomic == IBV_ATOMIC_NONE))
		t_skip("an end has no atomics");
}

/* The largest size costs as much as all others */
static bool has_big(const struct io_group *g)
{
	return g->type != IBV_QPT_UD && (!t_quick || g->here == g->there);
}

void io_open(const struct io_group *g, struct w_wire *wire)
{
	struct w_qp_opt opt = W_QP_OPT;

	wire_open(wire);
	check_caps(g, wire);
	wire_buf(wire, 0, has_big(g) ? BIG_BUF_SIZE : BUF_SIZE, g->here,
		 g->there, g->number % T_NR_PAGES);
	opt.type = g->type;
	opt.v6 = g->v6;
	opt.wr_ops = g->op->wr_ops;
	wire_qp(wire, 0, &opt);
}

/* Off by all that matters: bytes, packets, pages, huge pages */
static uint64_t any_place(struct t_rand *r, uint64_t len)
{
	uint64_t size = len >= BIG ? BIG_BUF_SIZE : BUF_SIZE;
	uint64_t room = size - len - 2 * W_MARGIN;
	uint64_t off;

	switch (t_rand_below(r, 4)) {
	case 0: /* across a huge page's end */
		off = T_HUGE - t_rand_below(r, len < T_HUGE ? len : T_PAGE);
		break;
	case 1: /* just after a page's begin, or at it */
		off = T_PAGE * t_rand_below(r, 64) + t_rand_below(r, 8);
		break;
	default:
		off = t_rand_below(r, room);
		break;
	}
	if (off > room)
		off = room;
	return off + W_MARGIN;
}

enum w_cold io_any_cold(struct t_rand *r, enum t_kind kind)
{
	return kind == T_PINNED ? W_WARM : t_rand_below(r, 3);
}

void io_make_xfer(const struct io_group *g, const struct w_wire *wire,
		  struct t_rand *r, uint32_t len, struct io_xfer *x)
{
	bool read = g->op->opcode == IBV_WR_RDMA_READ;
	struct w_place *here = read ? &x->dst : &x->src;
	struct w_place *there = read ? &x->src : &x->dst;
	uint32_t grh = g->type == IBV_QPT_UD ? W_GRH : 0;

	memset(x, 0, sizeof(*x));
	x->src.len = len;
	x->src.off = any_place(r, len);
	x->src.seed = t_rand(r);
	x->src.cold = io_any_cold(r, read ? g->there : g->here);
	x->dst = x->src;
	x->dst.len = len + grh;
	x->dst.off = any_place(r, len + grh);
	x->dst.cold = io_any_cold(r, read ? g->here : g->there);
	x->dst.recv = g->op->recv;
	x->dst.imm = t_rand(r);
	here->off = fitting_place(wire->here.dev.name, g->here, here->off);
	there->off = fitting_place(wire->there.device, g->there, there->off);
}

static struct w_rep io_ask(struct w_wire *wire, bool there, enum w_cmd cmd,
			   const struct w_place *place)
{
	struct w_req req = { .cmd = cmd, .place = *place };
	struct w_rep rep = { 0 };

	if (there)
		peer_do(&wire->peer, &req, &rep);
	else
		end_do(&wire->here, &req, &rep);
	return rep;
}

void io_at(struct w_wire *wire, bool there, enum w_cmd cmd,
	   const struct w_place *place)
{
	struct w_rep rep = io_ask(wire, there, cmd, place);

	T_ASSERT(!rep.bad, "%s", rep.text);
}

/* UC does not say when it has arrived */
static void io_await(struct w_wire *wire, const struct w_place *place)
{
	unsigned int tries = 0;

	t_sleep_ms(20 + place->len / 20000);
	while (io_ask(wire, true, W_CHECK, place).bad && tries++ < 100)
		t_sleep_ms(50);
}

void io_want(const struct io_group *g, struct w_wire *wire, uint64_t id)
{
	const struct w_qp *qp = &wire->here.qp[0];
	struct ibv_wc wc = t_want_wc(qp->scq, id, IBV_WC_SUCCESS);

	T_ASSERT(wc.opcode == g->op->wc_opcode && wc.qp_num == qp->addr.qpn,
		 "completion opcode %#x of QP %#x", wc.opcode, wc.qp_num);
}

static void run_xfer(const struct io_group *g, struct w_wire *wire,
		     struct io_xfer *x)
{
	bool read = g->op->opcode == IBV_WR_RDMA_READ;
	uint64_t local = read ? x->dst.off : x->src.off;
	uint64_t remote = read ? x->src.off : x->dst.off;
	uint64_t id = x->src.seed;

	io_at(wire, read, W_SOURCE, &x->src);
	io_at(wire, !read, W_TARGET, &x->dst);
	T_OK(wire_post(wire, 0, g->op->opcode, id, local, remote, x->src.len,
		       x->dst.imm));
	io_want(g, wire, id);
	if (g->type == IBV_QPT_UC && x->dst.recv == W_NO_RECV)
		io_await(wire, &x->dst);
	io_at(wire, !read, W_CHECK, &x->dst);
}

static void transfers(void)
{
	const struct io_group *g = t_this->arg;
	struct t_rand rand = { .state = 0x31337 + g->number };
	uint32_t most = g->type == IBV_QPT_UD ? 0 : UINT32_MAX;
	unsigned int rounds = t_quick ? 1 : t_full ? 6 : 2;
	static struct w_wire wire;
	unsigned int total = 0;
	unsigned int i, k;
	struct io_xfer x;

	io_open(g, &wire);
	if (!most)
		most = 128 << wire.mtu;
	for (i = 0; i < T_ARRAY_SIZE(sizes); i++) {
		if (sizes[i] > most || (sizes[i] == BIG && !has_big(g)))
			break;
		for (k = 0; k < (sizes[i] > 1 << 20 ? 1 : rounds); k++) {
			io_make_xfer(g, &wire, &rand, sizes[i], &x);
			t_case("case %u: %u bytes from %#llx%s to %#llx%s",
			       total, sizes[i], (unsigned long long)x.src.off,
			       x.src.cold ? " cold" : "",
			       (unsigned long long)x.dst.off,
			       x.dst.cold ? " cold" : "");
			run_xfer(g, &wire, &x);
			total++;
		}
	}
	wire_close(&wire);
	t_note("%u cases", total);
}

static void post_atomic(struct w_wire *wire, const struct io_group *g,
			uint64_t result, uint64_t word, uint64_t add,
			uint64_t swap)
{
	struct ibv_sge sge = end_sge(&wire->here, 0, result, 8);
	struct ibv_send_wr wr = {
		.wr_id = add,
		.opcode = g->op->opcode,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.atomic = {
			.remote_addr = wire->iova[0] + word,
			.rkey = wire->rkey[0],
			.compare_add = add,
			.swap = swap,
		},
	};

	T_OK(end_post(&wire->here, 0, &wr));
	io_want(g, wire, add);
}

void io_word(struct w_wire *wire, enum w_cmd cmd, uint64_t off,
	     uint64_t value, enum w_cold cold)
{
	struct w_req req = { .cmd = cmd, .value = value };
	struct w_rep rep;

	req.place.off = off;
	req.place.cold = cold;
	peer_do(&wire->peer, &req, &rep);
	T_ASSERT(!rep.bad, "%s", rep.text);
}

static void one_atomic(struct w_wire *wire, const struct io_group *g,
		       struct t_rand *r, unsigned int i)
{
	bool cas = g->op->opcode == IBV_WR_ATOMIC_CMP_AND_SWP;
	uint64_t result = any_place(r, 8);
	uint64_t word = T_HUGE - 2 * T_PAGE + 8 * (i * 37 % IO_WORDS);
	uint64_t before = t_rand(r);
	uint64_t swap = t_rand(r);
	uint64_t add = t_rand(r);
	uint64_t after = before + add;
	uint64_t got;
	char *p;

	if (cas) {
		/* One bit decides */
		add = before ^ (i & 1 ? 1ULL << (swap % 64) : 0);
		after = add == before ? swap : before;
	}
	result = fitting_place(wire->here.dev.name, g->here, result);
	t_case("case %u: to %#llx", i, (unsigned long long)result);
	io_word(wire, W_WORD_SET, word, before,
		io_any_cold(r, g->there) ? W_COLD : W_WARM);
	p = wire->here.buf[0].base + result;
	t_fill_background(p - 8, 24);
	post_atomic(wire, g, result, word, add, swap);
	memcpy(&got, p, 8);
	T_ASSERT(got == before, "fetched %#llx, must be %#llx",
		 (unsigned long long)got, (unsigned long long)before);
	T_ASSERT(t_check_background(p - 8, 8) < 0 &&
			 t_check_background(p + 8, 8) < 0,
		 "bytes around the result changed");
	io_word(wire, W_WORD_CHECK, word, after, W_WARM);
}

static void atomics(void)
{
	const struct io_group *g = t_this->arg;
	struct t_rand rand = { .state = 0xa70 + g->number };
	unsigned int total = t_quick ? 32 : t_full ? 2048 : 128;
	static struct w_wire wire;
	unsigned int i;

	io_open(g, &wire);
	for (i = 0; i < total; i++)
		one_atomic(&wire, g, &rand, i);
	wire_close(&wire);
	t_note("%u cases", total);
}

/*
 * WIRE_PINNED says which end, "here", "there" or "both", has nothing else:
 * then the short form goes through what the other one has.
 */
static bool wanted(size_t here, size_t there, bool quick)
{
	const char *pinned = getenv("WIRE_PINNED");

	if (!quick)
		return true;
	if (pinned && !strcmp(pinned, "both"))
		return here == T_PINNED && there == T_PINNED;
	if (pinned && !strcmp(pinned, "here"))
		return here == T_PINNED;
	if (pinned)
		return there == T_PINNED;
	if (here == T_IMPLICIT || there == T_IMPLICIT)
		return here == T_EXPLICIT || there == T_EXPLICIT;
	return here == there;
}

/* Return: 1, or 0 when there is no such group or it is not wanted */
static size_t add_group(size_t nr, size_t t, size_t o, size_t k, bool quick)
{
	struct io_group *g = &groups[nr];
	char *name;

	if (!(ops[o].types & (1 << types[t].type)) ||
	    !wanted(k % T_NR_KINDS, k / T_NR_KINDS, quick))
		return 0;
	g->op = &ops[o];
	g->type = types[t].type;
	g->here = k % T_NR_KINDS;
	g->there = k / T_NR_KINDS;
	g->number = nr;
	g->v6 = (o + k) % 2;
	if (asprintf(&name, "%s/%s/%s-%s/%s", types[t].name, ops[o].name,
		     t_kind_names[g->here], t_kind_names[g->there],
		     g->v6 ? "v6" : "v4") < 0)
		exit(T_EXIT_FAIL);
	tests[nr].name = name;
	tests[nr].arg = g;
	tests[nr].seconds = 240;
	tests[nr].fn = ops[o].fn;
	return 1;
}

static size_t make_groups(bool quick)
{
	size_t nr = 0;
	size_t t, o, k;

	for (t = 0; t < T_ARRAY_SIZE(types); t++)
		for (o = 0; o < T_ARRAY_SIZE(ops); o++)
			for (k = 0; k < T_NR_KINDS * T_NR_KINDS; k++)
				nr += add_group(nr, t, o, k, quick);
	return nr;
}

int main(int argc, char **argv)
{
	bool quick = argc > 1 && !strcmp(argv[1], "--quick");

	/* Once, for all children */
	t_patterns_init();
	return t_main(argc, argv, tests, make_groups(quick));
}
