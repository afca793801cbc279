"""Responses to frames of which every entry was applied, written without a copy of their columns."""

import functools
from typing import TypeAlias

from models.manifest import Manifest
from service.rpc import wire

# Numbers as they lie.
Column: TypeAlias = bytes | memoryview


class PlainResponses:
    """Responses of one model."""

    def __init__(self, manifest: Manifest) -> None:
        self._num_columns = manifest.num_columns

    def write(
        self,
        frame_id: bytes,
        positions: Column,
        forecasts: Column | None,
        num_entries: int,
        horizon: int,
        version: int,
    ) -> bytes:
        """A `StreamForecastsResponse` on the wire.

        Args:
            frame_id: as a varint; empty for 0.
            positions: N int64.
            forecasts: N times horizon times levels float32, or None where none was asked for.
            version: of the model that answered.
        """
        before, between, after = _pieces(
            num_entries, horizon, self._num_columns, version, forecasts is not None
        )
        own_id = b"\x08" + frame_id if frame_id else frame_id
        if forecasts is None:
            return b"".join((own_id, before, positions, after))
        return b"".join((own_id, before, positions, between, forecasts, after))


@functools.lru_cache(maxsize=1024)
def _pieces(
    num_entries: int, horizon: int, num_columns: int, version: int, has_forecasts: bool
) -> tuple[bytes, bytes, bytes]:
    """What stands before the positions, between them and the forecasts, and after those."""
    after = wire.number(10, horizon) + wire.number(11, num_columns) + wire.number(12, version)
    if not has_forecasts:
        after = wire.head(8, 4 * num_entries) + bytes(4 * num_entries) + after
    return (
        wire.head(4, 8 * num_entries),
        wire.head(9, 4 * num_entries * horizon * num_columns),
        after,
    )
