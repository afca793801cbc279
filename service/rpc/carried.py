"""`Forecast` for callers who carry the state themselves: nothing of it stays here."""

import asyncio

import numpy as np

from service.errors import InvalidRequest
from service.rpc import asked, unary
from service.rpc.frames import FrameLimits
from service.security.caller import Tenant
from service.sessions.frame import Frame
from service.sessions.seal import Seals
from service.sessions.worker import SessionWorker
from statecast.v1 import forecast_pb2 as pb


async def forecast(
    request: pb.ForecastRequest,
    worker: SessionWorker,
    seals: Seals | None,
    limits: FrameLimits,
    deadline_s: float,
    tenant: Tenant,
) -> pb.ForecastResponse:
    """Step the state that a request brings, and give it back sealed.

    Raises:
        StatecastError: refused; the caller's state is good for another try, where it is good at all.
    """
    if seals is None:
        expected = "false: this server has no keys to seal states with; `statecast keys new FILE` makes one, "
        raise InvalidRequest("carry_state", "true", f"{expected}and --seal-keys FILE tells the server")
    rows = asked.read(request, worker.model.manifest, limits)
    tenant.take(len(rows.values))
    worker.check_room(len(rows.values))
    # The key of a seal is derived from it: another tenant's does not open.
    key = tenant.key(request.session_id)
    before = (
        seals.open(request.sealed_state, key) if request.sealed_state else worker.admin.initial_record(key)
    )
    frames: list[Frame] = []

    def frame_of(slot: int) -> Frame:
        frames.append(unary.frame_of(rows, np.array([slot]), lambda _: None, deadline_s))
        return frames[0]

    try:
        after = await worker.admin.advance_record(before, frame_of)
    except asyncio.CancelledError:
        for frame in frames:
            frame.drop()
        raise
    version = await worker.admin.version_of(after.digest)
    response = unary.encode(frames[0].result, rows, version.model)
    response.sealed_state = seals.seal(after)
    return response
