#!/usr/bin/env bash
# Builds the image with podman or docker.
#   BASE=IMAGE   the Python image to build on     TAG=NAME   default statecast
#   DEVICE=cuda  the image for NVIDIA GPUs
# podman is given this machine's pip settings, so that it installs from where pip here does; with
# docker, PIP_EXTRA_INDEX_URL reaches the build. Further arguments go to the build.
set -euo pipefail
cd "$(dirname "$0")/.."
engine=${ENGINE:-$(basename "$(command -v podman || command -v docker)")} || true
[[ -n $engine ]] || { echo "an image needs podman or docker: neither is here" >&2; exit 1; }
tag=${TAG:-statecast}
base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile)}
if ! "$engine" image inspect "$base" >/dev/null 2>&1 && ! "$engine" pull --quiet "$base" >/dev/null; then
    echo "the base image $base is not here and cannot be pulled: name one with BASE=..." >&2
    exit 1
fi
options=(--build-arg "BASE=$base" --build-arg "DEVICE=${DEVICE:-cpu}" --tag "$tag")
# The commit and its time, so that the same source gives the same labels.
if revision=$(git rev-parse HEAD 2>/dev/null); then
    created=$(TZ=UTC git show --no-patch --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD)
    options+=(--build-arg "REVISION=$revision" --build-arg "CREATED=$created")
fi
[[ -z ${PIP_EXTRA_INDEX_URL:-} ]] || options+=(--build-arg "PIP_EXTRA_INDEX_URL=$PIP_EXTRA_INDEX_URL")
if [[ $engine == podman ]]; then
    settings=$(mktemp)
    trap 'rm -f "$settings"' EXIT
    mapfile -t mounts < <("${PYTHON:-python3}" scripts/pip_settings.py "$settings")
    # The docker format has health checks; chroot isolation also works where podman is itself in a container.
    options+=(--format docker --isolation chroot --network host "${mounts[@]}")
fi
"$engine" build "${options[@]}" "$@" .
