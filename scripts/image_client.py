"""What scripts/image-test.sh asks of a server in a container, from outside and through the SDK.

ready TARGET START    waits until the server is serving; prints the seconds since START (epoch seconds)
models TARGET NAME    holds where exactly one model, NAME, is served
forecast TARGET NAME  sends rows and checks the forecasts that come back
advance TARGET NAME N sends one row to a session of which N were answered before
http ADDRESS          probes and metrics are answered there
processor ADDRESS     prints the processor time that the server there has taken, in seconds
memory ADDRESS BYTES  the server there takes fewer bytes than that
load TARGET NAME      sends rows until the server goes away; holds where it went in good order
"""

import sys
import time
import urllib.request

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

import statecast

_READY_TIMEOUT_S = 30.0
_MEMORY, _PROCESSOR = "process_resident_memory_bytes ", "process_cpu_seconds_total "
# The default waits a second after the first refused connection, far longer than a start takes.
_EAGER = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 20)]


def ready(target: str, start: str) -> None:
    """Wait until the server's health is SERVING."""
    give_up = time.monotonic() + _READY_TIMEOUT_S
    with grpc.insecure_channel(target, [*_EAGER, ("grpc.min_reconnect_backoff_ms", 20)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    break
            except grpc.RpcError as error:
                if time.monotonic() > give_up:
                    raise SystemExit(f"not ready within {_READY_TIMEOUT_S:g} s: {error}") from None
            time.sleep(0.01)
    print(f"{time.time() - float(start):.2f}")


def models(target: str, name: str) -> None:
    """One model is served, and it is `name`."""
    with statecast.Client(target) as client:
        found = [model.name for model in client.models()]
    _hold(found == [name], f"expected the model {name} alone, found {found}")


def forecast(target: str, name: str) -> None:
    """Rows in two requests: finite ascending quantiles over the horizon, and a position that counts."""
    rows = 350.0 + np.sin(np.arange(60) / 8.0)
    with statecast.Client(target) as client:
        model, session = client.model(name), client.session(name, "image-test")
        session.observe(rows[:50])
        result = session.forecast(rows[50:])
        values = result.forecast.values
        session.delete()
    shape = (model.horizon, len(model.quantile_levels))
    _hold(values.shape == shape, f"expected a forecast of shape {shape}, found {values.shape}")
    _hold(bool(np.isfinite(values).all()), f"expected finite values, found {values}")
    _hold(bool((np.diff(values, axis=1) >= 0).all()), f"expected ascending quantiles, found {values}")
    _hold(result.position == len(rows), f"expected position {len(rows)}, found {result.position}")


def advance(target: str, name: str, num_before: str) -> None:
    """The session stands where those rows left it, and goes on."""
    with statecast.Client(target) as client:
        position = client.session(name, "image-kept").observe(350.0).position
    _hold(position == int(num_before) + 1, f"expected position {int(num_before) + 1}, found {position}")


def load(target: str, name: str) -> None:
    """Until the server goes away every row is answered; the last one may go unanswered, never wrong."""
    num_answered = 0
    with statecast.Client(target, retry_budget_s=0) as client:
        session = client.session(name, "image-load")
        try:
            while True:
                result = session.forecast(350.0)
                num_answered += 1
                _hold(result.position == num_answered, f"row {num_answered} got position {result.position}")
                if num_answered == 1:
                    print("answering", flush=True)
        except statecast.Unanswered as error:
            print(f"{num_answered} rows answered, then: {error}")
    _hold(num_answered > 0, "no row was answered")


def http(address: str) -> None:
    """It lives, is ready, and tells its metrics."""
    for path, expected in (("/livez", "alive\n"), ("/readyz", "ready\n")):
        found = _fetch(address, path)
        _hold(found == expected, f"{path}: expected {expected!r}, found {found!r}")
    _hold("statecast_ready 1.0" in _fetch(address, "/metrics"), "/metrics: no statecast_ready 1.0")


def memory(address: str, limit: str) -> None:
    """What the process takes, by its own word."""
    num_bytes = _metric(address, _MEMORY)
    print(f"{num_bytes / 1e6:.0f} MB")
    _hold(num_bytes < float(limit), f"expected fewer than {limit} bytes, found {num_bytes:.0f}")


def processor(address: str) -> None:
    """By the process's own word."""
    print(f"{_metric(address, _PROCESSOR):.2f}")


def _metric(address: str, name: str) -> float:
    (line,) = (line for line in _fetch(address, "/metrics").splitlines() if line.startswith(name))
    return float(line.removeprefix(name))


def _fetch(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise SystemExit(otherwise)


if __name__ == "__main__":
    commands = {
        each.__name__: each for each in (ready, models, forecast, advance, http, processor, memory, load)
    }
    commands[sys.argv[1]](*sys.argv[2:])
