// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * sodpctl add, delete and show.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>

#include "sodpctl.h"

static const char *const link_states[] = {
	"?", "DOWN", "INIT", "ARMED", "ACTIVE", "ACTIVE_DEFER",
};

#define LINK_STATES	(sizeof(link_states) / sizeof(link_states[0]))

/* What a link type is that ib_core has no driver for, too */
static int link_explain_einval(struct ctl_sock *sock)
{
	struct ctl_sock family;
	int ret = ctl_family_open(&family);

	if (ret)
		memcpy(sock->why, family.why, sizeof(sock->why));
	ctl_sock_close(&family);
	return ret ? ret : -EINVAL;
}

/* RDMA netlink has only the errno: say what it means here */
static void link_explain_add(struct ctl_sock *sock, int ret,
			     const char *netdev)
{
	const char *why = NULL;

	switch (-ret) {
	case EEXIST:
		why = "%s has a sodp device, or the name is taken";
		break;
	case ENFILE:
		why = "the name is taken";
		break;
	case ENODEV:
		why = "no network device %s";
		break;
	case EINVAL:
		why = "%s must be an Ethernet device, and no VLAN";
		break;
	}
	if (!why || sock->why[0])
		return;
	snprintf(sock->why, sizeof(sock->why), why, netdev);
}

int ctl_cmd_add(const struct ctl_opts *opts, int argc, char **argv)
{
	struct ctl_sock sock;
	int ret;

	if (strcmp(argv[1], "netdev"))
		return ctl_usage("add: \"netdev\" expected, not \"%s\"",
				 argv[1]);
	if (!argv[0][0] || strchr(argv[0], '%'))
		return ctl_usage("add: \"%s\" cannot be a name: empty or with a %%",
				 argv[0]);
	if (!argv[2][0])
		return ctl_usage("add: the network device's name is empty");
	if (strlen(argv[0]) >= CTL_NAME_LEN)
		return ctl_usage("add: %s is too long a name", argv[0]);
	if (strlen(argv[2]) >= IFNAMSIZ)
		return ctl_usage("add: no network device has a name as long as %s",
				 argv[2]);
	ret = ctl_sock_open(&sock, NETLINK_RDMA);
	if (!ret) {
		ret = ctl_rdma_add(&sock, argv[0], argv[2]);
		if (ret == -EINVAL)
			ret = link_explain_einval(&sock);
		link_explain_add(&sock, ret, argv[2]);
	}
	if (ret)
		ret = ctl_fail(&sock, opts, argv[0], ret);
	ctl_sock_close(&sock);
	return ret;
}

/* RDMA netlink would delete any link: ask sodp.ko if it is its own */
static int link_check_own(const struct ctl_opts *opts, const char *name)
{
	struct ctl_devs devs = {};
	struct ctl_sock sock;
	int ret = ctl_family_open(&sock);

	if (!ret)
		ret = ctl_family_get(&sock, name, &devs);
	if (ret)
		ret = ctl_fail(&sock, opts, name, ret);
	ctl_devs_free(&devs);
	ctl_sock_close(&sock);
	return ret;
}

int ctl_cmd_delete(const struct ctl_opts *opts, int argc, char **argv)
{
	struct ctl_sock sock;
	uint32_t index;
	int ret;

	ret = link_check_own(opts, argv[0]);
	if (ret)
		return ret;
	ret = ctl_sock_open(&sock, NETLINK_RDMA);
	if (!ret)
		ret = ctl_rdma_find(&sock, argv[0], &index);
	if (!ret)
		ret = ctl_rdma_delete(&sock, index);
	if (ret)
		ret = ctl_fail(&sock, opts, argv[0], ret);
	ctl_sock_close(&sock);
	return ret;
}

/* Names of network devices may have any byte but '/', ':' and space */
static void link_print_json_string(const char *key, const char *text)
{
	printf("\"%s\":\"", key);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void link_print_json(const struct ctl_dev *dev, const char *netdev,
			    const char *state)
{
	putchar('{');
	link_print_json_string("ifname", dev->name);
	printf(",\"port\":1,");
	link_print_json_string("state", state);
	putchar(',');
	link_print_json_string("netdev", netdev);
	printf(",\"netdev_index\":%u,", dev->ifindex);
	link_print_json_string("driver_version", dev->version);
	printf(",\"fault_model\":{\"fixed_ns\":%u,\"page_ns\":%u,\"jitter_ns\":%u}}",
	       dev->model.fixed_ns, dev->model.page_ns,
	       dev->model.jitter_ns);
}

static void link_print(const struct ctl_opts *opts, struct ctl_sock *rdma,
		       const struct ctl_dev *dev)
{
	char netdev[IF_NAMESIZE], model[128];
	uint8_t state = 0;
	uint32_t index;

	/* A device that goes away meanwhile is shown as far as it is known */
	if (!if_indextoname(dev->ifindex, netdev))
		snprintf(netdev, sizeof(netdev), "?");
	if (ctl_rdma_find(rdma, dev->name, &index) ||
	    ctl_rdma_state(rdma, index, &state) || state >= LINK_STATES)
		state = 0;
	if (opts->json) {
		link_print_json(dev, netdev, link_states[state]);
		return;
	}
	ctl_model_print(&dev->model, model, sizeof(model));
	printf("%-15s %-15s %-7s %-7s %s\n", dev->name, netdev,
	       link_states[state], dev->version, model);
}

static void link_print_all(const struct ctl_opts *opts,
			   struct ctl_sock *rdma,
			   const struct ctl_devs *devs)
{
	size_t i;

	if (opts->json)
		putchar('[');
	else if (devs->num)
		printf("%-15s %-15s %-7s %-7s %s\n", "DEVICE", "NETDEV",
		       "STATE", "DRIVER", "FAULT MODEL");
	for (i = 0; i < devs->num; i++) {
		if (opts->json && i)
			putchar(',');
		link_print(opts, rdma, &devs->dev[i]);
	}
	if (opts->json)
		puts("]");
}

int ctl_cmd_show(const struct ctl_opts *opts, int argc, char **argv)
{
	const char *name = argc ? argv[0] : NULL;
	struct ctl_sock sock, rdma = {};
	struct ctl_devs devs = {};
	int ret;

	ret = ctl_family_open(&sock);
	if (!ret)
		ret = ctl_family_get(&sock, name, &devs);
	if (ret) {
		ret = ctl_fail(&sock, opts, name, ret);
		goto free_devs;
	}
	ret = ctl_sock_open(&rdma, NETLINK_RDMA);
	if (ret)
		ret = ctl_fail(&rdma, opts, name, ret);
	else
		link_print_all(opts, &rdma, &devs);
	ctl_sock_close(&rdma);
free_devs:
	ctl_devs_free(&devs);
	ctl_sock_close(&sock);
	return ret;
}
