// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Packets that came to this host, and the QPs that they are for.
 */
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <rdma/ib_mad.h>

#include "qp/transport.h"
#include "xport/rx.h"
#include "xport/ud/ud.h"

static bool rx_qp_ok(const struct sodp_qp *qp, const struct sodp_came *came,
		     const struct sodp_pkt *pkt)
{
	if (qp->dev->sn != came->sn || !sodp_qp_receives(qp))
		return false;
	/* The table has one key, and that is a full member's */
	if ((pkt->pkey ^ IB_DEFAULT_PKEY_FULL) & 0x7fff)
		return false;
	return qp->receiver->wants(qp, came, pkt);
}

/* What a kernel consumer's completion says; see struct sodp_rx_cb */
static u16 rx_vlan(const struct sodp_came *came, const struct sodp_pkt *pkt,
		   u16 gsi_vlan)
{
	if (pkt->qpn == SODP_QPN_GSI)
		return gsi_vlan < VLAN_N_VID ? VLAN_CFI_MASK | gsi_vlan : 0;
	return is_vlan_dev(came->in) ?
	       VLAN_CFI_MASK | vlan_dev_vlan_id(came->in) : 0;
}

/* Hand a train over; its packets have the headers of @pkt */
static bool rx_give(const struct sodp_came *came, const struct sodp_pkt *pkt,
		    struct sk_buff *skb, struct sodp_qp *qp, u16 gsi_vlan)
{
	struct sodp_rx_cb *cb = sodp_rx_cb(skb);
	u32 nr = cb->nr - cb->next;

	if (!rx_qp_ok(qp, came, pkt)) {
		ibdev_dbg(&qp->dev->base_dev, "QP %#x: %s from %pI6c refused\n",
			  qp->qpn, pkt->op->name, &came->saddr);
		return false;
	}
	cb->vlan = rx_vlan(came, pkt, gsi_vlan);
	/* It may be unregistered while the skb waits in a QP's queue */
	skb->dev = NULL;
	sodp_count(qp->dev, SODP_CNT_rx_packets, nr);
	qp->receiver->receive(qp, came, pkt, skb);
	return true;
}

/* A copy for each QP in the group */
static bool rx_multicast(const struct sodp_came *came,
			 const struct sodp_pkt *pkt, struct sk_buff *skb)
{
	struct sodp_mcast *mcast;
	struct sk_buff *copy;
	struct sodp_dev *dev;
	struct sodp_qp *qp;

	if (pkt->op->type != IB_QPT_UD)
		return false;
	list_for_each_entry_rcu(dev, &came->sn->devs, net_node) {
		if (!sodp_came_by(came, dev))
			continue;
		for (mcast = sodp_mcast_next(dev, &came->daddr, NULL); mcast;
		     mcast = sodp_mcast_next(dev, &came->daddr, mcast)) {
			qp = sodp_mcast_qp(mcast);
			copy = qp ? skb_clone(skb, GFP_ATOMIC) : NULL;
			if (copy && !rx_give(came, pkt, copy, qp, 0xffff))
				kfree_skb(copy);
			if (qp)
				sodp_qp_put(qp);
		}
	}
	kfree_skb(skb);
	return true;
}

static bool rx_take(const struct sodp_came *came, const struct sodp_pkt *pkt,
		    struct sk_buff *skb)
{
	u16 gsi_vlan = 0xffff;
	struct sodp_qp *qp;
	bool taken;

	if (pkt->qpn == SODP_QPN_MULTICAST)
		return rx_multicast(came, pkt, skb);
	if (pkt->qpn == SODP_QPN_GSI)
		qp = sodp_gsi_get(came->sn, &came->daddr, came->in, &gsi_vlan);
	else
		qp = sodp_qp_get(pkt->qpn);
	if (!qp)
		return false;
	taken = rx_give(came, pkt, skb, qp, gsi_vlan);
	sodp_qp_put(qp);
	return taken;
}

/* Would a QP take it? Of groups and QP 1 that costs as much as the ICRC */
static bool rx_wants(const struct sodp_came *came, const struct sodp_pkt *pkt)
{
	struct sodp_qp *qp;
	bool ok;

	if (pkt->qpn == SODP_QPN_MULTICAST || pkt->qpn == SODP_QPN_GSI)
		return true;
	qp = sodp_qp_get(pkt->qpn);
	if (!qp)
		return false;
	ok = rx_qp_ok(qp, came, pkt);
	sodp_qp_put(qp);
	return ok;
}

const struct sodp_receiver sodp_receiver = {
	.wants = rx_wants,
	.take = rx_take,
};
