"""What can be diagnosed: a training run's work directory, or cells with fresh weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import lightning
import torch

from models.cells import CELLS
from training.diagnosis.report import Diagnosis, diagnose
from training.diagnosis.windows import windows_of
from training.fit import CHECKPOINT, NOTE, build_for
from training.layout import guess_layout
from training.memory_start import keeps, remember_for
from training.progress_bar import progress_bar
from training.read import read
from training.settings import SettingsError, TrainSettings

# Fresh weights are not published; the name only fills a field.
_NOWHERE = Path("repository/diagnosed")
# Of a fresh cell that looks ahead.
_LOOK_AHEAD = 4


def diagnose_run(work_dir: Path, steps: int, data: Path | None = None) -> Diagnosis:
    """The best weights of a run, on the file it was trained on or another like it.

    Raises:
        SettingsError: the directory holds no run, or one of other features or labels than the file's.
        DataError: the file.
    """
    settings, checkpoint = run_settings(work_dir, data), work_dir / CHECKPOINT
    dataset = read(settings)
    forecaster = build_for(settings, dataset)
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    try:
        forecaster.load_state_dict(
            {name.removeprefix("forecaster."): value for name, value in weights.items()}
        )
    except RuntimeError as error:
        expected = f"a file with the features and labels that {checkpoint} was trained on"
        raise SettingsError(f"data: expected {expected}, found {settings.data}") from error
    return diagnose(f"{settings.cell} of {work_dir.name}", forecaster, windows_of(dataset, settings, steps))


def run_settings(work_dir: Path, data: Path | None = None) -> TrainSettings:
    """The options of the run that a work directory holds.

    Raises:
        SettingsError: there is none.
    """
    note, checkpoint = work_dir / NOTE, work_dir / CHECKPOINT
    if not note.is_file() or not checkpoint.is_file():
        found = "a published model, which holds no gradients" if _is_published(work_dir) else str(work_dir)
        raise SettingsError(f"run: expected a directory that `train --work-dir` left, found {found}")
    options = json.loads(note.read_text())
    if data is not None:
        options["data"] = str(data)
    if "data" not in options:
        raise SettingsError(f"data: missing; {note} does not say what the run was trained on")
    return TrainSettings.build({**options, "output": _NOWHERE})


def diagnose_fresh(
    cells: Sequence[str],
    data: Path,
    *,
    steps: int,
    hidden_size: int,
    num_layers: int,
    memory_steps: int | None,
    seed: int,
    progress: bool = False,
) -> list[Diagnosis]:
    """Cells with starting weights, on a file whose layout is guessed.

    `memory_steps` is for those that have a gate that keeps; `progress` shows a bar on standard error.

    Raises:
        SettingsError, DataError: as `training.train.train`.
    """
    shape = {"hidden_size": hidden_size, "num_layers": num_layers, "seed": seed}
    fixed: dict[str, object] = {**vars(guess_layout(data)), **shape, "data": data, "output": _NOWHERE}
    found = []
    with progress_bar("cells", len(cells), "cells", is_shown=progress) as advance:
        for cell in cells:
            found.append(_fresh(cell, fixed, memory_steps, steps))
            advance(1)
    return found


def _fresh(cell: str, fixed: Mapping[str, object], memory_steps: int | None, steps: int) -> Diagnosis:
    look_ahead = _LOOK_AHEAD if cell in CELLS and CELLS[cell].looks_ahead else 0
    # The first step that was not yet seen is what is forecast.
    horizon = cast(int, fixed["num_layers"]) * look_ahead + 1
    settings = TrainSettings.build({**fixed, "cell": cell, "look_ahead": look_ahead, "horizon": horizon})
    dataset = read(settings)
    lightning.seed_everything(settings.seed, verbose=False)
    forecaster = build_for(settings, dataset)
    if memory_steps is not None and keeps(forecaster.cell):
        remember_for(forecaster.cell, memory_steps)
    return diagnose(cell, forecaster, windows_of(dataset, settings, steps))


def _is_published(path: Path) -> bool:
    return path.suffix == ".onnx" or any(path.glob("*/model.onnx")) or (path / "model.onnx").is_file()
