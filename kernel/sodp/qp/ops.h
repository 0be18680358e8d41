/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What each send opcode is, in one table that requester and responder share.
 */
#ifndef SODP_OPS_H
#define SODP_OPS_H

#include "qp/qp.h"

enum sodp_op_flags {
	SODP_OP_OUT	= 1 << 1,	/* payload goes to the responder */
	SODP_OP_IN	= 1 << 2,	/* payload or result comes back */
	SODP_OP_RECV	= 1 << 3,	/* consumes a receive */
	SODP_OP_RDMA	= 1 << 4,	/* names remote memory by rkey */
	SODP_OP_ATOMIC	= 1 << 5,	/* 8 aligned bytes, executed once */
	SODP_OP_LOCAL	= 1 << 6,	/* never leaves the requester */
	SODP_OP_RD	= 1 << 7,	/* has an answer of its own: rd_atomic */
};

/* Kinds of QP, as far as opcodes go: IBA table 38 */
enum sodp_op_qps {
	SODP_ON_RC	= 1 << 0,	/* XRC as well */
	SODP_ON_UC	= 1 << 1,
	SODP_ON_UD	= 1 << 2,	/* GSI as well */
	SODP_ON_KERNEL	= 1 << 3,	/* RC, and a kernel consumer's */
};

/**
 * struct sodp_op - one opcode
 * @flags: enum sodp_op_flags
 * @qps: enum sodp_op_qps: whose send queue takes it
 * @wc_opcode: of the requester's completion
 * @access: IB_ACCESS_REMOTE_* that the responder's memory must grant
 * @name: for debug messages
 */
struct sodp_op {
	u8 flags;
	u8 qps;
	u8 wc_opcode;
	u32 access;
	const char *name;
};

#define SODP_NR_OPS	16

extern const struct sodp_op sodp_ops[SODP_NR_OPS];

/* @opcode is the user's, checked already to be below SODP_NR_OPS */
static inline const struct sodp_op *sodp_op_of(u8 opcode)
{
	return &sodp_ops[opcode & (SODP_NR_OPS - 1)];
}

/* What the responder says of its memory when a fault ended with @ret */
static inline enum sodp_verdict sodp_op_fault_verdict(const struct sodp_op *op,
						      int ret)
{
	/* It is mapped, and bad: nothing is wrong with the requester's right */
	if (ret == -EHWPOISON)
		return SODP_E_REM_OP;
	return op->flags & SODP_OP_RDMA ? SODP_E_REM_ACCESS : SODP_E_REM_OP;
}

#endif /* SODP_OPS_H */
