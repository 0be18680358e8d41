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

#include "mem/mem.h"

#define KEY_INDEX_TRIES	128

/* Of key->users[]: a count, and this */
#define KEY_CLOSED	BIT(30)
#define KEY_COUNT	(KEY_CLOSED - 1)

/* Counts of a key: CPUs that share one contend, and each costs memory */
#define KEY_SHARDS_MAX	8U

static struct kmem_cache *key_cache;
static unsigned int key_shards __ro_after_init;	/* a power of two */

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

int sodp_key_cache_init(void)
{
	struct sodp_key *key;

	key_shards = min(roundup_pow_of_two(nr_cpu_ids), KEY_SHARDS_MAX);
	key_cache = kmem_cache_create("sodp_key",
				      struct_size(key, users, key_shards), 0,
				      SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT, NULL);
	return key_cache ? 0 : -ENOMEM;
}

/* After an rcu_barrier() */
void sodp_key_cache_exit(void)
{
	kmem_cache_destroy(key_cache);
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
 * Return: the key, which nobody uses, or ERR_PTR(-ENOMEM), also when the
 * device has as many regions or windows as query_device says.
 */
struct sodp_key *sodp_key_alloc(struct sodp_dev *dev, enum sodp_key_kind kind)
{
	struct sodp_key *key;
	int ret;

	ret = sodp_limit_take(dev, key_limit(kind));
	if (ret)
		return ERR_PTR(ret);
	key = kmem_cache_zalloc(key_cache, GFP_KERNEL);
	if (!key) {
		ret = -ENOMEM;
		goto err_give;
	}
	mutex_init(&key->grant_mutex);
	key->kind = kind;
	key->state = SODP_KEY_FREE;
	key->dev = dev;
	ret = key_insert(dev, key);
	if (ret)
		goto err_free;
	return key;

err_free:
	kmem_cache_free(key_cache, key);
err_give:
	sodp_limit_give(dev, key_limit(kind));
	return ERR_PTR(ret);
}

static void key_leave(struct sodp_key *key, unsigned int shard)
{
	int left = atomic_dec_return(&key->users[shard].count);

	/* It may be freed from here on; its address still names it */
	if (unlikely(left & KEY_CLOSED) && !(left & KEY_COUNT))
		wake_up_var(key);
}

/*
 * Begin to use a key that is there, be it by RCU or because it is one's own.
 * Fully ordered: use, then state and grant. Pairs with sodp_key_reopen(), and
 * with smp_mb() between state and counts in sodp_kmem_invalidate().
 */
static __always_inline bool key_enter(struct sodp_key *key, unsigned int shard)
{
	if (likely(!(atomic_inc_return(&key->users[shard].count) &
		     KEY_CLOSED)))
		return true;
	key_leave(key, shard);
	return false;
}

/**
 * sodp_key_hold() - use a key that one knows
 * @key: from sodp_key_alloc(), not freed
 *
 * Context: any.
 * Return: true, and sodp_key_put() is due; false while it is closed.
 */
bool sodp_key_hold(struct sodp_key *key)
{
	return key_enter(key, 0);
}

/**
 * sodp_key_put() - done with a key
 * @key: from sodp_key_get() or sodp_key_hold()
 *
 * Context: any.
 */
void sodp_key_put(struct sodp_key *key)
{
	key_leave(key, 0);
}

/**
 * sodp_key_users() - how many use a key
 * @key: one that stays
 *
 * A user is in one count from beginning to end: one who began before the
 * first is read, and does not end, is seen. Others may be.
 *
 * Context: any.
 * Return: how many, the caller included if he is one.
 */
unsigned int sodp_key_users(const struct sodp_key *key)
{
	unsigned int users = 0;
	unsigned int i;

	for (i = 0; i < key_shards; i++)
		users += atomic_read(&key->users[i].count) & KEY_COUNT;
	return users;
}

/**
 * sodp_key_quiesce() - no one uses the key when this returns
 * @key: one that is not closed
 *
 * It is closed: lookups fail until sodp_key_reopen(). It is used for one slice
 * of work at a time, so the wait is short.
 *
 * Context: process, may sleep.
 */
void sodp_key_quiesce(struct sodp_key *key)
{
	unsigned int i;

	/* Pairs with atomic_inc_return() in key_enter() */
	for (i = 0; i < key_shards; i++)
		atomic_fetch_or(KEY_CLOSED, &key->users[i].count);
	wait_var_event(key, !sodp_key_users(key));
	/* What they did, then what the caller frees */
	smp_mb();
}

/**
 * sodp_key_reopen() - let users in again
 * @key: a key after sodp_key_quiesce(); its grant may have changed
 *
 * Context: any.
 */
void sodp_key_reopen(struct sodp_key *key)
{
	unsigned int i;

	/* The grant, then who is let in: pairs with key_enter() */
	smp_mb__before_atomic();
	for (i = 0; i < key_shards; i++)
		atomic_andnot(KEY_CLOSED, &key->users[i].count);
}

static void key_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(key_cache, container_of(rcu, struct sodp_key, rcu));
}

/**
 * sodp_key_unlink() - take a key out of the table, wait for its users
 * @key: from sodp_key_alloc(); then to be given to sodp_key_free()
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
 * sodp_key_free() - free a key
 * @key: after sodp_key_unlink(); who looks it up now may still see it
 *
 * Context: any.
 */
void sodp_key_free(struct sodp_key *key)
{
	call_rcu(&key->rcu, key_free_rcu);
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
	sodp_key_free(key);
}

static __always_inline struct sodp_key *
key_find(struct sodp_dev *dev, u32 key, unsigned int shard)
{
	struct sodp_key *found;
	u32 index = key >> 8;

	rcu_read_lock();
	found = rhashtable_lookup(&dev->keys, &index, key_params);
	if (found && !key_enter(found, shard))
		found = NULL;
	rcu_read_unlock();
	return found;
}

/**
 * sodp_key_get() - look a key up by its index, whatever version it has now
 * @dev: the device
 * @key: lkey or rkey
 *
 * Context: any.
 * Return: the key, for sodp_key_put(), or NULL.
 */
struct sodp_key *sodp_key_get(struct sodp_dev *dev, u32 key)
{
	return key_find(dev, key, 0);
}

/* For an access: on several CPUs at once they write to no line together */
static __always_inline struct sodp_key *
key_find_for(struct sodp_dev *dev, u32 key, struct sodp_seg *seg)
{
	seg->shard = raw_smp_processor_id() & (key_shards - 1);
	return key_find(dev, key, seg->shard);
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

/* @seg is from key_find_for(), and has the key from here on */
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
 * @user: the QP that uses it
 * @pd: domain of the queue that the SGE was posted to: an SRQ has its own
 * @lkey: its key
 * @addr: first byte
 * @len: bytes
 * @access: IB_ACCESS_LOCAL_WRITE when it will be written, else 0
 * @seg: result; uses the key until sodp_seg_put()
 *
 * Context: any.
 * Return: SODP_OK; SODP_E_LOC_PROT, and seg->why says why.
 */
enum sodp_verdict sodp_key_local(const struct sodp_user *user,
				 const struct ib_pd *pd, u32 lkey, u64 addr,
				 u64 len, u32 access, struct sodp_seg *seg)
{
	struct sodp_key *key;

	/* The device's local_dma_lkey: kernel memory, for who is the kernel */
	if (unlikely(!lkey && user->kernel)) {
		*seg = (struct sodp_seg){ .va = addr, .length = len };
		return SODP_OK;
	}
	key = key_find_for(user->dev, lkey, seg);
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
	key_leave(key, seg->shard);
deny:
	ibdev_dbg(&user->dev->base_dev,
		  "QP %#x: lkey %#x does not grant %#llx+%llu access %#x\n",
		  user->qpn, lkey, addr, len, access);
	return SODP_E_LOC_PROT;
}

/*
 * A window grants what its binding says, on memory of its MR, which stays for
 * as long as the window is bound: until its references are gone, see mw.c.
 */
static bool key_window_grants(const struct sodp_user *user,
			      struct sodp_key *key, u32 rkey, u64 addr,
			      u64 len, u32 access, struct sodp_seg *seg)
{
	bool ok = false;

	mutex_lock(&key->grant_mutex);
	if (key_grants(key, user->pd, rkey, addr, len, access) &&
	    (key->kind != SODP_KEY_MW2 || key->qpn == user->qpn)) {
		key_fill_seg(seg, key, addr, len);
		ok = true;
	}
	mutex_unlock(&key->grant_mutex);
	return ok;
}

/**
 * sodp_key_remote() - resolve memory that a request of the peer names
 * @user: the responder's QP
 * @rkey: its key
 * @addr: first byte
 * @len: bytes
 * @access: IB_ACCESS_REMOTE_* and flush bits needed
 * @seg: result; uses the key until sodp_seg_put()
 *
 * For memory of the kernel the caller asks sodp_kmem_exists() too, before it
 * touches any.
 *
 * Context: process, under resp_mutex.
 * Return: SODP_OK; SODP_E_REM_ACCESS, and seg->why says why.
 */
enum sodp_verdict sodp_key_remote(const struct sodp_user *user, u32 rkey,
				  u64 addr, u64 len, u32 access,
				  struct sodp_seg *seg)
{
	struct sodp_key *key = key_find_for(user->dev, rkey, seg);

	if (unlikely(!key)) {
		seg->why = SODP_ERR_KEY;
		goto deny;
	}
	if (likely(key->kind == SODP_KEY_MR &&
		   key_grants(key, user->pd, rkey, addr, len, access))) {
		key_fill_seg(seg, key, addr, len);
		return SODP_OK;
	}
	if (key_kernel_grants(key, user->pd, rkey, addr, len, access)) {
		key_fill_seg(seg, key, addr, len);
		return SODP_OK;
	}
	if ((key->kind == SODP_KEY_MW1 || key->kind == SODP_KEY_MW2) &&
	    key_window_grants(user, key, rkey, addr, len, access, seg))
		return SODP_OK;
	seg->why = key_why(key, user->pd, rkey, access, addr, len);
	key_leave(key, seg->shard);
deny:
	ibdev_dbg(&user->dev->base_dev,
		  "QP %#x: rkey %#x does not grant %#llx+%llu access %#x\n",
		  user->qpn, rkey, addr, len, access);
	return SODP_E_REM_ACCESS;
}

void sodp_seg_put(struct sodp_seg *seg)
{
	if (seg->key) {
		key_leave(seg->key, seg->shard);
		seg->key = NULL;
	}
}

/**
 * sodp_key_invalidate() - LOCAL_INV, or the invalidation of SEND_WITH_INV
 * @user: the QP of the request (local) or the responder's (remote)
 * @rkey: key of a type 2 window or a fast-reg MR
 * @remote: which of the two
 *
 * Context: process, under exec_mutex or resp_mutex; the caller holds no
 * reference on a key.
 * Return: SODP_OK, SODP_E_LOC_QP_OP (local) or SODP_E_REM_ACCESS (remote);
 * SODP_BUSY while an access by the key is under way: call again.
 */
enum sodp_verdict sodp_key_invalidate(const struct sodp_user *user, u32 rkey,
				      bool remote)
{
	struct sodp_key *key = sodp_key_get(user->dev, rkey);
	enum sodp_verdict verdict;

	if (!key)
		verdict = remote ? SODP_E_REM_ACCESS : SODP_E_LOC_QP_OP;
	else if (key->kind == SODP_KEY_FRMR)
		verdict = sodp_kmem_invalidate(key, user, rkey, remote);
	else
		verdict = sodp_mw_invalidate(key, user, rkey, remote);
	if (key)
		sodp_key_put(key);
	if (verdict > SODP_BUSY)
		ibdev_dbg(&user->dev->base_dev,
			  "QP %#x: key %#x cannot be invalidated\n",
			  user->qpn, rkey);
	return verdict;
}
