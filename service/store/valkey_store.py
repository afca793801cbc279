"""Sessions in Valkey or Redis, shared by replicas."""

import secrets
import time
from collections.abc import Callable, Sequence

import numpy as np

from service.errors import TokenLost
from service.store import valkey_record as layout
from service.store import valkey_scripts as scripts
from service.store.contract import (
    NO_TOKEN,
    Changes,
    Committed,
    Integers,
    Listed,
    Record,
    Recovered,
    StoreFault,
)
from service.store.valkey_call import call_on, chosen
from service.store.valkey_checks import check_servers
from service.store.valkey_index import SessionIndex
from service.store.valkey_keys import Keyspace
from service.store.valkey_servers import Servers

_FLOAT_BYTES = 8
# A call holds the server up: some 4 us a session, and what its bytes take.
_MAX_CALL_SESSIONS = 1024
_MAX_CALL_BYTES = 16 * 2**20
# Sessions end by themselves; taking them off the lists of ids may wait for this part of the time to live.
_SWEEP_EVERY_TTL = 0.01
_MAX_TTL_MS = 2**52
# What the load script says of a key that holds no string.
_OTHER_TYPE = -2


class ValkeyStore:
    """See `SessionStore`. States are written with each commit: any replica goes on at once.

    A session's token is a random number: `load` puts a new one in its record, so that whoever shows the one
    before is refused, however late. Whoever writes a session shows its token, and a commit its position.

    All or nothing is per session. A batch is all or nothing where there is one server, up to 1,024 sessions
    and 16 MiB: it is one script. In a Cluster it is a script a partition, up to 16, and where some fail
    others may have been done. `StoreUnavailable` means that what is stored is not known: load before going
    on. A row that is resent by position counts once.

    Valkey must keep what it was given. `appendonly yes` outlives the end of the server's process, with
    `appendfsync always` the machine's. A replica that takes a dead primary's place may lack the last commits,
    which are sent to it after they are answered: such a session stands at an earlier position, and a client
    that sends its next row is told from where to send.

    While a slot of a Cluster moves to another node key by key, calls to its partition may be unavailable.

    Sessions end by the expiry of their keys, whether or not a server of ours runs.
    """

    is_durable = True
    is_shared = True

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float,
        clock: Callable[[], float] = time.time,
        timeout_s: float = 2.0,
        num_recent_rows: int = 0,
        namespace: str = "statecast",
    ) -> None:
        """Connects at the first call.

        Args:
            url: see `Connections`.
            ttl_s: time to live of a session after its last row.
            clock: tells the seconds since 1970-01-01 UTC.
            timeout_s: of each call to the servers.
            num_recent_rows: last rows to keep of each session, as `Record.recent`.
            namespace: what the keys begin with.

        Raises:
            InvalidSettings: the URL is not one of Valkey's.
        """
        self._servers = Servers(url, timeout_s)
        self._keys = Keyspace(
            namespace, one_call_reaches_all=not self._servers.is_cluster, keeps_recent=num_recent_rows > 0
        )
        self._index = SessionIndex(self._servers, self._keys)
        self._ttl_s = ttl_s
        self._ttl_ms = b"%d" % max(1, min(round(ttl_s * 1000), _MAX_TTL_MS))
        self._clock = clock
        self._num_recent_rows = num_recent_rows
        self._num_features: dict[str, int] = {}
        self._swept_to_s: dict[str, float] = {}
        self._is_checked = False

    async def load(self, model: str, session_ids: Sequence[str]) -> list[Record | StoreFault | None]:
        """See `SessionStore`. Sessions whose time to live is over are ended: their ids are free then."""
        token = _new_token()
        found = await self._read(model, session_ids, token)
        over = [each.session_id for each in found if each is not None and self._is_over(each)]
        if over:
            await self._delete(model, over, token.to_bytes(8, "little"))
        return [None if self._is_over(record) else record for record in found]

    async def peek(self, model: str, session_id: str) -> Record | StoreFault | None:
        """See `SessionStore`."""
        (found,) = await self._read(model, [session_id], NO_TOKEN)
        return None if self._is_over(found) else found

    async def commit(self, model: str, changes: Changes) -> Committed:
        """See `SessionStore`; the class says what a failure leaves."""
        tokens = np.where(changes.tokens == NO_TOKEN, _new_token(), changes.tokens)
        records = layout.pack_batch(changes, tokens, changes.states(), self._keys.keeps_recent)
        expected = layout.expected_heads(changes)
        groups = list(self._keys.groups(model, changes.session_ids, _call_limit(records.shape[1])))
        calls = [
            call_on(
                scripts.COMMIT,
                group,
                self._ttl_ms,
                b"%d" % records.shape[1],
                expected[group.rows].tobytes(),
                records[group.rows].tobytes(),
                *self._recent_rows(changes, group.rows),
            )
            for group in groups
        ]
        return Committed(tokens, sorted(chosen(groups, await self._servers.run(calls))))

    async def save(self, model: str, records: Sequence[Record]) -> list[int]:
        """See `SessionStore`. Where some are refused in a Cluster, other partitions' may be stored."""
        new_token = _new_token()
        tokens = [record.token or new_token for record in records]
        values = [
            layout.pack(record, token, self._keys.keeps_recent)
            for record, token in zip(records, tokens, strict=True)
        ]
        expected = np.array([record.token for record in records], "<i8")
        limit = _call_limit(max(map(len, values), default=1))
        groups = list(self._keys.groups(model, [record.session_id for record in records], limit))
        calls = [
            call_on(
                scripts.SAVE,
                group,
                self._ttl_ms,
                expected[group.rows].tobytes(),
                *(values[row] for row in group.rows),
                *(records[row].recent for row in group.rows),
            )
            for group in groups
        ]
        refused = sorted(chosen(groups, await self._servers.run(calls)))
        if refused:
            raise TokenLost([records[row].session_id for row in refused])
        return tokens

    async def delete(self, model: str, session_id: str) -> bool:
        """See `SessionStore`."""
        return bool(await self._delete(model, [session_id], token=b""))

    async def page(self, model: str, prefix: str, after: str, limit: int) -> tuple[list[Listed], str]:
        """See `SessionStore`: in the order of ids; `after` is the last id of the page before."""
        listed: list[Listed] = []
        while len(listed) < limit:
            heads, after, is_last = await self._index.heads(model, prefix, after, limit - len(listed))
            listed += [head for head in heads if not self._is_over(head)]
            if is_last:
                return listed, ""
        return listed, after

    async def count(self, model: str, prefix: str = "") -> int:
        """See `SessionStore`; sessions that have ended since `expire` came by are counted in."""
        return await self._index.count(model, prefix)

    async def recover(self, model: str, num_features: int) -> Recovered:
        """Nothing: states are as new as their sessions. Warns, once, of servers that would lose them.

        Raises:
            InvalidSettings: the URL does not say Cluster, and the server is of one.
            StoreUnavailable: a server does not answer.
        """
        self._num_features[model] = num_features
        if not self._is_checked:
            await check_servers(self._servers)
            self._is_checked = True
        return Recovered()

    async def behind(self, model: str, limit: int) -> list[str]:  # noqa: ARG002 - the contract's signature
        """None: states are stored with each commit."""
        return []

    def backlog(self, model: str) -> int:  # noqa: ARG002 - the contract's signature
        """See `SessionStore`."""
        return 0

    async def expire(self, model: str, before_s: float) -> list[str]:
        """See `SessionStore`. It walks over every session, and returns at once where it has just done so."""
        if before_s - self._swept_to_s.get(model, float("-inf")) < self._ttl_s * _SWEEP_EVERY_TTL:
            return []
        ended = await self._index.end_unused(model, before_s)
        self._swept_to_s[model] = before_s
        return ended

    async def close(self) -> None:
        """See `SessionStore`."""
        await self._servers.close()

    async def _read(
        self, model: str, session_ids: Sequence[str], token: int
    ) -> list[Record | StoreFault | None]:
        """Sessions, taken over where there is a token."""
        found: list[Record | StoreFault | None] = [None] * len(session_ids)
        written = b"" if token == NO_TOKEN else token.to_bytes(8, "little")
        groups = list(self._keys.groups(model, session_ids, _MAX_CALL_SESSIONS))
        calls = [call_on(scripts.LOAD, group, written, layout.MAGIC, with_lists=False) for group in groups]
        for group, (sizes, read) in zip(groups, await self._servers.run(calls), strict=True):
            start = 0
            for row, (size, recent_size) in zip(
                group.rows.tolist(), np.frombuffer(sizes, "<i4").reshape(-1, 2).tolist(), strict=True
            ):
                if size == _OTHER_TYPE:
                    found[row] = StoreFault(session_ids[row], "its key is of another type than a string")
                if size < 0:
                    continue
                end = start + size
                value, recent = read[start:end], self._last_rows(model, read[end : end + recent_size])
                found[row] = layout.unpack(session_ids[row], value, recent, token)
                start = end + recent_size
        return found

    async def _delete(self, model: str, session_ids: Sequence[str], token: bytes) -> int:
        """End sessions that have the token, where one is given; returns how many there were."""
        groups = self._keys.groups(model, session_ids, _MAX_CALL_SESSIONS)
        return sum(await self._servers.run([call_on(scripts.DELETE, group, token) for group in groups]))

    def _last_rows(self, model: str, recent: bytes) -> bytes:
        """At most `num_recent_rows` rows: up to twice as many are kept, so that few commits have to cut."""
        num_bytes = self._num_recent_rows * self._num_features.get(model, 0) * _FLOAT_BYTES
        return recent[-num_bytes:] if num_bytes else recent

    def _recent_rows(self, changes: Changes, rows: Integers) -> Sequence[bytes]:
        """The commit script's arguments, where any are kept: bytes to keep, rows, bytes of each session's."""
        if not self._num_recent_rows:
            return ()
        row_bytes = changes.rows.shape[1] * _FLOAT_BYTES
        is_chosen = np.zeros(len(changes.session_ids), bool)
        is_chosen[rows] = True
        # `rows` ascend, so that the chosen entries' rows stay in their order.
        kept = changes.rows[np.repeat(is_chosen, changes.num_steps)].astype("<f8")
        sizes = (changes.num_steps[rows] * row_bytes).astype("<i4")
        return b"%d" % (self._num_recent_rows * row_bytes), kept.tobytes(), sizes.tobytes()

    def _is_over(self, session: Record | Listed | StoreFault | None) -> bool:
        return isinstance(session, Record | Listed) and self._clock() - session.used_at_s > self._ttl_s


def _call_limit(session_bytes: int) -> int:
    return max(1, min(_MAX_CALL_SESSIONS, _MAX_CALL_BYTES // max(1, session_bytes)))


def _new_token() -> int:
    return secrets.randbits(62) + 1
