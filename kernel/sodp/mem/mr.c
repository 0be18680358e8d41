// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Memory regions: pinned ones and on-demand ones, which differ only in how
 * the region of the ODP core behind them gets its pages.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <rdma/uverbs_ioctl.h>

#include "compat_rdma.h"
#include "mem/mem.h"

#define MR_ACCESS_SUPPORTED (SODP_ACCESS_PLAIN | IB_ZERO_BASED | \
			     IB_ACCESS_ON_DEMAND | IB_ACCESS_HUGETLB)

static int mr_back_odp(struct sodp_dev *dev, u64 start, u64 length, u64 iova,
		       int access, struct sodp_backing *b)
{
	u32 flags = access & SODP_ACCESS_WRITABLE ? ODP_REGION_WRITABLE : 0;
	/*
	 * What the region is cut to. Not TASK_SIZE, which an i386 process can
	 * change by its personality after its memory was laid out.
	 */
	u64 task_size = current->mm ? current->mm->task_size : 0;

	b->odp = true;
	b->va = start;
	b->length = length;
	if (!start && length == U64_MAX) {
		if (iova)
			return -EINVAL;
		b->implicit = true;
		b->length = task_size;
		flags |= ODP_REGION_IMPLICIT;
	} else if (!length || start + length < start) {
		return -EINVAL;
	} else if (start + length > task_size) {
		return -EFAULT;
	}
	b->region = odp_region_create(dev->domain, start, b->length, flags);
	return PTR_ERR_OR_ZERO(b->region);
}

static int mr_back_pinned(struct sodp_dev *dev, u64 start, u64 length,
			  int access, struct sodp_backing *b)
{
	u32 flags = access & SODP_ACCESS_WRITABLE ? ODP_REGION_WRITABLE : 0;
	u64 va = start & PAGE_MASK;
	struct scatterlist *sg;
	int ret;
	int i;

	b->va = start;
	b->length = length;
	b->umem = sodp_umem_get(&dev->base_dev, start, length, access);
	if (IS_ERR(b->umem))
		return PTR_ERR(b->umem);
	b->region = odp_region_create_static(dev->domain, va,
					     PAGE_ALIGN(start + length) - va,
					     flags);
	if (IS_ERR(b->region)) {
		ret = PTR_ERR(b->region);
		goto err_release_umem;
	}
	for_each_sgtable_sg(&b->umem->sgt_append.sgt, sg, i) {
		unsigned long nr = PAGE_ALIGN(sg->offset + sg->length) >>
				   PAGE_SHIFT;

		ret = odp_region_add_pages(b->region, va,
					   page_to_pfn(sg_page(sg)), nr);
		if (ret)
			goto err_destroy_region;
		va += (u64)nr << PAGE_SHIFT;
		cond_resched();
	}
	return 0;

err_destroy_region:
	odp_region_destroy(b->region);
err_release_umem:
	ib_umem_release(b->umem);
	return ret;
}

static int mr_back(struct sodp_dev *dev, u64 start, u64 length, u64 iova,
		   int access, struct sodp_backing *b)
{
	*b = (struct sodp_backing){};
	if (length != U64_MAX && iova + length < iova)
		return -EINVAL;
	if (access & IB_ACCESS_ON_DEMAND)
		return mr_back_odp(dev, start, length, iova, access, b);
	if (!length || start + length < start)
		return -EINVAL;
	return mr_back_pinned(dev, start, length, access, b);
}

static void mr_backing_free(const struct sodp_backing *b)
{
	odp_region_destroy(b->region);
	if (b->umem)
		ib_umem_release(b->umem);
	if (b->dmabuf)
		sodp_dmabuf_release(b->dmabuf);
}

static void mr_use_backing(struct sodp_mr *mr, const struct sodp_backing *b,
			   u64 iova)
{
	struct sodp_key *key = mr->key;

	mr->backing = *b;
	key->region = b->region;
	key->base_mr = &mr->base_mr;
	key->va = b->va;
	key->iova = iova;
	key->length = b->length;
	key->implicit = b->implicit;
	mr->base_mr.length = b->implicit ? U64_MAX : b->length;
	mr->base_mr.iova = iova;
}

/* Access bits as checks want them: asking for nothing is always granted */
static u32 mr_key_access(int access)
{
	return access & (IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |
			 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC |
			 IB_ACCESS_MW_BIND | SODP_ACCESS_FLUSHABLE);
}

/**
 * sodp_mr_create() - make an MR and its key
 * @pd: protection domain
 * @b: what it is made of; the MR's on success
 * @iova: address by which SGEs and peers name byte b->va
 * @access: IB_ACCESS_*, checked
 *
 * Context: process, may sleep.
 * Return: the MR or ERR_PTR(-ENOMEM), @b being freed.
 */
struct ib_mr *sodp_mr_create(struct ib_pd *pd, const struct sodp_backing *b,
			     u64 iova, int access)
{
	struct sodp_mr *mr;
	int ret;

	mr = kzalloc(sizeof(*mr), GFP_KERNEL_ACCOUNT);
	if (!mr) {
		ret = -ENOMEM;
		goto err_free_backing;
	}
	mr->key = sodp_key_alloc(to_sodp_dev(pd->device), SODP_KEY_MR);
	if (IS_ERR(mr->key)) {
		ret = PTR_ERR(mr->key);
		goto err_free_mr;
	}
	mr_use_backing(mr, b, iova);
	mr->key->pd = pd;
	mr->key->access = mr_key_access(access);
	mr->base_mr.lkey = mr->key->key;
	mr->base_mr.rkey = mr->key->key;
	/* Lookups until now found SODP_KEY_FREE and looked no further */
	smp_store_release(&mr->key->state, SODP_KEY_VALID);
	return &mr->base_mr;

err_free_mr:
	kfree(mr);
err_free_backing:
	mr_backing_free(b);
	return ERR_PTR(ret);
}

/**
 * sodp_mr_reg_user() - register memory of the calling process
 * @pd: protection domain
 * @start: first byte in the caller's address space; 0 with implicit ODP
 * @length: bytes; U64_MAX with implicit ODP
 * @iova: address by which SGEs and peers name @start; 0 with IB_ZERO_BASED
 * @access: IB_ACCESS_*; IB_ACCESS_ON_DEMAND does not pin
 * @udata: has nothing; NULL: a kernel caller
 *
 * Context: process, may sleep; constant time with IB_ACCESS_ON_DEMAND.
 * Return: the MR, or ERR_PTR: -EINVAL empty or wrapping range,
 * -EFAULT outside user space, -EOPNOTSUPP unknown access bits, -ENOMEM.
 */
struct ib_mr *sodp_mr_reg_user(struct ib_pd *pd, u64 start, u64 length,
			       u64 iova, int access, struct ib_udata *udata)
{
	struct sodp_dev *dev = to_sodp_dev(pd->device);
	struct sodp_backing backing;
	int ret;

	ret = sodp_udata_check(pd->device, udata, 0);
	if (ret)
		return ERR_PTR(ret);
	if (access & ~MR_ACCESS_SUPPORTED)
		return ERR_PTR(-EOPNOTSUPP);
	if (access & IB_ZERO_BASED)
		iova = 0;
	ret = mr_back(dev, start, length, iova, access, &backing);
	if (ret)
		return ERR_PTR(ret);
	return sodp_mr_create(pd, &backing, iova, access);
}

/* A region with windows on it stays as it is; new binds are kept out */
static int mr_block_windows(struct sodp_key *key)
{
	return atomic_cmpxchg(&key->mw_count, 0, INT_MIN) ? -EBUSY : 0;
}

/* A child that was forked has the MR, but other memory at its addresses */
static bool mr_is_callers(const struct sodp_mr *mr)
{
	if (mr->backing.umem)
		return mr->backing.umem->owning_mm == current->mm;
	return odp_region_is_callers(mr->backing.region);
}

/**
 * sodp_mr_rereg_user() - change translation, PD or access; keys stay
 * @ibmr: the MR
 * @flags: IB_MR_REREG_*
 * @start: new range (IB_MR_REREG_TRANS)
 * @length: likewise
 * @iova: likewise
 * @access: new access (IB_MR_REREG_ACCESS)
 * @pd: new PD (IB_MR_REREG_PD)
 * @udata: has nothing
 *
 * On failure the MR is as before. Requests that use it meanwhile fail as
 * with an invalid key.
 *
 * Context: process, may sleep.
 * Return: NULL (same MR), or ERR_PTR: as registration, -EBUSY windows bound,
 * -EINVAL new access only, by another process than the memory's.
 */
struct ib_mr *sodp_mr_rereg_user(struct ib_mr *ibmr, int flags, u64 start,
				 u64 length, u64 iova, int access,
				 struct ib_pd *pd, struct ib_udata *udata)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	struct sodp_dev *dev = to_sodp_dev(ibmr->device);
	struct sodp_key *key = mr->key;
	struct sodp_backing backing = {};
	struct sodp_backing old = {};
	int ret;

	ret = sodp_udata_check(ibmr->device, udata, 0);
	if (ret)
		return ERR_PTR(ret);
	if (flags & ~IB_MR_REREG_SUPPORTED)
		return ERR_PTR(-EOPNOTSUPP);
	/* There is no range of the caller's memory to go on with */
	if ((mr->backing.dmabuf || ibmr->dm) && flags != IB_MR_REREG_PD)
		return ERR_PTR(-EOPNOTSUPP);
	if (!(flags & IB_MR_REREG_ACCESS))
		access = key->access |
			 (mr->backing.odp ? IB_ACCESS_ON_DEMAND : 0);
	if (access & ~MR_ACCESS_SUPPORTED)
		return ERR_PTR(-EOPNOTSUPP);
	if (access & IB_ZERO_BASED)
		iova = 0;
	/*
	 * Pinning, or the right to fault for write, belongs to the backing:
	 * a change of either needs a new one over the same range.
	 */
	if (!(flags & IB_MR_REREG_TRANS) && (flags & IB_MR_REREG_ACCESS)) {
		if (!mr_is_callers(mr))
			return ERR_PTR(-EINVAL);
		start = key->implicit ? 0 : mr->backing.va;
		length = key->implicit ? U64_MAX : key->length;
		iova = key->iova;
		flags |= IB_MR_REREG_TRANS;
	}
	if (mr_block_windows(key))
		return ERR_PTR(-EBUSY);
	if (flags & IB_MR_REREG_TRANS) {
		ret = mr_back(dev, start, length, iova, access, &backing);
		if (ret) {
			atomic_set(&key->mw_count, 0);
			return ERR_PTR(ret);
		}
	}
	sodp_key_quiesce(key);
	if (flags & IB_MR_REREG_TRANS) {
		old = mr->backing;
		mr_use_backing(mr, &backing, iova);
	}
	if (flags & IB_MR_REREG_PD)
		key->pd = pd;
	key->access = mr_key_access(access);
	atomic_set(&key->mw_count, 0);
	sodp_key_reopen(key);
	if (old.region)
		mr_backing_free(&old);
	return NULL;
}

/**
 * sodp_mr_dereg() - invalidate the keys, wait for accesses, free
 * @ibmr: the MR
 * @udata: unused
 *
 * Context: process, may sleep.
 * Return: 0, -EBUSY while windows are bound to it.
 */
int sodp_mr_dereg(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct sodp_mr *mr = to_sodp_mr(ibmr);
	u64 *pages = mr->key->pages;
	int ret;

	ret = mr_block_windows(mr->key);
	if (ret)
		return ret;
	sodp_key_retire(mr->key);
	if (mr->backing.region)
		mr_backing_free(&mr->backing);
	else
		sodp_kmem_free(mr, pages);
	kfree(mr);
	return 0;
}

/* One SGE of ibv_advise_mr(): the errno table is that of the man page */
static int advise_one(struct ib_pd *pd, const struct ib_sge *sge,
		      enum odp_advice advice, struct odp_region **region,
		      u64 *va)
{
	struct sodp_key *key = sodp_key_get(to_sodp_dev(pd->device),
					    sge->lkey);
	u64 off;
	int ret = 0;

	if (!key)
		return -ENOENT;
	if (key->kind != SODP_KEY_MR) {
		ret = -EINVAL;
		goto out_put;
	}
	if (key->key != sge->lkey || !sodp_key_valid(key)) {
		ret = -ENOENT;
		goto out_put;
	}
	off = sge->addr - key->iova;
	if (key->pd != pd)
		ret = -EPERM;
	else if (!odp_region_is_odp(key->region))
		ret = -EINVAL;
	else if (advice == ODP_ADVICE_PREFETCH_WRITE &&
		 !(key->access & IB_ACCESS_LOCAL_WRITE))
		ret = -EPERM;
	else if (sge->addr < key->iova || off > key->length ||
		 sge->length > key->length - off)
		ret = -EFAULT;
	if (ret)
		goto out_put;
	*va = key->va + off;
	*region = key->region;
	odp_region_set_name(*region, key->base_mr->res.id);
	odp_region_get(*region);
out_put:
	sodp_key_put(key);
	return ret;
}

/**
 * sodp_mr_advise() - prefetch, ibv_advise_mr(3)
 * @pd: the caller's PD
 * @advice: PREFETCH, PREFETCH_WRITE or PREFETCH_NO_FAULT
 * @flags: 0 or IB_UVERBS_ADVISE_MR_FLAG_FLUSH: done when this returns
 * @sg_list: ranges of ODP MRs; all are checked before any is fetched
 * @num_sge: how many
 * @attrs: unused
 *
 * Context: process, may sleep.
 * Return: 0; -EOPNOTSUPP other advice; -EINVAL flags, not an ODP MR;
 * -ENOENT no such lkey; -EPERM another PD's MR, or PREFETCH_WRITE without
 * write access; -EFAULT outside the MR or the address space; -ENOMEM.
 */
int sodp_mr_advise(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		   u32 flags, struct ib_sge *sg_list, u32 num_sge,
		   struct uverbs_attr_bundle *attrs)
{
	static const enum odp_advice map[] = {
		[IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH] = ODP_ADVICE_PREFETCH,
		[IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE] =
			ODP_ADVICE_PREFETCH_WRITE,
		[IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT] =
			ODP_ADVICE_NO_FAULT,
	};
	struct odp_region *region;
	u64 va;
	u32 i;
	int ret = 0;

	if ((u32)advice >= ARRAY_SIZE(map))
		return -EOPNOTSUPP;
	if (flags & ~IB_UVERBS_ADVISE_MR_FLAG_FLUSH)
		return -EINVAL;
	for (i = 0; i < num_sge; i++) {
		ret = advise_one(pd, &sg_list[i], map[advice], &region, &va);
		if (ret)
			goto out;
		odp_region_put(region);
	}
	for (i = 0; i < num_sge && !ret; i++) {
		ret = advise_one(pd, &sg_list[i], map[advice], &region, &va);
		if (ret)
			break;
		ret = odp_region_prefetch(region, va, sg_list[i].length,
					  map[advice],
					  flags &
					  IB_UVERBS_ADVISE_MR_FLAG_FLUSH);
		odp_region_put(region);
	}
out:
	if (ret)
		ibdev_dbg(pd->device, "advise_mr: entry %u of %u: %d\n", i,
			  num_sge, ret);
	return ret;
}
