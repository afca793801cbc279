"""A backtest as one page of HTML that asks nobody for anything: styles and drawings are in it, no script."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import numpy as np

from training.backtesting.charts import fan_title
from training.backtesting.fans import Fan
from training.backtesting.picture import diagram_svgs, fan_svg
from training.backtesting.result import Backtest
from training.score_names import METRICS
from training.titles import head_of, title_of

# A page of ten thousand lines helps nobody: the best and the worst say what there is.
_MOST_SERIES = 200
_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1b1b; --muted: #5f5f5f; --grid: #dddddd;
  --band: #0072b2; --came: #b84a00; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #ececec; --muted: #a3a8ae;
  --grid: #3a3e44; --band: #56b4e9; --came: #f0a35c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; max-width: 60rem; } .quiet { color: var(--muted); }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
figure { margin: 0; } figcaption { font-size: .9rem; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--grid);
  white-space: nowrap; }
th:first-child { text-align: left; } thead th { color: var(--muted); font-weight: 600; }
tbody tr.own { font-weight: 600; } tbody th { font-weight: inherit; }
"""
# Nothing is fetched, whatever a series may be called.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_report(found: Backtest, fans: Sequence[Fan], path: Path) -> None:
    """Write the page. Where nothing was judged it says so."""
    name = escape(found.manifest.name)
    path.write_text(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Backtest of {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Backtest of {name}</h1>
{_summary(found)}
<h2>Scores</h2>
{_score_table(found)}
{_fans(found, fans)}
<h2>By step, and calibration</h2>
<div class="charts">{"".join(_figure(title, svg) for title, svg in diagram_svgs(found))}</div>
{_interval_table(found)}
<h2>By series</h2>
{_series_table(found)}
</main>
</body>
</html>
""",
        encoding="utf-8",
    )


def _summary(found: Backtest) -> str:
    manifest = found.manifest
    stride = "row" if found.judging.stride == 1 else f"{found.judging.stride}th row"
    lines = [
        f"{found.num_forecasts} forecasts of {found.num_steps} steps, one after every {stride} of "
        f"{len(found.by_series)} series, judged from {_day(found.first_time)} to "
        f"{_day(found.last_time)} (UTC)."
    ]
    if found.unjudged:
        lines.append(f"{len(found.unjudged)} series are too short to be judged.")
    lines.append(
        f"{escape(manifest.cell)}, every {escape(manifest.frequency)}, a season of "
        f"{found.season_length} steps; {manifest.digest}. Each row went through the exported file once, in "
        "order; each forecast is from the rows before it alone."
    )
    return "".join(f"<p{' class=quiet' if at else ''}>{line}</p>" for at, line in enumerate(lines))


def _score_table(found: Backtest) -> str:
    every = {name: pooled.scores() for name, pooled in found.pooled.items()}
    metrics = [metric for metric in METRICS if metric in every[""]]
    rows = [
        (title_of(name), [_number(scores.get(metric)) for metric in metrics], not name)
        for name, scores in every.items()
    ]
    return _table(["", *map(head_of, metrics)], rows)


def _interval_table(found: Backtest) -> str:
    whole = found.model.tally.over_steps()
    if not found.intervals or not whole.count[0]:
        return ""
    rows = [
        (f"{lower:g} to {upper:g}", [f"{upper - lower:.0%}", f"{inside / whole.count[0]:.1%}"], False)
        for (lower, upper), inside in zip(found.intervals, whole.inside[0], strict=True)
    ]
    return _table(["levels", "should hold", "held"], rows)


def _fans(found: Backtest, fans: Sequence[Fan]) -> str:
    parts = []
    for number, (_, group) in enumerate(groupby(fans, key=lambda fan: (fan.rank, fan.id))):
        members = list(group)
        first = members[0]
        heading = f"{first.rank.capitalize()} series: " if first.rank else "Forecasts: "
        parts.append(f"<h2>{heading}{escape(first.id)} <span class=quiet>{first.score}</span></h2>")
        figures = [
            _figure(fan_title(fan), fan_svg(fan, found, salt=f"fan-{number}-{at}"))
            for at, fan in enumerate(members)
        ]
        parts.append(f'<div class="charts">{"".join(figures)}</div>')
    return "".join(parts)


def _figure(title: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>"


def _series_table(found: Backtest) -> str:
    metric = "mase" if "mase" in found.scores else "mae"
    ordered = sorted(found.by_series, key=lambda one: np.nan_to_num(one.scores[metric], nan=np.inf))
    half = _MOST_SERIES // 2
    shown = ordered if len(ordered) <= _MOST_SERIES else ordered[:half] + ordered[-half:]
    own = [name for name in METRICS if any(np.isfinite(one.scores.get(name, np.nan)) for one in shown)]
    naive = [f"seasonal_naive_{metric}"] if f"seasonal_naive_{metric}" in found.scores else []
    rows = [
        (one.id, [str(one.num_forecasts), *(_number(one.scores.get(name)) for name in (*own, *naive))], False)
        for one in shown
    ]
    heads = ["series", "forecasts", *map(head_of, own), *(f"seasonal naive {head_of(metric)}" for _ in naive)]
    left_out = len(ordered) - len(shown)
    note = f"<p class=quiet>{left_out} series between the best and the worst {half} are left out.</p>"
    return _table(heads, rows) + (note if left_out else "")


def _table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str], bool]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr{" class=own" if own else ""}><th scope="row">{escape(name)}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, cells, own in rows
    )
    # A table wider than a phone scrolls by itself, by keys too.
    return (
        '<div class="wide" role="region" aria-label="table" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _number(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.4g}"


def _day(time: np.datetime64 | None) -> str:
    return "-" if time is None else np.datetime_as_string(time, unit="m").replace("T", " ")
