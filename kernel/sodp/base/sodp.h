/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * sodp.h - the device, and what every room needs to know
 *
 * An object that lookups can reach at any time (QP, key) is its own
 * allocation, counted and freed by RCU; the struct that ib_core owns beside
 * it only points there.
 */
#ifndef SODP_H
#define SODP_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include <linux/rhashtable.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <rdma/ib_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/uverbs_ioctl.h>
#include <rdma/odp.h>
#include <rdma/sodp-abi.h>

#include "base/stats.h"

/**
 * DOC: Locking
 *
 * ::
 *
 *	cq->resize_mutex, srq->resize_mutex
 *	  cq->cq_lock, srq->srq_lock
 *
 *	req->exec_mutex		requester: SQ, current WQE, park state
 *	  resp->resp_mutex	responder: RQ, current receive, expected PSN
 *	    qp->state_lock	state, attributes that both sides read
 *	    srq->srq_lock	SRQ consumer
 *	    cq->cq_lock		CQ producer, arming
 *	    key->grant_mutex	binding of a window
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

struct sodp_dev;
struct sodp_net;
struct sodp_payer;
struct sodp_qp;

struct sodp_ucontext {
	struct ib_ucontext base_ucontext;
	struct odp_space *space; /* of the process that opened the device */
	struct sodp_payer *payer;	/* NULL: not needed yet; payer.c */
};

/* Verdict of a step of the requester or the responder */
enum sodp_verdict {
	SODP_OK,
	SODP_AGAIN,		/* a miss: fault, then go on from there */
	SODP_RNR,		/* no receive posted */
	SODP_LOST,		/* the peer gave no answer */
	SODP_FULL,		/* no room on the way to the peer: a kick follows */
	SODP_BUDGET,		/* slice used up, more to do */
	SODP_BUSY,		/* a key is in use that is to close: again soon */
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

/* A run of kernel memory: inline data, part of a packet, a result */
struct sodp_buf {
	u8 *addr;
	u64 length;
};

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
	/* Packets that wait, of all QPs; xport/rxq.c */
	atomic_long_t rxq_bytes;
	long rxq_most;
};

extern struct workqueue_struct *sodp_wq;

static inline void sodp_count(struct sodp_dev *dev, enum sodp_counter c,
			      u64 n)
{
	this_cpu_add(dev->counters->value[c], n);
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

/* device.c */
int sodp_udata_check(struct ib_device *ibdev, const struct ib_udata *udata,
		     size_t known);

/* limits.c */
void sodp_limits_init(struct sodp_dev *dev);
int sodp_limit_take(struct sodp_dev *dev, enum sodp_limit what);
void sodp_limit_give(struct sodp_dev *dev, enum sodp_limit what);
void sodp_limits_fill(const struct sodp_dev *dev, struct ib_device_attr *attr);

/* The context a command came from; @udata is not NULL */
static inline struct ib_ucontext *sodp_udata_context(struct ib_udata *udata)
{
	return &rdma_udata_to_drv_context(udata, struct sodp_ucontext,
					  base_ucontext)->base_ucontext;
}

#endif /* SODP_H */
