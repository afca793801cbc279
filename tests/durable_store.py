"""A store in a dict that counts as durable and can be told to fail: what the worker does with stores."""

import asyncio
from dataclasses import replace

import numpy as np

from service.errors import StoreUnavailable, TokenLost
from service.store.contract import Committed, Listed, Record, Recovered


class DurableStore:
    """Keeps states with each commit, as a store that replicas share does.

    Attributes:
        failing: names of methods that raise StoreUnavailable.
        gate: commits wait for it.
        begun: the session ids of each commit.
        refusing: sessions whose commits raise StoreUnavailable.
    """

    is_durable = True

    def __init__(self, *, is_shared=True):
        self.is_shared = is_shared
        self.records: dict[str, Record] = {}
        self.failing: set[str] = set()
        self.refusing: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.begun: list[list[str]] = []
        self.loaded: list[list[str]] = []
        self.num_commits = 0
        self._token = 0

    async def load(self, _model, session_ids):
        self._check("load")
        self.loaded.append(list(session_ids))
        found = []
        for name in session_ids:
            if name in self.records:
                self.records[name] = replace(self.records[name], token=self._new_token())
            found.append(self.records.get(name))
        return found

    async def peek(self, _model, session_id):
        self._check("peek")
        return self.records.get(session_id)

    async def commit(self, _model, changes):
        states = changes.states()
        self.begun.append(list(changes.session_ids))
        self.entered.set()
        await self.gate.wait()
        self._check("commit")
        if self.refusing.intersection(changes.session_ids):
            raise StoreUnavailable("it was told to")
        self.num_commits += 1
        tokens, refused = changes.tokens.copy(), []
        for index, name in enumerate(changes.session_ids):
            there = self.records.get(name)
            token, before = int(changes.tokens[index]), int(changes.before[index])
            if (there is None) != (token == 0) or (
                there and (there.token, there.position) != (token, before)
            ):
                refused.append(index)
                continue
            tokens[index] = token or self._new_token()
            self.records[name] = Record(
                name,
                changes.digest,
                int(changes.after[index]),
                int(changes.last_times_us[index]),
                bytes(states[index]),
                used_at_s=changes.at_s,
                token=int(tokens[index]),
            )
        return Committed(np.array(tokens), refused)

    async def save(self, _model, records):
        self._check("save")
        lost = [r.session_id for r in records if r.token and self.records[r.session_id].token != r.token]
        if lost:
            raise TokenLost(lost)
        for record in records:
            self.records[record.session_id] = replace(record, token=record.token or self._new_token())
        return [self.records[record.session_id].token for record in records]

    async def delete(self, _model, session_id):
        self._check("delete")
        return self.records.pop(session_id, None) is not None

    async def page(self, _model, prefix, after, limit):
        names = sorted(name for name in self.records if name.startswith(prefix) and name > after)
        listed = [
            Listed(r.session_id, r.digest, r.position, r.last_time_us, r.used_at_s)
            for r in map(self.records.get, names[:limit])
        ]
        return listed, names[limit - 1] if len(names) > limit else ""

    async def count(self, _model, prefix=""):
        return sum(name.startswith(prefix) for name in self.records)

    async def recover(self, _model, _num_features):
        return Recovered()

    async def behind(self, _model, _limit):
        return []

    def backlog(self, _model):
        return 0

    async def expire(self, _model, _before_s):
        return []

    async def close(self):
        pass

    def take_over(self, session_id):
        """What another replica's `load` does."""
        self.records[session_id] = replace(self.records[session_id], token=self._new_token())

    def _check(self, method):
        if method in self.failing:
            raise StoreUnavailable(f"{method} fails")

    def _new_token(self):
        self._token += 1
        return self._token
