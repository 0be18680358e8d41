/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * matrix.h - the transfer matrix: one side of it, and what one case is
 *
 * A side is a queue pair with memory of one kind. Its memory is a window of
 * 20 MiB around a 1 GiB boundary in each of three arenas, one for each sort of
 * pages. Both sides live in one process, or the second one in a child that
 * does what the first one tells it over a socket.
 */
#ifndef MATRIX_H
#define MATRIX_H

#include "common/t_mem.h"

#define ARENA_SIZE (2 * T_GIB)
#define WINDOW_HALF (10UL << 20)
#define WINDOW_SIZE (2 * WINDOW_HALF)
#define MAX_PIECES 4
#define MAX_LEN (8UL << 20)

/* What a receive buffer may be longer than its message */
#define RECV_SLACK 32

struct piece {
	uint32_t off; /* in the window */
	uint32_t len;
};

/* One side's part of a case */
struct span {
	enum t_pages pages;
	bool cold;
	unsigned int nr;
	struct piece piece[MAX_PIECES];
};

struct xfer {
	enum ibv_wr_opcode opcode;
	uint32_t len;
	uint32_t slack;
	uint32_t imm;
	uint64_t seed;
	uint64_t wr_id;
	struct span src;
	struct span dst;
};

enum command {
	CMD_ADDR,
	CMD_CONNECT,
	CMD_BACKGROUND, /* fill all windows */
	CMD_SOURCE,
	CMD_TARGET,
	CMD_CHECK,
	CMD_SWEEP, /* all windows must be background */
	CMD_WORD_SET, /* atomics: set one page */
	CMD_WORD_CHECK,
	CMD_QUIT,
};

/* 512 words, of which one is the target of an atomic */
struct word {
	enum t_pages pages;
	uint32_t off; /* of the word in the window */
	uint64_t value;
	bool cold;
};

struct request {
	enum command command;
	struct t_addr addr;
	struct xfer xfer;
	struct word word;
};

struct reply {
	struct t_addr addr;
	uint64_t window_iova[T_NR_PAGES];
	uint32_t rkey[T_NR_PAGES];
	bool bad;
	char text[256];
};

struct arena {
	char *base;
	char *window;
	struct ibv_mr *mr;
	uint64_t iova_delta;
};

struct side {
	struct t_dev dev;
	struct t_ep ep;
	enum t_kind kind;
	struct arena arena[T_NR_PAGES];
	char *expect;
};

void side_open(struct side *side, enum t_kind kind);
void side_do(struct side *side, const struct request *req,
	     struct reply *reply);
struct ibv_sge side_sge(const struct side *side, enum t_pages pages,
			uint64_t off, uint32_t len);

/* The other side, wherever it lives */
struct peer {
	struct side *local;
	int fd;
	pid_t pid;
	uint64_t window_iova[T_NR_PAGES];
	uint32_t rkey[T_NR_PAGES];
};

void peer_open(struct peer *peer, enum t_kind kind, bool other_process);
void peer_do(struct peer *peer, const struct request *req,
	     struct reply *reply);
void peer_close(struct peer *peer);
void peer_connect(struct peer *peer, struct side *side);

/* One group of the matrix, a line of TAP */
struct group {
	enum ibv_wr_opcode opcode; /* CAS stands for both atomics */
	enum t_kind local;
	enum t_kind remote;
	bool other_process;
	unsigned int number;
};

void group_transfers(void);
void group_atomics(void);

/* Cases of a group: false after the last one */
struct plan {
	const struct group *group;
	struct t_rand rand;
	unsigned int size_index;
	unsigned int case_index;
	unsigned int total;
};

void plan_init(struct plan *plan, const struct group *group);
bool plan_next(struct plan *plan, struct xfer *xfer);
void xfer_describe(const struct xfer *xfer, char *buf, size_t size);

#endif /* MATRIX_H */
