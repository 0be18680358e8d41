// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What the kernel offers without RDMA: process_vm_writev(2), a system call,
 * TCP. These need no device and run outside a guest too.
 */

#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define MAX_SIZES	8
#define CONNECT_TRIES	250

static pid_t sleeper(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static uint64_t vm_writes(pid_t pid, const struct area *from,
			  const struct area *to, uint64_t size, uint64_t first,
			  unsigned int count)
{
	struct iovec local = { .iov_len = size }, remote = { .iov_len = size };
	uint64_t begin = now_ns(), offset;
	unsigned int i;

	for (i = 0; i < count; i++) {
		offset = stream_offset(first + i, size, from->len);
		local.iov_base = from->addr + offset;
		remote.iov_base = to->addr + offset;
		if (process_vm_writev(pid, &local, 1, &remote, 1, 0) !=
		    (ssize_t)size)
			die("process_vm_writev: %s", strerror(errno));
	}
	return now_ns() - begin;
}

static uint64_t copies(const struct area *from, const struct area *to,
		       uint64_t size, uint64_t first, unsigned int count)
{
	uint64_t begin = now_ns(), offset;
	unsigned int i;

	for (i = 0; i < count; i++) {
		offset = stream_offset(first + i, size, from->len);
		memcpy(to->addr + offset, from->addr + offset, size);
	}
	return now_ns() - begin;
}

static void vm_measure(uint64_t size, uint64_t buffer, unsigned int count)
{
	struct series vm_ns = { "vm_ns" }, copy_ns = { "memcpy_ns" };
	struct series call_ns = { "call_ns" };
	unsigned int i, reps = opt_u64("reps", 31);
	int fd = open("/dev/null", O_RDWR);
	bool far = opt_u64("far", 0);
	struct area from, to;
	pid_t pid;

	area_map(&from, buffer, true, SHIFT_SOURCE);
	area_map(&to, buffer, true, SHIFT_TARGET);
	memset(from.addr, 0x5a, buffer);
	memset(to.addr, 0xa5, buffer);
	pid = sleeper();
	/* Each has pages of its own from now on */
	vm_writes(pid, &from, &to, SMALL_PAGE, 0, buffer / SMALL_PAGE);
	memset(to.addr, 0xa5, buffer);
	for (i = 0; i < reps; i++) {
		if (!far)
			vm_writes(pid, &from, &to, size, 0, count);
		series_add(&vm_ns, vm_writes(pid, &from, &to, size,
					     (uint64_t)i * count, count));
		if (!far)
			copies(&from, &to, size, 0, count);
		series_add(&copy_ns, copies(&from, &to, size,
					    (uint64_t)(i + reps) * count,
					    count));
		series_add(&call_ns, calls_ns(fd));
	}
	printf("{\"size\": %llu, \"count\": %u, \"calls\": %d, ",
	       (unsigned long long)size, count, CALLS);
	print_series(&vm_ns, false);
	print_series(&copy_ns, false);
	print_series(&call_ns, true);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	area_unmap(&to);
	area_unmap(&from);
	close(fd);
}

/*
 * vm sizes= count= buffer= reps= far=0|1
 *
 * process_vm_writev() to another process, memcpy() of as much, and system
 * calls that do nothing, in turns.
 */
int cmd_vm(void)
{
	uint64_t sizes[MAX_SIZES], buffer = opt_u64("buffer", 0);
	int i, nr = opt_sizes("sizes", "64K", sizes, MAX_SIZES);

	for (i = 0; i < nr; i++)
		vm_measure(sizes[i], buffer ? buffer : sizes[i],
			   opt_u64("count", 16));
	return 0;
}

static void send_all(int fd, const char *from, uint64_t len)
{
	ssize_t sent;

	for (; len; len -= sent, from += sent) {
		sent = write(fd, from, len);
		if (sent <= 0)
			die("write: %s", strerror(errno));
	}
}

static void receive_all(int fd, char *to, uint64_t room, uint64_t len)
{
	ssize_t got;

	for (; len; len -= got) {
		got = read(fd, to, len < room ? len : room);
		if (got <= 0)
			exit(0);
	}
}

static int tcp_socket(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	*addr = (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_port = htons(opt_u64("port", 5201)),
	};
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
				 sizeof(one)))
		die("socket: %s", strerror(errno));
	if (inet_pton(AF_INET, opt_str("addr", "127.0.0.1"),
		      &addr->sin_addr) != 1)
		die("addr: no IPv4 address");
	return fd;
}

/* tcp_serve addr= port= total= chunk=: takes total= bytes, sends one */
int cmd_tcp_serve(void)
{
	uint64_t total = opt_u64("total", 64 * MIB);
	uint64_t chunk = opt_u64("chunk", MIB);
	char *buffer = malloc(chunk);
	struct sockaddr_in addr;
	int fd, listener = tcp_socket(&addr);

	if (!buffer || bind(listener, (void *)&addr, sizeof(addr)) ||
	    listen(listener, 1))
		die("listen: %s", strerror(errno));
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die("accept: %s", strerror(errno));
	for (;;) {
		receive_all(fd, buffer, chunk, total);
		send_all(fd, buffer, 1);
	}
}

/* tcp addr= port= total= chunk= reps=: how long that takes */
int cmd_tcp(void)
{
	uint64_t total = opt_u64("total", 64 * MIB), left, begin;
	uint64_t chunk = opt_u64("chunk", MIB);
	unsigned int i, reps = opt_u64("reps", 5);
	struct series tcp_ns = { "tcp_ns" };
	char *buffer = malloc(chunk);
	struct sockaddr_in addr;
	int fd = tcp_socket(&addr);

	if (!buffer)
		die("out of memory");
	/* The other side may be on its way */
	for (i = 0; connect(fd, (void *)&addr, sizeof(addr)); i++) {
		if (i == CONNECT_TRIES)
			die("connect: %s", strerror(errno));
		usleep(20000);
	}
	memset(buffer, 0x5a, chunk);
	for (i = 0; i <= reps; i++) {
		begin = now_ns();
		for (left = total; left; left -= chunk)
			send_all(fd, buffer, chunk);
		receive_all(fd, buffer, 1, 1);
		/* The first time the windows grow */
		if (i)
			series_add(&tcp_ns, now_ns() - begin);
	}
	printf("{\"bytes\": %llu, ", (unsigned long long)total);
	print_series(&tcp_ns, true);
	return 0;
}
