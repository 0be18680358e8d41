// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * recall.c - workers that wait for pages are called back
 *
 * A worker that waits for a page holds mm_users. When its process has died all
 * of the mm would stay for as long as the page does not come, and with the mm
 * the files that it maps: the driver's, whose release is what would end the
 * wait. So waits end when the region is destroyed, and when nobody but workers
 * uses the mm. One under FAULT_FLAG_KILLABLE does by a SIGKILL, which a kernel
 * thread takes where it has said so, and from the kernel only.
 */

#include <linux/export.h>
#include <linux/sched/signal.h>

#include "core.h"

/*
 * Each of those in the list holds mm_users: if nobody else does, nobody will,
 * for the mm has no thread that could hand it on.
 */
static void recall_orphan_locked(struct odp_mm *omm)
{
	struct odp_recall *recall;

	lockdep_assert_held(&omm->work_lock);
	if (omm->orphaned ||
	    atomic_read(&omm->mm->mm_users) > omm->nr_recalls)
		return;
	omm->orphaned = true;
	list_for_each_entry(recall, &omm->recalls, node)
		send_sig(SIGKILL, recall->task, 1);
}

/**
 * odp_recall_begin() - a fault begins that may wait
 * @region: where, referenced; not entered yet; mm_users is held
 * @recall: to be given to odp_recall_end()
 *
 * Whoever is not a kernel thread gets its signals from elsewhere.
 *
 * Context: May sleep.
 * Return: false: nobody uses the mm any more.
 */
bool odp_recall_begin(struct odp_region *region, struct odp_recall *recall)
{
	struct odp_mm *omm = region->space->omm;
	bool orphaned;

	recall->task = NULL;
	if (!(current->flags & PF_KTHREAD))
		return true;
	allow_kernel_signal(SIGKILL);
	recall->task = current;
	recall->region = region;
	spin_lock(&omm->work_lock);
	list_add(&recall->node, &omm->recalls);
	omm->nr_recalls++;
	recall_orphan_locked(omm);
	orphaned = omm->orphaned;
	spin_unlock(&omm->work_lock);
	return !orphaned;
}

/**
 * odp_recall_end() - the fault is over
 * @recall: of odp_recall_begin()
 *
 * The thread is somebody else's from here on: it keeps no signal.
 *
 * Context: May sleep.
 */
void odp_recall_end(struct odp_recall *recall)
{
	struct odp_mm *omm;

	if (!recall->task)
		return;
	omm = recall->region->space->omm;
	spin_lock(&omm->work_lock);
	list_del(&recall->node);
	omm->nr_recalls--;
	spin_unlock(&omm->work_lock);
	/* What is pending goes with it */
	disallow_signal(SIGKILL);
}

/**
 * odp_recall_all() - end the waits of a region that is dying
 * @region: REGION_DYING is set: who has not begun yet will see it when it
 *	enters, and everybody else when it comes back
 *
 * Does not wait for them.
 *
 * Context: Process.
 */
void odp_recall_all(struct odp_region *region)
{
	struct odp_mm *omm = region->space->omm;
	struct odp_recall *recall;

	if (!omm)
		return;
	spin_lock(&omm->work_lock);
	list_for_each_entry(recall, &omm->recalls, node)
		if (recall->region == region)
			send_sig(SIGKILL, recall->task, 1);
	spin_unlock(&omm->work_lock);
}

/**
 * odp_space_closed() - a process has closed a file of the driver's
 * @space: of the process that opened it
 *
 * If that was its exit, and workers are the last to use its mm, their waits
 * end.
 *
 * Context: Process.
 */
void odp_space_closed(struct odp_space *space)
{
	struct odp_mm *omm = space->omm;

	spin_lock(&omm->work_lock);
	if (omm->nr_recalls)
		recall_orphan_locked(omm);
	spin_unlock(&omm->work_lock);
}
EXPORT_SYMBOL_GPL(odp_space_closed);
