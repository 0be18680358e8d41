#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#
# probe.sh KDIR OUT - find out by compiling what a kernel has
#
# Every probes/NAME.c is compiled against the kernel; OUT/compat_config.h says
# HAVE_NAME (in capitals) for those that compile. A probe uses an API the way
# our code does, so that a wrong signature counts as absent. Versions are not
# looked at: distributions backport.
set -eu

kdir=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)

stamp=$(cat "$here"/probes/*.c "$here/probe.sh" | cksum; realpath "$kdir"; \
	cksum < "$kdir/Module.symvers")
if [ -f "$out/compat_config.h" ] && [ -f "$out/stamp" ] &&
   [ "$(cat "$out/stamp")" = "$stamp" ]; then
	exit 0
fi

rm -rf "$out"
mkdir -p "$out/probes"
cp "$here"/probes/*.c "$out/probes/"
names=
for probe in "$out"/probes/*.c; do
	names="$names $(basename "$probe" .c)"
done
for name in base $names; do
	echo "obj-m += $name.o"
done > "$out/probes/Kbuild"
# 7.2's own WERROR would turn a warning in a probe into "absent"
cat >> "$out/probes/Kbuild" <<'FLAGS'
ccflags-y += -Wno-error -Wno-missing-prototypes -Wno-missing-declarations
ccflags-y += -Werror=implicit-function-declaration
ccflags-y += -Werror=incompatible-pointer-types -Werror=int-conversion
FLAGS
# A probe that must compile: if it does not, the headers are at fault
cat > "$out/probes/base.c" <<'BASE'
#include <linux/module.h>
#include <linux/mmu_notifier.h>
int probe(void);
int probe(void) { return 0; }
BASE

# Objects only, a word each: linking needs symbols that no probe cares about
targets=
for name in base $names; do
	targets="$targets $name.o"
done
# shellcheck disable=SC2086
make -k -j"$(nproc)" -C "$kdir" M="$out/probes" $targets \
	> "$out/log" 2>&1 || true
if [ ! -f "$out/probes/base.o" ]; then
	echo "probe.sh: cannot compile against $kdir, see $out/log" >&2
	exit 1
fi
{
	echo "/* Made by compat/probe.sh for $kdir */"
	for name in $names; do
		upper=$(echo "$name" | tr '[:lower:]' '[:upper:]')
		if [ -f "$out/probes/$name.o" ]; then
			echo "#define HAVE_$upper 1"
		else
			echo "/* HAVE_$upper is not set */"
		fi
	done
} > "$out/compat_config.h"
echo "$stamp" > "$out/stamp"
rm -rf "$out/probes"
