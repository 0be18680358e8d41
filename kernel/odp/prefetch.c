// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * prefetch.c - map ahead of use
 *
 * Asynchronous requests are done by the pool of the process, which may have a
 * bounded number of them under way; beyond that the caller does the work.
 */

#include <linux/export.h>
#include <linux/slab.h>

#include "core.h"
#include "trace.h"

/* Requests under way per pool: some of its workers stay free for faults */
#define PREFETCH_MAX_QUEUED	128

/**
 * struct prefetch_request - an asynchronous prefetch
 * @work: queued
 * @region: referenced, not entered: odp_region_destroy() does not wait for
 *	us, we find out
 * @va: first byte
 * @len: bytes
 * @advice: which
 */
struct prefetch_request {
	struct odp_work work;
	struct odp_region *region;
	u64 va;
	u64 len;
	enum odp_advice advice;
};

static int prefetch_carry_out(struct odp_region *region, u64 va, u64 len,
			      enum odp_advice advice)
{
	u32 flags = ODP_FAULT_PREFETCH;
	int ret;

	if (advice == ODP_ADVICE_PREFETCH_WRITE)
		flags |= ODP_FAULT_WRITE;
	else if (advice == ODP_ADVICE_NO_FAULT)
		flags |= ODP_FAULT_SNAPSHOT;
	ret = odp_region_fault(region, va, len, flags);
	odp_count(region, prefetches, 1);
	trace_odp_prefetch(region, va, len, advice, ret);
	return ret;
}

static void prefetch_work(struct odp_work *work)
{
	struct prefetch_request *request =
		container_of(work, struct prefetch_request, work);
	struct odp_region *region = request->region;

	/* Stops at the next leaf, or at once, when the region is dying */
	prefetch_carry_out(region, request->va, request->len, request->advice);
	atomic_dec(&region->space->omm->prefetches);
	odp_region_put(region);
	kfree(request);
}

/* Return -EAGAIN when the caller should do it itself */
static int prefetch_queue(struct odp_region *region, u64 va, u64 len,
			  enum odp_advice advice)
{
	struct odp_mm *omm = region->space->omm;
	struct prefetch_request *request;

	if (atomic_inc_return(&omm->prefetches) > PREFETCH_MAX_QUEUED)
		goto err_queued;
	request = kmalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request)
		goto err_queued;
	odp_region_get(region);
	odp_work_init(&request->work, prefetch_work);
	request->region = region;
	request->va = va;
	request->len = len;
	request->advice = advice;
	odp_region_queue_work(region, &request->work);
	return 0;

err_queued:
	atomic_dec(&omm->prefetches);
	return -EAGAIN;
}

/**
 * odp_region_prefetch() - act on an application's advice
 * @region: where
 * @va: first byte
 * @len: bytes
 * @advice: ODP_ADVICE_NO_FAULT maps what is present and is never an error
 * @flush: be done on return; else be done some time later, as far as possible
 *
 * Context: May sleep. Neither mmap_lock nor an access held.
 * Return: 0; -EINVAL not an ODP region; -EFAULT outside the region, or (with
 * @flush) not mapped or not permitted; -EPERM to write to a region that is
 * not writable; -EINTR a fatal signal came; -ESRCH the process or the region
 * is gone; -ENOMEM.
 */
int odp_region_prefetch(struct odp_region *region, u64 va, u64 len,
			enum odp_advice advice, bool flush)
{
	int ret;

	if (!odp_region_is_odp(region))
		return -EINVAL;
	if (!odp_region_covers(region, va, len))
		return -EFAULT;
	if (advice == ODP_ADVICE_PREFETCH_WRITE &&
	    !(region->flags & ODP_REGION_WRITABLE))
		return -EPERM;
	if (odp_region_is_dying(region))
		return -ESRCH;
	if (!flush) {
		ret = prefetch_queue(region, va, len, advice);
		if (ret != -EAGAIN)
			return ret;
	}
	ret = prefetch_carry_out(region, va, len, advice);
	if (!flush && ret != -ESRCH)
		return 0;
	return ret == -EAGAIN ? -EINTR : ret;
}
EXPORT_SYMBOL_GPL(odp_region_prefetch);
