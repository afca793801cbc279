"""`statecast sessions` and `statecast keys`, as an operator runs them."""

import base64
import json
import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest

import statecast
from tests.server_process import clean_environment, serving

LIMIT_S = 60
TIMES = np.datetime64("2024-05-01T00", "h") + np.arange(12)
ROWS = np.random.default_rng(7).normal(10, 3, 12)


def _run(*arguments, given=None):
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        input=given, capture_output=True, timeout=LIMIT_S, env=clean_environment(COLUMNS="200"),
    )  # fmt: skip


class Command:
    """`statecast sessions` against one server, one model."""

    def __init__(self, address, model="gru"):
        self.target = ("--model", model, "--server", address)

    def __call__(self, *arguments, given=None):
        """The finished process."""
        return _run("sessions", *arguments, *self.target, given=given)

    def lines(self, *arguments):
        """What it prints, which must be all that it says."""
        done = self(*arguments)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr
        return done.stdout.decode().splitlines()

    def objects(self, *arguments):
        """The same, as JSON."""
        return [json.loads(line) for line in self.lines(*arguments, "--json")]

    def refusal(self, *arguments, status=1, given=None):
        """The one line of a command that fails."""
        done = self(*arguments, given=given)
        assert (done.returncode, done.stdout) == (status, b"")
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith(f"statecast sessions {arguments[0]}: ")
        return line


@pytest.fixture
def command(server):
    return Command(server.address)


@pytest.fixture
def client(server):
    with statecast.Client(server.address) as opened:
        yield opened


def test_sessions_are_listed(command, client):
    """A table with a header, or an object a line; only those that begin so, only so many."""
    for name, number in (("ls-a", 2), ("ls-b[bold]", 3), ("other", 1)):
        client.session("gru", name).observe(ROWS[:number], TIMES[:number])
    header, *lines = command.lines("ls", "ls-")
    assert header.split() == ["session", "position", "last", "time", "version", "place", "last", "row"]
    assert [line.split()[:6] for line in lines] == [
        ["ls-a", "2", "2024-05-01", "01:00:00", "1", "memory"],
        ["ls-b[bold]", "3", "2024-05-01", "02:00:00", "1", "memory"],
    ]
    first, second = command.objects("ls", "ls-")
    assert first["used_at"].endswith("+00:00")
    del first["used_at"]
    digest = client.model("gru").digest
    assert first == {
        "model": "gru",
        "session": "ls-a",
        "version": 1,
        "digest": digest,
        "position": 2,
        "last_time": "2024-05-01T01:00:00+00:00",
        "place": "memory",
    }
    assert (second["session"], second["position"]) == ("ls-b[bold]", 3)
    assert len(command.lines("ls", "ls-", "--limit", 1)) == 2
    assert {each["session"] for each in command.objects("ls")} >= {"ls-a", "ls-b[bold]", "other"}
    assert command.objects("ls", "none-") == []


def test_a_session_is_shown(command, client):
    """What is known of it, a line each; no time is a dash."""
    client.session("gru", "shown").observe(ROWS[:2])
    lines = [line.split() for line in command.lines("show", "shown")]
    assert ["session", "shown"] in lines
    assert ["position", "2"] in lines
    assert ["last", "time", "-"] in lines
    (shown,) = command.objects("show", "shown")
    assert (shown["position"], shown["last_time"], shown["place"]) == (2, None, "memory")


def test_a_copy_goes_its_own_way(command, client):
    """The original stays; a taken id is refused, with what to do next."""
    client.session("gru", "original").observe(ROWS[:3])
    assert command.lines("fork", "original", "copy") == ["copied original to copy, at position 3"]
    (told,) = command.objects("fork", "original", "copy2")
    assert (told["session"], told["position"]) == ("copy2", 3)
    client.session("gru", "copy").observe(ROWS[3:6])
    assert client.sessions("gru").get("original").position == 3
    refusal = command.refusal("fork", "original", "copy")
    assert "has a session 'copy' already; take another id, or end it first" in refusal


def test_a_file_carries_a_session_to_another_server(command, client, repository, tmp_path):
    """Exported, ended and imported elsewhere it forecasts as before; it comes back under another id."""
    expected = client.session("gru", "stays").forecast(ROWS, TIMES).forecast.values
    client.session("gru", "moves").observe(ROWS[:5], TIMES[:5])
    file = tmp_path / "moves.session"
    assert command.lines("export", "moves", "-o", file) == [f"exported moves to {file}"]
    assert command.lines("rm", "moves") == ["ended moves, at position 5"]
    with serving(repository) as elsewhere:
        other = Command(elsewhere.address)
        assert other.lines("import", file) == [f"imported {file} as moves, at position 5"]
        with statecast.Client(elsewhere.address) as there:
            moved = there.session("gru", "moves").forecast(ROWS[5:], TIMES[5:]).forecast.values
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    (told,) = command.objects("import", file, "--as", "came-back")
    assert (told["session"], told["position"]) == ("came-back", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["moves.session"]


def test_states_go_through_pipes(command, client):
    """Standard output and input carry the bytes; JSON has them in base64."""
    client.session("gru", "piped").observe(ROWS[:4])
    piped = command("export", "piped").stdout
    assert piped == client.sessions("gru").export("piped")
    (told,) = command.objects("export", "piped")
    assert told["session"] == "piped"
    assert base64.b64decode(told["exported"]) == piped
    done = command("import", "-", "--as", "piped-2", given=piped)
    assert done.stdout == b"imported - as piped-2, at position 4\n"


def test_an_import_does_not_replace_unless_it_is_told_to(command, client, tmp_path):
    """The refusal says how."""
    client.session("gru", "twice").observe(ROWS[:2])
    file = tmp_path / "twice"
    command.lines("export", "twice", "-o", file)
    client.session("gru", "twice").observe(ROWS[2:6])
    assert "; --overwrite replaces it, --as ID takes another id" in command.refusal("import", file)
    assert client.sessions("gru").get("twice").position == 6
    assert command.lines("import", file, "--overwrite") == [f"imported {file} as twice, at position 2"]


def test_damaged_and_foreign_files_are_refused(command, client, server, tmp_path):
    """A changed byte, another model, no session at all, no file."""
    client.session("gru", "source").observe(ROWS[:2])
    good = client.sessions("gru").export("source")
    changed, text = tmp_path / "changed", tmp_path / "text"
    changed.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    text.write_text("hello")
    refusal = command.refusal("import", changed, "--as", "new")
    assert "checksum" in refusal
    assert refusal.endswith("; export it again")
    assert "not a session that was exported" in command.refusal("import", text)
    assert "No such file" in command.refusal("import", tmp_path / "absent", status=2)
    foreign = Command(server.address, "two").refusal("import", "-", "--as", "new", given=good)
    assert foreign.endswith("; import it where that model file is served")
    assert command.objects("ls", "new") == []


def test_sessions_begin_anew_and_end(command, client):
    """Several at once; one that is not there does not keep the others."""
    for name in ("end-a", "end-b", "end-c"):
        client.session("gru", name).observe(ROWS[:2])
    assert command.lines("reset", "end-a", "end-b") == [
        "reset end-a, at position 0",
        "reset end-b, at position 0",
    ]
    done = command("rm", "end-a", "absent", "end-c")
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == ["ended end-a, at position 0", "ended end-c, at position 2"]
    (refusal,) = done.stderr.decode().splitlines()
    assert refusal.startswith("statecast sessions rm: ")
    assert "has no session 'absent'; `statecast sessions ls` lists those there are" in refusal
    assert [each["session"] for each in command.objects("ls", "end-")] == ["end-b"]
    (told,) = command.objects("rm", "end-b")
    assert (told["session"], told["position"]) == ("end-b", 0)


@pytest.mark.parametrize("words", [("show",), ("reset",), ("export",), ("rm",), ("fork", "x")])
def test_a_session_that_is_not_there(words, command):
    """Every command says so, and where to look."""
    name, *more = words
    assert "`statecast sessions ls` lists those there are" in command.refusal(name, "nowhere", *more)


def test_where_several_models_are_served_one_is_named(server):
    """The error lists them; where there is one it needs no name."""
    done = _run("sessions", "ls", "--address", server.address)
    assert done.returncode == 2
    assert b"--model: expected one of those served, which are gru, two" in done.stderr
    done = _run("sessions", "ls", "--address", server.address, "--model", "three")
    assert done.returncode == 1
    assert b"model 'three' is not served; served are: gru, two" in done.stderr


def test_a_server_that_is_not_there(server):
    """Exit status 2; the error names the address and how to give another."""
    done = _run("sessions", "ls", "--model", "gru", "--server", "127.0.0.1:1")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("statecast sessions ls: 127.0.0.1:1: ")
    assert line.endswith("--server names another")


def test_a_pipe_that_had_enough_is_no_error(command, client):
    """`statecast sessions ls | head -1` ends quietly."""
    for number in range(5):
        client.session("gru", f"head-{number}").observe(1.0)
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [sys.executable, "-m", "cli", "sessions", "ls", "--json", *command.target]
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(arguments, stdout=closed, stderr=subprocess.PIPE, timeout=LIMIT_S)
    assert done.stderr == b""


# Whoever runs these tests in the background has them ignore SIGINT, and a child inherits that.
_INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_events_are_printed_as_they_come(command, client):
    """Until it is interrupted, which is no error."""
    client.session("gru", "seen-a").observe(1.0)
    words = ["-m", "cli", "sessions", "watch", "seen-", "--json", *command.target]
    with subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTIBLE, *words], stdout=subprocess.PIPE, text=True
    ) as process:
        # Nothing tells from outside when the watch is open: events until one is seen.
        seen = None
        while seen is None:
            client.session("gru", "seen-a").observe(1.0)
            client.sessions("gru").delete("seen-a")
            seen = _line(process)
        assert (seen["event"], seen["session"], seen["num_missed"]) == ("deleted", "seen-a", 0)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0


def _line(process):
    """What it has printed, None where that is nothing yet."""
    readable, _, _ = select.select([process.stdout], [], [], 0.1)
    return json.loads(process.stdout.readline()) if readable else None


def test_keys_are_made(tmp_path):
    """Printed, put into a new file that nobody else reads, or added to those there are, as the last."""
    printed = _run("keys", "new").stdout.decode().strip()
    assert len(base64.b64decode(printed, validate=True)) == 32
    file = tmp_path / "seal.keys"
    assert _run("keys", "new", file).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_text().splitlines()
    file.write_text("\n".join(first))
    assert _run("keys", "new", file).returncode == 0
    assert file.read_text().splitlines()[:-1] == first
    assert len(base64.b64decode(file.read_text().splitlines()[-1], validate=True)) == 32
    done = _run("keys", "new", tmp_path / "absent" / "seal.keys")
    assert done.returncode == 2
    assert b"No such file or directory" in done.stderr


def test_made_keys_are_taken_by_a_server(repository, tmp_path):
    """And a file that is none stops it at once, with what to do."""
    file = tmp_path / "seal.keys"
    _run("keys", "new", file)
    with serving(repository, "--seal-keys", str(file)) as server, statecast.Client(server.address) as client:
        assert client.carried("gru", "a").observe(1.0).position == 1
    where = ("--repository", repository, "--address", "127.0.0.1:0", "--store", "memory:")
    done = _run("serve", *where, "--seal-keys", tmp_path / "none")
    assert done.returncode == 2
    assert b"`statecast keys new FILE` makes one" in done.stderr
