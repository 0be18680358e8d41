// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* One worker process: what the coordinator tells it, and its records */

#include <unistd.h>

#include "worker.h"

struct rec *rec_new(struct worker *w, enum rec_kind kind)
{
	struct rec *rec = &w->self->recs[w->self->nr_recs];

	T_ASSERT(w->self->nr_recs < MAX_RECS, "too many records");
	memset(rec, 0, sizeof(*rec));
	rec->kind = kind;
	rec->worker = w->id;
	rec->owner = w->id;
	rec->step = w->step;
	rec->begin = ++w->clock;
	rec->end = ++w->clock;
	w->self->nr_recs++;
	return rec;
}

uint32_t arena_take(struct worker *w, const void *data, uint32_t len)
{
	uint32_t at = w->self->arena_used;

	T_ASSERT(at + len <= ARENA, "the arena is full");
	memcpy(w->self->arena + at, data, len);
	w->self->arena_used += len;
	return at;
}

static void set_up(struct worker *w)
{
	unsigned int kind = w->p->local[w->id];

	t_open(&w->dev);
	t_need_implicit(&w->dev);
	w->may_flush = ACCESS_FLUSH && (w->dev.attr.device_cap_flags_ex &
					CAP_FLUSH_GLOBAL);
#ifdef HAVE_WR_ATOMIC_WRITE
	w->may_write_atomic = w->dev.attr.device_cap_flags_ex &
			      CAP_ATOMIC_WRITE;
#endif
	if (!w->may_flush)
		tally_lacks(OP_FLUSH);
	if (!w->may_write_atomic)
		tally_lacks(OP_ATOMIC_WRITE);
	w->local = t_map(SLOTS * SLOT_LEN);
	if (kind == LOCAL_DM) {
		w->local_dm = dm_alloc(w, SLOTS * SLOT_LEN);
		kind = T_PINNED;
	}
	if (w->local_dm)
		w->local_mr = dm_reg(w, w->local_dm, SLOTS * SLOT_LEN,
				     T_ACCESS_ALL);
	else
		w->local_mr = t_reg_kind(&w->dev, kind, w->local,
					 SLOTS * SLOT_LEN, T_ACCESS_ALL);
	w->free_slots = (1U << SLOTS) - 1;
	w->inbox = t_map(NR_RECV_SLOTS * RECV_SLOT);
	w->inbox_mr = t_reg_kind(&w->dev, kind, w->inbox,
				 NR_RECV_SLOTS * RECV_SLOT, T_ACCESS_ALL);
	w->device_mr = t_reg(w->dev.pd, w->self->device, REGION_MAX,
			     T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	regions_make(w);
	queues_make(w);
}

/* The harm of --sabotage 1 */
static void spoil(struct worker *w, const struct step *s)
{
	struct region *r = &w->regions[s->region];

	if (w->b->sabotage == SABOTAGE_BYTE && s->op == OP_STORE &&
	    r->state[s->off / T_PAGE] == PERM_RW)
		r->addr[s->off] ^= 0x10;
}

/* Requests are counted when they complete */
static void do_step(struct worker *w, const struct step *s)
{
	w->idle = false;
	if (s->op <= OP_WAIT)
		verbs_step(w, s);
	else if (s->op <= OP_RECLAIM)
		memory_step(w, s);
	else
		other_step(w, s);
	if (!w->idle && s->op >= OP_WAIT && s->op != OP_KILL)
		tally_done(s->op);
	spoil(w, s);
	verbs_poll(w);
}

static void do_round(struct worker *w)
{
	const struct plan *p = w->p;
	unsigned int i;

	w->clock = 0;
	for (i = 0; i < p->nr; i++) {
		if (p->off[i] || p->steps[i].round != w->b->round ||
		    p->steps[i].worker != w->id)
			continue;
		w->step = i;
		t_case("step %u (%s)", i + 1, op_names[p->steps[i].op]);
		do_step(w, &p->steps[i]);
	}
	t_case("round %u", w->b->round);
	verbs_drain(w);
	/* The round ends with the worker */
	while (w->self->kill_at)
		t_sleep_ms(1000);
}

static void obey(struct worker *w, enum command command)
{
	switch (command) {
	case CMD_SETUP:
		return set_up(w);
	case CMD_CONNECT:
		return queues_connect(w);
	case CMD_ADDRESS:
		return queues_address(w);
	case CMD_ROUND:
		return do_round(w);
	case CMD_CALM:
		return regions_quiet(w);
	case CMD_QUIET:
		t_case("after round %u", w->b->round);
		verbs_poll(w);
		recv_drain(w);
		queues_note_state(w);
		return regions_view(w);
	case CMD_READ:
		if (w->self->device_read)
			verbs_read_back(w);
		return;
	case CMD_CLOSE:
		return queues_close_bad(w);
	case CMD_OPEN:
		return queues_open_bad(w);
	case CMD_END:
		_exit(0);
	}
}

void worker_main(struct worker *w, int fd)
{
	enum command command;

	while (1) {
		t_msg_recv(fd, &command, sizeof(command));
		obey(w, command);
		t_msg_send(fd, &command, sizeof(command));
	}
}
