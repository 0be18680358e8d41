// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/* Requests in lists, each posted by one call */

#include <string.h>

#include "bench.h"

/* Requests number @first and on of a stream */
void list_make(struct list *list, const struct stream *stream, uint64_t first,
	       unsigned int nr)
{
	struct ibv_send_wr *wr;
	unsigned int i;

	memset(list, 0, sizeof(*list));
	list->nr = nr;
	for (i = 0; i < nr; i++) {
		list->sge[i].addr = (uintptr_t)stream->source +
			stream_offset(first + i, stream->size,
				      stream->source_len);
		list->sge[i].length = stream->size;
		list->sge[i].lkey = stream->lkey;
		wr = &list->wr[i];
		wr->next = i + 1 < nr ? wr + 1 : NULL;
		wr->sg_list = &list->sge[i];
		wr->num_sge = 1;
		wr->opcode = stream->send ? IBV_WR_SEND : IBV_WR_RDMA_WRITE;
		wr->send_flags = IBV_SEND_SIGNALED;
		wr->wr.rdma.rkey = stream->rkey;
		wr->wr.rdma.remote_addr = stream->target +
			stream_offset(first + i, stream->size,
				      stream->target_len);
	}
}

void list_post(struct end *end, struct list *list)
{
	struct ibv_send_wr *bad;
	int ret = ibv_post_send(end->qp, list->wr, &bad);

	if (ret)
		die("ibv_post_send: %s", strerror(ret));
}

/* end_write(): a list as soon as the queue has room for it */
void lists_write(struct end *end, const struct stream *stream)
{
	uint64_t posted = 0, completed = 0, left;
	struct list list;

	while (completed < stream->count) {
		while (posted < stream->count &&
		       posted - completed + stream->list <= end->depth) {
			left = stream->count - posted;
			list_make(&list, stream, posted,
				  left < stream->list ? left : stream->list);
			list_post(end, &list);
			posted += list.nr;
		}
		completed += end_poll(end);
	}
}
