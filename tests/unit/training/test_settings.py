"""Options from a file and from flags."""

from pathlib import Path
from typing import Any

import pytest

from models.cells import CELLS
from training.settings import SettingsError, TrainSettings

_NEEDED: dict[str, Any] = {"data": "data.csv", "output": "models/load", "freq": "h", "horizon": "24"}


def test_flags_are_text_and_beat_the_file(tmp_path: Path) -> None:
    """A flag's text is converted, wins over the file, and leaves the file's other options."""
    config = tmp_path / "train.toml"
    config.write_text(
        'data = "a.csv"\noutput = "r/m"\nfreq = "h"\nhorizon = 24\nquantile_levels = [0.2, 0.8]\n'
    )
    settings = TrainSettings.build({"horizon": "12", "required": ["y", "load"]}, config)
    assert (settings.horizon, settings.data) == (12, Path("a.csv"))
    assert settings.quantile_levels == (0.2, 0.8)
    assert settings.required == ("y", "load")
    assert (settings.repository, settings.name) == (Path("r"), "m")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"horizons": "3"}, "unknown option 'horizons': did you mean horizon?"),
    ({"zzz": "3"}, "unknown option 'zzz': expected one of data, "),
    ({"horizon": "0"}, "horizon: .*greater than or equal to 1, found '0'"),
    ({"horizon": "many"}, "horizon: .*integer.*, found 'many'"),
    ({"freq": "fortnight"}, "freq: frequency 'fortnight': expected"),
    ({"cell": "transformer"}, "cell: expected one of lstm, gru.*, found 'transformer'"),
    ({"look_ahead": "2"}, "look_ahead: expected 0 for a cell that does not, found 2"),
    ({"cell": "bidirectional"}, "look_ahead: expected at least 1 .*, found 0"),
    (
        {"cell": "bidirectional-gru", "look_ahead": "12", "num_layers": "2"},
        "horizon: expected more than the 24 rows that the cell waits for, found 24",
    ),
    (
        {"cell": "bidirectional", "look_ahead": "1", "decoder": "roll-out"},
        "decoder: expected direct or recurrent .*, found 'roll-out'",
    ),
    ({"quantile_levels": ["0.5", "1.5"]}, r"quantile_levels\.1: .*less than 1, found '1.5'"),
    ({"quantile_levels": ["0.9", "0.1"]}, "quantile_levels: expected ascending"),
    ({"output": "models/a b"}, "output: expected REPOSITORY/NAME"),
    ({"output": ".."}, "output: expected REPOSITORY/NAME"),
    ({"target": "ds"}, "target: expected three different columns"),
    ({"resume": True}, "resume: expected a work_dir"),
    ({"validation_fraction": "0.9"}, "validation_fraction: .*0.5, found '0.9'"),
]


def test_help_names_every_cell() -> None:
    """The help text of `--cell`, which must not load torch, lists what is registered."""
    told = TrainSettings.model_fields["cell"].description or ""
    assert told.removeprefix("recurrent cell: ").replace(" or ", ", ").split(", ") == list(CELLS)


@pytest.mark.parametrize(("change", "message"), BAD, ids=["-".join(change) for change, _ in BAD])
def test_bad_option_is_named(change: dict[str, Any], message: str) -> None:
    """An unknown name is told its nearest neighbour; a bad value what was expected and what was found."""
    with pytest.raises(SettingsError, match=message):
        TrainSettings.build(_NEEDED | change)


def test_missing_option_is_named() -> None:
    """What has no default must be given."""
    with pytest.raises(SettingsError, match="freq: missing; step between rows"):
        TrainSettings.build({key: value for key, value in _NEEDED.items() if key != "freq"})


@pytest.mark.parametrize("text", ["horizon = ", 'horizon = "\xff'])
def test_file_that_is_no_toml_is_named(text: str, tmp_path: Path) -> None:
    """A broken file is an error that names it."""
    config = tmp_path / "train.toml"
    config.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"train\.toml: "):
        TrainSettings.build(_NEEDED, config)


def test_every_option_is_described() -> None:
    """The descriptions are the command's help: none is empty."""
    assert all(field.description for field in TrainSettings.model_fields.values())
