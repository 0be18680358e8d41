// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a QP is to everybody: a number, references, state, events, and work
 * that is to be done for it.
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "net/net.h"
#include "qp/transport.h"

/* QPs of all devices by number: a requester finds its peer with one load */
static struct xarray core_qps;
/* QPs that are not freed yet: the module has to stay for them */
static atomic_t core_alive = ATOMIC_INIT(0);
/* Of its size: kmalloc() would take more */
static struct kmem_cache *core_cache;
const struct sodp_transport *const *sodp_transports;

/**
 * sodp_qp_alloc() - memory for a QP
 *
 * Context: process, may sleep.
 * Return: zeroed but for its reference, which sodp_qp_put() drops; NULL.
 */
struct sodp_qp *sodp_qp_alloc(void)
{
	struct sodp_qp *qp = kmem_cache_zalloc(core_cache, GFP_KERNEL_ACCOUNT);

	if (!qp)
		return NULL;
	refcount_set(&qp->ref, 1);
	atomic_inc(&core_alive);
	return qp;
}

/**
 * sodp_qp_init_transport() - the transports that a QP begins with
 * @qp: a new QP
 *
 * Context: process, may sleep.
 * Return: 0, -ENOMEM.
 */
int sodp_qp_init_transport(struct sodp_qp *qp)
{
	const struct sodp_transport *const *t = sodp_transports;
	const struct sodp_transport *const *rx = sodp_transports;

	while (!((*t)->types & BIT(qp->type)))
		t++;
	while (!((*rx)->packets & BIT(qp->type)))
		rx++;
	qp->req.transport = *t;
	qp->receiver = *rx;
	return (*t)->init ? (*t)->init(qp) : 0;
}

/**
 * sodp_qp_number() - give a QP its number
 * @qp: the QP; lookups do not find it before sodp_qp_publish()
 *
 * Context: process, may sleep.
 * Return: 0, -ENOMEM.
 */
int sodp_qp_number(struct sodp_qp *qp)
{
	static u32 next_qpn = SODP_MIN_QPN;
	int ret = xa_alloc_cyclic(&core_qps, &qp->qpn, NULL,
				  XA_LIMIT(SODP_MIN_QPN, SODP_MAX_QPN),
				  &next_qpn, GFP_KERNEL_ACCOUNT);

	/* -EBUSY: all numbers are in use, somewhere on this host */
	if (ret < 0)
		return -ENOMEM;
	qp->user.qpn = qp->qpn;
	return 0;
}

void sodp_qp_publish(struct sodp_qp *qp)
{
	xa_store(&core_qps, qp->qpn, qp, GFP_KERNEL);
}

void sodp_qp_unpublish(struct sodp_qp *qp)
{
	xa_erase(&core_qps, qp->qpn);
}

/* Under RCU: it stays for as long */
struct sodp_qp *sodp_qp_find(u32 qpn)
{
	return xa_load(&core_qps, qpn);
}

struct sodp_qp *sodp_qp_get(u32 qpn)
{
	struct sodp_qp *qp;

	rcu_read_lock();
	qp = sodp_qp_find(qpn);
	if (qp && !refcount_inc_not_zero(&qp->ref))
		qp = NULL;
	rcu_read_unlock();
	return qp;
}

/**
 * sodp_qp_get_tracked() - the QP of a resource tracking entry
 * @ibqp: the entry's, which ib_core keeps while it is looked at; the QP may be
 *	destroyed meanwhile
 *
 * Context: any.
 * Return: referenced, maybe dead; NULL when it is gone.
 */
struct sodp_qp *sodp_qp_get_tracked(struct ib_qp *ibqp)
{
	struct sodp_qp *qp;

	rcu_read_lock();
	/* Pairs with rcu_assign_pointer() in sodp_qp_create() */
	qp = rcu_dereference(to_ibqp(ibqp)->qp);
	if (qp && !refcount_inc_not_zero(&qp->ref))
		qp = NULL;
	rcu_read_unlock();
	return qp;
}

static void core_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(core_cache, container_of(rcu, struct sodp_qp, rcu));
}

static void core_free(struct sodp_qp *qp)
{
	sodp_transports_do(free, qp);
	sodp_payer_put(qp->payer);
	kfree(qp->req.segs);
	call_rcu(&qp->rcu, core_free_rcu);
	atomic_dec(&core_alive);
}

void sodp_qp_put(struct sodp_qp *qp)
{
	if (!refcount_dec_and_test(&qp->ref))
		return;
	core_free(qp);
}

/**
 * sodp_qp_queue_work() - queue work that holds a reference on its QP
 * @qp: the QP; the caller has a reference or one of its mutexes
 * @wq: where to
 * @work: ends with sodp_qp_put()
 *
 * Context: any.
 */
void sodp_qp_queue_work(struct sodp_qp *qp, struct workqueue_struct *wq,
			struct work_struct *work)
{
	refcount_inc(&qp->ref);
	if (queue_work(wq, work))
		sodp_rescue_note(qp);
	else
		sodp_qp_put(qp);
}

/**
 * sodp_qps_wait() - wait until every QP is freed
 *
 * Packets that the stack has not sent yet keep theirs.
 *
 * Context: process, may sleep.
 */
void sodp_qps_wait(void)
{
	while (atomic_read(&core_alive))
		msleep(20);
	/* The last one may be freed by a destructor on its way out */
	synchronize_rcu();
}

/**
 * sodp_qps_init() - before the first QP
 * @transports: what there is, from that on which a peer is looked for first;
 *	a NULL ends it
 *
 * Context: process.
 * Return: 0, -ENOMEM.
 */
int sodp_qps_init(const struct sodp_transport *const *transports)
{
	sodp_transports = transports;
	xa_init_flags(&core_qps, XA_FLAGS_ALLOC);
	core_cache = KMEM_CACHE(sodp_qp, SLAB_ACCOUNT);
	return core_cache ? 0 : -ENOMEM;
}

/**
 * sodp_qps_exit() - undo sodp_qps_init()
 *
 * After sodp_qps_wait(), and an rcu_barrier().
 */
void sodp_qps_exit(void)
{
	WARN_ON(!xa_empty(&core_qps));
	xa_destroy(&core_qps);
	kmem_cache_destroy(core_cache);
}

/**
 * sodp_qp_event() - raise an affiliated asynchronous event
 * @qp: a QP that is not dead, under one of its mutexes
 * @type: which
 */
void sodp_qp_event(struct sodp_qp *qp, enum ib_event_type type)
{
	struct ib_event event = {
		.device = &qp->dev->base_dev,
		.event = type,
		.element.qp = qp->ibqp,
	};

	if (qp->ibqp->event_handler)
		qp->ibqp->event_handler(&event, qp->ibqp->qp_context);
}

/**
 * sodp_qp_set_error() - move a QP to the error state
 * @qp: the QP
 *
 * Flushing is left to whoever executes the SQ next: the caller flushes, or
 * calls sodp_qp_kick().
 *
 * Context: process.
 * Return: true if the state changed.
 */
bool sodp_qp_set_error(struct sodp_qp *qp)
{
	bool changed = false;

	spin_lock(&qp->state_lock);
	if (qp->state != IB_QPS_ERR && qp->state != IB_QPS_RESET) {
		/* Pairs with the READ_ONCE() of state on the data path */
		WRITE_ONCE(qp->state, IB_QPS_ERR);
		changed = true;
	}
	spin_unlock(&qp->state_lock);
	return changed;
}

/**
 * sodp_qp_set_send_error() - an error of a send: which state does it lead to?
 * @qp: the QP
 *
 * Unreliable ones go on receiving, and may be brought back to RTS: IBA
 * 10.3.1.5. ib_mad counts on that for QP 1. As to flushing, see
 * sodp_qp_set_error().
 *
 * Context: process, under exec_mutex.
 */
void sodp_qp_set_send_error(struct sodp_qp *qp)
{
	lockdep_assert_held(&qp->req.exec_mutex);
	if (!sodp_is_ud(qp) && qp->type != IB_QPT_UC) {
		sodp_qp_set_error(qp);
		return;
	}
	spin_lock(&qp->state_lock);
	if (qp->state == IB_QPS_RTS || qp->state == IB_QPS_SQD)
		/* Pairs with the READ_ONCE() of state on the data path */
		WRITE_ONCE(qp->state, IB_QPS_SQE);
	spin_unlock(&qp->state_lock);
}

/**
 * sodp_qp_page_flags() - change the flags that the application sees
 * @qp: the QP
 * @set: bits to set
 * @clear: bits to clear
 *
 * The word in the page is a copy of one the application cannot write.
 *
 * Context: process.
 */
void sodp_qp_page_flags(struct sodp_qp *qp, u32 set, u32 clear)
{
	spin_lock(&qp->state_lock);
	qp->page_flags = (qp->page_flags | set) & ~clear;
	if (qp->page)
		WRITE_ONCE(qp->page->flags, qp->page_flags);
	spin_unlock(&qp->state_lock);
}

/**
 * sodp_qp_kick() - have a worker run the SQ
 * @qp: the QP; the caller holds a reference or one of its mutexes
 *
 * Context: any.
 */
void sodp_qp_kick(struct sodp_qp *qp)
{
	sodp_qp_queue_work(qp, sodp_wq, &qp->req.sq_work);
}

/**
 * sodp_qp_unlock() - let go of exec_mutex without losing a bell
 * @qp: the QP
 *
 * Context: process.
 */
void sodp_qp_unlock(struct sodp_qp *qp)
{
	bool dead = qp->dead;

	mutex_unlock(&qp->req.exec_mutex);
	/* Unlock, then look. Pairs with the barrier in sodp_sq_doorbell(). */
	smp_mb();
	if (!dead && test_bit(SODP_TOLD_SQ, &qp->req.told))
		sodp_qp_kick(qp);
}
