#!/usr/bin/env bash
# Puts kustomize itself, as the library that its Python bindings bring, into DIR (default: .venv/kustomize) for tests.
# The bindings want a newer Python than ours; the tests call the library without them.
set -euo pipefail
dir=${1:-.venv/kustomize}
python=${PYTHON:-.venv/bin/python}

rm -rf "$dir"
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --only-binary :all: \
    --target "$dir" pykustomize==0.1.4
