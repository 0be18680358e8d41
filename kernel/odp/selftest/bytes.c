// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bytes.c - what memcpy.h promises: the last bytes last, and a way back from
 * memory that cannot be read
 */

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/random.h>

#include "selftest.h"

#define RW		(PROT_READ | PROT_WRITE)
#define BYTES_LEN	(4 * PAGE_SIZE)
#define ORDER_ROUNDS	250
#define BYTES_VA	(16 * ODP_LEAF_SIZE)
/* In the kernel's map of all memory, where no machine has any */
#define BAD_PFN		(1UL << (45 - PAGE_SHIFT))

/* A static region over pages of the kernel */
static struct odp_region *bytes_region(void *pages, unsigned int order)
{
	struct odp_region *region;

	region = odp_region_create_static(st_domain, BYTES_VA,
					  PAGE_SIZE << order,
					  ODP_REGION_WRITABLE);
	if (!IS_ERR(region) &&
	    odp_region_add_pages(region, BYTES_VA,
				 page_to_pfn(virt_to_page(pages)),
				 1UL << order))
		pr_info("# cannot fill a region\n");
	return region;
}

/**
 * struct poller - who polls on the last byte, as a program does
 * @bytes: of the message; it and @len change when @round is @seen
 * @len: its length
 * @round: message that is to come
 * @seen: message that came
 * @wrong: bytes that were not there when the last one was
 */
struct poller {
	const u8 *bytes;
	unsigned int len;
	u8 round;
	u8 seen;
	u64 wrong;
};

static int poller_thread(void *data)
{
	struct poller *poller = data;
	unsigned int i;
	u8 round;

	while (!kthread_should_stop()) {
		/* Pairs with smp_store_release() in order_round() */
		round = smp_load_acquire(&poller->round);
		if (round == poller->seen) {
			cond_resched();
			continue;
		}
		while (READ_ONCE(poller->bytes[poller->len - 1]) != round &&
		       !kthread_should_stop())
			cpu_relax();
		/* Pairs with what memcpy.h says of the last bytes */
		smp_rmb();
		for (i = 0; i < poller->len; i++)
			poller->wrong += READ_ONCE(poller->bytes[i]) != round;
		/* Pairs with smp_load_acquire() in order_round() */
		smp_store_release(&poller->seen, round);
	}
	return 0;
}

static int order_round(struct poller *poller, struct odp_region *dst,
		       u64 to, struct odp_region *src, void *from, u8 round)
{
	struct odp_miss miss;
	u64 done;
	int ret;

	memset(from, round, BYTES_LEN);
	/* Pairs with smp_load_acquire() in poller_thread() */
	smp_store_release(&poller->round, round);
	/* Let it be there when the bytes come */
	ndelay(300 * (round & 3));
	ret = odp_copy(dst, to, src, BYTES_VA + (round & 1) * 3,
		       poller->len, &done, &miss);
	/* Pairs with smp_store_release() in poller_thread() */
	while (!ret && smp_load_acquire(&poller->seen) != round)
		cond_resched();
	return ret;
}

static int order_rounds(struct poller *poller, u8 *to, u8 *from)
{
	static const unsigned int lengths[] = { 16, 72, 100, 127, 300, 4095,
						4096, 4099, 8192 };
	/* With some of these memcpy() begins at the end */
	static const unsigned int ends[] = { 0, 8, 5, 1, 32, 120, 152, 176 };
	struct odp_region *dst = bytes_region(to, 2);
	struct odp_region *src = bytes_region(from, 2);
	unsigned int l, e, i, offset;
	int ret = 0;

	for (l = 0; l < ARRAY_SIZE(lengths); l++) {
		for (e = 0; !ret && e < ARRAY_SIZE(ends); e++) {
			/* To the end of two pages, and so many bytes less */
			offset = 3 * PAGE_SIZE - lengths[l] - ends[e];
			memset(to, poller->seen, BYTES_LEN);
			poller->bytes = to + offset;
			poller->len = lengths[l];
			for (i = 0; !ret && i < ORDER_ROUNDS; i++)
				ret = order_round(poller, dst, BYTES_VA +
						  offset, src, from,
						  poller->seen + 1);
		}
	}
	odp_region_destroy(src);
	odp_region_destroy(dst);
	return ret;
}

/* Who sees the last byte of a message sees all of it */
static int test_order(void)
{
	u8 *to = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);
	u8 *from = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);
	struct poller poller = { };
	struct task_struct *task;
	int ret = -ENOMEM;

	ST_CHECK_GOTO(to && from, out);
	task = kthread_run(poller_thread, &poller, "odp_poller");
	ret = PTR_ERR_OR_ZERO(task);
	ST_CHECK_GOTO(!ret, out);
	ret = order_rounds(&poller, to, from);
	kthread_stop(task);
	if (poller.wrong) {
		pr_info("# %llu bytes came after the last one\n",
			poller.wrong);
		ret = -EBADMSG;
	}
out:
	free_pages((unsigned long)from, 2);
	free_pages((unsigned long)to, 2);
	return ret;
}

/* A copy that begins in good memory and ends in bad: how far does it get */
static int bad_copy(struct odp_region *bad, u8 *good, u8 *buffer,
		    unsigned int before, unsigned int len)
{
	struct odp_miss miss;
	u64 done = len;
	int ret;

	memset(buffer, 0xee, 2 * PAGE_SIZE);
	ret = odp_copy_out(buffer, bad, BYTES_VA + PAGE_SIZE - before, len,
			   &done, &miss);
	ST_CHECK(ret == -EHWPOISON, -EBADMSG);
	ST_CHECK(done <= before, -EBADMSG);
	ST_CHECK(!memcmp(buffer, good + PAGE_SIZE - before, done), -EBADMSG);
	ST_CHECK(!memchr_inv(buffer + before, 0xee, 2 * PAGE_SIZE - before),
		 -EBADMSG);
	return 0;
}

static int bad_copies(struct odp_region *bad, u8 *good, u8 *buffer)
{
	static const unsigned int starts[] = { 0, 1, 8, 13, 600, 4096 };
	static const unsigned int lens[] = { 1, 6, 8, 24, 100, 127, 513, 4096 };
	unsigned int b, l;
	int ret = 0;

	for (b = 0; b < ARRAY_SIZE(starts); b++)
		for (l = 0; !ret && l < ARRAY_SIZE(lens); l++)
			ret = bad_copy(bad, good, buffer, starts[b],
				       starts[b] + lens[l]);
	return ret;
}

/* From bad memory to a process's: the same, and what was there stays */
static int bad_regions(struct odp_region *bad)
{
	unsigned long va = st_map(SZ_64K, RW, MAP_PRIVATE | MAP_ANONYMOUS);
	struct odp_region *region;
	struct odp_miss miss;
	u64 done, old, word = 5;
	int ret;

	ST_CHECK(!IS_ERR_VALUE(va), -ENOMEM);
	region = st_region(va, SZ_64K);
	ret = st_fill(va, SZ_64K, 3);
	if (!ret)
		ret = st_copy_in(region, va, &word, sizeof(word));
	ST_CHECK_GOTO(!ret, out);
	ret = odp_copy(region, va + 64, bad, BYTES_VA + PAGE_SIZE, 8, &done,
		       &miss);
	ST_CHECK_GOTO(ret == -EHWPOISON && !done, out);
	ret = odp_copy(region, va + 64, bad, BYTES_VA + PAGE_SIZE + 4, 900,
		       &done, &miss);
	ST_CHECK_GOTO(ret == -EHWPOISON && !done, out);
	ret = st_compare(va + 64, 900, 3, 64);
	ST_CHECK_GOTO(!ret, out);
	ret = odp_atomic(bad, BYTES_VA + PAGE_SIZE + 8, ODP_ATOMIC_FAA, 1, 0,
			 &old, &miss);
	ret = ret == -EHWPOISON ? 0 : -EBADMSG;
out:
	odp_region_destroy(region);
	st_unmap(va, SZ_64K);
	return ret;
}

/*
 * Memory that a load cannot read. No machine check can be had here, but the
 * way back from one is that from a page fault in the kernel.
 */
static int test_bad_memory(void)
{
	u8 *good, *buffer;
	struct odp_region *bad;
	int ret = -ENOMEM;

	/*
	 * There is no fixup where the compiler checks every access. The kernel
	 * in user mode knows none with a type.
	 */
	if (!IS_ENABLED(CONFIG_X86_64) || IS_ENABLED(CONFIG_KASAN) ||
	    IS_ENABLED(CONFIG_KMSAN) || IS_ENABLED(CONFIG_UML))
		return ST_SKIP;
	bad = odp_region_create_static(st_domain, BYTES_VA, 3 * PAGE_SIZE,
				       ODP_REGION_WRITABLE);
	ST_CHECK(!IS_ERR(bad), PTR_ERR(bad));
	good = (u8 *)__get_free_page(GFP_KERNEL);
	buffer = (u8 *)__get_free_pages(GFP_KERNEL, 1);
	ST_CHECK_GOTO(good && buffer, out);
	get_random_bytes(good, PAGE_SIZE);
	ret = odp_region_add_pages(bad, BYTES_VA,
				   page_to_pfn(virt_to_page(good)), 1);
	if (!ret)
		ret = odp_region_add_pages(bad, BYTES_VA + PAGE_SIZE,
					   BAD_PFN, 2);
	if (!ret)
		ret = bad_copies(bad, good, buffer);
	if (!ret)
		ret = bad_regions(bad);
out:
	free_pages((unsigned long)buffer, 1);
	free_page((unsigned long)good);
	odp_region_destroy(bad);
	return ret;
}

const struct st_case st_bytes_cases[] = {
	{ "bytes: the last ones come last", test_order },
	{ "bytes: memory that cannot be read", test_bad_memory },
	{ }
};
