// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Defines the trace points.
 */
#include "qp/qp.h"

#define CREATE_TRACE_POINTS
#include "qp/trace.h"
