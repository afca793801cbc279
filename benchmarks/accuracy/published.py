"""Figures that others published on the same split by the same metric, and what is to be reached."""

from collections.abc import Mapping

Scores = Mapping[str, float]

PUBLISHED: dict[str, dict[str, Scores]] = {
    "m4": {
        "seasonal naive": {"smape": 13.912, "mase": 1.193, "nd": 0.0483},
        "ES-RNN, the M4 winner": {"smape": 9.328, "mase": 0.893, "owa": 0.440},
        "Doornik, the best hourly row of M4": {"smape": 8.913, "mase": 0.801, "owa": 0.410},
        "DeepAR": {"wql": 0.033},
        "TiRex, 35M-parameter xLSTM, zero-shot": {"mase": 0.722, "wql": 0.0202},
    },
    "etth1-96": {
        "SegRNN, input 720": {"mse": 0.351, "mae": 0.392},
        "DLinear, input 720": {"mse": 0.381, "mae": 0.407},
    },
    "etth1-720": {
        "SegRNN, input 720": {"mse": 0.466, "mae": 0.472},
        "DLinear, input 720": {"mse": 0.499, "mae": 0.512},
    },
    "ettm1-96": {
        "SegRNN, input 720": {"mse": 0.293, "mae": 0.354},
        "DLinear, input 720": {"mse": 0.307, "mae": 0.351},
    },
    "ettm1-720": {
        "SegRNN, input 720": {"mse": 0.410, "mae": 0.430},
        "DLinear, input 720": {"mse": 0.416, "mae": 0.416},
    },
}

# Of our own scores: the lowest and the highest that will do.
Range = tuple[float, float]
_NO, _ANY = 0.0, float("inf")
_MONTHS = {f"coverage_{month:02}": (0.75, 0.85) for month in range(1, 13)}
REACH: dict[str, dict[str, Range]] = {
    "m4": {"mase": (_NO, 0.80), "smape": (_NO, 9.3), "wql": (_NO, 0.025)},
    "etth1-96": {"mse": (_NO, 0.360)},
    "etth1-720": {"mse": (_NO, 0.480)},
    "ettm1-96": {"mse": (_NO, 0.300)},
    "gefcom": {"wql_ratio": (_NO, 0.85), "coverage": (0.78, 0.82), **_MONTHS},
    "nab": {"ratio": (1.0, _ANY)},
    "training-speed": {"ratio": (1.0, _ANY)},
}
AIM: dict[str, dict[str, Range]] = {
    "m4": {"mase": (_NO, 0.72), "wql": (_NO, 0.020)},
    "etth1-96": {"mse": (_NO, 0.351)},
    "etth1-720": {"mse": (_NO, 0.466)},
    "ettm1-96": {"mse": (_NO, 0.293)},
    "training-speed": {"ratio": (2.0, _ANY)},
}


def missed(name: str, found: Scores, wanted: Mapping[str, Mapping[str, Range]]) -> list[str]:
    """Scores of a run that lie outside what is wanted of them; a score that is missing is missed too."""
    return [
        metric
        for metric, (lowest, highest) in wanted.get(name, {}).items()
        if not lowest <= found.get(metric, float("nan")) <= highest
    ]
