"""Which store a URL names."""

import time
from collections.abc import Callable
from pathlib import Path

from service.errors import InvalidSettings
from service.store.contract import SessionStore
from service.store.memory import MemoryStore
from service.store.sqlite_file import Durability
from service.store.sqlite_store import SqliteStore

_SERVER_SCHEMES = {
    scheme + suffix for scheme in ("redis", "rediss", "valkey", "valkeys") for suffix in ("", "+cluster")
}


def open_store(
    url: str,
    *,
    durability: Durability,
    journal_rows: int,
    ttl_s: float,
    recent_rows: int = 0,
    clock: Callable[[], float] = time.time,
) -> SessionStore:
    """The store that a URL names.

    Args:
        url: `memory:`, `sqlite:PATH`, or of a server of Valkey's or Redis'.
        durability: for SQLite.
        journal_rows: for SQLite: rows that a restart may have to step again.
        ttl_s: after so long without a row a session is over.
        recent_rows: for stores that keep states with each commit: rows to keep of each session beside them.
        clock: tells the seconds since 1970-01-01 UTC.

    Raises:
        StartupError: no such kind of store, or it cannot be had.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory" and not rest:
        return MemoryStore(ttl_s, clock)
    if scheme == "sqlite" and rest:
        return SqliteStore(Path(rest), durability, ttl_s, clock, max_tail_rows=journal_rows)
    if scheme in _SERVER_SCHEMES:
        # Its client is loaded only where it is used, and need not be installed elsewhere.
        try:
            from service.store.valkey_store import ValkeyStore
        except ModuleNotFoundError as error:
            extra = "pip install 'statecast-server[valkey]'"
            raise InvalidSettings(f"store {scheme}: needs the package {error.name}: {extra}") from None

        return ValkeyStore(url, ttl_s=ttl_s, clock=clock, num_recent_rows=recent_rows)
    raise InvalidSettings(f"store {url!r}: expected memory:, sqlite:PATH, valkey://... or redis://...")
