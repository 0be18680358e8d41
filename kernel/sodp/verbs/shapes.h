/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Verbs as the core of this kernel calls them. HAVE_* come from the compile
 * probes of kernel/compat.
 */
#ifndef SODP_SHAPES_H
#define SODP_SHAPES_H

#include "compat_rdma.h"
#include "mem/mem.h"
#include "queue/queue.h"
#include "verbs/verbs.h"

#ifdef HAVE_CREATE_CQ_ATTRS
static inline int sodp_compat_create_cq(struct ib_cq *ibcq,
					const struct ib_cq_init_attr *attr,
					struct uverbs_attr_bundle *attrs)
{
	return sodp_cq_create(ibcq, attr, attrs ? &attrs->driver_udata : NULL);
}
#else
static inline int sodp_compat_create_cq(struct ib_cq *ibcq,
					const struct ib_cq_init_attr *attr,
					struct ib_udata *udata)
{
	return sodp_cq_create(ibcq, attr, udata);
}
#endif

#ifdef HAVE_REG_USER_MR_DMAH
static inline struct ib_mr *
sodp_compat_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova,
			int access, struct ib_dmah *dmah,
			struct ib_udata *udata)
{
	/* No steering tags in software */
	if (dmah)
		return ERR_PTR(-EOPNOTSUPP);
	return sodp_mr_reg_user(pd, start, length, iova, access, udata);
}

static inline struct ib_mr *
sodp_compat_reg_dmabuf(struct ib_pd *pd, u64 offset, u64 length, u64 iova,
		       int fd, int access, struct ib_dmah *dmah,
		       struct uverbs_attr_bundle *attrs)
{
	if (dmah)
		return ERR_PTR(-EOPNOTSUPP);
	return sodp_dmabuf_reg_mr(pd, offset, length, iova, fd, access);
}
#else
static inline struct ib_mr *
sodp_compat_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova,
			int access, struct ib_udata *udata)
{
	return sodp_mr_reg_user(pd, start, length, iova, access, udata);
}

#ifdef HAVE_REG_DMABUF_ATTRS
static inline struct ib_mr *
sodp_compat_reg_dmabuf(struct ib_pd *pd, u64 offset, u64 length, u64 iova,
		       int fd, int access, struct uverbs_attr_bundle *attrs)
#else
static inline struct ib_mr *
sodp_compat_reg_dmabuf(struct ib_pd *pd, u64 offset, u64 length, u64 iova,
		       int fd, int access, struct ib_udata *udata)
#endif
{
	return sodp_dmabuf_reg_mr(pd, offset, length, iova, fd, access);
}
#endif

#ifdef HAVE_RESIZE_USER_CQ
#define SODP_OP_RESIZE_CQ .resize_user_cq
static inline int sodp_compat_resize_cq(struct ib_cq *ibcq, unsigned int cqe,
					struct ib_udata *udata)
{
	return sodp_cq_resize(ibcq, cqe, udata);
}
#else
#define SODP_OP_RESIZE_CQ .resize_cq
static inline int sodp_compat_resize_cq(struct ib_cq *ibcq, int cqe,
					struct ib_udata *udata)
{
	return cqe > 0 ? sodp_cq_resize(ibcq, cqe, udata) : -EINVAL;
}
#endif

static inline struct sodp_dev *sodp_compat_alloc_device(struct net *net)
{
#ifdef HAVE_ALLOC_DEVICE_NET
	return ib_alloc_device_with_net(sodp_dev, base_dev, net);
#else
	/* Of the first namespace, until somebody moves it */
	return ib_alloc_device(sodp_dev, base_dev);
#endif
}

#ifdef HAVE_COUNTER_BIND_PORT
#define sodp_compat_counter_bind_qp	sodp_counter_bind_qp
#define sodp_compat_counter_unbind_qp	sodp_counter_unbind_qp
#else
static inline int sodp_compat_counter_bind_qp(struct rdma_counter *counter,
					      struct ib_qp *ibqp)
{
	return sodp_counter_bind_qp(counter, ibqp, 1);
}

static inline int sodp_compat_counter_unbind_qp(struct ib_qp *ibqp)
{
	return sodp_counter_unbind_qp(ibqp, 1);
}
#endif

#endif /* SODP_SHAPES_H */
