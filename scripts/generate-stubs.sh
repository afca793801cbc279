#!/usr/bin/env bash
# Regenerates the committed stubs from proto/ into DIR (default: client).
set -euo pipefail
out=${1:-client}
python=${PYTHON:-.venv/bin/python}
"$python" -m grpc_tools.protoc --proto_path=proto --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
    proto/statecast/v1/*.proto
