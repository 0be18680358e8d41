/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* failalloc.h - calls of verbs that failalloc makes again and again */
#ifndef FAILALLOC_H
#define FAILALLOC_H

#include "common/t_duo.h"

#define FA_LEN (16 * T_PAGE)

struct fa_scene {
	struct t_duo duo; /* on demand, both buffers */
	struct ibv_qp *qp; /* of nobody, in RESET */
	struct ibv_ah_attr ah;
	void *object; /* what the last call has made */
	void *second;
};

/*
 * make returns 0 or an errno, and leaves what it made in the scene, where
 * undo finds it. undo always succeeds. Without undo there is nothing to do.
 */
struct fa_call {
	const char *name;
	int (*make)(struct fa_scene *s);
	void (*undo)(struct fa_scene *s);
};

extern const struct fa_call fa_objects[];
extern const size_t fa_nr_objects;
extern const struct fa_call fa_memory[];
extern const size_t fa_nr_memory;

void fa_open(struct fa_scene *s);
/* The pages go from the CPU's page table, and from the device's */
void fa_cool(char *buf);

#endif /* FAILALLOC_H */
