// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Shared memory: pages of the kernel that an application maps, for rings and
 * as device memory. It outlives the object it was made for as long as somebody
 * has it mapped; the kernel stops using it when the object goes.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "mem/mem.h"

/**
 * sodp_smem_alloc() - make a ring that @ucontext may map
 * @ucontext: owner of the mmap offset; NULL: a kernel consumer, no mapping
 * @size: bytes, rounded up to whole pages
 *
 * Context: process, may sleep.
 * Return: the ring, zeroed, or ERR_PTR(-ENOMEM or what the insertion gave).
 */
struct sodp_smem *sodp_smem_alloc(struct ib_ucontext *ucontext, size_t size)
{
	struct sodp_smem *ring;
	int ret;

	ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	ring->size = PAGE_ALIGN(size);
	/* Charged to the caller: vmalloc_user() would not be */
	ring->mem = __vmalloc(ring->size, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->mem) {
		ret = -ENOMEM;
		goto err_free_ring;
	}
	if (!ucontext)
		return ring;
	ret = rdma_user_mmap_entry_insert(ucontext, &ring->mmap_entry,
					  ring->size);
	if (ret)
		goto err_free_mem;
	return ring;

err_free_mem:
	vfree(ring->mem);
err_free_ring:
	kfree(ring);
	return ERR_PTR(ret);
}

/**
 * sodp_smem_free() - the kernel is done with the ring
 * @ring: from sodp_smem_alloc(), or NULL
 *
 * Context: process, may sleep. The last reference frees by sodp_mmap_free().
 */
void sodp_smem_free(struct sodp_smem *ring)
{
	if (!ring)
		return;
	if (!ring->mmap_entry.ucontext)
		sodp_mmap_free(&ring->mmap_entry);
	else
		rdma_user_mmap_entry_remove(&ring->mmap_entry);
}

u64 sodp_smem_offset(struct sodp_smem *ring)
{
	return rdma_user_mmap_get_offset(&ring->mmap_entry);
}

void sodp_mmap_free(struct rdma_user_mmap_entry *entry)
{
	struct sodp_smem *ring =
		container_of(entry, struct sodp_smem, mmap_entry);

	vfree(ring->mem);
	kfree(ring);
}

static int smem_insert(struct sodp_smem *ring, struct vm_area_struct *vma)
{
	unsigned long off;
	int ret;

	for (off = 0; off < ring->size; off += PAGE_SIZE) {
		ret = vm_insert_page(vma, vma->vm_start + off,
				     vmalloc_to_page(ring->mem + off));
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * sodp_mmap() - map a ring, whole, shared and not executable
 * @ucontext: context whose offset it is
 * @vma: where to
 *
 * The pages stay with the mapping: no reference on the ring is kept, and
 * deleting the device does not wait for an munmap().
 *
 * Context: process, mmap_lock held for writing.
 * Return: 0; -EINVAL for an offset or a kind of mapping that is not a ring's;
 * -ENOMEM.
 */
int sodp_mmap(struct ib_ucontext *ucontext, struct vm_area_struct *vma)
{
	struct rdma_user_mmap_entry *entry;
	struct sodp_smem *ring;
	int ret;

	if (!(vma->vm_flags & VM_SHARED) || (vma->vm_flags & VM_EXEC))
		return -EINVAL;
	entry = rdma_user_mmap_entry_get(ucontext, vma);
	if (!entry)
		return -EINVAL;
	ring = container_of(entry, struct sodp_smem, mmap_entry);
	if (vma->vm_end - vma->vm_start != ring->size)
		ret = -EINVAL;
	else
		ret = smem_insert(ring, vma);
	rdma_user_mmap_entry_put(entry);
	return ret;
}
