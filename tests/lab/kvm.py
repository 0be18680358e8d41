# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Is /dev/kvm of any use here?  It may exist and still hang a kernel."""

import json
import os
import subprocess
from pathlib import Path

from . import host, initramfs, kernels, suites

PROBE_SECONDS = 20
MARK = "Linux version"
PROOF = "sodp-lab: initramfs: cannot mount root"


def _boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def works(root):
    """True when a probe boot proved it since the host was booted."""
    if os.environ.get("SODP_KVM") == "0":
        return False
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    verdict = host.cache_dir() / "kvm.json"
    with host.lock("kvm"):
        try:
            known = json.loads(verdict.read_text())
            if known["boot"] == _boot_id():
                return known["works"]
        except (OSError, ValueError, KeyError):
            pass
        good = _probe(root)
        host.say(f"KVM {'works' if good else 'does not work: using TCG'}")
        verdict.write_text(json.dumps({"boot": _boot_id(), "works": good}))
        return good


def _probe(root):
    """Boot the initramfs alone: it runs, misses its root and resets."""
    kernel = kernels.Stock(root, suites.SUITES[root.suite]["kernels"][0])
    args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config"]
    args += ["-machine", "q35", "-accel", "kvm", "-cpu", "host"]
    args += ["-smp", "2", "-m", "512M", "-display", "none", "-no-reboot"]
    args += ["-kernel", kernel.image]
    args += ["-initrd", initramfs.ensure(root, kernel)]
    args += ["-append", "console=ttyS0 panic=-1", "-serial", "stdio"]
    process = host.spawn(
        args,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        out, _ = process.communicate(timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    finally:
        host.reap(process)
    text = out.decode(errors="replace")
    return MARK in text and PROOF in text
