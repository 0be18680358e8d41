// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A peer in another namespace of this host: by the time its packets have
 * been handed to the stack they are in its queue already, brought there by
 * the softirq that ran on the way. A sender who has nothing to do but wait
 * carries them out itself, and saves trips through workers.
 */
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "wire_req.h"

/* The burst that is being sent here, by someone who cannot be preempted */
static DEFINE_PER_CPU(struct sodp_burst *, near_bursts);

/**
 * sodp_near_begin() - a burst is about to be handed to the stack
 * @burst: it; nothing is done unless burst->near
 *
 * Context: process; may not sleep until sodp_near_end().
 */
void sodp_near_begin(struct sodp_burst *burst)
{
	/* With PREEMPT_RT softirqs have threads of their own */
	if (!burst->near || IS_ENABLED(CONFIG_PREEMPT_RT))
		return;
	preempt_disable();
	this_cpu_write(near_bursts, burst);
}

void sodp_near_end(struct sodp_burst *burst)
{
	if (!burst->near || IS_ENABLED(CONFIG_PREEMPT_RT))
		return;
	this_cpu_write(near_bursts, NULL);
	preempt_enable();
}

/**
 * sodp_near_take() - requests have come for a QP: will somebody run it?
 * @qp: the QP, referenced by the caller
 *
 * Context: softirq.
 * Return: true: the sender that this softirq interrupted will.
 */
bool sodp_near_take(struct sodp_qp *qp)
{
	struct sodp_burst *burst = this_cpu_read(near_bursts);

	if (!burst)
		return false;
	if (!burst->near_qp) {
		refcount_inc(&qp->ref);
		burst->near_qp = qp;
	}
	return burst->near_qp == qp;
}

/**
 * sodp_near_run() - run the responder that was reached, if one was
 * @burst: the burst
 *
 * Context: process, may sleep; an exec_mutex may be held.
 */
void sodp_near_run(struct sodp_burst *burst)
{
	struct sodp_qp *qp = burst->near_qp;

	burst->near_qp = NULL;
	burst->near_bytes = 0;
	if (qp)
		sodp_wresp_run(qp);
}
