// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Memory windows of type 1 and 2B, invalidation by either side */

#include <pthread.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_fence.h"
#include "common/t_uffd.h"

#define LEN (4 * T_PAGE)
#define WIN_OFF 1000
#define WIN_LEN 3000

#define MW_RIGHTS                                                         \
	(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |               \
	 IBV_ACCESS_REMOTE_ATOMIC)

struct mw_duo {
	struct t_duo d;
	struct ibv_mr *mr; /* of b's buffer, may be bound to */
	struct ibv_mw *mw;
};

static void need_mw(const struct t_dev *dev, enum ibv_mw_type type)
{
	unsigned int flag = type == IBV_MW_TYPE_1 ?
				    IBV_DEVICE_MEM_WINDOW :
				    IBV_DEVICE_MEM_WINDOW_TYPE_2B;

	if (!(dev->attr.orig_attr.device_cap_flags & flag))
		t_skip("no such memory windows");
}

static void open_mw_len(struct mw_duo *m, enum ibv_mw_type type,
			enum t_kind kind, size_t len)
{
	memset(m, 0, sizeof(*m));
	t_duo_open(&m->d, len, kind, NULL);
	need_mw(&m->d.dev, type);
	m->mr = t_reg_kind(&m->d.dev, kind, m->d.bbuf, len,
			   T_ACCESS_ALL | IBV_ACCESS_MW_BIND);
	m->mw = ibv_alloc_mw(m->d.dev.pd, type);
	T_ASSERT(m->mw, "ibv_alloc_mw: %s", t_errname(errno));
}

static void open_mw(struct mw_duo *m, enum ibv_mw_type type, enum t_kind kind)
{
	open_mw_len(m, type, kind, LEN);
}

/* Binds through b's send queue; returns what the completion says. */
static enum ibv_wc_status try_bind(struct mw_duo *m, uint64_t off,
				   uint64_t len, unsigned int access)
{
	struct ibv_mw_bind_info info = {
		.mr = m->mr,
		.addr = len ? (uintptr_t)m->d.bbuf + off : 0,
		.length = len,
		.mw_access_flags = access,
	};
	struct ibv_mw_bind bind = {
		.wr_id = 50,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_info = info,
	};
	struct ibv_send_wr wr = {
		.wr_id = 50,
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = {
			.mw = m->mw,
			.rkey = ibv_inc_rkey(m->mw->rkey),
			.bind_info = info,
		},
	};
	struct ibv_wc wc;
	int ret;

	if (m->mw->type == IBV_MW_TYPE_1)
		ret = ibv_bind_mw(m->d.b.qp, m->mw, &bind);
	else
		ret = t_try_post(&m->d.b, &wr);
	if (ret) {
		T_ASSERT(ret == EINVAL || ret == EPERM, "bind: %s",
			 t_errname(ret));
		return IBV_WC_GENERAL_ERR;
	}
	wc = t_poll(m->d.b.scq);
	T_ASSERT(wc.wr_id == 50, "completion of request %llu",
		 (unsigned long long)wc.wr_id);
	if (wc.status == IBV_WC_SUCCESS) {
		T_ASSERT(wc.opcode == IBV_WC_BIND_MW, "opcode %#x",
			 wc.opcode);
		if (m->mw->type == IBV_MW_TYPE_2)
			m->mw->rkey = wr.bind_mw.rkey;
	}
	return wc.status;
}

static void bind(struct mw_duo *m, uint64_t off, uint64_t len,
		 unsigned int access)
{
	enum ibv_wc_status status = try_bind(m, off, len, access);

	T_ASSERT(status == IBV_WC_SUCCESS, "bind: '%s'", t_wc_name(status));
}

static void window_write(struct mw_duo *m, uint32_t rkey, uint64_t off,
			 uint32_t len, enum ibv_wc_status status)
{
	t_post(&m->d.a, IBV_WR_RDMA_WRITE, 60, t_duo_sge(&m->d, 0, len),
	       t_remote(&m->d, off), rkey);
	t_want_wc(m->d.a.scq, 60, status);
}

/* A new pair and a new window */
static void renew(struct mw_duo *m)
{
	enum ibv_mw_type type = m->mw->type;

	T_OK(ibv_dealloc_mw(m->mw));
	t_duo_renew(&m->d);
	m->mw = ibv_alloc_mw(m->d.dev.pd, type);
	T_ASSERT(m->mw, "ibv_alloc_mw: %s", t_errname(errno));
}

/* Exactly the window, though the MR around it is larger. */
static void bounds(enum ibv_mw_type type, enum t_kind kind)
{
	static const struct {
		uint64_t off;
		uint32_t len;
		bool good;
	} cases[] = {
		{ WIN_OFF, WIN_LEN, true },
		{ WIN_OFF, 1, true },
		{ WIN_OFF + WIN_LEN - 1, 1, true },
		{ WIN_OFF - 1, 1, false },
		{ WIN_OFF - 1, 2, false },
		{ WIN_OFF + WIN_LEN, 1, false },
		{ WIN_OFF + WIN_LEN - 1, 2, false },
		{ WIN_OFF - 1, WIN_LEN + 2, false },
		{ 0, LEN, false },
	};
	struct mw_duo m;
	size_t i;

	open_mw(&m, type, kind);
	for (i = 0; i < T_ARRAY_SIZE(cases); i++) {
		t_case("%u bytes at %llu of a window at %d", cases[i].len,
		       (unsigned long long)cases[i].off, WIN_OFF);
		bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
		t_fill_background(m.d.bbuf, LEN);
		window_write(&m, m.mw->rkey, cases[i].off, cases[i].len,
			     cases[i].good ? IBV_WC_SUCCESS
					   : IBV_WC_REM_ACCESS_ERR);
		if (cases[i].good) {
			t_want_data(m.d.bbuf + cases[i].off, cases[i].len, 1);
			t_fill_background(m.d.bbuf + cases[i].off,
					  cases[i].len);
		}
		renew(&m);
		T_ASSERT(t_check_background(m.d.bbuf, LEN) < 0,
			 "bytes outside of the window changed");
	}
}

static void bounds_1(void)
{
	bounds(IBV_MW_TYPE_1, T_PINNED);
}

static void bounds_2(void)
{
	bounds(IBV_MW_TYPE_2, T_PINNED);
}

static void bounds_1_odp(void)
{
	bounds(IBV_MW_TYPE_1, T_EXPLICIT);
}

static void bounds_2_odp(void)
{
	bounds(IBV_MW_TYPE_2, T_EXPLICIT);
}

/* The window's rights, not the region's. */
static void rights(enum ibv_mw_type type)
{
	struct mw_duo m;

	open_mw(&m, type, T_PINNED);
	t_case("write to a read window");
	bind(&m, WIN_OFF, WIN_LEN, IBV_ACCESS_REMOTE_READ);
	window_write(&m, m.mw->rkey, WIN_OFF, 8, IBV_WC_REM_ACCESS_ERR);
	T_ASSERT(t_check_background(m.d.bbuf, LEN) < 0, "the target changed");
	renew(&m);
	t_case("read from a write window");
	bind(&m, WIN_OFF, WIN_LEN, IBV_ACCESS_REMOTE_WRITE);
	t_post(&m.d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&m.d, 0, 8),
	       t_remote(&m.d, WIN_OFF), m.mw->rkey);
	t_want_wc(m.d.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	t_want_data(m.d.abuf, LEN, 1);
}

static void rights_1(void)
{
	rights(IBV_MW_TYPE_1);
}

static void rights_2(void)
{
	rights(IBV_MW_TYPE_2);
}

/* A new bind of type 1 makes the old key stale; length 0 unbinds. */
static void rebind_1(void)
{
	struct mw_duo m;
	uint32_t old;

	open_mw(&m, IBV_MW_TYPE_1, T_PINNED);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	old = m.mw->rkey;
	bind(&m, 0, 100, MW_RIGHTS);
	T_ASSERT(m.mw->rkey != old, "the key is the same");
	window_write(&m, m.mw->rkey, 0, 100, IBV_WC_SUCCESS);
	t_case("key of the bind before");
	window_write(&m, old, WIN_OFF, 8, IBV_WC_REM_ACCESS_ERR);
	renew(&m);
	t_case("unbound");
	bind(&m, 0, 0, 0);
	window_write(&m, m.mw->rkey, 0, 8, IBV_WC_REM_ACCESS_ERR);
}

/* A bound window of type 2B cannot be bound again before invalidation. */
static void rebind_2(void)
{
	enum ibv_wc_status status;
	struct mw_duo m;

	open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	status = try_bind(&m, 0, 100, MW_RIGHTS);
	T_ASSERT(status == IBV_WC_MW_BIND_ERR, "second bind: '%s'",
		 t_wc_name(status));
}

static void local_invalidate(void)
{
	struct ibv_send_wr wr = {
		.wr_id = 5,
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct mw_duo m;
	struct ibv_wc wc;
	uint32_t old;

	open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	window_write(&m, m.mw->rkey, WIN_OFF, 8, IBV_WC_SUCCESS);
	old = m.mw->rkey;
	wr.invalidate_rkey = old;
	T_OK(t_try_post(&m.d.b, &wr));
	wc = t_want_wc(m.d.b.scq, 5, IBV_WC_SUCCESS);
	T_ASSERT(wc.opcode == IBV_WC_LOCAL_INV, "opcode %#x", wc.opcode);
	/* It can be bound again, with a new key */
	bind(&m, 0, 100, MW_RIGHTS);
	T_ASSERT(m.mw->rkey != old, "the key is the same");
	window_write(&m, m.mw->rkey, 0, 100, IBV_WC_SUCCESS);
	window_write(&m, old, 0, 8, IBV_WC_REM_ACCESS_ERR);
}

/* The peer invalidates it with a SEND. */
static void send_invalidate(void)
{
	struct ibv_send_wr wr = {
		.wr_id = 5,
		.opcode = IBV_WR_SEND_WITH_INV,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct mw_duo m;
	struct ibv_wc wc;

	open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	t_post_recv(&m.d.b, 6, t_sge(m.d.bmr, m.d.bbuf, 8));
	wr.invalidate_rkey = m.mw->rkey;
	T_OK(t_try_post(&m.d.a, &wr));
	t_want_wc(m.d.a.scq, 5, IBV_WC_SUCCESS);
	wc = t_want_wc(m.d.b.rcq, 6, IBV_WC_SUCCESS);
	T_ASSERT((wc.wc_flags & IBV_WC_WITH_INV) &&
			 wc.invalidated_rkey == m.mw->rkey,
		 "flags %#x rkey %#x", wc.wc_flags, wc.invalidated_rkey);
	window_write(&m, m.mw->rkey, WIN_OFF, 8, IBV_WC_REM_ACCESS_ERR);
}

/* Keys that a SEND may not invalidate */
static void send_invalidate_bad(void)
{
	struct ibv_send_wr wr = {
		.wr_id = 5,
		.opcode = IBV_WR_SEND_WITH_INV,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct mw_duo m;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		t_case(i ? "key of a plain MR" : "garbage key");
		open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
		t_post_recv(&m.d.b, 6, t_sge(m.d.bmr, m.d.bbuf, 8));
		wr.invalidate_rkey = i ? m.d.bmr->rkey : 0xdeadbeef;
		T_OK(t_try_post(&m.d.a, &wr));
		t_want_wc(m.d.a.scq, 5, IBV_WC_REM_ACCESS_ERR);
		t_want_state(&m.d.b, IBV_QPS_ERR);
	}
}

/* A window of type 2B is taken away by the QP that bound it, and no other. */
static void others_invalidate(void)
{
	static const char *const names[] = { "another QP", "its peer, by SEND",
					     "an old key" };
	struct ibv_send_wr wr = { .wr_id = 5, .send_flags = IBV_SEND_SIGNALED };
	struct t_ep a2, b2;
	struct mw_duo m;
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(names); i++) {
		t_case("%s", names[i]);
		open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
		t_pair(&m.d.dev, &a2, &b2, NULL);
		bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
		wr.invalidate_rkey = m.mw->rkey ^ (i == 2 ? 1 : 0);
		wr.opcode = i == 1 ? IBV_WR_SEND_WITH_INV : IBV_WR_LOCAL_INV;
		t_post_recv(&b2, 6, t_sge(m.d.bmr, m.d.bbuf, 8));
		if (i == 2)
			b2 = m.d.b;
		T_OK(t_try_post(i == 1 ? &a2 : &b2, &wr));
		t_want_wc(i == 1 ? a2.scq : b2.scq, 5,
			  i == 1 ? IBV_WC_REM_ACCESS_ERR :
				   IBV_WC_LOC_QP_OP_ERR);
		/* With an old key its own QP is in error, and answers nobody */
		if (i < 2)
			window_write(&m, m.mw->rkey, WIN_OFF, 8,
				     IBV_WC_SUCCESS);
	}
}

/* The key of a window is for peers: here it leads nowhere */
static void local_key(void)
{
	struct ibv_sge sge;
	struct mw_duo m;

	open_mw(&m, IBV_MW_TYPE_1, T_PINNED);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	sge = t_sge(m.d.bmr, m.d.bbuf + WIN_OFF, 8);
	sge.lkey = m.mw->rkey;
	t_post(&m.d.b, IBV_WR_RDMA_WRITE, 1, sge, (uintptr_t)m.d.abuf,
	       m.d.amr->rkey);
	t_want_wc(m.d.b.scq, 1, IBV_WC_LOC_PROT_ERR);
	t_want_data(m.d.abuf, LEN, 1);
}

/* A window of type 2B serves the QP that bound it, and no other. */
static void other_qp(void)
{
	struct t_ep a2, b2;
	struct mw_duo m;

	open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
	t_pair(&m.d.dev, &a2, &b2, NULL);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	window_write(&m, m.mw->rkey, WIN_OFF, 8, IBV_WC_SUCCESS);
	t_post(&a2, IBV_WR_RDMA_WRITE, 7, t_duo_sge(&m.d, 0, 8),
	       t_remote(&m.d, WIN_OFF), m.mw->rkey);
	t_want_wc(a2.scq, 7, IBV_WC_REM_ACCESS_ERR);
	/* A window of type 1 serves the whole PD */
	open_mw(&m, IBV_MW_TYPE_1, T_PINNED);
	t_pair(&m.d.dev, &a2, &b2, NULL);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	t_post(&a2, IBV_WR_RDMA_WRITE, 8, t_duo_sge(&m.d, 0, 8),
	       t_remote(&m.d, WIN_OFF), m.mw->rkey);
	t_want_wc(a2.scq, 8, IBV_WC_SUCCESS);
}

static struct ibv_pd *other_pd(const struct mw_duo *m)
{
	struct ibv_pd *pd = ibv_alloc_pd(m->d.dev.ctx);

	T_ASSERT(pd, "ibv_alloc_pd: %s", t_errname(errno));
	return pd;
}

/* Binds that must be refused, by the call or by the completion */
static void bad_binds(enum ibv_mw_type type)
{
	enum ibv_wc_status status;
	struct mw_duo m;
	unsigned int i;

	for (i = 0; i < 7; i++) {
		t_case("fault %u", i);
		open_mw(&m, type, T_PINNED);
		if (i == 0) /* not bindable */
			m.mr = m.d.bmr;
		if (i == 1) /* no write right in the region */
			m.mr = t_reg(m.d.dev.pd, m.d.bbuf, LEN,
				     IBV_ACCESS_MW_BIND);
		if (i == 5) /* a region of another PD */
			m.mr = t_reg(other_pd(&m), m.d.bbuf, LEN,
				     T_ACCESS_ALL | IBV_ACCESS_MW_BIND);
		/* The library would look at it */
		m.mr->pd = m.d.dev.pd;
		if (i == 6) { /* a window of another PD */
			m.mw = ibv_alloc_mw(other_pd(&m), type);
			T_ASSERT(m.mw, "ibv_alloc_mw");
			m.mw->pd = m.d.dev.pd;
		}
		if (i == 2)
			status = try_bind(&m, 1, LEN, MW_RIGHTS);
		else if (i == 3)
			status = try_bind(&m, -1, 10, MW_RIGHTS);
		else if (i == 4)
			status = try_bind(&m, 8, -8ULL, MW_RIGHTS);
		else
			status = try_bind(&m, 0, LEN, MW_RIGHTS);
		T_ASSERT(status == IBV_WC_MW_BIND_ERR ||
				 status == IBV_WC_GENERAL_ERR,
			 "'%s'", t_wc_name(status));
	}
}

static void bad_binds_1(void)
{
	bad_binds(IBV_MW_TYPE_1);
}

static void bad_binds_2(void)
{
	bad_binds(IBV_MW_TYPE_2);
}

/* A region stays while a window is bound to it. */
static void bound_region(void)
{
	struct mw_duo m;
	int ret;

	open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	ret = ibv_dereg_mr(m.mr);
	T_ASSERT(ret == EBUSY || ret == EINVAL, "dereg: %s", t_errname(ret));
	t_case("changed");
	ret = ibv_rereg_mr(m.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND);
	T_ASSERT(ret == IBV_REREG_MR_ERR_CMD &&
			 (errno == EBUSY || errno == EOPNOTSUPP),
		 "rereg: %d, %s", ret, t_errname(errno));
	window_write(&m, m.mw->rkey, WIN_OFF, 8, IBV_WC_SUCCESS);
	T_OK(ibv_dealloc_mw(m.mw));
	T_OK(ibv_dereg_mr(m.mr));
}

#define CHAIN 1024

struct binder {
	struct mw_duo m;
	struct ibv_mw mw; /* a copy: the window goes meanwhile */
};

/*
 * Binds of one window, posted together. Those of type 1 may be repeated, but
 * only ibv_bind_mw() posts them: type 2 is what the library sees.
 */
static void *post_binds(void *arg)
{
	struct binder *b = arg;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = {
			.mw = &b->mw,
			.rkey = b->mw.rkey,
			.bind_info = {
				.mr = b->m.mr,
				.addr = (uintptr_t)b->m.d.bbuf,
				.length = WIN_LEN,
				.mw_access_flags = MW_RIGHTS,
			},
		},
	};

	b->mw.type = IBV_MW_TYPE_2;
	t_post_chain(&b->m.d.b, &wr, 0, CHAIN);
	return NULL;
}

/* A window that goes while it is being bound leaves nothing behind. */
static void dealloc_while_bound(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int round, i, cut = 0;
	struct ibv_wc wc;
	pthread_t thread;
	struct binder b;

	memset(&b, 0, sizeof(b));
	opt.sq = CHAIN;
	opt.cqe = 2 * CHAIN;
	t_duo_open(&b.m.d, LEN, T_PINNED, &opt);
	need_mw(&b.m.d.dev, IBV_MW_TYPE_1);
	b.m.mr = t_reg(b.m.d.dev.pd, b.m.d.bbuf, LEN,
		       T_ACCESS_ALL | IBV_ACCESS_MW_BIND);
	for (round = 0; round < 40; round++) {
		b.m.mw = ibv_alloc_mw(b.m.d.dev.pd, IBV_MW_TYPE_1);
		T_ASSERT(b.m.mw, "ibv_alloc_mw: %s", t_errname(errno));
		b.mw = *b.m.mw;
		T_ASSERT(!pthread_create(&thread, NULL, post_binds, &b),
			 "thread");
		while (!ibv_poll_cq(b.m.d.b.scq, 1, &wc))
			;
		T_OK(ibv_dealloc_mw(b.m.mw));
		T_ASSERT(!pthread_join(thread, NULL), "join");
		for (i = 1; i < CHAIN; i++)
			if (t_poll(b.m.d.b.scq).status == IBV_WC_MW_BIND_ERR)
				cut++;
		t_ep_reset(&b.m.d.a);
		t_ep_reset(&b.m.d.b);
		t_join(&b.m.d.a, &b.m.d.b);
	}
	T_OK(ibv_dereg_mr(b.m.mr));
	t_note("%u of %u in the middle of it", cut, round);
}

/*
 * Takes the window away by rebinding, invalidating or freeing it. False: that
 * had no success, for the WRITE was refused meanwhile, which ends b too.
 */
static bool fence_revoke(struct mw_duo *m, bool dealloc)
{
	struct ibv_send_wr inv = {
		.wr_id = 5,
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = m->mw->rkey,
	};
	enum ibv_wc_status status;

	if (dealloc) {
		T_OK(ibv_dealloc_mw(m->mw));
		return true;
	}
	if (m->mw->type == IBV_MW_TYPE_1) {
		status = try_bind(m, 0, 100, IBV_ACCESS_REMOTE_READ);
	} else {
		T_OK(t_try_post(&m->d.b, &inv));
		status = t_poll(m->d.b.scq).status;
	}
	T_ASSERT(status == IBV_WC_SUCCESS || status == IBV_WC_WR_FLUSH_ERR,
		 "'%s'", t_wc_name(status));
	return status == IBV_WC_SUCCESS;
}

/* Once the window is gone, nothing that it let in is still being written. */
static void fence(enum ibv_mw_type type, bool dealloc)
{
	unsigned int round, cut = 0;
	struct t_fence f;
	struct mw_duo m;

	open_mw_len(&m, type, T_PINNED, T_FENCE_LEN);
	t_fill_data(m.d.abuf, T_FENCE_LEN, 1, 0);
	for (round = 0; round < (t_quick ? 3 : 8); round++) {
		bind(&m, 0, T_FENCE_LEN, MW_RIGHTS);
		t_fence_begin(&f, &m.d, m.mw->rkey);
		if (fence_revoke(&m, dealloc))
			cut += t_fence_quiet(&f, round);
		t_fence_end(&f);
		if (!dealloc)
			T_OK(ibv_dealloc_mw(m.mw));
		t_duo_renew(&m.d);
		m.mw = ibv_alloc_mw(m.d.dev.pd, type);
		T_ASSERT(m.mw, "ibv_alloc_mw: %s", t_errname(errno));
	}
	t_case("the region");
	T_OK(ibv_dereg_mr(m.mr));
	t_note("%u of %u cut short", cut, round);
}

static void fence_rebind(void)
{
	fence(IBV_MW_TYPE_1, false);
}

static void fence_invalidate(void)
{
	fence(IBV_MW_TYPE_2, false);
}

static void fence_dealloc(void)
{
	fence(IBV_MW_TYPE_2, true);
}

/* Nothing but a window's key can be invalidated here. */
static void local_invalidate_bad(void)
{
	struct ibv_send_wr wr = {
		.wr_id = 5,
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = 0xdeadbeef,
	};
	struct ibv_wc wc;
	struct mw_duo m;

	open_mw(&m, IBV_MW_TYPE_2, T_PINNED);
	T_OK(t_try_post(&m.d.b, &wr));
	wc = t_poll(m.d.b.scq);
	T_ASSERT(wc.status == IBV_WC_MW_BIND_ERR ||
			 wc.status == IBV_WC_LOC_PROT_ERR ||
			 wc.status == IBV_WC_LOC_QP_OP_ERR,
		 "'%s'", t_wc_name(wc.status));
	t_want_state(&m.d.b, IBV_QPS_ERR);
}

/* A window is there until what was posted before its end is done. */
static void invalidate_in_order(void)
{
	struct ibv_send_wr wr = {
		.wr_id = 71,
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct mw_duo m;
	struct ibv_mr *late_mr;
	char *late;
	int fd;

	open_mw(&m, IBV_MW_TYPE_2, T_EXPLICIT);
	bind(&m, WIN_OFF, WIN_LEN, MW_RIGHTS);
	late = t_map(T_PAGE);
	fd = t_uffd(late, T_PAGE);
	late_mr = t_reg(m.d.dev.pd, late, T_PAGE,
			T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	t_post(&m.d.b, IBV_WR_RDMA_WRITE, 70, t_sge(m.mr, m.d.bbuf, 8),
	       (uintptr_t)late, late_mr->rkey);
	wr.invalidate_rkey = m.mw->rkey;
	T_OK(t_try_post(&m.d.b, &wr));
	t_sleep_ms(50);
	t_case("before it is done");
	window_write(&m, m.mw->rkey, WIN_OFF, 100, IBV_WC_SUCCESS);
	t_want_none(m.d.b.scq);
	t_case("after");
	t_uffd_serve(fd, late);
	t_want_wc(m.d.b.scq, 70, IBV_WC_SUCCESS);
	t_want_wc(m.d.b.scq, 71, IBV_WC_SUCCESS);
	window_write(&m, m.mw->rkey, WIN_OFF, 100, IBV_WC_REM_ACCESS_ERR);
	close(fd);
	t_dereg(late_mr);
	t_unmap(late, T_PAGE);
}

static const struct t_test tests[] = {
	{ "bounds_1", bounds_1 },
	{ "bounds_2", bounds_2 },
	{ "bounds_1_odp", bounds_1_odp },
	{ "bounds_2_odp", bounds_2_odp },
	{ "rights_1", rights_1 },
	{ "rights_2", rights_2 },
	{ "rebind_1", rebind_1 },
	{ "rebind_2", rebind_2 },
	{ "local_invalidate", local_invalidate },
	{ "local_invalidate_bad", local_invalidate_bad },
	{ "send_invalidate", send_invalidate },
	{ "send_invalidate_bad", send_invalidate_bad },
	{ "others_invalidate", others_invalidate },
	{ "local_key", local_key },
	{ "other_qp", other_qp },
	{ "bad_binds_1", bad_binds_1 },
	{ "bad_binds_2", bad_binds_2 },
	{ "bound_region", bound_region },
	{ "dealloc_while_bound", dealloc_while_bound },
	{ "fence_rebind", fence_rebind },
	{ "invalidate_in_order", invalidate_in_order },
	{ "fence_invalidate", fence_invalidate },
	{ "fence_dealloc", fence_dealloc },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
