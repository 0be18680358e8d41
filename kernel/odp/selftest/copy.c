// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * copy.c - every byte where it belongs, and no other touched
 */

#include "selftest.h"

#define GUARD	64

static const unsigned int offsets[] = {
	0, 1, 7, 8, 63, 2048, 4088, 4095, 4096,
};

static const unsigned int lengths[] = {
	1, 2, 3, 7, 8, 13, 64, 100, 127, 128, 129, 512, 520, 4095, 4096, 4097,
	4608, 12289, 40000,
};

/* Copy @len bytes; compare them, and GUARD bytes on either side */
static int copy_and_check(struct odp_region *dst, unsigned long to,
			  struct odp_region *src, unsigned long from,
			  unsigned long len)
{
	int ret;

	ret = st_fill(to - GUARD, len + 2 * GUARD, 2);
	if (!ret)
		ret = st_copy(dst, to, src, from, len);
	if (!ret)
		ret = st_compare(to, len, 1, 0);
	if (!ret)
		ret = st_compare(to - GUARD, GUARD, 2, 0);
	if (!ret)
		ret = st_compare(to + len, GUARD, 2, GUARD + len);
	if (ret)
		pr_info("# to %#lx from %#lx len %lu\n", to, from, len);
	return ret;
}

static int copy_all_offsets(unsigned long to, unsigned long from,
			    struct odp_region *dst, struct odp_region *src)
{
	unsigned int t, f, n;
	int ret = 0;

	for (f = 0; !ret && f < ARRAY_SIZE(offsets); f++) {
		ret = st_fill(from + offsets[f],
			      lengths[ARRAY_SIZE(lengths) - 1], 1);
		for (t = 0; !ret && t < ARRAY_SIZE(offsets); t++)
			for (n = 0; !ret && n < ARRAY_SIZE(lengths); n++)
				ret = copy_and_check(dst, to + offsets[t],
						     src, from + offsets[f],
						     lengths[n]);
	}
	return ret;
}

/* Two regions with their bounds at odd bytes, in memory of 64 KiB each */
static int test_offsets(void)
{
	unsigned long va = st_map(SZ_128K, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS);
	struct odp_region *dst, *src;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	dst = st_region(va + PAGE_SIZE - GUARD, SZ_64K - 2 * PAGE_SIZE + 99);
	src = st_region(va + SZ_64K, SZ_64K - 1);
	ret = copy_all_offsets(va + PAGE_SIZE, va + SZ_64K, dst, src);
	odp_region_destroy(dst);
	odp_region_destroy(src);
	st_unmap(va, SZ_128K);
	return ret;
}

/* Around one boundary, from each of the last and first bytes about it */
static int copy_across(struct odp_region *region, unsigned long boundary,
		       unsigned long from)
{
	static const int starts[] = { -4097, -4095, -9, -1, 0, 1 };
	unsigned int i;
	int ret;

	ret = st_fill(from, 3 * PAGE_SIZE, 1);
	for (i = 0; !ret && i < ARRAY_SIZE(starts); i++) {
		ret = copy_and_check(region, boundary + starts[i], region,
				     from, 3 * PAGE_SIZE);
		if (!ret)
			ret = copy_and_check(region, from + SZ_64K, region,
					     from, 100);
		/* And with the boundary at the source */
		if (!ret)
			ret = st_fill(boundary + starts[i], 9000, 1);
		if (!ret)
			ret = copy_and_check(region, from + SZ_64K + 5, region,
					     boundary + starts[i], 9000);
		if (!ret)
			ret = st_fill(from, 3 * PAGE_SIZE, 1);
	}
	return ret;
}

static int test_leaf_crossing(void)
{
	unsigned long va = st_map_aligned(2 * ODP_LEAF_SIZE, ODP_LEAF_SIZE);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, 2 * ODP_LEAF_SIZE);
	ret = copy_across(region, va + ODP_LEAF_SIZE, va);
	odp_region_destroy(region);
	st_unmap(va, 2 * ODP_LEAF_SIZE);
	return ret;
}

/* An implicit region, and a boundary of two children */
static int test_child_crossing(void)
{
	unsigned long len = ODP_CHILD_SIZE + 2 * ODP_LEAF_SIZE;
	unsigned long va = st_map(len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	struct odp_region *region;
	unsigned long boundary;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	boundary = ALIGN(va + ODP_LEAF_SIZE, ODP_CHILD_SIZE);
	region = st_implicit();
	ret = copy_across(region, boundary,
			  boundary > va + len / 2 ? va :
						    va + len - ODP_LEAF_SIZE);
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* 5 GiB, touched here and there, offsets beyond 32 bits */
static int test_beyond_4g(void)
{
	unsigned long len = 5UL * SZ_1G;
	unsigned long va = st_map(len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	struct odp_region *region;
	unsigned long at;
	int ret = 0;

	if (IS_ERR_VALUE(va))
		return ST_SKIP;
	region = st_region(va, len);
	for (at = SZ_64K + 77; !ret && at + SZ_1G < len; at += SZ_1G + 4091) {
		ret = st_fill(va + at, 9999, 1);
		if (!ret)
			ret = copy_and_check(region, va + len - SZ_64K - at % 999,
					     region, va + at, 9999);
	}
	odp_region_destroy(region);
	st_unmap(va, len);
	return ret;
}

/* Tens of TiB that nobody mapped, with a little memory somewhere in it */
static int test_multi_tib(void)
{
	unsigned long start = 1UL << 44, len = 1UL << 46;
	unsigned long va = start + (len / 3 & PAGE_MASK);
	struct odp_region *region;
	int ret;

	va = st_map_at(va, SZ_1M, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		       MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);
	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(start, len);
	ST_CHECK(!IS_ERR(region), PTR_ERR(region));
	ret = st_fill(va, SZ_128K, 1);
	if (!ret)
		ret = copy_and_check(region, va + SZ_512K + 3, region, va,
				     SZ_128K);
	if (!ret && odp_region_fault(region, start, 1, 0) != -EFAULT)
		ret = -EBADMSG;
	odp_region_destroy(region);
	st_unmap(va, SZ_1M);
	return ret;
}

static int static_fill(struct odp_region *region, unsigned long va,
		       struct page *huge, struct page **small, unsigned int n)
{
	unsigned int i;
	int ret;

	ret = odp_region_add_pages(region, va, page_to_pfn(huge),
				   1UL << (ODP_LEAF_SHIFT - PAGE_SHIFT));
	for (i = 0; !ret && i < n; i++)
		ret = odp_region_add_pages(region, va + ODP_LEAF_SIZE +
					   i * PAGE_SIZE,
					   page_to_pfn(small[i]), 1);
	return ret;
}

/* Bytes in and out of pages that do not move, huge entry and table */
static int static_check(struct odp_region *region, unsigned long va, u8 *in,
			u8 *out, unsigned long len)
{
	unsigned long at = va + ODP_LEAF_SIZE - len / 2 - 3;
	u64 old;
	int ret;

	get_random_bytes(in, len);
	ret = st_copy_in(region, at, in, len);
	ST_CHECK(!ret, ret);
	ret = st_copy_out(out, region, at, len);
	ST_CHECK(!ret, ret);
	ST_CHECK(!memcmp(in, out, len), -EBADMSG);
	ret = odp_atomic(region, va + 8, ODP_ATOMIC_STORE, 5, 0, &old, NULL);
	ST_CHECK(!ret, ret);
	ret = odp_atomic(region, va + 8, ODP_ATOMIC_FAA, 7, 0, &old, NULL);
	ST_CHECK(!ret && old == 5, -EBADMSG);
	ST_CHECK(odp_region_fault(region, va, 1, 0) == -EFAULT, -EBADMSG);
	ST_CHECK(odp_region_prefetch(region, va, 1, ODP_ADVICE_PREFETCH,
				     true) == -EINVAL, -EBADMSG);
	ST_CHECK(!odp_region_is_odp(region), -EBADMSG);
	return 0;
}

static int test_static(void)
{
	const unsigned long va = 3 * ODP_LEAF_SIZE, len = 5 * PAGE_SIZE;
	unsigned int order = ODP_LEAF_SHIFT - PAGE_SHIFT, n = 6, i;
	struct odp_region *region;
	struct page *small[6], *huge;
	u8 *buffers = kvzalloc(2 * len, GFP_KERNEL);
	int ret = -ENOMEM;

	huge = alloc_pages(GFP_KERNEL | __GFP_COMP, order);
	for (i = 0; i < n; i++)
		small[n - 1 - i] = alloc_page(GFP_KERNEL);
	region = odp_region_create_static(st_domain, va, ODP_LEAF_SIZE +
					  n * PAGE_SIZE, ODP_REGION_WRITABLE);
	if (huge && buffers && !IS_ERR(region))
		ret = static_fill(region, va, huge, small, n);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_stat(region, mapped_pages) == 512 + n, out);
	ret = static_check(region, va, buffers, buffers + len, len);
out:
	odp_region_destroy(region);
	for (i = 0; i < n; i++)
		__free_page(small[i]);
	__free_pages(huge, order);
	kvfree(buffers);
	return ret;
}

/* The same bytes twice, and ranges that overlap: no promise but to survive */
static int test_overlap(void)
{
	unsigned long va = st_map(SZ_1M, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_1M);
	ret = st_fill(va, SZ_64K, 1);
	if (!ret)
		ret = st_copy(region, va, region, va, SZ_64K);
	if (!ret)
		ret = st_compare(va, SZ_64K, 1, 0);
	if (!ret)
		ret = st_copy(region, va + 9, region, va, SZ_64K);
	if (!ret)
		ret = st_copy(region, va, region, va + 4099, SZ_64K);
	odp_region_destroy(region);
	st_unmap(va, SZ_1M);
	return ret;
}

const struct st_case st_copy_cases[] = {
	{ "copy: offsets, lengths, guard bytes", test_offsets },
	{ "copy: across leaves", test_leaf_crossing },
	{ "copy: across children of an implicit region", test_child_crossing },
	{ "copy: region larger than 4 GiB", test_beyond_4g },
	{ "copy: region of many TiB", test_multi_tib },
	{ "copy: static region", test_static },
	{ "copy: overlapping ranges", test_overlap },
	{ }
};
