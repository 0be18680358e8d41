// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Netlink: the family "sodp", and what RDMA netlink asks of a device. By hand,
 * as no library would send what is broken. The lab's own device is not
 * renamed, moved or deleted, and no fault takes a second.
 */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <rdma/sodp-nl.h>

#include "fuzz.h"

struct message {
	struct nlmsghdr hdr;
	unsigned char data[1024];
};

static void *message_end(struct message *m)
{
	return (char *)m + NLMSG_ALIGN(m->hdr.nlmsg_len);
}

static void add_attr(struct message *m, unsigned int type, const void *data,
		     unsigned int size)
{
	struct nlattr *attr = message_end(m);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + size;
	memcpy((char *)attr + NLA_HDRLEN, data, size);
	m->hdr.nlmsg_len = NLMSG_ALIGN(m->hdr.nlmsg_len) +
			   NLA_ALIGN(attr->nla_len);
}

static void add_u32(struct message *m, unsigned int type, uint32_t value)
{
	add_attr(m, type, &value, sizeof(value));
}

static void begin(struct message *m, unsigned int type, unsigned int flags)
{
	memset(m, 0, sizeof(*m));
	m->hdr.nlmsg_len = NLMSG_HDRLEN;
	m->hdr.nlmsg_type = type;
	m->hdr.nlmsg_flags = NLM_F_REQUEST | flags;
}

/* Sends it and throws away what comes back, which never waits */
static int transact(int socket, struct message *m)
{
	char answer[4096];
	ssize_t size;
	int ret = -1;

	if (send(socket, m, m->hdr.nlmsg_len, MSG_DONTWAIT) < 0)
		return -1;
	while ((size = recv(socket, answer, sizeof(answer), MSG_DONTWAIT)) > 0)
		ret = ((struct nlmsghdr *)answer)->nlmsg_type == NLMSG_ERROR ?
			      -1 :
			      0;
	return ret;
}

static void begin_genl(struct message *m, unsigned int type,
		       unsigned int flags, unsigned int command)
{
	struct genlmsghdr genl = { .cmd = command, .version = 1 };

	begin(m, type, flags);
	memcpy(message_end(m), &genl, sizeof(genl));
	m->hdr.nlmsg_len += GENL_HDRLEN;
}

static uint16_t find_family(int socket)
{
	char answer[4096] = {};
	struct message m;
	struct nlattr *attr;
	ssize_t size, at;

	begin_genl(&m, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	add_attr(&m, CTRL_ATTR_FAMILY_NAME, SODP_NL_NAME,
		 sizeof(SODP_NL_NAME));
	send(socket, &m, m.hdr.nlmsg_len, 0);
	size = recv(socket, answer, sizeof(answer), 0);
	for (at = NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HDRLEN < size;
	     at += NLA_ALIGN(attr->nla_len)) {
		attr = (struct nlattr *)(answer + at);
		if (attr->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)((char *)attr + NLA_HDRLEN);
		if (!attr->nla_len)
			break;
	}
	return 0;
}

bool fz_nl_open(struct fz_thread *t)
{
	t->genl = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	t->rdma = socket(AF_NETLINK, SOCK_RAW, NETLINK_RDMA);
	if (t->genl < 0 || t->rdma < 0)
		return false;
	t->family = find_family(t->genl);
	return t->family;
}

/* Something of any type and size */
static void add_any(struct message *m, struct fz_rand *r, unsigned int types)
{
	uint64_t data[8];
	unsigned int i;

	for (i = 0; i < 8; i++)
		data[i] = fz_odd(r);
	add_attr(m, fz_below(r, types), data, fz_below(r, 33));
}

static void damage(struct message *m, struct fz_rand *r)
{
	if (fz_one_in(r, 20))
		m->hdr.nlmsg_len -= fz_below(r, 12);
	if (fz_one_in(r, 20))
		m->hdr.nlmsg_flags ^= fz_below(r, 2) ? NLM_F_DUMP : NLM_F_ACK;
	if (fz_one_in(r, 20))
		m->data[fz_below(r, 64)] = fz_rand(r);
}

/* Short ones are meant, long ones are refused */
static uint32_t delay(struct fz_rand *r)
{
	return fz_one_in(r, 3) ? SODP_NL_FAULT_MAX_NS + 1 + fz_below(r, 9) :
				 fz_below(r, 1000);
}

int fz_genl(struct fz_thread *t)
{
	struct fz_rand *r = &t->rand;
	struct message m;

	begin_genl(&m, t->family, fz_one_in(r, 3) ? NLM_F_DUMP : NLM_F_ACK,
		   fz_below(r, 4));
	if (!fz_one_in(r, 5))
		add_attr(&m, SODP_NL_ATTR_NAME, fz_device,
			 strlen(fz_device) + fz_below(r, 2));
	if (fz_one_in(r, 2))
		add_u32(&m, SODP_NL_ATTR_FAULT_FIXED_NS + fz_below(r, 3),
			delay(r));
	else if (fz_one_in(r, 3))
		add_any(&m, r, SODP_NL_ATTR_FAULT_FIXED_NS);
	if (fz_one_in(r, 20))
		m.hdr.nlmsg_len -= fz_below(r, 12);
	return transact(t->genl, &m);
}

/* Links of our own, "sodpfz0" and so on, come and go */
static void add_link(struct message *m, struct fz_rand *r)
{
	char name[16] = "sodpfz0";
	static const char *const netdevs[] = { "lo", "sodpfzd0", "none" };
	const char *netdev = netdevs[fz_below(r, 3)];

	name[6] += fz_below(r, 3);
	add_attr(m, RDMA_NLDEV_ATTR_DEV_NAME, name, strlen(name) + 1);
	add_attr(m, RDMA_NLDEV_ATTR_LINK_TYPE, "sodp", 5);
	add_attr(m, RDMA_NLDEV_ATTR_NDEV_NAME, netdev, strlen(netdev) + 1);
}

int fz_nldev(struct fz_thread *t)
{
	/* Reading, and links; nothing that sets what the lab relies on */
	static const uint8_t reads[] = {
		RDMA_NLDEV_CMD_GET,	    RDMA_NLDEV_CMD_PORT_GET,
		RDMA_NLDEV_CMD_RES_GET,	    RDMA_NLDEV_CMD_RES_QP_GET,
		RDMA_NLDEV_CMD_RES_CM_ID_GET, RDMA_NLDEV_CMD_RES_CQ_GET,
		RDMA_NLDEV_CMD_RES_MR_GET,  RDMA_NLDEV_CMD_RES_PD_GET,
		RDMA_NLDEV_CMD_STAT_GET,    RDMA_NLDEV_CMD_RES_SRQ_GET,
		RDMA_NLDEV_CMD_RES_CTX_GET,
	};
	struct fz_rand *r = &t->rand;
	struct message m;
	bool link = fz_one_in(r, 12);
	unsigned int command = link ? RDMA_NLDEV_CMD_NEWLINK :
				      reads[fz_below(r, sizeof(reads))];

	begin(&m, RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command),
	      fz_one_in(r, 2) ? NLM_F_DUMP : NLM_F_ACK);
	if (link) {
		add_link(&m, r);
		return transact(t->rdma, &m);
	}
	add_u32(&m, RDMA_NLDEV_ATTR_DEV_INDEX, fz_below(r, 4));
	if (fz_one_in(r, 2))
		add_u32(&m, RDMA_NLDEV_ATTR_PORT_INDEX, fz_below(r, 3));
	if (fz_one_in(r, 2))
		add_u32(&m, RDMA_NLDEV_ATTR_RES_LQPN, fz_qpn(t));
	if (fz_one_in(r, 2))
		add_any(&m, r, 90);
	damage(&m, r);
	/* Damage must not make it another command */
	m.hdr.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command);
	return transact(t->rdma, &m);
}
