// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Telling the other end what to do; both ends together */

#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define MAGIC 0x77697265
#define CONNECT_MS 60000

static int try_connect(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int fd;

	if (getaddrinfo(host, port, &hints, &found))
		return -1;
	fd = socket(found->ai_family, found->ai_socktype, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

void peer_open(struct w_peer *peer)
{
	const char *where = getenv("WIRE_PEER");
	uint64_t end = t_now_ns() + CONNECT_MS * 1000000ULL;
	char host[128];
	char *port;

	if (!where)
		t_skip("WIRE_PEER is not set");
	snprintf(host, sizeof(host), "%s", where);
	port = strrchr(host, ':');
	T_ASSERT(port, "WIRE_PEER is not ADDRESS:PORT");
	*port++ = 0;
	while ((peer->fd = try_connect(host, port)) < 0) {
		T_ASSERT(t_now_ns() < end, "no wire-peer at %s", where);
		t_sleep_ms(100);
	}
}

void peer_tell(struct w_peer *peer, const struct w_req *req)
{
	t_msg_send(peer->fd, req, sizeof(*req));
}

/* A peer that fails sends its last words instead of a reply. */
static void last_words(struct w_peer *peer, const void *begin)
{
	char text[512];
	size_t len = sizeof(uint32_t);
	ssize_t n;

	memcpy(text, begin, len);
	while (len < sizeof(text) - 1) {
		n = recv(peer->fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			break;
		len += n;
	}
	text[len] = 0;
	t_fail("peer: %s", text);
}

void peer_hear(struct w_peer *peer, struct w_rep *rep)
{
	t_msg_recv(peer->fd, &rep->magic, sizeof(rep->magic));
	if (rep->magic != MAGIC)
		last_words(peer, &rep->magic);
	t_msg_recv(peer->fd, (char *)rep + sizeof(rep->magic),
		   sizeof(*rep) - sizeof(rep->magic));
	if (rep->skip)
		t_skip("peer: %s", rep->text);
}

void peer_do(struct w_peer *peer, const struct w_req *req, struct w_rep *rep)
{
	peer_tell(peer, req);
	peer_hear(peer, rep);
}

static void here_do(struct w_wire *wire, const struct w_req *req,
		    struct w_rep *rep)
{
	memset(rep, 0, sizeof(*rep));
	end_do(&wire->here, req, rep);
	if (rep->skip)
		t_skip("%s", rep->text);
}

void wire_open(struct w_wire *wire)
{
	struct w_req req = { .cmd = W_OPEN };
	struct w_rep rep;

	memset(wire, 0, sizeof(*wire));
	here_do(wire, &req, &rep);
	wire->mtu = rep.addr.mtu;
	peer_open(&wire->peer);
	peer_do(&wire->peer, &req, &wire->there);
	if (wire->there.addr.mtu < wire->mtu)
		wire->mtu = wire->there.addr.mtu;
}

/* The iova of an explicit region differs from its address where it may. */
static uint64_t delta(const char *device, enum t_pages pages)
{
	/* rdma_rxe on 7.2 reads out of bounds then */
	return strncmp(device, "rxe", 3) && pages == T_THP ? 0x40000000000ULL :
							     0;
}

void wire_buf(struct w_wire *wire, unsigned int buf, uint64_t size,
	      enum t_kind here, enum t_kind there, enum t_pages pages)
{
	struct w_req req = { .cmd = W_BUF, .pages = pages };
	struct w_rep rep;

	req.place.buf = buf;
	req.place.len = size;
	req.kind = here;
	req.value = delta(wire->here.dev.name, pages);
	here_do(wire, &req, &rep);
	req.kind = there;
	req.value = delta(wire->there.device, pages);
	peer_do(&wire->peer, &req, &rep);
	wire->iova[buf] = rep.iova;
	wire->rkey[buf] = rep.rkey;
}

void wire_qp(struct w_wire *wire, unsigned int qp, const struct w_qp_opt *opt)
{
	static const struct w_qp_opt defaults = W_QP_OPT;
	struct w_req req = { .cmd = W_QP, .qp = qp };
	struct w_rep here, there;

	req.opt = opt ? *opt : defaults;
	here_do(wire, &req, &here);
	peer_do(&wire->peer, &req, &there);
	req.cmd = W_CONNECT;
	req.addr = here.addr;
	peer_do(&wire->peer, &req, &here);
	req.addr = there.addr;
	here_do(wire, &req, &there);
}

int wire_post(struct w_wire *wire, unsigned int qp, enum ibv_wr_opcode opcode,
	      uint64_t wr_id, uint64_t local, uint64_t remote, uint32_t len,
	      uint32_t imm)
{
	struct ibv_sge sge = end_sge(&wire->here, 0, local, len);
	struct ibv_send_wr wr = {
		.wr_id = wr_id,
		.opcode = opcode,
		.sg_list = &sge,
		.num_sge = 1,
		.imm_data = htobe32(imm),
		.wr.rdma.remote_addr = wire->iova[0] + remote,
		.wr.rdma.rkey = wire->rkey[0],
	};

	return end_post(&wire->here, qp, &wr);
}

void wire_close(struct w_wire *wire)
{
	struct w_req req = { .cmd = W_QUIT };
	struct w_rep rep;

	peer_do(&wire->peer, &req, &rep);
	close(wire->peer.fd);
}
