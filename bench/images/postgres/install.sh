#!/bin/bash
# Installs PostgreSQL without what belongs to one machine, a first database and a certificate: install.sh TREE
set -euo pipefail
tree=$1
install_packages() {
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --no-install-recommends --quiet \
        -o DPkg::Chroot-Directory="$tree" "$@"
}
install_packages postgresql-common
sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$tree/etc/postgresql-common/createcluster.conf"
install_packages postgresql-15
find "$tree/etc/ssl" \( -name 'ssl-cert-snakeoil.*' -o -lname '*ssl-cert-snakeoil.pem' \) -delete
