"""`statecast demo-data`."""

import sys


def demo_data() -> None:
    """Print the demonstration series, weekly CO2, as CSV."""
    from training.demonstration import co2_weekly

    co2_weekly().to_csv(sys.stdout, index=False, date_format="%Y-%m-%d")
