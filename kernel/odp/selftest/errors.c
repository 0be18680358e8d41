// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * errors.c - what is refused, and how. Looks inside.
 */

#include <linux/ktime.h>

#include "../access.h"
#include "selftest.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

static int test_create(void)
{
	struct odp_region *region;

	region = st_region(PAGE_SIZE, 0);
	ST_CHECK(PTR_ERR(region) == -EINVAL, -EBADMSG);
	region = st_region(U64_MAX, 2);
	ST_CHECK(PTR_ERR(region) == -EOVERFLOW, -EBADMSG);
	region = st_region(current->mm->task_size - 1, 2);
	ST_CHECK(PTR_ERR(region) == -EFAULT, -EBADMSG);
	region = st_implicit();
	ST_CHECK(!IS_ERR(region), PTR_ERR(region));
	ST_CHECK(odp_region_is_implicit(region), -EBADMSG);
	ST_CHECK(odp_region_is_odp(region), -EBADMSG);
	odp_region_destroy(region);
	return 0;
}

static int bounds_check(struct odp_region *region, unsigned long va)
{
	struct odp_miss miss;
	u64 done, word;
	int ret;

	ret = odp_region_fault(region, va - 1, 1, 0);
	ST_CHECK(ret == -EFAULT, -EBADMSG);
	ret = odp_region_fault(region, va, 8193, 0);
	ST_CHECK(ret == -EFAULT, -EBADMSG);
	ret = odp_region_fault(region, va + 5, U64_MAX, 0);
	ST_CHECK(ret == -EFAULT, -EBADMSG);
	ret = odp_region_fault(region, va + 8191, 1, 0);
	ST_CHECK(!ret, -EBADMSG);
	ret = odp_region_fault(region, va, 0, 0);
	ST_CHECK(!ret, -EBADMSG);
	ret = odp_copy_out(&word, region, va + 8185, 8, &done, &miss);
	ST_CHECK(ret == -EFAULT && !done, -EBADMSG);
	ret = odp_region_prefetch(region, va, 9000, ODP_ADVICE_PREFETCH,
				  true);
	ST_CHECK(ret == -EFAULT, -EBADMSG);
	return 0;
}

static int test_bounds(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va + 1000, 8192);
	ret = bounds_check(region, va + 1000);
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

/* The memory is writable, and mapped so for another region: not for this one */
static int read_only_check(struct odp_region *region, unsigned long va)
{
	struct odp_miss miss;
	u64 word = 1, old;
	int ret;

	ST_CHECK(st_mapped(region, va, false), -EBADMSG);
	ST_CHECK(!st_mapped(region, va, true), -EBADMSG);
	ret = odp_copy_in(region, va, &word, 8, &old, &miss);
	ST_CHECK(ret == -EAGAIN && miss.flags == ODP_FAULT_WRITE, -EBADMSG);
	ret = odp_copy(region, va, region, va + 8, 8, &old, &miss);
	ST_CHECK(ret == -EAGAIN && miss.flags == ODP_FAULT_WRITE, -EBADMSG);
	ret = odp_atomic(region, va, ODP_ATOMIC_FAA, 1, 0, &old, &miss);
	ST_CHECK(ret == -EAGAIN && miss.flags == ODP_FAULT_WRITE, -EBADMSG);
	ST_CHECK(st_copy_in(region, va, &word, 8) == -EACCES, -EBADMSG);
	ret = odp_region_prefetch(region, va, 8, ODP_ADVICE_PREFETCH_WRITE,
				  true);
	ST_CHECK(ret == -EPERM, -EBADMSG);
	return 0;
}

/* A region that may only be read */
static int test_read_only_region(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region, *other;
	u64 word = 1;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = odp_region_create(st_domain, va, SZ_64K, 0);
	other = st_region(va, SZ_64K);
	ret = st_fill(va, SZ_64K, 1);
	if (!ret)
		ret = st_copy_out(&word, region, va, 8);
	if (!ret)
		ret = read_only_check(region, va);
	if (!ret)
		ret = st_copy_in(other, va, &word, 8);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_mapped(other, va, true), out);
	ret = read_only_check(region, va);
out:
	odp_region_destroy(other);
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

/* Memory with a hole: what comes before it works, the hole is an error */
static int test_hole(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region;
	u8 buffer[64];
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	st_unmap(va + 2 * PAGE_SIZE, PAGE_SIZE);
	region = st_region(va, SZ_64K);
	ret = st_copy_out(buffer, region, va + 2 * PAGE_SIZE - 64, 64);
	ST_CHECK_GOTO(!ret, out);
	ST_CHECK_GOTO(st_copy_out(buffer, region, va + 2 * PAGE_SIZE - 1,
				  2) == -EFAULT, out);
	ret = st_copy_out(buffer, region, va + 3 * PAGE_SIZE, 64);
	ST_CHECK_GOTO(!ret, out);
	ret = odp_region_prefetch(region, va, SZ_64K, ODP_ADVICE_PREFETCH,
				  true);
	ST_CHECK_GOTO(ret == -EFAULT, out);
	ret = odp_region_prefetch(region, va, SZ_64K, ODP_ADVICE_PREFETCH,
				  false);
	ST_CHECK_GOTO(!ret, out);
	ret = odp_region_prefetch(region, va, SZ_64K, ODP_ADVICE_NO_FAULT,
				  true);
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

/* NO_FAULT maps what the CPU has touched and nothing else */
static int test_no_fault(void)
{
	unsigned long va = st_map(SZ_64K, RW, MAP_SHARED | MAP_ANONYMOUS);
	struct odp_region *region;
	u64 pages;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	ret = st_fill(va + PAGE_SIZE, 3 * PAGE_SIZE, 1);
	if (!ret)
		ret = odp_region_prefetch(region, va, SZ_64K,
					  ODP_ADVICE_NO_FAULT, true);
	ST_CHECK_GOTO(!ret, out);
	pages = st_stat(region, mapped_pages);
	ST_CHECK_GOTO(pages == 3, out);
	ST_CHECK_GOTO(st_mapped(region, va + PAGE_SIZE, false), out);
	ST_CHECK_GOTO(!st_mapped(region, va, false), out);
	ST_CHECK_GOTO(st_stat(region, prefetch_pages) == 3, out);
	ST_CHECK_GOTO(!st_stat(region, faults), out);
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

static int fault_model_check(struct odp_region *region, unsigned long va)
{
	struct odp_fault_model model = {
		.fixed_ns = 2 * NSEC_PER_MSEC,
		.per_page_ns = 1000,
	}, got;
	u64 began;
	int ret;

	odp_domain_set_fault_model(st_domain, &model);
	odp_domain_get_fault_model(st_domain, &got);
	ST_CHECK(!memcmp(&model, &got, sizeof(got)), -EBADMSG);
	ret = odp_region_fault(region, va, 8, ODP_FAULT_NOWAIT);
	ST_CHECK(ret == -EAGAIN, -EBADMSG);
	ST_CHECK(st_stat(region, faults_handed_over) == 1, -EBADMSG);
	ST_CHECK(!st_stat(region, faults), -EBADMSG);
	began = ktime_get_ns();
	ret = odp_region_fault(region, va, 8, 0);
	ST_CHECK(!ret, ret);
	ST_CHECK(ktime_get_ns() - began >= model.fixed_ns, -EBADMSG);
	ST_CHECK(st_stat(region, faults) == 1, -EBADMSG);
	return 0;
}

static int test_fault_model(void)
{
	static const struct odp_fault_model none;
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region;
	u64 before, after = 0;
	unsigned int i;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	for (i = 11, before = 0; i < ODP_FAULT_BUCKETS; i++)
		before += odp_domain_fault_bucket(st_domain, i);
	region = st_region(va, SZ_64K);
	ret = fault_model_check(region, va);
	odp_domain_set_fault_model(st_domain, &none);
	/* 2 ms is beyond bucket 10, [1024, 2048) us */
	for (i = 10; i < ODP_FAULT_BUCKETS; i++)
		after += odp_domain_fault_bucket(st_domain, i);
	if (!ret && after <= before)
		ret = -EBADMSG;
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

/* Without waiting: works for memory that needs no I/O */
static int test_nowait(void)
{
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	/* The child, if this mm never had a notifier */
	ret = odp_region_fault(region, va, 1, 0);
	if (!ret)
		ret = odp_region_fault(region, va, SZ_64K,
				       ODP_FAULT_WRITE | ODP_FAULT_NOWAIT);
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

static void bystander_free(struct mmu_notifier *subscription)
{
}

static const struct mmu_notifier_ops bystander_ops = {
	.free_notifier = bystander_free,
};

/*
 * The first interval notifier of a mm takes mmap_lock for writing, also when
 * the mm has a notifier of another kind. Who may not wait leaves that to
 * others, and need not once one of the mm's regions has a child.
 */
static int test_nowait_first(void)
{
	struct mmu_notifier bystander = { .ops = &bystander_ops };
	unsigned long va = st_map(SZ_64K, RW, ANON);
	struct odp_region *region, *other;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	ret = mmu_notifier_register(&bystander, current->mm);
	ST_CHECK(!ret, ret);
	region = st_region(va, SZ_64K);
	other = st_region(va, SZ_64K);
	ret = odp_region_fault(region, va, 1, ODP_FAULT_NOWAIT);
	ST_CHECK_GOTO(ret == -EAGAIN, out);
	ret = odp_region_fault(region, va, 1, 0);
	ST_CHECK_GOTO(!ret, out);
	ret = odp_region_fault(other, va, 1, ODP_FAULT_NOWAIT);
	ST_CHECK_GOTO(!ret, out);
out:
	odp_region_destroy(other);
	odp_region_destroy(region);
	mmu_notifier_unregister(&bystander, current->mm);
	st_unmap(va, SZ_64K);
	return ret;
}

const struct st_case st_error_cases[] = {
	{ "error: create", test_create },
	{ "error: bounds", test_bounds },
	{ "error: region that may only be read", test_read_only_region },
	{ "error: hole in memory", test_hole },
	{ "error: prefetch without faulting", test_no_fault },
	{ "error: fault model", test_fault_model },
	{ "error: fault without waiting", test_nowait },
	{ "error: without waiting, first of its mm", test_nowait_first },
	{ }
};
