/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * sodp.h - objects of the sodp provider
 *
 * Every object embeds the libibverbs object as its first word of business, is
 * allocated by its create verb and freed by its destroy verb. Rings are mapped
 * from the kernel; the private copies of the indices here are what the
 * provider trusts, the mapped words only tell the kernel.
 *
 * A slot of a queue is free again when its completion, or a later one of that
 * queue, has been polled. Completions carry the address of the struct sodp_sq
 * or sodp_rq and, but for an SRQ, the index up to which entries are done: who
 * polls stores that in the queue, without its lock. The queue is there: before
 * it is freed its completions are dropped from the CQs, under their locks.
 *
 * Locks. Order: cq_lock, arm_lock; sq_lock, rq_lock; no other pair is ever
 * held. Those of a CQ, and the rq_lock of an SRQ, are held over the command
 * that resizes it. The application's code runs under cq_lock in a poll session
 * and under sq_lock between ibv_wr_start and its end.
 */
#ifndef SODP_PROVIDER_H
#define SODP_PROVIDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <infiniband/driver.h>

#include "abi.h"

#ifndef likely
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

struct sodp_lock {
	atomic_bool held;
};

void sodp_lock_slow(struct sodp_lock *lk);

static inline void sodp_lock(struct sodp_lock *lk)
{
	if (unlikely(atomic_exchange_explicit(&lk->held, true,
					      memory_order_acquire)))
		sodp_lock_slow(lk);
}

static inline void sodp_unlock(struct sodp_lock *lk)
{
	atomic_store_explicit(&lk->held, false, memory_order_release);
}

struct sodp_context {
	struct verbs_context vctx;
	int db_fd;
};

/* Part of the kernel's memory that is mapped here */
struct sodp_map {
	void *addr;
	size_t size;
};

struct sodp_td {
	struct ibv_td td;
	atomic_uint users; /* parent domains */
};

/*
 * A protection domain, an imported one, or a parent domain, which has the
 * same handle as the domain that it extends.
 */
struct sodp_pd {
	struct ibv_pd pd;
	atomic_uint users; /* parent domains of it; objects of a parent domain */
	/* a parent domain: */
	struct sodp_pd *extends;
	struct sodp_td *td;
	void *(*alloc)(struct ibv_pd *pd, void *pd_context, size_t size,
		       size_t alignment, uint64_t resource_type);
	void (*free)(struct ibv_pd *pd, void *pd_context, void *ptr,
		     uint64_t resource_type);
	void *pd_context;
};

/* What a parent domain's allocator is asked for; the driver id is above it */
enum sodp_resource_type {
	SODP_RESOURCE_SCRATCH,
};

struct sodp_cq {
	struct verbs_cq vcq;
	struct sodp_pd *parent; /* a parent domain or NULL */
	struct sodp_lock cq_lock; /* all below but the arm words */
	uint32_t ci;
	uint32_t pi; /* last seen, valid inside a poll session */
	uint32_t mask;
	bool single_threaded;
	struct sodp_cqe *ring;
	struct sodp_cq_page *page;
	struct sodp_cqe cqe; /* the one that the session is at */
	atomic_ulong poller; /* pthread_t of an open session, or 0 */
	struct sodp_lock arm_lock; /* all up to next_pi; writes of page->arm */
	uint32_t arm_count;
	bool armed_next; /* its event has not been read */
	uint32_t next_pi; /* pi when that was armed */
	int64_t wallclock_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC_RAW */
	struct sodp_map map;
};

/*
 * A send queue. limit is 0 while the QP state does not let sends be posted:
 * one compare on the hot path finds both that and a full queue.
 */
struct sodp_sq {
	struct sodp_lock sq_lock; /* all below */
	uint32_t pi;
	uint32_t ci; /* last value seen of *ci_word */
	uint32_t limit;
	uint32_t mask;
	uint32_t stride;
	uint32_t max_sge;
	uint32_t max_inline;
	uint32_t opcodes; /* bit mask of what post_send takes */
	uint32_t plain_opcodes; /* of these, what its short way handles */
	uint16_t sig_flag; /* SODP_SEND_SIGNALED with sq_sig_all */
	uint8_t *ring;
	uint32_t max_wr;
	const uint32_t *ci_word; /* freed; the kernel's, of an older one */
	uint8_t apart[64]; /* of what posting writes, of what polling does */
	uint32_t freed; /* entries below it are done: under the CQ's lock */
};

/* A receive queue, of a QP or shared; limit as in struct sodp_sq */
struct sodp_rq {
	struct sodp_lock rq_lock; /* all below */
	uint32_t pi;
	uint32_t ci;
	uint32_t limit;
	uint32_t mask;
	uint32_t stride;
	uint32_t max_sge;
	uint32_t max_wr;
	uint8_t *ring;
	uint32_t *pi_word;
	const uint32_t *ci_word; /* as in struct sodp_sq */
	const uint32_t *lost_word; /* of an SRQ: more free entries, or NULL */
	const uint32_t *flags_word; /* NULL: an SRQ, which has no doorbell */
	uint32_t qpn;
	int db_fd;
	uint8_t apart[64];
	uint32_t freed; /* SRQ: receives whose completion was polled, atomic */
};

/* A batch between ibv_wr_start and ibv_wr_complete; under sq_lock */
struct sodp_batch {
	uint32_t pi;
	int err;
	struct sodp_sqe *sqe;
	struct sodp_sqe *scratch; /* takes what follows an error */
	bool scratch_is_ours; /* not from a parent domain's allocator */
};

#ifdef SODP_LIB_HAS_NO_WR_FLUSH
/*
 * libibverbs here is older than the source the provider is built from: its
 * struct ibv_qp_ex ends before wr_flush, so that it keeps the rest of struct
 * verbs_qp where ours has that pointer.
 */
struct sodp_lib_verbs_qp {
	uint8_t qp_ex[offsetof(struct ibv_qp_ex, wr_flush)];
	uint32_t comp_mask;
	struct verbs_xrcd *xrcd;
};
#endif

struct sodp_qp {
	union {
		struct verbs_qp vqp;
#ifdef SODP_LIB_HAS_NO_WR_FLUSH
		struct sodp_lib_verbs_qp lib_vqp;
#endif
	};
	struct sodp_qp_page *page;
	int db_fd;
	struct sodp_sq sq;
	struct sodp_rq rq;
	struct sodp_batch batch;
	struct sodp_map map;
};

struct sodp_srq {
	struct verbs_srq vsrq;
	struct sodp_rq rq;
	bool by_poll; /* the kernel says whose a completion is */
	struct sodp_map map;
};

struct sodp_dm {
	struct verbs_dm vdm;
	struct sodp_map map;
	uint64_t length;
};

struct sodp_ah {
	struct ibv_ah ah;
	uint32_t number;
};

static inline struct sodp_context *to_sodp_context(struct ibv_context *context)
{
	return container_of(context, struct sodp_context, vctx.context);
}

static inline struct sodp_pd *to_sodp_pd(struct ibv_pd *ibpd)
{
	return container_of(ibpd, struct sodp_pd, pd);
}

static inline struct sodp_cq *to_sodp_cq(struct ibv_cq *ibcq)
{
	return container_of(ibcq, struct sodp_cq, vcq.cq);
}

static inline struct sodp_cq *to_sodp_cq_ex(struct ibv_cq_ex *ibcq)
{
	return container_of(ibcq, struct sodp_cq, vcq.cq_ex);
}

static inline struct sodp_qp *to_sodp_qp(struct ibv_qp *ibqp)
{
	return container_of(ibqp, struct sodp_qp, vqp.qp);
}

static inline struct sodp_qp *to_sodp_qp_ex(struct ibv_qp_ex *ibqp)
{
	return container_of(ibqp, struct sodp_qp, vqp.qp_ex);
}

static inline struct sodp_srq *to_sodp_srq(struct ibv_srq *ibsrq)
{
	return container_of(ibsrq, struct sodp_srq, vsrq.srq);
}

static inline struct sodp_ah *to_sodp_ah(struct ibv_ah *ibah)
{
	return container_of(ibah, struct sodp_ah, ah);
}

/* sodp.c */
int sodp_map_ring(struct ibv_context *context, uint64_t offset, uint64_t size,
		  struct sodp_map *map);
void sodp_unmap_ring(struct sodp_map *map);

/* verbs.c */
int sodp_query_device_ex(struct ibv_context *context,
			 const struct ibv_query_device_ex_input *input,
			 struct ibv_device_attr_ex *attr, size_t attr_size);
int sodp_query_port(struct ibv_context *context, uint8_t port,
		    struct ibv_port_attr *attr);
int sodp_query_rt_values(struct ibv_context *context,
			 struct ibv_values_ex *values);
struct ibv_mr *sodp_reg_mr(struct ibv_pd *pd, void *addr, size_t length,
			   uint64_t hca_va, int access);
struct ibv_mr *sodp_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset,
				  size_t length, uint64_t iova, int fd,
				  int access);
int sodp_rereg_mr(struct verbs_mr *vmr, int flags, struct ibv_pd *pd,
		  void *addr, size_t length, int access);
int sodp_dereg_mr(struct verbs_mr *vmr);
struct ibv_mr *sodp_import_mr(struct ibv_pd *pd, uint32_t mr_handle);
void sodp_unimport_mr(struct ibv_mr *ibmr);
int sodp_advise_mr(struct ibv_pd *pd, enum ibv_advise_mr_advice advice,
		   uint32_t flags, struct ibv_sge *sg_list, uint32_t num_sge);
struct ibv_mw *sodp_alloc_mw(struct ibv_pd *pd, enum ibv_mw_type type);
int sodp_dealloc_mw(struct ibv_mw *mw);
struct ibv_ah *sodp_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr);
int sodp_destroy_ah(struct ibv_ah *ibah);
struct ibv_xrcd *sodp_open_xrcd(struct ibv_context *context,
				struct ibv_xrcd_init_attr *attr);
int sodp_close_xrcd(struct ibv_xrcd *ibxrcd);

/* pd.c */
struct ibv_pd *sodp_alloc_pd(struct ibv_context *context);
struct ibv_pd *
sodp_alloc_parent_domain(struct ibv_context *context,
			 struct ibv_parent_domain_init_attr *attr);
int sodp_dealloc_pd(struct ibv_pd *ibpd);
struct ibv_td *sodp_alloc_td(struct ibv_context *context,
			     struct ibv_td_init_attr *attr);
int sodp_dealloc_td(struct ibv_td *ibtd);
struct ibv_pd *sodp_import_pd(struct ibv_context *context, uint32_t pd_handle);
void sodp_unimport_pd(struct ibv_pd *ibpd);
void sodp_pd_get(struct ibv_pd *ibpd);
void sodp_pd_put(struct ibv_pd *ibpd);
void *sodp_pd_alloc(struct ibv_pd *ibpd, size_t size,
		    enum sodp_resource_type type, bool *ours);
void sodp_pd_free(struct ibv_pd *ibpd, void *ptr, enum sodp_resource_type type,
		  bool ours);

/* dm.c */
struct ibv_dm *sodp_alloc_dm(struct ibv_context *context,
			     struct ibv_alloc_dm_attr *attr);
int sodp_free_dm(struct ibv_dm *ibdm);
struct ibv_dm *sodp_import_dm(struct ibv_context *context, uint32_t dm_handle);
void sodp_unimport_dm(struct ibv_dm *ibdm);
struct ibv_mr *sodp_reg_dm_mr(struct ibv_pd *pd, struct ibv_dm *ibdm,
			      uint64_t dm_offset, size_t length,
			      unsigned int access);

/* cq.c */
struct ibv_cq *sodp_create_cq(struct ibv_context *context, int cqe,
			      struct ibv_comp_channel *channel, int vector);
struct ibv_cq_ex *sodp_create_cq_ex(struct ibv_context *context,
				    struct ibv_cq_init_attr_ex *attr);
int sodp_destroy_cq(struct ibv_cq *ibcq);
int sodp_resize_cq(struct ibv_cq *ibcq, int cqe);
int sodp_modify_cq(struct ibv_cq *ibcq, struct ibv_modify_cq_attr *attr);

/* poll.c */
int sodp_poll_cq(struct ibv_cq *ibcq, int num, struct ibv_wc *wc);
int sodp_req_notify_cq(struct ibv_cq *ibcq, int solicited_only);
void sodp_cq_event(struct ibv_cq *ibcq);
uint32_t sodp_cq_clean_qp(struct sodp_cq *cq, uint32_t qpn);
void sodp_cq_clean_srq(struct sodp_cq *cq, const struct sodp_rq *rq);
void sodp_cq_init_ex(struct sodp_cq *cq, uint64_t wc_flags);

/* qp.c */
struct ibv_qp *sodp_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
struct ibv_qp *sodp_create_qp_ex(struct ibv_context *context,
				 struct ibv_qp_init_attr_ex *attr);
struct ibv_qp *sodp_open_qp(struct ibv_context *context,
			    struct ibv_qp_open_attr *attr);
int sodp_query_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr, int attr_mask,
		  struct ibv_qp_init_attr *init_attr);
int sodp_modify_qp(struct ibv_qp *ibqp, struct ibv_qp_attr *attr,
		   int attr_mask);
int sodp_destroy_qp(struct ibv_qp *ibqp);

/* srq.c */
struct ibv_srq *sodp_create_srq(struct ibv_pd *pd,
				struct ibv_srq_init_attr *attr);
struct ibv_srq *sodp_create_srq_ex(struct ibv_context *context,
				   struct ibv_srq_init_attr_ex *attr);
int sodp_modify_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr,
		    int attr_mask);
int sodp_query_srq(struct ibv_srq *ibsrq, struct ibv_srq_attr *attr);
int sodp_destroy_srq(struct ibv_srq *ibsrq);
int sodp_get_srq_num(struct ibv_srq *ibsrq, uint32_t *srq_num);

/* post.c */
int sodp_sq_full(struct sodp_qp *qp, uint32_t pi);
int sodp_sq_ring(struct sodp_qp *qp);
int sodp_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr,
		   struct ibv_send_wr **bad_wr);
int sodp_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr,
		   struct ibv_recv_wr **bad_wr);
int sodp_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr,
		       struct ibv_recv_wr **bad_wr);
int sodp_bind_mw(struct ibv_qp *ibqp, struct ibv_mw *mw,
		 struct ibv_mw_bind *mw_bind);

/* wr.c */
int sodp_wr_init(struct sodp_qp *qp, enum ibv_qp_type type, uint64_t ops);

static inline struct sodp_sqe *sodp_sq_slot(const struct sodp_sq *sq,
					    uint32_t index)
{
	return (struct sodp_sqe *)(sq->ring +
				   (size_t)(index & sq->mask) * sq->stride);
}

static inline void sodp_copy_sges(void *to, const struct ibv_sge *src,
				  uint32_t num)
{
	struct sodp_sge *dst = to;

	for (; num; num--, src++, dst++) {
		dst->addr = src->addr;
		dst->length = src->length;
		dst->lkey = src->lkey;
	}
}

/**
 * sodp_sq_publish() - let the kernel see the entries below @pi
 * @qp: its sq_lock is held
 * @pi: new producer index
 *
 * The caller drops the lock and then calls sodp_sq_ring().
 */
static inline void sodp_sq_publish(struct sodp_qp *qp, uint32_t pi)
{
	qp->sq.pi = pi;
	__atomic_store_n(&qp->page->sq_pi, pi, __ATOMIC_RELEASE);
}

#endif /* SODP_PROVIDER_H */
