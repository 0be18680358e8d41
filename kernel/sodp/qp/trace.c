// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * Defines the trace points.
 */
#include "sodp.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
