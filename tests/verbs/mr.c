// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Registration: refusals, iova, rereg, sparse and implicit regions */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_fence.h"
#include "common/t_owner.h"

#define LEN (4 * T_PAGE)
#define TIB (1UL << 40)

static void refused(void)
{
	unsigned int odp = IBV_ACCESS_ON_DEMAND;
	struct ibv_mr *mr;
	struct t_dev dev;
	char *buf;

	t_open(&dev);
	buf = t_map_lonely(LEN);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, LEN, IBV_ACCESS_REMOTE_WRITE),
		     EINVAL);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, LEN, IBV_ACCESS_REMOTE_ATOMIC),
		     EINVAL);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, SIZE_MAX, T_ACCESS_ALL), EINVAL);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, -(uintptr_t)buf + 1,
				T_ACCESS_ALL),
		     EINVAL);
	/* Pinning needs memory that is there */
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, LEN + T_PAGE, T_ACCESS_ALL),
		     EFAULT);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf - T_PAGE, LEN, T_ACCESS_ALL),
		     EFAULT);
	mprotect(buf, T_PAGE, PROT_READ);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, LEN, T_ACCESS_ALL), EFAULT);
	mr = t_reg(dev.pd, buf, T_PAGE, IBV_ACCESS_REMOTE_READ);
	t_dereg(mr);
	/* iova that overflows, or differs within the page */
	T_NULL_ERRNO(ibv_reg_mr_iova(dev.pd, buf, LEN, -4096ULL,
				     IBV_ACCESS_REMOTE_READ),
		     EINVAL);
	T_NULL_ERRNO(ibv_reg_mr_iova(dev.pd, buf, LEN, 0x10001,
				     IBV_ACCESS_REMOTE_READ),
		     EINVAL);
	if (!t_has_odp(&dev, 0))
		return;
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, -(uintptr_t)buf + 1,
				T_ACCESS_ALL | odp),
		     EINVAL);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, SIZE_MAX, T_ACCESS_ALL | odp),
		     EINVAL);
	T_NULL_ERRNO(ibv_reg_mr(dev.pd, buf, LEN,
				IBV_ACCESS_REMOTE_WRITE | odp),
		     EINVAL);
}

/* A pin-less registration of length 0: refused, or a region of no bytes. */
static void length_zero(void)
{
	struct t_duo d;
	struct ibv_mr *mr;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	errno = 0;
	mr = ibv_reg_mr(d.dev.pd, d.bbuf, 0, T_ACCESS_ALL);
	if (!mr) {
		T_ASSERT(errno == EINVAL, "%s", t_errname(errno));
		return;
	}
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 1), t_remote(&d, 0),
	       mr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	T_ASSERT(t_check_background(d.bbuf, LEN) < 0, "the target changed");
}

static void check_iova(struct t_duo *d, struct ibv_mr *mr, uint64_t iova)
{
	static const struct {
		size_t off;
		uint32_t len;
	} spots[] = {
		{ 0, 1 }, { 4095, 2 }, { 1, LEN - 2 }, { LEN - 1, 1 },
		{ 0, LEN },
	};
	struct ibv_sge sge = { .lkey = mr->lkey };
	size_t i;

	for (i = 0; i < T_ARRAY_SIZE(spots); i++) {
		t_fill_background(d->bbuf, LEN);
		t_post(&d->a, IBV_WR_RDMA_WRITE, 1,
		       t_duo_sge(d, 0, spots[i].len), iova + spots[i].off,
		       mr->rkey);
		t_want_wc(d->a.scq, 1, IBV_WC_SUCCESS);
		t_want_data(d->bbuf + spots[i].off, spots[i].len, 1);
		T_ASSERT(t_check_background(d->bbuf, spots[i].off) < 0,
			 "bytes before the target changed");
		/* And as a local buffer */
		sge.addr = iova + spots[i].off;
		sge.length = spots[i].len;
		t_fill_background(d->bbuf, LEN);
		t_post(&d->b, IBV_WR_RDMA_READ, 2, sge, (uintptr_t)d->abuf,
		       d->amr->rkey);
		t_want_wc(d->b.scq, 2, IBV_WC_SUCCESS);
		t_want_data(d->bbuf + spots[i].off, spots[i].len, 1);
	}
	/* The address itself is not in the region, nor a byte too much */
	t_post(&d->a, IBV_WR_RDMA_WRITE, 3, t_duo_sge(d, 0, 2),
	       iova + LEN - 1, mr->rkey);
	t_want_wc(d->a.scq, 3, IBV_WC_REM_ACCESS_ERR);
	t_duo_renew(d);
	t_post(&d->a, IBV_WR_RDMA_WRITE, 3, t_duo_sge(d, 0, 2), t_remote(d, 0),
	       mr->rkey);
	t_want_wc(d->a.scq, 3, IBV_WC_REM_ACCESS_ERR);
	t_duo_renew(d);
}

static void iova(void)
{
	static const uint64_t iovas[] = {
		0, T_PAGE, 0x7fff0000, 0xffffe000, 1ULL << 47,
		0xffff800000000000ULL, -(uint64_t)LEN - T_PAGE,
	};
	enum t_kind kind;
	struct ibv_mr *mr;
	struct t_duo d;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (kind = T_PINNED; kind <= T_EXPLICIT; kind++) {
		if (!t_can_kind(&d.dev, kind))
			continue;
		for (i = 0; i < T_ARRAY_SIZE(iovas); i++) {
			t_case("%s, iova %#llx", t_kind_names[kind],
			       (unsigned long long)iovas[i]);
			mr = ibv_reg_mr_iova(
				d.dev.pd, d.bbuf, LEN, iovas[i],
				T_ACCESS_ALL | (kind == T_EXPLICIT ?
							IBV_ACCESS_ON_DEMAND :
							0));
			T_ASSERT(mr, "ibv_reg_mr_iova: %s", t_errname(errno));
			check_iova(&d, mr, iovas[i]);
			t_dereg(mr);
		}
	}
}

/* An iova whose offset in its page is not zero, with a buffer alike. */
static void iova_unaligned(void)
{
	struct t_duo d;
	struct ibv_mr *mr;
	enum t_kind kind;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (kind = T_PINNED; kind <= T_EXPLICIT; kind++) {
		if (!t_can_kind(&d.dev, kind))
			continue;
		t_case("%s", t_kind_names[kind]);
		t_fill_background(d.bbuf, LEN);
		mr = ibv_reg_mr_iova(
			d.dev.pd, d.bbuf + 123, 5000, 0x700000000000 + 123,
			T_ACCESS_ALL | (kind == T_EXPLICIT ?
						IBV_ACCESS_ON_DEMAND :
						0));
		T_ASSERT(mr, "ibv_reg_mr_iova: %s", t_errname(errno));
		t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 5000),
		       0x700000000000 + 123, mr->rkey);
		t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
		t_want_data(d.bbuf + 123, 5000, 1);
		T_ASSERT(t_check_background(d.bbuf, 123) < 0 &&
				 t_check_background(d.bbuf + 5123, 200) < 0,
			 "bytes around the target changed");
		t_dereg(mr);
	}
}

static void want_write(struct t_duo *d, struct ibv_mr *mr, char *target,
		       enum ibv_wc_status status)
{
	t_post(&d->a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(d, 0, LEN),
	       (uintptr_t)target, mr->rkey);
	t_want_wc(d->a.scq, 1, status);
	if (status == IBV_WC_SUCCESS)
		t_want_data(target, LEN, 1);
	else
		t_duo_renew(d);
}

static void rereg_all(struct t_duo *d, struct ibv_mr *mr, char *buf,
		      unsigned int odp)
{
	struct ibv_pd *pd = ibv_alloc_pd(d->dev.ctx);
	char *other = t_map_lonely(LEN);
	int ret;

	t_case("access off");
	ret = ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
				   odp);
	if (ret == IBV_REREG_MR_ERR_CMD && errno == EOPNOTSUPP)
		t_skip("no rereg");
	T_ASSERT(!ret, "rereg: %d, %s", ret, t_errname(errno));
	want_write(d, mr, buf, IBV_WC_REM_ACCESS_ERR);
	t_case("access on");
	T_OK(ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			  T_ACCESS_ALL | odp));
	want_write(d, mr, buf, IBV_WC_SUCCESS);
	t_case("translation");
	t_fill_background(buf, LEN);
	T_OK(ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, other,
			  LEN, 0));
	want_write(d, mr, other, IBV_WC_SUCCESS);
	want_write(d, mr, buf, IBV_WC_REM_ACCESS_ERR);
	T_ASSERT(t_check_background(buf, LEN) < 0, "the old buffer changed");
	t_case("pd");
	T_OK(ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd, NULL, 0, 0));
	want_write(d, mr, other, IBV_WC_REM_ACCESS_ERR);
	T_ERR(ibv_dealloc_pd(pd), EBUSY);
	t_case("all, and to the other kind");
	t_fill_background(other, LEN);
	T_OK(ibv_rereg_mr(mr,
			  IBV_REREG_MR_CHANGE_PD |
				  IBV_REREG_MR_CHANGE_TRANSLATION |
				  IBV_REREG_MR_CHANGE_ACCESS,
			  d->dev.pd, buf, LEN,
			  T_ACCESS_ALL | (IBV_ACCESS_ON_DEMAND - odp)));
	want_write(d, mr, buf, IBV_WC_SUCCESS);
	if (!odp) {
		madvise(buf, LEN, MADV_DONTNEED);
		want_write(d, mr, buf, IBV_WC_SUCCESS);
	}
	T_OK(ibv_dealloc_pd(pd));
	t_dereg(mr);
}

static void rereg_pinned(void)
{
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_odp(&d.dev);
	rereg_all(&d, t_reg(d.dev.pd, d.bbuf, LEN, T_ACCESS_ALL), d.bbuf, 0);
}

static void rereg_odp(void)
{
	struct t_duo d;

	t_duo_open(&d, LEN, T_EXPLICIT, NULL);
	rereg_all(&d,
		  t_reg(d.dev.pd, d.bbuf, LEN,
			T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND),
		  d.bbuf, IBV_ACCESS_ON_DEMAND);
}

/* A child has the MR, and other memory at its addresses. */
static void child_reregs(struct ibv_mr *mr, unsigned int access)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		status = ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL,
				      NULL, 0, access);
		_exit(status == IBV_REREG_MR_ERR_CMD ? errno : 255);
	}
	T_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid &&
			 WIFEXITED(status) && WEXITSTATUS(status) == EINVAL,
		 "a child's rereg: status %#x", status);
}

static void rereg_by_child(void)
{
	unsigned int odp = IBV_ACCESS_ON_DEMAND;
	struct ibv_mr *mr;
	struct t_duo d;

	t_duo_open(&d, LEN, T_EXPLICIT, NULL);
	mr = t_reg(d.dev.pd, d.bbuf, LEN, T_ACCESS_ALL | odp);
	child_reregs(mr, T_ACCESS_ALL | odp);
	want_write(&d, mr, d.bbuf, IBV_WC_SUCCESS);
	t_dereg(mr);
	mr = t_reg(d.dev.pd, d.bbuf, LEN, T_ACCESS_ALL);
	/* Pinned pages would be the parent's, or the child's, by chance */
	child_reregs(mr, T_ACCESS_ALL);
	want_write(&d, mr, d.bbuf, IBV_WC_SUCCESS);
	t_dereg(mr);
}

/* Once the region is elsewhere, what it was over is written no more. */
static void rereg_fence(void)
{
	unsigned int round, cut = 0;
	struct t_fence f;
	struct ibv_mr *mr;
	struct t_duo d;
	char *other;

	t_duo_open(&d, T_FENCE_LEN, T_PINNED, NULL);
	other = t_map_lonely(T_FENCE_LEN);
	t_fill_data(d.abuf, T_FENCE_LEN, 1, 0);
	for (round = 0; round < (t_quick ? 3 : 8); round++) {
		mr = t_reg(d.dev.pd, d.bbuf, T_FENCE_LEN, T_ACCESS_ALL);
		t_fence_begin(&f, &d, mr->rkey);
		T_OK(ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, NULL,
				  other, T_FENCE_LEN, 0));
		cut += t_fence_quiet(&f, round);
		t_fence_end(&f);
		t_dereg(mr);
		t_duo_renew(&d);
	}
	t_note("%u of %u cut short", cut, round);
}

#define CHARGED_LEAVES 256

static size_t kernel_memory(const char *folder)
{
	char path[128], line[128];
	size_t bytes = SIZE_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	f = fopen(path, "re");
	T_ASSERT(f, "%s: %s", path, t_errname(errno));
	while (fgets(line, sizeof(line), f))
		sscanf(line, "kernel %zu", &bytes);
	fclose(f);
	if (bytes == SIZE_MAX)
		t_skip("memory.stat has no 'kernel'");
	return bytes;
}

/*
 * What is kept for memory that is used is charged to whom it belongs: a page
 * for each 2 MiB in which pages here and there are. The CPU's own tables are
 * there before.
 */
static void charged(void)
{
	/* The rest for what is given back meanwhile */
	const size_t want = CHARGED_LEAVES * T_PAGE * 3 / 4;
	char *p = t_map_aligned(CHARGED_LEAVES * T_HUGE, T_HUGE);
	char folder[T_CGROUP_PATH];
	size_t before, after;
	struct ibv_mr *mr;
	struct t_duo d;
	uint64_t end;
	unsigned int i;

	t_cgroup_enter(folder, "memory");
	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_odp(&d.dev);
	t_map_pages(p, CHARGED_LEAVES * T_HUGE, T_SMALL);
	for (i = 0; i < 2 * CHARGED_LEAVES; i++)
		p[i * T_HUGE / 2] = 1;
	mr = t_reg_kind(&d.dev, T_EXPLICIT, p, CHARGED_LEAVES * T_HUGE,
			T_ACCESS_ALL);
	/* The kernel adds up what its CPUs have counted every two seconds */
	t_sleep_ms(2500);
	before = kernel_memory(folder);
	for (i = 0; i < 2 * CHARGED_LEAVES; i++) {
		t_post(&d.a, IBV_WR_RDMA_READ, i, t_duo_sge(&d, 0, 8),
		       (uintptr_t)p + i * T_HUGE / 2, mr->rkey);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
	end = t_now_ns() + 6 * 1000000000ULL;
	do {
		t_sleep_ms(100);
		after = kernel_memory(folder);
	} while (after < before + want && t_now_ns() < end);
	T_ASSERT(after >= before + want,
		 "%zu KiB before, %zu after, want %zu more", before >> 10,
		 after >> 10, want >> 10);
	t_note("%zu KiB more", (after - before) >> 10);
}

#define HIGH_SIZE (16UL << 20)
#define HIGH_MEMORY (3 * HIGH_SIZE)
#define HIGH_SLACK (8UL << 20)

/* In a cgroup that should not have as much */
static void *high_make(const void *folder)
{
	char *mem = t_map(HIGH_MEMORY);

	t_cgroup_enter((char *)folder, "memory");
	t_cgroup_set(folder, "memory.high", HIGH_SIZE);
	return mem;
}

/*
 * A process whose memory another one writes to, by RDMA, is held to its
 * memory.high as if it wrote itself: workers reclaim there for what they add.
 */
static void memory_high(void)
{
	static const struct t_owner_ops ops = {
		.make = high_make,
		.len = HIGH_MEMORY,
	};
	char *folder = t_shared(T_CGROUP_PATH);
	unsigned long most = 0, now, at;
	struct t_owner owner;
	struct t_duo d;

	t_swap_on(2 * HIGH_MEMORY);
	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_owner_start(&owner, &d, &ops, folder);
	for (at = 0; at < HIGH_MEMORY; at += LEN) {
		t_owner_write(&owner, &d, at, LEN);
		if (at / LEN % 64)
			continue;
		now = t_cgroup_get(folder, "memory.current");
		if (now > most)
			most = now;
	}
	now = t_cgroup_get(folder, "memory.swap.current");
	t_owner_end(&owner, NULL);
	t_swap_off();
	T_ASSERT(most < HIGH_SIZE + HIGH_SLACK, "%lu KiB, memory.high %lu",
		 most >> 10, HIGH_SIZE >> 10);
	t_note("%lu KiB at most, %lu swapped", most >> 10, now >> 10);
}

/* 8 TiB of address space, of which a few spots are ever touched. */
static void sparse(void)
{
	static const uint64_t spots[] = {
		0,
		(4UL << 30) - 100,
		(4UL << 30) + 5,
		(6UL << 30) + T_HUGE - 1000,
		TIB - 4097,
		5 * TIB + 12345,
		8 * TIB - 65536,
	};
	enum { SPOT = 65536 };
	uint64_t begin, reg_ns;
	struct ibv_mr *mr;
	struct t_duo d;
	char *space;
	size_t i;

	t_duo_open(&d, SPOT, T_PINNED, NULL);
	t_need_odp(&d.dev);
	space = mmap(NULL, 8 * TIB, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		t_skip("no 8 TiB of address space");
	begin = t_now_ns();
	mr = t_reg(d.dev.pd, space, 8 * TIB,
		   T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	reg_ns = t_now_ns() - begin;
	for (i = 0; i < T_ARRAY_SIZE(spots); i++) {
		t_case("at %#llx", (unsigned long long)spots[i]);
		t_post(&d.a, IBV_WR_RDMA_WRITE, i, t_duo_sge(&d, 0, SPOT),
		       (uintptr_t)space + spots[i], mr->rkey);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
		t_want_data(space + spots[i], SPOT, 1);
	}
	t_case("behind the last byte");
	t_post(&d.a, IBV_WR_RDMA_WRITE, 9, t_duo_sge(&d, 0, 2),
	       (uintptr_t)space + 8 * TIB - 1, mr->rkey);
	t_want_wc(d.a.scq, 9, IBV_WC_REM_ACCESS_ERR);
	t_duo_renew(&d);
	t_case("PROT_NONE");
	T_ASSERT(!mprotect(space + TIB, T_GIB, PROT_NONE), "mprotect");
	t_post(&d.a, IBV_WR_RDMA_WRITE, 9, t_duo_sge(&d, 0, 2),
	       (uintptr_t)space + TIB + 100, mr->rkey);
	t_want_wc(d.a.scq, 9, IBV_WC_REM_ACCESS_ERR);
	t_dereg(mr);
	t_note("registered in %llu us", (unsigned long long)reg_ns / 1000);
}

/* Lengths around which 32 bits, or signs, get things wrong */
static void big_lengths(void)
{
	static const uint64_t lens[] = {
		(2UL << 30) - 1,  2UL << 30,	   (2UL << 30) + 1,
		(4UL << 30) - 1,  4UL << 30,	   (4UL << 30) + 1,
		6UL << 30,	  (16UL << 30) + T_PAGE, TIB + 1,
	};
	struct ibv_mr *mr;
	struct t_duo d;
	char *space;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_odp(&d.dev);
	space = t_map_aligned(2 * TIB, T_GIB);
	for (i = 0; i < T_ARRAY_SIZE(lens); i++) {
		t_case("length %#llx", (unsigned long long)lens[i]);
		t_map_pages(space, 2 * TIB, T_SMALL);
		mr = t_reg(d.dev.pd, space, lens[i],
			   T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
		want_write(&d, mr, space + lens[i] - LEN, IBV_WC_SUCCESS);
		want_write(&d, mr, space, IBV_WC_SUCCESS);
		want_write(&d, mr, space + lens[i] - LEN + 1,
			   IBV_WC_REM_ACCESS_ERR);
		t_dereg(mr);
	}
}

static char bss[2 * LEN];

static void implicit_spot(struct t_duo *d, struct ibv_mr *mr, const char *name,
			  char *buf)
{
	t_case("%s at %p", name, buf);
	t_fill(d->abuf, LEN, (uintptr_t)buf);
	t_post(&d->a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(d, 0, LEN),
	       (uintptr_t)buf, mr->rkey);
	t_want_wc(d->a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(buf, LEN, (uintptr_t)buf);
	t_fill_background(d->abuf, LEN);
	t_post(&d->a, IBV_WR_RDMA_READ, 2, t_duo_sge(d, 0, LEN),
	       (uintptr_t)buf, mr->rkey);
	t_want_wc(d->a.scq, 2, IBV_WC_SUCCESS);
	t_want_data(d->abuf, LEN, (uintptr_t)buf);
}

/* One key for everything: what is there now, and what comes later. */
static void implicit(void)
{
	char file[] = "/tmp/verbs-mr-XXXXXX";
	char stack[2 * LEN];
	struct ibv_mr *mr;
	struct t_duo d;
	char *late;
	char *p;
	int fd;
	int i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_implicit(&d.dev);
	mr = t_reg_kind(&d.dev, T_IMPLICIT, NULL, 0, T_ACCESS_ALL);
	implicit_spot(&d, mr, "stack", stack + 77);
	implicit_spot(&d, mr, "heap", (char *)malloc(2 * LEN) + 3);
	implicit_spot(&d, mr, "bss", bss + 1);
	for (i = 0; i < 20; i++) {
		late = t_map_lonely(LEN);
		implicit_spot(&d, mr, "mapped later", late);
		if (i & 1)
			t_unmap(late, LEN);
	}
	fd = mkstemp(file);
	T_ASSERT(fd >= 0 && !ftruncate(fd, LEN), "%s", t_errname(errno));
	unlink(file);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	T_ASSERT(p != MAP_FAILED, "mmap: %s", t_errname(errno));
	implicit_spot(&d, mr, "file", p);
	t_unmap(p, LEN);
	late = malloc(LEN);
	T_ASSERT(pread(fd, late, LEN, 0) == (ssize_t)LEN, "pread");
	t_want_data(late, LEN, (uintptr_t)p);
	t_case("text is not writable");
	t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 8),
	       (uintptr_t)implicit, mr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	t_duo_renew(&d);
	t_case("text is readable");
	t_post(&d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&d, 0, 64),
	       (uintptr_t)implicit, mr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	T_ASSERT(!memcmp(d.abuf, (void *)implicit, 64), "text differs");
	t_case("page zero");
	t_post(&d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&d, 0, 64), 0, mr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	t_duo_renew(&d);
	t_case("kernel addresses");
	t_post(&d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&d, 0, 64),
	       0xffffffff81000000ULL, mr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_REM_ACCESS_ERR);
	t_dereg(mr);
}

/* An explicit region may be registered before there is anything. */
static void mapped_later(void)
{
	struct ibv_mr *mr;
	struct t_duo d;
	char *space;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_odp(&d.dev);
	space = t_map_aligned(T_GIB, T_GIB);
	mr = t_reg(d.dev.pd, space, T_GIB, T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	want_write(&d, mr, space + T_HUGE - 100, IBV_WC_REM_ACCESS_ERR);
	t_map_pages(space, T_GIB, T_SMALL);
	want_write(&d, mr, space + T_HUGE - 100, IBV_WC_SUCCESS);
	t_unmap(space, T_GIB);
	want_write(&d, mr, space + T_HUGE - 100, IBV_WC_REM_ACCESS_ERR);
	t_dereg(mr);
}

/* A region read first is then written: the write must not hit the zero page. */
static void read_then_write(void)
{
	unsigned int access = T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND;
	char *other;
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	t_need_odp(&d.dev);
	d.bbuf = t_map(LEN);
	other = t_map(LEN);
	d.bmr = t_reg(d.dev.pd, d.bbuf, LEN, access);
	t_post(&d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&d, 0, LEN), t_remote(&d, 0),
	       d.bmr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	T_ASSERT(t_check_byte(d.abuf, LEN, 0) < 0, "no zeros were read");
	t_duo_works(&d);
	T_ASSERT(t_check_byte(other, LEN, 0) < 0, "the zero page was written");
}

/* Peers name the bytes of such a region from 0 on, wherever it starts */
static void zero_based(void)
{
	static const unsigned int extra[] = { 0, IBV_ACCESS_ON_DEMAND };
	struct ibv_mr *mr;
	struct t_duo d;
	size_t i;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	for (i = 0; i < T_ARRAY_SIZE(extra); i++) {
		if (extra[i] && !t_can_kind(&d.dev, T_EXPLICIT))
			continue;
		t_case("%s", extra[i] ? "explicit" : "pinned");
		mr = t_reg(d.dev.pd, d.bbuf + 123, LEN - 123,
			   T_ACCESS_ALL | IBV_ACCESS_ZERO_BASED | extra[i]);
		t_fill_background(d.bbuf, LEN);
		t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&d, 0, 5000), 0,
		       mr->rkey);
		t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
		t_want_data(d.bbuf + 123, 5000, 1);
		T_ASSERT(t_check_background(d.bbuf, 123) < 0 &&
				 t_check_background(d.bbuf + 5123, 200) < 0,
			 "bytes around the target changed");
		t_dereg(mr);
	}
}

static const struct t_test tests[] = {
	{ "refused", refused },
	{ "length_zero", length_zero },
	{ "iova", iova },
	{ "iova_unaligned", iova_unaligned },
	{ "zero_based", zero_based },
	{ "rereg_pinned", rereg_pinned },
	{ "rereg_odp", rereg_odp },
	{ "rereg_by_child", rereg_by_child },
	{ "rereg_fence", rereg_fence },
	{ "memory_high", memory_high, 60 },
	{ "charged", charged },
	{ "sparse", sparse },
	{ "big_lengths", big_lengths },
	{ "implicit", implicit },
	{ "mapped_later", mapped_later },
	{ "read_then_write", read_then_write },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
