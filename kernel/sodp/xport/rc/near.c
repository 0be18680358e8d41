// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A peer in another namespace of this host: by the time its packets have
 * been handed to the stack they are in its queue already, brought there by
 * the softirq that ran on the way. A sender who has nothing to do but wait
 * carries them out itself, and saves trips through workers.
 */
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "xport/rc/wire_req.h"

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

/*
 * A softirq brings whatever has come. What others sent, maybe from another
 * host, is not the work of this sender. READ_ONCE: QP numbers change under
 * state_lock, and the worst is that the wrong one of two does the work.
 */
static bool near_is_peer(const struct sodp_qp *from, const struct sodp_qp *to)
{
	const struct sodp_path *path = &from->wire->path;
	/* Pairs with the release store that publishes it */
	const struct sodp_wire *wire = smp_load_acquire(&to->wire);

	return READ_ONCE(from->attr.dest_qp_num) == to->qpn &&
	       READ_ONCE(to->attr.dest_qp_num) == from->qpn &&
	       ipv6_addr_equal(&path->daddr, &wire->path.saddr) &&
	       ipv6_addr_equal(&path->saddr, &wire->path.daddr);
}

/**
 * sodp_near_take() - requests have come for a QP: will somebody run it?
 * @qp: the QP, referenced by the caller
 *
 * Context: softirq.
 * Return: true: the sender that this softirq interrupted will, who is the
 * peer.
 */
bool sodp_near_take(struct sodp_qp *qp)
{
	struct sodp_burst *burst = this_cpu_read(near_bursts);

	if (!burst || !near_is_peer(burst->flow->qp, qp))
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
 * @slice: of the sender, who pays for it
 *
 * Context: process, may sleep; an exec_mutex may be held.
 */
void sodp_near_run(struct sodp_burst *burst, struct sodp_slice *slice)
{
	struct sodp_qp *qp = burst->near_qp;

	burst->near_qp = NULL;
	burst->near_bytes = 0;
	if (qp)
		sodp_wresp_run(qp, &slice->near, &slice->turn);
}
