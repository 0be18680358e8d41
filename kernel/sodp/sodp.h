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
#include <rdma/odp_umem.h>
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
 *	    sodp_devs_mutex	list of devices, while a GID is looked up
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
 * No fault is waited for under any of these locks: a miss that cannot be
 * served at once parks the QP and is carried to a worker that holds nothing,
 * one of the process whose memory it is: whoever leaves its pages unserved
 * holds up those that use them, and nobody else. See struct sodp_wait.
 *
 * Lookups (QP by number, key by index) run under RCU and take a reference.
 * What a reference keeps is memory only: whoever uses a QP checks qp->dead
 * under the mutex of the side it uses, and destroy_qp sets it under both.
 * A key is different: dereg waits for every reference to go, and these are
 * held for one slice of work at most.
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
#define SODP_MAX_MCASTS		8192
#define SODP_MAX_RD_ATOMIC	128
#define SODP_MAX_QPN		0xffffff
#define SODP_MIN_QPN		0x10
#define SODP_MAX_SRQN		0xffffff
#define SODP_GID_TABLE_LEN	128
/* Pages that one fast-registration MR may name */
#define SODP_MAX_FRMR_PAGES	1024
/* Device memory of all users together */
#define SODP_MAX_DM_BYTES	SZ_4M

/* Work that a doorbell may do in the caller's context */
#define SODP_INLINE_BYTES	SZ_2M
#define SODP_INLINE_WQES	128
/* Work of one turn of a worker, before others get theirs */
#define SODP_WORKER_BYTES	SZ_16M
#define SODP_WORKER_WQES	1024

struct sodp_dev;
struct sodp_dmabuf;
struct sodp_net;
struct sodp_av;
struct sodp_ud;
struct sodp_qp;
struct sodp_wire;

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
	struct sodp_pool *pool;	/* of the process that opened the device */
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
	bool error;
	/* Guards page->rq_pi of a kernel SRQ, from any context */
	spinlock_t rq_post_lock;
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

enum sodp_key_kind {
	SODP_KEY_MR,
	SODP_KEY_MW1,
	SODP_KEY_MW2,
	/* kernel memory, of kernel consumers only; see kmem.c */
	SODP_KEY_DMA,
	SODP_KEY_FRMR,
};

enum sodp_key_state {
	SODP_KEY_FREE,		/* unbound window, invalidated key */
	SODP_KEY_VALID,
	SODP_KEY_CLOSING,	/* invalidated, not yet let go by all */
};

/*
 * What an lkey or rkey names. Fields below "grant" are written while no one
 * can hold a reference that was taken in state VALID (registration, rereg),
 * or under mw_mutex (windows), whose users copy them under it.
 */
struct sodp_key {
	refcount_t ref;
	u32 key;		/* (index << 8) | version */
	u32 index;		/* what it is hashed by, random */
	struct rhash_head node;
	enum sodp_key_kind kind;
	enum sodp_key_state state;
	struct sodp_dev *dev;
	struct completion idle;		/* ref reached 0 */
	struct rcu_head rcu;
	/* grant */
	struct ib_pd *pd;
	struct sodp_region *region;
	u64 iova;
	u64 length;
	u64 va;			/* address in the region of iova */
	u64 *pages;		/* fast-reg: addresses, va is an offset in them */
	u8 page_shift;
	u32 access;
	bool implicit;
	/* windows */
	struct mutex mw_mutex;
	struct sodp_key *mr;	/* holds mr->mw_count */
	u32 qpn;		/* type 2B: the QP that bound it */
	/* regions: windows bound to it */
	atomic_t mw_count;
};

/* Access by which memory may be written */
#define SODP_ACCESS_WRITABLE	(IB_ACCESS_LOCAL_WRITE | \
				 IB_ACCESS_REMOTE_WRITE | \
				 IB_ACCESS_REMOTE_ATOMIC)

/* What an MR is made of: a region, and what keeps its pages */
struct sodp_backing {
	struct sodp_region *region;
	struct ib_umem *umem;		/* pinned user memory */
	struct sodp_dmabuf *dmabuf;
	u64 va;				/* address in the region */
	u64 length;
	bool odp;
	bool implicit;
};

struct sodp_mr {
	struct ib_mr base_mr;
	struct sodp_key *key;
	struct sodp_backing backing;
	/* fast-reg: what map_mr_sg gathers for the next REG_MR */
	u64 *map_pages;
	u32 map_nr;
	u32 map_max;
	u32 map_offset;		/* of the first byte in the first page */
	u8 map_shift;
};

/* Device memory: pages of the kernel, as a ring has them */
struct sodp_dm {
	struct ib_dm base_dm;
	struct sodp_ring *ring;
};

struct sodp_mw {
	struct ib_mw base_mw;
	struct sodp_key *key;
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

/*
 * One resolved piece of memory; holds a reference on its key. Without a
 * region it is kernel memory: sodp_kmem_ptr() tells where.
 */
struct sodp_seg {
	struct sodp_key *key;
	struct sodp_region *region;
	u64 va;
	u64 length;
};

/* A run of kernel memory: inline data, part of a packet, a result */
struct sodp_buf {
	u8 *addr;
	u64 length;
};

/*
 * A place to copy from or to: segments of user memory that hold the whole
 * message, or kernel memory that holds it from byte @base on.
 */
struct sodp_cursor {
	struct sodp_seg *segs;
	u32 nr_segs;
	u32 nr_bufs;		/* used when segs is NULL */
	const struct sodp_buf *bufs;
	u64 base;
};

/* Receive WQE in the hands of the responder */
struct sodp_recv {
	bool valid;
	u8 fail_status;		/* enum ib_wc_status, should it fail */
	u32 srqn;		/* XRC: SRQ that it came from */
	u64 wr_id;
	u32 num_sge;
	u64 length;
	struct sodp_sge *sge;
};

/*
 * A request as the responder sees it, however it came: built from a WQE by
 * the requester of a QP on this host, or from packet headers. It may come in
 * parts, each given to the responder when it is there: @ready says how many
 * bytes are, @last that no part follows. A SEND off the wire has its length
 * known only then; before, @length is @ready.
 */
struct sodp_request {
	u8 opcode;		/* enum sodp_wr_opcode */
	u8 flags;		/* SODP_SEND_SOLICITED */
	u32 ex;
	u32 rkey;
	u64 remote_addr;
	u64 length;
	u64 ready;
	bool last;
	u64 operand;
	u64 compare;
	u32 psn;
	u32 nr_packets;		/* of this part */
	u32 src_qpn;
	u32 srqn;		/* XRC only */
	bool grh;		/* UD: the payload begins with one */
	u16 vlan;		/* UD: VLAN_CFI_MASK | id, or 0 */
	u64 flush_length;
	u8 flush_type;		/* SODP_FLUSH_GLOBAL */
	u8 flush_level;		/* SODP_FLUSH_RANGE or SODP_FLUSH_MR */
	/* progress and results */
	u64 done;
	u64 result;
};

/* Where the copying of a slice stopped, for the fault that follows */
struct sodp_stop {
	struct sodp_miss miss;
	bool remote;
};

/* Waits that one side of a QP may leave behind, and the one that is on */
#define SODP_WAIT_SLOTS		3

/**
 * struct sodp_wait_slot - a wait for a page, in a worker
 * @wait: whose it is
 * @busy: @work is queued or runs; under @wait->side
 * @work: waits, holding nothing but references: on the QP, by which @wait
 *	stays, and on the region
 * @miss: what is waited for; constant, and its region referenced, while @busy
 */
struct sodp_wait_slot {
	struct sodp_wait *wait;
	bool busy;
	struct work_struct work;
	struct sodp_miss miss;
};

/**
 * struct sodp_wait - one side of a QP waits for a page
 * @qp: the QP
 * @side: its exec_mutex or resp_mutex. Guards what follows, @slots included
 * @on: it waits
 * @slot: what for; NULL when it does not wait, or no slot was free
 * @ended: told, under @side, that the wait is over: 0, or why there will be
 *	no page
 * @retry: ends a wait that found no slot
 * @slots: waits, of which all but @slot are abandoned
 *
 * A page may never come, and a worker cannot be called back. A wait that is
 * over for the QP (modified, destroyed) is abandoned: when its work has not
 * begun it is taken off its queue, else the slot stays busy until the work
 * comes back, finds that it is not @slot, and only frees it. A busy slot is
 * not used again, so none is mistaken for a later wait.
 *
 * So a QP keeps SODP_WAIT_SLOTS workers a side, at most, whatever is done to
 * it. With as many waits abandoned it tries again from time to time, and as
 * soon as one of them comes back.
 */
struct sodp_wait {
	struct sodp_qp *qp;
	/* Of the QP: what follows is part of what it guards */
	struct mutex *side;
	bool on;
	struct sodp_wait_slot *slot;
	void (*ended)(struct sodp_qp *qp, int ret);
	struct delayed_work retry;
	struct sodp_wait_slot slots[SODP_WAIT_SLOTS];
};

enum sodp_park {
	SODP_PARK_NONE,
	SODP_PARK_FAULT,
	SODP_PARK_RNR,
	SODP_PARK_TIMEOUT,
};

enum sodp_bell {
	SODP_BELL_SQ,		/* look at sq_pi again */
	SODP_BELL_TIMER,	/* park_timer expired */
	SODP_BELL_RETRY,	/* the wire's retransmission timer did */
};

/* IBA A19: placement type and selectivity level of a FLUSH */
#define SODP_FLUSH_GLOBAL	BIT(0)
#define SODP_FLUSH_RANGE	0
#define SODP_FLUSH_MR		1

/* The requester's current WQE: a private copy and how far it got */
struct sodp_wqe {
	bool valid;
	struct sodp_sqe sqe;
	struct sodp_sge *sge;
	void *inline_data;	/* in the ring: contents only, no decisions */
	u64 length;
	struct sodp_request req;
	bool acked;		/* the responder is done with it */
	u64 result_done;	/* bytes of an atomic's result stored */
	bool waits;		/* it is what SODP_PARK_FAULT is for */
	int fault_ret;		/* error of the fault it was parked for */
	bool fault_remote;	/* whose memory that was for */
};

struct sodp_qp {
	refcount_t ref;
	struct rcu_head rcu;	/* near the start: kfree_rcu() asks for that */
	u32 qpn;
	struct sodp_dev *dev;
	struct ib_qp *ibqp;
	struct ib_ucontext *ucontext;	/* NULL: XRC target, kernel's */
	bool kernel;		/* a kernel consumer's */
	enum ib_qp_type type;
	enum ib_sig_type sig_type;
	struct sodp_cq *send_cq;
	struct sodp_cq *recv_cq;
	struct sodp_srq *srq;
	struct ib_pd *pd;
	struct ib_xrcd *xrcd;	/* set: an XRC target */
	struct sodp_ring *ring;	/* a target has none, */
	struct sodp_qp_page *page;	/* and no page */
	struct ib_qp_cap cap;

	/*
	 * Guards state and attr. Readers on the data path read state with
	 * READ_ONCE; they act on it under exec_mutex or resp_mutex, and every
	 * change of state is followed by work that takes these.
	 */
	spinlock_t state_lock;
	enum ib_qp_state state;
	struct ib_qp_attr attr;
	u32 page_flags;		/* what page->flags should be */
	u64 peer_dev_id;	/* device of this host that owns dgid, or 0 */
	bool dead;		/* written under both mutexes */

	/* Guards page->sq_pi of a kernel QP, from any context */
	spinlock_t sq_post_lock;
	/* Guards page->rq_pi of a kernel QP, from any context */
	spinlock_t rq_post_lock;

	/*
	 * The requester: held for one slice of work by whoever executes the
	 * SQ: doorbell (trylock), sq_work, modify and destroy.
	 */
	struct mutex exec_mutex;
	u8 *sq;
	u32 sq_depth;
	u32 sq_stride;
	u32 sq_ci;
	u32 sq_psn;
	unsigned long bell;	/* enum sodp_bell; atomic bit operations */
	struct sodp_wqe wqe;
	struct sodp_seg *segs;	/* of the slice in progress */
	struct sodp_qp *peer;	/* memory kept by a reference, may be dead */
	enum sodp_park park;
	u8 rnr_left;
	u8 retry_left;
	u64 rnr_ns;		/* wait that the last RNR NAK asked for */
	struct sodp_wait fault_wait;	/* on in SODP_PARK_FAULT */
	struct hrtimer park_timer;
	struct work_struct sq_work;
	bool sqd_event;

	/*
	 * The responder: held while a request is carried out on this QP, and
	 * by flush, modify and destroy. Nests inside a peer's exec_mutex.
	 */
	struct mutex resp_mutex;
	u8 *rq;
	u32 rq_depth;
	u32 rq_stride;
	u32 rq_ci;
	u32 resp_psn;		/* next PSN expected */
	u32 msn;
	struct sodp_recv recv;
	/* XRC target: SRQ of the request under way, as are srq and pd */
	struct sodp_xsrq *xsrq;
	struct sodp_seg *recv_segs;	/* of the request under way */
	bool last_wqe_sent;
	bool comm_est;		/* a request has come, resp_mutex */

	/* Of the set it is bound to, or NULL; written under both mutexes */
	struct sodp_counters __percpu *counters;

	/* Made once, before the first packet can come; see wire.h */
	struct sodp_wire *wire;
	struct sodp_ud *ud;	/* UD and GSI; ud.c */
};

/* What ib_core allocates for a QP */
struct sodp_ibqp {
	struct ib_qp base_qp;
	struct sodp_qp *qp;
};

struct sodp_dev {
	struct ib_device base_dev;
	struct list_head list;	/* sodp_devs_mutex */
	u64 id;			/* never reused */
	bool registered;	/* has a GID table; sodp_devs_mutex */
	int port_state;		/* last reported, 0: not registered; main.c */
	struct net_device *ndev;
	struct sodp_net *sn;	/* of ndev; stays when that moves */
	struct list_head net_node;	/* sn->devs; RCU */
	struct xarray avs;	/* struct sodp_av by number; RCU */
	u32 next_av;
	u32 nr_mcasts;
	struct sodp_qp __rcu *gsi;	/* QP 1, while there is one */
	struct sodp_domain *domain;
	struct rhashtable keys;	/* struct sodp_key by index */
	struct sodp_counters __percpu *counters;
	struct xarray qp_counters;	/* of sets of QPs, by their id */
	atomic64_t dm_bytes;	/* allocated, at most SODP_MAX_DM_BYTES */
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

/* Does it take requests? READ_ONCE: states change under state_lock only */
static inline bool sodp_qp_receives(const struct sodp_qp *qp)
{
	enum ib_qp_state state = READ_ONCE(qp->state);

	return state == IB_QPS_RTR || state == IB_QPS_RTS ||
	       state == IB_QPS_SQD || state == IB_QPS_SQE;
}

/* Are sends to be flushed? READ_ONCE: as above */
static inline bool sodp_qp_flushes_sends(const struct sodp_qp *qp)
{
	enum ib_qp_state state = READ_ONCE(qp->state);

	return state == IB_QPS_ERR || state == IB_QPS_SQE;
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

static inline struct sodp_qp *to_sodp_qp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct sodp_ibqp, base_qp)->qp;
}

static inline struct sodp_ibqp *to_ibqp(struct ib_qp *ibqp)
{
	return container_of(ibqp, struct sodp_ibqp, base_qp);
}

static inline struct sodp_ah *to_sodp_ah(struct ib_ah *ibah)
{
	return container_of(ibah, struct sodp_ah, base_ah);
}

static inline bool sodp_is_ud(const struct sodp_qp *qp)
{
	return qp->type == IB_QPT_UD || qp->type == IB_QPT_GSI;
}

static inline struct sodp_mr *to_sodp_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct sodp_mr, base_mr);
}

static inline struct sodp_mw *to_sodp_mw(struct ib_mw *ibmw)
{
	return container_of(ibmw, struct sodp_mw, base_mw);
}

/* device.c */
void sodp_device_init(struct sodp_dev *dev);

/* main.c */
void sodp_device_remove(struct sodp_dev *dev);
u64 sodp_device_by_gid(struct sodp_dev *from, const union ib_gid *gid);
struct sodp_dev *sodp_devs_lock_find(struct net *net, const char *name);
struct sodp_dev *sodp_devs_lock_next(struct net *net, u64 id);
struct sodp_dev *sodp_devs_next(struct net *net, u64 id);
void sodp_devs_unlock(void);

/* netlink.c */
int sodp_nl_register(void);
void sodp_nl_unregister(void);

/* ring.c */
struct sodp_ring *sodp_ring_alloc(struct ib_ucontext *ucontext, size_t size);
void sodp_ring_free(struct sodp_ring *ring);
u64 sodp_ring_offset(struct sodp_ring *ring);
int sodp_mmap(struct ib_ucontext *ucontext, struct vm_area_struct *vma);
void sodp_mmap_free(struct rdma_user_mmap_entry *entry);

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

/* kmem.c */
struct ib_mr *sodp_kmem_get_dma_mr(struct ib_pd *pd, int access);
struct ib_mr *sodp_kmem_alloc_mr(struct ib_pd *pd, enum ib_mr_type type,
				 u32 max_num_sg);
int sodp_kmem_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg,
			int sg_nents, unsigned int *sg_offset);
void sodp_kmem_free(struct sodp_mr *mr, u64 *pages);
bool sodp_kmem_exists(const struct sodp_seg *seg, u64 off, u64 len);
u8 *sodp_kmem_ptr(const struct sodp_seg *seg, u64 off, u64 *run);
enum sodp_verdict sodp_kmem_atomic(const struct sodp_seg *seg,
				   struct sodp_request *req);
enum sodp_verdict sodp_kmem_reg(struct sodp_qp *qp,
				const struct sodp_sqe *sqe);
enum sodp_verdict sodp_kmem_invalidate(struct sodp_key *key,
				       struct sodp_qp *qp, u32 rkey,
				       bool remote);

/* key.c */
int sodp_keys_init(struct sodp_dev *dev);
void sodp_keys_destroy(struct sodp_dev *dev);
struct sodp_key *sodp_key_alloc(struct sodp_dev *dev, enum sodp_key_kind kind);
void sodp_key_unlink(struct sodp_key *key);
void sodp_key_retire(struct sodp_key *key);
struct sodp_key *sodp_key_get(struct sodp_dev *dev, u32 key);
void sodp_key_put(struct sodp_key *key);
void sodp_key_quiesce(struct sodp_key *key);
enum sodp_verdict sodp_key_local(struct sodp_qp *qp, u32 lkey, u64 addr,
				 u64 len, u32 access, struct sodp_seg *seg);
enum sodp_verdict sodp_key_remote(struct sodp_qp *qp, u32 rkey, u64 addr,
				  u64 len, u32 access, struct sodp_seg *seg);
void sodp_seg_put(struct sodp_seg *seg);

/* dm.c */
extern const struct uapi_definition sodp_dm_defs[];
struct ib_dm *sodp_dm_alloc(struct ib_device *ibdev,
			    struct ib_ucontext *ucontext,
			    struct ib_dm_alloc_attr *attr,
			    struct uverbs_attr_bundle *attrs);
int sodp_dm_dealloc(struct ib_dm *ibdm, struct uverbs_attr_bundle *attrs);
struct ib_mr *sodp_dm_reg_mr(struct ib_pd *pd, struct ib_dm *ibdm,
			     struct ib_dm_mr_attr *attr,
			     struct uverbs_attr_bundle *attrs);

/* dmabuf.c */
struct ib_mr *sodp_dmabuf_reg_mr(struct ib_pd *pd, u64 offset, u64 length,
				 u64 iova, int fd, int access);
void sodp_dmabuf_release(struct sodp_dmabuf *dmabuf);

/* mr.c */
struct ib_mr *sodp_mr_create(struct ib_pd *pd, const struct sodp_backing *b,
			     u64 iova, int access);
struct ib_mr *sodp_mr_reg_user(struct ib_pd *pd, u64 start, u64 length,
			       u64 iova, int access, struct ib_udata *udata);
struct ib_mr *sodp_mr_rereg_user(struct ib_mr *ibmr, int flags, u64 start,
				 u64 length, u64 iova, int access,
				 struct ib_pd *pd, struct ib_udata *udata);
int sodp_mr_dereg(struct ib_mr *ibmr, struct ib_udata *udata);
int sodp_mr_advise(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		   u32 flags, struct ib_sge *sg_list, u32 num_sge,
		   struct uverbs_attr_bundle *attrs);

/* mw.c */
int sodp_mw_alloc(struct ib_mw *ibmw, struct ib_udata *udata);
int sodp_mw_dealloc(struct ib_mw *ibmw);
enum sodp_verdict sodp_mw_bind(struct sodp_qp *qp, const struct sodp_sqe *sqe);
enum sodp_verdict sodp_key_invalidate(struct sodp_qp *qp, u32 key,
				      bool remote);

/* qp.c, qp_modify.c */
int sodp_qp_create(struct ib_qp *ibqp, struct ib_qp_init_attr *init,
		   struct ib_udata *udata);
int sodp_qp_destroy(struct ib_qp *ibqp, struct ib_udata *udata);
int sodp_qp_modify(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		   struct ib_udata *udata);
int sodp_qp_query(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
		  struct ib_qp_init_attr *init);
struct sodp_qp *sodp_qp_get(u32 qpn);
void sodp_qp_put(struct sodp_qp *qp);
void sodp_qp_queue_work(struct sodp_qp *qp, struct workqueue_struct *wq,
			struct work_struct *work);
void sodp_qps_wait(void);
void sodp_qp_event(struct sodp_qp *qp, enum ib_event_type type);
bool sodp_qp_set_error(struct sodp_qp *qp);
void sodp_qp_set_send_error(struct sodp_qp *qp);

/* sq.c */
void sodp_sq_doorbell(struct sodp_qp *qp);
void sodp_sq_kick(struct sodp_qp *qp);
void sodp_sq_work(struct work_struct *work);
void sodp_sq_run_worker(struct sodp_qp *qp);
void sodp_sq_flush_locked(struct sodp_qp *qp);
void sodp_sq_unlock(struct sodp_qp *qp);
void sodp_qp_page_flags(struct sodp_qp *qp, u32 set, u32 clear);

/* park.c */
void sodp_park_fault(struct sodp_qp *qp, const struct sodp_stop *stop);
void sodp_park_timer(struct sodp_qp *qp, enum sodp_park park, u64 ns);
void sodp_park_cancel_locked(struct sodp_qp *qp);
void sodp_park_init(struct sodp_qp *qp);
int sodp_fault_try(const struct sodp_stop *stop, u32 *tries, u32 flags);

/* wait.c */
void sodp_wait_init(struct sodp_wait *wait, struct sodp_qp *qp,
		    struct mutex *side,
		    void (*ended)(struct sodp_qp *qp, int ret));
void sodp_wait_begin(struct sodp_wait *wait, const struct sodp_miss *miss);
bool sodp_wait_end(struct sodp_wait *wait);

/* req.c */
enum sodp_verdict sodp_req_execute(struct sodp_qp *qp, u64 *budget,
				   struct sodp_stop *stop);
enum sodp_verdict sodp_req_fetch(struct sodp_qp *qp, u32 index);
enum sodp_verdict sodp_req_payload(struct sodp_qp *qp, u32 access,
				   struct sodp_cursor *payload,
				   struct sodp_buf *buf);
void sodp_req_put_payload(struct sodp_cursor *payload);

/* resp.c */
enum sodp_verdict sodp_resp_request(struct sodp_qp *qp,
				    struct sodp_request *req,
				    struct sodp_cursor *payload, u64 *budget,
				    struct sodp_stop *stop);
void sodp_resp_fail(struct sodp_qp *qp, enum sodp_verdict verdict);
u64 sodp_rnr_ns(struct sodp_qp *qp);
u64 sodp_rnr_code_ns(u8 code);

/* rq.c */
void sodp_rq_doorbell(struct sodp_qp *qp);
void sodp_rq_flush_locked(struct sodp_qp *qp);
enum sodp_verdict sodp_rq_fetch(struct sodp_qp *qp);
void sodp_rq_complete(struct sodp_qp *qp, struct sodp_cqe *cqe,
		      bool solicited);
int sodp_rqe_copy(struct sodp_recv *recv, const u8 *slot, u32 max_sge);

/* move.c */
enum sodp_verdict sodp_move(struct sodp_cursor *dst, struct sodp_cursor *src,
			    u64 len, u64 need, u64 *done, u64 *budget,
			    struct sodp_stop *stop, bool dst_remote);

/* local.c */
enum sodp_verdict sodp_local_execute(struct sodp_qp *qp,
				     enum sodp_verdict failed, u64 *budget,
				     struct sodp_stop *stop);
void sodp_local_forget(struct sodp_qp *qp);

/* ah.c */
int sodp_ah_create(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
		   struct ib_udata *udata);
int sodp_ah_destroy(struct ib_ah *ibah, u32 flags);
int sodp_ah_modify(struct ib_ah *ibah, struct rdma_ah_attr *attr);
int sodp_ah_query(struct ib_ah *ibah, struct rdma_ah_attr *attr);
struct sodp_av *sodp_av_get(struct sodp_qp *qp, u32 number);
void sodp_av_put(struct sodp_av *av);

/* ud.c */
int sodp_ud_init(struct sodp_qp *qp);
void sodp_ud_free(struct sodp_qp *qp);
void sodp_ud_reset(struct sodp_qp *qp);
bool sodp_ud_tx_full(const struct sodp_qp *qp);
atomic_t *sodp_ud_tx_bytes(struct sodp_qp *qp);
enum sodp_verdict sodp_ud_send(struct sodp_qp *qp, u64 *budget,
			       struct sodp_stop *stop);

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

static inline u32 sodp_psn_add(u32 psn, u32 n)
{
	return (psn + n) & 0xffffff;
}

#endif /* SODP_H */
