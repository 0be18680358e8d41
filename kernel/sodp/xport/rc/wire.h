/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a QP has when its peer is on another host.
 *
 *	requester.c ...	requester: packets out, answers in, retries
 *	way.c			what all QPs know of the way to an address
 *	responder.c ...	responder: requests in, acknowledges and data out
 */
#ifndef SODP_WIRE_H
#define SODP_WIRE_H

#include "net/net.h"
#include "qp/qp.h"
#include "xport/policy.h"
#include "xport/rxq.h"

/* rx.c: from softirq */
bool sodp_wire_wants(const struct sodp_qp *qp, const struct sodp_came *came,
		     const struct sodp_pkt *pkt);
void sodp_wire_receive(struct sodp_qp *qp, const struct sodp_came *came,
		       const struct sodp_pkt *pkt, struct sk_buff *skb);

/* ack.c: from softirq; it takes the skb over */
void sodp_wire_rx_responses(struct sodp_qp *qp, struct sk_buff *skb);

struct sodp_wire_resp;
struct sodp_wresp_rules;

/**
 * struct sodp_service - in what RC, XRC and UC differ
 * @opcodes: upper bits of the BTH opcodes of their packets. IBA table 38
 * @acked: the peer answers. Until it does, requests count as on their way and
 *	are repeated; it says how far it is, and what it will not do. Else a
 *	request is done when the stack has it, and what cannot be carried out is
 *	dropped
 * @enqueue: a train of requests comes; it is taken over. Softirq. False: there
 *	is nothing new to do
 * @rules: of the responder's steps
 */
struct sodp_service {
	u8 opcodes;
	bool acked;
	bool (*enqueue)(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			struct sk_buff *skb);
	const struct sodp_wresp_rules *rules;
};

/* A READ or atomic carried out, kept for duplicates of its request */
struct sodp_resource {
	bool valid;
	u8 opcode;		/* enum sodp_wr_opcode */
	u32 first_psn;
	u32 last_psn;
	u32 rkey;
	u32 srqn;		/* XRC only */
	u64 remote_addr;	/* READ */
	u64 length;		/* READ */
	u64 orig;		/* atomics: the answer */
	/* READ: the answer last begun, see again_absorbed() */
	u32 from;		/* its PSNs */
	u32 to;
	u32 by;			/* sodp_rx_cb.seq of what it was begun for */
	u32 at;			/* that of what had come by then */
};

/* A READ whose data is being sent */
struct sodp_read {
	bool active;
	bool partial;		/* the peer has the beginning of it */
	u32 psn;		/* of the next response packet */
	u32 end;		/* behind the last one */
	u32 until;		/* behind those of READs to be answered anew */
	u32 rkey;
	u32 srqn;		/* XRC only */
	u64 remote_addr;
	u64 length;
	u64 done;
	u32 skb_psn;		/* where the skb being filled begins */
	u64 skb_done;
};

/* What softirq tells a responder; bits of sodp_wire_resp.notes */
enum sodp_note {
	SODP_NOTE_GAP,		/* packets are missing at gap_psn */
	SODP_NOTE_KNOWN,	/* what came is done, or waits, already */
	SODP_NOTE_AGAIN,	/* a READ was asked for again */
};

/* What the responder is kept by; see sodp_wresp_set() */
enum sodp_wresp_state {
	SODP_WRESP_RUNS,	/* by nothing */
	SODP_WRESP_HELD,	/* it sends no READ data for now: hold.c */
	SODP_WRESP_WAITS,	/* a page: park.c */
	SODP_WRESP_AWAY,	/* likewise, and the peer was told to come back */
};

/**
 * struct sodp_wire_resp - the responder of a QP with a peer elsewhere
 * @qp: the QP that it is part of
 * @queue: trains of request packets, from softirq
 * @notes: enum sodp_note, set under the lock of @queue
 * @work: takes them from @queue
 * @wait: for a page that a request needs
 * @patience: runs when that wait has become too long for the peer
 *
 * Under the lock of @queue (rx.c):
 *
 * @tail: PSN behind what is done and what waits in @queue
 * @last_end: PSN behind what came last
 * @gap_psn: @tail when something came that is beyond it
 * @seq: trains queued; read by the worker without the lock
 * @run: how often the peer went back
 * @known: packets of SODP_NOTE_KNOWN
 *
 * The rest is under resp_mutex:
 *
 * @state: written by sodp_wresp_set()
 * @held_until: ns, of SODP_WRESP_HELD
 * @cur: the message under way
 * @msg_off: bytes of it in packets that are done
 * @in_message: between FIRST and LAST
 * @nak_sent: nothing but the expected PSN is listened to
 * @ack_owed: packets were carried out that no answer covers
 * @ack_due: the peer asked for an answer, or repeated a request
 * @acked: the packet in hand is acknowledged already
 * @unanswered: packets done since the last answer
 * @rnr_code: AETH timer it is given next time
 * @fault_ret: what the fault for the first packet of @queue ended with
 * @read: the READ being answered
 * @res: ring of the last READs and atomics
 * @res_size: its entries
 * @res_next: entry to use next
 */
struct sodp_wire_resp {
	struct sodp_qp *qp;
	struct sodp_rxq queue;
	unsigned long notes;
	struct work_struct work;
	struct sodp_wait wait;
	struct delayed_work patience;
	u32 tail;
	u32 last_end;
	u32 gap_psn;
	u32 seq;
	u32 run;
	u32 known;
	enum sodp_wresp_state state;
	u64 held_until;
	struct sodp_request cur;
	u64 msg_off;
	bool in_message;
	bool nak_sent;
	bool ack_owed;
	bool ack_due;
	bool acked;
	u32 unanswered;
	u8 rnr_code;
	int fault_ret;
	struct sodp_read read;
	struct sodp_resource *res;
	u32 res_size;
	u32 res_next;
};

/* The peer, or the network, said so, and it has not been acted on */
enum sodp_congested {
	SODP_CONGESTED_REQUESTS,	/* requester.c looks at it */
	SODP_CONGESTED_ANSWERS,		/* hold.c */
	SODP_CONGESTED_PEER,		/* it is owed a CNP: sodp_cnp_pay() */
};

/**
 * struct sodp_pace - READ data that may leave by and by
 * @rate: bytes in a millisecond; 0: there is no limit
 * @left: of them, in this one
 * @until: when this one ends, ns
 */
struct sodp_pace {
	u32 rate;
	u32 left;
	u64 until;
};

/**
 * struct sodp_wire - what a QP with a peer elsewhere has beside struct sodp_qp
 * @service: of the QP's type
 * @path: where its packets go
 * @way: what is known of how they get there
 * @requests: what the requester sends
 * @answers: what the responder sends
 * @hold_timer: runs the responder when it is not held any more
 * @pace: how much of it may leave; under resp_mutex
 * @congested: enum sodp_congested; atomic bit operations
 * @cnp_ns: when the peer was sent a CNP last; under either mutex
 * @ack_queue: trains of responses, from softirq, for the requester
 * @req: the requester's own state, under exec_mutex
 * @resp: the responder's
 *
 * Made by the modify that first sets a path to another host, freed with the
 * QP; softirq finds it through a referenced QP (READ_ONCE of qp->wire).
 */
struct sodp_wire {
	const struct sodp_service *service;
	struct sodp_path path;
	struct sodp_way *way;
	struct sodp_flow requests;
	struct sodp_flow answers;
	struct hrtimer hold_timer;
	struct sodp_pace pace;
	unsigned long congested;
	atomic64_t cnp_ns;
	struct sodp_rxq ack_queue;
	struct sodp_wire_req *req;
	struct sodp_wire_resp resp;
};

/* wire.c */
int sodp_wire_init(void);
void sodp_wire_exit(void);

/* service.c */
const struct sodp_service *sodp_service_of(enum ib_qp_type type);

static inline bool sodp_is_acked(const struct sodp_qp *qp)
{
	return qp->wire->service->acked;
}

/* rx.c */
bool sodp_wresp_enqueue_acked(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			      struct sk_buff *skb);
bool sodp_wresp_enqueue_any(struct sodp_qp *qp, struct sodp_wire_resp *resp,
			    struct sk_buff *skb);
void sodp_wresp_rewind_tail(struct sodp_qp *qp);
bool sodp_wresp_take_gap(struct sodp_qp *qp);
void sodp_wresp_take_known(struct sodp_qp *qp);
void sodp_wresp_forget_notes(struct sodp_wire_resp *resp);

/* way.c */
struct sodp_way;
int sodp_way_init(void);
void sodp_way_exit(void);
struct sodp_way *sodp_way_get(const struct sodp_path *path);
void sodp_way_put(struct sodp_way *way);
u64 sodp_way_sample(struct sodp_way *way, u64 rtt, u64 now, bool *drain);

/* hold.c */
void sodp_wresp_hold_init(struct sodp_wire *wire);
void sodp_wresp_hold(struct sodp_qp *qp, u64 ns);
bool sodp_wresp_held(struct sodp_qp *qp);
void sodp_wresp_pace(struct sodp_qp *qp, u32 bytes);

/* cnp.c */
void sodp_cnp_send(struct sodp_qp *qp);
void sodp_cnp_rx(struct sodp_qp *qp);
void sodp_ce_rx(struct sodp_qp *qp, u32 nr, bool request);

static inline void sodp_cnp_pay(struct sodp_qp *qp)
{
	if (unlikely(test_bit(SODP_CONGESTED_PEER, &qp->wire->congested)))
		sodp_cnp_send(qp);
}

/* responder.c: the responder's part of making, resetting and freeing */
int sodp_wresp_init(struct sodp_qp *qp, struct sodp_wire_resp *resp);
int sodp_wresp_connect(struct sodp_qp *qp, u8 max_dest_rd_atomic);
void sodp_wresp_reset(struct sodp_qp *qp);
void sodp_wresp_free(struct sodp_wire_resp *resp);
void sodp_wresp_kick(struct sodp_qp *qp);
void sodp_wresp_rescue(struct sodp_qp *qp);
void sodp_wresp_run(struct sodp_qp *qp, u64 *bytes, struct sodp_turn *turn);

/* near.c */
bool sodp_near_take(struct sodp_qp *qp);

/* park.c */
void sodp_wresp_set(struct sodp_qp *qp, enum sodp_wresp_state state);
void sodp_wresp_park_init(struct sodp_qp *qp, struct sodp_wire_resp *resp);
void sodp_wresp_park(struct sodp_qp *qp, const struct odp_miss *miss);
void sodp_wresp_unpark(struct sodp_qp *qp);
void sodp_wresp_send_away(struct sodp_qp *qp);

/* answer.c */
void sodp_wresp_ack(struct sodp_qp *qp, u8 syndrome, u32 psn);
void sodp_wresp_ack_alive(struct sodp_qp *qp, u32 psn);
void sodp_wresp_flush_ack(struct sodp_qp *qp);
void sodp_wresp_answer_empty(struct sodp_qp *qp, u32 psn);
void sodp_wresp_answer_atomic(struct sodp_qp *qp, u32 psn, u64 orig);
enum sodp_verdict sodp_wresp_read_slice(struct sodp_qp *qp, u64 *budget,
					struct sodp_stop *stop);

/* again.c */
void sodp_wresp_keep(struct sodp_qp *qp, const struct sodp_request *req,
		     u32 seq);
bool sodp_wresp_replay(struct sodp_qp *qp, const struct sodp_pkt *pkt,
		       u32 seq);
bool sodp_wresp_knows_read(struct sodp_qp *qp, const struct sodp_pkt *pkt);
void sodp_wresp_look_again(struct sodp_qp *qp);
bool sodp_wresp_owes_data(struct sodp_qp *qp);
void sodp_wresp_next_answer(struct sodp_qp *qp);

/* Under resp_mutex */
static inline bool sodp_wresp_waits(const struct sodp_wire_resp *resp)
{
	return resp->state == SODP_WRESP_WAITS ||
	       resp->state == SODP_WRESP_AWAY;
}

static inline bool sodp_noted(const struct sodp_wire_resp *resp,
			      enum sodp_note note)
{
	return unlikely(test_bit(note, &resp->notes));
}

#endif /* SODP_WIRE_H */
