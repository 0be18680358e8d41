/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * rig.h - a QP and its CQ on the fake kernel, and how a test complains
 *
 * Indices of the QP start just below 2^32, so every test crosses the wrap.
 */
#ifndef SODP_TEST_RIG_H
#define SODP_TEST_RIG_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_kernel.h"

#define FIRST 0xfffffffdU

extern int test_failed;

#define CHECK(cond)                                                         \
	do {                                                                \
		if (!(cond)) {                                              \
			printf("# %s:%d: %s\n", __func__, __LINE__, #cond); \
			test_failed = 1;                                    \
		}                                                           \
	} while (0)

#define RC_OPS                                                      \
	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_SEND_WITH_IMM | \
	 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |  \
	 IBV_QP_EX_WITH_BIND_MW)

struct rig {
	struct sodp_context *ctx;
	struct sodp_pd pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_qp_ex *qpx;
	char buf[256];
};

struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test post_tests[];
extern const struct test wr_tests[];
extern const struct test cq_tests[];

void rig_set_state(struct rig *rig, enum ibv_qp_state state);
void rig_open(struct rig *rig, enum ibv_qp_type type, uint64_t ops);
void rig_close(struct rig *rig);

#endif /* SODP_TEST_RIG_H */
