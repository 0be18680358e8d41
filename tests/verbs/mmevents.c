// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One mm event at a time, on quiet memory: after it the device must see what
 * the process sees, and write what the process will see.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mmevents.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define LEN (2 * T_HUGE)

static const char *const mode_names[] = { "explicit", "implicit" };

typedef void (*scene_fn)(struct mm_scene *s);

/* Every sort of pages, with either kind of key */
static void everywhere(scene_fn fn)
{
	struct mm_scene s;
	enum t_pages pages;
	unsigned int mode;

	for (pages = 0; pages < T_NR_PAGES; pages++) {
		for (mode = 0; mode < 2; mode++) {
			t_case("%s, %s", t_pages_names[pages],
			       mode_names[mode]);
			mm_open(&s, LEN, pages, mode);
			mm_write(&s, 1);
			fn(&s);
			t_dereg(s.d.bmr);
			t_unmap(s.d.bbuf, LEN);
			t_ep_close(&s.d.a);
			t_ep_close(&s.d.b);
		}
	}
}

/* Only where the process's own pages are discarded does it read zeros. */
static bool is_shared(const struct mm_scene *s)
{
	char *p = s->d.bbuf;
	char old = *p;
	bool same;

	*p = old ^ 1;
	madvise(p, T_PAGE, MADV_DONTNEED);
	same = *p == (old ^ 1);
	*p = old;
	return same;
}

static void do_dontneed(struct mm_scene *s)
{
	bool shared = is_shared(s);

	mm_write(s, 2);
	T_ASSERT(!madvise(s->d.bbuf, LEN, MADV_DONTNEED), "madvise");
	if (!shared)
		mm_want_zero(s);
	mm_agree(s, 3);
	/* One page in the middle of a huge one, or of a leaf */
	mm_write(s, 5);
	T_ASSERT(!madvise(s->d.bbuf + 7 * T_PAGE, T_PAGE, MADV_DONTNEED),
		 "madvise");
	t_want_data(s->d.bbuf, 7 * T_PAGE, 5);
	if (!shared)
		T_ASSERT(t_check_byte(s->d.bbuf + 7 * T_PAGE, T_PAGE, 0) < 0,
			 "not discarded");
	mm_agree(s, 6);
}

static void dontneed(void)
{
	everywhere(do_dontneed);
}

static void do_remap(struct mm_scene *s)
{
	T_ASSERT(!munmap(s->d.bbuf, LEN), "munmap");
	mm_refused(s, IBV_WR_RDMA_WRITE, 0, LEN);
	mm_refused(s, IBV_WR_RDMA_READ, 4000, 1000);
	t_map_pages(s->d.bbuf, LEN, T_SMALL);
	mm_want_zero(s);
	mm_agree(s, 3);
	/* Mapped over, without a hole in time */
	t_map_pages(s->d.bbuf, LEN, T_SHMEM);
	mm_want_zero(s);
	mm_agree(s, 5);
	/* A hole: what crosses it fails, what does not, does not */
	T_ASSERT(!munmap(s->d.bbuf + 10 * T_PAGE, T_PAGE), "munmap");
	mm_refused(s, IBV_WR_RDMA_READ, 9 * T_PAGE, 2 * T_PAGE);
	mm_refused(s, IBV_WR_RDMA_WRITE, 11 * T_PAGE - 1, 2);
	t_post(&s->d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&s->d, 0, 10 * T_PAGE),
	       t_remote(&s->d, 0), s->d.bmr->rkey);
	t_want_wc(s->d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(s->d.abuf, 10 * T_PAGE, 6);
}

static void remap(void)
{
	everywhere(do_remap);
}

static void do_protect(struct mm_scene *s)
{
	char *p = s->d.bbuf;

	T_ASSERT(!mprotect(p, LEN, PROT_READ), "mprotect");
	mm_read(s);
	t_want_data(s->d.abuf, LEN, 1);
	mm_refused(s, IBV_WR_RDMA_WRITE, 0, LEN);
	mm_refused(s, IBV_WR_RDMA_WRITE, LEN - 1, 1);
	t_want_data(p, LEN, 1);
	T_ASSERT(!mprotect(p, LEN, PROT_NONE), "mprotect");
	mm_refused(s, IBV_WR_RDMA_READ, 100, 1);
	mm_refused(s, IBV_WR_RDMA_WRITE, 100, 1);
	T_ASSERT(!mprotect(p, LEN, PROT_READ | PROT_WRITE), "mprotect");
	t_want_data(p, LEN, 1);
	mm_agree(s, 3);
	/* One page that may only be read */
	T_ASSERT(!mprotect(p + 5 * T_PAGE, T_PAGE, PROT_READ), "mprotect");
	mm_refused(s, IBV_WR_RDMA_WRITE, 5 * T_PAGE, 8);
	mm_refused(s, IBV_WR_ATOMIC_FETCH_AND_ADD, 5 * T_PAGE, 8);
	t_want_data(p, LEN, 4);
	T_ASSERT(!mprotect(p, LEN, PROT_READ | PROT_WRITE), "mprotect");
	mm_agree(s, 7);
}

static void protect(void)
{
	everywhere(do_protect);
}

/* The pages move; the old place is gone, the new one is another place. */
static void do_move(struct mm_scene *s)
{
	char *old = s->d.bbuf;
	char *to = t_map_aligned(LEN, T_HUGE);
	void *got;

	got = mremap(old, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	T_ASSERT(got == to, "mremap: %s", t_errname(errno));
	mm_refused(s, IBV_WR_RDMA_WRITE, 0, LEN);
	t_want_data(to, LEN, 1);
	if (s->implicit) {
		s->d.bbuf = to;
		mm_agree(s, 3);
		s->d.bbuf = old;
	}
	t_fill(to, LEN, 9);
	got = mremap(to, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, old);
	T_ASSERT(got == old, "mremap back: %s", t_errname(errno));
	mm_read(s);
	t_want_data(s->d.abuf, LEN, 9);
	mm_agree(s, 3);
}

static void move(void)
{
	everywhere(do_move);
}

/* After fork the child's copy is its own, the region stays the parent's. */
static void do_fork(struct mm_scene *s)
{
	bool shared = is_shared(s);
	int fds[2];
	char go = 1;
	pid_t pid;

	mm_write(s, 1);
	t_msg_pair(fds);
	pid = t_fork();
	if (!pid) {
		t_want_data(s->d.bbuf, LEN, 1);
		t_fill(s->d.bbuf, LEN / 2, 20);
		t_msg_send(fds[1], &go, 1);
		t_msg_recv(fds[1], &go, 1);
		if (!shared) {
			t_want_data(s->d.bbuf, LEN / 2, 20);
			T_ASSERT(t_check_data(s->d.bbuf + LEN / 2, LEN / 2, 1,
					      LEN / 2) < 0,
				 "the child sees the parent's transfer");
		}
		_exit(0);
	}
	t_msg_recv(fds[0], &go, 1);
	if (!shared) {
		mm_read(s);
		t_want_data(s->d.abuf, LEN, 1);
	}
	mm_agree(s, 3);
	mm_write(s, 8);
	t_msg_send(fds[0], &go, 1);
	t_reap(pid);
	t_want_data(s->d.bbuf, LEN, 8);
	mm_agree(s, 10);
	close(fds[0]);
	close(fds[1]);
}

static void fork_child(void)
{
	everywhere(do_fork);
}

static void do_free(struct mm_scene *s)
{
	if (madvise(s->d.bbuf, LEN, MADV_FREE))
		return;
	mm_agree(s, 3);
}

static void free_lazily(void)
{
	everywhere(do_free);
}

/* Small pages become a huge one, and huge ones small. */
static void collapse(void)
{
	struct mm_scene s;
	unsigned int mode;
	unsigned int i;
	int ret;

	for (mode = 0; mode < 2; mode++) {
		mm_open(&s, LEN, T_SMALL, mode);
		mm_write(&s, 1);
		for (i = 0; i < 5; i++) {
			t_case("%s, round %u", mode_names[mode], i);
			madvise(s.d.bbuf, LEN, MADV_HUGEPAGE);
			ret = madvise(s.d.bbuf, LEN, MADV_COLLAPSE);
			if (ret)
				t_skip("MADV_COLLAPSE: %s", t_errname(errno));
			t_want_data(s.d.bbuf, LEN, i ? 2 + 10 * i : 1);
			mm_agree(&s, 1 + 10 * i);
			/* A hole of one page splits it again */
			madvise(s.d.bbuf, LEN, MADV_NOHUGEPAGE);
			madvise(s.d.bbuf + i * T_PAGE, T_PAGE, MADV_DONTNEED);
			mm_agree(&s, 11 + 10 * i);
		}
	}
}

/* Pages of a file are taken away below the mapping. */
static void punch_hole(void)
{
	struct mm_scene s;
	char *space;
	int fd;

	fd = memfd_create("punch", 0);
	T_ASSERT(fd >= 0 && !ftruncate(fd, LEN), "memfd");
	space = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	T_ASSERT(space != MAP_FAILED, "mmap");
	mm_open_at(&s, space, LEN, false);
	mm_write(&s, 1);
	T_ASSERT(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			    LEN),
		 "fallocate: %s", t_errname(errno));
	mm_want_zero(&s);
	mm_agree(&s, 3);
	t_case("shorter file");
	T_ASSERT(!ftruncate(fd, LEN / 2), "ftruncate");
	mm_refused(&s, IBV_WR_RDMA_WRITE, LEN / 2, 8);
	mm_refused(&s, IBV_WR_RDMA_READ, LEN / 2 - 8, 16);
	t_want_data(space, LEN / 2, 4);
	t_case("longer again");
	T_ASSERT(!ftruncate(fd, LEN), "ftruncate");
	mm_agree(&s, 5);
}

/* A private file mapping: the write makes a copy, the file stays. */
static void private_file(void)
{
	static char buf[LEN];
	struct mm_scene s;
	char *space;
	int fd;

	fd = memfd_create("private", 0);
	t_fill(buf, LEN, 50);
	T_ASSERT(fd >= 0 && write(fd, buf, LEN) == (ssize_t)LEN, "memfd");
	space = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	T_ASSERT(space != MAP_FAILED, "mmap");
	mm_open_at(&s, space, LEN, false);
	mm_read(&s);
	t_want_data(s.d.abuf, LEN, 50);
	mm_agree(&s, 3);
	T_ASSERT(pread(fd, buf, LEN, 0) == (ssize_t)LEN, "pread");
	t_want_data(buf, LEN, 50);
	T_ASSERT(!madvise(space, LEN, MADV_DONTNEED), "madvise");
	mm_read(&s);
	t_want_data(s.d.abuf, LEN, 50);
}

/* A file that may only be read can be read from, by way of any key. */
static void readonly_file(void)
{
	struct mm_scene s;
	char *space;
	int fd = open("/proc/self/exe", O_RDONLY);

	space = mmap(NULL, T_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	T_ASSERT(space != MAP_FAILED, "mmap: %s", t_errname(errno));
	mm_open_at(&s, space, T_PAGE, true);
	mm_read(&s);
	T_ASSERT(!memcmp(s.d.abuf, space, T_PAGE), "other bytes");
	mm_refused(&s, IBV_WR_RDMA_WRITE, 0, 8);
	mm_refused(&s, IBV_WR_ATOMIC_CMP_AND_SWP, 0, 8);
}

/* The region as a local buffer fails with the local status. */
static void local_side(void)
{
	struct mm_scene s;
	struct t_duo *d = &s.d;

	mm_open(&s, LEN, T_SMALL, false);
	mm_write(&s, 1);
	t_case("read into a read-only buffer");
	T_ASSERT(!mprotect(d->bbuf, LEN, PROT_READ), "mprotect");
	t_post(&d->b, IBV_WR_RDMA_READ, 1, t_sge(d->bmr, d->bbuf, 100),
	       (uintptr_t)d->abuf, d->amr->rkey);
	t_want_wc(d->b.scq, 1, IBV_WC_LOC_PROT_ERR);
	t_duo_renew(d);
	t_case("write from it");
	t_post(&d->b, IBV_WR_RDMA_WRITE, 2, t_sge(d->bmr, d->bbuf, LEN),
	       (uintptr_t)d->abuf, d->amr->rkey);
	t_want_wc(d->b.scq, 2, IBV_WC_SUCCESS);
	t_case("write from unmapped memory");
	T_ASSERT(!munmap(d->bbuf, LEN), "munmap");
	t_post(&d->b, IBV_WR_RDMA_WRITE, 3, t_sge(d->bmr, d->bbuf, LEN),
	       (uintptr_t)d->abuf, d->amr->rkey);
	t_want_wc(d->b.scq, 3, IBV_WC_LOC_PROT_ERR);
	t_duo_renew(d);
	t_case("receive into unmapped memory");
	t_post_recv(&d->b, 4, t_sge(d->bmr, d->bbuf, 100));
	t_post(&d->a, IBV_WR_SEND, 5, t_duo_sge(d, 0, 100), 0, 0);
	t_want_wc(d->a.scq, 5, IBV_WC_REM_OP_ERR);
	t_want_wc(d->b.rcq, 4, IBV_WC_LOC_PROT_ERR);
}

/* What mlock() and soft-dirty tracking do to entries is harmless. */
static void tracked(void)
{
	struct mm_scene s;
	unsigned int i;

	mm_open(&s, LEN, T_SMALL, true);
	for (i = 0; i < 5; i++) {
		t_case("round %u", i);
		t_write_file("/proc/self/clear_refs", i & 1 ? "1" : "4");
		mm_agree(&s, 10 * i);
		T_ASSERT(!mlock(s.d.bbuf, LEN), "mlock: %s",
			 t_errname(errno));
		mm_agree(&s, 10 * i + 5);
		munlock(s.d.bbuf, LEN);
	}
}

static const struct t_test tests[] = {
	{ "dontneed", dontneed, 120 },
	{ "remap", remap, 120 },
	{ "protect", protect, 120 },
	{ "move", move, 120 },
	{ "fork_child", fork_child, 120 },
	{ "free_lazily", free_lazily, 120 },
	{ "collapse", collapse },
	{ "punch_hole", punch_hole },
	{ "private_file", private_file },
	{ "readonly_file", readonly_file },
	{ "local_side", local_side },
	{ "tracked", tracked },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
