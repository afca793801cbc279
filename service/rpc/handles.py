"""The sessions of one model that one stream calls by number."""

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.errors import InvalidRequest, StatecastError
from service.store.table import SessionTable

MAX_HANDLE = 1 << 24
_UNKNOWN = -1


class Handles:
    """Handle -> session id as the stream named it, and the slot it had when it was last used."""

    def __init__(self) -> None:
        self._ids: list[str] = [""] * 64
        self._slots = np.full(64, _UNKNOWN, np.int64)
        self._generations = np.zeros(64, np.int32)

    def name(self, handle: int, session_id: str) -> None:
        """Give a handle to a session, another one's or a new one. Changes no session."""
        if handle >= len(self._slots):
            more = max(handle + 1, 2 * len(self._slots)) - len(self._slots)
            self._ids.extend([""] * more)
            self._slots = np.concatenate([self._slots, np.full(more, _UNKNOWN)])
            self._generations = np.concatenate([self._generations, np.zeros(more, np.int32)])
        self._ids[handle] = session_id
        self._slots[handle] = _UNKNOWN

    def forget(self, handle: int) -> None:
        """Take a handle back."""
        self._ids[handle] = ""
        self._slots[handle] = _UNKNOWN

    def resolve(
        self, handles: npt.NDArray[np.uint32], table: SessionTable, errors: dict[int, StatecastError]
    ) -> Slots:
        """Slots (N,) of a frame's handles (N,); new sessions get theirs.

        Entries that have an error already are left alone; those that get one are added.
        """
        known = handles < len(self._slots)
        if known.all():
            slots, generations = self._slots[handles], self._generations[handles]
        else:
            index = np.where(known, handles, 0)
            slots, generations = np.where(known, self._slots[index], _UNKNOWN), self._generations[index]
        current = (slots != _UNKNOWN) & table.is_current(slots, generations)
        table.use(slots[current])
        if current.all():
            return slots
        for entry in np.flatnonzero(~current).tolist():
            if entry not in errors:
                handle = int(handles[entry])
                try:
                    slots[entry] = self.resolve_one(handle, table)
                except KeyError:
                    field, expected = f"frame entry {entry}: handle", "a handle that this stream named"
                    errors[entry] = InvalidRequest(field, handle, f"{expected} in `sessions`")
                except StatecastError as error:
                    errors[entry] = error
        return slots

    def resolve_one(self, handle: int, table: SessionTable) -> int:
        """The slot of one handle, as `resolve`.

        Raises:
            KeyError: the stream never named it.
            TooManySessions: a new session finds no room.
        """
        if handle >= len(self._slots) or not self._ids[handle]:
            raise KeyError(handle)
        slot: int = self._slots.item(handle)
        if slot != _UNKNOWN and table.is_still(slot, self._generations.item(handle)):
            return slot
        slot = table.resolve(self._ids[handle])
        # One string for both: a million ids are sixty megabytes.
        self._ids[handle] = table.session_id(slot)
        self._slots[handle] = slot
        self._generations[handle] = table.generations[slot]
        table.use(slot)
        return slot
