// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Which cases a group of the transfer matrix has
 *
 * Every size is placed before, across and after page, leaf (2 MiB) and child
 * (1 GiB) boundaries on either side; the sorts of pages, what is cold and how
 * the buffers are split come from a generator seeded by the group's number.
 */

#include "matrix.h"

static const uint32_t sizes[] = {
	1,    2,    3,	  7,	8,     63,    64,      511,
	4095, 4096, 4097, 8191, 65536, 65537, 1 << 20, (2 << 20) + 1,
	8 << 20,
};

/* Telling another process what to do costs more than most transfers. */
static unsigned int cases_of_size(const struct group *group, uint32_t len)
{
	unsigned int nr;

	if (len <= 4097)
		nr = 28;
	else if (len <= 65537)
		nr = 14;
	else if (len <= 1 << 20)
		nr = 4;
	else
		nr = 2;
	if (group->other_process && len <= 65537)
		nr /= 2;
	if (t_quick)
		return nr >= 4 ? nr / 4 : 1;
	return t_full ? 4 * nr : nr;
}

void plan_init(struct plan *plan, const struct group *group)
{
	memset(plan, 0, sizeof(*plan));
	plan->group = group;
	plan->rand.state = 0x5eed0000ULL + group->number;
}

/*
 * A place for len bytes in the window. The first fifteen of each size are
 * before, at, across and after each kind of boundary; the rest are anywhere.
 */
static uint32_t place(struct t_rand *rand, unsigned int index, uint32_t len,
		      uint32_t room)
{
	static const uint32_t boundaries[] = {
		WINDOW_HALF + 5 * T_PAGE, /* page */
		WINDOW_HALF - T_HUGE, /* leaf */
		WINDOW_HALF, /* child */
	};
	uint32_t limit = WINDOW_SIZE - 2 * T_PAGE - room;
	uint32_t boundary = boundaries[index % 3];
	int64_t start;

	switch (index / 3) {
	case 0:
		start = (int64_t)boundary - len / 2;
		break;
	case 1:
		start = boundary;
		break;
	case 2:
		start = (int64_t)boundary - len;
		break;
	case 3:
		start = (int64_t)boundary - 1;
		break;
	case 4:
		start = (int64_t)boundary - len + 1;
		break;
	default:
		start = T_PAGE + t_rand_below(rand, limit);
		break;
	}
	if (start < (int64_t)T_PAGE)
		start = T_PAGE + start % T_PAGE;
	if (start > limit)
		start = limit;
	return start;
}

/* Splits into pieces with gaps of up to two pages between them. */
static void split(struct t_rand *rand, struct span *span, uint32_t off,
		  uint32_t len, bool many)
{
	uint32_t left = len;
	uint32_t gap;
	unsigned int i;

	span->nr = 1;
	if (many && len >= MAX_PIECES)
		span->nr = 1 + t_rand_below(rand, MAX_PIECES);
	for (i = 0; i < span->nr; i++) {
		uint32_t most = left - (span->nr - 1 - i);
		uint32_t n = left;

		if (i + 1 < span->nr)
			n = 1 + t_rand_below(rand, most);
		span->piece[i].off = off;
		span->piece[i].len = n;
		left -= n;
		gap = t_rand_below(rand, 3) ? t_rand_below(rand, 100) :
					      t_rand_below(rand, 2 * T_PAGE);
		off += n + gap;
	}
}

static void make_span(struct plan *plan, struct span *span, enum t_kind kind,
		      unsigned int index, uint32_t len, bool many)
{
	/* Room for the gaps of split() and the slack of a receive */
	uint32_t room = len + MAX_PIECES * 2 * T_PAGE + RECV_SLACK;
	struct t_rand *rand = &plan->rand;

	memset(span, 0, sizeof(*span));
	span->pages = t_rand_below(rand, T_NR_PAGES);
	span->cold = kind != T_PINNED && t_rand_below(rand, 2);
	split(rand, span, place(rand, index, len, room), len, many);
}

bool plan_next(struct plan *plan, struct xfer *xfer)
{
	const struct group *group = plan->group;
	struct t_rand *rand = &plan->rand;
	bool read = group->opcode == IBV_WR_RDMA_READ;
	bool send = group->opcode == IBV_WR_SEND;
	unsigned int nr;
	uint32_t len;

	if (plan->size_index == T_ARRAY_SIZE(sizes))
		return false;
	len = sizes[plan->size_index];
	nr = cases_of_size(group, len);
	memset(xfer, 0, sizeof(*xfer));
	xfer->opcode = group->opcode;
	xfer->len = len;
	xfer->imm = t_rand(rand);
	xfer->seed = t_rand(rand);
	xfer->wr_id = t_rand(rand);
	if (send && t_rand_below(rand, 2))
		xfer->slack = 1 + t_rand_below(rand, RECV_SLACK);
	/* Indices that differ on the sides, and differ for every size */
	make_span(plan, &xfer->src, read ? group->remote : group->local,
		  (plan->case_index + plan->size_index) % nr, len, !read);
	make_span(plan, &xfer->dst, read ? group->local : group->remote,
		  (plan->case_index * 5 + group->number) % nr, len,
		  read || send);

	plan->total++;
	if (++plan->case_index == nr) {
		plan->case_index = 0;
		plan->size_index++;
	}
	return true;
}

static int describe_span(const struct span *span, const char *name, char *buf,
			 size_t size)
{
	unsigned int i;
	size_t len;

	len = snprintf(buf, size, " %s %s%s", name, t_pages_names[span->pages],
		       span->cold ? " cold" : "");
	for (i = 0; i < span->nr && len < size; i++)
		len += snprintf(buf + len, size - len, "%s1G%+lld:%u",
				i ? "," : " ",
				(long long)span->piece[i].off -
					(long long)WINDOW_HALF,
				span->piece[i].len);
	return len;
}

void xfer_describe(const struct xfer *xfer, char *buf, size_t size)
{
	size_t len;

	len = snprintf(buf, size, "%u bytes", xfer->len);
	if (len < size)
		len += describe_span(&xfer->src, "from", buf + len,
				     size - len);
	if (len < size)
		describe_span(&xfer->dst, "to", buf + len, size - len);
}
