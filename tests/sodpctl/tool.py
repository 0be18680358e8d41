# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Running sodpctl, and the link that its tests make."""

import os
import subprocess

TOOL = os.path.join(
    os.environ.get("SODP_BUILD", "/build/user"), "tools/sodpctl/sodpctl"
)
NETDEV, LINK = "sodpctl0", "sodpctl8"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def sodpctl(*words):
    return run(TOOL, *words)
