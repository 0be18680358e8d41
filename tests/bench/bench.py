#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Measures figures in the guest: one JSON object per line.

    bench.py [--list] [NAME...]

Each line is {"name", "value", "must", "ok", "detail"}. Exit status: 0 all
reached, 1 one falls short or could not be measured, 2 a name is unknown.
"""

import json
import math
import sys

from tests.bench import appfigures  # noqa: F401
from tests.bench import nativefigures  # noqa: F401
from tests.bench import nativewire  # noqa: F401
from tests.bench import spacefigures  # noqa: F401
from tests.bench import wirefigures  # noqa: F401
from tests.bench.figures import FIGURES
from tests.common.tap import Failure


def measure(entry):
    line = {"name": entry.name, "value": None, "must": entry.must}
    line["ok"] = False
    try:
        value, line["detail"] = entry.run()
    except Failure as err:
        line["detail"] = f"not measured: {err}"
        return line
    line["ok"] = entry.judge(value)
    if math.isfinite(value):
        line["value"] = float(f"{value:.4g}")
    return line


def main(names):
    if names == ["--list"]:
        for entry in FIGURES.values():
            machine = [f"{k}={v}" for k, v in entry.machine.items()]
            print(entry.name, entry.must, *machine)
        return 0
    for name in names:
        if name not in FIGURES:
            print(f"bench.py: unknown figure {name}", file=sys.stderr)
            return 2
    good = True
    for name in names or FIGURES:
        line = measure(FIGURES[name])
        good = good and line["ok"]
        print(json.dumps(line), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
