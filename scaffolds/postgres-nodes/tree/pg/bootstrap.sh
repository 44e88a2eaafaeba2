#!/bin/bash
# Prepares the data directory before the server starts. Runs on both hosts at each start, so it must not mind what is
# there already.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb -D "$PGDATA" -U postgres --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync >/dev/null
fi
cp /lab/pg/common.conf "$PGDATA/postgresql.conf"
cp /lab/pg/hba.conf "$PGDATA/pg_hba.conf"
