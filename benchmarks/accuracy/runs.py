"""Every part of the benchmark, by name."""

from functools import partial

from benchmarks.accuracy import ett, gefcom, m4, nab, training_speed
from benchmarks.accuracy.data_set import DataSet, run_of
from benchmarks.accuracy.measured import OURS, Run
from benchmarks.accuracy.peers import DEEPAR

_ERRORS = {"mse": "MSE", "mae": "MAE", "wql": "wQL"}
# What is published of ETT was not trained on the validation part, so ours is not; whoever forecasts would.
_REFIT = {f"{OURS}, --refit": {"refit": True}}
# Sampling is slow: a peer's forecasts of every 24th window take minutes.
_STRIDE = {DEEPAR: 24}


def _ett(file: str, horizon: int) -> Run:
    data_set = DataSet(
        f"{file.lower()}-{horizon}",
        partial(ett.problem, name=file, horizon=horizon),
        ett.score,
        choose=ett.choose,
        also=_REFIT,
        peers_stride=_STRIDE,
    )
    return run_of(data_set, f"{file}, {horizon} steps", _ERRORS)


RUNS: dict[str, Run] = {
    "m4": run_of(
        DataSet("m4", m4.problem, m4.score),
        "M4 Hourly, 48 steps",
        {
            "mase": "MASE",
            "smape": "sMAPE",
            "owa": "OWA",
            "nd": "ND",
            "wql": "wQL",
            "coverage": "in the 80 %",
        },
    ),
    "etth1-96": _ett("ETTh1", 96),
    "etth1-720": _ett("ETTh1", 720),
    "ettm1-96": _ett("ETTm1", 96),
    "ettm1-720": _ett("ETTm1", 720),
    "gefcom": run_of(
        DataSet(
            "gefcom",
            gefcom.problem,
            gefcom.score,
            baselines={gefcom.SPREAD: gefcom.naive_with_spread},
            peers_stride=_STRIDE,
        ),
        "GEFCom2012 load, 24 steps",
        {
            "wql": "wQL",
            "wql_ratio": "/ seasonal naive's",
            "wql_ratio_spread": "/ the same with spread",
            "mase": "MASE",
            "coverage": "in the 80 %",
            "coverage_lowest": "in the worst months",
            "coverage_highest": "",
        },
        finish=gefcom.with_ratios,
    ),
    "nab": Run(
        "NAB, 31 real streams",
        {
            "standard": "standard",
            "reward low FP": "few false alarms",
            "reward low FN": "few misses",
            "ratio": "/ windowed Gaussian's",
        },
        nab.measure,
        finish=nab.with_ratio,
    ),
    "training-speed": Run(
        "Training speed",
        {
            "samples_per_s": "windows/s",
            "rows_per_s": "rows/s",
            "origins_per_s": "forecasts learned/s",
            "ratio": "windows/s, ratio",
        },
        training_speed.measure,
    ),
}
