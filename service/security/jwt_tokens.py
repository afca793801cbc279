"""Tokens that an identity provider signs (JWT): who signed, for whom, until when, and for which tenant."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import jwt

from service.clock import Clock
from service.errors import Unauthenticated
from service.security.caller import Caller, Role, Tenants, is_name
from service.security.jwks import KeySet

_MAX_CHARS = 8192
_LEEWAY_S = 30.0
# A signature takes a hundred microseconds to check; a caller shows the same token with each call.
_MAX_CHECKED = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What tokens must say.

    Attributes:
        issuer: who signs them.
        audience: whom they are for.
        tenant: the claim that names the tenant.
        role: the claim that holds the role, or a list of them; without one of ours it is predict.
    """

    issuer: str
    audience: str
    tenant: str
    role: str


@dataclass(frozen=True, slots=True)
class _Checked:
    caller: Caller
    ends_at_s: float
    key_version: int


class JwtTokens:
    """Checks tokens, and remembers those that were good until they end or the keys change."""

    def __init__(self, keys: KeySet, claims: Claims, tenants: Tenants, clock: Clock) -> None:
        self._keys, self._claims, self._tenants, self._clock = keys, claims, tenants, clock
        self._checked: OrderedDict[bytes, _Checked] = OrderedDict()

    async def find(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            Unauthenticated: it is not valid; says why only where it was signed as it must be.
        """
        await self._keys.keep_fresh()
        digest = hashlib.sha256(token.encode()).digest()
        known = self._checked.get(digest)
        if known is not None and known.key_version == self._keys.version:
            if self._clock.wall_s() < known.ends_at_s:
                return known.caller
            del self._checked[digest]
        checked = await self._check(token)
        self._checked[digest] = checked
        if len(self._checked) > _MAX_CHECKED:
            self._checked.popitem(last=False)
        return checked.caller

    async def _check(self, token: str) -> _Checked:
        if len(token) > _MAX_CHARS:
            raise Unauthenticated
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
            key = await self._keys.find(key_id if isinstance(key_id, str) else "")
            if key is None:
                raise Unauthenticated
            content = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self._claims.issuer,
                audience=self._claims.audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "verify_exp": False, "verify_nbf": False},
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated from error
        return self._valid(content)

    def _valid(self, content: dict[str, Any]) -> _Checked:
        """By our own clock, which tests move."""
        now_s = self._clock.wall_s()
        ends_at_s, begins_at_s = content["exp"], content.get("nbf", 0)
        if not _is_number(ends_at_s) or not _is_number(begins_at_s):
            raise Unauthenticated
        if now_s >= ends_at_s + _LEEWAY_S:
            raise Unauthenticated("the token has expired")
        if now_s < begins_at_s - _LEEWAY_S:
            raise Unauthenticated("the token is not valid yet")
        tenant = content.get(self._claims.tenant)
        if not isinstance(tenant, str) or not is_name(tenant):
            raise Unauthenticated(f"the token names no tenant (claim {self._claims.tenant!r})")
        caller = Caller(self._tenants.get(tenant), _role(content.get(self._claims.role)))
        return _Checked(caller, ends_at_s + _LEEWAY_S, self._keys.version)


def _role(claim: object) -> Role:
    roles = claim if isinstance(claim, list) else [claim]
    return Role.OPERATE if Role.OPERATE.value in roles else Role.PREDICT


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
