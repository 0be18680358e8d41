// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Opening devices, what they can do, events */

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "t_rdma.h"

static struct ibv_device *find_device(struct ibv_device **list,
				      const char *name)
{
	int i;

	for (i = 0; list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			return list[i];
	return NULL;
}

void t_open_name(struct t_dev *dev, const char *name, int gid_index)
{
	struct ibv_device **list;
	struct ibv_device *device;

	memset(dev, 0, sizeof(*dev));
	dev->name = name;
	dev->gid_index = gid_index;
	list = ibv_get_device_list(NULL);
	T_ASSERT(list, "no device list: %s", t_errname(errno));
	device = find_device(list, name);
	T_ASSERT(device, "libibverbs does not list %s", name);
	dev->ctx = ibv_open_device(device);
	T_ASSERT(dev->ctx, "cannot open %s: %s", name, t_errname(errno));
	ibv_free_device_list(list);
	T_OK(ibv_query_device_ex(dev->ctx, NULL, &dev->attr));
	T_OK(ibv_query_port(dev->ctx, T_PORT, &dev->port));
	T_OK(ibv_query_gid(dev->ctx, T_PORT, gid_index, &dev->gid));
	dev->pd = ibv_alloc_pd(dev->ctx);
	T_ASSERT(dev->pd, "ibv_alloc_pd: %s", t_errname(errno));
}

void t_open(struct t_dev *dev)
{
	const char *name = getenv("SODP_DEV");
	const char *gid = getenv("SODP_GID_INDEX");

	if (!name || !*name)
		t_skip("SODP_DEV is not set");
	t_open_name(dev, name, gid ? atoi(gid) : 0);
}

void t_close(struct t_dev *dev)
{
	T_OK(ibv_dealloc_pd(dev->pd));
	T_OK(ibv_close_device(dev->ctx));
	memset(dev, 0, sizeof(*dev));
}

bool t_has_odp(const struct t_dev *dev, uint32_t rc_caps)
{
	const struct ibv_odp_caps *caps = &dev->attr.odp_caps;

	return (caps->general_caps & IBV_ODP_SUPPORT) &&
	       (caps->per_transport_caps.rc_odp_caps & rc_caps) == rc_caps;
}

bool t_has_implicit(const struct t_dev *dev)
{
	return t_has_odp(dev, 0) && (dev->attr.odp_caps.general_caps &
				     IBV_ODP_SUPPORT_IMPLICIT);
}

bool t_wire_only(void)
{
	char text[8];

	return t_read_file("/sys/module/sodp/parameters/wire_only", text,
			   sizeof(text)) &&
	       text[0] == 'Y';
}

void t_need_odp(const struct t_dev *dev)
{
	if (!t_has_odp(dev, 0))
		t_skip("%s has no on-demand paging", dev->name);
}

void t_need_implicit(const struct t_dev *dev)
{
	if (!t_has_implicit(dev))
		t_skip("%s has no implicit regions", dev->name);
}

static bool wait_fd(int fd, unsigned int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int ret;

	do {
		ret = poll(&pfd, 1, ms);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

bool t_event_for(struct t_dev *dev, struct ibv_async_event *event,
		 unsigned int ms)
{
	if (!wait_fd(dev->ctx->async_fd, ms))
		return false;
	T_OK(ibv_get_async_event(dev->ctx, event));
	ibv_ack_async_event(event);
	return true;
}

struct ibv_async_event (t_want_event)(struct t_dev *dev,
				    enum ibv_event_type type)
{
	uint64_t end = t_now_ns() + T_WAIT_MS * 1000000ULL;
	struct ibv_async_event event;

	do {
		if (!t_event_for(dev, &event, T_WAIT_MS))
			break;
		if (event.event_type == type)
			return event;
		t_diag("meanwhile: %s", ibv_event_type_str(event.event_type));
	} while (t_now_ns() < end);
	t_fail("event '%s' did not come", ibv_event_type_str(type));
}

bool t_cq_event(struct ibv_comp_channel *channel, unsigned int ms)
{
	struct ibv_cq *cq;
	void *arg;

	if (!wait_fd(channel->fd, ms))
		return false;
	T_ASSERT(!ibv_get_cq_event(channel, &cq, &arg), "ibv_get_cq_event: %s",
		 t_errname(errno));
	ibv_ack_cq_events(cq, 1);
	return true;
}

bool t_read_counter(const struct t_dev *dev, const char *name,
		    uint64_t *value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path),
		 "/sys/class/infiniband/%s/ports/1/hw_counters/%s", dev->name,
		 name);
	if (!t_read_file(path, text, sizeof(text)))
		return false;
	*value = strtoull(text, NULL, 10);
	return true;
}

uint64_t t_counter(const struct t_dev *dev, const char *name)
{
	uint64_t value = 0;

	t_read_counter(dev, name, &value);
	return value;
}

void (t_want_counter)(const struct t_dev *dev, const char *name, uint64_t want)
{
	uint64_t value;

	if (t_read_counter(dev, name, &value))
		T_ASSERT(value == want, "%s is %llu, want %llu", name,
			 (unsigned long long)value, (unsigned long long)want);
}

void t_msg_pair(int fds[2])
{
	T_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair: %s",
		 t_errname(errno));
}

void t_msg_send(int fd, const void *buf, size_t size)
{
	const char *p = buf;
	ssize_t n;

	while (size) {
		n = send(fd, p, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		T_ASSERT(n > 0, "the other process is gone: %s",
			 t_errname(errno));
		p += n;
		size -= n;
	}
}

void t_msg_recv(int fd, void *buf, size_t size)
{
	char *p = buf;
	ssize_t n;

	while (size) {
		n = recv(fd, p, size, 0);
		if (n < 0 && errno == EINTR)
			continue;
		T_ASSERT(n > 0, "the other process is gone");
		p += n;
		size -= n;
	}
}
