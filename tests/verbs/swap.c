// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An on-demand set of four times the memory, most of it swapped out at any
 * time, under random WRITEs, READs, copies and accesses of the program
 *
 * Every page is full of one word, which says which of the writes to which
 * page it is: zram keeps such a page without memory of its own.
 */

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "common/t_mem.h"
#include "common/t_rdma.h"
#include "common/t_tool.h"

#define SIDES 4 /* processes, with a part of the set each */
#define TIMES 4 /* the memory */
#define DEPTH 8 /* requests at a time */
#define RUN 16 /* pages of a request, at most */
#define SECONDS (t_full ? 600 : t_quick ? 20 : 60)
/* What a set of that size takes to be written once, on a slow machine */
#define FILL_SECONDS 1200

enum op { WRITE, READ, COPY, LOAD, STORE, NR_OPS };

struct request {
	enum op op;
	size_t page; /* that is written, or read */
	size_t from; /* COPY: that is read */
	size_t nr;
	size_t skip; /* READ: bytes left out at the begin */
};

struct side {
	struct t_dev dev;
	struct t_ep a;
	struct t_ep b;
	struct ibv_mr *set_mr;
	struct ibv_mr *near_mr;
	char *set;
	char *near; /* pinned, RUN pages for each request in flight */
	size_t pages;
	uint64_t *word; /* of each page */
	uint64_t last; /* word given away */
	struct request request[DEPTH];
	struct t_rand rand;
	uint64_t done[NR_OPS];
};

static char *near_of(struct side *s, unsigned int slot)
{
	return s->near + slot * RUN * T_PAGE;
}

static void fill_page(void *page, uint64_t word)
{
	uint64_t *at = page;
	unsigned int i;

	for (i = 0; i < T_PAGE / sizeof(word); i++)
		at[i] = word;
}

/* Where two bytes differ that are not alike */
static size_t differ(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] == b[i])
		i++;
	return i;
}

/* All but the first bytes of a run of pages */
static void want_words(struct side *s, const struct request *r,
		       const char *data, size_t skip)
{
	char want[T_PAGE];
	size_t i, wrong;

	for (i = 0; i < r->nr; i++, skip = 0) {
		fill_page(want, s->word[r->page + i]);
		if (memcmp(data, want + skip, T_PAGE - skip)) {
			wrong = differ(data, want + skip);
			t_fail("op %u: page %zu byte %zu: 0x%02x, want 0x%02x",
			       r->op, r->page + i, skip + wrong,
			       (unsigned char)data[wrong],
			       (unsigned char)want[skip + wrong]);
		}
		data += T_PAGE - skip;
	}
}

static bool overlap(size_t a, size_t b, size_t nr)
{
	return a < b + nr && b < a + nr;
}

/* Requests that run at the same time touch no page twice */
static bool apart(const struct side *s, const struct request *r,
		  unsigned int others)
{
	const struct request *o;
	unsigned int i;

	if (r->op == COPY && overlap(r->page, r->from, RUN))
		return false;
	for (i = 0; i < others; i++) {
		o = &s->request[i];
		if (overlap(r->page, o->page, RUN) ||
		    (r->op == COPY && overlap(r->from, o->page, RUN)) ||
		    (o->op == COPY && overlap(r->page, o->from, RUN)))
			return false;
	}
	return true;
}

static void choose(struct side *s, unsigned int slot)
{
	struct request *r = &s->request[slot];

	do {
		r->op = t_rand_below(&s->rand, NR_OPS);
		r->nr = 1 + t_rand_below(&s->rand, RUN);
		r->page = t_rand_below(&s->rand, s->pages - RUN);
		r->from = t_rand_below(&s->rand, s->pages - RUN);
		r->skip = t_rand_below(&s->rand, T_PAGE);
	} while (!apart(s, r, slot));
}

static void new_words(struct side *s, const struct request *r)
{
	size_t i;

	for (i = 0; i < r->nr; i++)
		s->word[r->page + i] = ++s->last;
}

static void begin_write(struct side *s, const struct request *r,
			unsigned int slot)
{
	char *near = near_of(s, slot);
	size_t i;

	new_words(s, r);
	for (i = 0; i < r->nr; i++)
		fill_page(near + i * T_PAGE, s->word[r->page + i]);
	t_post(&s->a, IBV_WR_RDMA_WRITE, slot,
	       t_sge(s->near_mr, near, r->nr * T_PAGE),
	       (uintptr_t)s->set + r->page * T_PAGE, s->set_mr->rkey);
}

static void begin(struct side *s, unsigned int slot)
{
	const struct request *r = &s->request[slot];
	char *page = s->set + r->page * T_PAGE;
	size_t i;

	switch (r->op) {
	case WRITE:
		begin_write(s, r, slot);
		break;
	case READ:
		t_post(&s->a, IBV_WR_RDMA_READ, slot,
		       t_sge(s->near_mr, near_of(s, slot),
			     r->nr * T_PAGE - r->skip),
		       (uintptr_t)page + r->skip, s->set_mr->rkey);
		break;
	case COPY:
		memcpy(&s->word[r->page], &s->word[r->from],
		       r->nr * sizeof(s->word[0]));
		t_post(&s->a, IBV_WR_RDMA_WRITE, slot,
		       t_sge(s->set_mr, s->set + r->from * T_PAGE,
			     r->nr * T_PAGE),
		       (uintptr_t)page, s->set_mr->rkey);
		break;
	case LOAD:
		want_words(s, r, page, 0);
		break;
	case STORE:
		new_words(s, r);
		for (i = 0; i < r->nr; i++)
			fill_page(page + i * T_PAGE, s->word[r->page + i]);
		break;
	default:
		break;
	}
}

/* Some requests at a time; those of the CPU are done when they have begun */
static void turn(struct side *s)
{
	unsigned int i, posted = 0;
	struct request *r;
	struct ibv_wc wc;

	for (i = 0; i < DEPTH; i++) {
		choose(s, i);
		begin(s, i);
		posted += s->request[i].op <= COPY;
		s->done[s->request[i].op]++;
	}
	while (posted--) {
		wc = t_poll(s->a.scq);
		T_ASSERT(wc.status == IBV_WC_SUCCESS, "%s",
			 t_wc_name(wc.status));
		r = &s->request[wc.wr_id];
		if (r->op == READ)
			want_words(s, r, near_of(s, wc.wr_id), r->skip);
	}
}

static void side_open(struct side *s, unsigned int number, size_t bytes)
{
	memset(s, 0, sizeof(*s));
	s->rand.state = number + 1;
	s->pages = bytes / T_PAGE;
	s->last = (uint64_t)(number + 1) << 48;
	s->word = calloc(s->pages, sizeof(s->word[0]));
	T_ASSERT(s->word, "no memory for the model");
	s->set = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	T_ASSERT(s->set != MAP_FAILED, "mmap: %s", t_errname(errno));
	s->near = t_map(DEPTH * RUN * T_PAGE);
	t_open(&s->dev);
	t_need_odp(&s->dev);
	s->set_mr = t_reg_kind(&s->dev, T_EXPLICIT, s->set, bytes,
			       T_ACCESS_ALL);
	s->near_mr = t_reg_kind(&s->dev, T_PINNED, s->near,
				DEPTH * RUN * T_PAGE, T_ACCESS_ALL);
	t_pair(&s->dev, &s->a, &s->b, NULL);
}

/* Every page is written once, so that all of the set is somewhere */
static void fill(struct side *s)
{
	struct request *r = &s->request[0];

	t_case("filling");
	r->op = WRITE;
	for (r->page = 0; r->page < s->pages; r->page += r->nr) {
		r->nr = s->pages - r->page < RUN ? s->pages - r->page : RUN;
		begin_write(s, r, 0);
		t_want_wc(s->a.scq, 0, IBV_WC_SUCCESS);
	}
}

static void side_run(unsigned int number, size_t bytes, unsigned int *filled)
{
	struct side s;
	uint64_t end;

	side_open(&s, number, bytes);
	fill(&s);
	__atomic_add_fetch(filled, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(filled, __ATOMIC_SEQ_CST) < SIDES)
		t_sleep_ms(100);
	t_case("at random");
	end = t_now_ns() + SECONDS * 1000000000ULL;
	while (t_now_ns() < end)
		turn(&s);
	T_ASSERT(t_ep_state(&s.a) == IBV_QPS_RTS &&
			 t_ep_state(&s.b) == IBV_QPS_RTS,
		 "a queue pair is lost");
	t_diag("%u: %llu WRITEs, %llu READs, %llu copies, %llu loads, %llu stores",
	       number, (unsigned long long)s.done[WRITE],
	       (unsigned long long)s.done[READ],
	       (unsigned long long)s.done[COPY],
	       (unsigned long long)s.done[LOAD],
	       (unsigned long long)s.done[STORE]);
}

static uint64_t swapped(const char *what)
{
	char text[65536];
	FILE *file = fopen("/proc/vmstat", "r");
	size_t size;

	T_ASSERT(file, "no vmstat");
	size = fread(text, 1, sizeof(text) - 1, file);
	text[size] = 0;
	fclose(file);
	return t_number(text, what);
}

static void random_set(void)
{
	unsigned int *filled = t_shared(sizeof(*filled));
	uint64_t in = swapped("pswpin"), out = swapped("pswpout");
	pid_t pids[SIDES];
	struct sysinfo info;
	size_t bytes;
	unsigned int i;

	T_ASSERT(!sysinfo(&info), "sysinfo: %s", t_errname(errno));
	bytes = info.totalram * info.mem_unit / SIDES * TIMES;
	bytes &= ~(T_PAGE - 1);
	t_swap_on(SIDES * bytes / 4 * 5);
	for (i = 0; i < SIDES; i++) {
		pids[i] = t_fork();
		if (!pids[i]) {
			side_run(i, bytes, filled);
			exit(0);
		}
	}
	for (i = 0; i < SIDES; i++)
		t_reap(pids[i]);
	in = swapped("pswpin") - in;
	out = swapped("pswpout") - out;
	t_note("%zu MiB, %llu pages in, %llu out", SIDES * bytes >> 20,
	       (unsigned long long)in, (unsigned long long)out);
	T_ASSERT(out * T_PAGE >= SIDES * bytes / 2 && in,
		 "%llu pages in, %llu out", (unsigned long long)in,
		 (unsigned long long)out);
	t_swap_off();
}

static const struct t_test tests[] = {
	{ "random_set", random_set, 600 + FILL_SECONDS },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
