"""Sealed states: they open as they were sealed, where they belong, and in no other way."""

import base64
import hmac
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import InvalidSettings, SealRefused
from service.sessions.seal import Seals
from service.sessions.seal_keys import KeyRing, new_key
from service.store.contract import Record
from tests.fakes import HandClock
from tests.records import DIGEST, records

POSITION = slice(5, 13)
DIGEST_BYTES = slice(13, 45)


def _write(path, *keys):
    """Replace the file, as a tool would: its inode changes."""
    fresh = path.with_suffix(".new")
    fresh.write_text("\n".join(["# keys", "", *keys]) + "\n")
    fresh.replace(path)


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    _write(path, new_key())
    return path


@pytest.fixture
def seals(keys, clock):
    return Seals(KeyRing(keys, clock))


def _record(**changes):
    states = np.arange(5, dtype=np.float32).tobytes()
    fields = {"session_id": "s", "digest": DIGEST, "position": 5, "last_time_us": 9, "states": states}
    return Record(**{**fields, **changes})


_per_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@_per_example
@given(records())
def test_what_was_sealed_opens(seals, record):
    """Every field but those of the place where it was kept."""
    assert seals.open(seals.seal(record), record.session_id) == replace(record, used_at_s=0.0, token=0)


@_per_example
@given(records(), st.data())
def test_any_changed_byte_is_refused(seals, record, data):
    """Header, ciphertext or tag, and whatever it becomes."""
    sealed = bytearray(seals.seal(record))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealRefused):
        seals.open(bytes(sealed), record.session_id)


def test_every_bit_and_every_length_is_guarded(seals):
    """One session, all of its single-bit changes, all of its truncations, and a byte more."""
    sealed = seals.seal(_record())
    for index in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[index] ^= 1 << bit
            with pytest.raises(SealRefused):
                seals.open(bytes(changed), "s")
        with pytest.raises(SealRefused):
            seals.open(sealed[:index], "s")
    with pytest.raises(SealRefused):
        seals.open(sealed + b"\0", "s")


def test_a_seal_is_of_one_session(seals):
    """The same state sealed for another session does not open."""
    with pytest.raises(SealRefused, match="another session than 't'"):
        seals.open(seals.seal(_record()), "t")


@pytest.mark.parametrize("where", [POSITION, DIGEST_BYTES], ids=["position", "digest"])
def test_a_seal_is_of_one_position_and_model(where, seals):
    """Those stand in the clear; taken from another seal of the same session they do not fit."""
    one = bytearray(seals.seal(_record()))
    other = seals.seal(_record(position=6, digest="sha256:" + "b" * 64))
    assert seals.open(bytes(one), "s").position == 5
    one[where] = other[where]
    with pytest.raises(SealRefused):
        seals.open(bytes(one), "s")


def test_the_state_cannot_be_read(seals):
    """Neither it nor its last time appear in the sealed bytes, and no two seals are alike."""
    record = _record(states=b"a state that is to be secret", last_time_us=0x1122334455667788)
    one, two = seals.seal(record), seals.seal(record)
    assert b"secret" not in one
    assert (0x1122334455667788).to_bytes(8, "little") not in one
    header_without_nonce = 45
    assert one[:header_without_nonce] == two[:header_without_nonce]
    assert one[header_without_nonce:][:12] != two[header_without_nonce:][:12]
    assert one[57:65] != two[57:65]


def test_another_servers_keys_open_nothing(seals, tmp_path, clock):
    """The error says that it is the key."""
    path = tmp_path / "others"
    _write(path, new_key())
    with pytest.raises(SealRefused, match="the key that sealed it is none of this server's"):
        Seals(KeyRing(path, clock)).open(seals.seal(_record()), "s")


def test_keys_rotate_without_a_refusal(tmp_path, clock):
    """One server a step behind the other: what either seals opens at both until the old key is dropped."""
    old, new = new_key(), new_key()
    paths = tmp_path / "a", tmp_path / "b"
    for path in paths:
        _write(path, old)
    servers = [Seals(KeyRing(path, clock)) for path in paths]
    first = servers[0].seal(_record())
    for keys in ((old, new), (new, old)):
        for path in paths:
            _write(path, *keys)
            clock.now_s += 2
            for sealer in servers:
                for opener in servers:
                    assert opener.open(sealer.seal(_record()), "s").position == 5
    assert servers[1].open(first, "s").position == 5
    latest = servers[0].seal(_record())
    _write(paths[1], new)
    clock.now_s += 2
    assert servers[1].open(latest, "s").position == 5
    with pytest.raises(SealRefused, match="dropped"):
        servers[1].open(first, "s")


def test_a_key_that_is_new_to_the_file_is_found_at_once(keys, seals, tmp_path, clock):
    """A seal by an unknown key makes the server look into its file, whenever it looked last."""
    ahead = tmp_path / "ahead"
    old, new = keys.read_text().split()[-1], new_key()
    _write(ahead, new, old)
    sealed = Seals(KeyRing(ahead, clock)).seal(_record())
    _write(keys, old, new)
    assert seals.open(sealed, "s").position == 5


@pytest.mark.parametrize(
    "broken", ["not base64!\n", "", "c2hvcnQ=\n", None], ids=["text", "empty", "short", "gone"]
)
def test_a_broken_file_leaves_the_keys_there_were(broken, keys, seals, clock, capsys):
    """A slip while servers run refuses nobody; the log says it once, and a mended file is taken."""
    sealed = seals.seal(_record())
    before = keys.read_text()
    keys.unlink()
    if broken is not None:
        keys.write_text(broken)
    for _ in range(3):
        clock.now_s += 2
        assert seals.open(sealed, "s").position == 5
    log = "".join(capsys.readouterr())
    assert log.count("seal keys kept as before") == 1
    newest = new_key()
    _write(keys, newest, before.split()[-1])
    clock.now_s += 2
    assert seals.seal(_record())[1:5] != sealed[1:5]
    assert seals.open(sealed, "s").position == 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory; `statecast keys new FILE` makes one"),
        ("# nothing\n\n", "no key in it"),
        ("# mine\nAAAA\n", "line 2: expected a base64 key of 32 bytes"),
        ("secret words\n", "line 1: expected a base64 key of 32 bytes"),
    ],
)
def test_a_server_does_not_start_without_keys(content, words, tmp_path, clock):
    """The error names the file and the line, never what stands there."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidSettings) as caught:
        KeyRing(path, clock)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "secret words" not in str(caught.value)


def test_secrets_are_not_shown(keys, clock):
    """A key that is printed tells its id alone."""
    key = KeyRing(keys, clock).first()
    assert repr(key.secret)[2:-1] not in repr(key)


def test_the_format_is_as_it_is_written_down(tmp_path, clock):
    """Taken apart by hand, by the words of `sessions/seal.py`: states out there must go on opening."""
    secret = bytes(range(32))
    path = tmp_path / "keys"
    _write(path, base64.b64encode(secret).decode())
    record = _record(recent=b"12345678")
    sealed = Seals(KeyRing(path, clock)).seal(record)
    version, position, digest, nonce = sealed[0], sealed[POSITION], sealed[DIGEST_BYTES], sealed[45:57]
    assert (version, int.from_bytes(position, "little"), digest) == (1, 5, bytes.fromhex("a" * 64))
    assert sealed[1:5] == hmac.digest(secret, b"statecast seal key id", "sha256")[:4]
    key = hmac.digest(secret, b"statecast sealed state\0s", "sha256")
    content = AESGCM(key).decrypt(nonce, sealed[57:], sealed[:57] + b"s")
    assert content == (9).to_bytes(8, "little") + (8).to_bytes(4, "little") + record.recent + record.states
