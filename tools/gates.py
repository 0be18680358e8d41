# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The style gates of CONTRIBUTING.md: tools/check [--list] [GATE...].

Each gate says pass, fail (with what is wrong) or skip (with the reason).
Exit status: 0 no gate failed, 1 one did, 2 a gate is unknown.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import build, kernels, rootfs, suites
from tools import rooms as sodp_rooms

REPO = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
MAX_FILE, MAX_FUNCTION = 900, 100
SHOWN = 25
GATES = {}

# What checkpatch asks of code inside the kernel's tree only, or of macros
# and tables of a form that the RDMA core prescribes
IGNORE_ALL = """
    FILE_PATH_CHANGES SPDX_LICENSE_TAG BIT_MACRO MACRO_ARG_REUSE
    COMPLEX_MACRO OPEN_ENDED_LINE MACRO_WITH_FLOW_CONTROL MACRO_ARG_UNUSED
    MACRO_ARG_PRECEDENCE MULTISTATEMENT_MACRO_USE_DO_WHILE TRAILING_SEMICOLON
"""
# Kernel idioms that user space has no headers for
IGNORE_USER = """
    PREFER_KERNEL_TYPES PREFER_DEFINED_ATTRIBUTE_MACRO PREFER_FALLTHROUGH
    USE_NEGATIVE_ERRNO AVOID_EXTERNS VOLATILE ARRAY_SIZE CAMELCASE ENOSYS
    EMBEDDED_FUNCTION_NAME SPLIT_STRING
"""


class Skip(Exception):
    """The gate cannot run here; the text says why."""


def gate(function):
    GATES[function.__name__] = function
    return function


def tracked(*patterns):
    """Files of the checkout that git knows or would add."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "--"]
    done = subprocess.run(
        command + list(patterns), cwd=REPO, capture_output=True, text=True
    )
    names = sorted(set(done.stdout.splitlines()))
    return [name for name in names if (REPO / name).is_file()]


def python_files():
    scripts = [
        name
        for name in tracked("lab", "tools/*", ".ci/*")
        if (REPO / name).read_bytes()[:64].startswith(b"#!/usr/bin/env py")
    ]
    return sorted(set(scripts + tracked("*.py")))


def shell_files():
    heads = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")
    return [
        name
        for name in tracked()
        if (REPO / name).read_bytes()[:32].startswith(heads)
    ]


def need(tool):
    if not shutil.which(tool):
        raise Skip(f"{tool} is not installed (apt-get install {tool})")


def tool(*command):
    """Lines of complaint of a tool that is silent when it is content."""
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    if not done.returncode:
        return []
    return (done.stdout + done.stderr).splitlines() or [
        f"{command[0]}: status {done.returncode}"
    ]


def kernel_script(name):
    """A script of Debian's linux-source, unpacked in the lab's cache."""
    places = [os.environ.get("LINUX_SOURCE", "/nonexistent")]
    for pattern in ("debug-*/src", "*/linux-source-*"):
        places += sorted(map(str, (CACHE / "sodp").glob(pattern)))
    places += sorted(map(str, Path("/usr/src").glob("linux-source-*")))
    for place in places:
        path = Path(place) / "scripts" / name
        if path.is_file():
            return str(path)
    raise Skip(f"no scripts/{name}: set LINUX_SOURCE to a linux-source tree")


def c_functions(name):
    """(line, name, length) of the functions of a C file."""
    head = start = None
    for number, line in enumerate(
        (REPO / name).read_text(errors="replace").splitlines(), 1
    ):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            yield start, head, number - start + 1
            start = None
        elif re.match(r"[A-Za-z_].*\w\(", line) and not line.endswith(";"):
            head = re.search(r"(\w+)\(", line).group(1)


def python_functions(name):
    tree = ast.parse((REPO / name).read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name, node.end_lineno - node.lineno + 1


@gate
def size():
    """No file above 900 lines, no function above 100."""
    found = []
    python = python_files()
    for name in tracked("*.c", "*.h") + python + shell_files():
        lines = (REPO / name).read_text(errors="replace").count("\n")
        if lines > MAX_FILE:
            found.append(f"{name}: {lines} lines")
    for names, functions in (
        (tracked("*.c"), c_functions),
        (python, python_functions),
    ):
        for name in names:
            for line, function, length in functions(name):
                if length > MAX_FUNCTION:
                    found.append(f"{name}:{line} {function}: {length} lines")
    return found


@gate
def licence():
    """An SPDX line in every source file."""
    names = tracked("*.c", "*.h", "*CMakeLists.txt", "*Kbuild", "*Makefile")
    found = []
    for name in names + python_files() + shell_files():
        head = (REPO / name).read_text(errors="replace").splitlines()[:3]
        if head and not any("SPDX-License-Identifier:" in x for x in head):
            found.append(f"{name}: no SPDX-License-Identifier")
    return found


@gate
def leftovers():
    """No notes to self; version checks live in kernel/compat only."""
    marks = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))
    note = re.compile(rf"(#|//|/?\*).*\b({marks})\b")
    found = []
    for name in tracked("*.c", "*.h") + python_files() + shell_files():
        kernel = name.startswith("kernel/")
        compat = name.startswith("kernel/compat/")
        text = (REPO / name).read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            version = kernel and not compat and "LINUX_VERSION_CODE" in line
            if note.search(line) or version:
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def model_errors(path, folder, define):
    """What spin finds in a model with something taken away, or nothing."""
    for command in (
        ["spin", f"-D{define}", "-a", path],
        ["gcc", "-O2", "-DSAFETY", "-o", "pan", "pan.c"],
        ["./pan", "-m1000000"],
    ):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
    said = re.search(r"errors: (\d+)", done.stdout)
    if not said or "max search depth too small" in done.stdout:
        raise RuntimeError(f"pan: {done.stdout}")
    return int(said.group(1))


@gate
def models():
    """Spin: the core's ordering rules hold, and each of them is needed."""
    need("spin")
    need("gcc")
    found = []
    for name in tracked("*.pml"):
        text = (REPO / name).read_text()
        away = re.findall(r"^ \* must fail: (.*)$", text, re.M)
        for define in ["ALL_OF_IT"] + " ".join(away).split():
            with tempfile.TemporaryDirectory() as folder:
                try:
                    errors = model_errors(REPO / name, folder, define)
                except RuntimeError as err:
                    found.append(f"{name} {define}: {str(err)[-200:]}")
                    continue
            if define == "ALL_OF_IT" and errors:
                found.append(f"{name}: {errors} errors")
            elif define != "ALL_OF_IT" and not errors:
                found.append(f"{name}: {define} makes no difference")
    return found


@gate
def checkpatch():
    """checkpatch.pl of linux-source; for the kernel's part --strict."""
    need("perl")
    command = ["perl", kernel_script("checkpatch.pl"), "--no-tree"]
    command += ["--terse", "--show-types", "--no-summary"]
    names = [
        name
        for name in tracked("*.c", "*.h")
        # Trace headers have a form of their own; probes are fragments
        if not name.endswith("/trace.h") and "/probes/" not in name
    ]
    kernel = [n for n in names if n.startswith(("kernel/", "include/"))]
    user = [n for n in names if n not in kernel]
    found = []
    for part, ignored, more in (
        (kernel, IGNORE_ALL, ["--strict"]),
        (user, IGNORE_ALL + IGNORE_USER, []),
    ):
        more += ["--ignore", ",".join(ignored.split())]
        found += tool(*command, *more, "-f", *part) if part else []
    for path in REPO.glob(".checkpatch-camelcase.*"):
        path.unlink()
    found = [line for line in found if re.match(r"\S+:\d+: ", line)]
    return [line for line in found if not _is_asm_label(line)]


def _is_asm_label(finding):
    """checkpatch takes the % of a label of asm goto for an operator."""
    name, number = finding.split(":")[:2]
    source = (REPO / name).read_text().splitlines()[int(number) - 1]
    return "SPACING" in finding and "%l[" in source


@gate
def kerneldoc():
    """Kernel-doc comments are complete."""
    need("perl")
    headers = tracked("kernel/*.[ch]", "include/rdma/*.h")
    script = kernel_script("kernel-doc")
    return tool("perl", script, "-none", "-Werror", *headers)


@gate
def spelling():
    """codespell."""
    need("codespell")
    names = [n for n in tracked() if not n.startswith("LICENSES/")]
    return tool("codespell", "--ignore-words-list=filp,damon", *names)


@gate
def shell():
    """shellcheck."""
    need("shellcheck")
    names = shell_files()
    return tool("shellcheck", *names) if names else []


@gate
def black():
    """black -l 79."""
    need("black")
    return tool("black", "-q", "--check", "-l", "79", *python_files()) and [
        "black -l 79 would change files (run it)"
    ]


@gate
def flake8():
    """flake8."""
    need("flake8")
    return tool(
        "flake8",
        "--max-line-length=79",
        "--extend-ignore=E203",
        *python_files(),
    )


@gate
def cppcheck():
    """cppcheck of what runs in user space."""
    need("cppcheck")
    return tool(
        "cppcheck",
        "--quiet",
        "--error-exitcode=1",
        "--enable=warning,portability",
        "--inline-suppr",
        "--std=c11",
        "--suppress=missingIncludeSystem",
        "--suppress=va_end_missing",  # it does not see noreturn
        *tracked("providers/*.c", "tests/*.c", "tools/*.c"),
    )


def kernel_build(kernel, options, more=None):
    """Build the modules in the lab's root folder; the log's lines.

    `more` is files to write over those of the checkout: {name: text}.
    """
    if not (REPO / "kernel/Makefile").is_file():
        raise Skip("there is no kernel/Makefile")
    if os.geteuid():
        raise Skip("needs root, for the lab's root folder")
    suite, _ = suites.pick(None, kernel)
    root = rootfs.Root(suite)
    if not root.path.is_dir():
        raise Skip(f"no {suite} root folder yet: run ./lab build first")
    with tempfile.TemporaryDirectory(prefix="sodp-check.") as temp:
        for name in tracked("kernel/*", "include/*"):
            target = Path(temp) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, target)
        for name, text in (more or {}).items():
            target = Path(temp) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        headers = kernels.Stock(root, kernel).headers
        script = f"make -C /build/kernel KDIR={headers} {options} modules"
        log = Path(temp) / "log"
        status = build.in_root(root, Path(temp), script, log)
        return status, log.read_text(errors="replace").splitlines()


def complaints(lines):
    return [x for x in lines if re.search(r"\b(warning|error):", x)]


@gate
def warnings():
    """The modules compile with W=1 -Werror on every kernel line."""
    found, reasons = [], []
    for kernel in ("6.12", "7.2", "backports", "6.1"):
        try:
            status, log = kernel_build(kernel, "W=1 KCFLAGS=-Werror")
        except Skip as reason:
            reasons.append(str(reason))
            continue
        if status:
            found += complaints(log) or log[-5:]
    if len(reasons) == 4:
        raise Skip(reasons[0])
    return found


@gate
def rooms():
    """Includes and calls of kernel/sodp point down; compat/ has none."""
    top = "kernel/sodp/"
    sources = {
        name[len(top) :]: (REPO / name).read_text()
        for name in tracked("kernel/sodp/*.[ch]")
        if "/selftest/" not in name
    }
    ours = {
        Path(name).name
        for name in tracked("kernel/*.h", "include/*.h")
        if not name.startswith("kernel/compat/")
    }
    compat = {
        name: (REPO / name).read_text()
        for name in tracked("kernel/compat/*.h")
    }
    return sodp_rooms.upward(sources) + sodp_rooms.compat(compat, ours)


@gate
def headers():
    """Each header compiles alone, on 6.12."""
    names = [
        name
        for name in tracked("kernel/*.h")
        # Trace headers are read by define_trace.h
        if "/selftest/" not in name and not name.endswith("/trace.h")
    ]
    more = {"kernel/Kbuild": (REPO / "kernel/Kbuild").read_text()}
    more["kernel/Kbuild"] += "\nobj-m := alone/\n"
    kbuild = "obj-m := alone.o\nalone-y := module.o"
    for number, name in enumerate(names):
        more[f"kernel/alone/h{number}.c"] = f'#include "{name[7:]}"\n'
        kbuild += f" h{number}.o"
    more["kernel/alone/module.c"] = (
        '#include <linux/module.h>\nMODULE_LICENSE("Dual BSD/GPL");\n'
        'MODULE_DESCRIPTION("-");\n'
    )
    kbuild += "\nccflags-y += -I$(SODP_KERNEL_DIR)"
    kbuild += " -I$(SODP_KERNEL_DIR)/sodp -I$(SODP_KERNEL_DIR)/compat\n"
    more["kernel/alone/Kbuild"] = kbuild
    status, log = kernel_build("6.12", "", more)
    return (complaints(log) or log[-5:]) if status else []


@gate
def sparse():
    """sparse with endianness checks, on 6.12."""
    status, log = kernel_build("6.12", "C=2 CF=-D__CHECK_ENDIAN__")
    if not any(" CHECK " in line for line in log):
        raise Skip("make checked nothing: sparse is too old or missing")
    own = [x for x in complaints(log) if not x.startswith("/usr/")]
    return own or (log[-5:] if status else [])


def run(name):
    try:
        found = GATES[name]()
    except Skip as reason:
        print(f"skip  {name}: {reason}", flush=True)
        return True
    print(f"{'fail' if found else 'pass'}  {name}", flush=True)
    for line in found[:SHOWN]:
        print(f"      {line}")
    if len(found) > SHOWN:
        print(f"      and {len(found) - SHOWN} more lines")
    return not found


def main(names):
    if names == ["--list"]:
        for name, function in GATES.items():
            print(f"{name:12} {function.__doc__}")
        return 0
    for name in names:
        if name not in GATES:
            print(f"check: unknown gate {name} (--list)", file=sys.stderr)
            return 2
    return 0 if all([run(name) for name in names or GATES]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
