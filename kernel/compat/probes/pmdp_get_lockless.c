// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <linux/mm.h>
#include <linux/pgtable.h>
pmd_t probe(pmd_t *pmd);
pmd_t probe(pmd_t *pmd) { return pmdp_get_lockless(pmd); }
