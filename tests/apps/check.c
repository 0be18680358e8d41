// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Buffers and their contents: see check.h */

#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "check.h"

void area_get(struct area *area, size_t len, size_t offset)
{
	area->map_len = (offset + len + 4095) & ~(size_t)4095;
	area->map = mmap(NULL, area->map_len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area->map == MAP_FAILED)
		fail("no memory for %zu bytes", len);
	area->data = (unsigned char *)area->map + offset;
	area->len = len;
}

void area_put(struct area *area)
{
	munmap(area->map, area->map_len);
	area->map = NULL;
}

/* A well-mixed word for each place of each stream (splitmix64's finalizer) */
static uint64_t word(uint64_t seed, uint64_t place)
{
	uint64_t x = seed + (place + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

void fill(void *data, size_t len, uint64_t seed)
{
	unsigned char *to = data;
	size_t at;

	for (at = 0; at < len; at += 8) {
		uint64_t x = word(seed, at / 8);

		memcpy(to + at, &x, len - at < 8 ? len - at : 8);
	}
}

size_t wrong_at(const void *data, size_t len, uint64_t seed)
{
	const unsigned char *from = data;
	size_t at, n, i;

	for (at = 0; at < len; at += 8) {
		uint64_t x = word(seed, at / 8);
		const unsigned char *want = (const unsigned char *)&x;

		n = len - at < 8 ? len - at : 8;
		if (!memcmp(from + at, want, n))
			continue;
		for (i = 0; from[at + i] == want[i]; i++)
			;
		return at + i;
	}
	return len;
}

uint64_t seed_of(int a, int b, int c, int d)
{
	return word(word(a, b), (uint64_t)c << 32 | (uint32_t)d);
}

void verify(const void *data, size_t len, uint64_t seed, const char *what)
{
	size_t at = wrong_at(data, len, seed);

	if (at < len)
		fail("%s of %zu bytes: byte %zu is wrong", what, len, at);
}
