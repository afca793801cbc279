"""`docs/accuracy.md`, from the figures of the runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy.ablations import ON, SHORT, WHOLE
from benchmarks.accuracy.measured import OURS
from benchmarks.accuracy.published import AIM, PUBLISHED, REACH, Range, missed
from benchmarks.accuracy.runs import RUNS

# Of one training, on two cores.
LONGEST_S = 1_800

_PAGE = """\
# Accuracy

Written by `make accuracy`; not by hand. Ours is what `statecast train` publishes, with the options of
`benchmarks/accuracy/settings/`, which were chosen on validation parts and never on these tables. Every
series is then streamed through the exported file by ONNX Runtime, its state carried from the first row of
its history; a forecast is scored as it was made, before any later row was fed. One seed, that of the
settings file.

    make accuracy                             ours, the naive forecasts, the peers; DATA=folder
    make accuracy ARGS="--only m4,ett"        some of the runs
    make accuracy ARGS="--methods peers"      the peers alone
    make accuracy ARGS="--ablations"          each part of the forecaster off in turn

{summary}

{runs}
{ablations}
## How it is measured

The data are read from `../shared/data` or the folder given, and none are shipped:
`m4/Hourly-train.csv.gz` and `-test.csv.gz` (a row a series), `ett/ETTh1.csv` and `ETTm1.csv.gz`,
`gefcom2012/load.csv.gz` and `temp.csv.gz` (a column a zone or station, hourly from 2004-01-01),
`nab/combined_windows.json` and the folders of streams that it names.

- **M4 Hourly**: one forecast at the end of each of 414 training series. MASE scales by the in-sample
  seasonal naive error, season 24, and is the mean over the series; OWA is relative to M4's Naive 2. The
  files hold no dates, so all series get the same made-up ones. That the scorer is right is seen in its
  seasonal naive row, which is the published one: sMAPE 13.912, MASE 1.193, ND 0.0483.
- **ETT**: 12, 4 and 4 months of 30 days; standardised with the training part's mean and deviation; the
  columns are seven series; MSE and MAE over every window of the test part, every step and column. The
  point forecast is the mean or the median of the quantile forecasts, whichever has the lower MSE in the
  validation part; a peer gets whichever is better in the test part. The row with `--refit` has learned
  from the validation part too, once everything was chosen, as its neighbours in the table have not: it is
  not what is held against the reach. Of M4 the validation part is one of our own, cut from what was
  published to train on.
- **GEFCom2012**: after every hour of the last year, 24 hours of each of 20 zones; the mean temperature of
  the stations is a covariate that is known up to the hour at hand. Weekly seasonal naive is both a point
  at every level and, the harder to beat, that point with the quantiles of its errors in the year before.
  Peers are not told the temperature, and for missing loads they get those a week before.
- **NAB**: the score of Lavin & Ahmad 2015 (0 for silence, 100 for a perfect detector) on the real streams of
  AWS, traffic and known causes, by three profiles. One threshold serves all streams; it is the best for the
  score, as in the benchmark itself, and for each detector alike. Ours is the tail probability of the exported
  graph, of a forecaster that was trained on the unscored first 15 % of every stream; its form was
  chosen on other series (`docs/decisions/0021-rare-among-its-own.md`). The windowed Gaussian is the paper's.
- **wQL**: the weighted quantile loss of Salinas et al. 2020, mean over the levels 0.1 to 0.9.
- **Peers** run in an environment of their own, `.venv/peers`, with the defaults of their packages, the
  validation part for early stopping, and at most as much processor time as ours took; they write
  forecasts, and the scorer is ours. Sampling is slow: of GluonTS' DeepAR every 24th window is scored.
- **Training speed**: windows of a week that the recurrence walks along, forward and back, a second. Both
  on the same rows, cell, hidden size, batch, loss and threads, in turns in one run; the median step.
- **Training** is the wall time, and in brackets the processor's, of the whole of `statecast train`:
  reading, fitting, export, its checks and its backtest; of a peer, of its fit.

{made}
"""


def write_page(made: dict[str, Any], path: Path) -> None:
    """Write the page of whatever was measured so far."""
    runs = [_run(name, found) for name, found in _in_order(made["runs"])]
    text = _PAGE.format(
        summary=_summary(made["runs"]),
        runs="\n".join(runs),
        ablations=_ablations(made["ablations"]),
        made=_made(made["runs"]),
    )
    path.write_text(text, "utf-8")


def line(
    method: str, scores: Mapping[str, float], took: Mapping[str, Any], metrics: Mapping[str, str]
) -> str:
    """One method for the terminal."""
    parts = [f"{title} {_number(scores[name])}" for name, title in metrics.items() if name in scores]
    trained = [f"trained {took['training_s']:.0f} s"] if "training_s" in took else []
    return f"  {method}: {', '.join([*parts, *trained])}"


def _in_order(runs: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, runs[name]) for name in RUNS if name in runs]


def _summary(runs: Mapping[str, Any]) -> str:
    rows = []
    for name, found in _in_order(runs):
        scores = found["scores"].get(OURS, {})
        for metric, wanted in REACH.get(name, {}).items():
            if metric.startswith("coverage_"):
                continue  # a line a month: in one below
            rows.append(_reached(name, metric, wanted, scores))
        if months := [metric for metric in missed(name, scores, REACH) if metric.startswith("coverage_")]:
            rows.append([RUNS[name].title, "months out of 75 to 85 %", "", "none", str(len(months)), "no"])
        elif any(metric.startswith("coverage_") for metric in REACH.get(name, {})):
            rows.append([RUNS[name].title, "months out of 75 to 85 %", "", "none", "0", "yes"])
    return _table(["data", "score", "aim", "reach", "ours", "reached"], rows)


def _reached(name: str, metric: str, wanted: Range, scores: Mapping[str, float]) -> list[str]:
    only = {name: {metric: wanted}}
    aim = AIM.get(name, {}).get(metric)
    return [
        RUNS[name].title,
        RUNS[name].metrics.get(metric, metric),
        _range(aim) if aim else "",
        _range(wanted),
        _number(scores[metric]) if metric in scores else "not measured",
        "no" if missed(name, scores, only) else "yes",
    ]


def _range(wanted: Range) -> str:
    lowest, highest = wanted
    if lowest == 0:
        return f"at most {highest:g}"
    return f"at least {lowest:g}" if highest == float("inf") else f"{lowest:g} to {highest:g}"


def _run(name: str, found: Mapping[str, Any]) -> str:
    run = RUNS[name]
    metrics = {metric: title for metric, title in run.metrics.items() if _known(metric, name, found)}
    rows = [
        [
            _named(method),
            *_scores(found["scores"][method], metrics),
            *_took(found["training"].get(method, {})),
        ]
        for method in sorted(found["scores"], key=lambda method: method != OURS)
    ]
    rows += [
        [f"{method} (published)", *_scores(scores, metrics), "", ""]
        for method, scores in PUBLISHED.get(name, {}).items()
    ]
    head = ["", *(title or metric.replace("_", " ") for metric, title in metrics.items())]
    options = json.dumps(found.get("options", {}))
    return (
        f"## {run.title}\n\n{_table([*head, 'training', 'state'], rows)}\n\n"
        f"`python -m benchmarks.accuracy --only {name}`, options `{options}`.\n"
        f"{_months(found['scores'])}"
    )


def _known(metric: str, name: str, found: Mapping[str, Any]) -> bool:
    every = [*found["scores"].values(), *PUBLISHED.get(name, {}).values()]
    return any(metric in scores for scores in every)


def _named(method: str) -> str:
    return f"**{method}**" if method == OURS else method


def _scores(scores: Mapping[str, float], metrics: Mapping[str, str]) -> list[str]:
    return [_number(scores[metric]) if metric in scores else "" for metric in metrics]


def _took(took: Mapping[str, Any]) -> list[str]:
    """Training time, with how often a peer's windows were scored; bytes of a session's state."""
    size = f"{took['state_bytes']:,.0f} B" if "state_bytes" in took else ""
    if "training_s" not in took:
        return ["", size]
    notes = [f"{took['training_s']:.0f} s ({took['processor_s']:.0f} s)"]
    if took["training_s"] > LONGEST_S:
        notes.append("**over 30 minutes**")
    if took.get("stride", 1) > 1:
        notes.append(f"every {took['stride']}th window")
    return ["; ".join(notes), size]


def _months(scores: Mapping[str, Mapping[str, float]]) -> str:
    months = [f"coverage_{month:02}" for month in range(1, 13)]
    rows = [
        [_named(method), *(f"{found[month]:.0%}" if month in found else "" for month in months)]
        for method, found in scores.items()
        if any(month in found for month in months)
    ]
    if not rows:
        return ""
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"\nValues within the 80 % interval, by month:\n\n{_table(['', *names], rows)}\n"


_ABLATED = """\
Each part off in turn, with {budget} and else as above: a single short training each, so that differences of a
hundredth say little. The scores are of the test parts, and nothing was chosen by them. An epoch has as many
rows in shorter segments, and so more steps. What no option turns off is taken out of the code meanwhile, see
`benchmarks/accuracy/without.py`."""


def _ablations(ablations: Mapping[str, list[dict[str, Any]]]) -> str:
    if not ablations:
        return ""
    tables = []
    for name, found in ablations.items():
        (metric, *others) = ON[name]
        (whole, *_) = (one["scores"][metric] for one in found)
        rows = [
            [
                one["part"],
                f"`{json.dumps(one['without'])}`" if one["without"] else "",
                _number(one["scores"][metric]),
                f"{one['scores'][metric] / whole - 1:+.1%}" if one["part"] != WHOLE.part else "",
                *(_number(one["scores"][other]) for other in others),
                f"{one['training_s']:.0f} s",
            ]
            for one in found
        ]
        metrics = RUNS[name].metrics
        columns = [
            "without",
            "options",
            metrics[metric],
            "worse by",
            *(metrics[other] for other in others),
            "training",
        ]
        tables.append(f"### {RUNS[name].title}\n\n{_table(columns, rows)}\n")
    budget = ", ".join(f"`{option}` {value}" for option, value in SHORT.items())
    head = f"\n## Ablations\n\n{_ABLATED.format(budget=budget)}\n\n"
    return head + "\n".join(tables)


def _made(runs: Mapping[str, Any]) -> str:
    """When, from which commit, on what: of ours and of each peer."""
    rows = []
    for name, found in _in_order(runs):
        for method, took in found["training"].items():
            if "training_s" in took or not RUNS[name].peer:
                processor = f"{took['CPU']}, {took['cores']} cores"
                rows.append([RUNS[name].title, method, took["made_at"], took["revision"], processor])
    return _table(["run", "method", "made at", "revision", "machine"], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
