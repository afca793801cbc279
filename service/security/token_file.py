"""Tokens in a file: which tenant each one names, and what its bearer may do.

    # made by: statecast tokens new FILE --tenant meters
    [[token]]
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    tenant = "meters"
    role = "predict"

`plain` in place of `sha256` holds the token itself. The file is read again when it changes: a token that is
no more in it opens no further call, and ends the streams it opened.
"""

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from pathlib import Path
from typing import Any

from service.clock import Clock
from service.errors import InvalidSettings
from service.security.caller import Caller, Role, Tenants, is_name
from service.watched_file import WatchedFile

MIN_TOKEN_CHARS = 16
_KNOWN = {"sha256", "plain", "tenant", "role"}
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class TokenFile:
    """The tokens of a file, looked up without a comparison whose time would tell of them."""

    def __init__(self, path: Path, tenants: Tenants, clock: Clock) -> None:
        """Read the file.

        Raises:
            InvalidSettings: it is not there, or not a file of tokens.
        """
        self._path, self._tenants = path, tenants
        # Of this process alone: nobody outside can choose what is looked up, bit by bit.
        self._key = os.urandom(32)
        self._file = WatchedFile("tokens", path, self._parse, "statecast tokens new FILE", clock)

    def find(self, token: str) -> Caller | None:
        """Whose token it is, None where it is nobody's."""
        looked_up = self._keyed(hashlib.sha256(token.encode()).digest())
        found = self._file.content().get(looked_up)
        if found is None or not hmac.compare_digest(found[0], looked_up):
            return None
        return found[1]

    def _keyed(self, digest: bytes) -> bytes:
        return hmac.digest(self._key, digest, "sha256")

    def _parse(self, content: bytes) -> dict[bytes, tuple[bytes, Caller]]:
        callers = {}
        for number, entry in enumerate(_entries(self._path, content), start=1):
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


def _entries(path: Path, content: bytes) -> list[Any]:
    try:
        tables = tomllib.loads(content.decode())
    except ValueError as error:
        # Never the parser's words: they may quote the line, and with it a token.
        raise InvalidSettings(f"tokens: {path}: expected TOML with [[token]] tables") from error
    entries = tables.get("token")
    if not isinstance(entries, list) or not entries or set(tables) != {"token"}:
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
