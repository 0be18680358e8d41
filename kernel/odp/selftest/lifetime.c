// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * lifetime.c - leaves that go, and what is left of them. Looks inside.
 */

#include <linux/delay.h>

#include "../core.h"
#include "selftest.h"

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)
#define STREAM_PAGES	64
/* Fault-around begins with so many: AROUND_MIN_PAGES */
#define STREAM_FIRST	(SZ_64K >> PAGE_SHIFT)

static u64 stream_fault(struct sodp_region *region, unsigned long va,
			unsigned int page)
{
	u64 before = st_stat(region, fault_pages);

	if (sodp_region_fault(region, va + page * PAGE_SIZE, 8,
			      SODP_FAULT_WRITE))
		return 0;
	return st_stat(region, fault_pages) - before;
}

/*
 * A leaf knows how far a stream has come. One that was emptied a moment ago
 * still does; one that was collected has been made anew, and does not.
 */
static int collected_check(struct sodp_region *region, unsigned long va)
{
	const unsigned long len = STREAM_PAGES * PAGE_SIZE;
	unsigned int next = 2 + STREAM_FIRST;

	ST_CHECK(stream_fault(region, va, 0) == 1, -EBADMSG);
	ST_CHECK(stream_fault(region, va, 1) == 1 + STREAM_FIRST, -EBADMSG);
	ST_CHECK(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, -ENOMEM);
	ST_CHECK(stream_fault(region, va, next) == 1 + 2 * STREAM_FIRST,
		 -EBADMSG);
	next += 1 + 2 * STREAM_FIRST;
	ST_CHECK(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, -ENOMEM);
	ST_CHECK(!st_stat(region, mapped_pages), -EBADMSG);
	msleep(1000);
	ST_CHECK(stream_fault(region, va, next) == 1, -EBADMSG);
	return 0;
}

static int test_collected(void)
{
	unsigned long len = STREAM_PAGES * PAGE_SIZE;
	unsigned long va = st_map_aligned(len, SODP_LEAF_SIZE);
	struct sodp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	ret = collected_check(region, va);
	sodp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* A stream does not go on behind the region, where the memory does */
static int test_around_end(void)
{
	unsigned long va = st_map_aligned(2 * STREAM_PAGES * PAGE_SIZE,
					  SODP_LEAF_SIZE);
	unsigned long len = STREAM_PAGES * PAGE_SIZE - 100;
	struct sodp_region *region;
	unsigned int page;
	u64 word = 7;
	int ret = 0;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	for (page = 0; !ret && page < STREAM_PAGES; page++)
		ret = st_copy_in(region, va + page * PAGE_SIZE, &word,
				 sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, faults) < STREAM_PAGES / 2, out);
	ST_CHECK_GOTO(st_stat(region, mapped_pages) == STREAM_PAGES, out);
out:
	sodp_region_destroy(region);
	st_unmap(va, 2 * STREAM_PAGES * PAGE_SIZE);
	return ret;
}

/* What leads to a leaf goes with it: the memory is another's soon */
static int test_hint(void)
{
	unsigned long len = STREAM_PAGES * PAGE_SIZE;
	unsigned long va = st_map_aligned(len, SODP_LEAF_SIZE);
	struct sodp_region *region;
	struct sodp_leaf **hint;
	unsigned int tries = 50;
	u64 word = 7;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, len);
	hint = sodp_region_hint(region, va >> SODP_LEAF_SHIFT);
	ret = st_copy_in(region, va, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(READ_ONCE(*hint), out);
	ST_CHECK_GOTO(st_map_at(va, len, RW, ANON | MAP_FIXED) == va, out);
	while (READ_ONCE(*hint) && --tries)
		msleep(100);
	ST_CHECK_GOTO(!READ_ONCE(*hint), out);
out:
	sodp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

const struct st_case st_lifetime_cases[] = {
	{ "lifetime: emptied leaves are forgotten", test_collected },
	{ "lifetime: a hint goes with its leaf", test_hint },
	{ "lifetime: a stream ends with its region", test_around_end },
	{ }
};
