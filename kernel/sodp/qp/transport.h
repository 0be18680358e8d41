/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What carries the requests of a QP to another. Those that there are come
 * with sodp_qps_init(); a QP uses one at a time, and each may have something
 * of the QP's from a time when it was that one.
 */
#ifndef SODP_TRANSPORT_H
#define SODP_TRANSPORT_H

#include "qp/sq.h"

struct sk_buff;
struct sodp_came;
struct sodp_pkt;

/**
 * struct sodp_transport - operations; those without a use may be NULL
 * @types: bits of enum ib_qp_type of QPs that begin with it
 * @packets: bits of enum ib_qp_type of QPs whose packets it takes
 * @init: a QP of these is made. 0 or -errno
 * @connect: is the peer one to be reached by it? 0: it is ready for that; 1:
 *	no; -errno. Under both mutexes
 * @rd_atomic: the number of READs and atomics on their way changes. 0 or
 *	-errno. Under both mutexes
 * @run: have answers and WQEs, under exec_mutex. Several WQEs are begun at a
 *	time. NULL: sq.c begins one at a time
 * @execute: carry the WQE in hand on, see sodp_wqe_execute(); @failed:
 *	SODP_OK, or what the responder has to be failed with because its
 *	memory could not be faulted in
 * @full: no WQE may begin now; sodp_qp_kick() follows. Under exec_mutex
 * @busy: a WQE was begun and is not completed; any context
 * @check: a worker's turn begins, under exec_mutex
 * @forget: the peer may change, under exec_mutex
 * @leave: the QP, of which nothing is locked, was reset or is dead, and is
 *	not the peer of @peer_qpn any more
 * @detach: the QP is about to be destroyed; nothing is locked
 * @reset_sends: forget what was begun, under exec_mutex
 * @reset_recvs: forget what came, under resp_mutex
 * @close: likewise, and let nothing more in; under both, the QP is dead
 * @stop: no timer runs after this; the QP is dead
 * @free: nobody has a reference any more
 * @resp_queued: work of the responder is queued and has not begun
 * @resp_waits: that, or a wait for a page has not begun
 * @rescue: do it, in the caller's context
 * @wants: does the QP take a packet with these headers, from there? Asked
 *	before its payload is looked at, and again before @receive
 * @receive: a train, all of it with the headers of @pkt, which @wants let in;
 *	taken over. Softirq, like @wants; the QP is referenced
 */
struct sodp_transport {
	u32 types;
	u32 packets;
	int (*init)(struct sodp_qp *qp);
	int (*connect)(struct sodp_qp *qp, const struct ib_qp_attr *attr,
		       int mask);
	int (*rd_atomic)(struct sodp_qp *qp, const struct ib_qp_attr *attr,
			 int mask);
	enum sodp_sq_result (*run)(struct sodp_qp *qp,
				   struct sodp_slice *slice);
	enum sodp_verdict (*execute)(struct sodp_qp *qp,
				     enum sodp_verdict failed, u64 *budget,
				     struct sodp_stop *stop);
	bool (*full)(const struct sodp_qp *qp);
	bool (*busy)(const struct sodp_qp *qp);
	void (*check)(struct sodp_qp *qp);
	void (*forget)(struct sodp_qp *qp);
	void (*leave)(struct sodp_qp *qp, u32 peer_qpn);
	void (*detach)(struct sodp_qp *qp);
	void (*reset_sends)(struct sodp_qp *qp);
	void (*reset_recvs)(struct sodp_qp *qp);
	void (*close)(struct sodp_qp *qp);
	void (*stop)(struct sodp_qp *qp);
	void (*free)(struct sodp_qp *qp);
	bool (*resp_queued)(const struct sodp_qp *qp);
	bool (*resp_waits)(const struct sodp_qp *qp);
	void (*rescue)(struct sodp_qp *qp);
	bool (*wants)(const struct sodp_qp *qp, const struct sodp_came *came,
		      const struct sodp_pkt *pkt);
	void (*receive)(struct sodp_qp *qp, const struct sodp_came *came,
			const struct sodp_pkt *pkt, struct sk_buff *skb);
};

/* NULL is behind the last; constant */
extern const struct sodp_transport *const *sodp_transports;

/* Have every transport that has the operation do it */
#define sodp_transports_do(op, qp, ...)					\
	do {								\
		const struct sodp_transport *const *_t;			\
									\
		for (_t = sodp_transports; *_t; _t++)			\
			if ((*_t)->op)					\
				(*_t)->op(qp, ##__VA_ARGS__);		\
	} while (0)

/* Were WQEs begun that are not completed? READ_ONCE: for who has no mutex */
static inline bool sodp_qp_busy(const struct sodp_qp *qp)
{
	const struct sodp_transport *transport = READ_ONCE(qp->req.transport);

	return transport->busy ? transport->busy(qp) :
				 READ_ONCE(qp->req.wqe.valid);
}

#endif /* SODP_TRANSPORT_H */
