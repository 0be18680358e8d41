// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* From a seed to regions and steps, and steps as text */

#include <stdlib.h>

#include "torture.h"

const char *const op_names[NR_OPS] = {
	[OP_WRITE] = "write",	     [OP_WRITE_IMM] = "write_imm",
	[OP_READ] = "read",	     [OP_SEND] = "send",
	[OP_SEND_IMM] = "send_imm",  [OP_FAA] = "faa",
	[OP_CAS] = "cas",	     [OP_ATOMIC_WRITE] = "atomic_write",
	[OP_FLUSH] = "flush",	     [OP_UC_WRITE] = "uc_write",
	[OP_UC_SEND] = "uc_send",    [OP_UD_SEND] = "ud_send",
	[OP_BIND] = "bind",	     [OP_BIND2] = "bind2",
	[OP_INVALIDATE] = "invalidate", [OP_SEND_INV] = "send_inv",
	[OP_DRAIN] = "drain",	     [OP_FAIL_WRITE] = "fail_write",
	[OP_BAD] = "bad",	     [OP_WAIT] = "wait",
	[OP_STORE] = "store",	     [OP_DONTNEED] = "dontneed",
	[OP_FREE] = "free",	     [OP_PUNCH] = "punch",
	[OP_TRUNCATE] = "truncate",  [OP_PAGEOUT] = "pageout",
	[OP_COLLAPSE] = "collapse",  [OP_SPLIT] = "split",
	[OP_MERGE] = "merge",	     [OP_TRACK] = "track",
	[OP_COMPACT] = "compact",    [OP_POPULATE] = "populate",
	[OP_FORK] = "fork",	     [OP_UFFD] = "uffd",
	[OP_PROTECT] = "protect",    [OP_FLICKER] = "flicker",
	[OP_REMAP] = "remap",	     [OP_REPLACE] = "replace",
	[OP_HOLE] = "hole",	     [OP_RESTORE] = "restore",
	[OP_MOVE] = "move",	     [OP_MIGRATE] = "migrate",
	[OP_RECLAIM] = "reclaim",
	[OP_REREG] = "rereg",	     [OP_ADVISE] = "advise",
	[OP_RESIZE] = "resize",	     [OP_RESET] = "reset",
	[OP_ERROR] = "error",	     [OP_PEER_ERROR] = "peer_error",
	[OP_VICTIM] = "victim",	     [OP_FAILSLAB] = "failslab",
	[OP_LINK] = "link",	     [OP_NETEM] = "netem",
	[OP_KILL] = "kill",	     [OP_EXEC] = "exec",
};

static const char *const pages_names[] = {
	[PAGES_ANON] = "anon",
	[PAGES_THP] = "thp",
	[PAGES_SHMEM] = "shmem",
	[PAGES_HUGETLB] = "hugetlb",
	[PAGES_DM] = "dm",
	[PAGES_DMABUF] = "dmabuf",
};

struct choice {
	uint8_t op;
	uint8_t weight;
};

static const struct choice verbs_choices[] = {
	{ OP_WRITE, 8 },     { OP_WRITE_IMM, 2 }, { OP_READ, 6 },
	{ OP_SEND, 3 },	     { OP_SEND_IMM, 2 },  { OP_FAA, 3 },
	{ OP_CAS, 2 },	     { OP_UC_WRITE, 2 },  { OP_UC_SEND, 1 },
	{ OP_UD_SEND, 2 },   { OP_BIND, 2 },	  { OP_BAD, 2 },
	{ OP_WAIT, 2 },	     { OP_BIND2, 6 },	  { OP_INVALIDATE, 3 },
	{ OP_SEND_INV, 2 },  { OP_ATOMIC_WRITE, 3 }, { OP_FLUSH, 1 },
	{ OP_DRAIN, 2 },     { OP_FAIL_WRITE, 1 },
};

static const struct choice memory_choices[] = {
	{ OP_STORE, 4 },    { OP_DONTNEED, 4 }, { OP_FREE, 2 },
	{ OP_PUNCH, 3 },    { OP_TRUNCATE, 2 }, { OP_PAGEOUT, 4 },
	{ OP_COLLAPSE, 4 }, { OP_SPLIT, 2 },	{ OP_MERGE, 1 },
	{ OP_TRACK, 1 },    { OP_COMPACT, 1 },	{ OP_POPULATE, 1 },
	{ OP_FORK, 3 },	    { OP_UFFD, 2 },	{ OP_PROTECT, 2 },
	{ OP_FLICKER, 2 },  { OP_REMAP, 2 },	{ OP_REPLACE, 2 },
	{ OP_HOLE, 2 },	    { OP_RESTORE, 4 },	{ OP_MOVE, 2 },
	{ OP_RECLAIM, 2 },  { OP_MIGRATE, 1 },
};

static const struct choice other_choices[] = {
	{ OP_REREG, 4 },  { OP_ADVISE, 4 },	{ OP_RESIZE, 3 },
	{ OP_RESET, 2 },  { OP_ERROR, 2 },	{ OP_PEER_ERROR, 1 },
	{ OP_VICTIM, 3 }, { OP_FAILSLAB, 2 },	{ OP_LINK, 1 },
	{ OP_NETEM, 2 },  { OP_KILL, 2 },	{ OP_EXEC, 2 },
};

static uint8_t choose(struct t_rand *r, const struct choice *c, size_t nr)
{
	unsigned int sum = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		sum += c[i].weight;
	sum = t_rand_below(r, sum);
	for (i = 0; sum >= c[i].weight; i++)
		sum -= c[i].weight;
	return c[i].op;
}

/* Is this event something that the model has rules for, on such a region? */
static bool fits(const struct region_plan *r, unsigned int region, uint8_t op)
{
	static const uint8_t dm[] = { OP_STORE, OP_COMPACT, OP_RECLAIM,
				      OP_MIGRATE };
	static const uint8_t pinned[] = { OP_STORE, OP_PAGEOUT, OP_TRACK,
					  OP_FORK, OP_COMPACT, OP_RECLAIM,
					  OP_MOVE, OP_REREG, OP_MIGRATE };
	static const uint8_t counters[] = { OP_PAGEOUT, OP_COLLAPSE, OP_MERGE,
					    OP_TRACK, OP_COMPACT, OP_FORK,
					    OP_FLICKER, OP_MOVE, OP_RECLAIM,
					    OP_REREG, OP_ADVISE, OP_MIGRATE };
	static const uint8_t hugetlb[] = { OP_STORE, OP_DONTNEED, OP_FORK,
					   OP_PROTECT, OP_FLICKER, OP_REMAP,
					   OP_RESTORE, OP_POPULATE, OP_COMPACT,
					   OP_REREG, OP_ADVISE };
	static const uint8_t not_shmem[] = { OP_FREE, OP_MERGE, OP_UFFD,
					     OP_REPLACE };

	if (r->pages == PAGES_DM)
		return memchr(dm, op, sizeof(dm));
	if (region == COUNTERS)
		return memchr(counters, op, sizeof(counters));
	if (r->kind == T_PINNED)
		return memchr(pinned, op, sizeof(pinned));
	if (r->pages == PAGES_HUGETLB)
		return memchr(hugetlb, op, sizeof(hugetlb));
	if (r->pages == PAGES_SHMEM)
		return !memchr(not_shmem, op, sizeof(not_shmem));
	return op != OP_PUNCH && op != OP_TRUNCATE;
}

static void plan_regions(struct plan *p, struct t_rand *r)
{
	static const uint8_t pages[] = { PAGES_ANON, PAGES_ANON, PAGES_THP,
					 PAGES_SHMEM, PAGES_SHMEM,
					 PAGES_HUGETLB };
	struct region_plan *region;
	unsigned int w;
	unsigned int i;

	for (w = 0; w < WORKERS; w++) {
		p->srq[w] = t_rand_below(r, 2);
		p->cq[w] = t_rand_below(r, 4);
		p->ex[w] = t_rand(r);
		p->local[w] = t_rand_below(r, LOCAL_DM + 1);
		for (i = 0; i < REGIONS; i++) {
			region = &p->regions[w][i];
			region->pages = pages[t_rand_below(r, sizeof(pages))];
			region->kind = T_EXPLICIT + t_rand_below(r, 2);
			if (t_rand_below(r, 6) == 0)
				region->kind = T_PINNED;
			if (i == DEVICE) {
				region->pages = PAGES_DM +
						t_rand_below(r, 2);
				region->kind = T_PINNED;
			}
			if (i == COUNTERS) {
				region->pages = PAGES_ANON;
				region->kind = T_EXPLICIT + (w & 1);
			}
			if (region->pages == PAGES_HUGETLB &&
			    region->kind == T_PINNED)
				region->kind = T_EXPLICIT;
			region->len = region->pages == PAGES_THP ||
				      region->pages == PAGES_HUGETLB ?
					      T_HUGE : SMALL_LEN;
			if (i == COUNTERS)
				region->len = 4 * T_PAGE;
		}
	}
}

/* Whole pages of a region */
static void some_pages(struct step *s, const struct region_plan *region,
		       struct t_rand *r)
{
	uint32_t pages = region->len / T_PAGE;
	uint32_t first = t_rand_below(r, pages);
	uint32_t nr = 1 + t_rand_below(r, pages - first);

	if (t_rand_below(r, 4) == 0 || region->pages == PAGES_HUGETLB) {
		first = 0;
		nr = pages;
	}
	s->off = first * T_PAGE;
	s->len = nr * T_PAGE;
}

static void some_bytes(struct step *s, uint32_t room, uint32_t most,
		       struct t_rand *r)
{
	static const uint32_t limits[] = { 8, 64, 1024, 5000, 20000,
					   MAX_MSG };
	uint32_t limit = limits[t_rand_below(r, T_ARRAY_SIZE(limits))];

	if (limit > most)
		limit = most;
	s->len = 1 + t_rand_below(r, limit);
	s->off = t_rand_below(r, room - s->len + 1);
	/* The boundary of pages, and of a leaf in the middle of small ones */
	if (t_rand_below(r, 4) == 0 && room / 2 >= s->len)
		s->off = room / 2 - t_rand_below(r, s->len + 1);
}

/* Where most of a round happens */
struct focus {
	uint8_t worker;
	uint8_t region;
};

/* Can windows be bound to it? */
static bool bindable(const struct region_plan *r)
{
	return r->kind != T_IMPLICIT && r->pages != PAGES_DMABUF;
}

static void plan_verbs(struct plan *p, struct step *s, const struct focus *f,
		       struct t_rand *r)
{
	uint32_t words;

	s->op = choose(r, verbs_choices, T_ARRAY_SIZE(verbs_choices));
	s->peer = t_rand_below(r, WORKERS);
	s->region = t_rand_below(r, COUNTERS);
	if (t_rand_below(r, 10) < 6) {
		s->peer = f->worker;
		s->region = f->region;
	}
	s->n = 1 + t_rand_below(r, t_rand_below(r, 2) ? 2 : CHAIN);
	s->arg = t_rand(r);
	s->xrc = t_rand_below(r, 4) == 0;
	switch (s->op) {
	case OP_BIND:
		s->n = 1;
		s->peer = s->worker;
		if (!bindable(&p->regions[s->worker][s->region]))
			s->op = OP_WAIT;
		break;
	case OP_BIND2:
	case OP_INVALIDATE:
		s->n = 1;
		if (!bindable(&p->regions[s->worker][s->region]))
			s->op = OP_WAIT;
		break;
	case OP_FAA:
	case OP_CAS:
		s->region = COUNTERS;
		s->off = t_rand_below(r, 3) * 2048;
		s->len = 8;
		break;
	case OP_ATOMIC_WRITE:
		words = p->regions[s->peer][s->region].len / 8;
		s->off = 8 * t_rand_below(r, words - CHAIN);
		s->len = 8;
		break;
	case OP_SEND_INV:
		s->n = 1;
		/* fall through */
	case OP_SEND:
	case OP_SEND_IMM:
	case OP_UC_SEND:
		if (s->n > 3)
			s->n = 3;
		some_bytes(s, RECV_LEN, RECV_LEN, r);
		break;
	case OP_UD_SEND:
		if (s->n > 3)
			s->n = 3;
		some_bytes(s, 1024, 1024, r);
		break;
	case OP_WRITE_IMM:
		if (s->n > 3)
			s->n = 3;
		/* fall through */
	default:
		some_bytes(s, p->regions[s->peer][s->region].len, MAX_MSG, r);
	}
}

static void plan_memory(struct plan *p, struct step *s, const struct focus *f,
			struct t_rand *r)
{
	const struct region_plan *region;

	s->peer = s->worker;
	do {
		s->region = t_rand_below(r, REGIONS);
		if (s->worker == f->worker && t_rand_below(r, 10) < 7)
			s->region = f->region;
		region = &p->regions[s->worker][s->region];
		s->op = choose(r, memory_choices,
			       T_ARRAY_SIZE(memory_choices));
	} while (!fits(region, s->region, s->op));
	s->n = 1 + t_rand_below(r, 4);
	s->arg = t_rand(r);
	if (s->op == OP_STORE) {
		some_bytes(s, region->len, MAX_MSG, r);
		/* It is written in words */
		if (region->pages == PAGES_DM) {
			s->len = (s->len + (s->off & 3) + 3) & ~3;
			s->off &= ~3;
		}
	} else {
		some_pages(s, region, r);
	}
}

static void plan_other(struct plan *p, struct step *s, struct t_rand *r)
{
	const struct region_plan *region;

	do {
		s->op = choose(r, other_choices, T_ARRAY_SIZE(other_choices));
	} while (s->op == OP_NETEM && !p->wire);
	s->peer = t_rand_below(r, WORKERS);
	s->region = t_rand_below(r, REGIONS);
	if (s->op == OP_REREG || s->op == OP_ADVISE || s->op == OP_VICTIM)
		s->peer = s->worker;
	if (s->op == OP_VICTIM && s->region == COUNTERS)
		s->region = 0;
	region = &p->regions[s->peer][s->region];
	if (s->op == OP_ADVISE && region->kind == T_PINNED)
		s->op = OP_RESIZE;
	s->n = 1 + t_rand_below(r, 4);
	s->arg = t_rand(r);
	some_pages(s, region, r);
}

/* Nobody connects to a device that has no link, or dies while it has none */
static void plan_links(struct plan *p)
{
	bool down[MAX_ROUNDS] = { false };
	unsigned int i;
	uint8_t *op;

	for (i = 0; i < p->nr; i++)
		down[p->steps[i].round] |= p->steps[i].op == OP_LINK;
	for (i = 0; i < p->nr; i++) {
		op = &p->steps[i].op;
		if (down[p->steps[i].round] &&
		    (*op == OP_VICTIM || *op == OP_KILL || *op == OP_EXEC))
			*op = OP_RESIZE;
	}
}

void plan_make(struct plan *p, uint64_t seed, unsigned int rounds)
{
	struct t_rand rand = { .state = seed * 2654435761U + 12345 };
	struct t_rand *r = &rand;
	struct focus focus;
	unsigned int round;
	unsigned int kind;
	struct step *s;
	unsigned int w;
	unsigned int i;

	memset(p, 0, sizeof(*p));
	p->seed = seed;
	p->rounds = rounds;
	p->wire = seed % 3 == 2;
	plan_regions(p, r);
	for (round = 0; round < rounds; round++) {
		focus.worker = t_rand_below(r, WORKERS);
		focus.region = t_rand_below(r, COUNTERS);
		for (w = 0; w < WORKERS; w++) {
			i = 3 + t_rand_below(r, 4);
			while (i-- && p->nr < MAX_STEPS) {
				s = &p->steps[p->nr++];
				s->round = round;
				s->worker = w;
				kind = t_rand_below(r, 20);
				if (kind < 11)
					plan_verbs(p, s, &focus, r);
				else if (kind < 18)
					plan_memory(p, s, &focus, r);
				else
					plan_other(p, s, r);
				s->tag = seed * 1000003 + p->nr * 64;
			}
		}
	}
	plan_links(p);
}

static bool keep_range(struct plan *p, unsigned long from, unsigned long to)
{
	if (!from || from > to || to > p->nr)
		return false;
	for (; from <= to; from++)
		p->off[from - 1] = false;
	return true;
}

bool plan_keep(struct plan *p, const char *list)
{
	unsigned long from, to;
	char *end;

	memset(p->off, true, sizeof(p->off));
	do {
		from = strtoul(list, &end, 10);
		if (end == list)
			return false;
		to = from;
		if (*end == '-') {
			list = end + 1;
			to = strtoul(list, &end, 10);
			if (end == list)
				return false;
		}
		if (!keep_range(p, from, to))
			return false;
		list = end + 1;
	} while (*end == ',');
	return !*end;
}

unsigned int plan_count(const struct plan *p)
{
	unsigned int n = 0;
	unsigned int i;

	for (i = 0; i < p->nr; i++)
		n += !p->off[i];
	return n;
}

void plan_list(const struct plan *p, char *buf, size_t size)
{
	size_t len = 0;
	unsigned int i;
	unsigned int j;

	buf[0] = 0;
	for (i = 0; i < p->nr && len + 24 < size; i = j) {
		for (j = i; j < p->nr && !p->off[j]; j++)
			;
		if (j == i) {
			j++;
			continue;
		}
		len += snprintf(buf + len, size - len, "%s%u", len ? "," : "",
				i + 1);
		if (j > i + 1)
			len += snprintf(buf + len, size - len, "-%u", j);
	}
}

void step_text(const struct plan *p, unsigned int i, char *buf, size_t size)
{
	const struct step *s = &p->steps[i];
	const struct region_plan *r = &p->regions[s->peer][s->region];

	snprintf(buf, size,
		 "%u: round %u, worker %u: %s %u.%u (%s, %s) +%#x %#x, n %u, arg %u%s",
		 i + 1, s->round, s->worker, op_names[s->op], s->peer,
		 s->region, pages_names[r->pages], t_kind_names[r->kind],
		 s->off, s->len, s->n, s->arg, s->xrc ? ", xrc" : "");
}

void plan_print(const struct plan *p, const char *prefix)
{
	char line[192];
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		if (p->off[i])
			continue;
		step_text(p, i, line, sizeof(line));
		printf("%s%s\n", prefix, line);
	}
}
