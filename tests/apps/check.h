/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Bytes that say where they come from, in memory that comes and goes: what
 * the test programs for application libraries have in common.
 */
#ifndef SODP_APPS_CHECK_H
#define SODP_APPS_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* A buffer at an odd place in pages of its own */
struct area {
	void *map;
	size_t map_len;
	unsigned char *data;
	size_t len;
};

/**
 * area_get() - map fresh, untouched pages
 * @area: filled in
 * @len: bytes that are used
 * @offset: of the first of them in its page, below 4096
 *
 * Calls fail() when there is no memory.
 */
void area_get(struct area *area, size_t len, size_t offset);

/** area_put() - unmap the pages */
void area_put(struct area *area);

/** fill() - write the bytes of stream @seed */
void fill(void *data, size_t len, uint64_t seed);

/** wrong_at() - first byte that is not stream @seed's, @len when all are */
size_t wrong_at(const void *data, size_t len, uint64_t seed);

/** seed_of() - a stream for up to four numbers */
uint64_t seed_of(int a, int b, int c, int d);

/**
 * verify() - fail() unless the bytes are stream @seed's
 * @what: they are, for the message
 */
void verify(const void *data, size_t len, uint64_t seed, const char *what);

/**
 * fail() - end the program, or the whole job, with a message as by printf()
 *
 * Each kind of program brings its own.
 */
void fail(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#endif
