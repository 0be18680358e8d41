// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Memory of an end: buffers, what is in them, pages that come late */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wire.h"

#define ALIGN_DOWN(x, a) ((x) & ~((uint64_t)(a) - 1))
#define ALIGN_UP(x, a) ALIGN_DOWN((x) + (a) - 1, a)

void end_buf(struct w_end *end, const struct w_req *req, struct w_rep *rep)
{
	struct w_buf *buf = &end->buf[req->place.buf];
	unsigned int access = T_ACCESS_ALL;

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
	if (cold == W_GONE)
		ret = madvise(p, hi - lo, MADV_DONTNEED);
	else if (!(ret = mprotect(p, hi - lo, PROT_NONE)))
		ret = mprotect(p, hi - lo, PROT_READ | PROT_WRITE);
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

/* --- pages that come late --- */

struct delay {
	int fd;
	unsigned int ms;
	uint64_t seed;
	char *start;
	size_t len;
};

/* The first fault waits; then all pages come at once. */
static void *delay_run(void *arg)
{
	struct delay *d = arg;
	struct uffdio_copy copy = { 0 };
	struct uffd_msg msg;
	char *data;

	data = mmap(NULL, d->len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		t_fail("no memory for late pages");
	t_fill_data(data, d->len, d->seed, 0);
	if (read(d->fd, &msg, sizeof(msg)) != sizeof(msg))
		t_fail("userfaultfd: %s", t_errname(errno));
	t_sleep_ms(d->ms);
	copy.dst = (uintptr_t)d->start;
	copy.src = (uintptr_t)data;
	copy.len = d->len;
	if (ioctl(d->fd, UFFDIO_COPY, &copy))
		t_fail("UFFDIO_COPY: %s", t_errname(errno));
	munmap(data, d->len);
	return NULL;
}

/*
 * The pages of a place come when they are first touched and place->ms have
 * passed, with the data of place->seed in them.
 */
void end_delay(struct w_end *end, const struct w_req *req)
{
	const struct w_buf *buf = &end->buf[req->place.buf];
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { 0 };
	struct delay *d = calloc(1, sizeof(*d));
	pthread_t thread;

	T_ASSERT(d, "no memory");
	d->ms = req->ms;
	d->seed = req->place.seed;
	d->start = buf->base + req->place.off;
	d->len = req->place.len;
	d->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	T_ASSERT(d->fd >= 0, "userfaultfd: %s", t_errname(errno));
	T_ASSERT(!ioctl(d->fd, UFFDIO_API, &api), "UFFDIO_API: %s",
		 t_errname(errno));
	T_ASSERT(!madvise(d->start, d->len, MADV_DONTNEED), "madvise: %s",
		 t_errname(errno));
	reg.range.start = (uintptr_t)d->start;
	reg.range.len = d->len;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	T_ASSERT(!ioctl(d->fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s",
		 t_errname(errno));
	T_ASSERT(!pthread_create(&thread, NULL, delay_run, d), "no thread");
	pthread_detach(thread);
}
