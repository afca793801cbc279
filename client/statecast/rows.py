"""From what callers hold to what is sent: rows, times and the reply that is wanted."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from statecast.model import Model
from statecast.v1 import forecast_pb2

ReplyName = Literal["last", "each", "none"]
REPLIES: dict[str, forecast_pb2.Reply] = {
    "last": forecast_pb2.REPLY_LAST,
    "each": forecast_pb2.REPLY_EACH,
    "none": forecast_pb2.REPLY_NONE,
}


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows of one session: `values` (T, `Model.num_values`) float64, `times_us` (T,) int64 or None."""

    values: npt.NDArray[np.float64]
    times_us: npt.NDArray[np.int64] | None

    def same_as(self, other: "Chunk") -> bool:
        """Whether both hold the same rows, bit for bit; NaN equals NaN."""
        mine, theirs = self.times_us, other.times_us
        if mine is None or theirs is None:
            if mine is not theirs:
                return False
        elif not np.array_equal(mine, theirs):
            return False
        return bool(np.array_equal(self.values, other.values, equal_nan=True))


def as_chunk(rows: Any, times: Any, model: Model, name: str = "rows") -> Chunk:
    """Rows as `as_values` reads them, times as `as_times_us` does."""
    values = as_values(rows, model, name)
    return Chunk(values, as_times_us(times, len(values), name))


def as_values(rows: Any, model: Model, name: str = "rows") -> npt.NDArray[np.float64]:
    """Rows as (T, `Model.num_values`), an array of their own: what happens to `rows` later changes nothing.

    Args:
        rows: (T, F); or, where the model has one feature, a number (one row) or (T,) numbers (T rows); or,
            where it has several, (F,) numbers (one row). None and NaN are missing values. Of a feature with
            categories, a value is one of those, as text, or the index of one. Rows may be as wide as
            `Model.num_values` too, see `with_future`; else nothing is known ahead.

    Raises:
        ValueError: any other shape, no row, or something that is neither a number nor a category.
    """
    width = model.num_features
    try:
        found = np.asarray(rows)
        if found.dtype.kind in "OU" and any(feature.categories for feature in model.features):
            found = _indexed(np.array(rows, object), model, name)
        if found.dtype.kind not in "biufO":  # numpy would read numbers out of text
            raise TypeError(f"found {found.dtype}")
        values = np.array(found, np.float64, order="C")
    except CategoryError:
        raise
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers of shape {_shape(width)}: {error}") from None
    shape = values.shape
    if width == 1 and values.ndim <= 1:
        values = values.reshape(-1, 1)
    elif values.ndim == 1 and len(values) in (width, model.num_values):
        values = values.reshape(1, -1)
    if values.ndim != 2 or values.shape[1] not in (width, model.num_values):
        features = ", ".join(feature.name for feature in model.features)
        raise ValueError(
            f"{name}: expected {_shape(width)}, for the features {features}{_ahead(model)}; "
            f"found shape {shape}"
        )
    if not len(values):
        raise ValueError(f"{name}: expected at least one row, found none")
    if values.shape[1] < model.num_values:
        return np.pad(values, ((0, 0), (0, model.num_values - width)), constant_values=np.nan)
    return values


def with_future(model: Model, rows: Any, future: Any) -> npt.NDArray[np.float64]:
    """Whole rows: what was observed, and what is known of the steps to come.

    Args:
        rows: as `as_values` reads them, T rows of the model's features.
        future: (T, S, C) values of the C features whose role is future, in the model's order, at the next S
            steps after each row, S at most the model's horizon; (S, C) for one row. Without the last axis
            where there is one such feature. None and NaN are not known.

    Returns:
        (T, `Model.num_values`), which every call takes for rows.

    Raises:
        ValueError: another shape, no feature of the model is known ahead, or no number or category.
    """
    if not model.future:
        raise ValueError(f"future: expected none, as no feature of {model.name} is known ahead")
    values = as_values(rows, model)
    num_rows, num_ahead, horizon = len(values), len(model.future), model.horizon
    ahead = np.asarray(future, object)
    if num_ahead == 1 and (ahead.shape[-1:] != (1,) or ahead.ndim == (1 if num_rows == 1 else 2)):
        ahead = ahead[..., None]
    if ahead.ndim == 2 and num_rows == 1:
        ahead = ahead[None]
    steps = ahead.shape[1] if ahead.ndim == 3 else 0
    if ahead.shape != (num_rows, steps, num_ahead) or not 1 <= steps <= horizon:
        names = ", ".join(feature.name for feature in model.future)
        found, expected = np.shape(future), f"({num_rows}, 1 to {horizon} steps, {num_ahead}) for {names}"
        raise ValueError(f"future: expected shape {expected}; found {found}")
    whole = np.full((num_rows, model.num_values), np.nan, object)
    whole[:, : model.num_features] = values[:, : model.num_features]
    by_feature = np.full((num_rows, num_ahead, horizon), np.nan, object)
    by_feature[:, :, :steps] = ahead.swapaxes(1, 2)
    whole[:, model.num_features :] = by_feature.reshape(num_rows, -1)
    return as_values(whole, model, "future")


def _indexed(found: npt.NDArray[Any], model: Model, name: str) -> npt.NDArray[Any]:
    """Every text replaced by its index among the categories of its column's feature."""
    for place, value in np.ndenumerate(found):
        if isinstance(value, str):
            columns = model.columns if found.shape[-1:] == (model.num_values,) else model.features
            feature = columns[place[-1] % len(columns) if place else 0]
            if value not in feature.index:
                expected = f"one of {list(feature.categories)}" if feature.categories else "a number"
                raise CategoryError(f"{name}, feature {feature.name}: expected {expected}, found {value!r}")
            found[place] = feature.index[value]
    return found


class CategoryError(ValueError):
    """Text that is no category of its feature."""


def as_times_us(times: Any, num_rows: int, name: str = "rows") -> npt.NDArray[np.int64] | None:
    """Times as (T,) int64 microseconds since 1970-01-01 UTC.

    Args:
        times: datetime64 or datetimes, one a row (one alone for one row), or None. Those that name no zone
            are UTC.

    Raises:
        ValueError: not times, not one a row, or a missing one (NaT).
    """
    if times is None:
        return None
    found = np.atleast_1d(np.asarray(times))
    if found.dtype == object:
        found = np.array([_utc(time) for time in found.ravel()], "datetime64[us]").reshape(found.shape)
    if found.dtype.kind != "M":
        raise ValueError(f"times: expected datetime64 or datetimes, found {found.dtype}")
    if found.shape != (num_rows,):
        raise ValueError(f"times: expected {num_rows}, one for each of {name}, found shape {found.shape}")
    if np.isnat(found).any():
        raise ValueError(f"times: expected a time, found NaT at row {int(np.isnat(found).argmax())}")
    return found.astype("datetime64[us]").astype(np.int64)


def as_session_id(session_id: Any) -> str:
    """A session's id, as it can be sent.

    Raises:
        ValueError: not text.
    """
    if not isinstance(session_id, str):
        raise ValueError(f"session_id: expected text, found {session_id!r}")
    session_id.encode()
    return session_id


def as_reply(reply: str) -> forecast_pb2.Reply:
    """The wire's word for a reply.

    Raises:
        ValueError: no such reply.
    """
    if reply not in REPLIES:
        raise ValueError(f"reply: expected one of {', '.join(REPLIES)}, found {reply!r}")
    return REPLIES[reply]


def as_horizon(horizon: int | None, model: Model) -> int:
    """The wire's horizon: 0 for the model's whole.

    Raises:
        ValueError: outside 1 to the model's horizon.
    """
    if horizon is None:
        return 0
    if not 1 <= horizon <= model.horizon:
        raise ValueError(f"horizon: expected 1 to {model.horizon}, the model's, found {horizon}")
    return horizon


def _shape(width: int) -> str:
    return "a number, (T,) or (T, 1)" if width == 1 else f"({width},) for one row, or (T, {width})"


def _ahead(model: Model) -> str:
    return f", or {model.num_values} values with what is known ahead" if model.future else ""


def _utc(time: Any) -> Any:
    if isinstance(time, datetime):
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    if isinstance(time, np.datetime64):
        return time
    raise ValueError(f"times: expected datetime64 or datetimes, found {time!r}")
