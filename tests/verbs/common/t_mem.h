/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * t_mem.h - user memory of every kind, and patterns to tell bytes apart
 *
 * Data bytes have the top bit set and background bytes have not, so a byte
 * that was written cannot look like one that was not.
 */
#ifndef T_MEM_H
#define T_MEM_H

#include "t_rdma.h"

#define T_PAGE 4096UL
#define T_HUGE (2UL << 20)
#define T_GIB (1UL << 30)

enum t_pages {
	T_SMALL, /* private anonymous, MADV_NOHUGEPAGE */
	T_THP, /* private anonymous, MADV_HUGEPAGE */
	T_SHMEM, /* shared, from a memfd */
	T_NR_PAGES,
};

enum t_kind {
	T_PINNED,
	T_EXPLICIT,
	T_IMPLICIT,
	T_NR_KINDS,
};

extern const char *const t_pages_names[T_NR_PAGES];
extern const char *const t_kind_names[T_NR_KINDS];

/* Address space whose start is aligned; nothing is populated */
void *t_map_aligned(size_t size, size_t align);
/* Private anonymous memory, zeroed, page aligned, small pages */
void *t_map(size_t size);
/* Puts memory of a kind at a place inside a mapping */
void t_map_pages(void *addr, size_t size, enum t_pages pages);
void t_unmap(void *addr, size_t size);
/* A dma-buf of the pages of a new memfd; -1: the kernel has no udmabuf */
int t_udmabuf(size_t size, int *memfd);

/* An MR over it; with T_IMPLICIT, over everything */
struct ibv_mr *t_reg_kind(struct t_dev *dev, enum t_kind kind, void *addr,
			  size_t length, unsigned int access);
bool t_can_kind(const struct t_dev *dev, enum t_kind kind);

/* t_swap.c */
#define T_SWAP_SIZE (256UL << 20) /* for all but long tests */
/* zram as swap; skips when it cannot be had */
void t_swap_on(size_t size);
void t_swap_off(void);
/* madvise(MADV_PAGEOUT) until most of it is out; skips when it stays */
void t_page_out(void *addr, size_t len);
size_t t_resident(void *addr, size_t len);

/* Patterns: data of a seed at a position of a stream; background by address */
void t_patterns_init(void);
void t_fill_data(void *addr, size_t len, uint64_t seed, uint64_t pos);
void t_fill_background(void *addr, size_t len);
/* What the background of another place is */
void t_copy_background(void *to, const void *addr, size_t len);
/* Offset of the first wrong byte, or -1 */
int64_t t_check_data(const void *addr, size_t len, uint64_t seed,
		     uint64_t pos);
int64_t t_check_background(const void *addr, size_t len);
int64_t t_check_byte(const void *addr, size_t len, unsigned char byte);

/* Data of a seed in a whole buffer, or failing where it is not */
void t_fill(void *addr, size_t len, uint64_t seed);
void t_want_data(const void *addr, size_t len, uint64_t seed);

#define t_want_data(...) (t_at(__func__, __LINE__), t_want_data(__VA_ARGS__))

#endif /* T_MEM_H */
