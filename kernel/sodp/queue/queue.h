/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * queue.h - the queues that QPs share: completions, receives, XRC domains
 */
#ifndef SODP_QUEUE_H
#define SODP_QUEUE_H

#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>

#include "mem/mem.h"

/* Receive WQE in the hands of the responder */
struct sodp_recv {
	bool valid;
	u8 fail_status;		/* enum ib_wc_status, should it fail */
	u8 fail_why;		/* enum sodp_vendor_err, likewise; or 0 */
	u32 srqn;		/* XRC: SRQ that it came from */
	u64 wr_id;
	u32 num_sge;
	u64 length;
	struct sodp_sge *sge;
};

struct sodp_cq {
	struct ib_cq base_cq;
	/* One resize at a time: @ring, @page, @cqes and @depth stay */
	struct mutex resize_mutex;
	/*
	 * Guards what follows. Taken by every completion, by resize and by
	 * modify; innermost, held across no allocation and no long copy.
	 */
	spinlock_t cq_lock;
	struct sodp_smem *ring;
	struct sodp_cq_page *page;
	struct sodp_cqe *cqes;
	u32 depth;
	u32 pi;
	u32 arm_seen;		/* arm value that an event was raised for */
	bool overflowed;
	bool timestamps;
	/* moderation: an armed event waits for this many or this long */
	u16 mod_count;
	u16 mod_period_us;
	u32 mod_pending;
	struct hrtimer mod_timer;
	/* Guards page->ci and page->arm of a kernel CQ, from any context */
	spinlock_t poll_lock;
};

struct sodp_srq {
	struct ib_srq base_srq;
	/* One resize at a time: @ring, @page, @rqes and @depth stay */
	struct mutex resize_mutex;
	/* Guards consumption, limit and the error flag; under a resp_mutex */
	spinlock_t srq_lock;
	struct sodp_smem *ring;
	struct sodp_srq_page *page;
	u8 *rqes;
	u32 depth;
	u32 stride;
	u32 max_sge;
	u32 ci;
	u32 limit;
	u32 lost;		/* taken, and not completed by anything */
	bool error;
	u64 cookie;		/* the application's name for it */
	bool strict;		/* the provider clears what is reserved */
	/* Guards page->rq_pi of a kernel SRQ, from any context */
	spinlock_t rq_post_lock;
	atomic_t polled;	/* completions of a kernel SRQ's receives */
	struct sodp_xsrq *xsrq;	/* XRC only */
};

/* What the number of an XRC SRQ leads to; a reference keeps the SRQ too */
struct sodp_xsrq {
	refcount_t ref;
	struct rcu_head rcu;
	u32 srqn;
	struct sodp_srq *srq;
	struct completion idle;	/* ref reached 0 */
};

struct sodp_xrcd {
	struct ib_xrcd base_xrcd;
};

static inline struct sodp_cq *to_sodp_cq(struct ib_cq *ibcq)
{
	return ibcq ? container_of(ibcq, struct sodp_cq, base_cq) : NULL;
}

static inline struct sodp_srq *to_sodp_srq(struct ib_srq *ibsrq)
{
	return ibsrq ? container_of(ibsrq, struct sodp_srq, base_srq) : NULL;
}

/* cq.c */
int sodp_cq_create(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		   struct ib_udata *udata);
int sodp_cq_destroy(struct ib_cq *ibcq, struct ib_udata *udata);
int sodp_cq_resize(struct ib_cq *ibcq, unsigned int cqe,
		   struct ib_udata *udata);
int sodp_cq_modify(struct ib_cq *ibcq, u16 count, u16 period);
int sodp_cq_post(struct sodp_cq *cq, struct sodp_cqe *cqe, bool solicited);

/* rqe.c */
int sodp_rqe_copy(struct sodp_recv *recv, const u8 *slot, u32 max_sge,
		  bool strict);

/* srq.c */
int sodp_srq_create(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
		    struct ib_udata *udata);
int sodp_srq_modify(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
		    enum ib_srq_attr_mask mask, struct ib_udata *udata);
int sodp_srq_query(struct ib_srq *ibsrq, struct ib_srq_attr *attr);
int sodp_srq_destroy(struct ib_srq *ibsrq, struct ib_udata *udata);
enum sodp_verdict sodp_srq_fetch(struct sodp_srq *srq, struct sodp_recv *recv);
void sodp_srq_lose(struct sodp_srq *srq);

/* xrc.c */
int sodp_xrcd_alloc(struct ib_xrcd *xrcd, struct ib_udata *udata);
int sodp_xrcd_dealloc(struct ib_xrcd *xrcd, struct ib_udata *udata);
int sodp_xrc_number(struct sodp_srq *srq);
void sodp_xrc_publish(struct sodp_srq *srq);
void sodp_xrc_retire(struct sodp_srq *srq);
struct sodp_xsrq *sodp_xrc_get(const struct ib_xrcd *xrcd, u32 srqn);
void sodp_xrc_put(struct sodp_xsrq *xsrq);

#endif /* SODP_QUEUE_H */
