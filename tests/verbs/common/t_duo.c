// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The usual scene: a device, two connected QPs, a buffer each */

#include <sys/mman.h>

#include "t_duo.h"

char *t_map_lonely(size_t len)
{
	size_t whole = (len + T_PAGE - 1) & ~(T_PAGE - 1);
	/* PROT_NONE: a hole would be filled by the next mapping */
	char *p = t_map_aligned(whole + 2 * T_PAGE, T_PAGE);

	t_map_pages(p + T_PAGE, whole, T_SMALL);
	return p + T_PAGE;
}

void t_duo_make(struct t_duo *d, size_t len, enum t_kind kind,
		unsigned int a_access, unsigned int b_access,
		const struct t_qp_opt *opt)
{
	if (!t_can_kind(&d->dev, kind))
		t_skip("%s has no %s regions", d->dev.name,
		       t_kind_names[kind]);
	d->len = len;
	d->abuf = t_map_lonely(len);
	d->bbuf = t_map_lonely(len);
	t_fill(d->abuf, len, 1);
	t_fill_background(d->bbuf, len);
	d->amr = t_reg_kind(&d->dev, kind, d->abuf, len, a_access);
	d->bmr = t_reg_kind(&d->dev, kind, d->bbuf, len, b_access);
	t_pair(&d->dev, &d->a, &d->b, opt);
}

void t_duo_open(struct t_duo *d, size_t len, enum t_kind kind,
		const struct t_qp_opt *opt)
{
	memset(d, 0, sizeof(*d));
	t_open(&d->dev);
	t_duo_make(d, len, kind, T_ACCESS_ALL, T_ACCESS_ALL, opt);
}

void t_duo_renew(struct t_duo *d)
{
	struct t_qp_opt opt = d->a.opt;

	t_ep_close(&d->a);
	t_ep_close(&d->b);
	t_pair(&d->dev, &d->a, &d->b, &opt);
}

void (t_duo_works)(struct t_duo *d)
{
	static uint64_t seed = 1000;

	t_fill(d->abuf, d->len, ++seed);
	(t_post)(&d->a, IBV_WR_RDMA_WRITE, seed, t_duo_sge(d, 0, d->len),
		 t_remote(d, 0), d->bmr->rkey);
	(t_want_wc)(d->a.scq, seed, IBV_WC_SUCCESS);
	(t_want_data)(d->bbuf, d->len, seed);
}
