"""A backtest as one picture, and its charts as pieces of a page."""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from training.backtesting import charts
from training.backtesting.fans import Fan
from training.backtesting.result import Backtest

_COLUMNS = 3
_PANEL = (4.4, 2.7)
# The page says in its style sheet which colours these are, in light and in dark.
_VARIABLES = {
    charts.INK: "var(--ink)",
    charts.MUTED: "var(--muted)",
    charts.GRID: "var(--grid)",
    charts.BAND: "var(--band)",
    charts.CAME: "var(--came)",
}


def draw_picture(found: Backtest, fans: Sequence[Fan], path: Path) -> None:
    """Write a PNG: the fans, then errors, calibration and coverage."""
    pyplot = _pyplot()
    panels = [(charts.fan_title(fan), _fan_panel(fan, found)) for fan in fans]
    panels += [(title, _panel(draw, found)) for title, draw in charts.diagrams(found)]
    num_rows = -(-len(panels) // _COLUMNS)
    size = (_PANEL[0] * _COLUMNS, _PANEL[1] * num_rows + 0.4)
    figure, grid = pyplot.subplots(num_rows, _COLUMNS, figsize=size, layout="constrained", squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for at, ((title, draw), axes) in enumerate(zip(panels, grid.flat, strict=False)):
        draw(axes)
        charts.tidy(axes, title)
        if at == 0 or at >= len(fans):
            axes.legend(frameon=False, fontsize=7, ncols=2)
    figure.suptitle(f"{found.manifest.name}: backtest of {found.num_forecasts} forecasts", x=0.01, ha="left")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def svg_of(draw: Callable[[Any], None], title: str, *, salt: str) -> str:
    """One chart as an <svg> element that refers to nothing outside itself.

    Args:
        salt: another one for each chart of a page, so that no two elements have one id.
    """
    pyplot = _pyplot()
    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure, axes = pyplot.subplots(figsize=_PANEL, layout="constrained")
        draw(axes)
        charts.tidy(axes, "")
        axes.legend(frameon=False, fontsize=7, ncols=2, labelcolor=charts.INK)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    return _embedded(written.getvalue(), title)


def fan_svg(fan: Fan, found: Backtest, *, salt: str) -> str:
    return svg_of(_fan_panel(fan, found), charts.fan_title(fan), salt=salt)


def diagram_svgs(found: Backtest) -> list[tuple[str, str]]:
    """Titles and elements."""
    return [(title, svg_of(_panel(draw, found), title, salt=title)) for title, draw in charts.diagrams(found)]


def _fan_panel(fan: Fan, found: Backtest) -> Callable[[Any], None]:
    return lambda axes: charts.draw_fan(axes, fan, found.manifest.quantile_levels)


def _panel(draw: Callable[[Any, Backtest], None], found: Backtest) -> Callable[[Any], None]:
    return lambda axes: draw(axes, found)


def _embedded(text: str, title: str) -> str:
    """Without XML's prologue, metadata and namespaces, which HTML does not need; colours by the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    # Every chart calls its groups the same.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    # As wide as its place; the view box keeps its shape.
    text = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg role="img" aria-label="{escape(title)}" \1>', text
    )
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
