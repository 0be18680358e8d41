// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * dm.c - device memory
 *
 * It is mapped whole, so that copying to and from it is a memcpy().
 */
#include <errno.h>
#include <stdlib.h>

#include <infiniband/cmd_ioctl.h>
#include <rdma/ib_user_ioctl_cmds.h>

#include "sodp.h"

/* As devices have it, and as rdma-core's tests want it */
#define DM_WORD 4

static int dm_check(const struct sodp_dm *dm, uint64_t offset, size_t length)
{
	if (offset > dm->length || length > dm->length - offset)
		return EFAULT;
	return (offset | length) % DM_WORD ? EINVAL : 0;
}

static int dm_copy_to(struct ibv_dm *ibdm, uint64_t offset,
		      const void *host_addr, size_t length)
{
	struct sodp_dm *dm = container_of(ibdm, struct sodp_dm, vdm.dm);
	int ret;

	ret = dm_check(dm, offset, length);
	if (!ret)
		memcpy((char *)dm->map.addr + offset, host_addr, length);
	return ret;
}

static int dm_copy_from(void *host_addr, struct ibv_dm *ibdm, uint64_t offset,
			size_t length)
{
	struct sodp_dm *dm = container_of(ibdm, struct sodp_dm, vdm.dm);
	int ret;

	ret = dm_check(dm, offset, length);
	if (!ret)
		memcpy(host_addr, (char *)dm->map.addr + offset, length);
	return ret;
}

/* Map what the handle stands for; an errno if it is no device memory */
static int dm_attach(struct ibv_context *context, struct sodp_dm *dm)
{
	DECLARE_COMMAND_BUFFER(cmdb, UVERBS_OBJECT_DM, SODP_METHOD_DM_QUERY, 2);
	struct sodp_dm_query_resp resp = {};
	int ret;

	fill_attr_in_obj(cmdb, SODP_ATTR_DM_QUERY_HANDLE, dm->vdm.handle);
	fill_attr_out_ptr(cmdb, SODP_ATTR_DM_QUERY_RESP, &resp);
	ret = execute_ioctl(context, cmdb);
	if (ret)
		return errno;

	ret = sodp_map_ring(context, resp.mmap_offset, resp.mmap_size,
			    &dm->map);
	if (ret)
		return ret;

	dm->length = resp.length;
	dm->vdm.dm.memcpy_to_dm = dm_copy_to;
	dm->vdm.dm.memcpy_from_dm = dm_copy_from;
	return 0;
}

struct ibv_dm *sodp_alloc_dm(struct ibv_context *context,
			     struct ibv_alloc_dm_attr *attr)
{
	struct sodp_dm *dm;
	int ret;

	if (attr->comp_mask) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	dm = calloc(1, sizeof(*dm));
	if (!dm)
		return NULL;

	ret = ibv_cmd_alloc_dm(context, attr, &dm->vdm, NULL);
	if (ret)
		goto err_free;

	ret = dm_attach(context, dm);
	if (ret)
		goto err_free_dm;
	return &dm->vdm.dm;

err_free_dm:
	ibv_cmd_free_dm(&dm->vdm);
err_free:
	free(dm);
	errno = ret;
	return NULL;
}

int sodp_free_dm(struct ibv_dm *ibdm)
{
	struct sodp_dm *dm = container_of(ibdm, struct sodp_dm, vdm.dm);
	int ret;

	ret = ibv_cmd_free_dm(&dm->vdm);
	if (ret)
		return ret;

	sodp_unmap_ring(&dm->map);
	free(dm);
	return 0;
}

struct ibv_dm *sodp_import_dm(struct ibv_context *context, uint32_t dm_handle)
{
	struct sodp_dm *dm;
	int ret;

	dm = calloc(1, sizeof(*dm));
	if (!dm)
		return NULL;

	dm->vdm.handle = dm_handle;
	dm->vdm.dm.handle = dm_handle;
	dm->vdm.dm.comp_mask = IBV_DM_MASK_HANDLE;
	dm->vdm.dm.context = context;
	ret = dm_attach(context, dm);
	if (ret) {
		free(dm);
		errno = ret;
		return NULL;
	}
	return &dm->vdm.dm;
}

void sodp_unimport_dm(struct ibv_dm *ibdm)
{
	struct sodp_dm *dm = container_of(ibdm, struct sodp_dm, vdm.dm);

	sodp_unmap_ring(&dm->map);
	free(dm);
}

struct ibv_mr *sodp_reg_dm_mr(struct ibv_pd *pd, struct ibv_dm *ibdm,
			      uint64_t dm_offset, size_t length,
			      unsigned int access)
{
	struct sodp_dm *dm = container_of(ibdm, struct sodp_dm, vdm.dm);
	struct verbs_mr *vmr;
	int ret;

	vmr = calloc(1, sizeof(*vmr));
	if (!vmr)
		return NULL;

	ret = ibv_cmd_reg_dm_mr(pd, &dm->vdm, dm_offset, length, access, vmr,
				NULL);
	if (ret) {
		free(vmr);
		errno = ret;
		return NULL;
	}
	return &vmr->ibv_mr;
}
