/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * trace.h - trace points of the device
 *
 * dev, qpn and mrn are what `rdma resource show` calls them. The fault itself
 * is told by rdma_odp, under the same dev and mrn.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM sodp

#if !defined(SODP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define SODP_TRACE_H

#include <linux/tracepoint.h>

/* Which side of which QP waits, and where */
#define SODP_TRACE_WAIT							\
		__array(char, dev, IB_DEVICE_NAME_MAX)			\
		__field(u32, qpn)					\
		__field(bool, requester)				\
		__field(u32, mrn)					\
		__field(u64, va)
#define SODP_ASSIGN_WAIT						\
		strscpy(__entry->dev, dev_name(&qp->dev->base_dev.dev),	\
			IB_DEVICE_NAME_MAX);				\
		__entry->qpn = qp->qpn;					\
		__entry->requester = requester;				\
		__entry->mrn = odp_region_name(miss->region);		\
		__entry->va = miss->va

TRACE_EVENT(sodp_wait_begin,
	TP_PROTO(const struct sodp_qp *qp, bool requester,
		 const struct odp_miss *miss),
	TP_ARGS(qp, requester, miss),
	TP_STRUCT__entry(
		SODP_TRACE_WAIT
		__field(u64, len)
		__field(bool, write)
	),
	TP_fast_assign(
		SODP_ASSIGN_WAIT;
		__entry->len = miss->len;
		__entry->write = miss->flags & ODP_FAULT_WRITE;
	),
	TP_printk("dev=%s qpn=%u side=%s mrn=%u va=%#llx len=%llu write=%d",
		  __entry->dev, __entry->qpn,
		  __entry->requester ? "requester" : "responder",
		  __entry->mrn, __entry->va, __entry->len, __entry->write)
);

TRACE_EVENT(sodp_wait_end,
	TP_PROTO(const struct sodp_qp *qp, bool requester,
		 const struct odp_miss *miss, bool wanted, int ret),
	TP_ARGS(qp, requester, miss, wanted, ret),
	TP_STRUCT__entry(
		SODP_TRACE_WAIT
		__field(bool, wanted)
		__field(int, ret)
	),
	TP_fast_assign(
		SODP_ASSIGN_WAIT;
		__entry->wanted = wanted;
		__entry->ret = ret;
	),
	TP_printk("dev=%s qpn=%u side=%s mrn=%u va=%#llx wanted=%d ret=%d",
		  __entry->dev, __entry->qpn,
		  __entry->requester ? "requester" : "responder",
		  __entry->mrn, __entry->va, __entry->wanted, __entry->ret)
);

#endif /* SODP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH qp
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
