/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * The requester of a QP whose peer is on another host.
 *
 *	requester.c	WQEs in their order: begun, resumed, completed
 *	send.c		packets of a WQE, as the window allows
 *	ack.c		answers: progress, READ data, NAKs
 *	cc.c		the window, which the network has a say in
 *	retry.c		going back, the retransmission timer
 *	wire.c		struct sodp_wire made, set up anew and freed
 */
#ifndef SODP_REQUESTER_H
#define SODP_REQUESTER_H

#include "qp/ops.h"
#include "qp/sq.h"
#include "xport/rc/wire.h"

/**
 * struct sodp_wire_out - a WQE begun and not completed
 * @psn: of its first packet, or of the first packet of its answer (READ)
 * @nr_packets: PSNs that it takes, at least 1
 * @length: bytes
 * @opcode: enum sodp_wr_opcode
 * @flags: enum sodp_send_flags
 *
 * What was decided when it was begun. All else is fetched from the ring again
 * when it is needed again, checked again, and must agree with this.
 */
struct sodp_wire_out {
	u32 psn;
	u32 nr_packets;
	u32 length;
	u8 opcode;
	u8 flags;
};

/**
 * struct sodp_cc - what the network lets a requester have on its way
 * @window: PSNs
 * @limit: below it the window doubles
 * @grown: PSNs acknowledged since it grew by one
 * @una: w->una when it grew last
 * @recover: follows what was sent before the window shrank
 * @full_psn: follows what was sent when @full was set
 * @timed_psn: follows the packet that is timed
 * @cut: @recover has not been acknowledged
 * @full: the window was what stopped the sender
 * @timing: an answer is being timed
 * @timed_ns: when that packet was made
 * @rtt_ns: time of a round trip, smoothed; 0: not known
 * @var_ns: how far it is off, on average
 * @base_ns: how long it takes without queues, as known of late
 */
struct sodp_cc {
	u32 window;
	u32 limit;
	u32 grown;
	u32 una;
	u32 recover;
	u32 full_psn;
	u32 timed_psn;
	bool cut;
	bool full;
	bool timing;
	u64 timed_ns;
	u64 rtt_ns;
	u64 var_ns;
	u64 base_ns;
};

/**
 * struct sodp_wire_req - state of the requester; under exec_mutex
 * @qp: whose it is
 * @out: ring of WQEs begun: qp->req.sq_ci to @begun - 1
 * @mask: entries of @out, less one
 * @begun: index of the next WQE to begin; its first PSN is qp->req.psn
 * @loaded: index of the WQE in qp->req.wqe, if that is valid
 * @send: index of the WQE that the next packet is of
 * @una: oldest PSN not acknowledged; in the WQE at qp->req.sq_ci
 * @send_psn: PSN of the next packet
 * @max_psn: follows the newest PSN that was ever sent
 * @asked: follows the newest PSN for which an answer is owed
 * @unasked: packets sent since an acknowledge was asked for
 * @rd_out: READs and atomics on their way
 * @rd_end: ring of where requests end that were ever sent and are not
 *	answered: @rd_known entries from @rd_first on. A peer answers again
 *	what it was asked for before, and not across two of these. NULL while
 *	there can be none: see sodp_wreq_connect()
 * @rd_mask: entries of @rd_end, less one
 * @rd_first: index of the oldest
 * @rd_known: their number; the first @rd_out of them are on their way
 * @rd_index: WQE of the last of them that was begun
 * @rd_any: that one is not completed: a fence waits
 * @ssn: requests sent or, but for those of READs, begun, as the peer counts
 *	them; 24 bits
 * @lsn: last of them that has a receive at the peer, if @limited
 * @limited: the peer counts its receives
 * @backed: went back to @una already because of an answer
 * @cc: the window
 * @refused: skbs in a row that the stack had no room for
 * @twice: a FLUSH goes out with the ICRC that rdma_rxe expects
 * @answer_parked: it is an answer that waits for a page
 * @timer_on: @timer runs, or its bell has not been looked at
 * @deadline: when to give up waiting for an answer, ns; 0: for none
 * @wait_ns: how long the answer waited for may take
 * @postponed: when the timer looks again, as packets waited in a queue here
 * @timer: looks at @deadline now and then
 */
struct sodp_wire_req {
	struct sodp_qp *qp;
	struct sodp_wire_out *out;
	u32 mask;
	u32 begun;
	u32 loaded;
	u32 send;
	u32 una;
	u32 send_psn;
	u32 max_psn;
	u32 asked;
	u32 unasked;
	u32 rd_out;
	u32 *rd_end;
	u32 rd_mask;
	u32 rd_first;
	u32 rd_known;
	u32 rd_index;
	u32 ssn;
	u32 lsn;
	bool rd_any;
	bool limited;
	bool backed;
	u8 refused;
	bool twice;
	bool answer_parked;
	bool timer_on;
	struct sodp_cc cc;
	u64 deadline;
	u64 wait_ns;
	u64 postponed;
	struct hrtimer timer;
};

static inline struct sodp_wire_out *sodp_wreq_out(struct sodp_wire_req *w,
						  u32 index)
{
	return &w->out[index & w->mask];
}

static inline u32 sodp_wreq_end(const struct sodp_wire_out *out)
{
	return sodp_psn_add(out->psn, out->nr_packets);
}

/* Requests whose answer carries more than "done" */
static inline bool sodp_wreq_is_rd(u8 opcode)
{
	return sodp_op_of(opcode)->flags & SODP_OP_RD;
}

/* WQEs are begun and not completed */
static inline bool sodp_wreq_busy(const struct sodp_qp *qp)
{
	return READ_ONCE(qp->wire->req->begun) != READ_ONCE(qp->req.sq_ci);
}

/* Why the sender stopped */
enum sodp_wreq_step {
	SODP_WREQ_GO,	/* it did not */
	SODP_WREQ_EMPTY,	/* nothing posted, or not to be begun in this state */
	SODP_WREQ_WAIT,	/* an answer, or the stack, will run it again */
	SODP_WREQ_MORE,	/* slice used up */
	SODP_WREQ_PARKED,
	SODP_WREQ_FAILED,	/* error state */
};

/**
 * struct sodp_wreq_tx - one turn of sending
 * @qp: the requester
 * @w: its state
 * @slice: work that may still be done
 * @burst: packets that have not left
 * @faults: tried here with no packet sent in between
 * @near_qp: the QP that they reached on this host, referenced; for
 *	sodp_near_run()
 * @near_bytes: sent since it was run
 * @skb_psn: PSN of the first packet in the skb being filled
 * @skb_max: what w->max_psn was before it
 * @skb_reads: requests of READs there that w->ssn counts
 */
struct sodp_wreq_tx {
	struct sodp_qp *qp;
	struct sodp_wire_req *w;
	struct sodp_slice *slice;
	struct sodp_burst burst;
	struct sodp_qp *near_qp;
	u32 near_bytes;
	u32 faults;
	u32 skb_psn;
	u32 skb_max;
	u32 skb_reads;
};

static inline u32 *sodp_wreq_rd_end(struct sodp_wire_req *w, u32 nr)
{
	return &w->rd_end[(w->rd_first + nr) & w->rd_mask];
}

/* One that ends before @end was sent, perhaps not for the first time */
static inline void sodp_wreq_rd_push(struct sodp_wire_req *w, u32 end)
{
	if (likely(w->rd_out == w->rd_known)) {
		*sodp_wreq_rd_end(w, w->rd_out) = end;
		w->rd_known++;
	}
	w->rd_out++;
}

/* The answers up to @una are there */
static inline void sodp_wreq_rd_pop(struct sodp_wire_req *w)
{
	if (w->rd_known &&
	    sodp_psn_diff(w->una, *sodp_wreq_rd_end(w, 0)) >= 0) {
		w->rd_first++;
		w->rd_known--;
		/* Or it was about to be sent again */
		if (w->rd_out)
			w->rd_out--;
	}
}

/* The peer said how many receives it has, and the newest WQE exceeds that */
static inline bool sodp_wreq_out_of_credits(const struct sodp_wire_req *w,
					    u8 opcode, u32 ssn)
{
	return unlikely(w->limited) &&
	       (sodp_op_of(opcode)->flags & SODP_OP_RECV) &&
	       sodp_psn_diff(ssn, w->lsn) > 0;
}

/* wire.c */
int sodp_wreq_connect(struct sodp_qp *qp, u8 max_rd_atomic);

/* requester.c */
enum sodp_sq_result sodp_wreq_run(struct sodp_qp *qp,
				  struct sodp_slice *slice);
enum sodp_verdict sodp_wreq_load(struct sodp_qp *qp, u32 index);
void sodp_wreq_complete(struct sodp_qp *qp);
void sodp_wreq_fail(struct sodp_qp *qp, enum sodp_verdict verdict);

enum sodp_wreq_step sodp_wreq_refuse(struct sodp_wreq_tx *tx, u32 index,
				     enum sodp_verdict verdict);

/* near.c */
void sodp_near_handing(struct sodp_burst *burst, bool over);
void sodp_near_run(struct sodp_wreq_tx *tx);

static inline bool sodp_near_enough(const struct sodp_wreq_tx *tx)
{
	return tx->near_qp && tx->near_bytes >= sodp_policy.near_bytes;
}

/* send.c */
enum sodp_wreq_step sodp_wreq_message(struct sodp_wreq_tx *tx);

/* ack.c */
enum sodp_sq_result sodp_wreq_answers(struct sodp_qp *qp,
				      struct sodp_slice *slice);
void sodp_wreq_purge(struct sodp_qp *qp);

/* cc.c */
void sodp_cc_reset(struct sodp_wire_req *w);
void sodp_cc_grow(struct sodp_wire_req *w);
void sodp_cc_cut(struct sodp_wire_req *w, u32 keep);
void sodp_cc_timeout(struct sodp_wire_req *w);
void sodp_cc_rest(struct sodp_wire_req *w);
void sodp_cc_sample(struct sodp_wire_req *w);

/* The window stopped the sender */
static inline void sodp_cc_full(struct sodp_wire_req *w)
{
	w->cc.full = true;
	w->cc.full_psn = w->send_psn;
}

/* retry.c */
u64 sodp_wreq_wait_ns(const struct sodp_qp *qp);
void sodp_wreq_reset(struct sodp_qp *qp);
void sodp_wreq_progress(struct sodp_qp *qp);
void sodp_wreq_rewind(struct sodp_qp *qp);
void sodp_wreq_back(struct sodp_qp *qp);
void sodp_wreq_timeout(struct sodp_qp *qp);
void sodp_wreq_refused(struct sodp_wreq_tx *tx);
void sodp_wreq_arm(struct sodp_qp *qp);
void sodp_wreq_timer_init(struct sodp_wire_req *w);

#endif /* SODP_REQUESTER_H */
