"""What of a Valkey server's configuration would lose sessions."""

from collections.abc import Iterator
from typing import Any

import structlog
from redis.exceptions import ResponseError

from service.errors import InvalidSettings
from service.store.valkey_servers import Servers

_log = structlog.get_logger()

_SETTINGS = ("maxmemory-policy", "appendonly", "save")


async def check_servers(servers: Servers) -> None:
    """Warn of settings that let sessions or acknowledged rows be lost, naming each.

    Raises:
        InvalidSettings: the URL does not say Cluster, and the server is of one.
        StoreUnavailable: a server does not answer.
    """
    for info in await servers.ask_each("INFO", "cluster"):
        if not servers.is_cluster and isinstance(info, bytes) and b"cluster_enabled:1" in info:
            raise InvalidSettings(f"store: {servers.name} is of a Cluster: put +cluster behind the scheme")
    replies = [await servers.ask_each("CONFIG", "GET", setting) for setting in _SETTINGS]
    for of_one_server in zip(*replies, strict=True):
        policy, appendonly, save = map(_value, of_one_server)
        if policy is None or appendonly is None or save is None:
            _log.warning("the store's settings are not to be read", store=servers.name, settings=_SETTINGS)
            continue
        for setting, found, expected, danger in _dangers(policy, appendonly, save):
            _log.warning(danger, store=servers.name, setting=setting, found=found, expected=expected)


def _value(reply: Any) -> str | None:
    # Those who run Valkey for others often allow no CONFIG.
    if isinstance(reply, ResponseError) or len(reply) != 2:
        return None
    value: str = reply[1].decode()
    return value


def _dangers(policy: str, appendonly: str, save: str) -> Iterator[tuple[str, str, str, str]]:
    """Setting, value, what it should be, and what happens otherwise."""
    if policy != "noeviction":
        yield "maxmemory-policy", policy, "noeviction", "the store may evict live sessions"
    if appendonly != "yes" and not save:
        yield "appendonly", appendonly, "yes", "the store loses every session when it restarts"
    elif appendonly != "yes":
        yield "appendonly", appendonly, "yes", "the store loses what came after its last snapshot"
