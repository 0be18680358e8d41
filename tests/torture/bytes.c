// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Which bytes there may be. What one worker did is ordered, what two did in
 * the same round is not. So a byte may be what any record wrote, unless the
 * same worker surely wrote it again later; and it may be what it was before
 * the round, unless somebody surely wrote it.
 *
 * A READ sees what its own worker did before, and of the others anything.
 */

#include <stdlib.h>

#include "model.h"

#define MAX_EFFECTS 512
#define CHUNK T_PAGE

struct span {
	const struct rec *rec;
	bool definite;
};

struct scene {
	struct span spans[MAX_EFFECTS];
	unsigned int nr;
	uint32_t cuts[2 * MAX_EFFECTS + 2];
	unsigned int nr_cuts;
	const struct rec *viewer;
};

/* Did `first` surely happen before `then`, of the same worker? */
static bool before(const struct rec *first, const struct rec *then)
{
	if (first->worker != then->worker)
		return false;
	if (first->end <= then->begin)
		return true;
	/* A queue pair carries its requests out in their order */
	return first->qp && first->qp == then->qp && first < then &&
	       !(first->flags & REC_UNRELIABLE);
}

static bool covers(const struct rec *rec, uint32_t off)
{
	return rec->off <= off && off - rec->off < rec->len;
}

static void add_cut(struct scene *s, uint32_t cut, uint32_t from, uint32_t to)
{
	if (cut > from && cut < to)
		s->cuts[s->nr_cuts++] = cut;
}

static int compare_cuts(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void collect(struct model *m, struct scene *s, unsigned int owner,
		    unsigned int region, uint32_t from, uint32_t to)
{
	const struct side *side;
	const struct rec *rec;
	unsigned int w;
	unsigned int i;

	for (w = 0; w < WORKERS; w++) {
		side = &m->b->side[w];
		for (i = 0; i < side->nr_recs; i++) {
			rec = &side->recs[i];
			if (rec->owner != owner || rec->region != region ||
			    (rec->kind != REC_DATA && rec->kind != REC_ZERO) ||
			    m->effect[w][i] == EFFECT_NONE ||
			    rec->off >= to || rec->off + rec->len <= from)
				continue;
			if (s->viewer && before(s->viewer, rec) &&
			    s->viewer->end <= rec->begin)
				continue;
			T_ASSERT(s->nr < MAX_EFFECTS, "too many effects");
			s->spans[s->nr].rec = rec;
			s->spans[s->nr].definite =
				m->effect[w][i] == EFFECT_DEFINITE;
			s->nr++;
			add_cut(s, rec->off, from, to);
			add_cut(s, rec->off + rec->len, from, to);
		}
	}
	s->cuts[s->nr_cuts++] = from;
	s->cuts[s->nr_cuts++] = to;
	qsort(s->cuts, s->nr_cuts, sizeof(s->cuts[0]), compare_cuts);
}

/* Is the span surely there, for the viewer or, without one, in the end? */
static bool settled(const struct scene *s, const struct span *span)
{
	return span->definite &&
	       (!s->viewer || before(span->rec, s->viewer));
}

/* The spans that may show at an offset; whether what was before may too */
static unsigned int visible(const struct scene *s, uint32_t off,
			    const struct rec *found[], bool *base)
{
	unsigned int nr = 0;
	unsigned int i;
	unsigned int k;

	*base = true;
	for (i = 0; i < s->nr; i++) {
		if (!covers(s->spans[i].rec, off))
			continue;
		if (settled(s, &s->spans[i]))
			*base = false;
		for (k = 0; k < s->nr; k++)
			if (k != i && covers(s->spans[k].rec, off) &&
			    settled(s, &s->spans[k]) &&
			    before(s->spans[i].rec, s->spans[k].rec))
				break;
		if (k == s->nr)
			found[nr++] = s->spans[i].rec;
	}
	return nr;
}

static void bytes_of(const struct rec *rec, unsigned char *buf, uint32_t off,
		     uint32_t len)
{
	if (rec->kind == REC_ZERO)
		memset(buf, 0, len);
	else
		t_fill_data(buf, len, rec->tag, off - rec->off + rec->compare);
}

struct place {
	unsigned int owner;
	unsigned int region;
	const struct rec *viewer;
};

static void wrong(struct model *m, const struct place *place, uint32_t off,
		  unsigned char byte, const struct rec *found[],
		  unsigned int nr, bool base)
{
	unsigned char was = m->shadow[place->owner][place->region][off];
	char text[400] = "";
	unsigned char may;
	size_t len = 0;
	unsigned int i;

	if (base)
		len = snprintf(text, sizeof(text), " %#x (as before)", was);
	for (i = 0; i < nr && len + 40 < sizeof(text); i++) {
		bytes_of(found[i], &may, off, 1);
		len += snprintf(text + len, sizeof(text) - len,
				" %#x (step %u)", may, found[i]->step + 1);
	}
	if (place->viewer)
		t_fail("step %u read byte %#x of region %u.%u as %#x; it may be:%s",
		       place->viewer->step + 1, off, place->owner,
		       place->region, byte, text);
	t_fail("after round %u byte %#x of region %u.%u is %#x; it may be:%s%s",
	       m->b->round, off, place->owner, place->region, byte, text,
	       byte == was && !base ? " (and was that before)" : "");
}

/* All bytes of a part that the same records cover */
static void check_part(struct model *m, const struct scene *s,
		       const struct place *place, const unsigned char *bytes,
		       uint32_t off, uint32_t len)
{
	static unsigned char may[MAX_EFFECTS + 1][CHUNK];
	const struct rec *found[MAX_EFFECTS];
	unsigned int nr, i, k;
	bool base;
	uint32_t n;

	const unsigned char *was;

	nr = visible(s, off, found, &base);
	for (; len; off += n, bytes += n, len -= n) {
		n = len < CHUNK ? len : CHUNK;
		was = m->shadow[place->owner][place->region] + off;
		if (base && !memcmp(bytes, was, n))
			continue;
		for (i = 0; i < nr; i++) {
			bytes_of(found[i], may[i], off, n);
			if (!memcmp(bytes, may[i], n))
				break;
		}
		if (i < nr)
			continue;
		if (base)
			memcpy(may[i++], was, n);
		for (k = 0; k < n; k++) {
			unsigned int c;

			for (c = 0; c < i && may[c][k] != bytes[k]; c++)
				;
			if (c == i)
				wrong(m, place, off + k, bytes[k], found, nr,
				      base);
		}
	}
}

void bytes_check(struct model *m, const unsigned char *bytes,
		 unsigned int owner, unsigned int region, uint32_t off,
		 uint32_t len, const struct rec *viewer)
{
	struct place place = { owner, region, viewer };
	static struct scene s;
	unsigned int i;

	s.nr = 0;
	s.nr_cuts = 0;
	s.viewer = viewer;
	collect(m, &s, owner, region, off, off + len);
	for (i = 0; i + 1 < s.nr_cuts; i++)
		check_part(m, &s, &place, bytes + (s.cuts[i] - off),
			   s.cuts[i], s.cuts[i + 1] - s.cuts[i]);
}
