/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* t_fence.h - a long WRITE that loses its target on the way */
#ifndef T_FENCE_H
#define T_FENCE_H

#include <pthread.h>

#include "t_duo.h"

/* One slice of a doorbell and one of a worker, together */
#define T_FENCE_LEN (16UL << 20)

struct t_fence {
	struct t_duo *d;
	uint32_t rkey;
	pthread_t thread;
};

/* From a's memory, filled by t_fill_data(), to b's: returns in the middle. */
void t_fence_begin(struct t_fence *f, struct t_duo *d, uint32_t rkey);
/* From now on nothing is written. Returns whether something was left. */
bool t_fence_quiet(struct t_fence *f, unsigned int round);
/* The WRITE has ended, in whatever way. */
void t_fence_end(struct t_fence *f);

#endif /* T_FENCE_H */
