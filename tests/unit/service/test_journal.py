"""Batches of rows as blobs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.journal import (
    Damaged,
    JournalBatch,
    decode_names,
    decode_rows,
    encode_names,
    encode_rows,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def batches(draw: st.DrawFn) -> JournalBatch:
    """Any batch."""
    num_steps = draw(st.lists(st.integers(0, 4), max_size=6))
    num = len(num_steps)
    before = draw(st.lists(st.integers(0, 2**62), min_size=num, max_size=num))
    moved = draw(st.lists(st.integers(0, 2**32 - 1), min_size=num, max_size=num))
    shape = (sum(num_steps), draw(st.integers(0, 3)))
    values = draw(st.lists(st.floats(width=64), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    return JournalBatch(
        keys=np.array(draw(st.lists(INT64, min_size=num, max_size=num)), np.int64),
        before=np.array(before, np.int64),
        after=np.array(before, np.int64) + np.array(moved, np.int64),
        last_times_us=np.array(draw(st.lists(INT64, min_size=num, max_size=num)), np.int64),
        num_steps=np.array(num_steps, np.int64),
        rows=np.array(values, np.float64).reshape(shape),
    )


A_BATCH = JournalBatch(
    keys=np.array([5, 9, 2]),
    before=np.array([0, 7, 3]),
    after=np.array([2, 8, 3]),
    last_times_us=np.array([1, 2, 3]),
    num_steps=np.array([2, 1, 0]),
    rows=np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]]),
)


@given(batches(), st.integers(1, 2**40))
def test_what_was_written_is_read(batch: JournalBatch, number: int) -> None:
    """Every column comes back, NaN's bits too."""
    read = decode_rows(number, encode_rows(number, batch))
    for name in ("keys", "before", "after", "last_times_us", "num_steps"):
        assert getattr(read, name).tolist() == getattr(batch, name).tolist(), name
    assert read.rows.shape == batch.rows.shape
    assert read.rows.tobytes() == batch.rows.tobytes()
    keys, after = decode_names(number, encode_names(number, batch.keys, batch.after))
    assert (keys.tolist(), after.tolist()) == (batch.keys.tolist(), batch.after.tolist())


@given(st.data())
def test_any_bit_that_changed_is_found(data: st.DataObject) -> None:
    """No blob with another bit, or that ends early, or is longer, is taken for whole."""
    whole = data.draw(
        st.sampled_from([encode_rows(3, A_BATCH), encode_names(3, A_BATCH.keys, A_BATCH.after)])
    )
    decode = decode_rows if whole == encode_rows(3, A_BATCH) else decode_names
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = bytearray(whole)
    flipped[at // 8] ^= 1 << at % 8
    for harmed in (bytes(flipped), whole[: at // 8], whole + bytes(1 + at % 8)):
        with pytest.raises(Damaged):
            decode(3, harmed)


@pytest.mark.parametrize("blob", [None, "text", 7, b"", b"\0" * 16])
def test_what_is_no_blob_is_damaged(blob: object) -> None:
    """Whatever a damaged file has in a blob's place."""
    with pytest.raises(Damaged):
        decode_rows(1, blob)  # type: ignore[arg-type]


def test_a_batch_in_anothers_place_is_found() -> None:
    """A blob is good under its own number only."""
    with pytest.raises(Damaged):
        decode_rows(4, encode_rows(3, A_BATCH))


def test_selected_entries_keep_their_rows() -> None:
    """Of some entries, exactly their rows are kept, in order."""
    kept = A_BATCH.select(np.array([False, True, True]))
    assert (kept.keys.tolist(), kept.num_steps.tolist(), kept.rows.tolist()) == ([9, 2], [1, 0], [[5.0, 6.0]])
    assert A_BATCH.rows_of(0)[:, 0].tolist() == [1.0, 3.0]
    assert A_BATCH.rows_of(1).tolist() == [[5.0, 6.0]]
    assert A_BATCH.rows_of(2).tolist() == []
