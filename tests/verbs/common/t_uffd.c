// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Pages behind a userfaultfd */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "t_uffd.h"

int t_uffd(void *addr, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		t_skip("userfaultfd: %s", t_errname(errno));
	T_ASSERT(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	T_ASSERT(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s",
		 t_errname(errno));
	return fd;
}

void t_uffd_serve(int fd, void *addr)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)addr, .len = T_PAGE },
	};

	T_ASSERT(!ioctl(fd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE: %s",
		 t_errname(errno));
}

void t_uffd_wake(int fd, void *addr)
{
	struct uffdio_range range = {
		.start = (uintptr_t)addr,
		.len = T_PAGE,
	};

	T_ASSERT(!ioctl(fd, UFFDIO_WAKE, &range), "UFFDIO_WAKE: %s",
		 t_errname(errno));
}

static void *monitor_loop(void *arg)
{
	struct t_monitor *m = arg;
	struct uffdio_copy copy;
	struct uffd_msg msg;

	while (read(m->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		if (m->delay_ms)
			t_sleep_ms(m->delay_ms);
		memset(&copy, 0, sizeof(copy));
		copy.dst = msg.arg.pagefault.address & ~(T_PAGE - 1);
		copy.src = (uintptr_t)m->page;
		copy.len = T_PAGE;
		memset(m->page, 0x80 | (copy.dst / T_PAGE & 0x7f), T_PAGE);
		if (!ioctl(m->fd, UFFDIO_COPY, &copy))
			m->served++;
		else if (errno != EEXIST)
			break;
	}
	return NULL;
}

void t_monitor_start(struct t_monitor *m, void *addr, size_t len,
		     unsigned int delay_ms)
{
	pthread_t thread;

	m->delay_ms = delay_ms;
	m->served = 0;
	m->page = t_map(T_PAGE);
	m->fd = t_uffd(addr, len);
	T_ASSERT(!pthread_create(&thread, NULL, monitor_loop, m), "thread");
}

void t_want_monitored(const char *p, const char *addr, size_t pages)
{
	size_t i;

	for (i = 0; i < pages; i++)
		T_ASSERT(t_check_byte(p + i * T_PAGE, T_PAGE,
				      0x80 | (((uintptr_t)addr / T_PAGE + i) &
					      0x7f)) < 0,
			 "page %zu is not what the monitor gave", i);
}
