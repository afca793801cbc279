#!/usr/bin/env bash
# Makes DIR (default: .venv/triton) for tests: Triton's Python client in an environment of its own, and
# perf_analyzer, which its older packages brought, with the libraries that it is linked against.
set -euo pipefail
dir=${1:-.venv/triton}
python=${PYTHON:-.venv/bin/python}
pip=("$dir/bin/python" -m pip install --quiet --disable-pip-version-check)

rm -rf "$dir"
"$python" -m venv "$dir"
"${pip[@]}" -r tests/triton/requirements.txt
"${pip[@]}" --no-deps --target "$dir/perf" tritonclient==2.51.0 nvidia-cuda-runtime-cu12==12.9.79
# Its Python part would be taken for the client's.
rm -rf "$dir"/perf/triton*
chmod +x "$dir/perf/bin/perf_analyzer"
# libb64 comes from Debian, where that may be asked for it; without it perf_analyzer's test says so.
if ! ldconfig -p | grep -q libb64.so.0d && test "$(id -u)" = 0 && command -v apt-get >/dev/null; then
    { apt-get update --quiet --quiet &&
        apt-get install --yes --quiet --quiet --no-install-recommends libb64-0d; } >/dev/null 2>&1 || true
fi
