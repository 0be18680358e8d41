// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Moving bytes between two cursors: memory under keys on either side, or
 * kernel buffers on one.
 */
#include <linux/minmax.h>

#include "mem/mem.h"

/* The segment that byte @pos of a cursor is in, and where in it */
static struct sodp_seg *cursor_seg(struct sodp_cursor *cursor, u64 pos,
				   u64 *off)
{
	struct sodp_seg *seg = cursor->segs;
	u32 i;

	for (i = 0; i < cursor->nr_segs; i++, seg++) {
		if (pos < seg->length) {
			*off = pos;
			return seg;
		}
		pos -= seg->length;
	}
	return NULL;
}

/*
 * Kernel memory that byte @pos of a message is in, and how much follows. What
 * is before it is left behind: nobody goes back.
 */
static u8 *cursor_buf(struct sodp_cursor *cursor, u64 pos, u64 *run)
{
	for (; cursor->nr_bufs; cursor->nr_bufs--, cursor->bufs++) {
		u64 length = cursor->bufs->length;
		u64 off = pos - cursor->base;

		if (off < length) {
			*run = min(*run, length - off);
			return cursor->bufs->addr + off;
		}
		cursor->base += length;
	}
	return NULL;
}

/*
 * One stretch that crosses no segment end; -EAGAIN with *miss filled,
 * -EHWPOISON when the source cannot be read
 */
static int move_piece(struct sodp_seg *d, u64 d_off, u8 *dbuf,
		      struct sodp_seg *s, u64 s_off, const u8 *sbuf, u64 len,
		      u64 *moved, struct odp_miss *miss)
{
	if (likely(d && s))
		return odp_copy(d->region, d->va + d_off, s->region,
				s->va + s_off, len, moved, miss);
	if (d)
		return odp_copy_in(d->region, d->va + d_off, sbuf, len, moved,
				   miss);
	if (s)
		return odp_copy_out(dbuf, s->region, s->va + s_off, len,
				    moved, miss);
	memcpy(dbuf, sbuf, len);
	*moved = len;
	return 0;
}

/* Fault for all that the message still needs of the segment, not a piece */
static void move_widen_miss(struct odp_miss *miss, const struct sodp_seg *seg,
			    u64 left)
{
	u64 end = seg->va + seg->length;

	if (miss->va >= seg->va && miss->va < end)
		miss->len = max(miss->len, min(end - miss->va, left));
}

/**
 * sodp_stop_hold() - have the region of a miss until it was faulted for
 * @stop: with the miss
 * @seg: where it is
 *
 * A region gets its MR's number here: when it was made there was none yet.
 *
 * Context: any, before sodp_seg_put().
 */
void sodp_stop_hold(struct sodp_stop *stop, const struct sodp_seg *seg)
{
	odp_region_set_name(seg->region, seg->key->base_mr->res.id);
	odp_region_get(stop->miss.region);
}

/**
 * sodp_move() - copy from one cursor to another, as far as it goes
 * @dst: where to
 * @src: where from
 * @len: bytes of the message that are to be moved by now
 * @need: bytes of the whole message: what a fault should cover
 * @done: bytes moved so far, by earlier calls too
 * @budget: bytes that this slice may still move
 * @stop: filled on SODP_AGAIN; holds a reference on stop->miss.region
 * @dst_remote: @dst is the responder's memory and @src the requester's, or
 *	the other way round
 *
 * Context: process, under exec_mutex and resp_mutex; does not fault.
 * Return: SODP_OK; SODP_AGAIN after a miss; SODP_BUDGET; SODP_E_LOC_PROT or
 * SODP_E_REM_OP when memory of the requester, or of the responder, has an
 * error that the CPU cannot correct; SODP_E_REM_OP also when the regions
 * disagree with their keys, which is a bug.
 */
enum sodp_verdict sodp_move(struct sodp_cursor *dst, struct sodp_cursor *src,
			    u64 len, u64 need, u64 *done, u64 *budget,
			    struct sodp_stop *stop, bool dst_remote)
{
	struct sodp_seg *d = NULL, *s = NULL;
	u8 *dbuf = NULL, *sbuf = NULL;
	u64 d_off = 0, s_off = 0;
	u64 moved, n;
	int ret;

	while (*done < len) {
		if (!*budget)
			return SODP_BUDGET;
		n = min(len - *done, *budget);
		if (dst->segs) {
			d = cursor_seg(dst, *done, &d_off);
			if (WARN_ON_ONCE(!d))
				return SODP_E_REM_OP;
			n = min(n, d->length - d_off);
			if (unlikely(!d->region)) {
				dbuf = sodp_kmem_ptr(d, d_off, &n);
				d = NULL;
			}
		} else {
			dbuf = cursor_buf(dst, *done, &n);
			if (WARN_ON_ONCE(!dbuf))
				return SODP_E_REM_OP;
		}
		if (src->segs) {
			s = cursor_seg(src, *done, &s_off);
			if (WARN_ON_ONCE(!s))
				return SODP_E_REM_OP;
			n = min(n, s->length - s_off);
			if (unlikely(!s->region)) {
				sbuf = sodp_kmem_ptr(s, s_off, &n);
				s = NULL;
			}
		} else {
			sbuf = cursor_buf(src, *done, &n);
			if (WARN_ON_ONCE(!sbuf))
				return SODP_E_REM_OP;
		}
		moved = 0;
		ret = move_piece(d, d_off, dbuf, s, s_off, sbuf, n, &moved,
				 &stop->miss);
		*done += moved;
		*budget -= moved;
		if (likely(!ret))
			continue;
		/* Whose the source is; a packet is nobody's */
		if (unlikely(ret == -EHWPOISON))
			return dst_remote && s ? SODP_E_LOC_PROT :
						 SODP_E_REM_OP;
		if (WARN_ON_ONCE(ret != -EAGAIN))
			return SODP_E_REM_OP;
		if (stop->miss.flags & ODP_FAULT_WRITE) {
			move_widen_miss(&stop->miss, d, need - *done);
			stop->remote = dst_remote;
			sodp_stop_hold(stop, d);
		} else {
			move_widen_miss(&stop->miss, s, need - *done);
			stop->remote = !dst_remote;
			sodp_stop_hold(stop, s);
		}
		return SODP_AGAIN;
	}
	return SODP_OK;
}
