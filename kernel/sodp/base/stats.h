/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Counters of a device and of sets of QPs */
#ifndef SODP_STATS_H
#define SODP_STATS_H

#include <linux/types.h>

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

#endif /* SODP_STATS_H */
