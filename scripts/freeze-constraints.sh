#!/usr/bin/env bash
# Prints constraints.txt: the exact versions in .venv. PyTorch and what only its CUDA build
# brings are left out, because which build is installed depends on the machine.
set -euo pipefail
python=${PYTHON:-.venv/bin/python}
versions=$("$python" -m pip freeze --disable-pip-version-check --exclude-editable --exclude setuptools |
    grep -vE '^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==')
if odd=$(grep -vE '^[A-Za-z0-9._-]+==[A-Za-z0-9.!]+$' <<<"$versions"); then
    printf 'not an exact version of a registry package:\n%s\n' "$odd" >&2
    exit 1
fi
echo "# Exact versions that make installs with; PyTorch stands in constraints-torch.txt. Made by: make constraints"
printf '%s\n' "$versions"
