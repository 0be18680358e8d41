/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * One of two sides that talk by UCX, with a TCP connection to meet and to
 * wait for each other.
 */
#ifndef SODP_APPS_UCX_SIDE_H
#define SODP_APPS_UCX_SIDE_H

#include <stddef.h>

#include <ucp/api/ucp.h>

struct side {
	int server;
	int sock;
	ucp_context_h context;
	ucp_worker_h worker;
	ucp_ep_h ep;
};

/** side_open() - a worker of @context, an endpoint to the other side's */
void side_open(struct side *side, ucp_context_h context, int sock, int server);

/** side_close() - flush and close, when the other side does */
void side_close(struct side *side);

/** side_wait() - until a request is complete; fails unless it went well */
void side_wait(struct side *side, ucs_status_ptr_t request, const char *what);

/** side_flush() - until what was sent has arrived */
void side_flush(struct side *side);

/** side_meet() - until the other side is here too */
void side_meet(struct side *side);

/** side_swap() - tell the other side something and hear the same from it */
void side_swap(struct side *side, const void *mine, void *theirs, size_t len);

/** side_sockets() - @count connections, one after the other */
void side_sockets(int *socks, int count, const char *host, const char *port);

#endif
