# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Which tests of applications there are."""

from .case import AGENT, PYTHON, Test

# In one layer, so that the tests share a boot
APPS = ("mpi", "ucx", "libfabric", "storage", "sockets")
APPS_AGENT = dict(AGENT, groups=APPS, smp=2)
# Of other suites: other versions of the two that differ most
APPS_ELSEWHERE = (("bookworm", "6.1"), ("forky", "7.2"))


def declared():
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
        # What is between the ends is new there, not how memory is registered
        yield long(f"{name}-vm", name, "--quick peer", smp=2, peer=APPS_AGENT)
    for name in ("mpi", "ucx"):
        for suite, kernel in APPS_ELSEWHERE:
            options = {"suite": suite, "kernels": (kernel,)}
            options["groups"] = ("mpi", "ucx")
            yield long(f"{name}-{suite}", name, "--quick local", **options)
    yield test("storage", "storage", "--quick local")
    yield long("storage-all", "storage", "local")
    yield long("storage-two", "storage", "sodp-sodp")
    yield long("storage-vm", "storage", "peer", smp=2, peer=APPS_AGENT)
    yield test("sockets", "sockets", "--quick local")
    options = {"groups": APPS + ("migration",)}
    yield long("migration", "migration", "local", **options)
    options = {"pmem": True, "groups": ("dax",)}
    options["keeps"] = "RDS loses its PD with its on-demand regions"
    yield long("rds-dax", "rds", "local", **options)
    yield long("sockets-all", "sockets", "local")
    yield long("sockets-two", "sockets", "sodp-sodp")
