// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
void f(struct ib_device *d, struct net_device *n, unsigned long event);
void f(struct ib_device *d, struct net_device *n, unsigned long event)
{
}
struct ib_device_ops probe = { .report_port_event = f };
