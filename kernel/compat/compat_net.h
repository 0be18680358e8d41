/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Network API of the newest kernel over that of older ones. HAVE_* come from
 * the compile probes of kernel/compat.
 */
#ifndef SODP_COMPAT_NET_H
#define SODP_COMPAT_NET_H

#include <linux/netfilter.h>
#include <net/sock.h>
#include <net/udp_tunnel.h>

#include "compat.h"

static inline void
sodp_compat_setup_udp_tunnel(struct net *net, struct socket *sock,
			     struct udp_tunnel_sock_cfg *cfg)
{
#ifdef HAVE_UDP_TUNNEL_SOCK
	setup_udp_tunnel_sock(net, sock->sk, cfg);
#else
	setup_udp_tunnel_sock(net, sock, cfg);
#endif
}

static inline void sodp_compat_udp_tunnel_release(struct socket *sock)
{
#ifdef HAVE_UDP_TUNNEL_SOCK
	udp_tunnel_sock_release(sock->sk);
#else
	udp_tunnel_sock_release(sock);
#endif
}

#ifndef CONFIG_NETFILTER
/* Without hooks trains are cut by the stack; all else works */
static inline int nf_register_net_hooks(struct net *net,
					const struct nf_hook_ops *ops,
					unsigned int n)
{
	return 0;
}

static inline void nf_unregister_net_hooks(struct net *net,
					   const struct nf_hook_ops *ops,
					   unsigned int n)
{
}
#endif

#endif /* SODP_COMPAT_NET_H */
