"""Sessions that made room in memory and that the store has not taken yet."""

from collections.abc import Iterable

import structlog

from service.errors import StoreUnavailable, TokenLost
from service.store.contract import Record, SessionStore

_log = structlog.get_logger()

# While the store does not take them.
_MOST = 65_536


class Leaving:
    """They have no slot any more, and their records are the newest there are of them."""

    def __init__(self, model: str, store: SessionStore) -> None:
        self._model, self._store = model, store
        self._records: dict[str, Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    @property
    def is_full(self) -> bool:
        """Whether no more may leave until the store takes some."""
        return len(self._records) >= _MOST

    def count(self, prefix: str) -> int:
        """Those whose ids begin so."""
        return sum(session_id.startswith(prefix) for session_id in self._records)

    def add(self, records: Iterable[Record]) -> None:
        """They have left memory."""
        self._records.update((record.session_id, record) for record in records)

    def get(self, session_id: str) -> Record | None:
        """One that is on its way."""
        return self._records.get(session_id)

    def drop(self, session_id: str) -> None:
        """It need not be saved any more."""
        self._records.pop(session_id, None)

    async def save(self) -> None:
        """Hand them over. What the store does not take now stays for the next time."""
        leaving = dict(self._records)
        if not leaving:
            return
        try:
            await self._store.save(self._model, list(leaving.values()))
        except TokenLost as error:
            # Others have gone on with them since: theirs is the newer state.
            for session_id in error.session_ids:
                self.drop(session_id)
            return
        except StoreUnavailable as error:
            _log.warning("sessions cannot leave memory", reason=str(error), num_sessions=len(leaving))
            return
        for session_id, record in leaving.items():
            if self._records.get(session_id) is record:
                del self._records[session_id]
