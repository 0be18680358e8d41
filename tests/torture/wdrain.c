// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* A send queue that is drained (SQD) begins nothing until it may go on */

#include "worker.h"

#define WITH_EVENT 4

static enum ibv_qp_state state_of(struct queue *q, bool *draining)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	T_OK(ibv_query_qp(q->qp, &attr, IBV_QP_STATE, &init));
	*draining = attr.sq_draining;
	return attr.qp_state;
}

static int begin(struct queue *q, const struct step *s)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_SQD,
		.en_sqd_async_notify = 1,
	};

	return ibv_modify_qp(q->qp, &attr,
			     s->arg & WITH_EVENT ?
				     IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY :
				     IBV_QP_STATE);
}

/* False: it went into error meanwhile, as any request may make it */
static bool is_drained(struct worker *w, struct queue *q)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	enum ibv_qp_state state;
	bool draining;

	while ((state = state_of(q, &draining)) == IBV_QPS_SQD && draining) {
		T_ASSERT(t_now_ns() < end, "step %u: a queue is not drained",
			 w->step + 1);
		t_sleep_ms(1);
	}
	T_ASSERT(state == IBV_QPS_SQD || state == IBV_QPS_ERR,
		 "step %u: state %d of a queue that is drained", w->step + 1,
		 state);
	return state == IBV_QPS_SQD;
}

static void want_drained_event(struct worker *w, struct queue *q)
{
	struct ibv_async_event event;

	do {
		T_ASSERT(t_event_for(&w->dev, &event, T_WAIT_MS),
			 "step %u: no event of a queue that is drained",
			 w->step + 1);
	} while (event.event_type != IBV_EVENT_SQ_DRAINED ||
		 event.element.qp != q->qp);
}

void drain_step(struct worker *w, const struct step *s, struct queue *q)
{
	unsigned int head;
	bool draining;

	if (begin(q, s)) {
		T_ASSERT(state_of(q, &draining) == IBV_QPS_ERR,
			 "step %u: a queue cannot be drained", w->step + 1);
		return;
	}
	if (!is_drained(w, q))
		return;
	if (s->arg & WITH_EVENT)
		want_drained_event(w, q);
	verbs_poll(w);
	head = q->head;
	verbs_post(w, s, q);
	t_sleep_ms(1 + s->arg % 3);
	verbs_poll(w);
	T_ASSERT(q->head == head,
		 "step %u: a request completed in a queue that is drained",
		 w->step + 1);
	T_OK(queue_state(q, IBV_QPS_RTS));
}
