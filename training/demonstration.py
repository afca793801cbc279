"""The series that comes with an installed dependency: nothing is downloaded."""

import pandas as pd
from statsmodels.datasets import co2

SERIES_ID = "mauna-loa-co2"
FREQUENCY = "W-SAT"


def co2_weekly() -> pd.DataFrame:
    """Weekly CO2 at Mauna Loa, 1958 to 2001, in ppm: columns unique_id, ds, y; its 59 gaps are NaN."""
    frame = co2.load_pandas().data
    return pd.DataFrame({"unique_id": SERIES_ID, "ds": frame.index, "y": frame["co2"].to_numpy()})
