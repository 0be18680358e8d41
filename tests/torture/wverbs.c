// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Steps that post requests, and what their completions must look like */

#include <sched.h>

#include "worker.h"

#define SIGNAL_LAST 64
#define CHAINED	    32
#define SAME_PLACE  16
#define INLINE_MAX  256

static unsigned int queue_room(const struct queue *q)
{
	return QUEUE_DEPTH - (q->tail - q->head);
}

static unsigned int take_slot(struct worker *w)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	unsigned int slot;

	while (!w->free_slots) {
		verbs_poll(w);
		sched_yield();
		T_ASSERT(t_now_ns() < end,
			 "step %u: no completion frees a buffer", w->step + 1);
	}
	slot = __builtin_ctz(w->free_slots);
	w->free_slots &= ~(1U << slot);
	return slot;
}

/* Pieces of a message, with gaps between them */
unsigned int pieces_of(const struct rec *rec, uint32_t lens[4])
{
	unsigned int nr = 1 + (rec->begin + rec->tag) % 4;
	unsigned int i;

	if (rec->kind == REC_ATOMIC || rec->len < 4 * nr)
		nr = 1;
	for (i = 0; i < nr; i++)
		lens[i] = rec->len / nr;
	lens[nr - 1] += rec->len % nr;
	return nr;
}

static void fill_pieces(struct worker *w, struct request *req, bool data)
{
	char *at = slot_at(w, req->slot);
	struct rec *rec = req->rec;
	uint32_t lens[4];
	uint32_t pos = 0;
	unsigned int nr = pieces_of(rec, lens);
	unsigned int i;

	memset(at - GUARD, 0x55, SLOT_LEN);
	for (i = 0; i < nr; i++) {
		req->sge[i].addr = (uintptr_t)at;
		req->sge[i].length = lens[i];
		req->sge[i].lkey = w->local_mr->lkey;
		if (data)
			t_fill_data(at, lens[i], rec->tag, pos);
		pos += lens[i];
		at += lens[i] + gap_of(rec);
	}
	req->wr.sg_list = req->sge;
	req->wr.num_sge = nr;
}

/* Where the k-th request of a chain goes */
static uint32_t place(const struct step *s, unsigned int k, uint32_t room)
{
	uint64_t off = s->off + (uint64_t)k * s->len;

	if (s->op == OP_FAA || s->op == OP_CAS || (s->arg & SAME_PLACE) ||
	    off + s->len > room)
		return s->off;
	return off;
}

static void fill_bad(struct worker *w, const struct step *s,
		     struct request *req)
{
	struct side *peer = &w->b->side[s->peer];
	struct public_region *r = &peer->region[s->region];
	uint32_t stale = peer->stale2[w->id][s->region];
	struct ibv_send_wr *wr = &req->wr;
	struct rec *rec = req->rec;

	rec->kind = REC_SEND;
	rec->flags |= REC_MAY;
	wr->opcode = IBV_WR_RDMA_WRITE;
	wr->wr.rdma.remote_addr = r->addr + rec->off;
	wr->wr.rdma.rkey = r->rkey;
	rec->want = IBV_WC_REM_ACCESS_ERR;
	switch (stale && !s->xrc ? 0 : s->arg % 4) {
	case 0: /* a key that there is not, or not any more */
		wr->wr.rdma.rkey ^= 0x5a5a5a00;
		if (s->xrc && (s->arg & 64)) {
			wr->qp_type.xrc.remote_srqn = 0xffffff;
			rec->want = IBV_WC_REM_INV_REQ_ERR;
		} else if (stale && !s->xrc) {
			wr->wr.rdma.rkey = stale;
			rec->flags |= REC_STALE;
		}
		break;
	case 1: /* more than the region has */
		wr->opcode = IBV_WR_RDMA_READ;
		wr->wr.rdma.remote_addr =
			r->addr + w->p->regions[s->peer][s->region].len - 1;
		rec->len = 16;
		break;
	case 2:
		rec->want = IBV_WC_LOC_PROT_ERR;
		break;
	default:
		rec->want = IBV_WC_REM_INV_REQ_ERR;
		rec->len = RECV_LEN + GRH + 1;
		wr->opcode = IBV_WR_SEND;
	}
	fill_pieces(w, req, wr->opcode != IBV_WR_RDMA_READ);
	if (rec->want == IBV_WC_LOC_PROT_ERR)
		req->sge[0].lkey ^= 0x5a5a5a00;
}

static void fill_atomic(struct worker *w, const struct step *s,
			struct request *req)
{
	struct public_region *r = &w->b->side[s->peer].region[s->region];
	struct ibv_send_wr *wr = &req->wr;
	struct rec *rec = req->rec;

	wr->wr.atomic.remote_addr = r->addr + rec->off;
	wr->wr.atomic.rkey = r->rkey;
	/* Sums of such numbers tell which were added */
	rec->tag = rec->tag * 0x9e3779b97f4a7c15ULL | 1;
	wr->opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
	wr->wr.atomic.compare_add = rec->tag;
	if (s->op == OP_CAS) {
		rec->flags |= REC_CAS;
		rec->compare = w->seen[s->peer][rec->off / 2048];
		wr->opcode = IBV_WR_ATOMIC_CMP_AND_SWP;
		wr->wr.atomic.compare_add = rec->compare;
		wr->wr.atomic.swap = rec->tag;
	}
	fill_pieces(w, req, false);
}

static void fill_send(struct worker *w, const struct step *s,
		      struct request *req)
{
	struct ibv_send_wr *wr = &req->wr;
	struct rec *rec = req->rec;

	rec->kind = REC_SEND;
	rec->owner = s->peer;
	wr->opcode = IBV_WR_SEND;
	if (s->op == OP_SEND_INV) {
		rec->flags |= REC_HAS_INV;
		w->taken[s->peer][s->region] =
			w->b->side[s->peer].window2[w->id][s->region];
		rec->region = s->region;
		rec->imm = w->taken[s->peer][s->region];
		wr->opcode = IBV_WR_SEND_WITH_INV;
		wr->invalidate_rkey = rec->imm;
	} else if (s->op != OP_SEND) {
		rec->flags |= REC_HAS_IMM;
		wr->opcode = IBV_WR_SEND_WITH_IMM;
	}
	if (s->op == OP_UD_SEND) {
		rec->flags |= REC_UD;
		wr->wr.ud.ah = w->ah[s->peer];
		wr->wr.ud.remote_qpn = w->b->side[s->peer].ud.qpn;
		wr->wr.ud.remote_qkey = UD_QKEY;
	}
	fill_pieces(w, req, true);
}

/* What only ibv_wr_* calls can post; as in wpost.c */
static void fill_newer(struct worker *w, const struct step *s,
		       struct request *req)
{
	struct public_region *r = &w->b->side[s->peer].region[s->region];
	struct ibv_send_wr *wr = &req->wr;
	struct rec *rec = req->rec;

	wr->wr.atomic.remote_addr = r->addr + rec->off;
	wr->wr.atomic.rkey = r->rkey;
	if (s->op == OP_FLUSH) {
		rec->kind = REC_FLUSH;
		/* A dma-buf cannot be registered so */
		if (r->no_flush)
			rec->want = IBV_WC_REM_ACCESS_ERR;
		wr->opcode = WR_FLUSH;
		/* Of a part, or of the whole region */
		wr->wr.atomic.compare_add = rec->len;
		wr->wr.atomic.swap = s->arg & SAME_PLACE;
	} else {
		rec->flags |= REC_ATOMIC_WRITE;
		wr->opcode = WR_ATOMIC_WRITE;
		t_fill_data(&wr->wr.atomic.swap, 8, rec->tag, 0);
	}
}

/* Device memory has its own addresses, from 0 on */
static void use_dm(struct worker *w, struct request *req)
{
	int i;

	if (!w->local_dm || (req->wr.send_flags & IBV_SEND_INLINE) ||
	    !req->wr.num_sge)
		return;
	for (i = 0; i < req->wr.num_sge; i++)
		req->sge[i].addr -= (uintptr_t)w->local;
	dm_put(w->local_dm, w->local, req->slot * SLOT_LEN, SLOT_LEN);
}

/* The window that is for all, or the one for this worker */
static void use_window(struct worker *w, const struct step *s, struct rec *rec,
		       uint32_t *rkey)
{
	struct side *peer = &w->b->side[s->peer];
	uint32_t window2 = peer->window2[w->id][s->region];
	uint32_t window = peer->region[s->region].window;

	if (!(s->arg & BY_WINDOW) || s->op == OP_UC_WRITE)
		return;
	if (!s->xrc && window2 && window2 != w->taken[s->peer][s->region]) {
		*rkey = window2;
		rec->flags |= REC_WINDOW2;
	} else if (window) {
		*rkey = window;
		rec->flags |= REC_WINDOW;
	}
}

static void fill_rdma(struct worker *w, const struct step *s,
		      struct request *req)
{
	struct public_region *r = &w->b->side[s->peer].region[s->region];
	struct ibv_send_wr *wr = &req->wr;
	struct rec *rec = req->rec;

	wr->wr.rdma.remote_addr = r->addr + rec->off;
	wr->wr.rdma.rkey = r->rkey;
	use_window(w, s, rec, &wr->wr.rdma.rkey);
	wr->opcode = IBV_WR_RDMA_WRITE;
	if (s->op == OP_READ || s->op == OP_FLUSH) {
		rec->kind = REC_READ;
		wr->opcode = IBV_WR_RDMA_READ;
	}
	if (s->op == OP_WRITE_IMM) {
		rec->flags |= REC_HAS_IMM;
		wr->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	}
	fill_pieces(w, req, rec->kind != REC_READ);
}

static void fill(struct worker *w, const struct step *s, unsigned int k,
		 struct queue *q, struct request *req)
{
	uint32_t room = w->p->regions[s->peer][s->region].len;
	struct rec *rec = req->rec;

	rec->owner = s->peer;
	rec->region = s->region;
	rec->tag = s->tag + k;
	rec->len = s->len;
	rec->off = place(s, k, room);
	rec->imm = (w->id << 28) | (++w->self->imm & 0xfffffff);
	if (q->type != Q_RC && q->type != Q_XRC)
		rec->flags |= REC_UNRELIABLE | REC_MAY;
	req->wr.imm_data = rec->imm;
	if (q->type == Q_XRC)
		req->wr.qp_type.xrc.remote_srqn = w->b->side[s->peer].srqn;
	if (s->op == OP_BAD)
		fill_bad(w, s, req);
	else if (q->qpx && ((s->op == OP_FLUSH && w->may_flush) ||
			    (s->op == OP_ATOMIC_WRITE && w->may_write_atomic)))
		fill_newer(w, s, req);
	else if (s->op == OP_FAA || s->op == OP_CAS)
		fill_atomic(w, s, req);
	else if (s->op == OP_SEND || s->op == OP_SEND_IMM ||
		 s->op == OP_UC_SEND || s->op == OP_UD_SEND ||
		 s->op == OP_SEND_INV)
		fill_send(w, s, req);
	else
		fill_rdma(w, s, req);
	if ((s->arg & 128) && rec->len <= INLINE_MAX &&
	    (s->op == OP_WRITE || s->op == OP_SEND))
		req->wr.send_flags |= IBV_SEND_INLINE;
	if (req->wr.send_flags & IBV_SEND_INLINE)
		tally_done(SEEN_INLINE);
	use_dm(w, req);
}

static enum rec_kind first_kind(uint8_t op)
{
	return op == OP_FAA || op == OP_CAS ? REC_ATOMIC : REC_DATA;
}

void enqueue(struct worker *w, struct queue *q, struct request *req,
	     enum rec_kind kind)
{
	req->slot = take_slot(w);
	req->rec = rec_new(w, kind);
	req->rec->status = STATUS_PENDING;
	req->rec->qp = q->number;
	req->rec->type = q->type;
	req->rec->posted = t_now_ns();
	req->wr.wr_id = ((uint64_t)(q - w->queues) << 32) |
			(req->rec - w->self->recs);
	if (q->failed)
		req->rec->flags |= REC_BROKEN;
	w->slot_of[req->rec - w->self->recs] = req->slot;
	q->fifo[q->tail++ % QUEUE_DEPTH] = req->rec - w->self->recs;
}

void verbs_post(struct worker *w, const struct step *s, struct queue *q)
{
	static struct request reqs[CHAIN];
	unsigned int k;
	bool last;

	memset(reqs, 0, sizeof(reqs));
	for (k = 0; k < s->n; k++) {
		enqueue(w, q, &reqs[k], first_kind(s->op));
		fill(w, s, k, q, &reqs[k]);
		last = k + 1 == s->n;
		if (last || !(s->arg & SIGNAL_LAST)) {
			reqs[k].wr.send_flags |= IBV_SEND_SIGNALED;
			reqs[k].rec->flags |= REC_SIGNALED;
		}
		if (!last && (s->arg & CHAINED)) {
			reqs[k].wr.next = &reqs[k + 1].wr;
			continue;
		}
		requests_post(q, s, &reqs[s->arg & CHAINED ? 0 : k].wr);
	}
}

static struct queue *queue_for(struct worker *w, const struct step *s)
{
	switch (s->op) {
	case OP_UC_WRITE:
	case OP_UC_SEND:
		return queue_of(w, s->peer, Q_UC, false);
	case OP_UD_SEND:
		return &w->queues[UD_QUEUE];
	case OP_BIND:
		return queue_of(w, w->id, Q_RC, false);
	case OP_BIND2:
	case OP_INVALIDATE:
		return queue_of(w, s->peer, Q_RC, true);
	case OP_SEND_INV:
		return queue_of(w, s->peer, Q_RC, false);
	default:
		return queue_of(w, s->peer, s->xrc ? Q_XRC : Q_RC, false);
	}
}

/* The kernel must do without memory there, or wait for some */
static void post_short_of_memory(struct worker *w, const struct step *s,
				 struct queue *q)
{
	bool fail = !make_fail("1");

	w->may_fail = fail;
	if (!fail)
		tally_lacks(s->op);
	verbs_post(w, s, q);
	verbs_poll(w);
	if (fail)
		make_fail("0");
}

void verbs_step(struct worker *w, const struct step *s)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	struct step moved = *s;
	struct queue *q;

	if (s->op == OP_WAIT) {
		verbs_drain(w);
		return;
	}
	if (!windows_pick(w, &moved))
		return;
	s = &moved;
	q = queue_for(w, s);
	if (q->gone)
		return;
	while (queue_room(q) < s->n) {
		verbs_poll(w);
		T_ASSERT(t_now_ns() < end, "step %u: no room in a queue",
			 w->step + 1);
	}
	if (s->op == OP_DRAIN)
		drain_step(w, s, q);
	else if (s->op == OP_FAIL_WRITE)
		post_short_of_memory(w, s, q);
	else if (s->op >= OP_BIND && s->op <= OP_INVALIDATE)
		windows_step(w, s, q);
	else
		verbs_post(w, s, q);
}
