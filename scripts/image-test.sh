#!/usr/bin/env bash
# Builds the image and tries it, as its users will run it. Needs podman or docker, and make install.
#   BASE=IMAGE, TAG=NAME   as in scripts/image-build.sh
#   ENGINE=docker          where podman is here too
#   DEVICE=cuda            the image for NVIDIA GPUs: tried on the CPU, and that it says so where there is no GPU
#   SKIP_BUILD=1           tries the image TAG as it is
set -euo pipefail
cd "$(dirname "$0")/.."
engine=${ENGINE:-$(basename "$(command -v podman || command -v docker)")} || true
[[ -n $engine ]] || { echo "make image-test needs podman or docker: neither is here" >&2; exit 1; }
export ENGINE=$engine DEVICE=${DEVICE:-cpu} TAG=${TAG:-statecast} PYTHON=${PYTHON:-.venv/bin/python}
# The drain's limit in the image, and room for the engine.
stop_limit_s=10
scratch=$(mktemp -d)
containers=() container="" target="" http="" cold_s=unknown
# The largest image, in MB, and the longest cold start.
max_mb=350 max_cold_s=2
volume=statecast-image-test-$$
num_failed=0

cleanup() {
    for name in "${containers[@]}"; do "$engine" rm --force "$name" >/dev/null 2>&1 || true; done
    "$engine" volume rm "$volume" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap cleanup EXIT

# check NAME COMMAND...: one line per check, with the output of those that fail.
check() {
    local name=$1
    shift
    if "$@" >"$scratch/output" 2>&1; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        sed 's/^/        /' "$scratch/output"
        num_failed=$((num_failed + 1))
    fi
}

# Where this machine is itself a container, podman's own limits and first choice of runtime may be refused.
engine_options=() run_options=() server_options=()
choose_options() {
    [[ $engine == podman ]] || return 0
    # Its timer for health checks is systemd's; the check is run by hand instead.
    server_options=(--health-interval disable)
    local limits=(--ulimit nofile=16384:16384 --ulimit nproc=16384:16384) runtime
    for runtime in "" crun runc; do
        engine_options=(${runtime:+--runtime "$runtime"})
        run_options=()
        in_image -V >/dev/null 2>&1 && return
        run_options=("${limits[@]}")
        in_image -V >/dev/null 2>&1 && return
    done
    echo "$engine starts no container of $TAG here:" >&2
    in_image -V
}

run() { "$engine" "${engine_options[@]}" run "${run_options[@]}" "$@"; }
in_image() { run --rm --no-healthcheck --entrypoint python "$TAG" "$@"; }

# start NAME OPTION...: a server as a user hardens it, on a free port of this machine; sets target and cold_s.
start() {
    local name=statecast-image-test-$$-$1 began
    shift
    containers+=("$name")
    began=$(date +%s.%N)
    run "${server_options[@]}" --detach --name "$name" --read-only --cap-drop all --security-opt no-new-privileges \
        --publish 127.0.0.1::50051 --publish 127.0.0.1::8080 --env STATECAST_INSECURE=true --env STATECAST_DEVICE=cpu "$@" "$TAG" >/dev/null ||
        return
    container=$name
    target=$("$engine" port "$name" 50051/tcp | head -1)
    http=$("$engine" port "$name" 8080/tcp | head -1)
    cold_s=$("$PYTHON" scripts/image_client.py ready "$target" "$began") || { "$engine" logs "$name"; return 1; }
}

has_no_torch() { in_image -c 'import importlib.util as u; raise SystemExit(u.find_spec("torch") is not None)'; }
is_not_root() { in_image -c 'import os; assert os.getuid() == os.getgid() == 10001, (os.getuid(), os.getgid())'; }
sends_no_telemetry() { in_image -c 'import os; assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"'; }
loads_every_module() {
    in_image -c '
import importlib, pkgutil
for name in ("service", "models.manifest", "models.artifact", "statecast", "rich.traceback", "rich.syntax"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), name + "."):
        importlib.import_module(module.name)'
}
keeps_bytecode() {
    in_image -c 'import pathlib, service.app as a; assert pathlib.Path(a.__cached__).is_file(), a.__cached__'
}
model_belongs_to_nobody_else() { in_image -c 'open("/models/co2/1/model.onnx", "rb").read(1)'; }

is_healthy() {
    if [[ $engine == podman ]]; then
        "$engine" healthcheck run "$container"
    else
        local tries
        for tries in {1..40}; do
            [[ $("$engine" inspect --format '{{.State.Health.Status}}' "$container") == healthy ]] && return
            sleep 0.5
        done
        "$engine" inspect --format '{{json .State.Health}}' "$container"
        return 1
    fi
}

# The health check has to be able to fail: it does where nothing listens.
unhealthy_is_seen() { ! run --rm --no-healthcheck --entrypoint statecast "$TAG" health --http >/dev/null; }

# The image's own device, and none of it given to the container.
wants_its_gpu() {
    local said
    ! said=$(run --rm --no-healthcheck --read-only --cap-drop all --env STATECAST_INSECURE=true "$TAG" 2>&1) &&
        echo "$said" && grep -q "device cuda: CUDAExecutionProvider did not start" <<<"$said" &&
        ! grep -q Traceback <<<"$said"
}

serves_own_models() {
    mkdir -p "$scratch/repository/own/3"
    "$engine" cp "$container:/models/co2/1/model.onnx" "$scratch/repository/own/3/model.onnx"
    chmod -R a+rX "$scratch/repository" && chmod a+x "$scratch"
    start own --volume "$scratch/repository:/models:ro" &&
        "$PYTHON" scripts/image_client.py models "$target" own &&
        "$PYTHON" scripts/image_client.py forecast "$target" own
}

refuses_a_missing_repository() {
    mkdir -p "$scratch/empty" && chmod a+rx "$scratch" "$scratch/empty"
    ! run --rm --no-healthcheck --read-only --cap-drop all --volume "$scratch/empty:/models:ro" "$TAG"
}

drains() {
    local began status loading
    timeout 60 "$PYTHON" scripts/image_client.py load "$target" co2 >"$scratch/load" 2>&1 &
    loading=$!
    until grep -q answering "$scratch/load"; do kill -0 $loading 2>/dev/null || { cat "$scratch/load"; return 1; }; sleep 0.05; done
    began=$(date +%s%N)
    "$engine" kill --signal TERM "$container" >/dev/null
    status=$(timeout $((stop_limit_s + 5)) "$engine" wait "$container" || echo none)
    drain_ms=$((($(date +%s%N) - began) / 1000000))
    [[ $status != none ]] || "$engine" kill --signal KILL "$container" >/dev/null
    wait $loading || { cat "$scratch/load"; return 1; }
    cat "$scratch/load"
    if [[ $status != 0 ]]; then "$engine" logs "$container"; echo "exit status $status, expected 0"; return 1; fi
    if ((drain_ms > stop_limit_s * 1000)); then echo "took $drain_ms ms, allowed $stop_limit_s s"; return 1; fi
}

answers_over_http() {
    "$PYTHON" scripts/image_client.py http "$http"
}

# What the image says of itself, to registries and to whoever looks for a package with a known fault.
is_labelled() {
    local name value
    for name in title description licenses version revision created base.name; do
        value=$("$engine" image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$name\"}}" "$TAG")
        [[ -n $value && $value != "<no value>" && $value != unknown ]] || { echo "no label $name: $value"; return 1; }
        echo "$name: $value"
    done
}
lists_its_packages() {
    in_image -c '
import importlib.metadata as metadata, json
bill = json.load(open("/srv/statecast/sbom.cdx.json"))
assert bill["bomFormat"] == "CycloneDX", bill["bomFormat"]
listed = {(each["name"].lower().replace("_", "-"), each["version"]) for each in bill["components"]}
there = {(each.name.lower().replace("_", "-"), each.version) for each in metadata.distributions()}
there = {(name, version) for name, version in there if name not in {"pip", "setuptools"}}
assert len(there) > 20, there
assert there <= listed, there - listed'
}

# The limit is the kernel's; what the server takes is its own word.
stays_within_its_memory() {
    start limited --memory 256m --memory-swap 256m && "$PYTHON" scripts/image_client.py forecast "$target" co2 &&
        [[ $("$engine" inspect --format '{{.HostConfig.Memory}}' "$container") == 268435456 ]] &&
        "$PYTHON" scripts/image_client.py memory "$http" 268435456
}
writes_nowhere_but_data() {
    local changed
    changed=$("$engine" diff "$demonstration" | grep -Ev '^[AC] /(data|run|etc|dev|proc|sys|tmp)(/|$)' || true)
    [[ -z $changed ]] || { echo "$changed"; return 1; }
    ! "$engine" exec "$demonstration" python -c 'open("/srv/statecast/x", "w")' &&
        "$engine" exec "$demonstration" python -c 'open("/data/x", "w")'
}
fits() {
    local size
    size=$(("$("$engine" image inspect --format '{{.Size}}' "$TAG")" / 1000000))
    echo "$size MB"
    ((size <= max_mb))
}
# The least of three starts, for whatever else runs here makes one longer.
starts_soon() {
    local found=("$first_cold_s") number least
    for number in 2 3; do start "cold-$number" && found+=("$cold_s") || return; done
    least=$(printf '%s\n' "${found[@]}" | sort -n | head -1)
    echo "${found[*]} s"
    awk -v found="$least" -v limit="$max_cold_s" 'BEGIN { exit !(found <= limit) }'
}
# SIGINT is what a terminal sends; a second container, for the first is still in use.
ends_on_interrupt() {
    start interrupted && "$engine" kill --signal INT "$container" >/dev/null &&
        [[ $(timeout $((stop_limit_s + 5)) "$engine" wait "$container") == 0 ]]
}

keeps_sessions() {
    start before --volume "$volume:/data" && "$PYTHON" scripts/image_client.py advance "$target" co2 0 &&
        "$engine" kill --signal KILL "$container" >/dev/null &&
        start after --volume "$volume:/data" && "$PYTHON" scripts/image_client.py advance "$target" co2 1
}

# Its size, and what of it is whose.
report_size() {
    local bytes
    bytes=$("$engine" image inspect --format '{{.Size}}' "$TAG")
    echo "size: $((bytes / 1000000)) MB; of it, in MB:"
    run --rm --no-healthcheck --entrypoint sh "$TAG" -c '
        cd /srv/statecast/lib/python3*/site-packages
        { du -sk /srv/statecast | sed "s/^/B /"; du -sk /models | sed "s/^/M /"
          du -sk * | sort -rn | head -8 | sed "s/^/P /"; }' |
        awk -v total="$((bytes / 1000))" '
            $1 == "B" { ours = $2 } $1 == "M" { model = $2 } $1 == "P" { part[++n] = sprintf("%8.1f      %s", $2 / 1000, $3) }
            END { printf "%8.1f  what is left of the base, and the standard library'"'"'s bytecode\n", (total - ours - model) / 1000
                  printf "%8.1f  models\n%8.1f  packages\n", model / 1000, ours / 1000
                  for (i = 1; i <= n; i++) print part[i] }'
}

[[ -n ${SKIP_BUILD:-} ]] || scripts/image-build.sh
choose_options
check "the image has no torch" has_no_torch
check "it runs as user 10001, not root" is_not_root
check "ONNX Runtime's telemetry is off" sends_no_telemetry
check "nothing the server imports was stripped" loads_every_module
check "its bytecode is compiled" keeps_bytecode
check "its user can read the demonstration model" model_belongs_to_nobody_else
check "its health check fails where nothing serves" unhealthy_is_seen
check "it refuses to serve an empty repository" refuses_a_missing_repository
check "its labels say what it is" is_labelled
check "it lists its packages (CycloneDX)" lists_its_packages
check "it starts read-only without capabilities" start demonstration
demonstration=$container demonstration_target=$target first_cold_s=$cold_s
check "it answers probes and metrics over HTTP" answers_over_http
check "its own health check passes" is_healthy
check "it serves the demonstration model" "$PYTHON" scripts/image_client.py models "$target" co2
check "it forecasts through the published port" "$PYTHON" scripts/image_client.py forecast "$target" co2
check "it writes nowhere but in /data" writes_nowhere_but_data
echo "cold start to ready: $first_cold_s s, $("$PYTHON" scripts/image_client.py processor "$http") s of it at work"
check "it is ready within $max_cold_s s" starts_soon
if [[ $DEVICE == cpu ]]; then
    check "it is no larger than $max_mb MB" fits
else
    check "without a GPU it ends and says why" wants_its_gpu
fi
check "it serves within 256 MB" stays_within_its_memory
check "SIGINT ends it with status 0" ends_on_interrupt
check "it serves a repository mounted over /models" serves_own_models
check "sessions outlive a killed container in the volume /data" keeps_sessions
container=$demonstration target=$demonstration_target
check "SIGTERM answers what it took and ends with status 0" drains
echo "SIGTERM to exit: ${drain_ms:-?} ms"
report_size
((num_failed == 0)) || { echo "$num_failed checks failed" >&2; exit 1; }
echo "all checks passed"
