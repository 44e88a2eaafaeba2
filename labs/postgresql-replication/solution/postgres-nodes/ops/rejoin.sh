#!/bin/bash
# Makes this host a standby of the other one, whatever it was before.   bash /lab/ops/rejoin.sh
set -eu
. /lab/pg/cluster.sh

following() { here "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')" 2>/dev/null | grep -qx t; }

if ! peer_timeline >/dev/null; then
    say "$PEER does not answer as a primary" >&2
    exit 3
fi
if ! following; then
    /lab/stop
    reserve
    there "CHECKPOINT"
    # What only this host has written is undone block by block; where that can't be, everything is copied.
    if ! PGPASSWORD=$OPS_PASSWORD pg_rewind -D "$PGDATA" --no-sync \
        --source-server="host=$PEER user=$OPS_USER dbname=postgres"; then
        clone
    fi
    install_settings
    follow
    /lab/start
    for _ in $(seq 300); do
        if following; then break; fi
        sleep 0.1
    done
    following
fi

# Slots from the time as a primary would keep the log for nobody, until the disk is full.
here "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active" >/dev/null
there "ALTER SYSTEM RESET synchronous_standby_names"
there "SELECT pg_reload_conf()" >/dev/null
say "this follows $PEER, and $PEER waits for it"
