// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * mm.c - what the spaces of one mm share
 *
 * Children are told when an invalidation of their span begins, and by whom the
 * end is told is the notifier here. So it is known which addresses are being
 * invalidated just now, and a fault waits for what goes on at its own pages,
 * and for nothing else. The same notifier answers the mm's question what was
 * used of late: it does not see a device's accesses otherwise.
 */

#include <linux/hashtable.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "core.h"
#include "../compat/compat_mm.h"

/* Guards the table; who is in it has references */
static DEFINE_SPINLOCK(mms_lock);
static DEFINE_HASHTABLE(mms, 8);
/* Not freed yet, those out of the table included */
static atomic_t mms_alive = ATOMIC_INIT(0);

static struct odp_inval *inval_find(struct odp_mm *omm,
				    const struct mmu_notifier_range *range)
{
	struct odp_inval *inval;

	lockdep_assert_held(&omm->inval_lock);
	list_for_each_entry(inval, &omm->invals, node)
		if (inval->range == range)
			return inval;
	return NULL;
}

static struct odp_inval *inval_alloc(struct odp_mm *omm)
{
	struct odp_inval *inval;

	lockdep_assert_held(&omm->inval_lock);
	inval = list_first_entry_or_null(&omm->inval_free, struct odp_inval,
					 node);
	if (inval)
		list_del(&inval->node);
	else
		inval = kmalloc(sizeof(*inval), GFP_NOWAIT | __GFP_NOWARN);
	return inval;
}

static void inval_free(struct odp_mm *omm, struct odp_inval *inval)
{
	lockdep_assert_held(&omm->inval_lock);
	if (inval >= omm->inval_slots && inval < omm->inval_slots + ODP_INVALS)
		list_add(&inval->node, &omm->inval_free);
	else
		kfree(inval);
}

static void inval_add(struct odp_mm *omm,
		      const struct mmu_notifier_range *range)
{
	struct odp_inval *inval = inval_alloc(omm);

	if (!inval) {
		WRITE_ONCE(omm->lost, true);
		return;
	}
	inval->range = range;
	inval->start = range->start;
	inval->last = range->end - 1;
	list_add(&inval->node, &omm->invals);
}

/**
 * odp_inval_begin() - an invalidation has begun
 * @omm: of the mm
 * @range: what is invalidated; stays where it is until the end
 *
 * Called by each child in the range, before it looks for leaves. A fault does
 * it crosswise: its leaf is in space->leaves before it looks for invalidations.
 * With a full barrier on either side one of the two sees the other: the child
 * finds the leaf, or the fault sees the invalidation and waits until the page
 * is unmapped (litmus/fresh_leaf.litmus). Program order would not do: a CPU
 * may search while the store is in its buffer, and the page that a fault has
 * found meanwhile would be the device's for good.
 *
 * There is no end to be told of when the mm goes, where nobody faults any
 * more, nor of one that must not block and is given up because somebody would
 * have to. After such a one nothing is known but what the mm knows, and faults
 * wait until no invalidation of it goes on (@lost).
 *
 * Context: Notifier callbacks; does not sleep.
 */
void odp_inval_begin(struct odp_mm *omm, const struct mmu_notifier_range *range)
{
	if (!atomic_read(&omm->mm->mm_users))
		return;
	if (mmu_notifier_range_blockable(range)) {
		spin_lock(&omm->inval_lock);
		if (!inval_find(omm, range))
			inval_add(omm, range);
		spin_unlock(&omm->inval_lock);
	} else {
		WRITE_ONCE(omm->lost, true);
	}
	/* Pairs with smp_mb() in fault_sample() */
	smp_mb();
}

/* No child was told of what is not in the list */
static void omm_invalidate_end(struct mmu_notifier *notifier,
			       const struct mmu_notifier_range *range)
{
	struct odp_mm *omm = container_of(notifier, struct odp_mm, notifier);
	struct odp_inval *inval;

	/* What is ours was put there by this task */
	if (list_empty(&omm->invals))
		return;
	spin_lock(&omm->inval_lock);
	inval = inval_find(omm, range);
	if (inval) {
		list_del(&inval->node);
		inval_free(omm, inval);
	}
	spin_unlock(&omm->inval_lock);
	/* A full barrier, and no lock where nobody waits */
	if (inval && wq_has_sleeper(&omm->inval_wait))
		wake_up_all(&omm->inval_wait);
}

/**
 * odp_inval_overlaps() - is some of a range being invalidated
 * @omm: of the mm
 * @start: first byte
 * @last: last byte
 *
 * Context: Does not sleep. A full barrier comes before it.
 * Return: true if so.
 */
bool odp_inval_overlaps(struct odp_mm *omm, unsigned long start,
			unsigned long last)
{
	struct odp_inval *inval;
	bool found = false;

	if (list_empty(&omm->invals))
		return false;
	spin_lock(&omm->inval_lock);
	list_for_each_entry(inval, &omm->invals, node)
		if (inval->start <= last && inval->last >= start) {
			found = true;
			break;
		}
	spin_unlock(&omm->inval_lock);
	return found;
}

/**
 * odp_inval_wait() - wait until nothing of a range is being invalidated
 * @omm: of the mm
 * @start: first byte
 * @last: last byte
 *
 * Context: Sleeps. No mmap_lock, no leaf_mutex, not in a callback.
 */
void odp_inval_wait(struct odp_mm *omm, unsigned long start, unsigned long last)
{
	wait_event(omm->inval_wait, !odp_inval_overlaps(omm, start, last));
}

static bool omm_age(struct mmu_notifier *notifier, unsigned long start,
		    unsigned long last, bool clear)
{
	struct odp_mm *omm = container_of(notifier, struct odp_mm, notifier);
	struct odp_space *space;
	bool young = false;

	rcu_read_lock();
	list_for_each_entry_rcu(space, &omm->spaces, mm_node)
		young |= odp_space_age(space, start, last, clear);
	rcu_read_unlock();
	return young;
}

static ODP_YOUNG omm_clear_young(struct mmu_notifier *notifier,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long end)
{
	return omm_age(notifier, start, end - 1, true);
}

static ODP_YOUNG omm_test_young(struct mmu_notifier *notifier,
				struct mm_struct *mm, unsigned long address)
{
	return omm_age(notifier, address, address, false);
}

static const struct mmu_notifier_ops omm_notifier_ops = {
	.invalidate_range_end = omm_invalidate_end,
	.clear_flush_young = omm_clear_young,
	.clear_young = omm_clear_young,
	.test_young = omm_test_young,
};

/* Whoever had the last reference may have been one of its workers */
static void omm_release_work(struct work_struct *work)
{
	struct odp_mm *omm = container_of(work, struct odp_mm, release_work);

	if (omm->registered)
		mmu_notifier_unregister(&omm->notifier, omm->mm);
	odp_pool_exit(omm);
	mmdrop(omm->mm);
	kfree(omm);
	if (atomic_dec_and_test(&mms_alive))
		wake_up_var(&mms_alive);
}

static struct odp_mm *omm_alloc(struct mm_struct *mm)
{
	struct odp_mm *omm = kzalloc(sizeof(*omm), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!omm)
		return ERR_PTR(-ENOMEM);
	if (odp_pool_init(omm)) {
		kfree(omm);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&omm->refs, 1);
	omm->pid = task_tgid_nr(current);
	INIT_LIST_HEAD(&omm->spaces);
	spin_lock_init(&omm->inval_lock);
	INIT_LIST_HEAD(&omm->invals);
	INIT_LIST_HEAD(&omm->inval_free);
	for (i = 0; i < ODP_INVALS; i++)
		list_add(&omm->inval_slots[i].node, &omm->inval_free);
	init_waitqueue_head(&omm->inval_wait);
	mutex_init(&omm->listen_mutex);
	INIT_WORK(&omm->release_work, omm_release_work);
	omm->notifier.ops = &omm_notifier_ops;
	/* Its address is the key */
	mmgrab(mm);
	omm->mm = mm;
	atomic_inc(&mms_alive);
	return omm;
}

/**
 * odp_mm_listen() - have the mm tell of its invalidations
 * @omm: of the mm, whose mm_users are held
 *
 * Before there is a child. Who only pins memory has no notifier.
 *
 * Context: May sleep, takes mmap_lock for writing.
 * Return: 0 or -ENOMEM.
 */
int odp_mm_listen(struct odp_mm *omm)
{
	int ret = 0;

	mutex_lock(&omm->listen_mutex);
	if (!omm->registered)
		ret = mmu_notifier_register(&omm->notifier, omm->mm);
	if (!ret)
		omm->registered = true;
	mutex_unlock(&omm->listen_mutex);
	return ret;
}

static struct odp_mm *omm_find(struct mm_struct *mm)
{
	struct odp_mm *omm;

	lockdep_assert_held(&mms_lock);
	hash_for_each_possible(mms, omm, node, (unsigned long)mm)
		if (omm->mm == mm) {
			refcount_inc(&omm->refs);
			return omm;
		}
	return NULL;
}

/**
 * odp_mm_get() - that of the calling process, made if there is none
 *
 * Context: Process, may sleep.
 * Return: a reference; ERR_PTR(-EINVAL) without a mm, ERR_PTR(-ENOMEM).
 */
struct odp_mm *odp_mm_get(void)
{
	struct mm_struct *mm = current->mm;
	struct odp_mm *omm, *other;

	if (!mm)
		return ERR_PTR(-EINVAL);
	spin_lock(&mms_lock);
	omm = omm_find(mm);
	spin_unlock(&mms_lock);
	if (omm)
		return omm;
	omm = omm_alloc(mm);
	if (IS_ERR(omm))
		return omm;
	spin_lock(&mms_lock);
	other = omm_find(mm);
	if (!other)
		hash_add(mms, &omm->node, (unsigned long)mm);
	spin_unlock(&mms_lock);
	if (!other)
		return omm;
	/* Another thread was first */
	omm_release_work(&omm->release_work);
	return other;
}

void odp_mm_hold(struct odp_mm *omm)
{
	refcount_inc(&omm->refs);
}

/**
 * odp_mm_put() - drop a reference
 * @omm: goes, some time after the last one
 *
 * Context: Process context; does not wait.
 */
void odp_mm_put(struct odp_mm *omm)
{
	bool last;

	if (refcount_dec_not_one(&omm->refs))
		return;
	spin_lock(&mms_lock);
	last = refcount_dec_and_test(&omm->refs);
	if (last)
		hash_del(&omm->node);
	spin_unlock(&mms_lock);
	if (last)
		queue_work(odp_release_wq, &omm->release_work);
}

/**
 * odp_mms_wait() - wait until the last one is gone
 *
 * Takes as long as the longest wait for a page.
 *
 * Context: May sleep.
 */
void odp_mms_wait(void)
{
	wait_var_event(&mms_alive, !atomic_read(&mms_alive));
}
