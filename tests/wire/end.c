// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* One end: commands, counters */

#include <stdlib.h>

#include "wire.h"

static void end_open(struct w_end *end, struct w_rep *rep)
{
	const char *gid6 = getenv("SODP_GID6_INDEX");

	t_patterns_init();
	t_open(&end->dev);
	end->gid6_index = gid6 ? atoi(gid6) : -1;
	snprintf(rep->device, sizeof(rep->device), "%s", end->dev.name);
	rep->atomic = end->dev.attr.orig_attr.atomic_cap;
	rep->odp = end->dev.attr.odp_caps;
	rep->caps = end->dev.attr.device_cap_flags_ex;
	rep->addr.mtu = end->dev.port.active_mtu;
}

/*
 * What the kernel shows of a device in another namespace than its own has no
 * hw_counters: there, those that init sees are read.
 */
bool w_counter(const char *device, const char *name, uint64_t *value)
{
	static const char *const roots[] = { "", "/proc/1/root" };
	char path[256];
	char text[64];
	unsigned int i;

	for (i = 0; i < T_ARRAY_SIZE(roots); i++) {
		snprintf(path, sizeof(path),
			 "%s/sys/class/infiniband/%s/ports/1/hw_counters/%s",
			 roots[i], device, name);
		if (t_read_file(path, text, sizeof(text))) {
			*value = strtoull(text, NULL, 10);
			return true;
		}
	}
	return false;
}

unsigned int w_env(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

unsigned int end_access(const struct w_end *end)
{
	unsigned int access = T_ACCESS_ALL | IBV_ACCESS_MW_BIND;

#ifdef HAVE_FLUSH_ACCESS
	if (end->dev.attr.device_cap_flags_ex & W_CAP_FLUSH)
		access |= IBV_ACCESS_FLUSH_GLOBAL;
#endif
	return access;
}

struct ibv_sge end_sge(const struct w_end *end, unsigned int buf, uint64_t off,
		       uint32_t len)
{
	const struct w_buf *b = &end->buf[buf];
	struct ibv_sge sge = {
		.addr = (uintptr_t)b->base + b->delta + off,
		.length = len,
		.lkey = b->mr->lkey,
	};

	return sge;
}

void end_do(struct w_end *end, const struct w_req *req, struct w_rep *rep)
{
	switch (req->cmd) {
	case W_OPEN:
		end_open(end, rep);
		break;
	case W_BUF:
		end_buf(end, req, rep);
		break;
	case W_QP:
		end_qp(end, req, rep);
		break;
	case W_CONNECT:
		end_connect(end, req->qp, &req->addr);
		break;
	case W_SOURCE:
		end_source(end, &req->place);
		break;
	case W_TARGET:
		end_target(end, req->qp, &req->place);
		break;
	case W_CHECK:
		end_check(end, req->qp, &req->place, rep);
		break;
	case W_WORD_SET:
		end_word_set(end, req);
		break;
	case W_WORD_CHECK:
		end_word_check(end, req, rep);
		break;
	case W_BIND:
		end_bind(end, req->qp, &req->place, rep);
		break;
	case W_DELAY:
		end_delay(end, req);
		break;
	case W_DELAY_FILE:
		end_delay_file(end, req);
		break;
	case W_SWAP:
		if (req->value)
			t_swap_on(T_SWAP_SIZE);
		else
			t_swap_off();
		break;
	case W_SUNK:
		end_sunk(end, req->qp, rep);
		break;
	case W_COUNTER:
		rep->bad = !w_counter(end->dev.name, req->name, &rep->value);
		break;
	case W_SINK:
	case W_QUIT:
		break;
	}
}
