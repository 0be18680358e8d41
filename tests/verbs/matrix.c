// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * The transfer matrix: every operation between every two kinds of memory, at
 * sizes and places that no page, leaf or child boundary likes, each byte
 * compared and the bytes around them too. A line of TAP per operation, kinds
 * and process mode.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "matrix.h"

#define NR_GROUPS (5 * T_NR_KINDS * T_NR_KINDS * 2)

static const struct {
	enum ibv_wr_opcode opcode;
	const char *name;
	enum ibv_wc_opcode wc_opcode;
} ops[] = {
	{ IBV_WR_RDMA_WRITE, "write", IBV_WC_RDMA_WRITE },
	{ IBV_WR_RDMA_READ, "read", IBV_WC_RDMA_READ },
	{ IBV_WR_SEND, "send", IBV_WC_SEND },
	{ IBV_WR_RDMA_WRITE_WITH_IMM, "write_imm", IBV_WC_RDMA_WRITE },
	{ IBV_WR_ATOMIC_CMP_AND_SWP, "atomic", IBV_WC_COMP_SWAP },
};

static struct group groups[NR_GROUPS];
static struct t_test tests[NR_GROUPS];

static void source_and_target(struct side *side, struct peer *peer,
			      const struct xfer *xfer)
{
	bool read = xfer->opcode == IBV_WR_RDMA_READ;
	struct request req = { .xfer = *xfer };
	struct reply reply;

	req.command = CMD_SOURCE;
	if (read)
		peer_do(peer, &req, &reply);
	else
		side_do(side, &req, &reply);
	req.command = CMD_TARGET;
	if (read)
		side_do(side, &req, &reply);
	else
		peer_do(peer, &req, &reply);
}

static void post_xfer(struct side *side, const struct peer *peer,
		      const struct xfer *xfer)
{
	bool read = xfer->opcode == IBV_WR_RDMA_READ;
	const struct span *local = read ? &xfer->dst : &xfer->src;
	const struct span *remote = read ? &xfer->src : &xfer->dst;
	struct ibv_sge sge[MAX_PIECES];
	struct ibv_send_wr wr = {
		.wr_id = xfer->wr_id,
		.opcode = xfer->opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.sg_list = sge,
		.num_sge = local->nr,
		.imm_data = htobe32(xfer->imm),
		.wr.rdma = {
			.remote_addr = peer->window_iova[remote->pages] +
				       remote->piece[0].off,
			.rkey = peer->rkey[remote->pages],
		},
	};
	unsigned int i;

	for (i = 0; i < local->nr; i++)
		sge[i] = side_sge(side, local->pages, local->piece[i].off,
				  local->piece[i].len);
	T_OK(t_try_post(&side->ep, &wr));
}

static void run_xfer(struct side *side, struct peer *peer,
		     const struct xfer *xfer, enum ibv_wc_opcode wc_opcode,
		     struct reply *reply)
{
	struct request req = { .command = CMD_CHECK, .xfer = *xfer };
	struct ibv_wc wc;

	source_and_target(side, peer, xfer);
	post_xfer(side, peer, xfer);
	wc = t_want_wc(side->ep.scq, xfer->wr_id, IBV_WC_SUCCESS);
	T_ASSERT(wc.qp_num == side->ep.qp->qp_num, "completion of QP %#x",
		 wc.qp_num);
	T_ASSERT(wc.opcode == wc_opcode, "completion opcode %#x", wc.opcode);
	memset(reply, 0, sizeof(*reply));
	if (xfer->opcode == IBV_WR_RDMA_READ) {
		T_ASSERT(wc.byte_len == xfer->len, "byte_len is %u",
			 wc.byte_len);
		side_do(side, &req, reply);
	} else {
		peer_do(peer, &req, reply);
	}
}

void group_transfers(void)
{
	const struct group *group = t_this->arg;
	bool read = group->opcode == IBV_WR_RDMA_READ;
	struct request req = { .command = CMD_BACKGROUND };
	unsigned int nr_bad = 0;
	static struct side side;
	char first[768] = "";
	struct reply reply;
	struct xfer xfer;
	struct peer peer;
	struct plan plan;
	char text[256];
	size_t op = 0;

	while (ops[op].opcode != group->opcode)
		op++;
	peer_open(&peer, group->remote, group->other_process);
	side_open(&side, group->local);
	peer_connect(&peer, &side);
	if (read)
		side_do(&side, &req, &reply);
	else
		peer_do(&peer, &req, &reply);
	plan_init(&plan, group);
	while (plan_next(&plan, &xfer)) {
		xfer_describe(&xfer, text, sizeof(text));
		t_case("case %u: %s", plan.total, text);
		run_xfer(&side, &peer, &xfer, ops[op].wc_opcode, &reply);
		if (reply.bad && !nr_bad++)
			snprintf(first, sizeof(first), "case %u: %s: %s",
				 plan.total, text, reply.text);
	}
	t_case("after %u cases", plan.total);
	T_ASSERT(!nr_bad, "%u of %u cases wrong; %s", nr_bad, plan.total,
		 first);
	req.command = CMD_SWEEP;
	if (read)
		side_do(&side, &req, &reply);
	else
		peer_do(&peer, &req, &reply);
	T_ASSERT(!reply.bad, "%s", reply.text);
	peer_close(&peer);
	t_note("%u cases", plan.total);
}

static void make_group(unsigned int i)
{
	struct group *group = &groups[i];
	unsigned int n = i;
	char *name;

	group->number = i;
	group->other_process = n % 2;
	n /= 2;
	group->remote = n % T_NR_KINDS;
	n /= T_NR_KINDS;
	group->local = n % T_NR_KINDS;
	n /= T_NR_KINDS;
	group->opcode = ops[n].opcode;
	if (asprintf(&name, "%s/%s-%s/%s", ops[n].name,
		     t_kind_names[group->local], t_kind_names[group->remote],
		     group->other_process ? "processes" : "process") < 0)
		exit(T_EXIT_FAIL);
	tests[i].name = name;
	tests[i].arg = group;
	tests[i].seconds = 300;
	tests[i].fn = ops[n].opcode == IBV_WR_ATOMIC_CMP_AND_SWP ?
			      group_atomics :
			      group_transfers;
}

int main(int argc, char **argv)
{
	unsigned int i;

	for (i = 0; i < NR_GROUPS; i++)
		make_group(i);
	return t_main(argc, argv, tests, NR_GROUPS);
}
