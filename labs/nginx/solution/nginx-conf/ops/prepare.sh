#!/bin/sh
# A client that trusts the root alone needs the whole chain: the leaf first, then who signed it.
set -eu
for name in kiosk.test api.kiosk.test; do
    cat "/certs/$name.crt" /certs/intermediate.crt > "/run/lab/$name.pem"
done
