# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Which tests there are, where each runs and how long it may take.

C tests come from tests/verbs/tests.list, Python tests are the test_*.py
of pyverbs-tests/, the rest is declared here.  A declared test whose
program is missing fails when it runs.
"""

import fnmatch

from . import host, layers, suites
from .host import LabError
from .vm import VmConfig

MAIN = "6.12"
SMALL = ("6.12", "6.1", "7.2", "backports", "debug")

WIRE = "/src/tests/wire"
GUEST = "/src/tests/lab/guest"
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


MACHINE = ("icount", "smp", "mem", "rxe", "sodp", "pmem", "groups")


class Test:
    """One program that runs in a guest (or on the host)."""

    def __init__(self, name, cmd, **options):
        self.name = name
        self.cmd = cmd
        self.style = options.pop("style", "tap")
        self.timeout = options.pop("timeout", 120)
        self.kernels = options.pop("kernels", (MAIN,))
        # The only one that it is meant for
        self.suite = options.pop("suite", None)
        self.only_all = options.pop("only_all", False)
        self.on_host = options.pop("on_host", False)
        self.cwd = options.pop("cwd", "/src")
        # What the second of two joined machines is like and does: a dict
        # of machine options and "cmd".  None: there is one machine only.
        self.peer = options.pop("peer", None)
        self.machine = {k: options.pop(k) for k in MACHINE if k in options}
        if options:
            raise LabError(f"test {name}: unknown option {sorted(options)}")

    @property
    def commands(self):
        """One for each machine."""
        return [self.cmd] + ([self.peer["cmd"]] if self.peer else [])


class Planned:
    """A test together with the machine that it is to run on."""

    def __init__(self, test, *configs):
        self.test = test
        self.configs = configs
        self.ended = []

    @property
    def config(self):
        return self.configs[0] if self.configs else None

    @property
    def name(self):
        if self.config is None:
            return self.test.name
        where = f"{self.config.suite}/{self.config.kernel}"
        return f"{where} {self.test.name}"


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
    flags = {k: k for k in ("rxe", "icount", "wire")}
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
    yield Test("provider.rings", rings, kernels=SMALL, timeout=60)


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
        ["python3", "-B", "/src/tests/rdma-core/compare.py"],
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


PYTHON = ["python3", "-B"]
AGENT = {"cmd": PYTHON + [f"{WIRE}/agent.py"]}
# Of wire-paging, in the short form
PAGING = "cold_write_implicit cold_read_into long_swapped late_source"
PAGING += " late_target_5s slow_file_target"
# Cases of paths.py that every kernel can do
PATHS = "half_port tiny_mtu own_vlan ipsec gro_list port_events"
PATHS += " near_datagrams ingress bridge conntrack"
# Cases of events.py, in the short form
EVENTS = "down_up mtu netdev_deleted link_deleted vlan unload"
# Of congest.py, likewise
CONGEST = "slow level tail"
# Of spaces.py, likewise
SPACES = "sockets port_taken"


def _wire_here():
    """Tests of the wire between two namespaces of one machine."""
    run = PYTHON + [f"{WIRE}/wire.py"]
    quick = ["interop", "--quick"]

    def test(name, cmd, **options):
        options.setdefault("timeout", 900)
        return Test(f"wire.{name}", cmd, **options)

    def long(name, cmd, **options):
        return test(name, cmd, only_all=True, timeout=2400, **options)

    yield test("load", run + ["sodp-sodp", "load", "--quick"])
    icrc = run + ["--icrc", "sodp-sodp", "load", "--quick", "explicit"]
    yield test("icrc", icrc)
    yield test("interop", run + ["sodp-sodp"] + quick)
    events = PYTHON + [f"{WIRE}/events.py"]
    yield test("events", events + EVENTS.split())
    paths = PYTHON + [f"{WIRE}/paths.py"]
    yield test("paths", paths + PATHS.split())
    ports = paths + ["exclusive", "port_events"]
    yield test("ports", ports, kernels=("7.2", "backports"))
    spaces = PYTHON + [f"{WIRE}/spaces.py"]
    yield test("spaces", spaces + SPACES.split())
    paging = run + ["sodp-sodp", "paging"]
    yield test("paging", paging + PAGING.split())
    legs = PYTHON + [f"{WIRE}/legs.py"]
    yield test("mcast", legs + ["mcast"], timeout=240)
    yield test("late", legs + ["late"])
    yield test("hold", legs + ["hold"], timeout=300)
    netem = PYTHON + [f"{WIRE}/netem.py"]
    yield test("netem", netem + ["--quick", "sodp-sodp"])
    congest = PYTHON + [f"{WIRE}/congest.py"]
    yield test("congest", congest + CONGEST.split(), timeout=300)
    programs = PYTHON + [f"{WIRE}/programs.py"]
    yield test("programs", programs + ["--quick", "sodp-sodp"])
    # Its rxe can be in any namespace; that of 6.12 is in the first one
    yield test("interop-rxe", run + ["sodp-rxe"] + quick, kernels=("7.2",))
    rxe = run + ["--swap", "sodp-rxe"] + quick
    yield test("rxe-interop", rxe, kernels=("7.2",))
    yield long("programs-rxe", programs + ["sodp-rxe"], kernels=("7.2",))
    yield long("interop-full", run + ["sodp-sodp", "interop"])
    yield long("paging-all", paging)
    yield long("netem-all", netem + ["sodp-sodp"])
    yield long("congest-all", congest)
    yield long("events-all", events)
    yield long("spaces-all", spaces)
    yield long("programs-all", programs + ["sodp-sodp"])


def _wire_there():
    """The same between two machines."""
    run = PYTHON + [f"{WIRE}/wire.py"]
    quick = ["interop", "--quick"]
    programs = PYTHON + [f"{WIRE}/programs.py", "--quick", "peer"]
    rxe = dict(AGENT, rxe=True)

    def test(name, cmd, peer, **options):
        return Test(f"wire.{name}", cmd, peer=peer, timeout=1200, **options)

    def long(name, cmd, peer, **options):
        return test(name, cmd, peer, only_all=True, **options)

    yield test("vm", run + ["peer"] + quick, AGENT)
    yield test("vm-rxe", run + ["peer"] + quick, rxe)
    yield test("rxe-vm", run + ["--swap", "peer"] + quick, rxe)
    yield test("vm-speed", PYTHON + [f"{WIRE}/speed.py"], AGENT)
    # With rdma_rxe's on-demand paging too, where it has that
    full = run + ["peer", "interop"]
    yield long("vm-rxe-full", full, rxe, kernels=("7.2",))
    full = run + ["--swap", "peer", "interop"]
    yield long("rxe-vm-full", full, rxe, kernels=("7.2",))
    yield long("vm-programs-rxe", programs, rxe)
    yield long("vm-load", run + ["peer", "load"], AGENT)
    yield long("vm-paging", run + ["peer", "paging"], AGENT)
    yield long("vm-programs", programs, AGENT)
    # The machinery itself, with nothing of ours in it
    yield long("rxe-vm-rxe", run + ["peer"] + quick, rxe, rxe=True)


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


# In one layer, so that the tests share a boot
APPS = ("mpi", "ucx", "libfabric", "storage", "sockets")
APPS_AGENT = dict(AGENT, groups=APPS)
# Of other suites: other versions of the two that differ most
APPS_ELSEWHERE = (("bookworm", "6.1"), ("forky", "7.2"))


def _apps():
    """Applications: quick on one device, all there is on one device, in
    two namespaces, on two machines."""

    def test(name, module, words, **options):
        cmd = PYTHON + [f"/src/tests/apps/{module}.py"] + words.split()
        options = dict({"groups": APPS, "timeout": 600}, **options)
        return Test(f"apps.{name}", cmd, **options)

    def long(name, module, words, **options):
        options = dict({"timeout": 3600, "only_all": True}, **options)
        return test(name, module, words, **options)

    yield test("pages", "pages", "local")
    for name in ("mpi", "ucx", "libfabric"):
        yield test(name, name, "--quick local")
        yield long(f"{name}-all", name, "local")
        yield long(f"{name}-two", name, "sodp-sodp")
        yield long(f"{name}-vm", name, "peer", peer=APPS_AGENT)
    for name in ("mpi", "ucx"):
        for suite, kernel in APPS_ELSEWHERE:
            options = {"suite": suite, "kernels": (kernel,)}
            options["groups"] = ("mpi", "ucx")
            yield long(f"{name}-{suite}", name, "--quick local", **options)
    yield test("storage", "storage", "--quick local")
    yield long("storage-all", "storage", "local")
    yield long("storage-two", "storage", "sodp-sodp")
    yield long("storage-vm", "storage", "peer", peer=APPS_AGENT)
    yield test("sockets", "sockets", "--quick local")
    options = {"groups": APPS + ("migration",)}
    yield long("migration", "migration", "local", **options)
    options = {"pmem": True, "groups": ("dax",)}
    yield long("rds-dax", "rds", "local", **options)
    yield long("sockets-all", "sockets", "local")
    yield long("sockets-two", "sockets", "sodp-sodp")


def all_tests():
    built = "/build/user/tests"
    verbs = host.REPO / "tests/verbs"
    tests = list(_host_tests())
    tests += _smoke()
    tests += _selftests()
    tests += _listed(verbs / "tests.list", "verbs.", f"{built}/verbs")
    tests += _python_tests()
    tests += _compare()
    tests += _perftest()
    tests += _wire_here()
    tests += _wire_there()
    tests += _consumers()
    tests += _roce()
    tests += _apps()
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
    for test in select(args.names):
        if test.only_all and not (args.all or _exact(test, args.names)):
            continue
        if test.on_host:
            planned.append(Planned(test))
            continue
        for suite, kernel in _places(test, args):
            configs = _configs(test, suite, kernel, args)
            planned.append(Planned(test, *configs))
    return planned


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
    # The debug kernel takes long: only where there is no other to run on
    kernels = [k for k in test.kernels if k != "debug" or args.all]
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
        contents=layers.Contents(
            args.groups + list(machine.get("groups", ())), args.packages
        ),
    )
