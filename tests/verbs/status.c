// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Requests that must not work: the completion status each of them has, what
 * becomes of both queue pairs, and that no byte was touched.
 */

#include <sys/mman.h>

#include "status.h"

#define LEN (4 * T_PAGE)

/* Things that can be wrong with a key or a range */
enum fault {
	FAULT_NONE,
	FAULT_KEY_GARBAGE,
	FAULT_KEY_LOW, /* last byte differs */
	FAULT_KEY_HIGH, /* index differs */
	FAULT_KEY_STALE, /* of an MR that is gone */
	FAULT_PD,
	FAULT_ACCESS,
	FAULT_BELOW, /* one byte before the MR */
	FAULT_ABOVE, /* one byte behind it */
	FAULT_FAR,
	FAULT_WRAP, /* past the end of the address space */
};

static const char *const fault_names[] = {
	[FAULT_NONE] = "none",
	[FAULT_KEY_GARBAGE] = "garbage key",
	[FAULT_KEY_LOW] = "low byte of the key",
	[FAULT_KEY_HIGH] = "index of the key",
	[FAULT_KEY_STALE] = "stale key",
	[FAULT_PD] = "other PD",
	[FAULT_ACCESS] = "no such right",
	[FAULT_BELOW] = "one byte below",
	[FAULT_ABOVE] = "one byte above",
	[FAULT_FAR] = "far away",
	[FAULT_WRAP] = "wrapping address",
};

struct op {
	enum ibv_wr_opcode opcode;
	const char *name;
	uint32_t len;
	unsigned int remote_right;
	bool writes_local;
};

static const struct op ops[] = {
	{ IBV_WR_RDMA_WRITE, "write", 100, IBV_ACCESS_REMOTE_WRITE, false },
	{ IBV_WR_RDMA_WRITE_WITH_IMM, "write_imm", 100,
	  IBV_ACCESS_REMOTE_WRITE, false },
	{ IBV_WR_RDMA_READ, "read", 100, IBV_ACCESS_REMOTE_READ, true },
	{ IBV_WR_ATOMIC_CMP_AND_SWP, "cas", 8, IBV_ACCESS_REMOTE_ATOMIC,
	  true },
	{ IBV_WR_ATOMIC_FETCH_AND_ADD, "faa", 8, IBV_ACCESS_REMOTE_ATOMIC,
	  true },
	{ IBV_WR_SEND, "send", 100, 0, false },
};

/* What a faulty request says instead of key and address */
static void spoil(struct t_duo *d, enum fault fault, const struct op *op,
		  bool remote, uint64_t *addr, uint32_t *key)
{
	char *buf = remote ? d->bbuf : d->abuf;
	unsigned int access = T_ACCESS_ALL;
	struct ibv_mr *mr;
	struct ibv_pd *pd;

	switch (fault) {
	case FAULT_NONE:
		break;
	case FAULT_KEY_GARBAGE:
		*key = 0xdeadbeef;
		break;
	case FAULT_KEY_LOW:
		*key ^= 0x01;
		break;
	case FAULT_KEY_HIGH:
		*key ^= 0x100;
		break;
	case FAULT_KEY_STALE:
		mr = t_reg(d->dev.pd, buf, LEN, access);
		*key = remote ? mr->rkey : mr->lkey;
		t_dereg(mr);
		break;
	case FAULT_PD:
		pd = ibv_alloc_pd(d->dev.ctx);
		T_ASSERT(pd, "ibv_alloc_pd");
		mr = t_reg(pd, buf, LEN, access);
		*key = remote ? mr->rkey : mr->lkey;
		break;
	case FAULT_ACCESS:
		access &= remote ? ~op->remote_right :
				   (unsigned int)IBV_ACCESS_REMOTE_READ;
		mr = t_reg(d->dev.pd, buf, LEN, access);
		*key = remote ? mr->rkey : mr->lkey;
		break;
	case FAULT_BELOW:
		*addr = (uintptr_t)buf - (op->len == 8 ? 8 : 1);
		break;
	case FAULT_ABOVE:
		*addr = (uintptr_t)buf + LEN - op->len +
			(op->len == 8 ? 8 : 1);
		break;
	case FAULT_FAR:
		*addr = 0x1000;
		break;
	case FAULT_WRAP:
		*addr = -(uint64_t)op->len & ~7ULL;
		break;
	}
}

static void post_op(struct t_duo *d, const struct op *op, uint64_t laddr,
		    uint32_t lkey, uint64_t raddr, uint32_t rkey)
{
	struct ibv_sge sge = { .addr = laddr, .length = op->len, .lkey = lkey };
	struct ibv_send_wr wr = {
		.wr_id = 77,
		.opcode = op->opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
	};

	if (op->len == 8) {
		wr.wr.atomic.remote_addr = raddr;
		wr.wr.atomic.rkey = rkey;
		wr.wr.atomic.compare_add = 1;
		wr.wr.atomic.swap = 2;
	} else {
		wr.wr.rdma.remote_addr = raddr;
		wr.wr.rdma.rkey = rkey;
	}
	T_OK(t_try_post(&d->a, &wr));
}

/* An implicit region has all addresses, but not memory at all of them */
static uint32_t fault_vendor(const struct ibv_mr *mr, enum fault fault)
{
	switch (fault) {
	case FAULT_PD:
		return SODP_ERR_KEY_PD;
	case FAULT_ACCESS:
		return SODP_ERR_KEY_ACCESS;
	case FAULT_BELOW:
	case FAULT_ABOVE:
	case FAULT_FAR:
	case FAULT_WRAP:
		return mr->length == SIZE_MAX && fault != FAULT_WRAP ?
			       SODP_ERR_PAGE :
			       SODP_ERR_KEY_RANGE;
	default:
		return SODP_ERR_KEY;
	}
}

static bool needs_recv(const struct op *op)
{
	return op->opcode == IBV_WR_SEND ||
	       op->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

/*
 * What is around an implicit region's buffer is merely not mapped: a transfer
 * may fail after its first bytes, or an atomic when its result comes back, as
 * they may on the wire.
 */
static void want_untouched(struct t_duo *d, enum fault fault)
{
	if (fault >= FAULT_BELOW && d->bmr->length == SIZE_MAX) {
		t_fill(d->abuf, LEN, 1);
		t_fill_background(d->bbuf, LEN);
		return;
	}
	t_want_data(d->abuf, LEN, 1);
	T_ASSERT(t_check_background(d->bbuf, LEN) < 0, "the target changed");
}

/* A fault in the request's own buffer: the peer never hears of it. */
static void local_case(struct t_duo *d, const struct op *op, enum fault fault)
{
	uint64_t addr = (uintptr_t)d->abuf + 8;
	uint32_t key = d->amr->lkey;
	struct ibv_wc wc;

	t_case("%s, local: %s", op->name, fault_names[fault]);
	spoil(d, fault, op, false, &addr, &key);
	if (needs_recv(op))
		t_post_recv(&d->b, 1, t_sge(d->bmr, d->bbuf, LEN));
	post_op(d, op, addr, key, t_remote(d, 8), d->bmr->rkey);
	wc = t_want_wc(d->a.scq, 77, IBV_WC_LOC_PROT_ERR);
	status_vendor(&d->dev, &wc, fault_vendor(d->amr, fault));
	t_want_state(&d->a, IBV_QPS_ERR);
	T_ASSERT(t_ep_state(&d->b) == IBV_QPS_RTS, "the peer left RTS");
	want_untouched(d, fault);
	t_duo_renew(d);
}

static void remote_case(struct t_duo *d, const struct op *op, enum fault fault)
{
	uint64_t addr = t_remote(d, 8);
	uint32_t key = d->bmr->rkey;
	struct ibv_async_event event;
	struct ibv_wc wc;

	t_case("%s, remote: %s", op->name, fault_names[fault]);
	spoil(d, fault, op, true, &addr, &key);
	if (needs_recv(op))
		t_post_recv(&d->b, 1, t_sge(d->bmr, d->bbuf, LEN));
	post_op(d, op, (uintptr_t)d->abuf + 8, d->amr->lkey, addr, key);
	wc = t_want_wc(d->a.scq, 77, IBV_WC_REM_ACCESS_ERR);
	status_vendor(&d->dev, &wc, SODP_ERR_NAK_ACCESS);
	t_want_state(&d->a, IBV_QPS_ERR);
	t_want_state(&d->b, IBV_QPS_ERR);
	event = t_want_event(&d->dev, IBV_EVENT_QP_ACCESS_ERR);
	T_ASSERT(event.element.qp == d->b.qp, "event of another QP");
	/* The receive that the immediate would have used says what happened */
	if (needs_recv(op)) {
		wc = t_want_wc(d->b.rcq, 1, IBV_WC_LOC_ACCESS_ERR);
		status_vendor(&d->dev, &wc, fault_vendor(d->bmr, fault));
	}
	want_untouched(d, fault);
	t_duo_renew(d);
}

static void keys(enum t_kind kind, bool remote)
{
	struct t_duo d;
	unsigned int cases = 0;
	enum fault fault;
	size_t i;

	t_duo_open(&d, LEN, kind, NULL);
	for (i = 0; i < T_ARRAY_SIZE(ops); i++) {
		if (remote && !ops[i].remote_right)
			continue;
		for (fault = 1; fault <= FAULT_WRAP; fault++) {
			if (fault == FAULT_ACCESS && !remote &&
			    !ops[i].writes_local)
				continue;
			if (remote)
				remote_case(&d, &ops[i], fault);
			else
				local_case(&d, &ops[i], fault);
			cases++;
		}
	}
	t_note("%u cases", cases);
}

static void local_pinned(void)
{
	keys(T_PINNED, false);
}

static void local_explicit(void)
{
	keys(T_EXPLICIT, false);
}

static void local_implicit(void)
{
	keys(T_IMPLICIT, false);
}

static void remote_pinned(void)
{
	keys(T_PINNED, true);
}

static void remote_explicit(void)
{
	keys(T_EXPLICIT, true);
}

static void remote_implicit(void)
{
	keys(T_IMPLICIT, true);
}

/* Every byte of the MR may be used, and none more: both ends, all kinds. */
static void range_ends(void)
{
	static const uint32_t lens[] = { 1, 2, 4095, 4096, 4097, LEN };
	enum t_kind kind;
	struct t_duo d;
	size_t i;

	t_open(&d.dev);
	for (kind = T_PINNED; kind <= T_EXPLICIT; kind++) {
		if (!t_can_kind(&d.dev, kind))
			continue;
		t_duo_make(&d, LEN, kind, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
		for (i = 0; i < T_ARRAY_SIZE(lens); i++) {
			t_case("%s, %u bytes", t_kind_names[kind], lens[i]);
			t_post(&d.a, IBV_WR_RDMA_WRITE, 1,
			       t_duo_sge(&d, LEN - lens[i], lens[i]),
			       t_remote(&d, 0), d.bmr->rkey);
			t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
			t_post(&d.a, IBV_WR_RDMA_READ, 2,
			       t_duo_sge(&d, 0, lens[i]),
			       t_remote(&d, LEN - lens[i]), d.bmr->rkey);
			t_want_wc(d.a.scq, 2, IBV_WC_SUCCESS);
		}
	}
}

/* A right of the MR that is not asked for is not needed. */
static void rights_suffice(void)
{
	struct t_duo d;
	struct ibv_mr *mr;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; ops[i].remote_right; i++) {
		t_case("%s", ops[i].name);
		mr = t_reg(d.dev.pd, d.bbuf, LEN,
			   ops[i].remote_right |
				   (ops[i].remote_right ==
						    IBV_ACCESS_REMOTE_READ ?
					    0 :
					    IBV_ACCESS_LOCAL_WRITE));
		if (needs_recv(&ops[i]))
			t_post_recv(&d.b, 1, t_sge(NULL, NULL, 0));
		post_op(&d, &ops[i], (uintptr_t)d.abuf, d.amr->lkey,
			t_remote(&d, 0), mr->rkey);
		t_want_wc(d.a.scq, 77, IBV_WC_SUCCESS);
		if (needs_recv(&ops[i]))
			t_want_wc(d.b.rcq, 1, IBV_WC_SUCCESS);
		t_dereg(mr);
	}
	/* A local source needs no right at all */
	mr = t_reg(d.dev.pd, d.abuf, LEN, 0);
	post_op(&d, &ops[0], (uintptr_t)d.abuf, mr->lkey, t_remote(&d, 0),
		d.bmr->rkey);
	t_want_wc(d.a.scq, 77, IBV_WC_SUCCESS);
}

/* Nothing is accessed, so no key is looked at (IBTA C9-88, C10-...). */
static void zero_length(void)
{
	static const enum ibv_wr_opcode opcodes[] = { IBV_WR_RDMA_WRITE,
						      IBV_WR_RDMA_READ };
	struct ibv_sge sge = { .addr = 0x1234, .length = 0, .lkey = 0 };
	struct ibv_wc wc;
	struct t_duo d;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < T_ARRAY_SIZE(opcodes); i++) {
		t_post(&d.a, opcodes[i], i, sge, 0xdeadbeef00000001ULL,
		       0xdeadbeef);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
	t_post_recv(&d.b, 9, t_sge(d.bmr, d.bbuf, LEN));
	t_post(&d.a, IBV_WR_SEND, 10, sge, 0, 0);
	t_want_wc(d.a.scq, 10, IBV_WC_SUCCESS);
	wc = t_want_wc(d.b.rcq, 9, IBV_WC_SUCCESS);
	T_ASSERT(wc.byte_len == 0, "byte_len %u", wc.byte_len);
	t_post_recv(&d.b, 11, t_sge(NULL, NULL, 0));
	t_post(&d.a, IBV_WR_RDMA_WRITE_WITH_IMM, 12, sge, 5, 0xdeadbeef);
	t_want_wc(d.a.scq, 12, IBV_WC_SUCCESS);
	wc = t_want_wc(d.b.rcq, 11, IBV_WC_SUCCESS);
	T_ASSERT(wc.byte_len == 0 && wc.opcode == IBV_WC_RECV_RDMA_WITH_IMM,
		 "byte_len %u opcode %#x", wc.byte_len, wc.opcode);
	want_untouched(&d, FAULT_NONE);
}

/* Longer than the receive: both sides are told, each in its own words. */
static void recv_too_small(void)
{
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_post_recv(&d.b, 1, t_sge(d.bmr, d.bbuf, 99));
	t_post_recv(&d.b, 2, t_sge(d.bmr, d.bbuf, 99));
	t_post(&d.a, IBV_WR_SEND, 3, t_duo_sge(&d, 0, 100), 0, 0);
	t_want_wc(d.a.scq, 3, IBV_WC_REM_INV_REQ_ERR);
	t_want_wc(d.b.rcq, 1, IBV_WC_LOC_LEN_ERR);
	t_want_wc(d.b.rcq, 2, IBV_WC_WR_FLUSH_ERR);
	t_want_state(&d.b, IBV_QPS_ERR);
	t_want_state(&d.a, IBV_QPS_ERR);
	T_ASSERT(t_check_background(d.bbuf + 99, LEN - 99) < 0,
		 "bytes behind the receive buffer changed");
}

/* The receiver's own buffer is bad: its problem, the sender is told so. */
static void recv_bad_buffer(void)
{
	static const struct {
		const char *name;
		long off;
		uint32_t key;
	} cases[] = {
		{ "wrong key", 0, 0x100 },
		{ "one byte above", LEN - 99, 0 },
		{ "one byte below", -1, 0 },
	};
	struct ibv_sge sge;
	struct ibv_wc wc;
	uint32_t vendor;
	struct t_duo d;
	size_t i;

	for (i = 0; i < T_ARRAY_SIZE(cases); i++) {
		t_case("%s", cases[i].name);
		t_duo_open(&d, LEN, T_PINNED, NULL);
		sge = t_sge(d.bmr, d.bbuf + cases[i].off, 100);
		sge.lkey ^= cases[i].key;
		t_post_recv(&d.b, 1, sge);
		t_post(&d.a, IBV_WR_SEND, 3, t_duo_sge(&d, 0, 100), 0, 0);
		wc = t_want_wc(d.a.scq, 3, IBV_WC_REM_OP_ERR);
		status_vendor(&d.dev, &wc, SODP_ERR_NAK_OPERATION);
		wc = t_want_wc(d.b.rcq, 1, IBV_WC_LOC_PROT_ERR);
		vendor = SODP_ERR_KEY_RANGE;
		if (cases[i].key)
			vendor = SODP_ERR_KEY;
		status_vendor(&d.dev, &wc, vendor);
		t_want_state(&d.b, IBV_QPS_ERR);
		want_untouched(&d, FAULT_NONE);
	}
}

static const struct t_test tests[] = {
	{ "local_pinned", local_pinned, 120 },
	{ "local_explicit", local_explicit, 120 },
	{ "local_implicit", local_implicit, 120 },
	{ "remote_pinned", remote_pinned, 120 },
	{ "remote_explicit", remote_explicit, 120 },
	{ "remote_implicit", remote_implicit, 120 },
	{ "range_ends", range_ends },
	{ "rights_suffice", rights_suffice },
	{ "qp_rights", status_qp_rights },
	{ "flush_persistent", status_flush_persistent },
	{ "rd_atomic", status_rd_atomic },
	{ "alignment", status_alignment },
	{ "lengths", status_lengths },
	{ "rnr", status_rnr },
	{ "no_answer", status_no_answer },
	{ "keys_of_windows", status_keys_of_windows },
	{ "windows", status_windows },
	{ "flushed", status_flushed },
	{ "zero_length", zero_length },
	{ "recv_too_small", recv_too_small },
	{ "recv_bad_buffer", recv_bad_buffer },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
