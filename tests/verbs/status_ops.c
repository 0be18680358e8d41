// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Each opcode against each thing that can be wrong with it, beside its keys
 * (status.c): rights of the QP, resources for answers, alignment, lengths,
 * receives, windows, and what becomes of those that are flushed.
 */

#include "status.h"

#define LEN (4 * T_PAGE)
#define IS_RD	   (1 << 0) /* takes a resource for its answer */
#define IS_RECV	   (1 << 1) /* takes a receive */
#define IS_ATOMIC  (1 << 2)
#define IS_LOCAL   (1 << 3)
#define IS_SIZED   (1 << 4) /* eight bytes, as the SGE has to say */

#define OPS_BASE                                                          \
	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
	 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |             \
	 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |   \
	 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | IBV_QP_EX_WITH_LOCAL_INV | \
	 IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_SEND_WITH_INV)

enum op {
	OP_WRITE,
	OP_WRITE_IMM,
	OP_READ,
	OP_CAS,
	OP_FAA,
	OP_SEND,
	OP_SEND_IMM,
	OP_SEND_INV,
	OP_LOCAL_INV,
	OP_BIND,
	OP_ATOMIC_WRITE,
	OP_FLUSH,
	NR_OPS,
};

static const struct {
	const char *name;
	unsigned int right;
	unsigned int is;
} ops[NR_OPS] = {
	[OP_WRITE] = { "write", IBV_ACCESS_REMOTE_WRITE, 0 },
	[OP_WRITE_IMM] = { "write_imm", IBV_ACCESS_REMOTE_WRITE, IS_RECV },
	[OP_READ] = { "read", IBV_ACCESS_REMOTE_READ, IS_RD },
	[OP_CAS] = { "cas", IBV_ACCESS_REMOTE_ATOMIC,
		     IS_RD | IS_ATOMIC | IS_SIZED },
	[OP_FAA] = { "faa", IBV_ACCESS_REMOTE_ATOMIC,
		     IS_RD | IS_ATOMIC | IS_SIZED },
	[OP_SEND] = { "send", 0, IS_RECV },
	[OP_SEND_IMM] = { "send_imm", 0, IS_RECV },
	[OP_SEND_INV] = { "send_inv", 0, IS_RECV },
	[OP_LOCAL_INV] = { "local_inv", 0, IS_LOCAL },
	[OP_BIND] = { "bind", 0, IS_LOCAL },
	[OP_ATOMIC_WRITE] = { "atomic_write", IBV_ACCESS_REMOTE_WRITE,
			      IS_RD | IS_ATOMIC },
#ifdef HAVE_FLUSH_ACCESS
	[OP_FLUSH] = { "flush", IBV_ACCESS_FLUSH_GLOBAL, IS_RD },
#else
	[OP_FLUSH] = { "flush", 0, IS_RD },
#endif
};

#define RIGHTS_ALL (T_ACCESS_ALL | ops[OP_FLUSH].right)

/* Of ib_verbs.h; older headers have no names for them */
#define CAP_FLUSH_GLOBAL  (1ULL << 38)
#define CAP_ATOMIC_WRITE  (1ULL << 40)

void status_vendor(const struct t_dev *dev, const struct ibv_wc *wc,
		   uint32_t want)
{
	if (strncmp(dev->name, "sodp", 4))
		return;
	T_ASSERT(wc->vendor_err == want, "vendor_err %#x with '%s', want %#x",
		 wc->vendor_err, t_wc_name(wc->status), want);
}

struct scene {
	struct t_duo d;
	struct ibv_mr *mr; /* b's, with every right */
	struct ibv_mw *mw; /* type 2, of a's PD, not bound */
	uint64_t caps;
	struct t_qp_opt opt;
};

static bool can(const struct scene *s, enum op op)
{
	switch (op) {
	case OP_ATOMIC_WRITE:
#ifndef HAVE_WR_ATOMIC_WRITE
		return false;
#endif
		return s->caps & CAP_ATOMIC_WRITE;
	case OP_FLUSH:
#if !defined(HAVE_WR_FLUSH) || !defined(HAVE_FLUSH_ACCESS)
		return false;
#endif
		return s->caps & CAP_FLUSH_GLOBAL;
	default:
		return true;
	}
}

static void scene_open(struct scene *s)
{
	s->opt = (struct t_qp_opt)T_QP_OPT;
	memset(&s->d, 0, sizeof(s->d));
	t_open(&s->d.dev);
	s->caps = s->d.dev.attr.device_cap_flags_ex;
	s->opt.wr_ops = OPS_BASE;
#ifdef HAVE_WR_ATOMIC_WRITE
	if (can(s, OP_ATOMIC_WRITE))
		s->opt.wr_ops |= IBV_QP_EX_WITH_ATOMIC_WRITE;
#endif
#ifdef HAVE_WR_FLUSH
	if (can(s, OP_FLUSH))
		s->opt.wr_ops |= IBV_QP_EX_WITH_FLUSH;
#endif
	s->opt.access = can(s, OP_FLUSH) ? RIGHTS_ALL : T_ACCESS_ALL;
	t_duo_make(&s->d, LEN, T_PINNED, T_ACCESS_ALL | IBV_ACCESS_MW_BIND,
		   T_ACCESS_ALL, &s->opt);
	s->mr = t_reg(s->d.dev.pd, s->d.bbuf, LEN,
		      s->opt.access | IBV_ACCESS_MW_BIND);
	s->mw = ibv_alloc_mw(s->d.dev.pd, IBV_MW_TYPE_2);
	T_ASSERT(s->mw, "ibv_alloc_mw: %s", t_errname(errno));
}

/* QPs anew, after a change of s->opt or an error */
static void renew(struct scene *s)
{
	struct ibv_async_event event;

	t_ep_close(&s->d.a);
	t_ep_close(&s->d.b);
	while (t_event_for(&s->d.dev, &event, 0))
		;
	t_pair(&s->d.dev, &s->d.a, &s->d.b, &s->opt);
	t_fill(s->d.abuf, LEN, 1);
	t_fill_background(s->d.bbuf, LEN);
}

/* One request; @len of its SGE, where it has one */
static int post(struct scene *s, enum op code, uint64_t raddr, uint32_t rkey,
		uint32_t len)
{
	struct ibv_mw_bind_info info = {
		.mr = s->d.amr,
		.addr = (uintptr_t)s->d.abuf,
		.length = LEN,
		.mw_access_flags = IBV_ACCESS_REMOTE_READ,
	};
	struct ibv_qp_ex *q = s->d.a.qpx;
	static const uint64_t value = 5;

	ibv_wr_start(q);
	q->wr_id = 77;
	q->wr_flags = IBV_SEND_SIGNALED;
	switch (code) {
	case OP_WRITE:
		ibv_wr_rdma_write(q, rkey, raddr);
		break;
	case OP_WRITE_IMM:
		ibv_wr_rdma_write_imm(q, rkey, raddr, 0);
		break;
	case OP_READ:
		ibv_wr_rdma_read(q, rkey, raddr);
		break;
	case OP_CAS:
		ibv_wr_atomic_cmp_swp(q, rkey, raddr, 1, 2);
		break;
	case OP_FAA:
		ibv_wr_atomic_fetch_add(q, rkey, raddr, 1);
		break;
	case OP_SEND:
		ibv_wr_send(q);
		break;
	case OP_SEND_IMM:
		ibv_wr_send_imm(q, 0);
		break;
	case OP_SEND_INV:
		ibv_wr_send_inv(q, rkey);
		break;
	case OP_LOCAL_INV:
		ibv_wr_local_inv(q, rkey);
		return ibv_wr_complete(q);
	case OP_BIND:
		info.length += len;
		ibv_wr_bind_mw(q, s->mw, ibv_inc_rkey(s->mw->rkey), &info);
		return ibv_wr_complete(q);
	case OP_ATOMIC_WRITE:
#ifdef HAVE_WR_ATOMIC_WRITE
		ibv_wr_atomic_write(q, rkey, raddr, &value);
#endif
		return ibv_wr_complete(q);
	case OP_FLUSH:
#ifdef HAVE_WR_FLUSH
		ibv_wr_flush(q, rkey, raddr, len, IBV_FLUSH_GLOBAL,
			     IBV_FLUSH_RANGE);
#endif
		return ibv_wr_complete(q);
	default:
		break;
	}
	(void)value;
	ibv_wr_set_sge(q, s->d.amr->lkey, (uintptr_t)s->d.abuf, len);
	return ibv_wr_complete(q);
}

static void recv(struct scene *s)
{
	t_post_recv(&s->d.b, 1, t_sge(s->d.bmr, s->d.bbuf, LEN));
}

/* The responder refuses: what each side is told */
static void want_refused(struct scene *s, enum ibv_wc_status status,
			 enum ibv_wc_status recv_status, uint32_t recv_vendor,
			 enum ibv_event_type event)
{
	struct ibv_wc wc = t_want_wc(s->d.a.scq, 77, status);

	status_vendor(&s->d.dev, &wc, status == IBV_WC_REM_INV_REQ_ERR ?
					      SODP_ERR_NAK_REQUEST :
					      SODP_ERR_NAK_ACCESS);
	t_want_state(&s->d.a, IBV_QPS_ERR);
	t_want_state(&s->d.b, IBV_QPS_ERR);
	t_want_event(&s->d.dev, event);
	wc = t_want_wc(s->d.b.rcq, 1, recv_status);
	status_vendor(&s->d.dev, &wc,
		      recv_status == IBV_WC_WR_FLUSH_ERR ? SODP_ERR_FLUSHED :
							   recv_vendor);
	T_ASSERT(t_check_background(s->d.bbuf, LEN) < 0, "the target changed");
	renew(s);
}

/* The requester does: the peer never hears of it */
static void want_failed(struct scene *s, enum ibv_wc_status status,
			uint32_t vendor)
{
	struct ibv_wc wc = t_want_wc(s->d.a.scq, 77, status);

	status_vendor(&s->d.dev, &wc, vendor);
	t_want_state(&s->d.a, IBV_QPS_ERR);
	T_ASSERT(t_ep_state(&s->d.b) == IBV_QPS_RTS, "the peer left RTS");
	t_want_none(s->d.b.rcq);
	renew(s);
}

/* A receive that was not reached is flushed, one in hand has the error */
static enum ibv_wc_status recv_end(enum op op, enum ibv_wc_status in_hand)
{
	return ops[op].is & IS_RECV ? in_hand : IBV_WC_WR_FLUSH_ERR;
}

/* Operations that the responder's QP does not admit are invalid requests */
void status_qp_rights(void)
{
	struct scene s;
	enum op op;

	scene_open(&s);
	for (op = 0; op < NR_OPS; op++) {
		if (!can(&s, op) || !ops[op].right)
			continue;
		t_case("%s", ops[op].name);
		s.opt.access &= ~ops[op].right;
		renew(&s);
		recv(&s);
		T_OK(post(&s, op, t_remote(&s.d, 0), s.mr->rkey, 8));
		s.opt.access |= ops[op].right;
		/* Found before a receive is taken */
		want_refused(&s, IBV_WC_REM_INV_REQ_ERR, IBV_WC_WR_FLUSH_ERR, 0,
			     IBV_EVENT_QP_REQ_ERR);
	}
}

/* Persistence is one more right, which no memory here has */
void status_flush_persistent(void)
{
#if defined(HAVE_WR_FLUSH) && defined(HAVE_FLUSH_ACCESS)
	struct scene s;
	int i;

	scene_open(&s);
	if (!can(&s, OP_FLUSH))
		t_skip("no FLUSH");
	for (i = 0; i < 2; i++) {
		t_case(i ? "admitted by the QP" : "not admitted");
		if (i)
			s.opt.access |= IBV_ACCESS_FLUSH_PERSISTENT;
		renew(&s);
		recv(&s);
		ibv_wr_start(s.d.a.qpx);
		s.d.a.qpx->wr_id = 77;
		s.d.a.qpx->wr_flags = IBV_SEND_SIGNALED;
		ibv_wr_flush(s.d.a.qpx, s.mr->rkey, t_remote(&s.d, 0), 8,
			     IBV_FLUSH_PERSISTENT, IBV_FLUSH_RANGE);
		T_OK(ibv_wr_complete(s.d.a.qpx));
		want_refused(&s, i ? IBV_WC_REM_ACCESS_ERR :
				     IBV_WC_REM_INV_REQ_ERR,
			     IBV_WC_WR_FLUSH_ERR, 0,
			     i ? IBV_EVENT_QP_ACCESS_ERR :
				 IBV_EVENT_QP_REQ_ERR);
	}
#else
	t_skip("headers without FLUSH");
#endif
}

/*
 * Who keeps no answers takes no request that needs one kept, and who may have
 * none outstanding sends none. All else goes on as ever.
 */
void status_rd_atomic(void)
{
	struct ibv_wc wc;
	struct scene s;
	enum op op;
	int side;

	scene_open(&s);
	for (side = 0; side < 2; side++)
		for (op = 0; op < NR_OPS; op++) {
			if (!can(&s, op) || op == OP_SEND_INV ||
			    (ops[op].is & IS_LOCAL))
				continue;
			t_case("%s, none at the %s", ops[op].name,
			       side ? "requester" : "responder");
			s.opt.rd_atomic = side ? 0 : 4;
			s.opt.dest_rd_atomic = side ? 4 : 0;
			renew(&s);
			if (!side || (ops[op].is & IS_RECV))
				recv(&s);
			T_OK(post(&s, op, t_remote(&s.d, 0), s.mr->rkey, 8));
			if (ops[op].is & IS_RD) {
				if (side)
					want_failed(&s, IBV_WC_LOC_QP_OP_ERR,
						    SODP_ERR_RD_ATOMIC);
				else
					want_refused(&s,
						     IBV_WC_REM_INV_REQ_ERR,
						     IBV_WC_WR_FLUSH_ERR, 0,
						     IBV_EVENT_QP_REQ_ERR);
				continue;
			}
			t_want_wc(s.d.a.scq, 77, IBV_WC_SUCCESS);
			if (ops[op].is & IS_RECV)
				t_want_wc(s.d.b.rcq, 1, IBV_WC_SUCCESS);
			else
				T_ASSERT(!t_poll_for(s.d.b.rcq, &wc, 0),
					 "a receive was used");
		}
}

void status_alignment(void)
{
	struct scene s;
	unsigned int off;
	enum op op;

	scene_open(&s);
	for (op = 0; op < NR_OPS; op++) {
		if (!can(&s, op) || !(ops[op].is & IS_ATOMIC))
			continue;
		for (off = 1; off < 8; off += 3) {
			t_case("%s at %u", ops[op].name, off);
			recv(&s);
			T_OK(post(&s, op, t_remote(&s.d, off), s.mr->rkey, 8));
			want_refused(&s, IBV_WC_REM_INV_REQ_ERR,
				     IBV_WC_WR_FLUSH_ERR, 0,
				     IBV_EVENT_QP_REQ_ERR);
		}
	}
}

void status_lengths(void)
{
	static const uint32_t lens[] = { 0, 4, 7, 9, 16 };
	struct scene s;
	enum op op;
	size_t i;

	scene_open(&s);
	for (op = 0; op < NR_OPS; op++) {
		for (i = 0; can(&s, op) && (ops[op].is & IS_SIZED) &&
			    i < T_ARRAY_SIZE(lens); i++) {
			t_case("%s of %u bytes", ops[op].name, lens[i]);
			T_OK(post(&s, op, t_remote(&s.d, 0), s.mr->rkey,
				  lens[i]));
			want_failed(&s, IBV_WC_LOC_LEN_ERR, SODP_ERR_LENGTH);
		}
		if (!(ops[op].is & IS_RECV) || ops[op].right ||
		    op == OP_SEND_INV)
			continue;
		t_case("%s, longer than its receive", ops[op].name);
		t_post_recv(&s.d.b, 1, t_sge(s.d.bmr, s.d.bbuf, 99));
		T_OK(post(&s, op, 0, 0, 100));
		want_refused(&s, IBV_WC_REM_INV_REQ_ERR, IBV_WC_LOC_LEN_ERR,
			     SODP_ERR_TOO_LONG, IBV_EVENT_QP_REQ_ERR);
	}
}

/* Nothing to receive into, and patience used up: the peer is none the worse */
void status_rnr(void)
{
	struct scene s;
	enum op op;

	scene_open(&s);
	s.opt.rnr_retry = 1;
	for (op = 0; op < NR_OPS; op++) {
		if (!(ops[op].is & IS_RECV))
			continue;
		t_case("%s", ops[op].name);
		renew(&s);
		T_OK(post(&s, op, t_remote(&s.d, 0), s.mr->rkey, 8));
		want_failed(&s, IBV_WC_RNR_RETRY_EXC_ERR, SODP_ERR_RNR_RETRY);
	}
}

/* The peer does not answer, and patience is used up */
void status_no_answer(void)
{
	struct ibv_wc wc;
	struct scene s;
	enum op op;

	scene_open(&s);
	s.opt.timeout = 12;
	s.opt.retry_cnt = 1;
	for (op = 0; op < NR_OPS; op++) {
		if (!can(&s, op) || op == OP_LOCAL_INV || op == OP_BIND)
			continue;
		t_case("%s", ops[op].name);
		renew(&s);
		t_ep_reset(&s.d.b);
		T_OK(post(&s, op, t_remote(&s.d, 0), s.mr->rkey, 8));
		wc = t_want_wc(s.d.a.scq, 77, IBV_WC_RETRY_EXC_ERR);
		status_vendor(&s.d.dev, &wc, SODP_ERR_RETRY);
		t_want_state(&s.d.a, IBV_QPS_ERR);
		T_ASSERT(t_check_background(s.d.bbuf, LEN) < 0,
			 "the target changed");
	}
}

/* Keys that are to be invalidated, and windows that are to be bound */
void status_keys_of_windows(void)
{
	struct scene s;

	scene_open(&s);
	t_case("send_inv of an MR");
	recv(&s);
	T_OK(post(&s, OP_SEND_INV, 0, s.mr->rkey, 0));
	want_refused(&s, IBV_WC_REM_ACCESS_ERR, IBV_WC_LOC_ACCESS_ERR,
		     SODP_ERR_INVALIDATE, IBV_EVENT_QP_ACCESS_ERR);
	t_case("send_inv of a window that is not bound");
	recv(&s);
	T_OK(post(&s, OP_SEND_INV, 0, s.mw->rkey, 0));
	want_refused(&s, IBV_WC_REM_ACCESS_ERR, IBV_WC_LOC_ACCESS_ERR,
		     SODP_ERR_INVALIDATE, IBV_EVENT_QP_ACCESS_ERR);
	t_case("local_inv of an MR");
	T_OK(post(&s, OP_LOCAL_INV, 0, s.mr->rkey, 0));
	want_failed(&s, IBV_WC_LOC_QP_OP_ERR, SODP_ERR_INVALIDATE);
	t_case("local_inv of a window that is not bound");
	T_OK(post(&s, OP_LOCAL_INV, 0, s.mw->rkey, 0));
	want_failed(&s, IBV_WC_LOC_QP_OP_ERR, SODP_ERR_INVALIDATE);
	t_case("bind to more than the MR");
	T_OK(post(&s, OP_BIND, 0, 0, 1));
	want_failed(&s, IBV_WC_MW_BIND_ERR, SODP_ERR_BIND);
}

/* A window of b's on its MR, bound by b */
static uint32_t bind(struct scene *s, struct ibv_mw *mw, unsigned int access)
{
	struct ibv_mw_bind_info info = {
		.mr = s->mr,
		.addr = t_remote(&s->d, 64),
		.length = 64,
		.mw_access_flags = access,
	};
	struct ibv_qp_ex *q = s->d.b.qpx;
	uint32_t rkey = ibv_inc_rkey(mw->rkey);

	ibv_wr_start(q);
	q->wr_id = 5;
	q->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_bind_mw(q, mw, rkey, &info);
	T_OK(ibv_wr_complete(q));
	t_want_wc(s->d.b.scq, 5, IBV_WC_SUCCESS);
	return rkey;
}

/* What a window does not grant, whatever its MR does */
void status_windows(void)
{
	static const char *const names[] = { "no right", "one byte above",
					     "one byte below",
					     "another QP's", "wrong key" };
	static const uint32_t vendors[] = {
		SODP_ERR_KEY_ACCESS, SODP_ERR_KEY_RANGE, SODP_ERR_KEY_RANGE,
		SODP_ERR_KEY_PD, SODP_ERR_KEY
	};
	struct t_ep other_a, other_b, b;
	struct ibv_mw *mw;
	uint64_t addr;
	struct scene s;
	uint32_t rkey;
	unsigned int i;
	enum op op;

	scene_open(&s);
	for (op = 0; op < NR_OPS; op++) {
		if (!can(&s, op) || !ops[op].right)
			continue;
		for (i = 0; i < T_ARRAY_SIZE(names); i++) {
			t_case("%s: %s", ops[op].name, names[i]);
			mw = ibv_alloc_mw(s.d.dev.pd, IBV_MW_TYPE_2);
			T_ASSERT(mw, "ibv_alloc_mw: %s", t_errname(errno));
			addr = t_remote(&s.d, 64);
			if (i == 3) {
				t_pair(&s.d.dev, &other_a, &other_b, &s.opt);
				b = s.d.b;
				s.d.b = other_b;
			}
			rkey = bind(&s, mw, i ? ops[op].right :
						s.opt.access &
							~ops[op].right &
							~IBV_ACCESS_LOCAL_WRITE);
			if (i == 3)
				s.d.b = b;
			if (i == 1)
				addr += 64;
			if (i == 2)
				addr -= 8;
			if (i == 4)
				rkey ^= 1;
			recv(&s);
			T_OK(post(&s, op, addr, rkey, 8));
			want_refused(&s, IBV_WC_REM_ACCESS_ERR,
				     recv_end(op, IBV_WC_LOC_ACCESS_ERR),
				     vendors[i], IBV_EVENT_QP_ACCESS_ERR);
			if (i == 3) {
				t_ep_close(&other_a);
				t_ep_close(&other_b);
			}
			T_OK(ibv_dealloc_mw(mw));
		}
	}
}

/* Of whatever kind it is, what is posted to a QP in error is flushed */
void status_flushed(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	struct ibv_wc wc;
	struct scene s;
	enum op op;

	scene_open(&s);
	T_OK(ibv_modify_qp(s.d.a.qp, &attr, IBV_QP_STATE));
	for (op = 0; op < NR_OPS; op++) {
		if (!can(&s, op))
			continue;
		t_case("%s", ops[op].name);
		T_OK(post(&s, op, t_remote(&s.d, 3), 0xdeadbeef, 7));
		wc = t_want_wc(s.d.a.scq, 77, IBV_WC_WR_FLUSH_ERR);
		status_vendor(&s.d.dev, &wc, SODP_ERR_FLUSHED);
	}
	t_case("receive");
	t_post_recv(&s.d.a, 9, t_sge(s.d.amr, s.d.abuf, 8));
	wc = t_want_wc(s.d.a.rcq, 9, IBV_WC_WR_FLUSH_ERR);
	status_vendor(&s.d.dev, &wc, SODP_ERR_FLUSHED);
	T_ASSERT(t_ep_state(&s.d.b) == IBV_QPS_RTS, "the peer left RTS");
}
