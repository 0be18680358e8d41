/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * sodpctl: what its files share. A ctl_sock is one netlink socket; calls that
 * ask the kernel return 0 or -errno and leave the kernel's own words in it.
 */
#ifndef SODPCTL_H
#define SODPCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netlink/handlers.h>

#define CTL_NAME_LEN	64	/* IB_DEVICE_NAME_MAX */

/* Exit codes */
enum ctl_exit {
	CTL_OK,
	CTL_REFUSED,		/* by the kernel; the output by a file */
	CTL_USAGE,
};

struct ctl_opts {
	const char *cmd;
	bool json;
	double interval;	/* seconds */
	unsigned long count;	/* 0: for ever */
};

struct ctl_sock {
	struct nl_sock *sk;
	int family;		/* of generic netlink */
	char why[256];		/* what the kernel said with the last error */
};

struct ctl_model {
	uint32_t fixed_ns;
	uint32_t page_ns;
	uint32_t jitter_ns;
};

/* What the generic netlink family tells of a device */
struct ctl_dev {
	char name[CTL_NAME_LEN];
	char version[32];
	uint32_t ifindex;
	struct ctl_model model;
};

struct ctl_devs {
	struct ctl_dev *dev;
	size_t num;
};

struct ctl_counter {
	const char *name;
	uint64_t value;
	bool found;
};

/* nl.c */
int ctl_sock_open(struct ctl_sock *sock, int protocol);
void ctl_sock_close(struct ctl_sock *sock);
int ctl_sock_talk(struct ctl_sock *sock, struct nl_msg *msg,
		  nl_recvmsg_msg_cb_t on_valid, void *arg);
int ctl_fail(const struct ctl_sock *sock, const struct ctl_opts *opts,
	     const char *object, int ret);
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* rdma.c */
int ctl_rdma_find(struct ctl_sock *sock, const char *name, uint32_t *index);
int ctl_rdma_add(struct ctl_sock *sock, const char *name, const char *netdev);
int ctl_rdma_delete(struct ctl_sock *sock, uint32_t index);
int ctl_rdma_state(struct ctl_sock *sock, uint32_t index, uint8_t *state);
int ctl_rdma_counters(struct ctl_sock *sock, uint32_t index,
		      struct ctl_counter *counters, size_t num);

/* family.c */
int ctl_family_open(struct ctl_sock *sock);
int ctl_family_get(struct ctl_sock *sock, const char *name,
		   struct ctl_devs *devs);
int ctl_family_set(struct ctl_sock *sock, const char *name,
		   const struct ctl_model *model, unsigned int which);
void ctl_devs_free(struct ctl_devs *devs);

/* model.c */
void ctl_model_print(const struct ctl_model *model, char *text, size_t size);

/* The commands, by the file each is in; argv begins behind the command */
int ctl_cmd_add(const struct ctl_opts *opts, int argc, char **argv);
int ctl_cmd_delete(const struct ctl_opts *opts, int argc, char **argv);
int ctl_cmd_show(const struct ctl_opts *opts, int argc, char **argv);
int ctl_cmd_watch(const struct ctl_opts *opts, int argc, char **argv);
int ctl_cmd_model(const struct ctl_opts *opts, int argc, char **argv);

#endif /* SODPCTL_H */
