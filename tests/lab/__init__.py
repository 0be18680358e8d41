# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The lab: root folders, builds, virtual machines and test runs."""
