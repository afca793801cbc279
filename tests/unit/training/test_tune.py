"""A search for options: what it tries, what it keeps, and how it goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.unit.training.series_files import write_csv
from training.settings import SettingsError, TrainSettings
from training.tune import Progress, tune
from training.tune_settings import TuneSettings

SPACE = "hidden_size = {low = 2, high = 8}\nlearning_rate = {low = 1e-3, high = 1e-1, log = true}\n"


def _settings(folder: Path, **options: Any) -> TuneSettings:
    data, space = folder / "data.csv", folder / "space.toml"
    if not data.exists():
        write_csv(data, num_rows=80)
    if not space.exists():
        space.write_text(SPACE)
    small: dict[str, Any] = {
        "data": data,
        "output": folder / "repository" / "waves",
        "freq": "h",
        "horizon": 3,
        "max_epochs": 1,
        "batch_size": 4,
        "segment_length": 16,
        "baselines": "quick",
        "space": space,
        "trials": 2,
    }
    return TuneSettings.build(small | options)


def _study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="waves", storage=f"sqlite:///{folder / 'work' / 'tune.db'}")


def test_the_best_trial_is_the_answer_and_another_call_goes_on(tmp_path: Path) -> None:
    """The smallest value wins; the same storage and name continue as one unbroken search would."""
    seen: list[Progress] = []
    tune(_settings(tmp_path, work_dir=tmp_path / "work"), watch=seen.append)
    assert [progress.num_finished for progress in seen] == [0, 1, 2]
    tuned = tune(_settings(tmp_path, work_dir=tmp_path / "work", trials=4))
    trials = _study(tmp_path).trials
    assert tuned.value == min(trial.value for trial in trials if trial.value is not None)
    assert tuned.settings.hidden_size == tuned.chosen["hidden_size"]
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    unbroken = tune(_settings(tmp_path, storage=str(tmp_path / "journal"), trials=4))
    assert (unbroken.chosen, unbroken.value) == (tuned.chosen, tuned.value)


def test_a_study_of_other_options_is_not_gone_on_with(tmp_path: Path) -> None:
    """Values of another objective or horizon do not compare; the option is named."""
    tune(_settings(tmp_path, work_dir=tmp_path / "work", trials=1))
    with pytest.raises(SettingsError, match=r"horizon: expected 3, as in the trials .* found 4"):
        tune(_settings(tmp_path, work_dir=tmp_path / "work", horizon=4))


def test_the_objective_may_be_a_score_of_the_backtest(tmp_path: Path) -> None:
    """A trial's value is then the exported file's score: that of the model which its options train."""
    from training.train import train

    tuned = tune(_settings(tmp_path, objective="mase", trials=1))
    assert tuned.value == pytest.approx(train(tuned.settings).manifest.backtest["mase"])


def test_a_hopeless_trial_is_cut_short(tmp_path: Path) -> None:
    """Worse than the median of the trials before at the same epoch: it ends there, and is told as pruned."""
    space = tmp_path / "space.toml"
    space.write_text("learning_rate = {choices = [1e-9]}\n")
    settings = _settings(tmp_path, work_dir=tmp_path / "work", trials=6, max_epochs=3)
    study = optuna.create_study(study_name="waves", storage=_sqlite(tmp_path), direction="minimize")
    for _ in range(5):
        study.add_trial(optuna.create_trial(value=1e-6, intermediate_values={0: 1e-6, 1: 1e-6, 2: 1e-6}))
    progress = tune(settings).progress
    assert (progress.num_finished, progress.num_pruned, progress.best) == (6, 1, 1e-6)
    assert len(_study(tmp_path).trials[-1].intermediate_values) == 1


def _sqlite(folder: Path) -> str:
    (folder / "work").mkdir()
    return f"sqlite:///{folder / 'work' / 'tune.db'}"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("horizon = {low = 1, high = 2}", "horizon: expected one of cell, "),
        ("hidden_size = {low = 9, high = 2}", "hidden_size: expected low up to high"),
        ("hidden_size = {low = 0, high = 2, log = true}", "a positive low"),
        ("cell = {choices = []}", "cell.choices"),
        ("", "at least one option"),
        ("hidden_size = 3", "hidden_size"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(space: str, message: str, tmp_path: Path) -> None:
    """The option is named, before anything is trained."""
    (tmp_path / "space.toml").write_text(space)
    with pytest.raises(SettingsError, match=message):
        tune(_settings(tmp_path))


def _worker(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    _settings(folder)
    command = [sys.executable, "-m", "cli", "tune", "--data", str(folder / "data.csv")]
    command += ["--output", str(folder / "repository/waves"), "--freq", "h", "--horizon", "3"]
    command += ["--batch-size", "4", "--segment-length", "16", "--baselines", "quick"]
    command += ["--space", str(folder / "space.toml"), "--work-dir", str(folder / "work"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_workers_share_a_study(tmp_path: Path) -> None:
    """Two processes at once finish one study between them; each prints the best options as a TOML file."""
    workers = [_worker(tmp_path, "--trials", "8", "--max-epochs", "1") for _ in range(2)]
    answers = [worker.communicate(timeout=150) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], answers
    trials = _study(tmp_path).trials
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    assert 8 <= len(trials) <= 9
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials)
    config = tmp_path / "best.toml"
    config.write_text(answers[0][0])
    assert TrainSettings.build({}, config).hidden_size in range(2, 9)
    assert (tmp_path / "work" / "best.toml").exists()


def test_the_trial_of_a_killed_worker_is_tried_again(tmp_path: Path) -> None:
    """A worker that dies leaves its trial to the next one, with the same options."""
    worker = _worker(tmp_path, "--trials", "1", "--max-epochs", "100000", "--patience", "100000")
    assert worker.stderr is not None
    assert worker.stderr.readline().startswith("0/1 trials")
    while not (begun := _heartbeats(tmp_path)):
        assert worker.poll() is None
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    # As if its heart had stopped long ago.
    with sqlite3.connect(tmp_path / "work" / "tune.db") as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
    study = _study(tmp_path)
    (left,) = [trial for trial in study.trials if trial.number == 0]
    assert (begun, left.state) == (1, TrialState.RUNNING)
    # The same options, but for what would take a day.
    options = study.user_attrs["options"] | {"max_epochs": 1, "patience": 15}
    study.set_user_attr("options", options)
    tuned = tune(_settings(tmp_path, work_dir=tmp_path / "work", trials=1))
    dead, retried = _study(tmp_path).trials
    assert (dead.state, retried.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert retried.params == left.params == tuned.chosen


def _heartbeats(folder: Path) -> int:
    """Trials that a worker has shown signs of life at, once it has drawn their options."""
    query = (
        "SELECT count(*) FROM trial_heartbeats WHERE "
        "(SELECT count(*) FROM trial_params p WHERE p.trial_id = trial_heartbeats.trial_id) = 2"
    )
    try:
        with sqlite3.connect(folder / "work" / "tune.db") as database:
            return int(database.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0
