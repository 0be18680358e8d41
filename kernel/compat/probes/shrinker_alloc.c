// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <linux/shrinker.h>
struct shrinker *probe(void);
struct shrinker *probe(void)
{ struct shrinker *s = shrinker_alloc(0, "x"); shrinker_register(s); return s; }
