"""What a server's `/metrics` says, read and parsed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
_PATH = "/metrics"
_MOST_BYTES = 16 * 2**20


class MetricsError(OSError):
    """Nothing came, or no metrics; `advice` is what to do next."""

    def __init__(self, address: str, reason: str, advice: str) -> None:
        self.address, self.reason, self.advice = address, reason, advice
        super().__init__(f"{address}: {reason}; {advice}")


@dataclass(frozen=True)
class Reading:
    """Every number at one moment, by name and labels.

    Attributes:
        at_s: of the monotonic clock, when the answer came.
    """

    at_s: float
    values: Mapping[str, Mapping[Labels, float]]

    def value(self, name: str, **labels: str) -> float:
        """One number; 0 where the server has not counted any."""
        return self.values.get(name, {}).get(tuple(sorted(labels.items())), 0.0)

    def label_values(self, name: str, label: str) -> list[str]:
        """What a label of that name takes, sorted."""
        return sorted({dict(labels).get(label, "") for labels in self.values.get(name, {})})

    def total(self, name: str, **labels: str) -> float:
        """The sum over labels that are not named."""
        wanted = labels.items()
        return sum(
            value for found, value in self.values.get(name, {}).items() if wanted <= dict(found).items()
        )

    def buckets(self, name: str, **labels: str) -> list[tuple[float, float]]:
        """A histogram's upper bounds, ascending, and the values not above each."""
        found = []
        for each, count in self.values.get(f"{name}_bucket", {}).items():
            of_bucket = dict(each)
            bound = float(of_bucket.pop("le"))
            if of_bucket == labels:
                found.append((bound, count))
        return sorted(found)


def read_metrics(address: str, timeout_s: float) -> Reading:
    """Ask once.

    Args:
        address: `host:port`, or a URL of http or https, of which `/metrics` is asked.

    Raises:
        MetricsError: there is no answer, or it is no server of ours.
    """
    from prometheus_client.parser import text_string_to_metric_families

    text = _fetch(address, timeout_s)
    values: dict[str, dict[Labels, float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    except ValueError as error:
        raise _not_ours(address, f"no metrics: {error}") from None
    if "statecast_ready" not in values:
        raise _not_ours(address, "metrics, and not of a statecast server")
    return Reading(time.monotonic(), values)


def _fetch(address: str, timeout_s: float) -> str:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, build_opener

    url = address if "://" in address else f"http://{address}"
    # A monitor asks the machine it names, whatever proxy the shell has for the web.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}{_PATH}", timeout=timeout_s) as answer:
            return str(answer.read(_MOST_BYTES).decode("utf-8", "replace"))
    except HTTPError as error:
        said = error.read(200).decode("utf-8", "replace").strip()
        if error.code == 403:
            raise MetricsError(address, said, "start the server with --metrics") from None
        raise _not_ours(address, f"HTTP {error.code}") from None
    except URLError as error:
        raise _unreachable(address, error.reason) from None
    except HTTPException:
        raise _not_ours(address, "no answer in HTTP, as the port of gRPC has none") from None
    except OSError as error:
        raise _unreachable(address, error) from None
    except ValueError as error:
        raise MetricsError(address, f"no address: {error}", "--http takes host:port") from None


def _unreachable(address: str, reason: object) -> MetricsError:
    why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    advice = "a server tells it where `statecast serve --http-address HOST:PORT` says; --http names that"
    return MetricsError(address, why, advice)


def _not_ours(address: str, reason: str) -> MetricsError:
    return MetricsError(address, reason, "--http takes what the server has as --http-address")
