// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The port of a device: what it says of itself, most of which it has from the
 * netdev.
 */
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <rdma/ib_mad.h>

#include "net/net.h"
#include "verbs/verbs.h"

/*
 * Where there is no hardware, packets are as fast as they are copied: by one
 * CPU about 14 GB/s from memory, more from a cache. Programs choose their
 * protocols by the speed; a slow port has them copy through buffers of their
 * own.
 */
#define PORT_MBPS_COPIED	100000

/* By speed. IBTA has no slower ones, and steps that Ethernet does not have */
static const struct port_speed {
	u32 mbps;
	u16 speed;
	u8 width;
} port_speeds[] = {
	{ 2500, IB_SPEED_SDR, IB_WIDTH_1X },
	{ 5000, IB_SPEED_DDR, IB_WIDTH_1X },
	{ 10000, IB_SPEED_FDR10, IB_WIDTH_1X },
	{ 20000, IB_SPEED_DDR, IB_WIDTH_4X },
	{ 25000, IB_SPEED_EDR, IB_WIDTH_1X },
	{ 40000, IB_SPEED_FDR10, IB_WIDTH_4X },
	{ 50000, IB_SPEED_HDR, IB_WIDTH_1X },
	{ 56000, IB_SPEED_FDR, IB_WIDTH_4X },
	{ 100000, IB_SPEED_EDR, IB_WIDTH_4X },
	{ 200000, IB_SPEED_HDR, IB_WIDTH_4X },
	{ 400000, IB_SPEED_NDR, IB_WIDTH_4X },
	{ 800000, IB_SPEED_NDR, IB_WIDTH_8X },
};

static int port_is_hardware(struct net_device *ndev,
			    struct netdev_nested_priv *priv)
{
	return ndev->dev.parent ? 1 : 0;
}

/*
 * The speed that a veth or tap claims is a constant of its driver; a bond's, a
 * bridge's or a VLAN's is true where there is hardware below. What is not
 * known, as on most virtio cards, is memory too.
 */
static u32 port_mbps(struct net_device *ndev)
{
	struct netdev_nested_priv priv = {};
	struct ethtool_link_ksettings link;
	u32 mbps = 0;

	rtnl_lock();
	if ((port_is_hardware(ndev, &priv) ||
	     netdev_walk_all_lower_dev(ndev, port_is_hardware, &priv)) &&
	    !__ethtool_get_link_ksettings(ndev, &link) &&
	    link.base.speed != (u32)SPEED_UNKNOWN)
		mbps = link.base.speed;
	rtnl_unlock();
	return mbps ? : PORT_MBPS_COPIED;
}

/* The fastest that is not faster than the netdev, if there is one */
static const struct port_speed *port_speed(u32 mbps)
{
	const struct port_speed *found = port_speeds;

	while (found + 1 < port_speeds + ARRAY_SIZE(port_speeds) &&
	       found[1].mbps <= mbps)
		found++;
	return found;
}

/**
 * sodp_port_query() - report attributes of the port
 * @ibdev: the device
 * @port: checked by ib_core, 1
 * @attr: result, zero at first
 *
 * Context: process, may sleep; takes RTNL.
 * Return: 0.
 */
int sodp_port_query(struct ib_device *ibdev, u32 port,
		    struct ib_port_attr *attr)
{
	const struct sodp_dev *dev = to_sodp_dev(ibdev);
	const struct port_speed *speed = port_speed(port_mbps(dev->ndev));

	attr->gid_tbl_len = SODP_GID_TABLE_LEN;
	attr->pkey_tbl_len = 1;
	attr->port_cap_flags = IB_PORT_CM_SUP;
	attr->ip_gids = true;
	attr->max_msg_sz = SODP_MAX_MSG;
	attr->max_vl_num = 1;
	attr->max_mtu = IB_MTU_4096;
	attr->active_mtu = sodp_active_mtu(dev);
	attr->active_speed = speed->speed;
	attr->active_width = speed->width;
	attr->state = sodp_port_state(dev);
	if (attr->state == IB_PORT_ACTIVE)
		attr->phys_state = IB_PORT_PHYS_STATE_LINK_UP;
	else
		attr->phys_state = netif_running(dev->ndev) ?
				   IB_PORT_PHYS_STATE_POLLING :
				   IB_PORT_PHYS_STATE_DISABLED;
	return 0;
}

/**
 * sodp_port_query_speed() - the speed without IBTA's steps
 * @ibdev: the device
 * @port: checked by ib_core, 1
 * @speed: result, in units of 100 Mb/s
 *
 * Context: process, may sleep; takes RTNL.
 * Return: 0.
 */
int sodp_port_query_speed(struct ib_device *ibdev, u32 port, u64 *speed)
{
	*speed = max_t(u32, port_mbps(to_sodp_dev(ibdev)->ndev) / 100, 1);
	return 0;
}

int sodp_port_query_pkey(struct ib_device *ibdev, u32 port, u16 index,
			 u16 *pkey)
{
	if (index)
		return -EINVAL;
	*pkey = IB_DEFAULT_PKEY_FULL;
	return 0;
}

int sodp_port_immutable(struct ib_device *ibdev, u32 port,
			struct ib_port_immutable *immutable)
{
	immutable->core_cap_flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;
	immutable->pkey_tbl_len = 1;
	immutable->gid_tbl_len = SODP_GID_TABLE_LEN;
	immutable->max_mad_size = IB_MGMT_MAD_SIZE;
	return 0;
}

enum rdma_link_layer sodp_port_link_layer(struct ib_device *ibdev, u32 port)
{
	return IB_LINK_LAYER_ETHERNET;
}
