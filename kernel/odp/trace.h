/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * trace.h - trace points of the ODP core
 *
 * dev, mrn and pid are what `rdma resource show mr` calls the device, the
 * region and the process; 0 is a region that has no name, and memory that is
 * no process'.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rdma_odp

#if !defined(ODP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ODP_TRACE_H

#include <linux/tracepoint.h>

#define ODP_TRACE_SPACE							\
		__array(char, dev, ODP_NAME_MAX)			\
		__field(pid_t, pid)
#define ODP_ASSIGN_SPACE						\
		strscpy(__entry->dev, space->domain->name, ODP_NAME_MAX); \
		__entry->pid = odp_space_pid(space)
#define ODP_TRACE_REGION						\
		__array(char, dev, ODP_NAME_MAX)			\
		__field(pid_t, pid)					\
		__field(u32, mrn)
#define ODP_ASSIGN_REGION						\
		strscpy(__entry->dev, region->space->domain->name,	\
			ODP_NAME_MAX);					\
		__entry->pid = odp_space_pid(region->space);		\
		__entry->mrn = READ_ONCE(region->name)

DECLARE_EVENT_CLASS(odp_child,
	TP_PROTO(const struct odp_space *space, unsigned long start,
		 unsigned long last),
	TP_ARGS(space, start, last),
	TP_STRUCT__entry(
		ODP_TRACE_SPACE
		__field(unsigned long, start)
		__field(unsigned long, last)
	),
	TP_fast_assign(
		ODP_ASSIGN_SPACE;
		__entry->start = start;
		__entry->last = last;
	),
	TP_printk("dev=%s pid=%d start=%#lx last=%#lx",
		  __entry->dev, __entry->pid, __entry->start, __entry->last)
);

DEFINE_EVENT(odp_child, odp_child_create,
	TP_PROTO(const struct odp_space *space, unsigned long start,
		 unsigned long last),
	TP_ARGS(space, start, last)
);

DEFINE_EVENT(odp_child, odp_child_destroy,
	TP_PROTO(const struct odp_space *space, unsigned long start,
		 unsigned long last),
	TP_ARGS(space, start, last)
);

TRACE_EVENT(odp_fault_begin,
	TP_PROTO(const struct odp_region *region, u64 va, u64 len, u32 flags),
	TP_ARGS(region, va, len, flags),
	TP_STRUCT__entry(
		ODP_TRACE_REGION
		__field(u64, va)
		__field(u64, len)
		__field(u32, flags)
	),
	TP_fast_assign(
		ODP_ASSIGN_REGION;
		__entry->va = va;
		__entry->len = len;
		__entry->flags = flags;
	),
	TP_printk("dev=%s mrn=%u pid=%d va=%#llx len=%llu flags=%#x",
		  __entry->dev, __entry->mrn, __entry->pid, __entry->va,
		  __entry->len, __entry->flags)
);

TRACE_EVENT(odp_fault_end,
	TP_PROTO(const struct odp_region *region, u64 va, u64 len,
		 unsigned long pages, int ret),
	TP_ARGS(region, va, len, pages, ret),
	TP_STRUCT__entry(
		ODP_TRACE_REGION
		__field(u64, va)
		__field(u64, len)
		__field(unsigned long, pages)
		__field(int, ret)
	),
	TP_fast_assign(
		ODP_ASSIGN_REGION;
		__entry->va = va;
		__entry->len = len;
		__entry->pages = pages;
		__entry->ret = ret;
	),
	TP_printk("dev=%s mrn=%u pid=%d va=%#llx len=%llu pages=%lu ret=%d",
		  __entry->dev, __entry->mrn, __entry->pid, __entry->va,
		  __entry->len, __entry->pages, __entry->ret)
);

TRACE_EVENT(odp_commit,
	TP_PROTO(const struct odp_region *region, unsigned long base,
		 unsigned int first, unsigned int end, bool huge, int ret),
	TP_ARGS(region, base, first, end, huge, ret),
	TP_STRUCT__entry(
		ODP_TRACE_REGION
		__field(unsigned long, base)
		__field(unsigned int, first)
		__field(unsigned int, end)
		__field(bool, huge)
		__field(int, ret)
	),
	TP_fast_assign(
		ODP_ASSIGN_REGION;
		__entry->base = base;
		__entry->first = first;
		__entry->end = end;
		__entry->huge = huge;
		__entry->ret = ret;
	),
	TP_printk("dev=%s mrn=%u pid=%d leaf=%#lx pages=%u-%u huge=%d ret=%d",
		  __entry->dev, __entry->mrn, __entry->pid, __entry->base,
		  __entry->first, __entry->end, __entry->huge, __entry->ret)
);

TRACE_EVENT(odp_invalidate,
	TP_PROTO(const struct odp_space *space, unsigned long start,
		 unsigned long last, unsigned int event, unsigned long pages,
		 bool done),
	TP_ARGS(space, start, last, event, pages, done),
	TP_STRUCT__entry(
		ODP_TRACE_SPACE
		__field(unsigned long, start)
		__field(unsigned long, last)
		__field(unsigned int, event)
		__field(unsigned long, pages)
		__field(bool, done)
	),
	TP_fast_assign(
		ODP_ASSIGN_SPACE;
		__entry->start = start;
		__entry->last = last;
		__entry->event = event;
		__entry->pages = pages;
		__entry->done = done;
	),
	TP_printk("dev=%s pid=%d start=%#lx last=%#lx event=%u pages=%lu done=%d",
		  __entry->dev, __entry->pid, __entry->start, __entry->last,
		  __entry->event, __entry->pages, __entry->done)
);

TRACE_EVENT(odp_prefetch,
	TP_PROTO(const struct odp_region *region, u64 va, u64 len,
		 unsigned int advice, int ret),
	TP_ARGS(region, va, len, advice, ret),
	TP_STRUCT__entry(
		ODP_TRACE_REGION
		__field(u64, va)
		__field(u64, len)
		__field(unsigned int, advice)
		__field(int, ret)
	),
	TP_fast_assign(
		ODP_ASSIGN_REGION;
		__entry->va = va;
		__entry->len = len;
		__entry->advice = advice;
		__entry->ret = ret;
	),
	TP_printk("dev=%s mrn=%u pid=%d va=%#llx len=%llu advice=%u ret=%d",
		  __entry->dev, __entry->mrn, __entry->pid, __entry->va,
		  __entry->len, __entry->advice, __entry->ret)
);

#endif /* ODP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
