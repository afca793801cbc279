#!/usr/bin/env bash
# Regenerates the committed stubs from proto/: the client's into CLIENT (default: client), those that only
# the server needs into SERVER (default: service/rpc).
set -euo pipefail
client=${1:-client}
server=${2:-service/rpc}
python=${PYTHON:-.venv/bin/python}
"$python" -m grpc_tools.protoc --proto_path=proto --python_out="$client" --pyi_out="$client" \
    --grpc_python_out="$client" proto/statecast/v1/*.proto
"$python" -m grpc_tools.protoc --proto_path=proto --python_out="$server" --pyi_out="$server" \
    proto/inference/*.proto
