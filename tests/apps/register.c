// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * How long a program waits that registers much memory before it starts.
 *
 * register DEVICE GIB pinned|odp	prints milliseconds
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <infiniband/verbs.h>

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	int i;

	for (i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			return ibv_open_device(list[i]);
	return NULL;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	struct ibv_context *context;
	struct ibv_pd *pd;
	size_t length;
	double began;
	void *memory;

	if (argc != 4) {
		fprintf(stderr, "usage: register DEVICE GIB pinned|odp\n");
		return 2;
	}
	if (!strcmp(argv[3], "odp"))
		access |= IBV_ACCESS_ON_DEMAND;
	length = strtoul(argv[2], NULL, 0) << 30;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	context = open_device(argv[1]);
	pd = context ? ibv_alloc_pd(context) : NULL;
	if (memory == MAP_FAILED || !pd) {
		fprintf(stderr, "no memory, or no device %s\n", argv[1]);
		return 1;
	}
	began = now_ms();
	if (!ibv_reg_mr(pd, memory, length, access)) {
		perror("ibv_reg_mr");
		return 1;
	}
	printf("%.3f\n", now_ms() - began);
	return 0;
}
