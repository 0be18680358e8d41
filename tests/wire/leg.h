/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * leg.h - queue pairs of every transport between two devices of this process
 *
 * The devices may be on netdevs in other network namespaces: verbs do not
 * mind. $SODP_DEV_A, $SODP_GID_A and $SODP_DEV_B, $SODP_GID_B name them.
 */
#ifndef LEG_H
#define LEG_H

#include "common/t_mem.h"

#define LEG_QKEY 0x11223344
#define LEG_CAP_FLUSH (1ULL << 38) /* in device_cap_flags_ex */
#define LEG_CAP_ATOMIC_WRITE (1ULL << 40)
#define LEG_ALL_OPS                                                       \
	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
	 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |             \
	 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |   \
	 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD)

struct leg_opt {
	enum ibv_qp_type type; /* XRC_SEND, XRC_RECV for the ends of XRC */
	uint32_t depth;
	uint64_t wr_ops; /* beyond the usual ones of the type */
	unsigned int access; /* remote rights */
	uint32_t psn;
	enum ibv_mtu mtu;
	uint8_t timeout;
	uint8_t retry_cnt;
	uint8_t rnr_retry;
	uint8_t min_rnr;
	uint8_t rd_atomic; /* READs and atomics asked at once; 16 are answered */
	uint8_t tclass; /* of the address */
	bool odp; /* where the device can */
};

#define LEG_OPT                                                           \
	{                                                                 \
		.type = IBV_QPT_RC, .depth = 64, .psn = 0xffff00,         \
		.access = T_ACCESS_ALL & ~IBV_ACCESS_LOCAL_WRITE,         \
		.mtu = IBV_MTU_1024, .timeout = 14, .retry_cnt = 7,       \
		.rnr_retry = 7, .min_rnr = 1, .rd_atomic = 16,            \
	}

struct leg {
	struct t_dev *dev;
	struct leg_opt opt;
	struct ibv_cq *scq;
	struct ibv_cq *rcq;
	struct ibv_qp *qp;
	struct ibv_qp_ex *qpx; /* NULL for XRC_RECV */
	struct ibv_xrcd *xrcd; /* XRC_RECV */
	struct ibv_srq *srq;
	uint32_t srqn;
	/* buffer */
	char *buf;
	size_t len;
	struct ibv_mr *mr;
	struct ibv_ah *ah; /* UD: to the peer */
};

void leg_devices(struct t_dev *a, struct t_dev *b);
void leg_open(struct leg *leg, struct t_dev *dev, size_t len,
	      const struct leg_opt *opt);
void leg_close(struct leg *leg);
/* INIT to RTS, one or both */
void leg_connect(struct leg *leg, const struct leg *peer);
void leg_join(struct leg *a, struct leg *b);
void leg_reset(struct leg *leg);
void leg_recv(struct leg *leg, uint64_t wr_id, size_t off, uint32_t len);
enum ibv_qp_state leg_state(const struct leg *leg);

/* A request of one SGE at an offset; begin, one ibv_wr_ call, then this */
struct ibv_qp_ex *leg_begin(struct leg *leg, uint64_t wr_id);
void leg_end(struct leg *leg, const struct leg *peer, size_t off,
	     uint32_t len);

static inline uint64_t leg_addr(const struct leg *leg, size_t off)
{
	return (uintptr_t)leg->buf + off;
}

#endif /* LEG_H */
