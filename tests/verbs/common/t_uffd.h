/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* t_uffd.h - pages that come late, or never */
#ifndef T_UFFD_H
#define T_UFFD_H

#include "t_mem.h"

/* Missing pages of the range are waited for until the descriptor is closed */
int t_uffd(void *addr, size_t len);
/* Gives one page, zeroed */
void t_uffd_serve(int fd, void *addr);

/* Whoever waits for the page looks again what is there */
void t_uffd_wake(int fd, void *addr);

/* A thread that gives each page when it is touched, after a delay */
struct t_monitor {
	int fd;
	unsigned int delay_ms;
	unsigned int served;
	char *page;
};

void t_monitor_start(struct t_monitor *m, void *addr, size_t len,
		     unsigned int delay_ms);
/* p has what the monitor gave to the pages at addr */
void t_want_monitored(const char *p, const char *addr, size_t pages);

#endif /* T_UFFD_H */
