# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The command line of ./lab."""

import argparse
import os
import shutil
import signal
import sys
import termios
import tty

from . import host, layers, session, suites
from .host import LabError, TestsFailed
from .vm import VmConfig

RUN_SECONDS = 1800


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise LabError(f"{message} (try ./lab --help)")


def _positive(text):
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _memory(text):
    number, unit = text[:-1], text[-1:].upper()
    if not number.isdigit() or unit not in ("M", "G"):
        raise argparse.ArgumentTypeError(f"{text} is no size such as 4G")
    return f"{int(number)}{unit}"


def _vm_options(parser):
    add = parser.add_argument
    add("--suite", choices=sorted(suites.SUITES), help="default: trixie")
    add("--kernel", choices=suites.KERNELS, help="default: the suite's own")
    add("--icount", action="store_true", help="virtual time, one CPU")
    add("--smp", type=_positive, metavar="N", help="CPUs (default 2)")
    add("--mem", type=_memory, metavar="SIZE", help="default 3G")
    add("--rxe", action="store_true", help="rxe0 beside sodp0")
    add("--no-sodp", action="store_true", help="without the sodp modules")
    add("--out", metavar="DIR", help="host folder, /out in the guest")
    add("--timeout", type=_positive, metavar="S", help="seconds")
    add("-v", "--verbose", action="store_true", help="show the builds")


def _layer_options(parser):
    add = parser.add_argument
    names = ",".join(layers.GROUPS)
    add(
        "--with",
        dest="groups",
        type=layers.groups_of,
        metavar="GROUP,…",
        default=[],
        help=f"applications: {names}",
    )
    add(
        "--install",
        dest="packages",
        type=layers.packages_of,
        default=[],
        metavar="PKG,…",
        help="Debian packages",
    )


def make_parser():
    top = Parser(prog="lab", description="Run sodp on stock kernels.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def add(name, text, vm=True):
        parser = commands.add_parser(name, help=text, description=text)
        if vm:
            _vm_options(parser)
        if name in ("run", "shell", "test", "build"):
            _layer_options(parser)
        return parser

    add("demo", "everything from a fresh clone, then a guided tour")
    test = add("test", "run the tests")
    test.add_argument("--all", action="store_true", help="long ones too")
    test.add_argument(
        "--seconds",
        type=_positive,
        metavar="N",
        help="of torture-long: how long",
    )
    test.add_argument("--list", action="store_true", help="show the names")
    test.add_argument("names", nargs="*", metavar="NAME")
    bench = add("bench", "run the benchmarks")
    bench.add_argument(
        "--native",
        action="store_true",
        help="figures of true time: by KVM, else by User Mode Linux",
    )
    bench.add_argument("--json", metavar="FILE", help="write the figures")
    bench.add_argument("--list", action="store_true", help="show the names")
    bench.add_argument("names", nargs="*", metavar="NAME")
    mutate = add("mutate", "do the tests see small faults?", vm=False)
    mutate.description = (
        "Builds each mutant of tests/mutants in a copy of the checkout, "
        "then loads, tests and unloads them one by one in a guest that a "
        "batch shares: do the tests see small faults?"
    )
    mutate.add_argument("--kernel", choices=suites.KERNELS)
    mutate.add_argument("--list", action="store_true", help="show them")
    mutate.add_argument(
        "--trust", action="store_true", help="the tests pass without any"
    )
    mutate.add_argument(
        "--record", action="store_true", help="note the outcomes in RESULT"
    )
    mutate.add_argument("-v", "--verbose", action="store_true")
    mutate.add_argument("names", nargs="*", metavar="NAME")
    run = add("run", "run a command in a guest: lab run [OPTIONS] -- CMD")
    run.add_argument("cmd", nargs=argparse.REMAINDER, metavar="CMD")
    add("shell", "an interactive guest")
    build = add("build", "compile for one suite and kernel")
    build.add_argument(
        "parts", nargs="*", metavar="PART", help="kernel, user (default both)"
    )
    return top


def config_of(args):
    picked = suites.pick(args.suite, args.kernel)
    if picked is None:
        have = ", ".join(suites.SUITES[args.suite]["kernels"])
        raise LabError(
            f"suite {args.suite} has no kernel {args.kernel} (it has {have})"
        )
    if args.icount and args.smp not in (None, 1):
        raise LabError("--icount works with one CPU only: drop --smp")
    return VmConfig(
        *picked,
        icount=args.icount,
        smp=args.smp,
        mem=args.mem,
        rxe=args.rxe,
        sodp=not args.no_sodp,
        contents=layers.Contents(args.groups, args.packages),
    )


def _parts(args):
    """Without sodp in the guest only the user programs matter."""
    return ("user",) if args.no_sodp else ("kernel", "user")


def report(step):
    """Show what the kernel said during a step that went wrong."""
    for line in step.splat or step.tail:
        print(line, file=sys.stderr)
    if step.why:
        host.say(f"{step.name}: {step.why}")
    if step.splat:
        host.say(f"{step.name}: the kernel complained (above)")


def cmd_run(args):
    cmd = args.cmd[1:] if args.cmd[:1] == ["--"] else args.cmd
    if not cmd:
        raise LabError("no command: lab run [OPTIONS] -- CMD…")
    out = session.check_out(args.out)
    config = config_of(args)
    machine = session.Machine(config, _parts(args), args.verbose)
    timeout = args.timeout or RUN_SECONDS
    step = session.Step("run", cmd, timeout)
    keep = host.log_folder("run")
    session.Runner(machine, [step], out).run(keep=keep)
    report(step)
    if step.why or (step.splat and step.status == 0):
        return 1
    return step.status


def cmd_shell(args):
    if not sys.stdin.isatty():
        raise LabError("shell needs a terminal: use lab run")
    config = config_of(args)
    out = session.check_out(args.out)
    machine = session.Machine(config, _parts(args), args.verbose)
    size = shutil.get_terminal_size()
    step = session.Step(
        "shell",
        ["/bin/bash", "-l"],
        args.timeout,
        tty=[size.lines, size.columns],
    )
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        runner = session.Runner(machine, [step], out)
        runner.run(stdin=sys.stdin, shell=True)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
    report(step)
    return 1 if step.why else step.status


def cmd_build(args):
    parts = args.parts or ["kernel", "user"]
    for part in parts:
        if part not in ("kernel", "user"):
            raise LabError(f"unknown part {part}: kernel or user")
    config = config_of(args)
    machine = session.Machine(config, parts, args.verbose)
    for path in machine.build.paths(parts):
        host.say(f"built in {path}")
    return 0


def cmd_test(args):
    from . import testing

    return testing.main(args)


def cmd_bench(args):
    from . import bench

    return bench.main(args)


def cmd_mutate(args):
    from . import mutate

    return mutate.main(args)


def cmd_demo(args):
    from . import demo

    return demo.main(args)


COMMANDS = {
    "run": cmd_run,
    "shell": cmd_shell,
    "build": cmd_build,
    "test": cmd_test,
    "bench": cmd_bench,
    "mutate": cmd_mutate,
    "demo": cmd_demo,
}


def _terminate(signum, _frame):
    raise SystemExit(128 + signum)


def main(argv):
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _terminate)
    try:
        parser = make_parser()
        args = parser.parse_args(argv)
        if args.command is None:
            parser.print_help()
            return 2
        host.sweep_leftovers()
        return COMMANDS[args.command](args)
    except LabError as err:
        host.say(str(err))
        return 2
    except TestsFailed as err:
        host.say(str(err))
        return 1
    except KeyboardInterrupt:
        host.say("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
