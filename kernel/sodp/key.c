// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Keys: the table of what lkeys and rkeys name, and the check that every
 * access to user memory goes through.
 *
 * A key is 24 bits of index and 8 bits of version, both drawn at random, so
 * that a peer cannot guess a valid one from those it was given.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "sodp.h"

#define KEY_INDEX_TRIES	128

/* The index is random already: it is its own hash */
static u32 key_hash(const void *data, u32 len, u32 seed)
{
	return *(const u32 *)data;
}

static int key_differs(struct rhashtable_compare_arg *arg, const void *obj)
{
	return ((const struct sodp_key *)obj)->index != *(const u32 *)arg->key;
}

static const struct rhashtable_params key_params = {
	.key_len = sizeof(u32),
	.key_offset = offsetof(struct sodp_key, index),
	.head_offset = offsetof(struct sodp_key, node),
	.hashfn = key_hash,
	.obj_cmpfn = key_differs,
	.automatic_shrinking = true,
};

int sodp_keys_init(struct sodp_dev *dev)
{
	return rhashtable_init(&dev->keys, &key_params);
}

void sodp_keys_destroy(struct sodp_dev *dev)
{
	/* Never initialized, or emptied by ib_core's order of destruction */
	if (!dev->keys.tbl)
		return;
	WARN_ON_ONCE(atomic_read(&dev->keys.nelems));
	rhashtable_destroy(&dev->keys);
}

static enum sodp_limit key_limit(enum sodp_key_kind kind)
{
	return kind == SODP_KEY_MW1 || kind == SODP_KEY_MW2 ? SODP_LIMIT_MW :
							      SODP_LIMIT_MR;
}

/* Put it into the table under an index that is free */
static int key_insert(struct sodp_dev *dev, struct sodp_key *key)
{
	int tries;
	int ret;

	for (tries = 0; tries < KEY_INDEX_TRIES; tries++) {
		key->key = get_random_u32();
		/* 0 and the all-ones index stay free: users test for them */
		if (key->key >> 8 == 0 || key->key >> 8 == 0xffffff)
			continue;
		key->index = key->key >> 8;
		ret = rhashtable_lookup_insert_fast(&dev->keys, &key->node,
						    key_params);
		if (ret != -EEXIST)
			return ret;
	}
	return -ENOMEM;
}

/**
 * sodp_key_alloc() - make a key, not valid yet
 * @dev: the device
 * @kind: region or window
 *
 * Context: process, may sleep.
 * Return: the key with one reference, or ERR_PTR(-ENOMEM), also when the
 * device has as many regions or windows as query_device says.
 */
struct sodp_key *sodp_key_alloc(struct sodp_dev *dev, enum sodp_key_kind kind)
{
	struct sodp_key *key;
	int ret;

	ret = sodp_limit_take(dev, key_limit(kind));
	if (ret)
		return ERR_PTR(ret);
	key = kzalloc(sizeof(*key), GFP_KERNEL_ACCOUNT);
	if (!key) {
		ret = -ENOMEM;
		goto err_give;
	}
	refcount_set(&key->ref, 1);
	init_completion(&key->idle);
	mutex_init(&key->mw_mutex);
	key->kind = kind;
	key->state = SODP_KEY_FREE;
	key->dev = dev;
	ret = key_insert(dev, key);
	if (ret)
		goto err_free;
	return key;

err_free:
	kfree(key);
err_give:
	sodp_limit_give(dev, key_limit(kind));
	return ERR_PTR(ret);
}

void sodp_key_put(struct sodp_key *key)
{
	if (refcount_dec_and_test(&key->ref))
		complete(&key->idle);
}

/**
 * sodp_key_quiesce() - no one uses the key when this returns
 * @key: a key with its initial reference
 *
 * Lookups fail until the reference is set anew. References are held for one
 * slice of work, so the wait is short.
 *
 * Context: process, may sleep.
 */
void sodp_key_quiesce(struct sodp_key *key)
{
	reinit_completion(&key->idle);
	sodp_key_put(key);
	wait_for_completion(&key->idle);
}

/**
 * sodp_key_unlink() - take a key out of the table, wait for its users
 * @key: from sodp_key_alloc(); to be freed by kfree_rcu()
 *
 * What others did to it is done, and nobody finds it again.
 *
 * Context: process, may sleep.
 */
void sodp_key_unlink(struct sodp_key *key)
{
	rhashtable_remove_fast(&key->dev->keys, &key->node, key_params);
	sodp_key_quiesce(key);
	sodp_limit_give(key->dev, key_limit(key->kind));
}

/**
 * sodp_key_retire() - take a key out of the table, wait for its users, free
 * @key: from sodp_key_alloc()
 *
 * What the key points to may be freed when this returns.
 *
 * Context: process, may sleep.
 */
void sodp_key_retire(struct sodp_key *key)
{
	sodp_key_unlink(key);
	kfree_rcu(key, rcu);
}

/**
 * sodp_key_get() - look a key up by its index, whatever version it has now
 * @dev: the device
 * @key: lkey or rkey
 *
 * Context: any.
 * Return: the key with a reference for the caller, or NULL.
 */
struct sodp_key *sodp_key_get(struct sodp_dev *dev, u32 key)
{
	struct sodp_key *found;
	u32 index = key >> 8;

	rcu_read_lock();
	found = rhashtable_lookup(&dev->keys, &index, key_params);
	if (found && !refcount_inc_not_zero(&found->ref))
		found = NULL;
	rcu_read_unlock();
	/*
	 * Reference, then state and grant. Pairs with smp_wmb() before the
	 * reference is set anew in sodp_mr_rereg_user(), and with smp_mb()
	 * between state and reference count in sodp_kmem_invalidate().
	 */
	smp_mb__after_atomic();
	return found;
}

static bool key_covers(const struct sodp_key *key, u64 addr, u64 len)
{
	u64 off = addr - key->iova;

	return addr >= key->iova && off <= key->length &&
	       len <= key->length - off;
}

/* @key is valid in @pd, under this very value, and grants all of that */
static __always_inline bool key_grants(const struct sodp_key *key,
				       const struct ib_pd *pd, u32 value,
				       u64 addr, u64 len, u32 access)
{
	return sodp_key_valid(key) && key->key == value && key->pd == pd &&
	       !(access & ~key->access) && key_covers(key, addr, len);
}

/* The same for keys of kernel memory */
static bool key_kernel_grants(const struct sodp_key *key,
			      const struct ib_pd *pd, u32 value, u64 addr,
			      u64 len, u32 access)
{
	return (key->kind == SODP_KEY_DMA || key->kind == SODP_KEY_FRMR) &&
	       key_grants(key, pd, value, addr, len, access);
}

/* Which part of it did not hold? The grant may be changing: for reports only */
static u8 key_why(const struct sodp_key *key, const struct ib_pd *pd,
		  u32 value, u32 access, u64 addr, u64 len)
{
	if (!sodp_key_valid(key) || READ_ONCE(key->key) != value)
		return SODP_ERR_KEY;
	if (access & ~READ_ONCE(key->access))
		return SODP_ERR_KEY_ACCESS;
	if (READ_ONCE(key->pd) != pd)
		return SODP_ERR_KEY_PD;
	/* A window of another QP covers it, and is as of another domain */
	return key_covers(key, addr, len) ? SODP_ERR_KEY_PD :
					    SODP_ERR_KEY_RANGE;
}

/* @seg takes the caller's reference over */
static void key_fill_seg(struct sodp_seg *seg, struct sodp_key *key, u64 addr,
			 u64 len)
{
	seg->key = key;
	seg->region = key->region;
	seg->va = key->va + (addr - key->iova);
	seg->length = len;
}

/**
 * sodp_key_local() - resolve a local SGE
 * @qp: the QP that uses it
 * @pd: domain of the queue that the SGE was posted to: an SRQ has its own
 * @lkey: its key
 * @addr: first byte
 * @len: bytes
 * @access: IB_ACCESS_LOCAL_WRITE when it will be written, else 0
 * @seg: result; holds a reference until sodp_seg_put()
 *
 * Context: any.
 * Return: SODP_OK; SODP_E_LOC_PROT, and seg->why says why.
 */
enum sodp_verdict sodp_key_local(struct sodp_qp *qp, const struct ib_pd *pd,
				 u32 lkey, u64 addr, u64 len, u32 access,
				 struct sodp_seg *seg)
{
	struct sodp_key *key;

	/* The device's local_dma_lkey: kernel memory, for who is the kernel */
	if (unlikely(!lkey && qp->kernel)) {
		*seg = (struct sodp_seg){ .va = addr, .length = len };
		return SODP_OK;
	}
	key = sodp_key_get(qp->dev, lkey);
	if (unlikely(!key)) {
		seg->why = SODP_ERR_KEY;
		goto deny;
	}
	if (likely(key->kind == SODP_KEY_MR &&
		   key_grants(key, pd, lkey, addr, len, access))) {
		key_fill_seg(seg, key, addr, len);
		return SODP_OK;
	}
	if (key_kernel_grants(key, pd, lkey, addr, len, access)) {
		key_fill_seg(seg, key, addr, len);
		return SODP_OK;
	}
	/* A window is no lkey, whatever it grants */
	seg->why = key->kind == SODP_KEY_MW1 || key->kind == SODP_KEY_MW2 ?
		   SODP_ERR_KEY : key_why(key, pd, lkey, access, addr, len);
	sodp_key_put(key);
deny:
	ibdev_dbg(&qp->dev->base_dev,
		  "QP %#x: lkey %#x does not grant %#llx+%llu access %#x\n",
		  qp->qpn, lkey, addr, len, access);
	return SODP_E_LOC_PROT;
}

/*
 * A window grants what its binding says, on memory of its MR, which stays for
 * as long as the window is bound: until its references are gone, see mw.c.
 */
static bool key_window_grants(struct sodp_qp *qp, struct sodp_key *key,
			      u32 rkey, u64 addr, u64 len, u32 access,
			      struct sodp_seg *seg)
{
	bool ok = false;

	mutex_lock(&key->mw_mutex);
	if (key_grants(key, qp->pd, rkey, addr, len, access) &&
	    (key->kind != SODP_KEY_MW2 || key->qpn == qp->qpn)) {
		key_fill_seg(seg, key, addr, len);
		ok = true;
	}
	mutex_unlock(&key->mw_mutex);
	return ok;
}

/**
 * sodp_key_remote() - resolve memory that a request of the peer names
 * @qp: the responder's QP
 * @rkey: its key
 * @addr: first byte
 * @len: bytes
 * @access: IB_ACCESS_REMOTE_* and flush bits needed
 * @seg: result; holds a reference until sodp_seg_put()
 *
 * For memory of the kernel the caller asks sodp_kmem_exists() too, before it
 * touches any.
 *
 * Context: process, under resp_mutex.
 * Return: SODP_OK; SODP_E_REM_ACCESS, and seg->why says why.
 */
enum sodp_verdict sodp_key_remote(struct sodp_qp *qp, u32 rkey, u64 addr,
				  u64 len, u32 access, struct sodp_seg *seg)
{
	struct sodp_key *key = sodp_key_get(qp->dev, rkey);

	if (unlikely(!key)) {
		seg->why = SODP_ERR_KEY;
		goto deny;
	}
	if (likely(key->kind == SODP_KEY_MR &&
		   key_grants(key, qp->pd, rkey, addr, len, access))) {
		key_fill_seg(seg, key, addr, len);
		return SODP_OK;
	}
	if (key_kernel_grants(key, qp->pd, rkey, addr, len, access)) {
		key_fill_seg(seg, key, addr, len);
		return SODP_OK;
	}
	if ((key->kind == SODP_KEY_MW1 || key->kind == SODP_KEY_MW2) &&
	    key_window_grants(qp, key, rkey, addr, len, access, seg))
		return SODP_OK;
	seg->why = key_why(key, qp->pd, rkey, access, addr, len);
	sodp_key_put(key);
deny:
	ibdev_dbg(&qp->dev->base_dev,
		  "QP %#x: rkey %#x does not grant %#llx+%llu access %#x\n",
		  qp->qpn, rkey, addr, len, access);
	return SODP_E_REM_ACCESS;
}

void sodp_seg_put(struct sodp_seg *seg)
{
	if (seg->key) {
		sodp_key_put(seg->key);
		seg->key = NULL;
	}
}
