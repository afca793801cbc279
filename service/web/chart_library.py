"""Where the library is that the page draws charts with: files of a package that is never imported."""

import importlib.util
from pathlib import Path

# By the page's name for each; uplot-python ships uPlot as its author built it.
_FILES = {"uPlot.js": "uPlot.iife.js", "uPlot.css": "uPlot.min.css"}


def chart_files() -> dict[str, Path]:
    """Each file by the page's name for it; empty where uplot-python is not installed."""
    try:
        found = importlib.util.find_spec("uplot")
    except ValueError:
        return {}
    # Another package on PyPI goes by the same name: only one that has the files will do.
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        files = {name: Path(folder, "static", file) for name, file in _FILES.items()}
        if all(path.is_file() for path in files.values()):
            return files
    return {}
