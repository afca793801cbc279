"""Hourly load of a small grid: a day ahead, with the temperature and what kind of day it is.

    python -m examples.hourly_load [DIRECTORY]

Encoder and decoder of different lengths: a recurrence reads all hours so far, a second one walks over the 24
to come. The load is made up here (two peaks a day, lower at rest, heating when it is cold): put your own file
in its place, with the same columns.
"""

import sys
from pathlib import Path

import numpy as np

from examples.server import serving
from training.scores import mean_absolute_error
from training.settings import TrainSettings
from training.train import train

NUM_DAYS, HORIZON, WEEK = 70, 24, 7 * 24


def made_up_load(num_days: int = NUM_DAYS, seed: int = 0) -> list[tuple[str, float, float, str]]:
    """Rows of time, load in megawatts, temperature in degrees, and whether the day is for work or rest."""
    random, rows = np.random.default_rng(seed), []
    drift = 0.0
    for hour in range(num_days * 24):
        time = np.datetime64("2024-01-01T00", "h") + hour
        of_day, weekday = hour % 24, hour // 24 % 7
        drift = 0.98 * drift + random.normal(0, 0.4)
        temperature = 4 + drift + 4 * np.sin(2 * np.pi * (of_day - 9) / 24)
        peaks = np.exp(-((of_day - 8) ** 2) / 8) + 1.2 * np.exp(-((of_day - 19) ** 2) / 10)
        load = 60 + 25 * peaks * (0.6 if weekday > 4 else 1.0) + 1.5 * max(15 - temperature, 0)
        rows.append((str(time), load + random.normal(0, 1), temperature, "rest" if weekday > 4 else "work"))
    return rows


def main(directory: Path, max_epochs: int = 12) -> tuple[float, float]:
    """The mean absolute errors over the last week, each day forecast at midnight: ours, the day before's."""
    rows = made_up_load()
    file = directory / "load.csv"
    lines = [f"{time},{load:.2f},{degrees:.2f},{day}" for time, load, degrees, day in rows]
    file.write_text("\n".join(["ds,load,temperature,day", *lines[:-WEEK]]))
    train(
        TrainSettings.build(
            {
                "data": file,
                "target": "load",
                "categorical": ["day"],
                "output": directory / "models" / "load",
                "freq": "h",
                "horizon": HORIZON,
                "decoder": "recurrent",
                "head": "gaussian",
                "hidden_size": 32,
                "max_epochs": max_epochs,
                "learning_rate": 0.01,
            }
        )
    )
    times = np.array([row[0] for row in rows], "datetime64[us]")
    load = np.array([row[1] for row in rows])
    with serving(directory / "models") as client:
        session = client.session("load", "small grid")
        observed = [list(row[1:]) for row in rows]
        session.observe(observed[: -WEEK - 24], times[: -WEEK - 24])
        ours = []
        for start in range(len(rows) - WEEK - 24, len(rows) - 24, 24):
            day = slice(start, start + 24)
            ours.append(session.forecast(observed[day], times[day]).forecast.median)
    actual, day_before = load[-WEEK:], load[-WEEK - 24 : -24]
    return mean_absolute_error(actual, np.concatenate(ours)), mean_absolute_error(actual, day_before)


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-output")
    chosen.mkdir(parents=True, exist_ok=True)
    error, of_naive = main(chosen, max_epochs=30)
    print(f"mean absolute error {error:.2f} MW; of the day before {of_naive:.2f} MW")
