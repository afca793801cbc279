#!/usr/bin/env bash
# Makes DIR (default: .venv/peers): the forecasters that the accuracy benchmark runs beside ours, in an
# environment of their own, as they bring ray and others. Their torch is ours, so that speeds compare.
set -euo pipefail
dir=${1:-.venv/peers}
python=${PYTHON:-.venv/bin/python}

rm -rf "$dir"
"$python" -m venv "$dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check \
    -c constraints-torch.txt -r benchmarks/accuracy/peers/requirements.txt
