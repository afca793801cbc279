"""Fit a forecaster with Lightning; the best weights come back."""

import json
import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from models.ensemble import Ensemble
from models.forecaster import Architecture, Forecaster
from models.frequency import Frequency
from training.clipping import ClipValues
from training.dataset import Dataset
from training.hardware import hardware
from training.loggers import loggers
from training.memory_start import remember_for
from training.module import ForecasterModule
from training.processes import AnotherPublishes, num_processes, rank
from training.progress import EpochProgress
from training.quiet import errors_only
from training.rows import layout_of
from training.segments import TrainingSegments, ValidationSegments
from training.settings import SettingsError, TrainSettings
from training.shared_lanes import OwnLanes
from training.weights import Version, of_member, read_version, start_from

# In a work directory: the best weights, and the run's options.
CHECKPOINT, NOTE = "best.ckpt", "settings.json"
# Rows looked back on at least.
_FEWEST_BACK = 16
# What may differ between a run and the one that resumes it.
_FREE_ON_RESUME = {
    "output",
    "data",
    "max_epochs",
    "patience",
    "threads",
    "work_dir",
    "resume",
    "baselines",
    "gate",
    "refit",
} | {
    "devices",
    "logger",
    "log_dir",
    "tracking_uri",
    "cache_dir",
}


def build(
    settings: TrainSettings,
    num_features: int,
    *,
    labels: tuple[str, ...] = (),
    categories: tuple[int, ...] = (),
    future: tuple[int, ...] = (),
    static: tuple[int, ...] = (),
) -> Forecaster:
    """A forecaster with starting weights, drawn from torch's global random stream.

    `labels`, the features' `categories`, `future` and `static` are as in `models.forecaster.Architecture`.

    Raises:
        SettingsError: `memory_steps` for a cell without a gate that keeps.
    """
    forecaster = Forecaster(
        Architecture(
            cell=settings.cell,
            num_features=num_features,
            hidden_size=settings.hidden_size,
            num_layers=settings.num_layers,
            dropout=settings.dropout,
            horizon=settings.horizon,
            quantile_levels=settings.quantile_levels if settings.task == "regression" else (),
            residual=settings.residual,
            look_ahead=settings.look_ahead,
            task=settings.task,
            predicts=settings.predicts,
            head=settings.head,
            decoder=settings.decoder,
            num_paths=settings.sample_paths if settings.decoder == "roll-out" else 0,
            labels=labels,
            categories=categories if any(categories) else (),
            future=future,
            static=static,
            reads_time=settings.calendar,
            calibrate=settings.calibrate,
            anomaly=settings.anomaly,
            frequency=settings.freq,
            **_look_back(settings),
        )
    )
    if settings.memory_steps is not None:
        remember_for(forecaster.cell, settings.memory_steps)
    return forecaster


def _look_back(settings: TrainSettings) -> dict[str, Any]:
    """What `Architecture` needs for a forecast that starts from seasonal ones; nothing where it does not."""
    seasons = Frequency.parse(settings.freq).seasons if settings.seasons is None else settings.seasons
    if not settings.skips_by_season or not seasons:
        return {}
    shortest, longest = seasons[0], seasons[-1]
    wanted = settings.window or max(2 * longest, _FEWEST_BACK)
    # Whole seasons of the shortest kind.
    window = max(math.ceil(wanted / shortest) * shortest, 2 * longest)
    maps = settings.maps_window and settings.decoder != "roll-out"
    return {"seasons": seasons, "window": window, "maps_window": maps}


def build_for(settings: TrainSettings, dataset: Dataset) -> Forecaster:
    """`build` for the columns of a file, static numbers standardised by its series."""
    forecaster = build(
        settings,
        len(dataset.features),
        labels=dataset.labels,
        categories=dataset.num_categories,
        future=dataset.future,
        static=dataset.static,
    )
    numbers = forecaster.inputs.static_numbers
    if numbers:
        # One of each series: the rows of a series are all the same there.
        firsts = np.array([_first_known(one.values[:, numbers]) for one in dataset.series])
        mean, deviation = np.nanmean(firsts, axis=0), np.nanstd(firsts, axis=0)
        forecaster.inputs.static_mean.copy_(torch.from_numpy(mean))
        forecaster.inputs.static_deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))
    return forecaster


def _first_known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each column (T, N) the first value that is there."""
    first: npt.NDArray[np.float64] = np.take_along_axis(values, (~np.isnan(values)).argmax(0)[None], 0)[0]
    return first


def fit(
    settings: TrainSettings, dataset: Dataset, *, progress: bool = False, watchers: Sequence[Callback] = ()
) -> Forecaster | Ensemble:
    """As many forecasters as the options want members, each from a seed of its own; see `fit_one`."""
    fitted = [
        fit_one(own, dataset, start, progress=progress, watchers=watchers)
        for own, start in _members(settings)
    ]
    return _together(settings, fitted)


def fit_to_all(
    settings: TrainSettings, dataset: Dataset, num_epochs: Sequence[int], *, progress: bool = False
) -> Forecaster | Ensemble:
    """The same forecasters once more from their beginning, the validation parts learned from as well.

    Args:
        num_epochs: that each member learns for; the step size falls as if there were `max_epochs`.
    """
    whole = replace(
        dataset, series=tuple(replace(one, validation_start=len(one.times)) for one in dataset.series)
    )
    fitted = [
        _fit_to_all(own, whole, start, num, progress=progress)
        for (own, start), num in zip(_members(settings), num_epochs, strict=True)
    ]
    return _together(settings, fitted)


def _members(settings: TrainSettings) -> Iterator[tuple[TrainSettings, Version | None]]:
    """Each member's options, and what it starts from."""
    start = read_version(settings)
    if settings.members == 1:
        yield settings, start
        return
    for member in range(settings.members):
        directory = settings.work_dir and settings.work_dir / f"member{member}"
        update = {"seed": settings.seed + member, "work_dir": directory, "members": 1}
        # The mean is watched, not a member.
        own = settings.model_copy(update={**update, "calibrate": False, "anomaly": False})
        yield own, start and of_member(start, member)


def _together(settings: TrainSettings, members: Sequence[Forecaster]) -> Forecaster | Ensemble:
    if settings.members == 1:
        return members[0]
    return Ensemble(members, calibrate=settings.calibrate, anomaly=settings.anomaly)


def fit_one(
    settings: TrainSettings,
    dataset: Dataset,
    start: Version | None = None,
    *,
    progress: bool = False,
    watchers: Sequence[Callback] = (),
) -> Forecaster:
    """Train until the validation loss stops falling or `max_epochs`; the best epoch's weights, on the CPU.

    Seeds torch's and numpy's global random streams. `watchers` are called as Lightning calls its callbacks.

    Raises:
        SettingsError: `resume` with a work directory of a run that had other options; a version to start from
            that is not there or of another architecture; what `hardware` and `loggers` raise.
        AnotherPublishes: in all processes but the first, where torchrun started several.
    """
    with _quiet(), _threads(settings.threads), _work_dir(settings) as directory:
        module = _module(settings, dataset, start)
        last = _last_checkpoint(settings, directory)
        callbacks = [
            EarlyStopping("val_loss", patience=settings.patience),
            ModelCheckpoint(directory, "best", monitor="val_loss", enable_version_counter=False),
            # `save_last` would copy the best one; a run goes on from where it was. After "best", to note it.
            ModelCheckpoint(directory, "last", enable_version_counter=False),
            *_callbacks(settings, settings.max_epochs, progress=progress),
            *watchers,
        ]
        trainer = _trainer(
            settings, directory, callbacks, settings.max_epochs, logger=loggers(settings) or False
        )
        trainer.fit(module, datamodule=_Segments(settings, dataset), ckpt_path=last)
        if num_processes() > 1:
            torch.distributed.destroy_process_group()
        if rank() > 0:
            raise AnotherPublishes
        state = torch.load(directory / CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
    return module.forecaster.cpu().eval()


def _fit_to_all(
    settings: TrainSettings, dataset: Dataset, start: Version | None, num_epochs: int, *, progress: bool
) -> Forecaster:
    """The last epoch's weights: nothing is left to choose by."""
    with (
        _quiet(),
        _threads(settings.threads),
        tempfile.TemporaryDirectory(prefix="statecast-train-") as directory,
    ):
        module = _module(settings, dataset, start)
        callbacks = _callbacks(settings, num_epochs, progress=progress)
        trainer = _trainer(
            settings, Path(directory), callbacks, num_epochs, limit_val_batches=0, enable_checkpointing=False
        )
        trainer.fit(module, datamodule=_Segments(settings, dataset))
    return module.forecaster.cpu().eval()


def _module(settings: TrainSettings, dataset: Dataset, start: Version | None) -> ForecasterModule:
    """With starting weights; seeds torch's and numpy's global random streams."""
    lightning.seed_everything(settings.seed, verbose=False)
    forecaster = build_for(settings, dataset)
    if start is not None:
        start_from(forecaster, start, dataset)
    return ForecasterModule(
        forecaster,
        learning_rate=settings.learning_rate,
        missing_rate=settings.missing_rate,
        required=tuple(dataset.features.index(name) for name in settings.required),
        seed=settings.seed,
        teacher_forcing=settings.teacher_forcing,
        num_epochs=settings.max_epochs,
        num_origins=settings.origins_a_segment,
    )


def _callbacks(settings: TrainSettings, num_epochs: int, *, progress: bool) -> list[Callback]:
    callbacks: list[Callback] = []
    if settings.gradient_clip_value is not None:
        callbacks.append(ClipValues(settings.gradient_clip_value))
    if progress and rank() == 0:
        callbacks.append(EpochProgress(num_epochs))
    return callbacks


def _trainer(
    settings: TrainSettings, directory: Path, callbacks: Sequence[Callback], num_epochs: int, **more: Any
) -> lightning.Trainer:
    options: dict[str, Any] = {
        **hardware(settings),
        "logger": False,
        "gradient_clip_val": settings.gradient_clip,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "reload_dataloaders_every_n_epochs": 1,
        **more,
    }
    return lightning.Trainer(
        max_epochs=num_epochs, callbacks=list(callbacks), default_root_dir=directory, **options
    )


class _Segments(lightning.LightningDataModule):
    def __init__(self, settings: TrainSettings, dataset: Dataset) -> None:
        super().__init__()
        self._settings = settings
        self._dataset = dataset

    def train_dataloader(self) -> OwnLanes:
        assert self.trainer is not None
        segments = TrainingSegments(
            self._dataset.series,
            horizon=self._settings.horizon,
            batch_size=self._settings.batch_size,
            segment_length=self._settings.segment_length,
            seed=self._settings.seed,
            epoch=self.trainer.current_epoch,
            lead=self._settings.lead,
            layout=layout_of(self._dataset, self._settings),
            window=_look_back(self._settings).get("window", 0),
        )
        return OwnLanes(segments)

    def val_dataloader(self) -> OwnLanes:
        segments = ValidationSegments(
            self._dataset.series,
            horizon=self._settings.horizon,
            batch_size=self._settings.batch_size,
            lead=self._settings.lead,
            layout=layout_of(self._dataset, self._settings),
        )
        return OwnLanes(segments)


@contextmanager
def _threads(num: int) -> Iterator[None]:
    """A step of a small recurrence is shorter than waking a thread: on a busy machine, by far."""
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _work_dir(settings: TrainSettings) -> Iterator[Path]:
    """The directory for checkpoints; a temporary one where none is wanted."""
    if settings.work_dir is not None:
        settings.work_dir.mkdir(parents=True, exist_ok=True)
        yield settings.work_dir
        return
    with tempfile.TemporaryDirectory(prefix="statecast-train-") as directory:
        yield Path(directory)


def _last_checkpoint(settings: TrainSettings, directory: Path) -> Path | None:
    """The checkpoint to go on from, if any; else notes the options, for the run that will resume this one."""
    note, checkpoint = directory / NOTE, directory / "last.ckpt"
    options = json.loads(settings.model_dump_json(exclude=_FREE_ON_RESUME))
    if settings.resume and checkpoint.exists():
        before = json.loads(note.read_text()) if note.exists() else {}
        for name, value in options.items():
            if before.get(name) != value:
                had = f"{before.get(name)!r}, as in the run that {directory} holds"
                raise SettingsError(f"{name}: expected {had}, found {value!r}")
        return checkpoint
    if rank() > 0:
        return None
    # The data may move, and a later command may still be glad to know where it was.
    note.write_text(json.dumps({**options, "data": str(settings.data.resolve())}, indent=2))
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints and torch's deprecations, meant for the author of a script, off the screen."""
    with errors_only("lightning.pytorch", "lightning.fabric"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", module="torch")
        yield
