#!/bin/bash
# Makes one layer of the files of a few Debian packages, unpacked and not set up: for small images.
#
#   debian-files.sh TAR PACKAGES...
#
# Needs root and mmdebstrap.
set -euo pipefail
# shellcheck source=bench/images/debian.sh
. "$(dirname "$0")/debian.sh"
tar=$(realpath "$1")
shift
bootstrap --variant=extract --format=tar --include="$*" -- "$tar"
