// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What happens to the memory of a worker's regions */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

void rec_perm(struct worker *w, const struct step *s, uint32_t begin,
	      uint32_t off, uint32_t len, uint8_t during, uint8_t after)
{
	struct rec *rec;

	/* A pinned region keeps its pages, whatever the process may do */
	if (w->regions[s->region].plan.kind == T_PINNED && s->op != OP_REREG)
		return;
	rec = rec_new(w, REC_PERM);
	rec->region = s->region;
	rec->off = off;
	rec->len = len;
	rec->begin = begin;
	rec->perm_during = during;
	rec->perm_after = after;
}

static void rec_bytes(struct worker *w, const struct step *s, uint32_t begin,
		      enum rec_kind kind, uint32_t off, uint32_t len,
		      uint8_t flags)
{
	struct rec *rec = rec_new(w, kind);

	rec->region = s->region;
	rec->off = off;
	rec->len = len;
	rec->begin = begin;
	rec->flags = flags;
	rec->tag = s->tag;
}

/* Zeros, of memory that has no file below it */
static void rec_lost(struct worker *w, const struct step *s, uint32_t begin,
		     uint32_t off, uint32_t len)
{
	if (w->regions[s->region].fd < 0)
		rec_bytes(w, s, begin, REC_ZERO, off, len, 0);
}

static void store(struct worker *w, struct region *r, const struct step *s)
{
	uint32_t begin = ++w->clock;
	uint32_t off, len, from, to;

	FOR_RUNS(r, s, PERM_RW, off, len) {
		from = off < s->off ? s->off : off;
		to = off + len;
		if (to > s->off + s->len)
			to = s->off + s->len;
		t_fill_data(r->addr + from, to - from, s->tag, from - s->off);
		dm_put(r->dm, r->addr, from, to - from);
		rec_bytes(w, s, begin, REC_DATA, from, to - from, 0);
		/* The model has the tag's bytes from its beginning */
		w->self->recs[w->self->nr_recs - 1].compare = from - s->off;
	}
}

/* Advice that changes no byte, for a part that is mapped */
static void advise(struct region *r, const struct step *s, int advice)
{
	uint32_t off, len;

	bool done = false;

	FOR_RUNS(r, s, ANY_STATE, off, len)
		done |= !madvise(r->addr + off, len, advice);
	r->touched = done;
}

static void dontneed(struct worker *w, struct region *r, const struct step *s)
{
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	FOR_RUNS(r, s, ANY_STATE, off, len) {
		if (!madvise(r->addr + off, len, MADV_DONTNEED))
			rec_lost(w, s, begin, off, len);
		else
			t_fail("madvise(MADV_DONTNEED): %s", t_errname(errno));
	}
}

static void lazy_free(struct worker *w, struct region *r, const struct step *s)
{
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	FOR_RUNS(r, s, PERM_RW, off, len) {
		madvise(r->addr + off, len, MADV_FREE);
		rec_bytes(w, s, begin, REC_ZERO, off, len, REC_MAY);
		memset(r->lazy + PAGE_OF(off), 1, PAGE_OF(len));
		if (s->arg & 1)
			madvise(r->addr + off, len, MADV_PAGEOUT);
	}
}

static void punch(struct worker *w, struct region *r, const struct step *s)
{
	uint32_t begin = ++w->clock;

	T_ASSERT(!fallocate(r->fd,
			    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    s->off, s->len),
		 "fallocate: %s", t_errname(errno));
	rec_bytes(w, s, begin, REC_ZERO, s->off, s->len, 0);
}

static void truncate_file(struct worker *w, struct region *r,
			  const struct step *s)
{
	uint32_t begin = ++w->clock;

	T_ASSERT(!ftruncate(r->fd, s->off), "ftruncate");
	t_sleep_ms(s->arg % 3);
	T_ASSERT(!ftruncate(r->fd, r->plan.len), "ftruncate");
	rec_perm(w, s, begin, s->off, r->plan.len - s->off,
		 PERM_NONE, 0);
	rec_bytes(w, s, begin, REC_ZERO, s->off, r->plan.len - s->off, 0);
}

static void protect(struct worker *w, struct region *r, const struct step *s)
{
	uint8_t perm = s->arg & 1 ? PERM_NONE : PERM_RO;
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	region_touch_lazy(r);
	FOR_RUNS(r, s, ANY_STATE, off, len) {
		T_ASSERT(!mprotect(r->addr + off, len, prot_of[perm]),
			 "mprotect: %s", t_errname(errno));
		memset(r->state + PAGE_OF(off), perm, PAGE_OF(len));
		rec_perm(w, s, begin, off, len, perm, perm);
	}
}

static void flicker(struct worker *w, struct region *r, const struct step *s)
{
	uint8_t perm = s->arg & 1 ? PERM_NONE : PERM_RO;
	uint32_t begin = ++w->clock;
	uint32_t off, len;
	unsigned int i;

	region_touch_lazy(r);
	FOR_RUNS(r, s, PERM_RW, off, len) {
		for (i = 0; i < s->n; i++) {
			mprotect(r->addr + off, len, prot_of[perm]);
			sched_yield();
			T_ASSERT(!mprotect(r->addr + off, len,
					   prot_of[PERM_RW]),
				 "mprotect: %s", t_errname(errno));
		}
		rec_perm(w, s, begin, off, len, perm, 0);
	}
}

static void unmap(struct worker *w, struct region *r, const struct step *s,
		  bool again)
{
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	FOR_RUNS(r, s, ANY_STATE, off, len) {
		T_ASSERT(!munmap(r->addr + off, len), "munmap: %s",
			 t_errname(errno));
		memset(r->state + PAGE_OF(off), STATE_HOLE, PAGE_OF(len));
		memset(r->lazy + PAGE_OF(off), 0, PAGE_OF(len));
		if (again) {
			t_sleep_ms(s->arg % 3);
			region_map(r, off, len);
		}
		rec_perm(w, s, begin, off, len, PERM_NONE | PERM_RW,
			 again ? PERM_RW : PERM_NONE);
		rec_lost(w, s, begin, off, len);
	}
}

static void replace(struct worker *w, struct region *r, const struct step *s)
{
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	FOR_RUNS(r, s, PERM_RW, off, len) {
		region_map(r, off, len);
		rec_lost(w, s, begin, off, len);
	}
}

/* Everything can be used again */
static void restore(struct worker *w, struct region *r, const struct step *s)
{
	struct step all = { .len = r->plan.len };
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	FOR_RUNS(r, &all, STATE_HOLE, off, len) {
		region_map(r, off, len);
		rec_perm(w, s, begin, off, len, PERM_RW, PERM_RW);
	}
	FOR_RUNS(r, &all, PERM_RO | PERM_NONE, off, len) {
		T_ASSERT(!mprotect(r->addr + off, len, prot_of[PERM_RW]),
			 "mprotect: %s", t_errname(errno));
		memset(r->state + PAGE_OF(off), PERM_RW, PAGE_OF(len));
		rec_perm(w, s, begin, off, len, PERM_RW, PERM_RW);
	}
}

static void move(struct worker *w, struct region *r, const struct step *s)
{
	size_t len = r->plan.len;
	uint32_t begin;
	char *away;
	size_t i;

	for (i = 0; i < PAGE_OF(len); i++)
		if (r->state[i] != PERM_RW)
			return;
	if (r->late)
		return;
	away = t_map_aligned(len, T_HUGE);
	begin = ++w->clock;
	if (mremap(r->addr, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, away) !=
	    away) {
		/* It has become several mappings, which not all kernels move */
		munmap(away, len);
		return;
	}
	t_sleep_ms(s->arg % 3);
	T_ASSERT(mremap(away, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			r->addr) == r->addr,
		 "mremap: %s", t_errname(errno));
	r->touched = true;
	rec_perm(w, s, begin, 0, len, PERM_NONE, 0);
}

/* Splits huge pages by giving a part another policy */
static void split(struct region *r, const struct step *s)
{
	uint32_t off, len;

	FOR_RUNS(r, s, PERM_RW, off, len) {
		madvise(r->addr + off, len, MADV_NOHUGEPAGE);
		mprotect(r->addr + off, len,
			 PROT_READ | PROT_WRITE | PROT_EXEC);
		T_ASSERT(!mprotect(r->addr + off, len, prot_of[PERM_RW]),
			 "mprotect: %s", t_errname(errno));
	}
}

static void collapse(struct region *r)
{
	struct step all = { .len = r->plan.len };
	unsigned int i;

	advise(r, &all, MADV_HUGEPAGE);
	/* It may find a page busy, or no huge page */
	for (i = 0, r->touched = false; i < 4 && !r->touched; i++)
		advise(r, &all, MADV_COLLAPSE);
}

static uint64_t sum_of(struct region *r, const struct step *s)
{
	uint64_t sum = 0;
	uint32_t off, len;
	size_t i;

	FOR_RUNS(r, s, PERM_RW | PERM_RO, off, len)
		for (i = 0; i < len; i += 8)
			sum = sum * 31 + *(uint64_t *)(r->addr + off + i);
	return sum;
}

/* What a child has is what was there when it was made, and stays so */
static void fork_child(struct worker *w, struct region *r,
		       const struct step *s)
{
	uint32_t off, len;
	uint64_t sum;
	int status;
	pid_t pid;

	region_touch_lazy(r);
	pid = t_fork();
	if (!pid) {
		sum = sum_of(r, s);
		t_sleep_ms(2 * s->n);
		if (r->fd < 0 && sum != sum_of(r, s))
			_exit(9);
		if (r->fd < 0 && (s->arg & 1))
			FOR_RUNS(r, s, PERM_RW, off, len)
				memset(r->addr + off, 0x33, len);
		_exit(0);
	}
	T_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	T_ASSERT(!WIFEXITED(status) || WEXITSTATUS(status) != 9,
		 "step %u: the memory of a child changed", w->step + 1);
	T_ASSERT(!status, "step %u: a child ended with status %#x",
		 w->step + 1, status);
}

/* Pages come late until the round is over */
static void late_pages(struct worker *w, struct region *r,
		       const struct step *s)
{
	uint32_t begin = ++w->clock;
	uint32_t off, len;

	FOR_RUNS(r, s, ANY_STATE, off, len) {
		if (r->late)
			return;
		region_late(r, r->addr + off, len, s->arg % 4);
		madvise(r->addr + off, len, MADV_DONTNEED);
		rec_bytes(w, s, begin, REC_ZERO, off, len, 0);
	}
}

/* All pages to the other node, and back */
static void migrate(struct worker *w, const struct step *s)
{
	unsigned long nodes[2] = { 1, 2 };
	unsigned int i;

	if (access("/sys/devices/system/node/node1", F_OK)) {
		tally_lacks(s->op);
		w->idle = true;
		return;
	}
	for (i = 0; i < 2U * s->n; i++)
		T_ASSERT(syscall(SYS_migrate_pages, 0, 8, &nodes[i & 1],
				 &nodes[~i & 1]) >= 0,
			 "migrate_pages: %s", t_errname(errno));
}

static void memory_event(struct worker *w, struct region *r,
			 const struct step *s)
{
	switch (s->op) {
	case OP_STORE:
		return store(w, r, s);
	case OP_DONTNEED:
		return dontneed(w, r, s);
	case OP_FREE:
		return lazy_free(w, r, s);
	case OP_PUNCH:
		return punch(w, r, s);
	case OP_TRUNCATE:
		return truncate_file(w, r, s);
	case OP_PAGEOUT:
		if (s->arg & 1)
			madvise(w->local, SLOTS * SLOT_LEN, MADV_PAGEOUT);
		return advise(r, s, MADV_PAGEOUT);
	case OP_COLLAPSE:
		return collapse(r);
	case OP_SPLIT:
		return split(r, s);
	case OP_MERGE:
		return advise(r, s, s->arg & 1 ? MADV_MERGEABLE :
						 MADV_UNMERGEABLE);
	case OP_POPULATE:
		return advise(r, s, MADV_POPULATE_READ + (s->arg & 1));
	case OP_TRACK:
		t_write_file("/proc/self/clear_refs", "4");
		return;
	case OP_COMPACT:
		t_write_file("/proc/sys/vm/compact_memory", "1");
		return;
	case OP_MIGRATE:
		return migrate(w, s);
	case OP_RECLAIM:
		return surround_reclaim(s->arg);
	case OP_FORK:
		return fork_child(w, r, s);
	case OP_UFFD:
		return late_pages(w, r, s);
	case OP_PROTECT:
		return protect(w, r, s);
	case OP_FLICKER:
		return flicker(w, r, s);
	case OP_REMAP:
		return unmap(w, r, s, true);
	case OP_HOLE:
		return unmap(w, r, s, false);
	case OP_REPLACE:
		return replace(w, r, s);
	case OP_RESTORE:
		return restore(w, r, s);
	case OP_MOVE:
		return move(w, r, s);
	}
}

/* Those that look for a part in some state may find none */
void memory_step(struct worker *w, const struct step *s)
{
	struct region *r = &w->regions[s->region];

	switch (s->op) {
	case OP_PUNCH:
	case OP_TRUNCATE:
	case OP_TRACK:
	case OP_COMPACT:
	case OP_MIGRATE:
	case OP_RECLAIM:
	case OP_FORK:
		r->touched = true;
		break;
	default:
		r->touched = false;
	}
	memory_event(w, r, s);
	w->idle |= !r->touched;
}
