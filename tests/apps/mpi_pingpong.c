// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Messages back and forth between ranks 2n and 2n + 1, at odd offsets, in fresh
 * pages, in pages that were used before, and both ways at once.
 *
 * mpi-pingpong [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "check.h"

static const size_t sizes[] = { 8, 63, 4097, 16384, 65539, 262149, 1048583,
				4194304 };
static const size_t offsets[] = { 1, 4095, 2048 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define N_OFFSETS (sizeof(offsets) / sizeof(offsets[0]))

static int rank, peer;

/* One message each way, in two buffers that may have been used before */
static void exchange(struct area *out, struct area *in, int tag)
{
	uint64_t mine = seed_of(rank, tag, 1, 0);
	uint64_t theirs = seed_of(peer, tag, 1, 0);

	fill(out->data, out->len, mine);
	if (rank < peer) {
		MPI_Send(out->data, out->len, MPI_BYTE, peer, tag,
			 MPI_COMM_WORLD);
		MPI_Recv(in->data, in->len, MPI_BYTE, peer, tag,
			 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	} else {
		MPI_Recv(in->data, in->len, MPI_BYTE, peer, tag,
			 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		MPI_Send(out->data, out->len, MPI_BYTE, peer, tag,
			 MPI_COMM_WORLD);
	}
	verify(in->data, in->len, theirs, "ping-pong");
	verify(out->data, out->len, mine, "what was sent");

	memset(in->data, 0, in->len);
	MPI_Sendrecv(out->data, out->len, MPI_BYTE, peer, tag, in->data,
		     in->len, MPI_BYTE, peer, tag, MPI_COMM_WORLD,
		     MPI_STATUS_IGNORE);
	verify(in->data, in->len, theirs, "both ways at once");
}

static void size_and_offset(size_t size, size_t offset, int rounds, int tag)
{
	struct area out, in;
	int i;

	for (i = 0; i < rounds; i++) {
		area_get(&out, size, offset);
		area_get(&in, size, (offset + 5) % 4096);
		exchange(&out, &in, 2 * tag);
		exchange(&out, &in, 2 * tag + 1);
		area_put(&out);
		area_put(&in);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 2;
	int ranks, i, j;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (ranks % 2)
		fail("%d ranks are no pairs", ranks);
	peer = rank ^ 1;
	for (i = 0; i < N_SIZES; i++)
		for (j = 0; j < N_OFFSETS; j++)
			size_and_offset(sizes[i], offsets[j], rounds,
					i * N_OFFSETS + j);
	MPI_Barrier(MPI_COMM_WORLD);
	if (!rank)
		printf("right: %d ranks, %zu sizes, %zu offsets, %d rounds\n",
		       ranks, N_SIZES, N_OFFSETS, rounds);
	MPI_Finalize();
	return 0;
}
