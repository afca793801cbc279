"""Files and settings for the tests of training."""

from pathlib import Path
from typing import Any

import numpy as np

from training.settings import TrainSettings


def wave(num_rows: int, *, seed: int = 0, period: int = 12) -> np.ndarray:
    """(T,) a noisy sine about a slow rise."""
    steps = np.arange(num_rows)
    noise = np.random.default_rng(seed).normal(size=num_rows) * 0.2
    return 100 + 0.02 * steps + 5 * np.sin(2 * np.pi * steps / period) + noise


def write_csv(path: Path, num_rows: int = 240, num_series: int = 1, covariate: bool = False) -> Path:
    """Hourly waves in the long layout."""
    lines = ["unique_id,ds,y" + (",load" if covariate else "")]
    for series in range(num_series):
        times = np.datetime64("2024-01-01T00") + np.arange(num_rows).astype("timedelta64[h]")
        for time, value in zip(times, wave(num_rows, seed=series), strict=True):
            lines.append(f"s{series},{time}:00,{value:.4f}" + (",1.5" if covariate else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


def settings_for(data: Path, **options: Any) -> TrainSettings:
    """A run that takes seconds: by default of a model that does not look back, with the smallest graph."""
    small: dict[str, Any] = {
        "data": data,
        "output": data.parent / "repository" / "waves",
        "freq": "h",
        "horizon": 3,
        "hidden_size": 8,
        "max_epochs": 2,
        "batch_size": 4,
        "segment_length": 16,
        "baselines": "quick",
        "seasons": (),
        "calendar": False,
    }
    return TrainSettings.build(small | options)
