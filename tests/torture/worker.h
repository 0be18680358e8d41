/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* worker.h - the state of one worker process */
#ifndef WORKER_H
#define WORKER_H

#include <pthread.h>

#include "common/t_netdev.h"
#include "common/t_uffd.h"
#include "torture.h"

#define SLOTS 16
/* Room for four pieces with gaps between them, and guards around */
#define SLOT_LEN      (MAX_MSG + 8192)
#define GUARD	      256
#define QUEUE_DEPTH   64
#define RECVS	      24
#define SRQ_RECVS     128
#define XRC_RECVS 64 /* of the XRC SRQ */
#define UD_RECVS 32
#define RECV_SLOT     (RECV_LEN + GRH + 88)
/* Where those of queue pairs begin */
#define QP_SLOTS (SRQ_RECVS + XRC_RECVS)
#define NR_RECV_SLOTS (QP_SLOTS + WORKERS * NR_Q * RECVS + UD_RECVS)
#define NR_QUEUES     (2 * WORKERS * NR_Q + 1)
#define UD_QUEUE      (NR_QUEUES - 1)
#define UD_QKEY	      0x1234

/* In device_cap_flags_ex; the kernel's ib_user_verbs.h has the names */
#define CAP_FLUSH_GLOBAL (1ULL << 38)
#define CAP_ATOMIC_WRITE (1ULL << 40)
#if defined(HAVE_WR_FLUSH) && defined(HAVE_FLUSH_ACCESS)
#define HAS_FLUSH 1
#define ACCESS_FLUSH IBV_ACCESS_FLUSH_GLOBAL
#else
#define ACCESS_FLUSH 0
#endif

/* The page is not mapped; in enum perm's terms it is PERM_NONE */
#define STATE_HOLE   8
#define ANY_STATE    (PERM_RW | PERM_RO | PERM_NONE)
#define PAGE_OF(off) ((off) / T_PAGE)

struct region {
	struct region_plan plan;
	char *addr;
	int fd; /* of the file below, or -1 */
	int dmabuf; /* or -1 */
	struct ibv_dm *dm; /* or NULL */
	struct ibv_mr *mr;
	struct ibv_mw *mw;
	uint8_t state[REGION_MAX / T_PAGE];
	bool touched; /* by this step */
	bool lazy[REGION_MAX / T_PAGE]; /* MADV_FREE, not touched since */
	bool late; /* a thread gives its pages by userfaultfd */
	bool late_stop;
	unsigned int late_ms;
	int uffd;
	pthread_t late_thread;
};

/* Of type 2, for one peer on one region */
struct window {
	struct ibv_mw *mw;
	bool bound; /* unless that fails, or the peer takes it away */
};

struct request {
	struct ibv_send_wr wr;
	struct ibv_sge sge[4];
	struct rec *rec;
	unsigned int slot;
};

struct queue_of_cqes {
	struct ibv_cq *cq;
	struct ibv_cq_ex *ex; /* or NULL, as the channel */
	struct ibv_comp_channel *channel;
};

/* A QP and the requests on it that have not completed */
struct queue {
	struct ibv_qp *qp;
	struct ibv_qp_ex *qpx; /* or NULL */
	uint8_t type; /* Q_RC and the like; UD_QUEUE has none */
	uint8_t peer;
	bool responder;
	bool gone; /* reset: nothing goes by it until it is made anew */
	bool failed;
	uint32_t number; /* of this incarnation */
	uint16_t fifo[QUEUE_DEPTH];
	unsigned int head;
	unsigned int tail;
	uint32_t received; /* well, in this round */
};

struct worker {
	const struct plan *p;
	struct board *b;
	struct side *self;
	unsigned int id;
	int view_fd[REGIONS];
	uint16_t step;
	bool idle; /* the step found nothing that it could do */
	uint32_t clock;
	uint32_t queues_made;
	struct t_dev dev;
	struct queue_of_cqes scq;
	struct queue_of_cqes rcq;
	struct ibv_srq *srq;
	struct ibv_xrcd *xrcd;
	struct ibv_srq *xrc_srq;
	struct region regions[REGIONS];
	struct queue queues[NR_QUEUES];
	struct ibv_ah *ah[WORKERS];
	char *local;
	struct ibv_mr *local_mr;
	struct ibv_dm *local_dm; /* or NULL */
	bool may_flush;
	bool may_write_atomic;
	bool may_fail; /* allocations, when they are told to */
	uint32_t free_slots; /* a bit for each */
	uint8_t slot_of[MAX_RECS];
	char *inbox;
	struct ibv_mr *inbox_mr;
	struct ibv_mr *device_mr;
	struct window windows[WORKERS][REGIONS];
	uint32_t taken[WORKERS][REGIONS]; /* windows that SENDs took away */
	uint64_t seen[WORKERS][3]; /* counters, as atomics found them */
};

static inline struct queue *queue_of(struct worker *w, unsigned int peer,
				     unsigned int type, bool responder)
{
	return &w->queues[(peer * NR_Q + type) * 2 + responder];
}

/* worker.c */
void worker_main(struct worker *w, int fd);
struct rec *rec_new(struct worker *w, enum rec_kind kind);
uint32_t arena_take(struct worker *w, const void *data, uint32_t len);

/* wqueue.c */
void queues_make(struct worker *w);
void queues_connect(struct worker *w);
void queues_address(struct worker *w);
void queues_close_bad(struct worker *w);
void queues_open_bad(struct worker *w);
void queues_note_state(struct worker *w);
int queue_state(struct queue *q, enum ibv_qp_state state);
void recv_post(struct worker *w, unsigned int slot);

/* wcq.c */
void cq_make(struct worker *w, struct queue_of_cqes *c, unsigned int cqe,
	     unsigned int how);
int cq_poll(struct queue_of_cqes *c, struct ibv_wc wc[], int nr);
/* Nothing for a CQ without a channel, which has to be polled */
void cq_arm(struct queue_of_cqes *c);
/* Of a CQ that was armed, and had no entry then; false: none came in time */
bool cq_event(struct queue_of_cqes *c, uint64_t until);

/* Of enum ibv_wr_opcode, which bookworm lacks */
#define WR_FLUSH 14
#define WR_ATOMIC_WRITE 15

/* wpost.c; bits of a step's arg */
#define BY_POST_SEND 1 /* even where ibv_wr_* may be used */
#define ABORT_FIRST  2
#define BY_WINDOW 4
void requests_post(struct queue *q, const struct step *s,
		   struct ibv_send_wr *wr);

/* wverbs.c */
/* One chain of requests, as the step says */
void verbs_post(struct worker *w, const struct step *s, struct queue *q);
void verbs_step(struct worker *w, const struct step *s);
unsigned int pieces_of(const struct rec *rec, uint32_t lens[4]);

/* Makes place for a request that is about to be posted */
void enqueue(struct worker *w, struct queue *q, struct request *req,
	     enum rec_kind kind);

static inline uint32_t gap_of(const struct rec *rec)
{
	return 64 + rec->tag % 61;
}

static inline char *slot_at(struct worker *w, unsigned int slot)
{
	return w->local + slot * SLOT_LEN + GUARD;
}

/* wwindow.c */
void windows_step(struct worker *w, const struct step *s, struct queue *q);
bool windows_pick(struct worker *w, struct step *s);
void window_stale(struct worker *w, unsigned int peer, unsigned int region,
		  uint32_t key);
void window_taken(struct worker *w, unsigned int peer, uint32_t key);
void windows_drop_region(struct worker *w, unsigned int region);
void windows_drop_peer(struct worker *w, unsigned int peer);

/* wdrain.c */
void drain_step(struct worker *w, const struct step *s, struct queue *q);

/* wpoll.c */
unsigned int verbs_poll(struct worker *w);
void verbs_drain(struct worker *w);
void verbs_gone(struct worker *w, struct queue *q);
void verbs_read_back(struct worker *w);

/* wrecv.c */
void recv_drain(struct worker *w);

/* wregion.c */
extern const int prot_of[];
void regions_make(struct worker *w);
void region_register(struct worker *w, unsigned int i);
void region_map(struct region *r, uint32_t off, uint32_t len);
/* The next part of a step's pages that is in one of these states */
bool region_run(struct region *r, const struct step *s, uint8_t states,
		uint32_t *off, uint32_t *len);
void region_touch_lazy(struct region *r);
void region_late(struct region *r, char *addr, size_t len, unsigned int ms);
void regions_quiet(struct worker *w);
void regions_view(struct worker *w);

#define FOR_RUNS(r, s, states, off, len) \
	for (off = 0, len = 0; region_run(r, s, states, &off, &len);)

/* wdevice.c */
struct ibv_dm *dm_alloc(struct worker *w, size_t len);
struct ibv_mr *dm_reg(struct worker *w, struct ibv_dm *dm, size_t len,
		      unsigned int access);
void device_make(struct worker *w, struct region *r);
struct ibv_mr *device_register(struct worker *w, struct region *r,
			       unsigned int access);
void dm_put(struct ibv_dm *dm, char *copy, uint32_t off, uint32_t len);
void dm_get(struct ibv_dm *dm, char *copy, uint32_t off, uint32_t len);

/* wmem.c */
void memory_step(struct worker *w, const struct step *s);
void rec_perm(struct worker *w, const struct step *s, uint32_t begin,
	      uint32_t off, uint32_t len, uint8_t during, uint8_t after);

/* wfault.c */
int make_fail(const char *value);
void other_step(struct worker *w, const struct step *s);

#endif /* WORKER_H */
