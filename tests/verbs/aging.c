// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory is short, and what only the device uses is in use all the same: the
 * kernel takes what nobody has touched instead.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/t_owner.h"

#define SET_LEN (8UL << 20)
#define SET_PAGES (SET_LEN / T_PAGE)
/* Of what the process uses in the place of the cold set, some at a time */
#define STEPS 32U
#define STEP_LEN (SET_LEN / STEPS)
/* Steps of what it uses once, after that */
#define STREAM_STEPS 512U
#define STREAM_LEN (STREAM_STEPS * STEP_LEN)
/* What is there besides two sets: with less even what is used goes */
#define SLACK (4 * SET_LEN)
#define LRU_GEN "/sys/kernel/mm/lru_gen/enabled"

struct aging {
	struct t_duo d;
	char *hot; /* read by the device, all the time */
	char *cold; /* written once */
	char *more; /* what the process itself uses */
	char *stream; /* written once, piece by piece */
	struct ibv_mr *hot_mr;
	int pagemap;
};

static unsigned int swapped(const struct aging *a, const char *mem, size_t len)
{
	static uint64_t entry[STREAM_LEN / T_PAGE];
	size_t i, pages = len / T_PAGE;
	unsigned int nr = 0;

	T_ASSERT(pread(a->pagemap, entry, pages * sizeof(entry[0]),
		       (uintptr_t)mem / T_PAGE * sizeof(entry[0])) ==
			 (ssize_t)(pages * sizeof(entry[0])),
		 "pagemap: %s", t_errname(errno));
	for (i = 0; i < pages; i++)
		nr += entry[i] >> 62 & 1;
	return nr;
}

/* Zeros would be no page of their own, and more than that takes up swap */
static void fill(char *mem, size_t len)
{
	size_t at;

	for (at = 0; at < len; at += T_PAGE)
		*(size_t *)(mem + at) = at + 1;
}

static void use(const char *mem, size_t len)
{
	volatile size_t sum = 0;
	size_t at;

	for (at = 0; at < len; at += T_PAGE)
		sum += *(const size_t *)(mem + at);
}

static void read_hot(struct aging *a)
{
	size_t at;

	for (at = 0; at < SET_LEN; at += a->d.len) {
		t_post(&a->d.a, IBV_WR_RDMA_READ, at,
		       t_duo_sge(&a->d, 0, a->d.len), (uintptr_t)a->hot + at,
		       a->hot_mr->rkey);
		t_want_wc(a->d.a.scq, at, IBV_WC_SUCCESS);
		T_ASSERT(*(size_t *)a->d.abuf == at + 1, "other bytes at %zu",
			 at);
	}
}

static void aging_open(struct aging *a)
{
	char folder[T_CGROUP_PATH];

	a->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	T_ASSERT(a->pagemap >= 0, "pagemap: %s", t_errname(errno));
	t_swap_on(T_SWAP_SIZE);
	t_cgroup_enter(folder, "memory");
	t_duo_open(&a->d, 16 * T_PAGE, T_PINNED, NULL);
	t_need_odp(&a->d.dev);
	a->hot = t_map(SET_LEN);
	a->cold = t_map(SET_LEN);
	a->more = t_map(SET_LEN);
	a->stream = t_map(STREAM_LEN);
	/* Not one after the other, and so not older than one another */
	fill(a->hot, SET_LEN / 2);
	fill(a->cold, SET_LEN);
	fill(a->hot + SET_LEN / 2, SET_LEN / 2);
	fill(a->hot, SET_LEN);
	a->hot_mr = t_reg_kind(&a->d.dev, T_EXPLICIT, a->hot, SET_LEN,
			       T_ACCESS_ALL);
	read_hot(a);
	t_cgroup_set(folder, "memory.max",
		     t_cgroup_get(folder, "memory.current") + SLACK);
}

/* Pages that go come back when they are used: they are counted each time */
struct gone {
	unsigned int hot;
	unsigned int more;
	unsigned int cold;
	unsigned int stream;
};

static void step(struct aging *a, char *mem, size_t used, struct gone *gone)
{
	read_hot(a);
	gone->more += swapped(a, a->more, used);
	use(a->more, used);
	fill(mem, STEP_LEN);
	gone->hot += swapped(a, a->hot, SET_LEN);
}

/*
 * There is room for the device's set, that of the process, and more, but not
 * for the cold one as well. What the device uses may not fare worse than what
 * the process itself uses as often.
 */
static void two_sets(void)
{
	struct gone gone = {};
	struct aging a = {};
	unsigned int i;

	aging_open(&a);
	for (i = 0; i < STEPS; i++)
		step(&a, a.more + i * STEP_LEN, i * STEP_LEN, &gone);
	for (i = 0; i < STREAM_STEPS; i++)
		step(&a, a.stream + i * STEP_LEN, SET_LEN, &gone);
	gone.cold = swapped(&a, a.cold, SET_LEN);
	gone.stream = swapped(&a, a.stream, STREAM_LEN);
	t_swap_off();
	t_diag("gone: %u of the device's, %u of the process', %u cold, %u others",
	       gone.hot, gone.more, gone.cold, gone.stream);
	T_ASSERT(gone.cold >= SET_PAGES * 3 / 4,
		 "only %u of %lu cold pages went", gone.cold, SET_PAGES);
	T_ASSERT(gone.hot <= 2 * gone.more + SET_PAGES / 20,
		 "%u of the device's pages went, %u of the process'", gone.hot,
		 gone.more);
}

static void with_lru_gen(const char *on)
{
	char was[16];

	if (!t_read_file(LRU_GEN, was, sizeof(was)))
		t_skip("no LRU_GEN");
	T_OK(t_write_file(LRU_GEN, on));
	two_sets();
	T_OK(t_write_file(LRU_GEN, was));
}

static void lists(void)
{
	if (access(LRU_GEN, F_OK))
		two_sets();
	else
		with_lru_gen("n");
}

static void generations(void)
{
	with_lru_gen("y");
}

static const struct t_test tests[] = {
	{ "lists", lists, 120 },
	{ "generations", generations, 120 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
