"""kill -9 at random moments under load: nothing that was acknowledged is lost, nothing counts twice."""

import asyncio
import random
import time

from tests.chaos.figures import report
from tests.chaos.fleet import fleet, rounds
from tests.chaos.writers import Writer, loaded, num_rows
from tests.model_files import sealed, write_model

_NUM_STREAMS, _NUM_SESSIONS = 3, 12
# Two at a time: one is killed while the other's clients find their way back.
_NUM_SERVERS = 2
_NUM_ROUNDS = rounds(6, 100)


async def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(tmp_path, capsys):
    """Clients resend by position; the same server comes back over its SQLite file."""
    write_model(tmp_path / "models", "m")
    went = await asyncio.gather(
        *(
            _kill_again_and_again(number, tmp_path, _NUM_ROUNDS // _NUM_SERVERS)
            for number in range(_NUM_SERVERS)
        )
    )
    down_s = sorted(each for times, _ in went for each in times)
    assert len(down_s) == _NUM_ROUNDS
    report(
        capsys,
        "kill -9 under load",
        rounds=_NUM_ROUNDS,
        rows=sum(num_rows(writers) for _, writers in went),
        lost=0,
        doubled=0,
        median_down_s=round(down_s[_NUM_ROUNDS // 2], 2),
        longest_down_s=round(down_s[-1], 2),
    )


async def _kill_again_and_again(number, folder, num_rounds):
    """One server with a file of its own; returns how long it was away each time, and its writers."""
    content, manifest = sealed("m")
    moments, down_s = random.Random(number), []
    with fleet(folder / "models", 1, "--store", f"sqlite:{folder / f'sessions-{number}.db'}") as (server,):
        writers = [Writer(server.address, "m", f"w{stream}", _NUM_SESSIONS) for stream in range(_NUM_STREAMS)]
        async with loaded(writers) as load:
            for _ in range(num_rounds):
                await load.answers(moments.randint(1, 60))
                began_s = time.perf_counter()
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                down_s.append(time.perf_counter() - began_s)
            await load.answers(2 * _NUM_STREAMS)
        for writer in writers:
            await writer.check(server.address, content, manifest)
    return down_s, writers
