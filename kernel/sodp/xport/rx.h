/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/* Who takes packets */
#ifndef SODP_RX_H
#define SODP_RX_H

#include "net/net.h"

extern const struct sodp_receiver sodp_receiver;

#endif /* SODP_RX_H */
