#!/bin/bash
# Initialises a database with a table in it: setup.sh TREE ROWS
#
# A server gives each database cluster numbers of its own, from the clock, its process ID and random bytes, and writes
# memory with addresses in it to its caches. Here all of these are always the same, so that the layer is.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
tree=$1 rows=$2
gcc -shared -fPIC -O2 -o "$tree/tmp/always.so" "$here/always.c"
install -d -o "$(stat -c %u "$tree/var/lib/postgresql")" -g "$(stat -c %g "$tree/var/lib/postgresql")" -m 0700 "$tree/data"
# shellcheck disable=SC2016 # expanded inside
unshare --pid --fork setarch --addr-no-randomize chroot "$tree" setpriv --reuid postgres --regid postgres --clear-groups \
    env -i PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin LC_ALL=C.UTF-8 LD_PRELOAD=/tmp/always.so bash -euc '
cd /tmp
initdb --pgdata /data --auth trust --encoding UTF8 --locale C.UTF-8 --no-sync > /dev/null
cat >> /data/postgresql.conf <<-END
	listen_addresses = '\''127.0.0.1'\''
	port = 18007
	unix_socket_directories = '\'''\''
	log_line_prefix = '\'''\''
END
postgres --single -E -D /data postgres > /dev/null <<-END
	create table orders as select n as number, md5(n::text) as customer, n % 100 as amount from generate_series(1, '"$rows"') n
	alter table orders add primary key (number)
END
# What is in the log has padding with whatever was in memory; after a clean shutdown none of it is needed.
pg_resetwal --pgdata /data > /dev/null
'
find "$tree/data" -name pg_internal.init -delete
rm "$tree/tmp/always.so"
