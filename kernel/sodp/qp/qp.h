/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * qp.h - queue pairs: requester, responder, and how they wait
 */
#ifndef SODP_QP_H
#define SODP_QP_H

#include <linux/cache.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "net/hdr.h"
#include "queue/queue.h"

/* Work that a doorbell may do in the caller's context */
#define SODP_INLINE_BYTES	SZ_2M
#define SODP_INLINE_WQES	128
/* Work of one turn of a worker, before others get theirs */
#define SODP_WORKER_BYTES	SZ_16M
#define SODP_WORKER_WQES	1024
/*
 * And time: no fault begins, and no long copy goes on, after so much of it.
 * What was begun takes 2 ms more (ODP_FAULT_BRIEF), or one copy of
 * SODP_CLOCK_BYTES: a doorbell is back in 5 ms, a worker's turn over in 20.
 */
#define SODP_POSTER_NS		(2 * NSEC_PER_MSEC)
#define SODP_WORKER_NS		(16 * NSEC_PER_MSEC)
#define SODP_CLOCK_BYTES	SZ_512K

struct sodp_transport;
struct sodp_ud;
struct sodp_wire;

/*
 * A request as the responder sees it, however it came: built from a WQE by
 * the requester of a QP on this host, or from packet headers. It may come in
 * parts, each given to the responder when it is there: @ready says how many
 * bytes are, @last that no part follows. A SEND off the wire has its length
 * known only then; before, @length is @ready.
 */
struct sodp_request {
	u8 opcode;		/* enum sodp_wr_opcode */
	u8 flags;		/* SODP_SEND_SOLICITED */
	u32 ex;
	u32 rkey;
	u64 remote_addr;
	u64 length;
	u64 ready;
	bool last;
	u64 operand;
	u64 compare;
	u32 psn;
	u32 nr_packets;		/* of this part */
	u32 src_qpn;
	u32 srqn;		/* XRC only */
	bool grh;		/* UD: the payload begins with one */
	u8 sl;			/* UD: enum sodp_wc_sl, of which IP it is */
	u16 vlan;		/* UD: VLAN_CFI_MASK | id, or 0 */
	u64 flush_length;
	u8 flush_type;		/* SODP_FLUSH_GLOBAL */
	u8 flush_level;		/* SODP_FLUSH_RANGE or SODP_FLUSH_MR */
	/* progress and results */
	u64 done;
	u64 result;
	/*
	 * NULL, or told when all is done but the completion of the receive.
	 * Whoever gets that may answer at once: what the sender of the
	 * request is to know before the answer is told to it here. Under
	 * resp_mutex; the request is part of what it is to be told to.
	 */
	void (*executed)(struct sodp_request *req);
};

/**
 * struct sodp_turn - who works on a QP now, and for how long
 * @end: when the turn is over, in ns; 0: nobody has looked at the clock
 * @ns: how long it is, from the first look on
 * @poster: it is in a system call of whoever posted
 *
 * The clock is looked at before a fault and after a long copy: who finds all
 * pages there and moves little pays nothing for it.
 */
struct sodp_turn {
	u64 end;
	u32 ns;
	bool poster;
};

/* Is it over? The first who asks starts the clock */
static inline bool sodp_turn_is_late(struct sodp_turn *turn)
{
	u64 now = ktime_get_ns();

	if (!turn->end)
		turn->end = now + turn->ns;
	return now >= turn->end;
}

/* Waits that one side of a QP may leave behind, and the one that is on */
#define SODP_WAIT_SLOTS		3

/**
 * struct sodp_wait_slot - a wait for a page, in a worker
 * @wait: whose it is
 * @busy: @work is queued or runs; under @wait->side
 * @begun: @work runs, or did
 * @work: waits, holding nothing but references: on the QP, by which @wait
 *	stays, and on the region
 * @miss: what is waited for; constant, and its region referenced, while @busy
 */
struct sodp_wait_slot {
	struct sodp_wait *wait;
	bool busy;
	bool begun;
	struct odp_work work;
	struct odp_miss miss;
};

/**
 * struct sodp_wait - one side of a QP waits for a page
 * @qp: the QP
 * @side: its exec_mutex or resp_mutex. Guards what follows, @slots included
 * @on: it waits
 * @slot: what for; NULL when it does not wait, or no slot was free
 * @ended: told, under @side, that the wait is over: 0, or why there will be
 *	no page
 * @retry: ends a wait that found no slot
 * @slots: waits, of which all but @slot are abandoned
 *
 * A page may never come, and a worker cannot be called back. A wait that is
 * over for the QP (modified, destroyed) is abandoned: when its work has not
 * begun it is taken off its queue, else the slot stays busy until the work
 * comes back, finds that it is not @slot, and only frees it. A busy slot is
 * not used again, so none is mistaken for a later wait.
 *
 * So a QP keeps SODP_WAIT_SLOTS workers a side, at most, whatever is done to
 * it. With as many waits abandoned it tries again from time to time, and as
 * soon as one of them comes back.
 */
struct sodp_wait {
	struct sodp_qp *qp;
	/* Of the QP: what follows is part of what it guards */
	struct mutex *side;
	bool on;
	struct sodp_wait_slot *slot;
	void (*ended)(struct sodp_qp *qp, int ret);
	struct delayed_work retry;
	struct sodp_wait_slot slots[SODP_WAIT_SLOTS];
};

/* Does the requester wait, and what for? See park_set() */
enum sodp_park {
	SODP_PARK_NONE,
	SODP_PARK_FAULT,
	SODP_PARK_RNR,
	SODP_PARK_TIMEOUT,
	SODP_PARK_KEY,
	SODP_PARK_TX,		/* the stack had no room for a packet */
};

/* What whoever executes the SQ next has to look at */
enum sodp_told {
	SODP_TOLD_SQ,		/* look at sq_pi again */
	SODP_TOLD_TIMER,	/* park_timer expired */
	SODP_TOLD_RETRY,	/* the wire's retransmission timer did */
	SODP_TOLD_NOTED,	/* rescue.c looks after it */
};

/* IBA A19: placement type and selectivity level of a FLUSH */
#define SODP_FLUSH_GLOBAL	BIT(0)
#define SODP_FLUSH_PERSISTENT	BIT(1)
#define SODP_FLUSH_RANGE	0
#define SODP_FLUSH_MR		1

/* The requester's current WQE: a private copy and how far it got */
struct sodp_wqe {
	bool valid;
	struct sodp_sqe sqe;
	struct sodp_sge *sge;
	u8 why;			/* enum sodp_vendor_err of its error, or 0 */
	void *inline_data;	/* in the ring: contents only, no decisions */
	u64 length;
	struct sodp_request req;
	bool acked;		/* the responder is done with it */
	u64 result_done;	/* bytes of an atomic's result stored */
	bool waits;		/* it is what SODP_PARK_FAULT is for */
	int fault_ret;		/* error of the fault it was parked for */
	bool fault_remote;	/* whose memory that was for */
};

/* The side of a QP that sends requests; its cache lines are its own */
struct sodp_requester {
	/*
	 * Held for one slice of work by whoever executes the SQ: doorbell
	 * (trylock), sq_work, modify and destroy. Guards what follows.
	 */
	struct mutex exec_mutex;
	u8 *sq;
	u32 sq_depth;
	u32 sq_stride;
	u32 sq_ci;
	u32 psn;
	unsigned long told;	/* enum sodp_told; atomic bit operations */
	struct sodp_wqe wqe;
	struct sodp_seg *segs;	/* of the slice in progress */
	/* What carries its requests; written under both mutexes */
	const struct sodp_transport *transport;
	struct sodp_qp *peer;	/* memory kept by a reference, may be dead */
	enum sodp_park park;
	u8 rnr_left;
	u8 retry_left;
	u64 rnr_ns;		/* wait that the last RNR NAK asked for */
	struct sodp_wait fault_wait;	/* on in SODP_PARK_FAULT */
	struct hrtimer park_timer;
	struct work_struct sq_work;
	bool sqd_event;
} ____cacheline_aligned_in_smp;

/* The side that carries requests of others out; likewise */
struct sodp_responder {
	/*
	 * Held while a request is carried out on this QP, and by flush, modify
	 * and destroy. Nests inside a peer's exec_mutex. Guards what follows.
	 */
	struct mutex resp_mutex;
	u8 *rq;
	u32 rq_depth;
	u32 rq_stride;
	u32 rq_ci;
	u32 psn;		/* next PSN expected */
	u32 msn;
	struct sodp_recv recv;
	struct sodp_seg *segs;	/* of the request under way */
	bool last_wqe_sent;
	bool comm_est;		/* a request has come, resp_mutex */
} ____cacheline_aligned_in_smp;

struct sodp_qp {
	refcount_t ref;
	struct rcu_head rcu;
	u32 qpn;
	struct sodp_dev *dev;
	u64 dev_id;		/* of @dev, which a dead QP outlives */
	struct ib_qp *ibqp;
	struct ib_ucontext *ucontext;	/* NULL: XRC target, kernel's */
	enum ib_qp_type type;
	const struct sodp_transport *receiver;	/* whose packets it takes */
	enum ib_sig_type sig_type;
	struct sodp_cq *send_cq;
	struct sodp_cq *recv_cq;
	struct sodp_srq *srq;
	struct sodp_user user;	/* of memory; @dev and @qpn are in it too */
	struct ib_xrcd *xrcd;	/* set: an XRC target */
	u64 sq_cookie;		/* the application's names for its queues */
	u64 rq_cookie;
	bool strict;		/* the provider clears what is reserved */
	struct sodp_smem *ring;	/* a target has none, */
	struct sodp_qp_page *page;	/* and no page */
	struct ib_qp_cap cap;

	/*
	 * Guards state and attr. Readers on the data path read state with
	 * READ_ONCE; they act on it under exec_mutex or resp_mutex, and every
	 * change of state is followed by work that takes these.
	 */
	spinlock_t state_lock;
	enum ib_qp_state state;
	struct ib_qp_attr attr;
	u32 page_flags;		/* what page->flags should be */
	u64 peer_dev_id;	/* device of this host that owns dgid, or 0 */
	bool dead;		/* written under both mutexes */

	/* Guards page->sq_pi of a kernel QP, from any context */
	spinlock_t sq_post_lock;
	/* Guards page->rq_pi of a kernel QP, from any context */
	spinlock_t rq_post_lock;
	/*
	 * Of a kernel QP: entries below it were completed, and that was polled.
	 * Written under the poll_lock of the CQ, and by a reset.
	 */
	u32 sq_freed;
	u32 rq_freed;
	atomic_t srq_unpolled;	/* completed receives of its SRQ */

	struct sodp_requester req;

	/* rescue.c: turns that workers began, counted loosely; its own notes */
	u32 turns;
	u32 rescue_turns;
	bool rescue_seen;
	struct llist_node rescue_node;

	struct sodp_responder resp;

	/* Of the set it is bound to, or NULL; written under both mutexes */
	struct sodp_counters __percpu *counters;

	/* Who is charged for packets that wait; made with the first queue */
	struct sodp_payer *payer;
	/* Made once, before the first packet can come; see wire.h */
	struct sodp_wire *wire;
	struct sodp_ud *ud;	/* UD and GSI; ud.c */
	struct hlist_head mcasts;	/* groups that it is in; mcast_mutex */
};

/*
 * What ib_core allocates for a QP. It outlives the QP itself: resource
 * tracking may look at it, and ask for the QP's attributes and counters, until
 * ib_core has taken it off its list, which not all versions do before they
 * call destroy_qp. NULL from then on; read under RCU by whoever comes from
 * there.
 */
struct sodp_ibqp {
	struct ib_qp base_qp;
	struct sodp_qp __rcu *qp;
};

/* Does it take requests? READ_ONCE: states change under state_lock only */
static inline bool sodp_qp_receives(const struct sodp_qp *qp)
{
	enum ib_qp_state state = READ_ONCE(qp->state);

	return state == IB_QPS_RTR || state == IB_QPS_RTS ||
	       state == IB_QPS_SQD || state == IB_QPS_SQE;
}

/* Are sends to be flushed? READ_ONCE: as above */
static inline bool sodp_qp_flushes_sends(const struct sodp_qp *qp)
{
	enum ib_qp_state state = READ_ONCE(qp->state);

	return state == IB_QPS_ERR || state == IB_QPS_SQE;
}

static inline bool sodp_is_ud(const struct sodp_qp *qp)
{
	return qp->type == IB_QPT_UD || qp->type == IB_QPT_GSI;
}

/* Under one of the QP's mutexes; ib_core adds the sets to the link's own */
static inline void sodp_qp_count(struct sodp_qp *qp, enum sodp_counter c,
				 u64 n)
{
	if (unlikely(qp->counters))
		this_cpu_add(qp->counters->value[c], n);
	else
		sodp_count(qp->dev, c, n);
}

/* A target lends itself the PD of the SRQ that a request names: IBA A14 */
static inline struct sodp_user sodp_qp_lent_user(const struct sodp_qp *qp,
						 const struct sodp_xsrq *xsrq)
{
	struct sodp_user user = qp->user;

	user.pd = xsrq->srq->base_srq.pd;
	return user;
}

static inline struct sodp_ibqp *to_ibqp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct sodp_ibqp, base_qp);
}

/* For verbs, which ib_core keeps the QP for; see sodp_qp_get_tracked() */
static inline struct sodp_qp *to_sodp_qp(struct ib_qp *ibqp)
{
	return rcu_dereference_protected(to_ibqp(ibqp)->qp, true);
}

/* core.c */
struct sodp_qp *sodp_qp_alloc(void);
int sodp_qp_number(struct sodp_qp *qp);
void sodp_qp_publish(struct sodp_qp *qp);
void sodp_qp_unpublish(struct sodp_qp *qp);
struct sodp_qp *sodp_qp_find(u32 qpn);
struct sodp_qp *sodp_qp_get(u32 qpn);
struct sodp_qp *sodp_qp_get_tracked(struct ib_qp *ibqp);
void sodp_qp_put(struct sodp_qp *qp);
void sodp_qp_queue_work(struct sodp_qp *qp, struct workqueue_struct *wq,
			struct work_struct *work);
int sodp_qps_init(const struct sodp_transport *const *transports);
int sodp_qp_init_transport(struct sodp_qp *qp);
void sodp_qps_exit(void);
void sodp_qps_wait(void);
void sodp_qp_event(struct sodp_qp *qp, enum ib_event_type type);
bool sodp_qp_set_error(struct sodp_qp *qp);
void sodp_qp_set_send_error(struct sodp_qp *qp);
void sodp_qp_page_flags(struct sodp_qp *qp, u32 set, u32 clear);
void sodp_qp_kick(struct sodp_qp *qp);
void sodp_qp_unlock(struct sodp_qp *qp);

/* sq.c */
void sodp_sq_doorbell(struct sodp_qp *qp);
void sodp_sq_work(struct work_struct *work);
void sodp_sq_run_worker(struct sodp_qp *qp);
void sodp_sq_try(struct sodp_qp *qp);
void sodp_sq_rescue(struct sodp_qp *qp);
void sodp_sq_flush_locked(struct sodp_qp *qp);

/* park.c */
void sodp_park_fault(struct sodp_qp *qp, const struct sodp_stop *stop);
/* Between two tries to close a key that is in use */
#define SODP_KEY_NS	(50 * NSEC_PER_USEC)
void sodp_park_key(struct sodp_qp *qp);
void sodp_park_timer(struct sodp_qp *qp, enum sodp_park park, u64 ns);
void sodp_park_cancel_locked(struct sodp_qp *qp);
void sodp_park_init(struct sodp_qp *qp);

/* wait.c */
int sodp_fault_try(const struct sodp_stop *stop, u32 *tries,
		   struct sodp_turn *turn);
void sodp_wait_init(struct sodp_wait *wait, struct sodp_qp *qp,
		    struct mutex *side,
		    void (*ended)(struct sodp_qp *qp, int ret));
void sodp_wait_begin(struct sodp_wait *wait, const struct odp_miss *miss);
bool sodp_wait_end(struct sodp_wait *wait);
bool sodp_wait_is_queued(const struct sodp_wait *wait);
bool sodp_wait_recall(struct sodp_wait *wait);

/* rescue.c */
int sodp_rescue_init(void);
void sodp_rescue_exit(void);
void sodp_rescue_note(struct sodp_qp *qp);
bool sodp_is_rescuer(void);

/* A worker begins a turn. Not exact: one that is lost was not alone */
static inline void sodp_qp_begin_turn(struct sodp_qp *qp)
{
	WRITE_ONCE(qp->turns, READ_ONCE(qp->turns) + 1);
}

/* wqe.c */
enum sodp_verdict sodp_wqe_execute(struct sodp_qp *qp, u64 *budget,
				   struct sodp_stop *stop);
enum sodp_verdict sodp_wqe_fetch(struct sodp_qp *qp, u32 index);
enum sodp_verdict sodp_wqe_payload(struct sodp_qp *qp, u32 access,
				   struct sodp_cursor *payload,
				   struct sodp_buf *buf);
void sodp_wqe_put_payload(struct sodp_cursor *payload);

/* resp.c */
enum sodp_verdict sodp_resp_request(struct sodp_qp *qp,
				    struct sodp_request *req,
				    struct sodp_cursor *payload, u64 *budget,
				    struct sodp_stop *stop);
void sodp_resp_fail(struct sodp_qp *qp, enum sodp_verdict verdict);
u64 sodp_rnr_ns(struct sodp_qp *qp);

/* rq.c */
void sodp_rq_doorbell(struct sodp_qp *qp);
void sodp_rq_flush_locked(struct sodp_qp *qp);
enum sodp_verdict sodp_rq_fetch(struct sodp_qp *qp, struct sodp_xsrq *xsrq);
void sodp_rq_complete(struct sodp_qp *qp, struct sodp_xsrq *xsrq,
		      struct sodp_cqe *cqe, bool solicited);
void sodp_rq_forget_locked(struct sodp_qp *qp);

#endif /* SODP_QP_H */
