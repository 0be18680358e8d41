// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Preloaded before librspreload, which leaves to TCP, without a word, all
 * sockets whose type has SOCK_CLOEXEC or SOCK_NONBLOCK, and knows no
 * accept4(): here these are what they were before Linux 2.6.27.  Children
 * of the program inherit its sockets then.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
	int (*real)(int d, int t, int p) = dlsym(RTLD_NEXT, "socket");
	int fd = real(domain, type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK),
		      protocol);

	if (fd >= 0 && type & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int link = accept(fd, addr, len);

	if (link >= 0 && flags & SOCK_NONBLOCK)
		fcntl(link, F_SETFL, O_NONBLOCK);
	return link;
}
