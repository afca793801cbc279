"""Lanes of segments: what training sees, in which order, and what it may never see."""

from collections.abc import Iterable

import numpy as np
import pytest

from training.dataset import SeriesData, validation_start
from training.segments import Segment, TrainingSegments, ValidationSegments, targets_of

HORIZON = 3


def _series(*lengths: int, fraction: float = 0.2) -> list[SeriesData]:
    """Series whose values name their place: series 2's row 17 is 2017 + 1."""
    made = []
    for index, num in enumerate(lengths):
        times = np.datetime64("2024-01-01T00", "us") + np.arange(num) * np.timedelta64(1, "h")
        values = (1 + index * 1_000.0 + np.arange(num))[:, None]
        made.append(SeriesData(f"s{index}", times, values, validation_start(num, HORIZON, fraction)))
    return made


def _training(series: list[SeriesData], *, seed: int = 0, epoch: int = 0, lanes: int = 3) -> TrainingSegments:
    return TrainingSegments(
        series, horizon=HORIZON, batch_size=lanes, segment_length=8, seed=seed, epoch=epoch
    )


def _seen(segments: Iterable[Segment]) -> set[float]:
    values: set[float] = set()
    for segment in segments:
        for tensor in (segment.x, segment.targets):
            values |= set(tensor[~tensor.isnan()].tolist())
    return values


def test_targets_are_the_values_after_each_row() -> None:
    """Row t's targets are the next K values, unknown past the end."""
    expected = [[2, 3], [3, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(targets_of(np.array([1.0, 2, 3]), 2), expected)


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        (2, [[3, np.nan], [np.nan, np.nan], [np.nan, np.nan]]),
        (0, [[1, 2], [2, 3], [3, np.nan]]),
        (-1, [[np.nan, 1], [1, 2], [2, 3]]),
        (-4, [[np.nan, np.nan], [np.nan, np.nan], [np.nan, np.nan]]),
    ],
)
def test_targets_begin_by_the_lead_after_the_row_or_before_it(lead: int, expected: list[list[float]]) -> None:
    """A cell that waits for rows is asked for what begins before its newest row; there is nothing outside."""
    np.testing.assert_array_equal(targets_of(np.array([1.0, 2, 3]), 2, lead), expected)


@pytest.mark.parametrize("lengths", [(400,), (60, 900, 45), (40, 40, 40, 40, 40)])
def test_training_sees_all_of_the_training_part_and_nothing_of_the_validation_part(
    lengths: tuple[int, ...],
) -> None:
    """Neither a row nor a target of an epoch lies in a validation part, at any random offset."""
    series = _series(*lengths)
    held_out = {float(v) for one in series for v in one.target[one.validation_start :]}
    trained = {float(v) for one in series for v in one.target[: one.validation_start]}
    for epoch in range(5):
        seen = _seen(_training(series, epoch=epoch))
        assert not seen & held_out
        # Pieces too short to leave the warm-up are left out, at the two ends at most.
        assert len(trained - seen) <= 8 * len(lengths)


def test_a_lane_walks_on_until_its_piece_ends_then_starts_fresh() -> None:
    """Within a lane the rows follow each other; where they do not, the lane is marked fresh."""
    last: dict[int, float] = {}
    num_fresh = num_carried = 0
    for segment in _training(_series(400, 300)):
        for lane, rows in enumerate(segment.x[..., 0].numpy()):
            rows = rows[~np.isnan(rows)]
            if not len(rows):
                continue
            assert (np.diff(rows) == 1).all()
            if segment.fresh[lane]:
                num_fresh += 1
            else:
                num_carried += 1
                assert rows[0] == last[lane] + 1
            last[lane] = rows[-1]
    assert num_fresh > 3
    assert num_carried > num_fresh


def test_one_long_series_fills_the_lanes() -> None:
    """A single series is cut in pieces, so that a step still learns from a full batch."""
    first = next(iter(_training(_series(3_000), lanes=16)))
    assert first.x.shape[0] == 16
    assert (~first.x[..., 0].isnan()).any(dim=1).all()


def test_an_epoch_can_be_walked_again_and_differs_from_the_next() -> None:
    """(seed, epoch) fixes every segment; another epoch or seed cuts elsewhere."""
    series = _series(500, 200)

    def order(segments: TrainingSegments) -> list[float]:
        return [value for segment in segments for value in segment.x.nan_to_num().flatten().tolist()]

    one = _training(series, seed=1, epoch=2)
    assert order(one) == order(one) == order(_training(series, seed=1, epoch=2))
    assert order(one) != order(_training(series, seed=1, epoch=3))
    assert order(one) != order(_training(series, seed=2, epoch=2))


def test_validation_judges_the_held_out_origins_after_all_their_history() -> None:
    """Every row is walked once, from the first; targets stand only at origins wholly held out."""
    series = _series(700, 50, 64)
    rows, targets = [], []
    for segment in ValidationSegments(series, horizon=HORIZON, batch_size=2):
        rows += segment.x[~segment.x.isnan()].tolist()
        targets += segment.targets[~segment.targets.isnan()].tolist()
    assert sorted(rows) == sorted(v for one in series for v in one.target)
    assert set(targets) == {v for one in series for v in one.target[one.validation_start :]}


def test_missing_rows_stay_missing() -> None:
    """A gap is walked as NaN, as the server feeds it, and is no target."""
    (one,) = _series(200)
    one.values[50:53] = np.nan
    gone = {51.0, 52.0, 53.0}
    seen = _seen(_training([one]))
    assert not seen & gone
    assert {50.0, 54.0} <= seen
