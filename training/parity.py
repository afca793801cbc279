"""Does the file compute what was trained? torch against ONNX Runtime on fresh random rows."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from models.artifact import ANOMALY, FORECAST, READ_OUT, ROWS, next_name
from models.decoders import RollOut
from models.ensemble import Ensemble
from models.forecaster import Architecture, Forecaster
from models.state import initial_state

Array = npt.NDArray[np.float64]

# The two sum float32 products in other orders: some 1e-6 a step. A ten-thousandth of the naive
# forecast's error changes no decision, and a wrong graph is off by far more.
TOLERANCE = 1e-4
_NUM_SERIES = 4
_NUM_ROWS = 48
_FIRST_US, _HOUR_US = 1.7e15, 3.6e9
# One row at a time, all at once, and uneven chunks.
_CHUNKINGS = ((1,) * _NUM_ROWS, (_NUM_ROWS,), (1, 7, 2, 19, 1, 18))


class ParityError(RuntimeError):
    """The exported graph and the torch module disagree: the file must not be written."""

    def __init__(self, tensor: str, error: float, tolerance: float = TOLERANCE) -> None:
        self.tensor = tensor
        self.error = error
        super().__init__(
            f"parity: {tensor} of ONNX Runtime is {error:.3g} scaled units from torch's, "
            f"expected at most {tolerance:.3g}"
        )


def check_parity(content: bytes, forecaster: Forecaster | Ensemble, seed: int = 0) -> float:
    """Run the file and the module over the same rows, split in the same and in other ways.

    torch sees the rows whole; ONNX Runtime sees them whole, stepwise and in chunks. Forecasts and
    read-outs differ in units of the forecast's scale, one rounding of the float32 answer itself left
    out (at a level of a million it is 0.06); states differ relative to their size, at least 1. What
    is rolled out goes through as many recurrences more, and may differ by as many tolerances.

    Returns:
        The largest difference.

    Raises:
        ParityError: it is above the tolerance, or not a number.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rows = _random_rows(forecaster, seed)
    expected, scale = _by_torch(forecaster, rows)
    rolled = isinstance(forecaster.first.decoder, RollOut)
    tolerance = TOLERANCE * (forecaster.architecture.horizon if rolled else 1)
    largest = 0.0
    for chunks in _CHUNKINGS:
        found = _by_onnxruntime(session, forecaster, rows, chunks)
        for tensor, error in _differences(expected, found, scale):
            if not error <= tolerance:
                raise ParityError(tensor, error, tolerance)
            largest = max(largest, error)
    return largest


def _random_rows(forecaster: Forecaster | Ensemble, seed: int) -> npt.NDArray[np.float64]:
    """(B, T, width): random walks at small and large levels, a tenth missing, one series missing at first.

    Categories are any of theirs, and one that there is not; counts are small and large ones; times an
    hour apart.
    """
    architecture = forecaster.architecture
    random = np.random.default_rng(seed)
    layout = architecture.row_layout
    shape = (_NUM_SERIES, _NUM_ROWS, layout.width)
    level = np.array([0.0, -40.0, 1e4, 1e6])[:, None, None]
    step = np.array([1.0, 0.1, 30.0, 100.0])[:, None, None]
    rows: npt.NDArray[np.float64] = level + step * random.normal(size=shape).cumsum(axis=1)
    if forecaster.first.head.counts:
        rows[..., 0] = random.poisson([[0.3], [4.0], [60.0], [1e3]], shape[:2])
    for column, num in _categorical_columns(architecture):
        rows[..., column] = random.integers(0, num + 1, size=shape[:2])
    if layout.reads_time:
        rows[..., -1] = _FIRST_US + _HOUR_US * np.arange(_NUM_ROWS)
    rows[random.random(shape) < 0.1] = np.nan
    rows[1, :3] = np.nan
    return rows


def _categorical_columns(architecture: Architecture) -> Iterator[tuple[int, int]]:
    """Every column that holds a category, and how many there are; its values ahead as well."""
    layout = architecture.row_layout
    of_columns = [*range(layout.num_features), *(at for at in layout.future for _ in range(layout.horizon))]
    for column, feature in enumerate(of_columns):
        num = architecture.categories[feature] if architecture.categories else 0
        if num:
            yield column, num


def _by_torch(
    forecaster: Forecaster | Ensemble, rows: npt.NDArray[np.float64]
) -> tuple[dict[str, Array], npt.NDArray[np.float64]]:
    """The final state, the last read-out and every forecast, by the names of the graph; scale (B, T)."""
    x = torch.from_numpy(rows)
    state = initial_state(forecaster.state_init(), len(rows))
    with torch.inference_mode():
        forecast, anomaly, after = forecaster.scored(x, state)
        first = forecaster.first
        _, unit, _ = first.scaled(x, initial_state(first.state_init(), len(rows)))
        outputs = {FORECAST: forecast, READ_OUT: forecaster.read_out(after)}
        outputs |= {} if anomaly is None else {ANOMALY: anomaly}
    outputs |= {next_name(name): value for name, value in after.items()}
    size = forecaster.first.head.size(unit)[..., 0].expand(x.shape[:2])
    return {name: value.numpy() for name, value in outputs.items()}, size.numpy()


def _by_onnxruntime(
    session: onnxruntime.InferenceSession,
    forecaster: Forecaster | Ensemble,
    rows: npt.NDArray[np.float64],
    chunks: tuple[int, ...],
) -> dict[str, Array]:
    """The same by ONNX Runtime, the state carried from chunk to chunk by name."""
    inits = forecaster.state_init()
    names = [output.name for output in session.get_outputs()]
    state = {name: value.numpy() for name, value in initial_state(inits, len(rows)).items()}
    of_rows: dict[str, list[Array]] = {name: [] for name in (FORECAST, ANOMALY) if name in names}
    for chunk in np.split(rows, np.cumsum(chunks)[:-1], axis=1):
        outputs = dict(zip(names, session.run(names, {ROWS: chunk, **state}), strict=True))
        state = {name: outputs[next_name(name)] for name in inits}
        for name, parts in of_rows.items():
            parts.append(outputs[name])
    # The read-out is of the state that comes in: one more row shows that of the last.
    outputs = dict(zip(names, session.run(names, {ROWS: rows[:, :1], **state}), strict=True))
    return {
        **{name: np.concatenate(parts, axis=1) for name, parts in of_rows.items()},
        READ_OUT: outputs[READ_OUT],
        **{next_name(name): value for name, value in state.items()},
    }


def _of_scores(found: Array, expected: Array, difference: Array) -> float:
    """Probabilities as they are; rows without a score are the same ones, or nothing is equal."""
    missing = np.isnan(expected)
    return (
        float("nan") if (np.isnan(found) != missing).any() else float(difference[~missing].max(initial=0.0))
    )


def _differences(
    expected: Mapping[str, Array], found: Mapping[str, Array], scale: npt.NDArray[np.float64]
) -> Iterator[tuple[str, float]]:
    units = {FORECAST: scale[:, :, None, None], READ_OUT: scale[:, -1, None, None]}
    for name, value in expected.items():
        difference = np.abs(found[name].astype(np.float64) - value)
        if name == ANOMALY:
            yield name, _of_scores(found[name], value, difference)
            continue
        if name in units:
            rounding = np.spacing(np.abs(value).astype(np.float32)).astype(np.float64)
            yield name, float((np.maximum(difference - rounding, 0.0) / units[name]).max())
        else:
            yield name, float((difference / np.maximum(np.abs(value), 1.0)).max())
