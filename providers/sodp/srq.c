// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * srq.c - shared receive queues, basic and XRC
 */
#include <errno.h>
#include <stdlib.h>

#include "sodp.h"

static void srq_set_ring(struct sodp_srq *srq, const struct sodp_map *map,
			 uint32_t depth, uint32_t ring_offset)
{
	struct sodp_srq_page *page = map->addr;

	srq->map = *map;
	srq->rq.mask = depth - 1;
	srq->rq.ring = (uint8_t *)map->addr + ring_offset;
	srq->rq.max_wr = depth;
	srq->rq.limit = depth;
	srq->rq.pi_word = &page->rq_pi;
	srq->rq.ci_word = srq->by_poll ? &srq->rq.freed : &page->rq_ci;
	srq->rq.lost_word = srq->by_poll ? &page->rq_lost : NULL;
}

static int srq_attach(struct ibv_context *context, struct sodp_srq *srq,
		      const struct sodp_create_srq_resp *resp)
{
	struct sodp_map map;
	int ret;

	ret = sodp_map_ring(context, resp->mmap_offset, resp->mmap_size, &map);
	if (ret)
		return ret;

	srq->rq.stride = resp->stride;
	srq->rq.max_sge = resp->max_sge;
	srq->by_poll = resp->comp_mask & SODP_CREATE_SRQ_COOKIE;
	srq_set_ring(srq, &map, resp->depth, resp->ring_offset);
	return 0;
}

struct ibv_srq *sodp_create_srq(struct ibv_pd *pd,
				struct ibv_srq_init_attr *attr)
{
	struct sodp_create_srq_cmd_resp resp = {};
	struct sodp_create_srq_cmd_req cmd = {};
	struct sodp_srq *srq;
	int ret;

	srq = calloc(1, sizeof(*srq));
	if (!srq)
		return NULL;

	cmd.drv.rq_cookie = (uintptr_t)&srq->rq;
	ret = ibv_cmd_create_srq(pd, &srq->vsrq.srq, attr, &cmd.ibv_cmd,
				 sizeof(cmd), &resp.ibv_resp, sizeof(resp));
	if (ret)
		goto err_free;

	srq->vsrq.srq_type = IBV_SRQT_BASIC;
	ret = srq_attach(pd->context, srq, &resp.drv);
	if (ret)
		goto err_destroy;
	sodp_pd_get(pd);
	return &srq->vsrq.srq;

err_destroy:
	srq->vsrq.srq.context = pd->context;
	ibv_cmd_destroy_srq(&srq->vsrq.srq);
err_free:
	free(srq);
	errno = ret;
	return NULL;
}

struct ibv_srq *sodp_create_srq_ex(struct ibv_context *context,
				   struct ibv_srq_init_attr_ex *attr)
{
	struct sodp_create_srq_cmd_resp resp = {};
	struct sodp_create_srq_ex_cmd_req cmd = {};
	struct sodp_srq *srq;
	int ret;

	if ((attr->comp_mask & IBV_SRQ_INIT_ATTR_TYPE) &&
	    attr->srq_type != IBV_SRQT_BASIC &&
	    attr->srq_type != IBV_SRQT_XRC) {
		errno = EOPNOTSUPP;
		return NULL;
	}

	srq = calloc(1, sizeof(*srq));
	if (!srq)
		return NULL;

	cmd.drv.rq_cookie = (uintptr_t)&srq->rq;
	ret = ibv_cmd_create_srq_ex(context, &srq->vsrq, attr, &cmd.ibv_cmd,
				    sizeof(cmd), &resp.ibv_resp, sizeof(resp));
	if (ret)
		goto err_free;

	ret = srq_attach(context, srq, &resp.drv);
	if (ret)
		goto err_destroy;
	/* libibverbs leaves it to us, unlike that of ibv_create_srq() */
	srq->vsrq.srq.pd = attr->pd;
	sodp_pd_get(attr->pd);
	return &srq->vsrq.srq;

err_destroy:
	ibv_cmd_destroy_srq(&srq->vsrq.srq);
err_free:
	free(srq);
	errno = ret;
	return NULL;
}

/**
 * sodp_modify_srq() - arm the limit event, or resize
 * @ibsrq: the SRQ
 * @attr: new size and limit
 * @attr_mask: IBV_SRQ_MAX_WR, IBV_SRQ_LIMIT
 *
 * A resize moves what is posted to a new ring, under the same indices. Nobody
 * posts meanwhile: that is what the lock is held for.
 *
 * Return: 0 or an errno. After ENOMEM from mapping the new ring the SRQ takes
 * no more receives: posting one gives EINVAL.
 */
int sodp_modify_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr,
		    int attr_mask)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);
	struct sodp_modify_srq_resp resp = {};
	struct {
		struct ibv_modify_srq ibv_cmd;
		struct sodp_modify_srq_cmd drv;
	} cmd = {};
	struct sodp_map map, old;
	int ret;

	cmd.drv.resp_addr = (uintptr_t)&resp;
	sodp_lock(&srq->rq.rq_lock);
	ret = ibv_cmd_modify_srq(ibsrq, attr, attr_mask, &cmd.ibv_cmd,
				 sizeof(cmd));
	if (ret || !(attr_mask & IBV_SRQ_MAX_WR))
		goto out_unlock;

	ret = sodp_map_ring(ibsrq->context, resp.mmap_offset, resp.mmap_size,
			    &map);
	if (ret) {
		srq->rq.limit = 0;
		goto out_unlock;
	}

	old = srq->map;
	srq_set_ring(srq, &map, resp.depth, resp.ring_offset);
	sodp_unmap_ring(&old);

out_unlock:
	sodp_unlock(&srq->rq.rq_lock);
	return ret;
}

int sodp_query_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr)
{
	struct ibv_query_srq cmd;

	return ibv_cmd_query_srq(ibsrq, attr, &cmd, sizeof(cmd));
}

int sodp_get_srq_num(struct ibv_srq *ibsrq, uint32_t *srq_num)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);

	/* Only an XRC SRQ is addressed by its number */
	if (srq->vsrq.srq_type != IBV_SRQT_XRC)
		return EOPNOTSUPP;

	*srq_num = srq->vsrq.srq_num;
	return 0;
}

int sodp_destroy_srq(struct ibv_srq *ibsrq)
{
	struct sodp_srq *srq = to_sodp_srq(ibsrq);
	int ret;

	ret = ibv_cmd_destroy_srq(ibsrq);
	if (ret)
		return ret;

	/* Of a basic one there is nothing: its QPs have gone before it */
	if (srq->vsrq.srq_type == IBV_SRQT_XRC)
		sodp_cq_clean_srq(to_sodp_cq(srq->vsrq.cq), &srq->rq);
	sodp_unmap_ring(&srq->map);
	sodp_pd_put(ibsrq->pd);
	free(srq);
	return 0;
}
