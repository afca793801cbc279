#!/usr/bin/env bash
# Fails where the committed stubs are not what proto/ generates.
set -euo pipefail
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mkdir "$fresh/client" "$fresh/server"
scripts/generate-stubs.sh "$fresh/client" "$fresh/server"
check() {
    if ! diff -r --exclude=__init__.py --exclude=__pycache__ "$1" "$2"; then
        echo "$2 is not what proto/ generates: run make stubs" >&2
        exit 1
    fi
}
check "$fresh/client/statecast/v1" client/statecast/v1
check "$fresh/server/inference" service/rpc/inference
