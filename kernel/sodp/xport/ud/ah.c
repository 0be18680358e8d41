// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Address handles. What a datagram needs of one is its own counted object
 * with a number, which is how an application's WQE names it.
 */
#include <linux/jhash.h>
#include <linux/slab.h>
#include <rdma/ib_cache.h>

#include "xport/ud/ud.h"

static void ah_free(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct sodp_av, rcu));
}

void sodp_av_put(struct sodp_av *av)
{
	if (!refcount_dec_and_test(&av->ref))
		return;
	sodp_path_release(&av->path);
	call_rcu(&av->rcu, ah_free);
}

/**
 * sodp_av_get() - find an address by its number
 * @qp: QP whose WQE names it
 * @number: what the WQE says
 *
 * Context: any.
 * Return: referenced; NULL if there is none, or it is of another PD.
 */
struct sodp_av *sodp_av_get(struct sodp_qp *qp, u32 number)
{
	struct sodp_av *av;

	rcu_read_lock();
	av = xa_load(&qp->dev->avs, number);
	if (av && (av->pd != qp->user.pd || !refcount_inc_not_zero(&av->ref)))
		av = NULL;
	rcu_read_unlock();
	return av;
}

/* Flows of one address stay in order; different ones should not share */
static u16 ah_source_port(const struct ib_global_route *grh)
{
	u32 label = grh->flow_label;

	if (!label)
		label = jhash(&grh->dgid, sizeof(grh->dgid), 0);
	return rdma_flow_label_to_udp_sport(label & IB_GRH_FLOWLABEL_MASK);
}

/**
 * sodp_av_peer() - which device of this host has the address
 * @av: the address
 *
 * Asked for each datagram, as GIDs move from host to host while handles stay.
 *
 * Context: any.
 * Return: the id of the device, 0: it is elsewhere, or a group.
 */
u64 sodp_av_peer(struct sodp_av *av)
{
	u32 gids = sodp_gids_count();
	unsigned long flags;

	/* Pairs with the release below: the id is of then or of later */
	if (likely(smp_load_acquire(&av->gids) == gids))
		return READ_ONCE(av->peer_dev_id);
	if (av->group)
		return 0;
	spin_lock_irqsave(&av->path.dst_lock, flags);
	/* Anew: what a slower one found must not be stored over it */
	gids = sodp_gids_count();
	WRITE_ONCE(av->peer_dev_id, sodp_device_by_gid(av->path.dev,
						       &av->path.daddr));
	/* Pairs with the acquire load above */
	smp_store_release(&av->gids, gids);
	spin_unlock_irqrestore(&av->path.dst_lock, flags);
	return READ_ONCE(av->peer_dev_id);
}

static struct sodp_av *ah_make_av(struct ib_ah *ibah,
				  const struct rdma_ah_attr *attr, gfp_t gfp)
{
	struct sodp_dev *dev = to_sodp_dev(ibah->device);
	struct sodp_av *av;
	int ret;

	if (!(rdma_ah_get_ah_flags(attr) & IB_AH_GRH) ||
	    attr->type != RDMA_AH_ATTR_TYPE_ROCE)
		return ERR_PTR(-EINVAL);
	av = kzalloc(sizeof(*av), gfp);
	if (!av)
		return ERR_PTR(-ENOMEM);
	refcount_set(&av->ref, 1);
	av->pd = ibah->pd;
	av->attr = *attr;
	/* A reference of the caller's */
	av->attr.grh.sgid_attr = NULL;
	ret = sodp_path_init(&av->path, dev, attr,
			     ah_source_port(rdma_ah_read_grh(attr)));
	if (ret)
		goto err_free;
	av->group = sodp_is_group(&av->path.daddr);
	/* Members on this host can be reached in any case */
	if (!av->group && !sodp_av_peer(av)) {
		ret = sodp_net_reach(dev, &av->path.daddr);
		if (ret)
			goto err_free;
	}
	return av;

err_free:
	kfree(av);
	return ERR_PTR(ret);
}

/**
 * sodp_ah_create() - make an address handle
 * @ibah: allocated by ib_core
 * @init: address; flags say whether this may sleep
 * @udata: takes struct sodp_create_ah_resp, or NULL
 *
 * What cannot be reached is refused with the error of sodp_net_reach().
 *
 * Context: any without RDMA_CREATE_AH_SLEEPABLE.
 * Return: 0; -EINVAL no GRH, no such source GID, driver data; -ENOMEM.
 */
int sodp_ah_create(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
		   struct ib_udata *udata)
{
	bool sleepable = init->flags & RDMA_CREATE_AH_SLEEPABLE;
	gfp_t gfp = sleepable ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC;
	struct sodp_dev *dev = to_sodp_dev(ibah->device);
	struct sodp_ah *ah = to_sodp_ah(ibah);
	struct sodp_create_ah_resp resp = {};
	unsigned long flags;
	struct sodp_av *av;
	int ret;

	if (sleepable)
		sodp_net_retry(dev);
	ret = sodp_udata_check(ibah->device, udata, 0);
	if (!ret)
		ret = sodp_limit_take(dev, SODP_LIMIT_AH);
	if (ret)
		return ret;
	av = ah_make_av(ibah, init->ah_attr, gfp);
	if (IS_ERR(av)) {
		ret = PTR_ERR(av);
		goto err_give;
	}
	/* Callers without the flag may have interrupts off */
	xa_lock_irqsave(&dev->avs, flags);
	ret = __xa_alloc_cyclic(&dev->avs, &av->number, av, xa_limit_31b,
				&dev->next_av, gfp);
	xa_unlock_irqrestore(&dev->avs, flags);
	if (ret < 0) {
		sodp_av_put(av);
		goto err_give;
	}
	ah->av = av;
	resp.ah = av->number;
	ret = udata ? ib_copy_to_udata(udata, &resp, min(sizeof(resp),
							 udata->outlen)) : 0;
	if (ret)
		sodp_ah_destroy(ibah, 0);
	return ret;

err_give:
	sodp_limit_give(dev, SODP_LIMIT_AH);
	return ret;
}

/**
 * sodp_ah_destroy() - WQEs cannot name it any more
 * @ibah: the handle
 * @flags: whether this may sleep, which it does not
 *
 * Context: any.
 * Return: 0.
 */
int sodp_ah_destroy(struct ib_ah *ibah, u32 flags)
{
	struct sodp_dev *dev = to_sodp_dev(ibah->device);
	struct sodp_av *av = to_sodp_ah(ibah)->av;
	unsigned long irq_flags;

	xa_lock_irqsave(&dev->avs, irq_flags);
	__xa_erase(&dev->avs, av->number);
	xa_unlock_irqrestore(&dev->avs, irq_flags);
	sodp_av_put(av);
	sodp_limit_give(dev, SODP_LIMIT_AH);
	return 0;
}

/**
 * sodp_ah_modify() - exchange the address, not the number
 * @ibah: the handle
 * @attr: new address
 *
 * Context: any.
 * Return: as sodp_ah_create().
 */
int sodp_ah_modify(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	struct sodp_dev *dev = to_sodp_dev(ibah->device);
	struct sodp_ah *ah = to_sodp_ah(ibah);
	struct sodp_av *old = ah->av;
	struct sodp_av *av = ah_make_av(ibah, attr, GFP_ATOMIC);
	unsigned long flags;

	if (IS_ERR(av))
		return PTR_ERR(av);
	av->number = old->number;
	xa_lock_irqsave(&dev->avs, flags);
	/* The slot is in use: no memory is needed */
	__xa_store(&dev->avs, av->number, av, GFP_ATOMIC);
	xa_unlock_irqrestore(&dev->avs, flags);
	ah->av = av;
	sodp_av_put(old);
	return 0;
}

int sodp_ah_query(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	*attr = to_sodp_ah(ibah)->av->attr;
	return 0;
}
