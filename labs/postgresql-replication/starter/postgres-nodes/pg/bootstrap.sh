#!/bin/bash
# Prepares $PGDATA before the server starts. Runs on both hosts at each start of a host, so it must not mind what is
# there already. It may wait for the other host; a minute is fine.
set -eu

create() { # a new cluster, with what init.sql says
    initdb -D "$PGDATA" -U postgres --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync >/dev/null
    cp /lab/pg/common.conf "$PGDATA/postgresql.conf"
    if [ "$NODE" = pg-a ]; then
        # Nobody can come in meanwhile: this server listens on no address.
        pg_ctl -D "$PGDATA" -s -w -o "-c listen_addresses=''" start
        psql -Xq -v ON_ERROR_STOP=1 -U postgres -d postgres \
            -v app_password="$DB_PASSWORD" -v replication_password="$REPLICATION_PASSWORD" \
            -v ops_password="$OPS_PASSWORD" -f /lab/pg/init.sql
        pg_ctl -D "$PGDATA" -s -w -m fast stop
    fi
}

# TODO T1: pg-b begins as a copy of pg-a and follows it. This makes two clusters that know nothing of each other.
# TODO T2: a standby that was away for an hour goes on where it stopped.
# TODO T5: a primary that comes back after an accident may not be one any more.
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    create
fi

cp /lab/pg/common.conf "$PGDATA/postgresql.conf"
cp /lab/pg/hba.conf "$PGDATA/pg_hba.conf"
