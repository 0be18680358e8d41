/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* interop.h - the operations of wire-interop and what they share */
#ifndef INTEROP_H
#define INTEROP_H

#include "wire.h"

/* Atomics walk over these */
#define IO_WORDS (4 * T_PAGE / 8)

struct io_op {
	const char *name;
	void (*fn)(void);
	unsigned int types; /* bits of enum ibv_qp_type */
	enum ibv_wr_opcode opcode;
	enum ibv_wc_opcode wc_opcode;
	enum w_recv recv;
	/* What an end must have for on-demand memory: requester, responder */
	uint32_t odp_here;
	uint32_t odp_there;
	/* What both devices must have, of device_cap_flags_ex */
	uint64_t caps;
	uint64_t wr_ops;
};

struct io_group {
	const struct io_op *op;
	enum ibv_qp_type type;
	enum t_kind here;
	enum t_kind there;
	bool v6;
	unsigned int number;
};

/* A transfer between the same buffer of both ends */
struct io_xfer {
	struct w_place src;
	struct w_place dst;
};

void io_open(const struct io_group *g, struct w_wire *wire);
void io_make_xfer(const struct io_group *g, const struct w_wire *wire,
		  struct t_rand *r, uint32_t len, struct io_xfer *x);
/* A command at this end or the other; fails when the reply is bad */
void io_at(struct w_wire *wire, bool there, enum w_cmd cmd,
	   const struct w_place *place);
enum w_cold io_any_cold(struct t_rand *r, enum t_kind kind);
/* The next completion must be this good one. */
void io_want(const struct io_group *g, struct w_wire *wire, uint64_t id);
/* Background, one word of it set; later the word as it must be by then */
void io_word(struct w_wire *wire, enum w_cmd cmd, uint64_t off,
	     uint64_t value, enum w_cold cold);

/* interop_odd.c */
void io_send_inv(void);
void io_flush(void);
void io_atomic_write(void);

#endif /* INTEROP_H */
