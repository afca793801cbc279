"""The keys of an identity provider: a JWKS file, or an https URL, asked again as keys come and go."""

import asyncio
import ipaddress
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from service.clock import Clock
from service.errors import InvalidSettings

_log = structlog.get_logger()

# By a public key, or not at all: with HMAC a public key would be the secret that anybody could sign with.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_MAX_BYTES = 1 << 20
_TIMEOUT_S = 5.0
# How long keys are good for unasked, and how often at most a token with an unknown key makes us ask.
_REFRESH_S, _ASK_EVERY_S = 300.0, 10.0


class KeySet:
    """Public keys by their id.

    Attributes:
        version: rises when the keys change.
    """

    def __init__(self, source: str, clock: Clock) -> None:
        """Read the keys.

        Raises:
            InvalidSettings: they cannot be had, or the address is not https.
        """
        self._source, self._clock = source, clock
        _check(source)
        self.version = 0
        try:
            self._keys: Mapping[str, PyJWK] = _fetch(source)
        except (OSError, ValueError) as error:
            raise InvalidSettings(f"jwks {source}: {error}") from error
        self._fetched_at_s = self._asked_at_s = clock.monotonic_s()

    async def find(self, key_id: str) -> PyJWK | None:
        """A key, None where there is none. An empty id means the only key."""
        if self._get(key_id) is None:
            await self._ask()
        return self._get(key_id)

    async def keep_fresh(self) -> None:
        """Ask again where the keys are old; those who come meanwhile go on with what there is."""
        if self._clock.monotonic_s() - self._fetched_at_s >= _REFRESH_S:
            await self._ask()

    async def _ask(self) -> None:
        if self._clock.monotonic_s() - self._asked_at_s >= _ASK_EVERY_S:
            await self._refresh()

    def _get(self, key_id: str) -> PyJWK | None:
        if key_id:
            return self._keys.get(key_id)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _refresh(self) -> None:
        self._asked_at_s = self._clock.monotonic_s()
        try:
            keys = await asyncio.to_thread(_fetch, self._source)
        except (OSError, ValueError) as error:
            _log.error("the keys of tokens are kept as they were", source=self._source, reason=str(error))
            return
        self._fetched_at_s = self._clock.monotonic_s()
        self._keys = keys
        self.version += 1


class _StaysOnHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(source: str) -> None:
    parts = urlsplit(source)
    if "://" not in source or parts.scheme == "https":
        return
    try:
        is_local = parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise InvalidSettings(f"jwks {source}: expected a file or an https URL: others could change the keys")


def _fetch(source: str) -> dict[str, PyJWK]:
    """Keys that can be used.

    Raises:
        OSError, ValueError: there are none.
    """
    if "://" in source:
        opener = urllib.request.build_opener(_StaysOnHttps())
        with opener.open(source, timeout=_TIMEOUT_S) as answer:
            content = answer.read(_MAX_BYTES + 1)
    else:
        with Path(source).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"expected at most {_MAX_BYTES} bytes")
    return parse(content)


def parse(content: bytes) -> dict[str, PyJWK]:
    """The keys of a JWKS by id, those left out that are secret or of no algorithm that is taken.

    Raises:
        ValueError: none is left, or it is no JWKS.
    """
    try:
        found = json.loads(content)
        entries = found["keys"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError('expected a JWKS: {"keys": [...]}') from error
    keys = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
            continue
        try:
            key = PyJWK(entry)
        except (PyJWTError, ValueError, TypeError, KeyError):
            continue
        if key.algorithm_name in ALGORITHMS:
            keys[str(entry.get("kid", ""))] = key
    if not keys:
        raise ValueError("expected at least one public key for signatures")
    return keys
