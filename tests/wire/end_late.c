// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Pages that come late: by userfaultfd, or from a slow file system */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wire.h"

/* --- userfaultfd --- */

struct delay {
	int fd;
	unsigned int ms;
	uint64_t seed;
	char *start;
	size_t len;
};

/* The first fault waits; then all pages come at once. */
static void *delay_run(void *arg)
{
	struct delay *d = arg;
	struct uffdio_copy copy = { 0 };
	struct uffd_msg msg;
	char *data;

	data = mmap(NULL, d->len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		t_fail("no memory for late pages");
	t_fill_data(data, d->len, d->seed, 0);
	if (read(d->fd, &msg, sizeof(msg)) != sizeof(msg))
		t_fail("userfaultfd: %s", t_errname(errno));
	t_sleep_ms(d->ms);
	copy.dst = (uintptr_t)d->start;
	copy.src = (uintptr_t)data;
	copy.len = d->len;
	if (ioctl(d->fd, UFFDIO_COPY, &copy))
		t_fail("UFFDIO_COPY: %s", t_errname(errno));
	munmap(data, d->len);
	/* The place can be given to another one then */
	close(d->fd);
	free(d);
	return NULL;
}

/*
 * The pages of a place come when they are first touched and place->ms have
 * passed, with the data of place->seed in them.
 */
void end_delay(struct w_end *end, const struct w_req *req)
{
	const struct w_buf *buf = &end->buf[req->place.buf];
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { 0 };
	struct delay *d = calloc(1, sizeof(*d));
	pthread_t thread;

	T_ASSERT(d, "no memory");
	d->ms = req->ms;
	d->seed = req->place.seed;
	d->start = buf->base + req->place.off;
	d->len = req->place.len;
	d->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	T_ASSERT(d->fd >= 0, "userfaultfd: %s", t_errname(errno));
	T_ASSERT(!ioctl(d->fd, UFFDIO_API, &api), "UFFDIO_API: %s",
		 t_errname(errno));
	T_ASSERT(!madvise(d->start, d->len, MADV_DONTNEED), "madvise: %s",
		 t_errname(errno));
	reg.range.start = (uintptr_t)d->start;
	reg.range.len = d->len;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	T_ASSERT(!ioctl(d->fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s",
		 t_errname(errno));
	T_ASSERT(!pthread_create(&thread, NULL, delay_run, d), "no thread");
	pthread_detach(thread);
}

/* --- a file system that takes its time --- */

#define FUSE_DIR "/tmp/wire-fuse"
#define FUSE_NODE 2
#define FUSE_MAX (256U << 10)

struct slow_fs {
	int fd;
	unsigned int ms;
	uint64_t seed;
	uint64_t size;
	bool slept;
	char request[FUSE_MAX + 4096];
	char answer[FUSE_MAX];
};

static void fuse_attr(const struct slow_fs *fs, uint64_t node,
		      struct fuse_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->ino = node;
	attr->nlink = 1;
	attr->blksize = T_PAGE;
	attr->mode = node == FUSE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700;
	attr->size = node == FUSE_NODE ? fs->size : 0;
}

/* Data from a place of the file; the first time it takes long. */
static int fuse_data(struct slow_fs *fs, const struct fuse_read_in *in)
{
	uint64_t len = in->size;

	if (in->offset >= fs->size)
		return 0;
	if (len > fs->size - in->offset)
		len = fs->size - in->offset;
	if (!fs->slept)
		t_sleep_ms(fs->ms);
	fs->slept = true;
	t_fill_data(fs->answer, len, fs->seed, in->offset);
	return len;
}

/* Fills fs->answer; its length, or a negative errno. */
static int fuse_handle(struct slow_fs *fs, const struct fuse_in_header *in)
{
	struct fuse_entry_out *entry = (void *)fs->answer;
	struct fuse_attr_out *attr = (void *)fs->answer;
	struct fuse_init_out *init = (void *)fs->answer;
	const struct fuse_init_in *init_in = (const void *)(in + 1);

	memset(fs->answer, 0, 512);
	switch (in->opcode) {
	case FUSE_INIT:
		init->major = FUSE_KERNEL_VERSION;
		init->minor = FUSE_KERNEL_MINOR_VERSION;
		init->max_readahead = init_in->max_readahead;
		init->max_write = T_PAGE;
		return sizeof(*init);
	case FUSE_LOOKUP:
		entry->nodeid = FUSE_NODE;
		entry->entry_valid = 3600;
		entry->attr_valid = 3600;
		fuse_attr(fs, FUSE_NODE, &entry->attr);
		return sizeof(*entry);
	case FUSE_GETATTR:
		attr->attr_valid = 3600;
		fuse_attr(fs, in->nodeid, &attr->attr);
		return sizeof(*attr);
	case FUSE_OPEN:
		return sizeof(struct fuse_open_out);
	case FUSE_READ:
		return fuse_data(fs, (const void *)(in + 1));
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		return -ENOSYS;
	}
}

static void *fuse_run(void *arg)
{
	struct slow_fs *fs = arg;
	struct fuse_in_header *in = (void *)fs->request;
	struct fuse_out_header out;
	struct iovec iov[2] = {
		{ &out, sizeof(out) },
		{ fs->answer, 0 },
	};
	int ret;

	while (read(fs->fd, fs->request, sizeof(fs->request)) > 0) {
		if (in->opcode == FUSE_FORGET ||
		    in->opcode == FUSE_BATCH_FORGET ||
		    in->opcode == FUSE_INTERRUPT)
			continue;
		ret = fuse_handle(fs, in);
		iov[1].iov_len = ret > 0 ? ret : 0;
		out.len = sizeof(out) + iov[1].iov_len;
		out.error = ret < 0 ? ret : 0;
		out.unique = in->unique;
		if (writev(fs->fd, iov, 2) < 0 && errno != ENOENT)
			break;
	}
	/* Nothing is mapped of it any more */
	close(fs->fd);
	free(fs);
	return NULL;
}

static void fuse_mount(struct slow_fs *fs)
{
	char options[96];

	t_system("modprobe -q fuse; umount -l " FUSE_DIR " 2>/dev/null");
	mkdir(FUSE_DIR, 0700);
	fs->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fs->fd < 0)
		t_fail("/dev/fuse: %s", t_errname(errno));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fs->fd);
	T_ASSERT(!mount("wire", FUSE_DIR, "fuse", MS_NOSUID | MS_NODEV,
			options),
		 "mount: %s", t_errname(errno));
}

/*
 * The pages of a place belong to a file whose file system answers after
 * req->ms. The mount goes with the process that serves it.
 */
void end_delay_file(struct w_end *end, const struct w_req *req)
{
	const struct w_buf *buf = &end->buf[req->place.buf];
	struct slow_fs *fs = calloc(1, sizeof(*fs));
	pthread_t thread;
	void *p;
	int fd;

	T_ASSERT(fs, "no memory");
	fs->ms = req->ms;
	fs->seed = req->place.seed;
	fs->size = req->place.len;
	fuse_mount(fs);
	T_ASSERT(!pthread_create(&thread, NULL, fuse_run, fs), "no thread");
	pthread_detach(thread);
	fd = open(FUSE_DIR "/late", O_RDONLY | O_CLOEXEC);
	T_ASSERT(fd >= 0, "open: %s", t_errname(errno));
	p = mmap(buf->base + req->place.off, req->place.len,
		 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	T_ASSERT(p != MAP_FAILED, "mmap: %s", t_errname(errno));
	close(fd);
	umount2(FUSE_DIR, MNT_DETACH);
}
