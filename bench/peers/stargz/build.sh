#!/bin/bash
# Builds the stargz-snapshotter daemon from Debian's packages, with nothing fetched: build.sh OUTPUT
set -euo pipefail
output=$(realpath -m "$1")
source=$(dirname "$(realpath "$0")")
mkdir -p "$(dirname "$output")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/peer"
cp "$source/main.go" "$work/src/peer/"
cd "$work/src/peer"
GO111MODULE=off GOPATH="$work:/usr/share/gocode" GOPROXY=off GOFLAGS= CGO_ENABLED=1 go build -o "$output" .
