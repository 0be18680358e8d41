# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""All tests: who starts them puts the checkout into PYTHONPATH."""
