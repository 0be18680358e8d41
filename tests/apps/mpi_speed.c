// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Latency and bandwidth between two ranks, measured as the OSU benchmarks do:
 * half of a round trip, and a window of messages answered by one.
 *
 * mpi-speed SIZE…	prints a line "SIZE US MBYTES_PER_S" for each
 */
#include <stdio.h>
#include <stdlib.h>

#include <mpi.h>

#include "check.h"

#define WINDOW 16
#define WARM_UP 3

static int rank;

static double round_trips(struct area *area, int count)
{
	double began = MPI_Wtime();
	int i;

	for (i = 0; i < count; i++) {
		if (!rank) {
			MPI_Send(area->data, area->len, MPI_BYTE, 1, 1,
				 MPI_COMM_WORLD);
			MPI_Recv(area->data, area->len, MPI_BYTE, 1, 1,
				 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		} else {
			MPI_Recv(area->data, area->len, MPI_BYTE, 0, 1,
				 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
			MPI_Send(area->data, area->len, MPI_BYTE, 0, 1,
				 MPI_COMM_WORLD);
		}
	}
	return MPI_Wtime() - began;
}

/* All messages of a window come from, or go to, memory of their own */
static double windows(struct area *area, size_t size, int count)
{
	MPI_Request requests[WINDOW];
	double began = MPI_Wtime();
	char done;
	int i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < WINDOW; j++) {
			void *data = area->data + j * size;

			if (!rank)
				MPI_Isend(data, size, MPI_BYTE, 1, 2,
					  MPI_COMM_WORLD, &requests[j]);
			else
				MPI_Irecv(data, size, MPI_BYTE, 0, 2,
					  MPI_COMM_WORLD, &requests[j]);
		}
		MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
		if (!rank)
			MPI_Recv(&done, 1, MPI_BYTE, 1, 3, MPI_COMM_WORLD,
				 MPI_STATUS_IGNORE);
		else
			MPI_Send(&done, 1, MPI_BYTE, 0, 3, MPI_COMM_WORLD);
	}
	return MPI_Wtime() - began;
}

static void measure(size_t size)
{
	int trips = 200, rounds = size > 262144 ? 10 : 40;
	struct area one, many;
	double latency, time;

	area_get(&one, size, 0);
	area_get(&many, size * WINDOW, 0);
	fill(one.data, one.len, rank);
	fill(many.data, many.len, rank);
	round_trips(&one, WARM_UP);
	latency = round_trips(&one, trips) / trips / 2;
	windows(&many, size, WARM_UP);
	time = windows(&many, size, rounds);
	if (!rank)
		printf("%zu %.2f %.1f\n", size, latency * 1e6,
		       size * 1e-6 * WINDOW * rounds / time);
	area_put(&one);
	area_put(&many);
}

int main(int argc, char **argv)
{
	int ranks, i;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (ranks != 2)
		fail("two ranks, not %d", ranks);
	for (i = 1; i < argc; i++)
		measure(strtoul(argv[i], NULL, 0));
	MPI_Finalize();
	return 0;
}
