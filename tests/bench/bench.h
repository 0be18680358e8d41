/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * bench.h - what the benchmark primitives share
 *
 * Every command measures one thing several times and prints one JSON object
 * per line with the raw times; bench.py makes ratios of them.
 */
#ifndef SODP_BENCH_H
#define SODP_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <infiniband/verbs.h>

#define KIB		(1ULL << 10)
#define MIB		(1ULL << 20)
#define GIB		(1ULL << 30)
#define SMALL_PAGE	4096ULL
#define LEAF		(2 * MIB)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Arguments of the form key=value; sizes may end in K, M, G or T */
void opts_set(int argc, char **argv);
const char *opt_str(const char *key, const char *fallback);
uint64_t opt_u64(const char *key, uint64_t fallback);
int opt_sizes(const char *key, const char *fallback, uint64_t *sizes, int max);

__attribute__((noreturn, format(printf, 1, 2)))
void die(const char *format, ...);
uint64_t now_ns(void);

/* Samples of one quantity, printed as "name": [..] */
struct series {
	const char *name;
	unsigned int nr;
	uint64_t values[256];
};

void series_add(struct series *series, uint64_t value);
void print_series(const struct series *series, bool last);

/* Requests of a list */
#define MAX_LIST	64

/* Say where we are, and wait until somebody has looked at us */
void pause_for(const char *what);
void pause_line(void);

/*
 * Memory of its own mapping, 2-MiB aligned plus some pages. Source buffers
 * take another shift than targets: equal ones fall on the same sets of
 * QEMU's TLB.
 */
struct area {
	void *base;
	size_t mapped;
	uint8_t *addr;
	uint64_t len;
};

#define SHIFT_TARGET	0
#define SHIFT_SOURCE	7

void area_map(struct area *area, uint64_t len, bool thp, unsigned int shift);
void area_unmap(struct area *area);
void area_touch(const struct area *area);

enum mr_kind {
	MR_NONE,
	MR_PINNED,
	MR_ODP,
	MR_IMPLICIT,
};

enum mr_kind opt_kind(const char *key, const char *fallback);
struct ibv_mr *mr_register(struct ibv_pd *pd, void *addr, uint64_t len,
			   enum mr_kind kind);
void mr_release(struct ibv_mr *mr);

/* How an end waits for completions when the queue is empty */
enum wait_kind {
	WAIT_SPIN,
	WAIT_YIELD,
	WAIT_EVENT,
};

struct end_address {
	union ibv_gid gid;
	uint32_t qpn;
};

/* A device, opened, with one RC queue pair */
struct end {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct end_address address;
	enum wait_kind wait;
	unsigned int depth;
	unsigned int receives;
	enum ibv_mtu mtu;
	uint8_t gid_index;
};

void end_make_qp(struct end *end);
void end_open(struct end *end);
void end_open_target(struct end *end);
void end_share(struct end *end, const struct end *device);
void end_connect(struct end *end, const struct end_address *peer);
void end_connect_pair(struct end *one, struct end *other);

/* A stream of RDMA WRITEs that walks over both buffers, or of SENDs */
struct stream {
	uint8_t *source;
	uint64_t source_len;
	uint32_t lkey;
	uint64_t target;
	uint64_t target_len;
	uint32_t rkey;
	uint64_t size;
	uint64_t count;
	/* Requests that one doorbell posts; 0 is 1 */
	unsigned int list;
	bool send;
};

uint64_t stream_offset(uint64_t index, uint64_t size, uint64_t len);
void end_write(struct end *end, const struct stream *stream);
void end_receive(struct end *end, struct ibv_mr *mr, uint64_t size,
		 uint64_t count);
void end_drain(struct end *end, uint64_t count);
unsigned int end_poll(struct end *end);

/* Requests that one doorbell posts */
struct list {
	struct ibv_send_wr wr[MAX_LIST];
	struct ibv_sge sge[MAX_LIST];
	unsigned int nr;
};

void list_make(struct list *list, const struct stream *stream, uint64_t first,
	       unsigned int nr);
void list_post(struct end *end, struct list *list);
void lists_write(struct end *end, const struct stream *stream);

/*
 * The owner of the target memory: another process that sleeps between
 * requests, or (peer=self) this one.
 */
struct target;

struct target_memory {
	uint64_t addr;
	uint64_t len;
	uint32_t rkey;
};

struct target *target_start(bool own_process);
pid_t target_pid(const struct target *target);
void target_connect(struct target *target, struct end *end);
struct target_memory target_map(struct target *target, uint64_t len, bool thp,
				enum mr_kind kind);
uint32_t target_register(struct target *target, enum mr_kind kind);
void target_receive(struct target *target, uint64_t size, uint64_t count);
void target_drain(struct target *target, uint64_t count);
void target_unmap(struct target *target);
uint64_t target_cpu_fill(struct target *target, uint64_t len, bool thp,
			 uint64_t chunk);
void target_stop(struct target *target);

uint64_t device_faults(void);

/* System calls that do nothing */
#define CALLS		64
uint64_t calls_ns(int fd);

int cmd_write(void);
int cmd_cold(void);
int cmd_prefetch(void);
int cmd_invalidate(void);
int cmd_reg_flat(void);
int cmd_reg_pin(void);
int cmd_mem(void);
int cmd_bystander(void);
int cmd_scale(void);
int cmd_pin(void);
int cmd_qps(void);
int cmd_reg_use(void);
int cmd_second_mr(void);
int cmd_many_mrs(void);
int cmd_sparse(void);
int cmd_beside(void);
int cmd_dereg(void);
int cmd_lists(void);
int cmd_skew(void);
int cmd_vm(void);
int cmd_tcp_serve(void);
int cmd_tcp(void);

#endif /* SODP_BENCH_H */
