# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""./lab demo: from a fresh clone to the guided tour in the guest."""

import time

from . import cli, host, session, suites
from .host import LabError
from .vm import VmConfig

PROGRAM = "tests/demo/demo.py"
SECONDS = 900


def main(args):
    if not (host.REPO / PROGRAM).exists():
        raise LabError(f"no {PROGRAM} in this checkout")
    place = suites.pick(args.suite, args.kernel)
    if place is None:
        raise LabError(f"suite {args.suite} has no kernel {args.kernel}")
    config = VmConfig(
        *place,
        icount=args.icount or not args.smp,
        smp=args.smp,
        mem=args.mem or "4G",
        rxe=True,
        sodp=not args.no_sodp,
    )
    began = time.monotonic()
    out = session.check_out(args.out)
    machine = session.Machine(config, verbose=args.verbose)
    host.say(f"booting Debian's {machine.kernel.release} in QEMU")
    step = session.Step(
        "demo",
        ["python3", "-B", f"/src/{PROGRAM}"],
        args.timeout or SECONDS,
    )
    session.Runner(machine, [step], out).run(keep=host.log_folder("demo"))
    cli.report(step)
    host.say(f"the demo took {time.monotonic() - began:.0f} s")
    return 1 if step.why or step.splat else step.status
