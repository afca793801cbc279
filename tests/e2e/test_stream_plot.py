"""`statecast stream --plot` and the bar over a file's rows, on a terminal and away from one."""

import subprocess

import pytest

from tests.fake_server import MODEL, FakeServer
from tests.terminal import Terminal, statecast

LIMIT_S = 60


@pytest.fixture
def server():
    running = FakeServer()
    yield running
    running.stop()


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "meter.csv"
    path.write_text("ds,y\n" + "".join(f"2024-01-{day:02},{day % 7}\n" for day in range(1, 29)))
    return path


def _command(server, *arguments):
    return statecast("stream", "--server", server.target, "--model", MODEL, *arguments)


def _run(server, *arguments, **named):
    done = subprocess.run(
        _command(server, *arguments), capture_output=True, timeout=LIMIT_S, encoding="utf-8", **named
    )
    return done.returncode, done.stdout, done.stderr


def test_the_picture_moves_with_each_row(server):
    """On a terminal a row that is typed shows in the picture before the next one is."""
    with Terminal(_command(server, "--data", "-", "--plot")) as terminal:
        terminal.press("1.25\n")
        terminal.expect(r"stdin, y 1\.25")
        terminal.press("7.75\n")
        terminal.expect(r"stdin, y 7\.75", r"┤", r"steps from the newest row: -1 \.\. \+3", "should hold 80%")
        terminal.press("\x04")
        assert terminal.end() == 0
    assert server.values("stdin") == [1.25, 7.75]


def test_colours_are_for_a_terminal_that_has_them(server, series):
    """The median is in a colour on a terminal, and not where NO_COLOR is set."""
    for variables, is_coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        command = _command(server, "--data", series, "--plot", "--session", f"s{is_coloured}")
        with Terminal(command, **variables) as terminal:
            assert terminal.end() == 0
            assert "┤" in terminal.shown
            assert (b"\x1b[36m" in terminal.raw) == is_coloured, variables


def test_a_pipe_gets_one_picture_a_series_without_escapes(server, tmp_path):
    """All rows are sent; what is printed is text of at most a hundred columns."""
    path = tmp_path / "two.csv"
    path.write_text("unique_id,y\n" + "".join(f"{name},{row}\n" for row in range(9) for name in "ab"))
    status, out, errors = _run(server, "--data", path, "--plot")
    assert (status, errors) == (0, "")
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert [line.split(",")[0] for line in out.splitlines() if "one of 2 series" in line] == ["a", "b"]
    assert len(server.values("a")) == 9


@pytest.mark.parametrize("others", [["--json"], ["--reply", "none"]])
def test_what_does_not_go_with_a_picture(server, series, others):
    """It is refused before a row is sent, and the message says what to leave out."""
    status, out, errors = _run(server, "--data", series, "--plot", *others)
    assert (status, out) == (2, "")
    assert (
        errors
        == f"statecast stream: --plot: expected no {' '.join(others)} beside it; leave one of them out\n"
    )
    assert not server.sessions


def test_a_bar_over_the_rows_of_a_file(server, series):
    """Where forecasts are not on the screen themselves: rows done of all, rate, and time left or taken."""
    with Terminal(_command(server, "--data", series, "--reply", "none"), columns=80) as terminal:
        terminal.expect(r"rows .* 28/28 .*rows/s.* 0:00:0\d")
        assert terminal.end() == 0


def test_no_bar_away_from_a_terminal(server, series):
    """Logs and pipes get the forecasts alone."""
    status, _, errors = _run(server, "--data", series, "--reply", "none")
    assert (status, errors) == (0, "")


def test_a_file_that_can_be_read_once_is_read_once(server):
    """A process substitution has no second beginning: the bar goes without a total."""
    command = " ".join(_command(server, "--data", "<(echo 1.5)", "--reply", "none", "--session", "s"))
    with Terminal(["bash", "-c", f"{command}; exit $?"]) as terminal:
        assert terminal.end() == 0
    assert server.values("s") == [1.5]
