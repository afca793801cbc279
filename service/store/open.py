"""Which store a URL names."""

import time
from collections.abc import Callable
from typing import Literal

from service.errors import InvalidSettings
from service.store.contract import SessionStore
from service.store.memory import MemoryStore

# What a store's acknowledgement outlives: the end of the process, however it comes, or the machine's.
Durability = Literal["process", "power"]


def open_store(
    url: str, *, durability: Durability, ttl_s: float, clock: Callable[[], float] = time.time
) -> SessionStore:
    """The store that a URL names.

    Args:
        url: `memory:`, `sqlite:PATH`, or of a server.
        durability: for SQLite.
        ttl_s: after so long without a row a session is over.
        clock: seconds since 1970-01-01 UTC.

    Raises:
        StartupError: no such kind of store, or it cannot be had.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory" and not rest:
        return MemoryStore(ttl_s, clock)
    raise InvalidSettings(f"store {url!r}: expected memory: or sqlite:PATH")
