# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""tools/rooms.py: an arrow that points up is found, however it is drawn."""

import unittest

from tools import rooms

HEADER = """
#include "base/sodp.h"
int sodp_sq_run(int a,
        int b);
"""
ABOVE = """
/* sodp_key_get() is not called */
#include "qp/qp.h"
int sodp_sq_run(int a,
        int b)
{
    return sodp_key_get(a, "sodp_qp_table");
}

const struct sodp_op sodp_ops[SODP_NR_OPS] = {
    { 0 },
};
"""
BELOW = """
#include "base/sodp.h"
static int sodp_never(void) { return 0; }
int sodp_key_get(int a, const char *s)
{
    return a;
}
"""


class Rooms(unittest.TestCase):
    def setUp(self):
        self.files = {
            "qp/qp.h": HEADER,
            "qp/sq.c": ABOVE,
            "mem/key.c": BELOW,
            "base/sodp.h": "struct sodp_dev;\n",
        }

    def planted(self, text, name="mem/key.c"):
        self.files[name] += text
        return rooms.upward(self.files)

    def test_down(self):
        self.assertEqual(rooms.upward(self.files), [])
        self.assertIn(("qp/sq.c", "mem/key.c"), rooms.arrows(self.files))

    def test_defines(self):
        self.assertEqual(
            rooms.defines(rooms.bare(ABOVE)), {"sodp_sq_run", "sodp_ops"}
        )
        self.assertEqual(rooms.defines(rooms.bare(BELOW)), {"sodp_key_get"})

    def test_planted_include(self):
        found = self.planted('#include "qp/qp.h"\n')
        self.assertEqual(found, ["mem/key.c: points up to qp/qp.h: #include"])

    def test_planted_call(self):
        found = self.planted(
            "int a(void)\n{\n    return sodp_sq_run(1, 2);\n}\n"
        )
        self.assertEqual(
            found, ["mem/key.c: points up to qp/sq.c: sodp_sq_run"]
        )

    def test_planted_pointer(self):
        found = self.planted("static int (*run)(int, int) = sodp_sq_run;\n")
        self.assertEqual(len(found), 1)

    def test_planted_data(self):
        found = self.planted("int b(void)\n{\n    return sodp_ops[0].a;\n}\n")
        self.assertEqual(len(found), 1)

    def test_planted_in_header(self):
        found = self.planted(
            "static inline int c(void)\n{\n    return sodp_key_get();\n}\n",
            "base/sodp.h",
        )
        self.assertEqual(
            found, ["base/sodp.h: points up to mem/key.c: sodp_key_get"]
        )

    def test_no_room(self):
        self.files["qp.h"] = ""
        self.assertEqual(len(self.planted('#include "qp.h"\n')), 1)

    def test_compat(self):
        good = {"compat.h": '#include "compat_config.h"\n'}
        self.assertEqual(rooms.compat(good, {"sodp.h"}), [])
        bad = {"compat.h": "#include <rdma/odp.h>\n"}
        self.assertEqual(len(rooms.compat(bad, {"odp.h"})), 1)


if __name__ == "__main__":
    unittest.main()
