// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * main.c - odp_selftest.ko: runs the tests when loaded, prints TAP
 *
 * Loading fails with EBADMSG if a test failed.
 */

#include <linux/module.h>
#include <linux/string.h>

#include "selftest.h"

static char *only = "";
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "run only cases whose name contains this");
static bool stop;
module_param(stop, bool, 0444);
MODULE_PARM_DESC(stop, "end at the first case that fails");

struct odp_domain *st_domain;

static const struct st_case *const groups[] = {
	st_copy_cases, st_bytes_cases, st_entry_cases, st_event_cases,
	st_race_cases, st_fresh_cases, st_lifetime_cases, st_space_cases,
	st_nowait_cases, st_error_cases, st_device_cases, st_bench_cases,
};

static unsigned int count_cases(void)
{
	const struct st_case *c;
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (c = groups[i]; c->name; c++)
			n += !!strstr(c->name, only);
	return n;
}

static bool run_case(unsigned int number, const struct st_case *c)
{
	struct odp_stats stats;
	int ret;

	ret = c->run();
	/* The last region has taken its space along, perhaps a moment later */
	odp_spaces_wait();
	odp_domain_stats(st_domain, &stats);
	if (!ret && stats.mapped_pages) {
		pr_info("# %llu pages still counted as mapped\n",
			stats.mapped_pages);
		ret = -EBADMSG;
	}
	if (ret == ST_SKIP)
		pr_info("ok %u %s # SKIP not possible here\n", number, c->name);
	else if (ret)
		pr_info("not ok %u %s # %d\n", number, c->name, ret);
	else
		pr_info("ok %u %s\n", number, c->name);
	return !ret || ret == ST_SKIP;
}

static int __init selftest_init(void)
{
	unsigned int i, number = 0, failed = 0;
	const struct st_case *c;

	if (!current->mm)
		return -EINVAL;
	st_domain = odp_domain_create("selftest", NULL);
	if (IS_ERR(st_domain))
		return PTR_ERR(st_domain);
	if (st_event_init())
		pr_info("# no notifier events of our own\n");
	pr_info("1..%u\n", count_cases());
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		for (c = groups[i]; c->name; c++) {
			if (!strstr(c->name, only))
				continue;
			if (run_case(++number, c))
				continue;
			failed++;
			if (stop)
				goto out;
		}
	}
out:
	pr_info("# %u of %u failed\n", failed, number);
	odp_domain_destroy(st_domain);
	return failed ? -EBADMSG : 0;
}

static void __exit selftest_exit(void)
{
}

module_init(selftest_init);
module_exit(selftest_exit);
MODULE_DESCRIPTION("Self-tests of rdma_odp");
MODULE_LICENSE("Dual BSD/GPL");
