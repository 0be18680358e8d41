# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The machine the lab runs on: paths, tools, disk, locks, clean-up.

Every error that is the user's to mend is a LabError: one line, exit 2.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

KEPT_LOGS = 10
SBIN = ":/usr/bin:/bin:/usr/sbin:/sbin"

# tool, or file with a full path -> Debian package
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "mount": "mount",
    "chroot": "coreutils",
    "newuidmap": "uidmap",
    KEYRING: "debian-archive-keyring",
}


class LabError(Exception):
    """Something the user can mend; shown as one line, exit status 2."""


class TestsFailed(Exception):
    """The run worked and what it ran did not: exit status 1."""


def is_root():
    return os.geteuid() == 0


def userns():
    """The words that give an ordinary user a root of his own."""
    args = ["unshare", "--map-root-user", "--map-auto"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if subprocess.call(args + ["true"], **quiet):
        raise LabError(
            "not root, and no user namespaces: they need the package "
            "uidmap, a line for you in /etc/subuid and /etc/subgid, and a "
            "kernel that allows them"
        )
    return args


def say(text):
    """One line of progress, on stderr so that stdout stays the guest's."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(base).expanduser() / "sodp"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise LabError(f"cannot use the cache folder {path}: {err.strerror}")
    return path


def need_disk(gib, why):
    free = shutil.disk_usage(cache_dir()).free / 2**30
    if free < gib:
        raise LabError(
            f"{why} needs {gib} GiB of disk under {cache_dir()}, "
            f"{free:.1f} GiB are free"
        )


def _have(name):
    return os.path.exists(name) if name[0] == "/" else shutil.which(name)


def need_tools(*names):
    """Make sure that the host has these tools; root installs them by apt."""
    if "/usr/sbin" not in os.environ.get("PATH", "").split(":"):
        os.environ["PATH"] = os.environ.get("PATH", "") + SBIN
    missing = [n for n in names if not _have(n)]
    if not missing:
        return
    packages = sorted({TOOLS[n] for n in missing})
    hint = (
        f"missing {', '.join(missing)}; install with: "
        f"apt-get install --no-install-recommends {' '.join(packages)}"
    )
    sudo = []
    if not is_root():
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if not shutil.which("sudo") or subprocess.call(
            ["sudo", "-n", "true"], **quiet
        ):
            raise LabError(hint)
        sudo = ["sudo", "-n"]
    if not shutil.which("apt-get"):
        raise LabError(hint)
    say(f"installing {' '.join(packages)} on the host")
    env = ["env", "DEBIAN_FRONTEND=noninteractive"]
    # A fresh machine may be upgrading itself just now
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    apt = sudo + env + ["apt-get", "-qq", "-y"] + wait
    log = cache_dir() / "apt.log"
    install = ["install", "--no-install-recommends"] + packages
    with open(log, "w") as out:
        for args in (["update"], install):
            done = subprocess.run(
                apt + args,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
    if done.returncode or not all(_have(n) for n in missing):
        raise LabError(f"{hint} (apt-get did not do it, see {log})")


@contextlib.contextmanager
def lock(name, wait=True):
    """Hold the lab's lock `name`; yields False when wait=False and busy."""
    path = cache_dir() / f"{name}.lock"
    with open(path, "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                yield False
                return
            say(f"waiting for another lab ({path.name})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield True


_held = []


def hold(name):
    """Share the lock `name` until this lab ends: others keep their hands
    off what it protects."""
    handle = open(cache_dir() / f"{name}.lock", "a")
    fcntl.flock(handle, fcntl.LOCK_SH)
    _held.append(handle)


def remove_unused(path, name):
    """Remove a cached folder unless a lab holds its lock `name`."""
    with lock(name, wait=False) as free:
        if free:
            say(f"removing the stale {path.name}")
            remove_tree(path)
        return free


@contextlib.contextmanager
def temp_dir(prefix):
    """A folder in the cache (same file system: rename works), then gone."""
    path = Path(tempfile.mkdtemp(prefix=f"tmp.{prefix}.", dir=cache_dir()))
    os.chmod(path, 0o755)
    try:
        with open(path / ".pid", "w") as handle:
            handle.write(str(os.getpid()))
        yield path
    finally:
        remove_tree(path)


def log_folder(kind):
    """A new folder for the logs of one run; last-<kind> leads to it."""
    base = cache_dir() / "logs"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = base / f"{kind}-{stamp}-{os.getpid()}"
    path.mkdir(parents=True, exist_ok=True)
    for old in sorted(base.glob(f"{kind}-*"))[:-KEPT_LOGS]:
        # another run may still be writing to a young one
        if time.time() - old.stat().st_mtime > 86400:
            remove_tree(old)
    link = cache_dir() / f"last-{kind}"
    if link.is_dir() and not link.is_symlink():
        remove_tree(link)
    with contextlib.suppress(OSError):
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    return path


def remove_tree(path):
    """Remove a tree whoever owns its files (subordinate uids included)."""
    path = Path(path)
    if not path.exists():
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists() and not is_root():
        subprocess.run(
            userns() + ["rm", "-rf", str(path)],
            stderr=subprocess.DEVNULL,
        )
    if path.exists():
        subprocess.run(["chmod", "-R", "u+rwX", path], check=False)
        shutil.rmtree(path, ignore_errors=True)


def sweep_leftovers():
    """Remove temporary folders of labs that were killed."""
    for path in cache_dir().glob("tmp.*"):
        try:
            pid = int((path / ".pid").read_text())
            os.kill(pid, 0)
        except ProcessLookupError:
            remove_tree(path)
        except (OSError, ValueError):
            if time.time() - path.lstat().st_mtime > 86400:
                remove_tree(path)


def _die_with_parent():
    """In the child: own process group, killed when the lab dies."""
    os.setpgid(0, 0)
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def spawn(args, **kwargs):
    """Popen of a helper that never outlives the lab."""
    return subprocess.Popen(
        [str(a) for a in args], preexec_fn=_die_with_parent, **kwargs
    )


def reap(process, grace=3):
    """End a process made by spawn() together with its group."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    return process.wait()


def run_logged(args, log, verbose=False, cwd=None, env=None, timeout=None):
    """Run a helper with its output in `log`; returns the exit status."""
    with open(log, "ab") as out:
        process = spawn(
            args,
            stdin=subprocess.DEVNULL,
            stdout=None if verbose else out,
            stderr=None if verbose else subprocess.STDOUT,
            cwd=cwd,
            env=env,
        )
        try:
            return process.wait(timeout)
        finally:
            reap(process)


def tail(path, lines=30):
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
