"""Messages as JSON: what the library would write, and what it reads back."""

import json

import numpy as np
import pytest
from google.protobuf import json_format

from service.web import json_message
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import model_pb2, session_pb2

MANY = np.linspace(-3, 3, 100).astype(np.float32).tolist()
MESSAGES = [
    pb.ForecastResponse(),
    pb.ForecastResponse(position=2**63, quantile_levels=[0.1, 0.5], num_late=3, sealed_state=b"\x00\xff"),
    pb.ForecastResponse(forecasts=[pb.Forecast(position=1, values=MANY), pb.Forecast(values=[0.1, 1e-30])]),
    pb.ForecastRequest(rows=[pb.Row(values=[1.5, float("nan")], time_us=-7), pb.Row(values=[float("inf")])]),
    pb.ForecastRequest(position=0, reply=pb.REPLY_LAST, session_id='a"b\\c\u2028\n<script>é'),
    pb.AnomalyScore(quantile_position=float("nan"), tail_probability=float("-inf")),
    session_pb2.ListSessionsResponse(sessions=[session_pb2.Session(place=session_pb2.SESSION_PLACE_STORE)]),
    session_pb2.StateTensor(shape=[2, 3], content=b"abc"),
    model_pb2.ListModelsResponse(),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.DESCRIPTOR.name)
def test_a_message_is_written_as_the_library_writes_it(message):
    """Field by field, numbers aside whose last digits are written at more length."""
    text = json_message.render(message)
    assert "\n" not in text
    expected = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    if len(message.SerializeToString()) < 400:
        assert json.loads(text) == expected
    assert json.loads(text).keys() == expected.keys()
    back = json_message.parse(text.encode(), type(message))
    assert back.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


def test_a_number_without_a_name_is_written_as_a_number():
    """A later server's reply kind is still told."""
    assert json.loads(json_message.render(pb.ForecastRequest(reply=9)))["reply"] == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[]", "statecast.v1.Row"),
        (b"{", "statecast.v1.Row as JSON"),
        (b"\xff", "statecast.v1.Row as JSON"),
        (b'{"nothing": 1}', '"nothing"'),
        (b'{"time_us": "x"}', "time_us"),
        (b'{"time_us": ' + b"9" * 5000 + b"}", "statecast.v1.Row as JSON"),
        (b'{"values": ' + b"[" * 100_000, "statecast.v1.Row as JSON"),
        (b'{"time_us": 1, "time_us": 2}', "time_us"),
    ],
)
def test_a_text_that_is_no_such_message_is_refused(text, message):
    """With what was expected, whatever the text is made of."""
    with pytest.raises(json_message.BadJson) as raised:
        json_message.parse(text, pb.Row)
    assert message in str(raised.value)


def test_no_text_is_the_empty_message():
    """A call whose request has no fields needs no body."""
    assert json_message.parse(b"", model_pb2.ListModelsRequest) == model_pb2.ListModelsRequest()
