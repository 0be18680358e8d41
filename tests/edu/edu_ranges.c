// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Where a page is for the device
 *
 * Behind an IOMMU, on kernels that can, 2 MiB of memory have 2 MiB of addresses,
 * and each page has its place there, as long as there are such ranges.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "edu_scene.h"
#include "edu_tests.h"

#define PAGES 64

static bool kernel_has_ranges(void)
{
	char *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *file = fopen("/proc/kallsyms", "r");

	T_ASSERT(file, "/proc/kallsyms: %s", t_errname(errno));
	while (!found && getline(&line, &size, file) > 0)
		found = strstr(line, " dma_iova_link\n");
	free(line);
	fclose(file);
	return found;
}

static bool has_ranges(const struct edu_scene *s)
{
	return edu_stats(s->fd, s->dst_id).iommu && kernel_has_ranges();
}

/* Page by page, so that each is looked for where it is now */
static void want_agree(const struct edu_scene *s, uint64_t seed)
{
	static const size_t at[] = { 0, 5, 7, 40, PAGES - 1 };
	size_t i;

	t_fill(s->src, s->len, seed);
	for (i = 0; i < T_ARRAY_SIZE(at); i++) {
		size_t from = at[i] * T_PAGE;

		edu_copy(s, s->dst + from, s->src + from, 64);
		T_ASSERT(!memcmp(s->dst + from, s->src + from, 64),
			 "page %zu: wrong bytes", at[i]);
	}
}

/* New pages and new rights, at the place that there is */
void test_ranges(void)
{
	struct odp_edu_stats before, after;
	struct edu_scene s;

	edu_scene_open(&s, PAGES * T_PAGE, T_SHMEM, EDU_EXPLICIT);
	if (!has_ranges(&s))
		t_skip("no ranges of DMA addresses");
	t_fill(s.dst, s.len, 1);
	before = edu_stats(s.fd, s.dst_id);
	T_OK(edu_try_map(s.fd, s.src_id, s.src, s.len, false));
	T_OK(edu_try_map(s.fd, s.dst_id, s.dst, s.len, false));
	/* One to write amid those to read, then others around it */
	T_OK(edu_try_map(s.fd, s.dst_id, s.dst + 5 * T_PAGE, 8, true));
	want_agree(&s, 2);
	T_OK(edu_try_map(s.fd, s.dst_id, s.dst, s.len, true));
	want_agree(&s, 3);
	t_unmap(s.dst + 7 * T_PAGE, T_PAGE);
	T_ERR(edu_try_copy(&s, s.dst + 7 * T_PAGE, s.src, 8), EFAULT);
	t_map_pages(s.dst + 7 * T_PAGE, T_PAGE, T_SMALL);
	want_agree(&s, 4);
	t_unmap(s.dst, s.len);
	t_map_pages(s.dst, s.len, T_SHMEM);
	want_agree(&s, 5);
	after = edu_stats(s.fd, s.dst_id);
	T_ASSERT(after.elsewhere == before.elsewhere, "%llu elsewhere",
		 (unsigned long long)(after.elsewhere - before.elsewhere));
	T_ASSERT(after.placed >= before.placed + 2 * PAGES, "%llu placed",
		 (unsigned long long)(after.placed - before.placed));
}

/* 64 MiB: addresses for 31 leaves, and some of less */
#define REACH_BITS 26
#define LEAVES 40UL
#define PLACED 20U
#define ROUNDS 4
#define PATIENCE_NS 20000000000ULL

/* A page in each leaf, at none of the places that it might have by chance */
static char *page_of(const struct edu_scene *s, size_t leaf)
{
	return s->src + leaf * T_HUGE + (3 * leaf + 5) * T_PAGE;
}

/* Return how many are at their place in a range; @alone gets one that is not */
static unsigned int map_all(const struct edu_scene *s, uint64_t round,
			    size_t *alone)
{
	uint64_t first = edu_stats(s->fd, s->src_id).placed, placed = first;
	char *far = page_of(s, LEAVES - 1);
	size_t i;

	for (i = 0; i < LEAVES; i++) {
		t_fill(page_of(s, i), 64, round + i);
		T_OK(edu_try_map(s->fd, s->src_id, page_of(s, i), 8, true));
		if (edu_stats(s->fd, s->src_id).placed == placed)
			*alone = i;
		placed = edu_stats(s->fd, s->src_id).placed;
	}
	edu_copy(s, far, page_of(s, 0), 64);
	t_want_data(far, 64, round);
	edu_copy(s, page_of(s, 1), page_of(s, 2), 64);
	t_want_data(page_of(s, 1), 64, round + 2);
	return placed - first;
}

/* Leaves go some time after their last page */
static unsigned int map_until_placed(const struct edu_scene *s, uint64_t round,
				     size_t *alone)
{
	uint64_t end = t_now_ns() + PATIENCE_NS;
	unsigned int placed;

	do {
		t_unmap(s->src, s->len);
		t_map_pages(s->src, s->len, T_SMALL);
		t_sleep_ms(500);
		placed = map_all(s, round, alone);
	} while (placed < PLACED && t_now_ns() < end);
	return placed;
}

/* A leaf without a range stays so while it has pages, also if one is to be had */
static void want_no_change(const struct edu_scene *s, size_t leaf)
{
	char *there = page_of(s, leaf), *more = there + T_PAGE;
	struct odp_edu_stats before, after;

	t_unmap(s->src, LEAVES / 2 * T_HUGE);
	t_sleep_ms(1000);
	before = edu_stats(s->fd, s->src_id);
	T_OK(edu_try_map(s->fd, s->src_id, more, 8, true));
	after = edu_stats(s->fd, s->src_id);
	T_ASSERT(before.mapped_pages == LEAVES / 2, "%llu mapped",
		 (unsigned long long)before.mapped_pages);
	T_ASSERT(after.placed == before.placed, "placed after all");
	edu_copy(s, more, there, 64);
	T_ASSERT(!memcmp(more, there, 64), "wrong bytes");
}

static void want_some_placed(unsigned int placed)
{
	T_ASSERT(placed >= PLACED && placed < LEAVES, "%u of %lu placed",
		 placed, LEAVES);
}

/* More leaves than ranges: all are served, and a range is there for the next */
void test_ranges_run_out(void)
{
	struct edu_scene s;
	size_t alone = 0;
	bool ranges;
	int i;

	edu_scene_open(&s, LEAVES * T_HUGE, T_SMALL, EDU_EXPLICIT);
	t_unmap(s.dst, s.len);
	T_OK(edu_try_destroy(s.fd, s.src_id));
	s.src_id = edu_region(s.fd, s.src, s.len, ODP_EDU_WRITABLE);
	s.dst_id = s.src_id;
	if (!edu_stats(s.fd, s.src_id).iommu)
		t_skip("no IOMMU, no addresses to run out of");
	ranges = has_ranges(&s);
	/* It takes pages away to see whether they are used */
	t_write_file("/proc/sys/kernel/numa_balancing", "0");
	T_OK(edu_try_reach(s.fd, REACH_BITS));
	for (i = 1; i <= ROUNDS && ranges; i++) {
		t_case("round %d", i);
		want_some_placed(map_until_placed(&s, i, &alone));
		if (i == 1)
			want_no_change(&s, alone);
	}
	if (!ranges)
		map_all(&s, 1, &alone);
}
