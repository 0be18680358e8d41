// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Multicast by verbs: who is in a group gets a copy of what is sent to it,
 * who is not, or no longer, gets nothing
 */

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_netdev.h"
#include "common/t_tool.h"
#include "leg.h"

#define GRH 40
#define BYTES 333
#define SLOT 1024
#define NR_SLOTS 16
#define QPN_GROUP 0xffffff
/* What mlx5 says of a datagram in the completion, and UCX reads there */
#define SL_IPV6 9
#define SL_IPV4 10

struct group {
	const char *name;
	const char *address;
	const char *mac; /* of the netdev that has joined */
	const char *gid; /* variable with the sender's GID index */
};

static const struct group group4 = { "IPv4", "239.75.6.1", "01:00:5e:4b:06:01",
				     "SODP_GID_A" };
static const struct group group6 = { "IPv6", "ff0e::75:601",
				     "33:33:00:75:06:01", "SODP_GID6_A" };
static const struct group other4 = { "another", "239.75.6.2", "",
				     "SODP_GID_A" };

/* One sender, and three datagram QPs at the other end */
struct scene {
	const struct group *group;
	struct t_dev dev_a;
	struct t_dev dev_b;
	struct leg from;
	struct leg to[3];
	struct ibv_ah *ah;
	union ibv_gid gid;
	uint64_t sent;
};

static struct ibv_ah *group_ah(struct t_dev *dev, const struct group *group)
{
	struct ibv_ah_attr attr = {
		.is_global = 1,
		.port_num = T_PORT,
		.grh = {
			.dgid = t_gid_of(group->address),
			.sgid_index = atoi(getenv(group->gid)),
			.hop_limit = 1,
		},
	};
	struct ibv_ah *ah = ibv_create_ah(dev->pd, &attr);

	T_ASSERT(ah, "ibv_create_ah: %s", t_errname(errno));
	return ah;
}

static void scene_open(struct scene *s, const struct group *group)
{
	struct leg_opt opt = LEG_OPT;
	unsigned int i, k;

	memset(s, 0, sizeof(*s));
	s->group = group;
	s->gid = t_gid_of(group->address);
	opt.type = IBV_QPT_UD;
	leg_devices(&s->dev_a, &s->dev_b);
	leg_open(&s->from, &s->dev_a, SLOT * NR_SLOTS, &opt);
	for (i = 0; i < T_ARRAY_SIZE(s->to); i++)
		leg_open(&s->to[i], &s->dev_b, SLOT * NR_SLOTS, &opt);
	leg_join(&s->from, &s->to[0]);
	leg_join(&s->to[1], &s->to[2]);
	for (i = 0; i < T_ARRAY_SIZE(s->to); i++)
		for (k = 0; k < NR_SLOTS; k++)
			leg_recv(&s->to[i], k, k * SLOT, SLOT);
	s->ah = group_ah(&s->dev_a, group);
}

static void join(struct scene *s, unsigned int i)
{
	T_OK(ibv_attach_mcast(s->to[i].qp, &s->gid, 0));
}

static void leave(struct scene *s, unsigned int i)
{
	T_OK(ibv_detach_mcast(s->to[i].qp, &s->gid, 0));
}

static bool in_filter(const struct scene *s)
{
	char text[8192];

	T_ASSERT(!t_output(text, sizeof(text), "ip -n %s maddr show dev %s",
			   getenv("SODP_NETNS_B"), getenv("SODP_NETDEV_B")),
		 "ip maddr: %s", text);
	return strstr(text, s->group->mac);
}

static uint64_t send_to(struct scene *s, struct ibv_ah *ah, uint32_t qpn)
{
	uint64_t id = ++s->sent;
	struct ibv_sge sge = t_sge(s->from.mr, s->from.buf, BYTES);
	struct ibv_send_wr wr = {
		.wr_id = id,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.ud = { .ah = ah, .remote_qpn = qpn,
			   .remote_qkey = LEG_QKEY },
	};
	struct ibv_send_wr *bad;

	t_fill_data(s->from.buf, BYTES, id, 0);
	T_OK(ibv_post_send(s->from.qp, &wr, &bad));
	t_want_wc(s->from.scq, id, IBV_WC_SUCCESS);
	return id;
}

/* The next that a QP gets is this; its receive is used again */
static void want_next(struct scene *s, unsigned int i, uint64_t id, bool group)
{
	struct leg *leg = &s->to[i];
	struct ibv_wc wc = t_poll(leg->rcq);
	char *p = leg->buf + wc.wr_id * SLOT;
	bool v4 = s->group != &group6;

	T_ASSERT(wc.status == IBV_WC_SUCCESS && wc.opcode == IBV_WC_RECV &&
			 wc.byte_len == GRH + BYTES &&
			 wc.src_qp == s->from.qp->qp_num,
		 "QP %u: '%s', opcode %d, %u bytes from QP %#x", i,
		 t_wc_name(wc.status), wc.opcode, wc.byte_len, wc.src_qp);
	T_ASSERT(wc.sl == (group && !v4 ? SL_IPV6 : SL_IPV4), "sl %u", wc.sl);
	T_ASSERT(t_check_data(p + GRH, BYTES, id, 0) < 0,
		 "QP %u got another datagram than number %llu", i,
		 (unsigned long long)id);
	if (group && v4)
		T_ASSERT(!memcmp(p + 36, s->gid.raw + 12, 4),
			 "destination of the IPv4 header");
	else if (group)
		T_ASSERT(!memcmp(p + 24, s->gid.raw, 16),
			 "destination of the GRH");
	leg_recv(leg, wc.wr_id, wc.wr_id * SLOT, SLOT);
}

/*
 * Send to the group and then to each QP by itself, on the same wire: who
 * gets the second without the first did not get the first.
 */
static void want_group(struct scene *s, unsigned int members)
{
	uint64_t id = send_to(s, s->ah, QPN_GROUP);
	uint64_t single;
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(s->to); i++) {
		single = send_to(s, s->from.ah, s->to[i].qp->qp_num);
		if (members & (1 << i))
			want_next(s, i, id, true);
		want_next(s, i, single, false);
	}
}

static void members(void)
{
	struct scene s;

	scene_open(&s, t_this->arg);
	T_ASSERT(!in_filter(&s), "%s is in the filter", s.group->mac);
	t_case("nobody");
	want_group(&s, 0);
	t_case("one");
	join(&s, 0);
	T_ASSERT(in_filter(&s), "%s is not in the filter", s.group->mac);
	want_group(&s, 1);
	t_case("two");
	join(&s, 1);
	want_group(&s, 3);
	want_group(&s, 3);
	t_case("the first has left");
	leave(&s, 0);
	T_ASSERT(in_filter(&s), "%s left the filter", s.group->mac);
	want_group(&s, 2);
	t_case("both have left");
	leave(&s, 1);
	T_ASSERT(!in_filter(&s), "%s is in the filter", s.group->mac);
	want_group(&s, 0);
	t_case("again");
	join(&s, 2);
	want_group(&s, 4);
	leave(&s, 2);
}

static void other_group(void)
{
	struct scene s;

	scene_open(&s, &group4);
	join(&s, 0);
	want_group(&s, 1);
	s.ah = group_ah(&s.dev_a, &other4);
	want_group(&s, 0);
	s.gid = t_gid_of(other4.address);
	join(&s, 0);
	want_group(&s, 1);
	leave(&s, 0);
	want_group(&s, 0);
	s.gid = t_gid_of(group4.address);
	leave(&s, 0);
}

/* Of the sender's host too, itself among them */
static void sender_joins(void)
{
	struct scene s;
	uint64_t id;
	struct ibv_wc wc;

	scene_open(&s, t_this->arg);
	join(&s, 0);
	T_OK(ibv_attach_mcast(s.from.qp, &s.gid, 0));
	leg_recv(&s.from, 0, SLOT, SLOT);
	id = send_to(&s, s.ah, QPN_GROUP);
	want_next(&s, 0, id, true);
	wc = t_want_wc(s.from.rcq, 0, IBV_WC_SUCCESS);
	T_ASSERT(wc.byte_len == GRH + BYTES, "%u bytes", wc.byte_len);
	T_ASSERT(t_check_data(s.from.buf + SLOT + GRH, BYTES, id, 0) < 0,
		 "wrong bytes");
	T_OK(ibv_detach_mcast(s.from.qp, &s.gid, 0));
	leave(&s, 0);
}

/* A QP is in a group or is not */
static void twice(void)
{
	struct scene s;

	scene_open(&s, t_this->arg);
	T_ERR(ibv_detach_mcast(s.to[0].qp, &s.gid, 0), EINVAL);
	join(&s, 0);
	join(&s, 0);
	want_group(&s, 1);
	T_ERR(ibv_detach_mcast(s.to[1].qp, &s.gid, 0), EINVAL);
	want_group(&s, 1);
	leave(&s, 0);
	T_ASSERT(!in_filter(&s), "%s is in the filter", s.group->mac);
	want_group(&s, 0);
	T_ERR(ibv_detach_mcast(s.to[0].qp, &s.gid, 0), EINVAL);
}

static void refused(void)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RC, IBV_QPT_UC };
	static const char *const no_groups[] = { "10.75.0.2", "fd75::2", "::",
						 "0.0.0.0",
						 "255.255.255.255" };
	struct leg_opt opt = LEG_OPT;
	union ibv_gid gid;
	struct scene s;
	struct leg leg;
	unsigned int i;

	scene_open(&s, &group4);
	for (i = 0; i < T_ARRAY_SIZE(types); i++) {
		t_case("QP type %d", types[i]);
		opt.type = types[i];
		leg_open(&leg, &s.dev_b, SLOT, &opt);
		T_ERR(ibv_attach_mcast(leg.qp, &s.gid, 0), EINVAL);
		T_ERR(ibv_detach_mcast(leg.qp, &s.gid, 0), EINVAL);
		leg_close(&leg);
	}
	for (i = 0; i < T_ARRAY_SIZE(no_groups); i++) {
		t_case("%s", no_groups[i]);
		gid = t_gid_of(no_groups[i]);
		T_ERR(ibv_attach_mcast(s.to[0].qp, &gid, 0), EINVAL);
	}
	want_group(&s, 0);
	T_ASSERT(!in_filter(&s), "%s is in the filter", s.group->mac);
}

/* Not to be destroyed while it is in a group, unless its process ends. */
static void ends_attached(void)
{
	struct scene s;
	pid_t pid;

	scene_open(&s, t_this->arg);
	join(&s, 0);
	join(&s, 1);
	T_ERR(ibv_destroy_qp(s.to[0].qp), EBUSY);
	want_group(&s, 3);
	leave(&s, 0);
	T_OK(ibv_destroy_qp(s.to[0].qp));
	leave(&s, 1);
	T_ASSERT(!in_filter(&s), "%s is in the filter", s.group->mac);
	pid = t_fork();
	if (!pid) {
		scene_open(&s, t_this->arg);
		join(&s, 0);
		join(&s, 2);
		want_group(&s, 5);
		T_ASSERT(in_filter(&s), "%s is not in the filter",
			 s.group->mac);
		_exit(0);
	}
	t_reap(pid);
	T_ASSERT(!in_filter(&s), "%s is in the filter", s.group->mac);
}

static const struct t_test tests[] = {
	{ "members/v4", members, 0, &group4 },
	{ "members/v6", members, 0, &group6 },
	{ "other_group", other_group },
	{ "sender_joins/v4", sender_joins, 0, &group4 },
	{ "sender_joins/v6", sender_joins, 0, &group6 },
	{ "twice/v4", twice, 0, &group4 },
	{ "twice/v6", twice, 0, &group6 },
	{ "refused", refused },
	{ "ends_attached/v4", ends_attached, 0, &group4 },
	{ "ends_attached/v6", ends_attached, 0, &group6 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
