// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Generic netlink family "sodp": what sodpctl shows and sets. The fault model
 * of a device is all that can be set; links come and go by RDMA netlink.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/genetlink.h>
#include <rdma/sodp-nl.h>

#include "verbs/verbs.h"

static struct genl_family nl_family;

/* Not const: 6.1 points to it from the policy by a plain pointer */
static struct netlink_range_validation nl_delay_range = {
	.max = SODP_NL_FAULT_MAX_NS,
};

static const struct nla_policy nl_policy[SODP_NL_ATTR_MAX + 1] = {
	[SODP_NL_ATTR_NAME] = {
		.type = NLA_NUL_STRING, .len = IB_DEVICE_NAME_MAX - 1 },
	[SODP_NL_ATTR_FAULT_FIXED_NS] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &nl_delay_range),
	[SODP_NL_ATTR_FAULT_PAGE_NS] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &nl_delay_range),
	[SODP_NL_ATTR_FAULT_JITTER_NS] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &nl_delay_range),
};

static int nl_put_dev(struct sk_buff *skb, struct sodp_dev *dev)
{
	struct odp_fault_model model;

	odp_domain_get_fault_model(dev->domain, &model);
	if (nla_put_string(skb, SODP_NL_ATTR_NAME,
			   dev_name(&dev->base_dev.dev)) ||
	    nla_put_u32(skb, SODP_NL_ATTR_NETDEV, dev->ndev->ifindex) ||
	    nla_put_string(skb, SODP_NL_ATTR_VERSION, SODP_VERSION) ||
	    nla_put_u32(skb, SODP_NL_ATTR_FAULT_FIXED_NS, model.fixed_ns) ||
	    nla_put_u32(skb, SODP_NL_ATTR_FAULT_PAGE_NS, model.per_page_ns) ||
	    nla_put_u32(skb, SODP_NL_ATTR_FAULT_JITTER_NS, model.jitter_ns))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_message(struct sk_buff *skb, struct sodp_dev *dev,
			  u32 portid, u32 seq, int flags)
{
	void *header = genlmsg_put(skb, portid, seq, &nl_family, flags,
				   SODP_NL_CMD_GET);

	if (!header)
		return -EMSGSIZE;
	if (nl_put_dev(skb, dev)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

static int nl_reply(struct sodp_dev *dev, struct genl_info *info)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	int ret;

	if (!skb)
		return -ENOMEM;
	ret = nl_put_message(skb, dev, info->snd_portid, info->snd_seq, 0);
	if (ret) {
		nlmsg_free(skb);
		return ret;
	}
	return genlmsg_reply(skb, info);
}

/* Change what the request names, keep the rest */
static int nl_set_model(struct sodp_dev *dev, struct genl_info *info)
{
	struct odp_fault_model model;
	struct nlattr **attrs = info->attrs;

	odp_domain_get_fault_model(dev->domain, &model);
	if (attrs[SODP_NL_ATTR_FAULT_FIXED_NS])
		model.fixed_ns =
			nla_get_u32(attrs[SODP_NL_ATTR_FAULT_FIXED_NS]);
	if (attrs[SODP_NL_ATTR_FAULT_PAGE_NS])
		model.per_page_ns =
			nla_get_u32(attrs[SODP_NL_ATTR_FAULT_PAGE_NS]);
	if (attrs[SODP_NL_ATTR_FAULT_JITTER_NS])
		model.jitter_ns =
			nla_get_u32(attrs[SODP_NL_ATTR_FAULT_JITTER_NS]);
	odp_domain_set_fault_model(dev->domain, &model);
	return 0;
}

static int nl_do(struct genl_info *info,
		 int (*run)(struct sodp_dev *dev, struct genl_info *info))
{
	struct sodp_dev *dev;
	int ret = -ENODEV;

	if (!info->attrs[SODP_NL_ATTR_NAME]) {
		NL_SET_ERR_MSG(info->extack, "no device named");
		return -EINVAL;
	}
	dev = sodp_devs_lock_find(genl_info_net(info),
				  nla_data(info->attrs[SODP_NL_ATTR_NAME]));
	if (dev)
		ret = run(dev, info);
	else
		NL_SET_ERR_MSG(info->extack, "no such sodp device");
	sodp_devs_unlock();
	return ret;
}

static int nl_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_do(info, nl_reply);
}

static int nl_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	return nl_do(info, nl_set_model);
}

/* cb->args[0]: id of the last device dumped; ids only grow */
static int nl_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct sodp_dev *dev;
	int ret = 0;

	dev = sodp_devs_lock_next(sock_net(skb->sk), cb->args[0]);
	while (dev && !ret) {
		ret = nl_put_message(skb, dev, NETLINK_CB(cb->skb).portid,
				     cb->nlh->nlmsg_seq, NLM_F_MULTI);
		if (ret)
			break;
		cb->args[0] = dev->id;
		dev = sodp_devs_next(sock_net(skb->sk), cb->args[0]);
	}
	sodp_devs_unlock();
	return skb->len;
}

static const struct genl_small_ops nl_ops[] = {
	{
		.cmd = SODP_NL_CMD_GET,
		.doit = nl_get_doit,
		.dumpit = nl_get_dumpit,
	},
	{
		.cmd = SODP_NL_CMD_SET,
		.flags = GENL_ADMIN_PERM,
		.doit = nl_set_doit,
	},
};

static struct genl_family nl_family __ro_after_init = {
	.name = SODP_NL_NAME,
	.version = SODP_NL_VERSION,
	.maxattr = SODP_NL_ATTR_MAX,
	.policy = nl_policy,
	.netnsok = true,
	.module = THIS_MODULE,
	.small_ops = nl_ops,
	.n_small_ops = ARRAY_SIZE(nl_ops),
};

/* sodpctl finds the module by itself */
MODULE_ALIAS_GENL_FAMILY(SODP_NL_NAME);

int __init sodp_nl_register(void)
{
	return genl_register_family(&nl_family);
}

void sodp_nl_unregister(void)
{
	genl_unregister_family(&nl_family);
}
