/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * mmevents.h - memory that changes under a registration
 *
 * a has pinned memory and does the transfers; the region under test belongs to
 * b's key and is remapped, discarded, forked or paged out by the test.
 */
#ifndef MMEVENTS_H
#define MMEVENTS_H

#include "common/t_duo.h"

struct mm_scene {
	struct t_duo d; /* d.bbuf and d.bmr are the region */
	bool implicit;
};

/* A region of this size and sort of pages, under an explicit or implicit key */
void mm_open(struct mm_scene *s, size_t len, enum t_pages pages,
	     bool implicit);
/* For memory that the test has mapped */
void mm_open_at(struct mm_scene *s, void *addr, size_t len, bool implicit);

void mm_write(struct mm_scene *s, uint64_t seed);
void mm_read(struct mm_scene *s);
/* A transfer that must fail; the pair is renewed */
void mm_refused(struct mm_scene *s, enum ibv_wr_opcode opcode, size_t off,
		size_t len);
/*
 * The device and the process must see the same bytes, whatever they are, and
 * a WRITE by the device must be seen by the process.
 */
void mm_agree(struct mm_scene *s, uint64_t seed);
/* One that ib_core shows as it was up to 10 ms ago */
uint64_t mm_counter(const struct t_dev *dev, const char *name);
/* A region that reads as zeros, for both */
void mm_want_zero(struct mm_scene *s);

#define mm_write(...) (t_at(__func__, __LINE__), mm_write(__VA_ARGS__))
#define mm_read(...) (t_at(__func__, __LINE__), mm_read(__VA_ARGS__))
#define mm_refused(...) (t_at(__func__, __LINE__), mm_refused(__VA_ARGS__))
#define mm_agree(...) (t_at(__func__, __LINE__), mm_agree(__VA_ARGS__))

#endif /* MMEVENTS_H */
