# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Figures by a native clock: ./lab bench --native.

What is compared takes turns within one run.  A figure is a ratio of
medians; what the minima say, and how far the two are apart, is said too:
that is how noisy the host was.

User Mode Linux runs the kernel's code natively, and its system calls by
tricks that take 8 us.  There the lab has measured in SODP_HOST what the
host's own kernel does: the call of UML is taken out of what was measured
and the host's is put in.
"""

import json
import os

from tests.bench.figures import figure
from tests.bench.measure import (
    Device,
    median,
    primitive,
    size_name,
)

REPS = 31
IN_CACHE = "4K,64K,1M"
FAR = "64K,1M"
FAR_BUFFER = "64M"
# Above this the median was much disturbed
NOISY = 1.25


class NoDevice:
    @staticmethod
    def args():
        return {}


def host_peer():
    """{"near": lines, "far": lines} of the command vm, and of whom."""
    text = os.environ.get("SODP_HOST")
    if text:
        return json.loads(text), "the host's"
    options = {"reps": REPS}
    return {
        "near": primitive("vm", NoDevice, sizes=IN_CACHE, **options),
        "far": primitive(
            "vm", NoDevice, sizes=FAR, far=1, buffer=FAR_BUFFER, **options
        ),
    }, "this kernel's"


def spread(*series):
    """How far medians are above minima: the worst, and a word for it."""
    worst = max(median(values) / min(values) for values in series)
    return worst, " NOISY HOST" if worst > NOISY else ""


class Lists:
    """A line of the command lists, without the cost of its system calls."""

    def __init__(self, line, host_call):
        self.line = line
        self.size = line["size"]
        self.host_call = host_call

    def call(self, pick):
        return pick(self.line["call_ns"]) / self.line["calls"]

    def _real(self, ns, pick):
        return ns - self.call(pick) + self.host_call

    def write(self, pick):
        """ns of one WRITE of a list that one system call posts."""
        whole = self._real(pick(self.line["list_ns"]), pick)
        return whole / self.line["count"]

    def one(self, pick):
        """ns of a WRITE alone, with its system call."""
        return self._real(pick(self.line["one_ns"]) / self.line["ones"], pick)

    def alone(self, pick):
        """The same beside its system call."""
        return self.one(pick) - self.host_call

    def marginal(self, pick):
        """ns of one more WRITE in a list."""
        one = pick(self.line["one_ns"]) / self.line["ones"]
        more = self.line["count"] - 1
        return (pick(self.line["list_ns"]) - one) / more

    def memcpy(self, pick):
        return pick(self.line["memcpy_ns"]) / self.line["count"]

    def noise(self):
        return spread(self.line["list_ns"], self.line["memcpy_ns"])


def call_of(lines):
    """The least that a system call takes there."""
    return min(min(x["call_ns"]) / x["calls"] for x in lines)


def lists(host, **options):
    call = call_of(host["near"])
    options = dict({"reps": REPS, "mr": "odp"}, **options)
    found = primitive("lists", Device("SODP"), **options)
    return [Lists(line, call) for line in found]


def over_memcpy(host, **options):
    """The worst ratio, and what there is to say."""
    ratios, said = [], []
    for item in lists(host, depth=16, **options):
        ratios.append(item.write(median) / item.memcpy(median))
        least = item.write(min) / item.memcpy(min)
        worst, word = item.noise()
        said.append(
            f"{size_name(item.size)} {item.write(median):.0f} / "
            f"{item.memcpy(median):.0f} ns = {ratios[-1]:.3f} (minima "
            f"{item.write(min):.0f} / {item.memcpy(min):.0f} = {least:.3f}; "
            f"spread {worst:.2f}{word})"
        )
    return max(ratios), "; ".join(said)


def copy(what, **options):
    host, whose = host_peer()
    value, said = over_memcpy(host, **options)
    call = call_of(host["near"])
    note = f"; ODP, depth 16, {what}; a system call is {whose}, {call:.0f} ns"
    return value, said + note


@figure("<= 1.25", clock="native")
def copy_64k():
    return copy("in cache", sizes="64K")


@figure("<= 1.10", clock="native")
def copy_1m():
    return copy("in cache", sizes="1M")


@figure("<= 1.15", clock="native")
def copy_far():
    return copy("64-MiB buffers", sizes=FAR, far=1, buffer=FAR_BUFFER)


def skews(lines, pick):
    """ns of each difference of offsets, the system call taken out."""
    call = pick([x["call_ns"] for x in lines]) / lines[0]["calls"]
    each = zip(*(line["skew_ns"] for line in lines))
    return [pick(values) - call for values in each]


def ranges(numbers):
    """As few words as will do: 1-15, 40."""
    found = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    words = [f"{a}-{b}" if a < b else str(a) for a, b in found]
    more = f" and {len(words) - 8} more" if len(words) > 8 else ""
    return ", ".join(words[:8]) + more


@figure("<= 2", clock="native")
def copy_skew():
    """By minima: of 4096 medians the worst is of the host's noise."""
    options = {"size": "64K", "count": 4, "reps": 15}
    lines = primitive("skew", Device("SODP"), mr="odp", **options)
    least, typical = skews(lines, min), skews(lines, median)
    best, worst = min(least), max(least)
    slow = [at for at, ns in enumerate(least) if ns > 1.5 * best]
    detail = (
        f"64 KiB, worst {worst / 4:.0f} ns at {least.index(worst)}, best "
        f"{best / 4:.0f} ns at {least.index(best)} (minima of 15; medians "
        f"{max(typical) / 4:.0f} / {min(typical) / 4:.0f} ns); more than "
        f"half again as slow: {ranges(slow) or 'none'}"
    )
    return worst / best, detail


def vm_over_ours(place, **options):
    """process_vm_writev() over one WRITE; each over its own memcpy()."""
    host, whose = host_peer()
    ratios, said = [], []
    for theirs, item in zip(host[place], lists(host, **options)):
        copied = {}
        for pick in (median, min):
            vm = pick(theirs["vm_ns"]) / pick(theirs["memcpy_ns"])
            copied[pick] = vm / (item.one(pick) / item.memcpy(pick))
        ratios.append(copied[median])
        worst, word = spread(
            theirs["vm_ns"],
            theirs["memcpy_ns"],
            item.line["one_ns"],
            item.line["memcpy_ns"],
        )
        said.append(
            f"{size_name(item.size)} {whose} "
            f"{median(theirs['vm_ns']) / theirs['count']:.0f} of "
            f"{median(theirs['memcpy_ns']) / theirs['count']:.0f} ns, ours "
            f"{item.one(median):.0f} of {item.memcpy(median):.0f} ns = "
            f"{ratios[-1]:.2f} (minima {copied[min]:.2f}; spread "
            f"{worst:.2f}{word})"
        )
    detail = "; ".join(said) + "; one at a time, of a memcpy() of as much"
    return min(ratios), detail


@figure(">= 2.5", clock="native")
def cma():
    return vm_over_ours("near", sizes=IN_CACHE)


@figure(">= 1.5", clock="native")
def cma_far():
    return vm_over_ours("far", sizes=FAR, far=1, buffer=FAR_BUFFER)


def small(host):
    return lists(host, sizes="8", depth=64, ones=64)[0]


@figure("<= 150", clock="native")
def op_8():
    """ns, marginal in a list of 64."""
    host, _ = host_peer()
    item = small(host)
    worst, word = spread(item.line["list_ns"], item.line["one_ns"])
    detail = (
        f"8-byte WRITE, one more in a list of 64: {item.marginal(median):.0f} "
        f"ns (minima {item.marginal(min):.0f}; spread {worst:.2f}{word})"
    )
    return item.marginal(median), detail


@figure("<= 250", clock="native")
def op_8_one():
    """ns of one beside its system call."""
    host, whose = host_peer()
    item = small(host)
    worst, word = spread(item.line["one_ns"], item.line["call_ns"])
    detail = (
        f"8-byte WRITE, post to completion, one at a time: "
        f"{item.alone(median):.0f} ns (minima {item.alone(min):.0f}; spread "
        f"{worst:.2f}{word}) beside the system call: {item.call(median):.0f} "
        f"ns here, of which are taken out as many; {whose} takes "
        f"{item.host_call:.0f}"
    )
    return item.alone(median), detail
