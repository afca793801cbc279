"""The first screen: what is served, where and on what."""

import re
import sys

from rich.console import Console
from rich.table import Table

from service.engine.model import ServedModel
from service.engine.providers import RUNTIME
from service.settings import Settings


def print_banner(settings: Settings, address: str, models: list[ServedModel]) -> None:
    """Print the models and how they run to standard error."""
    # Away from a terminal Rich assumes 80 columns and would fold the table.
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    table = Table(title=f"statecast on {address}", title_justify="left")
    for column in ("model", "version", "cell", "row", "every", "forecast", "state", "backtest"):
        table.add_column(column)
    for model in models:
        manifest = model.manifest
        scores = manifest.backtest
        table.add_row(
            model.name,
            str(model.version),
            manifest.cell,
            ", ".join(feature.name for feature in manifest.features),
            manifest.frequency,
            f"{manifest.horizon} steps x {manifest.num_columns} {'labels' if manifest.labels else 'levels'}",
            f"{manifest.state_bytes} B",
            f"MASE {scores['mase']:.3f}" if "mase" in scores else "-",
        )
    console.print(table)
    num_threads = " or ".join(map(str, sorted({model.intra_op_threads for model in models})))
    console.print(
        f"device {settings.device}, {num_threads} thread(s) an operator, "
        f"{RUNTIME}, up to {settings.max_sessions:,} sessions a model"
    )
    # A password in the URL is nobody's to read off a screen.
    console.print(f"sessions are kept in {re.sub('//[^@/]*@', '//...@', settings.store_url)}")
    console.print(f"try: statecast stream --server {address} --model {models[0].name} --data FILE.csv")
