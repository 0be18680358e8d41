// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The generic netlink family of sodp.ko: its devices and their fault models.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <rdma/sodp-nl.h>

#include "sodpctl.h"

/**
 * ctl_family_open() - open a socket to sodp.ko
 * @sock: closed by ctl_sock_close() whatever is returned
 *
 * Return: 0 or -errno; sock->why says what to do about it.
 */
int ctl_family_open(struct ctl_sock *sock)
{
	int ret = ctl_sock_open(sock, NETLINK_GENERIC);

	if (ret)
		return ret;
	sock->family = genl_ctrl_resolve(sock->sk, SODP_NL_NAME);
	if (sock->family >= 0)
		return 0;
	snprintf(sock->why, sizeof(sock->why),
		 "no sodp.ko: is it installed for this kernel?");
	return -ENOENT;
}

static struct nl_msg *family_msg(struct ctl_sock *sock, int cmd,
				 const char *name)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg)
		return NULL;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, sock->family, 0,
			 name ? 0 : NLM_F_DUMP, cmd, SODP_NL_VERSION) ||
	    (name && nla_put_string(msg, SODP_NL_ATTR_NAME, name))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static uint32_t family_u32(struct nlattr **tb, int type)
{
	return tb[type] ? nla_get_u32(tb[type]) : 0;
}

static int family_on_dev(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[SODP_NL_ATTR_MAX + 1] = {};
	struct ctl_devs *devs = arg;
	struct ctl_dev *dev;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, SODP_NL_ATTR_MAX, NULL) ||
	    !tb[SODP_NL_ATTR_NAME])
		return NL_SKIP;
	dev = realloc(devs->dev, (devs->num + 1) * sizeof(*dev));
	if (!dev)
		return -NLE_NOMEM;
	devs->dev = dev;
	dev += devs->num++;
	memset(dev, 0, sizeof(*dev));
	snprintf(dev->name, sizeof(dev->name), "%s",
		 nla_get_string(tb[SODP_NL_ATTR_NAME]));
	if (tb[SODP_NL_ATTR_VERSION])
		snprintf(dev->version, sizeof(dev->version), "%s",
			 nla_get_string(tb[SODP_NL_ATTR_VERSION]));
	dev->ifindex = family_u32(tb, SODP_NL_ATTR_NETDEV);
	dev->model.fixed_ns = family_u32(tb, SODP_NL_ATTR_FAULT_FIXED_NS);
	dev->model.page_ns = family_u32(tb, SODP_NL_ATTR_FAULT_PAGE_NS);
	dev->model.jitter_ns = family_u32(tb, SODP_NL_ATTR_FAULT_JITTER_NS);
	return NL_OK;
}

/**
 * ctl_family_get() - ask for devices of this network namespace
 * @sock: of ctl_family_open()
 * @name: the one, NULL for all
 * @devs: is filled, freed by ctl_devs_free() whatever is returned
 *
 * Return: 0 or -errno.
 */
int ctl_family_get(struct ctl_sock *sock, const char *name,
		   struct ctl_devs *devs)
{
	struct nl_msg *msg = family_msg(sock, SODP_NL_CMD_GET, name);
	int ret;

	devs->dev = NULL;
	devs->num = 0;
	if (!msg)
		return -ENOMEM;
	ret = ctl_sock_talk(sock, msg, family_on_dev, devs);
	if (!ret && name && devs->num != 1)
		ret = -EPROTO;
	return ret;
}

void ctl_devs_free(struct ctl_devs *devs)
{
	free(devs->dev);
	devs->dev = NULL;
	devs->num = 0;
}

/**
 * ctl_family_set() - change a device's fault model
 * @sock: of ctl_family_open()
 * @name: of the device
 * @model: new values
 * @which: bits 1 << SODP_NL_ATTR_FAULT_* of the values to change
 *
 * Return: 0 or -errno.
 */
int ctl_family_set(struct ctl_sock *sock, const char *name,
		   const struct ctl_model *model, unsigned int which)
{
	const struct {
		int type;
		uint32_t value;
	} values[] = {
		{ SODP_NL_ATTR_FAULT_FIXED_NS, model->fixed_ns },
		{ SODP_NL_ATTR_FAULT_PAGE_NS, model->page_ns },
		{ SODP_NL_ATTR_FAULT_JITTER_NS, model->jitter_ns },
	};
	struct nl_msg *msg = family_msg(sock, SODP_NL_CMD_SET, name);
	size_t i;

	if (!msg)
		return -ENOMEM;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (which & 1u << values[i].type &&
		    nla_put_u32(msg, values[i].type, values[i].value)) {
			nlmsg_free(msg);
			return -EMSGSIZE;
		}
	}
	return ctl_sock_talk(sock, msg, NULL, NULL);
}
