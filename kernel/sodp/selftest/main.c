// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * main.c - sodp_kverbs_test.ko: runs the tests when loaded, prints TAP
 *
 * Loading fails with EBADMSG if a test failed, with ENODEV if there is no
 * device of that name.
 */
#include <linux/module.h>
#include <linux/string.h>

#include "kt.h"

static char *device = "sodp0";
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "RDMA device to test");

static char *only = "";
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "run only cases whose name contains this");

static const struct kt_case *const groups[] = {
	kt_data_cases, kt_fastreg_cases, kt_queue_cases,
};

static bool found;
static unsigned int failed;

static unsigned int count_cases(void)
{
	const struct kt_case *c;
	unsigned int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (c = groups[i]; c->name; c++)
			n += !!strstr(c->name, only);
	return n;
}

static void run_all(struct ib_device *dev)
{
	unsigned int i, number = 0;
	const struct kt_case *c;
	int ret;

	pr_info("1..%u\n", count_cases());
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		for (c = groups[i]; c->name; c++) {
			if (!strstr(c->name, only))
				continue;
			ret = c->run(dev);
			if (ret)
				pr_info("not ok %u %s # %d\n", ++number,
					c->name, ret);
			else
				pr_info("ok %u %s\n", ++number, c->name);
			failed += !!ret;
		}
	}
	pr_info("# %u of %u failed\n", failed, number);
}

static int kt_add(struct ib_device *dev)
{
	if (strcmp(dev_name(&dev->dev), device))
		return -EOPNOTSUPP;
	found = true;
	run_all(dev);
	return 0;
}

static void kt_remove(struct ib_device *dev, void *data)
{
}

static struct ib_client kt_client = {
	.name = "sodp_kverbs_test",
	.add = kt_add,
	.remove = kt_remove,
};

static int __init kt_init(void)
{
	int ret = ib_register_client(&kt_client);

	if (ret)
		return ret;
	ib_unregister_client(&kt_client);
	if (!found)
		return -ENODEV;
	return failed ? -EBADMSG : 0;
}

static void __exit kt_exit(void)
{
}

module_init(kt_init);
module_exit(kt_exit);
MODULE_DESCRIPTION("Self-tests of kernel verbs on sodp");
MODULE_LICENSE("Dual BSD/GPL");
