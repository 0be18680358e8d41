// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Who pays for packets that wait: the memory cgroup of who made the first QP
 * of a context that packets can come to. That is charged as for the packets
 * of a socket, of which there is nothing here but the struct that the kernel
 * keeps the account in. It is large, so all QPs of a context share one.
 */
#include <linux/cache.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <net/sock.h>

#include "net/net.h"

/* No limit here: that is the device's */
static long payer_mem[3] = { LONG_MAX, LONG_MAX, LONG_MAX };
static atomic_long_t payer_allocated;
static DEFINE_PER_CPU(int, payer_fw_alloc);

static struct proto payer_proto = {
	.name = "SODP",
	.obj_size = sizeof(struct sock),
	.memory_allocated = &payer_allocated,
	.per_cpu_fw_alloc = &payer_fw_alloc,
	.sysctl_mem = payer_mem,
};

/**
 * struct sodp_payer - who is charged for packets that wait
 * @ref: of the context, and of each QP
 * @pay_lock: guards sk->sk_forward_alloc, which is 0 when it is let go. Taken
 *	under the lock of a queue by whoever has packets wait or is done with
 *	them, in softirq too
 * @sk: no socket: its sk_memcg is the cgroup
 */
struct sodp_payer {
	refcount_t ref;
	spinlock_t pay_lock;	/* sk->sk_forward_alloc */
	struct sock *sk;
};

static struct sodp_payer *payer_alloc(void)
{
	struct sodp_payer *payer = kzalloc(sizeof(*payer), GFP_KERNEL_ACCOUNT);

	if (!payer)
		return NULL;
	payer->sk = sk_alloc(&init_net, AF_IB, GFP_KERNEL_ACCOUNT,
			     &payer_proto, 1);
	if (!payer->sk) {
		kfree(payer);
		return NULL;
	}
	refcount_set(&payer->ref, 1);
	spin_lock_init(&payer->pay_lock);
	return payer;
}

/**
 * sodp_payer_get() - who pays for a QP's packets
 * @ucontext: whose QP it is; NULL: nobody's, and it has a payer of its own
 *
 * Context: process, may sleep.
 * Return: for sodp_payer_put(); NULL: no memory.
 */
struct sodp_payer *sodp_payer_get(struct ib_ucontext *ucontext)
{
	struct sodp_payer *payer, *other, **shared;

	if (!ucontext)
		return payer_alloc();
	shared = &to_sodp_ucontext(ucontext)->payer;
	/* Pairs with the cmpxchg() of who made it */
	payer = smp_load_acquire(shared);
	if (!payer) {
		payer = payer_alloc();
		if (!payer)
			return NULL;
		/* The reference that it has is the context's from here on */
		other = cmpxchg(shared, NULL, payer);
		if (other) {
			sodp_payer_put(payer);
			payer = other;
		}
	}
	refcount_inc(&payer->ref);
	return payer;
}

/**
 * sodp_payer_put() - let go of a payer
 * @payer: has been given all that was claimed; or NULL
 *
 * Context: any but hardirq.
 */
void sodp_payer_put(struct sodp_payer *payer)
{
	if (!payer || !refcount_dec_and_test(&payer->ref))
		return;
	sk_free(payer->sk);
	kfree(payer);
}

/**
 * sodp_payer_claim() - charge for packets
 * @payer: who pays
 * @bytes: whole pages
 *
 * Context: bottom halves are off.
 * Return: false: the cgroup has no room.
 */
bool sodp_payer_claim(struct sodp_payer *payer, u32 bytes)
{
	struct sock *sk = payer->sk;
	bool paid;

	spin_lock(&payer->pay_lock);
	paid = __sk_mem_schedule(sk, bytes, SK_MEM_RECV);
	if (likely(paid))
		sk->sk_forward_alloc -= bytes;
	spin_unlock(&payer->pay_lock);
	return paid;
}

/**
 * sodp_payer_return() - undo sodp_payer_claim()
 * @payer: who paid
 * @bytes: whole pages
 *
 * Context: bottom halves are off.
 */
void sodp_payer_return(struct sodp_payer *payer, u32 bytes)
{
	struct sock *sk = payer->sk;

	spin_lock(&payer->pay_lock);
	sk->sk_forward_alloc += bytes;
	__sk_mem_reclaim(sk, bytes);
	spin_unlock(&payer->pay_lock);
}
