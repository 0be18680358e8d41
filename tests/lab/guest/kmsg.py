# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The kernel log as the steps of a run see it."""

import os

LEAKS = "/sys/kernel/debug/kmemleak"


class KernelLog:
    """Reads /dev/kmsg from where the last reader stopped."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDWR | os.O_NONBLOCK)
        self.extra = []

    def mark(self, text, level="<4>"):
        # Without the newline the record waits for the next one.
        os.write(self.fd, f"{level}sodp-lab: {text}\n".encode())

    def take(self):
        """Lines since the last call."""
        lines = []
        while True:
            try:
                record = os.read(self.fd, 16384)
            except BlockingIOError:
                break
            except BrokenPipeError:
                lines.append("(kernel log overran: lines lost)")
                continue
            except OSError:
                break
            lines += self._format(record.decode(errors="replace"))
        lines += self.extra
        self.extra = []
        return lines

    @staticmethod
    def _format(record):
        head, _, text = record.partition(";")
        fields = head.split(",")
        seconds = int(fields[2]) / 1e6 if len(fields) > 2 else 0
        # Continuation lines of the record are its dictionary; newlines of
        # the message itself come escaped.
        message = text.split("\n")[0].replace("\\x0a", "\n")
        stamp = f"[{seconds:12.6f}]"
        return [f"{stamp} {x}" for x in message.split("\n") if x] or [stamp]

    def save(self, path):
        with open(path, "w") as handle:
            handle.writelines(line + "\n" for line in self.take())

    @staticmethod
    def clear_leaks():
        """Forget what leaked before the tests began."""
        KernelLog._leaks("scan")
        KernelLog._leaks("clear")

    @staticmethod
    def _leaks(order):
        if os.path.exists(LEAKS):
            with open(LEAKS, "w") as handle:
                handle.write(order)

    def add_leaks(self):
        """Scan for leaks; they become lines of the current step."""
        if not os.path.exists(LEAKS):
            return
        self._leaks("scan")
        self._leaks("scan")
        with open(LEAKS) as handle:
            self.extra += handle.read().splitlines()
        self._leaks("clear")
