// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory of another PCI device (P2PDMA): QEMU's NVMe controller has some
 *
 * The processes have it like any other, but our device does not get it: it may
 * not be able to reach it, or by another address than the one it would be given.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu_scene.h"
#include "edu_tests.h"

/* In the place of a page */
static void map_peer(char *at)
{
	glob_t found;
	int fd;

	if (glob("/sys/bus/pci/devices/*/p2pmem/allocate", 0, NULL, &found))
		t_skip("no device with memory for its peers");
	fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
	T_ASSERT(fd >= 0, "%s: %s", found.gl_pathv[0], t_errname(errno));
	T_ASSERT(mmap(at, T_PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, fd, 0) == at, "mmap: %s",
		 t_errname(errno));
	close(fd);
	globfree(&found);
}

/* The pages before and behind it are served, also by a fault near it */
static void want_neighbours(const struct edu_scene *s, uint64_t seed)
{
	t_fill(s->src, T_PAGE, seed);
	t_fill(s->src + 2 * T_PAGE, T_PAGE, seed + 1);
	edu_copy(s, s->dst, s->src, 64);
	t_want_data(s->dst, 64, seed);
	edu_copy(s, s->dst + 2 * T_PAGE, s->src + 2 * T_PAGE, 64);
	t_want_data(s->dst + 2 * T_PAGE, 64, seed + 1);
}

void test_peer(void)
{
	struct edu_scene s;
	char *src, *dst;

	edu_scene_open(&s, 3 * T_PAGE, T_SMALL, EDU_EXPLICIT);
	src = s.src + T_PAGE;
	dst = s.dst + T_PAGE;
	map_peer(src);
	map_peer(dst);
	t_fill(src, 64, 1);
	t_fill(dst, 64, 2);
	want_neighbours(&s, 3);
	T_ERR(edu_try_copy(&s, s.dst, src, 64), EFAULT);
	T_ERR(edu_try_copy(&s, dst, s.src, 64), EFAULT);
	T_ERR(edu_try_map(s.fd, s.src_id, s.src, s.len, false), EFAULT);
	T_ERR(edu_try_map(s.fd, s.dst_id, s.dst, s.len, true), EFAULT);
	T_ASSERT(edu_stats(s.fd, s.src_id).mapped_pages == 2, "mapped");
	T_ASSERT(edu_stats(s.fd, s.dst_id).mapped_pages == 2, "mapped");
	t_want_data(src, 64, 1);
	t_want_data(dst, 64, 2);
	want_neighbours(&s, 5);
	/* Memory of its own in that place, and back */
	t_unmap(src, T_PAGE);
	t_map_pages(src, T_PAGE, T_SMALL);
	t_fill(src, 64, 7);
	edu_copy(&s, s.dst, src, 64);
	t_want_data(s.dst, 64, 7);
	map_peer(src);
	T_ERR(edu_try_copy(&s, s.dst, src, 64), EFAULT);
}
