/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * abi.h - command structs of the sodp ABI in the form that ibv_cmd_* wants
 *
 * Each response is the core's struct followed at once by the driver's. The
 * asserts pin what <rdma/sodp-abi.h> promises: a size that changes here is an
 * ABI break, not a detail.
 */
#ifndef SODP_PROVIDER_ABI_H
#define SODP_PROVIDER_ABI_H

#include <assert.h>
#include <stddef.h>

#include <infiniband/driver.h>
#include <infiniband/kern-abi.h>
#include <rdma/sodp-abi.h>

#define SODP_DECLARE_RESP(_name, _core, _drv)                              \
	struct _name {                                                     \
		struct _core ibv_resp;                                     \
		struct _drv drv;                                           \
	};                                                                 \
	static_assert(offsetof(struct _name, drv) == sizeof(struct _core), \
		      "driver response must follow the core's at once");   \
	static_assert(sizeof(struct _name) ==                              \
			      sizeof(struct _core) + sizeof(struct _drv),  \
		      "no padding behind a response")

SODP_DECLARE_RESP(sodp_get_context_cmd_resp, ib_uverbs_get_context_resp,
		  sodp_alloc_ucontext_resp);
SODP_DECLARE_RESP(sodp_create_cq_cmd_resp, ib_uverbs_create_cq_resp,
		  sodp_create_cq_resp);
SODP_DECLARE_RESP(sodp_create_cq_ex_cmd_resp, ib_uverbs_ex_create_cq_resp,
		  sodp_create_cq_resp);
SODP_DECLARE_RESP(sodp_resize_cq_cmd_resp, ib_uverbs_resize_cq_resp,
		  sodp_resize_cq_resp);
SODP_DECLARE_RESP(sodp_create_srq_cmd_resp, ib_uverbs_create_srq_resp,
		  sodp_create_srq_resp);
SODP_DECLARE_RESP(sodp_create_qp_cmd_resp, ib_uverbs_create_qp_resp,
		  sodp_create_qp_resp);
SODP_DECLARE_RESP(sodp_create_ah_cmd_resp, ib_uverbs_create_ah_resp,
		  sodp_create_ah_resp);

/* And each command the driver's behind the core's */
struct sodp_create_qp_cmd_req {
	struct ibv_create_qp ibv_cmd;
	struct sodp_create_qp_cmd drv;
};

struct sodp_create_srq_cmd_req {
	struct ibv_create_srq ibv_cmd;
	struct sodp_create_srq_cmd drv;
};

struct sodp_create_srq_ex_cmd_req {
	struct ibv_create_xsrq ibv_cmd;
	struct sodp_create_srq_cmd drv;
};

static_assert(offsetof(struct sodp_create_qp_cmd_req, drv) ==
		      sizeof(struct ibv_create_qp),
	      "driver command must follow the core's at once");
static_assert(offsetof(struct sodp_create_srq_cmd_req, drv) ==
		      sizeof(struct ibv_create_srq),
	      "driver command must follow the core's at once");
static_assert(offsetof(struct sodp_create_srq_ex_cmd_req, drv) ==
		      sizeof(struct ibv_create_xsrq),
	      "driver command must follow the core's at once");

static_assert(sizeof(struct sodp_sge) == 16, "ABI size");
static_assert(sizeof(struct sodp_sqe) == 64, "ABI size");
static_assert(sizeof(struct sodp_rqe) == 16, "ABI size");
static_assert(sizeof(struct sodp_cqe) == 64, "ABI size");
static_assert(sizeof(struct sodp_qp_page) == 192, "ABI size");
static_assert(sizeof(struct sodp_srq_page) == 128, "ABI size");
static_assert(sizeof(struct sodp_cq_page) == 128, "ABI size");
static_assert(sizeof(struct sodp_alloc_ucontext_resp) == 16, "ABI size");
static_assert(sizeof(struct sodp_create_cq_resp) == 40, "ABI size");
static_assert(sizeof(struct sodp_resize_cq_resp) == 40, "ABI size");
static_assert(sizeof(struct sodp_create_srq_resp) == 48, "ABI size");
static_assert(sizeof(struct sodp_modify_srq_cmd) == 8, "ABI size");
static_assert(sizeof(struct sodp_modify_srq_resp) == 32, "ABI size");
static_assert(sizeof(struct sodp_create_srq_cmd) == 8, "ABI size");
static_assert(sizeof(struct sodp_create_qp_cmd) == 16, "ABI size");
static_assert(sizeof(struct sodp_create_qp_resp) == 64, "ABI size");
static_assert(sizeof(struct sodp_create_ah_resp) == 8, "ABI size");
static_assert(sizeof(struct sodp_dm_query_resp) == 32, "ABI size");

/* Entries are copied field for field, so the numbers must be the same */
static_assert(sizeof(struct sodp_sge) == sizeof(struct ibv_sge) &&
		      offsetof(struct sodp_sge, length) ==
			      offsetof(struct ibv_sge, length) &&
		      offsetof(struct sodp_sge, lkey) ==
			      offsetof(struct ibv_sge, lkey),
	      "an SGE is copied as it is");
static_assert(SODP_WR_RDMA_WRITE == (int)IBV_WR_RDMA_WRITE &&
		      SODP_WR_SEND_WITH_INV == (int)IBV_WR_SEND_WITH_INV,
	      "opcodes are passed through");
static_assert(SODP_SEND_FENCE == (int)IBV_SEND_FENCE &&
		      SODP_SEND_SIGNALED == (int)IBV_SEND_SIGNALED &&
		      SODP_SEND_SOLICITED == (int)IBV_SEND_SOLICITED &&
		      SODP_SEND_INLINE == (int)IBV_SEND_INLINE,
	      "send flags are passed through");
static_assert(SODP_WC_RECV == (int)IBV_WC_RECV &&
		      SODP_WC_RECV_RDMA_WITH_IMM ==
			      (int)IBV_WC_RECV_RDMA_WITH_IMM &&
		      SODP_WC_LOCAL_INV == (int)IBV_WC_LOCAL_INV,
	      "completion opcodes are passed through");
static_assert(SODP_WC_GRH == (int)IBV_WC_GRH &&
		      SODP_WC_WITH_IMM == (int)IBV_WC_WITH_IMM &&
		      SODP_WC_WITH_INV == (int)IBV_WC_WITH_INV,
	      "completion flags are passed through");

#endif /* SODP_PROVIDER_ABI_H */
