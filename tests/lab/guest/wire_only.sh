# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# Run a command while QPs of this host talk by packets, not directly.
set -e
switch=/sys/module/sodp/parameters/wire_only
echo 1 >$switch
status=0
"$@" || status=$?
echo 0 >$switch
exit $status
