// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory that a device reads and writes by DMA, on demand
 *
 * Here nothing else goes on while it does: what is between one DMA and the next
 * is that the memory is unmapped, moved, and so on. That an IOMMU found nothing
 * to complain about is seen by the lab, in the kernel's log.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edu_scene.h"
#include "edu_tests.h"

static enum edu_kind this_kind(void)
{
	return *(const enum edu_kind *)t_this->arg;
}

/* Offsets, lengths, pages; and nothing beside it */
static void test_copy(void)
{
	static const struct {
		size_t to, from, len;
	} at[] = {
		{ 0, 0, 64 },
		{ 5, 4093, 9 },
		{ 4090, 1, 4100 },
		{ 8191, 4096, 1 },
	};
	struct edu_scene s;
	size_t i;

	edu_scene_open(&s, 4 * T_PAGE, T_SMALL, this_kind());
	for (i = 0; i < T_ARRAY_SIZE(at); i++) {
		t_case("%zu bytes from %zu to %zu", at[i].len, at[i].from,
		       at[i].to);
		t_fill(s.src, s.len, i + 1);
		t_fill_background(s.dst, s.len);
		edu_copy(&s, s.dst + at[i].to, s.src + at[i].from, at[i].len);
		T_ASSERT(!memcmp(s.dst + at[i].to, s.src + at[i].from,
				 at[i].len), "wrong bytes");
		t_want_data(s.src, s.len, i + 1);
		T_ASSERT(t_check_background(s.dst, at[i].to) < 0, "before");
		T_ASSERT(t_check_background(s.dst + at[i].to + at[i].len,
					    s.len - at[i].to - at[i].len) < 0,
			 "after");
	}
}

/* Written by the process, read by the device, and the other way */
static void agree(const struct edu_scene *s, uint64_t seed)
{
	t_fill(s->src, EDU_PIECE, seed);
	edu_copy(s, s->dst, s->src, EDU_PIECE);
	t_want_data(s->dst, EDU_PIECE, seed);
}

/* Other pages at the same place, of every kind */
static void test_unmap(void)
{
	struct edu_scene s;
	size_t i;

	edu_scene_open(&s, T_PAGE, T_SMALL, this_kind());
	agree(&s, 1);
	for (i = 0; i < T_NR_PAGES; i++) {
		t_case("%s", t_pages_names[i]);
		t_unmap(s.src, s.len);
		T_ERR(edu_try_copy(&s, s.dst, s.src, 8), EFAULT);
		t_map_pages(s.src, s.len, i);
		agree(&s, 2 * i + 2);
		t_unmap(s.dst, s.len);
		T_ERR(edu_try_copy(&s, s.dst, s.src, 8), EFAULT);
		t_map_pages(s.dst, s.len, i);
		agree(&s, 2 * i + 3);
	}
	T_ASSERT(!madvise(s.src, s.len, MADV_REMOVE), "MADV_REMOVE");
	edu_copy(&s, s.dst, s.src, EDU_PIECE);
	T_ASSERT(t_check_byte(s.dst, EDU_PIECE, 0) < 0, "old bytes");
}

static void test_refused(void)
{
	struct edu_scene s;
	struct edu_scene other;
	uint32_t id;

	edu_scene_open(&s, 2 * T_PAGE, T_SMALL, EDU_EXPLICIT);
	agree(&s, 1);
	other = s;
	other.dst_id = s.src_id;
	T_ERR(edu_try_copy(&other, s.src, s.src, 8), EACCES);
	T_ERR(edu_try_copy(&s, s.dst + s.len - 4, s.src, 8), EFAULT);
	T_ASSERT(!mprotect(s.dst, T_PAGE, PROT_READ), "mprotect");
	T_ERR(edu_try_copy(&s, s.dst, s.src, 8), EFAULT);
	t_want_data(s.dst, EDU_PIECE, 1);
	T_ASSERT(!mprotect(s.dst, T_PAGE, PROT_READ | PROT_WRITE), "mprotect");
	agree(&s, 2);
	T_ASSERT(!mprotect(s.src, T_PAGE, PROT_NONE), "mprotect");
	T_ERR(edu_try_copy(&s, s.dst, s.src, 8), EFAULT);
	T_OK(edu_try_destroy(s.fd, s.dst_id));
	T_ERR(edu_try_copy(&s, s.dst, s.src, 8), ENOENT);
	T_ERR(edu_try_region(s.fd, s.src, 0, 0, &id), EINVAL);
}

static void test_move(void)
{
	struct edu_scene s;
	uint64_t before[2];
	unsigned int i;

	edu_scene_open(&s, T_PAGE, T_SMALL, this_kind());
	agree(&s, 1);
	for (i = 0; i < 3; i++) {
		before[0] = edu_pagemap(s.src);
		before[1] = edu_pagemap(s.dst);
		edu_move(s.src, s.len);
		edu_move(s.dst, s.len);
		T_ASSERT(edu_pagemap(s.src) != before[0] &&
			 edu_pagemap(s.dst) != before[1], "it did not move");
		t_want_data(s.dst, EDU_PIECE, i + 1);
		agree(&s, i + 2);
	}
}

/* What the device writes is the parent's alone, and the child has its own */
static void test_fork(void)
{
	struct edu_scene s;
	int *step = t_shared(sizeof(*step));
	pid_t pid;

	edu_scene_open(&s, T_PAGE, T_SMALL, this_kind());
	agree(&s, 1);
	pid = t_fork();
	if (!pid) {
		while (!__atomic_load_n(step, __ATOMIC_ACQUIRE))
			t_sleep_ms(5);
		t_want_data(s.dst, EDU_PIECE, 1);
		t_want_data(s.src, EDU_PIECE, 1);
		/* Not its memory that the file's regions are of */
		T_ERR(edu_try_copy(&s, s.dst, s.src, 8), EPERM);
		edu_scene_open(&s, T_PAGE, T_SMALL, this_kind());
		agree(&s, 3);
		_exit(0);
	}
	t_fill(s.src, EDU_PIECE, 2);
	edu_copy(&s, s.dst, s.src, EDU_PIECE);
	t_want_data(s.dst, EDU_PIECE, 2);
	__atomic_store_n(step, 1, __ATOMIC_RELEASE);
	t_reap(pid);
	agree(&s, 4);
}

static void test_swap(void)
{
	struct edu_scene s;
	unsigned int i;

	edu_swap_on();
	edu_scene_open(&s, 4 * T_PAGE, T_SMALL, this_kind());
	for (i = 1; i < 4; i++) {
		agree(&s, i);
		t_page_out(s.dst, s.len);
		t_page_out(s.src, s.len);
		/* What the device has written was written out */
		t_want_data(s.dst, EDU_PIECE, i);
		t_page_out(s.dst, s.len);
		edu_copy(&s, s.dst + EDU_PIECE, s.src, EDU_PIECE);
		t_want_data(s.dst + EDU_PIECE, EDU_PIECE, i);
		t_want_data(s.dst, EDU_PIECE, i);
	}
	t_swap_off();
}

#define PAGEMAP_SOFT_DIRTY (1ULL << 55)

/* The right to write was taken from the device too, or this were not seen */
static void test_protect(void)
{
	struct edu_scene s;

	edu_scene_open(&s, T_PAGE, T_SMALL, this_kind());
	agree(&s, 1);
	if (!(edu_pagemap(s.dst) & PAGEMAP_SOFT_DIRTY))
		t_skip("no soft-dirty bits");
	T_ASSERT(!t_write_file("/proc/self/clear_refs", "4"), "clear_refs");
	T_ASSERT(!(edu_pagemap(s.dst) & PAGEMAP_SOFT_DIRTY), "still dirty");
	edu_copy(&s, s.dst + EDU_PIECE, s.src, EDU_PIECE);
	T_ASSERT(edu_pagemap(s.dst) & PAGEMAP_SOFT_DIRTY, "not seen");
	t_want_data(s.dst + EDU_PIECE, EDU_PIECE, 1);
}

static void test_huge(void)
{
	struct edu_scene s;
	size_t far = T_HUGE - EDU_PIECE;

	edu_scene_open(&s, T_HUGE, T_THP, this_kind());
	t_fill(s.src, s.len, 1);
	t_fill_background(s.dst, s.len);
	edu_copy(&s, s.dst, s.src, EDU_PIECE);
	if (edu_stats(s.fd, s.dst_id).huge != 2)
		t_skip("no huge pages");
	edu_copy(&s, s.dst + far, s.src + far, EDU_PIECE);
	T_ASSERT(!memcmp(s.dst + far, s.src + far, EDU_PIECE), "wrong bytes");
	/* Part of it goes */
	t_unmap(s.dst + T_PAGE, T_PAGE);
	T_ASSERT(edu_stats(s.fd, s.dst_id).huge == 1, "it stayed");
	edu_copy(&s, s.dst + far, s.src, EDU_PIECE);
	T_ASSERT(!memcmp(s.dst + far, s.src, EDU_PIECE), "wrong bytes");
	T_ASSERT(!memcmp(s.dst, s.src, EDU_PIECE), "wrong bytes");
	T_ERR(edu_try_copy(&s, s.dst + T_PAGE, s.src, 8), EFAULT);
}

/* A page of two processes, mapped for the device in two tables */
static void test_shared(void)
{
	struct edu_scene s;
	pid_t pid;

	edu_scene_open(&s, T_PAGE, T_SHMEM, EDU_EXPLICIT);
	agree(&s, 1);
	pid = t_fork();
	if (!pid) {
		s.fd = edu_open();
		s.dst_id = edu_region(s.fd, s.dst, s.len, ODP_EDU_WRITABLE);
		s.src_id = edu_region(s.fd, s.src, s.len, 0);
		agree(&s, 2);
		_exit(0);
	}
	t_reap(pid);
	t_want_data(s.dst, EDU_PIECE, 2);
	edu_copy(&s, s.dst + EDU_PIECE, s.src, EDU_PIECE);
	t_want_data(s.dst + EDU_PIECE, EDU_PIECE, 2);
}

/* Mapped ahead: no fault when it is used */
static void test_ahead(void)
{
	struct edu_scene s;
	uint64_t faults;

	edu_scene_open(&s, 64 * T_PAGE, T_SHMEM, EDU_EXPLICIT);
	t_fill(s.src, s.len, 1);
	t_fill_background(s.dst, s.len);
	T_OK(edu_try_map(s.fd, s.dst_id, s.dst, s.len, true));
	T_OK(edu_try_map(s.fd, s.src_id, s.src, s.len, false));
	T_ERR(edu_try_map(s.fd, s.src_id, s.src, s.len, true), EACCES);
	T_ASSERT(edu_stats(s.fd, s.dst_id).mapped_pages == 64, "%llu mapped",
		 (unsigned long long)edu_stats(s.fd, s.dst_id).mapped_pages);
	faults = edu_stats(s.fd, s.dst_id).faults;
	edu_copy(&s, s.dst + 33 * T_PAGE, s.src + 7 * T_PAGE, EDU_PIECE);
	T_ASSERT(!memcmp(s.dst + 33 * T_PAGE, s.src + 7 * T_PAGE, EDU_PIECE),
		 "wrong bytes");
	T_ASSERT(edu_stats(s.fd, s.dst_id).faults == faults, "it faulted");
}

static const enum edu_kind explicit = EDU_EXPLICIT, implicit = EDU_IMPLICIT;

#define BOTH(name, fn)						\
	{ name, fn, 120, &explicit },				\
	{ name "_implicit", fn, 120, &implicit }

static const struct t_test tests[] = {
	BOTH("copy", test_copy),
	BOTH("unmap", test_unmap),
	{ "refused", test_refused },
	BOTH("move", test_move),
	BOTH("fork", test_fork),
	BOTH("swap", test_swap),
	BOTH("protect", test_protect),
	BOTH("huge", test_huge),
	{ "shared", test_shared },
	{ "ahead", test_ahead },
	{ "peer", test_peer },
	{ "ranges", test_ranges },
	{ "ranges_run_out", test_ranges_run_out, 120 },
	{ "inflight_unmap", test_inflight_unmap, 120 },
	{ "inflight_move", test_inflight_move, 120 },
	{ "inflight_swap", test_inflight_swap, 120 },
	{ "inflight_fork", test_inflight_fork, 120 },
	{ "inflight_protect", test_inflight_protect, 120 },
	{ "inflight_destroy", test_inflight_destroy, 120 },
	{ "inflight_exit", test_inflight_exit, 120 },
	{ "inflight_all", test_inflight_all, 240 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
