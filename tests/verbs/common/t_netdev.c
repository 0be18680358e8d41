// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* The network device below, and what a port owes to it */

#include <arpa/inet.h>
#include <stdlib.h>

#include "t_netdev.h"

#define PHYS_POLLING 2
#define PHYS_DISABLED 3
#define PHYS_LINK_UP 5
/* IPv6 (as a GRH), UDP, BTH, XRCETH, AtomicETH, ICRC: what a packet has most */
#define HEADERS (40 + 8 + 12 + 4 + 28 + 4)

void t_netdev(const struct t_dev *dev, char name[IF_NAMESIZE])
{
	struct ibv_gid_entry entry;

	T_OK(ibv_query_gid_ex(dev->ctx, T_PORT, dev->gid_index, &entry, 0));
	T_ASSERT(if_indextoname(entry.ndev_ifindex, name), "interface %u",
		 entry.ndev_ifindex);
}

/* Returns -1 for what cannot be read, as the speed of a dummy */
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

/* As ib_core has it: IBTA's speeds for Ethernet's, 1 Gb/s when unknown */
static void port_speed(long speed, uint8_t *active, uint8_t *width)
{
	enum { X1 = 1, X4 = 2 };
	enum { SDR = 1, DDR = 2, FDR10 = 8, EDR = 32 };

	*width = speed <= 10000 || speed == 25000 ? X1 : X4;
	*active = speed <= 1000 ? SDR :
		  speed <= 10000 ? FDR10 :
		  speed <= 20000 ? DDR :
		  speed <= 25000 ? EDR :
		  speed <= 40000 ? FDR10 : EDR;
}

void (t_want_port)(struct ibv_context *ctx, const char *netdev)
{
	long mtu = netdev_value(netdev, "mtu");
	bool running = netdev_value(netdev, "flags") & IFF_UP;
	bool up = running && netdev_value(netdev, "carrier") == 1;
	uint8_t phys = up      ? PHYS_LINK_UP :
		       running ? PHYS_POLLING : PHYS_DISABLED;
	struct ibv_port_attr attr;
	uint8_t speed, width;

	T_OK(ibv_query_port(ctx, T_PORT, &attr));
	T_ASSERT(attr.active_mtu == path_mtu(mtu), "MTU %d, %s has %ld",
		 128 << attr.active_mtu, netdev, mtu);
	T_ASSERT(attr.state == (up ? IBV_PORT_ACTIVE : IBV_PORT_DOWN) &&
			 attr.phys_state == phys,
		 "state %d phys_state %d, %s is %s", attr.state,
		 attr.phys_state, netdev, up ? "up" : "down");
	/* sysfs tells it of those that are up only */
	if (!running)
		return;
	port_speed(netdev_value(netdev, "speed"), &speed, &width);
	T_ASSERT(attr.active_speed == speed && attr.active_width == width,
		 "speed %d width %d, want %d and %d", attr.active_speed,
		 attr.active_width, speed, width);
}

union ibv_gid t_gid_of(const char *text)
{
	union ibv_gid gid = { .raw = { [10] = 0xff, [11] = 0xff } };

	if (inet_pton(AF_INET, text, gid.raw + 12) != 1)
		T_ASSERT(inet_pton(AF_INET6, text, gid.raw) == 1, "%s", text);
	return gid;
}
