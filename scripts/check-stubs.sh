#!/usr/bin/env bash
# Fails where client/statecast/v1 is not what proto/ generates.
set -euo pipefail
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/generate-stubs.sh "$fresh"
if ! diff -r --exclude=__init__.py --exclude=__pycache__ "$fresh/statecast/v1" client/statecast/v1; then
    echo "client/statecast/v1 is not what proto/ generates: run make stubs" >&2
    exit 1
fi
