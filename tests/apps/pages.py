# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The commands of docs/ that belong to no application: containers, and how
to find bugs.  Every page's other commands are run by that page's test.

pages.py TOPOLOGY [CASE…]
"""

import contextlib
import functools
import os
import re
import sys

from tests.apps.apps import (
    IMPLICIT,
    ODP,
    PAGES,
    Counted,
    commands,
    filled,
    main,
    shell,
)
from tests.common.tap import Failure

# A program with on-demand regions, over either way to register
PROGRAM = "ib_write_bw -d sodp0 --odp -s 65536 -n 50 -F"
# Who reads a page's commands
READERS = {
    "mpi": ["mpi"],
    "ucx": ["ucx"],
    "libfabric": ["libfabric"],
    "storage": ["storage", "nfs", "scsi", "fio", "rds", "migration"],
    "rsockets": ["sockets"],
    "containers": ["pages"],
    "find-odp-bugs": ["pages"],
    "trouble": ["pages"],
}
LABEL = re.compile(r"<!-- test: (\S+) -->")


def page(name, label, near, **words):
    return near.run(shell(filled(commands(name, label), near, **words)), 120)


def bandwidth(near):
    """Two commands that do what ./my_program stands for."""
    server = f"{PROGRAM} > /dev/null & sleep 1; "
    client = PROGRAM.replace("--odp ", "") + " localhost; wait"
    return filled(server + client, near)


def host(near):
    """The device of a host, made by the page's words and no others."""
    address = near["ADDR"]
    near.run(["rdma", "link", "delete", near["DEV"]])
    near.run(["ip", "link", "delete", "sodpnet0"])
    # The lab's modules are loaded, and not where modprobe looks
    words = {"modprobe -a sodp ": "modprobe -a "}
    page("containers", "host", near, **words)
    text = near.run(["ip", "-o", "addr", "show", "dev", "sodpnet0"])
    if address not in text:
        raise Failure(f"the page makes another address:\n{text}")
    near.run(["ibv_devinfo", "-d", near["DEV"]])


def namespace(near):
    with contextlib.ExitStack() as after:
        after.callback(near.run, ["ip", "netns", "delete", "box"])
        after.callback(near.run, ["rdma", "link", "delete", "sodpbox"])
        page("containers", "namespace", near)
        text = "ip netns exec box ibv_rc_pingpong -d sodpbox -g 1 "
        both = f"{text} > /dev/null & sleep 1; {text} 10.80.0.1; wait"
        said = near.run(shell("ip netns exec box ip link set lo up; " + both))
        if "iters in" not in said:
            raise Failure(f"no result:\n{said}")


def memlock(near):
    """As a user who may lock next to nothing."""
    text = filled(commands("containers", "memlock"), near)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    user += ["--bounding-set=-all", "--inh-caps=-all"]
    text = text.replace("/tmp/server.log", "/dev/null")
    with Counted([near], ODP) as counted:
        near.run(user + shell(text + "\nwait"))
    task = near.start(user + shell(text.replace("--odp ", "") + "\nwait"))
    if task.wait(60) == 0:
        raise Failure(f"pinned memory needs no limit:\n{task.output()}")
    return counted.note()


def cgroup(near):
    folder = "/sys/fs/cgroup/box"
    page("containers", "cgroup", near)
    try:
        text = "echo $$ > %s/cgroup.procs; ibv_devinfo -d sodp0; " % folder
        text += "cat %s/rdma.current" % folder
        near.run(shell(filled(text, near)))
        # Two contexts are one too many
        inside = f"echo $$ > {folder}/cgroup.procs; {bandwidth(near)}"
        task = near.start(shell(inside))
        if task.wait(60) == 0:
            raise Failure("the limit holds nobody back")
    finally:
        task = near.start(["rmdir", folder])
        task.wait(10)


def slow(near):
    """The fault model is on during the program and off after it."""
    began = bandwidth(near)
    words = {"./my_program": began}
    with Counted([near], ODP) as counted:
        page("find-odp-bugs", "slow", near, **words)
    text = near.run(["sodpctl", "fault-model", near["DEV"]])
    if "off" not in text:
        raise Failure(f"the fault model is still on:\n{text}")
    return counted.note()


def shim(near):
    words = {"./my_program": f"bash -c '{bandwidth(near)}'"}
    text = filled(commands("find-odp-bugs", "shim"), near, **words)
    text = text.replace("tests/apps", "/src/tests/apps")
    with Counted([near], IMPLICIT) as counted:
        near.run(shell("cd /tmp\n" + text.replace("--odp ", "")))
    return counted.note()


def counters_shown(near):
    text = page("find-odp-bugs", "counters", near)
    for name in ("page_faults:", "page_faults_failed:0"):
        if name not in text:
            raise Failure(f"no {name}\n{text}")


def debug(near):
    page("trouble", "debug", near)
    near.run(
        [
            "sh",
            "-c",
            "echo 'module sodp -p' > "
            "/sys/kernel/debug/dynamic_debug/control",
        ]
    )


def reading(name):
    """The source of what reads a page."""
    text = ""
    for module in READERS[name]:
        with open(f"/src/tests/apps/{module}.py") as handle:
            text += handle.read()
    return text


def every_label(near):
    """No page has commands that no test reads."""
    for name in sorted(os.listdir(PAGES)):
        name = name.removesuffix(".md")
        with open(f"{PAGES}/{name}.md") as handle:
            labels = LABEL.findall(handle.read())
        for label in labels:
            commands(name, label)
            known = f'"{label}"' in reading(name) or (name, label) in MADE_UP
            if not known:
                raise Failure(f"nothing runs {label} of {name}.md")


# Labels that a reader puts together
MADE_UP = {
    ("mpi", "openmpi-hosts"),
    ("mpi", "mpich-hosts"),
}


def cases_of(near, far, quick):
    """The device is made anew first: later cases use that one."""
    for work in (
        host,
        namespace,
        memlock,
        cgroup,
        slow,
        shim,
        counters_shown,
        debug,
        every_label,
    ):
        yield work.__name__, functools.partial(work, near)


if __name__ == "__main__":
    sys.exit(main(cases_of, sys.argv[1:]))
