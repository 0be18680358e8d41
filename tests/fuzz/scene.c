// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Two queue pairs that are connected to each other, memory that they may use,
 * and their rings: what hardly comes about by chance, and without which no
 * data is ever sent
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <rdma/sodp-abi.h>

#include "fuzz.h"

#define WIRE_ONLY "/sys/module/sodp/parameters/wire_only"
/* Of enum ib_access_flags: local and remote write, remote read and atomic */
#define ALL_ACCESS 0xf
#define ON_DEMAND 0x40
#define RC 2
#define UC 3
#define UD 4

/* Of enum ib_qp_attr_mask, by type: to INIT, RTR and RTS */
static const uint32_t masks[][3] = {
	[RC] = { 0x39, 0x129181, 0x12e01 },
	[UC] = { 0x39, 0x101181, 0x10001 },
	[UD] = { 0x71, 0x1, 0x10001 },
};

static struct {
	unsigned char gid[16];
	uint8_t index;
} local;

struct scene {
	struct fz_thread *t;
	int fd;
	int bell;
	uint8_t type;
	uint32_t pd;
	uint32_t cq;
	struct sodp_create_cq_resp cq_map;
	struct {
		uint32_t handle;
		struct sodp_create_qp_resp map;
	} qp[2];
};

bool fz_scene_open(void)
{
	const char *index = getenv("SODP_GID_INDEX");
	const char *addr = getenv("SODP_ADDR");

	local.gid[10] = 0xff;
	local.gid[11] = 0xff;
	local.index = index ? atoi(index) : 0;
	return addr && inet_pton(AF_INET, addr, local.gid + 12) == 1;
}

/* body begins with room for the header; with a response, that comes next */
static bool command(struct scene *s, uint32_t number, void *body, size_t size)
{
	struct ib_uverbs_cmd_hdr *hdr = body;

	hdr->command = number;
	hdr->in_words = size / 4;
	hdr->out_words = FZ_PAGE / 16;
	return write(s->fd, body, size) == (ssize_t)size;
}

struct make_pd {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_alloc_pd cmd;
};

struct make_mr {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_reg_mr cmd;
};

struct make_cq {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_create_cq cmd;
};

struct make_qp {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_create_qp cmd;
	struct sodp_create_qp_cmd own;
};

struct modify_qp {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_modify_qp cmd;
};

struct make_ah {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_create_ah cmd;
};

static bool make_pd(struct scene *s)
{
	struct make_pd c = {
		.cmd.response = (uintptr_t)s->t->resp,
	};

	if (!command(s, IB_USER_VERBS_CMD_ALLOC_PD, &c, sizeof(c)))
		return false;
	s->pd = ((struct ib_uverbs_alloc_pd_resp *)s->t->resp)->pd_handle;
	return true;
}

/* A part of the arena, pinned, or all of it on demand */
static bool make_mr(struct scene *s)
{
	bool pinned = fz_one_in(&s->t->rand, 4);
	struct make_mr c = {
		.cmd.response = (uintptr_t)s->t->resp,
		.cmd.start = (uintptr_t)fz_arena,
		.cmd.hca_va = (uintptr_t)fz_arena,
		.cmd.length = pinned ? 16 * FZ_PAGE : FZ_ARENA,
		.cmd.pd_handle = s->pd,
		.cmd.access_flags = ALL_ACCESS | (pinned ? 0 : ON_DEMAND),
	};

	if (!command(s, IB_USER_VERBS_CMD_REG_MR, &c, sizeof(c)))
		return false;
	s->t->key[s->t->keys++ % FZ_KEPT] =
		((struct ib_uverbs_reg_mr_resp *)s->t->resp)->rkey;
	return true;
}

static bool make_cq(struct scene *s)
{
	struct ib_uverbs_create_cq_resp *resp = (void *)s->t->resp;
	struct make_cq c = {
		.cmd.response = (uintptr_t)resp,
		.cmd.cqe = 64,
		.cmd.comp_channel = -1,
	};

	if (!command(s, IB_USER_VERBS_CMD_CREATE_CQ, &c, sizeof(c)))
		return false;
	s->cq = resp->cq_handle;
	memcpy(&s->cq_map, resp + 1, sizeof(s->cq_map));
	return true;
}

static bool make_qp(struct scene *s, unsigned int i)
{
	struct ib_uverbs_create_qp_resp *resp = (void *)s->t->resp;
	struct make_qp c = {
		.cmd.response = (uintptr_t)resp,
		.cmd.pd_handle = s->pd,
		.cmd.send_cq_handle = s->cq,
		.cmd.recv_cq_handle = s->cq,
		.cmd.max_send_wr = 16,
		.cmd.max_recv_wr = 16,
		.cmd.max_send_sge = 4,
		.cmd.max_recv_sge = 4,
		.cmd.max_inline_data = 64,
		.cmd.sq_sig_all = fz_one_in(&s->t->rand, 2),
		.cmd.qp_type = s->type,
	};

	if (!command(s, IB_USER_VERBS_CMD_CREATE_QP, &c, sizeof(c)))
		return false;
	s->qp[i].handle = resp->qp_handle;
	memcpy(&s->qp[i].map, resp + 1, sizeof(s->qp[i].map));
	s->t->qpn[s->t->qpns++ % FZ_KEPT] = resp->qpn;
	return true;
}

static bool connect_qp(struct scene *s, unsigned int i)
{
	struct fz_rand *r = &s->t->rand;
	struct modify_qp c = {
		.cmd.qp_handle = s->qp[i].handle,
		.cmd.qkey = 0x1234,
		.cmd.dest_qp_num = s->qp[!i].map.qpn,
		.cmd.qp_access_flags = ALL_ACCESS,
		.cmd.path_mtu = 1 + fz_below(r, 5),
		.cmd.max_rd_atomic = fz_below(r, 5),
		.cmd.max_dest_rd_atomic = fz_below(r, 5),
		.cmd.min_rnr_timer = 1,
		.cmd.port_num = 1,
		.cmd.timeout = 8,
		.cmd.retry_cnt = fz_below(r, 3),
		.cmd.rnr_retry = fz_below(r, 3),
	};
	unsigned int state;

	memcpy(c.cmd.dest.dgid, local.gid, 16);
	c.cmd.dest.sgid_index = local.index;
	c.cmd.dest.is_global = 1;
	c.cmd.dest.hop_limit = 8;
	c.cmd.dest.port_num = 1;
	for (state = 0; state < 3; state++) {
		c.cmd.qp_state = state + 1;
		c.cmd.attr_mask = masks[s->type][state];
		if (!command(s, IB_USER_VERBS_CMD_MODIFY_QP, &c, sizeof(c)))
			return false;
	}
	return true;
}

static bool make_ah(struct scene *s)
{
	struct ib_uverbs_create_ah_resp *resp = (void *)s->t->resp;
	struct sodp_create_ah_resp own;
	struct make_ah c = {
		.cmd.response = (uintptr_t)resp,
		.cmd.pd_handle = s->pd,
		.cmd.attr.is_global = 1,
		.cmd.attr.port_num = 1,
		.cmd.attr.grh.sgid_index = local.index,
		.cmd.attr.grh.hop_limit = 8,
	};

	memcpy(c.cmd.attr.grh.dgid, local.gid, 16);
	if (!command(s, IB_USER_VERBS_CMD_CREATE_AH, &c, sizeof(c)))
		return false;
	memcpy(&own, resp->driver_data, sizeof(own));
	s->t->ah = own.ah;
	return true;
}

static bool make_bell(struct scene *s)
{
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attr;
	} q = {
		.hdr.length = sizeof(q),
		.hdr.object_id = SODP_OBJECT_DOORBELL,
		.hdr.method_id = SODP_METHOD_DOORBELL_ALLOC,
		.hdr.num_attrs = 1,
		.hdr.driver_id = SODP_DRIVER_ID,
		.attr.attr_id = SODP_ATTR_DOORBELL_ALLOC_FD,
		.attr.flags = UVERBS_ATTR_F_MANDATORY,
	};

	if (ioctl(s->fd, RDMA_VERBS_IOCTL, &q.hdr))
		return false;
	if (s->t->bell >= 0)
		close(s->t->bell);
	s->t->bell = q.attr.data;
	return true;
}

static void *map(struct scene *s, uint64_t offset, uint64_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 s->fd, offset);

	return mem == MAP_FAILED ? NULL : mem;
}

static bool map_rings(struct scene *s)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct sodp_create_qp_resp *m = &s->qp[i].map;
		struct fz_ring *ring =
			&s->t->ring[fz_below(&s->t->rand, FZ_KEPT)];

		fz_ring_drop(ring);
		ring->mem = map(s, m->mmap_offset, m->mmap_size);
		ring->size = m->mmap_size;
		ring->cq = map(s, s->cq_map.mmap_offset, s->cq_map.mmap_size);
		ring->cq_size = s->cq_map.mmap_size;
		if (!ring->mem || !ring->cq) {
			fz_ring_drop(ring);
			return false;
		}
		ring->qp = *m;
		ring->bell = dup(s->t->bell);
		ring->datagrams = s->type == UD;
	}
	return true;
}

/* Peers on one host are reached directly, or by packets all the same */
static void set_wire(bool only)
{
	int fd = open(WIRE_ONLY, O_WRONLY);

	if (fd < 0)
		return;
	/* Where that fails it stays as it was */
	(void)!write(fd, only ? "1" : "0", 1);
	close(fd);
}

int fz_scene(struct fz_thread *t)
{
	static const uint8_t types[] = { RC, RC, RC, UC, UD };
	struct scene s = { .t = t, .fd = fz_fd(t) };

	s.type = types[fz_below(&t->rand, sizeof(types))];
	if (fz_one_in(&t->rand, 3))
		set_wire(fz_one_in(&t->rand, 2));
	if (!make_pd(&s) || !make_mr(&s) || !make_cq(&s) || !make_qp(&s, 0) ||
	    !make_qp(&s, 1) || !make_bell(&s) || !make_ah(&s))
		return -1;
	if (!connect_qp(&s, 0) || !connect_qp(&s, 1))
		return -1;
	return map_rings(&s) ? 0 : -1;
}
