// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* One side of the transfer matrix: its memory, and what it checks */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "matrix.h"

/*
 * For rdma_rxe, which cannot register 2 GiB on demand and panics when the
 * iova of such a region is not its address.
 */
static bool plain(void)
{
	return getenv("SODP_MATRIX_PLAIN");
}

/* iova and address differ in two arenas of three, where they can */
static uint64_t arena_iova(enum t_pages pages, uint64_t start)
{
	switch (pages) {
	case T_THP:
		return start + 0x123400000000ULL;
	case T_SHMEM:
		return 0;
	default:
		return start;
	}
}

static void arena_open(struct side *side, enum t_pages pages)
{
	struct arena *arena = &side->arena[pages];
	size_t length = ARENA_SIZE;
	uint64_t start;
	uint64_t iova;

	arena->base = t_map_aligned(ARENA_SIZE, T_GIB);
	arena->window = arena->base + T_GIB - WINDOW_HALF;
	if (side->kind == T_PINNED || plain()) {
		length = WINDOW_SIZE;
		start = (uintptr_t)arena->window;
		t_map_pages(arena->window, length, pages);
	} else {
		start = (uintptr_t)arena->base;
		t_map_pages(arena->base, length, pages);
	}
	if (side->kind == T_IMPLICIT)
		return;
	iova = plain() ? start : arena_iova(pages, start);
	arena->iova_delta = iova - start;
	arena->mr = ibv_reg_mr_iova(side->dev.pd, (void *)start, length, iova,
				    T_ACCESS_ALL |
					    (side->kind == T_EXPLICIT ?
						     IBV_ACCESS_ON_DEMAND :
						     0));
	T_ASSERT(arena->mr, "%s %s MR: %s", t_kind_names[side->kind],
		 t_pages_names[pages], t_errname(errno));
}

void side_open(struct side *side, enum t_kind kind)
{
	struct ibv_mr *mr;
	unsigned int i;

	memset(side, 0, sizeof(*side));
	side->kind = kind;
	t_open(&side->dev);
	if (!t_can_kind(&side->dev, kind))
		t_skip("%s has no %s regions", side->dev.name,
		       t_kind_names[kind]);
	side->expect = malloc(WINDOW_SIZE);
	T_ASSERT(side->expect, "no memory");
	for (i = 0; i < T_NR_PAGES; i++)
		arena_open(side, i);
	if (kind == T_IMPLICIT) {
		mr = t_reg_kind(&side->dev, kind, NULL, 0, T_ACCESS_ALL);
		for (i = 0; i < T_NR_PAGES; i++)
			side->arena[i].mr = mr;
	}
	t_ep_open(&side->ep, &side->dev, NULL);
}

struct ibv_sge side_sge(const struct side *side, enum t_pages pages,
			uint64_t off, uint32_t len)
{
	const struct arena *arena = &side->arena[pages];
	struct ibv_sge sge = {
		.addr = (uintptr_t)arena->window + off + arena->iova_delta,
		.length = len,
		.lkey = arena->mr->lkey,
	};

	return sge;
}

/* Whole pages, or whole huge pages where the case is large enough, that a
 * span touches, and one page to either side.
 */
static void hull(const struct span *span, uint32_t len, uint32_t *lo,
		 uint32_t *hi)
{
	const struct piece *last = &span->piece[span->nr - 1];
	uint64_t unit = T_PAGE;

	if (span->pages == T_THP && len >= T_HUGE / 2)
		unit = T_HUGE;
	*lo = (span->piece[0].off - 1) & ~(unit - 1);
	*hi = (last->off + last->len + RECV_SLACK + unit) & ~(unit - 1);
	if (*hi > WINDOW_SIZE)
		*hi = WINDOW_SIZE;
}

/*
 * Takes the pages away from the device without losing what is in them;
 * where losing is allowed, away from the process too.
 */
static void chill(const struct arena *arena, const struct span *span,
		  uint32_t lo, uint32_t hi, bool keep)
{
	char *p = arena->window + lo;
	size_t len = hi - lo;
	int ret;

	if (span->pages == T_SHMEM || !keep) {
		ret = madvise(p, len, MADV_DONTNEED);
		T_ASSERT(!ret, "MADV_DONTNEED: %s", t_errname(errno));
		return;
	}
	ret = mprotect(p, len, PROT_NONE);
	ret = ret ? ret : mprotect(p, len, PROT_READ | PROT_WRITE);
	T_ASSERT(!ret, "mprotect: %s", t_errname(errno));
}

static void side_source(struct side *side, const struct xfer *xfer)
{
	const struct span *span = &xfer->src;
	const struct arena *arena = &side->arena[span->pages];
	uint64_t pos = 0;
	uint32_t lo, hi;
	unsigned int i;

	for (i = 0; i < span->nr; i++) {
		t_fill_data(arena->window + span->piece[i].off,
			    span->piece[i].len, xfer->seed, pos);
		pos += span->piece[i].len;
	}
	if (!span->cold)
		return;
	hull(span, xfer->len, &lo, &hi);
	chill(arena, span, lo, hi, true);
}

static bool needs_recv(const struct xfer *xfer)
{
	return xfer->opcode == IBV_WR_SEND ||
	       xfer->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static void side_post_recv(struct side *side, const struct xfer *xfer)
{
	const struct span *span = &xfer->dst;
	struct ibv_sge sge[MAX_PIECES];
	struct ibv_recv_wr wr = { .wr_id = ~xfer->wr_id, .sg_list = sge };
	struct ibv_recv_wr *bad;
	unsigned int i;

	if (xfer->opcode == IBV_WR_SEND) {
		for (i = 0; i < span->nr; i++)
			sge[i] = side_sge(side, span->pages,
					  span->piece[i].off,
					  span->piece[i].len);
		sge[span->nr - 1].length += xfer->slack;
		wr.num_sge = span->nr;
	}
	T_OK(ibv_post_recv(side->ep.qp, &wr, &bad));
}

static void side_target(struct side *side, const struct xfer *xfer)
{
	const struct span *span = &xfer->dst;
	uint32_t lo, hi;

	hull(span, xfer->len, &lo, &hi);
	if (span->cold)
		chill(&side->arena[span->pages], span, lo, hi, false);
	if (needs_recv(xfer))
		side_post_recv(side, xfer);
}

static void check_recv(struct side *side, const struct xfer *xfer,
		       struct reply *reply)
{
	bool imm = xfer->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	struct ibv_wc wc = t_poll(side->ep.rcq);

	if (wc.status != IBV_WC_SUCCESS || wc.wr_id != ~xfer->wr_id)
		t_fail("receive ended with '%s'", t_wc_name(wc.status));
	if (wc.byte_len == xfer->len && wc.qp_num == side->ep.qp->qp_num &&
	    wc.opcode == (imm ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV) &&
	    !!(wc.wc_flags & IBV_WC_WITH_IMM) == imm &&
	    (!imm || wc.imm_data == htobe32(xfer->imm)))
		return;
	reply->bad = true;
	snprintf(reply->text, sizeof(reply->text),
		 "receive completion: byte_len %u opcode %#x flags %#x imm %#x",
		 wc.byte_len, wc.opcode, wc.wc_flags, be32toh(wc.imm_data));
}

/* Compares the hull with what it must be now, then restores it. */
static void side_check(struct side *side, const struct xfer *xfer,
		       struct reply *reply)
{
	const struct span *span = &xfer->dst;
	char *window = side->arena[span->pages].window;
	uint64_t pos = 0;
	uint32_t lo, hi;
	unsigned int i;
	uint32_t bad;

	reply->bad = false;
	if (needs_recv(xfer))
		check_recv(side, xfer, reply);
	hull(span, xfer->len, &lo, &hi);
	/* What was discarded reads as zeros, but in a file */
	t_patterns_init();
	if (span->cold && span->pages != T_SHMEM)
		memset(side->expect, 0, hi - lo);
	else
		t_copy_background(side->expect, window + lo, hi - lo);
	for (i = 0; i < span->nr; i++) {
		t_fill_data(side->expect + span->piece[i].off - lo,
			    span->piece[i].len, xfer->seed, pos);
		pos += span->piece[i].len;
	}
	if (memcmp(side->expect, window + lo, hi - lo) && !reply->bad) {
		for (bad = 0; side->expect[bad] == window[lo + bad]; bad++)
			;
		reply->bad = true;
		snprintf(reply->text, sizeof(reply->text),
			 "byte at 1G%+lld is %#x, must be %#x",
			 (long long)lo + bad - (long long)WINDOW_HALF,
			 (unsigned char)window[lo + bad],
			 (unsigned char)side->expect[bad]);
	}
	t_fill_background(window + lo, hi - lo);
}

static void side_sweep(struct side *side, struct reply *reply)
{
	unsigned int i;
	int64_t bad;

	for (i = 0; i < T_NR_PAGES; i++) {
		bad = t_check_background(side->arena[i].window, WINDOW_SIZE);
		if (bad < 0)
			continue;
		reply->bad = true;
		snprintf(reply->text, sizeof(reply->text),
			 "stray byte at 1G%+lld of the %s window",
			 (long long)bad - (long long)WINDOW_HALF,
			 t_pages_names[i]);
		return;
	}
}

static void side_word_set(struct side *side, const struct word *word)
{
	struct arena *arena = &side->arena[word->pages];
	char *page = arena->window + (word->off & ~(T_PAGE - 1));

	t_fill_background(page - T_PAGE, 3 * T_PAGE);
	memcpy(arena->window + word->off, &word->value, sizeof(word->value));
	if (word->cold) {
		T_ASSERT(!mprotect(page, T_PAGE, PROT_NONE), "mprotect: %s",
			 t_errname(errno));
		T_ASSERT(!mprotect(page, T_PAGE, PROT_READ | PROT_WRITE),
			 "mprotect: %s", t_errname(errno));
	}
}

/* The word has the value, and nothing else in three pages changed. */
static void side_word_check(struct side *side, const struct word *word,
			    struct reply *reply)
{
	char *window = side->arena[word->pages].window;
	char *page = window + (word->off & ~(T_PAGE - 1));
	uint64_t value;
	int64_t bad;

	memcpy(&value, window + word->off, sizeof(value));
	t_fill_background(window + word->off, sizeof(value));
	bad = t_check_background(page - T_PAGE, 3 * T_PAGE);
	reply->bad = value != word->value || bad >= 0;
	if (value != word->value)
		snprintf(reply->text, sizeof(reply->text),
			 "word is %#llx, must be %#llx",
			 (unsigned long long)value,
			 (unsigned long long)word->value);
	else if (bad >= 0)
		snprintf(reply->text, sizeof(reply->text),
			 "stray byte at %+lld of the page",
			 (long long)bad - (long long)T_PAGE);
}

void side_do(struct side *side, const struct request *req, struct reply *reply)
{
	unsigned int i;

	reply->bad = false;
	switch (req->command) {
	case CMD_ADDR:
		reply->addr = t_ep_addr(&side->ep);
		for (i = 0; i < T_NR_PAGES; i++) {
			reply->rkey[i] = side->arena[i].mr->rkey;
			reply->window_iova[i] = side_sge(side, i, 0, 0).addr;
		}
		break;
	case CMD_CONNECT:
		t_ep_connect(&side->ep, &req->addr);
		break;
	case CMD_BACKGROUND:
		for (i = 0; i < T_NR_PAGES; i++)
			t_fill_background(side->arena[i].window, WINDOW_SIZE);
		break;
	case CMD_SOURCE:
		side_source(side, &req->xfer);
		break;
	case CMD_TARGET:
		side_target(side, &req->xfer);
		break;
	case CMD_CHECK:
		side_check(side, &req->xfer, reply);
		break;
	case CMD_SWEEP:
		side_sweep(side, reply);
		break;
	case CMD_WORD_SET:
		side_word_set(side, &req->word);
		break;
	case CMD_WORD_CHECK:
		side_word_check(side, &req->word, reply);
		break;
	case CMD_QUIT:
		break;
	}
}
