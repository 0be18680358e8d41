# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Which tests there are, where each runs and how long it may take.

C tests come from tests/verbs/tests.list, pyverbs tests are the test_*.py
of pyverbs-tests/, the rest is declared here.  A declared test whose
program is missing fails when it runs.
"""

import fnmatch

from . import apptests, host, layers, suites, wiretests
from .case import (
    AGENT,
    GUEST,
    MAIN,
    QEMU,
    SMALL,
    WIRE,
    Planned,
    Test,
)
from .host import LabError
from .vm import VmConfig

# Runs a command while peers on the same host are reached by packets
WIRE_ONLY = ["sh", f"{GUEST}/wire_only.sh"]
RDMA_CORE_TESTS = "/usr/share/doc/rdma-core/tests"
ALLOWED_SKIPS = host.REPO / "tests/lab/allowed-skips.txt"

# module of rdma-core's suite -> seconds it may take
RDMA_CORE = {
    "test_odp": 480,
    "test_mr": 360,
    "test_qp": 360,
    "test_qpex": 360,
    "test_cq": 120,
    "test_cqex": 180,
    "test_cq_events": 180,
    "test_atomic": 240,
    "test_pd": 120,
    "test_device": 180,
    "test_fork": 180,
    "test_srq": 180,
    "test_relaxed_ordering": 180,
    "test_rdmacm": 240,
    "test_parent_domain": 180,
    "test_shared_pd": 120,
    "test_addr": 120,
    "test_flow": 120,
    "test_rss_traffic": 120,
    "test_tag_matching": 120,
}

# perftest programs -> seconds; each runs plain and with --odp
PERFTEST = {
    "ib_write_bw": 600,
    "ib_write_lat": 600,
    "ib_read_bw": 600,
    "ib_read_lat": 600,
    "ib_send_bw": 600,
    "ib_send_lat": 600,
    "ib_atomic_bw": 240,
    "ib_atomic_lat": 240,
}


def _listed(path, prefix, folder):
    """Tests of a tests.list: `name [key=value…] [all] [-- arguments]`."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words, _, arguments = line.partition(" -- ")
        words = words.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            options = _options(words[1:])
        except (KeyError, ValueError):
            raise LabError(f"{path}:{number}: cannot read: {line}")
        program = options.pop("program", words[0])
        cmd = [f"{folder}/{program}"] + arguments.split()
        if options.pop("wire", False):
            cmd = WIRE_ONLY + cmd
        yield Test(f"{prefix}{words[0]}", cmd, **options)


def _options(words):
    readers = {
        "timeout": int,
        "smp": int,
        "mem": str,
        "style": str,
        "program": str,
        "in": lambda text: tuple(text.split(",")),
    }
    flags = {k: k for k in ("rxe", "icount", "wire", "numa")}
    flags["all"] = "only_all"
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            name = "kernels" if key == "in" else key
            options[name] = readers[key](value)
        else:
            options[flags[key]] = True
    for kernel in options.get("kernels", ()):
        if kernel not in suites.KERNELS:
            raise ValueError(kernel)
    return options


def _host_tests():
    cmd = ["python3", "-B", "tests/lab/guest/unittest_tap.py"]
    folder = host.REPO / "tests/lab/unit"
    modules = sorted(p.stem for p in folder.glob("test_*.py"))
    yield Test(
        "lab", cmd + ["tests/lab/unit"] + modules, on_host=True, timeout=120
    )
    cmd = ["python3", "-B", "tests/packages/packages.py"]
    options = {"on_host": True, "only_all": True, "timeout": 1800}
    yield Test("packages", cmd, **options)


def _smoke():
    cmd = ["python3", "-B", "/src/tests/perftest/pingpong.py"]
    yield Test("smoke", cmd + ["--quick"], kernels=SMALL, timeout=240)
    yield Test("pingpong", cmd, timeout=600)


def _selftests():
    cmd = ["python3", "-B", f"{GUEST}/selftest.py"]
    yield Test("selftest", cmd, kernels=SMALL, timeout=600)
    kverbs = cmd + ["sodp_kverbs_test"]
    yield Test("kverbs", kverbs, kernels=SMALL, timeout=240)
    packets = cmd + ["sodp_wire_test"]
    yield Test("packets", packets, kernels=SMALL, timeout=60)
    rings = ["/build/user/providers/sodp/sodp-ring-test"]
    options = {"bare": True, "timeout": 60}
    yield Test("provider.rings", rings, kernels=SMALL, **options)


def _hardware():
    """A device that does DMA by the core's entries."""
    cmd = ["python3", "-B", "/src/tests/edu/run.py"]
    cmd.append("/build/user/tests/edu/edu")
    # Without and with ranges of DMA addresses
    both = (MAIN, "7.2")
    others = [kernel for kernel in QEMU if kernel not in both]
    options = {"timeout": 600, "only_all": True}
    yield Test("odp.edu.iommu", cmd, edu="iommu", kernels=both, timeout=600)
    yield Test(
        "odp.edu.iommu-all", cmd, edu="iommu", kernels=others, **options
    )
    yield Test("odp.edu.direct", cmd, edu="direct", kernels=QEMU, **options)


def _python_tests():
    runner = ["python3", "-B", f"{GUEST}/unittest_tap.py"]
    own = host.REPO / "pyverbs-tests"
    for path in sorted(own.glob("test_*.py")):
        kernels = SMALL if path.stem == "test_smoke" else (MAIN, "debug")
        yield Test(
            f"pyverbs.{path.stem[5:]}",
            runner + ["/src/pyverbs-tests", path.stem],
            kernels=kernels,
            timeout=300,
        )
    yield Test(
        "sodpctl",
        runner + ["/src/tests/sodpctl", "test_sodpctl"],
        kernels=(MAIN, "debug"),
        timeout=300,
    )
    for module, seconds in RDMA_CORE.items():
        odp = module == "test_odp"
        yield Test(
            f"rdma-core.{module[5:]}",
            runner + ["--rdma-core", RDMA_CORE_TESTS, module],
            kernels=SMALL if odp else (MAIN, "debug"),
            timeout=seconds,
            cwd="/tmp",
        )


def _compare():
    """All of the newest rdma-core's suite, with rdma_rxe's figures."""
    yield Test(
        "compare",
        ["python3", "-B", "/src/tests/rdma_core/compare.py"],
        suite="forky",
        kernels=("7.2",),
        timeout=2400,
        only_all=True,
    )


def _perftest():
    runner = ["python3", "-B", "/src/tests/perftest/sweep.py"]
    for program, seconds in PERFTEST.items():
        yield Test(
            f"perftest.{program[3:]}", runner + [program], timeout=seconds
        )


def _with_rxe(prefix, cmd):
    """Either way round, where rdma_rxe can be in any namespace."""
    for ends in ("sodp-rxe", "rxe-sodp"):
        yield Test(
            prefix + ends,
            cmd + [ends],
            kernels=("7.2",),
            timeout=600,
            only_all=True,
        )


def _consumers():
    """rdma_cm and what attaches to a device by kernel verbs."""
    cm = ["python3", "-B", "/src/tests/rdmacm/cm.py"]
    yield Test("rdmacm.one", cm + ["one"], timeout=300)
    yield Test("rdmacm.two", cm + ["sodp-sodp"], timeout=300)
    yield from _with_rxe("rdmacm.", cm)
    rxe = dict(AGENT, rxe=True)
    long = {"timeout": 600, "only_all": True}
    yield Test("rdmacm.vm", cm + ["peer"], peer=AGENT, **long)
    yield Test("rdmacm.vm-rxe", cm + ["peer"], peer=rxe, timeout=600)
    yield Test("rdmacm.rxe-vm", cm + ["--swap", "peer"], peer=rxe, **long)
    # rdma_rxe on both sides
    yield Test("rdmacm.rxe-rxe", cm + ["peer"], peer=rxe, rxe=True, **long)
    nvme = ["python3", "-B", "/src/tests/kernel-ulp/nvme.py"]
    yield Test("ulp.nvme", nvme, timeout=300)
    yield Test("ulp.nvme-wire", WIRE_ONLY + nvme, timeout=300)


def _fuzz():
    """System calls that nobody makes, from four threads."""
    corpus = "/src/tests/fuzz/corpus"
    fuzz = ["/build/user/tests/fuzz/fuzz", "-l", corpus, "-c"]
    yield Test("fuzz", fuzz + ["20000"], timeout=300)
    yield Test(
        "fuzz-debug",
        fuzz + ["1000000"],
        kernels=("debug",),
        timeout=1800,
        only_all=True,
    )


def _roce():
    """What packets look like, and packets that nobody should send."""
    script = ["python3", "-B"]
    program = "/build/user/tests/wire/wire-roce"
    yield Test("roce.codec", [program], kernels=SMALL)
    forge = "/build/user/tests/wire/wire-forge"
    yield Test("roce.forge", [forge], timeout=300)
    full = [forge, "--full"]
    yield Test("roce.forge-full", full, timeout=2400, only_all=True)
    kinds = script + [f"{WIRE}/kinds.py"]
    yield Test("roce.kinds", kinds, timeout=600)
    yield from _with_rxe("roce.kinds-", kinds)
    hostile = script + [f"{WIRE}/hostile.py"]
    yield Test("roce.hostile", hostile, timeout=500)
    yield Test(
        "roce.hostile-quick",
        hostile + ["--quick"],
        kernels=("6.1", "7.2", "backports", "debug"),
        timeout=300,
    )
    yield Test(
        "roce.hostile-ipv6",
        hostile + ["--ipv6", "--quick"],
        timeout=300,
        only_all=True,
    )
    yield Test(
        "roce.hostile-full",
        hostile + ["--full"],
        timeout=3000,
        only_all=True,
    )


def _torture():
    """Everything at once: the same seeds each time, or others."""
    cmd = ["/build/user/tests/torture/torture"]
    yield Test("torture", cmd, timeout=400)
    yield Test(
        "torture-long",
        cmd,
        kernels=SMALL,
        seconds=600,
        timeout=900,
        only_all=True,
    )


def all_tests():
    built = "/build/user/tests"
    verbs = host.REPO / "tests/verbs"
    tests = list(_host_tests())
    tests += _smoke()
    tests += _selftests()
    tests += _hardware()
    tests += _listed(verbs / "tests.list", "verbs.", f"{built}/verbs")
    tests += _torture()
    tests += _python_tests()
    tests += _compare()
    tests += _perftest()
    tests += wiretests.here()
    tests += wiretests.there()
    tests += _consumers()
    tests += _roce()
    tests += _fuzz()
    tests += apptests.declared()
    return tests


def _matches(test, name):
    return (
        test.name == name
        or test.name.startswith(name + ".")
        or test.name.split(".")[-1] == name
        or fnmatch.fnmatchcase(test.name, name)
    )


def select(names):
    """Tests by name, group (`verbs`), short name or pattern."""
    tests = all_tests()
    if not names:
        return tests
    for name in names:
        if not any(_matches(t, name) for t in tests):
            raise LabError(f"unknown test {name} (see ./lab test --list)")
    return [t for t in tests if any(_matches(t, n) for n in names)]


def _exact(test, names):
    """Long tests run by --all or when named, not as one of a group."""
    return test.name in names or test.name.split(".")[-1] in names


def plan(args):
    """The tests of a command line with their machines, in order."""
    planned = []
    tests = select(args.names)
    if args.seconds:
        _set_seconds(tests, args.seconds)
    for test in tests:
        if test.only_all and not (args.all or _exact(test, args.names)):
            continue
        if test.on_host:
            planned.append(Planned(test))
            continue
        for suite, kernel in _places(test, args):
            configs = _configs(test, suite, kernel, args)
            planned.append(Planned(test, *configs))
    return planned


def _set_seconds(tests, seconds):
    for test in tests:
        if test.seconds is None:
            raise LabError(f"--seconds means nothing to {test.name}")
        test.run_for(seconds)


def _places(test, args):
    """Suite and kernel pairs that a test runs on."""
    if test.suite:
        places = [(test.suite, kernel) for kernel in test.kernels]
        return [
            (suite, kernel)
            for suite, kernel in places
            if args.suite in (None, suite) and args.kernel in (None, kernel)
        ]
    if args.suite or args.kernel:
        place = suites.pick(args.suite, args.kernel)
        if place is None:
            raise LabError(f"suite {args.suite} has no kernel {args.kernel}")
        return [place]
    # These take long: only where there is no other to run on
    own = suites.OWN
    kernels = [k for k in test.kernels if k not in own or args.all]
    kernels = kernels or test.kernels
    return [suites.pick(None, kernel) for kernel in kernels]


def _configs(test, suite, kernel, args):
    """The one machine, or the two, of a test."""
    if test.peer is None:
        return [_config(test.machine, suite, kernel, args)]
    configs = []
    for number, machine in enumerate((test.machine, test.peer), 1):
        # One device each, on the cable: rxe is there instead of sodp.
        machine = dict({"smp": 1, "mem": "2G"}, **machine)
        config = _config(machine, suite, kernel, args)
        config.net = number
        config.rxe = machine.get("rxe", False)
        config.sodp = config.sodp and not config.rxe
        configs.append(config)
    return configs


def _config(machine, suite, kernel, args):
    return VmConfig(
        suite,
        kernel,
        icount=args.icount or machine.get("icount", False),
        smp=args.smp or machine.get("smp"),
        mem=args.mem or machine.get("mem"),
        rxe=args.rxe or machine.get("rxe", False),
        sodp=machine.get("sodp", True) and not args.no_sodp,
        pmem=machine.get("pmem", False),
        numa=machine.get("numa", False),
        edu=machine.get("edu"),
        contents=layers.Contents(
            args.groups + list(machine.get("groups", ())), args.packages
        ),
    )
