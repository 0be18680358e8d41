// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * What RC, XRC and UC each do with packets: IBA 9.7, 9.8, A14. All else is
 * one code for them.
 */
#include <rdma/ib_pack.h>

#include "xport/rc/responder.h"

static const struct sodp_service service_rc = {
	.opcodes = IB_OPCODE_RC,
	.acked = true,
	.enqueue = sodp_wresp_enqueue_acked,
	.rules = &sodp_wresp_acked,
};

static const struct sodp_service service_xrc = {
	.opcodes = SODP_BTH_XRC,
	.acked = true,
	.enqueue = sodp_wresp_enqueue_acked,
	.rules = &sodp_wresp_acked,
};

static const struct sodp_service service_uc = {
	.opcodes = IB_OPCODE_UC,
	.enqueue = sodp_wresp_enqueue_any,
	.rules = &sodp_wresp_silent,
};

/**
 * sodp_service_of() - the service of a connected QP
 * @type: the QP's
 *
 * Context: any.
 */
const struct sodp_service *sodp_service_of(enum ib_qp_type type)
{
	switch (type) {
	case IB_QPT_UC:
		return &service_uc;
	case IB_QPT_XRC_INI:
	case IB_QPT_XRC_TGT:
		return &service_xrc;
	default:
		return &service_rc;
	}
}
