"""The picture: throughput against sessions, latency against load."""

from pathlib import Path
from typing import Any

_OURS, _ECHO = "#1f5fa8", "#9a9a9a"


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw what the report has of the two; a run of single rows may have neither."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    _throughput(left, report["curves"].get("throughput", []))
    _latency(right, report["curves"])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _throughput(axes: Any, points: list[dict[str, float]]) -> None:
    points = sorted(points, key=lambda point: point["sessions"])
    axes.plot([p["sessions"] for p in points], [p["per_s"] / 1000 for p in points], "o-", color=_OURS)
    axes.set(xscale="log", xlabel="sessions resident", ylabel="thousand forecasts a second")
    axes.set_title("Frames of 256 sessions, one core", loc="left")
    if points:
        axes.set_ylim(0, 1.1 * max(point["per_s"] for point in points) / 1000)
    axes.grid(alpha=0.3)


def _latency(axes: Any, curves: dict[str, list[dict[str, float]]]) -> None:
    for name, colour in (("ours", _OURS), ("echo", _ECHO)):
        points = curves.get(f"latency {name}", [])
        for quantile, style in (("p50", "o-"), ("p99", "o--")):
            x = [point["per_s"] / 1000 for point in points]
            y = [point[f"{quantile}_us"] / 1000 for point in points]
            axes.plot(x, y, style, color=colour, label=f"{name}, {quantile}", markersize=4)
    axes.set(yscale="log", xlabel="thousand single-row messages a second, 32 streams", ylabel="ms")
    axes.set_title("Latency, open loop", loc="left")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
