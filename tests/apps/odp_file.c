// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * An on-demand region over a shared mapping of a file: a peer writes into the
 * file and reads from it by RDMA. Meant for files of a network file system,
 * whose own I/O goes through the same device while a fault waits for it.
 *
 * ODP_FILE is the file, ODP_COPY one where the same bytes come by write().
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t_mem.h"

#define FILE_LEN (4UL << 20)
#define PIECE_MAX (96UL << 10)
#define SEED 20

struct scene {
	struct t_dev dev;
	struct t_ep a, b;
	int fd;
	char *file;
	char *buf;
	struct ibv_mr *file_mr;
	struct ibv_mr *buf_mr;
};

static int open_named(const char *variable, int flags)
{
	const char *path = getenv(variable);
	int fd;

	T_ASSERT(path, "%s is not set", variable);
	fd = open(path, flags, 0644);
	T_ASSERT(fd >= 0, "%s: %s", path, t_errname(errno));
	return fd;
}

static void set_up(struct scene *s, int flags)
{
	t_open(&s->dev);
	t_need_odp(&s->dev);
	t_patterns_init();
	s->fd = open_named("ODP_FILE", flags);
	if (flags & O_TRUNC)
		T_ASSERT(!ftruncate(s->fd, FILE_LEN), "ftruncate: %s",
			 t_errname(errno));
	T_OK(posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED));
	s->file = mmap(NULL, FILE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED,
		       s->fd, 0);
	T_ASSERT(s->file != MAP_FAILED, "mmap: %s", t_errname(errno));
	T_ASSERT(!t_resident(s->file, FILE_LEN), "the file is in memory");
	s->buf = t_map(FILE_LEN);
	s->file_mr = t_reg_kind(&s->dev, T_EXPLICIT, s->file, FILE_LEN,
				T_ACCESS_ALL);
	s->buf_mr = t_reg_kind(&s->dev, T_PINNED, s->buf, FILE_LEN,
			       T_ACCESS_ALL);
	t_pair(&s->dev, &s->a, &s->b, NULL);
}

/* All of the file in odd pieces, in no order: the first half of them last */
static void move_pieces(struct scene *s, enum ibv_wr_opcode opcode)
{
	struct t_rand dice = { 1 };
	size_t at[FILE_LEN / 1024], len[FILE_LEN / 1024], next = 0;
	unsigned int nr, i, k;

	for (nr = 0; next < FILE_LEN; nr++) {
		at[nr] = next;
		len[nr] = 1024 + t_rand_below(&dice, PIECE_MAX);
		if (len[nr] > FILE_LEN - next)
			len[nr] = FILE_LEN - next;
		next += len[nr];
	}
	for (i = 0; i < nr; i++) {
		k = (i + nr / 2) % nr;
		t_post(&s->a, opcode, k,
		       t_sge(s->buf_mr, s->buf + at[k], len[k]),
		       (uintptr_t)s->file + at[k], s->file_mr->rkey);
		t_want_wc(s->a.scq, k, IBV_WC_SUCCESS);
	}
}

static void test_write(void)
{
	struct scene s;
	int copy;

	set_up(&s, O_RDWR | O_CREAT | O_TRUNC);
	t_fill(s.buf, FILE_LEN, SEED);
	move_pieces(&s, IBV_WR_RDMA_WRITE);
	t_want_data(s.file, FILE_LEN, SEED);
	T_ASSERT(!msync(s.file, FILE_LEN, MS_SYNC), "msync: %s",
		 t_errname(errno));
	copy = open_named("ODP_COPY", O_WRONLY | O_CREAT | O_TRUNC);
	T_ASSERT(write(copy, s.buf, FILE_LEN) == FILE_LEN, "the copy: %s",
		 t_errname(errno));
}

static void test_read(void)
{
	struct scene s;

	set_up(&s, O_RDWR);
	move_pieces(&s, IBV_WR_RDMA_READ);
	t_want_data(s.buf, FILE_LEN, SEED);
}

int main(int argc, char **argv)
{
	static const struct t_test tests[] = {
		{ "write", test_write },
		{ "read", test_read },
	};

	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
