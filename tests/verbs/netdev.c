// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A device and the netdev below it: which ones can have a link and what the
 * others are told, what the port has of it, what the kernel log says. Makes
 * devices of its own and leaves $SODP_DEV alone.
 */

#include <stdlib.h>

#include "common/t_duo.h"
#include "common/t_netdev.h"
#include "common/t_tool.h"

#define LEN T_PAGE
#define DEV "sodp7"
#define NETDEV "sodpvt7"
#define PEER "sodpvp7"
#define VLAN "sodpvl7"
#define TUN "sodptn7"
#define BRIDGE "sodpbr7"
#define DUMMY "sodpdm7"
#define DYNAMIC_DEBUG "/proc/dynamic_debug/control"

static void remove_all(void)
{
	t_system("rdma link delete " DEV " 2>/dev/null;"
		 "ip link delete " TUN " 2>/dev/null;"
		 "ip link delete " VLAN " 2>/dev/null;"
		 "ip link delete " BRIDGE " 2>/dev/null;"
		 "ip link delete " DUMMY " 2>/dev/null;"
		 "ip link delete " NETDEV " 2>/dev/null");
}

static void add_netdev(void)
{
	const char *name = getenv("SODP_DEV");

	if (!name || strncmp(name, "sodp", 4))
		t_skip("not a sodp device");
	remove_all();
	T_ASSERT(!t_system("ip link add " NETDEV " type veth peer " PEER " && "
			   "ip address add 10.99.7.1/24 dev " NETDEV " && "
			   "ip link set " NETDEV " mtu 9000 up && "
			   "ip link set " PEER " mtu 9000 up"),
		 "no veth pair can be made");
}

/* `rdma link add` must fail, with the error and by nothing else */
static void want_refused(const char *name, const char *netdev, int err)
{
	char want[128];
	char text[1024];

	t_case("%s on %s", name, netdev);
	T_ASSERT(t_output(text, sizeof(text),
			  "rdma link add '%s' type sodp netdev %s", name,
			  netdev),
		 "not refused");
	snprintf(want, sizeof(want), "error: %s\n", strerror(err));
	T_ASSERT(!strcmp(text, want), "said '%s', want '%s'", text, want);
}

static void refused(void)
{
	add_netdev();
	T_ASSERT(!t_system("ip link add link " NETDEV " name " VLAN
			   " type vlan id 5 && modprobe tun && "
			   "ip tuntap add mode tun name " TUN),
		 "no VLAN or tun");
	want_refused(DEV, "lo", EINVAL);
	want_refused(DEV, TUN, EINVAL);
	want_refused(DEV, VLAN, EPERM);
	want_refused(DEV, "sodpno7", ENODEV);
	want_refused("a%d", NETDEV, EINVAL);
	want_refused("", NETDEV, EINVAL);
	want_refused(getenv("SODP_DEV"), NETDEV, ENFILE);
	/* None of them left anything that is in the way */
	T_ASSERT(!t_system("rdma link add " DEV " type sodp netdev " NETDEV),
		 "rdma link add");
	want_refused("sodp6", NETDEV, EEXIST);
	want_refused(DEV, NETDEV, EEXIST);
	remove_all();
}

static void set_netdev(const char *netdev, const char *what)
{
	T_ASSERT(!t_system("ip link set %s %s", netdev, what),
		 "ip link set %s %s", netdev, what);
}

/* What changes is told, and what is asked is so at once. */
static void port(void)
{
	static const unsigned int mtus[] = { 68,   351,	 352,  607,  608,
					     1119, 1120, 1500, 2143, 2144,
					     4191, 4192, 9000 };
	char text[32];
	struct t_dev dev;
	unsigned int i;

	add_netdev();
	T_ASSERT(!t_system("rdma link add " DEV " type sodp netdev " NETDEV),
		 "rdma link add");
	t_sleep_ms(100);
	t_open_name(&dev, DEV, 0);
	t_want_port(dev.ctx, NETDEV);
	T_ASSERT(dev.port.state == IBV_PORT_ACTIVE, "state %d",
		 dev.port.state);
	for (i = 0; i < T_ARRAY_SIZE(mtus); i++) {
		t_case("MTU %u", mtus[i]);
		snprintf(text, sizeof(text), "mtu %u", mtus[i]);
		set_netdev(NETDEV, text);
		t_want_port(dev.ctx, NETDEV);
	}
	t_case("no carrier");
	set_netdev(PEER, "down");
	t_want_event(&dev, IBV_EVENT_PORT_ERR);
	t_want_port(dev.ctx, NETDEV);
	t_case("carrier");
	set_netdev(PEER, "up");
	t_want_event(&dev, IBV_EVENT_PORT_ACTIVE);
	t_want_port(dev.ctx, NETDEV);
	t_case("down");
	set_netdev(NETDEV, "down");
	t_want_event(&dev, IBV_EVENT_PORT_ERR);
	t_want_port(dev.ctx, NETDEV);
	remove_all();
}

static void log_mark(const char *mark)
{
	T_ASSERT(!t_write_file("/dev/kmsg", mark), "/dev/kmsg");
}

/* The kernel log must have it, after the mark */
static void want_logged(const char *mark, const char *want)
{
	static char text[1 << 20];
	const char *p;

	T_ASSERT(!t_output(text, sizeof(text), "dmesg | tail -n 500"), "dmesg");
	p = strstr(text, mark);
	T_ASSERT(p, "the mark is gone from the kernel log");
	T_ASSERT(strstr(p, want), "not in the kernel log: %s", want);
}

static unsigned long complaints(void)
{
	char text[64];

	t_output(text, sizeof(text), "dmesg | grep -c 'speed is unknown'");
	return strtoul(text, NULL, 10);
}

/*
 * Where no hardware is, the port is as fast as memory, and nobody is told of
 * it: neither by what a veth's driver makes up, nor by what is not known.
 */
static void speed(void)
{
	static const char *const netdevs[] = { NETDEV, BRIDGE, DUMMY };
	unsigned long before;
	struct t_dev dev;
	unsigned int i;

	add_netdev();
	T_ASSERT(!t_system("ip link add " BRIDGE " type bridge && "
			   "ip link set " PEER " master " BRIDGE " && "
			   "ip link set " BRIDGE " up && "
			   "ip link add " DUMMY " type dummy && "
			   "ip link set " DUMMY " up"),
		 "no bridge, no dummy");
	before = complaints();
	for (i = 0; i < T_ARRAY_SIZE(netdevs); i++) {
		t_case("%s", netdevs[i]);
		T_ASSERT(!t_system("rdma link add " DEV " type sodp netdev %s",
				   netdevs[i]),
			 "rdma link add");
		t_sleep_ms(100);
		t_open_name(&dev, DEV, 0);
		t_want_port(dev.ctx, netdevs[i]);
		t_close(&dev);
		T_ASSERT(!t_system("rdma link delete " DEV), "link delete");
	}
	T_ASSERT(complaints() == before,
		 "the kernel log speaks of an unknown speed");
	remove_all();
}

static void debug(const char *how)
{
	char text[64];

	snprintf(text, sizeof(text), "module sodp %sp", how);
	T_ASSERT(!t_write_file(DYNAMIC_DEBUG, text), "%s", DYNAMIC_DEBUG);
}

/* What is refused is explained to whoever asks for it, and to nobody else. */
static void debug_lines(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT };
	struct t_duo d;
	char want[128];
	char mark[64];

	add_netdev();
	T_ASSERT(!t_system("ip link add link " NETDEV " name " VLAN
			   " type vlan id 5"),
		 "no VLAN");
	t_duo_open(&d, LEN, T_PINNED, NULL);
	snprintf(mark, sizeof(mark), "sodp-netdev-test %llu",
		 (unsigned long long)t_now_ns());
	debug("+");
	log_mark(mark);
	t_system("rdma link add " DEV " type sodp netdev " VLAN " 2>&1");
	T_ERR(ibv_modify_qp(d.a.qp, &attr, IBV_QP_STATE), EINVAL);
	t_post(&d.b, IBV_WR_RDMA_WRITE, 1, t_sge(d.bmr, d.bbuf, 8), 0,
	       0xbad00);
	t_want_wc(d.b.scq, 1, IBV_WC_REM_ACCESS_ERR);
	debug("-");
	want_logged(mark, "a VLAN; its parent's device serves it");
	snprintf(want, sizeof(want), "QP %#x: rkey 0xbad00 does not grant",
		 d.a.qp->qp_num);
	want_logged(mark, want);
	snprintf(want, sizeof(want), "QP %#x: modify 3 -> 1", d.a.qp->qp_num);
	want_logged(mark, want);
	remove_all();
}

static const struct t_test tests[] = {
	{ "refused", refused },
	{ "port", port },
	{ "speed", speed },
	{ "debug_lines", debug_lines },
};

int main(int argc, char **argv)
{
	int ret = t_main(argc, argv, tests, T_ARRAY_SIZE(tests));

	if (ret == T_EXIT_FAIL) {
		remove_all();
		t_write_file(DYNAMIC_DEBUG, "module sodp -p");
	}
	return ret;
}
