/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * t_rdma.h - devices, connected RC queue pairs, posting and polling
 *
 * Everything here fails the test when the device does; a test that wants to
 * see a failure calls libibverbs itself.
 */
#ifndef T_RDMA_H
#define T_RDMA_H

#include <infiniband/verbs.h>

#include "t.h"

#define T_PORT 1

/* Time a completion or an event may take before the test fails */
#define T_WAIT_MS t_wait_ms()
/* Time after which something that must not come is believed not to come */
#define T_QUIET_MS 50

#define T_ACCESS_ALL                                                      \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |               \
	 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

struct t_dev {
	const char *name;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_device_attr_ex attr;
	struct ibv_port_attr port;
	union ibv_gid gid;
	int gid_index;
};

/* Opens $SODP_DEV; skips the test when the variable is not set */
void t_open(struct t_dev *dev);
void t_open_name(struct t_dev *dev, const char *name, int gid_index);
void t_close(struct t_dev *dev);

bool t_has_odp(const struct t_dev *dev, uint32_t rc_caps);
bool t_has_implicit(const struct t_dev *dev);
/* Even what stays on this host goes by packets */
bool t_wire_only(void);
/* Skip the test when the device does not claim it */
void t_need_odp(const struct t_dev *dev);
void t_need_implicit(const struct t_dev *dev);

/* How to make a queue pair; start from T_QP_OPT */
struct t_qp_opt {
	uint32_t sq;
	uint32_t rq;
	uint32_t sge;
	uint32_t inline_max;
	uint32_t cqe; /* of CQs made here */
	uint64_t wr_ops; /* IBV_QP_EX_WITH_*, 0: no ibv_wr_* */
	struct ibv_pd *pd;
	struct ibv_cq *scq;
	struct ibv_cq *rcq;
	struct ibv_srq *srq;
	struct ibv_comp_channel *channel;
	unsigned int access;
	uint8_t timeout;
	uint8_t retry_cnt;
	uint8_t rnr_retry;
	uint8_t min_rnr;
	uint8_t rd_atomic;
	uint8_t dest_rd_atomic;
	bool sig_all;
};

#define T_QP_OPT                                                          \
	{                                                                 \
		.sq = 16, .rq = 16, .sge = 4, .cqe = 64,                  \
		.access = T_ACCESS_ALL, .timeout = 14, .retry_cnt = 7,    \
		.rnr_retry = 7, .min_rnr = 1, .rd_atomic = 4,             \
		.dest_rd_atomic = 4,                                      \
	}

struct t_ep {
	struct t_dev *dev;
	struct t_qp_opt opt;
	struct ibv_cq *scq;
	struct ibv_cq *rcq;
	struct ibv_qp *qp;
	struct ibv_qp_ex *qpx;
};

/* What the other side has to know to connect */
struct t_addr {
	uint32_t qpn;
	uint32_t psn;
	union ibv_gid gid;
};

void t_ep_open(struct t_ep *ep, struct t_dev *dev, const struct t_qp_opt *opt);
void t_ep_close(struct t_ep *ep);
struct t_addr t_ep_addr(const struct t_ep *ep);
void t_ep_init(struct t_ep *ep);
void t_ep_rtr(struct t_ep *ep, const struct t_addr *peer);
void t_ep_rts(struct t_ep *ep);
void t_ep_connect(struct t_ep *ep, const struct t_addr *peer);
void t_ep_reset(struct t_ep *ep);
enum ibv_qp_state t_ep_state(const struct t_ep *ep);
/* Waits for a state that the device sets by itself */
void t_want_state(const struct t_ep *ep, enum ibv_qp_state state);

/* Two connected queue pairs on one device; opt may be NULL */
void t_pair(struct t_dev *dev, struct t_ep *a, struct t_ep *b,
	    const struct t_qp_opt *opt);
void t_join(struct t_ep *a, struct t_ep *b);

struct ibv_mr *t_reg(struct ibv_pd *pd, void *addr, size_t length,
		     unsigned int access);
void t_dereg(struct ibv_mr *mr);
struct ibv_sge t_sge(const struct ibv_mr *mr, const void *addr, uint32_t len);

/* A signaled request with one SGE or, when it has length 0, none */
void t_post(struct t_ep *ep, enum ibv_wr_opcode opcode, uint64_t wr_id,
	    struct ibv_sge sge, uint64_t remote_addr, uint32_t rkey);
int t_try_post(struct t_ep *ep, struct ibv_send_wr *wr);
/* Copies of one request under wr_ids from first on, in one call */
void t_post_chain(struct t_ep *ep, const struct ibv_send_wr *wr,
		  uint64_t first, unsigned int nr);
void t_post_recv(struct t_ep *ep, uint64_t wr_id, struct ibv_sge sge);
void t_post_srq(struct ibv_srq *srq, uint64_t wr_id, struct ibv_sge sge);

/* 1: one completion taken; 0: none came in time */
unsigned int t_wait_ms(void);
int t_poll_for(struct ibv_cq *cq, struct ibv_wc *wc, unsigned int ms);
struct ibv_wc t_poll(struct ibv_cq *cq);
/* The next completion must be this one */
struct ibv_wc t_want_wc(struct ibv_cq *cq, uint64_t wr_id,
			enum ibv_wc_status status);
void t_want_none(struct ibv_cq *cq);
const char *t_wc_name(int status);

/* false: no event came in time */
bool t_event_for(struct t_dev *dev, struct ibv_async_event *event,
		 unsigned int ms);
/* Takes events until one of this type comes, acknowledged */
struct ibv_async_event t_want_event(struct t_dev *dev,
				    enum ibv_event_type type);
/* true: a completion event of this channel came, acknowledged */
bool t_cq_event(struct ibv_comp_channel *channel, unsigned int ms);

/* A hw_counter of the port; false: the device has none of that name */
bool t_read_counter(const struct t_dev *dev, const char *name,
		    uint64_t *value);
/* Likewise; 0 where the device has none of that name */
uint64_t t_counter(const struct t_dev *dev, const char *name);
void t_want_counter(const struct t_dev *dev, const char *name, uint64_t want);

/* Whole messages over a socket pair between a test and its child */
void t_msg_pair(int fds[2]);
void t_msg_send(int fd, const void *buf, size_t size);
void t_msg_recv(int fd, void *buf, size_t size);

/* Failures inside these say which line of the test called them */
#define t_want_state(...)                                                 \
	(t_at(__func__, __LINE__), t_want_state(__VA_ARGS__))
#define t_post(...) (t_at(__func__, __LINE__), t_post(__VA_ARGS__))
#define t_poll(...) (t_at(__func__, __LINE__), t_poll(__VA_ARGS__))
#define t_want_wc(...) (t_at(__func__, __LINE__), t_want_wc(__VA_ARGS__))
#define t_want_none(...) (t_at(__func__, __LINE__), t_want_none(__VA_ARGS__))
#define t_want_event(...)                                                 \
	(t_at(__func__, __LINE__), t_want_event(__VA_ARGS__))
#define t_want_counter(...)                                               \
	(t_at(__func__, __LINE__), t_want_counter(__VA_ARGS__))
#define t_reg(...) (t_at(__func__, __LINE__), t_reg(__VA_ARGS__))

#endif /* T_RDMA_H */
