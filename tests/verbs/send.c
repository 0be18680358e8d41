// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Posting: inline data, signaling, fences, chains, full queues, lengths */

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/t_uffd.h"
#include "common/t_duo.h"

#define LEN (16 * T_PAGE)

/* Inline data of every length; the buffer is overwritten after the post. */
static void inline_lengths(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_sge sge[2] = { { 0 } };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE,
		.sg_list = sge,
	};
	unsigned char *buf;
	struct t_duo d;
	uint32_t len;

	opt.inline_max = 64;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	T_ASSERT(d.a.opt.inline_max >= 64, "inline_max %u",
		 d.a.opt.inline_max);
	buf = malloc(d.a.opt.inline_max + 1);
	for (len = 0; len <= d.a.opt.inline_max; len++) {
		t_case("%u bytes", len);
		t_fill_background(d.bbuf, LEN);
		t_fill(buf, len, len);
		sge[0].addr = (uintptr_t)buf;
		sge[0].length = len / 3;
		sge[0].lkey = 0xdeadbeef;
		sge[1].addr = (uintptr_t)buf + len / 3;
		sge[1].length = len - len / 3;
		wr.num_sge = !len ? 0 : len > 3 ? 2 : 1;
		if (wr.num_sge == 1)
			sge[0].length = len;
		wr.wr_id = len;
		wr.wr.rdma.remote_addr = t_remote(&d, 1000 + len % 7);
		wr.wr.rdma.rkey = d.bmr->rkey;
		T_OK(t_try_post(&d.a, &wr));
		memset(buf, 0xff, len);
		t_want_wc(d.a.scq, len, IBV_WC_SUCCESS);
		t_want_data(d.bbuf + 1000 + len % 7, len, len);
		T_ASSERT(t_check_background(d.bbuf, 1000 + len % 7) < 0 &&
				 t_check_background(
					 d.bbuf + 1000 + len % 7 + len,
					 200) < 0,
			 "bytes around the target changed");
	}
	t_note("0 to %u bytes", d.a.opt.inline_max);
}

/* Many inline SENDs in the queue before any can go: each has its own copy. */
static void inline_reuse(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_sge sge = { 0 };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE,
		.sg_list = &sge,
		.num_sge = 1,
	};
	unsigned char buf[48];
	struct t_duo d;
	unsigned int i;

	opt.inline_max = sizeof(buf);
	t_duo_open(&d, LEN, T_PINNED, &opt);
	sge.addr = (uintptr_t)buf;
	sge.length = sizeof(buf);
	for (i = 0; i < 16; i++) {
		t_fill(buf, sizeof(buf), i);
		wr.wr_id = i;
		T_OK(t_try_post(&d.a, &wr));
	}
	memset(buf, 0, sizeof(buf));
	for (i = 0; i < 16; i++) {
		t_post_recv(&d.b, i, t_sge(d.bmr, d.bbuf + 64 * i, 64));
		t_want_wc(d.b.rcq, i, IBV_WC_SUCCESS);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		t_want_data(d.bbuf + 64 * i, sizeof(buf), i);
	}
}

static void inline_too_long(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_sge sge = { 0 };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED | IBV_SEND_INLINE,
		.sg_list = &sge,
		.num_sge = 1,
	};
	struct t_duo d;
	int ret;

	opt.inline_max = 32;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	sge = t_duo_sge(&d, 0, d.a.opt.inline_max + 1);
	wr.wr.rdma.remote_addr = t_remote(&d, 0);
	wr.wr.rdma.rkey = d.bmr->rkey;
	ret = t_try_post(&d.a, &wr);
	T_ASSERT(ret == EINVAL || ret == ENOMEM, "post: %s", t_errname(ret));
	t_want_none(d.a.scq);
	T_ASSERT(t_check_background(d.bbuf, LEN) < 0, "the target changed");
	t_duo_works(&d);
}

/* Unsignaled requests complete silently, however many rounds of the ring. */
static void unsignaled(void)
{
	struct t_duo d;
	struct ibv_sge sge;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.sg_list = &sge,
		.num_sge = 1,
	};
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	wr.wr.rdma.rkey = d.bmr->rkey;
	for (i = 0; i < 1000; i++) {
		t_case("request %u", i);
		sge = t_duo_sge(&d, i, 1);
		wr.wr_id = i;
		wr.wr.rdma.remote_addr = t_remote(&d, i);
		wr.send_flags = i % 8 == 7 ? IBV_SEND_SIGNALED : 0;
		T_OK(t_try_post(&d.a, &wr));
		if (i % 8 == 7)
			t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
	t_want_none(d.a.scq);
	t_want_data(d.bbuf, 1000, 1);
	/* But an error is always told */
	wr.wr.rdma.rkey ^= 0x100;
	wr.wr_id = 5000;
	wr.send_flags = 0;
	T_OK(t_try_post(&d.a, &wr));
	t_want_wc(d.a.scq, 5000, IBV_WC_REM_ACCESS_ERR);
}

static void sig_all(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE };
	struct t_duo d;
	unsigned int i;

	opt.sig_all = true;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	for (i = 0; i < 100; i++) {
		wr.wr_id = i;
		T_OK(t_try_post(&d.a, &wr));
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
}

/* A READ of the begin of b's buffer, a fenced SEND into what receive 3 has */
static void fenced(struct t_duo *d, struct ibv_sge read_sge,
		   struct ibv_sge send_sge)
{
	struct ibv_send_wr send = {
		.wr_id = 2,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED | IBV_SEND_FENCE,
		.sg_list = &send_sge,
		.num_sge = 1,
	};
	struct ibv_send_wr read = {
		.wr_id = 1,
		.next = &send,
		.opcode = IBV_WR_RDMA_READ,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &read_sge,
		.num_sge = 1,
	};

	read.wr.rdma.rkey = d->bmr->rkey;
	read.wr.rdma.remote_addr = t_remote(d, 0);
	T_OK(t_try_post(&d->a, &read));
	t_want_wc(d->a.scq, 1, IBV_WC_SUCCESS);
	t_want_wc(d->a.scq, 2, IBV_WC_SUCCESS);
	t_want_wc(d->b.rcq, 3, IBV_WC_SUCCESS);
}

/* What a fenced SEND carries is what the READ before it brought. */
static void fence(void)
{
	enum t_kind kind;
	struct t_duo d;
	unsigned int i;

	for (kind = T_PINNED; kind <= T_EXPLICIT; kind++) {
		memset(&d, 0, sizeof(d));
		t_open(&d.dev);
		if (!t_can_kind(&d.dev, kind))
			continue;
		t_duo_make(&d, LEN, kind, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
		for (i = 0; i < 50; i++) {
			t_case("%s, round %u", t_kind_names[kind], i);
			t_fill(d.bbuf, LEN / 4, i);
			if (kind != T_PINNED)
				madvise(d.abuf, LEN, MADV_DONTNEED);
			t_post_recv(&d.b, 3, t_sge(d.bmr, d.bbuf + LEN / 2,
						   LEN / 4));
			fenced(&d, t_duo_sge(&d, 0, LEN / 4),
			       t_duo_sge(&d, 0, LEN / 4));
			t_want_data(d.bbuf + LEN / 2, LEN / 4, i);
		}
	}
}

/*
 * The same with more than one answer has room for: the end of what the READ
 * brings is not there when all of it has been asked for.
 */
static void fence_long(void)
{
	const size_t len = 1 << 20;
	char *to = t_map(T_PAGE);
	struct ibv_mr *mr;
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, len, T_PINNED, NULL);
	mr = t_reg(d.dev.pd, to, T_PAGE, T_ACCESS_ALL);
	for (i = 0; i < 10; i++) {
		t_case("round %u", i);
		t_fill(d.bbuf + len - T_PAGE, T_PAGE, i);
		t_post_recv(&d.b, 3, t_sge(mr, to, T_PAGE));
		fenced(&d, t_duo_sge(&d, 0, len),
		       t_duo_sge(&d, len - T_PAGE, T_PAGE));
		t_want_data(to, T_PAGE, i);
	}
}

#define POSTERS 2

struct poster {
	struct t_duo *d;
	unsigned int id;
	unsigned int rounds;
	pthread_mutex_t *lock;
	unsigned int *done; /* of each; under lock */
};

/* True: it has come; completions of the other are noted on the way */
static bool poster_served(struct poster *p, unsigned int want)
{
	struct ibv_wc wc;
	bool served;

	pthread_mutex_lock(p->lock);
	while (ibv_poll_cq(p->d->a.scq, 1, &wc) > 0) {
		T_ASSERT(!wc.status, "'%s'", t_wc_name(wc.status));
		p->done[wc.wr_id]++;
	}
	served = p->done[p->id] >= want;
	pthread_mutex_unlock(p->lock);
	return served;
}

static void *poster_run(void *arg)
{
	struct poster *p = arg;
	unsigned int i;
	uint64_t end;

	for (i = 1; i <= p->rounds; i++) {
		t_post(&p->d->a, IBV_WR_RDMA_WRITE, p->id,
		       t_duo_sge(p->d, 0, 8), t_remote(p->d, 8 * p->id),
		       p->d->bmr->rkey);
		end = t_now_ns() + T_WAIT_MS * 1000000ULL;
		while (!poster_served(p, i))
			T_ASSERT(t_now_ns() < end, "request %u of %u is lost",
				 i, p->id);
	}
	return NULL;
}

/* Each of two waits for its own request: no doorbell is missed */
static void two_posters(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	unsigned int done[POSTERS] = { 0 };
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){
			.d = &d, .id = i, .rounds = t_quick ? 1000 : 10000,
			.lock = &lock, .done = done,
		};
		T_ASSERT(!pthread_create(&threads[i], NULL, poster_run,
					 &posters[i]), "thread");
	}
	for (i = 0; i < POSTERS; i++)
		T_ASSERT(!pthread_join(threads[i], NULL), "join");
}

/*
 * More than a doorbell does itself, so that a worker goes on, who needs no
 * bells; and one more about when it has found nothing left.
 */
static void while_busy(void)
{
	const unsigned int chain = 200;
	unsigned int rounds = t_quick ? 200 : 1000;
	struct t_qp_opt opt = T_QP_OPT;
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE };
	struct t_rand rand = { .state = 11 };
	volatile unsigned int spin;
	struct t_duo d;
	unsigned int i;

	opt.sq = 2 * chain;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	wr.wr.rdma.remote_addr = t_remote(&d, 0);
	wr.wr.rdma.rkey = d.bmr->rkey;
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		t_post_chain(&d.a, &wr, 0, chain);
		for (spin = t_rand_below(&rand, 40000); spin; spin--)
			;
		t_post(&d.a, IBV_WR_RDMA_WRITE, i, t_duo_sge(&d, 0, 8),
		       t_remote(&d, 0), d.bmr->rkey);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
}

/* A chain is posted up to the bad one, which is pointed at. */
static void chain(void)
{
	struct ibv_send_wr wr[4];
	struct ibv_send_wr *bad = NULL;
	struct ibv_sge sge;
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	sge = t_duo_sge(&d, 0, 8);
	for (i = 0; i < 4; i++) {
		memset(&wr[i], 0, sizeof(wr[i]));
		wr[i].wr_id = i;
		wr[i].next = i < 3 ? &wr[i + 1] : NULL;
		wr[i].opcode = IBV_WR_RDMA_WRITE;
		wr[i].send_flags = IBV_SEND_SIGNALED;
		wr[i].sg_list = &sge;
		wr[i].num_sge = 1;
		wr[i].wr.rdma.remote_addr = t_remote(&d, 8 * i);
		wr[i].wr.rdma.rkey = d.bmr->rkey;
	}
	wr[2].num_sge = 1000;
	T_ASSERT(ibv_post_send(d.a.qp, wr, &bad), "1000 SGEs were accepted");
	T_ASSERT(bad == &wr[2], "bad_wr is request %ld", (long)(bad - wr));
	t_want_wc(d.a.scq, 0, IBV_WC_SUCCESS);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_none(d.a.scq);
	wr[2].num_sge = 1;
	wr[2].opcode = 99;
	T_ERR(ibv_post_send(d.a.qp, &wr[2], &bad), EINVAL);
	T_ASSERT(bad == &wr[2], "bad_wr is request %ld", (long)(bad - wr));
	t_duo_works(&d);
}

/* The queue holds what was asked for, then says ENOMEM and loses nothing. */
static void full_sq(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_duo d;
	struct ibv_sge sge;
	struct ibv_send_wr *bad;
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
	};
	unsigned int posted;
	unsigned int i;
	int ret = 0;

	opt.sq = 20;
	opt.cqe = 4096;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	sge = t_duo_sge(&d, 0, 8);
	/* Nobody posts a receive: all of them stay */
	for (posted = 0; posted < 4096; posted++) {
		wr.wr_id = posted;
		bad = NULL;
		ret = ibv_post_send(d.a.qp, &wr, &bad);
		if (ret)
			break;
	}
	T_ASSERT(ret == ENOMEM, "post %u: %s", posted, t_errname(ret));
	T_ASSERT(bad == &wr, "bad_wr is not set");
	T_ASSERT(posted >= 20, "only %u requests fit", posted);
	for (i = 0; i < posted; i++) {
		t_post_recv(&d.b, i, t_sge(d.bmr, d.bbuf, 8));
		t_want_wc(d.b.rcq, i, IBV_WC_SUCCESS);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
	t_duo_works(&d);
	t_note("%u of 20 fit", posted);
}

static void full_rq(void)
{
	struct t_qp_opt opt = T_QP_OPT;
	struct t_duo d;
	struct ibv_recv_wr wr = { 0 };
	struct ibv_recv_wr *bad = NULL;
	unsigned int posted;
	int ret = 0;

	opt.rq = 20;
	opt.cqe = 4096;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	for (posted = 0; posted < 4096; posted++) {
		wr.wr_id = posted;
		ret = ibv_post_recv(d.b.qp, &wr, &bad);
		if (ret)
			break;
	}
	T_ASSERT(ret == ENOMEM, "post %u: %s", posted, t_errname(ret));
	T_ASSERT(bad == &wr, "bad_wr is not set");
	T_ASSERT(posted >= 20, "only %u receives fit", posted);
	t_post(&d.a, IBV_WR_SEND, 1, t_sge(NULL, NULL, 0), 0, 0);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_wc(d.b.rcq, 0, IBV_WC_SUCCESS);
	T_OK(ibv_post_recv(d.b.qp, &wr, &bad));
	T_ERR(ibv_post_recv(d.b.qp, &wr, &bad), ENOMEM);
}

/* Around a ring of four entries ten thousand times, in order. */
static void wrap(void)
{
	unsigned int rounds = t_quick ? 1000 : 10000;
	struct t_qp_opt opt = T_QP_OPT;
	unsigned int posted = 0;
	unsigned int done = 0;
	struct t_duo d;

	opt.sq = 4;
	t_duo_open(&d, LEN, T_PINNED, &opt);
	while (done < rounds) {
		while (posted < rounds && posted - done < 4) {
			t_post(&d.a, IBV_WR_RDMA_WRITE, posted,
			       t_duo_sge(&d, posted % LEN, 1),
			       t_remote(&d, posted % LEN), d.bmr->rkey);
			posted++;
		}
		t_want_wc(d.a.scq, done, IBV_WC_SUCCESS);
		done++;
	}
	t_want_data(d.bbuf, rounds, 1);
}

/* A message is at most 2^31 bytes long; sums that wrap are no way around. */
static void too_long(void)
{
	static const uint32_t lens[][4] = {
		{ 0x80000001u },
		{ 0xffffffffu },
		{ 0x40000000u, 0x40000001u },
		{ 0x40000000u, 0x40000000u, 0x40000000u, 0x40000004u },
	};
	size_t size = 16UL << 30;
	struct ibv_sge sge[4];
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = sge,
	};
	struct ibv_mr *mr;
	struct ibv_wc wc;
	struct t_duo d;
	char *sparse;
	size_t i;
	int ret;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_odp(&d.dev);
	sparse = t_map_aligned(size, T_PAGE);
	mr = t_reg(d.dev.pd, sparse, size,
		   T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	for (i = 0; i < T_ARRAY_SIZE(lens); i++) {
		t_case("lengths %zu", i);
		for (wr.num_sge = 0; wr.num_sge < 4 && lens[i][wr.num_sge];
		     wr.num_sge++)
			sge[wr.num_sge] = t_sge(mr, sparse,
						lens[i][wr.num_sge]);
		wr.wr.rdma.remote_addr = (uintptr_t)sparse;
		wr.wr.rdma.rkey = mr->rkey;
		ret = t_try_post(&d.a, &wr);
		if (ret) {
			T_ASSERT(ret == EINVAL, "post: %s", t_errname(ret));
			continue;
		}
		wc = t_poll(d.a.scq);
		T_ASSERT(wc.status == IBV_WC_LOC_LEN_ERR, "'%s'",
			 t_wc_name(wc.status));
		t_duo_renew(&d);
	}
}

static void immediate(void)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND_WITH_IMM,
		.send_flags = IBV_SEND_SIGNALED,
		.imm_data = htobe32(0x12345678),
	};
	struct ibv_wc wc;
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_post_recv(&d.b, 1, t_sge(d.bmr, d.bbuf, 8));
	T_OK(t_try_post(&d.a, &wr));
	wc = t_want_wc(d.a.scq, 0, IBV_WC_SUCCESS);
	T_ASSERT(wc.opcode == IBV_WC_SEND, "opcode %#x", wc.opcode);
	wc = t_want_wc(d.b.rcq, 1, IBV_WC_SUCCESS);
	T_ASSERT(wc.opcode == IBV_WC_RECV && wc.byte_len == 0 &&
			 (wc.wc_flags & IBV_WC_WITH_IMM) &&
			 wc.imm_data == htobe32(0x12345678),
		 "opcode %#x flags %#x imm %#x", wc.opcode, wc.wc_flags,
		 be32toh(wc.imm_data));
	T_ASSERT(wc.qp_num == d.b.qp->qp_num, "qp_num %#x", wc.qp_num);
}

#define LATE 8 /* the page that a SEND waits for in its middle */

/*
 * The receiver starts afresh in the middle of a SEND: what was placed before
 * is not in the receive that it takes then, which must not be said to be good.
 */
static void reset_midway(void)
{
	char *late, *src, *second;
	struct ibv_mr *smr, *mr;
	struct ibv_sge early;
	struct t_addr addr_a;
	struct ibv_wc wc;
	struct t_duo d;
	int fd;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	if (!t_can_kind(&d.dev, T_EXPLICIT))
		t_skip("no on-demand paging");
	src = t_map(LEN);
	late = src + LATE * T_PAGE;
	fd = t_uffd(late, T_PAGE);
	t_fill_data(src, late - src, 5, 0);
	t_fill_data(late + T_PAGE, LEN - (late - src) - T_PAGE, 5,
		    late - src + T_PAGE);
	smr = t_reg_kind(&d.dev, T_EXPLICIT, src, LEN, T_ACCESS_ALL);
	/* Else one fault would wait for all of it */
	early = t_sge(smr, src, late - src);
	T_OK(ibv_advise_mr(d.dev.pd, IBV_ADVISE_MR_ADVICE_PREFETCH,
			   IBV_ADVISE_MR_FLAG_FLUSH, &early, 1));
	second = t_map_lonely(LEN);
	t_fill_background(second, LEN);
	mr = t_reg(d.dev.pd, second, LEN, T_ACCESS_ALL);
	t_post_recv(&d.b, 1, t_sge(d.bmr, d.bbuf, LEN));
	t_post(&d.a, IBV_WR_SEND, 7, t_sge(smr, src, LEN), 0, 0);
	while (!(*(volatile char *)(d.bbuf + (LATE - 1) * T_PAGE) & 0x80))
		t_sleep_ms(1);
	addr_a = t_ep_addr(&d.a);
	t_ep_reset(&d.b);
	t_ep_connect(&d.b, &addr_a);
	t_post_recv(&d.b, 2, t_sge(mr, second, LEN));
	t_uffd_serve(fd, late);
	wc = t_poll(d.a.scq);
	t_note("'%s'", t_wc_name(wc.status));
	if (wc.status != IBV_WC_SUCCESS)
		return;
	t_want_wc(d.b.rcq, 2, IBV_WC_SUCCESS);
	t_want_data(second, LATE * T_PAGE, 5);
}

static const struct t_test tests[] = {
	{ "inline_lengths", inline_lengths },
	{ "inline_reuse", inline_reuse },
	{ "inline_too_long", inline_too_long },
	{ "unsignaled", unsignaled },
	{ "sig_all", sig_all },
	{ "fence", fence },
	{ "fence_long", fence_long },
	{ "two_posters", two_posters, 120 },
	{ "while_busy", while_busy, 120 },
	{ "chain", chain },
	{ "full_sq", full_sq },
	{ "full_rq", full_rq },
	{ "wrap", wrap },
	{ "too_long", too_long },
	{ "immediate", immediate },
	{ "reset_midway", reset_midway },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
