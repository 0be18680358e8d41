// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What QPs know together of the way to an address: how long a round trip
 * takes when nothing waits in queues. By itself, a QP that begins when the
 * queues of others are on the way would take those for the way's own length,
 * and for its right to as much again.
 *
 * As long as QPs keep queues on the way, nobody sees how long it is. So when
 * the shortest round trip of late was much longer than what is known, all of
 * them hold back for a moment, and what is seen then is believed.
 */
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "xport/rc/wire.h"

struct sodp_way_key {
	const struct sodp_dev *dev;	/* to be compared only */
	struct in6_addr saddr;
	struct in6_addr daddr;
	u32 priority;
	u32 zero;
};

/**
 * struct sodp_way - the way from one of our addresses to another host's
 * @key: in way_table
 * @node: there
 * @rcu: frees it
 * @ref: QPs
 * @lock: guards the rest; innermost
 * @base_ns: a round trip without queues; U64_MAX: not known
 * @next_ns: the shortest one since @since
 * @since: ns
 * @probe_end: all hold back until then, ns; 0: they do not
 */
struct sodp_way {
	struct sodp_way_key key;
	struct rhash_head node;
	struct rcu_head rcu;
	refcount_t ref;
	spinlock_t lock;	/* base_ns and what follows */
	u64 base_ns;
	u64 next_ns;
	u64 since;
	u64 probe_end;
};

static const struct rhashtable_params way_params = {
	.key_len = sizeof(struct sodp_way_key),
	.key_offset = offsetof(struct sodp_way, key),
	.head_offset = offsetof(struct sodp_way, node),
	.automatic_shrinking = true,
};

/* Of all devices: QPs may outlive theirs by what the stack holds */
static struct rhashtable way_table;

int sodp_way_init(void)
{
	return rhashtable_init(&way_table, &way_params);
}

void sodp_way_exit(void)
{
	WARN_ON(atomic_read(&way_table.nelems));
	rhashtable_destroy(&way_table);
}

static struct sodp_way *way_find(const struct sodp_way_key *key)
{
	struct sodp_way *way;

	rcu_read_lock();
	way = rhashtable_lookup(&way_table, key, way_params);
	if (way && !refcount_inc_not_zero(&way->ref))
		way = NULL;
	rcu_read_unlock();
	return way;
}

/**
 * sodp_way_get() - the way that packets of a path take
 * @path: the path
 *
 * Context: process, may sleep.
 * Return: it, or ERR_PTR(-ENOMEM); sodp_way_put().
 */
struct sodp_way *sodp_way_get(const struct sodp_path *path)
{
	struct sodp_way_key key = {
		.dev = path->dev,
		.saddr = path->saddr,
		.daddr = path->daddr,
		.priority = path->priority,
	};
	struct sodp_way *way, *mine;
	int ret;

	BUILD_BUG_ON(sizeof(key) != sizeof(void *) + 2 * sizeof(key.saddr) +
					    2 * sizeof(u32));
	way = way_find(&key);
	if (way)
		return way;
	mine = kzalloc(sizeof(*mine), GFP_KERNEL_ACCOUNT);
	if (!mine)
		return ERR_PTR(-ENOMEM);
	mine->key = key;
	refcount_set(&mine->ref, 1);
	spin_lock_init(&mine->lock);
	mine->base_ns = U64_MAX;
	mine->next_ns = U64_MAX;
	mine->since = ktime_get_ns();
	/* Another makes it, or the one that is there is going: once more */
	do {
		ret = rhashtable_lookup_insert_fast(&way_table, &mine->node,
						    way_params);
		if (!ret)
			return mine;
		way = ret == -EEXIST ? way_find(&key) : ERR_PTR(-ENOMEM);
		cond_resched();
	} while (!way);
	kfree(mine);
	return way;
}

/**
 * sodp_way_put() - a QP goes another way, or goes
 * @way: from sodp_way_get(), or NULL
 *
 * Context: any but hardirq.
 */
void sodp_way_put(struct sodp_way *way)
{
	if (!way || !refcount_dec_and_test(&way->ref))
		return;
	rhashtable_remove_fast(&way_table, &way->node, way_params);
	kfree_rcu(way, rcu);
}

/**
 * sodp_way_sample() - a round trip was timed
 * @way: the way of it
 * @rtt: ns
 * @now: when it ended, ns
 * @drain: true: hold back, to let the queues run empty
 *
 * Context: process.
 * Return: how long it takes without queues, ns.
 */
u64 sodp_way_sample(struct sodp_way *way, u64 rtt, u64 now, bool *drain)
{
	u64 base;

	spin_lock(&way->lock);
	way->base_ns = min(way->base_ns, rtt);
	way->next_ns = min(way->next_ns, rtt);
	if (unlikely(way->probe_end ? now > way->probe_end :
		     now - way->since > sodp_policy.base_ns)) {
		if (way->probe_end ||
		    way->next_ns - way->base_ns <= sodp_policy.delay_ns / 4) {
			way->base_ns = way->next_ns;
			way->since = now;
			way->probe_end = 0;
		} else {
			way->probe_end = now + sodp_policy.probe_trips * rtt;
		}
		way->next_ns = U64_MAX;
	}
	base = way->base_ns;
	*drain = way->probe_end;
	spin_unlock(&way->lock);
	return base;
}
