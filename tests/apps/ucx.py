# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""UCX over on-demand paging.

ucx.py [--quick] TOPOLOGY [CASE…]

ucx-check (ucx_check.c) compares every byte of every kind of communication;
ucx_perftest runs as users run it.  Settings are those of docs/ucx.md.
"""

import functools
import sys

from tests.apps.apps import (
    BOOKWORM,
    BUILT,
    IMPLICIT,
    MODES,
    ODP,
    PINNED,
    PREFETCH,
    Counted,
    between_two,
    commands,
    environment_of,
    filled,
    main,
    shell,
    with_ucx,
)
from tests.common.tap import Failure
from tests.wire.ends import served, wait_listening

CHECK_PORT, PERFTEST_PORT = 7730, 13337
NONBLOCK = "UCX_REG_NONBLOCK_MEM_TYPES=host"
SECONDS = 300

# What ucx_perftest can do, and in which size; none of it compares bytes.
PERFTESTS = {
    "tag_bw": 65536,
    "tag_lat": 8,
    "tag_sync_lat": 4096,
    "stream_bw": 65536,
    "stream_lat": 65536,
    "ucp_am_bw": 65536,
    "ucp_am_lat": 262144,
    "ucp_put_bw": 65536,
    "ucp_put_lat": 65536,
    "ucp_get": 262144,
    "ucp_add": 8,
    "ucp_fadd": 8,
    "ucp_swap": 8,
    "ucp_cswap": 8,
}
# The lower layer: transport is named, zero-copy is asked for
UCT = {
    "put_bw": "-D zcopy -s 262144 -n 50",
    "get": "-D zcopy -s 262144 -n 50",
    "am_bw": "-D zcopy -s 4096 -n 200",
    "add_mr": "-s 8 -n 100",
    "fadd": "-s 8 -n 100",
    "cswap": "-s 8 -n 100",
}


def pair(ends, commands_of, port, mode):
    """Server and client with the same settings; what both printed.

    commands_of(end, words) gives the command with words after it.
    """
    far, near = ends[-1], ends[0]
    env = environment_of(mode)

    def ready(end, task):
        wait_listening(end, task, port)

    with Counted(ends, mode) as counted:
        said = served(
            far,
            near,
            (commands_of(far, []), env),
            (commands_of(near, [far.control]), env),
            ready,
            SECONDS,
        )
    return said, counted.note()


def settings(end, mode, tls, scheme):
    """The page's settings, changed for the case."""
    text = commands("ucx", "odp")
    if mode in (PINNED, IMPLICIT):
        text = text.replace(NONBLOCK, NONBLOCK[:-4])
    text = text.replace("UCX_TLS=rc,self", f"UCX_TLS={tls}")
    text = text.replace("get_zcopy", scheme)
    if mode == PREFETCH:
        text = "export UCX_IB_ODP_PREFETCH=y\n" + text
    return filled(text, end)


def check_words(threads, nonblock, words):
    flags = ["-n"] if nonblock else []
    words = flags + [str(CHECK_PORT), str(threads)] + words
    return " ".join([f"{BUILT}/ucx-check"] + words)


def checked(ends, command, mode):
    said, note = pair(ends, command, CHECK_PORT, mode)
    for text in said:
        if "right: " not in text:
            raise Failure(f"no result:\n{text}")
    return note


def check(ends, mode, tls="rc,self", scheme="get_zcopy", threads=1):
    def command(end, words):
        words = check_words(threads, mode in (ODP, PREFETCH), words)
        text = settings(end, mode, tls, scheme)
        return shell(text.replace("./my_program", words))

    return checked(ends, command, mode)


def check_defaults(ends, tls=None, threads=1, nonblock=False):
    """No variable but the device, and which transports if that is asked."""

    def command(end, words):
        text = "export UCX_NET_DEVICES=sodp0:1\n"
        if tls:
            text += f"export UCX_TLS={tls}\n"
        return shell(filled(text + check_words(threads, nonblock, words), end))

    return checked(ends, command, ODP if nonblock else PINNED)


def page_defaults(ends):
    """The page's first commands as they are."""

    def command(end, words):
        text = commands("ucx", "defaults")
        if not words:
            text = text.replace(text.splitlines()[-1], "ucx_perftest -P 0")
        return shell(filled(text, end).replace("192.0.2.1", ends[-1].control))

    return figures(*pair(ends, command, PERFTEST_PORT, PINNED))


def figures(said, note):
    if "Final:" not in said[1]:
        raise Failure(f"no result:\n{said[1]}")
    last = said[1].split("Final:")[1].split()
    return f"{last[5]} MB/s, {note}"


def perftest(ends, test, mode):
    def command(end, words):
        text = settings(end, mode, "rc,self", "get_zcopy")
        run = "ucx_perftest -P 0"
        run += f" -t {test} -s {PERFTESTS[test]} -n 200 "
        return shell(text.replace("./my_program", run + " ".join(words)))

    return figures(*pair(ends, command, PERFTEST_PORT, mode))


def uct_perftest(ends, test, mode):
    def command(end, words):
        text = settings(end, mode, "rc,self", "get_zcopy")
        run = f"ucx_perftest -P 0 -d {end['DEV']}:1 -x rc_verbs -t {test} "
        # -B is this program's word for on demand
        run += f"{UCT[test]} {'-B ' if mode == ODP else ''}"
        return shell(text.replace("./my_program", run + " ".join(words)))

    return figures(*pair(ends, command, PERFTEST_PORT, mode))


def quick_cases(ends):
    yield "defaults", functools.partial(check_defaults, ends)
    yield "page", functools.partial(page_defaults, ends)
    yield "defaults ud", functools.partial(check_defaults, ends, "ud,self")
    yield "odp", functools.partial(check, ends, ODP)
    yield "implicit threads", functools.partial(
        check, ends, IMPLICIT, "rc,self", "put_zcopy", 2
    )


def bookworm_cases(ends):
    yield "defaults", functools.partial(check_defaults, ends)
    yield "defaults ud", functools.partial(check_defaults, ends, "ud,self")
    yield "implicit", functools.partial(check, ends, IMPLICIT)


def all_cases(ends):
    yield from quick_cases(ends)
    for tls in ("rc,self", "ib,self", "rc,ud,self"):
        yield f"defaults {tls}", functools.partial(check_defaults, ends, tls)
    yield "defaults nonblock", functools.partial(
        check_defaults, ends, "rc,self", 1, True
    )
    yield "defaults threads", functools.partial(check_defaults, ends, None, 4)
    for mode in MODES:
        for tls in ("rc,self", "ib,self"):
            for scheme in ("get_zcopy", "put_zcopy"):
                yield f"{mode} {tls} {scheme}", functools.partial(
                    check, ends, mode, tls, scheme
                )
        yield f"{mode} threads", functools.partial(
            check, ends, mode, "rc,self", "get_zcopy", 4
        )
    for test in PERFTESTS:
        yield f"perftest {test}", functools.partial(
            perftest, ends, test, PINNED
        )
    for mode in (PINNED, ODP):
        for test in UCT:
            yield f"perftest uct {test} {mode}", functools.partial(
                uct_perftest, ends, test, mode
            )


def cases_of(near, far, quick):
    ends = [near, far] if between_two(near, far) else [near]
    short = bookworm_cases if BOOKWORM else quick_cases
    return with_ucx(short(ends) if quick else all_cases(ends))


if __name__ == "__main__":
    sys.exit(main(cases_of, sys.argv[1:]))
