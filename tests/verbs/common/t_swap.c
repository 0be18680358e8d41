// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Swapped-out pages, in a compressed device in memory */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "t_mem.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define SWAP_DEV "/dev/zram0"

void t_swap_on(size_t size)
{
	char line[64];
	char text[32];

	if (t_system("modprobe zram num_devices=2 2>/dev/null"))
		t_skip("no zram module for a swap device");
	t_swap_off();
	snprintf(text, sizeof(text), "%zu", size);
	if (t_write_file("/sys/block/zram0/disksize", text))
		t_skip("zram0 cannot be set up");
	if (t_system("mkswap " SWAP_DEV " >/dev/null 2>&1 && swapon " SWAP_DEV))
		t_skip("swapon fails");
	t_write_file("/sys/module/zswap/parameters/enabled", "N");
	T_ASSERT(t_read_file("/proc/swaps", line, sizeof(line)), "no swaps");
}

void t_swap_off(void)
{
	t_system("swapoff " SWAP_DEV " 2>/dev/null");
	t_write_file("/sys/block/zram0/reset", "1");
}

size_t t_resident(void *addr, size_t len)
{
	size_t pages = len / T_PAGE;
	unsigned char *vec = malloc(pages);
	size_t n = 0;
	size_t i;

	T_ASSERT(vec && !mincore(addr, len, vec), "mincore: %s",
		 t_errname(errno));
	for (i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

void t_page_out(void *addr, size_t len)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		if (madvise(addr, len, MADV_PAGEOUT))
			t_skip("no MADV_PAGEOUT");
		if (t_resident(addr, len) < len / T_PAGE / 4)
			return;
		t_sleep_ms(10);
	}
	t_skip("%zu of %zu pages stay in memory", t_resident(addr, len),
	       len / T_PAGE);
}
