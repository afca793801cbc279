"""Valkey for the stores' tests: real servers, shared by the tests, with a namespace for each."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.store.valkey_store import ValkeyStore
from tests.valkey_server import shared_cluster, shared_server

_numbers = itertools.count()


@dataclass(frozen=True)
class ValkeyBacking:
    """A namespace of a server's."""

    url: str
    namespace: str
    ttl_s: float
    num_recent_rows: int = 100

    def open(self, clock: Callable[[], float]) -> ValkeyStore:
        """A store on it; several may be open at once."""
        return ValkeyStore(
            self.url,
            ttl_s=self.ttl_s,
            clock=clock,
            timeout_s=30.0,
            num_recent_rows=self.num_recent_rows,
            namespace=self.namespace,
        )


@contextmanager
def on_one_server(_: Path, ttl_s: float) -> Iterator[ValkeyBacking]:
    """Empty, in a server that is no Cluster."""
    yield ValkeyBacking(shared_server().url, f"test-{next(_numbers)}", ttl_s)


@contextmanager
def on_a_cluster(_: Path, ttl_s: float) -> Iterator[ValkeyBacking]:
    """Empty, in a Cluster of three."""
    yield ValkeyBacking(shared_cluster().url, f"test-{next(_numbers)}", ttl_s)
