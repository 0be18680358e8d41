// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What the device says of its port, and what it says no to */

#include <netinet/in.h>
#include <ifaddrs.h>

#include "common/t_duo.h"
#include "common/t_netdev.h"

static void port(void)
{
	struct ibv_port_attr attr;
	char netdev[IF_NAMESIZE];
	struct t_dev dev;

	t_open(&dev);
	t_netdev(&dev, netdev);
	memset(&attr, 0xff, sizeof(attr));
	T_OK(ibv_query_port(dev.ctx, T_PORT, &attr));
	T_ASSERT(attr.state == IBV_PORT_ACTIVE, "state %d", attr.state);
	t_want_port(dev.ctx, netdev);
	T_ASSERT(attr.link_layer == IBV_LINK_LAYER_ETHERNET,
		 "link_layer %d", attr.link_layer);
	T_ASSERT(attr.max_mtu == IBV_MTU_4096, "max_mtu %d", attr.max_mtu);
	T_ASSERT(attr.gid_tbl_len > 1 && attr.pkey_tbl_len == 1,
		 "gid_tbl_len %d pkey_tbl_len %d", attr.gid_tbl_len,
		 attr.pkey_tbl_len);
	T_ASSERT(attr.max_msg_sz == 1u << 31, "max_msg_sz %u",
		 attr.max_msg_sz);
	T_ASSERT(attr.flags & IBV_QPF_GRH_REQUIRED, "flags %#x", attr.flags);
	/* Of InfiniBand */
	T_ASSERT(!attr.lid && !attr.sm_lid && !attr.lmc && !attr.sm_sl &&
			 !attr.subnet_timeout && !attr.init_type_reply,
		 "lid %u sm_lid %u lmc %u", attr.lid, attr.sm_lid, attr.lmc);
	/* 4.096 us * 2^n: rdma_cm adds it to the peer's timeout */
	T_ASSERT(dev.attr.orig_attr.local_ca_ack_delay >= 10,
		 "local_ca_ack_delay %u",
		 dev.attr.orig_attr.local_ca_ack_delay);
	T_ERR(ibv_query_port(dev.ctx, 0, &attr), EINVAL);
	T_ERR(ibv_query_port(dev.ctx, 2, &attr), EINVAL);
}

/* The GID of an address; false: it is none of IP */
static bool gid_of(const struct sockaddr *sa, union ibv_gid *gid)
{
	memset(gid, 0, sizeof(*gid));
	if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return false;
	if (sa->sa_family == AF_INET6) {
		memcpy(gid->raw, &((struct sockaddr_in6 *)sa)->sin6_addr, 16);
		return true;
	}
	gid->raw[10] = 0xff;
	gid->raw[11] = 0xff;
	memcpy(gid->raw + 12, &((struct sockaddr_in *)sa)->sin_addr, 4);
	return true;
}

/* Link-local and made of the MAC: a GID without an address */
static bool is_default(const union ibv_gid *gid)
{
	return gid->raw[0] == 0xfe && gid->raw[1] == 0x80;
}

/* As many GIDs as the netdev has addresses, and for each of them one */
static void gids_are_addresses(void)
{
	struct ibv_gid_entry table[256];
	struct ifaddrs *all, *ifa;
	char netdev[IF_NAMESIZE];
	unsigned int extra = 0;
	union ibv_gid gid;
	struct t_dev dev;
	ssize_t nr, i;

	t_open(&dev);
	t_netdev(&dev, netdev);
	nr = ibv_query_gid_table(dev.ctx, table, T_ARRAY_SIZE(table), 0);
	T_ASSERT(nr > 0, "ibv_query_gid_table: %zd", nr);
	T_ASSERT(!getifaddrs(&all), "getifaddrs");
	for (ifa = all; ifa; ifa = ifa->ifa_next) {
		if (strcmp(ifa->ifa_name, netdev) ||
		    !gid_of(ifa->ifa_addr, &gid))
			continue;
		for (i = 0; i < nr; i++)
			if (!memcmp(&table[i].gid, &gid, sizeof(gid)))
				break;
		T_ASSERT(i < nr, "no GID for an address of %s (family %d)",
			 netdev, ifa->ifa_addr->sa_family);
		table[i] = table[--nr];
	}
	for (i = 0; i < nr; i++)
		extra += !is_default(&table[i].gid);
	T_ASSERT(!extra, "%u GIDs are addresses of nobody", extra);
	freeifaddrs(all);
}

static void gids(void)
{
	struct ibv_gid_entry entry, table[256];
	struct t_dev dev;
	union ibv_gid gid;
	ssize_t nr, i;
	char name[IF_NAMESIZE];

	t_open(&dev);
	nr = ibv_query_gid_table(dev.ctx, table, T_ARRAY_SIZE(table), 0);
	T_ASSERT(nr > 0, "ibv_query_gid_table: %zd", nr);
	for (i = 0; i < nr; i++) {
		t_case("GID %u", table[i].gid_index);
		T_OK(ibv_query_gid(dev.ctx, T_PORT, table[i].gid_index, &gid));
		T_ASSERT(!memcmp(&gid, &table[i].gid, sizeof(gid)),
			 "another by itself");
		T_OK(ibv_query_gid_ex(dev.ctx, T_PORT, table[i].gid_index,
				      &entry, 0));
		T_ASSERT(!memcmp(&gid, &entry.gid, sizeof(gid)) &&
				 entry.gid_type == IBV_GID_TYPE_ROCE_V2 &&
				 entry.port_num == T_PORT,
			 "type %u port %u", entry.gid_type, entry.port_num);
		T_ASSERT(if_indextoname(entry.ndev_ifindex, name),
			 "interface %u", entry.ndev_ifindex);
	}
	T_ASSERT(ibv_query_gid(dev.ctx, T_PORT, dev.port.gid_tbl_len, &gid),
		 "a GID beyond the table");
	T_ASSERT(ibv_query_gid_ex(dev.ctx, T_PORT, dev.port.gid_tbl_len,
				  &entry, 0), "a GID beyond the table");
	T_ASSERT(ibv_query_gid_ex(dev.ctx, 2, 0, &entry, 0), "port 2");
}

static void pkeys(void)
{
	struct t_dev dev;
	__be16 pkey;

	t_open(&dev);
	T_OK(ibv_query_pkey(dev.ctx, T_PORT, 0, &pkey));
	T_ASSERT(be16toh(pkey) == 0xffff, "P_Key %#x", be16toh(pkey));
	T_ASSERT(ibv_query_pkey(dev.ctx, T_PORT, 1, &pkey), "a second P_Key");
}

/* Refused as a whole: nothing of the call is done */
static void rate_limit(void)
{
	struct ibv_qp_rate_limit_attr limit = { .rate_limit = 1000 };
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.rate_limit = 1000,
	};
	struct t_duo d;

	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	T_ASSERT(!d.dev.attr.packet_pacing_caps.supported_qpts &&
			 !d.dev.attr.packet_pacing_caps.qp_rate_limit_max,
		 "packet pacing is claimed");
	T_ERR(ibv_modify_qp(d.a.qp, &attr, IBV_QP_STATE | IBV_QP_RATE_LIMIT),
	      EOPNOTSUPP);
	T_ERR(ibv_modify_qp_rate_limit(d.a.qp, &limit), EOPNOTSUPP);
	T_ASSERT(t_ep_state(&d.a) == IBV_QPS_RTS, "left RTS");
	t_duo_works(&d);
}

static void no_ece(void)
{
	struct ibv_ece ece;
	struct t_duo d;

	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	memset(&ece, 0xff, sizeof(ece));
	T_ERR(ibv_query_ece(d.a.qp, &ece), EOPNOTSUPP);
	memset(&ece, 0, sizeof(ece));
	ece.options = 1;
	T_ERR(ibv_set_ece(d.a.qp, &ece), EOPNOTSUPP);
	t_duo_works(&d);
}

/* Features that sodp(7) says are not there, and nothing is the worse for it */
static void not_there(void)
{
	struct ibv_counters_init_attr counters = { 0 };
	struct ibv_cq_init_attr_ex cq = {
		.cqe = 1,
		.comp_mask = IBV_CQ_INIT_ATTR_MASK_FLAGS,
		.flags = IBV_CREATE_CQ_ATTR_IGNORE_OVERRUN,
	};
	struct ibv_qp_attr attr = { .alt_port_num = T_PORT };
	struct t_duo d;

	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	T_NULL_ERRNO(ibv_create_cq_ex(d.dev.ctx, &cq), EOPNOTSUPP);
	T_NULL_ERRNO(ibv_create_counters(d.dev.ctx, &counters), EOPNOTSUPP);
	t_case("alternate path");
	attr.alt_ah_attr.is_global = 1;
	attr.alt_ah_attr.port_num = T_PORT;
	attr.alt_ah_attr.grh.sgid_index = d.dev.gid_index;
	attr.alt_ah_attr.grh.dgid = d.dev.gid;
	attr.path_mig_state = IBV_MIG_REARM;
	T_ERR(ibv_modify_qp(d.a.qp, &attr,
			    IBV_QP_ALT_PATH | IBV_QP_PATH_MIG_STATE),
	      EINVAL);
	t_case("order");
	/* Of the last bytes alone, which is less than any of its promises */
	T_ASSERT(!ibv_query_qp_data_in_order(d.a.qp, IBV_WR_RDMA_WRITE, 0) &&
			 !ibv_query_qp_data_in_order(d.a.qp, IBV_WR_SEND, 0),
		 "data in order are promised");
	t_duo_works(&d);
}

/* Types and flags of other transports */
static void no_such_qp(void)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RAW_PACKET,
						  IBV_QPT_DRIVER };
	struct ibv_qp_init_attr_ex init = { 0 };
	struct t_duo d;
	unsigned int i;

	t_duo_open(&d, T_PAGE, T_PINNED, NULL);
	init.send_cq = d.a.scq;
	init.recv_cq = d.a.rcq;
	init.pd = d.dev.pd;
	init.cap = (struct ibv_qp_cap){ 1, 1, 1, 1, 0 };
	init.comp_mask = IBV_QP_INIT_ATTR_PD;
	for (i = 0; i < T_ARRAY_SIZE(types); i++) {
		t_case("type %d", types[i]);
		init.qp_type = types[i];
		T_NULL_ERRNO(ibv_create_qp_ex(d.dev.ctx, &init), EOPNOTSUPP);
	}
	t_case("create flag");
	init.qp_type = IBV_QPT_RC;
	init.comp_mask |= IBV_QP_INIT_ATTR_CREATE_FLAGS;
	init.create_flags = IBV_QP_CREATE_BLOCK_SELF_MCAST_LB;
	T_NULL_ERRNO(ibv_create_qp_ex(d.dev.ctx, &init), EOPNOTSUPP);
}

static const struct t_test tests[] = {
	{ "port", port },
	{ "gids", gids },
	{ "gids_are_addresses", gids_are_addresses },
	{ "pkeys", pkeys },
	{ "rate_limit", rate_limit },
	{ "no_ece", no_ece },
	{ "not_there", not_there },
	{ "no_such_qp", no_such_qp },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
