// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Collective operations over buffers that are freed, unmapped, emptied and
 * used again between rounds: what a registration cache has to notice, and
 * what on-demand paging does not care about.
 *
 * mpi-collectives [ROUNDS]
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mpi.h>

#include "check.h"

static int rank, ranks;

static void broadcast(struct area *area, int round)
{
	int root = round % ranks;
	uint64_t seed = seed_of(root, round, 2, 0);

	if (rank == root)
		fill(area->data, area->len, seed);
	MPI_Bcast(area->data, area->len, MPI_BYTE, root, MPI_COMM_WORLD);
	verify(area->data, area->len, seed, "broadcast");
}

static void all_to_all(struct area *out, struct area *in, int round)
{
	size_t part = out->len / ranks;
	int i;

	for (i = 0; i < ranks; i++)
		fill(out->data + i * part, part, seed_of(rank, i, round, 3));
	MPI_Alltoall(out->data, part, MPI_BYTE, in->data, part, MPI_BYTE,
		     MPI_COMM_WORLD);
	for (i = 0; i < ranks; i++)
		verify(in->data + i * part, part,
			   seed_of(i, rank, round, 3), "all-to-all");
}

static void all_gather(struct area *out, struct area *in, int round)
{
	size_t part = in->len / ranks;
	int i;

	fill(out->data, part, seed_of(rank, round, 4, 0));
	MPI_Allgather(out->data, part, MPI_BYTE, in->data, part, MPI_BYTE,
		      MPI_COMM_WORLD);
	for (i = 0; i < ranks; i++)
		verify(in->data + i * part, part, seed_of(i, round, 4, 0),
			   "all-gather");
}

/* Sums of whole numbers, at an address that is not a multiple of 8 */
static void all_reduce(struct area *out, struct area *in, int round)
{
	size_t count = out->len / 8, i;
	int64_t x, want = 0;

	for (i = 0; i < count; i++) {
		x = (int64_t)(i % 1000) * (rank + 1) + round;
		memcpy(out->data + 8 * i, &x, 8);
	}
	MPI_Allreduce(out->data, in->data, count, MPI_INT64_T, MPI_SUM,
		      MPI_COMM_WORLD);
	for (i = 0; i < count; i++) {
		want = (int64_t)(i % 1000) * ranks * (ranks + 1) / 2 +
		       (int64_t)round * ranks;
		memcpy(&x, in->data + 8 * i, 8);
		if (x != want)
			fail("all-reduce of %zu: %zu is wrong", count, i);
	}
}

/* Pages go in one of the ways in which programs lose them */
static void lose(struct area *area, int round)
{
	size_t offset = area->data - (unsigned char *)area->map;

	switch (round % 3) {
	case 0:
		area_put(area);
		area_get(area, area->len, offset);
		break;
	case 1:
		madvise(area->map, area->map_len, MADV_DONTNEED);
		break;
	default:
		/* The same place, other pages */
		if (mmap(area->map, area->map_len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		    area->map)
			fail("no pages");
	}
}

/* malloc() gives freed memory back to the system from 128 KiB on */
static void from_heap(size_t len, int round)
{
	struct area out = { .len = len }, in = { .len = len };

	out.data = malloc(len);
	in.data = malloc(len);
	if (!out.data || !in.data)
		fail("no memory");
	broadcast(&out, round);
	all_to_all(&out, &in, round);
	free(out.data);
	free(in.data);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 4096, 70000, 1500000 };
	int rounds = argc > 1 ? atoi(argv[1]) : 6;
	struct area out, in;
	int round, i;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		area_get(&out, sizes[i], 8 * i + 8);
		area_get(&in, sizes[i], 4080);
		for (round = 0; round < rounds; round++) {
			broadcast(&out, round);
			lose(&out, round);
			all_to_all(&out, &in, round);
			lose(&in, round + 1);
			all_gather(&out, &in, round);
			lose(&out, round + 2);
			all_reduce(&out, &in, round);
			lose(&in, round);
			from_heap(sizes[i], round);
		}
		area_put(&out);
		area_put(&in);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (!rank)
		printf("right: %d ranks, %d rounds\n", ranks, rounds);
	MPI_Finalize();
	return 0;
}
