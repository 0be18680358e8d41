// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* A long WRITE that loses its target on the way */

#include "t_fence.h"

#define BEGUN (4UL << 20)

static void *post_write(void *arg)
{
	struct t_fence *f = arg;

	t_post(&f->d->a, IBV_WR_RDMA_WRITE, 60, t_duo_sge(f->d, 0, T_FENCE_LEN),
	       t_remote(f->d, 0), f->rkey);
	return NULL;
}

/* Data has the top bit set, background has not */
void t_fence_begin(struct t_fence *f, struct t_duo *d, uint32_t rkey)
{
	volatile char *begun = d->bbuf + BEGUN;

	f->d = d;
	f->rkey = rkey;
	t_fill_background(d->bbuf, T_FENCE_LEN);
	T_ASSERT(!pthread_create(&f->thread, NULL, post_write, f), "thread");
	while (!(*begun & 0x80))
		;
}

bool t_fence_quiet(struct t_fence *f, unsigned int round)
{
	const char *buf = f->d->bbuf;
	size_t off = 0;

	while (off < T_FENCE_LEN && (buf[off] & 0x80))
		off += T_PAGE;
	t_sleep_ms(20);
	t_case("round %u, %zu bytes written", round, off);
	T_ASSERT(t_check_background(buf + off, T_FENCE_LEN - off) < 0,
		 "more was written later");
	return off < T_FENCE_LEN;
}

void t_fence_end(struct t_fence *f)
{
	T_ASSERT(!pthread_join(f->thread, NULL), "join");
	t_poll(f->d->a.scq);
}
