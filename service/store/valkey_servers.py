"""Calls to the servers behind a store's URL: one, or the primaries of a Cluster.

Which node of a Cluster has a partition is kept here: redis-py's own Cluster client hashes every key of a
call, twice, and sleeps between its tries.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from service.errors import StoreUnavailable
from service.store.valkey_call import Call, packed_command
from service.store.valkey_connections import Address, Connections
from service.store.valkey_keys import NUM_PARTITIONS, PARTITION_TAGS

_SLOTS = [key_slot(tag.strip(b"{}")) for tag in PARTITION_TAGS]
# Rounds of a call: a script sent again by its text, and redirections while slots move.
_MAX_ROUNDS = 5
_ASKING = packed_command([b"ASKING"])
_CLUSTER_SLOTS = packed_command([b"CLUSTER", b"SLOTS"])


@dataclass(frozen=True, slots=True)
class _Sending:
    """A call on its way: which of those that were asked for, where to, and how."""

    number: int
    call: Call
    address: Address
    by_text: bool = False
    is_asking: bool = False

    def packed(self) -> list[bytes]:
        command = self.call.packed(self.by_text)
        return [_ASKING, *command] if self.is_asking else command


_Answered = list[tuple[_Sending, Any]]


class Servers:
    """Sends scripts where their keys are. Each call ends within `timeout_s`, by StoreUnavailable at worst.

    Nothing is sent twice that may have been done.

    Attributes:
        name: host and port, without user and password.
        is_cluster: whether keys are spread over several servers.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connects at the first call.

        Raises:
            InvalidSettings: see `Connections`.
        """
        self._connections = Connections(url, timeout_s)
        self.is_cluster = self._connections.is_cluster
        first = self._connections.first
        self.name = f"{first[0]}:{first[1]}"
        self._timeout_s = timeout_s
        # By partition; None: to be asked for.
        self._owners: list[Address] | None = None if self.is_cluster else [first] * NUM_PARTITIONS
        self._num_under_way = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """The calls' replies. Calls to one server travel together; where one fails, others may be done.

        Raises:
            StoreUnavailable: a call was refused, or not answered; which were done is not known.
        """
        if not calls:
            return []
        async with self._answering():
            owners = await self._known_owners()
            replies: list[Any] = [None] * len(calls)
            waiting = [_Sending(number, call, owners[call.partition]) for number, call in enumerate(calls)]
            for _ in range(_MAX_ROUNDS):
                answered = await self._round(waiting)
                again = [self._again(sending, reply) for sending, reply in answered]
                waiting = [sending for sending in again if sending is not None]
                for sending, reply in answered:
                    replies[sending.number] = reply
                if not waiting:
                    return replies
            raise ClusterDownError(f"redirected {_MAX_ROUNDS} times")

    async def ask_each(self, *words: str) -> list[Any]:
        """Every server's reply to a command; an error reply as the exception it is.

        Raises:
            StoreUnavailable: one did not answer.
        """
        packed = packed_command([word.encode() for word in words])
        async with self._answering():
            addresses = sorted(set(await self._known_owners()))
            return [(await self._connections.exchange(address, [packed], 1))[0] for address in addresses]

    async def close(self) -> None:
        """Wait for what is under way, then let every connection go."""
        await self._is_idle.wait()
        await self._connections.close()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        self._num_under_way += 1
        self._is_idle.clear()
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            self._forget_owners()
            raise StoreUnavailable(f"{self.name}: no answer within {self._timeout_s:g} s") from None
        except (RedisError, OSError) as error:
            self._forget_owners()
            raise StoreUnavailable(f"{self.name}: {error}") from error
        finally:
            self._num_under_way -= 1
            if not self._num_under_way:
                self._is_idle.set()

    async def _round(self, sendings: Sequence[_Sending]) -> _Answered:
        by_address: dict[Address, list[_Sending]] = {}
        for sending in sendings:
            by_address.setdefault(sending.address, []).append(sending)
        if len(by_address) == 1:
            return await self._send(sendings[0].address, sendings)
        exchanges = [self._send(address, group) for address, group in by_address.items()]
        # Each comes to its end before one's failure is told.
        ended = await asyncio.gather(*exchanges, return_exceptions=True)
        answered: _Answered = []
        for answers in ended:
            if isinstance(answers, BaseException):
                raise answers
            answered += answers
        return answered

    async def _send(self, address: Address, sendings: Sequence[_Sending]) -> _Answered:
        packed = [part for sending in sendings for part in sending.packed()]
        num_replies = sum(1 + sending.is_asking for sending in sendings)
        replies = iter(await self._connections.exchange(address, packed, num_replies))
        answered = []
        for sending in sendings:
            if sending.is_asking:
                next(replies)
            answered.append((sending, next(replies)))
        return answered

    def _again(self, sending: _Sending, reply: Any) -> _Sending | None:
        """How to send a call that was not done, None where it was.

        Raises:
            ResponseError: the server refuses it.
        """
        if isinstance(reply, NoScriptError):
            return replace(sending, by_text=True)
        if isinstance(reply, AskError) and self.is_cluster:
            is_moved = isinstance(reply, MovedError)
            if is_moved:
                self._forget_owners()
            # An empty host stands for the one that was asked.
            address = (reply.host or sending.address[0], reply.port)
            return replace(sending, address=address, by_text=True, is_asking=not is_moved)
        if isinstance(reply, ResponseError):
            raise reply
        return None

    def _forget_owners(self) -> None:
        if self.is_cluster:
            self._owners = None

    async def _known_owners(self) -> list[Address]:
        if self._owners is None:
            self._owners = await self._ask_owners()
        return self._owners

    async def _ask_owners(self) -> list[Address]:
        """Of each partition, from the first server that answers.

        Raises:
            RedisError: none does, or a partition has no server.
        """
        addresses = self._connections.addresses
        failures: list[Exception] = []
        for address in addresses:
            try:
                # One that stands still leaves time for the others.
                async with asyncio.timeout(self._timeout_s / (len(addresses) + 1)):
                    (slots,) = await self._connections.exchange(address, [_CLUSTER_SLOTS], 1)
                return _owners(slots, address)
            except (RedisError, OSError) as error:
                self._connections.put_last(address)
                failures.append(error)
        raise failures[-1]


def _owners(slots: Any, asked: Address) -> list[Address]:
    """Of each partition, out of the reply to CLUSTER SLOTS: first slot, last slot, primary, replicas."""
    if isinstance(slots, RedisError):
        raise slots
    owners: dict[int, Address] = {}
    for first, last, (host, port, *_), *_ in slots:
        # A node that does not know its own name stands as the one that was asked.
        name = asked[0] if host in (None, b"", b"?") else host.decode()
        owners |= {n: (name, port) for n, slot in enumerate(_SLOTS) if first <= slot <= last}
    missing = [str(partition) for partition in range(NUM_PARTITIONS) if partition not in owners]
    if missing:
        raise ClusterDownError(f"no server has the slots of partitions {', '.join(missing)}")
    return [owners[partition] for partition in range(NUM_PARTITIONS)]
