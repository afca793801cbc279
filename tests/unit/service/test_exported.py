"""Sessions as bytes: what comes out is what went in, and nothing else comes out."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import DamagedState, InvalidRequest
from service.sessions import exported
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US
from service.store.contract import NO_TIME, Record
from statecast.v1 import session_pb2 as pb
from tests.records import DIGEST, MANIFEST, records


def _written(record):
    return exported.to_bytes(record, MANIFEST)


def _read(content, session_id="s"):
    return exported.record_of(exported.parse(content, ""), session_id, MANIFEST)


def _record(**changes):
    states = np.arange(3, dtype=np.float32).tobytes() + np.float64(7).tobytes()
    given_fields = {"session_id": "s", "digest": DIGEST, "position": 5, "last_time_us": 9, "states": states}
    return Record(**{**given_fields, **changes})


def _signed(message):
    """A message with the checksum that is right for it."""
    message.ClearField("checksum")
    message.checksum = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
    return message.SerializeToString(deterministic=True)


@given(records())
def test_what_was_written_is_read(record):
    """Every field but those of the place where it was kept; the id is the reader's."""
    read = _read(_written(record), "another")
    kept = (record.digest, record.position, record.last_time_us, record.states, record.recent)
    assert (read.digest, read.position, read.last_time_us, read.states, read.recent) == kept
    assert (read.session_id, read.token) == ("another", 0)


@given(records())
def test_the_bytes_are_an_exported_session(record):
    """Whoever has the proto reads them; the checksum is that of the message without it."""
    message = pb.ExportedSession.FromString(_written(record))
    assert (message.session_id, message.model_digest) == (record.session_id, record.digest)
    assert [tensor.name for tensor in message.states] == ["h", "total"]
    assert message.HasField("last_time_us") == (record.last_time_us != NO_TIME)
    assert _signed(message) == _written(record)


@given(records(), st.data())
def test_any_changed_byte_is_refused(record, data):
    """Wherever it lies, and whatever it becomes."""
    content = bytearray(_written(record))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedState):
        _read(bytes(content))


def test_every_bit_and_every_length_is_guarded():
    """One session, all of its single-bit changes, all of its truncations, and a byte more."""
    content = _written(_record())
    for index in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[index] ^= 1 << bit
            with pytest.raises(DamagedState):
                _read(bytes(changed))
        with pytest.raises(DamagedState):
            _read(content[:index])
    with pytest.raises(DamagedState):
        _read(content + b"\0")


def test_a_later_format_is_told_from_damage():
    """It was not damaged: the server is too old for it."""
    message = pb.ExportedSession.FromString(_written(_record()))
    message.format = 2
    with pytest.raises(InvalidRequest, match=r"exported\.format: expected 1.*found 2"):
        _read(_signed(message))


def _change(message, field, value):
    setattr(message, field, value)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("state h has 4 bytes in place of 12", lambda m: _change(m.states[0], "content", b"1234")),
        ("its states are", lambda m: _change(m.states[0], "name", "c")),
        ("its states are", lambda m: _change(m.states[0], "dtype", "int64")),
        ("its states are", lambda m: m.states[0].shape.append(1)),
        ("its states are", lambda m: m.states.pop()),
        ("its states are", lambda m: m.ClearField("states")),
        ("its recent rows have 8 bytes", lambda m: _change(m, "recent", b"12345678")),
        ("its position", lambda m: _change(m, "position", 2**63)),
        ("outside the calendar", lambda m: _change(m, "last_time_us", LAST_TIME_US + 1)),
        ("outside the calendar", lambda m: _change(m, "last_time_us", FIRST_TIME_US - 1)),
    ],
)
def test_a_right_checksum_is_not_enough(words, change):
    """Whoever made the bytes: what does not fit the model is refused, and the error says what."""
    message = pb.ExportedSession.FromString(_written(_record()))
    change(message)
    with pytest.raises(DamagedState, match=words):
        _read(_signed(message))


def test_bytes_that_are_no_message_are_damaged():
    """Even where somebody put a right checksum behind them."""
    body = b"\xff\xff\xff"
    with pytest.raises(DamagedState, match="not an ExportedSession"):
        _read(body + b"\x7a\x20" + hashlib.sha256(body).digest())
