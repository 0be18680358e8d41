// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Counters and restrack: "rdma statistic show link|mr", "rdma resource show".
 */
#include <rdma/restrack.h>

#include "sodp.h"

/* Counters of the ODP core, under the names that MRs and links show */
#define ODP_COUNTERS(X)				\
	X(page_faults, faults)			\
	X(page_faults_read, faults_read)	\
	X(page_faults_write, faults_write)	\
	X(page_faults_failed, faults_failed)	\
	X(page_faults_handed_over, faults_handed_over) \
	X(page_fault_pages, fault_pages)	\
	X(page_fault_huge, fault_huge)		\
	X(page_invalidations, invalidations)	\
	X(page_invalidated_pages, invalidated_pages) \
	X(page_prefetch, prefetches)		\
	X(page_prefetch_pages, prefetch_pages)	\
	X(page_collisions, collisions)		\
	X(pages_mapped, mapped_pages)

static const struct rdma_stat_desc stats_descs[] = {
#define X(id) { .name = #id },
	SODP_COUNTERS(X)
#undef X
#define X(id, field) { .name = #id },
	ODP_COUNTERS(X)
#undef X
#define X(i) { .name = "page_fault_us_ge_" #i }
	X(1), X(2), X(4), X(8), X(16), X(32), X(64), X(128), X(256), X(512),
	X(1024), X(2048), X(4096), X(8192), X(16384), X(32768), X(65536),
	X(131072), X(262144), X(524288), X(1048576), X(2097152), X(4194304),
	X(8388608),
#undef X
};

struct rdma_hw_stats *sodp_alloc_port_stats(struct ib_device *ibdev, u32 port)
{
	return rdma_alloc_hw_stats_struct(stats_descs, ARRAY_SIZE(stats_descs),
					  0);
}

int sodp_get_port_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats,
			u32 port, int index)
{
	struct sodp_dev *dev = to_sodp_dev(ibdev);
	const struct sodp_odp_stats *odp = sodp_domain_stats(dev->domain);
	unsigned int n = 0;
	unsigned int i;
	int cpu;

	if (!port)
		return -EINVAL;
	for (i = 0; i < SODP_NR_COUNTERS; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += per_cpu_ptr(dev->counters, cpu)->value[i];
		stats->value[n++] = sum;
	}
#define X(id, field) stats->value[n++] = atomic64_read(&odp->field);
	ODP_COUNTERS(X)
#undef X
	for (i = 0; i < SODP_FAULT_BUCKETS; i++)
		stats->value[n++] = sodp_domain_fault_bucket(dev->domain, i);
	BUILD_BUG_ON(ARRAY_SIZE(stats_descs) < SODP_FAULT_BUCKETS);
	return n;
}

int sodp_fill_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	const struct sodp_odp_stats *odp;
	struct nlattr *table;
	int ret = 0;

	if (!mr->odp)
		return 0;
	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_STAT_HWCOUNTERS);
	if (!table)
		return -EMSGSIZE;
	odp = sodp_region_stats(mr->key->region);
#define X(id, field)							\
	ret = ret ? : rdma_nl_stat_hwcounter_entry(msg, #id,		\
					atomic64_read(&odp->field));
	ODP_COUNTERS(X)
#undef X
	if (ret) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}

int sodp_fill_res_mr(struct sk_buff *msg, struct ib_mr *ibmr)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	struct nlattr *table;

	if (!mr->odp)
		return 0;
	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	if (rdma_nl_put_driver_string(msg, "odp", mr->key->implicit ?
				      "implicit" : "explicit")) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
}

int sodp_fill_res_qp(struct sk_buff *msg, struct ib_qp *ibqp)
{
	static const char * const parks[] = {
		[SODP_PARK_NONE] = "no",
		[SODP_PARK_FAULT] = "fault",
		[SODP_PARK_RNR] = "rnr",
		[SODP_PARK_TIMEOUT] = "timeout",
	};
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	struct nlattr *table;

	/* A kernel-internal QP would have none; ours all do */
	table = nla_nest_start(msg, RDMA_NLDEV_ATTR_DRIVER);
	if (!table)
		return -EMSGSIZE;
	if (rdma_nl_put_driver_u32(msg, "sq_depth", qp->sq_depth) ||
	    rdma_nl_put_driver_u32(msg, "rq_depth", qp->rq_depth) ||
	    rdma_nl_put_driver_u32(msg, "sq_ci", READ_ONCE(qp->sq_ci)) ||
	    rdma_nl_put_driver_u32(msg, "rq_ci", READ_ONCE(qp->rq_ci)) ||
	    rdma_nl_put_driver_string(msg, "parked",
				      parks[READ_ONCE(qp->park)])) {
		nla_nest_cancel(msg, table);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, table);
	return 0;
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
