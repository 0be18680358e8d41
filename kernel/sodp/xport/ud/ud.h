/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Datagrams: addresses, groups, QPs that send and receive them */
#ifndef SODP_UD_H
#define SODP_UD_H

#include "net/net.h"
#include "qp/qp.h"

/* What ib_core allocates for an address handle */
struct sodp_ah {
	struct ib_ah base_ah;
	struct sodp_av *av;
};

/**
 * struct sodp_av - what an address handle stands for
 * @ref: the handle, and every WQE being sent by it
 * @rcu: frees it
 * @number: in dev->avs; what a WQE says
 * @pd: of the handle, to be compared only
 * @attr: for queries
 * @path: the address
 * @group: it is a multicast group's
 * @peer_dev_id: device of this host that owns it, or 0, as found at @gids
 * @gids: sodp_gids_count() of then, 0: not looked for yet
 */
struct sodp_av {
	refcount_t ref;
	struct rcu_head rcu;
	u32 number;
	struct ib_pd *pd;
	struct rdma_ah_attr attr;
	struct sodp_path path;
	bool group;
	u64 peer_dev_id;
	u32 gids;
};

u64 sodp_av_peer(struct sodp_av *av);

static inline struct sodp_ah *to_sodp_ah(struct ib_ah *ibah)
{
	return container_of(ibah, struct sodp_ah, base_ah);
}

/* ah.c */
int sodp_ah_create(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
		   struct ib_udata *udata);
int sodp_ah_destroy(struct ib_ah *ibah, u32 flags);
int sodp_ah_modify(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int sodp_ah_query(struct ib_ah *ibah, struct rdma_ah_attr *attr);
struct sodp_av *sodp_av_get(struct sodp_qp *qp, u32 number);
void sodp_av_put(struct sodp_av *av);

/* mcast.c */
int sodp_mcast_attach(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);
int sodp_mcast_detach(struct ib_qp *ibqp, union ib_gid *gid, u16 lid);
void sodp_mcast_forget(struct sodp_qp *qp);
struct sodp_mcast;
struct sodp_mcast *sodp_mcast_next(struct sodp_dev *dev,
				   const struct in6_addr *addr,
				   struct sodp_mcast *last);
struct sodp_qp *sodp_mcast_qp(struct sodp_mcast *mcast);

/* gsi.c */
struct sodp_qp *sodp_gsi_get(struct sodp_net *sn, const struct in6_addr *addr,
			     struct net_device *in, u16 *vlan);

/* near.c */
bool sodp_ud_stays(struct sodp_av *av);
void sodp_ud_local(struct sodp_av *av, const struct sodp_pkt *pkt,
		   struct sk_buff *skb);

void sodp_ud_rx(struct sodp_qp *qp, struct sk_buff *skb);

/* ud.c */

#endif /* SODP_UD_H */
