# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""sodpctl: links, state and the fault model, as the tool tells of them."""

import errno
import json
import os
import socket
import struct
import subprocess
import unittest

from tests.sodpctl.tool import LINK, NETDEV, TOOL, run, sodpctl

OTHER = "sodpctl9"
OFF = {"fixed_ns": 0, "page_ns": 0, "jitter_ns": 0}
MAX_NS = 1000000000

# linux/netlink.h, linux/genetlink.h, rdma/sodp-nl.h
NETLINK_GENERIC, NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 16, 1, 4, 2
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 1, 2
SODP_NL_CMD_SET, SODP_NL_ATTR_NAME, SODP_NL_ATTR_FAULT_FIXED_NS = 2, 2, 5
# Padding, what is of replies only, and what is not there
SODP_NL_UNKNOWN = 1, 3, 4, 8, 99


def attribute(kind, payload):
    size = 4 + len(payload)
    return struct.pack("=HH", size, kind) + payload + bytes(-size % 4)


def genl_ask(sock, family, cmd, attributes, reserved=0):
    """Send a request; the first message of the answer: type, payload."""
    body = struct.pack("=BBH", cmd, 1, reserved) + attributes
    flags = NLM_F_REQUEST | NLM_F_ACK
    sock.send(
        struct.pack("=IHHII", 16 + len(body), family, flags, 1, 0) + body
    )
    answer = sock.recv(65536)
    size, kind = struct.unpack_from("=IH", answer)
    return kind, answer[16:size]


class SodpctlTestCase(unittest.TestCase):
    """The tool on a link of its own, which leaves $SODP_DEV alone."""

    def setUp(self):
        if not os.environ.get("SODP_DEV", "").startswith("sodp"):
            self.skipTest("not a sodp device")
        self.addCleanup(self.remove)
        self.remove()
        self.must("ip", "link", "add", NETDEV, "type", "dummy")
        self.must("ip", "link", "set", NETDEV, "up")

    def remove(self):
        for name in (LINK, OTHER):
            run("rdma", "link", "delete", name)
        run("ip", "link", "delete", NETDEV)

    def must(self, *command):
        done = run(*command)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
        return done.stdout

    def ok(self, *words):
        done = sodpctl(*words)
        self.assertEqual(
            (done.returncode, done.stderr), (0, ""), " ".join(words)
        )
        return done.stdout

    def refused(self, code, text, *words):
        """Exit code, and one line on stderr that has this text."""
        done = sodpctl(*words)
        what = f"{' '.join(words)}: {done.stderr!r}"
        self.assertEqual(done.returncode, code, what)
        self.assertEqual(done.stdout, "", what)
        self.assertIn(text, done.stderr, what)
        self.assertEqual(done.stderr.count("\n"), 1, what)

    def add(self):
        self.ok("add", LINK, "netdev", NETDEV)

    def show(self, *words):
        return json.loads(self.ok("show", *words, "-j"))

    def rdma_links(self):
        text = self.must("rdma", "-j", "link")
        return {x["ifname"]: x for x in json.loads(text)}


class Links(SodpctlTestCase):
    def test_add_and_delete(self):
        self.add()
        self.assertEqual(self.rdma_links()[LINK]["netdev"], NETDEV)
        self.assertEqual(self.ok("delete", LINK), "")
        self.assertNotIn(LINK, self.rdma_links())
        self.refused(1, "No such device", "delete", LINK)
        # Nothing is left that would be in the way
        self.add()

    def test_second_device_on_a_netdev(self):
        self.add()
        self.refused(1, "File exists", "add", OTHER, "netdev", NETDEV)
        self.assertNotIn(OTHER, self.rdma_links())

    def test_name_is_taken(self):
        taken = os.environ["SODP_DEV"]
        self.refused(1, taken, "add", taken, "netdev", NETDEV)

    def test_netdev_is_not_ethernet(self):
        self.refused(1, "Invalid argument", "add", LINK, "netdev", "lo")
        self.assertNotIn(LINK, self.rdma_links())

    def test_no_such_netdev(self):
        self.refused(1, "No such device", "add", LINK, "netdev", "nix0")

    def test_other_drivers_are_left_alone(self):
        if run("modprobe", "rdma_rxe").returncode:
            self.skipTest("no rdma_rxe")
        rxe = ["rdma", "link", "add", "rxe8", "type", "rxe"]
        self.must(*rxe, "netdev", NETDEV)
        self.addCleanup(run, "rdma", "link", "delete", "rxe8")
        self.refused(1, "No such device", "delete", "rxe8")
        self.assertIn("rxe8", self.rdma_links())
        self.assertNotIn("rxe8", [x["ifname"] for x in self.show()])

    def test_show_matches_rdma(self):
        self.add()
        entries = self.show()
        links = self.rdma_links()
        self.assertEqual(
            {LINK, os.environ["SODP_DEV"]}, {x["ifname"] for x in entries}
        )
        for entry in entries:
            link = links[entry["ifname"]]
            for key in ("port", "state", "netdev", "netdev_index"):
                self.assertEqual(entry[key], link[key], key)
            self.assertTrue(entry["driver_version"])
        self.assertEqual(self.show(LINK)[0]["fault_model"], OFF)
        table = self.ok("show").splitlines()
        self.assertEqual(len(table), 1 + len(entries))
        self.assertTrue(any(x.split()[:2] == [LINK, NETDEV] for x in table))

    def test_show_follows_the_netdev(self):
        self.add()
        self.must("ip", "link", "set", NETDEV, "down")
        self.assertEqual(self.show(LINK)[0]["state"], "DOWN")
        # RDMA netlink tells of a netdev's new name late, sodp.ko does not
        self.must("ip", "link", "set", NETDEV, "name", "sodpctlx")
        self.addCleanup(run, "ip", "link", "delete", "sodpctlx")
        self.assertEqual(self.show(LINK)[0]["netdev"], "sodpctlx")

    def test_show_sees_its_namespace_only(self):
        self.must("ip", "netns", "add", "sodpctl")
        self.addCleanup(run, "ip", "netns", "delete", "sodpctl")
        inside = ("ip", "netns", "exec", "sodpctl", TOOL)
        self.assertEqual(self.must(*inside, "show", "-j"), "[]\n")
        name = os.environ["SODP_DEV"]
        for words in (["show", name], ["delete", name]):
            self.assertEqual(run(*inside, *words).returncode, 1)

    def test_output_gets_lost(self):
        self.add()
        for words in (
            ("show",),
            ("show", "-j"),
            ("fault-model", LINK),
            ("watch", LINK, "-i", "0.01", "-n", "1"),
            ("--help",),
            ("--version",),
        ):
            with open("/dev/full", "w") as full:
                done = subprocess.run(
                    (TOOL,) + words,
                    stdout=full,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=60,
                )
            self.assertEqual(done.returncode, 1, words)
            self.assertIn("cannot write", done.stderr, words)
            self.assertEqual(done.stderr.count("\n"), 1, words)

    def test_unknown_device(self):
        for words in (["show"], ["watch", "-n", "1"], ["fault-model"]):
            self.refused(1, "No such device", *words, "sodp77")
        self.refused(1, "No such device", "fault-model", "sodp77", "off")

    def test_usage(self):
        for words, text in (
            (["nix"], "nix"),
            (["add", LINK], "few"),
            (["add", LINK, "on", NETDEV], "netdev"),
            (["delete", LINK, OTHER], "many"),
            (["add", LINK, "netdev", "long" * 4], "long"),
            (["add", "sodp" * 16, "netdev", NETDEV], "long"),
            (["add", "sodp%d", "netdev", NETDEV], "%"),
            (["add", "", "netdev", NETDEV], "empty"),
            (["add", LINK, "netdev", ""], "empty"),
            (["delete", LINK, "-j"], "-j"),
            (["watch", "-n", "0"], "-n"),
            (["watch", "-n", "-1"], "-n"),
            (["watch", "-i", "0"], "-i"),
            (["watch", "-i", "nan"], "-i"),
        ):
            self.refused(2, text, *words)
        self.assertEqual(sodpctl().returncode, 2)
        self.assertEqual(sodpctl("--nix").returncode, 2)
        self.assertIn("fault-model", self.ok("--help"))
        version = self.show(os.environ["SODP_DEV"])[0]["driver_version"]
        self.assertEqual(self.ok("--version"), f"sodpctl {version}\n")


class NoDriver(SodpctlTestCase):
    """Without sodp.ko, which modprobe does not find here."""

    def setUp(self):
        super().setUp()
        for name, link in self.rdma_links().items():
            if name.startswith("sodp"):
                self.must("rdma", "link", "delete", name)
                again = ("rdma", "link", "add", name, "type", "sodp")
                self.addCleanup(self.must, *again, "netdev", link["netdev"])
        self.addCleanup(self.must, "insmod", "/build/kernel/sodp.ko")
        self.must("rmmod", "sodp")

    def test_reason_is_told(self):
        for words in (
            ("add", LINK, "netdev", NETDEV),
            ("delete", LINK),
            ("show",),
            ("watch", "-n", "1"),
            ("fault-model", LINK),
        ):
            self.refused(1, "no sodp.ko", *words)


class FaultModel(SodpctlTestCase):
    def setUp(self):
        super().setUp()
        self.add()

    def model(self):
        return self.show(LINK)[0]["fault_model"]

    def set(self, *words):
        self.assertEqual(self.ok("fault-model", LINK, *words), "")
        return self.ok("fault-model", LINK).strip()

    def test_round_trip(self):
        self.assertEqual(self.ok("fault-model", LINK), "off\n")
        text = "fixed 5ms page 200ns jitter 1.5us"
        self.assertEqual(self.set(*text.split()), text)
        want = {"fixed_ns": 5000000, "page_ns": 200, "jitter_ns": 1500}
        self.assertEqual(self.model(), want)
        self.assertIn(text, self.ok("show"))
        self.assertEqual(self.set("off"), "off")
        self.assertEqual(self.model(), OFF)

    def test_what_is_not_named_stays(self):
        self.set("fixed", "1ms", "jitter", "2us")
        self.assertEqual(
            self.set("page", "7ns"), "fixed 1ms page 7ns jitter 2us"
        )
        self.assertEqual(
            self.set("fixed", "0"), "fixed 0ns page 7ns jitter 2us"
        )
        self.assertEqual(
            self.set("off", "fixed", "3us"), "fixed 3us page 0ns jitter 0ns"
        )

    def test_what_is_printed_restores(self):
        """Whatever the model was in between."""
        for words in ("off", "page 7ns", "fixed 1s jitter 1us"):
            before = self.set("off", *words.split())
            model = self.model()
            self.set("fixed", "1ms", "page", "2ms", "jitter", "3ms")
            self.assertEqual(self.set(*before.split()), before)
            self.assertEqual(self.model(), model, before)

    def test_every_digit_is_kept(self):
        for value in (1, 999, 1001, 123456789, 999999999, MAX_NS):
            text = self.set("fixed", f"{value}ns")
            self.assertEqual(self.model()["fixed_ns"], value)
            self.set("off")
            self.assertEqual(self.set(*text.split()), text)
            self.assertEqual(self.model()["fixed_ns"], value)

    def test_bad_values(self):
        self.set("fixed", "1ms")
        for text in (
            "1000000001ns",
            "1.1s",
            "5000ms",
            "99999999999999999999s",
            "5",
            "5min",
            "0x5ms",
            "1e300s",
            "nan",
            "inf",
            "ms",
            "",
        ):
            self.refused(2, "fixed", "fault-model", LINK, "fixed", text)
        self.refused(2, "fixed", "fault-model", LINK, "fixed")
        self.refused(2, "option", "fault-model", LINK, "fixed", "-1ms")
        self.refused(2, "fast", "fault-model", LINK, "fast", "1ms")
        self.refused(
            2, "page", "fault-model", LINK, "fixed", "2ms", "page", "2"
        )
        self.assertEqual(self.model()["fixed_ns"], 1000000)

    def test_models_are_of_a_device(self):
        name = os.environ["SODP_DEV"]
        before = self.ok("fault-model", name)
        self.set("fixed", "1ms")
        self.assertEqual(self.ok("fault-model", name), before)
        self.ok("delete", LINK)
        self.add()
        self.assertEqual(self.model(), OFF)

    def family(self):
        """A socket, and the number of the family there."""
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC
        )
        self.addCleanup(sock.close)
        sock.bind((0, 0))
        name = attribute(CTRL_ATTR_FAMILY_NAME, b"sodp\0")
        kind, answer = genl_ask(sock, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name)
        self.assertEqual(kind, GENL_ID_CTRL)
        sock.recv(65536)
        offset = 4
        while offset < len(answer):
            size, kind = struct.unpack_from("=HH", answer, offset)
            if kind == CTRL_ATTR_FAMILY_ID:
                return sock, struct.unpack_from("=H", answer, offset + 4)[0]
            offset += (size + 3) & ~3
        self.fail("no number")

    def set_raw(self, where, attributes, reserved=0):
        """Set without the tool; the errno."""
        name = attribute(SODP_NL_ATTR_NAME, LINK.encode() + b"\0")
        kind, answer = genl_ask(
            *where, SODP_NL_CMD_SET, name + attributes, reserved
        )
        self.assertEqual(kind, NLMSG_ERROR)
        return -struct.unpack_from("=i", answer)[0]

    def test_kernel_checks_the_maximum(self):
        """Without the tool, which would not send it."""
        where = self.family()
        for value, want in ((MAX_NS, 0), (MAX_NS + 1, errno.ERANGE)):
            fixed = attribute(
                SODP_NL_ATTR_FAULT_FIXED_NS, struct.pack("=I", value)
            )
            self.assertEqual(self.set_raw(where, fixed), want, value)
        self.assertEqual(self.model()["fixed_ns"], MAX_NS)

    def test_kernel_refuses_what_it_does_not_know(self):
        """So that it can mean something one day."""
        where = self.family()
        fixed = attribute(SODP_NL_ATTR_FAULT_FIXED_NS, struct.pack("=I", 7))
        self.assertEqual(self.set_raw(where, fixed, 1), errno.EINVAL)
        for kind in SODP_NL_UNKNOWN:
            more = attribute(kind, struct.pack("=I", 0))
            self.assertEqual(
                self.set_raw(where, fixed + more), errno.EINVAL, kind
            )
        self.assertEqual(self.model(), OFF)
        self.assertEqual(self.set_raw(where, fixed), 0)

    def test_unprivileged(self):
        nobody = ("setpriv", "--reuid=65534", "--clear-groups")
        nobody += ("--bounding-set=-all", "--inh-caps=-all", TOOL)
        for words in (
            ("fault-model", LINK, "fixed", "1ms"),
            ("delete", LINK),
            ("add", OTHER, "netdev", NETDEV),
        ):
            done = run(*nobody, *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn("not permitted", done.stderr)
        self.assertEqual(self.model(), OFF)
        self.assertIn(LINK, self.rdma_links())
        done = run(*nobody, "fault-model", LINK)
        self.assertEqual((done.returncode, done.stdout), (0, "off\n"))


if __name__ == "__main__":
    unittest.main()
