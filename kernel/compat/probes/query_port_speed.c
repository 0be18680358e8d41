// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
int f(struct ib_device *d, u32 port, u64 *speed);
int f(struct ib_device *d, u32 port, u64 *speed)
{
	struct ib_port_attr attr;
	struct ib_port_speed_info info;

	return ib_query_port(d, port, &attr) ? : ib_port_attr_to_speed_info(&attr, &info);
}
struct ib_device_ops probe = { .query_port_speed = f };
