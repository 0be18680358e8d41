// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory that is not the process's: of the device, and behind a dma-buf. Of
 * device memory the process has a copy, which it carries there and back.
 */

#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "worker.h"

/* NULL: the device has none */
struct ibv_dm *dm_alloc(struct worker *w, size_t len)
{
	struct ibv_alloc_dm_attr attr = { .length = len };
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	struct ibv_dm *dm;

	if (!w->dev.attr.max_dm_size)
		return NULL;
	/* A child of a worker that was killed may have its memory still */
	while (!(dm = ibv_alloc_dm(w->dev.ctx, &attr)) && errno == ENOMEM &&
	       t_now_ns() < end)
		t_sleep_ms(5);
	T_ASSERT(dm, "ibv_alloc_dm(%zu): %s", len, t_errname(errno));
	return dm;
}

struct ibv_mr *dm_reg(struct worker *w, struct ibv_dm *dm, size_t len,
		      unsigned int access)
{
	struct ibv_mr *mr = ibv_reg_dm_mr(w->dev.pd, dm, 0, len,
					  access | IBV_ACCESS_ZERO_BASED);

	T_ASSERT(mr, "ibv_reg_dm_mr: %s", t_errname(errno));
	return mr;
}

/* What the machine lacks becomes ordinary pinned memory */
void device_make(struct worker *w, struct region *r)
{
	r->dmabuf = -1;
	if (r->plan.pages == PAGES_DM) {
		r->dm = dm_alloc(w, r->plan.len);
		if (r->dm)
			return;
		tally_lacks(SEEN_DM);
	} else if (r->plan.pages == PAGES_DMABUF) {
		r->dmabuf = t_udmabuf(r->plan.len, &r->fd);
		if (r->dmabuf >= 0)
			return;
		tally_lacks(SEEN_DMABUF);
	} else {
		return;
	}
	r->plan.pages = PAGES_ANON;
}

/* NULL: it is the process's memory */
struct ibv_mr *device_register(struct worker *w, struct region *r,
			       unsigned int access)
{
	struct ibv_mr *mr;

	if (r->dm)
		return dm_reg(w, r->dm, r->plan.len, access);
	if (r->dmabuf < 0)
		return NULL;
	mr = ibv_reg_dmabuf_mr(w->dev.pd, 0, r->plan.len, (uintptr_t)r->addr,
			       r->dmabuf, T_ACCESS_ALL);
	T_ASSERT(mr, "ibv_reg_dmabuf_mr: %s", t_errname(errno));
	return mr;
}

/* From and to the process's copy; in words */
void dm_put(struct ibv_dm *dm, char *copy, uint32_t off, uint32_t len)
{
	if (dm)
		T_OK(ibv_memcpy_to_dm(dm, off, copy + off, len));
}

void dm_get(struct ibv_dm *dm, char *copy, uint32_t off, uint32_t len)
{
	if (dm)
		T_OK(ibv_memcpy_from_dm(copy + off, dm, off, len));
}
