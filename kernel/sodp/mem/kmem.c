// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Keys of kernel memory, which only kernel consumers can make: all of it (DMA
 * MR) or a list of pages (fast registration). The device has no dma_device,
 * so a DMA address is an address of the kernel's own mapping.
 *
 * A fast-reg key is opened by a REG_MR work request and closed by LOCAL_INV
 * or a peer's SEND_WITH_INV, while the peers' requests may be using it. The
 * consumer takes its pages back when it sees that completion, so closing has
 * to wait for accesses in flight. It does so without sleeping: the work
 * request ends its slice and is tried again.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat_rdma.h"
#include "mem/mem.h"

#define KMEM_ACCESS (IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE | \
		     IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC | \
		     SODP_ACCESS_FLUSHABLE)

static struct sodp_mr *kmem_new_mr(struct ib_pd *pd, enum sodp_key_kind kind)
{
	struct sodp_mr *mr = kzalloc(sizeof(*mr), GFP_KERNEL);

	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->key = sodp_key_alloc(to_sodp_dev(pd->device), kind);
	if (IS_ERR(mr->key)) {
		kfree(mr);
		return ERR_PTR(-ENOMEM);
	}
	mr->key->pd = pd;
	mr->base_mr.lkey = mr->key->key;
	mr->base_mr.rkey = mr->key->key;
	return mr;
}

/**
 * sodp_kmem_get_dma_mr() - a key of all kernel memory
 * @pd: a kernel consumer's PD
 * @access: IB_ACCESS_*
 *
 * Context: process, may sleep.
 * Return: the MR or ERR_PTR(-ENOMEM or -EOPNOTSUPP).
 */
struct ib_mr *sodp_kmem_get_dma_mr(struct ib_pd *pd, int access)
{
	struct sodp_mr *mr;

	if (access & ~(KMEM_ACCESS | IB_ACCESS_OPTIONAL))
		return ERR_PTR(-EOPNOTSUPP);
	mr = kmem_new_mr(pd, SODP_KEY_DMA);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->key->length = U64_MAX;
	mr->key->access = access & KMEM_ACCESS;
	/* Pairs with sodp_key_valid() */
	smp_store_release(&mr->key->state, SODP_KEY_VALID);
	return &mr->base_mr;
}

/**
 * sodp_kmem_alloc_mr() - an MR for fast registration, closed
 * @pd: a kernel consumer's PD
 * @type: IB_MR_TYPE_MEM_REG
 * @max_num_sg: pages it will hold at most
 *
 * Context: process, may sleep.
 * Return: the MR or ERR_PTR: -EOPNOTSUPP another type, -EINVAL too many
 * pages, -ENOMEM.
 */
struct ib_mr *sodp_kmem_alloc_mr(struct ib_pd *pd, enum ib_mr_type type,
				 u32 max_num_sg)
{
	struct sodp_mr *mr;

	if (type != IB_MR_TYPE_MEM_REG)
		return ERR_PTR(-EOPNOTSUPP);
	if (!max_num_sg || max_num_sg > SODP_MAX_FRMR_PAGES)
		return ERR_PTR(-EINVAL);
	mr = kmem_new_mr(pd, SODP_KEY_FRMR);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->map_max = max_num_sg;
	mr->map_pages = kvcalloc(max_num_sg, sizeof(u64), GFP_KERNEL);
	mr->key->pages = kvcalloc(max_num_sg, sizeof(u64), GFP_KERNEL);
	if (mr->map_pages && mr->key->pages)
		return &mr->base_mr;
	sodp_kmem_free(mr, mr->key->pages);
	sodp_key_retire(mr->key);
	kfree(mr);
	return ERR_PTR(-ENOMEM);
}

/**
 * sodp_kmem_free() - free what alloc_mr made beside MR and key
 * @mr: a kernel consumer's MR
 * @pages: its key's, which may be gone by now
 *
 * Context: process, may sleep.
 */
void sodp_kmem_free(struct sodp_mr *mr, u64 *pages)
{
	kvfree(mr->map_pages);
	kvfree(pages);
}

static int kmem_set_page(struct ib_mr *ibmr, u64 addr)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);

	if (mr->map_nr == mr->map_max)
		return -ENOMEM;
	mr->map_pages[mr->map_nr++] = addr;
	return 0;
}

/**
 * sodp_kmem_map_mr_sg() - gather pages for the next REG_MR
 * @ibmr: the MR
 * @sg: mapped scatterlist
 * @sg_nents: its entries
 * @sg_offset: where in the first one to begin, or NULL
 *
 * The list in use, if the MR has not been invalidated yet, stays as it is.
 *
 * Context: any.
 * Return: entries that fit, or an errno.
 */
int sodp_kmem_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg,
			int sg_nents, unsigned int *sg_offset)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	int nr;

	if (!mr->map_pages || !is_power_of_2(ibmr->page_size))
		return -EINVAL;
	mr->map_nr = 0;
	mr->map_shift = ilog2(ibmr->page_size);
	nr = ib_sg_to_pages(ibmr, sg, sg_nents, sg_offset, kmem_set_page);
	/* From here on the consumer may choose any iova for the first byte */
	mr->map_offset = ibmr->iova & (ibmr->page_size - 1);
	return nr;
}

/**
 * sodp_kmem_exists() - is there memory at what a peer asked for?
 * @seg: what its key led to
 * @off: first byte in it
 * @len: bytes
 *
 * The rkey of a DMA MR covers every address, not only those of memory. To be
 * asked for what is about to be touched: all of a message can be 2 GiB, in
 * many parts.
 *
 * Context: any.
 */
bool sodp_kmem_exists(const struct sodp_seg *seg, u64 off, u64 len)
{
	u64 addr = seg->va + off;
	u64 page;

	if (likely(seg->region || !seg->key ||
		   seg->key->kind != SODP_KEY_DMA))
		return true;
	for (page = addr & PAGE_MASK; page < addr + len; page += PAGE_SIZE)
		if (!virt_addr_valid((void *)(uintptr_t)page))
			return false;
	return true;
}

/**
 * sodp_kmem_ptr() - where a byte of kernel memory is
 * @seg: a segment that has no region
 * @off: byte in it
 * @run: clipped to the bytes that follow in one piece
 *
 * Context: any.
 */
u8 *sodp_kmem_ptr(const struct sodp_seg *seg, u64 off, u64 *run)
{
	const struct sodp_key *key = seg->key;
	u64 pos = seg->va + off;
	u64 size;

	if (!key || key->kind == SODP_KEY_DMA)
		return (u8 *)(uintptr_t)pos;
	size = 1ULL << key->page_shift;
	off = pos & (size - 1);
	*run = min(*run, size - off);
	return (u8 *)(uintptr_t)key->pages[pos >> key->page_shift] + off;
}

/**
 * sodp_kmem_atomic() - an atomic operation on kernel memory
 * @seg: 8 bytes
 * @op: which operation
 * @operand: what to add, swap in or store
 * @compare: what has to be there, of a CAS
 * @result: what was there
 *
 * Context: any.
 * Return: SODP_OK, SODP_E_REM_OP when the bytes are not aligned.
 */
enum sodp_verdict sodp_kmem_atomic(const struct sodp_seg *seg,
				   enum odp_atomic_op op, u64 operand,
				   u64 compare, u64 *result)
{
	u64 run = sizeof(u64);
	atomic64_t *target = (atomic64_t *)sodp_kmem_ptr(seg, 0, &run);

	if (!IS_ALIGNED((uintptr_t)target, sizeof(u64)))
		return SODP_E_REM_OP;
	switch (op) {
	case ODP_ATOMIC_CAS:
		*result = atomic64_cmpxchg(target, compare, operand);
		return SODP_OK;
	case ODP_ATOMIC_FAA:
		*result = atomic64_fetch_add(operand, target);
		return SODP_OK;
	case ODP_ATOMIC_STORE:
		/* What was copied before is seen by who sees this */
		atomic64_set_release(target, operand);
		return SODP_OK;
	}
	return SODP_E_REM_OP;
}

/*
 * Open @key with a copy of what map_mr_sg gathered: that may be registered
 * once more as it is, or gathered anew while this is in use.
 */
static void kmem_open(struct sodp_mr *mr, struct sodp_key *key,
		      const struct sodp_sqe *sqe)
{
	lockdep_assert_held(&key->grant_mutex);
	memcpy(key->pages, mr->map_pages, mr->map_nr * sizeof(u64));
	key->page_shift = mr->map_shift;
	key->va = mr->map_offset;
	key->iova = mr->base_mr.iova;
	key->length = mr->base_mr.length;
	key->access = sqe->bind.access & KMEM_ACCESS;
	key->key = sqe->bind.new_rkey;
	/* Pairs with sodp_key_valid() */
	smp_store_release(&key->state, SODP_KEY_VALID);
}

/**
 * sodp_kmem_reg() - carry out a REG_MR work request
 * @user: the QP it was posted to, a kernel consumer's
 * @sqe: bind.addr is the struct sodp_mr
 *
 * Context: process, under exec_mutex.
 * Return: SODP_OK; SODP_E_LOC_QP_OP; SODP_BUSY while an access to what it
 * was before is under way: call again.
 */
enum sodp_verdict sodp_kmem_reg(const struct sodp_user *user,
				const struct sodp_sqe *sqe)
{
	struct sodp_mr *mr = (struct sodp_mr *)(uintptr_t)sqe->bind.addr;
	struct sodp_key *key = mr->key;
	enum sodp_verdict verdict = SODP_E_LOC_QP_OP;

	mutex_lock(&key->grant_mutex);
	if (key->kind != SODP_KEY_FRMR || key->state == SODP_KEY_VALID ||
	    key->pd != user->pd || sqe->bind.new_rkey >> 8 != key->index ||
	    mr->map_offset + mr->base_mr.length >
	    (u64)mr->map_nr << mr->map_shift) {
		ibdev_dbg(&user->dev->base_dev,
			  "QP %#x: MR %#x cannot be registered\n", user->qpn,
			  sqe->bind.new_rkey);
	} else if (sodp_key_users(key)) {
		verdict = SODP_BUSY;
	} else {
		kmem_open(mr, key, sqe);
		verdict = SODP_OK;
	}
	mutex_unlock(&key->grant_mutex);
	return verdict;
}

/**
 * sodp_kmem_invalidate() - close a fast-reg key
 * @key: the key, used by the caller once
 * @user: the QP of the request (local) or the responder's (remote)
 * @rkey: the value it was named by
 * @remote: which of the two
 *
 * Closing locally what a peer closed already is no error: the consumer may
 * not know yet.
 *
 * Context: process, under exec_mutex or resp_mutex.
 * Return: SODP_OK once no access is under way; SODP_BUSY before: call
 * again; SODP_E_LOC_QP_OP (local) or SODP_E_REM_ACCESS (remote).
 */
enum sodp_verdict sodp_kmem_invalidate(struct sodp_key *key,
				       const struct sodp_user *user, u32 rkey,
				       bool remote)
{
	enum sodp_verdict verdict = SODP_OK;

	mutex_lock(&key->grant_mutex);
	if (key->key != rkey || key->pd != user->pd ||
	    (remote && key->state == SODP_KEY_FREE)) {
		verdict = remote ? SODP_E_REM_ACCESS : SODP_E_LOC_QP_OP;
	} else if (key->state != SODP_KEY_FREE) {
		WRITE_ONCE(key->state, SODP_KEY_CLOSING);
		/* State, then users: see key_enter() */
		smp_mb();
		if (sodp_key_users(key) > 1)
			verdict = SODP_BUSY;
		else
			WRITE_ONCE(key->state, SODP_KEY_FREE);
	}
	mutex_unlock(&key->grant_mutex);
	return verdict;
}
