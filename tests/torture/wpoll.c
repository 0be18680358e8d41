// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Completions: in order, once, and what came with them */

#include "worker.h"

/* What came in to the pieces, with a look at what is between them */
static void gather_pieces(struct worker *w, struct rec *rec, unsigned int slot)
{
	static unsigned char buf[MAX_MSG];
	char *at = slot_at(w, slot);
	char *last = at - GUARD;
	uint32_t lens[4];
	uint32_t pos = 0;
	unsigned int nr = pieces_of(rec, lens);
	unsigned int i;

	dm_get(w->local_dm, w->local, slot * SLOT_LEN, SLOT_LEN);
	for (i = 0; i < nr; i++) {
		T_ASSERT(t_check_byte(last, at - last, 0x55) < 0,
			 "step %u: bytes before piece %u changed",
			 rec->step + 1, i);
		memcpy(buf + pos, at, lens[i]);
		pos += lens[i];
		last = at + lens[i];
		at = last + gap_of(rec);
	}
	T_ASSERT(t_check_byte(last, slot_at(w, slot) - GUARD + SLOT_LEN - last,
			      0x55) < 0,
		 "step %u: bytes behind the last piece changed", rec->step + 1);
	rec->data = arena_take(w, buf, rec->len);
	if (rec->kind == REC_ATOMIC)
		memcpy(&rec->old, buf, 8);
}

static void note_failure(struct worker *w, struct queue *q,
			 const struct rec *rec, enum ibv_wc_status status)
{
	T_ASSERT(q != &w->queues[UD_QUEUE], "step %u: '%s' of a datagram",
		 rec->step + 1, t_wc_name(status));
	q->failed = true;
	w->self->bad[q->peer][q->type][q->responder] = true;
}

/* The step's op, or what stood for it where that was not possible */
static enum op op_of(struct worker *w, const struct rec *rec)
{
	enum op op = w->p->steps[rec->step].op;

	if (op == OP_ATOMIC_WRITE && !(rec->flags & REC_ATOMIC_WRITE))
		return OP_WRITE;
	if (op == OP_FAIL_WRITE)
		return w->may_fail ? op : OP_WRITE;
	if (op == OP_FLUSH && rec->kind != REC_FLUSH)
		return OP_READ;
	return op;
}

static void count(struct worker *w, const struct rec *rec)
{
	static const struct {
		uint16_t flag;
		uint8_t seen;
	} flags[] = {
		{ REC_WINDOW, SEEN_WINDOW },
		{ REC_WINDOW2, SEEN_WINDOW2 },
		{ REC_STALE, SEEN_STALE },
	};
	const struct region_plan *r = &w->p->regions[rec->owner][rec->region];
	size_t i;

	tally_done(op_of(w, rec));
	for (i = 0; i < T_ARRAY_SIZE(flags); i++)
		if (rec->flags & flags[i].flag)
			tally_done(flags[i].seen);
	if (rec->type == Q_XRC)
		tally_done(SEEN_XRC);
	if (w->local_dm)
		tally_done(SEEN_LOCAL_DM);
	if (rec->kind != REC_DATA && rec->kind != REC_READ)
		return;
	if (r->pages == PAGES_DM)
		tally_done(SEEN_DM);
	if (r->pages == PAGES_DMABUF)
		tally_done(SEEN_DMABUF);
}

/* A request has ended, its completion seen or, unsignaled, implied */
static void ended(struct worker *w, struct queue *q, struct rec *rec,
		  enum ibv_wc_status status)
{
	unsigned int slot = w->slot_of[rec - w->self->recs];
	bool takes = rec->kind == REC_SEND || (rec->flags & REC_HAS_IMM);

	rec->end = ++w->clock;
	if (status == rec->want)
		count(w, rec);
	if (status == IBV_WC_SUCCESS) {
		if (rec->kind == REC_INVALIDATE)
			window_stale(w, rec->owner, rec->region, rec->imm);
		if (rec->kind == REC_READ || rec->kind == REC_ATOMIC)
			gather_pieces(w, rec, slot);
		if (rec->kind == REC_ATOMIC)
			w->seen[rec->owner][rec->off / 2048] = rec->old;
		if (takes && !(rec->flags & REC_UNRELIABLE))
			w->self->sent[q->peer][q->type]++;
	} else {
		if (rec->kind == REC_BIND && !(rec->flags & REC_RESPONDER))
			w->self->region[rec->region].window = 0;
		note_failure(w, q, rec, status);
	}
	/* The record is whole whenever this process is killed */
	__atomic_store_n(&rec->status, status, __ATOMIC_RELEASE);
	w->free_slots |= 1U << slot;
}

static const enum ibv_wc_opcode wc_opcodes[] = {
	[REC_DATA] = IBV_WC_RDMA_WRITE,
	[REC_READ] = IBV_WC_RDMA_READ,
	[REC_SEND] = IBV_WC_SEND,
	[REC_BIND] = IBV_WC_BIND_MW,
	[REC_INVALIDATE] = IBV_WC_LOCAL_INV,
};

static void check_opcode(const struct rec *rec, const struct ibv_wc *wc)
{
	enum ibv_wc_opcode want;

	if (wc->status != IBV_WC_SUCCESS)
		return;
	if (rec->kind == REC_ATOMIC)
		want = rec->flags & REC_CAS ? IBV_WC_COMP_SWAP :
					      IBV_WC_FETCH_ADD;
#ifdef HAVE_WR_ATOMIC_WRITE
	else if (rec->flags & REC_ATOMIC_WRITE)
		want = IBV_WC_ATOMIC_WRITE;
#endif
#ifdef HAS_FLUSH
	else if (rec->kind == REC_FLUSH)
		want = IBV_WC_FLUSH;
#endif
	else
		want = wc_opcodes[rec->kind];
	T_ASSERT(wc->opcode == want, "step %u: completion opcode %#x",
		 rec->step + 1, wc->opcode);
}

static void completion(struct worker *w, const struct ibv_wc *wc)
{
	unsigned int number = wc->wr_id >> 32;
	uint32_t index = wc->wr_id;
	struct queue *q;
	struct rec *rec;

	T_ASSERT(number < NR_QUEUES && index < w->self->nr_recs,
		 "completion of request %#llx", (unsigned long long)wc->wr_id);
	q = &w->queues[number];
	T_ASSERT(wc->qp_num == q->qp->qp_num, "completion of QP %#x, not %#x",
		 wc->qp_num, q->qp->qp_num);
	if (w->b->sabotage == SABOTAGE_COMPLETION &&
	    w->self->recs[index].kind == REC_READ)
		return;
	while (1) {
		T_ASSERT(q->head != q->tail,
			 "step %u completed twice, or after a reset",
			 w->self->recs[index].step + 1);
		rec = &w->self->recs[q->fifo[q->head++ % QUEUE_DEPTH]];
		if (rec == &w->self->recs[index])
			break;
		T_ASSERT(!(rec->flags & REC_SIGNALED),
			 "step %u completed before step %u",
			 w->self->recs[index].step + 1, rec->step + 1);
		/* What fails has a completion of its own */
		ended(w, q, rec, IBV_WC_SUCCESS);
	}
	check_opcode(rec, wc);
	ended(w, q, rec, wc->status);
}

unsigned int verbs_poll(struct worker *w)
{
	struct ibv_wc wc[16];
	unsigned int all = 0;
	int n;
	int i;

	do {
		n = cq_poll(&w->scq, wc, T_ARRAY_SIZE(wc));
		for (i = 0; i < n; i++)
			completion(w, &wc[i]);
		all += n;
	} while (n == T_ARRAY_SIZE(wc));
	return all;
}

static struct queue *busy_queue(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < NR_QUEUES; i++)
		if (w->queues[i].head != w->queues[i].tail)
			return &w->queues[i];
	return NULL;
}

void verbs_drain(struct worker *w)
{
	/* Of what never comes some runs are enough to see */
	bool dropped = w->b->sabotage == SABOTAGE_COMPLETION;
	unsigned int ms = dropped ? T_WAIT_MS / 8 : T_WAIT_MS;
	uint64_t end = t_now_ns() + ms * 1000000ULL;
	struct queue *q;
	unsigned int tries = 0;

	while ((q = busy_queue(w))) {
		cq_arm(&w->scq);
		if (verbs_poll(w))
			continue;
		if (w->scq.channel)
			T_ASSERT(cq_event(&w->scq, end) || !verbs_poll(w),
				 "a completion, and no event");
		else if (++tries > 100)
			t_sleep_ms(1);
		T_ASSERT(t_now_ns() < end, "step %u: no completion in %u ms",
			 w->self->recs[q->fifo[q->head % QUEUE_DEPTH]].step + 1,
			 ms);
	}
}

/* The queue was reset: what has not completed by now never will */
void verbs_gone(struct worker *w, struct queue *q)
{
	struct rec *rec;

	verbs_poll(w);
	while (q->head != q->tail) {
		rec = &w->self->recs[q->fifo[q->head++ % QUEUE_DEPTH]];
		rec->status = STATUS_GONE;
		if (rec->kind == REC_BIND && !(rec->flags & REC_RESPONDER))
			w->self->region[rec->region].window = 0;
		rec->end = ++w->clock;
		w->free_slots |= 1U << w->slot_of[rec - w->self->recs];
	}
	q->gone = true;
	w->self->bad[q->peer][q->type][0] = true;
}

/* All of a peer's region, as the device sees it now */
void verbs_read_back(struct worker *w)
{
	struct side *peer = &w->b->side[w->self->device_owner];
	struct public_region *r = &peer->region[w->self->device_region];
	struct queue *q = queue_of(w, w->self->device_owner,
				   w->b->round & 1 ? Q_XRC : Q_RC, false);
	struct ibv_sge sge = {
		.addr = (uintptr_t)w->self->device,
		.length = w->p->regions[w->self->device_owner]
				       [w->self->device_region]
					       .len,
		.lkey = w->device_mr->lkey,
	};
	struct ibv_send_wr wr = {
		.wr_id = 12345,
		.opcode = IBV_WR_RDMA_READ,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.rdma = { .remote_addr = r->addr, .rkey = r->rkey },
		.qp_type.xrc.remote_srqn = peer->srqn,
	};
	struct ibv_send_wr *bad;
	unsigned int tries;
	struct ibv_wc wc;

	T_OK(ibv_post_send(q->qp, &wr, &bad));
	for (tries = 0; !cq_poll(&w->scq, &wc, 1); tries++) {
		T_ASSERT(tries < T_WAIT_MS, "no completion in time, in peace");
		if (tries > 100)
			t_sleep_ms(1);
	}
	T_ASSERT(wc.wr_id == 12345 && wc.status == IBV_WC_SUCCESS,
		 "'%s' of a READ of all of region %u of worker %u, in peace",
		 t_wc_name(wc.status), w->self->device_region,
		 w->self->device_owner);
}
