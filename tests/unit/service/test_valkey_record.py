"""How a session lies in Valkey."""

from service.store import valkey_record as layout
from service.store.contract import Record, StoreFault


def test_every_byte_is_watched() -> None:
    """A flipped bit anywhere but in the token makes a record a fault; whole, it comes back as it was."""
    record = Record("a", "sha256:x", 7, 1234, bytes(range(200)), used_at_s=5.0, token=99)
    value = layout.pack(record, 99, has_recent=False)
    assert layout.unpack("a", value, b"", 99) == record
    for at in range(8, len(value)):
        for bit in (1, 128):
            damaged = bytearray(value)
            damaged[at] ^= bit
            found = layout.unpack("a", bytes(damaged), b"", 99)
            assert isinstance(found, StoreFault), f"byte {at} is not watched"


def test_bytes_that_are_missing_or_elsewhere_are_seen() -> None:
    """A record cut anywhere, or with two words exchanged, is a fault."""
    record = Record("a", "sha256:x", 7, 1234, bytes(range(200)), used_at_s=5.0, token=99)
    value = layout.pack(record, 99, has_recent=False)
    for size in range(len(value)):
        assert isinstance(layout.unpack("a", value[:size], b"", 99), StoreFault)
    swapped = value[:-16] + value[-8:] + value[-16:-8]
    assert isinstance(layout.unpack("a", swapped, b"", 99), StoreFault)
