/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * wire.h - the two ends of a wire
 *
 * An end is a device with buffers and queue pairs. The test has one in its own
 * process; the other one lives in a child of wire-peer, on the far side of the
 * wire, and does what requests over TCP tell it. Both know the same commands,
 * so that a plan can be carried out in either direction.
 */
#ifndef WIRE_H
#define WIRE_H

#include "common/t_mem.h"

#define W_NR_BUFS 3
#define W_NR_QPS 16
#define W_GRH 40
#define W_QKEY 0x11111111

/* In device_cap_flags_ex */
#define W_CAP_FLUSH (1ULL << 38)
#define W_CAP_ATOMIC_WRITE (1ULL << 40)

/* How far around a target bytes are checked */
#define W_MARGIN T_PAGE

enum w_cold {
	W_WARM,
	W_COLD, /* away from the device */
	W_GONE, /* and from the process: what was there is lost */
	W_SWAPPED, /* and from the process, into the swap device of W_SWAP */
};

enum w_recv {
	W_NO_RECV,
	W_RECV_IMM, /* of a WRITE: takes no memory */
	W_RECV_MSG,
	W_RECV_MSG_IMM,
	W_RECV_MSG_INV, /* imm is the key that went */
};

enum w_cmd {
	W_OPEN,
	W_BUF,
	W_QP,
	W_CONNECT,
	W_SOURCE, /* data at a place */
	W_TARGET, /* background around a place, a receive for it */
	W_CHECK, /* data there, the rest unchanged */
	W_WORD_SET,
	W_WORD_CHECK,
	W_BIND, /* a memory window to a place */
	W_DELAY, /* pages that come late, by userfaultfd */
	W_DELAY_FILE, /* or from a slow file system */
	W_SWAP, /* have a swap device, or none */
	W_SINK, /* take messages until the next request */
	W_SUNK, /* how many were taken */
	W_COUNTER,
	W_QUIT,
};

struct w_qp_opt {
	enum ibv_qp_type type;
	bool v6;
	uint8_t timeout;
	uint8_t retry_cnt;
	uint8_t rnr_retry;
	uint8_t min_rnr;
	uint8_t rd_atomic;
	uint16_t depth;
	uint64_t wr_ops; /* IBV_QP_EX_WITH_*, 0: no ibv_wr_* */
};

#define W_QP_OPT                                                          \
	{                                                                 \
		.type = IBV_QPT_RC, .timeout = 17, .retry_cnt = 7,        \
		.rnr_retry = 7, .min_rnr = 1, .rd_atomic = 4, .depth = 16 \
	}

struct w_addr {
	uint32_t qpn;
	uint32_t psn;
	union ibv_gid gid;
	enum ibv_mtu mtu;
};

/* A place in a buffer and what is or shall be there */
struct w_place {
	unsigned int buf;
	uint64_t off;
	uint64_t len;
	uint64_t seed;
	enum w_cold cold;
	enum w_recv recv;
	uint32_t imm;
};

struct w_req {
	enum w_cmd cmd;
	unsigned int qp;
	struct w_place place;
	enum t_kind kind;
	enum t_pages pages;
	struct w_qp_opt opt;
	struct w_addr addr;
	uint64_t value;
	unsigned int ms;
	char name[48];
};

struct w_rep {
	uint32_t magic;
	bool skip;
	bool bad;
	char text[256];
	char device[64];
	struct w_addr addr;
	uint64_t iova;
	uint32_t rkey;
	enum ibv_atomic_cap atomic;
	struct ibv_odp_caps odp;
	uint64_t caps; /* device_cap_flags_ex */
	uint64_t value;
};

struct w_buf {
	char *base;
	uint64_t size;
	enum t_kind kind;
	enum t_pages pages;
	struct ibv_mr *mr;
	uint64_t delta; /* iova - address */
};

struct w_qp {
	struct w_qp_opt opt;
	struct ibv_qp *qp;
	struct ibv_qp_ex *qpx; /* with opt.wr_ops */
	struct ibv_cq *scq;
	struct ibv_cq *rcq;
	struct ibv_ah *ah;
	struct w_addr addr;
	struct w_addr peer;
	/* Of W_SINK */
	uint64_t taken;
	uint64_t posted;
};

struct w_end {
	struct t_dev dev;
	int gid6_index;
	struct w_buf buf[W_NR_BUFS];
	struct w_qp qp[W_NR_QPS];
	struct ibv_mw *mw;
	unsigned char *expect;
};

/* Carries out a command at this end. */
void end_do(struct w_end *end, const struct w_req *req, struct w_rep *rep);
struct ibv_sge end_sge(const struct w_end *end, unsigned int buf, uint64_t off,
		       uint32_t len);
/* All rights that its device can give */
unsigned int end_access(const struct w_end *end);

/* end_mem.c */
void end_buf(struct w_end *end, const struct w_req *req, struct w_rep *rep);
void end_source(struct w_end *end, const struct w_place *place);
void end_target(struct w_end *end, unsigned int qp,
		const struct w_place *place);
void end_check(struct w_end *end, unsigned int qp, const struct w_place *place,
	       struct w_rep *rep);
void end_word_set(struct w_end *end, const struct w_req *req);
void end_word_check(struct w_end *end, const struct w_req *req,
		    struct w_rep *rep);

/* end_late.c */
void end_delay(struct w_end *end, const struct w_req *req);
void end_delay_file(struct w_end *end, const struct w_req *req);

/* end_qp.c */
void end_qp(struct w_end *end, const struct w_req *req, struct w_rep *rep);
void end_connect(struct w_end *end, unsigned int qp,
		 const struct w_addr *peer);
int end_post(struct w_end *end, unsigned int qp, struct ibv_send_wr *wr);
void end_bind(struct w_end *end, unsigned int qp, const struct w_place *place,
	      struct w_rep *rep);
void end_sink(struct w_end *end, int fd, struct w_rep *rep);
void end_sunk(struct w_end *end, unsigned int qp, struct w_rep *rep);
void end_want_recv(struct w_end *end, unsigned int qp,
		   const struct w_place *place, struct w_rep *rep);

/* What W_SINK expects of message number seq of a QP */
static inline uint64_t w_msg_seed(unsigned int qp, uint32_t seq)
{
	return ((uint64_t)qp << 40) + seq + 77;
}

#define W_MSG_MAX 16384U

/* The other end */
struct w_peer {
	int fd;
};

/* Connects to $WIRE_PEER, ADDRESS:PORT. */
void peer_open(struct w_peer *peer);
void peer_tell(struct w_peer *peer, const struct w_req *req);
void peer_hear(struct w_peer *peer, struct w_rep *rep);
/* Both; fails the test, or skips it, when the peer says so. */
void peer_do(struct w_peer *peer, const struct w_req *req, struct w_rep *rep);

/* Both ends open, buffers of their kinds, QPs connected */
struct w_wire {
	struct w_end here;
	struct w_peer peer;
	struct w_rep there; /* what the peer's device is */
	uint64_t iova[W_NR_BUFS]; /* at the peer */
	uint32_t rkey[W_NR_BUFS];
	enum ibv_mtu mtu;
};

void wire_open(struct w_wire *wire);
void wire_buf(struct w_wire *wire, unsigned int buf, uint64_t size,
	      enum t_kind here, enum t_kind there, enum t_pages pages);
void wire_qp(struct w_wire *wire, unsigned int qp, const struct w_qp_opt *opt);
/* A signaled request between the same buffer of both ends; 0 or an errno */
int wire_post(struct w_wire *wire, unsigned int qp, enum ibv_wr_opcode opcode,
	      uint64_t wr_id, uint64_t local, uint64_t remote, uint32_t len,
	      uint32_t imm);
void wire_close(struct w_wire *wire);

/* For the reasons of skips */
static inline const char *w_kind_of(const char *device)
{
	return strncmp(device, "rxe", 3) ? "sodp" : "rxe";
}

/* A port counter of a device; false: it has none of this name */
bool w_counter(const char *device, const char *name, uint64_t *value);
unsigned int w_env(const char *name, unsigned int otherwise);

#endif /* WIRE_H */
