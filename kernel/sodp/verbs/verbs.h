/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* What ib_core calls, and the list of devices */
#ifndef SODP_VERBS_H
#define SODP_VERBS_H

#include "base/sodp.h"

struct ib_cq;
struct ib_device;
struct ib_mr;
struct ib_qp;
struct ib_srq;
struct rdma_counter;
struct rdma_hw_stats;
struct sk_buff;

struct sodp_pd {
	struct ib_pd base_pd;
};

/* device.c */
void sodp_device_init(struct sodp_dev *dev);

/* port.c */
int sodp_port_query(struct ib_device *ibdev, u32 port,
		    struct ib_port_attr *attr);
int sodp_port_query_speed(struct ib_device *ibdev, u32 port, u64 *speed);
int sodp_port_query_pkey(struct ib_device *ibdev, u32 port, u16 index,
			 u16 *pkey);
int sodp_port_immutable(struct ib_device *ibdev, u32 port,
			struct ib_port_immutable *immutable);
enum rdma_link_layer sodp_port_link_layer(struct ib_device *ibdev, u32 port);

/* main.c */
void sodp_device_remove(struct sodp_dev *dev);
struct sodp_dev *sodp_devs_lock_find(struct net *net, const char *name);
struct sodp_dev *sodp_devs_lock_next(struct net *net, u64 id);
struct sodp_dev *sodp_devs_next(struct net *net, u64 id);
void sodp_devs_unlock(void);

/* netlink.c */
int sodp_nl_register(void);
void sodp_nl_unregister(void);

/* doorbell.c */
extern const struct uapi_definition sodp_uapi_defs[];

/* qp.c, qp_modify.c */
int sodp_qp_create(struct ib_qp *ibqp, struct ib_qp_init_attr *init,
		   struct ib_udata *udata);
int sodp_qp_destroy(struct ib_qp *ibqp, struct ib_udata *udata);
int sodp_qp_modify(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_udata *udata);
int sodp_qp_query(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_qp_init_attr *init);

/* kverbs.c */
int sodp_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		   const struct ib_send_wr **bad_wr);
int sodp_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		   const struct ib_recv_wr **bad_wr);
int sodp_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
		       const struct ib_recv_wr **bad_wr);
int sodp_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int sodp_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);

/* counters.c */
int sodp_counter_bind_qp(struct rdma_counter *counter, struct ib_qp *ibqp,
			 u32 port);
int sodp_counter_unbind_qp(struct ib_qp *ibqp, u32 port);
int sodp_counter_dealloc(struct rdma_counter *counter);
int sodp_counter_update_stats(struct rdma_counter *counter);

/* stats.c */
struct rdma_hw_stats *sodp_counter_alloc_stats(struct rdma_counter *counter);
void sodp_counters_sum(struct sodp_counters __percpu *counters, u64 *value);
struct rdma_hw_stats *sodp_alloc_port_stats(struct ib_device *ibdev, u32 port);
int sodp_get_port_stats(struct ib_device *ibdev, struct rdma_hw_stats *stats,
			u32 port, int index);
int sodp_fill_stat_mr(struct sk_buff *msg, struct ib_mr *ibmr);
int sodp_fill_res_mr(struct sk_buff *msg, struct ib_mr *ibmr);
int sodp_fill_res_qp(struct sk_buff *msg, struct ib_qp *ibqp);
int sodp_fill_res_cq(struct sk_buff *msg, struct ib_cq *ibcq);
int sodp_fill_res_srq(struct sk_buff *msg, struct ib_srq *ibsrq);

#endif /* SODP_VERBS_H */
