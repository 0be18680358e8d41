# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""TAP, and what a case raises."""

import time


class Failure(Exception):
    """Something that did not do what it should."""


class Skip(Exception):
    """A case that cannot be; says why."""


def plan(count):
    print(f"1..{count}", flush=True)


def result(good, number, name, note=""):
    word = "ok" if good else "not ok"
    note = f" # {note}" if note else ""
    print(f"{word} {number} - {name}{note}", flush=True)


def quote(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def skip_all(why):
    """Nothing can be; returns the exit status that says so."""
    print(f"1..0 # SKIP {why}", flush=True)
    return 4


def bail_out(why):
    """It goes on no further; returns the exit status."""
    print(f"Bail out! {why}".replace("\n", " | "), flush=True)
    return 1


class Tap:
    """A plan of (name, function) and its TAP lines."""

    def __init__(self, cases):
        self.cases = cases

    def run(self):
        plan(len(self.cases))
        bad = 0
        for number, (name, function) in enumerate(self.cases, 1):
            began = time.monotonic()
            try:
                note = function()
                result(True, number, name)
                if note:
                    quote(note)
            except Skip as why:
                result(True, number, name, f"SKIP {why}")
            except (Failure, OSError) as err:
                bad += 1
                quote(err)
                result(False, number, name)
            quote(f"{time.monotonic() - began:.1f} s")
        return 1 if bad else 0
