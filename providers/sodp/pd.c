// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * pd.c - protection domains, parent domains, thread domains
 *
 * The kernel knows protection domains only. A parent domain is a struct with
 * the handle of the one it extends, so every command takes it for that.
 */
#include <errno.h>
#include <stdlib.h>

#include "sodp.h"

#define RESOURCE_ALIGN 64

static int refs_busy(atomic_uint *refs)
{
	return atomic_load(refs) ? EBUSY : 0;
}

struct ibv_pd *sodp_alloc_pd(struct ibv_context *context)
{
	struct ib_uverbs_alloc_pd_resp resp;
	struct ibv_alloc_pd cmd;
	struct sodp_pd *pd;
	int ret;

	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return NULL;

	ret = ibv_cmd_alloc_pd(context, &pd->pd, &cmd, sizeof(cmd), &resp,
			       sizeof(resp));
	if (ret) {
		free(pd);
		errno = ret;
		return NULL;
	}
	return &pd->pd;
}

static void parent_dealloc(struct sodp_pd *pd)
{
	atomic_fetch_sub(&pd->extends->users, 1);
	if (pd->td)
		atomic_fetch_sub(&pd->td->users, 1);
	free(pd);
}

int sodp_dealloc_pd(struct ibv_pd *ibpd)
{
	struct sodp_pd *pd = to_sodp_pd(ibpd);
	int ret;

	ret = refs_busy(&pd->users);
	if (ret)
		return ret;
	if (pd->extends) {
		parent_dealloc(pd);
		return 0;
	}

	ret = ibv_cmd_dealloc_pd(ibpd);
	if (!ret)
		free(pd);
	return ret;
}

#define PARENT_ATTRS                               \
	(IBV_PARENT_DOMAIN_INIT_ATTR_ALLOCATORS |  \
	 IBV_PARENT_DOMAIN_INIT_ATTR_PD_CONTEXT)

/**
 * sodp_alloc_parent_domain() - extend a PD by a thread domain and allocators
 * @context: of the device
 * @attr: the PD, no parent domain; what it is extended by
 *
 * Rings are memory of the kernel, so the allocators get little to do.
 *
 * Return: the domain, or NULL with errno EINVAL or EOPNOTSUPP.
 */
struct ibv_pd *
sodp_alloc_parent_domain(struct ibv_context *context,
			 struct ibv_parent_domain_init_attr *attr)
{
	struct sodp_pd *pd;

	if (ibv_check_alloc_parent_domain(attr))
		return NULL;
	if (!check_comp_mask(attr->comp_mask, PARENT_ATTRS)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	/* Domains are not nested; and one allocator makes no pair */
	if (to_sodp_pd(attr->pd)->extends ||
	    ((attr->comp_mask & IBV_PARENT_DOMAIN_INIT_ATTR_ALLOCATORS) &&
	     (!attr->alloc || !attr->free))) {
		errno = EINVAL;
		return NULL;
	}

	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return NULL;

	ibv_initialize_parent_domain(&pd->pd, attr->pd);
	pd->extends = to_sodp_pd(attr->pd);
	atomic_fetch_add(&pd->extends->users, 1);
	if (attr->td) {
		pd->td = container_of(attr->td, struct sodp_td, td);
		atomic_fetch_add(&pd->td->users, 1);
	}
	if (attr->comp_mask & IBV_PARENT_DOMAIN_INIT_ATTR_ALLOCATORS) {
		pd->alloc = attr->alloc;
		pd->free = attr->free;
	}
	if (attr->comp_mask & IBV_PARENT_DOMAIN_INIT_ATTR_PD_CONTEXT)
		pd->pd_context = attr->pd_context;
	return &pd->pd;
}

struct ibv_td *sodp_alloc_td(struct ibv_context *context,
			     struct ibv_td_init_attr *attr)
{
	struct sodp_td *td;

	if (attr->comp_mask) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	td = calloc(1, sizeof(*td));
	if (!td)
		return NULL;

	td->td.context = context;
	return &td->td;
}

int sodp_dealloc_td(struct ibv_td *ibtd)
{
	struct sodp_td *td = container_of(ibtd, struct sodp_td, td);
	int ret;

	ret = refs_busy(&td->users);
	if (!ret)
		free(td);
	return ret;
}

/* A handle that is none is found out by the first command that uses it */
struct ibv_pd *sodp_import_pd(struct ibv_context *context, uint32_t pd_handle)
{
	struct sodp_pd *pd;

	pd = calloc(1, sizeof(*pd));
	if (!pd)
		return NULL;

	pd->pd.context = context;
	pd->pd.handle = pd_handle;
	return &pd->pd;
}

void sodp_unimport_pd(struct ibv_pd *ibpd)
{
	free(to_sodp_pd(ibpd));
}

/**
 * sodp_pd_get() - an object was created in a domain
 * @ibpd: domain, or NULL
 *
 * The kernel counts the objects of a PD, but cannot tell those that were
 * created by way of a parent domain.
 */
void sodp_pd_get(struct ibv_pd *ibpd)
{
	if (ibpd && to_sodp_pd(ibpd)->extends)
		atomic_fetch_add(&to_sodp_pd(ibpd)->users, 1);
}

void sodp_pd_put(struct ibv_pd *ibpd)
{
	if (ibpd && to_sodp_pd(ibpd)->extends)
		atomic_fetch_sub(&to_sodp_pd(ibpd)->users, 1);
}

static uint64_t resource_code(enum sodp_resource_type type)
{
	return (uint64_t)SODP_DRIVER_ID << 32 | type;
}

/**
 * sodp_pd_alloc() - memory for an object, from its domain's allocator
 * @ibpd: domain, or NULL
 * @size: bytes
 * @type: what for
 * @ours: set if the domain has no allocator or did not want to
 *
 * Return: the memory, or NULL with errno ENOMEM.
 */
void *sodp_pd_alloc(struct ibv_pd *ibpd, size_t size,
		    enum sodp_resource_type type, bool *ours)
{
	struct sodp_pd *pd = ibpd ? to_sodp_pd(ibpd) : NULL;
	void *ptr;

	*ours = false;
	if (pd && pd->alloc) {
		ptr = pd->alloc(ibpd, pd->pd_context, size, RESOURCE_ALIGN,
				resource_code(type));
		if (!ptr)
			errno = ENOMEM;
		if (ptr != IBV_ALLOCATOR_USE_DEFAULT)
			return ptr;
	}

	*ours = true;
	return calloc(1, size);
}

void sodp_pd_free(struct ibv_pd *ibpd, void *ptr, enum sodp_resource_type type,
		  bool ours)
{
	struct sodp_pd *pd;

	if (ours) {
		free(ptr);
		return;
	}

	pd = to_sodp_pd(ibpd);
	pd->free(ibpd, pd->pd_context, ptr, resource_code(type));
}
