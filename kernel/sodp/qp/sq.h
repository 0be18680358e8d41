/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What the executor of a send queue (sq.c) and the requester on the wire
 * (rc/requester.c ...) need of each other.
 */
#ifndef SODP_SQ_H
#define SODP_SQ_H

#include "qp/qp.h"

enum sodp_sq_result {
	SODP_SQ_IDLE,	/* nothing to do until a bell */
	SODP_SQ_PARKED,	/* something else will run it */
	SODP_SQ_MORE,	/* slice used up */
};

/**
 * struct sodp_slice - work that one turn may still do
 * @bytes: to be moved
 * @near: to be moved for the peer, see rc/near.c
 * @wqes: to be begun
 * @answers: packets of the peer that it took
 * @counter: counts the WQEs begun
 * @turn: whose it is, and when it ends
 */
struct sodp_slice {
	u64 bytes;
	u64 near;
	u32 wqes;
	u32 answers;
	enum sodp_counter counter;
	struct sodp_turn turn;
};

/**
 * struct sodp_sq_entry - what a completion says of its WQE
 * @wr_id: the application's
 * @length: bytes
 * @opcode: enum sodp_wr_opcode
 * @flags: enum sodp_send_flags
 * @vendor_err: enum sodp_vendor_err
 */
struct sodp_sq_entry {
	u64 wr_id;
	u32 length;
	u32 vendor_err;
	u8 opcode;
	u8 flags;
};

int sodp_sq_complete(struct sodp_qp *qp, const struct sodp_sq_entry *entry,
		     u8 status);
void sodp_sq_sent(struct sodp_qp *qp);
void sodp_sq_fail(struct sodp_qp *qp, enum sodp_verdict verdict);
void sodp_sq_fatal(struct sodp_qp *qp);
bool sodp_sq_unpark(struct sodp_qp *qp, enum sodp_verdict *verdict);
bool sodp_sq_fault_inline(struct sodp_qp *qp, struct sodp_stop *stop,
			  u32 *tries, struct sodp_turn *turn);
bool sodp_sq_may_begin(struct sodp_qp *qp, bool drained);
bool sodp_sq_has_entry(struct sodp_qp *qp, u32 next);

/* Entry number @index of the ring, which the application may be changing */
static inline const u8 *sodp_sq_slot(const struct sodp_qp *qp, u32 index)
{
	const struct sodp_requester *req = &qp->req;

	return req->sq + (index & (req->sq_depth - 1)) * (size_t)req->sq_stride;
}

#endif /* SODP_SQ_H */
