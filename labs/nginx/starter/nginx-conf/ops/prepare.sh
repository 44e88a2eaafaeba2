#!/bin/sh
# Runs once, before nginx starts. What nginx is to read and this folder does not have, is made here in /run/lab.
set -eu

# TODO T5: /certs has kiosk.test.crt, api.kiosk.test.crt (each the leaf alone), their .key files and intermediate.crt.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=kiosk.test" \
    -keyout /run/lab/self-signed.key -out /run/lab/self-signed.crt 2>/dev/null
