# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""./lab bench: figures in virtual time where one CPU suffices, or --native.

The figures themselves are made in the guest by tests/bench/bench.py, which
prints a JSON line for each; here they are grouped into machines and shown.
"""

import json
import subprocess
import sys
import textwrap

from . import host, layers, native, session, suites
from .host import LabError, TestsFailed
from .vm import VmConfig

PROGRAM = "tests/bench/bench.py"
SECONDS = 1200
MEMORY = "4G"
DETAIL_WIDTH = 79


class Figure:
    def __init__(
        self,
        name,
        must,
        smp="1",
        kernel=None,
        mem=None,
        groups="",
        clock="virtual",
    ):
        self.name = name
        self.must = must
        self.native = clock == "native"
        self.smp = int(smp)
        self.kernel = kernel
        self.mem = mem or MEMORY
        self.contents = layers.Contents(layers.groups_of(groups))
        self.result = None

    def give_up(self, why):
        self.result = {
            "value": None,
            "must": self.must,
            "ok": False,
            "detail": f"not measured: {why}",
        }


def figures():
    """What the guest's program offers: name, limit, machine."""
    path = host.REPO / PROGRAM
    if not path.exists():
        raise LabError(f"no {PROGRAM} in this checkout")
    done = subprocess.run(
        [sys.executable, "-B", path, "--list"], capture_output=True, text=True
    )
    if done.returncode:
        raise LabError(f"{PROGRAM} --list: {done.stderr.strip()[-200:]}")
    found = []
    for line in done.stdout.splitlines():
        name, sign, limit, *machine = line.split()
        options = dict(word.split("=") for word in machine)
        found.append(Figure(name, f"{sign} {limit}", **options))
    return found


def _chosen(names, is_native):
    """By name; `apps` are all whose names begin so."""
    known = [f for f in figures() if f.native == is_native]

    def match(figure, name):
        return figure.name == name or figure.name.startswith(f"{name}_")

    how = "bench --native" if is_native else "bench"
    for name in names:
        if not any(match(f, name) for f in known):
            raise LabError(f"unknown figure {name} (see ./lab {how} --list)")
    exact = [n for n in names if any(f.name == n for f in known)]
    groups = [n for n in names if n not in exact]
    return [
        f
        for f in known
        if not names or f.name in exact or any(match(f, n) for n in groups)
    ]


def _config(figure, args):
    if figure.native:
        return native.config(figure, args)
    place = suites.pick(args.suite, args.kernel or figure.kernel)
    if place is None:
        raise LabError(f"suite {args.suite} has no kernel {args.kernel}")
    icount = args.icount or (figure.smp == 1 and not args.smp)
    return VmConfig(
        *place,
        icount=icount,
        smp=args.smp or figure.smp,
        mem=args.mem or figure.mem,
        rxe=True,
        sodp=not args.no_sodp,
        contents=figure.contents,
    )


def _measure(config, wanted, args, width):
    """Boot as often as needed: a figure may take the guest down."""
    try:
        machine = session.Machine(config, verbose=args.verbose)
    except TestsFailed as err:
        for figure in wanted:
            figure.give_up(str(err))
            _show(figure, width)
        return

    def ended(step):
        _take(step)
        _show(step.figure, width)

    left = wanted
    while left:
        why = _boot(machine, left, args, ended)
        rest = [f for f in left if f.result is None]
        if len(rest) == len(left):
            rest[0].give_up(why)
            _show(rest.pop(0), width)
        left = rest


def _boot(machine, wanted, args, ended):
    env = native.environment(machine) if wanted[0].native else {}
    host.say(f"{machine.config}: {', '.join(f.name for f in wanted)}")
    steps = []
    for number, figure in enumerate(wanted):
        cmd = ["python3", "-B", f"/src/{PROGRAM}", figure.name]
        output = f"/lab/{number}.out"
        step = session.Step(
            figure.name,
            cmd,
            args.timeout or SECONDS,
            output=output,
            env=env,
        )
        step.figure = figure
        steps.append(step)
    runner = session.Runner(machine, steps, args.out)
    runner.on_end = ended
    try:
        runner.run(keep=host.log_folder("bench"))
    except TestsFailed as err:
        return str(err)
    return "not reached"


def _take(step):
    """The JSON line of a figure; a kernel complaint spoils it."""
    figure = step.figure
    for line in step.output.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("name") == figure.name:
            figure.result = said
            del said["name"]
    if step.why:
        figure.give_up(step.why)
    elif figure.result is None:
        last = step.output.strip().splitlines()[-1:] or ["no output"]
        figure.give_up(f"status {step.status}: {last[0]}")
    if step.splat:
        for line in step.splat:
            print(line, file=sys.stderr)
        figure.result["ok"] = False
        figure.result["detail"] = f"kernel log: {step.splat[0].strip()}"


def _show(figure, width):
    result = figure.result
    value = result["value"]
    shown = "-" if value is None else f"{value:.4g}"
    word = "ok" if result["ok"] else "SHORT"
    print(f"{figure.name:{width}}  {shown:>9}  {result['must']:>10}  {word}")
    detail = result["detail"]
    if not isinstance(detail, str):
        detail = json.dumps(detail)
    indent = " " * (width + 2)
    print(
        textwrap.fill(
            detail,
            DETAIL_WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
        ),
        flush=True,
    )


def main(args):
    chosen = _chosen(args.names, args.native)
    if args.list:
        for figure in chosen:
            print(f"{figure.name}  {figure.must}")
        return 0
    _check_json(args.json)
    args.out = session.check_out(args.out)
    groups = {}
    for figure in chosen:
        config = _config(figure, args)
        groups.setdefault(config.key(), (config, []))[1].append(figure)
    width = max(len(f.name) for f in chosen)
    for config, wanted in groups.values():
        if wanted[0].native:
            print(native.described(config))
    print(f"{'figure':{width}}  {'value':>9}  {'must reach':>10}")
    for config, wanted in groups.values():
        _measure(config, wanted, args, width)
    if args.json:
        with open(args.json, "w") as handle:
            json.dump({f.name: f.result for f in chosen}, handle, indent=2)
            handle.write("\n")
    short = [f.name for f in chosen if not f.result["ok"]]
    print(f"\n{len(chosen) - len(short)} reached, {len(short)} short")
    return 1 if short else 0


def _check_json(path):
    """Find out before the measurement that FILE cannot be written."""
    if path is None:
        return
    try:
        open(path, "a").close()
    except OSError as err:
        raise LabError(f"cannot write {path}: {err.strerror}")
