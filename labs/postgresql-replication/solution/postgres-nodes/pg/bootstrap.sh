#!/bin/bash
# Prepares $PGDATA before the server starts. Runs on both hosts at each start of a host.
#
#   nothing here, the other host is primary   a copy of it, which follows
#   nothing here, this is pg-a                a new cluster
#   a standby                                 as it is: it goes on where it stopped
#   a primary, and the other one is, too      the newer timeline is right; the older one waits for rejoin.sh
set -eu
. /lab/pg/cluster.sh

create() {
    initdb -D "$PGDATA" -U postgres --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync >/dev/null
    install_settings
    # Nobody can come in meanwhile, and no standby is there yet that a commit could wait for.
    pg_ctl -D "$PGDATA" -s -w -o "-c listen_addresses='' -c synchronous_standby_names=''" start
    psql -Xq -v ON_ERROR_STOP=1 -U postgres -d postgres \
        -v app_password="$DB_PASSWORD" -v replication_password="$REPLICATION_PASSWORD" \
        -v ops_password="$OPS_PASSWORD" -f /lab/pg/init.sql
    pg_ctl -D "$PGDATA" -s -w -m fast stop
}

patiently() { # a new standby waits for its primary
    for _ in $(seq 100); do
        if peer_timeline >/dev/null; then return 0; fi
        sleep 0.3
    done
    say "$PEER does not answer as a primary"
    return 1
}

empty_again() { # half a cluster must not look like one the next time
    pg_ctl -D "$PGDATA" -s -m immediate stop 2>/dev/null || true
    find "$PGDATA" -mindepth 1 -delete
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    trap empty_again EXIT
    if [ "$NODE" = pg-a ] && ! peer_timeline >/dev/null; then
        create
    else
        patiently
        reserve
        clone
        follow
    fi
    trap - EXIT
elif [ ! -e "$PGDATA/standby.signal" ]; then
    theirs=$(peer_timeline || echo 0)
    if [ "$theirs" -gt "$(own_timeline)" ]; then
        say "$PEER has been promoted since (timeline $theirs); to come back as its standby: bash /lab/ops/rejoin.sh"
        exit 1
    fi
fi
install_settings
