"""Tokens in a file: which tenant each one names, and what its bearer may do.

    # made by: statecast tokens new FILE --tenant meters
    [[token]]
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    tenant = "meters"
    role = "predict"

`plain` in place of `sha256` holds the token itself. The file is read again when it changes: a token that is
no more in it opens no further call.
"""

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from pathlib import Path
from typing import Any

import structlog

from service.clock import Clock
from service.errors import InvalidSettings
from service.security.caller import Caller, Role, Tenants, is_name

_log = structlog.get_logger()

MIN_TOKEN_CHARS = 16
_LOOK_EVERY_S = 1.0
_KNOWN = {"sha256", "plain", "tenant", "role"}
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class TokenFile:
    """The tokens of a file, looked up without a comparison whose time would tell of them."""

    def __init__(self, path: Path, tenants: Tenants, clock: Clock) -> None:
        """Read the file.

        Raises:
            InvalidSettings: it is not there, or not a file of tokens.
        """
        self._path, self._tenants, self._clock = path, tenants, clock
        # Of this process alone: nobody outside can choose what is looked up, bit by bit.
        self._key = os.urandom(32)
        self._stamp: tuple[int, int, int] | None = _stamp(path)
        self._callers = self._read()
        self._looked_at_s = clock.monotonic_s()

    def find(self, token: str) -> Caller | None:
        """Whose token it is, None where it is nobody's."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._read_again()
        looked_up = self._keyed(hashlib.sha256(token.encode()).digest())
        found = self._callers.get(looked_up)
        if found is None or not hmac.compare_digest(found[0], looked_up):
            return None
        return found[1]

    def _keyed(self, digest: bytes) -> bytes:
        return hmac.digest(self._key, digest, "sha256")

    def _read_again(self) -> None:
        """Take the file's tokens where it has changed; where it is wrong, keep those there are."""
        before, self._stamp = self._stamp, None
        try:
            self._stamp = _stamp(self._path)
            if self._stamp == before:
                return
            self._callers = self._read()
            _log.info("tokens read again", path=str(self._path), num_tokens=len(self._callers))
        except InvalidSettings as error:
            # Said once, not at each look.
            if before is not None:
                _log.error("tokens are kept as they were", reason=str(error))

    def _read(self) -> dict[bytes, tuple[bytes, Caller]]:
        callers = {}
        for number, entry in enumerate(_entries(self._path), start=1):
            where = f"tokens: {self._path}, token {number}"
            digest, tenant, role = _parsed(entry, where)
            keyed = self._keyed(digest)
            if keyed in callers:
                raise InvalidSettings(f"{where}: the same as one before")
            callers[keyed] = (keyed, Caller(self._tenants.get(tenant), role))
        return callers


def new_token() -> str:
    """Two hundred and fifty-six random bits, as text."""
    return secrets.token_urlsafe(32)


def entry_of(token: str, tenant: str, role: Role) -> str:
    """What a file says of a token, which itself stays out of it."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[token]]\nsha256 = "{digest}"\ntenant = "{tenant}"\nrole = "{role}"\n'


def _entries(path: Path) -> list[Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSettings(f"tokens: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        # Never the parser's words: they may quote the line, and with it a token.
        raise InvalidSettings(f"tokens: {path}: expected TOML with [[token]] tables") from error
    entries = content.get("token")
    if not isinstance(entries, list) or not entries or set(content) != {"token"}:
        expected = "[[token]] tables; `statecast tokens new FILE` adds one"
        raise InvalidSettings(f"tokens: {path}: expected {expected}")
    return entries


def _parsed(entry: Any, where: str) -> tuple[bytes, str, Role]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise InvalidSettings(f"{where}: expected texts for sha256 or plain, tenant and role")
    if unknown := sorted(set(entry) - _KNOWN):
        raise InvalidSettings(f"{where}: {unknown[0]} is not one of {', '.join(sorted(_KNOWN))}")
    tenant, role = entry.get("tenant", ""), entry.get("role", Role.PREDICT)
    if not is_name(tenant):
        expected = "1 to 64 letters, digits, dots, dashes, underscores or @"
        raise InvalidSettings(f"{where}: tenant: expected {expected}, found {tenant!r}")
    if role not in list(Role):
        raise InvalidSettings(f"{where}: role: expected one of {', '.join(Role)}, found {role!r}")
    if ("sha256" in entry) == ("plain" in entry):
        raise InvalidSettings(f"{where}: expected sha256 or plain")
    if "plain" in entry:
        if len(entry["plain"]) < MIN_TOKEN_CHARS:
            raise InvalidSettings(f"{where}: plain: expected at least {MIN_TOKEN_CHARS} characters")
        return hashlib.sha256(entry["plain"].encode()).digest(), tenant, Role(role)
    if not _HEX.fullmatch(entry["sha256"]):
        raise InvalidSettings(f"{where}: sha256: expected 64 hexadecimal digits")
    return bytes.fromhex(entry["sha256"]), tenant, Role(role)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        reason = f"{error.strerror}; `statecast tokens new FILE` makes one"
        raise InvalidSettings(f"tokens: cannot read {path}: {reason}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size
