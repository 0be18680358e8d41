/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Memory management API of the newest kernel over that of older ones. HAVE_*
 * come from the compile probes of kernel/compat.
 */
#ifndef SODP_COMPAT_MM_H
#define SODP_COMPAT_MM_H

#include <linux/shrinker.h>
#include <linux/slab.h>

#include "compat.h"

#ifndef HAVE_SHRINKER_ALLOC
static inline struct shrinker *shrinker_alloc(unsigned int flags,
					      const char *fmt, ...)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);

	if (shrinker) {
		shrinker->flags = flags;
		shrinker->seeks = DEFAULT_SEEKS;
	}
	return shrinker;
}

static inline void shrinker_register(struct shrinker *shrinker)
{
	/* One that found no memory is never called; there is no other harm */
	if (register_shrinker(shrinker, "sodp"))
		pr_warn("sodp: no memory for a shrinker\n");
}

static inline void shrinker_free(struct shrinker *shrinker)
{
	if (shrinker)
		unregister_shrinker(shrinker);
	kfree(shrinker);
}
#endif

/* What callbacks return that are asked whether a page is young */
#ifdef HAVE_MMU_YOUNG_BOOL
#define ODP_YOUNG bool
#else
#define ODP_YOUNG int
#endif

#endif /* SODP_COMPAT_MM_H */
