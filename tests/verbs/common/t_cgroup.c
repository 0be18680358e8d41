// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* A control group of one's own */

#include <stdlib.h>
#include <unistd.h>

#include "t_owner.h"

#define ROOT "/sys/fs/cgroup"

static void cgroup_path(char path[2 * T_CGROUP_PATH], const char *folder,
			const char *file)
{
	snprintf(path, 2 * T_CGROUP_PATH, "%s/%s", folder, file);
}

void t_cgroup_enter(char folder[T_CGROUP_PATH], const char *controller)
{
	char text[32];

	snprintf(folder, T_CGROUP_PATH, ROOT "/sodp-test-%d", getpid());
	snprintf(text, sizeof(text), "+%s", controller);
	if (t_write_file(ROOT "/cgroup.subtree_control", text) ||
	    t_system("mkdir %s", folder))
		t_skip("no %s cgroup", controller);
	t_cgroup_set(folder, "cgroup.procs", getpid());
}

void t_cgroup_set(const char *folder, const char *file, unsigned long value)
{
	char path[2 * T_CGROUP_PATH], text[32];
	int ret;

	cgroup_path(path, folder, file);
	snprintf(text, sizeof(text), "%lu", value);
	ret = t_write_file(path, text);
	T_ASSERT(!ret, "%s: %s", path, t_errname(ret));
}

unsigned long t_cgroup_get(const char *folder, const char *file)
{
	char path[2 * T_CGROUP_PATH], text[32];

	cgroup_path(path, folder, file);
	T_ASSERT(t_read_file(path, text, sizeof(text)), "%s", path);
	return strtoul(text, NULL, 10);
}
