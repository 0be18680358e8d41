# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The kernel log gate: what a kernel must not say while tests run."""

import re

BAD = re.compile(
    r"""
      \bWARNING:\s
    | \bBUG:\s
    | \bBUG\s.*Tainted
    | kernel\ BUG\ at
    | \bOops\b
    | \bKASAN\b
    | \bKCSAN\b
    | \bKFENCE:\ BUG
    | \bUBSAN:\s
    | general\ protection\ fault
    | unable\ to\ handle
    | Kernel\ panic
    | possible\ circular\ locking
    | possible\ recursive\ locking
    | possible\ irq\ lock\ inversion
    | inconsistent\ lock\ state
    | suspicious\ RCU\ usage
    | bad\ unlock\ balance
    | held\ lock\ freed
    | lock\ held\ when\ returning
    | sleeping\ function\ called
    | scheduling\ while\ atomic
    | ODEBUG:
    | rcu.*detected\ (expedited\ )?stalls?
    | rcu.*self-detected\ stall
    | soft\ lockup
    | hard\ LOCKUP
    | blocked\ for\ more\ than\ \d+\ seconds
    | unreferenced\ object
    | refcount_t:
    | list_(add|del)\ corruption
    | Bad\ page\ state
    | Bad\ rss-counter
    | still\ has\ active\ references
    | unload\ failed
    | unregister_netdevice:\ waiting\ for
    | trying\ to\ register\ non-static\ key
    | Kernel\ memory\ leak\ detector\ disabled
    | kernel\ log\ overran
    | DMAR:.*\bfault\b
    """,
    re.VERBOSE,
)

# Said by the machine and not by us: announcements of the debug options.
HARMLESS = re.compile(
    r"""
      ^\[[^]]*\]\ kasan:\ KernelAddressSanitizer\ initialized
    | KFENCE\ enabled|kfence:\ initialized
    | sodp-lab:\ (begin|end|agent)
    | Lock\ dependency\ validator
    | MODSIGN|module\ verification\ failed
    | tainting\ kernel
    """,
    re.VERBOSE,
)

CONTEXT = 24


def complaints(text):
    """Lines of a kernel log to quote; empty when the log is clean."""
    lines = text.splitlines()
    quoted, until = [], -1
    for number, line in enumerate(lines):
        if BAD.search(line) and not HARMLESS.search(line):
            until = max(until, number + CONTEXT)
        if number <= until:
            quoted.append(line)
    return quoted


def headlines(quoted):
    """Of such lines: the first, where it was, and the callers, one line each.

    A summary that is all that is left of a run has to say this much.
    """
    lines = [re.sub(r"^\[[^]]*\]\s*", "", x).strip() for x in quoted]
    found = lines[:1]
    found += [x for x in lines[1:] if x.startswith("RIP: ")][:1]
    if "Call Trace:" in lines:
        trace = lines[lines.index("Call Trace:") + 1 :]
        calls = [x for x in trace if re.match(r"[\w.]+\+0x", x)]
        found.append("called by " + ", ".join(x.split("+")[0] for x in calls))
    return found
