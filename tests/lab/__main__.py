# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What ./lab starts."""

import sys

from tests.lab.cli import main

sys.exit(main(sys.argv[1:]))
