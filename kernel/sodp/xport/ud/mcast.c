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

#include "xport/ud/ud.h"

/**
 * struct mcast_group - a group of a device that a QP is in
 * @node: in mcast_table; written under mcast_mutex, read by softirq under RCU
 * @rcu: frees it
 * @addr: the group, IPv4 as a mapped address
 * @dev: the device
 * @members: struct sodp_mcast by its in_group; as @node
 * @nr_members: how many, at most SODP_MAX_MCAST_QPS; mcast_mutex
 */
struct mcast_group {
	struct hlist_node node;
	struct rcu_head rcu;
	struct in6_addr addr;
	struct sodp_dev *dev;
	struct hlist_head members;
	u32 nr_members;
};

/**
 * struct sodp_mcast - a QP in a group
 * @in_group: in group->members; written under mcast_mutex, read by softirq
 *	under RCU
 * @in_qp: in qp->mcasts; mcast_mutex
 * @rcu: frees it
 * @group: the group
 * @qp: holds a reference
 */
struct sodp_mcast {
	struct hlist_node in_group;
	struct hlist_node in_qp;
	struct rcu_head rcu;
	struct mcast_group *group;
	struct sodp_qp *qp;
};

/*
 * Guards the table, the groups and the QPs' lists; joins and leaves are in the
 * order of their changes. RTNL nests in it.
 */
static DEFINE_MUTEX(mcast_mutex);
/* Groups of all devices, by mcast_key() */
static DEFINE_HASHTABLE(mcast_table, 10);

static u32 mcast_key(const struct sodp_dev *dev, const struct in6_addr *addr)
{
	return jhash2((const u32 *)addr->s6_addr32,
		      ARRAY_SIZE(addr->s6_addr32), (u32)dev->id);
}

/* Under mcast_mutex or RCU */
static struct mcast_group *mcast_find_group(const struct sodp_dev *dev,
					    const struct in6_addr *addr)
{
	struct mcast_group *group;

	hash_for_each_possible_rcu(mcast_table, group, node,
				   mcast_key(dev, addr),
				   lockdep_is_held(&mcast_mutex))
		if (group->dev == dev && ipv6_addr_equal(&group->addr, addr))
			return group;
	return NULL;
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

/* The group with the netdev in it, maybe of no QP yet; or ERR_PTR */
static struct mcast_group *mcast_get_group(struct sodp_dev *dev,
					   const struct in6_addr *addr)
{
	struct mcast_group *group;
	int ret;

	lockdep_assert_held(&mcast_mutex);
	group = mcast_find_group(dev, addr);
	if (group)
		return group;
	if (dev->nr_groups >= SODP_MAX_MCAST_GROUPS) {
		ibdev_dbg(&dev->base_dev, "multicast: %u groups are all\n",
			  dev->nr_groups);
		return ERR_PTR(-ENOMEM);
	}
	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	group->addr = *addr;
	group->dev = dev;
	ret = mcast_join(dev->ndev, addr);
	if (ret) {
		kfree(group);
		return ERR_PTR(ret);
	}
	dev->nr_groups++;
	hash_add_rcu(mcast_table, &group->node, mcast_key(dev, addr));
	return group;
}

/* Leave a group that has no QP any more */
static void mcast_put_group(struct mcast_group *group)
{
	lockdep_assert_held(&mcast_mutex);
	if (group->nr_members)
		return;
	hash_del_rcu(&group->node);
	group->dev->nr_groups--;
	mcast_leave(group->dev->ndev, &group->addr);
	kfree_rcu(group, rcu);
}

static struct sodp_mcast *mcast_find(struct sodp_qp *qp,
				     const struct in6_addr *addr)
{
	struct sodp_mcast *mcast;

	lockdep_assert_held(&mcast_mutex);
	hlist_for_each_entry(mcast, &qp->mcasts, in_qp)
		if (ipv6_addr_equal(&mcast->group->addr, addr))
			return mcast;
	return NULL;
}

static int mcast_add(struct mcast_group *group, struct sodp_qp *qp)
{
	struct sodp_dev *dev = group->dev;
	struct sodp_mcast *mcast;

	lockdep_assert_held(&mcast_mutex);
	if (group->nr_members >= SODP_MAX_MCAST_QPS ||
	    dev->nr_mcasts >= SODP_MAX_MCASTS) {
		ibdev_dbg(&dev->base_dev,
			  "QP %#x: %u QPs are in %pI6c, %u in groups\n",
			  qp->qpn, group->nr_members, &group->addr,
			  dev->nr_mcasts);
		return -ENOMEM;
	}
	mcast = kzalloc(sizeof(*mcast), GFP_KERNEL_ACCOUNT);
	if (!mcast)
		return -ENOMEM;
	mcast->group = group;
	mcast->qp = qp;
	refcount_inc(&qp->ref);
	dev->nr_mcasts++;
	group->nr_members++;
	hlist_add_head(&mcast->in_qp, &qp->mcasts);
	hlist_add_head_rcu(&mcast->in_group, &group->members);
	return 0;
}

static void mcast_remove(struct sodp_mcast *mcast)
{
	struct mcast_group *group = mcast->group;

	lockdep_assert_held(&mcast_mutex);
	hlist_del_rcu(&mcast->in_group);
	hlist_del(&mcast->in_qp);
	group->dev->nr_mcasts--;
	group->nr_members--;
	mcast_put_group(group);
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
 * -ENOMEM, also when the device has as many groups, the group as many QPs, or
 * the device as many QPs in groups as query_device says.
 */
int sodp_mcast_attach(struct ib_qp *ibqp, union ib_gid *gid, u16 lid)
{
	struct sodp_qp *qp = to_sodp_qp(ibqp);
	struct mcast_group *group;
	struct in6_addr addr;
	int ret = 0;

	memcpy(&addr, gid, sizeof(addr));
	if (qp->type != IB_QPT_UD || !sodp_is_group(&addr))
		return -EINVAL;
	mutex_lock(&mcast_mutex);
	if (mcast_find(qp, &addr))
		goto out_unlock;
	group = mcast_get_group(qp->dev, &addr);
	if (IS_ERR(group)) {
		ret = PTR_ERR(group);
		goto out_unlock;
	}
	ret = mcast_add(group, qp);
	if (ret)
		mcast_put_group(group);
out_unlock:
	mutex_unlock(&mcast_mutex);
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

	/* Only its owner attaches it, and that is us: none is added now */
	if (hlist_empty(&qp->mcasts))
		return;
	mutex_lock(&mcast_mutex);
	hlist_for_each_entry_safe(mcast, next, &qp->mcasts, in_qp)
		mcast_remove(mcast);
	mutex_unlock(&mcast_mutex);
}

/**
 * sodp_mcast_next() - walk the QPs of a group
 * @dev: device that the datagram came to
 * @addr: the group
 * @last: where the walk is, NULL at first
 *
 * They are SODP_MAX_MCAST_QPS at most, and so are the copies of a datagram.
 *
 * Context: softirq, under RCU.
 * Return: NULL at the end.
 */
struct sodp_mcast *sodp_mcast_next(struct sodp_dev *dev,
				   const struct in6_addr *addr,
				   struct sodp_mcast *last)
{
	struct mcast_group *group;
	struct hlist_node *node;

	if (last) {
		node = rcu_dereference(hlist_next_rcu(&last->in_group));
	} else {
		group = mcast_find_group(dev, addr);
		node = group ?
		       rcu_dereference(hlist_first_rcu(&group->members)) :
		       NULL;
	}
	return hlist_entry_safe(node, struct sodp_mcast, in_group);
}

struct sodp_qp *sodp_mcast_qp(struct sodp_mcast *mcast)
{
	return refcount_inc_not_zero(&mcast->qp->ref) ? mcast->qp : NULL;
}
