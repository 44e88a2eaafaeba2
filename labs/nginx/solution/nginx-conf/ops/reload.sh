#!/bin/sh
# Makes the running server use the configuration as it is now, and returns when nobody serves the old one to newcomers.
set -eu
configuration=/etc/nginx/lab/nginx.conf
master=$(cat /run/lab/nginx.pid)

workers() {  # those that take new connections; one that is shutting down has another title
    pgrep -P "$master" -f '^nginx: worker process$' || true
}

nginx -t -q -c "$configuration"
before=$(workers)
nginx -s reload -c "$configuration"

tries=0
while [ $tries -lt 600 ]; do
    left=$(workers | grep -Fx "$before" || true)
    now=$(workers)
    if [ -z "$left" ] && [ -n "$now" ]; then
        exit 0
    fi
    tries=$((tries + 1))
    sleep 0.05
done
echo "after 30 s there are still workers with the old configuration: $left" >&2
exit 1
