// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * memory.c - the application's side, and a device that faults and retries
 */

#include <linux/kprobes.h>

#include "selftest.h"

/* Rounds of fault and copy before a test is declared hung */
#define ST_ROUNDS	1000000

unsigned long st_map_at(unsigned long va, unsigned long len,
			unsigned long prot, unsigned long flags)
{
	return vm_mmap(NULL, va, len, prot, flags, 0);
}

unsigned long st_map(unsigned long len, unsigned long prot,
		     unsigned long flags)
{
	return st_map_at(0, len, prot, flags);
}

/* Anonymous memory, writable; freed as @len + @align by nobody: st_unmap() */
unsigned long st_map_aligned(unsigned long len, unsigned long align)
{
	unsigned long va, aligned;

	va = st_map(len + align, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	if (IS_ERR_VALUE(va))
		return va;
	aligned = ALIGN(va, align);
	if (aligned > va)
		vm_munmap(va, aligned - va);
	if (va + align > aligned)
		vm_munmap(aligned + len, va + align - aligned);
	return aligned;
}

void st_unmap(unsigned long va, unsigned long len)
{
	if (!IS_ERR_VALUE(va))
		vm_munmap(va, len);
}

/* A byte pattern without a short period */
u8 st_byte(u32 seed, unsigned long i)
{
	u32 x = (i + 1) * 2654435761U + seed * 40503U;

	return x >> 13;
}

int st_fill(unsigned long va, unsigned long len, u32 seed)
{
	u8 *page = (u8 *)__get_free_page(GFP_KERNEL);
	unsigned long at, n, i;
	int ret = 0;

	if (!page)
		return -ENOMEM;
	for (at = 0; !ret && at < len; at += n) {
		n = min(len - at, PAGE_SIZE);
		for (i = 0; i < n; i++)
			page[i] = st_byte(seed, at + i);
		if (copy_to_user((void __user *)(va + at), page, n))
			ret = -EFAULT;
	}
	free_page((unsigned long)page);
	return ret;
}

int st_compare(unsigned long va, unsigned long len, u32 seed,
	       unsigned long first)
{
	u8 *page = (u8 *)__get_free_page(GFP_KERNEL);
	unsigned long at, n, i;
	int ret = 0;

	if (!page)
		return -ENOMEM;
	for (at = 0; !ret && at < len; at += n) {
		n = min(len - at, PAGE_SIZE);
		if (copy_from_user(page, (void __user *)(va + at), n)) {
			ret = -EFAULT;
			break;
		}
		for (i = 0; i < n; i++) {
			if (page[i] == st_byte(seed, first + at + i))
				continue;
			pr_info("# byte %lu of %lu at %#lx: %#x for %#x\n",
				at + i, len, va, page[i],
				st_byte(seed, first + at + i));
			ret = -EBADMSG;
			break;
		}
	}
	free_page((unsigned long)page);
	return ret;
}

struct odp_region *st_region(unsigned long va, u64 len)
{
	return odp_region_create(st_domain, va, len, ODP_REGION_WRITABLE);
}

struct odp_region *st_implicit(void)
{
	return odp_region_create(st_domain, 0, U64_MAX, ODP_REGION_WRITABLE |
				 ODP_REGION_IMPLICIT);
}

/* What a device does on -EAGAIN: fault, and come back */
static int st_resolve(struct odp_miss *miss)
{
	int ret;

	ret = odp_region_fault(miss->region, miss->va, miss->len, miss->flags);
	return ret == -EAGAIN ? 0 : ret;
}

int st_copy(struct odp_region *dst, u64 dst_va, struct odp_region *src,
	    u64 src_va, u64 len)
{
	struct odp_miss miss;
	int rounds, ret;
	u64 done;

	for (rounds = 0; rounds < ST_ROUNDS; rounds++) {
		ret = odp_copy(dst, dst_va, src, src_va, len, &done, &miss);
		if (ret != -EAGAIN)
			return ret;
		dst_va += done;
		src_va += done;
		len -= done;
		ret = st_resolve(&miss);
		if (ret)
			return ret;
	}
	return -ETIMEDOUT;
}

int st_copy_in(struct odp_region *dst, u64 va, const void *from, u64 len)
{
	struct odp_miss miss;
	int rounds, ret;
	u64 done;

	for (rounds = 0; rounds < ST_ROUNDS; rounds++) {
		ret = odp_copy_in(dst, va, from, len, &done, &miss);
		if (ret != -EAGAIN)
			return ret;
		va += done;
		from += done;
		len -= done;
		ret = st_resolve(&miss);
		if (ret)
			return ret;
	}
	return -ETIMEDOUT;
}

int st_copy_out(void *to, struct odp_region *src, u64 va, u64 len)
{
	struct odp_miss miss;
	int rounds, ret;
	u64 done;

	for (rounds = 0; rounds < ST_ROUNDS; rounds++) {
		ret = odp_copy_out(to, src, va, len, &done, &miss);
		if (ret != -EAGAIN)
			return ret;
		va += done;
		to += done;
		len -= done;
		ret = st_resolve(&miss);
		if (ret)
			return ret;
	}
	return -ETIMEDOUT;
}

/* Has the page an entry now */
bool st_mapped(struct odp_region *region, u64 va, bool write)
{
	struct odp_access access;

	if (odp_access_begin(region, va, 1, write, &access))
		return false;
	odp_access_end(&access);
	return true;
}

/*
 * Some events cannot be provoked from here (non-blockable ones, write
 * protection, those without mmap_lock, aging): the mm's own functions for them
 * are called. They are not exported; a kprobe that is never armed tells where
 * they are.
 */
static int (*event_start)(struct mmu_notifier_range *range);
static void (*event_end)(struct mmu_notifier_range *range);
static int (*event_madvise)(struct mm_struct *mm, unsigned long start,
			    size_t len, int behavior);

/* What they return is a bool since 7.2; of an int only the low byte is used */
static bool (*event_clear_young)(struct mm_struct *mm, unsigned long start,
				 unsigned long end);
static bool (*event_test_young)(struct mm_struct *mm, unsigned long address);
static void (*event_drop_slab)(void);

static unsigned long find_symbol(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	unsigned long address;

	if (register_kprobe(&probe))
		return 0;
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
#ifdef CONFIG_X86_KERNEL_IBT
	/* May be behind the landing pad */
	if (*(u32 *)(address - 4) == 0xfa1e0ff3)
		address -= 4;
#endif
	return address;
}

int st_event_init(void)
{
	unsigned long start, end;

	start = find_symbol("__mmu_notifier_invalidate_range_start");
	end = find_symbol("__mmu_notifier_invalidate_range_end");
	if (!start || !end)
		return -ENOENT;
	event_start = (void *)start;
	event_end = (void *)end;
	event_madvise = (void *)find_symbol("do_madvise");
	event_clear_young = (void *)find_symbol("__mmu_notifier_clear_young");
	event_test_young = (void *)find_symbol("__mmu_notifier_test_young");
	event_drop_slab = (void *)find_symbol("drop_slab");
	return 0;
}

bool st_has_young(void)
{
	return event_clear_young && event_test_young;
}

/* As if memory were short; only if st_has_shrink() */
void st_shrink(void)
{
	event_drop_slab();
}

bool st_has_shrink(void)
{
	return event_drop_slab;
}

/* Was some of it used of late; @clear: and forget it */
bool st_young(unsigned long start, unsigned long end, bool clear)
{
	bool young = false;

	if (clear)
		return event_clear_young(current->mm, start, end);
	for (; start < end; start += PAGE_SIZE)
		young |= event_test_young(current->mm, start);
	return young;
}

/* madvise(); ST_SKIP if it cannot be called from here */
int st_madvise(unsigned long va, unsigned long len, int advice)
{
	if (!event_madvise)
		return ST_SKIP;
	return event_madvise(current->mm, va, len, advice);
}

bool st_has_events(void)
{
	return event_start;
}

int st_event(unsigned long start, unsigned long end,
	     enum mmu_notifier_event event, bool blockable)
{
	struct mmu_notifier_range range = {
		.mm = current->mm,
		.start = start,
		.end = end,
		.event = event,
		.flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0,
	};
	int ret;

	ret = st_event_begin(&range);
	if (!ret)
		st_event_end(&range);
	return ret;
}

/* One that takes as long as the test wants it to */
int st_event_begin(struct mmu_notifier_range *range)
{
	return event_start(range);
}

void st_event_end(struct mmu_notifier_range *range)
{
	event_end(range);
}
