"""Sessions as bytes, to keep or to move: `ExportedSession` of `session.proto`.

The checksum is the message's last field, so it covers, byte for byte, all that stands before it: no change
of any byte goes unseen, whatever a parser would make of it.
"""

import hashlib
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from models.manifest import Manifest, StateSpec
from service.errors import DamagedState, InvalidRequest
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US
from service.store.contract import NO_TIME, Record
from service.tenant import own_id, tenant_of
from statecast.v1 import session_pb2 as pb

FORMAT = 1
# Field 15, length-delimited, 32 bytes: how a serialised checksum begins.
_CHECKSUM_TAG = bytes((15 << 3 | 2, 32))
_CHECKSUM_SIZE = len(_CHECKSUM_TAG) + 32
# Positions above would overflow when rows are added to them.
_MAX_POSITION = 2**62
_WHAT = "exported"


def to_bytes(record: Record, manifest: Manifest) -> bytes:
    """A session, serialised.

    Args:
        manifest: of the model file that the record's states belong to.
    """
    message = pb.ExportedSession(
        format=FORMAT,
        model_digest=record.digest,
        session_id=own_id(record.session_id),
        tenant=tenant_of(record.session_id),
        position=record.position,
        last_time_us=None if record.last_time_us == NO_TIME else record.last_time_us,
        states=_tensors(record.states, manifest.states),
        recent=record.recent,
    )
    body = message.SerializeToString(deterministic=True)
    return body + _CHECKSUM_TAG + hashlib.sha256(body).digest()


def parse(exported: bytes, tenant: str) -> pb.ExportedSession:
    """Bytes as they were written, all but what only the model's manifest can tell; see `record_of`.

    Args:
        tenant: whose session it is to be; one of a server without tenants may be anybody's.

    Raises:
        DamagedState: not as they were written.
        InvalidRequest: of a format that a later version of the service writes, or another tenant's.
    """
    body, checksum = exported[:-_CHECKSUM_SIZE], exported[-_CHECKSUM_SIZE:]
    if checksum != _CHECKSUM_TAG + hashlib.sha256(body).digest():
        raise DamagedState(_WHAT, "its checksum is not that of its content: it was changed or cut short")
    try:
        message = pb.ExportedSession.FromString(body)
    except DecodeError as error:
        raise DamagedState(_WHAT, "it is not an ExportedSession") from error
    if message.format != FORMAT:
        raise InvalidRequest("exported.format", message.format, f"{FORMAT}, the one this server reads")
    if message.tenant not in ("", tenant):
        raise InvalidRequest("exported", "a session of another tenant", "one that this tenant exported")
    return message


def record_of(message: pb.ExportedSession, session_id: str, manifest: Manifest) -> Record:
    """The session that a message holds, under the id that it is to have.

    Args:
        manifest: of the model file that it names.

    Raises:
        DamagedState: it does not fit that model.
    """
    _check_content(message, manifest)
    return Record(
        session_id=session_id,
        digest=message.model_digest,
        position=message.position,
        last_time_us=message.last_time_us if message.HasField("last_time_us") else NO_TIME,
        states=b"".join(tensor.content for tensor in message.states),
        recent=message.recent,
    )


def _tensors(states: bytes, specs: Sequence[StateSpec]) -> list[pb.StateTensor]:
    tensors, start = [], 0
    for spec in specs:
        content = states[start : start + spec.num_bytes]
        tensors.append(pb.StateTensor(name=spec.name, dtype=spec.dtype, shape=spec.shape, content=content))
        start += spec.num_bytes
    assert start == len(states), f"{len(states)} bytes of states, {start} by the manifest"
    return tensors


def _check_content(message: pb.ExportedSession, manifest: Manifest) -> None:
    """A right checksum says nothing of whoever wrote it: nothing may reach the arena that does not fit."""
    found = [(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in message.states]
    expected = [(spec.name, spec.dtype, spec.shape) for spec in manifest.states]
    if found != expected:
        raise DamagedState(_WHAT, f"its states are {found}, those of its model {expected}")
    for tensor, spec in zip(message.states, manifest.states, strict=True):
        if len(tensor.content) != spec.num_bytes:
            size = len(tensor.content)
            raise DamagedState(_WHAT, f"state {spec.name} has {size} bytes in place of {spec.num_bytes}")
    row_bytes = 8 * manifest.row_layout.width
    if len(message.recent) % row_bytes:
        size = len(message.recent)
        raise DamagedState(_WHAT, f"its recent rows have {size} bytes, no multiple of {row_bytes}")
    if message.position > _MAX_POSITION:
        raise DamagedState(_WHAT, f"its position is {message.position}")
    if message.HasField("last_time_us") and not FIRST_TIME_US <= message.last_time_us <= LAST_TIME_US:
        raise DamagedState(_WHAT, f"its last time is {message.last_time_us}, outside the calendar")
