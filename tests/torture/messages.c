// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What was sent must have been received, once and in order; and atomics */

#include "model.h"

#define HAS_ANY (REC_HAS_IMM | REC_HAS_INV)

static bool is_message(const struct rec *rec)
{
	return is_request(rec) && !rec->want &&
	       (rec->kind == REC_SEND || (rec->flags & REC_HAS_IMM));
}

static void check_data(struct model *m, const struct rec *recv,
		       uint64_t tag, uint32_t len)
{
	const unsigned char *data = m->b->side[recv->worker].arena +
				    recv->data;
	int64_t bad;

	T_ASSERT(recv->len == len, "worker %u received %u bytes, sent were %u",
		 recv->worker, recv->len, len);
	bad = recv->region ? -1 : t_check_data(data, len, tag, 0);
	T_ASSERT(bad < 0, "worker %u received byte %lld of %u wrongly",
		 recv->worker, (long long)bad, len);
}

/* Anything that may end a connection, seen by either side */
bool has_cause(struct model *m, unsigned int from, unsigned int to,
	       unsigned int type)
{
	const struct side *a = &m->b->side[from];
	const struct side *b = &m->b->side[to];
	unsigned int i;

	if (a->dead || b->dead)
		return true;
	for (i = 0; i < a->nr_recs; i++) {
		const struct rec *rec = &a->recs[i];

		if (rec->owner == to && rec->type == type &&
		    !(rec->flags & (REC_UNRELIABLE | REC_RESPONDER)) &&
		    ((is_request(rec) && rec->status) ||
		     (rec->kind == REC_FLUSHED && !(rec->flags & REC_BROKEN))))
			return true;
	}
	for (i = 0; i < b->nr_recs; i++)
		if (b->recs[i].owner == from && b->recs[i].type == type &&
		    ((b->recs[i].kind == REC_FLUSHED &&
		      (b->recs[i].flags & REC_BROKEN)) ||
		     ((b->recs[i].flags & REC_RESPONDER) &&
		      b->recs[i].status == IBV_WC_LOC_QP_OP_ERR)))
			return true;
	return false;
}

/* The next of a worker's messages to another, from an index on */
static const struct rec *next_message(const struct side *side,
				      unsigned int to, unsigned int type,
				      unsigned int *i)
{
	const struct rec *rec;

	while (*i < side->nr_recs) {
		rec = &side->recs[(*i)++];
		if (is_message(rec) && rec->owner == to && rec->type == type)
			return rec;
	}
	return NULL;
}

static void check_pair(struct model *m, unsigned int from, unsigned int to,
		       unsigned int type)
{
	const struct side *a = &m->b->side[from];
	const struct side *b = &m->b->side[to];
	bool cause = has_cause(m, from, to, type);
	const struct rec *sent;
	const struct rec *recv;
	unsigned int next = 0;
	unsigned int i;

	T_ASSERT(cause || (!a->bad[to][type][0] && !b->bad[from][type][1]),
		 "the QP from worker %u to %u is in error without a reason",
		 from, to);
	for (i = 0; i < b->nr_recs; i++) {
		recv = &b->recs[i];
		if (recv->kind != REC_RECV || recv->owner != from ||
		    recv->type != type)
			continue;
		T_ASSERT(cause || recv->status == IBV_WC_SUCCESS,
			 "worker %u: '%s' of a receive from worker %u", to,
			 t_wc_name(recv->status), from);
		if (recv->status != IBV_WC_SUCCESS)
			continue;
		sent = next_message(a, to, type, &next);
		T_ASSERT(sent, "worker %u received more than worker %u sent",
			 to, from);
		T_ASSERT(m->effect[from][sent - a->recs] != EFFECT_NONE,
			 "step %u was flushed, and received", sent->step + 1);
		T_ASSERT((sent->flags & HAS_ANY) == (recv->flags & HAS_ANY) &&
				 (!(sent->flags & HAS_ANY) ||
				  sent->imm == recv->imm),
			 "step %u was received with other immediate data",
			 sent->step + 1);
		T_ASSERT((sent->kind == REC_DATA) == recv->region,
			 "step %u was received as something else",
			 sent->step + 1);
		check_data(m, recv, sent->tag, sent->len);
	}
	if (b->dead)
		return;
	while ((sent = next_message(a, to, type, &next)))
		T_ASSERT(sent->status != IBV_WC_SUCCESS,
			 "step %u succeeded, and was not received",
			 sent->step + 1);
}

static void note_unreliable(struct model *m, unsigned int w)
{
	const struct side *side = &m->b->side[w];
	const struct rec *rec;
	struct message *msg;
	unsigned int i;

	for (i = 0; i < side->nr_recs; i++) {
		rec = &side->recs[i];
		if (!is_message(rec) || !(rec->flags & REC_UNRELIABLE))
			continue;
		msg = &m->recent[w][rec->imm % RECENT];
		msg->imm = rec->imm;
		msg->len = rec->len;
		msg->tag = rec->tag;
		msg->owner = rec->owner;
		msg->ud = rec->flags & REC_UD;
		msg->taken = false;
	}
}

/* May be lost, may be late; but comes once, to whom it was sent, and whole */
static void check_unreliable(struct model *m, const struct rec *recv)
{
	struct message *msg;
	unsigned int from;

	if (recv->kind != REC_RECV || !(recv->flags & REC_UNRELIABLE) ||
	    recv->status != IBV_WC_SUCCESS)
		return;
	from = recv->imm >> 28;
	T_ASSERT((recv->flags & REC_HAS_IMM) && from < WORKERS,
		 "worker %u received something that nobody sent",
		 recv->worker);
	msg = &m->recent[from][recv->imm % RECENT];
	T_ASSERT(msg->imm == recv->imm && msg->owner == recv->worker &&
			 msg->ud == !!(recv->flags & REC_UD),
		 "worker %u received what was not sent to it", recv->worker);
	T_ASSERT(!msg->taken, "worker %u received a message twice",
		 recv->worker);
	msg->taken = true;
	check_data(m, recv, msg->tag, msg->len);
}

void messages_check(struct model *m)
{
	static const uint8_t reliable[] = { Q_RC, Q_XRC };
	unsigned int a, b, i;

	for (a = 0; a < WORKERS; a++)
		note_unreliable(m, a);
	for (a = 0; a < WORKERS; a++) {
		for (b = 0; b < WORKERS; b++)
			for (i = 0; i < T_ARRAY_SIZE(reliable); i++)
				check_pair(m, a, b, reliable[i]);
		for (i = 0; i < m->b->side[a].nr_recs; i++)
			check_unreliable(m, &m->b->side[a].recs[i]);
	}
}

/* --- atomics --- */

#define MAX_ATOMICS 256

struct chain {
	const struct rec *ops[MAX_ATOMICS];
	bool sure[MAX_ATOMICS];
	bool done[MAX_ATOMICS];
	unsigned int nr;
	unsigned int budget;
	uint64_t last;
};

static uint64_t after_op(const struct rec *rec, uint64_t value)
{
	if (!(rec->flags & REC_CAS))
		return value + rec->tag;
	return value == rec->compare ? rec->tag : value;
}

/* Is there an order in which all found what they found? */
static bool has_order(struct chain *c, uint64_t value)
{
	bool left = false;
	unsigned int i;

	if (!c->budget)
		return true;
	c->budget--;
	for (i = 0; i < c->nr; i++)
		left |= c->sure[i] && !c->done[i];
	if (!left && value == c->last)
		return true;
	for (i = 0; i < c->nr; i++) {
		if (c->done[i] || (c->sure[i] && c->ops[i]->old != value))
			continue;
		c->done[i] = true;
		if (has_order(c, after_op(c->ops[i], value)))
			return true;
		c->done[i] = false;
	}
	return false;
}

static void collect_atomics(struct model *m, struct chain *c,
			    unsigned int owner, uint32_t off)
{
	const struct rec *rec;
	unsigned int w;
	unsigned int i;

	for (w = 0; w < WORKERS; w++) {
		for (i = 0; i < m->b->side[w].nr_recs; i++) {
			rec = &m->b->side[w].recs[i];
			if (rec->kind != REC_ATOMIC || rec->owner != owner ||
			    rec->off != off ||
			    m->effect[w][i] == EFFECT_NONE)
				continue;
			T_ASSERT(c->nr < MAX_ATOMICS, "too many atomics");
			c->sure[c->nr] = m->effect[w][i] == EFFECT_DEFINITE;
			c->ops[c->nr++] = rec;
		}
	}
}

static void check_word(struct model *m, unsigned int owner, uint32_t off)
{
	unsigned char *was = m->shadow[owner][COUNTERS] + off;
	static struct chain c;
	uint64_t value;

	memset(&c, 0, sizeof(c));
	c.budget = 100000;
	collect_atomics(m, &c, owner, off);
	memcpy(&value, was, 8);
	memcpy(&c.last, m->b->side[owner].view[COUNTERS] + off, 8);
	T_ASSERT(has_order(&c, value),
		 "after round %u: no order of the %u atomics (one is step %u) at %#x of worker %u explains what they found",
		 m->b->round, c.nr, c.nr ? c.ops[0]->step + 1 : 0, off, owner);
	memcpy(was, &c.last, 8);
}

void atomics_check(struct model *m)
{
	unsigned int owner;
	unsigned int k;

	for (owner = 0; owner < WORKERS; owner++)
		for (k = 0; k < 3 && !m->b->side[owner].dead; k++)
			check_word(m, owner, k * 2048);
}
