/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * torture.h - what a run is made of
 *
 * A seed makes a plan: regions, and steps in rounds. In a round each worker
 * process does its own steps in their order, at the same time as the others
 * do theirs, and writes down what it did and what came of it. After the round
 * all is quiet, and the coordinator judges the records and the memory by its
 * model: it has the bytes that each region may have in memory of its own.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include "common/t_mem.h"

#define WORKERS 3
#define REGIONS 5
/* The region that is not memory of the process */
#define DEVICE 3
/* The region of atomics, which nothing else writes to */
#define COUNTERS 4
#define MAX_ROUNDS 64
#define MAX_STEPS 1024
#define MAX_RECS 2048 /* of a worker in a round */
#define SMALL_LEN (64 * T_PAGE)
#define REGION_MAX T_HUGE
#define MAX_MSG (32 * 1024U)
#define RECV_LEN 4096U
#define GRH 40U
#define ARENA (8UL << 20)
#define CHAIN 8

enum op {
	/* verbs, to a region or worker */
	OP_WRITE,
	OP_WRITE_IMM,
	OP_READ,
	OP_SEND,
	OP_SEND_IMM,
	OP_FAA,
	OP_CAS,
	OP_ATOMIC_WRITE,
	OP_FLUSH,
	OP_UC_WRITE,
	OP_UC_SEND,
	OP_UD_SEND,
	OP_BIND,
	OP_BIND2,
	OP_INVALIDATE,
	OP_SEND_INV,
	OP_DRAIN,
	OP_FAIL_WRITE,
	OP_BAD,
	OP_WAIT,
	/* memory, of the worker's own region */
	OP_STORE,
	OP_DONTNEED,
	OP_FREE,
	OP_PUNCH,
	OP_TRUNCATE,
	OP_PAGEOUT,
	OP_COLLAPSE,
	OP_SPLIT,
	OP_MERGE,
	OP_TRACK,
	OP_COMPACT,
	OP_POPULATE,
	OP_FORK,
	OP_UFFD,
	OP_PROTECT,
	OP_FLICKER,
	OP_REMAP,
	OP_REPLACE,
	OP_HOLE,
	OP_RESTORE,
	OP_MOVE,
	OP_MIGRATE,
	OP_RECLAIM,
	/* objects and surroundings */
	OP_REREG,
	OP_ADVISE,
	OP_RESIZE,
	OP_RESET,
	OP_ERROR,
	OP_PEER_ERROR,
	OP_VICTIM,
	OP_FAILSLAB,
	OP_LINK,
	OP_NETEM,
	OP_KILL,
	OP_EXEC,
	NR_OPS,
};

/* Other things that must be seen to happen */
enum seen {
	SEEN_INLINE = NR_OPS,
	SEEN_INLINE_EX,
	SEEN_WR,
	SEEN_ABORT,
	SEEN_CQ_EX,
	SEEN_EVENT,
	SEEN_SRQ,
	SEEN_XRC,
	SEEN_DM,
	SEEN_DMABUF,
	SEEN_LOCAL_DM,
	SEEN_GONE,
	SEEN_WINDOW,
	SEEN_WINDOW2,
	SEEN_STALE,
	NR_SEEN,
};

struct step {
	uint8_t round;
	uint8_t worker;
	uint8_t op;
	uint8_t peer; /* owner of the region, or receiver */
	uint8_t region;
	uint8_t n; /* requests in a chain, or times */
	uint8_t arg;
	bool xrc; /* by XRC, where the op may go by RC too */
	uint32_t off;
	uint32_t len;
	uint64_t tag; /* names the bytes that are written */
};

enum pages {
	PAGES_ANON,
	PAGES_THP,
	PAGES_SHMEM,
	PAGES_HUGETLB,
	PAGES_DM,
	PAGES_DMABUF,
};

#define LOCAL_DM T_NR_KINDS

struct region_plan {
	uint8_t pages; /* enum pages */
	uint8_t kind; /* enum t_kind */
	uint32_t len;
};

struct plan {
	uint64_t seed;
	bool wire; /* peers are reached by packets */
	bool srq[WORKERS]; /* receives of its RC QPs are shared */
	uint8_t cq[WORKERS]; /* of which kind its CQs are */
	uint16_t ex[WORKERS]; /* a bit for each QP that has ibv_wr_* too */
	uint8_t local[WORKERS]; /* enum t_kind of the local buffers, or LOCAL_DM */
	struct region_plan regions[WORKERS][REGIONS];
	unsigned int rounds;
	unsigned int nr;
	struct step steps[MAX_STEPS];
	bool off[MAX_STEPS]; /* steps left out */
};

/* plan.c */
extern const char *const op_names[NR_OPS];
void plan_make(struct plan *p, uint64_t seed, unsigned int rounds);
/* Keeps "3,7-9" of the steps; false: cannot be read */
bool plan_keep(struct plan *p, const char *list);
unsigned int plan_count(const struct plan *p);
void plan_list(const struct plan *p, char *buf, size_t size);
void plan_print(const struct plan *p, const char *prefix);
void step_text(const struct plan *p, unsigned int i, char *buf, size_t size);

/* tally.c */
#define TALLY_FD 3
void tally_make(void);
/* Before and behind an exec of a run */
void tally_hand_on(void);
void tally_take(void);
/* Of enum op or enum seen */
void tally_done(unsigned int what);
/* Grows whenever something is done */
uint64_t tally_sum(void);
void tally_lacks(unsigned int what);
void tally_print(void);
/* False: the kinds that never happened, though they can, are in buf */
bool tally_whole(char *buf, size_t size);

/* --- what workers write down --- */

enum rec_kind {
	REC_DATA, /* bytes of a tag were written */
	REC_ZERO, /* bytes became zeros */
	REC_READ,
	REC_SEND,
	REC_RECV,
	REC_ATOMIC,
	REC_FLUSH,
	REC_BIND,
	REC_INVALIDATE,
	REC_PERM, /* pages could not be accessed so, for a time or since */
	REC_FLUSHED, /* a step took a QP's requests away */
	REC_LINK, /* no packets, or port, for a time */
};

/* What may be done to a page: a set of them is what may be true meanwhile */
enum perm {
	PERM_RW = 1,
	PERM_RO = 2,
	PERM_NONE = 4,
};

/* Of a request that has no completion status */
enum {
	STATUS_PENDING = 1000,
	STATUS_GONE, /* its queue pair was reset */
};

enum rec_flag {
	REC_MAY = 1, /* may have happened or not, in part or all */
	REC_UNRELIABLE = 2,
	REC_CAS = 4,
	REC_HAS_IMM = 8,
	REC_BROKEN = 16, /* the QP was taken away meanwhile */
	REC_UD = 32,
	REC_SIGNALED = 64,
	REC_WINDOW = 128, /* by the key of a window */
	REC_WINDOW2 = 256, /* of one that serves this worker only */
	REC_RESPONDER = 512, /* on a QP that answers the peer */
	REC_HAS_INV = 1024, /* instead of immediate data */
	REC_ATOMIC_WRITE = 4096,
	REC_STALE = 2048, /* by a key that was invalidated before */
};

struct rec {
	uint16_t flags;
	uint8_t kind;
	uint8_t worker;
	uint8_t owner; /* of the region; the peer of a SEND or RECV */
	uint8_t region;
	uint8_t perm_during;
	uint8_t perm_after;
	uint8_t type; /* of the queue pair */
	uint8_t want; /* status that a bad request must have, or 0 */
	uint16_t step;
	uint16_t status;
	uint32_t off;
	uint32_t len;
	uint32_t begin; /* of the worker's own clock */
	uint32_t end;
	uint32_t qp; /* which queue, to know what is ordered */
	uint32_t data; /* where in the arena */
	uint32_t imm;
	uint64_t tag; /* or what an atomic adds or swaps in */
	uint64_t compare;
	uint64_t old;
	uint64_t posted; /* before this moment it was not */
};

struct public_region {
	uint64_t addr;
	uint32_t rkey;
	uint32_t window; /* its key, or 0 */
	bool no_flush;
};

enum { Q_RC, Q_UC, Q_XRC, NR_Q };

/* Shared by the processes of a run */
struct side {
	struct public_region region[REGIONS];
	uint32_t window2[WORKERS][REGIONS]; /* keys for one peer each, or 0 */
	uint32_t stale2[WORKERS][REGIONS]; /* keys that were invalidated */
	struct t_addr req[WORKERS][NR_Q]; /* ends that send to a worker */
	struct t_addr resp[WORKERS][NR_Q]; /* ends that it sends to */
	struct t_addr ud;
	uint32_t srqn;
	bool bad[WORKERS][NR_Q][2]; /* to be made anew; [1]: responders */
	uint32_t sent[WORKERS][NR_Q]; /* SENDs that succeeded, per peer */
	uint32_t imm; /* the last that it sent, whichever process it was */
	uint64_t kill_at; /* when it is to be killed, or 0 */
	uint64_t gone_at; /* when nothing of it was left, or 0 */
	bool execs;
	bool dead; /* in this round */
	uint32_t nr_recs;
	uint32_t arena_used;
	struct rec recs[MAX_RECS];
	unsigned char *arena;
	/* What the process sees of its regions */
	unsigned char *view[REGIONS];
	/* What another process read of the same by its device */
	unsigned char *device;
	uint8_t device_owner;
	uint8_t device_region;
	bool device_read;
};

struct board {
	struct side side[WORKERS];
	uint16_t round;
	int sabotage;
};

enum sabotage {
	SABOTAGE_NONE,
	SABOTAGE_BYTE,
	SABOTAGE_COMPLETION,
};

enum command {
	CMD_SETUP,
	CMD_CONNECT,
	CMD_ADDRESS,
	CMD_ROUND,
	CMD_CALM,
	CMD_QUIET,
	CMD_READ,
	CMD_CLOSE,
	CMD_OPEN,
	CMD_END,
};

/* run.c: one run of the plan in this process; ends it when something is wrong */
void run_plan(const struct plan *p, enum sabotage sabotage);

/* surround.c: what a run needs around it, and what it may have left */
void surround_begin(const struct plan *p);
void surround_end(const struct plan *p);
/* After the last run */
void surround_leave(void);
void surround_reclaim(unsigned int how);
void surround_netem(unsigned int which);
/* Nothing is short of memory any more */
void surround_calm(void);
void surround_link(const char *netdev, unsigned int ms);

/* model.c */
struct model;
struct model *model_new(const struct plan *p, const struct board *b);
void model_round(struct model *m);
/* May a device read all of a region now? */
bool model_readable(const struct model *m, unsigned int w,
		    unsigned int region);

/* shrink.c */
struct options {
	unsigned int rounds;
	unsigned int shrink_seconds;
	unsigned int attempts; /* a race shows in some runs only */
	enum sabotage sabotage;
};

struct outcome {
	bool failed;
	bool skipped;
	char text[512];
};

/* A run in processes of its own */
void run_apart(const struct plan *p, const struct options *o,
	       struct outcome *out);
/* Leaves out steps while the plan still fails; the number of runs */
unsigned int shrink(struct plan *p, const struct options *o,
		    struct outcome *out);

#endif /* TORTURE_H */
