// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <linux/mmu_notifier.h>
bool f(struct mmu_notifier *n, struct mm_struct *mm, unsigned long va);
bool f(struct mmu_notifier *n, struct mm_struct *mm, unsigned long va)
{
	return true;
}

const struct mmu_notifier_ops ops = {
	.test_young = f,
};
