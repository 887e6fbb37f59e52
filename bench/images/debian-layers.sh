#!/bin/bash
# Makes the layers of an image out of Debian packages and whatever else.
#
#   debian-layers.sh [--files PACKAGES] DIR [STAGE...]
#
# writes DIR/0.tar, a minimal Debian (or with --files the files of some packages, unpacked and not set up), and for
# each stage one more tar with what it changed, as an image builder's RUN line would make it. A stage is one of
#
#   "apt PACKAGES"        installs Debian packages
#   "run SCRIPT ARGS..."  calls a program beside this one with the tree and the arguments
#   "copy DIRECTORY"      puts the files of a directory beside this script into /app
#
# The same stages and the same packages give the same bytes. Needs root and mmdebstrap.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=bench/images/debian.sh
. "$here/debian.sh"

# What apt leaves behind in a tree and no image wants, and what belongs to the machine and not to the image.
litter=(./dev/* ./proc/* ./sys/* ./run/* ./tmp/* ./etc/resolv.conf ./etc/hostname ./var/lib/apt/lists/*
    ./var/cache/apt/* ./var/cache/debconf/* ./var/cache/ldconfig/* ./var/log/* ./etc/machine-id
    ./etc/ssl/certs/java/cacerts) # holds the time at which it was made

# write_layer TAR FILE_LIST: the paths in FILE_LIST (NUL separated, sorted) of the current directory, always the same bytes.
write_layer() {
    local excludes=()
    for path in "${litter[@]}"; do excludes+=("--exclude=$path"); done
    tar --create --file "$1" --format=posix --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' \
        --numeric-owner --xattrs --xattrs-include='*' --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime \
        --no-recursion --anchored "${excludes[@]}" --null --files-from "$2" || [ $? -eq 1 ] # 1: /proc moved meanwhile
}

# Gives files the dates that they have in the layer, and compiled Python modules the dates of their sources. With
# SOURCE_DATE_EPOCH Python would have each start of a program read and hash every source instead, as no image does.
settle() {
    find . -xdev -type f -newermt "@$SOURCE_DATE_EPOCH" -exec touch --date="@$SOURCE_DATE_EPOCH" {} +
    [ -x usr/bin/python3 ] || return 0
    find . -xdev -path '*/__pycache__/*.pyc' -cnewer "$1" -printf '/%P\n' | sort | chroot . python3 -c '
import os, py_compile, struct, sys
for compiled in map(str.rstrip, sys.stdin):
    head, name = os.path.split(compiled)
    source = os.path.join(os.path.dirname(head), name.split(".")[0] + ".py")
    if not os.path.exists(source):
        continue
    with open(compiled, "rb") as file:
        _, flags, date = struct.unpack("<4sII", file.read(12))
    if flags or date != int(os.stat(source).st_mtime):
        py_compile.compile(source, compiled, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
'
}

# run_stage TREE STAGE
run_stage() {
    local tree=$1 words
    read -ra words <<< "$2"
    case "${words[0]}" in
    apt)
        APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --no-install-recommends --quiet \
            -o DPkg::Chroot-Directory="$tree" "${words[@]:1}"
        ;;
    run) "$here/${words[1]}" "$tree" "${words[@]:2}" ;;
    copy)
        mkdir -p "$tree/app"
        cp --recursive --no-target-directory "$here/${words[1]}" "$tree/app"
        chmod --recursive u=rwX,go=rX "$tree/app"
        ;;
    *)
        echo "debian-layers.sh: there is no stage '$2'" >&2
        return 64
        ;;
    esac
}

# Run by mmdebstrap with the tree as its argument, once the bottom layer stands.
if [ "${1:-}" = --inside ]; then
    out=$2 tree=$3
    shift 3
    cd "$tree"
    touch --date=@0 "$out/stamp"
    settle "$out/stamp"
    find . -xdev -print0 | sort -z > "$out/before"
    write_layer "$out/0.tar" "$out/before"
    number=1
    for stage in "$@"; do
        touch "$out/stamp"
        sleep 0.1
        run_stage "$tree" "$stage"
        settle "$out/stamp"
        find . -xdev -print0 | sort -z > "$out/after"
        # What vanished becomes a whiteout (OCI image-spec, layer.md).
        comm -z -23 "$out/before" "$out/after" | while IFS= read -r -d '' path; do
            if [ -d "${path%/*}" ]; then : > "${path%/*}/.wh.${path##*/}"; fi
        done
        # With the directories on the way, as overlayfs gives them to an image builder.
        find . -xdev \( -cnewer "$out/stamp" -o -newer "$out/stamp" \) -print0 |
            sed --null-data --quiet ':up p; s,/[^/]*$,,; t up' | sort -zu > "$out/changed"
        write_layer "$out/$number.tar" "$out/changed"
        find . -xdev -name '.wh.*' -delete
        mv "$out/after" "$out/before"
        number=$((number + 1))
    done
    rm -f "$out/before" "$out/changed" "$out/stamp"
    exit 0
fi

# Where nothing is set up, the last thing that happens is the unpacking.
variant=(--variant=minbase) moment=customize
if [ "$1" = --files ]; then
    variant=(--variant=extract "--include=$2") moment=extract
    shift 2
fi
out=$(realpath "$1")
shift
inside=$(printf '%q ' bash "$here/debian-layers.sh" --inside "$out")
stages=
for stage in "$@"; do stages+=" $(printf %q "$stage")"; done
hook="$inside \"\$1\" $stages"
bootstrap "${variant[@]}" --format=null "--$moment-hook=$hook" -- -
