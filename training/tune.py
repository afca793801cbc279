"""A search for the best options: Optuna's trials, each a training run; a study outlives its workers."""

import fcntl
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from training.dataset import Dataset
from training.fit import fit
from training.pruning import EpochReports
from training.quiet import quiet_optuna
from training.read import read
from training.sampling import SeededByTrial
from training.search_space import Range, SearchSpace, is_whole, read_space
from training.settings import SettingsError, TrainSettings
from training.train import export
from training.tune_settings import HEARTBEAT_S, TuneSettings

STUDY_FILE = "tune.db"
_OPTIONS = "options"
_SQLITE = "sqlite:///"
# What may differ between the workers of a study, and between a study and its continuation.
_FREE = {"data", "output", "threads", "work_dir", "resume", "baselines", "logger", "log_dir", "tracking_uri"}
_FREE |= {"cache_dir", "gate"}
# A backtest's score, but for the loss that is there without one.
_LOSS = "val_loss"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Progress:
    """How far a study is: its finished trials, those of them cut short, the best value and its trial."""

    num_finished: int
    num_pruned: int
    best: float | None
    best_trial: int | None


@dataclass(frozen=True)
class Tuned:
    """What a study found.

    Attributes:
        value: of the objective, smaller is better.
        chosen: the options of the space in the best trial.
        settings: the whole run that they make.
    """

    study: str
    storage: str
    progress: Progress
    value: float
    chosen: dict[str, Any]
    settings: TrainSettings


def tune(settings: TuneSettings, *, watch: Callable[[Progress], None] = lambda _: None) -> Tuned:
    """Work on a study until it has `settings.trials` finished ones, beside other workers if there are any.

    A study that has the storage and the name goes on. `watch` is told of each trial that this worker ends.
    A trial whose worker died is tried again by the next worker, where the storage is a database.

    Raises:
        DataError: the file of series.
        SettingsError: the options, a study of other options, or not one trial that came to its end.
    """
    space, dataset = read_space(settings.space), read(settings)
    with quiet_optuna():
        study = _open(settings, space)
        deadline = time.monotonic() + (settings.timeout_s or math.inf)
        watch(progress_of(study))
        while progress_of(study).num_finished < settings.trials and time.monotonic() < deadline:
            study.optimize(lambda trial: _objective(trial, settings, space, dataset), n_trials=1)
            watch(progress_of(study))
        progress = progress_of(study)
        if progress.best is None:
            raise SettingsError(f"trials: expected one that came to its end, found {progress.num_finished}")
        best = study.best_trial
    return Tuned(
        study=settings.study,
        storage=storage_name(settings) or "memory",
        progress=progress,
        value=progress.best,
        chosen=best.params,
        settings=settings.train_settings(best.params),
    )


def storage_name(settings: TuneSettings) -> str | None:
    """The storage's URL or its journal's path; None for memory."""
    if settings.storage is not None or settings.work_dir is None:
        return settings.storage
    return f"sqlite:///{settings.work_dir / STUDY_FILE}"


def progress_of(study: optuna.Study) -> Progress:
    """As the storage has it now, all workers' trials counted."""
    trials = study.get_trials(deepcopy=False, states=_FINISHED)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = min(complete, key=lambda trial: trial.value or 0.0, default=None)
    num_pruned = len(trials) - len(complete)
    if best is None:
        return Progress(len(trials), num_pruned, None, None)
    return Progress(len(trials), num_pruned, best.value, best.number)


def _open(settings: TuneSettings, space: SearchSpace) -> optuna.Study:
    study = optuna.create_study(
        study_name=settings.study,
        storage=_storage(settings),
        sampler=SeededByTrial(settings.seed),
        pruner=optuna.pruners.MedianPruner() if settings.prune else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    options = json.loads(settings.model_dump_json(include=set(TrainSettings.model_fields) - _FREE))
    options["objective"] = settings.objective
    options["space"] = {name: json.loads(one.model_dump_json()) for name, one in space.items()}
    before = study.user_attrs.get(_OPTIONS)
    if before is None:
        study.set_user_attr(_OPTIONS, options)
        return study
    for name, value in options.items():
        if before.get(name) != value:
            had = f"{before.get(name)!r}, as in the trials that study {settings.study} has"
            raise SettingsError(f"{name}: expected {had}, found {value!r}")
    return study


def _storage(settings: TuneSettings) -> optuna.storages.BaseStorage | None:
    name = storage_name(settings)
    if settings.work_dir is not None:
        settings.work_dir.mkdir(parents=True, exist_ok=True)
    if name is None:
        return None
    try:
        if "://" not in name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            return optuna.storages.JournalStorage(JournalFileBackend(name))
        with _alone(name):
            return _database(name)
    except Exception as error:  # drivers that are not installed, addresses that are none, files that are not
        raise SettingsError(f"storage: {str(error).splitlines()[0]}, found {name!r}") from error


def _database(name: str) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(
        name,
        heartbeat_interval=HEARTBEAT_S,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
        # Workers write beside each other; SQLite lets one at a time.
        engine_kwargs={"connect_args": {"timeout": 60}} if name.startswith(_SQLITE) else {},
    )


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Workers that start together would each make the tables of an SQLite file: one after the other."""
    if not name.startswith(_SQLITE):
        yield
        return
    path = Path(name.removeprefix(_SQLITE))
    with path.with_name(f"{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _objective(trial: optuna.Trial, settings: TuneSettings, space: SearchSpace, dataset: Dataset) -> float:
    chosen = {name: _suggest(trial, name, one) for name, one in space.items()}
    run = settings.train_settings(chosen, work_dir=None)
    reports = EpochReports(trial)
    forecaster = fit(run, dataset, watchers=[reports])
    value = reports.best
    if settings.objective != _LOSS:
        value = export(run, dataset, forecaster)[1].backtest.get(settings.objective, math.nan)
    if not math.isfinite(value):
        raise optuna.TrialPruned(f"{settings.objective} is {value}")
    return value


def _suggest(trial: optuna.Trial, name: str, one: Any) -> Any:
    if not isinstance(one, Range):
        return trial.suggest_categorical(name, one.choices)
    if is_whole(name):
        return trial.suggest_int(name, int(one.low), int(one.high), step=int(one.step or 1), log=one.log)
    return trial.suggest_float(name, one.low, one.high, step=one.step, log=one.log)
