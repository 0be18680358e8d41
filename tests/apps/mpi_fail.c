// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* How the MPI programs fail: all ranks at once */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <mpi.h>

#include "check.h"

void fail(const char *format, ...)
{
	va_list args;
	int rank;

	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	printf("rank %d: ", rank);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	MPI_Abort(MPI_COMM_WORLD, 1);
	abort();
}
