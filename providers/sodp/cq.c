// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * cq.c - completion queues: create, resize, moderate, destroy
 *
 * What happens on every completion is in poll.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "sodp.h"

#define CQ_WC_FLAGS                                                    \
	(IBV_WC_STANDARD_FLAGS | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP | \
	 IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK)
#define CQ_FLAGS IBV_CREATE_CQ_ATTR_SINGLE_THREADED

static void cq_set_ring(struct sodp_cq *cq, const struct sodp_map *map,
			uint32_t depth, uint32_t ring_offset)
{
	cq->map = *map;
	cq->page = map->addr;
	cq->ring = (struct sodp_cqe *)((uint8_t *)map->addr + ring_offset);
	cq->mask = depth - 1;
}

/* The command has succeeded: map the ring, or undo the command */
static int cq_attach(struct ibv_context *context, struct sodp_cq *cq,
		     const struct sodp_create_cq_resp *resp)
{
	struct sodp_map map;
	int ret;

	ret = sodp_map_ring(context, resp->mmap_offset, resp->mmap_size, &map);
	if (ret) {
		/* verbs_init_cq() has not been here, but the command waits */
		verbs_init_cq(&cq->vcq.cq, context, NULL, NULL);
		ibv_cmd_destroy_cq(&cq->vcq.cq);
		return ret;
	}

	cq_set_ring(cq, &map, resp->depth, resp->ring_offset);
	return 0;
}

struct ibv_cq *sodp_create_cq(struct ibv_context *context, int cqe,
			      struct ibv_comp_channel *channel, int vector)
{
	struct sodp_create_cq_cmd_resp resp = {};
	struct ibv_create_cq cmd;
	struct sodp_cq *cq;
	int ret;

	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return NULL;

	ret = ibv_cmd_create_cq(context, cqe, channel, vector, &cq->vcq.cq,
				&cmd, sizeof(cmd), &resp.ibv_resp,
				sizeof(resp));
	if (!ret)
		ret = cq_attach(context, cq, &resp.drv);
	if (ret) {
		free(cq);
		errno = ret;
		return NULL;
	}
	return &cq->vcq.cq;
}

static int cq_create_ex(struct ibv_context *context, struct sodp_cq *cq,
			struct ibv_cq_init_attr_ex *attr,
			struct sodp_create_cq_ex_cmd_resp *resp)
{
	struct ibv_create_cq_ex cmd;

#ifdef SODP_CREATE_CQ_EX_HAS_PROV_ATTR
	return ibv_cmd_create_cq_ex(context, attr, NULL, &cq->vcq, &cmd,
				    sizeof(cmd), &resp->ibv_resp, sizeof(*resp),
				    0);
#else
	return ibv_cmd_create_cq_ex(context, attr, &cq->vcq, &cmd, sizeof(cmd),
				    &resp->ibv_resp, sizeof(*resp), 0);
#endif
}

struct ibv_cq_ex *sodp_create_cq_ex(struct ibv_context *context,
				    struct ibv_cq_init_attr_ex *attr)
{
	struct sodp_create_cq_ex_cmd_resp resp = {};
	struct sodp_cq *cq;
	int ret;

	if (!check_comp_mask(attr->wc_flags, CQ_WC_FLAGS) ||
	    !check_comp_mask(attr->comp_mask,
			     IBV_CQ_INIT_ATTR_MASK_FLAGS |
				     IBV_CQ_INIT_ATTR_MASK_PD) ||
	    ((attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS) &&
	     !check_comp_mask(attr->flags, CQ_FLAGS))) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	if ((attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_PD) &&
	    (!attr->parent_domain ||
	     !to_sodp_pd(attr->parent_domain)->extends)) {
		errno = EINVAL;
		return NULL;
	}

	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return NULL;

	ret = cq_create_ex(context, cq, attr, &resp);
	if (!ret)
		ret = cq_attach(context, cq, &resp.drv);
	if (ret) {
		free(cq);
		errno = ret;
		return NULL;
	}

	if (attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS)
		cq->single_threaded = attr->flags &
				      IBV_CREATE_CQ_ATTR_SINGLE_THREADED;
	if (attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_PD) {
		cq->parent = to_sodp_pd(attr->parent_domain);
		sodp_pd_get(&cq->parent->pd);
		/* A thread domain is the promise of one thread at a time */
		if (cq->parent->td)
			cq->single_threaded = true;
	}
	sodp_cq_init_ex(cq, attr->wc_flags);
	return &cq->vcq.cq_ex;
}

/**
 * sodp_resize_cq() - change the depth, keeping what is not polled yet
 * @ibcq: the CQ
 * @cqe: least number of entries
 *
 * The kernel moves the entries from the published consumer index on to a new
 * ring, takes over the arm word, and tells where to go on. Nobody polls or arms
 * meanwhile: that is what cq_lock and arm_lock are held for.
 *
 * Return: 0 or an errno. After ENOMEM from mapping the new ring the CQ takes
 * no more completions.
 */
int sodp_resize_cq(struct ibv_cq *ibcq, int cqe)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	struct sodp_resize_cq_cmd_resp resp = {};
	struct ibv_resize_cq cmd;
	struct sodp_map old;
	struct sodp_map map;
	int ret;

	sodp_lock(&cq->cq_lock);
	sodp_lock(&cq->arm_lock);
	ret = ibv_cmd_resize_cq(ibcq, cqe, &cmd, sizeof(cmd), &resp.ibv_resp,
				sizeof(resp));
	if (ret)
		goto out_unlock;

	ret = sodp_map_ring(ibcq->context, resp.drv.mmap_offset,
			    resp.drv.mmap_size, &map);
	if (ret)
		goto out_unlock;

	old = cq->map;
	cq_set_ring(cq, &map, resp.drv.depth, resp.drv.ring_offset);
	cq->ci = resp.drv.ci;
	__atomic_store_n(&cq->page->ci, cq->ci, __ATOMIC_RELEASE);
	sodp_unmap_ring(&old);

out_unlock:
	sodp_unlock(&cq->arm_lock);
	sodp_unlock(&cq->cq_lock);
	return ret;
}

int sodp_modify_cq(struct ibv_cq *ibcq, struct ibv_modify_cq_attr *attr)
{
	struct ibv_modify_cq cmd = {};

	return ibv_cmd_modify_cq(ibcq, attr, &cmd, sizeof(cmd));
}

int sodp_destroy_cq(struct ibv_cq *ibcq)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	int ret;

	ret = ibv_cmd_destroy_cq(ibcq);
	if (ret)
		return ret;

	sodp_unmap_ring(&cq->map);
	if (cq->parent)
		sodp_pd_put(&cq->parent->pd);
	free(cq);
	return 0;
}
