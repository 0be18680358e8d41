# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Which tests of the wire there are."""

from .case import AGENT, PYTHON, WIRE, Test

# Of wire-paging, in the short form
PAGING = "cold_write_implicit cold_read_into long_swapped late_source"
PAGING += " late_target_5s slow_file_target"
# Cases of paths.py that every kernel can do
PATHS = "half_port tiny_mtu near_requests own_vlan ipsec gro_list"
PATHS += " port_events near_datagrams ingress addresses bridge conntrack"
# Cases of events.py, in the short form
EVENTS = "down_up rerouted mtu netdev_deleted link_deleted vlan unload"
# Of congest.py, likewise
CONGEST = "queues one_queue slow refused level tail marks"
# Of spaces.py, likewise
SPACES = "sockets netdev_back port_taken"


def here():
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
    yield test("congest", congest + CONGEST.split(), timeout=500)
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


def there():
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
