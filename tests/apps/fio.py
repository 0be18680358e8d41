# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""fio's rdma engine.

It cannot verify: what the server takes goes nowhere.  Here the buffers of
both sides lie in files (mem=mmapshared), which are compared afterwards.  The
client picks the server's blocks at random and may leave some out.  So each
block has to be one that the sender had, or as it was before.

Not by SEND: fio leaves the RNR retry count of its connections at 0, so a
client that is faster than the server's receives fails.
"""

import functools

from tests.apps import apps
from tests.apps.apps import IMPLICIT, PINNED, Counted, commands, filled, shell
from tests.common.tap import Failure
from tests.wire.ends import cm_listens, served, wait_serving

BLOCK, DEPTH, TOTAL = 65536, 8, 4 << 20
# Of the buffers' length before fio starts: fio does not make them longer, and
# what lies beyond a file's end cannot be registered (EFAULT)
FILE = {"server": "/dev/shm/fio.server", "client": "/dev/shm/fio.client"}


def blocks(end, who):
    """Digests of the blocks of a side's buffers."""
    split = f"split -b {BLOCK} --filter=sha256sum {FILE[who]}"
    return end.run(shell(split)).split()[::2]


def listening(end, task):
    listens = functools.partial(cm_listens, end, ":7820")
    wait_serving(task, "fio's server", listens, 60)


def transfer(verb, mode, far, near):
    """The page's commands; they are of WRITE."""
    by_verb = {"verb=write": f"verb={verb}"}
    programs = []
    for who, label, end, other, words in (
        ("server", "fio-server", far, None, {}),
        ("client", "fio-client", near, far, by_verb),
    ):
        size = BLOCK * DEPTH
        end.run(shell(f"head -c {size} /dev/urandom > {FILE[who]}"))
        text = filled(commands("storage", label), end, other, **words)
        text += f" --mem=mmapshared:{FILE[who]}"
        programs.append((shell(text), apps.environment_of(mode)))
    before = blocks(far, "server"), blocks(near, "client")
    with Counted((far, near), mode, apps.CLOSING) as count:
        served(far, near, *programs, listening)
    if count.grown("tx_bytes") < TOTAL:
        raise Failure(f"only {count.grown('tx_bytes')} bytes by RDMA")
    after = blocks(far, "server"), blocks(near, "client")
    return f"{judged(verb, before, after)} blocks; {count.note()}"


def judged(verb, before, after):
    """How many blocks are the sender's."""
    into, source = (1, 0) if verb == "read" else (0, 1)
    known = set(before[into]) | set(after[source])
    strange = [block for block in after[into] if block not in known]
    if strange:
        raise Failure(f"{len(strange)} blocks are nobody's")
    came = [block for block in after[into] if block in after[source]]
    if not came:
        raise Failure("no block has come over")
    return len(came)


def cases(quick):
    if quick:
        return
    for verb in ("write", "read"):
        for mode in (PINNED, IMPLICIT):
            work = functools.partial(transfer, verb, mode)
            yield f"fio {verb}, {mode}", work
