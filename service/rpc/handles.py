"""The sessions of one model that one stream calls by number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.errors import InvalidRequest, StatecastError
from service.rpc.far_handles import FarHandles
from service.store.table import SessionTable

MAX_HANDLE = 1 << 24
_UNKNOWN = -1
# Handles count up in nearly every stream: a place each, up to so many for each that was named.
_PLACES_A_NAME, _FIRST_PLACES = 4, 64


class Handles:
    """Handle -> session id as the stream named it, and the slot it had when it was last used.

    Columns by place, which is the handle itself while handles are near one another. Where one is far off,
    they are looked up from then on: what a stream holds goes by how many it names, not by their numbers.
    """

    def __init__(self) -> None:
        self._ids: list[str] = [""] * _FIRST_PLACES
        self._slots = np.full(_FIRST_PLACES, _UNKNOWN, np.int64)
        self._generations = np.zeros(_FIRST_PLACES, np.int32)
        self._num_named = 0
        self._far: FarHandles | None = None

    def __sizeof__(self) -> int:
        """Bytes of the columns, the ids themselves left out."""
        columns = self._slots.nbytes + self._generations.nbytes + 8 * len(self._ids)
        return columns + (0 if self._far is None else self._far.__sizeof__())

    def name(self, handle: int, session_id: str) -> None:
        """Give a handle to a session, another one's or a new one. Changes no session."""
        place = self._place_to_be(handle)
        if place >= len(self._slots):
            more = max(place + 1, 2 * len(self._slots)) - len(self._slots)
            self._ids.extend([""] * more)
            self._slots = np.concatenate([self._slots, np.full(more, _UNKNOWN)])
            self._generations = np.concatenate([self._generations, np.zeros(more, np.int32)])
        self._num_named += not self._ids[place]
        self._ids[place] = session_id
        self._slots[place] = _UNKNOWN

    def forget(self, handle: int) -> None:
        """Take a handle back."""
        place = handle if self._far is None else self._far.place(handle)
        self._num_named -= bool(self._ids[place])
        self._ids[place] = ""
        self._slots[place] = _UNKNOWN

    def resolve(
        self, handles: npt.NDArray[np.uint32], table: SessionTable, errors: dict[int, StatecastError]
    ) -> Slots:
        """Slots (N,) of a frame's handles (N,); new sessions get theirs.

        Entries that have an error already are left alone; those that get one are added.
        """
        places: npt.NDArray[Any] = handles if self._far is None else self._far.places(handles)
        known = (places >= 0) & (places < len(self._slots))
        if known.all():
            slots: Slots = self._slots[places]
            generations = self._generations[places]
        else:
            index = np.where(known, places, 0)
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
        place = handle if self._far is None else self._far.place(handle)
        if place >= len(self._slots) or not self._ids[place]:
            raise KeyError(handle)
        slot: int = self._slots.item(place)
        if slot != _UNKNOWN and table.is_still(slot, self._generations.item(place)):
            return slot
        slot = table.resolve(self._ids[place])
        # One string for both: a million ids are sixty megabytes.
        self._ids[place] = table.session_id(slot)
        self._slots[place] = slot
        self._generations[place] = table.generations[slot]
        table.use(slot)
        return slot

    def _place_to_be(self, handle: int) -> int:
        if self._far is None:
            if handle < len(self._slots) or handle < _PLACES_A_NAME * (self._num_named + _FIRST_PLACES):
                return handle
            self._far = FarHandles(_used(self._ids), len(self._ids))
        return self._far.add(handle)


def _used(ids: Sequence[str]) -> list[int]:
    return [place for place, name in enumerate(ids) if name]
