#!/bin/bash
# The operator's word: this host is the whole cluster from now on.   bash /lab/ops/promote.sh
set -eu
. /lab/pg/cluster.sh

if peer_timeline >/dev/null; then
    say "$PEER is a primary and answers; nothing was changed" >&2
    exit 3
fi

# First nobody waits for the lost host any more, then the door opens.
here "ALTER SYSTEM SET synchronous_standby_names = ''"
here "SELECT pg_reload_conf()" >/dev/null
if [ "$(here 'SELECT pg_is_in_recovery()')" = t ]; then
    here "SELECT pg_promote(true, 40)" | grep -qx t
fi
say "this is the primary, on its own"
