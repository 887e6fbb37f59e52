#!/bin/bash
# Compiles the server with the compiler that the run-time environment has in its modules: setup.sh TREE
set -euo pipefail
here=$(dirname "$(realpath "$0")")
tree=$1
mkdir -p "$tree/app"
cp "$here/Server.java" "$tree/tmp/"
chroot "$tree" java -m jdk.compiler/com.sun.tools.javac.Main -d /app /tmp/Server.java
rm "$tree/tmp/Server.java"
