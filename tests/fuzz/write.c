// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* uverbs commands by write(2) */

#include <string.h>
#include <unistd.h>

#include <rdma/ib_user_verbs.h>

#include "fuzz.h"

/*
 * A command's fields, one character each:
 *
 * R A L U	response, address, length, user's handle	8 bytes
 * h n m q f c Z i	handle, number, bits, QP number, access, channel or
 *		-1, zero, -1 most often (a descriptor)		4
 * M		attr_mask of a state, which is kept for s	4
 * w		number						2
 * b . s t p y	number, zero, state, QP type, port, 1 or 2	1
 * g		GID						16
 *
 * An extended command has no R, which is in its header.
 */
struct command {
	uint32_t number;
	const char *fields;
};

#define EX IB_USER_VERBS_CMD_FLAG_EXTENDED
#define DEST "gnw..bbbbbbyp"
#define MODIFY DEST DEST "hMnnnqfwwssbbbbbbpbbbpb.."

static const struct command commands[] = {
	{ IB_USER_VERBS_CMD_QUERY_DEVICE, "R" },
	{ IB_USER_VERBS_CMD_QUERY_PORT, "Rp......." },
	{ IB_USER_VERBS_CMD_ALLOC_PD, "R" },
	{ IB_USER_VERBS_CMD_DEALLOC_PD, "h" },
	{ IB_USER_VERBS_CMD_CREATE_AH, "RUhZgnbbb.wbbbyp." },
	{ IB_USER_VERBS_CMD_DESTROY_AH, "h" },
	{ IB_USER_VERBS_CMD_REG_MR, "RALAhf" },
	{ IB_USER_VERBS_CMD_REREG_MR, "RhmALAhf" },
	{ IB_USER_VERBS_CMD_DEREG_MR, "h" },
	{ IB_USER_VERBS_CMD_ALLOC_MW, "Rhy..." },
	{ IB_USER_VERBS_CMD_DEALLOC_MW, "h" },
	{ IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL, "R" },
	{ IB_USER_VERBS_CMD_CREATE_CQ, "RUnZcZ" },
	{ IB_USER_VERBS_CMD_RESIZE_CQ, "Rhn" },
	{ IB_USER_VERBS_CMD_DESTROY_CQ, "RhZ" },
	{ IB_USER_VERBS_CMD_POLL_CQ, "Rhn" },
	{ IB_USER_VERBS_CMD_REQ_NOTIFY_CQ, "hn" },
	{ IB_USER_VERBS_CMD_CREATE_QP, "RUhhhhnnnnnbt..UU" },
	{ IB_USER_VERBS_CMD_CREATE_QP, "RUhhhhnnnnnbty.UU" },
	{ IB_USER_VERBS_CMD_QUERY_QP, "Rhm" },
	{ IB_USER_VERBS_CMD_MODIFY_QP, MODIFY },
	{ IB_USER_VERBS_CMD_MODIFY_QP, MODIFY },
	{ IB_USER_VERBS_CMD_MODIFY_QP, MODIFY },
	{ IB_USER_VERBS_CMD_DESTROY_QP, "RhZ" },
	{ IB_USER_VERBS_CMD_POST_SEND, "RhnnnUUUUU" },
	{ IB_USER_VERBS_CMD_POST_RECV, "RhnnnUUUUU" },
	{ IB_USER_VERBS_CMD_ATTACH_MCAST, "ghww" },
	{ IB_USER_VERBS_CMD_DETACH_MCAST, "ghww" },
	{ IB_USER_VERBS_CMD_CREATE_SRQ, "RUhnnnU" },
	{ IB_USER_VERBS_CMD_MODIFY_SRQ, "hmnnR" },
	{ IB_USER_VERBS_CMD_QUERY_SRQ, "RhZ" },
	{ IB_USER_VERBS_CMD_DESTROY_SRQ, "RhZ" },
	{ IB_USER_VERBS_CMD_OPEN_XRCD, "Rin" },
	{ IB_USER_VERBS_CMD_CLOSE_XRCD, "h" },
	{ IB_USER_VERBS_CMD_CREATE_XSRQ, "RUnhnnnnhhU" },
	{ IB_USER_VERBS_CMD_OPEN_QP, "RUhqt......." },
	{ EX | IB_USER_VERBS_EX_CMD_QUERY_DEVICE, "mZ" },
	{ EX | IB_USER_VERBS_EX_CMD_CREATE_CQ, "UnZcmmZ" },
	{ EX | IB_USER_VERBS_EX_CMD_CREATE_QP, "UhhhhnnnnnbtymmhqUU" },
	{ EX | IB_USER_VERBS_EX_CMD_MODIFY_QP, MODIFY "nZ" },
	{ EX | IB_USER_VERBS_EX_CMD_MODIFY_CQ, "hmwwZ" },
	{ EX | IB_USER_VERBS_EX_CMD_CREATE_FLOW, "mhmmmm" },
	{ EX | IB_USER_VERBS_EX_CMD_CREATE_WQ, "mbUhhnnmm" },
};

/* Attributes that go with a state: RESET, INIT, RTR, RTS, SQD, SQE, ERR */
static const uint32_t masks[] = {
	1, 1 | 1 << 4 | 1 << 5 | 1 << 3, 0x129181 | 1 << 15, 0x12e01 | 1 << 13,
	1, 1, 1,
};

struct writer {
	struct fz_thread *t;
	unsigned char *at;
	unsigned int state;
};

static void put(struct writer *w, uint64_t value, unsigned int size)
{
	memcpy(w->at, &value, size);
	w->at += size;
}

static uint32_t number(struct fz_rand *r)
{
	if (fz_one_in(r, 40))
		return fz_odd(r);
	return fz_below(r, fz_one_in(r, 3) ? 600 : 17);
}

static void put_gid(struct writer *w)
{
	struct fz_rand *r = &w->t->rand;
	unsigned int i;

	/* ::ffff:127.0.0.1 and the like, a group, or anything */
	for (i = 0; i < 10; i++)
		put(w, fz_one_in(r, 50) ? fz_rand(r) : 0, 1);
	put(w, 0xffff, 2);
	put(w, fz_one_in(r, 2) ? 0x0100007f : 0x010010ac, 4);
	if (fz_one_in(r, 3))
		w->at[-16] = 0xff;
}

static void put_mask(struct writer *w)
{
	struct fz_rand *r = &w->t->rand;

	w->state = fz_below(r, 7);
	put(w, fz_one_in(r, 6) ? fz_odd(r) : masks[w->state], 4);
}

static void put_8(struct writer *w, char field)
{
	struct fz_thread *t = w->t;

	switch (field) {
	case 'R':
		put(w, (uintptr_t)t->resp, 8);
		break;
	case 'A':
		put(w, fz_addr(t), 8);
		break;
	case 'L':
		put(w, fz_length(t), 8);
		break;
	default:
		put(w, fz_rand(&t->rand), 8);
		break;
	}
}

static void put_4(struct writer *w, char field)
{
	struct fz_thread *t = w->t;
	struct fz_rand *r = &t->rand;

	switch (field) {
	case 'h':
		put(w, fz_handle(t), 4);
		break;
	case 'q':
		put(w, fz_qpn(t), 4);
		break;
	case 'f':
		put(w, fz_one_in(r, 10) ? fz_odd(r) : fz_below(r, 128), 4);
		break;
	case 'c':
		put(w, fz_one_in(r, 2) ? -1 : t->channel, 4);
		break;
	case 'i':
		put(w, fz_one_in(r, 8) ? fz_below(r, 30) : -1U, 4);
		break;
	case 'm':
		put(w, fz_one_in(r, 4) ? fz_odd(r) : fz_below(r, 8), 4);
		break;
	case 'Z':
		put(w, 0, 4);
		break;
	default:
		put(w, number(r), 4);
		break;
	}
}

static void put_1(struct writer *w, char field)
{
	static const uint8_t types[] = { 2, 2, 2, 3, 4, 9, 10 };
	struct fz_rand *r = &w->t->rand;

	switch (field) {
	case '.':
		put(w, 0, 1);
		break;
	case 's':
		put(w, fz_one_in(r, 20) ? fz_rand(r) : w->state, 1);
		break;
	case 't':
		put(w, types[fz_below(r, sizeof(types))], 1);
		break;
	case 'p':
		put(w, fz_one_in(r, 20) ? fz_rand(r) : 1, 1);
		break;
	case 'y':
		put(w, 1 + fz_below(r, 2), 1);
		break;
	default:
		put(w, fz_one_in(r, 8) ? fz_rand(r) : fz_below(r, 15), 1);
		break;
	}
}

static void put_fields(struct writer *w, const char *fields)
{
	for (; *fields; fields++) {
		if (strchr("RALU", *fields))
			put_8(w, *fields);
		else if (strchr("hnmqfcZi", *fields))
			put_4(w, *fields);
		else if (*fields == 'M')
			put_mask(w);
		else if (*fields == 'w')
			put(w, number(&w->t->rand), 2);
		else if (*fields == 'g')
			put_gid(w);
		else
			put_1(w, *fields);
	}
}

/* What answers tell: the numbers of queue pairs, offsets to map */
static void learn(struct fz_thread *t, uint32_t command, int fd)
{
	const uint32_t *word = (const uint32_t *)t->resp;
	unsigned int i, skip;
	struct fz_map *map;

	switch (command) {
	case IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL:
		if (t->channel >= 0)
			close(t->channel);
		t->channel = word[0];
		return;
	case IB_USER_VERBS_CMD_CREATE_QP:
		t->qpn[t->qpns++ % FZ_KEPT] = word[1];
		skip = sizeof(struct ib_uverbs_create_qp_resp);
		break;
	case IB_USER_VERBS_CMD_CREATE_CQ:
		skip = sizeof(struct ib_uverbs_create_cq_resp);
		break;
	case IB_USER_VERBS_CMD_CREATE_SRQ:
		skip = sizeof(struct ib_uverbs_create_srq_resp);
		break;
	default:
		return;
	}
	/* After comp_mask: mmap_offset, mmap_size */
	i = skip / 8 + 1;
	map = &t->map[t->maps++ % FZ_KEPT];
	map->fd = fd;
	map->offset = t->resp[i];
	map->size = t->resp[i + 1];
}

static void spoil(struct fz_rand *r, unsigned char *command, size_t size)
{
	unsigned int i, nr = 1 + fz_below(r, 3);
	uint64_t value;

	for (i = 0; i < nr && size >= 8; i++) {
		value = fz_odd(r);
		memcpy(command + 4 * fz_below(r, size / 4 - 1), &value,
		       fz_one_in(r, 2) ? 4 : 8);
	}
}

int fz_write(struct fz_thread *t)
{
	unsigned char buf[512] = {};
	struct fz_rand *r = &t->rand;
	const struct command *c =
		&commands[fz_below(r, sizeof(commands) / sizeof(*commands))];
	struct ib_uverbs_cmd_hdr *hdr = (void *)buf;
	struct ib_uverbs_ex_cmd_hdr *ex = (void *)(hdr + 1);
	bool extended = c->number & EX;
	unsigned char *begin = (void *)(extended ? (void *)(ex + 1) :
						   (void *)ex);
	struct writer w = { .t = t, .at = begin };
	unsigned int unit = extended ? 8 : 4;
	int fd = fz_fd(t);
	size_t size;

	put_fields(&w, c->fields);
	size = w.at - begin;
	if (fz_one_in(r, 5))
		spoil(r, begin, size);
	hdr->command = fz_one_in(r, 60) ? fz_odd(r) : c->number;
	/* The words of a plain command are those of its header too */
	hdr->in_words = (extended ? size : size + sizeof(*hdr)) / unit;
	hdr->out_words = FZ_PAGE / 8 / unit;
	if (extended) {
		ex->response = (uintptr_t)t->resp;
		ex->provider_out_words = 32;
	}
	if (fz_one_in(r, 20))
		hdr->in_words += fz_below(r, 5) - 2;
	if (fz_one_in(r, 20))
		hdr->out_words = fz_below(r, 12);
	size = begin - buf + size;
	if (fz_one_in(r, 40))
		size = fz_below(r, sizeof(buf));
	if (write(fd, buf, size) != (ssize_t)size)
		return -1;
	learn(t, hdr->command, fd);
	return 0;
}
