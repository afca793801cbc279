"""One stream, many kinds of messages: answers in the order of what was sent, each with its own numbers."""

import itertools

import grpc
import numpy as np
import pytest

from models.artifact import unseal
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc
from tests.frames import forecasts_of, frame
from tests.reference import assert_close, reference_forecasts

INVALID, ABORTED = grpc.StatusCode.INVALID_ARGUMENT.value[0], grpc.StatusCode.ABORTED.value[0]
# By model, its features; handles 0 to 2 are sessions of the first, 3 and 4 of the second.
FEATURES = {"gru": 1, "two": 2}
SESSIONS = ["gru", "gru", "gru", "two", "two"]
KINDS = ["row"] * 6 + ["observed", "short", "resent", "conflict", "refused", "history", "frame", "frame"]


class Sender:
    """Makes messages, and knows what each of them has to come to."""

    def __init__(self, seed):
        self._random = np.random.default_rng(seed)
        self.rows = [np.empty((0, FEATURES[model])) for model in SESSIONS]
        self.expected = []

    def opening(self, name):
        """Name every session."""
        request = pb.StreamForecastsRequest()
        for handle, model in enumerate(SESSIONS):
            request.sessions.add(handle=handle, model=model, session_id=f"{name}-{handle}")
        return request

    def message(self, number):
        """Some message; its answer is expected as (code of the frame, codes by entry, entries)."""
        kind = str(self._random.choice(KINDS))
        handle = int(self._random.integers(len(SESSIONS)))
        handles = [handle]
        if kind == "frame":
            handles = [other for other, model in enumerate(SESSIONS) if model == SESSIONS[handle]]
        num_rows = 40 if kind == "history" else 1
        rows = self._random.standard_normal((len(handles) * num_rows, FEATURES[SESSIONS[handle]]))
        fields = {"reply": pb.REPLY_NONE if kind == "observed" else pb.REPLY_LAST, "number": number}
        if kind == "history":
            fields["lengths"] = [num_rows]
        if kind in ("resent", "conflict"):
            fields["positions"] = [0 if kind == "resent" else 10**6]
        fields["horizon"] = {"short": 1, "refused": 99}.get(kind, 0)
        self.expected.append(self._expect(kind, handles, rows, fields["reply"]))
        return frame(handles, rows, **fields)

    def _expect(self, kind, handles, rows, reply):
        if kind == "refused":
            return INVALID, {}, []
        if kind == "conflict":
            return 0, {0: ABORTED}, [(handles[0], -1, 0)]
        entries = []
        for handle, mine in zip(handles, np.split(rows, len(handles)), strict=True):
            skipped = kind == "resent" and len(self.rows[handle]) > 0
            if not skipped:
                self.rows[handle] = np.concatenate([self.rows[handle], mine])
            entries.append((handle, len(self.rows[handle]), int(reply != pb.REPLY_NONE)))
        return 0, {}, entries


@pytest.mark.parametrize("seed", [1, 2])
def test_answers_of_all_kinds_come_in_order_with_their_own_numbers(seed, channel, repository):
    """Rows, frames, histories and refusals of two models: ids, positions and forecasts are each one's own."""
    stub, sender = forecast_pb2_grpc.ForecastServiceStub(channel), Sender(seed)
    messages = [sender.message(number) for number in range(300)]
    responses = list(stub.StreamForecasts(itertools.chain([sender.opening(f"order-{seed}")], messages)))
    assert [response.frame_id for response in responses] == list(range(300))
    forecasts = [
        _reference(repository, model, rows) for model, rows in zip(SESSIONS, sender.rows, strict=True)
    ]
    num_compared = 0
    for response, (code, codes, entries) in zip(responses, sender.expected, strict=True):
        assert response.frame_error.code == code
        assert {error.entry: error.code for error in response.entry_errors} == codes
        positions = [position for _, position, _ in entries]
        assert np.frombuffer(response.positions, "<i8").tolist() == positions
        if code:
            continue
        found = forecasts_of(response)
        assert [len(each) for each in found] == [count for *_, count in entries]
        for (handle, position, count), each in zip(entries, found, strict=True):
            if count:
                assert_close(each[0], forecasts[handle][position - 1][: response.horizon])
                num_compared += 1
    assert num_compared > 200


def _reference(repository, model, rows):
    """The forecasts (T, K, Q) of rows (T, F), made without any server."""
    content = (repository / model / "1" / "model.onnx").read_bytes()
    return reference_forecasts(content, unseal(content)[1], rows)
