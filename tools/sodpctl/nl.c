// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * A netlink socket, one request on it at a time, and how errors are told.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "sodpctl.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK	270
#endif

/* A request under way */
struct nl_talk {
	struct ctl_sock *sock;
	bool done;
	int ret;
};

/**
 * ctl_sock_open() - connect a socket to a netlink protocol
 * @sock: the socket, closed by ctl_sock_close() whatever is returned
 * @protocol: NETLINK_RDMA or NETLINK_GENERIC
 *
 * Return: 0 or -errno.
 */
int ctl_sock_open(struct ctl_sock *sock, int protocol)
{
	int one = 1;

	memset(sock, 0, sizeof(*sock));
	sock->sk = nl_socket_alloc();
	if (!sock->sk)
		return -ENOMEM;
	errno = 0;
	if (nl_connect(sock->sk, protocol))
		return errno ? -errno : -EIO;
	/* A kernel that has none of it says less when it refuses */
	setsockopt(nl_socket_get_fd(sock->sk), SOL_NETLINK, NETLINK_EXT_ACK,
		   &one, sizeof(one));
	return 0;
}

void ctl_sock_close(struct ctl_sock *sock)
{
	nl_socket_free(sock->sk);
	sock->sk = NULL;
}

/* The message of an extended acknowledgment, which follows the error */
static void nl_keep_extack(struct ctl_sock *sock, struct nlmsgerr *err)
{
	struct nlmsghdr *hdr =
		(struct nlmsghdr *)((char *)err - NLMSG_HDRLEN);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	int skip = sizeof(*err);

	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	if (skip > nlmsg_datalen(hdr))
		return;
	if (nlmsg_parse(hdr, skip, tb, NLMSGERR_ATTR_MAX, NULL) ||
	    !tb[NLMSGERR_ATTR_MSG])
		return;
	snprintf(sock->why, sizeof(sock->why), "%.*s",
		 nla_len(tb[NLMSGERR_ATTR_MSG]),
		 (char *)nla_data(tb[NLMSGERR_ATTR_MSG]));
}

static int nl_on_error(struct sockaddr_nl *from, struct nlmsgerr *err,
		       void *arg)
{
	struct nl_talk *talk = arg;

	talk->done = true;
	talk->ret = err->error;
	nl_keep_extack(talk->sock, err);
	return NL_STOP;
}

static int nl_on_ack(struct nl_msg *msg, void *arg)
{
	struct nl_talk *talk = arg;

	talk->done = true;
	return NL_STOP;
}

/* A dump that the kernel broke off has the reason at its end */
static int nl_on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct nl_talk *talk = arg;
	int ret;

	if (nlmsg_datalen(hdr) >= (int)sizeof(ret)) {
		memcpy(&ret, nlmsg_data(hdr), sizeof(ret));
		if (ret < 0)
			talk->ret = ret;
	}
	talk->done = true;
	return NL_STOP;
}

/**
 * ctl_sock_talk() - send a request and take what comes back
 * @sock: open socket
 * @msg: the request, is freed
 * @on_valid: called with every message of the answer, may be NULL
 * @arg: for @on_valid
 *
 * Return: 0 or the kernel's -errno; sock->why has its words, if any.
 */
int ctl_sock_talk(struct ctl_sock *sock, struct nl_msg *msg,
		  nl_recvmsg_msg_cb_t on_valid, void *arg)
{
	struct nl_talk talk = { .sock = sock };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret = cb ? 0 : -NLE_NOMEM;

	sock->why[0] = '\0';
	if (ret)
		goto free_msg;
	nl_cb_err(cb, NL_CB_CUSTOM, nl_on_error, &talk);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, nl_on_ack, &talk);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, nl_on_finish, &talk);
	if (on_valid)
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, arg);
	ret = nl_send_auto(sock->sk, msg);
	while (ret >= 0 && !talk.done)
		ret = nl_recvmsgs(sock->sk, cb);
	nl_cb_put(cb);
free_msg:
	nlmsg_free(msg);
	if (talk.done)
		return talk.ret;
	snprintf(sock->why, sizeof(sock->why), "%s", nl_geterror(ret));
	return -EIO;
}

/**
 * ctl_fail() - tell that the kernel refused
 * @sock: where it did, for its own words
 * @opts: for the name of the command
 * @object: what the command was to work on, NULL for all
 * @ret: -errno
 *
 * Return: the exit code.
 */
int ctl_fail(const struct ctl_sock *sock, const struct ctl_opts *opts,
	     const char *object, int ret)
{
	fprintf(stderr, "sodpctl: %s%s%s: %s", opts->cmd, object ? " " : "",
		object ? object : "", strerror(-ret));
	if (sock->why[0])
		fprintf(stderr, " (%s)", sock->why);
	fputc('\n', stderr);
	return CTL_REFUSED;
}

/**
 * ctl_usage() - tell what is wrong with the command line
 * @format: as of printf
 *
 * Return: the exit code.
 */
int ctl_usage(const char *format, ...)
{
	va_list ap;

	fputs("sodpctl: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs(" (see sodpctl --help)\n", stderr);
	return CTL_USAGE;
}
