"""Two series that come with statsmodels: nothing is downloaded."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from training.demonstration import FREQUENCY, co2_weekly


@dataclass(frozen=True)
class Series:
    """One of them as a file, and what is forecast of it.

    Attributes:
        title: for tables.
        horizon: steps ahead.
    """

    name: str
    title: str
    path: Path
    freq: str
    horizon: int


def write_series(directory: Path) -> list[Series]:
    """Write both as CSV files in the long layout."""
    co2 = Series("co2", "weekly CO2, 12 weeks ahead", directory / "co2.csv", FREQUENCY, 12)
    sunspots = Series("sunspots", "yearly sunspots, 6 years ahead", directory / "sunspots.csv", "YE", 6)
    co2_weekly().to_csv(co2.path, index=False)
    _sunspots().to_csv(sunspots.path, index=False)
    return [co2, sunspots]


def _sunspots() -> pd.DataFrame:
    """Yearly counts, 1700 to 2008: a cycle of 9 to 14 years that no calendar tells."""
    from statsmodels.datasets import sunspots

    frame = sunspots.load_pandas().data
    times = [f"{int(year)}-12-31" for year in frame["YEAR"]]
    return pd.DataFrame({"unique_id": "sunspots", "ds": times, "y": frame["SUNACTIVITY"].to_numpy()})
