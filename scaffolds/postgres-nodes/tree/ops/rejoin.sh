#!/bin/bash
# Run by the operator inside a host: bash /lab/ops/rejoin.sh
set -eu
echo "rejoin.sh is not written yet" >&2
exit 1
