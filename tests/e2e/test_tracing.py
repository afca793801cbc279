"""One trace from the client's call to the store's commit, told to a real collector by two processes."""

import asyncio
import subprocess
import sys

import grpc
import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import statecast
from service.sessions.seal_keys import new_key
from tests.oip import InferenceStub, infer_request
from tests.otlp_collector import collecting
from tests.server_process import clean_environment, serving

SERVER_SPAN = "ForecastService/Forecast"
OFF = """
import sys
import statecast, service.app
statecast.Client("localhost:1").close()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.fixture(scope="module")
def collector():
    """One for the file: the program's provider, which is global, is set up for it once."""
    with collecting() as running:
        provider = TracerProvider(resource=Resource.create({"service.name": "caller"}))
        exporter = OTLPSpanExporter(endpoint=running.endpoint, insecure=True)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        yield running
        provider.shutdown()


@pytest.fixture
def server(repository, collector, tmp_path):
    collector.spans.clear()
    flags = ("--trace", collector.endpoint, "--store", "sqlite:", "--data-dir", str(tmp_path))
    with serving(repository, *flags, "--trace-ratio", "0", "--log-level", "debug") as running:
        yield running


def _by_name(spans, root):
    """Spans of the root's trace by name; each name once."""
    mine = [span for span in spans if span.trace_id == root.trace_id]
    named = {span.name: span for span in mine}
    assert len(named) == len(mine), [span.name for span in mine]
    return named


def _check_path(named, client_span, server_span):
    """Client, server, then the batch: each inside its parent's time or after its neighbour."""
    client, served = named[client_span], named[server_span]
    queue, step, commit = named["queue"], named["step"], named["store commit"]
    assert (client.service, served.service) == ("caller", "statecast")
    assert served.parent_id == client.span_id
    assert {span.parent_id for span in (queue, step, commit)} == {served.span_id}
    assert queue.began_ns <= queue.ended_ns == step.began_ns <= step.ended_ns == commit.began_ns
    assert commit.began_ns < commit.ended_ns
    # Two ways of reading one machine's clock.
    slack_ns = 5_000_000
    assert served.began_ns - slack_ns <= queue.began_ns
    assert commit.ended_ns <= served.ended_ns + slack_ns
    assert client.began_ns - slack_ns <= served.began_ns
    assert step.attributes["statecast.model"] == "gru"


def _call(address):
    with statecast.Client(address, trace=True) as client:
        session = client.session("gru", "traced")
        session.refresh()
        with trace.get_tracer("test").start_as_current_span("work"):
            return session.observe(np.ones(1))


async def _call_async(address):
    async with statecast.AsyncClient(address, trace=True) as client:
        session = client.session("gru", "traced")
        await session.refresh()
        with trace.get_tracer("test").start_as_current_span("work"):
            return await session.observe(np.ones(1))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_call_is_one_trace_from_the_client_to_the_store(kind, server, collector):
    """The span that surrounds the call, the client's, the server's, and its batch's; the log has its id."""
    result = _call(server.address) if kind == "sync" else asyncio.run(_call_async(server.address))
    assert result.position == 1
    server.stop()
    (work,) = [span for span in collector.spans if span.name == "work"]
    named = _by_name(collector.spans, work)
    assert named["Forecast"].parent_id == work.span_id
    _check_path(named, "Forecast", SERVER_SPAN)
    (line,) = [line for line in server.log if line.get("trace_id") == work.trace_id.hex()][-1:]
    assert line["event"] == "call"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_is_one_trace_that_does_not_grow_with_its_frames(kind, server, collector):
    """Its first frame is told, and not each of those that follow at once."""

    async def stream_async():
        async with (
            statecast.AsyncClient(server.address, trace=True) as client,
            client.stream("gru") as stream,
        ):
            for _ in range(20):
                await stream.forecast({"streamed": 1.0})

    if kind == "async":
        asyncio.run(stream_async())
    else:
        with statecast.Client(server.address, trace=True) as client, client.stream("gru") as stream:
            for _ in range(20):
                stream.forecast({"streamed": 1.0})
    server.stop()
    spans = collector.wait_for(5)
    (root,) = [span for span in spans if span.name == "StreamForecasts"]
    steps = [span for span in spans if span.name == "step"]
    assert 1 <= len(steps) < 20
    first = [span for span in spans if span.name not in ("queue", "step", "store commit")]
    for name in ("queue", "step", "store commit"):
        first.append(min((span for span in spans if span.name == name), key=lambda span: span.began_ns))
    _check_path(_by_name(first, root), "StreamForecasts", "ForecastService/StreamForecasts")


def _spans_of_batches(spans, name):
    """Names of what is told beneath the server's only span of a method."""
    (served,) = [span for span in spans if span.name == name]
    return sorted(span.name for span in spans if span.parent_id == served.span_id)


def test_calls_that_carry_their_state_are_told(repository, collector, tmp_path):
    """Queue and step; no store has part in it."""
    collector.spans.clear()
    keys = tmp_path / "seal.keys"
    keys.write_text(new_key() + "\n")
    with serving(repository, "--trace", collector.endpoint, "--seal-keys", str(keys)) as server:
        with statecast.Client(server.address) as client:
            client.carried("gru", "mine").observe(np.ones(1))
        server.stop()
    assert _spans_of_batches(collector.spans, SERVER_SPAN) == ["queue", "step"]


def test_the_open_inference_protocol_is_told(server, collector):
    """A request's batch, and of a stream's requests not each of those that follow at once."""
    trace_id = ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01")
    with grpc.insecure_channel(server.address) as channel:
        stub = InferenceStub(channel)
        stub.ModelInfer(infer_request([[1.0]], 1, model="gru", start=True), metadata=[trace_id])
        requests = [infer_request([[1.0]], 1, model="gru")] * 20
        replies = list(stub.ModelStreamInfer(iter(requests), metadata=[trace_id]))
        assert [reply.error_message for reply in replies] == [""] * 20
    server.stop()
    batch = ["queue", "step", "store commit"]
    assert _spans_of_batches(collector.spans, "GRPCInferenceService/ModelInfer") == batch
    streamed = _spans_of_batches(collector.spans, "GRPCInferenceService/ModelStreamInfer")
    assert set(streamed) == set(batch)
    assert 1 <= streamed.count("step") < 20


def test_a_call_that_nobody_traces_is_not_told(server, collector):
    """At ratio 0 the caller alone decides."""
    with statecast.Client(server.address) as client:
        client.session("gru", "untraced").observe(np.ones(3))
    server.stop()
    assert collector.spans == []


def test_a_ratio_of_one_traces_callers_that_do_not(repository, collector):
    """Their trace begins at the server."""
    collector.spans.clear()
    with serving(repository, "--trace", collector.endpoint) as server:
        with statecast.Client(server.address) as client:
            client.session("gru", "begun").observe(np.ones(3))
        server.stop()
    (served,) = [span for span in collector.spans if span.name == SERVER_SPAN]
    assert served.parent_id == b""
    assert {span.name for span in collector.spans if span.parent_id == served.span_id} == {"queue", "step"}


def test_a_collector_that_is_away_costs_no_answer(repository):
    """Calls are answered, and the server ends."""
    with serving(repository, "--trace", "http://127.0.0.1:1") as server:
        with statecast.Client(server.address) as client:
            assert client.session("gru", "alone").observe(np.ones(3)).position == 3
        assert server.stop() == 0


def test_nothing_of_opentelemetry_is_loaded_where_it_is_off():
    """Neither by the client nor by the server."""
    subprocess.run([sys.executable, "-c", OFF], check=True, env=clean_environment(), timeout=60)
