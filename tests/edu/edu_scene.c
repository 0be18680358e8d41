// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What the tests of the edu device share */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "edu_scene.h"

#define MPOL_MF_MOVE 2

int edu_open(void)
{
	int fd = open("/dev/odp_edu", O_RDWR | O_CLOEXEC);

	T_ASSERT(fd >= 0, "/dev/odp_edu: %s", t_errname(errno));
	return fd;
}

static int ask(int fd, unsigned long what, void *arg)
{
	return ioctl(fd, what, arg) < 0 ? errno : 0;
}

int edu_try_region(int fd, void *addr, size_t len, uint32_t flags,
		   uint32_t *id)
{
	struct odp_edu_region region = {
		.va = (uintptr_t)addr,
		.len = len,
		.flags = flags,
	};
	int ret = ask(fd, ODP_EDU_REGION, &region);

	*id = region.id;
	return ret;
}

uint32_t edu_region(int fd, void *addr, size_t len, uint32_t flags)
{
	uint32_t id;

	T_OK(edu_try_region(fd, addr, len, flags, &id));
	return id;
}

int edu_try_destroy(int fd, uint32_t id)
{
	return ask(fd, ODP_EDU_DESTROY, &id);
}

int edu_try_copy(const struct edu_scene *s, void *dst, const void *src,
		 size_t len)
{
	struct odp_edu_copy copy = {
		.src_va = (uintptr_t)src,
		.dst_va = (uintptr_t)dst,
		.len = len,
		.src = s->src_id,
		.dst = s->dst_id,
	};

	return ask(s->fd, ODP_EDU_COPY, &copy);
}

void (edu_copy)(const struct edu_scene *s, void *dst, const void *src,
		size_t len)
{
	T_OK(edu_try_copy(s, dst, src, len));
}

int edu_try_map(int fd, uint32_t id, void *addr, size_t len, bool write)
{
	struct odp_edu_map map = {
		.va = (uintptr_t)addr,
		.len = len,
		.id = id,
		.write = write,
	};

	return ask(fd, ODP_EDU_MAP, &map);
}

struct odp_edu_stats edu_stats(int fd, uint32_t id)
{
	struct odp_edu_stats stats = { .id = id };

	T_OK(ask(fd, ODP_EDU_STATS, &stats));
	return stats;
}

int edu_try_reach(int fd, uint32_t bits)
{
	return ask(fd, ODP_EDU_REACH, &bits);
}

void edu_scene_open(struct edu_scene *s, size_t len, enum t_pages pages,
		    enum edu_kind kind)
{
	uint32_t flags = ODP_EDU_WRITABLE;

	s->fd = edu_open();
	s->len = len;
	/*
	 * Far below everything else, where the kernel puts no new mappings: a
	 * hole stays one. And far from each other.
	 */
	s->src = (char *)(16UL << 40);
	s->dst = s->src + 4 * T_GIB;
	t_map_pages(s->src, len, pages);
	t_map_pages(s->dst, len, pages);
	t_patterns_init();
	if (kind == EDU_IMPLICIT) {
		flags |= ODP_EDU_IMPLICIT;
		s->dst_id = edu_region(s->fd, NULL, SIZE_MAX, flags);
		s->src_id = s->dst_id;
		return;
	}
	s->dst_id = edu_region(s->fd, s->dst, len, flags);
	s->src_id = edu_region(s->fd, s->src, len, 0);
}

void edu_swap_on(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	T_ASSERT(!sched_setaffinity(0, sizeof(one), &one), "affinity: %s",
		 t_errname(errno));
	t_swap_on(T_SWAP_SIZE);
}

uint64_t edu_pagemap(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	off_t at = (uintptr_t)addr / T_PAGE * sizeof(entry);

	T_ASSERT(fd >= 0 && pread(fd, &entry, sizeof(entry), at) ==
		 sizeof(entry), "pagemap: %s", t_errname(errno));
	close(fd);
	return entry;
}

void edu_move(void *addr, size_t len)
{
	size_t nr = len / T_PAGE, i;
	void *pages[nr];
	int status[nr], nodes[nr];

	for (i = 0; i < nr; i++)
		pages[i] = (char *)addr + i * T_PAGE;
	if (syscall(SYS_move_pages, 0, nr, pages, NULL, status, 0))
		t_skip("move_pages: %s", t_errname(errno));
	/* Where there is no page there is nothing to move */
	for (i = 0; i < nr; i++)
		nodes[i] = status[i] == 0;
	if (syscall(SYS_move_pages, 0, nr, pages, nodes, status,
		    MPOL_MF_MOVE) < 0)
		t_skip("move_pages: %s", t_errname(errno));
}
