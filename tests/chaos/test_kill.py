"""kill -9 at random moments under load: nothing that was acknowledged is lost, nothing counts twice."""

import asyncio
import random
import time

from tests.chaos.fleet import fleet, rounds
from tests.chaos.writers import Acknowledgements, Writer
from tests.model_files import sealed, write_model

_NUM_STREAMS, _NUM_SESSIONS = 3, 12


async def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(tmp_path, capsys):
    """Clients resend by position; the same server comes back over its SQLite file."""
    manifest = write_model(tmp_path / "models", "m")
    content, _ = sealed("m")
    num_rounds, moments = rounds(8, 100), random.Random(0)
    writers = []
    with fleet(tmp_path / "models", 1, "--store", f"sqlite:{tmp_path / 'sessions.db'}") as (server,):
        stop, acknowledged = asyncio.Event(), Acknowledgements()
        writers = [Writer(server.address, "m", f"w{number}", _NUM_SESSIONS) for number in range(_NUM_STREAMS)]
        writing = [asyncio.create_task(writer.run(acknowledged, stop)) for writer in writers]
        down_s = []
        for _ in range(num_rounds):
            await acknowledged.after(moments.randint(1, 60), writing)
            began_s = time.perf_counter()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            down_s.append(time.perf_counter() - began_s)
        await acknowledged.after(2 * _NUM_STREAMS, writing)
        stop.set()
        await asyncio.gather(*writing)
        for writer in writers:
            await writer.check(server.address, content, manifest)
    rows = sum(int(writer.acknowledged.sum()) for writer in writers)
    with capsys.disabled():
        print(
            f"\nkill -9: {num_rounds} rounds, {rows} rows acknowledged, 0 lost, 0 doubled;"
            f" back after {sorted(down_s)[num_rounds // 2]:.2f} s (median)"
        )
