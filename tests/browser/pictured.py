"""What the documentation's pictures show: an hourly load that one could have measured, and a model of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.server_process import clean_environment

MODEL = "load"
# A year before the pictures' rows is what the model learns from.
NUM_LEARNED, NUM_ROWS = 24 * 7 * 26, 24 * 7 * 40
_START = np.datetime64("2025-01-06T00:00:00", "us")


def series() -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """Times and values (T,): a day with two peaks, weekends that are lower, weather that lasts for hours."""
    rng = np.random.default_rng(3)
    hours = np.arange(NUM_ROWS)
    day, is_weekend = hours % 24, (hours // 24) % 7 >= 5
    weather = np.zeros(NUM_ROWS)
    for hour in range(1, NUM_ROWS):
        weather[hour] = 0.85 * weather[hour - 1] + rng.normal() * 0.9
    peaks = 9 * np.sin((day - 7) / 12 * np.pi) + 5 * np.sin((day - 9) / 6 * np.pi)
    calm = 6 * is_weekend * (1 + 0.4 * np.sin((day - 8) / 12 * np.pi))
    values = 42 + peaks - calm + weather + rng.normal(size=NUM_ROWS) * 0.5
    return _START + hours * np.timedelta64(1, "h"), values


def train(repository: Path) -> None:
    """Put the model into the repository, unless it is there; takes minutes."""
    if (repository / MODEL).exists():
        return
    repository.mkdir(parents=True, exist_ok=True)
    times, values = series()
    lines = [f"{at},{value:.3f}" for at, value in zip(times[:NUM_LEARNED], values[:NUM_LEARNED], strict=True)]
    data = repository / "load.csv"
    data.write_text("\n".join(["time,load", *lines]) + "\n")
    options = {
        "--data": data, "--time-column": "time", "--target": "load", "--freq": "h", "--horizon": "24",
        "--hidden-size": "24", "--num-layers": "1", "--max-epochs": "8", "--output": repository / MODEL,
        "--quantile-levels": "0.05,0.25,0.5,0.75,0.95",
    }  # fmt: skip
    flags = [str(part) for pair in options.items() for part in pair]
    command = [sys.executable, "-m", "cli", "train", "--calibrate", "--anomaly", *flags]
    subprocess.run(command, check=True, env=clean_environment())
    data.unlink()
