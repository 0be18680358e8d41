// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Datagrams to this host: handed to the QP as if they had come in, without a
 * trip through the network stack. So they need no UDP port, and rdma_cm and
 * UD work between the processes of a host where rdma_rxe has it.
 *
 * The sender only queues: who does not receive, or waits for a page, holds up
 * no one, and what does not fit into its queue is dropped, as from the wire.
 */
#include <linux/if_vlan.h>
#include <linux/netdevice.h>

#include "xport/ud/ud.h"

/**
 * sodp_ud_stays() - is a datagram delivered by sodp_ud_local()?
 * @av: where to
 *
 * The stack brings a group's datagrams back to members on this host, if the
 * port is ours.
 *
 * Context: any.
 * Return: false: it is sent.
 */
bool sodp_ud_stays(struct sodp_av *av)
{
	return sodp_av_peer(av) || !sodp_net_is_open(av->path.dev->sn);
}

/* What a wire would have dropped in silence; @peer: id of the device */
static void ud_local_drop(struct sodp_av *av, u64 peer, struct sk_buff *skb)
{
	struct sodp_dev *dev;

	list_for_each_entry_rcu(dev, &av->path.dev->sn->devs, net_node)
		if (dev->id == peer)
			sodp_count(dev, SODP_CNT_rx_drops, 1);
	kfree_skb(skb);
}

/* The P_Key is the only one there is; sodp_ud_rx() looks at the Q_Key */
static bool ud_local_ok(const struct sodp_qp *qp, u64 peer)
{
	return qp->dev->id == peer && sodp_is_ud(qp) && sodp_qp_receives(qp);
}

static void ud_local_to(struct sodp_av *av, u64 peer,
			const struct sodp_pkt *pkt, struct sk_buff *skb)
{
	struct sodp_net *sn = av->path.dev->sn;
	struct sodp_qp *qp;
	u16 vlan = 0xffff;

	if (pkt->qpn == SODP_QPN_GSI) {
		qp = sodp_gsi_get(sn, &av->path.daddr, NULL, &vlan);
		if (vlan < VLAN_N_VID)
			sodp_rx_cb(skb)->vlan = VLAN_CFI_MASK | vlan;
	} else {
		qp = sodp_qp_get(pkt->qpn);
	}
	if (qp && ud_local_ok(qp, peer))
		sodp_ud_rx(qp, skb);
	else
		ud_local_drop(av, peer, skb);
	if (qp)
		sodp_qp_put(qp);
}

/*
 * Members by the netdev that it would have left by, or one below: those that
 * the stack would have given it back to. See sodp_net_rx().
 */
static void ud_local_group(struct sodp_av *av, struct sk_buff *skb)
{
	struct sodp_net *sn = av->path.dev->sn;
	struct sodp_mcast *mcast = NULL;
	struct net_device *out;
	struct sk_buff *copy;
	struct sodp_dev *dev;
	struct sodp_qp *qp;

	out = dev_get_by_index_rcu(dev_net(av->path.dev->ndev), av->path.oif);
	list_for_each_entry_rcu(dev, &sn->devs, net_node) {
		if (!out || (dev->ndev != out &&
			     !netdev_has_upper_dev_all_rcu(dev->ndev, out)))
			continue;
		while ((mcast = sodp_mcast_next(dev, &av->path.daddr,
						mcast))) {
			qp = sodp_mcast_qp(mcast);
			copy = qp && ud_local_ok(qp, dev->id) ?
			       skb_clone(skb, GFP_ATOMIC) : NULL;
			if (copy)
				sodp_ud_rx(qp, copy);
			if (qp)
				sodp_qp_put(qp);
		}
	}
	kfree_skb(skb);
}

/**
 * sodp_ud_local() - deliver a datagram for which sodp_ud_stays()
 * @av: where to
 * @pkt: its headers
 * @skb: it, from sodp_burst_take(); taken over. NULL: lost for want of memory
 *
 * Context: process.
 */
void sodp_ud_local(struct sodp_av *av, const struct sodp_pkt *pkt,
		   struct sk_buff *skb)
{
	struct sodp_dev *from = av->path.dev;
	u64 peer = sodp_av_peer(av);
	struct sodp_rx_cb *cb;

	if (!skb) {
		sodp_count(from, SODP_CNT_tx_drops, 1);
		return;
	}
	cb = sodp_rx_cb(skb);
	memset(cb, 0, sizeof(*cb));
	cb->seg_len = skb->len;
	cb->nr = 1;
	cb->type = IB_QPT_UD;
	cb->request = true;
	cb->ipv6 = av->path.family == AF_INET6;
	local_bh_disable();
	rcu_read_lock();
	if (peer) {
		ud_local_to(av, peer, pkt, skb);
	} else if (av->group && pkt->qpn == SODP_QPN_MULTICAST) {
		ud_local_group(av, skb);
	} else {
		/* It has left this host since the handle was made */
		ibdev_dbg(&from->base_dev, "no way to %pI6c without the port\n",
			  &av->path.daddr);
		sodp_count(from, SODP_CNT_tx_drops, 1);
		kfree_skb(skb);
	}
	rcu_read_unlock();
	local_bh_enable();
}
