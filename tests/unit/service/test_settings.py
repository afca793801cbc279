"""Settings: where they come from, what beats what, and what is refused."""

from pathlib import Path

import pytest

from service.errors import InvalidSettings
from service.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("STATECAST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file."""
    path = tmp_path / "statecast.toml"
    path.write_text('repository = "from-file"\nmax_sessions = 3\nmax_batch_size = 3\nmax_gap_steps = 3\n')
    return path


def test_a_flag_beats_the_environment_which_beats_the_file(file, monkeypatch):
    """Each source fills what those before it left open."""
    monkeypatch.setenv("STATECAST_MAX_SESSIONS", "2")
    monkeypatch.setenv("STATECAST_MAX_BATCH_SIZE", "2")
    settings = Settings.build({"max_sessions": "1"}, file)
    found = (settings.max_sessions, settings.max_batch_size, settings.max_gap_steps, settings.max_queued_rows)
    assert found == (1, 2, 3, 1_000_000)
    assert settings.repository == "from-file"


def test_the_environment_can_name_the_file(file, monkeypatch):
    """STATECAST_CONFIG stands for --config."""
    monkeypatch.setenv("STATECAST_CONFIG", str(file))
    assert Settings.build({}, None).max_sessions == 3


@pytest.mark.parametrize(
    ("flags", "environment", "content", "message"),
    [
        ({}, {}, "", "repository is required: --repository or STATECAST_REPOSITORY"),
        ({}, {"STATECAST_REPOSITRY": "x"}, "", "did you mean STATECAST_REPOSITORY"),
        ({"repository": "r"}, {"STATECAST_MAX_SESSIONS": "many"}, "", "max_sessions: .* found 'many'"),
        (
            {"repository": "r"},
            {},
            "max_sesions = 1",
            "max_sesions is not a setting; did you mean max_sessions",
        ),
        ({"repository": "r", "device": "tpu"}, {}, "", "device: .*'cpu' or 'cuda', found 'tpu'"),
        ({"repository": "r"}, {}, "max_sessions = ", "statecast.toml: "),
        ({"repository": "r", "intra_op_threads": -1}, {}, "", "intra_op_threads: .*found -1"),
    ],
)
def test_a_wrong_setting_stops_the_start(flags, environment, content, message, tmp_path, monkeypatch):
    """The message names the setting and what was found or expected."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "statecast.toml"
    file.write_text(content)
    with pytest.raises(InvalidSettings, match=message):
        Settings.build(flags, file)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """A settings file that was named is never passed over."""
    with pytest.raises(InvalidSettings, match="no such file"):
        Settings.build({"repository": "r"}, tmp_path / "absent.toml")
