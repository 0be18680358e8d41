// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Pages that go bad: the kernel takes them out of use, which is simulated. The
 * requests that need one of them fail, and nothing else does. A page that is
 * suspected only is replaced by a good one, and nobody sees it.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mmevents.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define LEN (16 * T_PAGE)
#define BAD 5UL /* a page */
#define INJECT "/sys/kernel/debug/hwpoison/corrupt-pfn"

static volatile sig_atomic_t told;

static void on_sigbus(int sig)
{
	told++;
}

/* As a machine check would: the process is told at once */
static void poison_own(char *page)
{
	if (!madvise(page, T_PAGE, MADV_HWPOISON))
		return;
	if (errno == EINVAL || errno == EPERM)
		t_skip("no MADV_HWPOISON");
	t_fail("MADV_HWPOISON: %s", t_errname(errno));
}

static uint64_t frame(const char *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	T_ASSERT(pread(fd, &entry, sizeof(entry), (uintptr_t)page / T_PAGE *
		       sizeof(entry)) == sizeof(entry), "pagemap");
	close(fd);
	return entry;
}

/* As patrol scrubbing would: nobody has touched it */
static void poison_found(char *page)
{
	uint64_t entry = frame(page);
	char text[32];
	int ret;

	if (t_system("modprobe hwpoison_inject 2>/dev/null; test -e " INJECT
		     " || mount -t debugfs none /sys/kernel/debug"))
		t_skip("no hwpoison_inject");
	T_ASSERT(entry >> 63, "the page is not there");
	snprintf(text, sizeof(text), "%#llx",
		 (unsigned long long)entry & ((1ULL << 55) - 1));
	ret = t_write_file(INJECT, text);
	T_ASSERT(!ret, INJECT ": %s", t_errname(ret));
}

static void want_status(struct t_duo *d, enum ibv_wr_opcode opcode,
			struct ibv_sge sge, uint64_t to, uint32_t rkey,
			enum ibv_wc_status want)
{
	t_post(&d->a, opcode, 1, sge, to, rkey);
	t_want_wc(d->a.scq, 1, want);
	if (want != IBV_WC_SUCCESS)
		t_duo_renew(d);
}

/* What needs the page fails, whatever it is, and what does not goes on */
static void want_bad(struct mm_scene *s)
{
	struct t_duo *d = &s->d;
	struct ibv_mr *mr = t_reg_kind(&d->dev, T_EXPLICIT, d->bbuf, d->len,
				       T_ACCESS_ALL);
	unsigned int i;
	size_t at;

	for (i = 0; i < 3; i++) {
		for (at = 0; at < LEN; at += T_PAGE) {
			bool bad = at == BAD * T_PAGE;

			t_case("round %u, page %zu", i, at / T_PAGE);
			want_status(d, IBV_WR_RDMA_READ,
				    t_duo_sge(d, at, T_PAGE), t_remote(d, at),
				    d->bmr->rkey, bad ? IBV_WC_REM_OP_ERR :
							IBV_WC_SUCCESS);
			want_status(d, IBV_WR_RDMA_WRITE,
				    t_duo_sge(d, at, T_PAGE), t_remote(d, at),
				    d->bmr->rkey, bad ? IBV_WC_REM_OP_ERR :
							IBV_WC_SUCCESS);
			/* From there to somewhere else */
			want_status(d, IBV_WR_RDMA_WRITE,
				    t_sge(mr, d->bbuf + at, T_PAGE),
				    (uintptr_t)d->abuf + at, d->amr->rkey,
				    bad ? IBV_WC_LOC_PROT_ERR :
					  IBV_WC_SUCCESS);
		}
	}
	t_case("all of it");
	want_status(d, IBV_WR_RDMA_READ, t_duo_sge(d, 0, LEN), t_remote(d, 0),
		    d->bmr->rkey, IBV_WC_REM_OP_ERR);
	t_dereg(mr);
}

/* The page is replaced by the process, as programs do that survive it */
static void want_replaced(struct mm_scene *s)
{
	char *page = s->d.bbuf + BAD * T_PAGE;

	t_case("replaced");
	T_ASSERT(mmap(page, T_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page,
		 "mmap: %s", t_errname(errno));
	mm_agree(s, 50);
}

static void poisoned(enum t_pages pages, void (*poison)(char *page))
{
	struct mm_scene s;
	unsigned int implicit;

	signal(SIGBUS, on_sigbus);
	for (implicit = 0; implicit < 2; implicit++) {
		mm_open(&s, LEN, pages, implicit);
		/* Other bytes than the pages that it is copied from or to */
		mm_agree(&s, 3);
		poison(s.d.bbuf + BAD * T_PAGE);
		want_bad(&s);
		want_replaced(&s);
		t_dereg(s.d.bmr);
		t_unmap(s.d.bbuf, LEN);
	}
}

static void own(void)
{
	poisoned(T_SMALL, poison_own);
	/* 6.1 tells who asks for it only, or who touches the page */
	T_ASSERT(told == 2 || !told, "%d signals", (int)told);
}

static void own_shmem(void)
{
	poisoned(T_SHMEM, poison_own);
}

static void found(void)
{
	poisoned(T_SMALL, poison_found);
	T_ASSERT(!told, "a signal for a page that was not touched");
}

static void found_shmem(void)
{
	poisoned(T_SHMEM, poison_found);
}

/* Of a huge page that goes bad in one place the others stay */
static void found_thp(void)
{
	char *p = t_map_aligned(T_HUGE, T_HUGE);
	struct mm_scene s;

	signal(SIGBUS, on_sigbus);
	t_map_pages(p, T_HUGE, T_THP);
	p[0] = 1;
	mm_open_at(&s, p, LEN, false);
	mm_agree(&s, 3);
	poison_found(p + BAD * T_PAGE);
	want_bad(&s);
	want_replaced(&s);
}

/* --- replaced by the kernel --- */

static void offline(char *page)
{
	if (!madvise(page, T_PAGE, MADV_SOFT_OFFLINE))
		return;
	/* Somebody is looking at it */
	if (errno == EBUSY || errno == EAGAIN || errno == EIO)
		return;
	if (errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP)
		t_skip("no MADV_SOFT_OFFLINE");
	t_fail("MADV_SOFT_OFFLINE: %s", t_errname(errno));
}

static void soft(enum t_pages pages)
{
	unsigned int i, moved = 0, rounds = t_quick ? 2 : 5;
	struct mm_scene s;
	uint64_t before;
	size_t at;

	mm_open(&s, LEN, pages, false);
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		mm_write(&s, 10 * i + 1);
		for (at = 0; at < LEN; at += 3 * T_PAGE) {
			before = frame(s.d.bbuf + at);
			offline(s.d.bbuf + at);
			moved += frame(s.d.bbuf + at) != before;
		}
		mm_read(&s);
		t_want_data(s.d.abuf, LEN, 10 * i + 1);
		mm_agree(&s, 10 * i + 2);
	}
	T_ASSERT(moved >= rounds, "only %u pages were replaced", moved);
	t_note("%u pages were replaced", moved);
}

static void soft_small(void)
{
	soft(T_SMALL);
}

static void soft_shmem(void)
{
	soft(T_SHMEM);
}

struct offliner {
	char *mem;
	bool stop;
	unsigned int moved;
};

static void *offliner_run(void *arg)
{
	struct offliner *o = arg;
	unsigned int i = 0;
	uint64_t before;
	char *page;

	/* Each of them is lost to the machine */
	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED) &&
	       o->moved < 200) {
		page = o->mem + i++ * 5 % (LEN / T_PAGE) * T_PAGE;
		before = frame(page);
		offline(page);
		o->moved += frame(page) != before;
		t_sleep_ms(1);
	}
	return NULL;
}

/* Transfers go on meanwhile, and all bytes are right */
static void soft_busy(void)
{
	struct offliner o = {};
	pthread_t thread;
	struct mm_scene s;
	uint64_t end;
	unsigned int i;

	mm_open(&s, LEN, T_SMALL, true);
	mm_write(&s, 1);
	o.mem = s.d.bbuf;
	T_ASSERT(!pthread_create(&thread, NULL, offliner_run, &o), "thread");
	end = t_now_ns() + (t_quick ? 2 : 5) * 1000000000ULL;
	for (i = 1; t_now_ns() < end; i++) {
		t_case("transfer %u", i);
		mm_write(&s, i);
		mm_read(&s);
		t_want_data(s.d.abuf, LEN, i);
	}
	__atomic_store_n(&o.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	t_want_data(s.d.bbuf, LEN, i - 1);
	T_ASSERT(o.moved, "no page was replaced");
	t_note("%u transfers, %u pages replaced", 2 * i, o.moved);
}

static const struct t_test tests[] = {
	{ "own", own },
	{ "own_shmem", own_shmem },
	{ "found", found },
	{ "found_shmem", found_shmem },
	{ "found_thp", found_thp },
	{ "soft_small", soft_small },
	{ "soft_shmem", soft_shmem },
	{ "soft_busy", soft_busy },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
