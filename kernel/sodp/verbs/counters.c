// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Counters of a set of QPs: "rdma statistic qp". ib_core keeps the sets and
 * binds QPs to them; here is where a bound QP counts.
 */
#include <linux/slab.h>

#include "compat_rdma.h"
#include "qp/qp.h"
#include "verbs/verbs.h"

/*
 * A set has an entry of dev->qp_counters under counter->id, made when its
 * first QP is bound. ib_core serializes binding and freeing of one set.
 */
struct counters_set {
	struct sodp_counters __percpu *counters;
};

static struct counters_set *counters_of(struct rdma_counter *counter)
{
	return xa_load(&to_sodp_dev(counter->device)->qp_counters,
		       counter->id);
}

static int counters_make(struct sodp_dev *dev, struct rdma_counter *counter)
{
	struct counters_set *set = kmalloc(sizeof(*set), GFP_KERNEL);
	int ret = -ENOMEM;

	if (!set)
		return ret;
	set->counters = alloc_percpu(struct sodp_counters);
	if (!set->counters)
		goto err_free_set;
	ret = xa_alloc(&dev->qp_counters, &counter->id, set,
		       XA_LIMIT(1, S32_MAX), GFP_KERNEL);
	if (ret)
		goto err_free_counters;
	return 0;

err_free_counters:
	free_percpu(set->counters);
err_free_set:
	kfree(set);
	return ret;
}

/* Whoever counts holds one of the two mutexes */
static int counters_switch(struct ib_qp *ibqp, struct rdma_counter *counter,
			   struct sodp_counters __percpu *counters)
{
	struct sodp_qp *qp = sodp_qp_get_tracked(ibqp);
	int ret = 0;

	/* ib_core finds it by its number, and nothing keeps it from going */
	if (!qp)
		return -EINVAL;
	mutex_lock(&qp->req.exec_mutex);
	mutex_lock(&qp->resp.resp_mutex);
	if (qp->dead) {
		ret = -EINVAL;
	} else {
		qp->counters = counters;
		ibqp->counter = counter;
	}
	mutex_unlock(&qp->resp.resp_mutex);
	sodp_qp_unlock(qp);
	sodp_qp_put(qp);
	return ret;
}

/**
 * sodp_counter_bind_qp() - have a QP count in a set
 * @counter: the set
 * @ibqp: the QP
 * @port: 1
 *
 * Context: process, may sleep.
 * Return: 0, -ENOMEM, -EINVAL the QP is being destroyed.
 */
int sodp_counter_bind_qp(struct rdma_counter *counter, struct ib_qp *ibqp,
			 u32 port)
{
	struct sodp_dev *dev = to_sodp_dev(ibqp->device);
	int ret;

	if (!counter->id) {
		ret = counters_make(dev, counter);
		if (ret)
			return ret;
	}
	return counters_switch(ibqp, counter, counters_of(counter)->counters);
}

int sodp_counter_unbind_qp(struct ib_qp *ibqp, u32 port)
{
	return counters_switch(ibqp, NULL, NULL);
}

/* No QP is bound to it any more */
int sodp_counter_dealloc(struct rdma_counter *counter)
{
	struct counters_set *set;

	if (!counter->id)
		return 0;
	set = xa_erase(&to_sodp_dev(counter->device)->qp_counters,
		       counter->id);
	free_percpu(set->counters);
	kfree(set);
	return 0;
}

int sodp_counter_update_stats(struct rdma_counter *counter)
{
	struct counters_set *set = counters_of(counter);

	if (set)
		sodp_counters_sum(set->counters, counter->stats->value);
	return 0;
}
