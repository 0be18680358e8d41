// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Options, time, samples and memory areas of the benchmark primitives. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

static int opt_count;
static char **opt_list;

void opts_set(int argc, char **argv)
{
	opt_count = argc;
	opt_list = argv;
}

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("sodp-bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

const char *opt_str(const char *key, const char *fallback)
{
	size_t len = strlen(key);
	int i;

	for (i = 0; i < opt_count; i++)
		if (!strncmp(opt_list[i], key, len) && opt_list[i][len] == '=')
			return opt_list[i] + len + 1;
	return fallback;
}

static uint64_t parse_size(const char *text, const char **end)
{
	uint64_t value = strtoull(text, (char **)end, 0);

	switch (**end) {
	case 'T':
		value <<= 10;
		/* fall through */
	case 'G':
		value <<= 10;
		/* fall through */
	case 'M':
		value <<= 10;
		/* fall through */
	case 'K':
		value <<= 10;
		(*end)++;
		break;
	}
	return value;
}

uint64_t opt_u64(const char *key, uint64_t fallback)
{
	const char *text = opt_str(key, NULL), *end;
	uint64_t value;

	if (!text)
		return fallback;
	value = parse_size(text, &end);
	if (end == text || *end)
		die("%s: not a number: %s", key, text);
	return value;
}

int opt_sizes(const char *key, const char *fallback, uint64_t *sizes, int max)
{
	const char *text = opt_str(key, fallback), *end = text;
	int nr = 0;

	while (nr < max) {
		sizes[nr++] = parse_size(text, &end);
		if (end == text || (*end && *end != ','))
			die("%s: not a list of sizes: %s", key, text);
		if (!*end)
			return nr;
		text = end + 1;
	}
	die("%s: more than %d sizes", key, max);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* A request that no file knows: the cost of asking, CALLS times */
uint64_t calls_ns(int fd)
{
	uint64_t begin = now_ns();
	int i;

	for (i = 0; i < CALLS; i++)
		if (!ioctl(fd, 0, 0))
			die("ioctl 0 was taken");
	return now_ns() - begin;
}

void series_add(struct series *series, uint64_t value)
{
	if (series->nr == ARRAY_SIZE(series->values))
		die("too many samples of %s", series->name);
	series->values[series->nr++] = value;
}

void print_series(const struct series *series, bool last)
{
	unsigned int i;

	printf("\"%s\": [", series->name);
	for (i = 0; i < series->nr; i++)
		printf("%s%llu", i ? ", " : "",
		       (unsigned long long)series->values[i]);
	printf("]%s", last ? "}\n" : ", ");
	fflush(stdout);
}

void area_map(struct area *area, uint64_t len, bool thp, unsigned int shift)
{
	uintptr_t start;

	area->mapped = len + 2 * LEAF;
	area->base = mmap(NULL, area->mapped, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area->base == MAP_FAILED)
		die("mmap of %llu bytes: %s", (unsigned long long)len,
		    strerror(errno));
	start = ((uintptr_t)area->base + LEAF - 1) & ~(LEAF - 1);
	area->addr = (uint8_t *)start + shift * SMALL_PAGE;
	area->len = len;
	madvise(area->base, area->mapped,
		thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void area_unmap(struct area *area)
{
	munmap(area->base, area->mapped);
	memset(area, 0, sizeof(*area));
}

void area_touch(const struct area *area)
{
	volatile uint8_t *addr = area->addr;
	uint64_t i;

	for (i = 0; i < area->len; i += SMALL_PAGE)
		addr[i] = 1;
}

/* The caller looks at the memory in use, then sends a line */
void pause_line(void)
{
	fflush(stdout);
	if (getchar() == EOF)
		die("nobody listens");
}

void pause_for(const char *what)
{
	printf("{\"at\": \"%s\"}\n", what);
	pause_line();
}
