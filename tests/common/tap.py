# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""TAP, and what a case raises."""

import time


class Failure(Exception):
    """Something that did not do what it should."""


class Skip(Exception):
    """A case that cannot be; says why."""


class Tap:
    """A plan of (name, function) and its TAP lines."""

    def __init__(self, cases):
        self.cases = cases

    def run(self):
        print(f"1..{len(self.cases)}", flush=True)
        bad = 0
        for number, (name, function) in enumerate(self.cases, 1):
            began = time.monotonic()
            try:
                note = function()
                print(f"ok {number} - {name}", flush=True)
                if note:
                    print(f"# {note}")
            except Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except (Failure, OSError) as err:
                bad += 1
                for line in str(err).splitlines():
                    print(f"# {line}")
                print(f"not ok {number} - {name}", flush=True)
            print(f"# {time.monotonic() - began:.1f} s", flush=True)
        return 1 if bad else 0
