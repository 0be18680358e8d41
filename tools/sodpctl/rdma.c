// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * RDMA netlink: links are added and deleted by it, and it has the state and
 * the counters of the port.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <rdma/rdma_netlink.h>

#include "sodpctl.h"

#define RDMA_PORT	1	/* sodp devices have one */

struct rdma_find {
	const char *name;
	uint32_t index;
	bool found;
};

struct rdma_counters {
	struct ctl_counter *counter;
	size_t num;
};

static struct nl_msg *rdma_msg(int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !nlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ,
			      RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, cmd), 0,
			      flags)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* A request about a device, or about its port */
static struct nl_msg *rdma_dev_msg(int cmd, uint32_t index, bool port)
{
	struct nl_msg *msg = rdma_msg(cmd, 0);

	if (!msg)
		return NULL;
	if (nla_put_u32(msg, RDMA_NLDEV_ATTR_DEV_INDEX, index) ||
	    (port &&
	     nla_put_u32(msg, RDMA_NLDEV_ATTR_PORT_INDEX, RDMA_PORT))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int rdma_on_device(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[RDMA_NLDEV_ATTR_MAX] = {};
	struct rdma_find *find = arg;

	if (nlmsg_parse(nlmsg_hdr(msg), 0, tb, RDMA_NLDEV_ATTR_MAX - 1,
			NULL) ||
	    !tb[RDMA_NLDEV_ATTR_DEV_NAME] || !tb[RDMA_NLDEV_ATTR_DEV_INDEX])
		return NL_SKIP;
	if (strcmp(nla_get_string(tb[RDMA_NLDEV_ATTR_DEV_NAME]), find->name))
		return NL_OK;
	find->index = nla_get_u32(tb[RDMA_NLDEV_ATTR_DEV_INDEX]);
	find->found = true;
	return NL_OK;
}

/**
 * ctl_rdma_find() - the index of a device, which a name is reused without
 * @sock: of NETLINK_RDMA
 * @name: of the device
 * @index: is set
 *
 * Return: 0, -ENODEV when there is none of this name, or another -errno.
 */
int ctl_rdma_find(struct ctl_sock *sock, const char *name, uint32_t *index)
{
	struct rdma_find find = { .name = name };
	struct nl_msg *msg = rdma_msg(RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	int ret;

	if (!msg)
		return -ENOMEM;
	ret = ctl_sock_talk(sock, msg, rdma_on_device, &find);
	if (!ret && !find.found)
		ret = -ENODEV;
	*index = find.index;
	return ret;
}

int ctl_rdma_add(struct ctl_sock *sock, const char *name, const char *netdev)
{
	struct nl_msg *msg = rdma_msg(RDMA_NLDEV_CMD_NEWLINK, 0);

	if (!msg)
		return -ENOMEM;
	if (nla_put_string(msg, RDMA_NLDEV_ATTR_DEV_NAME, name) ||
	    nla_put_string(msg, RDMA_NLDEV_ATTR_LINK_TYPE, "sodp") ||
	    nla_put_string(msg, RDMA_NLDEV_ATTR_NDEV_NAME, netdev)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	return ctl_sock_talk(sock, msg, NULL, NULL);
}

int ctl_rdma_delete(struct ctl_sock *sock, uint32_t index)
{
	struct nl_msg *msg =
		rdma_dev_msg(RDMA_NLDEV_CMD_DELLINK, index, false);

	if (!msg)
		return -ENOMEM;
	return ctl_sock_talk(sock, msg, NULL, NULL);
}

static int rdma_on_port(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[RDMA_NLDEV_ATTR_MAX] = {};
	uint8_t *state = arg;

	if (!nlmsg_parse(nlmsg_hdr(msg), 0, tb, RDMA_NLDEV_ATTR_MAX - 1,
			 NULL) &&
	    tb[RDMA_NLDEV_ATTR_PORT_STATE])
		*state = nla_get_u8(tb[RDMA_NLDEV_ATTR_PORT_STATE]);
	return NL_OK;
}

/**
 * ctl_rdma_state() - the state of a device's port
 * @sock: of NETLINK_RDMA
 * @index: of the device
 * @state: is set: an ib_port_state, 0 when the kernel does not tell
 *
 * Return: 0 or -errno.
 */
int ctl_rdma_state(struct ctl_sock *sock, uint32_t index, uint8_t *state)
{
	struct nl_msg *msg =
		rdma_dev_msg(RDMA_NLDEV_CMD_PORT_GET, index, true);

	if (!msg)
		return -ENOMEM;
	*state = 0;
	return ctl_sock_talk(sock, msg, rdma_on_port, state);
}

static void rdma_take_counter(struct rdma_counters *out, const char *name,
			      uint64_t value)
{
	size_t i;

	for (i = 0; i < out->num; i++) {
		if (strcmp(out->counter[i].name, name))
			continue;
		out->counter[i].value = value;
		out->counter[i].found = true;
		return;
	}
}

static int rdma_on_counters(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[RDMA_NLDEV_ATTR_MAX] = {};
	struct nlattr *entry, *name, *value;
	int rest;

	if (nlmsg_parse(nlmsg_hdr(msg), 0, tb, RDMA_NLDEV_ATTR_MAX - 1,
			NULL) ||
	    !tb[RDMA_NLDEV_ATTR_STAT_HWCOUNTERS])
		return NL_SKIP;
	nla_for_each_nested(entry, tb[RDMA_NLDEV_ATTR_STAT_HWCOUNTERS],
			    rest) {
		name = nla_find(nla_data(entry), nla_len(entry),
				RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_NAME);
		value = nla_find(nla_data(entry), nla_len(entry),
				 RDMA_NLDEV_ATTR_STAT_HWCOUNTER_ENTRY_VALUE);
		if (name && value)
			rdma_take_counter(arg, nla_get_string(name),
					  nla_get_u64(value));
	}
	return NL_OK;
}

/**
 * ctl_rdma_counters() - read counters of a device's port
 * @sock: of NETLINK_RDMA
 * @index: of the device
 * @counters: have names, get values; those that the kernel has not: 0
 * @num: how many
 *
 * Return: 0 or -errno.
 */
int ctl_rdma_counters(struct ctl_sock *sock, uint32_t index,
		      struct ctl_counter *counters, size_t num)
{
	struct rdma_counters out = { .counter = counters, .num = num };
	struct nl_msg *msg =
		rdma_dev_msg(RDMA_NLDEV_CMD_STAT_GET, index, true);
	size_t i;

	if (!msg)
		return -ENOMEM;
	for (i = 0; i < num; i++) {
		counters[i].value = 0;
		counters[i].found = false;
	}
	return ctl_sock_talk(sock, msg, rdma_on_counters, &out);
}
