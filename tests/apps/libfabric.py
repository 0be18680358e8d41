#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""libfabric's own tests over its verbs provider.

libfabric.py [--quick] TOPOLOGY [CASE…], see apps.py.  fi_pingpong -c and
fabtests' -v compare every byte.  Modes are pinned, on-demand regions
(FI_VERBS_USE_ODP) and implicit ones; libfabric never prefetches
(prov/verbs has no ibv_advise_mr), so there is no such column.
"""

import functools
import sys

from tests.apps.apps import (
    CLOSING,
    IMPLICIT,
    ODP,
    PAGE_DEVICE,
    PINNED,
    Counted,
    between_two,
    commands,
    environment_of,
    filled,
    main,
    shell,
)
from tests.common.machine import SLOW, wait_for
from tests.common.tap import Failure, Skip
from tests.wire.ends import LocalEnd, cm_listens, served, wait_serving

FABTESTS = "/opt/fabtests/bin"
NO_DATA = "no data"
MODES = (PINNED, ODP, IMPLICIT)
ENODATA = 61
OOB_PORT, PINGPONG_PORT = 3000, 47592

VERBS, RXM, RXD = "verbs", "verbs;ofi_rxm", "verbs;ofi_rxd"

# What is run: fabtests' "quick" set (runfabtests.sh) without what its
# exclude files take out, with -v where a program has it.  -S: without it
# each registers 1 GB, 64 buffers of 8 MB each way, and fi_rdm_atomic 3 GB.
RUNS = {
    VERBS: """
fi_msg
fi_msg_epoll
fi_msg_pingpong -S 100001 -I 5 -v
fi_msg_bw -S 100001 -I 5 -v
fi_cq_data -e msg -o senddata
fi_cq_data -e msg -o writedata
fi_inject_test -A inject -v
fi_inject_test -N -A inject -v
fi_multi_ep -S 4096 -e msg -v -A
fi_multi_ep -S 4096 -e msg -v -Q
fi_multi_ep -S 4096 -e msg -v -A -Q --threading completion
fi_flood -S 4096 -e msg -v -T 1
fi_rma_bw -S 100001 -e msg -o write -I 5
fi_rma_bw -S 100001 -e msg -o read -I 5
fi_rma_bw -S 100001 -e msg -o writedata -I 5 -v
fi_rma_pingpong -S 100001 -e msg -o writedata -I 5 -v
""",
    RXM: """
fi_av_xfer -e rdm
fi_rdm
fi_rdm -U
fi_cq_data -e rdm -o senddata
fi_cq_data -e rdm -o writedata
fi_rdm_tagged_peek
fi_multi_ep -S 4096 -e rdm -v -A
fi_multi_ep -S 4096 -e rdm -v -Q
fi_multi_ep -S 4096 -e rdm -v -A -Q --threading completion
fi_recv_cancel -e rdm -V
fi_unexpected_msg -S 4096 -e rdm -I 10 -v
fi_inject_test -A inject -v
fi_inject_test -N -A inj_complete -v
fi_flood -S 4096 -e rdm -v -T 1
fi_rdm_multi_client -S 100001 -C 10 -I 5
fi_rma_bw -S 100001 -e rdm -o write -I 5 -v
fi_rma_bw -S 100001 -e rdm -o write -I 5 -v -U
fi_rma_bw -S 100001 -e rdm -o read -I 5 -v
fi_rma_bw -S 100001 -e rdm -o writedata -I 5 -v
fi_rdm_atomic -S 1024 -I 2 -o all -v
fi_rdm_cntr_pingpong -S 100001 -I 5
fi_multi_recv -S 100001 -e rdm -I 5 -v
fi_rdm_pingpong -S 100001 -I 5 -v
fi_rdm_pingpong -S 100001 -I 5 -v -U
fi_rdm_bw -S 100001 -I 5 -v
fi_rdm_tagged_pingpong -S 100001 -I 5 -v
fi_rdm_tagged_bw -S 100001 -I 5 -v
fi_rdm_tagged_bw -S 100001 -I 5 -v -U
fi_unmap_mem -S 100001 -e rdm
""",
    RXD: """
fi_rdm
fi_rdm_pingpong -S 100001 -I 5 -v
fi_rdm_tagged_pingpong -S 100001 -I 5 -v
fi_rdm_tagged_bw -S 100001 -I 5 -v
fi_rma_bw -S 100001 -e rdm -o write -I 5 -v
fi_rma_bw -S 100001 -e rdm -o read -I 5 -v
fi_multi_ep -S 4096 -e rdm -v -A
fi_unexpected_msg -S 4096 -e rdm -I 10 -v
fi_rdm_atomic -S 1024 -I 2 -o all -v
""",
}

# Without a byte through a registered region: no mode makes a difference
WITHOUT_DATA = {
    VERBS: """
fi_cm_data
fi_shared_ctx -e msg --no-tx-shared-ctx
""",
}

# All sizes, up to 8 MB, of which little is touched: on demand only
LARGE = {
    VERBS: """
fi_msg_pingpong -I 2 -v
""",
    RXM: """
fi_rdm_tagged_pingpong -I 2 -v
""",
}

# At one end alone.  -L: fi_cq_test opens 32768 completion queues of 1024
# entries at a time if it is let, which is 2 GB of them.
UNITS = {
    VERBS: """
fi_getinfo_test -s {near} {far}
fi_av_test -g {far} -n 1 -s {near} -e rdm
fi_dom_test -n 2
fi_eq_test
fi_cq_test -L 1000
fi_mr_test
fi_cntr_test
fi_setopt_test
""",
    RXM: """
fi_av_test -g {far} -n 1 -s {near} -e rdm
fi_mr_test
fi_cntr_test
""",
}

# What verbs cannot do on any device, and why: fi_getinfo() knows nothing that
# would do (ENODATA), as libfabric's own exclude files say (test_configs)
NO_SUCH = {
    VERBS: {
        "fi_multi_mr -e msg -V": "no FI_RMA_EVENT",
        "fi_shared_ctx -e msg": "contexts for sending are not shared",
        "fi_unexpected_msg -e msg -I 10 -v": "no FI_TAGGED",
        "fi_multi_recv -e msg -I 5": "no FI_MULTI_RECV",
        "fi_rma_bw -e msg -o read -I 5 -v": "no FI_DELIVERY_COMPLETE",
        "fi_dgram": "fabtests leaves no room for the header of a datagram",
        "fi_av_xfer -e dgram": "the same",
        "fi_cq_data -e dgram -o senddata": "the same",
    },
    RXM: {
        "fi_multi_mr -e rdm -V": "no FI_RMA_EVENT",
        "fi_rdm_rma_event": "no FI_RMA_EVENT",
        "fi_rdm_rma_trigger": "no FI_TRIGGER",
        "fi_shared_ctx": "no shared contexts",
        "fi_scalable_ep": "no scalable endpoints",
    },
}

# A defect: the address is resolved by fi_endpoint() (verbs_ep.c) and again
# by fi_connect() (verbs_cm.c), which the kernel refuses
BROKEN = {"fi_msg_sockets": (22, "fi_connect()", "resolves its address twice")}

# Of the short form: provider, command, modes
QUICK = (
    (VERBS, "fi_msg_pingpong -S 100001 -I 5 -v", MODES),
    (VERBS, "fi_rma_bw -e msg -o writedata -S 100001 -I 5 -v", (IMPLICIT,)),
    (RXM, "fi_rma_bw -e rdm -o read -S 100001 -I 5 -v", (ODP,)),
    (RXM, "fi_rdm_tagged_bw -S 100001 -I 5 -v", (ODP,)),
)

# fi_pingpong's endpoints: what the page says is the first
PINGPONGS = {
    "msg": ("-p verbs -e msg", ""),
    "rxm": ('-p "verbs;ofi_rxm" -e rdm', ""),
    "rxd": ('-p "verbs;ofi_rxd" -e rdm', "-dgram"),
    "dgram": ("-p verbs -e dgram", "-dgram"),
}


def lines(text):
    return text.strip().splitlines()


def environment(mode):
    switch = {"FI_VERBS_USE_ODP": "1" if mode == ODP else "0"}
    return dict(switch, **environment_of(mode))


def words_of(provider, command, end):
    """A fabtest and the options that all of them take."""
    program, *options = command.split()
    words = [f"{FABTESTS}/{program}"] + options + ["-p", provider]
    if provider == RXD:
        return words + ["-E", "-d", end["DEV"] + "-dgram"]
    return words + ["-d", end["DEV"]]


def serves(program, end, task):
    """A server listens: by rdma_cm, or by TCP to exchange addresses."""

    def looked():
        if any(end.listening(port) for port in (OOB_PORT, PINGPONG_PORT)):
            return True
        return cm_listens(end, f" comm {program[:15]} ")

    wait_serving(task, "a listening server", looked)


def fabtest(near, far, provider, command, mode):
    """A program of fabtests as server and as client."""
    pairs = []
    for end, to in ((far, []), (near, [far["ADDR"]])):
        words = words_of(provider, command, end)
        pairs.append((words + ["-s", end["ADDR"]] + to, environment(mode)))
    # Who disconnects has receives posted, which are flushed
    ready = functools.partial(serves, command.split()[0])
    with Counted([near, far], mode, CLOSING) as seen:
        served(far, near, *pairs, ready)
    return seen.note()


def unit(near, far, provider, command):
    command = command.format(near=near["ADDR"], far=far["ADDR"])
    with Counted([near, far], NO_DATA) as seen:
        near.run(words_of(provider, command, near), 120)
    return seen.note()


def judged(task, status, where, why):
    """Skipped, for this reason, if it ended so."""
    ended = task.wait(30 * SLOW)
    task.kill()
    if ended != status or where not in task.output():
        raise Failure(f"status {ended}, not {status}:\n{task.output()}")
    raise Skip(why)


def no_such(near, far, provider, command, why):
    """A server whose fi_getinfo() finds nothing; some first wait for a
    client, by TCP."""
    task = far.start(words_of(provider, command, far) + ["-s", far["ADDR"]])

    def met():
        if far.listening(OOB_PORT):
            near.run(shell(f"exec 3<>/dev/tcp/{far['ADDR']}/{OOB_PORT}"))
            return True
        return task.poll() is not None

    wait_for("an end, or a listening server", met, 30)
    judged(task, ENODATA, "fi_getinfo()", why)


def broken(near, far, command, status, where, why):
    """A client that gets no further than this: nobody needs to listen."""
    words = words_of(VERBS, command, near)
    task = near.start(words + ["-s", near["ADDR"], far["ADDR"]])
    judged(task, status, where, why)


def pingpong(near, far, kind, mode):
    """The page's commands, with other endpoints and modes."""
    options, suffix = PINGPONGS[kind]
    switch = "FI_VERBS_USE_ODP="
    words = {
        PINGPONGS["msg"][0]: options,
        switch + "1": switch + ("1" if mode == ODP else "0"),
    }
    pairs = []
    for end, label in ((far, "server"), (near, "client")):
        words[PAGE_DEVICE] = end["DEV"] + suffix
        text = filled(commands("libfabric", label), end, far, **words)
        pairs.append((shell(text), environment_of(mode)))
    looked = shell(filled(commands("libfabric", "counters"), near))
    # The /sys of another network namespace has no devices in it
    here = LocalEnd("here", {})
    before = int(here.run(looked))
    with Counted([near, far], mode) as seen:
        ready = functools.partial(serves, "fi_pingpong")
        said = served(far, near, *pairs, ready)
    if (int(here.run(looked)) > before) != (mode != PINNED):
        raise Failure("the page's counter says something else")
    for text in said:
        if "bytes" not in text:
            raise Failure(f"no table:\n{text}")
    return seen.note()


def quick_cases(near, far):
    for kind in ("msg", "rxm", "dgram"):
        yield f"fi_pingpong {kind} {ODP}", functools.partial(
            pingpong, near, far, kind, ODP
        )
    for provider, command, modes in QUICK:
        for mode in modes:
            yield f"{provider} {command} {mode}", functools.partial(
                fabtest, near, far, provider, command, mode
            )


def served_cases(near, far, modes):
    for kind in PINGPONGS:
        for mode in modes:
            yield f"fi_pingpong {kind} {mode}", functools.partial(
                pingpong, near, far, kind, mode
            )
    tables = ((RUNS, modes), (LARGE, (ODP,)), (WITHOUT_DATA, (NO_DATA,)))
    for table, modes in tables:
        for provider, text in table.items():
            for command in lines(text):
                for mode in modes:
                    yield f"{provider} {command} {mode}", functools.partial(
                        fabtest, near, far, provider, command, mode
                    )


def lone_cases(near, far):
    for provider, text in UNITS.items():
        for command in lines(text):
            yield f"{provider} {command}", functools.partial(
                unit, near, far, provider, command
            )
    for provider, table in NO_SUCH.items():
        for command, why in table.items():
            yield f"{provider} {command}", functools.partial(
                no_such, near, far, provider, command, why
            )
    for command, words in BROKEN.items():
        yield f"{VERBS} {command}", functools.partial(
            broken, near, far, command, *words
        )


def cases_of(near, far, quick):
    """Between two devices on demand only: how memory is registered, and what
    one end does alone, are the same there."""
    if quick:
        return list(quick_cases(near, far))
    if between_two(near, far):
        return list(served_cases(near, far, (ODP,)))
    return list(served_cases(near, far, MODES)) + list(lone_cases(near, far))


if __name__ == "__main__":
    sys.exit(main(cases_of, sys.argv[1:]))
