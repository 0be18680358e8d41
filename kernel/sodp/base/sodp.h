/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * sodp.h - the objects of the software HCA and who may touch them when
 *
 * An object that lookups can reach at any time (QP, key) is its own
 * allocation, counted and freed by RCU; the struct that ib_core owns beside
 * it only points there.
 */
#ifndef SODP_H
#define SODP_H

#include <linux/hrtimer.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/ib_verbs.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/uverbs_ioctl.h>
#include <rdma/odp.h>
#include <rdma/sodp-abi.h>

#include "stats.h"

/**
 * DOC: Locking
 *
 * ::
 *
 *	cq->resize_mutex, srq->resize_mutex
 *	  cq->cq_lock, srq->srq_lock
 *
 *	qp->exec_mutex		requester: SQ, current WQE, park state
 *	  peer->resp_mutex	responder: RQ, current receive, expected PSN
 *	    qp->state_lock	state, attributes that both sides read
 *	    srq->srq_lock	SRQ consumer
 *	    cq->cq_lock		CQ producer, arming
 *	    key->mw_mutex	binding of a window
 *
 * Kernel consumers post and poll in any context, so these take none of the
 * above: sq_post_lock, rq_post_lock (of QP and SRQ) and poll_lock guard the
 * consumer's side of a ring, with interrupts off, and nest in nothing.
 *
 * A QP executes on itself and its peer: exec_mutex of the one, then
 * resp_mutex of the other (they may be one QP). Nothing takes an exec_mutex
 * while it holds a resp_mutex, so an error that the responder finds marks
 * its own QP by state_lock and leaves the flushing to sq_work.
 *
 * Packets wait under the lock of their queue, which is a leaf but for the
 * pay_lock of who is charged for them. Both are taken in softirq.
 *
 * No fault is waited for under any of these locks: a miss that cannot be
 * served at once parks the QP and is carried to a worker that holds nothing,
 * one of the process whose memory it is: whoever leaves its pages unserved
 * holds up those that use them, and nobody else. See struct sodp_wait.
 *
 * Lookups (QP by number, key by index) run under RCU; a QP is referenced.
 * What a reference keeps is memory only: whoever uses a QP checks qp->dead
 * under the mutex of the side it uses, and destroy_qp sets it under both.
 * A key is different: it has users, each for one slice of work at most, and
 * dereg waits for them all.
 */

#define SODP_VERSION		"0.1.0"
#define SODP_RDMA_DRIVER	((enum rdma_driver_id)SODP_DRIVER_ID)
#define SODP_FW_VER		(0ULL << 32 | 1 << 16 | 0)

/* An OUI with the "locally administered" bit: it can never be assigned */
#define SODP_VENDOR_ID		0x02534f

#define SODP_MAX_SGE		32
#define SODP_MAX_INLINE		1024
#define SODP_MAX_QP_WR		SZ_32K
#define SODP_MAX_CQE		SZ_1M
#define SODP_MAX_SRQ_WR		SZ_64K
#define SODP_MAX_MSG		SZ_2G
/* Multicast: groups of a device, QPs in one, both together */
#define SODP_MAX_MCAST_GROUPS	1024
#define SODP_MAX_MCAST_QPS	64
#define SODP_MAX_MCASTS		8192
#define SODP_MAX_RD_ATOMIC	128
#define SODP_MAX_QPN		0xffffff
#define SODP_MIN_QPN		0x10
#define SODP_MAX_SRQN		0xffffff
#define SODP_GID_TABLE_LEN	128
/* Pages that one fast-registration MR may name */
#define SODP_MAX_FRMR_PAGES	4096
/* Device memory of all users together */
#define SODP_MAX_DM_BYTES	SZ_4M

/* Work that a doorbell may do in the caller's context */
#define SODP_INLINE_BYTES	SZ_2M
#define SODP_INLINE_WQES	128
/* Work of one turn of a worker, before others get theirs */
#define SODP_WORKER_BYTES	SZ_16M
#define SODP_WORKER_WQES	1024
/*
 * And time: no fault begins, and no long copy goes on, after so much of it.
 * What was begun takes 2 ms more (ODP_FAULT_BRIEF), or one copy of
 * SODP_CLOCK_BYTES: a doorbell is back in 5 ms, a worker's turn over in 20.
 */
#define SODP_POSTER_NS		(2 * NSEC_PER_MSEC)
#define SODP_WORKER_NS		(16 * NSEC_PER_MSEC)
#define SODP_CLOCK_BYTES	SZ_512K

struct sodp_dev;
struct sodp_dmabuf;
struct sodp_net;
struct sodp_av;
struct sodp_ud;
struct sodp_qp;
struct sodp_wire;
struct sodp_payer;

/*
 * A shared ring: kernel pages that the application maps. One of a kernel
 * consumer has no ucontext in its entry, and nobody maps it.
 */
struct sodp_ring {
	struct rdma_user_mmap_entry mmap_entry;
	void *mem;
	size_t size;
};

struct sodp_ucontext {
	struct ib_ucontext base_ucontext;
	struct odp_space *space; /* of the process that opened the device */
	struct sodp_payer *payer;	/* NULL: not needed yet; payer.c */
};

struct sodp_pd {
	struct ib_pd base_pd;
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
	struct sodp_ring *ring;
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
	struct sodp_ring *ring;
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

/* Verdict of a step of the requester or the responder */
enum sodp_verdict {
	SODP_OK,
	SODP_AGAIN,		/* a miss: fault, then go on from there */
	SODP_RNR,		/* no receive posted */
	SODP_LOST,		/* the peer gave no answer */
	SODP_BUDGET,		/* slice used up, more to do */
	/* errors found at the requester */
	SODP_E_LOC_LEN,
	SODP_E_LOC_QP_OP,
	SODP_E_LOC_PROT,
	SODP_E_MW_BIND,
	SODP_E_BAD_RESP,
	/* errors that the responder answers with a NAK */
	SODP_E_REM_INV_REQ,
	SODP_E_REM_ACCESS,
	SODP_E_REM_OP,
	/* patience of the requester used up */
	SODP_E_RNR_RETRY,
	SODP_E_RETRY,
	SODP_VERDICTS,
};

#include "mem.h"
#include "qp.h"

/* Kinds of objects that a device has a limited number of */
enum sodp_limit {
	SODP_LIMIT_PD,
	SODP_LIMIT_QP,
	SODP_LIMIT_CQ,
	SODP_LIMIT_SRQ,
	SODP_LIMIT_MR,
	SODP_LIMIT_MW,
	SODP_LIMIT_AH,
	SODP_LIMIT_XRCD,
	SODP_NR_LIMITS,
};

struct sodp_dev {
	struct ib_device base_dev;
	u32 max_objects;	/* of each kind; constant */
	atomic_t objects[SODP_NR_LIMITS];
	struct list_head list;	/* sodp_devs_mutex */
	u64 id;			/* never reused */
	bool registered;	/* has a GID table; sodp_devs_mutex, release */
	struct ib_event_handler gid_events;
	int port_state;		/* last reported, 0: not registered; main.c */
	struct net_device *ndev;
	struct sodp_net *sn;	/* of ndev; stays when that moves */
	struct list_head net_node;	/* sn->devs; RCU */
	struct xarray avs;	/* struct sodp_av by number; RCU */
	u32 next_av;
	u32 nr_groups;		/* multicast; mcast_mutex */
	u32 nr_mcasts;		/* QPs in all of these; mcast_mutex */
	struct sodp_qp __rcu *gsi;	/* QP 1, while there is one */
	struct odp_domain *domain;
	struct rhashtable keys;	/* struct sodp_key by index */
	struct sodp_counters __percpu *counters;
	struct xarray qp_counters;	/* of sets of QPs, by their id */
	atomic64_t dm_bytes;	/* allocated, at most SODP_MAX_DM_BYTES */
	/* Packets that wait, of all QPs; wire_rxq.c */
	atomic_long_t rxq_bytes;
	long rxq_most;
};

/* What ib_core allocates for an address handle */
struct sodp_ah {
	struct ib_ah base_ah;
	struct sodp_av *av;
};

extern struct workqueue_struct *sodp_wq;
extern struct xarray sodp_qps;

static inline void sodp_count(struct sodp_dev *dev, enum sodp_counter c,
			      u64 n)
{
	this_cpu_add(dev->counters->value[c], n);
}

/* Under one of the QP's mutexes; ib_core adds the sets to the link's own */
static inline void sodp_qp_count(struct sodp_qp *qp, enum sodp_counter c,
				 u64 n)
{
	if (unlikely(qp->counters))
		this_cpu_add(qp->counters->value[c], n);
	else
		sodp_count(qp->dev, c, n);
}

static inline struct sodp_dev *to_sodp_dev(struct ib_device *ibdev)
{
	return container_of(ibdev, struct sodp_dev, base_dev);
}

static inline struct sodp_ucontext *
to_sodp_ucontext(struct ib_ucontext *ucontext)
{
	return container_of(ucontext, struct sodp_ucontext, base_ucontext);
}

static inline struct sodp_cq *to_sodp_cq(struct ib_cq *ibcq)
{
	return ibcq ? container_of(ibcq, struct sodp_cq, base_cq) : NULL;
}

static inline struct sodp_srq *to_sodp_srq(struct ib_srq *ibsrq)
{
	return ibsrq ? container_of(ibsrq, struct sodp_srq, base_srq) : NULL;
}

static inline struct sodp_ah *to_sodp_ah(struct ib_ah *ibah)
{
	return container_of(ibah, struct sodp_ah, base_ah);
}

/* device.c */
void sodp_device_init(struct sodp_dev *dev);
int sodp_udata_check(struct ib_device *ibdev, const struct ib_udata *udata,
		     size_t known);

/* limits.c */
void sodp_limits_init(struct sodp_dev *dev);
int sodp_limit_take(struct sodp_dev *dev, enum sodp_limit what);
void sodp_limit_give(struct sodp_dev *dev, enum sodp_limit what);
void sodp_limits_fill(const struct sodp_dev *dev, struct ib_device_attr *attr);

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

/* gid.c */
struct in6_addr;
void sodp_gids_changed(void);
u32 sodp_gids_count(void);
void sodp_gids_settle(void);
const struct ib_gid_attr *sodp_gid_find(struct sodp_dev *dev,
					const struct in6_addr *addr,
					struct net_device *ndev);
u64 sodp_device_by_gid(struct sodp_dev *from, const struct in6_addr *addr);

/* netlink.c */
int sodp_nl_register(void);
void sodp_nl_unregister(void);

/* ring.c */
struct sodp_ring *sodp_ring_alloc(struct ib_ucontext *ucontext, size_t size);
void sodp_ring_free(struct sodp_ring *ring);
u64 sodp_ring_offset(struct sodp_ring *ring);
int sodp_mmap(struct ib_ucontext *ucontext, struct vm_area_struct *vma);
void sodp_mmap_free(struct rdma_user_mmap_entry *entry);

/* payer.c */
struct sodp_payer *sodp_payer_get(struct ib_ucontext *ucontext);
void sodp_payer_put(struct sodp_payer *payer);

/* doorbell.c */
extern const struct uapi_definition sodp_uapi_defs[];

/* cq.c */
int sodp_cq_create(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		   struct ib_udata *udata);
int sodp_cq_destroy(struct ib_cq *ibcq, struct ib_udata *udata);
int sodp_cq_resize(struct ib_cq *ibcq, unsigned int cqe,
		   struct ib_udata *udata);
int sodp_cq_modify(struct ib_cq *ibcq, u16 count, u16 period);
int sodp_cq_post(struct sodp_cq *cq, struct sodp_cqe *cqe, bool solicited);

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
enum sodp_verdict sodp_xrc_enter(struct sodp_qp *qp, u32 srqn);
void sodp_xrc_leave(struct sodp_qp *qp);

/* kverbs.c */
int sodp_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
		   const struct ib_send_wr **bad_wr);
int sodp_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
		   const struct ib_recv_wr **bad_wr);
int sodp_post_srq_recv(struct ib_srq *ibsrq, const struct ib_recv_wr *wr,
		       const struct ib_recv_wr **bad_wr);
int sodp_poll_cq(struct ib_cq *ibcq, int num, struct ib_wc *wc);
int sodp_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags);

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

/* The context a command came from; @udata is not NULL */
static inline struct ib_ucontext *sodp_udata_context(struct ib_udata *udata)
{
	return &rdma_udata_to_drv_context(udata, struct sodp_ucontext,
					  base_ucontext)->base_ucontext;
}

#endif /* SODP_H */
