// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What the tests of changing memory share */

#include <unistd.h>

#include "mmevents.h"

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

uint64_t mm_counter(const struct t_dev *dev, const char *name)
{
	usleep(20000);
	return t_counter(dev, name);
}
