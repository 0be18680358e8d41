/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Verbs of the newest core over those of older ones. HAVE_* come from the
 * compile probes of kernel/compat.
 */
#ifndef SODP_COMPAT_RDMA_H
#define SODP_COMPAT_RDMA_H

#include <linux/hrtimer.h>
#include <rdma/ib_umem.h>
#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "compat.h"

/* Bits an older core does not define are 0: what depends on them drops out */
#ifdef HAVE_IB_FLUSH
#define SODP_ACCESS_FLUSH_GLOBAL	IB_ACCESS_FLUSH_GLOBAL
#define SODP_ACCESS_FLUSH_PERSISTENT	IB_ACCESS_FLUSH_PERSISTENT
#define SODP_DEVICE_FLUSH	(IB_DEVICE_FLUSH_GLOBAL | \
				 IB_DEVICE_ATOMIC_WRITE)
#else
#define SODP_ACCESS_FLUSH_GLOBAL	0
#define SODP_ACCESS_FLUSH_PERSISTENT	0
#define SODP_DEVICE_FLUSH		0
#endif
#define SODP_ACCESS_FLUSHABLE		SODP_ACCESS_FLUSH_GLOBAL
/* What an MR on any kind of memory may grant */
#define SODP_ACCESS_PLAIN	(IB_ACCESS_LOCAL_WRITE | \
				 IB_ACCESS_REMOTE_WRITE | \
				 IB_ACCESS_REMOTE_READ | \
				 IB_ACCESS_REMOTE_ATOMIC | \
				 IB_ACCESS_MW_BIND | \
				 SODP_ACCESS_FLUSHABLE | IB_ACCESS_OPTIONAL)

#ifdef HAVE_IB_ODP_FLUSH
#define SODP_ODP_CAPS_FLUSH	(IB_ODP_SUPPORT_FLUSH | \
				 IB_ODP_SUPPORT_ATOMIC_WRITE)
#else
#define SODP_ODP_CAPS_FLUSH	0
#endif

#ifndef HAVE_HRTIMER_SETUP
/* Drop when the oldest kernel is > 6.12 */
static inline void
hrtimer_setup(struct hrtimer *timer,
	      enum hrtimer_restart (*function)(struct hrtimer *),
	      clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

static inline struct ib_umem *sodp_umem_get(struct ib_device *ibdev,
					    unsigned long start, size_t length,
					    int access)
{
#ifdef HAVE_IB_UMEM_GET_VA
	return ib_umem_get_va(ibdev, start, length, access);
#else
	return ib_umem_get(ibdev, start, length, access);
#endif
}

#endif /* SODP_COMPAT_RDMA_H */
