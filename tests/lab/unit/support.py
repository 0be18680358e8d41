# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Runs ./lab with a cache of its own."""

import os
import subprocess
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]


def lab(*args, **env):
    """Run ./lab; returns (status, stdout, stderr, names left in cache)."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [REPO / "lab", *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=dict(os.environ, XDG_CACHE_HOME=cache, **env),
            timeout=100,
        )
        left = [
            path.name
            for path in Path(cache).rglob("*")
            if path.suffix not in (".lock", ".log") and path.name != "sodp"
        ]
    return done.returncode, done.stdout, done.stderr, left
