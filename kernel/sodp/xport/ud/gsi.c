// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * QP 1: which of those in a namespace an address leads to.
 */
#include <rdma/ib_cache.h>

#include "xport/ud/ud.h"

/**
 * sodp_gsi_get() - QP 1 of the device that has an address
 * @sn: the namespace
 * @addr: destination
 * @in: netdev that the packet came by, NULL: it came by none
 * @vlan: result, of the address's netdev; 0xffff: it is no VLAN
 *
 * ib_core looks for a GID with the VLAN of the completion: it has to be that
 * of the GID's netdev, by whichever the packet came (lo, or a bridge over a
 * VLAN).
 *
 * Context: any, under RCU.
 * Return: referenced, or NULL.
 */
struct sodp_qp *sodp_gsi_get(struct sodp_net *sn, const struct in6_addr *addr,
			     struct net_device *in, u16 *vlan)
{
	const struct ib_gid_attr *attr;
	struct sodp_dev *dev;
	struct sodp_qp *qp;

	list_for_each_entry_rcu(dev, &sn->devs, net_node) {
		qp = rcu_dereference(dev->gsi);
		attr = qp ? sodp_gid_find_by(dev, addr, in) : NULL;
		if (!attr)
			continue;
		*vlan = 0xffff;
		rdma_read_gid_l2_fields(attr, vlan, NULL);
		rdma_put_gid_attr(attr);
		return refcount_inc_not_zero(&qp->ref) ? qp : NULL;
	}
	return NULL;
}
