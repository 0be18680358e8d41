// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Counters and restrack: "rdma statistic show link|mr", "rdma resource show".
 */
#include <rdma/restrack.h>

#include "qp/qp.h"
#include "verbs/verbs.h"

/* Counters of the ODP core, as MRs and links show them */
static const struct {
	const char *name;
	size_t offset;		/* in struct odp_stats */
} odp_counters[] = {
	{ "page_faults", offsetof(struct odp_stats, faults) },
	{ "page_faults_read", offsetof(struct odp_stats, faults_read) },
	{ "page_faults_write", offsetof(struct odp_stats, faults_write) },
	{ "page_faults_failed", offsetof(struct odp_stats, faults_failed) },
	{ "page_faults_handed_over", offsetof(struct odp_stats, faults_handed_over) },
	{ "page_fault_pages", offsetof(struct odp_stats, fault_pages) },
	{ "page_fault_huge", offsetof(struct odp_stats, fault_huge) },
	{ "page_invalidations", offsetof(struct odp_stats, invalidations) },
	{ "page_invalidated_pages", offsetof(struct odp_stats, invalidated_pages) },
	{ "page_prefetch", offsetof(struct odp_stats, prefetches) },
	{ "page_prefetch_pages", offsetof(struct odp_stats, prefetch_pages) },
	{ "page_collisions", offsetof(struct odp_stats, collisions) },
	{ "pages_mapped", offsetof(struct odp_stats, mapped_pages) },
};

/* Of a link: enum sodp_counter, odp_counters, the latency histogram */
static const struct rdma_stat_desc stats_descs[] = {
	{ .name = "tx_requests" },
	{ .name = "tx_bytes" },
	{ .name = "rx_requests" },
	{ .name = "rx_bytes" },
	{ .name = "inline_wqes" },
	{ .name = "worker_wqes" },
	{ .name = "doorbells" },
	{ .name = "fault_parks" },
	{ .name = "rnr_naks" },
	{ .name = "timeouts" },
	{ .name = "access_naks" },
	{ .name = "invalid_request_naks" },
	{ .name = "operation_naks" },
	{ .name = "completion_errors" },
	{ .name = "cq_overflows" },
	{ .name = "rx_drops" },
	{ .name = "rx_duplicates" },
	{ .name = "rx_out_of_sequence" },
	{ .name = "tx_packets" },
	{ .name = "tx_drops" },
	{ .name = "rx_packets" },
	{ .name = "rx_malformed" },
	{ .name = "rx_icrc_errors" },
	{ .name = "tx_retransmits" },
	{ .name = "rx_sequence_naks" },
	{ .name = "rx_rnr_naks" },
	{ .name = "rx_ghost_acks" },
	{ .name = "tx_refused" },
	{ .name = "np_cnp_sent" },
	{ .name = "rp_cnp_handled" },
	{ .name = "np_ecn_marked_roce_packets" },
	{ .name = "page_faults" },
	{ .name = "page_faults_read" },
	{ .name = "page_faults_write" },
	{ .name = "page_faults_failed" },
	{ .name = "page_faults_handed_over" },
	{ .name = "page_fault_pages" },
	{ .name = "page_fault_huge" },
	{ .name = "page_invalidations" },
	{ .name = "page_invalidated_pages" },
	{ .name = "page_prefetch" },
	{ .name = "page_prefetch_pages" },
	{ .name = "page_collisions" },
	{ .name = "pages_mapped" },
	{ .name = "page_fault_us_ge_1" },
	{ .name = "page_fault_us_ge_2" },
	{ .name = "page_fault_us_ge_4" },
	{ .name = "page_fault_us_ge_8" },
	{ .name = "page_fault_us_ge_16" },
	{ .name = "page_fault_us_ge_32" },
	{ .name = "page_fault_us_ge_64" },
	{ .name = "page_fault_us_ge_128" },
	{ .name = "page_fault_us_ge_256" },
	{ .name = "page_fault_us_ge_512" },
	{ .name = "page_fault_us_ge_1024" },
	{ .name = "page_fault_us_ge_2048" },
	{ .name = "page_fault_us_ge_4096" },
	{ .name = "page_fault_us_ge_8192" },
	{ .name = "page_fault_us_ge_16384" },
	{ .name = "page_fault_us_ge_32768" },
	{ .name = "page_fault_us_ge_65536" },
	{ .name = "page_fault_us_ge_131072" },
	{ .name = "page_fault_us_ge_262144" },
	{ .name = "page_fault_us_ge_524288" },
	{ .name = "page_fault_us_ge_1048576" },
	{ .name = "page_fault_us_ge_2097152" },
	{ .name = "page_fault_us_ge_4194304" },
	{ .name = "page_fault_us_ge_8388608" },
};

static_assert(ARRAY_SIZE(stats_descs) ==
	      SODP_NR_COUNTERS + ARRAY_SIZE(odp_counters) +
	      ODP_FAULT_BUCKETS);

static u64 odp_counter(const struct odp_stats *odp, unsigned int i)
{
	return *(const u64 *)((const void *)odp + odp_counters[i].offset);
}

struct rdma_hw_stats *sodp_alloc_port_stats(struct ib_device *ibdev, u32 port)
{
	return rdma_alloc_hw_stats_struct(stats_descs, ARRAY_SIZE(stats_descs),
					  0);
}

/*
 * What a set of QPs counts is a prefix of what a link does. ib_core reads the
 * rest too, to add it to the link's: it is there, zero, and not shown.
 */
struct rdma_hw_stats *sodp_counter_alloc_stats(struct rdma_counter *counter)
{
	struct rdma_hw_stats *stats;

	stats = rdma_alloc_hw_stats_struct(stats_descs,
					   ARRAY_SIZE(stats_descs), 0);
	if (stats)
		bitmap_set(stats->is_disabled, SODP_NR_COUNTERS,
			   ARRAY_SIZE(stats_descs) - SODP_NR_COUNTERS);
	return stats;
}

void sodp_counters_sum(struct sodp_counters __percpu *counters, u64 *value)
{
	unsigned int i;
	int cpu;

	for (i = 0; i < SODP_NR_COUNTERS; i++) {
		value[i] = 0;
		for_each_possible_cpu(cpu)
			value[i] += per_cpu_ptr(counters, cpu)->value[i];
	}
}

int sodp_get_port_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats,
			u32 port, int index)
{
	struct sodp_dev *dev = to_sodp_dev(ibdev);
	struct odp_stats odp;
	unsigned int n = SODP_NR_COUNTERS;
	unsigned int i;

	if (!port)
		return -EINVAL;
	sodp_counters_sum(dev->counters, stats->value);
	odp_domain_stats(dev->domain, &odp);
	for (i = 0; i < ARRAY_SIZE(odp_counters); i++)
		stats->value[n++] = odp_counter(&odp, i);
	for (i = 0; i < ODP_FAULT_BUCKETS; i++)
		stats->value[n++] = odp_domain_fault_bucket(dev->domain, i);
	return n;
}

static int fill_odp_stats(struct sk_buff *msg,
			  const struct odp_stats *odp)
{
	struct nlattr *table;
	unsigned int i;
	int ret = 0;

	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_STAT_HWCOUNTERS);
	if (!table)
		return -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(odp_counters) && !ret; i++)
		ret = rdma_nl_stat_hwcounter_entry(msg, odp_counters[i].name,
						   odp_counter(odp, i));
	if (ret) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}

int sodp_fill_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	struct odp_stats odp;
	int ret = 0;

	/* Keeps the region from being exchanged by rereg; none to show then */
	if (!sodp_key_hold(mr->key))
		return 0;
	if (mr->backing.odp) {
		odp_region_stats(mr->key->region, &odp);
		ret = fill_odp_stats(msg, &odp);
	}
	sodp_key_put(mr->key);
	return ret;
}

int sodp_fill_res_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	const char *name = "backing";
	const char *value;
	struct nlattr *table;

	if (mr->backing.odp) {
		name = "odp";
		value = mr->key->implicit ? "implicit" : "explicit";
	} else if (mr->backing.dmabuf) {
		value = "dmabuf";
	} else if (ibmr->dm) {
		value = "dm";
	} else {
		return 0;
	}
	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	if (rdma_nl_put_driver_string(msg, name, value)) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}

static int fill_qp(struct sk_buff *msg, struct sodp_qp *qp)
{
	static const char * const parks[] = {
		[SODP_PARK_NONE] = "no",
		[SODP_PARK_FAULT] = "fault",
		[SODP_PARK_RNR] = "rnr",
		[SODP_PARK_TIMEOUT] = "timeout",
		[SODP_PARK_KEY] = "key",
		[SODP_PARK_TX] = "tx",
	};
	struct nlattr *table;

	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	if (rdma_nl_put_driver_u32(msg, "sq_depth", qp->req.sq_depth) ||
	    rdma_nl_put_driver_u32(msg, "rq_depth", qp->resp.rq_depth) ||
	    rdma_nl_put_driver_u32(msg, "sq_ci", READ_ONCE(qp->req.sq_ci)) ||
	    rdma_nl_put_driver_u32(msg, "rq_ci", READ_ONCE(qp->resp.rq_ci)) ||
	    rdma_nl_put_driver_string(msg, "parked",
				      parks[READ_ONCE(qp->req.park)])) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}

/* -EAGAIN: gone while it was looked at, which ib_core passes over */
int sodp_fill_res_qp(struct sk_buff *msg, struct ib_qp *ibqp)
{
	struct sodp_qp *qp = sodp_qp_get_tracked(ibqp);
	int ret;

	if (!qp)
		return -EAGAIN;
	ret = fill_qp(msg, qp);
	sodp_qp_put(qp);
	return ret;
}

int sodp_fill_res_cq(struct sk_buff *msg, struct ib_cq *ibcq)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	struct nlattr *table;

	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	if (rdma_nl_put_driver_u32(msg, "depth", READ_ONCE(cq->depth)) ||
	    rdma_nl_put_driver_u32(msg, "pi", READ_ONCE(cq->pi))) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}

int sodp_fill_res_srq(struct sk_buff *msg, struct ib_srq *ibsrq)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);
	struct nlattr *table;

	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	if (rdma_nl_put_driver_u32(msg, "depth", READ_ONCE(srq->depth)) ||
	    rdma_nl_put_driver_u32(msg, "ci", READ_ONCE(srq->ci)) ||
	    rdma_nl_put_driver_u32(msg, "limit", READ_ONCE(srq->limit)) ||
	    (ibsrq->srq_type == IB_SRQT_XRC &&
	     rdma_nl_put_driver_u32(msg, "xrc_number",
				    ibsrq->ext.xrc.srq_num))) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}
