"""Our forecaster: trained as `statecast train` does, from a settings file, on the training part alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy.measured import Took
from benchmarks.accuracy.problem import Problem
from training.settings import TrainSettings
from training.train import train

SETTINGS = Path(__file__).parent / "settings"
# Enough to see that everything works.
QUICK = {"max_epochs": 1, "members": 1, "hidden_size": 8, "segment_length": 24}


@dataclass(frozen=True)
class Trained:
    """A published file, and what it took.

    Attributes:
        content: of the file.
        training_s: wall time of the whole command: reading, fitting, export, checks, backtest.
        processor_s: processor time of the same.
        state_bytes: of one session.
    """

    content: bytes
    settings: TrainSettings
    training_s: float
    processor_s: float
    state_bytes: int

    def took(self) -> Took:
        """For the table."""
        return {
            "training_s": self.training_s,
            "processor_s": self.processor_s,
            "state_bytes": self.state_bytes,
            "file_bytes": len(self.content),
        }


def train_ours(
    problem: Problem, name: str, directory: Path, given: Mapping[str, Any], *, quick: bool = False
) -> Trained:
    """Write the training part, train with `settings/NAME.toml` and `given` on top of it.

    Raises:
        ValueError: the file's frequency, horizon or levels are not those of the problem.
    """
    settings = settings_for(name, problem.write_training(directory / "train.parquet"), given, quick=quick)
    for option, expected in (
        ("freq", problem.freq),
        ("horizon", problem.horizon),
        ("quantile_levels", problem.levels),
    ):
        if (found := getattr(settings, option)) != expected:
            raise ValueError(f"settings/{name}.toml: {option}: expected {expected!r}, found {found!r}")
    return train_with(settings)


def train_with(settings: TrainSettings) -> Trained:
    """Train and publish, and note what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    published = train(settings, progress=True)
    return Trained(
        published.path.read_bytes(),
        settings,
        time.perf_counter() - wall,
        time.process_time() - processor,
        published.manifest.state_bytes,
    )


def settings_for(name: str, data: Path, given: Mapping[str, Any], *, quick: bool = False) -> TrainSettings:
    """Those of `settings/NAME.toml`; published beside `data`."""
    paths = {"data": data, "output": data.parent / "models" / name}
    return TrainSettings.build({**paths, **(QUICK if quick else {}), **given}, SETTINGS / f"{name}.toml")


def options_of(settings: TrainSettings) -> dict[str, Any]:
    """What was set, without paths: what a result is to be repeated with."""
    return settings.model_dump(mode="json", exclude={"data", "output"}, exclude_unset=True)
