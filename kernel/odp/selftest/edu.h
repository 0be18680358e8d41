/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * edu.h - what a program asks of /dev/odp_edu: see edu.c
 */
#ifndef ODP_EDU_H
#define ODP_EDU_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum odp_edu_flags {
	ODP_EDU_WRITABLE	= 1 << 0,
	ODP_EDU_IMPLICIT	= 1 << 1,
};

/**
 * struct odp_edu_region - register the caller's memory
 * @va: first byte
 * @len: bytes
 * @flags: enum odp_edu_flags
 * @id: (out) of the region; it goes by ODP_EDU_DESTROY, or with the file
 */
struct odp_edu_region {
	__u64 va;
	__u64 len;
	__u32 flags;
	__u32 id;
};

/**
 * struct odp_edu_copy - the device reads from one place and writes to another
 * @src_va: first byte
 * @dst_va: first byte
 * @len: bytes
 * @src: region
 * @dst: region
 * @reserved: 0
 */
struct odp_edu_copy {
	__u64 src_va;
	__u64 dst_va;
	__u32 len;
	__u32 src;
	__u32 dst;
	__u32 reserved;
};

/**
 * struct odp_edu_map - fault in ahead of use
 * @va: first byte
 * @len: bytes
 * @id: of the region
 * @write: for writing
 */
struct odp_edu_map {
	__u64 va;
	__u64 len;
	__u32 id;
	__u32 write;
};

/**
 * struct odp_edu_stats - what there is, and what was
 * @mapped_pages: of the region
 * @huge: entries of the device that stand for 2 MiB, now
 * @faults: of the region
 * @dmas: of the device, ever
 * @waits: for one of these, by who took its page away
 * @refusals: likewise, by who could not wait
 * @placed: entries given to the device, ever, whose address has the place in
 *	2 MiB that the page has
 * @elsewhere: other entries
 * @id: (in) of the region
 * @iommu: the device is behind one
 */
struct odp_edu_stats {
	__u64 mapped_pages;
	__u64 huge;
	__u64 faults;
	__u64 dmas;
	__u64 waits;
	__u64 refusals;
	__u64 placed;
	__u64 elsewhere;
	__u32 id;
	__u32 iommu;
};

#define ODP_EDU_REGION	_IOWR('E', 0, struct odp_edu_region)
#define ODP_EDU_DESTROY	_IOW('E', 1, __u32)
#define ODP_EDU_COPY	_IOW('E', 2, struct odp_edu_copy)
#define ODP_EDU_MAP	_IOW('E', 3, struct odp_edu_map)
#define ODP_EDU_STATS	_IOWR('E', 4, struct odp_edu_stats)
/* Bits of a DMA address, until the file is closed; only behind an IOMMU */
#define ODP_EDU_REACH	_IOW('E', 5, __u32)

#endif /* ODP_EDU_H */
