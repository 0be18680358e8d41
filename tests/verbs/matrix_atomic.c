// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The atomic part of the matrix: both operations at every 8-byte offset of a
 * page, and at no other offset.
 */

#include "matrix.h"

struct atomic_case {
	bool cas;
	bool match; /* of a CAS */
	uint64_t before;
	uint64_t compare_add;
	uint64_t swap;
	uint64_t after;
};

static void make_case(struct atomic_case *c, struct t_rand *rand)
{
	memset(c, 0, sizeof(*c));
	c->before = t_rand(rand);
	c->cas = t_rand_below(rand, 2);
	if (!c->cas) {
		c->compare_add = t_rand(rand);
		c->after = c->before + c->compare_add;
		return;
	}
	c->match = t_rand_below(rand, 2);
	c->swap = t_rand(rand);
	/* One bit decides */
	c->compare_add = c->before;
	if (!c->match)
		c->compare_add ^= 1ULL << t_rand_below(rand, 64);
	c->after = c->match ? c->swap : c->before;
}

static int post_atomic(struct side *side, const struct peer *peer,
		       const struct atomic_case *c, struct ibv_sge sge,
		       enum t_pages pages, uint64_t off)
{
	struct ibv_send_wr wr = {
		.wr_id = c->before,
		.opcode = c->cas ? IBV_WR_ATOMIC_CMP_AND_SWP :
				   IBV_WR_ATOMIC_FETCH_AND_ADD,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = &sge,
		.num_sge = 1,
		.wr.atomic = {
			.remote_addr = peer->window_iova[pages] + off,
			.rkey = peer->rkey[pages],
			.compare_add = c->compare_add,
			.swap = c->swap,
		},
	};

	return t_try_post(&side->ep, &wr);
}

/* One atomic; an empty text when all is right */
static void run_case(struct side *side, struct peer *peer,
		     struct t_rand *rand, unsigned int index, char *text,
		     size_t size)
{
	uint64_t local_off = WINDOW_HALF + t_rand_below(rand, T_HUGE);
	enum t_pages local_pages = t_rand_below(rand, T_NR_PAGES);
	struct request req = { .command = CMD_WORD_SET };
	struct atomic_case c;
	struct reply reply;
	struct ibv_sge sge;
	uint64_t fetched;
	struct ibv_wc wc;
	char *result;

	make_case(&c, rand);
	req.word.pages = t_rand_below(rand, T_NR_PAGES);
	req.word.cold = t_rand_below(rand, 8) == 0;
	/* The last page of one child, then the first of the next */
	req.word.off = WINDOW_HALF - T_PAGE + 8 * (index % 1024);
	req.word.value = c.before;
	peer_do(peer, &req, &reply);
	result = side->arena[local_pages].window + local_off;
	t_fill_background(result - 8, 24);
	sge = side_sge(side, local_pages, local_off, 8);
	T_OK(post_atomic(side, peer, &c, sge, req.word.pages, req.word.off));
	wc = t_want_wc(side->ep.scq, c.before, IBV_WC_SUCCESS);
	memcpy(&fetched, result, 8);
	text[0] = 0;
	if (wc.opcode != (c.cas ? IBV_WC_COMP_SWAP : IBV_WC_FETCH_ADD))
		snprintf(text, size, "completion opcode %#x", wc.opcode);
	if (fetched != c.before)
		snprintf(text, size, "fetched %#llx, must be %#llx",
			 (unsigned long long)fetched,
			 (unsigned long long)c.before);
	if (t_check_background(result - 8, 8) >= 0 ||
	    t_check_background(result + 8, 8) >= 0)
		snprintf(text, size, "bytes around the result changed");
	req.command = CMD_WORD_CHECK;
	req.word.value = c.after;
	peer_do(peer, &req, &reply);
	if (reply.bad && !text[0])
		snprintf(text, size, "%.200s", reply.text);
}

/* The provider may refuse it when it is posted, or the responder later. */
static void unaligned(const struct group *group, unsigned int shift)
{
	struct atomic_case c = { .before = shift, .cas = shift & 1 };
	static struct side side;
	struct peer peer;
	struct request req = { .command = CMD_BACKGROUND };
	struct reply reply;
	int ret;

	t_case("atomic at 8n+%u", shift);
	peer_open(&peer, group->remote, group->other_process);
	side_open(&side, group->local);
	peer_connect(&peer, &side);
	peer_do(&peer, &req, &reply);
	ret = post_atomic(&side, &peer, &c, side_sge(&side, T_SMALL, 0, 8),
			  T_SMALL, WINDOW_HALF + 64 + shift);
	if (ret)
		T_ASSERT(ret == EINVAL, "ibv_post_send: %s", t_errname(ret));
	else
		t_want_wc(side.ep.scq, shift, IBV_WC_REM_INV_REQ_ERR);
	req.command = CMD_SWEEP;
	peer_do(&peer, &req, &reply);
	T_ASSERT(!reply.bad, "%s", reply.text);
	peer_close(&peer);
}

void group_atomics(void)
{
	const struct group *group = t_this->arg;
	unsigned int total = t_quick ? 128 : t_full ? 4096 : 1024;
	struct t_rand rand = { .state = group->number };
	unsigned int nr_bad = 0;
	static struct side side;
	char first[512] = "";
	struct peer peer;
	char text[256];
	unsigned int i;

	peer_open(&peer, group->remote, group->other_process);
	side_open(&side, group->local);
	peer_connect(&peer, &side);
	if (side.dev.attr.orig_attr.atomic_cap == IBV_ATOMIC_NONE)
		t_skip("no atomics");
	if (group->other_process)
		total /= 2;
	for (i = 0; i < total; i++) {
		run_case(&side, &peer, &rand, i, text, sizeof(text));
		if (text[0] && !nr_bad++)
			snprintf(first, sizeof(first), "case %u: %s", i, text);
	}
	T_ASSERT(!nr_bad, "%u of %u cases wrong; %s", nr_bad, total, first);
	peer_close(&peer);
	t_note("%u cases", total);
	/* Each of these costs a pair, and windows: not in every group */
	if (!group->other_process && group->local == group->remote)
		for (i = 1; i < 8; i += t_quick ? 3 : 1)
			unaligned(group, i);
}
