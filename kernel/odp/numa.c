// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * numa.c - on which node a page is that a worker brings in
 *
 * The rule: where it would be if the main thread of the process had touched it
 * just now.
 *
 * - A policy of the mapping or of the shared memory (mbind()) is looked at
 *   first by the mm, whoever faults, so there is nothing to do.
 * - Else the policy of the main thread (set_mempolicy()) is the worker's for as
 *   long as it faults. What interleaves takes turns by worker, which comes to
 *   the same for many pages.
 * - Else it is the node of the CPU on which that thread runs, or ran last; and
 *   nowhere but where its cpuset lets it have memory.
 *
 * A policy of another thread does not count: which of them would have touched
 * the page nobody knows. And a worker whose fault is a NUMA hint moves no page
 * to where the worker is.
 *
 * Who faults as the process, in a doorbell, is a thread of it, with its own
 * policy on its own node.
 */

#include <linux/mempolicy.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/topology.h>

#include "core.h"

/* RCU. The main thread, or who has taken its place */
static struct task_struct *numa_task(struct mm_struct *mm)
{
#ifdef CONFIG_MEMCG
	return rcu_dereference(mm->owner);
#else
	return NULL;
#endif
}

static bool numa_confined(const struct task_struct *task)
{
#ifdef CONFIG_CPUSETS
	return !nodes_subset(node_states[N_MEMORY], task->mems_allowed);
#else
	return false;
#endif
}

/* What a thread without a policy has, seen from another CPU */
static void numa_local(struct mempolicy *policy, struct task_struct *task,
		       int node)
{
	lockdep_assert_held(&task->alloc_lock);
	policy->flags = 0;
	if (numa_confined(task)) {
#ifdef CONFIG_CPUSETS
		policy->mode = MPOL_BIND;
		policy->nodes = task->mems_allowed;
#endif
		return;
	}
	policy->mode = MPOL_PREFERRED;
	policy->nodes = nodemask_of_node(node);
}

static void numa_copy(struct mempolicy *policy, struct task_struct *task)
{
	int node = cpu_to_mem(task_cpu(task));

	task_lock(task);
	memset(policy, 0, sizeof(*policy));
	policy->home_node = NUMA_NO_NODE;
	if (task->mempolicy)
		*policy = *task->mempolicy;
	if (!task->mempolicy || policy->mode == MPOL_LOCAL)
		numa_local(policy, task, node);
	task_unlock(task);
	atomic_set(&policy->refcnt, 1);
	/* Hints move nothing. And nobody takes a reference without MORON */
	policy->flags &= ~(MPOL_F_MOF | MPOL_F_MORON);
	if (policy->home_node == NUMA_NO_NODE &&
	    (policy->mode == MPOL_BIND || policy->mode == MPOL_PREFERRED_MANY))
		policy->home_node = node;
}

/* Others look at it, and a cpuset changes it, under the lock */
static void numa_set(struct mempolicy *policy)
{
	task_lock(current);
	current->mempolicy = policy;
	task_unlock(current);
}

/**
 * odp_numa_begin() - allocate as the process does
 * @numa: for odp_numa_end()
 * @mm: of the process
 *
 * Does nothing but in a kernel thread.
 *
 * Context: Process; no lock held.
 */
void odp_numa_begin(struct odp_numa *numa, struct mm_struct *mm)
{
	struct task_struct *task;

	numa->used = false;
	if (nr_online_nodes == 1 || !(current->flags & PF_KTHREAD))
		return;
	rcu_read_lock();
	task = numa_task(mm);
	if (task) {
		numa_copy(&numa->policy, task);
		numa->used = true;
	}
	rcu_read_unlock();
	if (!numa->used)
		return;
	numa->old = current->mempolicy;
	numa_set(&numa->policy);
}

/**
 * odp_numa_end() - end what odp_numa_begin() began
 * @numa: the same
 *
 * Context: The same thread.
 */
void odp_numa_end(struct odp_numa *numa)
{
	if (numa->used)
		numa_set(numa->old);
}

/**
 * odp_numa_node() - where a worker is near to the process
 * @mm: of the process
 *
 * Context: Any.
 * Return: the node, or NUMA_NO_NODE.
 */
int odp_numa_node(struct mm_struct *mm)
{
	int node = NUMA_NO_NODE;
	struct task_struct *task;

	if (nr_online_nodes == 1)
		return node;
	rcu_read_lock();
	task = numa_task(mm);
	if (task)
		node = cpu_to_node(task_cpu(task));
	rcu_read_unlock();
	return node;
}
