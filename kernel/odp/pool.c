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
#include <linux/slab.h>
#include <linux/uidgid.h>

#include "core.h"

/* Workers of one process, and of all processes of one user, at a time */
#define POOL_MAX_ACTIVE		192
#define POOL_USER_MAX_ACTIVE	384

/**
 * struct odp_user - the workers of one user
 * @uid: who; two user namespaces that map to the same one share them
 * @node: in the table of users
 * @refs: of struct odp_mm; under users_lock
 * @wq: has POOL_USER_MAX_ACTIVE workers at most
 */
struct odp_user {
	kuid_t uid;
	struct hlist_node node;
	unsigned int refs;
	struct workqueue_struct *wq;
};

/* Guards the table. A user is in it as long as there are references */
static DEFINE_SPINLOCK(users_lock);
static DEFINE_HASHTABLE(users, 6);

static struct odp_user *user_find(kuid_t uid)
{
	struct odp_user *user;

	lockdep_assert_held(&users_lock);
	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid)) {
			user->refs++;
			return user;
		}
	return NULL;
}

static void user_free(struct odp_user *user)
{
	destroy_workqueue(user->wq);
	kfree(user);
}

static struct odp_user *user_alloc(kuid_t uid)
{
	struct odp_user *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);

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

static struct odp_user *user_get(kuid_t uid)
{
	struct odp_user *user, *other;

	spin_lock(&users_lock);
	user = user_find(uid);
	spin_unlock(&users_lock);
	if (user)
		return user;
	user = user_alloc(uid);
	if (!user)
		return NULL;
	spin_lock(&users_lock);
	other = user_find(uid);
	if (!other)
		hash_add(users, &user->node, __kuid_val(uid));
	spin_unlock(&users_lock);
	if (!other)
		return user;
	user_free(user);
	return other;
}

/* May sleep, until his last worker is on its way out */
static void user_put(struct odp_user *user)
{
	bool last;

	spin_lock(&users_lock);
	last = !--user->refs;
	if (last)
		hash_del(&user->node);
	spin_unlock(&users_lock);
	if (last)
		user_free(user);
}

/**
 * odp_pool_init() - the workers of an mm
 * @omm: of the calling process, zeroed
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int odp_pool_init(struct odp_mm *omm)
{
	omm->user = user_get(current_uid());
	if (!omm->user)
		return -ENOMEM;
	spin_lock_init(&omm->work_lock);
	INIT_LIST_HEAD(&omm->waiting);
	INIT_LIST_HEAD(&omm->recalls);
	return 0;
}

/* May sleep, until the last worker is on its way out */
void odp_pool_exit(struct odp_mm *omm)
{
	WARN_ON_ONCE(omm->active || !list_empty(&omm->waiting));
	user_put(omm->user);
}

/* Near to the process, as far as its user's workqueue lets it: see numa.c */
static void pool_start_locked(struct odp_mm *omm)
{
	struct odp_work *work;

	lockdep_assert_held(&omm->work_lock);
	while (omm->active < POOL_MAX_ACTIVE) {
		work = list_first_entry_or_null(&omm->waiting,
						struct odp_work, node);
		if (!work)
			return;
		list_del_init(&work->node);
		omm->active++;
		queue_work_node(odp_numa_node(omm->mm), omm->user->wq,
				&work->work);
	}
}

/* One that was started has ended, or will not begin */
static void pool_ended(struct odp_mm *omm)
{
	spin_lock(&omm->work_lock);
	omm->active--;
	pool_start_locked(omm);
	spin_unlock(&omm->work_lock);
}

static void pool_run(struct work_struct *base)
{
	struct odp_work *work = container_of(base, struct odp_work,
						  work);
	struct odp_mm *omm = work->omm;

	work->run(work);
	/* It may be freed, or queued again, by now */
	pool_ended(omm);
	odp_mm_put(omm);
}

/**
 * odp_work_init() - prepare work for odp_region_queue_work()
 * @work: not queued
 * @run: does it; may call odp_region_fault(), which may wait for ever
 *
 * Context: Any.
 */
void odp_work_init(struct odp_work *work, void (*run)(struct odp_work *work))
{
	INIT_WORK(&work->work, pool_run);
	INIT_LIST_HEAD(&work->node);
	work->run = run;
}
EXPORT_SYMBOL_GPL(odp_work_init);

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
void odp_region_queue_work(struct odp_region *region, struct odp_work *work)
{
	struct odp_mm *omm = region->space->omm;

	/* Until it has ended */
	odp_mm_hold(omm);
	work->omm = omm;
	spin_lock(&omm->work_lock);
	list_add_tail(&work->node, &omm->waiting);
	pool_start_locked(omm);
	spin_unlock(&omm->work_lock);
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
bool odp_region_cancel_work(struct odp_region *region, struct odp_work *work)
{
	struct odp_mm *omm = region->space->omm;
	bool waiting;

	spin_lock(&omm->work_lock);
	waiting = !list_empty(&work->node);
	if (waiting)
		list_del_init(&work->node);
	spin_unlock(&omm->work_lock);
	if (!waiting) {
		if (!cancel_work(&work->work))
			return false;
		pool_ended(omm);
	}
	odp_mm_put(omm);
	return true;
}
EXPORT_SYMBOL_GPL(odp_region_cancel_work);
