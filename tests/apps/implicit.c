// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Preloaded into any program: its memory registrations become implicit
 * on-demand-paging regions, which cover the whole address space.
 *
 * A region is given back with the address and length that were asked for,
 * because programs read them.  One whose iova differs from its address, which
 * an implicit region cannot have, becomes an explicit on-demand region.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#undef ibv_reg_mr
#undef ibv_reg_mr_iova

typedef struct ibv_mr *(*reg_fn)(struct ibv_pd *, void *, size_t, uint64_t,
				 unsigned int);

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length,
				uint64_t iova, unsigned int access)
{
	/* The one that calls none of the others */
	reg_fn real = (reg_fn)dlsym(RTLD_NEXT, "ibv_reg_mr_iova2");
	struct ibv_mr *mr;

	access |= IBV_ACCESS_ON_DEMAND;
	if (iova != (uintptr_t)addr)
		return real(pd, addr, length, iova, access);
	mr = real(pd, NULL, SIZE_MAX, 0, access);
	if (mr) {
		mr->addr = addr;
		mr->length = length;
	}
	return mr;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length,
			  int access)
{
	return ibv_reg_mr_iova2(pd, addr, length, (uintptr_t)addr, access);
}

struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t length,
			       uint64_t iova, int access)
{
	return ibv_reg_mr_iova2(pd, addr, length, iova, access);
}
