"""Air passengers: a year ahead, one month at a time, on a copy of the state.

    python -m examples.air_passengers [DIRECTORY]

One to many: the model learns the next month alone. To forecast a year the graph draws 64 paths, each month
fed back as if it had been observed; the quantiles of a month are those of the paths.

air-passengers.csv: thousands of passengers of international airlines a month, 1949 to 1960; Box, G. E. P. and
Jenkins, G. M. (1976), Time Series Analysis: Forecasting and Control, series G.
"""

import sys
from pathlib import Path

import numpy as np

from examples.server import serving
from training.picture import Streamed, draw
from training.scores import mean_absolute_error, seasonal_naive
from training.settings import TrainSettings
from training.train import train

FILE = Path(__file__).parent / "air-passengers.csv"
HORIZON, YEAR = 12, 12


def main(directory: Path, max_epochs: int = 6) -> tuple[float, float]:
    """Draw `passengers.png`; the mean absolute errors over the last year, forecast and seasonal naive."""
    header, *rows = FILE.read_text().splitlines()
    known = directory / "passengers.csv"
    known.write_text("\n".join([header, *rows[:-YEAR]]))
    train(
        TrainSettings.build(
            {
                "data": known,
                "target": "passengers",
                "output": directory / "models" / "passengers",
                "freq": "MS",
                "horizon": HORIZON,
                "decoder": "roll-out",
                "sample_paths": 64,
                "head": "student-t",
                "cell": "gru",
                "hidden_size": 32,
                "max_epochs": max_epochs,
                "learning_rate": 0.01,
            }
        )
    )
    times = np.array([row.split(",")[0] for row in rows], "datetime64[us]")
    values = np.array([float(row.split(",")[1]) for row in rows])
    start = len(values) - YEAR - 1
    with serving(directory / "models") as client:
        session = client.session("passengers", "all airlines")
        forecast = session.forecast(values[: start + 1], times[: start + 1]).forecast
    naive = seasonal_naive(values, HORIZON, YEAR)
    padded = np.full((YEAR + 1, *forecast.values.shape), np.nan, np.float32)
    padded[0] = forecast.values
    streamed = Streamed(times, values, start, padded, naive[start:], forecast.quantile_levels)
    draw(streamed, "Air passengers: a year rolled out", "thousands a month", directory / "passengers.png")
    actual = values[start + 1 :]
    return mean_absolute_error(actual, forecast.median), mean_absolute_error(actual, naive[start])


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-output")
    chosen.mkdir(parents=True, exist_ok=True)
    error, of_naive = main(chosen, max_epochs=60)
    print(f"mean absolute error {error:.1f}; of the year before {of_naive:.1f}; see {chosen}/passengers.png")
