// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The network device below, and what a port owes to it */

#include <arpa/inet.h>
#include <stdlib.h>

#include "t_netdev.h"

#define PHYS_POLLING 2
#define PHYS_DISABLED 3
#define PHYS_LINK_UP 5
/* 100 Gb/s, as IBTA has it */
#define SPEED_EDR 32
#define WIDTH_4X 2
/* IPv6 (as a GRH), UDP, BTH, XRCETH, AtomicETH, ICRC: what a packet has most */
#define HEADERS (40 + 8 + 12 + 4 + 28 + 4)

void t_netdev(const struct t_dev *dev, char name[IF_NAMESIZE])
{
	struct ibv_gid_entry entry;

	T_OK(ibv_query_gid_ex(dev->ctx, T_PORT, dev->gid_index, &entry, 0));
	T_ASSERT(if_indextoname(entry.ndev_ifindex, name), "interface %u",
		 entry.ndev_ifindex);
}

/* Returns -1 for what cannot be read, as the carrier of one that is down */
static long netdev_value(const char *netdev, const char *file)
{
	char path[128];
	char text[64];

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", netdev, file);
	return t_read_file(path, text, sizeof(text)) ? strtol(text, NULL, 0) :
						       -1;
}

static enum ibv_mtu path_mtu(long mtu)
{
	enum ibv_mtu found = IBV_MTU_256;

	while (found < IBV_MTU_4096 && (256 << found) + HEADERS <= mtu)
		found++;
	return found;
}

void (t_want_port)(struct ibv_context *ctx, const char *netdev)
{
	long mtu = netdev_value(netdev, "mtu");
	bool running = netdev_value(netdev, "flags") & IFF_UP;
	bool up = running && netdev_value(netdev, "carrier") == 1;
	uint8_t phys = up      ? PHYS_LINK_UP :
		       running ? PHYS_POLLING : PHYS_DISABLED;
	struct ibv_port_attr attr;

	T_OK(ibv_query_port(ctx, T_PORT, &attr));
	T_ASSERT(attr.active_mtu == path_mtu(mtu), "MTU %d, %s has %ld",
		 128 << attr.active_mtu, netdev, mtu);
	T_ASSERT(attr.state == (up ? IBV_PORT_ACTIVE : IBV_PORT_DOWN) &&
			 attr.phys_state == phys,
		 "state %d phys_state %d, %s is %s", attr.state,
		 attr.phys_state, netdev, up ? "up" : "down");
	/* Of netdevs without hardware, and with that no speed is known */
	T_ASSERT(attr.active_speed == SPEED_EDR &&
			 attr.active_width == WIDTH_4X,
		 "speed %d width %d", attr.active_speed, attr.active_width);
}

union ibv_gid t_gid_of(const char *text)
{
	union ibv_gid gid = { .raw = { [10] = 0xff, [11] = 0xff } };

	if (inet_pton(AF_INET, text, gid.raw + 12) != 1)
		T_ASSERT(inet_pton(AF_INET6, text, gid.raw) == 1, "%s", text);
	return gid;
}
