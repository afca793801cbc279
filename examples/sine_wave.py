"""A sine wave, learned by one layer of 50 LSTM units and drawn.

    python -m examples.sine_wave [DIRECTORY]

Many to many, aligned: a forecast of the next ten values after every row.
"""

import sys
from pathlib import Path

import numpy as np

from examples.server import serving
from training.picture import Streamed, draw
from training.scores import mean_absolute_error, seasonal_naive
from training.segments import targets_of
from training.settings import TrainSettings
from training.train import train

PERIOD, NUM_ROWS, NUM_STREAMED, HORIZON = 40, 640, 160, 10


def main(directory: Path, max_epochs: int = 5) -> tuple[float, float]:
    """Draw `sine.png` in `directory`; the mean absolute errors of the forecast and of the last value."""
    times = np.datetime64("2024-01-01T00", "us") + np.arange(NUM_ROWS) * np.timedelta64(1, "h")
    values = np.sin(2 * np.pi * np.arange(NUM_ROWS) / PERIOD)
    file = directory / "sine.csv"
    rows = [f"{time},{value:.6f}" for time, value in zip(times, values, strict=True)]
    file.write_text("\n".join(["ds,y", *rows[:-NUM_STREAMED]]))

    train(
        TrainSettings.build(
            {
                "data": file,
                "output": directory / "models" / "sine",
                "freq": "h",
                "horizon": HORIZON,
                "cell": "lstm",
                "hidden_size": 50,
                "max_epochs": max_epochs,
                "learning_rate": 0.01,
            }
        )
    )
    start = NUM_ROWS - NUM_STREAMED
    with serving(directory / "models") as client:
        session = client.session("sine", "wave")
        session.observe(values[:start], times[:start])
        made = session.forecast(values[start:], times[start:], reply="each").forecasts
    forecasts = np.array([forecast.values for forecast in made])
    naive = seasonal_naive(values, HORIZON, 1)[start:]
    streamed = Streamed(times, values, start, forecasts, naive, made[0].quantile_levels)
    draw(streamed, "A sine wave by an LSTM of 50 units", "y", directory / "sine.png")
    actual = targets_of(values, HORIZON)[start:]
    median = np.array([forecast.median for forecast in made])
    return mean_absolute_error(actual, median), mean_absolute_error(actual, naive)


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-output")
    chosen.mkdir(parents=True, exist_ok=True)
    error, of_last_value = main(chosen, max_epochs=40)
    print(f"mean absolute error {error:.4f}; of the last value {of_last_value:.4f}; see {chosen}/sine.png")
