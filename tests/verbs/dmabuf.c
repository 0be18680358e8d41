// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* MRs on dma-bufs: memfd pages exported by udmabuf, or the system heap's */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/t_duo.h"

#define LEN (600 * T_PAGE) /* a leaf's span and some more */

/* <linux/dma-heap.h>, which bookworm may lack */
struct heap {
	__u64 len;
	__u32 fd;
	__u32 fd_flags;
	__u64 heap_flags;
};
#define HEAP_IOC _IOWR('H', 0x0, struct heap)

struct buffer {
	int fd;
	char *map;
};

static void make_udmabuf(struct buffer *b)
{
	int memfd;

	b->fd = t_udmabuf(LEN, &memfd);
	if (b->fd < 0)
		t_skip("no /dev/udmabuf");
	b->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	T_ASSERT(b->map != MAP_FAILED, "mmap: %s", t_errname(errno));
	close(memfd);
}

static void make_heap(struct buffer *b)
{
	struct heap alloc = { .len = LEN, .fd_flags = O_RDWR | O_CLOEXEC };
	int dev = open("/dev/dma_heap/system", O_RDONLY);

	if (dev < 0)
		t_skip("no /dev/dma_heap/system");
	T_ASSERT(!ioctl(dev, HEAP_IOC, &alloc), "heap: %s", t_errname(errno));
	b->fd = alloc.fd;
	b->map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	T_ASSERT(b->map != MAP_FAILED, "mmap: %s", t_errname(errno));
	close(dev);
}

static struct ibv_mr *reg(struct t_dev *dev, const struct buffer *b,
			  uint64_t off, size_t len, uint64_t iova)
{
	struct ibv_mr *mr = ibv_reg_dmabuf_mr(dev->pd, off, len, iova, b->fd,
					      T_ACCESS_ALL);

	if (!mr && errno == EOPNOTSUPP)
		t_skip("no dma-buf MRs");
	T_ASSERT(mr, "ibv_reg_dmabuf_mr(%#llx, %#zx): %s",
		 (unsigned long long)off, len, t_errname(errno));
	return mr;
}

/* Every byte both ways, at an iova of its own, through pinned and ODP */
static void traffic_on(void (*make)(struct buffer *b))
{
	const uint64_t iova = 0x7000123000ULL + 100;
	const size_t len = LEN - 200;
	struct buffer b;
	struct ibv_mr *mr;
	enum t_kind kind;
	struct t_dev dev;
	struct t_duo d;

	t_open(&dev);
	make(&b);
	for (kind = 0; kind < T_NR_KINDS; kind++) {
		t_case("%s", t_kind_names[kind]);
		if (!t_can_kind(&dev, kind))
			continue;
		memset(&d, 0, sizeof(d));
		d.dev = dev;
		t_duo_make(&d, LEN, kind, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
		memset(b.map, 0, LEN);
		mr = reg(&dev, &b, 100, len, iova);
		t_fill(d.abuf, len, kind + 1);
		t_post(&d.a, IBV_WR_RDMA_WRITE, 1, t_sge(d.amr, d.abuf, len),
		       iova, mr->rkey);
		t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
		t_want_data(b.map + 100, len, kind + 1);
		T_ASSERT(t_check_byte(b.map, 100, 0) < 0 &&
				 t_check_byte(b.map + 100 + len, 100, 0) < 0,
			 "bytes beside the MR were written");
		t_post(&d.a, IBV_WR_RDMA_WRITE, 2,
		       t_sge(mr, (void *)(uintptr_t)iova, len),
		       t_remote(&d, 0), d.bmr->rkey);
		t_want_wc(d.a.scq, 2, IBV_WC_SUCCESS);
		t_want_data(d.bbuf, len, kind + 1);
		/* One byte beyond */
		t_post(&d.a, IBV_WR_RDMA_WRITE, 3, t_sge(d.amr, d.abuf, 64),
		       iova + len - 63, mr->rkey);
		t_want_wc(d.a.scq, 3, IBV_WC_REM_ACCESS_ERR);
		T_OK(ibv_dereg_mr(mr));
	}
}

static void udmabuf_traffic(void)
{
	traffic_on(make_udmabuf);
}

static void heap_traffic(void)
{
	traffic_on(make_heap);
}

/* The MR keeps the buffer when everybody else has let go of it */
static void lifetime(void)
{
	struct buffer b;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_duo d;

	t_open(&dev);
	make_udmabuf(&b);
	memset(&d, 0, sizeof(d));
	d.dev = dev;
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	t_fill(b.map, LEN, 4);
	mr = reg(&dev, &b, 0, LEN, 0);
	munmap(b.map, LEN);
	close(b.fd);
	t_post(&d.a, IBV_WR_RDMA_READ, 1, t_duo_sge(&d, 0, LEN), 0, mr->rkey);
	t_want_wc(d.a.scq, 1, IBV_WC_SUCCESS);
	t_want_data(d.abuf, LEN, 4);
	T_OK(ibv_dereg_mr(mr));
	t_duo_works(&d);
}

#define KPF_DIRTY 4 /* <linux/kernel-page-flags.h> */

/* Whether the kernel would lose the page's content if it needed the memory */
static bool page_dirty(const volatile char *p)
{
	int map = open("/proc/self/pagemap", O_RDONLY);
	int kinds = open("/proc/kpageflags", O_RDONLY);
	uint64_t entry, flags;

	if (map < 0 || kinds < 0)
		t_skip("no pagemap");
	(void)*p;
	T_ASSERT(pread(map, &entry, 8, (uintptr_t)p / T_PAGE * 8) == 8 &&
			 entry >> 63,
		 "pagemap");
	T_ASSERT(pread(kinds, &flags, 8, (entry & ((1ULL << 55) - 1)) * 8) ==
			 8,
		 "kpageflags");
	close(map);
	close(kinds);
	return flags >> KPF_DIRTY & 1;
}

/* Pages that nobody else wrote to are not thrown away as if they were empty */
static void dirtied(void)
{
	const size_t spots[] = { 0, LEN / 2, LEN - 8 };
	struct buffer b;
	struct ibv_mr *mr;
	struct t_dev dev;
	struct t_duo d;
	size_t i;

	t_open(&dev);
	make_udmabuf(&b);
	memset(&d, 0, sizeof(d));
	d.dev = dev;
	t_duo_make(&d, T_PAGE, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	mr = reg(&dev, &b, 0, LEN, 0);
	for (i = 0; i < T_ARRAY_SIZE(spots); i++) {
		t_post(&d.a, IBV_WR_RDMA_WRITE, i, t_duo_sge(&d, 0, 8),
		       spots[i], mr->rkey);
		t_want_wc(d.a.scq, i, IBV_WC_SUCCESS);
	}
	T_OK(ibv_dereg_mr(mr));
	for (i = 0; i < T_ARRAY_SIZE(spots); i++)
		T_ASSERT(page_dirty(b.map + spots[i]), "at %#zx", spots[i]);
}

static void refusals(void)
{
	unsigned int bad = T_ACCESS_ALL | IBV_ACCESS_ON_DEMAND;
	struct buffer b;
	struct t_dev dev;
	struct ibv_mr *mr;
	int null;

	t_open(&dev);
	make_udmabuf(&b);
	mr = reg(&dev, &b, 0, LEN, 0);
	/* Its range is the buffer's: only the PD may change */
	T_ASSERT(ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			      IBV_ACCESS_LOCAL_WRITE), "access changed");
	T_OK(ibv_dereg_mr(mr));
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, 0, LEN + 1, 0, b.fd, 0),
		     EINVAL);
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, LEN, 1, 0, b.fd, 0), EINVAL);
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, 4096, UINT64_MAX - 4095, 0,
				       b.fd, 0), EINVAL);
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, 0, 0, 0, b.fd, 0), EINVAL);
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, 0, 1, 1, b.fd, 0), EINVAL);
	T_ASSERT(!ibv_reg_dmabuf_mr(dev.pd, 0, LEN, 0, b.fd, bad),
		 "ODP on a dma-buf");
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, 0, LEN, 0, -1, 0), EBADF);
	null = open("/dev/null", O_RDWR);
	T_NULL_ERRNO(ibv_reg_dmabuf_mr(dev.pd, 0, LEN, 0, null, 0), EINVAL);
	T_OK(ibv_dealloc_pd(dev.pd));
}

static const struct t_test tests[] = {
	{ "udmabuf_traffic", udmabuf_traffic },
	{ "heap_traffic", heap_traffic },
	{ "lifetime", lifetime },
	{ "dirtied", dirtied },
	{ "refusals", refusals },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
