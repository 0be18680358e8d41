/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Counters of a device and of sets of QPs, and what `rdma` shows of objects */
#ifndef SODP_STATS_H
#define SODP_STATS_H

#include <linux/types.h>

struct ib_cq;
struct ib_device;
struct ib_mr;
struct ib_qp;
struct ib_srq;
struct rdma_counter;
struct rdma_hw_stats;
struct sk_buff;

/* Port counters; stats.c has their names, in this order */
enum sodp_counter {
	SODP_CNT_tx_requests,
	SODP_CNT_tx_bytes,
	SODP_CNT_rx_requests,
	SODP_CNT_rx_bytes,
	SODP_CNT_inline_wqes,
	SODP_CNT_worker_wqes,
	SODP_CNT_doorbells,
	SODP_CNT_fault_parks,
	SODP_CNT_rnr_naks,
	SODP_CNT_timeouts,
	SODP_CNT_access_naks,
	SODP_CNT_invalid_request_naks,
	SODP_CNT_operation_naks,
	SODP_CNT_completion_errors,
	SODP_CNT_cq_overflows,
	SODP_CNT_rx_drops,
	SODP_CNT_rx_duplicates,
	SODP_CNT_rx_out_of_sequence,
	SODP_CNT_tx_packets,
	SODP_CNT_tx_drops,
	SODP_CNT_rx_packets,
	SODP_CNT_rx_malformed,
	SODP_CNT_rx_icrc_errors,
	SODP_CNT_tx_retransmits,
	SODP_CNT_rx_sequence_naks,
	SODP_CNT_rx_rnr_naks,
	SODP_CNT_rx_ghost_acks,
	SODP_CNT_tx_refused,
	SODP_CNT_np_cnp_sent,
	SODP_CNT_rp_cnp_handled,
	SODP_CNT_np_ecn_marked_roce_packets,
	SODP_NR_COUNTERS,
};

struct sodp_counters {
	u64 value[SODP_NR_COUNTERS];
};

/* counters.c */
int sodp_counter_bind_qp(struct rdma_counter *counter, struct ib_qp *ibqp,
			 u32 port);
int sodp_counter_unbind_qp(struct ib_qp *ibqp, u32 port);
int sodp_counter_dealloc(struct rdma_counter *counter);
int sodp_counter_update_stats(struct rdma_counter *counter);

/* stats.c */
struct rdma_hw_stats *sodp_counter_alloc_stats(struct rdma_counter *counter);
void sodp_counters_sum(struct sodp_counters __percpu *counters, u64 *value);
struct rdma_hw_stats *sodp_alloc_port_stats(struct ib_device *ibdev, u32 port);
int sodp_get_port_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats,
			u32 port, int index);
int sodp_fill_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr);
int sodp_fill_res_mr(struct sk_buff *msg, struct ib_mr *ibmr);
int sodp_fill_res_qp(struct sk_buff *msg, struct ib_qp *ibqp);
int sodp_fill_res_cq(struct sk_buff *msg, struct ib_cq *ibcq);
int sodp_fill_res_srq(struct sk_buff *msg, struct ib_srq *ibsrq);

#endif /* SODP_STATS_H */
