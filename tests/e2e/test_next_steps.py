"""Errors of every command: one line that says what was wrong, and what to do next."""

import pytest
import structlog
from typer.testing import CliRunner

from cli.main import COMMANDS, app
from tests.fake_server import FakeServer
from tests.unit.training.series_files import write_csv

AWAY = ("--server", "127.0.0.1:1")
TRAIN = ("--freq", "h", "--horizon", "2", "--output", "out/m")
# By command, arguments of which each is something to be wrong in, what is wrong, and what to do.
WRONG = [
    (("stream", *AWAY, "--retry-budget-s", "0", "--data", "rows.csv"), "refused", "--server names another"),
    (
        ("stream", "--server", "HERE", "--data", "absent.csv"),
        "absent.csv: No such file",
        "--data names a CSV",
    ),
    (("stream", "--server", "HERE", "--data", "words.csv"), "no column 'y'", "expected columns y"),
    (("stream", "--server", "HERE", "--data", "rows.csv", "--horizon", "99"), "found 99", "expected 1 to 3"),
    (("sessions", "ls", *AWAY), "refused", "--server names another"),
    (("sessions", "import", "absent", *AWAY), "absent: No such file", "`statecast sessions export` wrote"),
    (("sessions", "import", "words.csv", *AWAY), "not a session", "export it again"),
    (("health", *AWAY), "refused", "--server names another"),
    (("top", "--http", "127.0.0.1:1", "--once"), "refused", "--http-address"),
    (("inspect", "absent"), "absent: No such file", "name a model.onnx"),
    (("inspect", "words.csv"), "words.csv", "`statecast train` writes those"),
    (("backtest", "absent", "--data", "rows.csv"), "absent: No such file", "name a model.onnx"),
    (("backtest", "words.csv", "--data", "rows.csv"), "words.csv", "`statecast train` writes those"),
    (("serve",), "repository is required", "--repository"),
    (("serve", "--repository", "absent"), "not a folder", "`statecast train --output"),
    (("serve", "--repository", "."), "no <model>/<version>/model.onnx", "`statecast train --output"),
    (("store", "check", "absent.db"), "no such file", "--data-dir"),
    (("keys", "new", "absent/keys"), "absent/keys: No such file", "name a file in a folder that is there"),
    (("tokens", "new", "absent/t", "--tenant", "a"), "absent/t: No such file", "name a file in a folder"),
    (("tokens", "new", "t", "--tenant", "a b"), "found 'a b'", "expected 1 to 64 letters"),
    (("train", "--data", "absent.csv", *TRAIN), "found none of that name", "--data names a CSV"),
    (("train", "--data", "words.csv", *TRAIN), "found columns a, b", "--time-column"),
    (("train", "--data", "series.csv", *TRAIN, "--freq", "zz"), "found 'zz'", "such as h, 15min"),
    (
        ("train", "--data", "rows.csv", *TRAIN, "--time-column", "y"),
        "time_column",
        "expected three different",
    ),
    (("tune", "--data", "absent.csv", *TRAIN), "found none of that name", "--data names a CSV"),
    (("diagnose", "absent"), "absent", "work-dir"),
    (("diagnose", "--data", "series.csv", "--cell", "lstn"), "'lstn'", "expected one of"),
    (("demo", "--data", "words.csv"), "found columns a, b", "expected a column of dates"),
]


@pytest.fixture(autouse=True)
def own_logs():
    """`serve` sends this process' log lines to its own standard error, which is closed when it has ended."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def server():
    running = FakeServer()
    yield running
    running.stop()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text("y\n1\n2\n")
    (tmp_path / "words.csv").write_text("a,b\nx,y\n")
    write_csv(tmp_path / "series.csv")
    monkeypatch.chdir(tmp_path)
    for variable in ("STATECAST_TOKEN", "STATECAST_TOKEN_FILE", "STATECAST_HTTP_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "what", "next_step"),
    WRONG,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_and_what_to_do(arguments, what, next_step, server, folder):
    """One line that begins with the command, on standard error, and an exit status that is not 0."""
    given = [server.target if argument == "HERE" else argument for argument in arguments]
    ended = CliRunner().invoke(app, given)
    assert ended.exit_code in (1, 2), ended.output
    assert ended.stdout == ""
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith(f"statecast {arguments[0]}")
    assert what in line
    assert next_step in line


def test_every_command_is_there():
    """Those that cannot go wrong by their arguments aside."""
    assert set(COMMANDS) - {arguments[0] for arguments, *_ in WRONG} == {"demo-data"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sesions"], "sessions"),
        (["stream", "--mdel", "x"], "--model"),
        (["stream", "--reply", "al"], "each"),
    ],
)
def test_a_slip_of_the_fingers(arguments, words):
    """An unknown command, option or value: the nearest one, or those there are."""
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2
    assert words in ended.stderr
