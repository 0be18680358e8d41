// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What a provider of tomorrow may say behind a command of today: as long as it
 * is zero it is not there, and otherwise the command is refused, for a kernel
 * that does not know it cannot do it. The commands go by write(), as old
 * libraries have them.
 */

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include <rdma/ib_user_verbs.h>
#include <rdma/sodp-abi.h>

#include "common/t_duo.h"

#define TAIL 32

struct scene {
	struct t_dev dev;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_srq *srq;
	struct ibv_mr *mr;
	char *page;
};

static void scene_open(struct scene *s)
{
	struct ibv_srq_init_attr srq = { .attr = { 4, 1, 0 } };
	struct ibv_qp_init_attr qp = {
		.qp_type = IBV_QPT_RC,
		.cap = { 1, 1, 1, 1, 0 },
	};

	t_open(&s->dev);
	if (strncmp(s->dev.name, "sodp", 4))
		t_skip("not a sodp device");
	s->page = t_map(T_PAGE);
	s->cq = ibv_create_cq(s->dev.ctx, 4, NULL, NULL, 0);
	s->srq = ibv_create_srq(s->dev.pd, &srq);
	s->mr = t_reg(s->dev.pd, s->page, T_PAGE, T_ACCESS_ALL);
	qp.send_cq = s->cq;
	qp.recv_cq = s->cq;
	s->qp = ibv_create_qp(s->dev.pd, &qp);
	T_ASSERT(s->cq && s->srq && s->qp, "no queues: %s", t_errname(errno));
}

/* All commands; what begins with a response begins with its address */
union command {
	__u64 response;
	struct ib_uverbs_alloc_pd alloc_pd;
	struct ib_uverbs_reg_mr reg_mr;
	struct ib_uverbs_rereg_mr rereg_mr;
	struct ib_uverbs_alloc_mw alloc_mw;
	struct ib_uverbs_create_cq create_cq;
	struct ib_uverbs_resize_cq resize_cq;
	struct ib_uverbs_create_qp create_qp;
	struct ib_uverbs_modify_qp modify_qp;
	struct ib_uverbs_create_srq create_srq;
	struct ib_uverbs_modify_srq modify_srq;
	struct ib_uverbs_create_ah create_ah;
	struct ib_uverbs_open_xrcd open_xrcd;
};

static void fill_alloc_pd(const struct scene *s, union command *c)
{
}

static void fill_reg_mr(const struct scene *s, union command *c)
{
	c->reg_mr.start = (uintptr_t)s->page;
	c->reg_mr.length = T_PAGE;
	c->reg_mr.hca_va = (uintptr_t)s->page;
	c->reg_mr.pd_handle = s->dev.pd->handle;
	c->reg_mr.access_flags = IBV_ACCESS_LOCAL_WRITE;
}

static void fill_rereg_mr(const struct scene *s, union command *c)
{
	c->rereg_mr.mr_handle = s->mr->handle;
	c->rereg_mr.flags = IBV_REREG_MR_CHANGE_ACCESS;
	c->rereg_mr.access_flags = IBV_ACCESS_LOCAL_WRITE;
}

static void fill_alloc_mw(const struct scene *s, union command *c)
{
	c->alloc_mw.pd_handle = s->dev.pd->handle;
	c->alloc_mw.mw_type = IBV_MW_TYPE_2;
}

static void fill_create_cq(const struct scene *s, union command *c)
{
	c->create_cq.cqe = 1;
	c->create_cq.comp_channel = -1;
}

static void fill_resize_cq(const struct scene *s, union command *c)
{
	c->resize_cq.cq_handle = s->cq->handle;
	c->resize_cq.cqe = 8;
}

static void fill_create_qp(const struct scene *s, union command *c)
{
	c->create_qp.pd_handle = s->dev.pd->handle;
	c->create_qp.send_cq_handle = s->cq->handle;
	c->create_qp.recv_cq_handle = s->cq->handle;
	c->create_qp.max_send_wr = 1;
	c->create_qp.max_recv_wr = 1;
	c->create_qp.max_send_sge = 1;
	c->create_qp.max_recv_sge = 1;
	c->create_qp.qp_type = IBV_QPT_RC;
}

static void fill_modify_qp(const struct scene *s, union command *c)
{
	c->modify_qp.qp_handle = s->qp->handle;
	c->modify_qp.attr_mask = IBV_QP_STATE;
	c->modify_qp.qp_state = IBV_QPS_RESET;
}

static void fill_create_srq(const struct scene *s, union command *c)
{
	c->create_srq.pd_handle = s->dev.pd->handle;
	c->create_srq.max_wr = 1;
	c->create_srq.max_sge = 1;
}

static void fill_modify_srq(const struct scene *s, union command *c)
{
	c->modify_srq.srq_handle = s->srq->handle;
	c->modify_srq.attr_mask = IBV_SRQ_LIMIT;
	c->modify_srq.srq_limit = 0;
}

static void fill_create_ah(const struct scene *s, union command *c)
{
	c->create_ah.pd_handle = s->dev.pd->handle;
	c->create_ah.attr.is_global = 1;
	c->create_ah.attr.port_num = T_PORT;
	c->create_ah.attr.grh.sgid_index = s->dev.gid_index;
	memcpy(c->create_ah.attr.grh.dgid, s->dev.gid.raw, 16);
}

static void fill_open_xrcd(const struct scene *s, union command *c)
{
	c->open_xrcd.fd = -1;
	c->open_xrcd.oflags = O_CREAT;
}

#define VERB(NAME, name, known)                                           \
	{                                                                 \
		IB_USER_VERBS_CMD_##NAME, #name,                          \
			sizeof(struct ib_uverbs_##name), known,           \
			fill_##name                                       \
	}

static const struct verb {
	uint32_t command;
	const char *name;
	size_t size;
	unsigned int known; /* bytes that the verb takes of its provider */
	void (*fill)(const struct scene *s, union command *c);
} verbs[] = {
	VERB(ALLOC_PD, alloc_pd, 0),
	VERB(REG_MR, reg_mr, 0),
	VERB(REREG_MR, rereg_mr, 0),
	VERB(ALLOC_MW, alloc_mw, 0),
	VERB(CREATE_CQ, create_cq, 0),
	VERB(RESIZE_CQ, resize_cq, 0),
	VERB(CREATE_QP, create_qp, sizeof(struct sodp_create_qp_cmd)),
	VERB(MODIFY_QP, modify_qp, 0),
	VERB(CREATE_SRQ, create_srq, sizeof(struct sodp_create_srq_cmd)),
	VERB(MODIFY_SRQ, modify_srq, sizeof(struct sodp_modify_srq_cmd)),
	VERB(CREATE_AH, create_ah, 0),
	VERB(OPEN_XRCD, open_xrcd, 0),
};

/* A command with TAIL bytes behind it: 0 or an errno */
static int run(int fd, const struct verb *verb, const struct scene *s,
	       const char tail[TAIL])
{
	char out[1024] __attribute__((aligned(8)));
	char in[512] __attribute__((aligned(8)));
	struct ib_uverbs_cmd_hdr *hdr = (struct ib_uverbs_cmd_hdr *)in;
	size_t len = sizeof(*hdr) + verb->size + TAIL;
	bool answers = verb->command != IB_USER_VERBS_CMD_MODIFY_QP &&
		       verb->command != IB_USER_VERBS_CMD_MODIFY_SRQ;
	union command command;

	memset(&command, 0, sizeof(command));
	if (answers)
		command.response = (uintptr_t)out;
	verb->fill(s, &command);
	hdr->command = verb->command;
	hdr->in_words = len / 4;
	hdr->out_words = answers ? sizeof(out) / 4 : 0;
	memcpy(in + sizeof(*hdr), &command, verb->size);
	memcpy(in + sizeof(*hdr) + verb->size, tail, TAIL);
	return write(fd, in, len) == (ssize_t)len ? 0 : errno;
}

static void commands(void)
{
	char tail[TAIL];
	struct scene s;
	unsigned int i, at;
	int refused;

	scene_open(&s);
	for (i = 0; i < T_ARRAY_SIZE(verbs); i++) {
		t_case("%s", verbs[i].name);
		memset(tail, 0, sizeof(tail));
		T_ERR(run(s.dev.ctx->cmd_fd, &verbs[i], &s, tail), 0);
		/* uverbs itself sees to this one */
		refused = verbs[i].command == IB_USER_VERBS_CMD_MODIFY_QP ?
				  EOPNOTSUPP : EINVAL;
		for (at = verbs[i].known; at < TAIL; at++) {
			t_case("%s, byte %u", verbs[i].name, at);
			memset(tail, 0, sizeof(tail));
			tail[at] = 0x40;
			T_ERR(run(s.dev.ctx->cmd_fd, &verbs[i], &s, tail),
			      refused);
		}
	}
}

/* The same for the command that begins everything */
static void context(void)
{
	struct ib_uverbs_get_context_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_get_context cmd;
		char tail[TAIL];
	} in = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_GET_CONTEXT,
			.in_words = sizeof(in) / 4,
			.out_words = sizeof(resp) / 4,
		},
		.cmd = { .response = (uintptr_t)&resp },
	};
	struct scene s;
	char path[256];
	int fd;

	scene_open(&s);
	snprintf(path, sizeof(path), "/dev/infiniband/%s",
		 s.dev.ctx->device->dev_name);
	fd = open(path, O_RDWR);
	T_ASSERT(fd >= 0, "%s: %s", path, t_errname(errno));
	in.tail[TAIL - 1] = 1;
	T_ASSERT(write(fd, &in, sizeof(in)) < 0 && errno == EINVAL,
		 "not refused: %s", t_errname(errno));
	in.tail[TAIL - 1] = 0;
	T_ASSERT(write(fd, &in, sizeof(in)) == sizeof(in), "refused: %s",
		 t_errname(errno));
	close(resp.async_fd);
	close(fd);
}

static const struct t_test tests[] = {
	{ "commands", commands },
	{ "context", context },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, tests, T_ARRAY_SIZE(tests));
}
