#!/bin/bash
# Installs Python packages into a tree, as `pip install` in a Dockerfile would.
#
#   pip.sh TREE REQUIREMENTS
#
# REQUIREMENTS, beside this script, pins every package. Wheels only: nothing of the package's is run.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
tree=$1
target=$tree/usr/local/lib/python3.11/dist-packages
machine=$(uname -m)
platforms=()
for libc in 2_28 2_27 2_26 2_24 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${libc}_$machine"); done
/usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
    --only-binary=:all: --python-version 3.11 --implementation cp "${platforms[@]}" --platform "manylinux2014_$machine" \
    --root-user-action=ignore --target "$target" --requirement "$here/$2"
# Programs with the path of the Python that installed them; applications are started with python3 -m.
rm -rf "$target/bin"
find "$target" -type f -newermt "@$SOURCE_DATE_EPOCH" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
chroot "$tree" python3 -m compileall -q -j 0 --invalidation-mode timestamp /usr/local/lib/python3.11/dist-packages || true
