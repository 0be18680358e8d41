// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What the tests of changing memory share */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "mmevents.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define SWAP_DEV "/dev/zram0"

void mm_open_at(struct mm_scene *s, void *addr, size_t len, bool implicit)
{
	struct t_duo *d = &s->d;

	memset(s, 0, sizeof(*s));
	s->implicit = implicit;
	t_open(&d->dev);
	t_need_odp(&d->dev);
	if (implicit)
		t_need_implicit(&d->dev);
	t_duo_make(d, len, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	d->bbuf = addr;
	d->bmr = t_reg_kind(&d->dev, implicit ? T_IMPLICIT : T_EXPLICIT, addr,
			    len, T_ACCESS_ALL);
}

/*
 * Far below everything else, where the kernel does not put new mappings: a
 * hole that a test makes in the region stays a hole.
 */
void mm_open(struct mm_scene *s, size_t len, enum t_pages pages, bool implicit)
{
	char *space = (char *)(16UL << 40);

	t_map_pages(space, len, pages);
	mm_open_at(s, space, len, implicit);
}

void (mm_write)(struct mm_scene *s, uint64_t seed)
{
	struct t_duo *d = &s->d;

	t_fill(d->abuf, d->len, seed);
	(t_post)(&d->a, IBV_WR_RDMA_WRITE, seed, t_duo_sge(d, 0, d->len),
		 t_remote(d, 0), d->bmr->rkey);
	(t_want_wc)(d->a.scq, seed, IBV_WC_SUCCESS);
}

void (mm_read)(struct mm_scene *s)
{
	struct t_duo *d = &s->d;

	t_fill_background(d->abuf, d->len);
	(t_post)(&d->a, IBV_WR_RDMA_READ, 1, t_duo_sge(d, 0, d->len),
		 t_remote(d, 0), d->bmr->rkey);
	(t_want_wc)(d->a.scq, 1, IBV_WC_SUCCESS);
}

void (mm_refused)(struct mm_scene *s, enum ibv_wr_opcode opcode, size_t off,
		  size_t len)
{
	struct t_duo *d = &s->d;

	(t_post)(&d->a, opcode, 1, t_duo_sge(d, 0, len), t_remote(d, off),
		 d->bmr->rkey);
	(t_want_wc)(d->a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	t_duo_renew(d);
}

void (mm_agree)(struct mm_scene *s, uint64_t seed)
{
	struct t_duo *d = &s->d;

	(mm_read)(s);
	T_ASSERT(!memcmp(d->abuf, d->bbuf, d->len),
		 "the device reads other bytes than the process");
	(mm_write)(s, seed);
	(t_want_data)(d->bbuf, d->len, seed);
	t_fill(d->bbuf, d->len, seed + 1);
	(mm_read)(s);
	(t_want_data)(d->abuf, d->len, seed + 1);
}

void mm_want_zero(struct mm_scene *s)
{
	mm_read(s);
	T_ASSERT(t_check_byte(s->d.abuf, s->d.len, 0) < 0,
		 "the device reads old bytes");
	T_ASSERT(t_check_byte(s->d.bbuf, s->d.len, 0) < 0,
		 "the process reads old bytes");
}

void mm_swap_on(void)
{
	char line[64];

	if (t_system("modprobe zram num_devices=2 2>/dev/null"))
		t_skip("no zram module for a swap device");
	mm_swap_off();
	if (t_write_file("/sys/block/zram0/disksize", "268435456"))
		t_skip("zram0 cannot be set up");
	if (t_system("mkswap " SWAP_DEV " >/dev/null 2>&1 && swapon " SWAP_DEV))
		t_skip("swapon fails");
	t_write_file("/sys/module/zswap/parameters/enabled", "N");
	T_ASSERT(t_read_file("/proc/swaps", line, sizeof(line)), "no swaps");
}

void mm_swap_off(void)
{
	t_system("swapoff " SWAP_DEV " 2>/dev/null");
	t_write_file("/sys/block/zram0/reset", "1");
}

size_t mm_resident(void *addr, size_t len)
{
	size_t pages = len / T_PAGE;
	unsigned char *vec = malloc(pages);
	size_t n = 0;
	size_t i;

	T_ASSERT(vec && !mincore(addr, len, vec), "mincore: %s",
		 t_errname(errno));
	for (i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

void mm_page_out(void *addr, size_t len)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		if (madvise(addr, len, MADV_PAGEOUT))
			t_skip("no MADV_PAGEOUT");
		if (mm_resident(addr, len) < len / T_PAGE / 4)
			return;
		t_sleep_ms(10);
	}
	t_skip("%zu of %zu pages stay in memory", mm_resident(addr, len),
	       len / T_PAGE);
}
