# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""How fast this machine's time stamp counter runs.

A guest without KVM reads the host's counter and finds its rate by timers
that a busy host delivers late: one that was wrong had a clock 26 times too
fast.  So the lab tells it.
"""

import ctypes
import functools
import mmap
import platform
import time

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
CODE = bytes.fromhex("0f31 48c1e220 4809d0 c3")
SECONDS = 0.05
TRIES = 5


def _reader():
    page = mmap.mmap(
        -1,
        mmap.PAGESIZE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
    )
    page.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    function.page = page
    return function


def _sample(read):
    """Counter and nanoseconds at one moment, as closely as it goes."""
    best = None
    for _ in range(20):
        before = time.monotonic_ns()
        ticks = read()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = after - before, ticks, (before + after) // 2
    return best[1:]


def _measure(read):
    ticks, began = _sample(read)
    time.sleep(SECONDS)
    more, ended = _sample(read)
    return (more - ticks) * 1e6 / (ended - began)


@functools.lru_cache(maxsize=None)
def khz():
    """kHz of the counter; None when that cannot be known."""
    if platform.machine() != "x86_64":
        return None
    try:
        read = _reader()
    except (OSError, ValueError):
        return None
    rates = sorted(_measure(read) for _ in range(TRIES))
    return round(rates[TRIES // 2])
