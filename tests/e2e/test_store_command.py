"""`statecast store`, on the file that a server has written."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

import statecast
from tests.server_process import clean_environment, serving
from tests.terminal import Terminal
from tests.terminal import statecast as statecast_command

LIMIT_S = 60
PAGE = 4096


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cli", "store", *map(str, arguments)],
        capture_output=True, text=True, timeout=LIMIT_S, env=clean_environment(),
    )  # fmt: skip


def _serve(repository, data_dir):
    return serving(repository, "--data-dir", str(data_dir), "--store", "sqlite:")


@pytest.fixture(scope="module")
def killed(repository, tmp_path_factory):
    """What a server leaves that is killed: sessions, and their rows in the journal."""
    path = tmp_path_factory.mktemp("killed")
    with _serve(repository, path) as server:
        with statecast.Client(server.address) as client:
            for number in range(40):
                client.session("gru", f"s{number}").observe(np.arange(3.0))
        refused = [_run(command, path / "sessions.db") for command in ("check", "compact", "migrate")]
        server.send(signal.SIGKILL)
        server.wait()
    return path, refused


@pytest.fixture
def file(killed, tmp_path):
    """A copy of it."""
    shutil.copytree(killed[0], tmp_path / "data")
    return tmp_path / "data" / "sessions.db"


def _found(done):
    """What `check --json` says."""
    assert done.stderr == ""
    return json.loads(done.stdout)


def _gru(found):
    (model,) = (each for each in found["models"] if each["model"] == "gru")
    return model


def test_a_file_that_a_server_has_is_refused(killed):
    """Each command says so, and that nothing was done."""
    for command, done in zip(("check", "compact", "migrate"), killed[1], strict=True):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"statecast store {command}: ")
        assert "another process has it" in done.stderr


def test_on_a_terminal_it_shows_how_far_it_is(file):
    """The sessions read, of how many; a run whose end nobody knows shows that it goes on."""
    with Terminal(statecast_command("store", "check", file), columns=80) as terminal:
        terminal.expect("structure", "gru .*40/40", "gru: 40 sessions")
        assert terminal.end() == 0
    with Terminal(statecast_command("store", "compact", file), columns=80) as terminal:
        terminal.expect("compact .*0:00:0", "bytes before")
        assert terminal.end() == 0


def test_a_killed_servers_file_is_whole(file):
    """Every session and row is counted; in words too."""
    done = _run("check", file, "--json")
    found = _found(done)
    model = _gru(found)
    assert (done.returncode, found["is_whole"], found["damage"]) == (0, True, [])
    assert (model["num_sessions"], model["num_journal_rows"]) == (40, 120)
    words = _run("check", file)
    assert words.returncode == 0
    assert f"{file}: whole" in words.stdout
    assert "gru: 40 sessions, 120 rows in" in words.stdout


def test_a_compacted_file_serves_the_same_sessions(tmp_path, repository):
    """Without the room of a session that has ended; a server goes on with the other."""
    file = tmp_path / "sessions.db"
    with _serve(repository, tmp_path) as server, statecast.Client(server.address) as client:
        ended = client.session("gru", "ended")
        ended.observe(np.ones(50_000))
        ended.delete()
        client.session("gru", "kept").observe(np.ones(3))
    done = _run("compact", file, "--json")
    sizes = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert sizes["num_bytes_after"] < sizes["num_bytes_before"]
    assert file.stat().st_size == sizes["num_bytes_after"]
    with _serve(repository, tmp_path) as server, statecast.Client(server.address) as client:
        assert client.session("gru", "kept").observe(np.ones(1)).position == 4


def test_a_file_of_this_format_is_left_alone(file):
    """Migration has nothing to do; a later format is refused."""
    done = _run("migrate", file)
    assert (done.returncode, done.stdout) == (0, f"{file}: format 1, nothing to do\n")
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for command in ("migrate", "check", "compact"):
        done = _run(command, file)
        assert (done.returncode, done.stdout) == (2, "")
        assert "format 99" in done.stderr


def test_a_truncated_file_is_damaged(file):
    """Cut in the middle, whether it can still be opened or not."""
    assert _run("compact", file).returncode == 0
    content = file.read_bytes()
    assert len(content) > 4 * PAGE
    for kept in (len(content) // 2 // PAGE * PAGE, PAGE + 100):
        file.write_bytes(content[:kept])
        done = _run("check", file, "--json")
        assert (done.returncode, _found(done)["is_whole"]) == (1, False)
        assert _found(done)["damage"]
        assert _run("check", file).returncode == 1


def test_a_damaged_session_is_named(file):
    """One state that is not as it was written; the others are whole."""
    _run("compact", file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE sessions SET checksum = checksum + 1 WHERE id = ?", (b"s7",))
    connection.close()
    done = _run("check", file, "--json")
    model = _gru(_found(done))
    assert done.returncode == 1
    assert [name for name, _ in model["damaged_sessions"]] == ["s7"]
    words = _run("check", file)
    assert (words.returncode, "session 's7': " in words.stdout) == (1, True)


def test_a_batch_of_nobody_knows_whom_is_given_up_on_request(file):
    """Until then it is damage; afterwards the sessions that lack its rows are, or none."""
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE journal SET names = x'00', rows = x'00' WHERE number % 1024 = 5")
    connection.close()
    done = _run("check", file, "--json")
    model = _gru(_found(done))
    assert (done.returncode, len(model["damaged_batches"])) == (1, 1)
    repaired = _found(_run("check", "--repair", file, "--json"))
    assert repaired["num_repaired"] == 1
    assert _gru(repaired)["damaged_batches"] == []
    assert _gru(_found(_run("check", file, "--json")))["damaged_batches"] == []


def test_what_is_no_store_is_refused(tmp_path):
    """No such file; somebody else's database; no database, which may be a store that is damaged."""
    foreign, noise = tmp_path / "foreign.db", tmp_path / "noise.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE things (x)")
    connection.close()
    noise.write_bytes(b"not a database " * 500)
    for path, status, words in (
        (tmp_path / "none.db", 2, "no such file"),
        (foreign, 2, "not a store of sessions"),
        (noise, 1, "not a SQLite database"),
    ):
        done = _run("check", path)
        assert (done.returncode, done.stdout) == (status, "")
        assert words in done.stderr
