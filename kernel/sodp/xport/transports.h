/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* The transports that there are */
#ifndef SODP_TRANSPORTS_H
#define SODP_TRANSPORTS_H

#include "qp/transport.h"

extern const struct sodp_transport sodp_local_transport;
extern const struct sodp_transport sodp_rc_transport;
extern const struct sodp_transport sodp_ud_transport;

#endif /* SODP_TRANSPORTS_H */
