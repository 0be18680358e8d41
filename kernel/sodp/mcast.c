// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Multicast groups: a QP that is attached has the netdev join the IP group,
 * and gets a copy of each datagram to it.
 */
#include <linux/hashtable.h>
#include <linux/igmp.h>
#include <linux/inetdevice.h>
#include <linux/jhash.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/addrconf.h>

#include "wire.h"

/**
 * struct sodp_mcast - a QP in a group
 * @node: in mcast_table; written under mcast_mutex, read by softirq under RCU
 * @rcu: frees it
 * @addr: the group, IPv4 as a mapped address
 * @dev: the QP's
 * @qp: holds a reference
 */
struct sodp_mcast {
	struct hlist_node node;
	struct rcu_head rcu;
	struct in6_addr addr;
	const struct sodp_dev *dev;
	struct sodp_qp *qp;
};

/* Guards the table; joins and leaves are in the order of its changes */
static DEFINE_MUTEX(mcast_mutex);
/* Of all devices, by mcast_key() */
static DEFINE_HASHTABLE(mcast_table, 10);

static u32 mcast_key(const struct sodp_dev *dev, const struct in6_addr *addr)
{
	return jhash2((const u32 *)addr->s6_addr32,
		      ARRAY_SIZE(addr->s6_addr32), (u32)dev->id);
}

static bool mcast_is(const struct sodp_mcast *mcast,
		     const struct sodp_dev *dev, const struct in6_addr *addr)
{
	return mcast->dev == dev && ipv6_addr_equal(&mcast->addr, addr);
}

static int mcast_join(struct net_device *ndev, const struct in6_addr *addr)
{
	struct in_device *in_dev;
	int ret = 0;

	rtnl_lock();
	if (!ipv6_addr_v4mapped(addr)) {
		ret = ipv6_dev_mc_inc(ndev, addr);
	} else {
		in_dev = __in_dev_get_rtnl(ndev);
		if (in_dev)
			ip_mc_inc_group(in_dev, addr->s6_addr32[3]);
		else
			ret = -ENODEV;
	}
	rtnl_unlock();
	return ret;
}

static void mcast_leave(struct net_device *ndev, const struct in6_addr *addr)
{
	struct in_device *in_dev;

	rtnl_lock();
	if (!ipv6_addr_v4mapped(addr)) {
		ipv6_dev_mc_dec(ndev, addr);
	} else {
		in_dev = __in_dev_get_rtnl(ndev);
		if (in_dev)
			ip_mc_dec_group(in_dev, addr->s6_addr32[3]);
	}
	rtnl_unlock();
}

static bool mcast_valid(const struct in6_addr *addr)
{
	if (ipv6_addr_v4mapped(addr))
		return ipv4_is_multicast(addr->s6_addr32[3]);
	return ipv6_addr_is_multicast(addr);
}

static struct sodp_mcast *mcast_find(struct sodp_qp *qp,
				     const struct in6_addr *addr)
{
	struct sodp_mcast *mcast;

	lockdep_assert_held(&mcast_mutex);
	hash_for_each_possible(mcast_table, mcast, node,
			       mcast_key(qp->dev, addr))
		if (mcast->qp == qp && ipv6_addr_equal(&mcast->addr, addr))
			return mcast;
	return NULL;
}

static void mcast_remove(struct sodp_mcast *mcast)
{
	struct sodp_dev *dev = mcast->qp->dev;

	lockdep_assert_held(&mcast_mutex);
	hash_del_rcu(&mcast->node);
	dev->nr_mcasts--;
	mcast_leave(dev->ndev, &mcast->addr);
	sodp_qp_put(mcast->qp);
	kfree_rcu(mcast, rcu);
}

/**
 * sodp_mcast_attach() - have a QP get what is sent to a group
 * @ibqp: a UD QP
 * @gid: the group
 * @lid: unused
 *
 * Context: process, may sleep; takes RTNL.
 * Return: 0, also when it is attached already; -EINVAL no UD QP or no group;
 * -ENOMEM, also when the device has too many.
 */
int sodp_mcast_attach(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	struct sodp_dev *dev = qp->dev;
	struct sodp_mcast *mcast;
	int ret;

	if (qp->type != IB_QPT_UD)
		return -EINVAL;
	mcast = kzalloc(sizeof(*mcast), GFP_KERNEL_ACCOUNT);
	if (!mcast)
		return -ENOMEM;
	memcpy(&mcast->addr, gid, sizeof(mcast->addr));
	mcast->dev = dev;
	mcast->qp = qp;
	mutex_lock(&mcast_mutex);
	ret = mcast_valid(&mcast->addr) ? 0 : -EINVAL;
	if (ret || mcast_find(qp, &mcast->addr))
		goto err_free;
	ret = dev->nr_mcasts < SODP_MAX_MCASTS ?
	      mcast_join(dev->ndev, &mcast->addr) : -ENOMEM;
	if (ret)
		goto err_free;
	refcount_inc(&qp->ref);
	dev->nr_mcasts++;
	hash_add_rcu(mcast_table, &mcast->node, mcast_key(dev, &mcast->addr));
	mutex_unlock(&mcast_mutex);
	return 0;

err_free:
	mutex_unlock(&mcast_mutex);
	kfree(mcast);
	return ret;
}

/**
 * sodp_mcast_detach() - undo sodp_mcast_attach()
 * @ibqp: the QP
 * @gid: the group
 * @lid: unused
 *
 * Context: process, may sleep; takes RTNL.
 * Return: 0, -EINVAL not attached.
 */
int sodp_mcast_detach(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct sodp_mcast *mcast;
	struct in6_addr addr;

	memcpy(&addr, gid, sizeof(addr));
	mutex_lock(&mcast_mutex);
	mcast = mcast_find(to_sodp_qp(ibqp), &addr);
	if (mcast)
		mcast_remove(mcast);
	mutex_unlock(&mcast_mutex);
	return mcast ? 0 : -EINVAL;
}

/**
 * sodp_mcast_forget() - detach a QP from all groups
 * @qp: the QP, about to be destroyed
 *
 * Context: process, may sleep; takes RTNL when it is in a group.
 */
void sodp_mcast_forget(struct sodp_qp *qp)
{
	struct sodp_mcast *mcast;
	struct hlist_node *next;
	int i;

	if (qp->type != IB_QPT_UD)
		return;
	mutex_lock(&mcast_mutex);
	if (qp->dev->nr_mcasts)
		hash_for_each_safe(mcast_table, i, next, mcast, node)
			if (mcast->qp == qp)
				mcast_remove(mcast);
	mutex_unlock(&mcast_mutex);
}

/**
 * sodp_mcast_next() - walk the QPs of a group
 * @dev: device that the datagram came to
 * @addr: the group
 * @last: where the walk is, NULL at first
 *
 * Context: softirq, under RCU.
 * Return: NULL at the end.
 */
struct sodp_mcast *sodp_mcast_next(struct sodp_dev *dev,
				   const struct in6_addr *addr,
				   struct sodp_mcast *last)
{
	struct sodp_mcast *mcast = last;

	if (last) {
		hlist_for_each_entry_continue_rcu(mcast, node)
			if (mcast_is(mcast, dev, addr))
				return mcast;
		return NULL;
	}
	hash_for_each_possible_rcu(mcast_table, mcast, node,
				   mcast_key(dev, addr))
		if (mcast_is(mcast, dev, addr))
			return mcast;
	return NULL;
}

struct sodp_qp *sodp_mcast_qp(struct sodp_mcast *mcast)
{
	return refcount_inc_not_zero(&mcast->qp->ref) ? mcast->qp : NULL;
}
