# What bootstrap.sh, promote.sh and rejoin.sh share. Sourced; $NODE is this host, $PEER the other one.
export PGCONNECT_TIMEOUT=3
slot=${NODE//-/_}

say() { printf '%s: %s\n' "$NODE" "$*"; }

here() { # a query on this host's own server
    psql -XAtq -v ON_ERROR_STOP=1 -U postgres -d postgres -c "$1"
}

there() { # a query on the other host, as the operator; in so many seconds, where that is said
    PGPASSWORD=$OPS_PASSWORD timeout "${2:-40}" psql -XAtq -v ON_ERROR_STOP=1 -h "$PEER" -U "$OPS_USER" -d postgres -c "$1"
}

peer_timeline() { # decimal; fails unless the other host answers as a primary
    local file
    file=$(there "SELECT pg_walfile_name(pg_current_wal_lsn()) WHERE NOT pg_is_in_recovery()" 10 2>/dev/null)
    [ -n "$file" ] && printf '%d\n' "0x${file:0:8}"
}

own_timeline() { # decimal, of the data directory as it lies here
    pg_controldata -D "$PGDATA" | sed -n "s/^Latest checkpoint's TimeLineID: *//p"
}

reserve() { # the other host keeps for us what we have not received yet; once is enough
    PGPASSWORD=$REPLICATION_PASSWORD psql -XAtq -d "host=$PEER user=$REPLICATION_USER dbname=postgres replication=true" \
        -c "CREATE_REPLICATION_SLOT $slot PHYSICAL RESERVE_WAL" >/dev/null 2>"/tmp/reserve" ||
        grep -q 'already exists' /tmp/reserve || { cat /tmp/reserve >&2; return 1; }
}

clone() { # a new copy of the other host, in the place of whatever lies here
    find "$PGDATA" -mindepth 1 -delete
    PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup -h "$PEER" -U "$REPLICATION_USER" -D "$PGDATA" \
        --wal-method=stream --slot="$slot" --checkpoint=fast --no-sync
}

follow() { # what a standby needs to know
    local auto="$PGDATA/postgresql.auto.conf"
    sed -i '/^primary_conninfo\b/d; /^primary_slot_name\b/d' "$auto"
    printf "primary_conninfo = 'host=%s user=%s password=%s application_name=%s connect_timeout=3'\n" \
        "$PEER" "$REPLICATION_USER" "$REPLICATION_PASSWORD" "$NODE" >>"$auto"
    printf "primary_slot_name = '%s'\n" "$slot" >>"$auto"
    touch "$PGDATA/standby.signal"
}

install_settings() {
    cp /lab/pg/common.conf "$PGDATA/postgresql.conf"
    cp /lab/pg/hba.conf "$PGDATA/pg_hba.conf"
}
