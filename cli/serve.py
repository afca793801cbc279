"""`statecast serve`."""

import sys
from pathlib import Path
from typing import Any

from cli.options import options_of
from service.settings import Settings


@options_of(Settings, config_help="settings file (TOML); flags and STATECAST_ variables beat it")
def serve(given: dict[str, Any], config: Path | None) -> None:
    """Serve a repository of forecasters over gRPC."""
    from service.app import serve as run
    from service.errors import StartupError

    try:
        status = run(Settings.build(given, config))
    except StartupError as error:
        print(f"statecast serve: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    raise SystemExit(status)
