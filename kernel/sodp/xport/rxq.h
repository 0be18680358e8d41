/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Packets that wait for one side of a QP */
#ifndef SODP_RXQ_H
#define SODP_RXQ_H

#include "net/net.h"
#include "qp/qp.h"

/**
 * struct sodp_rxq - packets that wait for one side of a QP
 * @skbs: trains, from softirq; its lock guards the rest
 * @qp: the QP
 * @bytes: what the packets hold, by truesize
 * @paid: what the QP's payer is charged for: whole pages, no less than @bytes
 * @most: limit of @bytes
 */
struct sodp_rxq {
	struct sk_buff_head skbs;
	struct sodp_qp *qp;
	u32 bytes;
	u32 paid;
	u32 most;
};

/* rxq.c */
int sodp_rxq_init(struct sodp_rxq *q, struct sodp_qp *qp, u32 most);
void sodp_rxq_free(struct sodp_rxq *q);
bool sodp_rxq_add_locked(struct sodp_rxq *q, struct sk_buff *skb);
bool sodp_rxq_add(struct sodp_rxq *q, struct sk_buff *skb);
void sodp_rxq_consume(struct sodp_rxq *q, struct sk_buff *skb);
void sodp_rxq_purge(struct sodp_rxq *q);
void sodp_rxq_close(struct sodp_rxq *q);
void sodp_rxq_device_init(struct sodp_dev *dev);

/*
 * The first one that waits, NULL: none; under the mutex of that side, which
 * alone takes packets away
 */
static inline struct sk_buff *sodp_rxq_peek(struct sodp_rxq *q)
{
	/* And what is in it: pairs with smp_wmb() in sodp_rxq_add_locked() */
	struct sk_buff *skb = smp_load_acquire(&q->skbs.next);

	return skb == (struct sk_buff *)&q->skbs ? NULL : skb;
}

#endif /* SODP_RXQ_H */
