// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * populate.c - what a fault does under mmap_lock
 *
 * hmm_range_fault() only ever looks (snapshot), one walk for a whole run of
 * pages; what it does not find is faulted in by handle_mm_fault(), which,
 * unlike hmm_range_fault(), can drop mmap_lock while it waits. So swap, FUSE
 * and userfaultfd memory work, and an mmap() of the application never waits
 * for our I/O.
 */

#include <linux/hmm.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mmu_context.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/userfaultfd_k.h>

#include "core.h"

/* A file-backed read fault maps about this many pages around (64 KiB) */
#define FAULT_AROUND_PAGES	(SZ_64K >> PAGE_SHIFT)
/* How many between two looks at the clock */
#define FAULT_CLOCK_PAGES	16

static unsigned long fault_va(const struct odp_fault *fault, unsigned int page)
{
	return fault->base + ((unsigned long)page << PAGE_SHIFT);
}

static unsigned long vma_file_magic(const struct vm_area_struct *vma)
{
	return vma->vm_file ? file_inode(vma->vm_file)->i_sb->s_magic : 0;
}

/*
 * What get_user_pages() refuses, we refuse. Memory of these two may not be in
 * the kernel's direct map, through which we copy.
 */
static int fault_check_vma(struct odp_fault *fault, struct vm_area_struct *vma)
{
	unsigned long magic = vma_file_magic(vma);

	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return -EFAULT;
	if (!(vma->vm_flags & VM_READ))
		return -EFAULT;
	if (fault->write && !(vma->vm_flags & VM_WRITE))
		return -EFAULT;
#ifdef VM_SHADOW_STACK
	/* Its entries look writable to hmm */
	if (vma->vm_flags & VM_SHADOW_STACK) {
		if (fault->write)
			return -EFAULT;
		fault->read_only = true;
	}
#endif
	if (!arch_vma_access_permitted(vma, fault->write, false, true))
		return -EFAULT;
	if (magic == SECRETMEM_MAGIC || magic == SODP_GUEST_MEMFD_MAGIC)
		return -EFAULT;
	return 0;
}

/**
 * odp_fault_check_vmas() - is all that is needed mapped, and allowed
 * @fault: locked; gets @vma, and @end clipped to it
 *
 * What is present is taken from the snapshot without another look at the
 * vma, so this is where forbidden memory is kept out.
 *
 * Context: mmap_lock held.
 * Return: 0 or -EFAULT.
 */
int odp_fault_check_vmas(struct odp_fault *fault)
{
	unsigned long va = fault_va(fault, fault->first);
	unsigned long last = fault_va(fault, fault->last) - 1;
	struct vm_area_struct *vma;
	unsigned long end;
	int ret;

	mmap_assert_locked(fault->mm);
	fault->read_only = false;
	do {
		vma = vma_lookup(fault->mm, va);
		if (!vma)
			return -EFAULT;
		ret = fault_check_vma(fault, vma);
		if (ret)
			return ret;
		va = vma->vm_end;
	} while (va <= last);
	fault->vma = vma;
	end = (vma->vm_end - fault->base) >> PAGE_SHIFT;
	fault->end = min_t(unsigned long, fault->end, end);
	return 0;
}

/* Look what the mm has mapped from page @from to before page @to */
static int fault_walk(struct odp_fault *fault, unsigned int from,
		      unsigned int to)
{
	struct hmm_range range = {
		.notifier = &fault->look,
		.start = fault_va(fault, from),
		.end = fault_va(fault, to),
		.hmm_pfns = fault->pfns + from,
		/* Owns no device memory: private pages are migrated back */
		.dev_private_owner = fault->region,
	};

	mmap_assert_locked(fault->mm);
	return hmm_range_fault(&range);
}

/*
 * What the CPU has where a pmd would be: 0 nothing, 1 one mapping for all of
 * it, 2 a table, or what else there may be.
 */
enum fault_pmd { FAULT_PMD_NONE, FAULT_PMD_HUGE, FAULT_PMD_TABLE };

static enum fault_pmd fault_peek_pmd(const struct odp_fault *fault,
				     unsigned long va)
{
	pgd_t *pgd = pgd_offset(fault->mm, va);
	p4d_t *p4d;
	pud_t pud;
	pmd_t pmd;

	mmap_assert_locked(fault->mm);
	/*
	 * Tables of hugetlb may be shared with other processes, and go under
	 * locks that are hmm's to take. A large page is the whole leaf, and
	 * so @vma has it all.
	 */
	if (is_vm_hugetlb_page(fault->vma))
		return huge_page_size(hstate_vma(fault->vma)) < ODP_LEAF_SIZE ?
		       FAULT_PMD_TABLE : FAULT_PMD_HUGE;
	/* mmap_lock keeps these tables, though not the last one, in place */
	if (pgd_none(*pgd))
		return FAULT_PMD_NONE;
	p4d = p4d_offset(pgd, va);
	if (p4d_none(*p4d))
		return FAULT_PMD_NONE;
	pud = READ_ONCE(*pud_offset(p4d, va));
	if (pud_none(pud))
		return FAULT_PMD_NONE;
	if (!pud_present(pud))
		return FAULT_PMD_TABLE;
	if (pud_leaf(pud))
		return FAULT_PMD_HUGE;
	pmd = pmdp_get_lockless(pmd_offset(&pud, va));
	if (pmd_none(pmd))
		return FAULT_PMD_NONE;
	return pmd_present(pmd) && pmd_leaf(pmd) ? FAULT_PMD_HUGE :
						   FAULT_PMD_TABLE;
}

static bool fault_is_huge(const struct odp_fault *fault, unsigned long va)
{
	return fault_peek_pmd(fault, va) == FAULT_PMD_HUGE;
}

/* The rest of a blank snapshot, for those who look at it */
static void fault_write_blank(struct odp_fault *fault)
{
	if (!fault->blank)
		return;
	memset(fault->pfns + fault->first, 0,
	       (fault->end - fault->first) * sizeof(*fault->pfns));
	fault->blank = false;
}

/**
 * odp_fault_snapshot() - look what the mm has mapped
 * @fault: locked; its pfns of @first to @end are filled; only the first one,
 *	and @whole is set, when one mapping of the CPU covers the leaf; only
 *	that, and @blank is set, when nothing is mapped
 *
 * Context: mmap_lock held.
 * Return: 0, or -EBUSY.
 */
int odp_fault_snapshot(struct odp_fault *fault)
{
	unsigned int first = fault->first, end = fault->end;
	unsigned long hmm_pfn;
	int ret;

	fault->whole = false;
	fault->blank = false;
	switch (fault_peek_pmd(fault, fault->base)) {
	case FAULT_PMD_NONE:
		/* What the first fault brings may make the rest needless */
		fault->pfns[first] = 0;
		fault->blank = true;
		if (fault->flags & ODP_FAULT_SNAPSHOT)
			fault_write_blank(fault);
		return 0;
	case FAULT_PMD_HUGE:
		/* Part of it is about to go */
		if (fault->apart)
			break;
		ret = fault_walk(fault, first, first + 1);
		hmm_pfn = fault->pfns[first];
		if (ret || ((hmm_pfn & HMM_PFN_VALID) &&
			    hmm_pfn_to_map_order(hmm_pfn) >= ODP_LEAF_ORDER)) {
			fault->whole = !ret;
			fault->mapped = PAGE_SIZE <<
					hmm_pfn_to_map_order(hmm_pfn);
			return ret;
		}
		break;
	case FAULT_PMD_TABLE:
		break;
	}
	return fault_walk(fault, first, end);
}

/**
 * odp_fault_take_folio() - see how far the last page's folio is mapped
 * @fault: locked; its snapshot has all that is needed; @end may grow
 *
 * A folio of several pages came as one and mostly goes as one, so what the mm
 * maps of it behind the page is worth an entry: it costs a look now, or a
 * fault later. The folio is not referenced, and may be another by now: it says
 * how far to look, and no more.
 *
 * Context: mmap_lock held.
 */
void odp_fault_take_folio(struct odp_fault *fault)
{
	unsigned long hmm_pfn = fault->pfns[fault->last - 1];
	u64 bytes = fault->region->last - fault->base;
	unsigned long pages, end;

	mmap_assert_locked(fault->mm);
	if (fault->whole || fault->blank || fault->apart ||
	    (fault->flags & ODP_FAULT_PREFETCH) || !(hmm_pfn & HMM_PFN_VALID))
		return;
	pages = folio_nr_pages(page_folio(hmm_pfn_to_page(hmm_pfn)));
	/* What the page has behind it */
	pages -= (hmm_pfn & ~HMM_PFN_FLAGS) & (pages - 1);
	end = min_t(unsigned long, fault->last + pages - 1, ODP_LEAF_PAGES);
	end = min_t(u64, end, (bytes >> PAGE_SHIFT) + 1);
	end = min_t(u64, end,
		    (fault->vma->vm_end - fault->base) >> PAGE_SHIFT);
	if (end > fault->end && !fault_walk(fault, fault->end, end))
		fault->end = end;
}

/* Does @page need handle_mm_fault(), going by the snapshot */
static __always_inline bool fault_page_missing(const struct odp_fault *fault,
					       unsigned int page)
{
	unsigned long need = HMM_PFN_VALID;

	if (fault->write)
		need |= HMM_PFN_WRITE;
	return (fault->pfns[page] & need) != need;
}

/*
 * tmpfs locks a page that it finds, and one that it swaps in until the read is
 * over, whatever it is told, and sleeps while a hole is being punched (that is
 * what it has i_private for). So look first. It may change before the fault
 * gets there; then we wait for who has the page locked at that moment, but
 * not for a read that our fault has begun.
 */
static bool fault_tmpfs_may_wait(struct vm_area_struct *vma, unsigned long va)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	struct folio *folio;
	bool wait = false;

	if (READ_ONCE(mapping->host->i_private))
		return true;
	rcu_read_lock();
	folio = xa_load(&mapping->i_pages, linear_page_index(vma, va));
	/* A hole is filled at once. No reference: all that can go is the hint */
	if (xa_is_value(folio))
		wait = true;
	else if (folio)
		wait = folio_test_locked(folio) || !folio_test_uptodate(folio);
	rcu_read_unlock();
	return wait;
}

/*
 * Without waiting: a file's page may need a read that, in some cases,
 * handle_mm_fault() waits for even when told not to. A page of 1 GiB is cleared
 * for longer than anybody may be held up. And what is allocated is charged to
 * the mm's memcg, where it may have to reclaim, or kill: a process
 * may be made to do that for its own memory, as if it had touched it, but not
 * for another's. Workers of a device do it for whoever owns the memory.
 */
static bool fault_may_wait(const struct odp_fault *fault,
			   struct vm_area_struct *vma, unsigned long va)
{
	unsigned long magic = vma_file_magic(vma);

	if (current->mm && current->mm != fault->mm)
		return true;
	if (is_vm_hugetlb_page(vma) &&
	    huge_page_size(hstate_vma(vma)) > ODP_LEAF_SIZE)
		return true;
	if (magic == TMPFS_MAGIC)
		return fault_tmpfs_may_wait(vma, va);
	return magic && magic != HUGETLBFS_MAGIC;
}

static unsigned int fault_mm_flags(const struct odp_fault *fault,
				   unsigned long va, bool nowait)
{
	unsigned int flags = FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY;

	if (fault->write)
		flags |= FAULT_FLAG_WRITE;
	if (nowait)
		flags |= FAULT_FLAG_RETRY_NOWAIT;
	else
		flags |= FAULT_FLAG_KILLABLE;
	/* Told to retry for this very page before: now it may insist */
	if (fault->tried == va)
		flags |= FAULT_FLAG_TRIED;
	return flags;
}

/*
 * The call that may wait for a page. The region is left meanwhile, unless it
 * cannot wait, so that odp_region_destroy() need not wait for the page. We
 * keep the leaf, and by it the child: memory, which destroy takes no notice of.
 */
static vm_fault_t fault_handle(struct odp_fault *fault,
			       struct vm_area_struct *vma, unsigned long va,
			       bool nowait)
{
	unsigned int flags = fault_mm_flags(fault, va, nowait);
	vm_fault_t result;

	if (nowait)
		return handle_mm_fault(vma, va, flags, NULL);
	odp_region_leave(fault->region);
	result = handle_mm_fault(vma, va, flags, NULL);
	fault->entered = !odp_region_enter(fault->region);
	return result;
}

/*
 * Fault one page in. Return 0; -EAGAIN if it would wait and must not;
 * -ERESTART if mmap_lock was dropped, start over; -ESRCH if the region was
 * destroyed meanwhile; or what is wrong.
 */
static int fault_one(struct odp_fault *fault, struct vm_area_struct *vma,
		     unsigned int page, bool nowait)
{
	unsigned long va = fault_va(fault, page);
	vm_fault_t result;

	result = fault_handle(fault, vma, va, nowait);
	fault->populated = true;
	/* Either way the lock was dropped, but for a retry that is nowait */
	if (result & VM_FAULT_COMPLETED ||
	    (!nowait && result & VM_FAULT_RETRY)) {
		fault->locked = false;
		fault->waited = page;
	}
	if (unlikely(!fault->entered))
		return -ESRCH;
	if (likely(!(result & (VM_FAULT_ERROR | VM_FAULT_RETRY |
			       VM_FAULT_COMPLETED))))
		return 0;
	if (result & VM_FAULT_COMPLETED)
		return -ERESTART;
	if (result & VM_FAULT_RETRY) {
		if (nowait)
			return -EAGAIN;
		fault->tried = va;
		return -ERESTART;
	}
	/* FOLL_HWPOISON: tell memory with an error from what is not mapped */
	return vm_fault_to_errno(result, FOLL_HWPOISON);
}

/*
 * One page was faulted in: more may have come with it. Return the page to go
 * on with.
 */
static unsigned int fault_skip_ahead(struct odp_fault *fault,
				     struct vm_area_struct *vma,
				     unsigned int page, unsigned int to)
{
	unsigned int next = page + 1;

	if (fault_is_huge(fault, fault_va(fault, page)))
		return to;
	fault_write_blank(fault);
	if (vma->vm_file && !fault->write && next < to)
		fault_walk(fault, next, min(next + FAULT_AROUND_PAGES, to));
	return next;
}

static bool fault_is_late(const struct odp_fault *fault, unsigned int page)
{
	return !(page % FAULT_CLOCK_PAGES) && odp_fault_is_late(fault);
}

/* What is before @page has to do */
static void fault_cut(struct odp_fault *fault, unsigned int page)
{
	fault->last = page;
	fault->end = page;
	fault->narrowed = true;
}

static int fault_populate_needed(struct odp_fault *fault)
{
	bool nowait = fault->flags & ODP_FAULT_NOWAIT;
	struct vm_area_struct *vma = fault->vma;
	unsigned int page = fault->first;
	bool peek = true;
	int ret;

	if (fault->whole && !fault_page_missing(fault, page))
		return 0;
	while (page < fault->last) {
		unsigned long va = fault_va(fault, page);

		if (!fault_page_missing(fault, page)) {
			page++;
			continue;
		}
		if (page > fault->first && fault_is_late(fault, page)) {
			fault_cut(fault, page);
			return 0;
		}
		if (unlikely(va < vma->vm_start || va >= vma->vm_end)) {
			vma = vma_lookup(fault->mm, va);
			if (!vma)
				return -EFAULT;
			peek = true;
		}
		if (nowait && fault_may_wait(fault, vma, va))
			return -EAGAIN;
		ret = fault_one(fault, vma, page, nowait);
		/* @whole: there is no other; perhaps it has been split */
		if (ret || fault->whole)
			return ret;
		if (peek || (vma->vm_file && !fault->write))
			page = fault_skip_ahead(fault, vma, page, fault->last);
		else
			page++;
		peek = false;
	}
	return 0;
}

/*
 * Fault-around. Only memory that would be written anyway is created, and
 * nothing that goes wrong here is an error of the fault.
 */
static void fault_populate_around(struct odp_fault *fault)
{
	struct vm_area_struct *vma = fault->vma;
	unsigned int page = fault->last;

	if (page >= fault->end || fault->whole || !fault->write ||
	    !vma_is_anonymous(vma) || userfaultfd_armed(vma))
		return;
	if (fault_is_huge(fault, fault_va(fault, page)))
		return;
	fault_write_blank(fault);
	for (; page < fault->end; page++)
		if (fault_page_missing(fault, page) &&
		    (fault_is_late(fault, page) ||
		     fault_one(fault, vma, page, true)))
			break;
}

/**
 * odp_fault_populate() - fault in what the snapshot misses
 * @fault: locked, its vmas checked, its pfns filled; when it returns
 *	@locked says whether mmap_lock is still held, @populated whether a
 *	new snapshot is needed
 *
 * Context: mmap_lock held. May sleep, and may wait for long with it dropped,
 * unless ODP_FAULT_NOWAIT.
 * Return: 0; -EAGAIN if it would wait and must not; -ERESTART to start over;
 * -EFAULT, -EHWPOISON, -ENOMEM.
 */
int odp_fault_populate(struct odp_fault *fault)
{
	int ret;

	mmap_assert_locked(fault->mm);
	ret = fault_populate_needed(fault);
	if (!ret)
		fault_populate_around(fault);
	return ret;
}
