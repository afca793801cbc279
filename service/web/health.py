"""What the server counts, as the page's view of its health reads it: the numbers of `/metrics`, in order."""

import importlib.metadata
import math
import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import RateLimited, StatecastError
from service.security.caller import check_operator
from service.web.admission import HEADERS, Admission, failure
from service.web.browsers import Refused

_OURS = "statecast_"
_PACKAGES = ("statecast-server", "onnxruntime", "onnxruntime-gpu", "grpcio")
# By the process collector's name, ours.
_PROCESS = {
    "process_resident_memory_bytes": "memory_bytes",
    "process_cpu_seconds_total": "cpu_s",
    "process_open_fds": "open_files",
}


def routes(registry: CollectorRegistry, admission: Admission) -> list[Route]:
    """`POST /api/health`, for operators where callers have roles; takes milliseconds of the event loop."""

    async def health(request: Request) -> Response:
        try:
            caller = await admission.admit(request)
            check_operator(caller, has_operators=True)
            caller.tenant.take(1)
        except RateLimited as error:
            return failure(429, {"code": "RESOURCE_EXHAUSTED", "message": str(error)})
        except (Refused, StatecastError) as error:
            return admission.refusal(error)
        return JSONResponse(snapshot(registry.collect(), time.time()), headers=HEADERS)

    return [Route("/api/health", health, methods=["POST"])]


def snapshot(metrics: Iterable[Metric], now_s: float) -> dict[str, Any]:
    """Everything that is counted.

    Returns:
        `ready`, `at_s` (`now_s`), `uptime_s`, `memory_bytes`, `cpu_s`, `open_files`, `versions` by package.
        `models`, each with its `name` and numbers as `/metrics` names them, `sessions` by place, and
        histograms (`bounds`; `counts`: values up to each bound, and one more for those above; `sum`).
        `requests`, each with its `method`, `open`, `ended` by status and, where it is unary, `seconds`, a
        histogram. `errors` by code.
    """
    models: dict[str, dict[str, Any]] = {}
    requests: dict[str, dict[str, Any]] = {}
    told: dict[str, Any] = {"at_s": now_s, "versions": _versions()}
    for metric in metrics:
        name = metric.name.removeprefix(_OURS)
        if metric.name == "process_start_time_seconds":
            told["uptime_s"] = now_s - metric.samples[0].value
        elif metric.type == "histogram":
            for labels, histogram in _histograms(metric):
                _entry(labels, models, requests)[name.removeprefix("request_")] = histogram
        else:
            for sample in metric.samples:
                _place(name, sample.name, sample.labels, sample.value, told, models, requests)
    errors: dict[str, int] = {}
    for request in requests.values():
        for status, count in request["ended"].items():
            if status not in ("OK", "CANCELLED"):
                errors[status] = errors.get(status, 0) + count
    return {**told, "models": list(models.values()), "requests": list(requests.values()), "errors": errors}


def _place(
    name: str,
    sample: str,
    labels: dict[str, str],
    value: float,
    told: dict[str, Any],
    models: dict[str, Any],
    requests: dict[str, Any],
) -> None:
    """Put one number where it belongs."""
    number = int(value) if float(value).is_integer() else value
    if sample in _PROCESS:
        told[_PROCESS[sample]] = number
    elif name == "ready":
        told["ready"] = bool(value)
    elif "method" in labels:
        entry = _entry(labels, models, requests)
        if "status" in labels:
            entry["ended"][labels["status"]] = number
        else:
            entry["open"] = number
    elif "place" in labels:
        _entry(labels, models, requests).setdefault("sessions", {})[labels["place"]] = number
    elif labels.keys() == {"model"}:
        _entry(labels, models, requests)[name] = number


def _entry(labels: dict[str, str], models: dict[str, Any], requests: dict[str, Any]) -> dict[str, Any]:
    """Of the model, or of the method."""
    if "method" in labels:
        method = labels["method"]
        return requests.setdefault(method, {"method": method, "open": 0, "ended": {}})  # type: ignore[no-any-return]
    return models.setdefault(labels["model"], {"name": labels["model"]})  # type: ignore[no-any-return]


def _histograms(metric: Metric) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Each label's, with the values between two bounds, which Prometheus adds up."""
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    below: dict[tuple[tuple[str, str], ...], int] = {}
    for sample in metric.samples:
        labels = {key: value for key, value in sample.labels.items() if key != "le"}
        key = tuple(labels.items())
        histogram = found.setdefault(key, {"bounds": [], "counts": [], "sum": 0.0})
        if sample.name.endswith("_sum"):
            histogram["sum"] = sample.value
        elif sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            if math.isfinite(bound):
                histogram["bounds"].append(bound)
            histogram["counts"].append(int(sample.value) - below.get(key, 0))
            below[key] = int(sample.value)
    return [(dict(key), histogram) for key, histogram in found.items()]


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
