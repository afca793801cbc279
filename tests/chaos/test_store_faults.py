"""The store fails under load, in a real server: callers are told, no acknowledged row is lost, and it goes on
by itself when the fault ends."""

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from functools import partial

import pytest

from statecast import AsyncClient
from statecast.errors import DataLoss, Unavailable
from tests.chaos.figures import report
from tests.chaos.fleet import fleet, rounds
from tests.chaos.writers import PATIENT, Writer, loaded, num_rows
from tests.missing import missing
from tests.model_files import sealed, write_model
from tests.valkey_server import valkey_server

_NUM_STREAMS, _NUM_SESSIONS = 2, 12
# Answers within which a full disk must have shown; the file may have some room of its own left.
_MOST_PROBES = 2000
_PAGE_BYTES = 4096


def _writers(server, num_sessions=_NUM_SESSIONS):
    return [Writer(server.address, "m", f"w{number}", num_sessions) for number in range(_NUM_STREAMS)]


@pytest.mark.parametrize("fault", ["killed", "paused"])
async def test_valkey_that_is_away_is_told_and_costs_no_row(fault, tmp_path, capsys):
    """UNAVAILABLE while it is away, naming it; when it is back the same clients go on by themselves."""
    manifest = write_model(tmp_path / "models", "m")
    with (
        valkey_server(tmp_path / "valkey") as valkey,
        fleet(tmp_path / "models", 1, "--store", valkey.url) as (server,),
    ):
        begin, end = {"killed": (valkey.kill, valkey.start), "paused": (valkey.pause, valkey.go_on)}[fault]
        writers, num_rounds = _writers(server), rounds(2, 6)
        async with loaded(writers) as load, _impatient(server) as probe:
            for turn in range(num_rounds):
                await load.answers(4 * _NUM_STREAMS)
                begin()
                with pytest.raises(Unavailable, match=str(valkey.port)):
                    await probe.session("m", f"probe-{turn}").observe([[1.0, 2.0]])
                await asyncio.to_thread(end)
                await load.answers(2 * _NUM_STREAMS)
        for writer in writers:
            await writer.check(server.address, sealed("m")[0], manifest)
    report(capsys, f"Valkey {fault} under load", rounds=num_rounds, rows=num_rows(writers), lost=0, doubled=0)


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_a_full_disk_is_told_and_costs_no_row(durability, tmp_path, capsys):
    """UNAVAILABLE with the reason; with room again the same clients go on, also where it was killed full."""
    manifest = write_model(tmp_path / "models", "m")
    with _small_disk(tmp_path / "disk") as disk:
        flags = ("--store", f"sqlite:{disk / 'sessions.db'}", "--durability", durability)
        num_rounds = rounds(2, 8)
        with fleet(tmp_path / "models", 1, *flags) as (server,):
            writers = _writers(server)
            async with loaded(writers) as load:
                for turn in range(num_rounds):
                    await load.answers(4 * _NUM_STREAMS)
                    _fill(disk / "ballast")
                    await _until_refused(server, f"probe-{turn}", "disk is full")
                    if turn % 2:
                        server.kill()
                    (disk / "ballast").unlink()
                    if turn % 2:
                        await asyncio.to_thread(server.start)
                    await load.answers(2 * _NUM_STREAMS)
            for writer in writers:
                await writer.check(server.address, sealed("m")[0], manifest)
    report(
        capsys,
        f"disk full under load, {durability}",
        rounds=num_rounds,
        rows=num_rows(writers),
        lost=0,
        doubled=0,
    )


async def test_a_disk_that_fails_writes_is_told_and_costs_no_row(tmp_path, capsys):
    """As a full one, for a failure that SQLite has no name for: a file that may not grow."""
    manifest = write_model(tmp_path / "models", "m")
    num_rounds = rounds(2, 8)
    with fleet(tmp_path / "models", 1, "--store", f"sqlite:{tmp_path / 'sessions.db'}") as (server,):
        writers = _writers(server)
        async with loaded(writers) as load:
            for turn in range(num_rounds):
                await load.answers(4 * _NUM_STREAMS)
                limit = partial(resource.prlimit, server.process.process.pid, resource.RLIMIT_FSIZE)
                _, most = limit()
                limit((_PAGE_BYTES, most))
                await _until_refused(server, f"probe-{turn}", "cannot be read or written|cannot be opened")
                limit((most, most))
                await load.answers(2 * _NUM_STREAMS)
        for writer in writers:
            await writer.check(server.address, sealed("m")[0], manifest)
    report(capsys, "writes fail under load", rounds=num_rounds, rows=num_rows(writers), lost=0, doubled=0)


async def test_a_log_that_was_cut_is_told_and_clients_fill_it_in(tmp_path, capsys):
    """Rows that were cut off are gone: the server says so, and a client that counts learns where to begin."""
    manifest = write_model(tmp_path / "models", "m")
    store = tmp_path / "sessions.db"
    num_cut = 0
    with fleet(tmp_path / "models", 1, "--store", f"sqlite:{store}") as (server,):
        writers = _writers(server)
        for turn in range(rounds(2, 8)):
            async with loaded(writers) as load:
                await load.answers(10 * _NUM_STREAMS)
            server.kill()
            log = store.with_name("sessions.db-wal")
            os.truncate(log, log.stat().st_size * (turn % 3 + 1) // 4)
            server.start()
            told = [line["event"] for line in server.process.log]
            assert any(event.startswith("acknowledged batches are gone") for event in told), told
            async with AsyncClient(server.address, **PATIENT) as client:
                lost = [await writer.rewind(client) for writer in writers]
            assert sum(lost) > 0
            num_cut += sum(lost)
        async with loaded(writers) as load:
            await load.answers(4 * _NUM_STREAMS)
        for writer in writers:
            await writer.check(server.address, sealed("m")[0], manifest)
    report(capsys, "log cut between two starts", rows_cut=num_cut, told=True, sent_again=num_cut)


async def test_a_damaged_session_spares_its_neighbours(tmp_path):
    """DATA_LOSS for the one whose bytes changed; the others go on; ended and sent again it is whole."""
    manifest = write_model(tmp_path / "models", "m")
    store = tmp_path / "sessions.db"
    with fleet(tmp_path / "models", 1, "--store", f"sqlite:{store}") as (server,):
        writers = _writers(server)
        await _write_and_stop(writers, server)
        _damage(store, writers[0].ids[3])
        server.start()
        async with AsyncClient(server.address, **PATIENT) as client:
            damaged = [name for writer in writers for name in writer.ids if await _is_damaged(client, name)]
            assert damaged == [writers[0].ids[3]]
            # Its client begins it anew, which is all there is to do.
            await client.sessions("m").delete(damaged[0])
            assert await writers[0].rewind(client) > 0
        async with loaded(writers) as load:
            await load.answers(4 * _NUM_STREAMS)
        for writer in writers:
            await writer.check(server.address, sealed("m")[0], manifest)


async def test_a_corrupt_page_never_passes_for_sessions(tmp_path, capsys):
    """Whatever page is garbage: the server says that its file is damaged, or each session is whole or
    refused. With the file as it was, all go on."""
    manifest = write_model(tmp_path / "models", "m")
    store, kept = tmp_path / "sessions.db", tmp_path / "kept.db"
    seen = {"not started": 0, "refused": 0, "whole": 0}
    with fleet(tmp_path / "models", 1, "--store", f"sqlite:{store}") as (server,):
        writers = _writers(server, 300)
        await _write_and_stop(writers, server)
        shutil.copy(store, kept)
        num_pages = store.stat().st_size // _PAGE_BYTES
        step = max(num_pages // rounds(3, 16), 1)
        for page in range(0, num_pages, step):
            with store.open("r+b") as file:
                file.seek(page * _PAGE_BYTES)
                file.write(b"\xa5" * _PAGE_BYTES)
            try:
                server.start()
            except AssertionError as error:
                assert "damaged" in str(error) or "not a store" in str(error), error
                seen["not started"] += 1
            else:
                for name, count in (await _states_of(server, writers)).items():
                    seen[name] += count
                server.kill()
            for file in tmp_path.glob("sessions.db*"):
                file.unlink()
            shutil.copy(kept, store)
        server.start()
        async with loaded(writers) as load:
            await load.answers(4 * _NUM_STREAMS)
        for writer in writers:
            await writer.check(server.address, sealed("m")[0], manifest)
    report(capsys, "corrupt page", pages=len(range(0, num_pages, step)), wrong=0, **seen)


def _impatient(server):
    return AsyncClient(server.address, retry_budget_s=0, attempt_timeout_s=30)


async def _until_refused(server, name, reason):
    """Send rows until one is refused; it must be for that reason."""
    async with _impatient(server) as client:
        session = client.session("m", name)
        with pytest.raises(Unavailable, match=reason):
            await _observe_many(session)


async def _observe_many(session):
    for _ in range(_MOST_PROBES):
        await session.observe([[1.0, 2.0]])


async def _write_and_stop(writers, server):
    """Write, then end the server as it should be ended: all is in one file."""
    async with loaded(writers) as load:
        await load.answers(10 * _NUM_STREAMS)
    assert server.process.stop(signal.SIGTERM) == 0


async def _is_damaged(client, name):
    try:
        await client.sessions("m").get(name)
    except DataLoss:
        return True
    return False


async def _states_of(server, writers):
    """How many sessions are whole, and how many are refused; one that stands elsewhere is an error."""
    seen = {"refused": 0, "whole": 0}
    async with _impatient(server) as client:
        for writer in writers:
            for session, name in enumerate(writer.ids):
                try:
                    position = await client.session("m", name).refresh()
                except (DataLoss, Unavailable):
                    seen["refused"] += 1
                else:
                    assert position == writer.acknowledged[session], name
                    seen["whole"] += 1
    return seen


def _damage(store, session_id):
    """A column of a session's changes, and its checksum does not."""
    with closing(sqlite3.connect(store)) as connection, connection:
        changed = connection.execute(
            "UPDATE sessions SET position = position + 1 WHERE id = ?", (session_id.encode(),)
        )
        assert changed.rowcount == 1


def _fill(path):
    """Until nothing more goes in."""
    with path.open("wb", buffering=0) as file:
        for size in (2**20, _PAGE_BYTES):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@contextmanager
def _small_disk(folder):
    """A file system of its own; without leave to mount one the test is skipped, or fails in continuous
    integration."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        missing(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
