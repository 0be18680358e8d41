// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Device memory: a soft device has none of its own, so it is pages of the
 * kernel, charged to the caller, of which there are as few as on a NIC. The
 * provider maps them; MRs on them are zero-based.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <rdma/uverbs_ioctl.h>
#include <rdma/uverbs_std_types.h>

#define UVERBS_MODULE_NAME sodp
#include <rdma/uverbs_named_ioctl.h>

#include "compat_rdma.h"
#include "mem/mem.h"

static struct sodp_dm *to_sodp_dm(struct ib_dm *ibdm)
{
	return container_of(ibdm, struct sodp_dm, base_dm);
}

static int dm_reserve(struct sodp_dev *dev, u64 bytes)
{
	if (atomic64_add_return(bytes, &dev->dm_bytes) <= SODP_MAX_DM_BYTES)
		return 0;
	atomic64_sub(bytes, &dev->dm_bytes);
	return -ENOMEM;
}

/**
 * sodp_dm_alloc() - allocate device memory
 * @ibdev: the device
 * @ucontext: who may map it
 * @attr: length and log2 of the alignment
 * @attrs: unused
 *
 * Context: process, may sleep.
 * Return: the memory, zeroed, or ERR_PTR: -EINVAL no length, or more than
 * the device has; -EOPNOTSUPP alignment beyond a page; -ENOMEM none left.
 */
struct ib_dm *sodp_dm_alloc(struct ib_device *ibdev,
			    struct ib_ucontext *ucontext,
			    struct ib_dm_alloc_attr *attr,
			    struct uverbs_attr_bundle *attrs)
{
	struct sodp_dev *dev = to_sodp_dev(ibdev);
	struct sodp_dm *dm;
	int ret;

	if (!attr->length || attr->length > SODP_MAX_DM_BYTES)
		return ERR_PTR(-EINVAL);
	if (attr->alignment > PAGE_SHIFT)
		return ERR_PTR(-EOPNOTSUPP);
	ret = dm_reserve(dev, PAGE_ALIGN(attr->length));
	if (ret)
		return ERR_PTR(ret);
	dm = kzalloc(sizeof(*dm), GFP_KERNEL_ACCOUNT);
	if (!dm) {
		ret = -ENOMEM;
		goto err_unreserve;
	}
	dm->ring = sodp_smem_alloc(ucontext, attr->length);
	if (IS_ERR(dm->ring)) {
		ret = PTR_ERR(dm->ring);
		goto err_free_dm;
	}
	return &dm->base_dm;

err_free_dm:
	kfree(dm);
err_unreserve:
	atomic64_sub(PAGE_ALIGN(attr->length), &dev->dm_bytes);
	return ERR_PTR(ret);
}

int sodp_dm_dealloc(struct ib_dm *ibdm, struct uverbs_attr_bundle *attrs)
{
	struct sodp_dm *dm = to_sodp_dm(ibdm);

	atomic64_sub(dm->ring->size, &to_sodp_dev(ibdm->device)->dm_bytes);
	sodp_smem_free(dm->ring);
	kfree(dm);
	return 0;
}

static int dm_add_pages(struct odp_region *region, const struct sodp_dm *dm)
{
	size_t off;
	int ret = 0;

	for (off = 0; off < dm->ring->size && !ret; off += PAGE_SIZE)
		ret = odp_region_add_pages(region, off,
					   vmalloc_to_pfn(dm->ring->mem + off),
					   1);
	return ret;
}

/**
 * sodp_dm_reg_mr() - register device memory
 * @pd: protection domain
 * @ibdm: the memory; ib_core keeps it as long as the MR
 * @attr: part of it, checked by ib_core, and access, IB_ZERO_BASED included
 * @attrs: unused
 *
 * Context: process, may sleep.
 * Return: the MR, which may be of no bytes, or ERR_PTR: -EOPNOTSUPP access
 * bits, -ENOMEM.
 */
struct ib_mr *sodp_dm_reg_mr(struct ib_pd *pd, struct ib_dm *ibdm,
			     struct ib_dm_mr_attr *attr,
			     struct uverbs_attr_bundle *attrs)
{
	struct sodp_dev *dev = to_sodp_dev(pd->device);
	struct sodp_dm *dm = to_sodp_dm(ibdm);
	struct sodp_backing b = {
		.va = attr->offset,
		.length = attr->length,
	};
	int ret;

	if (attr->access_flags & ~(SODP_ACCESS_PLAIN | IB_ZERO_BASED))
		return ERR_PTR(-EOPNOTSUPP);
	b.region = odp_region_create_static(dev->domain, 0, dm->ring->size,
					    ODP_REGION_WRITABLE);
	if (IS_ERR(b.region))
		return ERR_CAST(b.region);
	ret = dm_add_pages(b.region, dm);
	if (ret) {
		odp_region_destroy(b.region);
		return ERR_PTR(ret);
	}
	return sodp_mr_create(pd, &b, 0, attr->access_flags);
}

static int UVERBS_HANDLER(SODP_METHOD_DM_QUERY)(struct uverbs_attr_bundle *attrs)
{
	struct ib_dm *ibdm = uverbs_attr_get_obj(attrs,
						 SODP_ATTR_DM_QUERY_HANDLE);
	struct sodp_dm_query_resp resp = {};
	struct sodp_dm *dm;

	if (IS_ERR(ibdm))
		return PTR_ERR(ibdm);
	dm = to_sodp_dm(ibdm);
	resp.mmap_offset = sodp_smem_offset(dm->ring);
	resp.mmap_size = dm->ring->size;
	resp.length = ibdm->length;
	return uverbs_copy_to_struct_or_zero(attrs, SODP_ATTR_DM_QUERY_RESP,
					     &resp, sizeof(resp));
}

DECLARE_UVERBS_NAMED_METHOD(SODP_METHOD_DM_QUERY,
			    UVERBS_ATTR_IDR(SODP_ATTR_DM_QUERY_HANDLE,
					    UVERBS_OBJECT_DM,
					    UVERBS_ACCESS_READ, UA_MANDATORY),
			    UVERBS_ATTR_PTR_OUT(SODP_ATTR_DM_QUERY_RESP,
						UVERBS_ATTR_STRUCT(struct sodp_dm_query_resp,
								   length),
						UA_MANDATORY));

ADD_UVERBS_METHODS(dm_methods, UVERBS_OBJECT_DM,
		   &UVERBS_METHOD(SODP_METHOD_DM_QUERY));

const struct uapi_definition sodp_dm_defs[] = {
	UAPI_DEF_CHAIN_OBJ_TREE(UVERBS_OBJECT_DM, &dm_methods),
	{},
};
