/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Between the responder's loop and the steps of a packet */
#ifndef SODP_RESPONDER_H
#define SODP_RESPONDER_H

#include "qp/ops.h"
#include "xport/rc/wire.h"

/* Packets carried out as one, and a little more: on the stack */
#define WRESP_RUN_BUFS		24

/* What becomes of a packet */
enum wresp_fate {
	WRESP_NEXT,	/* go on with the next step */
	WRESP_DONE,	/* consumed */
	WRESP_DROP,	/* consumed, nothing came of it */
	WRESP_STAY,	/* not now: the worker will be run again */
	WRESP_REFUSE,	/* NAK, then the error state */
};

/**
 * struct wresp_ctx - a packet, or a run of them, on its way through the steps
 * @qp: the responder
 * @resp: its state
 * @skb: train that they are in
 * @pkt: the first
 * @nr: packets: what follows the first in one message of one train
 * @length: bytes of payload of them all
 * @last: the message ends with them
 * @ack_req: one of them wants an answer
 * @solicited: the last one says so
 * @bufs: where the payload is
 * @nr_bufs: entries of it
 * @budget: bytes that may be moved
 * @looked: what @budget was when the clock was looked at
 * @turn: whose turn it is
 * @faults: tried here with no progress in between
 * @verdict: of WRESP_REFUSE
 */
struct wresp_ctx {
	struct sodp_qp *qp;
	struct sodp_wire_resp *resp;
	struct sk_buff *skb;
	struct sodp_pkt pkt;
	u32 nr;
	u32 length;
	bool last;
	bool ack_req;
	bool solicited;
	struct sodp_buf bufs[WRESP_RUN_BUFS];
	u32 nr_bufs;
	u64 budget;
	u64 looked;
	struct sodp_turn *turn;
	u32 faults;
	enum sodp_verdict verdict;
};

/**
 * struct sodp_wresp_rules - what becomes of packets that cannot be carried out
 * @unexpected: it has not the PSN that is next; how far it is ahead
 * @refuse: something is wrong with it
 * @no_receive: it needs one, and there is none
 */
struct sodp_wresp_rules {
	enum wresp_fate (*unexpected)(struct wresp_ctx *c, s32 ahead);
	enum wresp_fate (*refuse)(struct wresp_ctx *c,
				  enum sodp_verdict verdict);
	enum wresp_fate (*no_receive)(struct wresp_ctx *c);
};

extern const struct sodp_wresp_rules sodp_wresp_acked;
extern const struct sodp_wresp_rules sodp_wresp_silent;

/* request.c */
bool sodp_wresp_packet(struct wresp_ctx *c);
enum wresp_fate sodp_wresp_gap(struct wresp_ctx *c);
enum wresp_fate sodp_wresp_miss(struct wresp_ctx *c,
				const struct sodp_stop *stop);
void sodp_wresp_fail(struct sodp_qp *qp, enum sodp_verdict verdict, u32 psn);

#endif /* SODP_RESPONDER_H */
