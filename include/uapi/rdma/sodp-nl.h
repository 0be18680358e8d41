/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR Linux-OpenIB) */
/*
 * sodp-nl.h - the generic netlink family by which sodpctl talks to sodp.ko
 *
 * Links are added and deleted by RDMA netlink ("rdma link add"); this family
 * has what is special to the device. Only devices of the caller's network
 * namespace are seen.
 */
#ifndef SODP_NL_H
#define SODP_NL_H

#define SODP_NL_NAME	"sodp"
#define SODP_NL_VERSION	1

enum sodp_nl_cmd {
	SODP_NL_CMD_UNSPEC,
	/* dump: every device; do: the one of SODP_NL_ATTR_NAME */
	SODP_NL_CMD_GET,
	/* SODP_NL_ATTR_NAME and those to change; CAP_NET_ADMIN */
	SODP_NL_CMD_SET,
	__SODP_NL_CMD_MAX,
};

enum sodp_nl_attr {
	SODP_NL_ATTR_UNSPEC,
	SODP_NL_ATTR_PAD,
	SODP_NL_ATTR_NAME,		/* string: RDMA device */
	SODP_NL_ATTR_NETDEV,		/* u32: ifindex; reply only */
	SODP_NL_ATTR_VERSION,		/* string: of the driver; reply only */
	/* Fault model: delays added to every fault that may wait, all 0: off */
	SODP_NL_ATTR_FAULT_FIXED_NS,	/* u32: per fault */
	SODP_NL_ATTR_FAULT_PAGE_NS,	/* u32: per 4-KiB page mapped */
	SODP_NL_ATTR_FAULT_JITTER_NS,	/* u32: random, 0 up to this */
	__SODP_NL_ATTR_MAX,
};

#define SODP_NL_CMD_MAX		(__SODP_NL_CMD_MAX - 1)
#define SODP_NL_ATTR_MAX	(__SODP_NL_ATTR_MAX - 1)

/* No delay above a second: a QP's peer would give it up */
#define SODP_NL_FAULT_MAX_NS	1000000000

#endif /* SODP_NL_H */
