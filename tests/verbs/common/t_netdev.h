/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* t_netdev.h - the network device below, and what a port owes to it */
#ifndef T_NETDEV_H
#define T_NETDEV_H

#include <net/if.h>

#include "t_rdma.h"

/* The name of the network device of the device's GID */
void t_netdev(const struct t_dev *dev, char name[IF_NAMESIZE]);
/* MTU and state are what sysfs says of the netdev, which is all software */
void t_want_port(struct ibv_context *ctx, const char *netdev);
/* The GID of an IP address */
union ibv_gid t_gid_of(const char *text);

#define t_want_port(...) (t_at(__func__, __LINE__), t_want_port(__VA_ARGS__))

#endif /* T_NETDEV_H */
