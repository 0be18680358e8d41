// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Two sides that talk by UCX: see ucx_side.h */

#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "ucx_side.h"

#define MAX_ADDRESS 4096

/* All of a buffer; the worker has to be driven meanwhile */
static void transfer(struct side *side, void *data, size_t len, int out)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		if (out)
			n = send(side->sock, (char *)data + done, len - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = recv(side->sock, (char *)data + done, len - done,
				 MSG_DONTWAIT);
		if (n > 0)
			done += n;
		else if (!n || errno != EAGAIN)
			fail("the other side is gone");
		else if (side->worker)
			ucp_worker_progress(side->worker);
	}
}

void side_swap(struct side *side, const void *mine, void *theirs, size_t len)
{
	transfer(side, (void *)mine, len, 1);
	transfer(side, theirs, len, 0);
}

void side_meet(struct side *side)
{
	char mine = 'm', theirs;

	side_swap(side, &mine, &theirs, 1);
	if (theirs != mine)
		fail("the other side is elsewhere");
}

void side_wait(struct side *side, ucs_status_ptr_t request, const char *what)
{
	ucs_status_t status;

	if (!request)
		return;
	if (UCS_PTR_IS_ERR(request))
		fail("%s: %s", what,
		     ucs_status_string(UCS_PTR_STATUS(request)));
	while ((status = ucp_request_check_status(request)) ==
	       UCS_INPROGRESS)
		ucp_worker_progress(side->worker);
	ucp_request_free(request);
	if (status != UCS_OK)
		fail("%s: %s", what, ucs_status_string(status));
}

void side_flush(struct side *side)
{
	ucp_request_param_t param = {};

	side_wait(side, ucp_ep_flush_nbx(side->ep, &param), "flush");
}

void side_open(struct side *side, ucp_context_h context, int sock, int server)
{
	ucp_worker_params_t params = {
		.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
		.thread_mode = UCS_THREAD_MODE_SINGLE,
	};
	ucp_ep_params_t ep_params = {
		.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS,
	};
	char theirs[MAX_ADDRESS] = {}, mine[MAX_ADDRESS] = {};
	ucp_address_t *address;
	ucs_status_t status;
	size_t len;

	memset(side, 0, sizeof(*side));
	side->sock = sock;
	side->server = server;
	side->context = context;
	status = ucp_worker_create(context, &params, &side->worker);
	if (status != UCS_OK)
		fail("worker: %s", ucs_status_string(status));
	status = ucp_worker_get_address(side->worker, &address, &len);
	if (status != UCS_OK || len > MAX_ADDRESS)
		fail("address of %zu bytes: %s", len,
		     ucs_status_string(status));
	memcpy(mine, address, len);
	ucp_worker_release_address(side->worker, address);
	side_swap(side, mine, theirs, MAX_ADDRESS);
	ep_params.address = (const ucp_address_t *)theirs;
	status = ucp_ep_create(side->worker, &ep_params, &side->ep);
	if (status != UCS_OK)
		fail("endpoint: %s", ucs_status_string(status));
	side_meet(side);
}

void side_close(struct side *side)
{
	ucp_request_param_t param = {};

	side_flush(side);
	side_meet(side);
	side_wait(side, ucp_ep_close_nbx(side->ep, &param), "close");
	/* It may still have to answer the other side's */
	side_meet(side);
	ucp_worker_destroy(side->worker);
	side->worker = NULL;
	close(side->sock);
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_family = AF_INET,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = host ? 0 : AI_PASSIVE };
	struct addrinfo *found;
	int ret = getaddrinfo(host, port, &hints, &found);

	if (ret)
		fail("%s:%s: %s", host, port, gai_strerror(ret));
	return found;
}

void side_sockets(int *socks, int count, const char *host, const char *port)
{
	struct addrinfo *ai = resolve(host, port);
	int one = 1, listener = -1, i;

	if (!host) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one,
			   sizeof(one));
		if (bind(listener, ai->ai_addr, ai->ai_addrlen) ||
		    listen(listener, count))
			fail("port %s: %s", port, strerror(errno));
	}
	for (i = 0; i < count; i++) {
		if (host) {
			socks[i] = socket(AF_INET, SOCK_STREAM, 0);
			if (connect(socks[i], ai->ai_addr, ai->ai_addrlen))
				fail("%s: %s", host, strerror(errno));
		} else {
			socks[i] = accept(listener, NULL, NULL);
			if (socks[i] < 0)
				fail("accept: %s", strerror(errno));
		}
	}
	if (listener >= 0)
		close(listener);
	freeaddrinfo(ai);
}
