"""The accuracy benchmark: what it trains on, what it scores, and that the two never meet."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.accuracy import ett, gefcom, m4, peers, training_speed, without
from benchmarks.accuracy.ablations import ABLATIONS, ON
from benchmarks.accuracy.measured import OURS, Context, only
from benchmarks.accuracy.ours import SETTINGS, settings_for
from benchmarks.accuracy.page import line, write_page
from benchmarks.accuracy.peers import PeerFailed, run_peer
from benchmarks.accuracy.problem import Batch, DataMissing, Problem, Whole, seasonal_naive
from benchmarks.accuracy.published import PUBLISHED, REACH, missed
from benchmarks.accuracy.runs import RUNS
from benchmarks.accuracy.stream import streamed
from models.scaling import RunningScaler
from models.state import initial_state
from models.window import Habits, Window
from tests import model_files
from tests.unit.training.series_files import wave
from training.dataset import read_dataset
from training.streaming import session_of, stream


def _times(num: int, start: str = "2007-01-31T20") -> Any:
    return np.datetime64(start, "us") + np.arange(num) * np.timedelta64(1, "h")


def _problem(*targets: Any, test: int, horizon: int, season: int, levels: Any = (0.1, 0.5, 0.9)) -> Problem:
    series = tuple(
        Whole(f"s{at}", _times(len(target)), np.array(target, float)[:, None], len(target) - test)
        for at, target in enumerate(targets)
    )
    return Problem(("y",), "h", horizon, season, horizon, series, levels)


def _sure(problem: Problem, index: int, origin: int, values: Any) -> Batch:
    """One forecast, one below and one above it at the outer levels."""
    point = np.array(values, float)[:, None]
    return Batch(index, np.array([origin]), (point + np.array([-1.0, 0.0, 1.0]))[None])


def test_m4_scores_are_those_of_hand() -> None:
    """MASE is the mean over series of MAE over the in-sample seasonal error; others are over all values."""
    problem = _problem([1, 2, 3, 5, 8, 10], [10, 10, 20, 20, 40, 40], test=2, horizon=2, season=2)
    batches = [_sure(problem, 0, 3, [7, 12]), _sure(problem, 1, 3, [40, 38])]
    found = m4.score(problem, batches)
    # In-sample |3 - 1|, |5 - 2|: 2.5; |20 - 10| twice: 10.
    assert found["mase"] == pytest.approx((1.5 / 2.5 + 1 / 10) / 2)
    smape = 100 * np.mean([2 * 1 / 15, 2 * 2 / 22, 0, 2 * 2 / 78])
    assert found["smape"] == pytest.approx(smape)
    assert found["nd"] == pytest.approx(5 / 98)
    assert found["owa"] == pytest.approx((smape / 18.383 + found["mase"] / 2.395) / 2)
    assert found["coverage"] == 0.5
    # Level 0.1: forecasts 6, 11, 39, 37; 0.9: 8, 13, 41, 39.
    low = 0.1 * 2 + 0.9 * 1 + 0.1 * 1 + 0.1 * 3
    high = 0 + 0.1 * 3 + 0.1 * 1 + 0.9 * 1
    assert found["wql"] == pytest.approx(np.mean([2 * low / 98, 5 / 98, 2 * high / 98]))


def test_ett_scores_are_those_of_hand() -> None:
    """MSE and MAE over windows, steps and columns, of the mean and the median; the better is chosen."""
    problem = _problem([0] * 5 + [1, 2, 3], test=3, horizon=2, season=1)
    forecast = np.array([[[0.0, 1, 5], [1, 2, 3]], [[0.0, 2, 4], [3, 3, 3]]])
    found = ett.score(problem, [Batch(0, problem.test_origins(problem.series[0]), forecast)])
    assert found["median_mse"] == found["median_mae"] == 0
    assert found["mean_mse"] == pytest.approx(1 / 4)
    assert found["mean_mae"] == pytest.approx(1 / 4)
    losses = np.array([0.1 * 1 + 0.1 * 1 + 0.1 * 2, 0, 0.1 * 4 + 0.1 * 1 + 0.1 * 2])
    assert found["wql"] == pytest.approx(np.mean(2 * losses / 8))
    assert ett.choose(found)({**found, "median_mse": 7.0})["mse"] == 7.0
    assert ett.choose({"mean_mse": 1.0, "median_mse": 2.0})(found)["mse"] == found["mean_mse"]


def test_gefcom_counts_coverage_by_the_month_of_the_value() -> None:
    """The value at midnight between January and February is February's, of whatever hour it was forecast."""
    problem = _problem([1.0, 3, 2, 10, 20, 30], test=3, horizon=2, season=1)
    assert str(problem.series[0].times[4]) == "2007-02-01T00:00:00.000000"
    batches = [_sure(problem, 0, 2, [10, 0]), _sure(problem, 0, 3, [20, 30])]
    found = gefcom.score(problem, batches)
    assert found["coverage_01"] == 1
    assert found["coverage_02"] == pytest.approx(2 / 3)
    assert found["coverage"] == 0.75
    assert "coverage_03" not in found
    by_method = {OURS: {"wql": 1.0}, "seasonal naive": {"wql": 4.0}, gefcom.SPREAD: {"wql": 2.0}}
    made = gefcom.with_ratios(by_method)
    assert made[OURS] == {"wql": 1.0, "wql_ratio": 0.25, "wql_ratio_spread": 0.5}
    assert gefcom.with_ratios(made) == made


def test_the_naive_forecast_with_spread_has_the_errors_of_the_year_before() -> None:
    """Of a load that rises by one an hour, a week old value is 168 too low, at every level and step."""
    target = np.arange(2 * gefcom.WEEK + 365 * 24 + 60, dtype=float)
    problem = _problem(target, test=60, horizon=24, season=gefcom.WEEK)
    (batch,) = gefcom.naive_with_spread(problem)
    np.testing.assert_allclose(batch.forecast, np.repeat(problem.actual(batch)[..., None], 3, axis=-1))


def test_every_window_of_the_test_part_is_an_origin_and_none_of_another() -> None:
    """The first forecast is of the first test row, the last ends with the last; validation ends before."""
    problem = replace(_problem(np.arange(20.0), test=6, horizon=4, season=1), validation=5)
    (one,) = problem.series
    (batch,) = seasonal_naive(problem, 1)
    assert batch.origins.tolist() == [13, 14, 15]
    assert problem.actual(batch).tolist() == [[14, 15, 16, 17], [15, 16, 17, 18], [16, 17, 18, 19]]
    assert batch.forecast[:, :, 0].tolist() == [[13] * 4, [14] * 4, [15] * 4]
    assert problem.validation_origins(one).tolist() == [8, 9]


def test_nothing_of_the_test_part_is_written_for_training(tmp_path: Path) -> None:
    """The training file ends before the test part, and is read as it was written."""
    problem = _problem(np.arange(300.0), np.arange(200.0), test=48, horizon=48, season=24)
    path = problem.write_training(tmp_path / "train.parquet")
    assert pd.read_parquet(path).groupby("unique_id")["y"].max().tolist() == [251, 151]
    dataset = read_dataset(settings_for("m4", path, {}))
    assert [len(one.times) for one in dataset.series] == [252, 152]
    assert [one.validation_start for one in dataset.series] == [252 - 48, 152 - 48]


def test_a_streamed_forecast_has_seen_no_later_row() -> None:
    """What is forecast after a row is that of the file streamed up to there, whatever comes after."""
    content, manifest = model_files.sealed("m", "gru", features=("y",))
    target = wave(900)
    problem = _problem(target, target[:600], test=380, horizon=manifest.horizon, season=1)
    whole = stream(session_of(content), manifest, target[:, None])
    found: dict[int, list[int]] = {0: [], 1: []}
    for batch in streamed(content, problem, problem.test_origins):
        np.testing.assert_array_equal(batch.forecast, whole[batch.origins])
        found[batch.series] += batch.origins.tolist()
    assert list(found.values()) == [problem.test_origins(one).tolist() for one in problem.series]


def test_ett_is_standardised_by_its_training_months(tmp_path: Path) -> None:
    """Twelve months make the mean and the deviation, four more end before the test part; the rest is left."""
    (tmp_path / "ett").mkdir()
    rows = np.arange(20 * 720 + 10.0)
    frame = pd.DataFrame({"date": pd.date_range("2016-07-01", periods=len(rows), freq="h"), "OT": rows})
    frame.to_csv(tmp_path / "ett" / "ETTh1.csv", index=False)
    problem = ett.problem(tmp_path, "ETTh1", 96)
    (one,) = problem.series
    assert (len(one.times), one.test_start, problem.validation) == (14_400, 11_520, 2_880)
    assert one.values[:8_640].mean() == pytest.approx(0, abs=1e-9)
    assert one.values[:8_640].std() == pytest.approx(1)
    assert len(problem.test_origins(one)) == 2_785


def test_data_that_is_absent_is_named(tmp_path: Path) -> None:
    """The message has the file's path and how to name another folder."""
    for read in (m4.problem, gefcom.problem, RUNS["etth1-96"].measure, RUNS["nab"].measure):
        given = Context(tmp_path, tmp_path) if read not in (m4.problem, gefcom.problem) else tmp_path
        with pytest.raises(DataMissing, match=r"expected a file of the benchmark's data.*DATA=folder"):
            read(given)  # type: ignore[operator]


@pytest.mark.parametrize("path", sorted(SETTINGS.glob("*.toml")), ids=lambda path: path.stem)
def test_settings_files_fit_their_runs(path: Path) -> None:
    """Each names a run, is read without a fault, and asks for the levels that are scored."""
    assert path.stem in RUNS
    settings = settings_for(path.stem, Path("d.parquet"), {})
    assert settings.anomaly if path.stem == "nab" else settings.quantile_levels == Problem.levels


def test_ablations_name_options_that_training_knows() -> None:
    """Every part's options are accepted, on data sets that are compared."""
    for ablation in ABLATIONS:
        assert set(ablation.on) <= set(ON) <= set(RUNS)
        for name in ablation.on:
            settings_for(name, Path("d.parquet"), ablation.without)


def test_what_no_option_turns_off_is_taken_out_for_a_while() -> None:
    """Logs of the scale, the mark of missing values, the running scale, the temperature; then all is back."""
    rows = torch.tensor([[*np.arange(10.0, 60.0), math.nan]], dtype=torch.float64)
    (whole, habits), loads = _read_window(rows), (np.ones(3), np.zeros(3))
    with without.log_of_scale():
        changed = (_read_window(rows)[0] != whole).any(dim=(0, 1))
        # One of the four is the unit's own, whose log is zero.
        assert changed.tolist() == [False, False, False, True, False, True, True, False]
    with without.mark_of_missing():
        assert _read_window(rows)[0][0, :, -1].any() == 0
    with without.running_scale():
        fixed = _read_window(rows)[1]
        assert (fixed.level == 0).all()
        assert (fixed.deviation == 1).all()
        assert fixed.errors.shape == habits.errors.shape
    with without.temperature():
        assert list(gefcom.features(*loads)) == ["y"]
    assert list(gefcom.features(*loads)) == ["y", "temperature"]
    assert (_read_window(rows)[0] == whole).all()
    assert whole[0, -1, -1] == 0
    assert whole[0, -2, -1] == 1


def _read_window(rows: torch.Tensor) -> tuple[torch.Tensor, Habits]:
    """What a window of two days says after each row of (B, T)."""
    window, scaler = Window(48, (24,)), RunningScaler(1)
    state = initial_state({**window.state_init(), **scaler.state_init()}, len(rows))
    unit, after = scaler(rows.unsqueeze(-1), state)
    recent, _ = window(rows, scaler.origin(after), unit, state)
    return window.features(recent), recent.habits


def test_runs_are_named_by_their_beginning() -> None:
    """`ett` is all of ETT; a name that nothing begins with is refused, with those that are known."""
    assert only(["ett", "m4"], RUNS) == ["m4", "etth1-96", "etth1-720", "ettm1-96", "ettm1-720"]
    assert only([], RUNS) == list(RUNS)
    with pytest.raises(ValueError, match=r"m4, etth1-96.*found 'm5'"):
        only(["m5"], RUNS)


def test_what_is_out_of_reach_is_said() -> None:
    """A score beyond its limit, and one that is missing, are missed; a bound itself is reached."""
    assert missed("m4", {"mase": 0.80, "smape": 9.4}, REACH) == ["smape", "wql"]
    assert missed("etth1-720", {"mse": 0.48}, REACH) == []
    assert set(PUBLISHED) | set(REACH) <= set(RUNS)


_PEER = """
import json, sys
import numpy as np, pandas as pd
job = json.load(open(sys.argv[1]))
rows = pd.read_parquet(job["data"])
num = rows["unique_id"].nunique()
origins = 1 + (job["test"] - job["horizon"]) // job["stride"]
np.save(job["output"], np.full((num, origins, job["horizon"], SHAPE), rows["y"].max(), np.float32))
print("chatter")
print(json.dumps({"training_s": 1.5}))
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a script in place of a peer's."""

    def run(script: str, **options: Any) -> Any:
        path = tmp_path / "peer.py"
        path.write_text(script)
        monkeypatch.setitem(peers.SCRIPTS, "other", str(path))
        problem = _problem([1.0, np.nan, 3, 4, 5, 6], [1.0, 2, 3, 4, 5, 9], test=4, horizon=2, season=1)
        context = Context(tmp_path, tmp_path, peers=Path(sys.executable))
        return run_peer(context, "other", problem, budget_s=1, **options)

    return run


def test_a_peer_is_scored_by_what_it_writes(peer: Any) -> None:
    """Its forecasts come back with their origins; with a stride, of every so many-th."""
    made = peer(_PEER.replace("SHAPE", "3"), stride=2)
    assert made.took == {"training_s": 1.5, "stride": 2}
    assert [batch.origins.tolist() for batch in made.batches] == [[1, 3], [1, 3]]
    assert all((batch.forecast == 9).all() for batch in made.batches)


def test_a_peer_that_fails_is_told_in_its_own_words(peer: Any) -> None:
    """An error of its process, and forecasts of another shape, name the peer and what was found."""
    with pytest.raises(PeerFailed, match="no such cell"):
        peer("raise SystemExit('no such cell')")
    with pytest.raises(PeerFailed, match=r"expected forecasts \(2, 3, 2, 3\), found \(2, 3, 2, 1\)"):
        peer(_PEER.replace("SHAPE", "1"))


def test_a_step_is_timed_from_end_to_end_after_the_first_ones() -> None:
    """The median of the intervals: one long pause for a validation changes nothing."""
    ends = [0.0] * 20 + [1.0, 1.5, 2.0, 9.0, 9.5]
    assert training_speed.median_step_s(ends) == 0.5


def test_the_page_has_every_run_and_says_what_was_reached(tmp_path: Path) -> None:
    """Ours beside the published rows and the peers, the reach with yes or no, months and ablations."""
    took = {"CPU": "a", "cores": "2", "made_at": "now", "revision": "abc"}
    trained = {**took, "training_s": 1_900.0, "processor_s": 60.0, "state_bytes": 512}
    scores = {"mase": 0.79, "smape": 9.4, "wql": 0.024, "mse": 0.35, "coverage": 0.8, "ratio": 1.5}
    months = {f"coverage_{month:02}": 0.80 for month in range(1, 12)}
    runs = {
        name: {
            "scores": {OURS: {**scores, **(months if name == "gefcom" else {})}, "peer": {"mse": 0.5}},
            "training": {OURS: trained, "peer": {**trained, "stride": 24, "training_s": 5.0}},
            "options": {"seed": 0},
        }
        for name in RUNS
    }
    ablation = {"without": {"cell": "gru"}, "part": "gates", "scores": {"mase": 0.869}, "training_s": 3.0}
    made = {"runs": runs, "ablations": {"m4": [{**ablation, "part": "nothing", "without": {}}, ablation]}}
    made["ablations"]["m4"][0]["scores"] = {"mase": 0.79}
    write_page(made, tmp_path / "accuracy.md")
    page = (tmp_path / "accuracy.md").read_text()
    for run in RUNS.values():
        assert f"## {run.title}\n" in page
    assert "| M4 Hourly, 48 steps | MASE | at most 0.72 | at most 0.8 | 0.79 | yes |" in page
    assert "| M4 Hourly, 48 steps | sMAPE |  | at most 9.3 | 9.4 | no |" in page
    assert "| GEFCom2012 load, 24 steps | months out of 75 to 85 % |" in page
    assert "TiRex, 35M-parameter xLSTM, zero-shot (published) | 0.722 |" in page
    assert "1900 s (60 s); **over 30 minutes**" in page
    assert "every 24th window" in page
    assert '| gates | `{"cell": "gru"}` | 0.869 | +10.0% |' in page
    assert line("peer", {"mse": 0.5}, {"training_s": 5.0}, RUNS["etth1-96"].metrics) == (
        "  peer: MSE 0.5, trained 5 s"
    )
