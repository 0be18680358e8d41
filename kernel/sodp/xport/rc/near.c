// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A peer in another namespace of this host: by the time its packets have
 * been handed to the stack they are in its queue already, brought there by
 * the softirq that ran on the way. A sender who has nothing to do but wait
 * carries them out itself, and saves trips through workers.
 */
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "xport/rc/requester.h"

/* Who hands a burst to the stack here, and cannot be preempted */
static DEFINE_PER_CPU(struct sodp_wreq_tx *, near_senders);

/**
 * sodp_near_handing() - a burst is handed to the stack
 * @burst: of a struct sodp_wreq_tx; this is its @handing
 * @over: it was
 *
 * Context: process; may not sleep between the two calls.
 */
void sodp_near_handing(struct sodp_burst *burst, bool over)
{
	struct sodp_wreq_tx *tx = container_of(burst, struct sodp_wreq_tx,
					       burst);

	/* With PREEMPT_RT softirqs have threads of their own */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT)) {
		if (over) {
			this_cpu_write(near_senders, NULL);
			preempt_enable();
		} else {
			preempt_disable();
			this_cpu_write(near_senders, tx);
		}
	}
	if (over)
		tx->near_bytes += burst->used;
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
	struct sodp_wreq_tx *tx = this_cpu_read(near_senders);

	if (!tx || !near_is_peer(tx->qp, qp))
		return false;
	if (!tx->near_qp) {
		refcount_inc(&qp->ref);
		tx->near_qp = qp;
	}
	return tx->near_qp == qp;
}

/**
 * sodp_near_run() - run the responder that was reached, if one was
 * @tx: the sender, who pays for it
 *
 * Context: process, may sleep; an exec_mutex may be held.
 */
void sodp_near_run(struct sodp_wreq_tx *tx)
{
	struct sodp_qp *qp = tx->near_qp;

	tx->near_qp = NULL;
	tx->near_bytes = 0;
	if (qp)
		sodp_wresp_run(qp, &tx->slice->near, &tx->slice->turn);
}
