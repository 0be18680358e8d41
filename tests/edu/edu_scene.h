/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * edu_scene.h - memory of a process, and a device that copies it
 *
 * The device takes a tenth of a second for each DMA: what is copied is short.
 */
#ifndef EDU_SCENE_H
#define EDU_SCENE_H

#include "edu.h"
#include "t_mem.h"

/* What the device copies by one DMA on each side */
#define EDU_PIECE 2048

/**
 * struct edu_scene - an open device and two regions
 * @fd: of the device
 * @src: memory that it reads
 * @dst: memory that it writes
 * @len: bytes of each
 * @src_id: its region
 * @dst_id: its region
 */
struct edu_scene {
	int fd;
	char *src;
	char *dst;
	size_t len;
	uint32_t src_id;
	uint32_t dst_id;
};

/* Both sides by one region that is everything, or by one each */
enum edu_kind {
	EDU_EXPLICIT,
	EDU_IMPLICIT,
};

void edu_scene_open(struct edu_scene *s, size_t len, enum t_pages pages,
		    enum edu_kind kind);

int edu_open(void);
/* 0 or an errno */
int edu_try_region(int fd, void *addr, size_t len, uint32_t flags,
		   uint32_t *id);
uint32_t edu_region(int fd, void *addr, size_t len, uint32_t flags);
int edu_try_destroy(int fd, uint32_t id);
int edu_try_copy(const struct edu_scene *s, void *dst, const void *src,
		 size_t len);
void edu_copy(const struct edu_scene *s, void *dst, const void *src,
	      size_t len);
int edu_try_map(int fd, uint32_t id, void *addr, size_t len, bool write);
struct odp_edu_stats edu_stats(int fd, uint32_t id);
int edu_try_reach(int fd, uint32_t bits);

/*
 * Swap on, and all of the process on one CPU: what another has brought in waits
 * in a list of that CPU for a while, and cannot be paged out
 */
void edu_swap_on(void);

/* Where the page is: changes when it moves */
uint64_t edu_pagemap(const void *addr);
/* Moves it to the other node; skips where that is not possible */
void edu_move(void *addr, size_t len);

#define edu_copy(...) (t_at(__func__, __LINE__), edu_copy(__VA_ARGS__))

#endif /* EDU_SCENE_H */
