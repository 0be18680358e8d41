// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * poll.c - reading completions: ibv_poll_cq, CQ-ex sessions, arming
 *
 * The kernel fills entries and stores pi; here entries are copied out and ci
 * is stored. An entry is complete in itself: no QP is looked up. It names the
 * queue in which it frees slots.
 */
#include <errno.h>
#include <time.h>

#include "sodp.h"

#define NSEC_PER_SEC 1000000000LL

/* Pairs with the release store of pi behind a filled entry in the kernel */
static inline uint32_t cq_load_pi(const struct sodp_cq *cq)
{
	return __atomic_load_n(&cq->page->pi, __ATOMIC_ACQUIRE);
}

/* The kernel may overwrite entries below ci: all reads of them are done */
static inline void cq_store_ci(struct sodp_cq *cq)
{
	__atomic_store_n(&cq->page->ci, cq->ci, __ATOMIC_RELEASE);
}

static inline struct sodp_cqe *cq_slot(const struct sodp_cq *cq, uint32_t index)
{
	return &cq->ring[index & cq->mask];
}

/* Two runs of fields lie in an entry as they do in struct ibv_wc */
#define CQE_RUN1      offsetof(struct sodp_cqe, vendor_err)
#define CQE_RUN1_SIZE (offsetof(struct sodp_cqe, src_qp) - CQE_RUN1)
#define CQE_RUN2      offsetof(struct sodp_cqe, pkey_index)
#define CQE_RUN2_SIZE (offsetof(struct sodp_cqe, srqn) - CQE_RUN2)
#define WC_RUN1	      offsetof(struct ibv_wc, vendor_err)
#define WC_RUN2	      offsetof(struct ibv_wc, pkey_index)

#define CHECK_RUN(nr, cqe_field, wc_field)                                    \
	static_assert(offsetof(struct sodp_cqe, cqe_field) - CQE_RUN##nr ==   \
			      offsetof(struct ibv_wc, wc_field) - WC_RUN##nr, \
		      "fields are copied as one run")
CHECK_RUN(1, byte_len, byte_len);
CHECK_RUN(1, ex, imm_data);
CHECK_RUN(1, qpn, qp_num);
CHECK_RUN(1, src_qp, src_qp);
CHECK_RUN(2, slid, slid);
CHECK_RUN(2, sl, sl);
CHECK_RUN(2, dlid_path_bits, dlid_path_bits);
static_assert(WC_RUN2 + CQE_RUN2_SIZE <= sizeof(struct ibv_wc),
	      "the end of the run is padding");

static inline void cq_copy(const struct sodp_cqe *cqe, struct ibv_wc *wc)
{
	wc->wr_id = cqe->wr_id;
	wc->status = cqe->status;
	wc->opcode = cqe->opcode;
	wc->src_qp = cqe->src_qp;
	wc->wc_flags = cqe->flags;
	memcpy((char *)wc + WC_RUN1, (const char *)cqe + CQE_RUN1,
	       CQE_RUN1_SIZE);
	memcpy((char *)wc + WC_RUN2, (const char *)cqe + CQE_RUN2,
	       CQE_RUN2_SIZE);
}

/* What completions free in one queue */
struct freed {
	uint64_t queue; /* as in struct sodp_cqe; 0: nothing */
	bool recv;
	uint32_t index;
	uint32_t nr;
};

/*
 * cq_lock is held, and ci has been stored: what is posted to the slots finds
 * room for its completions.
 */
static inline void queue_free(const struct freed *freed)
{
	void *queue = (void *)(uintptr_t)freed->queue;
	struct sodp_rq *rq = queue;
	struct sodp_sq *sq = queue;

	if (unlikely(!queue))
		return;
	/* These pair with the acquire loads of those who post */
	if (!freed->recv)
		__atomic_store_n(&sq->freed, freed->index, __ATOMIC_RELEASE);
	else if (rq->flags_word)
		__atomic_store_n(&rq->freed, freed->index, __ATOMIC_RELEASE);
	else
		__atomic_fetch_add(&rq->freed, freed->nr, __ATOMIC_RELEASE);
}

/* Entries before this one free no more of another queue */
static inline void cq_change_queue(struct sodp_cq *cq, uint32_t ci,
				   const struct sodp_cqe *cqe,
				   struct freed *freed)
{
	if (freed->queue) {
		cq->ci = ci;
		cq_store_ci(cq);
		queue_free(freed);
	}
	freed->queue = cqe->queue;
	freed->recv = cqe->opcode & SODP_WC_RECV;
	freed->nr = 0;
}

int sodp_poll_cq(struct ibv_cq *ibcq, int num, struct ibv_wc *wc)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	const struct sodp_cqe *cqe;
	struct freed freed = {};
	uint32_t ci;
	int left;
	int n;

	sodp_lock(&cq->cq_lock);
	ci = cq->ci;
	n = cq_load_pi(cq) - ci;
	if (n > num)
		n = num > 0 ? num : 0;
	if (n) {
		for (left = n; left; left--, ci++) {
			cqe = cq_slot(cq, ci);
			if (cqe->queue != freed.queue)
				cq_change_queue(cq, ci, cqe, &freed);
			freed.index = cqe->index;
			freed.nr++;
			cq_copy(cqe, wc++);
		}
		cq->ci = ci;
		cq_store_ci(cq);
		queue_free(&freed);
	}
	sodp_unlock(&cq->cq_lock);
	return n;
}

/**
 * sodp_req_notify_cq() - ask for an event on the next completion
 * @ibcq: the CQ
 * @solicited_only: only a solicited or failed one counts
 *
 * A request for any completion that has not had its event yet is not weakened
 * to solicited ones by a later request.
 */
int sodp_req_notify_cq(struct ibv_cq *ibcq, int solicited_only)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);
	uint32_t kind = SODP_CQ_ARM_SOLICITED;

	/* Not cq_lock: a poll session, which holds that, may arm its own CQ */
	sodp_lock(&cq->arm_lock);
	if (!solicited_only)
		cq->armed_next = true;
	if (cq->armed_next)
		kind = SODP_CQ_ARM_NEXT;

	__atomic_store_n(&cq->page->arm, ++cq->arm_count << 2 | kind,
			 __ATOMIC_RELAXED);
	/*
	 * The caller polls next. Pairs with the barrier between the store of pi
	 * and the load of arm in the kernel: either the kernel sees the arm
	 * word, or the poll sees the entry.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!solicited_only)
		cq->next_pi = cq_load_pi(cq);
	sodp_unlock(&cq->arm_lock);
	return 0;
}

/**
 * sodp_cq_event() - an event of the CQ was read
 * @ibcq: the CQ
 *
 * It may be that of an earlier request: as long as nothing has completed since
 * the last one for any completion, that one is still to come.
 */
void sodp_cq_event(struct ibv_cq *ibcq)
{
	struct sodp_cq *cq = to_sodp_cq(ibcq);

	sodp_lock(&cq->arm_lock);
	if (cq_load_pi(cq) != cq->next_pi)
		cq->armed_next = false;
	sodp_unlock(&cq->arm_lock);
}

static inline pthread_t cq_poller(const struct sodp_cq *cq)
{
	return atomic_load_explicit(&cq->poller, memory_order_relaxed);
}

static inline void cq_set_poller(struct sodp_cq *cq, pthread_t poller)
{
	atomic_store_explicit(&cq->poller, poller, memory_order_relaxed);
}

/* No lock is needed to know: nobody else says that it is this thread */
static bool cq_is_locked_here(const struct sodp_cq *cq)
{
	return !cq->single_threaded && cq_poller(cq) == pthread_self();
}

/*
 * Drop the entries of a QP or, if that is not 0, of a queue. Those that stay
 * move up towards pi. The kernel appends at pi and above meanwhile and looks
 * at nothing below. A poll session of this thread may be open: it has the
 * lock, and goes on at the new ci. Returns how many were receives.
 */
static uint32_t cq_clean(struct sodp_cq *cq, uint32_t qpn, uint64_t queue)
{
	bool locked = cq_is_locked_here(cq);
	uint32_t recvs = 0;
	uint32_t from;
	uint32_t to;

	if (!locked)
		sodp_lock(&cq->cq_lock);
	from = cq_load_pi(cq);
	to = from;
	while (from != cq->ci) {
		const struct sodp_cqe *cqe = cq_slot(cq, --from);

		if (queue ? cqe->queue == queue : cqe->qpn == qpn) {
			if (cqe->opcode & SODP_WC_RECV)
				recvs++;
			continue;
		}
		if (--to != from)
			*cq_slot(cq, to) = *cqe;
	}
	cq->ci = to;
	cq->pi = to;
	cq_store_ci(cq);
	if (!locked)
		sodp_unlock(&cq->cq_lock);
	return recvs;
}

/**
 * sodp_cq_clean_qp() - drop the entries of a QP that is gone or was reset
 * @cq: the CQ
 * @qpn: number of the QP; the kernel adds no more entries of it
 *
 * Return: how many of them were of receives.
 */
uint32_t sodp_cq_clean_qp(struct sodp_cq *cq, uint32_t qpn)
{
	return cq_clean(cq, qpn, 0);
}

/**
 * sodp_cq_clean_srq() - drop the entries of an XRC SRQ that is gone
 * @cq: its CQ
 * @rq: its queue, for which nobody posts any more
 */
void sodp_cq_clean_srq(struct sodp_cq *cq, const struct sodp_rq *rq)
{
	cq_clean(cq, 0, (uintptr_t)rq);
}

static inline void poll_lock(struct sodp_cq *cq)
{
	if (!cq->single_threaded)
		sodp_lock(&cq->cq_lock);
}

static inline void poll_unlock(struct sodp_cq *cq)
{
	if (!cq->single_threaded)
		sodp_unlock(&cq->cq_lock);
}

/*
 * Step to the next entry. It is copied, so that the application can post to
 * the slot that it frees, and finds room in the CQ, before the session ends.
 */
static inline int poll_step(struct sodp_cq *cq)
{
	struct freed freed;

	if (cq->ci == cq->pi) {
		cq->pi = cq_load_pi(cq);
		if (cq->ci == cq->pi)
			return ENOENT;
	}

	cq->cqe = *cq_slot(cq, cq->ci++);
	cq_store_ci(cq);
	freed = (struct freed){
		.queue = cq->cqe.queue,
		.recv = cq->cqe.opcode & SODP_WC_RECV,
		.index = cq->cqe.index,
		.nr = 1,
	};
	queue_free(&freed);
	cq->vcq.cq_ex.wr_id = cq->cqe.wr_id;
	cq->vcq.cq_ex.status = cq->cqe.status;
	return 0;
}

static int poll_start(struct ibv_cq_ex *ibcq, struct ibv_poll_cq_attr *attr)
{
	struct sodp_cq *cq = to_sodp_cq_ex(ibcq);

	if (unlikely(attr->comp_mask))
		return EINVAL;

	poll_lock(cq);
	/* ibv_poll_cq and a resize go on without this cache */
	cq->pi = cq->ci;
	if (poll_step(cq)) {
		poll_unlock(cq);
		return ENOENT;
	}
	cq_set_poller(cq, pthread_self());
	return 0;
}

/*
 * Stamps are of CLOCK_MONOTONIC_RAW: how far the wall clock is from it now is
 * good enough for entries of the last moments.
 */
static int64_t poll_wallclock_offset(void)
{
	struct timespec raw;
	struct timespec wall;

	clock_gettime(CLOCK_MONOTONIC_RAW, &raw);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (wall.tv_sec - raw.tv_sec) * NSEC_PER_SEC + wall.tv_nsec -
	       raw.tv_nsec;
}

static int poll_start_wallclock(struct ibv_cq_ex *ibcq,
				struct ibv_poll_cq_attr *attr)
{
	int ret;

	ret = poll_start(ibcq, attr);
	if (!ret)
		to_sodp_cq_ex(ibcq)->wallclock_offset = poll_wallclock_offset();
	return ret;
}

static int poll_next(struct ibv_cq_ex *ibcq)
{
	return poll_step(to_sodp_cq_ex(ibcq));
}

static void poll_end(struct ibv_cq_ex *ibcq)
{
	struct sodp_cq *cq = to_sodp_cq_ex(ibcq);

	cq_set_poller(cq, 0);
	poll_unlock(cq);
}

static enum ibv_wc_opcode poll_read_opcode(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.opcode;
}

static uint32_t poll_read_vendor_err(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.vendor_err;
}

static uint32_t poll_read_byte_len(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.byte_len;
}

static __be32 poll_read_imm_data(struct ibv_cq_ex *ibcq)
{
	return (__be32)to_sodp_cq_ex(ibcq)->cqe.ex;
}

static uint32_t poll_read_qp_num(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.qpn;
}

static uint32_t poll_read_src_qp(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.src_qp;
}

static unsigned int poll_read_wc_flags(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.flags;
}

static uint32_t poll_read_slid(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.slid;
}

static uint8_t poll_read_sl(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.sl;
}

static uint8_t poll_read_dlid_path_bits(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.dlid_path_bits;
}

static uint64_t poll_read_completion_ts(struct ibv_cq_ex *ibcq)
{
	return to_sodp_cq_ex(ibcq)->cqe.timestamp;
}

static uint64_t poll_read_wallclock_ns(struct ibv_cq_ex *ibcq)
{
	const struct sodp_cq *cq = to_sodp_cq_ex(ibcq);

	return cq->cqe.timestamp + cq->wallclock_offset;
}

/**
 * sodp_cq_init_ex() - set the CQ-ex callbacks
 * @cq: the CQ
 * @wc_flags: what the user wants to read; only the clocks cost anything
 */
void sodp_cq_init_ex(struct sodp_cq *cq, uint64_t wc_flags)
{
	struct ibv_cq_ex *ibcq = &cq->vcq.cq_ex;

	ibcq->start_poll = poll_start;
	ibcq->next_poll = poll_next;
	ibcq->end_poll = poll_end;
	ibcq->read_opcode = poll_read_opcode;
	ibcq->read_vendor_err = poll_read_vendor_err;
	ibcq->read_byte_len = poll_read_byte_len;
	ibcq->read_imm_data = poll_read_imm_data;
	ibcq->read_qp_num = poll_read_qp_num;
	ibcq->read_src_qp = poll_read_src_qp;
	ibcq->read_wc_flags = poll_read_wc_flags;
	ibcq->read_slid = poll_read_slid;
	ibcq->read_sl = poll_read_sl;
	ibcq->read_dlid_path_bits = poll_read_dlid_path_bits;
	if (wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP)
		ibcq->read_completion_ts = poll_read_completion_ts;
	if (wc_flags & IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK) {
		ibcq->start_poll = poll_start_wallclock;
		ibcq->read_completion_wallclock_ns = poll_read_wallclock_ns;
	}
}
