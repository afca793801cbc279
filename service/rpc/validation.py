"""Checks on single fields, the same for unary requests and frames."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.manifest import FeatureSpec, Manifest
from service.engine.runner import Reply, Rows
from service.errors import InvalidRequest
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US
from statecast.v1 import forecast_pb2 as pb

MAX_SESSION_ID_BYTES = 256
# Of the int64 that positions are kept in.
_LAST_POSITION = (1 << 63) - 1

REPLIES: dict[int, Reply] = {
    pb.REPLY_UNSPECIFIED: Reply.LAST,
    pb.REPLY_NONE: Reply.NONE,
    pb.REPLY_LAST: Reply.LAST,
    pb.REPLY_EACH: Reply.EACH,
}


def check_session_id(session_id: str, field: str = "session_id") -> None:
    """1 to 256 bytes of UTF-8 without control characters.

    Raises:
        InvalidRequest: names the field and what was found.
    """
    size = len(session_id.encode())
    if not 1 <= size <= MAX_SESSION_ID_BYTES:
        raise InvalidRequest(field, f"{size} bytes", f"1 to {MAX_SESSION_ID_BYTES} bytes")
    if not session_id.isprintable():
        raise InvalidRequest(field, repr(session_id), "no control characters")


def check_scores(score_anomalies: bool, manifest: Manifest) -> None:
    """Raises InvalidRequest: scores are asked of a model that has none."""
    if score_anomalies and not manifest.scores_anomalies:
        expected = f"false, as {manifest.name} has no anomaly scores (it was trained without --anomaly)"
        raise InvalidRequest("score_anomalies", "true", expected)


def reply_of(number: int) -> Reply:
    """The reply that an enum's number names.

    Raises:
        InvalidRequest: no such reply.
    """
    reply = REPLIES.get(number)
    if reply is None:
        raise InvalidRequest("reply", number, f"one of {', '.join(pb.Reply.keys())}")
    return reply


def horizon_of(number: int, manifest: Manifest) -> int:
    """Steps to return; 0 stands for all.

    Raises:
        InvalidRequest: more than the model's horizon.
    """
    if number > manifest.horizon:
        raise InvalidRequest("horizon", number, f"at most {manifest.horizon}, the model's horizon")
    return number or manifest.horizon


def check_position(position: int) -> None:
    """One that a session can have; a column of int64 holds no other.

    Raises:
        InvalidRequest: it is beyond.
    """
    if position > _LAST_POSITION:
        raise InvalidRequest("position", position, f"at most {_LAST_POSITION}")


def check_num_rows(num_rows: int, field: str, max_rows: int) -> None:
    """At least one row, at most as many as one request may hold for a session.

    Raises:
        InvalidRequest: names the field.
    """
    if num_rows == 0:
        raise InvalidRequest(field, "no rows", "at least one row")
    if num_rows > max_rows:
        raise InvalidRequest(field, f"{num_rows} rows", f"at most {max_rows} (max_rows_per_chunk)")


def bad_rows(values: Rows, manifest: Manifest) -> npt.NDArray[np.bool_]:
    """(R,): rows with an infinity, no category's index, or no value where the model requires one.

    Args:
        values: (R, F) or, with what is known ahead, of which nothing is required, (R, `num_values`).
    """
    bad = _no_category(values, manifest)
    finite = np.isfinite(values)
    if finite.all():
        return bad
    required = np.zeros(values.shape[1], bool)
    required[: len(manifest.features)] = [feature.required for feature in manifest.features]
    bad |= (np.isinf(values) | (~finite & required)).any(axis=1)
    return bad


def _no_category(values: Rows, manifest: Manifest) -> npt.NDArray[np.bool_]:
    """(R,): rows with a value, not a missing one, that is the index of none of its feature's categories."""
    bad = np.zeros(len(values), bool)
    for column, feature in enumerate(_features_of(manifest, values.shape[1])):
        if feature.categories:
            index = values[:, column]
            outside = (index < 0) | (index >= len(feature.categories)) | (index != np.floor(index))
            bad |= outside & ~np.isnan(index)
    return bad


def categories_of(manifest: Manifest) -> tuple[tuple[int, int], ...]:
    """Column and number of categories, of each column of a row with all that may be sent that has them."""
    features = _features_of(manifest, manifest.row_layout.num_values)
    return tuple((column, len(each.categories)) for column, each in enumerate(features) if each.categories)


def are_categories(values: Sequence[float], categories: tuple[tuple[int, int], ...]) -> bool:
    """Whether a row's finite values are indices where they should be; columns that were not sent are."""
    return all(
        0 <= values[column] < num and values[column].is_integer()
        for column, num in categories
        if column < len(values)
    )


def _features_of(manifest: Manifest, width: int) -> Sequence[FeatureSpec]:
    """The feature of each column that was sent."""
    if width == len(manifest.features):
        return manifest.features
    layout = manifest.row_layout
    ahead = (manifest.features[at] for at in layout.future for _ in range(layout.horizon))
    return [*manifest.features, *ahead]


def check_values(values: Rows, manifest: Manifest, field: str) -> None:
    """Finite or missing, and missing only where the model allows it.

    Args:
        values: as `bad_rows` takes them.
        field: how the caller wrote them, for the message.

    Raises:
        InvalidRequest: names the first bad value's row and feature.
    """
    bad = bad_rows(values, manifest)
    if not bad.any():
        return
    row = int(bad.argmax())
    features = _features_of(manifest, values.shape[1])
    for column, (feature, value) in enumerate(zip(features, values[row].tolist(), strict=True)):
        where = f"{field} of row {row}, feature {feature.name!r}"
        num_ahead = column - len(manifest.features)
        if num_ahead >= 0:
            where += f", {num_ahead % manifest.horizon + 1} steps ahead"
        if np.isinf(value):
            raise InvalidRequest(where, value, "a finite number, or NaN where missing")
        if np.isnan(value) and feature.required and num_ahead < 0:
            raise InvalidRequest(where, value, "a number: the model requires this feature")
        num = len(feature.categories)
        if num and not np.isnan(value) and value not in range(num):
            expected = f"the index of a category, 0 to {num - 1}, or NaN where missing"
            raise InvalidRequest(where, value, expected)


def bad_times(times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(R,): times outside the calendar."""
    bad: npt.NDArray[np.bool_] = (times_us < FIRST_TIME_US) | (times_us > LAST_TIME_US)
    return bad


def check_times(times_us: npt.NDArray[np.int64], field: str) -> None:
    """Within the calendar.

    Raises:
        InvalidRequest: names the first row that is not.
    """
    outside = bad_times(times_us)
    if outside.any():
        row = int(outside.argmax())
        expected = "microseconds since 1970-01-01 UTC in the years 1 to 9999"
        raise InvalidRequest(f"{field} of row {row}", times_us[row], expected)


def check_reply_size(num_rows: int, reply: Reply, manifest: Manifest, max_bytes: int) -> None:
    """A forecast per row must fit one message; found out before anything is applied.

    Raises:
        InvalidRequest: it does not.
    """
    size = num_rows * manifest.horizon * manifest.num_columns * 4
    if reply is Reply.EACH and size > max_bytes * 0.9:
        found = f"REPLY_EACH for {num_rows} rows, {size} bytes of forecasts"
        raise InvalidRequest("reply", found, f"at most {max_bytes} bytes a message; send fewer rows")
