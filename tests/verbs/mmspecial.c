// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory that needs something set up first: swap, userfaultfd, hugetlb, KSM, a
 * file system on a disk.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/t_uffd.h"
#include "mmevents.h"

#define LEN (2 * T_HUGE)
#define UFFD_DELAY_MS 300

/* Swapped out and back by the device's own faults */
static void swap_pages(enum t_pages pages)
{
	struct mm_scene s;
	unsigned int i;

	t_swap_on(T_SWAP_SIZE);
	mm_open(&s, LEN, pages, false);
	for (i = 0; i < 4; i++) {
		t_case("round %u", i);
		mm_write(&s, 10 * i + 1);
		t_page_out(s.d.bbuf, LEN);
		mm_read(&s);
		t_want_data(s.d.abuf, LEN, 10 * i + 1);
		/* Written again through entries made by the read */
		mm_write(&s, 10 * i + 2);
		t_page_out(s.d.bbuf, LEN);
		t_want_data(s.d.bbuf, LEN, 10 * i + 2);
		t_page_out(s.d.bbuf, LEN);
		mm_agree(&s, 10 * i + 3);
	}
	t_swap_off();
}

static void swap_small(void)
{
	swap_pages(T_SMALL);
}

static void swap_thp(void)
{
	swap_pages(T_THP);
}

static void swap_shmem(void)
{
	swap_pages(T_SHMEM);
}

/*
 * A lazily freed page that the device has written since is not free: it must
 * not be thrown away when memory is wanted.
 */
static void lazy_free_written(void)
{
	struct mm_scene s;
	unsigned int i;

	t_swap_on(T_SWAP_SIZE);
	mm_open(&s, LEN, T_SMALL, false);
	for (i = 0; i < 4; i++) {
		t_case("round %u", i);
		mm_write(&s, 10 * i + 1);
		T_ASSERT(!madvise(s.d.bbuf, LEN, MADV_FREE), "MADV_FREE: %s",
			 t_errname(errno));
		mm_write(&s, 10 * i + 2);
		t_page_out(s.d.bbuf, LEN);
		t_want_data(s.d.bbuf, LEN, 10 * i + 2);
	}
	t_swap_off();
}

/* What the process only read, and the device wrote, is dirty all the same. */
static void shmem_dirty(void)
{
	struct mm_scene s;
	volatile char sum = 0;
	size_t i;

	t_swap_on(T_SWAP_SIZE);
	mm_open(&s, LEN, T_SHMEM, false);
	t_fill(s.d.bbuf, LEN, 1);
	t_page_out(s.d.bbuf, LEN);
	for (i = 0; i < LEN; i += T_PAGE)
		sum += s.d.bbuf[i];
	mm_write(&s, 2);
	t_page_out(s.d.bbuf, LEN);
	t_want_data(s.d.bbuf, LEN, 2);
	t_swap_off();
}

/* --- a file on a disk --- */

/*
 * An empty Minix file system (version 1), because the guest need not have a
 * mkfs: 1 KiB blocks, one block of inode bitmap, four of zone bitmap, two of
 * inodes, then the root directory.
 */
static void make_minix(const char *path)
{
	enum { BLOCK = 1024, ZONES = 32768, INODES = 64, DATA = 9 };
	static unsigned char fs[(DATA + 1) * BLOCK];
	uint16_t *super = (uint16_t *)(fs + BLOCK);
	uint16_t *root = (uint16_t *)(fs + 7 * BLOCK);
	uint16_t *dir = (uint16_t *)(fs + DATA * BLOCK);
	unsigned char *imap = fs + 2 * BLOCK;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(fs, 0, sizeof(fs));
	super[0] = INODES;
	super[1] = ZONES;
	super[2] = 1;
	super[3] = 4;
	super[4] = DATA;
	*(uint32_t *)&super[6] = 268966912;
	super[8] = 0x137f;
	super[9] = 1; /* clean */
	memset(imap, 0xff, BLOCK);
	memset(imap, 0, INODES / 8);
	imap[0] = 3;
	imap[INODES / 8] = 0xfe;
	fs[3 * BLOCK] = 3;
	root[0] = 040755;
	*(uint32_t *)&root[2] = 32; /* bytes */
	root[6] = 2 << 8; /* links, above the group */
	root[7] = DATA;
	dir[0] = 1;
	memcpy(dir + 1, ".", 1);
	dir[8] = 1;
	memcpy(dir + 9, "..", 2);
	T_ASSERT(fd >= 0 && write(fd, fs, sizeof(fs)) == sizeof(fs) &&
			 !ftruncate(fd, ZONES * BLOCK),
		 "%s: %s", path, t_errname(errno));
	close(fd);
}

static void disk_off(void)
{
	t_system("umount /tmp/verbs-disk 2>/dev/null");
	unlink("/tmp/verbs-disk.img");
}

static void disk_on(void)
{
	disk_off();
	make_minix("/tmp/verbs-disk.img");
	if (t_system("modprobe -a loop minix && mkdir -p /tmp/verbs-disk && "
		     "mount -t minix -o loop /tmp/verbs-disk.img "
		     "/tmp/verbs-disk"))
		t_skip("a file cannot be mounted as a disk");
}

static void want_on_disk(int fd, char *map, uint64_t seed)
{
	static char buf[LEN];

	T_ASSERT(!msync(map, LEN, MS_SYNC), "msync: %s", t_errname(errno));
	T_OK(t_write_file("/proc/sys/vm/drop_caches", "3"));
	T_ASSERT(!posix_fadvise(fd, 0, LEN, POSIX_FADV_DONTNEED), "fadvise");
	T_ASSERT(pread(fd, buf, LEN, 0) == (ssize_t)LEN, "pread");
	t_want_data(buf, LEN, seed);
}

/*
 * Write-back cleans pages and write-protects them: the device's next write has
 * to make them dirty anew. What msync() and a dropped cache leave is what is
 * on the disk.
 */
static void file_dirty(void)
{
	struct mm_scene s;
	unsigned int i;
	char *map;
	int fd;

	disk_on();
	fd = open("/tmp/verbs-disk/file", O_RDWR | O_CREAT, 0600);
	T_ASSERT(fd >= 0 && !ftruncate(fd, LEN), "%s", t_errname(errno));
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	T_ASSERT(map != MAP_FAILED, "mmap: %s", t_errname(errno));
	mm_open_at(&s, map, LEN, false);
	for (i = 0; i < 5; i++) {
		t_case("round %u", i);
		mm_read(&s);
		mm_write(&s, 10 * i + 1);
		/* Still mapped by the process and the device */
		T_ASSERT(!msync(map, LEN, MS_SYNC), "msync");
		mm_write(&s, 10 * i + 2);
		/* Unmapped by the process before anything is written back */
		madvise(map, LEN, MADV_DONTNEED);
		want_on_disk(fd, map, 10 * i + 2);
		mm_agree(&s, 10 * i + 3);
	}
	t_case("after unmap");
	mm_write(&s, 100);
	t_dereg(s.d.bmr);
	t_unmap(map, LEN);
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	want_on_disk(fd, map, 100);
	t_unmap(map, LEN);
	close(fd);
	disk_off();
}

/* --- userfaultfd --- */

/*
 * Each page is supplied by another thread, one after the other. A wait that
 * brings a page is no reason to go for less: the READ is one fault, or two
 * where it crosses 2 MiB.
 */
static void uffd(void)
{
	struct t_monitor m;
	struct mm_scene s;
	unsigned int mode;
	size_t len = 32 * T_PAGE;
	uint64_t faults;

	for (mode = 0; mode < 2; mode++) {
		t_case("implicit %u", mode);
		mm_open(&s, len, T_SMALL, mode);
		t_monitor_start(&m, s.d.bbuf, len, 2);
		faults = mm_counter(&s.d.dev, "page_faults");
		mm_read(&s);
		faults = mm_counter(&s.d.dev, "page_faults") - faults;
		T_ASSERT(faults <= 2, "%lu faults", faults);
		t_want_monitored(s.d.abuf, s.d.bbuf, len / T_PAGE);
		T_ASSERT(m.served == len / T_PAGE, "%u pages were served",
			 m.served);
		mm_agree(&s, 3);
		madvise(s.d.bbuf, len, MADV_DONTNEED);
		mm_write(&s, 7);
		t_want_data(s.d.bbuf, len, 7);
		close(m.fd);
	}
}

/* A monitor that is late holds up its own QP, and nobody else's. */
static void uffd_late(void)
{
	struct t_ep other_a, other_b;
	uint64_t begin, stalled = 0;
	unsigned int done = 0;
	struct t_monitor m;
	struct mm_scene s;
	struct ibv_wc wc;
	char *target;
	struct ibv_mr *mr;

	mm_open(&s, 2 * T_PAGE, T_SMALL, false);
	target = t_map(T_PAGE);
	mr = t_reg(s.d.dev.pd, target, T_PAGE,
		   T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND);
	t_pair(&s.d.dev, &other_a, &other_b, NULL);
	t_monitor_start(&m, s.d.bbuf, 2 * T_PAGE, UFFD_DELAY_MS);
	begin = t_now_ns();
	t_post(&s.d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&s.d, 0, 2 * T_PAGE),
	       t_remote(&s.d, 0), s.d.bmr->rkey);
	T_ASSERT(t_now_ns() - begin < UFFD_DELAY_MS * 1000000ULL,
		 "ibv_post_send waited for the monitor");
	while (!ibv_poll_cq(s.d.a.scq, 1, &wc)) {
		uint64_t start = t_now_ns();

		t_post(&other_a, IBV_WR_RDMA_WRITE, 2,
		       t_duo_sge(&s.d, 0, 0), (uintptr_t)target, mr->rkey);
		t_want_wc(other_a.scq, 2, IBV_WC_SUCCESS);
		/* Slower than that is waiting, or a busy host */
		if (t_now_ns() - start > 20000000)
			stalled += t_now_ns() - start;
		done++;
		T_ASSERT(t_now_ns() - begin < T_WAIT_MS * 1000000ULL,
			 "the READ does not end");
	}
	T_ASSERT(wc.status == IBV_WC_SUCCESS && wc.wr_id == 1, "'%s'",
		 t_wc_name(wc.status));
	T_ASSERT(t_now_ns() - begin >= 2 * UFFD_DELAY_MS * 1000000ULL * 9 / 10,
		 "ended before the monitor answered");
	t_want_monitored(s.d.abuf, s.d.bbuf, 2);
	T_ASSERT(done > 20, "only %u transfers of the other QP meanwhile",
		 done);
	T_ASSERT(stalled < (t_now_ns() - begin) / 2,
		 "the other QP stood still for %llu us",
		 (unsigned long long)stalled / 1000);
	t_note("%u transfers meanwhile", done);
	close(m.fd);
}

/* Gone while a fault waits for the monitor: dereg and close do not hang. */
static void uffd_abandoned(void)
{
	struct t_monitor m;
	struct mm_scene s;
	struct ibv_wc wc;

	mm_open(&s, T_PAGE, T_SMALL, false);
	t_monitor_start(&m, s.d.bbuf, T_PAGE, 2000);
	t_post(&s.d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&s.d, 0, T_PAGE),
	       t_remote(&s.d, 0), s.d.bmr->rkey);
	t_sleep_ms(100);
	T_OK(ibv_destroy_qp(s.d.a.qp));
	T_ASSERT(!t_poll_for(s.d.a.scq, &wc, 10), "'%s' after destroy",
		 t_wc_name(wc.status));
	t_dereg(s.d.bmr);
}

/* --- hugetlb --- */

static void hugetlb(void)
{
	size_t len = 4 * T_HUGE;
	struct mm_scene s;
	struct ibv_mr *mr;
	unsigned int mode;
	unsigned int i;
	char *space;

	if (t_write_file("/proc/sys/vm/nr_hugepages", "24"))
		t_skip("no huge pages");
	for (mode = 0; mode < 3; mode++) {
		t_case("mode %u", mode);
		space = mmap(NULL, len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (space == MAP_FAILED)
			t_skip("no 2 MiB pages");
		mm_open_at(&s, space, len, mode == 1);
		if (mode == 2) {
			mr = t_reg(s.d.dev.pd, space, len,
				   T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND |
					   IBV_ACCESS_HUGETLB);
			t_dereg(s.d.bmr);
			s.d.bmr = mr;
		}
		for (i = 0; i < 4; i++) {
			mm_agree(&s, 10 * i + 1);
			T_ASSERT(!madvise(space + T_HUGE, T_HUGE,
					  MADV_DONTNEED),
				 "madvise: %s", t_errname(errno));
			mm_read(&s);
			T_ASSERT(t_check_byte(s.d.abuf + T_HUGE, T_HUGE,
					      0) < 0,
				 "the device reads old bytes");
		}
		T_ASSERT(!munmap(space + 2 * T_HUGE, T_HUGE), "munmap");
		mm_refused(&s, IBV_WR_RDMA_WRITE, 2 * T_HUGE - 8, 16);
		t_unmap(space, 2 * T_HUGE);
		t_unmap(space + 3 * T_HUGE, T_HUGE);
		t_dereg(s.d.bmr);
	}
	t_case("odd places");
	space = mmap(NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	T_ASSERT(space != MAP_FAILED, "mmap: %s", t_errname(errno));
	mm_open_at(&s, space + 12345, len - 23456, false);
	mm_agree(&s, 5);
	T_ASSERT(t_check_byte(space, 12345, 0) < 0 &&
			 t_check_byte(space + len - 11111, 11111, 0) < 0,
		 "bytes around the region changed");
	t_unmap(space, len);
	t_write_file("/proc/sys/vm/nr_hugepages", "0");
}

/* --- folios of several pages --- */

#define FOLIO (64UL << 10)
#define FOLIO_KNOBS "/sys/kernel/mm/transparent_hugepage/"
#define FOLIO_64 FOLIO_KNOBS "hugepages-64kB/enabled"
#define FOLIO_2048 FOLIO_KNOBS "hugepages-2048kB/enabled"

/* WRITEs to page @page of each folio; returns how many faults they took */
static uint64_t write_folios(struct mm_scene *s, unsigned int page)
{
	uint64_t faults = t_counter(&s->d.dev, "page_faults");
	size_t off;

	/* Downwards: what looks like a stream is served ahead in any case */
	for (off = LEN; off; off -= FOLIO) {
		t_post(&s->d.a, IBV_WR_RDMA_WRITE, 1, t_duo_sge(&s->d, 0, 8),
		       t_remote(&s->d, off - FOLIO + page * T_PAGE),
		       s->d.bmr->rkey);
		t_want_wc(s->d.a.scq, 1, IBV_WC_SUCCESS);
	}
	return mm_counter(&s->d.dev, "page_faults") - faults;
}

/* A fault for some of a folio serves what is behind it in the folio, too. */
static void large_folios(void)
{
	unsigned int page, pages = FOLIO / T_PAGE;
	uint64_t faults = 0, folios = LEN / FOLIO;
	struct mm_scene s;
	char *mem;

	if (t_write_file(FOLIO_64, "always"))
		t_skip("no folios of 64 KiB");
	T_ASSERT(!t_write_file(FOLIO_2048, "never"), "none of 2 MiB: %s",
		 t_errname(errno));
	mem = t_map_aligned(LEN, T_HUGE);
	T_ASSERT(!mprotect(mem, LEN, PROT_READ | PROT_WRITE) &&
			 !madvise(mem, LEN, MADV_HUGEPAGE),
		 "folios: %s", t_errname(errno));
	memset(mem, 1, LEN);
	mm_open_at(&s, mem, LEN, false);
	faults = write_folios(&s, 0);
	T_ASSERT(faults >= folios, "%lu faults for the first pages", faults);
	faults = 0;
	for (page = pages - 1; page; page--)
		faults += write_folios(&s, page);
	/* The mm may have had to do with small ones here and there */
	T_ASSERT(faults < folios, "%lu faults behind the first pages", faults);
	t_dereg(s.d.bmr);
	t_write_file(FOLIO_64, "never");
	t_write_file(FOLIO_2048, "inherit");
}

/* --- KSM --- */

static long ksm_sharing(void)
{
	char line[32];

	return t_read_file("/sys/kernel/mm/ksm/pages_sharing", line,
			   sizeof(line)) ?
		       atol(line) :
		       -1;
}

/* A page that KSM has merged is copied before the device writes it. */
static void ksm(void)
{
	size_t len = 256 * T_PAGE;
	struct mm_scene s;
	unsigned int i;
	char *twin;

	if (t_write_file("/sys/kernel/mm/ksm/run", "1"))
		t_skip("no KSM");
	t_write_file("/sys/kernel/mm/ksm/pages_to_scan", "5000");
	t_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "5");
	mm_open(&s, len, T_SMALL, false);
	twin = t_map(len);
	mm_write(&s, 1);
	memcpy(twin, s.d.bbuf, len);
	madvise(twin, len, MADV_MERGEABLE);
	madvise(s.d.bbuf, len, MADV_MERGEABLE);
	for (i = 0; i < 1000 && ksm_sharing() < 128; i++)
		t_sleep_ms(10);
	if (ksm_sharing() < 128) {
		t_write_file("/sys/kernel/mm/ksm/run", "2");
		t_skip("KSM merged only %ld pages", ksm_sharing());
	}
	mm_read(&s);
	t_want_data(s.d.abuf, len, 1);
	mm_write(&s, 2);
	t_want_data(s.d.bbuf, len, 2);
	t_want_data(twin, len, 1);
	/* And while it merges: the same data again and again */
	for (i = 0; i < 50; i++) {
		t_case("round %u", i);
		mm_write(&s, 1);
		t_sleep_ms(i % 10);
		mm_read(&s);
		t_want_data(s.d.abuf, len, 1);
		mm_write(&s, 3);
		t_want_data(s.d.bbuf, len, 3);
		t_want_data(twin, len, 1);
	}
	t_write_file("/sys/kernel/mm/ksm/run", "2");
}

/* Not even the kernel maps it: the device has no business there */
static void secret(void)
{
	const size_t len = 4 * T_PAGE;
	char *space = (char *)(16UL << 40);
	int fd = syscall(SYS_memfd_secret, 0);
	struct mm_scene s;

	if (fd < 0)
		t_skip("no memfd_secret: %s", t_errname(errno));
	T_ASSERT(!ftruncate(fd, len), "ftruncate: %s", t_errname(errno));
	T_ASSERT(mmap(space, len, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, fd, 0) == space,
		 "mmap: %s", t_errname(errno));
	memset(space, 5, len - T_PAGE);
	mm_open_at(&s, space, len, false);
	t_case("pages that are there");
	mm_refused(&s, IBV_WR_RDMA_READ, 0, 8);
	mm_refused(&s, IBV_WR_RDMA_WRITE, T_PAGE - 4, 8);
	t_case("a page that is not");
	mm_refused(&s, IBV_WR_RDMA_WRITE, len - T_PAGE, 8);
	T_ASSERT(t_check_byte(space, len - T_PAGE, 5) < 0, "it was written");
	t_want_data(s.d.abuf, len, 1);
}

static const struct t_test tests[] = {
	{ "swap_small", swap_small, 120 },
	{ "swap_thp", swap_thp, 120 },
	{ "swap_shmem", swap_shmem, 120 },
	{ "lazy_free_written", lazy_free_written, 120 },
	{ "shmem_dirty", shmem_dirty },
	{ "file_dirty", file_dirty },
	{ "uffd", uffd },
	{ "uffd_late", uffd_late },
	{ "uffd_abandoned", uffd_abandoned },
	{ "hugetlb", hugetlb },
	{ "large_folios", large_folios },
	{ "ksm", ksm },
	{ "secret", secret },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
