// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * One-sided communication: put, get, accumulate, fetch-and-op and
 * compare-and-swap, with fences and with locks, over windows whose memory is
 * unmapped between rounds.
 *
 * mpi-onesided [ROUNDS]
 *
 * A window has a part for each rank, then counters.  Rank r writes its part
 * of its right neighbour's window and reads it back from there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "check.h"

#define COUNTERS 64

static int rank, ranks;

struct window {
	struct area area;
	size_t part;	/* bytes */
	MPI_Win win;
};

static MPI_Aint counters_at(const struct window *w)
{
	return w->part * ranks;
}

static void open_window(struct window *w, size_t part)
{
	w->part = part;
	/* Counters have to be aligned */
	area_get(&w->area, part * ranks + 8 * COUNTERS, 8);
	memset(w->area.data + counters_at(w), 0, 8 * COUNTERS);
	MPI_Win_create(w->area.data, w->area.len, 1, MPI_INFO_NULL,
		       MPI_COMM_WORLD, &w->win);
}

static void close_window(struct window *w)
{
	MPI_Win_free(&w->win);
	area_put(&w->area);
}

static void fenced(struct window *w, int round)
{
	int right = (rank + 1) % ranks, left = (rank + ranks - 1) % ranks;
	struct area out, in;

	area_get(&out, w->part, 3);
	area_get(&in, w->part, 4090);
	fill(out.data, out.len, seed_of(rank, round, 5, 0));
	MPI_Win_fence(0, w->win);
	MPI_Put(out.data, out.len, MPI_BYTE, right, rank * w->part, out.len,
		MPI_BYTE, w->win);
	MPI_Win_fence(0, w->win);
	verify(w->area.data + left * w->part, w->part,
		   seed_of(left, round, 5, 0), "put and fence");
	MPI_Get(in.data, in.len, MPI_BYTE, right, rank * w->part, in.len,
		MPI_BYTE, w->win);
	MPI_Win_fence(0, w->win);
	verify(in.data, in.len, seed_of(rank, round, 5, 0),
		   "get and fence");
	area_put(&out);
	area_put(&in);
}

static void locked(struct window *w, int round)
{
	int right = (rank + 1) % ranks;
	struct area out, in;

	area_get(&out, w->part, 77);
	area_get(&in, w->part, 0);
	fill(out.data, out.len, seed_of(rank, round, 6, 0));
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, right, 0, w->win);
	MPI_Put(out.data, out.len, MPI_BYTE, right, rank * w->part, out.len,
		MPI_BYTE, w->win);
	MPI_Win_flush(right, w->win);
	MPI_Get(in.data, in.len, MPI_BYTE, right, rank * w->part, in.len,
		MPI_BYTE, w->win);
	MPI_Win_unlock(right, w->win);
	verify(in.data, in.len, seed_of(rank, round, 6, 0),
		   "put and get under a lock");
	area_put(&out);
	area_put(&in);
}

/* Every rank adds to rank 0's counters, in three ways */
static void counted(struct window *w, int round)
{
	int64_t *own = (int64_t *)(w->area.data + counters_at(w));
	int64_t add[COUNTERS], one = 1, old, none = 0, mine = rank + 1;
	MPI_Aint at = counters_at(w);
	int i;

	for (i = 0; i < COUNTERS; i++)
		add[i] = i * (rank + 1);
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, w->win);
	memset(own, 0, 8 * COUNTERS);
	MPI_Win_unlock(rank, w->win);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w->win);
	MPI_Accumulate(add + 2, COUNTERS - 2, MPI_INT64_T, 0, at + 16,
		       COUNTERS - 2, MPI_INT64_T, MPI_SUM, w->win);
	MPI_Fetch_and_op(&one, &old, MPI_INT64_T, 0, at, MPI_SUM, w->win);
	MPI_Win_flush(0, w->win);
	if (old < 0 || old >= ranks)
		fail("fetch-and-op gave %lld", (long long)old);
	/* The first one to come wins */
	MPI_Compare_and_swap(&mine, &none, &old, MPI_INT64_T, 0, at + 8,
			     w->win);
	MPI_Win_unlock(0, w->win);
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank)
		return;
	MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w->win);
	if (own[0] != ranks)
		fail("round %d: fetch-and-op added up to %lld", round,
			 (long long)own[0]);
	if (own[1] < 1 || own[1] > ranks)
		fail("compare-and-swap left %lld", (long long)own[1]);
	for (i = 2; i < COUNTERS; i++)
		if (own[i] != (int64_t)i * ranks * (ranks + 1) / 2)
			fail("accumulate: counter %d is %lld", i,
				 (long long)own[i]);
	MPI_Win_unlock(0, w->win);
}

int main(int argc, char **argv)
{
	static const size_t parts[] = { 8, 4096, 65544, 1048576 };
	int rounds = argc > 1 ? atoi(argv[1]) : 3;
	struct window w;
	int round, i;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (round = 0; round < rounds; round++) {
			open_window(&w, parts[i]);
			fenced(&w, round);
			MPI_Barrier(MPI_COMM_WORLD);
			locked(&w, round);
			MPI_Barrier(MPI_COMM_WORLD);
			counted(&w, round);
			MPI_Barrier(MPI_COMM_WORLD);
			close_window(&w);
		}
	}
	if (!rank)
		printf("right: %d ranks, %d rounds\n", ranks, rounds);
	MPI_Finalize();
	return 0;
}
