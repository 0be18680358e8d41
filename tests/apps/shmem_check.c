// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * OpenSHMEM: put, get and atomics in the symmetric heap.
 *
 * shmem-check [ROUNDS]
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmem.h>

#include "check.h"

static const size_t sizes[] = { 8, 4099, 65536, 1048579 };

static int me, all;

void fail(const char *format, ...)
{
	va_list args;

	printf("PE %d: ", me);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	shmem_global_exit(1);
	abort();
}

/* Into the right neighbour, checked there, and back by a get */
static void there_and_back(unsigned char *remote, size_t size, int round)
{
	int right = (me + 1) % all, left = (me + all - 1) % all;
	struct area own;

	area_get(&own, size, 5);
	fill(own.data, size, seed_of(me, round, 7, 0));
	shmem_putmem(remote, own.data, size, right);
	shmem_barrier_all();
	verify(remote, size, seed_of(left, round, 7, 0), "put");
	memset(own.data, 0, size);
	shmem_getmem(own.data, remote, size, right);
	verify(own.data, size, seed_of(me, round, 7, 0), "get");
	area_put(&own);
	shmem_barrier_all();
}

static void count(long *counter)
{
	long old;

	*counter = 0;
	shmem_barrier_all();
	old = shmem_long_atomic_fetch_add(counter, me + 1, 0);
	if (old < 0 || old > all * (all + 1) / 2)
		fail("fetch-and-add gave %ld", old);
	shmem_long_atomic_inc(counter, 0);
	shmem_barrier_all();
	old = shmem_long_atomic_compare_swap(
		counter, all * (all + 1) / 2 + all, -5, 0);
	shmem_barrier_all();
	if (!me && *counter != -5)
		fail("compare-and-swap left %ld", *counter);
	shmem_barrier_all();
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 2;
	unsigned char *heap;
	long *counter;
	int round, i;

	shmem_init();
	me = shmem_my_pe();
	all = shmem_n_pes();
	counter = shmem_malloc(sizeof(*counter));
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			heap = shmem_malloc(sizes[i] + 3);
			there_and_back(heap + 3, sizes[i], round);
			shmem_free(heap);
		}
		count(counter);
	}
	if (!me)
		printf("right: %d PEs, %d rounds\n", all, rounds);
	shmem_finalize();
	return 0;
}
