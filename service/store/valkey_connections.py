"""Connections to servers of Valkey or Redis. redis-py makes them: addresses, TLS, passwords, replies."""

import asyncio
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.exceptions import ReadOnlyError, ResponseError

from service.errors import InvalidSettings

Address = tuple[str, int]

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
_CLUSTER_SUFFIX = "+cluster"
_DEFAULT_PORT = 6379


class Connections:
    """Made when needed and used again; one that broke is made anew by the next exchange.

    Attributes:
        first: the address that the URL names.
        is_cluster: whether the URL says that keys are spread over several servers.
    """

    def __init__(self, url: str, connect_timeout_s: float) -> None:
        """`url`: redis://, rediss://, valkey:// or valkeys://, with +cluster behind the scheme for a Cluster.

        Raises:
            InvalidSettings: the URL is not one of those.
        """
        scheme, self.is_cluster = _scheme_of(url)
        try:
            options: dict[str, Any] = dict(parse_url(urlunsplit(urlsplit(url)._replace(scheme=scheme))))
        except ValueError as error:
            raise InvalidSettings(f"store: {error}") from None
        if self.is_cluster and options.get("db"):
            raise InvalidSettings(f"store: a Cluster has one database, 0; found {options['db']}")
        self._connection_class: type[Connection] = options.pop("connection_class", Connection)
        self.first: Address = (options.pop("host", "localhost"), options.pop("port", _DEFAULT_PORT))
        # Whoever exchanges sets one time limit, whatever it is that takes its time.
        defaults = {"protocol": 2, "socket_timeout": None, "socket_connect_timeout": connect_timeout_s}
        self._options = defaults | options
        self._pools: dict[Address, ConnectionPool] = {}

    @property
    def addresses(self) -> list[Address]:
        """Those that were exchanged with, and the first."""
        return list(dict.fromkeys([*self._pools, self.first]))

    async def exchange(self, address: Address, packed: list[bytes], num_replies: int) -> list[Any]:
        """Send commands that travel together. Returns their replies, an error reply as the exception it is.

        Raises:
            RedisError: the connection could not be made or broke; which commands were done is not known.
        """
        pool = self._pool(address)
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(packed)
            # redis-py closes a connection whose reply is not waited for to its end.
            replies = [await _reply(connection) for _ in range(num_replies)]
            if any(map(_is_of_a_replica, replies)):
                # It was made a replica: the name may lead to the new primary by now.
                await connection.disconnect(nowait=True)
            return replies
        finally:
            await pool.release(connection)

    def put_last(self, address: Address) -> None:
        """Of `addresses`."""
        if address in self._pools:
            self._pools[address] = self._pools.pop(address)

    async def close(self) -> None:
        """Let every connection go."""
        pools = [self._pools.pop(address) for address in list(self._pools)]
        await asyncio.gather(*(pool.disconnect() for pool in pools))

    def _pool(self, address: Address) -> ConnectionPool:
        if address not in self._pools:
            host, port = address
            options = self._options | {"host": host, "port": port}
            self._pools[address] = ConnectionPool(self._connection_class, **options)
        return self._pools[address]


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _is_of_a_replica(reply: Any) -> bool:
    # Redis 6.2 wraps what a script came upon in another error.
    return isinstance(reply, ReadOnlyError) or (isinstance(reply, ResponseError) and "READONLY" in str(reply))


def _scheme_of(url: str) -> tuple[str, bool]:
    scheme = urlsplit(url).scheme
    plain = scheme.removesuffix(_CLUSTER_SUFFIX)
    if plain not in _SCHEMES:
        expected = ", ".join(f"{name}://" for name in _SCHEMES)
        raise InvalidSettings(
            f"store: expected {expected}, with {_CLUSTER_SUFFIX} for a Cluster; found {scheme}:"
        )
    return _SCHEMES[plain], plain != scheme
