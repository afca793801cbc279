"""Another version of a model comes under load: no session is lost, and forecasts are what the policy says."""

import asyncio
import shutil
import signal
import time

import grpc
import numpy as np
import pytest

from statecast import AsyncClient
from statecast.v1 import model_pb2 as pb
from statecast.v1 import model_pb2_grpc
from tests.chaos.expected import Version, is_told, upgraded
from tests.chaos.figures import report
from tests.chaos.fleet import fleet, rounds
from tests.chaos.writers import MAX_ROWS, PATIENT, Writer, loaded, num_rows
from tests.model_files import sealed, write_model

_NUM_STREAMS = 4
_NUM_SESSIONS = rounds(400, 10_000) // _NUM_STREAMS
_NUM_RECENT = 5


@pytest.fixture
def folders(tmp_path):
    """A repository with version 1, and one beside it with version 2: another seed, the same architecture."""
    write_model(tmp_path / "models", "m")
    write_model(tmp_path / "later", "m", version=2, seed=1)
    return tmp_path


@pytest.mark.parametrize("policy", ["pin", "carry", "replay"])
async def test_an_upgrade_under_load_loses_no_session(policy, folders, capsys):
    """Each goes over, or stays, as the policy says, between two of its rows; a kill afterwards changes
    nothing."""
    flags = ("--store", f"sqlite:{folders / 'sessions.db'}", "--recent-rows", str(_NUM_RECENT))
    with fleet(folders / "models", 1, *flags, "--watch-s", "0") as (server,):
        writers = [Writer(server.address, "m", f"w{number}", _NUM_SESSIONS) for number in range(_NUM_STREAMS)]
        late = Writer(server.address, "m", "late", 8)
        _mark([*writers, late])
        async with loaded(writers) as load:
            await load.all_back()
            await load.answers(2 * _NUM_STREAMS)
            _publish(folders, 2)
            earliest = [writer.acknowledged.copy() for writer in writers]
            began_s = time.perf_counter()
            loaded_model = await _load(server.address, 2, policy)
            load_s = time.perf_counter() - began_s
            latest = [writer.acknowledged + MAX_ROWS for writer in writers]
            assert loaded_model.version == 2
            _mark(writers)
            async with loaded([late]) as newcomers:
                await newcomers.all_back()
                await load.all_back()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            # A row each at least, until every session is beyond what may have been under way at the upgrade.
            for _ in range(MAX_ROWS + 1):
                _mark(writers)
                await load.all_back()
        expected_version = 1 if policy == "pin" else 2
        await _check_listed(server.address, writers, expected_version)
        await _check_listed(server.address, [late], 2)
    late.compare(*sealed("m", seed=1))
    for writer, first, last in zip(writers, earliest, latest, strict=True):
        _check_told(writer, policy, first, last)
    report(
        capsys,
        f"upgrade under load, {policy}",
        sessions=_NUM_STREAMS * _NUM_SESSIONS,
        rows=num_rows(writers),
        sessions_lost=0,
        requests_failed=0,
        load_s=round(load_s, 2),
    )


@pytest.mark.parametrize("how", ["watched", "SIGHUP"])
async def test_the_repository_is_followed_under_load(how, folders):
    """A new version is served, a broken one refused, an old one served again; live sessions stay as they
    were."""
    flags = ("--store", f"sqlite:{folders / 'sessions.db'}", "--watch-s", "0.2" if how == "watched" else "0")
    with fleet(folders / "models", 1, *flags) as (server,):
        writers = [Writer(server.address, "m", f"w{number}", 20) for number in range(2)]

        async def look_for(event, version):
            if how == "SIGHUP":
                server.process.send(signal.SIGHUP)
            entry = await asyncio.to_thread(server.process.wait_for, event)
            assert (entry["model"], entry["version"]) == ("m", version)

        async with loaded(writers) as load:
            await load.answers(4)
            _publish(folders, 2)
            await look_for("version served", 2)
            assert (await _get(server.address)).version == 2
            await load.answers(4)
            broken = folders / "later" / "m" / "3"
            broken.mkdir(parents=True)
            (broken / "model.onnx").write_bytes(sealed("m", seed=1)[0][:-1000])
            _publish(folders, 3)
            await look_for("version refused", 3)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _load(server.address, 3, "pin")
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert (await _get(server.address)).version == 2
            await load.answers(4)
            assert (await _load(server.address, 1, "pin")).version == 1
            _mark(writers)
            await load.all_back()
            late = Writer(server.address, "m", "late", 4)
            async with loaded([late]) as newcomers:
                await newcomers.answers(4)
        await _check_listed(server.address, [*writers, late], 1)
        for writer in (*writers, late):
            await writer.check(server.address, *sealed("m"))


async def test_carried_sessions_go_back_with_the_version(folders):
    """A rollback by carry after an upgrade by carry: both under load, and no session is lost."""
    with fleet(folders / "models", 1, "--store", f"sqlite:{folders / 'sessions.db'}", "--watch-s", "0") as (
        server,
    ):
        writers = [Writer(server.address, "m", f"w{number}", 20) for number in range(2)]
        _publish(folders, 2)
        async with loaded(writers) as load:
            for version in (2, 1, 2, 1):
                assert (await _load(server.address, version, "carry")).version == version
                _mark(writers)
                await load.all_back()
        await _check_listed(server.address, writers, 1)


def _mark(writers):
    for writer in writers:
        writer.mark()


def _publish(folders, version):
    """As a careful publisher does it: the folder appears with all that is in it."""
    shutil.move(folders / "later" / "m" / str(version), folders / "models" / "m" / str(version))


async def _load(address, version, policy):
    number = pb.UpgradePolicy.Value(f"UPGRADE_POLICY_{policy.upper()}")
    async with grpc.aio.insecure_channel(address) as channel:
        request = pb.LoadModelRequest(model="m", version=version, policy=number)
        return (await model_pb2_grpc.ModelServiceStub(channel).LoadModel(request)).model


async def _get(address):
    async with grpc.aio.insecure_channel(address) as channel:
        return (await model_pb2_grpc.ModelServiceStub(channel).GetModel(pb.GetModelRequest(model="m"))).model


async def _check_listed(address, writers, version):
    """Every session is there, where it was acknowledged to be, on that version."""
    async with AsyncClient(address, **PATIENT) as client:
        for writer in writers:
            prefix = writer.ids[0].removesuffix("0")
            found = {info.session_id: info async for info in client.sessions("m").list(prefix)}
            expected = dict(zip(writer.ids, writer.acknowledged.tolist(), strict=True))
            opened = {name: position for name, position in expected.items() if position}
            assert {name: info.position for name, info in found.items()} == opened
            assert {info.model_version for info in found.values()} == {version}


def _check_told(writer, policy, earliest, latest):
    """Forecasts of the old version, up to where each session went over, and of the new one from there on.

    Args:
        earliest: (N,) rows acknowledged before the upgrade was asked for.
        latest: (N,) rows that may have been applied when it was done.
    """
    if policy == "pin":
        writer.compare(*sealed("m"))
        return
    old, new = Version(*sealed("m")), Version(*sealed("m", seed=1))
    for session in range(writer.num_compared):
        rows, told = writer.rows(session), writer.told[session]
        assert max(told) > latest[session], "nothing was told after the upgrade"
        candidates = range(earliest[session], min(latest[session], len(rows) - 1) + 1)
        assert any(is_told(told, upgraded(old, new, policy, rows, at, _NUM_RECENT)) for at in candidates), (
            f"{writer.ids[session]}: not forecasts of {policy} anywhere in {candidates}"
        )
        assert not np.allclose(old.run(rows)[0][-1], told[max(told)]), "versions do not differ"
