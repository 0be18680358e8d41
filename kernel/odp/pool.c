// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * pool.c - the workers that wait for the pages of one mm
 *
 * A page may never come (a userfaultfd or FUSE that nobody serves), and the
 * worker that waits for it does not come back. So each process has a share of
 * the workers that its user has: one that leaves its pages unserved runs out
 * of workers for its own memory, a user whose processes do for his own, and
 * nobody else does. What finds no worker waits in a list, and costs none.
 */

#include <linux/cred.h>
#include <linux/export.h>
#include <linux/hashtable.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/wait_bit.h>

#include "core.h"

/* Workers of one process, and of all processes of one user, at a time */
#define POOL_MAX_ACTIVE		192
#define POOL_USER_MAX_ACTIVE	384

/**
 * struct pool_user - the workers of one user
 * @uid: who; two user namespaces that map to the same one share them
 * @node: in the table of users
 * @refs: pools; under pools_lock
 * @wq: has POOL_USER_MAX_ACTIVE workers at most
 */
struct pool_user {
	kuid_t uid;
	struct hlist_node node;
	unsigned int refs;
	struct workqueue_struct *wq;
};

/* Guards both tables. A pool or user is in it as long as it has references */
static DEFINE_SPINLOCK(pools_lock);
static DEFINE_HASHTABLE(pools, 8);
static DEFINE_HASHTABLE(users, 6);
/* Pools that are not freed yet, those out of the table included */
static atomic_t pools_alive = ATOMIC_INIT(0);

static struct pool_user *user_find(kuid_t uid)
{
	struct pool_user *user;

	lockdep_assert_held(&pools_lock);
	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid)) {
			user->refs++;
			return user;
		}
	return NULL;
}

static void user_free(struct pool_user *user)
{
	destroy_workqueue(user->wq);
	kfree(user);
}

static struct pool_user *user_alloc(kuid_t uid)
{
	struct pool_user *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);

	if (!user)
		return NULL;
	/*
	 * Programs that poll take all the CPUs at times, and what they wait
	 * for is this. A fault is short, or waits: it takes nobody's CPU.
	 */
	user->wq = alloc_workqueue("odp_fault_%u", WQ_UNBOUND | WQ_HIGHPRI,
				   POOL_USER_MAX_ACTIVE, __kuid_val(uid));
	if (!user->wq) {
		kfree(user);
		return NULL;
	}
	user->uid = uid;
	user->refs = 1;
	return user;
}

static struct pool_user *user_get(kuid_t uid)
{
	struct pool_user *user, *other;

	spin_lock(&pools_lock);
	user = user_find(uid);
	spin_unlock(&pools_lock);
	if (user)
		return user;
	user = user_alloc(uid);
	if (!user)
		return NULL;
	spin_lock(&pools_lock);
	other = user_find(uid);
	if (!other)
		hash_add(users, &user->node, __kuid_val(uid));
	spin_unlock(&pools_lock);
	if (!other)
		return user;
	user_free(user);
	return other;
}

/* May sleep, until his last worker is on its way out */
static void user_put(struct pool_user *user)
{
	bool last;

	spin_lock(&pools_lock);
	last = !--user->refs;
	if (last)
		hash_del(&user->node);
	spin_unlock(&pools_lock);
	if (last)
		user_free(user);
}

/* Whoever had the last reference may have been one of its workers */
static void pool_release_work(struct work_struct *work)
{
	struct odp_pool *pool = container_of(work, struct odp_pool,
					     release_work);

	WARN_ON_ONCE(pool->active || !list_empty(&pool->waiting));
	user_put(pool->user);
	mmdrop(pool->mm);
	kfree(pool);
	if (atomic_dec_and_test(&pools_alive))
		wake_up_var(&pools_alive);
}

static struct odp_pool *pool_alloc(struct mm_struct *mm)
{
	struct odp_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL_ACCOUNT);

	if (!pool)
		return NULL;
	pool->user = user_get(current_uid());
	if (!pool->user) {
		kfree(pool);
		return NULL;
	}
	spin_lock_init(&pool->work_lock);
	INIT_LIST_HEAD(&pool->waiting);
	INIT_LIST_HEAD(&pool->recalls);
	INIT_WORK(&pool->release_work, pool_release_work);
	refcount_set(&pool->refs, 1);
	/* Its address is the key */
	mmgrab(mm);
	pool->mm = mm;
	return pool;
}

static struct odp_pool *pool_find(struct mm_struct *mm)
{
	struct odp_pool *pool;

	lockdep_assert_held(&pools_lock);
	hash_for_each_possible(pools, pool, node, (unsigned long)mm)
		if (pool->mm == mm) {
			refcount_inc(&pool->refs);
			return pool;
		}
	return NULL;
}

/**
 * odp_pool_get() - the pool of the calling process
 *
 * It is made when there is none; every region of the process has a reference.
 * A driver that takes one for as long as a process uses it makes creating the
 * first region as cheap as the others.
 *
 * Context: Process context, may sleep.
 * Return: the pool, for odp_pool_put(); ERR_PTR(-EINVAL) without a mm,
 * ERR_PTR(-ENOMEM).
 */
struct odp_pool *odp_pool_get(void)
{
	struct mm_struct *mm = current->mm;
	struct odp_pool *pool, *other;

	if (!mm)
		return ERR_PTR(-EINVAL);
	spin_lock(&pools_lock);
	pool = pool_find(mm);
	spin_unlock(&pools_lock);
	if (pool)
		return pool;
	pool = pool_alloc(mm);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&pools_alive);
	spin_lock(&pools_lock);
	other = pool_find(mm);
	if (!other)
		hash_add(pools, &pool->node, (unsigned long)mm);
	spin_unlock(&pools_lock);
	if (!other)
		return pool;
	/* Another thread was first */
	pool_release_work(&pool->release_work);
	return other;
}
EXPORT_SYMBOL_GPL(odp_pool_get);

/**
 * odp_pool_put() - drop a reference
 * @pool: goes, some time after the last one
 *
 * Context: Process context; does not wait.
 */
void odp_pool_put(struct odp_pool *pool)
{
	bool last;

	if (refcount_dec_not_one(&pool->refs))
		return;
	spin_lock(&pools_lock);
	last = refcount_dec_and_test(&pool->refs);
	if (last)
		hash_del(&pool->node);
	spin_unlock(&pools_lock);
	if (last)
		queue_work(odp_gc_wq, &pool->release_work);
}
EXPORT_SYMBOL_GPL(odp_pool_put);

/**
 * odp_pools_wait() - wait until the last worker has come back
 *
 * For a driver that unloads: all regions are destroyed, and nothing takes a
 * reference on a pool any more. Takes as long as the longest wait for a page.
 *
 * Context: May sleep.
 */
void odp_pools_wait(void)
{
	wait_var_event(&pools_alive, !atomic_read(&pools_alive));
}
EXPORT_SYMBOL_GPL(odp_pools_wait);

static void pool_start_locked(struct odp_pool *pool)
{
	struct odp_pool_work *work;

	lockdep_assert_held(&pool->work_lock);
	while (pool->active < POOL_MAX_ACTIVE) {
		work = list_first_entry_or_null(&pool->waiting,
						struct odp_pool_work, node);
		if (!work)
			return;
		list_del_init(&work->node);
		pool->active++;
		queue_work(pool->user->wq, &work->work);
	}
}

/* One that was started has ended, or will not begin */
static void pool_ended(struct odp_pool *pool)
{
	spin_lock(&pool->work_lock);
	pool->active--;
	pool_start_locked(pool);
	spin_unlock(&pool->work_lock);
}

static void pool_run(struct work_struct *base)
{
	struct odp_pool_work *work = container_of(base, struct odp_pool_work,
						  work);
	struct odp_pool *pool = work->pool;

	work->run(work);
	/* It may be freed, or queued again, by now */
	pool_ended(pool);
	odp_pool_put(pool);
}

/**
 * odp_pool_work_init() - prepare work for odp_region_queue_work()
 * @work: not queued
 * @run: does it; may call odp_region_fault(), which may wait for ever
 *
 * Context: Any.
 */
void odp_pool_work_init(struct odp_pool_work *work,
			void (*run)(struct odp_pool_work *work))
{
	INIT_WORK(&work->work, pool_run);
	INIT_LIST_HEAD(&work->node);
	work->run = run;
}
EXPORT_SYMBOL_GPL(odp_pool_work_init);

/**
 * odp_region_queue_work() - have a worker of the region's process do it
 * @region: not static; the caller's reference stays until the work has begun
 * @work: not queued; it may drop the last reference to the region
 *
 * It waits its turn where the process or its user has as many at work as they
 * may have.
 *
 * Context: Process.
 */
void odp_region_queue_work(struct odp_region *region,
			   struct odp_pool_work *work)
{
	struct odp_pool *pool = region->pool;

	/* Until it has ended */
	refcount_inc(&pool->refs);
	work->pool = pool;
	spin_lock(&pool->work_lock);
	list_add_tail(&work->node, &pool->waiting);
	pool_start_locked(pool);
	spin_unlock(&pool->work_lock);
}
EXPORT_SYMBOL_GPL(odp_region_queue_work);

/**
 * odp_region_cancel_work() - take work back that has not begun
 * @region: where it was queued, referenced by the caller
 * @work: nobody queues it meanwhile
 *
 * Does not wait.
 *
 * Context: Process.
 * Return: true: it was queued, and will not run.
 */
bool odp_region_cancel_work(struct odp_region *region,
			    struct odp_pool_work *work)
{
	struct odp_pool *pool = region->pool;
	bool waiting;

	spin_lock(&pool->work_lock);
	waiting = !list_empty(&work->node);
	if (waiting)
		list_del_init(&work->node);
	spin_unlock(&pool->work_lock);
	if (!waiting) {
		if (!cancel_work(&work->work))
			return false;
		pool_ended(pool);
	}
	odp_pool_put(pool);
	return true;
}
EXPORT_SYMBOL_GPL(odp_region_cancel_work);
