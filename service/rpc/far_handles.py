"""Places of handles that are no small numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
_UNKNOWN = -1
# Handles that are looked up one by one, before they join the sorted ones.
_MIN_NEW = 256


class FarHandles:
    """Handle -> place, by search in a sorted column. A handle keeps its place, and places are given once."""

    def __init__(self, near: Sequence[int], num_places: int) -> None:
        """`near` are the handles so far, ascending, each its own place, below `num_places`."""
        self._handles = np.array(near, np.int64)
        self._places: Places = self._handles.copy()
        self._new: dict[int, int] = {}
        self._num_places = num_places

    def __sizeof__(self) -> int:
        """Bytes, nearly."""
        return self._handles.nbytes + self._places.nbytes + 100 * len(self._new)

    def add(self, handle: int) -> int:
        """The place of a handle, a new one where it has none."""
        try:
            return self.place(handle)
        except KeyError:
            place = self._new[handle] = self._num_places
            self._num_places += 1
            # As many again, or nearly: each is sorted in a few times at most.
            if len(self._new) > max(_MIN_NEW, len(self._handles) // 4):
                self._merge()
            return place

    def place(self, handle: int) -> int:
        """The place of a handle.

        Raises:
            KeyError: it has none.
        """
        place = self._new.get(handle)
        if place is not None:
            return place
        at = int(self._handles.searchsorted(handle))
        if at == len(self._handles) or self._handles[at] != handle:
            raise KeyError(handle)
        return int(self._places[at])

    def places(self, handles: npt.NDArray[np.uint32]) -> Places:
        """Places (N,) of handles (N,), -1 for those that have none."""
        if not len(self._handles):
            return np.array([self._new.get(handle, _UNKNOWN) for handle in handles.tolist()], np.int64)
        at = np.minimum(self._handles.searchsorted(handles), len(self._handles) - 1)
        places: Places = np.where(self._handles[at] == handles, self._places[at], _UNKNOWN)
        if self._new:
            for entry in np.flatnonzero(places == _UNKNOWN).tolist():
                places[entry] = self._new.get(int(handles[entry]), _UNKNOWN)
        return places

    def _merge(self) -> None:
        new = np.array(list(self._new.items()), np.int64)
        handles = np.concatenate([self._handles, new[:, 0]])
        order = np.argsort(handles, kind="stable")
        self._handles = handles[order]
        self._places = np.concatenate([self._places, new[:, 1]])[order]
        self._new.clear()
