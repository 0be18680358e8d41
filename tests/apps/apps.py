# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the tests of applications have in common.

A test runs a program at one or two ends (tests/wire/ends.py), compares
bytes, and looks at what the device counted meanwhile: on-demand regions
must have faulted, pinned ones must not, and nothing may have gone wrong.
Commands are those of the pages in docs/, with the names of the test's
devices and programs in the place of the user's.
"""

import glob
import os
import re

from tests.common import machine
from tests.common.tap import Failure, Skip, Tap, bail_out
from tests.wire.ends import LocalEnd
from tests.wire.wire import two_ends

BUILT = "/build/apps"
SHIM = f"{BUILT}/libimplicit.so"
PAGES = "/src/docs"
# What stands in the pages for the other machine, and for the device
PAGE_ADDRESS, PAGE_DEVICE = "192.0.2.1", "sodp0"

# Counters that no right program moves on a network that loses nothing.
# Programs close connections while the other side still sends: what comes
# then is dropped, completed with an error, or tried until a timeout.
WRONG = (
    "access_naks",
    "invalid_request_naks",
    "operation_naks",
    "cq_overflows",
    "rx_malformed",
    "rx_icrc_errors",
    "page_faults_failed",
)
CLOSING = ("completion_errors",)

# Debian 12, whose UCX 1.13 knows no UCX_REG_NONBLOCK_MEM_TYPES
BOOKWORM = os.environ.get("SODP_SUITE") == "bookworm"

PINNED, ODP, PREFETCH, IMPLICIT = "pinned", "odp", "prefetch", "implicit"
MODES = (PINNED, ODP, PREFETCH, IMPLICIT)


def counters(end):
    """All counters of the device at an end.

    The /sys of another network namespace has no devices in it.
    """
    if isinstance(end, LocalEnd):
        return machine.counters(end["DEV"])
    return machine.counters(end["DEV"], lambda *words: end.run(words))


class Counted:
    """Context manager: what the devices at some ends count in it.

    mode: how the programs register memory; the counters must agree.
    allowed: names of WRONG and CLOSING that may move, with a reason where
    the test is.
    """

    def __init__(self, ends, mode, allowed=()):
        # Each device once: both ends may have the same one
        devices = {(isinstance(e, LocalEnd), e["DEV"]): e for e in ends}
        self.ends = list(devices.values())
        self.mode = mode
        self.allowed = allowed

    def __enter__(self):
        self.before = [counters(end) for end in self.ends]
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.after = [counters(end) for end in self.ends]
            self._judge()

    def grown(self, name):
        """By how much a counter grew, at all ends together."""
        pairs = zip(self.before, self.after)
        return sum(new[name] - old[name] for old, new in pairs)

    def _judge(self):
        for name in WRONG + CLOSING:
            if name not in self.allowed and self.grown(name):
                raise Failure(f"{name} grew by {self.grown(name)}")
        faults = self.grown("page_faults")
        if self.mode == PINNED and faults:
            raise Failure(f"pinned memory faulted {faults} times")
        if self.mode == PREFETCH and not self.grown("page_prefetch"):
            raise Failure("nothing was prefetched")
        if self.mode in (ODP, IMPLICIT) and not faults:
            raise Failure("no page of an on-demand region was touched")

    def note(self):
        words = [f"{self.grown('page_faults')} faults"]
        for name in ("page_invalidations", "page_prefetch"):
            if self.grown(name):
                words.append(f"{self.grown(name)} {name[5:]}")
        return f"{self.mode}: " + ", ".join(words)


def commands(page, label):
    """The shell commands of a page that a comment calls `label`.

    In the page:  <!-- test: LABEL --> and then a fenced block.
    """
    with open(f"{PAGES}/{page}.md") as handle:
        text = handle.read()
    pattern = rf"<!-- test: {re.escape(label)} -->\n+```\w*\n(.*?)\n```"
    found = re.findall(pattern, text, re.DOTALL)
    if len(found) != 1:
        raise Failure(f"{page}.md has {len(found)} blocks {label}")
    return found[0]


def filled(text, near, far=None, **words):
    """Commands of a page for a test: device, other side's address, and
    what else the test replaces: {what the page says: what is run}."""
    words = dict({PAGE_DEVICE: near["DEV"]}, **words)
    if far is not None:
        words[PAGE_ADDRESS] = far["ADDR"]
    for old, new in words.items():
        if old not in text and old not in (PAGE_DEVICE, PAGE_ADDRESS):
            raise Failure(f"the page does not say {old}:\n{text}")
        text = text.replace(old, new)
    return text


def shell(text):
    """A page's commands as a program."""
    return ["bash", "-e", "-o", "pipefail", "-c", text]


def environment_of(mode):
    """For any program: implicit regions by the shim."""
    return {"LD_PRELOAD": SHIM} if mode == IMPLICIT else {}


def between_two(near, far):
    """Are the ends two devices?"""
    return near["DEV"] != far["DEV"] or far.name == "peer"


def ucx_without_rdma():
    raise Skip("Debian built this UCX without libuct_ib: no RDMA at all")


def with_ucx(cases):
    """Cases that need UCX's RDMA transports, which forky's package lacks
    (1.23.0~rc1-1)."""
    if glob.glob("/usr/lib/*/ucx/libuct_ib.so*"):
        return cases
    return [("all", ucx_without_rdma)]


def main(cases_of, argv):
    """Run the cases of a module as TAP.

    argv: [--quick] TOPOLOGY [CASE…]; TOPOLOGY as in wire.py, `local` for
    one device; CASE: the beginning of names.
    cases_of(near, far, quick) gives pairs of name and function.
    """
    quick = "--quick" in argv
    words = [w for w in argv if w != "--quick"]
    topology, names = words[0], words[1:]
    try:
        with two_ends(topology) as (near, far):
            cases = [
                (name, work)
                for name, work in cases_of(near, far, quick)
                if not names or any(name.startswith(n) for n in names)
            ]
            return Tap(cases).run()
    except (Failure, OSError) as err:
        return bail_out(err)
