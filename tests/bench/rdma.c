// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* One end of a connection: device, queue pair, memory regions, streams. */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static struct ibv_context *device_open(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	int i;

	for (i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			context = ibv_open_device(list[i]);
	if (!context)
		die("cannot open the device %s", name);
	ibv_free_device_list(list);
	return context;
}

static enum wait_kind opt_wait(void)
{
	const char *text = opt_str("wait", "yield");

	if (!strcmp(text, "spin"))
		return WAIT_SPIN;
	if (!strcmp(text, "yield"))
		return WAIT_YIELD;
	if (!strcmp(text, "event"))
		return WAIT_EVENT;
	die("wait: not spin, yield or event: %s", text);
}

/* A QP in state INIT on end->cq, for end->depth and end->receives requests */
void end_make_qp(struct end *end)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.send_cq = end->cq,
		.recv_cq = end->cq,
		.cap = {
			.max_send_wr = end->depth,
			.max_recv_wr = end->receives,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE,
	};

	end->qp = ibv_create_qp(end->pd, &init);
	if (!end->qp)
		die("ibv_create_qp: %s", strerror(errno));
	if (ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			  IBV_QP_PORT | IBV_QP_ACCESS_FLAGS))
		die("cannot move the QP to INIT: %s", strerror(errno));
	end->address.qpn = end->qp->qp_num;
}

static void end_make_cq(struct end *end)
{
	if (end->wait == WAIT_EVENT) {
		end->channel = ibv_create_comp_channel(end->context);
		if (!end->channel)
			die("ibv_create_comp_channel: %s", strerror(errno));
	}
	end->cq = ibv_create_cq(end->context, end->depth + end->receives, NULL,
				end->channel, 0);
	if (!end->cq)
		die("ibv_create_cq: %s", strerror(errno));
}

/* Both ends are on dev=, unless target_dev= says where the target is */
static void end_open_as(struct end *end, bool target)
{
	bool far = target && opt_str("target_dev", NULL);
	const char *name = opt_str(far ? "target_dev" : "dev", NULL);
	struct ibv_port_attr port;

	if (!name)
		die("dev= is missing");
	memset(end, 0, sizeof(*end));
	end->context = device_open(name);
	end->pd = ibv_alloc_pd(end->context);
	if (!end->pd)
		die("ibv_alloc_pd: %s", strerror(errno));
	end->wait = opt_wait();
	end->depth = opt_u64("depth", 16);
	end->receives = target ? opt_u64("receives", 1) : 1;
	end->gid_index = opt_u64(far ? "target_gid" : "gid", 1);
	if (ibv_query_port(end->context, 1, &port))
		die("ibv_query_port: %s", strerror(errno));
	end->mtu = port.active_mtu;
	if (ibv_query_gid(end->context, 1, end->gid_index,
			  &end->address.gid))
		die("ibv_query_gid: %s", strerror(errno));
	end_make_cq(end);
	end_make_qp(end);
}

void end_open(struct end *end)
{
	end_open_as(end, false);
}

void end_open_target(struct end *end)
{
	end_open_as(end, true);
}

/*
 * Another queue pair on a device that is open already, with a CQ of its own:
 * what another thread polls gives this one no room.
 */
void end_share(struct end *end, const struct end *device)
{
	*end = *device;
	end_make_cq(end);
	end_make_qp(end);
}

void end_connect(struct end *end, const struct end_address *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = end->mtu,
		.dest_qp_num = peer->qpn,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 1,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = peer->gid,
				.sgid_index = end->gid_index,
				.hop_limit = 64,
			},
		},
	};

	if (ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_AV |
			  IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
		die("cannot move the QP to RTR: %s", strerror(errno));
	attr.qp_state = IBV_QPS_RTS;
	attr.timeout = 18;
	attr.retry_cnt = 7;
	attr.rnr_retry = 7;
	attr.max_rd_atomic = 1;
	if (ibv_modify_qp(end->qp, &attr, IBV_QP_STATE | IBV_QP_TIMEOUT |
			  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC))
		die("cannot move the QP to RTS: %s", strerror(errno));
}

void end_connect_pair(struct end *one, struct end *other)
{
	end_connect(one, &other->address);
	end_connect(other, &one->address);
}

enum mr_kind opt_kind(const char *key, const char *fallback)
{
	const char *text = opt_str(key, fallback);

	if (!strcmp(text, "pinned"))
		return MR_PINNED;
	if (!strcmp(text, "odp"))
		return MR_ODP;
	if (!strcmp(text, "implicit"))
		return MR_IMPLICIT;
	die("%s: not pinned, odp or implicit: %s", key, text);
}

struct ibv_mr *mr_register(struct ibv_pd *pd, void *addr, uint64_t len,
			   enum mr_kind kind)
{
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	struct ibv_mr *mr;

	if (kind != MR_PINNED)
		access |= IBV_ACCESS_ON_DEMAND;
	if (kind == MR_IMPLICIT)
		mr = ibv_reg_mr(pd, NULL, SIZE_MAX, access);
	else
		mr = ibv_reg_mr(pd, addr, len, access);
	if (!mr)
		die("ibv_reg_mr of %llu bytes: %s", (unsigned long long)len,
		    strerror(errno));
	return mr;
}

void mr_release(struct ibv_mr *mr)
{
	if (ibv_dereg_mr(mr))
		die("ibv_dereg_mr: %s", strerror(errno));
}

static void wait_event(struct end *end)
{
	struct ibv_cq *cq;
	void *unused;

	if (ibv_get_cq_event(end->channel, &cq, &unused))
		die("ibv_get_cq_event: %s", strerror(errno));
	ibv_ack_cq_events(cq, 1);
}

static unsigned int poll_some(struct end *end)
{
	struct ibv_wc wc[16];
	int i, nr = ibv_poll_cq(end->cq, ARRAY_SIZE(wc), wc);

	if (nr < 0)
		die("ibv_poll_cq failed");
	for (i = 0; i < nr; i++)
		if (wc[i].status)
			die("completion: %s", ibv_wc_status_str(wc[i].status));
	return nr;
}

/* At least one completion; returns how many */
unsigned int end_poll(struct end *end)
{
	unsigned int nr;

	while (!(nr = poll_some(end))) {
		if (end->wait == WAIT_SPIN)
			continue;
		if (end->wait == WAIT_YIELD) {
			sched_yield();
			continue;
		}
		if (ibv_req_notify_cq(end->cq, 0))
			die("ibv_req_notify_cq: %s", strerror(errno));
		nr = poll_some(end);
		if (nr)
			break;
		wait_event(end);
	}
	return nr;
}

uint64_t stream_offset(uint64_t index, uint64_t size, uint64_t len)
{
	uint64_t slots = len / size;

	return index % slots * size;
}

void end_write(struct end *end, const struct stream *stream)
{
	uint64_t posted = 0, completed = 0, offset;
	struct ibv_sge sge = {
		.length = stream->size,
		.lkey = stream->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = stream->send ? IBV_WR_SEND : IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma.rkey = stream->rkey,
	};
	struct ibv_send_wr *bad;
	int ret;

	if (stream->list > 1) {
		lists_write(end, stream);
		return;
	}
	while (completed < stream->count) {
		while (posted < stream->count &&
		       posted - completed < end->depth) {
			offset = stream_offset(posted, stream->size,
					       stream->source_len);
			sge.addr = (uintptr_t)stream->source + offset;
			offset = stream_offset(posted, stream->size,
					       stream->target_len);
			wr.wr.rdma.remote_addr = stream->target + offset;
			wr.wr_id = posted;
			ret = ibv_post_send(end->qp, &wr, &bad);
			if (ret)
				die("ibv_post_send: %s", strerror(ret));
			posted++;
		}
		completed += end_poll(end);
	}
}

/* Receives for a stream of SENDs, all of them before it begins */
void end_receive(struct end *end, struct ibv_mr *mr, uint64_t size,
		 uint64_t count)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)mr->addr,
		.length = size,
		.lkey = mr->lkey,
	};
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr *bad;
	int ret;

	while (count--) {
		ret = ibv_post_recv(end->qp, &wr, &bad);
		if (ret)
			die("ibv_post_recv: %s", strerror(ret));
	}
}

/* All of them have been used */
void end_drain(struct end *end, uint64_t count)
{
	uint64_t done = 0;

	while (done < count)
		done += end_poll(end);
}

/* Page faults of all regions of all devices, by the rdma tool */
uint64_t device_faults(void)
{
	static const char command[] = "rdma -j statistic show mr";
	static const char key[] = "\"page_faults\":";
	char *text = NULL, *at;
	size_t size = 0;
	uint64_t sum = 0;
	ssize_t len;
	FILE *pipe;

	pipe = popen(command, "r");
	if (!pipe)
		die("cannot run: %s", command);
	len = getdelim(&text, &size, '\0', pipe);
	if (pclose(pipe) || len <= 0)
		die("%s: failed", command);
	at = strstr(text, key);
	if (!at)
		die("%s: no page_faults in: %s", command, text);
	for (; at; at = strstr(at, key)) {
		at += sizeof(key) - 1;
		sum += strtoull(at, NULL, 10);
	}
	free(text);
	return sum;
}
