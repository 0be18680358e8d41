// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* What the device says of its port, and what it says no to */

#include <net/if.h>

#include "common/t_duo.h"

static void port(void)
{
	struct ibv_port_attr attr;
	struct t_dev dev;

	t_open(&dev);
	memset(&attr, 0xff, sizeof(attr));
	T_OK(ibv_query_port(dev.ctx, T_PORT, &attr));
	T_ASSERT(attr.state == IBV_PORT_ACTIVE && attr.phys_state == 5,
		 "state %d phys_state %d", attr.state, attr.phys_state);
	T_ASSERT(attr.link_layer == IBV_LINK_LAYER_ETHERNET,
		 "link_layer %d", attr.link_layer);
	T_ASSERT(attr.max_mtu == IBV_MTU_4096 &&
			 attr.active_mtu >= IBV_MTU_256 &&
			 attr.active_mtu <= attr.max_mtu,
		 "MTU %d of %d", attr.active_mtu, attr.max_mtu);
	T_ASSERT(attr.gid_tbl_len > 1 && attr.pkey_tbl_len == 1,
		 "gid_tbl_len %d pkey_tbl_len %d", attr.gid_tbl_len,
		 attr.pkey_tbl_len);
	T_ASSERT(attr.max_msg_sz >= 1u << 30, "max_msg_sz %u",
		 attr.max_msg_sz);
	T_ASSERT(attr.flags & IBV_QPF_GRH_REQUIRED, "flags %#x", attr.flags);
	T_ASSERT(attr.active_speed && attr.active_width, "speed %d width %d",
		 attr.active_speed, attr.active_width);
	/* Of InfiniBand */
	T_ASSERT(!attr.lid && !attr.sm_lid && !attr.lmc && !attr.sm_sl &&
			 !attr.subnet_timeout && !attr.init_type_reply,
		 "lid %u sm_lid %u lmc %u", attr.lid, attr.sm_lid, attr.lmc);
	T_ERR(ibv_query_port(dev.ctx, 0, &attr), EINVAL);
	T_ERR(ibv_query_port(dev.ctx, 2, &attr), EINVAL);
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
	{ "pkeys", pkeys },
	{ "rate_limit", rate_limit },
	{ "no_ece", no_ece },
	{ "no_such_qp", no_such_qp },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
