/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * expect.h - how cases of sodp's in-kernel tests fail; include it first
 */
#ifndef SODP_SELFTEST_EXPECT_H
#define SODP_SELFTEST_EXPECT_H

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/printk.h>

/* A failed expectation ends the case */
#define KT_EXPECT(cond)							\
	do {								\
		if (!(cond)) {						\
			pr_info("# %s:%d: %s\n", __func__, __LINE__,	\
				#cond);					\
			return -EBADMSG;				\
		}							\
	} while (0)

#endif /* SODP_SELFTEST_EXPECT_H */
