// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory windows of type 1 and 2B (IBA 10.6.7): a key of its own over part
 * of an MR, bound and invalidated by work requests.
 *
 * Whoever takes a window away may use the memory as it likes when it sees the
 * completion, so that has to wait for accesses in flight, which use the
 * window's key. As in kmem.c the work request ends its slice and is tried
 * again; meanwhile the key is closing, and lets nobody in.
 */
#include "compat_rdma.h"
#include "mem/mem.h"

#define MW_ACCESS (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_READ | \
		   IB_ACCESS_REMOTE_ATOMIC | IB_ZERO_BASED | \
		   SODP_ACCESS_FLUSHABLE)

/* Users of a key that is in no access: the work request */
#define MW_USERS_IDLE	1

int sodp_mw_alloc(struct ib_mw *ibmw, struct ib_udata *udata)
{
	struct sodp_mw *mw = to_sodp_mw(ibmw);
	struct sodp_key *key;
	int ret;

	ret = sodp_udata_check(ibmw->device, udata, 0);
	if (ret)
		return ret;
	key = sodp_key_alloc(to_sodp_dev(ibmw->device),
			     ibmw->type == IB_MW_TYPE_1 ? SODP_KEY_MW1 :
							  SODP_KEY_MW2);
	if (IS_ERR(key))
		return PTR_ERR(key);
	key->pd = ibmw->pd;
	mw->key = key;
	ibmw->rkey = key->key;
	return 0;
}

/* SODP_BUSY: an access is under way, call again */
static enum sodp_verdict mw_unbind(struct sodp_key *key)
{
	lockdep_assert_held(&key->grant_mutex);
	if (key->state == SODP_KEY_FREE)
		return SODP_OK;
	/* Who found it valid, under grant_mutex too, is counted since before */
	key->state = SODP_KEY_CLOSING;
	if (sodp_key_users(key) > MW_USERS_IDLE)
		return SODP_BUSY;
	key->state = SODP_KEY_FREE;
	atomic_dec(&key->mr->mw_count);
	key->mr = NULL;
	return SODP_OK;
}

int sodp_mw_dealloc(struct ib_mw *ibmw)
{
	struct sodp_key *key = to_sodp_mw(ibmw)->key;

	/* Not before: a BIND_MW that has found it may be about to bind it */
	sodp_key_unlink(key);
	mutex_lock(&key->grant_mutex);
	mw_unbind(key);
	mutex_unlock(&key->grant_mutex);
	sodp_key_free(key);
	return 0;
}

/* May @key be bound as @sqe says, given the MR it names? */
static bool mw_bind_allowed(const struct sodp_user *user,
			    const struct sodp_key *key,
			    const struct sodp_key *mr,
			    const struct sodp_sqe *sqe)
{
	u64 off;

	if (mr->kind != SODP_KEY_MR || mr->key != sqe->bind.mr_lkey ||
	    !sodp_key_valid(mr) || mr->pd != user->pd ||
	    !(mr->access & IB_ACCESS_MW_BIND))
		return false;
	off = sqe->bind.addr - mr->iova;
	if (sqe->bind.access & ~MW_ACCESS)
		return false;
	/* IBA 10.6.7.2: remote writes need the MR to be locally writable */
	if ((sqe->bind.access &
	     (IB_ACCESS_REMOTE_WRITE | IB_ACCESS_REMOTE_ATOMIC)) &&
	    !(mr->access & IB_ACCESS_LOCAL_WRITE))
		return false;
	if (key->kind == SODP_KEY_MW1 && (sqe->bind.access & IB_ZERO_BASED))
		return false;
	return sqe->bind.addr >= mr->iova && off <= mr->length &&
	       sqe->bind.length <= mr->length - off;
}

static enum sodp_verdict mw_bind_to(const struct sodp_user *user,
				    struct sodp_key *key,
				    const struct sodp_sqe *sqe)
{
	struct sodp_key *mr = sodp_key_get(user->dev, sqe->bind.mr_lkey);
	enum sodp_verdict verdict = SODP_E_MW_BIND;

	lockdep_assert_held(&key->grant_mutex);
	if (!mr)
		return SODP_E_MW_BIND;
	if (!mw_bind_allowed(user, key, mr, sqe) ||
	    !atomic_inc_unless_negative(&mr->mw_count))
		goto out_put;
	verdict = mw_unbind(key);
	if (verdict) {
		atomic_dec(&mr->mw_count);
		goto out_put;
	}
	key->mr = mr;
	key->region = mr->region;
	key->base_mr = mr->base_mr;
	key->va = mr->va + (sqe->bind.addr - mr->iova);
	key->iova = sqe->bind.access & IB_ZERO_BASED ? 0 : sqe->bind.addr;
	key->length = sqe->bind.length;
	key->access = sqe->bind.access & ~IB_ZERO_BASED;
	key->qpn = user->qpn;
	key->key = sqe->bind.new_rkey;
	key->state = SODP_KEY_VALID;
	/* mw_count keeps the MR from here on */
out_put:
	sodp_key_put(mr);
	return verdict;
}

/**
 * sodp_mw_bind() - carry out a BIND_MW work request
 * @user: the QP it was posted to
 * @sqe: a private copy of it
 *
 * A length of 0 unbinds a window of type 1 (ibv_bind_mw(3)).
 *
 * Context: process, under exec_mutex.
 * Return: SODP_OK or SODP_E_MW_BIND; SODP_BUSY while an access to what it
 * was bound to is under way: call again.
 */
enum sodp_verdict sodp_mw_bind(const struct sodp_user *user,
			       const struct sodp_sqe *sqe)
{
	struct sodp_key *key = sodp_key_get(user->dev, sqe->bind.mw_rkey);
	enum sodp_verdict verdict = SODP_E_MW_BIND;

	if (!key)
		goto out;
	mutex_lock(&key->grant_mutex);
	/*
	 * The version of mw_rkey is not compared: libibverbs does not keep it
	 * for type 2, and loses step after a failed bind of type 1.
	 */
	if ((key->kind != SODP_KEY_MW1 && key->kind != SODP_KEY_MW2) ||
	    key->pd != user->pd ||
	    sqe->bind.new_rkey >> 8 != sqe->bind.mw_rkey >> 8)
		goto out_unlock;
	/* One that is closing was invalidated by a QP that died over it */
	if (key->kind == SODP_KEY_MW2 &&
	    (key->state == SODP_KEY_VALID || !sqe->bind.length))
		goto out_unlock;
	if (sqe->bind.length) {
		verdict = mw_bind_to(user, key, sqe);
	} else {
		verdict = mw_unbind(key);
		if (!verdict)
			key->key = sqe->bind.new_rkey;
	}
out_unlock:
	mutex_unlock(&key->grant_mutex);
	sodp_key_put(key);
out:
	if (verdict > SODP_BUSY)
		ibdev_dbg(&user->dev->base_dev,
			  "QP %#x: window %#x not bound to MR %#x\n", user->qpn,
			  sqe->bind.mw_rkey, sqe->bind.mr_lkey);
	return verdict;
}

/**
 * sodp_mw_invalidate() - take the binding of a window away
 * @key: the window, used by the caller once
 * @user: the QP of the request (local) or the responder's (remote)
 * @rkey: the value it was named by
 * @remote: which of the two
 *
 * Context: process, may sleep.
 * Return: as sodp_key_invalidate().
 */
enum sodp_verdict sodp_mw_invalidate(struct sodp_key *key,
				     const struct sodp_user *user, u32 rkey,
				     bool remote)
{
	enum sodp_verdict verdict = remote ? SODP_E_REM_ACCESS :
					     SODP_E_LOC_QP_OP;

	mutex_lock(&key->grant_mutex);
	if (key->kind == SODP_KEY_MW2 && key->key == rkey &&
	    key->pd == user->pd && key->state != SODP_KEY_FREE &&
	    key->qpn == user->qpn)
		verdict = mw_unbind(key);
	mutex_unlock(&key->grant_mutex);
	return verdict;
}
