"""The score of the Numenta anomaly benchmark, by hand."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from benchmarks.accuracy import nab
from benchmarks.accuracy.nab_scoring import PROFILES, Profile, Stream, best, probation, worth

STANDARD = PROFILES["standard"]


def _stream(windows: list[tuple[int, int]], detections: dict[int, float], num_rows: int = 200) -> Stream:
    scores: npt.NDArray[np.float64] = np.zeros(num_rows)
    for row, score in detections.items():
        scores[row] = score
    return Stream(windows, scores)


def test_worth_falls_through_a_window_and_behind_it() -> None:
    """1 at a window's first row, just above 0 at its last, below 0 behind it, -1 before it and far behind."""
    value, window = worth(200, [(100, 109)])
    assert value[99] == -1
    assert value[100] == pytest.approx(1.0)
    assert 0 < value[109] < 0.3
    assert (np.diff(value[100:137]) < 0).all()
    assert -0.5 < value[110] < 0
    assert value[150] == -1
    assert (window[100:110] == 0).all()
    assert (window[:100] == -1).all()


def test_a_silent_detector_scores_nothing_and_a_perfect_one_everything() -> None:
    """0 with no detection, 100 with one at the first row of each window, for each profile."""
    windows = [(60, 79), (140, 149)]
    for profile in PROFILES.values():
        assert best([_stream(windows, {60: 0.9, 140: 0.8})], profile)[0] == pytest.approx(100)
        assert best([_stream(windows, {})], profile) == (0.0, float("inf"))


def test_half_the_windows_are_half_the_score() -> None:
    """A missed window costs what a found one brings."""
    assert best([_stream([(60, 79), (140, 149)], {60: 1.0})], STANDARD)[0] == pytest.approx(50)


def test_a_false_alarm_costs_its_weight() -> None:
    """Far from windows 0.11 of a hit, and double where false alarms are to be few."""
    stream = _stream([(100, 119)], {100: 0.5, 50: 0.9})
    assert best([stream], STANDARD)[0] == pytest.approx(100 * (2 - 0.11) / 2)
    assert best([stream], PROFILES["reward low FP"])[0] == pytest.approx(100 * (2 - 0.22) / 2)


def test_only_the_earliest_detection_in_a_window_counts() -> None:
    """More of them neither bring nor cost, wherever they come in the order of scores."""
    late_first = _stream([(100, 119)], {100: 0.5, 110: 0.9, 115: 0.7})
    assert best([late_first], STANDARD)[0] == pytest.approx(100)


def test_one_threshold_serves_all_streams() -> None:
    """A stream whose scores are all higher drags its false alarms in before the other's hit."""
    quiet, loud = _stream([(100, 119)], {100: 0.5}), _stream([], dict.fromkeys(range(50, 60), 0.6))
    score, threshold = best([quiet, loud], STANDARD)
    assert threshold == 0.5
    assert score == pytest.approx(100 * (2 - 10 * 0.11) / 2)
    many = _stream([], dict.fromkeys(range(50, 90), 0.6))
    assert best([quiet, many], STANDARD) == (0.0, float("inf"))


def test_equal_scores_are_detected_together() -> None:
    """No threshold lies between two rows of one score."""
    both = _stream([(100, 119)], {100: 0.5, 50: 0.5})
    assert best([both], STANDARD)[0] == pytest.approx(100 * (2 - 0.11) / 2)


def test_the_probation_does_not_count() -> None:
    """Detections in the first 15 %, of 5000 rows at most, and rows without a score are none."""
    assert probation(1000) == 150
    assert probation(20_000) == 750
    assert best([_stream([(10, 25), (100, 119)], {10: 0.9, 100: np.nan})], STANDARD)[0] == 0


def test_misses_weigh_by_profile() -> None:
    """With misses of weight 2, one of two windows brings half of what a perfect detector gains."""
    stream = _stream([(60, 79), (140, 149)], {60: 1.0, 120: 2.0})
    profile = Profile(1.0, 0.11, 2.0)
    assert PROFILES["reward low FN"] == profile
    assert best([stream], profile)[0] == pytest.approx(100 * (3 - 0.11) / 6, rel=1e-3)


def test_streams_are_read_scored_and_compared(tmp_path: Path) -> None:
    """Windows in times become rows, only probation is written for training, and the baseline is the unit."""
    times = pd.date_range("2020-01-01", periods=400, freq="5min")
    values = np.random.default_rng(0).normal(size=400)
    values[300] = 50.0
    (tmp_path / "real").mkdir()
    pd.DataFrame({"timestamp": times, "value": values}).to_csv(tmp_path / "real" / "a.csv", index=False)
    windows = {"real/a.csv": [[str(times[290]), str(times[310])]], "real/absent.csv": []}
    (tmp_path / "combined_windows.json").write_text(json.dumps(windows))
    (one,) = nab.files(tmp_path)
    assert one.windows == [(290, 310)]
    written = pd.read_parquet(nab.write_probation([one], tmp_path / "p.parquet"))
    np.testing.assert_array_equal(written["y"], values[:60])
    (found, _) = best([Stream(one.windows, nab.windowed_gaussian(values))], STANDARD)
    assert found > 80
    ratios = nab.with_ratio({"ours": {"standard": 45.0}, nab.GAUSSIAN: {"standard": 30.0}})
    assert ratios["ours"]["ratio"] == 1.5
