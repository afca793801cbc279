"""From what a caller shows to who it is."""

from typing import TYPE_CHECKING

from service.clock import Clock
from service.errors import InvalidSettings, Unauthenticated
from service.security.addresses import is_local
from service.security.caller import Caller, Role, Tenants, is_name
from service.security.token_file import TokenFile
from service.settings import Settings

if TYPE_CHECKING:
    from service.security.jwt_tokens import JwtTokens

_SCHEME = "bearer "


class Authenticator:
    """Knows callers by their tokens and, where told to, by their certificates.

    Attributes:
        asks: whether callers must show something; otherwise all are the nameless tenant's.
        reads_certificates: whether a certificate's common name is a tenant.
        has_operators: whether anybody may make calls that change what is served.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Read what tokens are known by.

        Raises:
            InvalidSettings: a file or a setting is wrong.
        """
        tenants = Tenants(settings.tenant_rows_per_s, clock)
        self._tenants = tenants
        self._file = None if settings.tokens is None else TokenFile(settings.tokens, tenants, clock)
        self._jwt = _jwt_tokens(settings, tenants, clock)
        self.reads_certificates = settings.tls_client_tenants
        if self.reads_certificates and settings.tls_client_ca is None:
            raise InvalidSettings("tls_client_tenants: expected tls_client_ca beside it")
        self.asks = has_tenants(settings)
        is_guarded = self.asks or is_local(settings.address)
        self.has_operators = is_guarded if settings.admin_calls is None else settings.admin_calls
        # What is an operator's is then off, or open to all: see `admin_calls`.
        self._anybody = Caller(tenants.get(""), Role.OPERATE)

    async def by_token(self, authorization: str | None) -> Caller | None:
        """Who shows an `authorization` header; None where there is none and a certificate may do.

        Raises:
            Unauthenticated: there is no token, or none that is valid.
        """
        if not self.asks:
            return self._anybody
        if authorization is None and self.reads_certificates:
            return None
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated
        token = authorization[len(_SCHEME) :].strip()
        caller = None if self._file is None else self._file.find(token)
        if caller is not None:
            return caller
        if self._jwt is None:
            raise Unauthenticated
        return await self._jwt.find(token)

    def by_certificate(self, common_name: str) -> Caller:
        """Whose certificate it is, whose signature is checked already.

        Raises:
            Unauthenticated: its name cannot be a tenant's.
        """
        if not is_name(common_name):
            raise Unauthenticated("the certificate's common name is no tenant's")
        return Caller(self._tenants.get(common_name), Role.PREDICT)


def has_tenants(settings: Settings) -> bool:
    """Whether callers are told apart."""
    return settings.tokens is not None or bool(settings.jwks) or settings.tls_client_tenants


def _jwt_tokens(settings: Settings, tenants: Tenants, clock: Clock) -> "JwtTokens | None":
    if not settings.jwks:
        return None
    # Loaded where they are asked for: they bring X.509, a twentieth of a second.
    from service.security.jwks import KeySet
    from service.security.jwt_tokens import Claims, JwtTokens

    if not settings.jwt_issuer or not settings.jwt_audience:
        raise InvalidSettings("jwks: expected jwt_issuer and jwt_audience beside it")
    claims = Claims(
        settings.jwt_issuer, settings.jwt_audience, settings.jwt_tenant_claim, settings.jwt_role_claim
    )
    return JwtTokens(KeySet(settings.jwks, clock), claims, tenants, clock)
