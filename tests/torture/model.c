// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What each status may be, and what each page permits */

#include <stdlib.h>

#include "model.h"

struct model *model_new(const struct plan *p, const struct board *b)
{
	struct model *m = calloc(1, sizeof(*m));
	unsigned int w;
	unsigned int i;

	T_ASSERT(m, "no memory");
	m->p = p;
	m->b = b;
	for (w = 0; w < WORKERS; w++) {
		for (i = 0; i < REGIONS; i++) {
			m->shadow[w][i] = calloc(1, p->regions[w][i].len);
			T_ASSERT(m->shadow[w][i], "no memory");
			memset(m->perm[w][i], PERM_RW, sizeof(m->perm[w][i]));
		}
	}
	return m;
}

/* What a page may have permitted while a request was under way */
static uint8_t page_perms(struct model *m, const struct rec *req, uint32_t page)
{
	const struct side *owner = &m->b->side[req->owner];
	uint8_t set = m->perm[req->owner][req->region][page];
	const struct rec *rec;
	unsigned int i;

	for (i = 0; i < owner->nr_recs; i++) {
		rec = &owner->recs[i];
		if (rec->kind != REC_PERM || rec->region != req->region ||
		    rec->off / T_PAGE > page ||
		    (rec->off + rec->len - 1) / T_PAGE < page)
			continue;
		if (rec->worker == req->worker && rec->end <= req->begin)
			set = rec->perm_after ? rec->perm_after : set;
		else if (rec->worker != req->worker || rec->begin < req->end)
			set |= rec->perm_during | rec->perm_after;
	}
	return set;
}

/* A window that was bound in this round may not have been, or no more */
static bool was_bound(struct model *m, unsigned int owner, unsigned int region)
{
	const struct side *side = &m->b->side[owner];
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++)
		if (side->recs[i].kind == REC_BIND &&
		    side->recs[i].region == region)
			return true;
	return false;
}

/* What a worker did to its windows for another, on the QP that answers it */
static bool window2_changed(struct model *m, unsigned int owner,
			    unsigned int region, unsigned int peer)
{
	const struct side *side = &m->b->side[owner];
	const struct rec *rec;
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++) {
		rec = &side->recs[i];
		if (rec->region == region &&
		    (((rec->flags & REC_RESPONDER) && rec->owner == peer) ||
		     (rec->kind == REC_PERM &&
		      m->p->steps[rec->step].op == OP_REREG)))
			return true;
	}
	return false;
}

/* Did the peer take a window by a SEND? */
static bool window2_taken(struct model *m, const struct rec *inv)
{
	const struct side *side = &m->b->side[inv->owner];
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++)
		if ((side->recs[i].flags & REC_HAS_INV) &&
		    side->recs[i].kind == REC_SEND &&
		    side->recs[i].owner == inv->worker &&
		    side->recs[i].imm == inv->imm)
			return true;
	return false;
}

/* Can all of its memory have been there? Can some have been away? */
static void access_outcomes(struct model *m, const struct rec *rec, bool *good,
			    bool *bad)
{
	uint8_t fine = PERM_RW;
	uint32_t page;
	uint8_t set;

	*good = true;
	*bad = false;
	if (rec->kind == REC_READ)
		fine |= PERM_RO;
	if (rec->flags & (REC_WINDOW2 | REC_HAS_INV))
		*bad = window2_changed(m, rec->owner, rec->region, rec->worker);
	if (rec->kind == REC_SEND || rec->kind == REC_BIND ||
	    rec->kind == REC_INVALIDATE)
		return;
	if (rec->flags & REC_WINDOW)
		*bad = was_bound(m, rec->owner, rec->region);
	for (page = rec->off / T_PAGE;
	     page <= (rec->off + rec->len - 1) / T_PAGE; page++) {
		set = page_perms(m, rec, page);
		if (!(set & fine) && rec->kind != REC_FLUSH)
			*good = false;
		if (set & ~fine)
			*bad = true;
	}
}

/* Something of this kind in the round, by one worker and about another */
static bool had(struct model *m, enum rec_kind kind, unsigned int by,
		unsigned int about, unsigned int type, uint16_t flags)
{
	const struct side *side = &m->b->side[by];
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++)
		if (side->recs[i].kind == kind &&
		    (kind == REC_LINK || (side->recs[i].owner == about &&
					  side->recs[i].type == type &&
					  side->recs[i].flags == flags)))
			return true;
	return false;
}

/* A bind or invalidation that fails ends the QP that answers a peer */
static bool responder_failed(struct model *m, unsigned int by,
			     unsigned int peer)
{
	const struct side *side = &m->b->side[by];
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++)
		if ((side->recs[i].flags & REC_RESPONDER) &&
		    side->recs[i].owner == peer &&
		    side->recs[i].status == IBV_WC_LOC_QP_OP_ERR)
			return true;
	return false;
}

static bool no_answer(struct model *m, const struct rec *rec)
{
	unsigned int w;

	if (m->b->side[rec->owner].dead)
		return true;
	for (w = 0; w < WORKERS; w++)
		if (had(m, REC_LINK, w, 0, 0, 0))
			return true;
	return had(m, REC_FLUSHED, rec->owner, rec->worker, rec->type,
		   REC_BROKEN) ||
	       (rec->type == Q_RC &&
		responder_failed(m, rec->owner, rec->worker));
}

static bool own_error(struct model *m, const struct rec *rec)
{
	const struct side *side = &m->b->side[rec->worker];
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++)
		if (side->recs[i].kind == REC_FLUSHED &&
		    side->recs[i].qp == rec->qp &&
		    !(side->recs[i].flags & REC_BROKEN))
			return true;
	return false;
}

/* Of a request on a QP that answers a peer, whose requests may end it */
static bool responder_fits(struct model *m, const struct rec *rec)
{
	if (rec->status == IBV_WC_WR_FLUSH_ERR)
		return has_cause(m, rec->owner, rec->worker, Q_RC);
	if (rec->kind == REC_INVALIDATE && rec->status == IBV_WC_LOC_QP_OP_ERR)
		return window2_taken(m, rec);
	return rec->status == IBV_WC_SUCCESS;
}

/* Its memory goes first, then its queue pairs: anything may be, or be gone */
static bool dead_owner_fits(const struct rec *rec, const struct side *owner)
{
	if (rec->status == IBV_WC_SUCCESS && owner->gone_at &&
	    rec->posted > owner->gone_at)
		return false;
	return rec->status == IBV_WC_REM_ACCESS_ERR ||
	       rec->status == IBV_WC_REM_OP_ERR ||
	       rec->status == IBV_WC_RETRY_EXC_ERR || rec->status == rec->want;
}

static bool status_fits(struct model *m, const struct rec *rec)
{
	bool good, bad;

	/* Killed before it could see how this ends */
	if (rec->status == STATUS_PENDING)
		return m->b->side[rec->worker].dead;
	if (rec->status == STATUS_GONE)
		return own_error(m, rec);
	if (m->failed[rec->worker][rec->qp] || (rec->flags & REC_BROKEN))
		return rec->status == IBV_WC_WR_FLUSH_ERR;
	if (rec->flags & REC_RESPONDER)
		return responder_fits(m, rec);
	if (rec->status == IBV_WC_WR_FLUSH_ERR)
		return own_error(m, rec);
	if (rec->flags & REC_UNRELIABLE)
		return rec->status == IBV_WC_SUCCESS;
	if (m->b->side[rec->owner].dead)
		return dead_owner_fits(rec, &m->b->side[rec->owner]);
	if (rec->status == IBV_WC_RETRY_EXC_ERR)
		return no_answer(m, rec);
	if (rec->want)
		return rec->status == rec->want;
	access_outcomes(m, rec, &good, &bad);
	if (rec->status == IBV_WC_SUCCESS)
		return good;
	return rec->status == IBV_WC_REM_ACCESS_ERR && bad;
}

/* After the first error of a queue nothing of it was done */
static enum effect effect_of(struct model *m, const struct rec *rec)
{
	if (!is_request(rec))
		return rec->flags & REC_MAY ? EFFECT_MAY : EFFECT_DEFINITE;
	if (rec->status == IBV_WC_SUCCESS)
		return rec->flags & REC_MAY ? EFFECT_MAY : EFFECT_DEFINITE;
	if (m->failed[rec->worker][rec->qp] || (rec->flags & REC_BROKEN))
		return EFFECT_NONE;
	if (rec->kind == REC_ATOMIC && rec->status == IBV_WC_REM_ACCESS_ERR)
		return EFFECT_NONE;
	return EFFECT_MAY;
}

static void check_statuses(struct model *m, unsigned int w)
{
	const struct side *side = &m->b->side[w];
	const struct rec *rec;
	const char *name;
	unsigned int i;

	memset(m->failed[w], 0, sizeof(m->failed[w]));
	for (i = 0; i < side->nr_recs; i++) {
		rec = &side->recs[i];
		T_ASSERT(rec->qp < MAX_QPS, "too many QPs");
		m->effect[w][i] = effect_of(m, rec);
		if (!is_request(rec))
			continue;
		name = rec->status >= STATUS_PENDING ? "none" :
						       t_wc_name(rec->status);
		T_ASSERT(status_fits(m, rec), "step %u ended with '%s'%s",
			 rec->step + 1, name,
			 m->failed[w][rec->qp] ? " after an error" : "");
		if (rec->status && rec->status < STATUS_PENDING)
			m->failed[w][rec->qp] = true;
	}
}

static void check_reads(struct model *m, unsigned int w)
{
	const struct side *side = &m->b->side[w];
	const struct rec *rec;
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++) {
		rec = &side->recs[i];
		if (rec->kind == REC_READ && rec->status == IBV_WC_SUCCESS &&
		    !m->b->side[rec->owner].dead)
			bytes_check(m, side->arena + rec->data, rec->owner,
				    rec->region, rec->off, rec->len, rec);
	}
}

static void settle_perms(struct model *m, unsigned int w)
{
	const struct side *side = &m->b->side[w];
	const struct rec *rec;
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++) {
		rec = &side->recs[i];
		if (rec->kind == REC_PERM && rec->perm_after)
			memset(m->perm[w][rec->region] + rec->off / T_PAGE,
			       rec->perm_after, rec->len / T_PAGE);
	}
}

static void settle_bytes(struct model *m, unsigned int w)
{
	const struct side *side = &m->b->side[w];
	uint32_t len;
	unsigned int i;

	for (i = 0; i < REGIONS; i++) {
		len = m->p->regions[w][i].len;
		bytes_check(m, side->view[i], w, i, 0, len, NULL);
		memcpy(m->shadow[w][i], side->view[i], len);
	}
}

/* Its successor begins with zeros */
static void forget(struct model *m, unsigned int w)
{
	unsigned int i;

	for (i = 0; i < REGIONS; i++) {
		memset(m->shadow[w][i], 0, m->p->regions[w][i].len);
		memset(m->perm[w][i], PERM_RW, sizeof(m->perm[w][i]));
	}
}

void model_round(struct model *m)
{
	unsigned int w;

	for (w = 0; w < WORKERS; w++)
		check_statuses(m, w);
	messages_check(m);
	atomics_check(m);
	for (w = 0; w < WORKERS; w++)
		check_reads(m, w);
	for (w = 0; w < WORKERS; w++) {
		if (m->b->side[w].dead) {
			forget(m, w);
			continue;
		}
		settle_perms(m, w);
		settle_bytes(m, w);
	}
}

bool model_readable(const struct model *m, unsigned int w, unsigned int region)
{
	return !memchr(m->perm[w][region], PERM_NONE,
		       m->p->regions[w][region].len / T_PAGE);
}
