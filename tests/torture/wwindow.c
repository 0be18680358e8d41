// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory windows on whole regions. Those of type 1 serve everybody; one of
 * type 2 serves one peer, by the QP that answers it, which also binds it and
 * takes it away; or the peer does that, by a SEND.
 */

#include "worker.h"

#define RIGHTS                                              \
	(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
	 IBV_ACCESS_REMOTE_ATOMIC)

static void begin(struct worker *w, const struct step *s, struct queue *q,
		  struct request *req, enum rec_kind kind)
{
	memset(req, 0, sizeof(*req));
	enqueue(w, q, req, kind);
	req->rec->region = s->region;
	req->rec->flags |= REC_SIGNALED;
	req->wr.send_flags = IBV_SEND_SIGNALED;
}

static struct ibv_mw *alloc_mw(struct worker *w, enum ibv_mw_type type)
{
	struct ibv_mw *mw = ibv_alloc_mw(w->dev.pd, type);

	T_ASSERT(mw, "ibv_alloc_mw: %s", t_errname(errno));
	return mw;
}

/* A window of type 1 on the whole region, or none any more */
static void bind_1(struct worker *w, const struct step *s, struct queue *q)
{
	struct region *r = &w->regions[s->region];
	struct request req;
	struct ibv_mw_bind mw_bind = {
		.send_flags = IBV_SEND_SIGNALED,
		.bind_info = { .mr = r->mr },
	};

	if (!r->mw)
		r->mw = alloc_mw(w, IBV_MW_TYPE_1);
	begin(w, s, q, &req, REC_BIND);
	mw_bind.wr_id = req.wr.wr_id;
	if (s->arg & 3) {
		mw_bind.bind_info.addr = w->self->region[s->region].addr;
		mw_bind.bind_info.length = r->plan.len;
		mw_bind.bind_info.mw_access_flags = RIGHTS;
	}
	T_OK(ibv_bind_mw(q->qp, r->mw, &mw_bind));
	w->self->region[s->region].window =
		mw_bind.bind_info.length ? r->mw->rkey : 0;
}

static void bind_2(struct worker *w, const struct step *s, struct queue *q)
{
	struct window *win = &w->windows[s->peer][s->region];
	struct region *r = &w->regions[s->region];
	struct request req;

	if (win->bound) {
		w->idle = true;
		return;
	}
	if (!win->mw)
		win->mw = alloc_mw(w, IBV_MW_TYPE_2);
	begin(w, s, q, &req, REC_BIND);
	req.rec->owner = s->peer;
	req.rec->flags |= REC_RESPONDER;
	req.wr.opcode = IBV_WR_BIND_MW;
	req.wr.bind_mw.mw = win->mw;
	req.wr.bind_mw.rkey = ibv_inc_rkey(win->mw->rkey);
	req.wr.bind_mw.bind_info.mr = r->mr;
	req.wr.bind_mw.bind_info.addr = w->self->region[s->region].addr;
	req.wr.bind_mw.bind_info.length = r->plan.len;
	req.wr.bind_mw.bind_info.mw_access_flags = RIGHTS;
	win->mw->rkey = req.wr.bind_mw.rkey;
	win->bound = true;
	requests_post(q, s, &req.wr);
	w->self->window2[s->peer][s->region] = win->mw->rkey;
}

static void invalidate(struct worker *w, const struct step *s, struct queue *q)
{
	struct window *win = &w->windows[s->peer][s->region];
	struct request req;

	begin(w, s, q, &req, REC_INVALIDATE);
	req.rec->owner = s->peer;
	req.rec->flags |= REC_RESPONDER;
	req.rec->imm = win->mw->rkey;
	req.wr.opcode = IBV_WR_LOCAL_INV;
	req.wr.invalidate_rkey = win->mw->rkey;
	win->bound = false;
	w->self->window2[s->peer][s->region] = 0;
	requests_post(q, s, &req.wr);
}

/* A window for this worker that it has not taken away */
static bool there_is(struct worker *w, unsigned int peer, unsigned int region)
{
	uint32_t key = w->b->side[peer].window2[w->id][region];

	return key && key != w->taken[peer][region];
}

/*
 * A region that had a window for this worker, and place for what is moved: no
 * more than the key is wrong.
 */
static void pick_stale(struct worker *w, struct step *s)
{
	unsigned int from = s->peer * REGIONS + s->region;
	unsigned int peer, region;
	unsigned int i;

	if (s->xrc)
		return;
	for (i = 0; i < WORKERS * REGIONS; i++) {
		peer = (from + i) / REGIONS % WORKERS;
		region = (from + i) % REGIONS;
		if (w->b->side[peer].stale2[w->id][region] &&
		    s->off + s->len <= w->p->regions[peer][region].len) {
			s->peer = peer;
			s->region = region;
			return;
		}
	}
}

/* A region that has a window for this worker, and place for what is moved */
static void pick_open(struct worker *w, struct step *s)
{
	unsigned int region;
	unsigned int i;

	if (!(s->arg & BY_WINDOW) || s->xrc)
		return;
	for (i = 0; i < COUNTERS; i++) {
		region = (s->region + i) % COUNTERS;
		if (there_is(w, s->peer, region) &&
		    s->off + s->len <= w->p->regions[s->peer][region].len) {
			s->region = region;
			return;
		}
	}
}

/*
 * Moves a step to where there is a window for it; false: it wants to take one
 * away, and there is none.
 */
bool windows_pick(struct worker *w, struct step *s)
{
	unsigned int from = s->peer * REGIONS + s->region;
	unsigned int i;

	if (s->op == OP_BAD)
		pick_stale(w, s);
	if (s->op == OP_WRITE || s->op == OP_READ || s->op == OP_WRITE_IMM)
		pick_open(w, s);
	if (s->op != OP_INVALIDATE && s->op != OP_SEND_INV)
		return true;
	for (i = 0; i < WORKERS * REGIONS; i++) {
		s->peer = (from + i) / REGIONS % WORKERS;
		s->region = (from + i) % REGIONS;
		if (s->op == OP_INVALIDATE ?
			    w->windows[s->peer][s->region].bound :
			    there_is(w, s->peer, s->region))
			return true;
	}
	return false;
}

void windows_step(struct worker *w, const struct step *s, struct queue *q)
{
	if (s->op == OP_BIND)
		bind_1(w, s, q);
	else if (s->op == OP_BIND2)
		bind_2(w, s, q);
	else
		invalidate(w, s, q);
}

/* From now on nobody may use this key */
void window_stale(struct worker *w, unsigned int peer, unsigned int region,
		  uint32_t key)
{
	w->self->stale2[peer][region] = key;
}

/* A peer's SEND took one away */
void window_taken(struct worker *w, unsigned int peer, uint32_t key)
{
	struct window *win;
	unsigned int i;

	for (i = 0; i < REGIONS; i++) {
		win = &w->windows[peer][i];
		if (!win->bound || win->mw->rkey != key)
			continue;
		win->bound = false;
		w->self->window2[peer][i] = 0;
		window_stale(w, peer, i, key);
	}
}

static void drop(struct worker *w, unsigned int peer, unsigned int region)
{
	struct window *win = &w->windows[peer][region];

	w->self->window2[peer][region] = 0;
	w->self->stale2[peer][region] = 0;
	if (win->mw)
		T_OK(ibv_dealloc_mw(win->mw));
	win->mw = NULL;
	win->bound = false;
}

/* Before its memory is another's */
void windows_drop_region(struct worker *w, unsigned int region)
{
	struct region *r = &w->regions[region];
	unsigned int peer;

	verbs_drain(w);
	if (r->mw) {
		w->self->region[region].window = 0;
		T_OK(ibv_dealloc_mw(r->mw));
		r->mw = NULL;
	}
	for (peer = 0; peer < WORKERS; peer++)
		drop(w, peer, region);
}

/* Before the QP goes that they serve */
void windows_drop_peer(struct worker *w, unsigned int peer)
{
	unsigned int i;

	for (i = 0; i < REGIONS; i++)
		drop(w, peer, i);
}
