/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * kt.h - tests of kernel verbs: a consumer in the kernel, as ULPs are
 */
#ifndef SODP_KVERBS_TEST_H
#define SODP_KVERBS_TEST_H

#include "expect.h"

#include <linux/completion.h>
#include <linux/sizes.h>
#include <rdma/ib_verbs.h>

#define KT_BUF_SIZE	SZ_256K

struct kt_case {
	const char *name;
	int (*run)(struct ib_device *dev);
};

extern const struct kt_case kt_data_cases[];
extern const struct kt_case kt_fastreg_cases[];
extern const struct kt_case kt_queue_cases[];

/* A work request and what became of it */
struct kt_wr {
	struct ib_cqe cqe;
	struct completion done;
	struct ib_cq *cq;
	enum ib_wc_status status;
	enum ib_wc_opcode opcode;
	u32 byte_len;
	u32 ex;
	int flags;
};

struct kt_side {
	struct ib_qp *qp;
	struct ib_cq *cq;
	u8 *buf;		/* KT_BUF_SIZE bytes of the kernel's mapping */
};

/* Two connected RC QPs of one device, and what they need */
struct kt_pair {
	struct ib_device *dev;
	struct ib_pd *pd;
	struct ib_srq *srq;
	struct kt_side a, b;
};

int kt_pair_open(struct kt_pair *p, struct ib_device *dev,
		 enum ib_poll_context context, bool srq);
void kt_pair_close(struct kt_pair *p);
int kt_pair_reconnect(struct kt_pair *p);
int kt_side_open(struct kt_pair *p, struct kt_side *side,
		 enum ib_poll_context context);
void kt_side_close(struct kt_side *side);
int kt_connect(struct ib_qp *qp, u32 peer);

void kt_wr_init(struct kt_wr *wr, struct kt_side *side);
int kt_wait(struct kt_wr *wr);
int kt_recv(struct kt_side *side, struct kt_wr *wr, struct ib_sge *sge,
	    int num);
int kt_post(struct kt_side *side, struct kt_wr *wr, struct ib_send_wr *send);
int kt_run(struct kt_side *side, struct ib_send_wr *send);
int kt_rdma(struct kt_side *side, enum ib_wr_opcode opcode, void *local,
	    u32 length, u64 remote, u32 rkey);
void kt_fill(u8 *buf, size_t len, u32 seed);
bool kt_filled(const u8 *buf, size_t len, u32 seed);

static inline struct ib_sge kt_sge(struct kt_pair *p, void *addr, u32 length)
{
	return (struct ib_sge){
		.addr = (uintptr_t)addr,
		.length = length,
		.lkey = p->pd->local_dma_lkey,
	};
}

#endif /* SODP_KVERBS_TEST_H */
