// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Network namespaces: each that has sodp devices has the RoCEv2 port open,
 * for IPv4 and IPv6. Where another holds the port (rdma_rxe in the same
 * namespace), sodp reaches peers within the host only, until a new QP or
 * address handle finds the port free.
 *
 * The sockets are encapsulation sockets, as packets have to be taken over in
 * softirq. The stack cuts GSO trains before it gives them to such a socket;
 * a hook behind all firewall rules takes whole ones, which is what a large
 * message from a container or another guest of this host comes in.
 */
#include <linux/module.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/netns/generic.h>

#include "compat_net.h"
#include "net/net.h"

/* Guards struct sodp_net: users, sockets, list of devices */
static DEFINE_MUTEX(sodp_net_mutex);
static unsigned int net_id;

struct net_slot {
	struct sodp_net *sn;	/* sodp_net_mutex */
};

static struct net_slot *net_slot(struct net *net)
{
	return net_generic(net, net_id);
}

static struct socket *net_open_one(struct sodp_net *sn, u8 family, int *ret)
{
	struct udp_tunnel_sock_cfg encap = {
		.sk_user_data = sn,
		.encap_type = 1,
		.encap_rcv = sodp_net_rx,
	};
	struct udp_port_cfg port = {
		.family = family,
		.local_udp_port = htons(SODP_UDP_PORT),
		.ipv6_v6only = family == AF_INET6,
	};
	struct socket *sock;

	*ret = udp_sock_create(sn->net, &port, &sock);
	if (*ret)
		return NULL;
	sodp_compat_setup_udp_tunnel(sn->net, sock, &encap);
	return sock;
}

static void net_init_hooks(struct sodp_net *sn)
{
	static const struct nf_hook_ops hooks[] = {
		{
			.hook = sodp_net_rx_hook,
			.pf = NFPROTO_IPV4,
			.hooknum = NF_INET_LOCAL_IN,
			.priority = NF_IP_PRI_LAST,
		},
		{
			.hook = sodp_net_rx_hook,
			.pf = NFPROTO_IPV6,
			.hooknum = NF_INET_LOCAL_IN,
			.priority = NF_IP6_PRI_LAST,
		},
	};
	int i;

	BUILD_BUG_ON(ARRAY_SIZE(hooks) != ARRAY_SIZE(sn->hooks));
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		sn->hooks[i] = hooks[i];
		sn->hooks[i].priv = sn;
	}
}

static void net_close(struct sodp_net *sn)
{
	lockdep_assert_held(&sodp_net_mutex);
	if (sn->hooked)
		nf_unregister_net_hooks(sn->net, sn->hooks,
					sn->sock6 ? 2 : 1);
	WRITE_ONCE(sn->hooked, false);
	if (sn->sock6)
		sodp_compat_udp_tunnel_release(sn->sock6);
	sn->sock6 = NULL;
	if (sn->sock4)
		sodp_compat_udp_tunnel_release(sn->sock4);
	sn->sock4 = NULL;
	/* Softirq may be looking at sn or at a device of it, tx_send() too */
	synchronize_net();
}

/*
 * The port of the one family without the other's is of no use to a peer, but
 * maybe to whoever has the other.
 */
static int net_open(struct sodp_net *sn)
{
	int ret = 0;

	lockdep_assert_held(&sodp_net_mutex);
	if (!sn->net || sn->hooked)
		return 0;
	sn->sock4 = net_open_one(sn, AF_INET, &ret);
	if (ret)
		return ret;
	sn->sock6 = net_open_one(sn, AF_INET6, &ret);
	/* There are hosts without IPv6 */
	if (ret && ret != -EAFNOSUPPORT && ret != -EPFNOSUPPORT)
		goto err_close;
	ret = nf_register_net_hooks(sn->net, sn->hooks, sn->sock6 ? 2 : 1);
	if (ret)
		goto err_close;
	WRITE_ONCE(sn->hooked, true);
	return 0;

err_close:
	net_close(sn);
	return ret;
}

/**
 * sodp_net_get() - have the port open in a device's namespace
 * @dev: the device, which is reachable by packets from then on
 *
 * Context: process, may sleep.
 * Return: 0, also when another holds the port; -ENOMEM.
 */
int sodp_net_get(struct sodp_dev *dev)
{
	struct net_slot *slot = net_slot(dev_net(dev->ndev));
	struct sodp_net *sn;
	int ret;

	mutex_lock(&sodp_net_mutex);
	sn = slot->sn;
	if (!sn) {
		sn = kzalloc(sizeof(*sn), GFP_KERNEL);
		if (!sn) {
			mutex_unlock(&sodp_net_mutex);
			return -ENOMEM;
		}
		sn->net = dev_net(dev->ndev);
		INIT_LIST_HEAD(&sn->devs);
		net_init_hooks(sn);
		slot->sn = sn;
	}
	sn->users++;
	dev->sn = sn;
	ret = net_open(sn);
	WRITE_ONCE(sn->error, ret);
	/* Those that were here first own an address that several have */
	list_add_tail_rcu(&dev->net_node, &sn->devs);
	mutex_unlock(&sodp_net_mutex);
	if (ret)
		netdev_info(dev->ndev,
			    "sodp: UDP port %u: error %d; reaches this host only\n",
			    SODP_UDP_PORT, ret);
	return 0;
}

/**
 * sodp_net_put() - undo sodp_net_get()
 * @dev: the device; nothing if sodp_net_get() was not called
 *
 * Context: process, may sleep. The namespace may be gone by now.
 */
void sodp_net_put(struct sodp_dev *dev)
{
	struct sodp_net *sn = dev->sn;

	if (!sn)
		return;
	mutex_lock(&sodp_net_mutex);
	list_del_rcu(&dev->net_node);
	if (--sn->users) {
		mutex_unlock(&sodp_net_mutex);
		/* Softirq may be looking at the device */
		synchronize_net();
		return;
	}
	net_close(sn);
	if (sn->net)
		net_slot(sn->net)->sn = NULL;
	mutex_unlock(&sodp_net_mutex);
	kfree(sn);
}

/**
 * sodp_net_retry() - try for the port again if it was taken
 * @dev: a device that may have to talk to another host
 *
 * Context: process, may sleep.
 */
void sodp_net_retry(struct sodp_dev *dev)
{
	struct sodp_net *sn = dev->sn;

	if (likely(sodp_net_is_open(sn)))
		return;
	mutex_lock(&sodp_net_mutex);
	WRITE_ONCE(sn->error, net_open(sn));
	mutex_unlock(&sodp_net_mutex);
}

/**
 * sodp_net_reach() - can a peer elsewhere be talked to?
 * @dev: the device that would, after sodp_net_retry() if that is possible
 * @addr: the peer, for the log
 *
 * Without the port there are no answers: better to be told than to wait.
 *
 * Context: any.
 * Return: 0; -EADDRINUSE: another has the port, which the log says; another
 * -errno of opening it; -ENETDOWN: the namespace is going.
 */
int sodp_net_reach(struct sodp_dev *dev, const struct in6_addr *addr)
{
	int ret;

	if (likely(sodp_net_is_open(dev->sn)))
		return 0;
	ret = READ_ONCE(dev->sn->error) ? : -ENETDOWN;
	ibdev_warn_ratelimited(&dev->base_dev,
			       "%pI6c refused: UDP port %u: error %d (has rdma_rxe the port?)\n",
			       addr, SODP_UDP_PORT, ret);
	return ret;
}

/* Devices go later, by a worker; what they need of the namespace goes now */
static void __net_exit net_exit(struct net *net)
{
	struct net_slot *slot = net_slot(net);
	struct sodp_net *sn;

	mutex_lock(&sodp_net_mutex);
	sn = slot->sn;
	if (sn) {
		net_close(sn);
		sn->net = NULL;
		slot->sn = NULL;
	}
	mutex_unlock(&sodp_net_mutex);
}

static struct pernet_operations net_ops = {
	.exit = net_exit,
	.id = &net_id,
	.size = sizeof(struct net_slot),
};

/**
 * sodp_net_init() - before the first device
 * @receiver: has the packets that come
 *
 * Context: process.
 * Return: 0 or -errno.
 */
int sodp_net_init(const struct sodp_receiver *receiver)
{
	sodp_net_rx_init(receiver);
	return register_pernet_subsys(&net_ops);
}

void sodp_net_exit(void)
{
	unregister_pernet_subsys(&net_ops);
}
