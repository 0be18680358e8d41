// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Sets of counters, "rdma statistic qp": those of a bound QP are its own, and
 * the sums of the link are the same with and without
 */

#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/t_duo.h"
#include "common/t_tool.h"

#define LEN (2 * T_PAGE)

/* What is compared; of a set or of the link */
static const char *const names[] = { "tx_requests", "tx_bytes", "rx_requests",
				     "rx_bytes" };

struct sums {
	uint64_t value[T_ARRAY_SIZE(names)];
};

static char text[1 << 16];

static void read_sums(const char *from, struct sums *sums)
{
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(names); i++)
		sums->value[i] = t_number(from, names[i]);
}

static void link_sums(const struct t_dev *dev, struct sums *sums)
{
	T_ASSERT(!t_output(text, sizeof(text), "rdma statistic show link %s/1",
			   dev->name),
		 "rdma statistic: %s", text);
	read_sums(text, sums);
}

static void statistic(const struct t_dev *dev, const char *verb,
		      const char *what)
{
	T_ASSERT(!t_output(text, sizeof(text),
			   "rdma statistic qp %s link %s/1 %s", verb,
			   dev->name, what),
		 "rdma statistic qp %s %s: %s", verb, what, text);
}

/* Is a QP in a list such as "<17,20-22>"? */
static bool in_list(const char *list, uint32_t qpn)
{
	uint32_t first, last;
	char *end;

	do {
		first = strtoul(list + 1, &end, 10);
		last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
		if (qpn >= first && qpn <= last)
			return true;
		list = end;
	} while (*list == ',');
	return false;
}

/* What is shown of the set that the QP is bound to, or NULL */
static const char *set_of(const struct t_dev *dev, const struct ibv_qp *qp)
{
	char *set, *next, *list;

	statistic(dev, "show", "");
	for (set = strstr(text, " cntn "); set; set = next) {
		next = strstr(set + 1, " cntn ");
		if (next)
			*next++ = 0;
		list = strstr(set, "LQPN: <");
		if (list && in_list(list + 6, qp->qp_num))
			return set;
		if (next)
			*--next = ' ';
	}
	return NULL;
}

/* Returns the number of the set */
static unsigned int set_sums(const struct t_dev *dev, const struct ibv_qp *qp,
			     struct sums *sums)
{
	const char *set = set_of(dev, qp);

	T_ASSERT(set, "QP %u is bound to no set: %s", qp->qp_num, text);
	read_sums(set, sums);
	return t_number(set, "cntn");
}

static void bind_qp(const struct t_dev *dev, const struct ibv_qp *qp,
		    unsigned int set)
{
	char what[64];

	snprintf(what, sizeof(what), "lqpn %u", qp->qp_num);
	if (set)
		snprintf(what + strlen(what), 32, " cntn %u", set);
	statistic(dev, "bind", what);
}

static void unbind_qp(const struct t_dev *dev, const struct ibv_qp *qp,
		      unsigned int set)
{
	char what[64];

	snprintf(what, sizeof(what), "cntn %u lqpn %u", set, qp->qp_num);
	statistic(dev, "unbind", what);
}

static void want_sums(const struct sums *now, const struct sums *before,
		      uint64_t tx, uint64_t rx)
{
	const uint64_t wanted[] = { tx, tx * LEN, rx, rx * LEN };
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(names); i++)
		T_ASSERT(now->value[i] - before->value[i] == wanted[i],
			 "%s grew by %llu, want %llu", names[i],
			 (unsigned long long)(now->value[i] -
					      before->value[i]),
			 (unsigned long long)wanted[i]);
}

/* The link's counters since, with that many requests done and answered */
static void want_link(const struct t_dev *dev, const struct sums *before,
		      uint64_t requests)
{
	struct sums now;

	link_sums(dev, &now);
	want_sums(&now, before, requests, requests);
}

static void want_set(const struct t_dev *dev, const struct ibv_qp *qp,
		     uint64_t tx, uint64_t rx)
{
	static const struct sums zero;
	struct sums now;

	set_sums(dev, qp, &now);
	want_sums(&now, &zero, tx, rx);
}

static void writes(struct t_duo *d, unsigned int n)
{
	while (n--)
		t_duo_works(d);
}

/* Two pairs on one device */
static void two_pairs(struct t_duo *d, struct t_duo *e)
{
	t_duo_open(d, LEN, T_PINNED, NULL);
	memset(e, 0, sizeof(*e));
	e->dev = d->dev;
	t_duo_make(e, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
}

/* A set counts what its QPs do while they are bound, and nothing else. */
static void bound(void)
{
	struct sums before, sums;
	unsigned int set;
	struct t_duo d, e;

	two_pairs(&d, &e);
	writes(&d, 2);
	link_sums(&d.dev, &before);
	bind_qp(&d.dev, d.a.qp, 0);
	want_set(&d.dev, d.a.qp, 0, 0);
	writes(&d, 5);
	writes(&e, 3);
	want_set(&d.dev, d.a.qp, 5, 0);
	want_link(&d.dev, &before, 8);
	t_case("its peer in the same set");
	set = set_sums(&d.dev, d.a.qp, &sums);
	bind_qp(&d.dev, d.b.qp, set);
	writes(&d, 4);
	want_set(&d.dev, d.b.qp, 9, 4);
	want_link(&d.dev, &before, 12);
	t_case("without it");
	unbind_qp(&d.dev, d.b.qp, set);
	T_ASSERT(!set_of(&d.dev, d.b.qp), "bound still");
	writes(&d, 1);
	want_set(&d.dev, d.a.qp, 10, 4);
	t_case("nobody");
	unbind_qp(&d.dev, d.a.qp, set);
	T_ASSERT(!set_of(&d.dev, d.a.qp), "bound still");
	want_link(&d.dev, &before, 13);
	writes(&d, 1);
	want_link(&d.dev, &before, 14);
	t_case("a new set");
	bind_qp(&d.dev, d.a.qp, 0);
	want_set(&d.dev, d.a.qp, 0, 0);
	want_link(&d.dev, &before, 14);
	unbind_qp(&d.dev, d.a.qp, set_sums(&d.dev, d.a.qp, &sums));
}

/* A set has no page faults: those of the link stay as they are. */
static void link_unchanged(void)
{
	static char before[sizeof(text)];
	struct sums sums;
	struct t_duo d;

	t_duo_open(&d, LEN, T_EXPLICIT, NULL);
	writes(&d, 3);
	link_sums(&d.dev, &sums);
	memcpy(before, text, sizeof(before));
	bind_qp(&d.dev, d.a.qp, 0);
	link_sums(&d.dev, &sums);
	T_ASSERT(!strcmp(text, before), "a set changed\n%s to\n%s", before,
		 text);
	T_ASSERT(!strstr(set_of(&d.dev, d.a.qp), "page_faults"),
		 "a set has page faults");
}

/* What QPs that are gone did has been done. */
static void destroyed(void)
{
	struct sums before;
	struct t_duo d;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	link_sums(&d.dev, &before);
	bind_qp(&d.dev, d.a.qp, 0);
	bind_qp(&d.dev, d.b.qp, 0);
	writes(&d, 6);
	want_set(&d.dev, d.a.qp, 6, 0);
	want_set(&d.dev, d.b.qp, 0, 6);
	t_ep_close(&d.a);
	want_link(&d.dev, &before, 6);
	t_ep_close(&d.b);
	want_link(&d.dev, &before, 6);
	statistic(&d.dev, "show", "");
	T_ASSERT(!strstr(text, " cntn "), "a set is left: %s", text);
}

static void killed(void)
{
	struct sums before;
	struct t_dev dev;
	struct t_duo d;
	int status;
	pid_t pid;

	t_open(&dev);
	link_sums(&dev, &before);
	pid = t_fork();
	if (!pid) {
		t_duo_open(&d, LEN, T_PINNED, NULL);
		bind_qp(&d.dev, d.a.qp, 0);
		writes(&d, 7);
		raise(SIGKILL);
	}
	T_ASSERT(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status),
		 "the child ended by itself");
	want_link(&dev, &before, 7);
	statistic(&dev, "show", "");
	T_ASSERT(!strstr(text, " cntn "), "a set is left: %s", text);
}

/* A set for the QPs of each type that are set up from now on */
static void by_type(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT,
				    .port_num = T_PORT };
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_UC,
		.cap = { 1, 1, 1, 1, 0 },
	};
	unsigned int set, other;
	struct sums before, sums;
	struct t_duo d, e;
	struct ibv_qp *uc;

	t_duo_open(&e, LEN, T_PINNED, NULL);
	link_sums(&e.dev, &before);
	statistic(&e.dev, "set", "auto type on");
	memset(&d, 0, sizeof(d));
	d.dev = e.dev;
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	init.send_cq = d.a.scq;
	init.recv_cq = d.a.scq;
	uc = ibv_create_qp(d.dev.pd, &init);
	T_ASSERT(uc, "ibv_create_qp: %s", t_errname(errno));
	T_OK(ibv_modify_qp(uc, &attr,
			   IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				   IBV_QP_ACCESS_FLAGS));
	writes(&d, 5);
	writes(&e, 2);
	T_ASSERT(!set_of(&e.dev, e.a.qp), "bound, and was there before");
	want_set(&d.dev, d.a.qp, 5, 5);
	want_set(&d.dev, uc, 0, 0);
	set = set_sums(&d.dev, d.a.qp, &sums);
	other = set_sums(&d.dev, d.b.qp, &sums);
	T_ASSERT(set == other, "RC QPs in sets %u and %u", set, other);
	T_ASSERT(set != set_sums(&d.dev, uc, &sums), "UC in a set of RC");
	want_link(&d.dev, &before, 7);
	T_OK(ibv_destroy_qp(uc));
	t_ep_close(&d.a);
	want_set(&e.dev, d.b.qp, 5, 5);
	t_ep_close(&d.b);
	statistic(&e.dev, "set", "auto off");
	want_link(&e.dev, &before, 7);
	t_duo_make(&d, LEN, T_PINNED, T_ACCESS_ALL, T_ACCESS_ALL, NULL);
	T_ASSERT(!set_of(&d.dev, d.a.qp), "bound though it is off");
}

/* Bound and unbound under traffic: nothing is lost, nothing counts twice. */
static void busy(void)
{
	unsigned int rounds = t_full ? 30 : 3;
	unsigned int *stop = t_shared(sizeof(*stop));
	struct sums before, sums;
	unsigned int done = 0;
	struct t_duo d;
	unsigned int i;
	pid_t pid;

	t_duo_open(&d, LEN, T_PINNED, NULL);
	link_sums(&d.dev, &before);
	pid = t_fork();
	if (!pid) {
		for (i = 0; i < rounds; i++) {
			bind_qp(&d.dev, d.a.qp, 0);
			bind_qp(&d.dev, d.b.qp, 0);
			unbind_qp(&d.dev, d.b.qp,
				  set_sums(&d.dev, d.b.qp, &sums));
			unbind_qp(&d.dev, d.a.qp,
				  set_sums(&d.dev, d.a.qp, &sums));
		}
		__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
		_exit(0);
	}
	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
		t_duo_works(&d);
		done++;
	}
	t_reap(pid);
	want_link(&d.dev, &before, done);
	t_note("%u requests", done);
}

static const struct t_test tests[] = {
	{ "bound", bound },
	{ "link_unchanged", link_unchanged },
	{ "destroyed", destroyed },
	{ "killed", killed },
	{ "by_type", by_type },
	{ "busy", busy, 240 },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
