// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* User memory of every kind, and patterns */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/types.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t_mem.h"

/* A prime, so that no page, leaf or child has the bytes of another */
#define PATTERN_BYTES 1048583UL

const char *const t_pages_names[T_NR_PAGES] = {
	[T_SMALL] = "small",
	[T_THP] = "thp",
	[T_SHMEM] = "shmem",
};

const char *const t_kind_names[T_NR_KINDS] = {
	[T_PINNED] = "pinned",
	[T_EXPLICIT] = "explicit",
	[T_IMPLICIT] = "implicit",
};

static unsigned char *data_bytes;
static unsigned char *background_bytes;

void *t_map_aligned(size_t size, size_t align)
{
	char *raw = mmap(NULL, size + align, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t start;

	T_ASSERT(raw != MAP_FAILED, "mmap of %#zx: %s", size,
		 t_errname(errno));
	start = ((uintptr_t)raw + align - 1) & ~(align - 1);
	if (start > (uintptr_t)raw)
		munmap(raw, start - (uintptr_t)raw);
	munmap((char *)start + size, (uintptr_t)raw + align - start);
	return (void *)start;
}

void *t_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	T_ASSERT(p != MAP_FAILED, "mmap of %#zx: %s", size, t_errname(errno));
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

void t_map_pages(void *addr, size_t size, enum t_pages pages)
{
	int flags = MAP_FIXED | MAP_NORESERVE;
	int fd = -1;
	void *p;

	if (pages == T_SHMEM) {
		fd = memfd_create("t_mem", MFD_CLOEXEC);
		T_ASSERT(fd >= 0 && !ftruncate(fd, size), "memfd: %s",
			 t_errname(errno));
		flags |= MAP_SHARED;
	} else {
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	}
	p = mmap(addr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	T_ASSERT(p == addr, "mmap of %#zx at %p: %s", size, addr,
		 t_errname(errno));
	if (fd >= 0)
		close(fd);
	if (pages == T_THP)
		madvise(addr, size, MADV_HUGEPAGE);
	if (pages == T_SMALL)
		madvise(addr, size, MADV_NOHUGEPAGE);
}

/* <linux/udmabuf.h>, which bookworm may lack */
struct udmabuf {
	__u32 memfd;
	__u32 flags;
	__u64 offset;
	__u64 size;
};
#define UDMABUF_IOC _IOW('u', 0x42, struct udmabuf)

int t_udmabuf(size_t size, int *memfd)
{
	struct udmabuf create = { .size = size };
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd;

	if (dev < 0)
		return -1;
	*memfd = memfd_create("dmabuf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	T_ASSERT(*memfd >= 0 && !ftruncate(*memfd, size), "memfd: %s",
		 t_errname(errno));
	T_ASSERT(!fcntl(*memfd, F_ADD_SEALS, F_SEAL_SHRINK), "seal: %s",
		 t_errname(errno));
	create.memfd = *memfd;
	fd = ioctl(dev, UDMABUF_IOC, &create);
	T_ASSERT(fd >= 0, "udmabuf: %s", t_errname(errno));
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	close(dev);
	return fd;
}

void t_unmap(void *addr, size_t size)
{
	T_ASSERT(!munmap(addr, size), "munmap: %s", t_errname(errno));
}

struct ibv_mr *t_reg_kind(struct t_dev *dev, enum t_kind kind, void *addr,
			  size_t length, unsigned int access)
{
	if (kind == T_PINNED)
		return t_reg(dev->pd, addr, length, access);
	access |= IBV_ACCESS_ON_DEMAND;
	if (kind == T_EXPLICIT)
		return t_reg(dev->pd, addr, length, access);
	return t_reg(dev->pd, NULL, SIZE_MAX, access);
}

bool t_can_kind(const struct t_dev *dev, enum t_kind kind)
{
	switch (kind) {
	case T_EXPLICIT:
		return t_has_odp(dev, 0);
	case T_IMPLICIT:
		return t_has_implicit(dev);
	default:
		return true;
	}
}

void t_patterns_init(void)
{
	struct t_rand r = { .state = 1 };
	uint64_t word;
	size_t i;

	if (data_bytes)
		return;
	data_bytes = malloc(PATTERN_BYTES + 8);
	background_bytes = malloc(PATTERN_BYTES + 8);
	T_ASSERT(data_bytes && background_bytes, "no memory");
	for (i = 0; i < PATTERN_BYTES; i += 8) {
		word = t_rand(&r) | 0x8080808080808080ULL;
		memcpy(data_bytes + i, &word, 8);
		word = t_rand(&r) & 0x7f7f7f7f7f7f7f7fULL;
		memcpy(background_bytes + i, &word, 8);
	}
}

static void fill(unsigned char *to, size_t len, const unsigned char *bytes,
		 uint64_t pos)
{
	size_t start = pos % PATTERN_BYTES;
	size_t n;

	while (len) {
		n = PATTERN_BYTES - start;
		if (n > len)
			n = len;
		memcpy(to, bytes + start, n);
		to += n;
		len -= n;
		start = 0;
	}
}

static int64_t check(const unsigned char *p, size_t len,
		     const unsigned char *bytes, uint64_t pos)
{
	size_t start = pos % PATTERN_BYTES;
	size_t done = 0;
	size_t n;
	size_t i;

	while (done < len) {
		n = PATTERN_BYTES - start;
		if (n > len - done)
			n = len - done;
		if (memcmp(p + done, bytes + start, n)) {
			for (i = 0; p[done + i] == bytes[start + i]; i++)
				;
			return done + i;
		}
		done += n;
		start = 0;
	}
	return -1;
}

static uint64_t data_pos(uint64_t seed, uint64_t pos)
{
	struct t_rand r = { .state = seed };

	return t_rand(&r) % PATTERN_BYTES + pos;
}

void t_fill_data(void *addr, size_t len, uint64_t seed, uint64_t pos)
{
	t_patterns_init();
	fill(addr, len, data_bytes, data_pos(seed, pos));
}

void t_fill_background(void *addr, size_t len)
{
	t_patterns_init();
	fill(addr, len, background_bytes, (uintptr_t)addr);
}

void t_copy_background(void *to, const void *addr, size_t len)
{
	t_patterns_init();
	fill(to, len, background_bytes, (uintptr_t)addr);
}

int64_t t_check_data(const void *addr, size_t len, uint64_t seed, uint64_t pos)
{
	t_patterns_init();
	return check(addr, len, data_bytes, data_pos(seed, pos));
}

int64_t t_check_background(const void *addr, size_t len)
{
	t_patterns_init();
	return check(addr, len, background_bytes, (uintptr_t)addr);
}

int64_t t_check_byte(const void *addr, size_t len, unsigned char byte)
{
	const unsigned char *p = addr;
	size_t i;

	if (!len || (p[0] == byte && !memcmp(p, p + 1, len - 1)))
		return -1;
	for (i = 0; p[i] == byte; i++)
		;
	return i;
}

void t_fill(void *addr, size_t len, uint64_t seed)
{
	t_fill_data(addr, len, seed, 0);
}

void (t_want_data)(const void *addr, size_t len, uint64_t seed)
{
	const unsigned char *p = addr;
	int64_t bad = t_check_data(addr, len, seed, 0);
	unsigned char want;

	if (bad < 0)
		return;
	t_fill_data(&want, 1, seed, bad);
	t_fail("byte %lld of %zu is %#x, want %#x", (long long)bad, len,
	       p[bad], want);
}
