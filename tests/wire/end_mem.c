// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Memory of an end: buffers and what is in them */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "wire.h"

#define ALIGN_DOWN(x, a) ((x) & ~((uint64_t)(a) - 1))
#define ALIGN_UP(x, a) ALIGN_DOWN((x) + (a) - 1, a)

void end_buf(struct w_end *end, const struct w_req *req, struct w_rep *rep)
{
	struct w_buf *buf = &end->buf[req->place.buf];
	unsigned int access = end_access(end);

	if (!t_can_kind(&end->dev, req->kind)) {
		rep->skip = true;
		snprintf(rep->text, sizeof(rep->text), "%s has no %s regions",
			 end->dev.name, t_kind_names[req->kind]);
		return;
	}
	buf->size = req->place.len;
	buf->kind = req->kind;
	buf->pages = req->pages;
	buf->base = t_map_aligned(buf->size, T_HUGE);
	t_map_pages(buf->base, buf->size, buf->pages);
	if (buf->kind == T_EXPLICIT && req->value) {
		/* An iova that is not the address */
		buf->delta = req->value;
		access |= IBV_ACCESS_ON_DEMAND;
		buf->mr = ibv_reg_mr_iova(end->dev.pd, buf->base, buf->size,
					  (uintptr_t)buf->base + buf->delta,
					  access);
		T_ASSERT(buf->mr, "ibv_reg_mr_iova: %s", t_errname(errno));
	} else {
		buf->mr = t_reg_kind(&end->dev, buf->kind, buf->base,
				     buf->size, access);
	}
	rep->iova = (uintptr_t)buf->base + buf->delta;
	rep->rkey = buf->mr->rkey;
}

/* Whole pages around a place */
static void hull(const struct w_buf *buf, const struct w_place *place,
		 uint64_t *lo, uint64_t *hi)
{
	*lo = place->off < W_MARGIN ? 0 : place->off - W_MARGIN;
	*lo = ALIGN_DOWN(*lo, T_PAGE);
	*hi = ALIGN_UP(place->off + place->len + W_MARGIN, T_PAGE);
	if (*hi > buf->size)
		*hi = buf->size;
}

static void chill(const struct w_buf *buf, uint64_t lo, uint64_t hi,
		  enum w_cold cold)
{
	char *p = buf->base + lo;
	int ret = 0;

	if (cold == W_WARM || buf->kind == T_PINNED)
		return;
	if (cold == W_SWAPPED) {
		t_page_out(p, hi - lo);
	} else if (cold == W_GONE) {
		ret = madvise(p, hi - lo, MADV_DONTNEED);
	} else {
		ret = mprotect(p, hi - lo, PROT_NONE);
		if (!ret)
			ret = mprotect(p, hi - lo, PROT_READ | PROT_WRITE);
	}
	T_ASSERT(!ret, "cannot chill: %s", t_errname(errno));
}

void end_source(struct w_end *end, const struct w_place *place)
{
	const struct w_buf *buf = &end->buf[place->buf];
	uint64_t lo, hi;

	t_fill_data(buf->base + place->off, place->len, place->seed, 0);
	hull(buf, place, &lo, &hi);
	/* What is here must stay */
	chill(buf, lo, hi, place->cold == W_GONE ? W_COLD : place->cold);
}

void end_target(struct w_end *end, unsigned int qp,
		const struct w_place *place)
{
	const struct w_buf *buf = &end->buf[place->buf];
	struct ibv_recv_wr wr = { .wr_id = place->seed };
	struct ibv_recv_wr *bad;
	struct ibv_sge sge;
	uint64_t lo, hi;

	hull(buf, place, &lo, &hi);
	t_fill_background(buf->base + lo, hi - lo);
	chill(buf, lo, hi, place->cold);
	if (place->recv == W_NO_RECV)
		return;
	if (place->recv != W_RECV_IMM) {
		sge = end_sge(end, place->buf, place->off, place->len);
		wr.sg_list = &sge;
		wr.num_sge = 1;
	}
	T_OK(ibv_post_recv(end->qp[qp].qp, &wr, &bad));
}

void end_check(struct w_end *end, unsigned int qp, const struct w_place *place,
	       struct w_rep *rep)
{
	const struct w_buf *buf = &end->buf[place->buf];
	bool ud = end->qp[qp].opt.type == IBV_QPT_UD;
	uint32_t grh = ud ? W_GRH : 0;
	bool zero = place->cold == W_GONE && buf->kind != T_PINNED &&
		    buf->pages != T_SHMEM;
	uint64_t lo, hi, bad;
	unsigned char *got;

	if (place->recv != W_NO_RECV)
		end_want_recv(end, qp, place, rep);
	hull(buf, place, &lo, &hi);
	end->expect = realloc(end->expect, hi - lo);
	T_ASSERT(end->expect, "no memory");
	if (zero)
		memset(end->expect, 0, hi - lo);
	else
		t_copy_background(end->expect, buf->base + lo, hi - lo);
	got = (unsigned char *)buf->base + lo;
	/* The GRH is looked at by end_want_recv() */
	memcpy(end->expect + place->off - lo, got + place->off - lo, grh);
	t_fill_data(end->expect + place->off + grh - lo, place->len - grh,
		    place->seed, 0);
	if (rep->bad || !memcmp(end->expect, got, hi - lo))
		return;
	for (bad = 0; end->expect[bad] == got[bad]; bad++)
		;
	rep->bad = true;
	snprintf(rep->text, sizeof(rep->text),
		 "byte %lld of %llu at %#llx is %#x, must be %#x",
		 (long long)(lo + bad - place->off - grh),
		 (unsigned long long)place->len - grh,
		 (unsigned long long)place->off, got[bad], end->expect[bad]);
}

void end_word_set(struct w_end *end, const struct w_req *req)
{
	const struct w_buf *buf = &end->buf[req->place.buf];
	uint64_t lo = ALIGN_DOWN(req->place.off, T_PAGE);

	t_fill_background(buf->base + lo, T_PAGE);
	memcpy(buf->base + req->place.off, &req->value, 8);
	chill(buf, lo, lo + T_PAGE, req->place.cold);
}

void end_word_check(struct w_end *end, const struct w_req *req,
		    struct w_rep *rep)
{
	const struct w_buf *buf = &end->buf[req->place.buf];
	char *word = buf->base + req->place.off;
	char *page = buf->base + ALIGN_DOWN(req->place.off, T_PAGE);
	uint64_t value;

	memcpy(&value, word, 8);
	rep->value = value;
	t_fill_background(word, 8);
	if (value != req->value)
		snprintf(rep->text, sizeof(rep->text),
			 "word is %#llx, must be %#llx",
			 (unsigned long long)value,
			 (unsigned long long)req->value);
	else if (t_check_background(page, T_PAGE) >= 0)
		snprintf(rep->text, sizeof(rep->text), "stray byte at %lld",
			 (long long)t_check_background(page, T_PAGE));
	rep->bad = rep->text[0];
}
