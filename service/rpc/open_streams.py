"""Streams that are open, by the tokens they were opened with: a token that is withdrawn ends them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Unauthenticated
from service.security.authenticator import Authenticator
from service.security.caller import Caller, Tenant

_LOOK_EVERY_S = 1.0


class OpenStreams:
    """Asks for each token now and then whether it is still its tenant's, once for all of its streams."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._streams: dict[tuple[str | None, Tenant], set[asyncio.Future[None]]] = {}

    @contextmanager
    def opened(self, authorization: str | None, caller: Caller) -> Iterator[asyncio.Future[None]]:
        """For the time of a stream; what is given is done when its token is not valid any more."""
        key = authorization, caller.tenant
        withdrawn = asyncio.get_running_loop().create_future()
        self._streams.setdefault(key, set()).add(withdrawn)
        try:
            yield withdrawn
        finally:
            streams = self._streams[key]
            streams.discard(withdrawn)
            if not streams:
                del self._streams[key]

    async def keep_watch(self) -> None:
        """Ask every second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Ask once, and end the streams of those tokens that are not valid any more."""
        for key in list(self._streams):
            if await self._is_valid(*key):
                continue
            for withdrawn in self._streams.get(key, ()):
                if not withdrawn.done():
                    withdrawn.set_result(None)

    async def _is_valid(self, authorization: str | None, tenant: Tenant) -> bool:
        try:
            caller = await self._authenticator.by_token(authorization)
        except Unauthenticated:
            return False
        return caller is not None and caller.tenant is tenant
