/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * compat.h - what older kernels lack
 *
 * The code is written to the newest kernel's API; this supplies it elsewhere,
 * as static inline functions, never as macros that rewrite calls. What a
 * kernel has is found by compiling compat/probes/NAME.c, which sets HAVE_NAME:
 * to add a probe, add that file. compat_rdma.h does the same for the RDMA API.
 */
#ifndef SODP_COMPAT_H
#define SODP_COMPAT_H

#include <linux/pgtable.h>
#include <linux/types.h>

#include "compat_config.h"

/* Not in any uapi header; guest memory of KVM, since 6.8 */
#define SODP_GUEST_MEMFD_MAGIC	0x474d454d

#ifndef HAVE_PMDP_GET_LOCKLESS
/* Drop when the oldest kernel is > 6.1 */
static inline pmd_t pmdp_get_lockless(pmd_t *pmdp)
{
	return READ_ONCE(*pmdp);
}
#endif

#endif /* SODP_COMPAT_H */
