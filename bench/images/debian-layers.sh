#!/bin/bash
# Makes the layers of an image out of Debian packages.
#
#   debian-layers.sh DIR [PACKAGES...]
#
# writes DIR/0.tar, a minimal Debian, and for each further argument (package names separated by spaces) one more
# tar with what installing them changed, as an image builder's RUN line would make it. Needs root and mmdebstrap.
set -euo pipefail
# shellcheck source=bench/images/debian.sh
. "$(dirname "$0")/debian.sh"

# What apt leaves behind in a tree and no image wants, and what belongs to the machine and not to the image.
litter=(./dev/* ./proc/* ./sys/* ./run/* ./tmp/* ./etc/resolv.conf ./etc/hostname ./var/lib/apt/lists/*
    ./var/cache/apt/* ./var/cache/debconf/* ./var/cache/ldconfig/* ./var/log/* ./etc/machine-id)

# write_layer TAR FILE_LIST: the paths in FILE_LIST (NUL separated, sorted) of the current directory, always the same bytes.
write_layer() {
    local excludes=()
    for path in "${litter[@]}"; do excludes+=("--exclude=$path"); done
    tar --create --file "$1" --format=posix --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' \
        --numeric-owner --xattrs --xattrs-include='*' --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime \
        --no-recursion --anchored "${excludes[@]}" --null --files-from "$2" || [ $? -eq 1 ] # 1: /proc moved meanwhile
}

# Run by mmdebstrap with the tree as its argument, once the minimal system stands.
if [ "${1:-}" = --inside ]; then
    out=$2 tree=$3
    shift 3
    cd "$tree"
    find . -xdev -print0 | sort -z > "$out/before"
    write_layer "$out/0.tar" "$out/before"
    number=1
    for packages in "$@"; do
        touch "$out/stamp"
        sleep 0.1
        # shellcheck disable=SC2086 # a list of package names
        APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --no-install-recommends --quiet \
            -o DPkg::Chroot-Directory="$tree" $packages
        find . -xdev -print0 | sort -z > "$out/after"
        # What vanished becomes a whiteout (OCI image-spec, layer.md).
        comm -z -23 "$out/before" "$out/after" | while IFS= read -r -d '' path; do
            if [ -d "${path%/*}" ]; then : > "${path%/*}/.wh.${path##*/}"; fi
        done
        find . -xdev \( -cnewer "$out/stamp" -o -newer "$out/stamp" \) -print0 | sort -z > "$out/changed"
        write_layer "$out/$number.tar" "$out/changed"
        find . -xdev -name '.wh.*' -delete
        mv "$out/after" "$out/before"
        number=$((number + 1))
    done
    rm -f "$out/before" "$out/changed" "$out/stamp"
    exit 0
fi

out=$(realpath "$1")
shift
inside=$(printf '%q ' bash "$(realpath "$0")" --inside "$out")
stages=
for packages in "$@"; do stages+=" $(printf %q "$packages")"; done
hook="$inside \"\$1\" $stages"
bootstrap --variant=minbase --format=null --customize-hook="$hook" -- -
