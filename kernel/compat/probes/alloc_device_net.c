// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#include <rdma/ib_verbs.h>
struct d {
	struct ib_device base;
};
struct d *f(struct net *net);
struct d *f(struct net *net)
{
	return ib_alloc_device_with_net(d, base, net);
}
