"""kill -9 at random moments under load: nothing that was acknowledged is lost, nothing counts twice."""

import asyncio
import random
import time

from tests.chaos.figures import report
from tests.chaos.fleet import fleet, rounds
from tests.chaos.writers import Writer, loaded, num_rows
from tests.model_files import sealed, write_model

_NUM_STREAMS, _NUM_SESSIONS = 3, 12


async def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(tmp_path, capsys):
    """Clients resend by position; the same server comes back over its SQLite file."""
    manifest = write_model(tmp_path / "models", "m")
    content, _ = sealed("m")
    num_rounds, moments = rounds(6, 100), random.Random(0)
    with fleet(tmp_path / "models", 1, "--store", f"sqlite:{tmp_path / 'sessions.db'}") as (server,):
        writers = [Writer(server.address, "m", f"w{number}", _NUM_SESSIONS) for number in range(_NUM_STREAMS)]
        down_s = []
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
    report(
        capsys,
        "kill -9 under load",
        rounds=num_rounds,
        rows=num_rows(writers),
        lost=0,
        doubled=0,
        median_down_s=round(sorted(down_s)[num_rounds // 2], 2),
    )
