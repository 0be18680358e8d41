# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# Run a command while QPs of this host talk by packets, not directly.  If it
# ran its tests and next to no packets were sent, it tested something else.
set -e
switch=/sys/module/sodp/parameters/wire_only
few=10

# What each device has sent.  One that the command makes counts from zero;
# one that it deletes takes its count away.
counters() {
	for file in /sys/class/infiniband/*/ports/1/hw_counters/tx_packets; do
		[ ! -r "$file" ] || echo "$file $(cat "$file")"
	done
}

growth() {
	awk '$1 == "now" { now = 1; next }
		!now { was[$1] = $2; next }
		{ n += $2 - ($2 < was[$1] ? 0 : was[$1]) }
		END { print n + 0 }'
}

echo 1 >$switch
before=$(counters)
status=0
"$@" || status=$?
echo 0 >$switch
sent=$(printf '%s\nnow\n%s\n' "$before" "$(counters)" | growth)
echo "# $sent packets sent"
# 4: all was skipped
if [ "$sent" -lt $few ] && [ $status -ne 4 ]; then
	echo "Bail out! $sent packets sent: this was no test of the wire"
	exit 1
fi
exit $status
