/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * mem.h - memory that requests name: keys, what they lead to, moving bytes
 */
#ifndef SODP_MEM_H
#define SODP_MEM_H

#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/odp.h>
#include <rdma/sodp-abi.h>

#include "base/sodp.h"

struct sodp_dmabuf;

/*
 * Shared memory: kernel pages that the application maps. That of a kernel
 * consumer has no ucontext in its entry, and nobody maps it.
 */
struct sodp_smem {
	struct rdma_user_mmap_entry mmap_entry;
	void *mem;
	size_t size;
};

enum sodp_key_kind {
	SODP_KEY_MR,
	SODP_KEY_MW1,
	SODP_KEY_MW2,
	/* kernel memory, of kernel consumers only; see kmem.c */
	SODP_KEY_DMA,
	SODP_KEY_FRMR,
};

enum sodp_key_state {
	SODP_KEY_FREE,		/* unbound window, invalidated key */
	SODP_KEY_VALID,
	SODP_KEY_CLOSING,	/* invalidated, not yet let go by all */
};

struct sodp_key_users {
	atomic_t count;
} ____cacheline_aligned_in_smp;

/*
 * What an lkey or rkey names. Fields below "grant" are written while no one
 * can use it who found it in state VALID (registration, rereg), or under
 * grant_mutex (windows), whose users copy them under it. An access reads it all
 * and writes nothing but its count in @users.
 */
struct sodp_key {
	u32 key;		/* (index << 8) | version */
	u32 index;		/* what it is hashed by, random */
	struct rhash_head node;
	enum sodp_key_kind kind;
	enum sodp_key_state state;
	struct sodp_dev *dev;
	struct rcu_head rcu;
	/* grant */
	struct ib_pd *pd;
	struct odp_region *region;
	struct ib_mr *base_mr;	/* whose @region is */
	u64 iova;
	u64 length;
	u64 va;			/* address in the region of iova */
	u64 *pages;		/* fast-reg: addresses, va is an offset in them */
	u8 page_shift;
	u32 access;
	bool implicit;
	/* windows */
	struct mutex grant_mutex;
	struct sodp_key *mr;	/* holds mr->mw_count */
	u32 qpn;		/* type 2B: the QP that bound it */
	/* regions: windows bound to it */
	atomic_t mw_count;
	/* each by some of the CPUs; see key_enter() */
	struct sodp_key_users users[];
};

/* Access by which memory may be written */
#define SODP_ACCESS_WRITABLE	(IB_ACCESS_LOCAL_WRITE | \
				 IB_ACCESS_REMOTE_WRITE | \
				 IB_ACCESS_REMOTE_ATOMIC)

/* What an MR is made of: a region, and what keeps its pages */
struct sodp_backing {
	struct odp_region *region;
	struct ib_umem *umem;		/* pinned user memory */
	struct sodp_dmabuf *dmabuf;
	u64 va;				/* address in the region */
	u64 length;
	bool odp;
	bool implicit;
};

struct sodp_mr {
	struct ib_mr base_mr;
	struct sodp_key *key;
	struct sodp_backing backing;
	/* fast-reg: what map_mr_sg gathers for the next REG_MR */
	u64 *map_pages;
	u32 map_nr;
	u32 map_max;
	u32 map_offset;		/* of the first byte in the first page */
	u8 map_shift;
};

/* Device memory: pages of the kernel, as a ring has them */
struct sodp_dm {
	struct ib_dm base_dm;
	struct sodp_smem *ring;
};

struct sodp_mw {
	struct ib_mw base_mw;
	struct sodp_key *key;
};

/**
 * struct sodp_user - who uses memory: a QP
 * @dev: its device
 * @pd: where keys have to be of; for requests to an XRC target the SRQ's
 * @qpn: its number
 * @kernel: it is a kernel consumer's
 */
struct sodp_user {
	struct sodp_dev *dev;
	const struct ib_pd *pd;
	u32 qpn;
	bool kernel;
};

/*
 * One resolved piece of memory; uses its key. Without a
 * region it is kernel memory: sodp_kmem_ptr() tells where. Of what could not
 * be resolved there is only @why.
 */
struct sodp_seg {
	struct sodp_key *key;
	struct odp_region *region;
	u64 va;
	u64 length;
	u8 why;		/* enum sodp_vendor_err */
	u8 shard;	/* of key->users */
};

/*
 * A place to copy from or to: segments of user memory that hold the whole
 * message, or kernel memory that holds it from byte @base on.
 */
struct sodp_cursor {
	struct sodp_seg *segs;
	u32 nr_segs;
	u32 nr_bufs;		/* used when segs is NULL */
	const struct sodp_buf *bufs;
	u64 base;
};

/* Where the copying of a slice stopped, for the fault that follows */
struct sodp_stop {
	struct odp_miss miss;
	bool remote;
};

/* What a key that is valid grants can be read after this */
static inline bool sodp_key_valid(const struct sodp_key *key)
{
	/* Pairs with the release stores of SODP_KEY_VALID */
	return smp_load_acquire(&key->state) == SODP_KEY_VALID;
}

static inline struct sodp_mr *to_sodp_mr(struct ib_mr *ibmr)
{
	return container_of(ibmr, struct sodp_mr, base_mr);
}

static inline struct sodp_mw *to_sodp_mw(struct ib_mw *ibmw)
{
	return container_of(ibmw, struct sodp_mw, base_mw);
}

/* smem.c */
struct sodp_smem *sodp_smem_alloc(struct ib_ucontext *ucontext, size_t size);
void sodp_smem_free(struct sodp_smem *ring);
u64 sodp_smem_offset(struct sodp_smem *ring);
int sodp_mmap(struct ib_ucontext *ucontext, struct vm_area_struct *vma);
void sodp_mmap_free(struct rdma_user_mmap_entry *entry);

/* kmem.c */
struct ib_mr *sodp_kmem_get_dma_mr(struct ib_pd *pd, int access);
struct ib_mr *sodp_kmem_alloc_mr(struct ib_pd *pd, enum ib_mr_type type,
				 u32 max_num_sg);
int sodp_kmem_map_mr_sg(struct ib_mr *ibmr, struct scatterlist *sg,
			int sg_nents, unsigned int *sg_offset);
void sodp_kmem_free(struct sodp_mr *mr, u64 *pages);
bool sodp_kmem_exists(const struct sodp_seg *seg, u64 off, u64 len);
u8 *sodp_kmem_ptr(const struct sodp_seg *seg, u64 off, u64 *run);
enum sodp_verdict sodp_kmem_atomic(const struct sodp_seg *seg,
				   enum odp_atomic_op op, u64 operand,
				   u64 compare, u64 *result);
enum sodp_verdict sodp_kmem_reg(const struct sodp_user *user,
				const struct sodp_sqe *sqe);
enum sodp_verdict sodp_kmem_invalidate(struct sodp_key *key,
				       const struct sodp_user *user, u32 rkey,
				       bool remote);

/* key.c */
int sodp_key_cache_init(void);
void sodp_key_cache_exit(void);
int sodp_keys_init(struct sodp_dev *dev);
void sodp_keys_destroy(struct sodp_dev *dev);
struct sodp_key *sodp_key_alloc(struct sodp_dev *dev, enum sodp_key_kind kind);
void sodp_key_unlink(struct sodp_key *key);
void sodp_key_free(struct sodp_key *key);
void sodp_key_retire(struct sodp_key *key);
struct sodp_key *sodp_key_get(struct sodp_dev *dev, u32 key);
bool sodp_key_hold(struct sodp_key *key);
void sodp_key_put(struct sodp_key *key);
unsigned int sodp_key_users(const struct sodp_key *key);
void sodp_key_quiesce(struct sodp_key *key);
void sodp_key_reopen(struct sodp_key *key);
enum sodp_verdict sodp_key_local(const struct sodp_user *user,
				 const struct ib_pd *pd, u32 lkey, u64 addr,
				 u64 len, u32 access, struct sodp_seg *seg);
enum sodp_verdict sodp_key_remote(const struct sodp_user *user, u32 rkey,
				  u64 addr, u64 len, u32 access,
				  struct sodp_seg *seg);
enum sodp_verdict sodp_key_invalidate(const struct sodp_user *user, u32 key,
				      bool remote);
void sodp_seg_put(struct sodp_seg *seg);

/* dm.c */
extern const struct uapi_definition sodp_dm_defs[];
struct ib_dm *sodp_dm_alloc(struct ib_device *ibdev,
			    struct ib_ucontext *ucontext,
			    struct ib_dm_alloc_attr *attr,
			    struct uverbs_attr_bundle *attrs);
int sodp_dm_dealloc(struct ib_dm *ibdm, struct uverbs_attr_bundle *attrs);
struct ib_mr *sodp_dm_reg_mr(struct ib_pd *pd, struct ib_dm *ibdm,
			     struct ib_dm_mr_attr *attr,
			     struct uverbs_attr_bundle *attrs);

/* dmabuf.c */
struct ib_mr *sodp_dmabuf_reg_mr(struct ib_pd *pd, u64 offset, u64 length,
				 u64 iova, int fd, int access);
void sodp_dmabuf_release(struct sodp_dmabuf *dmabuf);

/* mr.c */
struct ib_mr *sodp_mr_create(struct ib_pd *pd, const struct sodp_backing *b,
			     u64 iova, int access);
struct ib_mr *sodp_mr_reg_user(struct ib_pd *pd, u64 start, u64 length,
			       u64 iova, int access, struct ib_udata *udata);
struct ib_mr *sodp_mr_rereg_user(struct ib_mr *ibmr, int flags, u64 start,
				 u64 length, u64 iova, int access,
				 struct ib_pd *pd, struct ib_udata *udata);
int sodp_mr_dereg(struct ib_mr *ibmr, struct ib_udata *udata);
int sodp_mr_advise(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice,
		   u32 flags, struct ib_sge *sg_list, u32 num_sge,
		   struct uverbs_attr_bundle *attrs);

/* mw.c */
int sodp_mw_alloc(struct ib_mw *ibmw, struct ib_udata *udata);
int sodp_mw_dealloc(struct ib_mw *ibmw);
enum sodp_verdict sodp_mw_bind(const struct sodp_user *user,
			       const struct sodp_sqe *sqe);
enum sodp_verdict sodp_mw_invalidate(struct sodp_key *key,
				     const struct sodp_user *user, u32 rkey,
				     bool remote);

/* move.c */
void sodp_stop_hold(struct sodp_stop *stop, const struct sodp_seg *seg);
enum sodp_verdict sodp_move(struct sodp_cursor *dst, struct sodp_cursor *src,
			    u64 len, u64 need, u64 *done, u64 *budget,
			    struct sodp_stop *stop, bool dst_remote);

#endif /* SODP_MEM_H */
