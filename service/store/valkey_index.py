"""Which sessions of a model there are in Valkey: by sorted lists of ids, one a partition."""

from collections.abc import Sequence
from itertools import chain

from service.store import valkey_record as layout
from service.store import valkey_scripts as scripts
from service.store.contract import Listed
from service.store.valkey_call import Call, call_on, chosen
from service.store.valkey_keys import Keyspace
from service.store.valkey_servers import Servers

# A call holds the server up: some microseconds a session.
_SESSIONS_AT_ONCE = 512


class SessionIndex:
    """Reads the lists of ids. SCAN would walk over every key of the server, other models' too, in no order.

    A session that ends by its key's expiry stays on its list until `end_unused` comes by.
    """

    def __init__(self, servers: Servers, keys: Keyspace) -> None:
        self._servers = servers
        self._keys = keys

    async def heads(self, model: str, prefix: str, after: str, limit: int) -> tuple[list[Listed], str, bool]:
        """Next sessions in the order of ids, perhaps none; the last id seen; whether none come after it.

        Those that have ended are passed over.
        """
        ids, is_last = await self._ids(model, prefix, after, min(limit, _SESSIONS_AT_ONCE))
        groups = list(self._keys.groups(model, ids, _SESSIONS_AT_ONCE))
        calls = [
            call_on(scripts.HEADS, group, b"%d" % layout.MAX_HEAD_BYTES, with_lists=False) for group in groups
        ]
        found: dict[int, Listed | None] = {}
        for group, values in zip(groups, await self._servers.run(calls), strict=True):
            for row, value in zip(group.rows.tolist(), values, strict=True):
                found[row] = layout.unpack_head(ids[row], value)
        heads = [found[row] for row in range(len(ids))]
        return [head for head in heads if head is not None], ids[-1] if ids else after, is_last

    async def count(self, model: str, prefix: str) -> int:
        """Ids on the lists that begin with `prefix`."""
        bounds = [b"[" + prefix.encode(), b"(" + prefix.encode() + b"\xff"]
        calls = [
            Call(partition, scripts.COUNT, keys, bounds) for partition, keys in self._keys.indexes(model)
        ]
        return sum(await self._servers.run(calls))

    async def end_unused(self, model: str, before_s: float) -> list[str]:
        """End sessions not used since, and take off the lists those that have ended by themselves.

        Returns the ids of both. Walks over all sessions, some at a time.
        """
        ended: list[str] = []
        after, is_last = "", False
        while not is_last:
            ids, is_last = await self._ids(model, "", after, _SESSIONS_AT_ONCE)
            groups = list(self._keys.groups(model, ids, _SESSIONS_AT_ONCE))
            before = repr(float(before_s)).encode()
            calls = [call_on(scripts.EXPIRE, group, before) for group in groups]
            ended += [ids[row] for row in chosen(groups, await self._servers.run(calls))]
            after = ids[-1] if ids else after
        return ended

    async def _ids(self, model: str, prefix: str, after: str, limit: int) -> tuple[list[str], bool]:
        """Up to `limit` next ids, in order; whether none come after them."""
        first = b"(" + after.encode() if after and after >= prefix else b"[" + prefix.encode()
        # No byte of UTF-8 is 0xff.
        last = b"(" + prefix.encode() + b"\xff"
        # Ids are spread evenly: a list seldom holds more of these than twice its share.
        wanted = limit // 8 + 8
        calls = [
            Call(partition, scripts.IDS, keys, [first, last, b"%d" % wanted])
            for partition, keys in self._keys.indexes(model)
        ]
        lists: Sequence[list[bytes]] = list(chain.from_iterable(await self._servers.run(calls)))
        # What lies beyond the end of a list that was cut off has others before it.
        ends = [ids[-1] for ids in lists if len(ids) == wanted]
        ids = sorted(name for names in lists for name in names if not ends or name <= min(ends))
        return [name.decode() for name in ids[:limit]], not ends and len(ids) <= limit
