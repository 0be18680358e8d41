// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Which device of this host owns an address: the GID tables of the devices
 * of a network namespace, as requesters, datagrams and QP 1 ask for them.
 *
 * Devices are walked under RCU. A lookup may take the last reference of a
 * GID's entry, which ib_core then frees by ib_wq: a device that goes waits for
 * both, see sodp_gids_settle().
 */
#include <linux/module.h>
#include <linux/workqueue.h>
#include <rdma/ib_cache.h>

#include "net/net.h"

/*
 * Counts changes of what sodp_device_by_gid() would answer, so that an
 * address handle need not ask for each datagram.
 */
static atomic_t gid_changes = ATOMIC_INIT(1);

/* Written by its set function only, which counts a change */
static bool gid_wire_only;

static int gid_wire_only_set(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_bool(val, kp);

	sodp_gids_changed();
	return ret;
}

static const struct kernel_param_ops gid_wire_only_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = gid_wire_only_set,
	.get = param_get_bool,
};

module_param_cb(wire_only, &gid_wire_only_ops, &gid_wire_only, 0644);
__MODULE_PARM_TYPE(wire_only, "bool");
MODULE_PARM_DESC(wire_only, "Peers on this host are reached by packets too");

/**
 * sodp_gids_changed() - some GID, or device that has GIDs, came or went
 *
 * Context: any, after the change.
 */
void sodp_gids_changed(void)
{
	/* The change is seen before the count. Pairs with sodp_gids_count() */
	smp_mb__before_atomic();
	atomic_inc(&gid_changes);
}

/**
 * sodp_gids_count() - what stays the same as long as no GID changes
 *
 * Context: any; read before the GIDs are looked at.
 * Return: never 0, but for one change in 2^32.
 */
u32 sodp_gids_count(void)
{
	/* Pairs with sodp_gids_changed() */
	return atomic_read_acquire(&gid_changes);
}

/**
 * sodp_gids_settle() - no lookup is under way on a device
 *
 * The device is not on its namespace's list any more, and a grace period has
 * passed since.
 *
 * Context: process, may sleep.
 */
void sodp_gids_settle(void)
{
	flush_workqueue(ib_wq);
}

/**
 * sodp_gid_find() - the entry of an address in a device's table
 * @dev: device that is, or was, registered
 * @addr: the address, IPv4 as a mapped one
 * @ndev: netdev that it has to be of, or NULL
 *
 * Context: any, under RCU.
 * Return: referenced, for rdma_put_gid_attr(); or NULL.
 */
const struct ib_gid_attr *sodp_gid_find(struct sodp_dev *dev,
					const struct in6_addr *addr,
					struct net_device *ndev)
{
	const struct ib_gid_attr *attr;
	union ib_gid gid;

	memcpy(&gid, addr, sizeof(gid));
	attr = rdma_find_gid_by_port(&dev->base_dev, &gid,
				     IB_GID_TYPE_ROCE_UDP_ENCAP, 1, ndev);
	return IS_ERR(attr) ? NULL : attr;
}

/*
 * A packet that came by lo, or by the device of a VRF, was for any netdev of
 * this host, or of the VRF.
 */
static bool gid_any_netdev(const struct sodp_dev *dev, struct net_device *in)
{
	if (!in || in->flags & IFF_LOOPBACK)
		return true;
	return netif_is_l3_master(in) &&
	       netdev_has_upper_dev_all_rcu(dev->ndev, in);
}

/**
 * sodp_gid_find_by() - an address of a device, by which something came
 * @dev: the device
 * @addr: the address
 * @in: netdev that it came in by, NULL: it did not come by one
 *
 * Context: under RCU.
 * Return: referenced, or NULL.
 */
const struct ib_gid_attr *sodp_gid_find_by(struct sodp_dev *dev,
					   const struct in6_addr *addr,
					   struct net_device *in)
{
	return sodp_gid_find(dev, addr, gid_any_netdev(dev, in) ? NULL : in);
}

/**
 * sodp_gid_came_by() - is an address the device's, on a packet's netdev?
 * @dev: the device
 * @addr: destination
 * @in: netdev that the packet came by; that of a VLAN, bridge or bond above
 *	the device's, if it is one of theirs
 *
 * Context: any, under RCU.
 * Return: true: yes; a QP of the device may have the packet. IBA A17.4.5
 */
bool sodp_gid_came_by(struct sodp_dev *dev, const struct in6_addr *addr,
		      struct net_device *in)
{
	const struct ib_gid_attr *attr = sodp_gid_find_by(dev, addr, in);

	if (attr)
		rdma_put_gid_attr(attr);
	return attr;
}

/**
 * sodp_device_by_gid() - which device of this host owns an address
 * @from: the device that asks; only its network namespace is searched
 * @addr: destination, IPv4 as a mapped address
 *
 * Context: any.
 * Return: the id of the device; 0 when the address is not local, or peers
 * on this host are to be reached by packets.
 */
u64 sodp_device_by_gid(struct sodp_dev *from, const struct in6_addr *addr)
{
	const struct ib_gid_attr *attr;
	struct sodp_dev *dev;
	u64 id = 0;

	if (READ_ONCE(gid_wire_only))
		return 0;
	rcu_read_lock();
	list_for_each_entry_rcu(dev, &from->sn->devs, net_node) {
		/* Pairs with the release store where it has a GID table */
		if (!smp_load_acquire(&dev->registered))
			continue;
		attr = sodp_gid_find(dev, addr, NULL);
		if (!attr)
			continue;
		rdma_put_gid_attr(attr);
		id = dev->id;
		break;
	}
	rcu_read_unlock();
	return id;
}
