"""Sessions of a model with two state tensors and two features."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US
from service.store.contract import NO_TIME, Record

DIGEST = "sha256:" + "a" * 64
STATES = (
    StateSpec(name="h", shape=(3, 1), dtype="float32"),
    StateSpec(name="total", shape=(), dtype="float64"),
)
MANIFEST = Manifest(
    name="m",
    digest=DIGEST,
    cell="sum",
    features=(FeatureSpec(name="y"), FeatureSpec(name="x")),
    frequency="h",
    season_length=24,
    horizon=2,
    quantile_levels=(0.1, 0.5, 0.9),
    states=STATES,
    opset=20,
    training=TrainingSummary(
        num_series=1,
        num_rows=1,
        num_missing=0,
        first_time=datetime(2020, 1, 1, tzinfo=UTC),
        last_time=datetime(2020, 1, 1, tzinfo=UTC),
    ),
    backtest={},
    parity_error=0.0,
)
ROW_BYTES = 8 * len(MANIFEST.features)


def records() -> st.SearchStrategy[Record]:
    """Any session of that model: its states may be any bits."""
    size = MANIFEST.state_bytes
    return st.builds(
        Record,
        session_id=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20),
        digest=st.just(DIGEST),
        position=st.integers(0, 2**62),
        last_time_us=st.just(NO_TIME) | st.integers(FIRST_TIME_US, LAST_TIME_US),
        states=st.binary(min_size=size, max_size=size),
        recent=st.integers(0, 3).flatmap(
            lambda num_rows: st.binary(min_size=num_rows * ROW_BYTES, max_size=num_rows * ROW_BYTES)
        ),
    )
