// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Devices that come and go: link add and delete under load, the netdev pulled
 * away, two devices on one host. Makes devices of its own and leaves
 * $SODP_DEV alone.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_duo.h"

#define LEN (16 * T_PAGE)
#define DEV "sodp9"
#define NETDEV "sodpvt9"
#define ADDR "10.99.9.1"

static void remove_all(void)
{
	t_system("rdma link delete " DEV " 2>/dev/null;"
		 "rdma link delete sodp8 2>/dev/null;"
		 "ip link delete " NETDEV " 2>/dev/null");
}

static void add_netdev(void)
{
	remove_all();
	if (t_system("ip link add " NETDEV " type dummy && "
		     "ip address add " ADDR "/24 dev " NETDEV " && "
		     "ip link set " NETDEV " mtu 9000 up"))
		t_skip("no dummy netdev can be made");
}

static int add_link(const char *name)
{
	return t_system("rdma link add %s type sodp netdev " NETDEV
			" 2>/dev/null",
			name);
}

static int delete_link(const char *name)
{
	return t_system("rdma link delete %s", name);
}

static void need_sodp(void)
{
	const char *name = getenv("SODP_DEV");

	if (!name || strncmp(name, "sodp", 4))
		t_skip("not a sodp device");
	add_netdev();
	T_ASSERT(!add_link(DEV), "rdma link add " DEV " failed");
}

/* GIDs appear a little after the device; so does its uverbs file. */
static int find_gid(const char *name)
{
	char path[128];
	char line[64];
	unsigned int tries;
	int i;

	for (tries = 0; tries < 500; tries++) {
		for (i = 0; i < 16; i++) {
			snprintf(path, sizeof(path),
				 "/sys/class/infiniband/%s/ports/1/gids/%d",
				 name, i);
			if (!t_read_file(path, line, sizeof(line)) ||
			    !strstr(line, "ffff:0a63:0901"))
				continue;
			snprintf(path, sizeof(path),
				 "/sys/class/infiniband/%s/ports/1/gid_attrs/types/%d",
				 name, i);
			if (t_read_file(path, line, sizeof(line)) &&
			    strstr(line, "v2"))
				return i;
		}
		t_sleep_ms(10);
	}
	t_fail("%s has no GID for " ADDR, name);
}

static void open_added(struct t_dev *dev, const char *name)
{
	t_open_name(dev, name, find_gid(name));
}

/* QPs of two devices talk to each other, ODP on both. */
static void two_devices(void)
{
	struct t_rand rand = { .state = 9 };
	struct t_dev dev_a, dev_b;
	struct t_ep a, b;
	struct ibv_mr *mr_a, *mr_b;
	char *buf_a, *buf_b;
	enum t_kind kind;
	unsigned int i;
	uint32_t len;
	size_t from, to;

	need_sodp();
	t_open(&dev_a);
	open_added(&dev_b, DEV);
	buf_a = t_map(LEN);
	buf_b = t_map(LEN);
	t_ep_open(&a, &dev_a, NULL);
	t_ep_open(&b, &dev_b, NULL);
	t_join(&a, &b);
	for (i = 0; i < 200; i++) {
		kind = i % T_NR_KINDS;
		mr_a = t_reg_kind(&dev_a, kind, buf_a, LEN, T_ACCESS_ALL);
		mr_b = t_reg_kind(&dev_b, (i / 3) % T_NR_KINDS, buf_b, LEN,
				  T_ACCESS_ALL);
		len = 1 + t_rand_below(&rand, LEN - 1);
		from = t_rand_below(&rand, LEN - len);
		to = t_rand_below(&rand, LEN - len);
		t_case("case %u: %u bytes", i, len);
		t_fill(buf_a + from, len, i);
		t_fill_background(buf_b, LEN);
		if (i & 1) {
			t_post_recv(&b, i, t_sge(mr_b, buf_b + to, len));
			t_post(&a, IBV_WR_SEND, i, t_sge(mr_a, buf_a + from,
							 len),
			       0, 0);
			t_want_wc(b.rcq, i, IBV_WC_SUCCESS);
			t_want_wc(a.scq, i, IBV_WC_SUCCESS);
		} else {
			t_post(&b, IBV_WR_RDMA_READ, i,
			       t_sge(mr_b, buf_b + to, len),
			       (uintptr_t)buf_a + from, mr_a->rkey);
			t_want_wc(b.scq, i, IBV_WC_SUCCESS);
		}
		t_want_data(buf_b + to, len, i);
		T_ASSERT(t_check_background(buf_b, to) < 0 &&
				 t_check_background(buf_b + to + len,
						    LEN - to - len) < 0,
			 "bytes around the target changed");
		t_dereg(mr_a);
		t_dereg(mr_b);
	}
	t_case("the other device is deleted");
	T_ASSERT(!delete_link(DEV), "link delete");
	mr_a = t_reg(dev_a.pd, buf_a, LEN, T_ACCESS_ALL);
	t_post(&a, IBV_WR_RDMA_WRITE, 1, t_sge(mr_a, buf_a, 8), 0, 0);
	t_want_wc(a.scq, 1, IBV_WC_RETRY_EXC_ERR);
	remove_all();
}

/* false: no news, or other news than that the device is gone */
static bool told(struct t_dev *dev, unsigned int ms)
{
	uint64_t end = t_now_ns() + ms * 1000000ULL;
	struct ibv_async_event event;

	do {
		if (t_event_for(dev, &event, ms) &&
		    event.event_type == IBV_EVENT_DEVICE_FATAL)
			return true;
	} while (t_now_ns() < end);
	return false;
}

/* Traffic until the device goes; then the event, an error, a clean exit */
static void ride(enum t_kind kind, int fd)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE,
				  .send_flags = IBV_SEND_SIGNALED };
	struct ibv_sge sge;
	struct ibv_wc wc;
	struct t_duo d;
	bool gone = false;
	char go = 1;

	memset(&d, 0, sizeof(d));
	open_added(&d.dev, DEV);
	t_duo_make(&d, LEN, kind, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	t_duo_works(&d);
	t_msg_send(fd, &go, 1);
	sge = t_duo_sge(&d, 0, LEN);
	wr.sg_list = &sge;
	wr.num_sge = 1;
	wr.wr.rdma.remote_addr = t_remote(&d, 0);
	wr.wr.rdma.rkey = d.bmr->rkey;
	while (!gone) {
		if (t_try_post(&d.a, &wr))
			break;
		if (!t_poll_for(d.a.scq, &wc, 500) || wc.status)
			break;
		gone = told(&d.dev, 0);
	}
	T_ASSERT(gone || told(&d.dev, 10000),
		 "the device failed without an event");
	/* Calls may fail now, but come back */
	t_try_post(&d.a, &wr);
	ibv_poll_cq(d.a.scq, 1, &wc);
	T_ASSERT(!ibv_reg_mr(d.dev.pd, d.abuf, LEN, 0), "registered");
	ibv_destroy_qp(d.a.qp);
	ibv_destroy_qp(d.b.qp);
	ibv_destroy_cq(d.a.scq);
	ibv_dereg_mr(d.amr);
	ibv_dealloc_pd(d.dev.pd);
	ibv_close_device(d.dev.ctx);
	_exit(0);
}

static void delete_busy(void)
{
	unsigned int rounds = t_quick ? 3 : 9;
	unsigned int i;
	int fds[2];
	char go;
	pid_t pid[2];
	int p;

	need_sodp();
	for (i = 0; i < rounds; i++) {
		t_case("round %u", i);
		t_msg_pair(fds);
		for (p = 0; p < 2; p++) {
			pid[p] = t_fork();
			if (!pid[p])
				ride((i + p) % T_NR_KINDS, fds[1]);
		}
		for (p = 0; p < 2; p++)
			t_msg_recv(fds[0], &go, 1);
		t_sleep_ms(3 * i);
		if (i % 3 == 2) {
			/* The netdev takes the device with it */
			T_ASSERT(!t_system("ip link delete " NETDEV),
				 "ip link delete");
		} else {
			T_ASSERT(!delete_link(DEV), "rdma link delete");
		}
		for (p = 0; p < 2; p++)
			t_reap(pid[p]);
		if (i % 3 == 2)
			add_netdev();
		T_ASSERT(!add_link(DEV), "the device cannot be added again");
		close(fds[0]);
		close(fds[1]);
	}
	remove_all();
}

/* A context that is open, and does nothing, holds nothing up. */
static void delete_idle(void)
{
	struct t_duo d;
	uint64_t begin;

	need_sodp();
	memset(&d, 0, sizeof(d));
	open_added(&d.dev, DEV);
	t_duo_make(&d, LEN, T_EXPLICIT, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	begin = t_now_ns();
	T_ASSERT(!delete_link(DEV), "rdma link delete");
	T_ASSERT(t_now_ns() - begin < 10000000000ULL, "delete waited");
	t_want_event(&d.dev, IBV_EVENT_DEVICE_FATAL);
	T_ASSERT(!add_link(DEV), "a new device while the old one is open");
	open_added(&d.dev, DEV);
	t_duo_make(&d, LEN, T_EXPLICIT, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	t_duo_works(&d);
	remove_all();
}

static void add_delete(void)
{
	unsigned int i;

	need_sodp();
	for (i = 0; i < (t_quick ? 5 : 25); i++) {
		t_case("round %u", i);
		T_ASSERT(!delete_link(DEV), "rdma link delete");
		T_ASSERT(!add_link(DEV), "rdma link add");
	}
	remove_all();
}

static void refused(void)
{
	need_sodp();
	T_ASSERT(add_link("sodp8"), "two devices on one netdev");
	T_ASSERT(t_system("rdma link add sodp8 type sodp netdev lo "
			  "2>/dev/null"),
		 "a device on the loopback");
	T_ASSERT(t_system("rdma link add sodp8 type sodp netdev nosuch "
			  "2>/dev/null"),
		 "a device on no netdev");
	T_ASSERT(!delete_link(DEV), "rdma link delete");
	T_ASSERT(t_system("rdma link delete " DEV " 2>/dev/null"),
		 "deleted twice");
	remove_all();
}

/* The provider finds its device by what it is, not by what it is called. */
static void renamed(void)
{
	struct t_duo d;

	need_sodp();
	find_gid(DEV);
	T_ASSERT(!t_system("rdma dev set " DEV " name other9"),
		 "rdma dev set name");
	memset(&d, 0, sizeof(d));
	open_added(&d.dev, "other9");
	t_duo_make(&d, LEN, T_EXPLICIT, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	t_duo_works(&d);
	T_ASSERT(!delete_link("other9"), "rdma link delete");
	remove_all();
}

/* Down is down: traffic on the host stops, and goes on when it is up. */
static void port_state(void)
{
	struct t_duo d;
	struct ibv_port_attr port;

	need_sodp();
	memset(&d, 0, sizeof(d));
	open_added(&d.dev, DEV);
	T_ASSERT(d.dev.port.state == IBV_PORT_ACTIVE, "port state %d",
		 d.dev.port.state);
	T_ASSERT(!t_system("ip link set " NETDEV " down"), "link down");
	t_want_event(&d.dev, IBV_EVENT_PORT_ERR);
	T_OK(ibv_query_port(d.dev.ctx, T_PORT, &port));
	T_ASSERT(port.state == IBV_PORT_DOWN, "port state %d", port.state);
	T_ASSERT(!t_system("ip link set " NETDEV " up"), "link up");
	t_want_event(&d.dev, IBV_EVENT_PORT_ACTIVE);
	d.dev.gid_index = find_gid(DEV);
	T_OK(ibv_query_gid(d.dev.ctx, T_PORT, d.dev.gid_index, &d.dev.gid));
	t_duo_make(&d, LEN, T_EXPLICIT, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	t_duo_works(&d);
	remove_all();
}

static const struct t_test tests[] = {
	{ "two_devices", two_devices },
	{ "delete_busy", delete_busy, 180 },
	{ "delete_idle", delete_idle },
	{ "add_delete", add_delete, 120 },
	{ "refused", refused },
	{ "renamed", renamed },
	{ "port_state", port_state },
};

int main(int argc, char **argv)
{
	int ret = t_main(argc, argv, tests, T_ARRAY_SIZE(tests));

	if (ret == T_EXIT_FAIL)
		remove_all();
	return ret;
}
