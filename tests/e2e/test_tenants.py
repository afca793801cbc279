"""No call shows, touches or tells of another tenant's sessions; each call of the descriptors has a case."""

import itertools

import grpc
import pytest

import statecast
from service.rpc import access
from service.rpc.inference import grpc_service_pb2 as oip
from service.security.caller import Role
from service.sessions.seal_keys import new_key
from statecast.v1 import forecast_pb2, model_pb2, session_pb2
from tests.frames import frame, opening
from tests.oip import infer_request
from tests.server_process import serving
from tests.tenants import shown, token_of, write_tokens

FILES = (forecast_pb2, session_pb2, model_pb2, oip)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
SESSIONS, FORECASTS = "/statecast.v1.SessionService/", "/statecast.v1.ForecastService/"
MODELS, INFERENCE = "/statecast.v1.ModelService/", "/inference.GRPCInferenceService/"
ROW = forecast_pb2.Row(values=[1.0])
NUMBERS = itertools.count(100)


def named(kind, **more):
    """A request that names a session and nothing else that matters."""
    return lambda name: [kind(model="gru", session_id=name, **more)]


def always(request):
    """A request that names no session."""
    return lambda _name: [request]


# By call, what a stranger sends who knows a session's id.
CASES = {
    FORECASTS + "Forecast": named(forecast_pb2.ForecastRequest, rows=[ROW]),
    FORECASTS + "StreamForecasts": lambda name: [opening("gru", name), frame([0], [1.0]), frame([0], [2.0])],
    SESSIONS + "GetSession": named(session_pb2.GetSessionRequest),
    SESSIONS + "ListSessions": lambda name: [session_pb2.ListSessionsRequest(model="gru", prefix=name)],
    SESSIONS + "ResetSession": named(session_pb2.ResetSessionRequest),
    SESSIONS + "ForkSession": named(session_pb2.ForkSessionRequest, new_session_id="copy"),
    SESSIONS + "ExportSession": named(session_pb2.ExportSessionRequest),
    SESSIONS + "ImportSession": named(session_pb2.ImportSessionRequest, exported=b"nothing"),
    SESSIONS + "DeleteSession": named(session_pb2.DeleteSessionRequest),
    SESSIONS + "WatchSessions": lambda name: [session_pb2.WatchSessionsRequest(model="gru", prefix=name)],
    SESSIONS + "WatchRows": named(session_pb2.WatchRowsRequest),
    MODELS + "ListModels": always(model_pb2.ListModelsRequest()),
    MODELS + "GetModel": always(model_pb2.GetModelRequest(model="gru")),
    MODELS + "LoadModel": always(model_pb2.LoadModelRequest(model="gru")),
    MODELS + "UnloadModel": always(model_pb2.UnloadModelRequest(model="gru", version=1)),
    INFERENCE + "ServerLive": always(oip.ServerLiveRequest()),
    INFERENCE + "ServerReady": always(oip.ServerReadyRequest()),
    INFERENCE + "ModelReady": always(oip.ModelReadyRequest(name="gru")),
    INFERENCE + "ServerMetadata": always(oip.ServerMetadataRequest()),
    INFERENCE + "ModelMetadata": always(oip.ModelMetadataRequest(name="gru")),
    INFERENCE + "ModelConfig": always(oip.ModelConfigRequest(name="gru")),
    INFERENCE + "ModelInfer": lambda name: [infer_request([[1.0]], name, model="gru")],
    INFERENCE + "ModelStreamInfer": lambda name: [infer_request([[1.0]], name, model="gru", end=True)],
    INFERENCE + "ModelStatistics": always(oip.ModelStatisticsRequest(name="gru")),
    INFERENCE + "RepositoryIndex": always(oip.RepositoryIndexRequest()),
    INFERENCE + "RepositoryModelLoad": always(oip.RepositoryModelLoadRequest(model_name="gru")),
    INFERENCE + "RepositoryModelUnload": always(oip.RepositoryModelUnloadRequest(model_name="gru")),
}
# Calls with more ways to another's session than its id.
FURTHER = {
    "a sequence's start": (
        INFERENCE + "ModelInfer",
        lambda n: [infer_request([[1.0]], n, model="gru", start=True)],
    ),
    "a strict start": (
        INFERENCE + "ModelInfer",
        lambda n: [infer_request([[1.0]], n, model="gru", start=True, statecast_strict_start=True)],
    ),
    "many sequences": (
        INFERENCE + "ModelInfer",
        lambda n: [infer_request([[[1.0]], [[1.0]]], ids=[n, "other"], model="gru", outputs=["errors"])],
    ),
    "a position": (FORECASTS + "Forecast", named(forecast_pb2.ForecastRequest, rows=[ROW], position=3)),
    "a carried state": (
        FORECASTS + "Forecast",
        named(forecast_pb2.ForecastRequest, rows=[ROW], carry_state=True),
    ),
    "a forged prefix": (
        SESSIONS + "GetSession",
        lambda n: [session_pb2.GetSessionRequest(model="gru", session_id=f"acme\x1f{n}")],
    ),
    "a list of a forged prefix": (
        SESSIONS + "ListSessions",
        lambda n: [session_pb2.ListSessionsRequest(model="gru", prefix=f"acme\x1f{n}")],
    ),
}


# Of an operator all but the calls that would change what is served; of others those too, which are refused.
ATTEMPTS = [
    (name, role)
    for name, role in itertools.product([*CASES, *FURTHER], Role)
    if name not in access.OPERATE or role is Role.PREDICT
]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def server(request, repository, tmp_path_factory):
    """Two tenants on one server."""
    folder = tmp_path_factory.mktemp("tenants")
    keys = folder / "seal.keys"
    keys.write_text(new_key())
    flags = ["--tokens", str(write_tokens(folder / "tokens.toml")), "--seal-keys", str(keys)]
    flags += ["--store", "memory:"] if request.param == "memory" else ["--data-dir", str(folder)]
    with serving(repository, *flags) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    """A connection that shows nothing by itself."""
    with grpc.insecure_channel(server.address) as opened:
        yield opened


def outcome(channel, method, requests, metadata):
    """All that a caller learns: messages, status, text, trailers. A watch is left after a while."""
    described = METHODS[method]
    kind = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }[described.client_streaming, described.server_streaming]
    call = kind(
        method, lambda message: message.SerializeToString(deterministic=True), lambda content: content
    )
    argument = iter(requests) if described.client_streaming else requests[0]
    is_watch = method.rpartition("/")[2].startswith("Watch")
    messages = []
    try:
        if not described.server_streaming:
            return [call(argument, metadata=metadata, timeout=30)], None
        reading = call(argument, metadata=metadata, timeout=2 if is_watch else 30)
        messages.extend(reading)
    except grpc.RpcError as error:
        trailers = {key: value for key, value in error.trailing_metadata() or () if key != "date"}
        return messages, (error.code(), error.details(), trailers)
    return messages, None


def stripped(found, name):
    """What is learnt, the id that was asked for left out of it."""
    return repr(found).replace(name, "ID")


def snapshot(channel, name):
    """A session as its owner has it: its state to the bit."""
    request = session_pb2.ExportSessionRequest(model="gru", session_id=name)
    (content,), error = outcome(channel, SESSIONS + "ExportSession", [request], shown("acme"))
    assert error is None
    return session_pb2.ExportSessionResponse.FromString(content).exported


def open_session(channel, name, tenant="acme", rows=3):
    """A session with some rows."""
    request = forecast_pb2.ForecastRequest(model="gru", session_id=name, rows=[ROW] * rows)
    assert outcome(channel, FORECASTS + "Forecast", [request], shown(tenant))[1] is None


def names(channel, tenant, prefix=""):
    """Ids that a tenant lists."""
    request = session_pb2.ListSessionsRequest(model="gru", prefix=prefix, page_size=1000)
    (content,), _ = outcome(channel, SESSIONS + "ListSessions", [request], shown(tenant))
    return [each.session_id for each in session_pb2.ListSessionsResponse.FromString(content).sessions]


def test_every_call_has_a_case():
    """A call that is added without one fails here."""
    assert set(CASES) == set(METHODS)


@pytest.mark.parametrize(("name", "role"), ATTEMPTS, ids=[f"{name}-{role}" for name, role in ATTEMPTS])
def test_another_tenants_session_is_as_good_as_none(name, role, server, channel):
    """Whoever knows its id learns what of an id that nobody has, and leaves it as it was."""
    method, make = FURTHER.get(name) or (name, CASES[name])
    number = next(NUMBERS)
    theirs, nobodys = f"theirs-{number}", f"nobody-{number}"
    if method.endswith("ModelStatistics"):
        before = outcome(channel, method, make(""), shown("bolt", role))
        open_session(channel, theirs)
        outcome(
            channel, INFERENCE + "ModelInfer", [infer_request([[1.0]], theirs, model="gru")], shown("acme")
        )
        assert outcome(channel, method, make(""), shown("bolt", role)) == before
        return
    if method in access.COUNTED_BY_ROWS:
        # Its owner has used the same way to it.
        outcome(channel, method, make(theirs), shown("acme"))
    open_session(channel, theirs)
    as_it_was = snapshot(channel, theirs)
    found = [outcome(channel, method, make(name), shown("bolt", role)) for name in (theirs, nobodys)]
    told = [
        stripped(blurred(method, each), name) for each, name in zip(found, (theirs, nobodys), strict=True)
    ]
    assert told[0] == told[1]
    # What is told back is what was asked: a forged prefix names its tenant itself.
    assert "acme" not in repr(found) or any(b"acme" in each.SerializeToString() for each in make(theirs))
    assert snapshot(channel, theirs) == as_it_was
    assert theirs in names(channel, "acme")


def blurred(method, found):
    """What is told of one's own new session holds when it was used, and a sealed state is sealed anew."""
    messages, error = found
    kinds = {"Forecast": forecast_pb2.ForecastResponse, "ResetSession": session_pb2.ResetSessionResponse}
    kind = kinds.get(method.rpartition("/")[2])
    if kind is forecast_pb2.ForecastResponse:
        messages = [kind.FromString(message) for message in messages]
        for message in messages:
            message.sealed_state = bytes(len(message.sealed_state))
    if error is not None:
        # Of the same length, so that what is encoded in them is as well.
        error = (error[0], error[1], sorted((key, len(value)) for key, value in error[2].items()))
    return messages, error


def test_tenants_have_sessions_of_the_same_id(channel):
    """Each has its own rows, copies, exports and end."""
    open_session(channel, "same", "acme", rows=3)
    open_session(channel, "same", "bolt", rows=5)
    for tenant, rows in (("acme", 3), ("bolt", 5)):
        request = session_pb2.GetSessionRequest(model="gru", session_id="same")
        (content,), _ = outcome(channel, SESSIONS + "GetSession", [request], shown(tenant))
        session = session_pb2.GetSessionResponse.FromString(content).session
        assert (session.session_id, session.position) == ("same", rows)
        assert "same" in names(channel, tenant)
    request = session_pb2.DeleteSessionRequest(model="gru", session_id="same")
    assert outcome(channel, SESSIONS + "DeleteSession", [request], shown("acme"))[1] is None
    assert "same" not in names(channel, "acme")
    assert "same" in names(channel, "bolt")


def test_lists_go_page_by_page_through_ones_own(server):
    """Tokens of pages lead through a tenant's sessions alone."""
    for tenant in ("acme", "bolt"):
        with statecast.Client(server.address, token=token_of(tenant)) as client:
            for number in range(7):
                client.session("gru", f"page-{number}-{tenant}").observe([1.0])
    with statecast.Client(server.address, token=token_of("bolt")) as client:
        found = [info.session_id for info in client.sessions("gru").list("page-")]
    assert found == [f"page-{number}-bolt" for number in range(7)]


def test_a_watch_tells_of_ones_own_sessions(server):
    """What happens to another tenant's is not told; its own is, under its own id."""
    with (
        statecast.Client(server.address, token=token_of("acme")) as acme,
        statecast.Client(server.address, token=token_of("bolt")) as bolt,
    ):
        for client in (acme, bolt):
            client.session("gru", "watched").observe([1.0])
        with bolt.sessions("gru").watch("") as events:
            acme.sessions("gru").reset("watched")
            acme.sessions("gru").delete("watched")
            bolt.sessions("gru").delete("watched")
            event = next(iter(events))
    assert (event.kind, event.session.session_id, event.session.position) == ("deleted", "watched", 1)


def test_a_watch_of_rows_tells_those_of_ones_own_session(server):
    """Another tenant's session of the same id takes rows unseen."""
    with (
        statecast.Client(server.address, token=token_of("acme")) as acme,
        statecast.Client(server.address, token=token_of("bolt")) as bolt,
        bolt.sessions("gru").watch_rows("secret") as rows,
    ):
        acme.session("gru", "secret").forecast([7.0])
        acme.sessions("gru").delete("secret")
        bolt.session("gru", "secret").forecast([1.0])
        row = next(iter(rows))
    assert (row.position, row.values.tolist(), row.num_skipped) == (1, [1.0], 0)


def test_states_that_leave_the_server_are_bound_to_their_tenant(server):
    """A sealed state of the same session id does not open, an exported one is not imported."""
    with (
        statecast.Client(server.address, token=token_of("acme")) as acme,
        statecast.Client(server.address, token=token_of("bolt")) as bolt,
    ):
        carried = acme.carried("gru", "mine")
        carried.forecast([1.0])
        stolen = bolt.carried("gru", "mine", carried.sealed)
        with pytest.raises(statecast.DataLoss, match="of another session than 'mine'"):
            stolen.forecast([1.0])
        acme.session("gru", "mine").observe([1.0, 2.0])
        exported = acme.sessions("gru").export("mine")
        with pytest.raises(statecast.InvalidRequest, match="one that this tenant exported") as caught:
            bolt.sessions("gru").import_("mine", exported)
        assert "acme" not in str(caught.value)
        assert acme.sessions("gru").import_("again", exported).position == 2


def test_a_copy_may_have_an_id_that_another_tenant_uses(server):
    """A taken id is one of the tenant's own."""
    with (
        statecast.Client(server.address, token=token_of("acme")) as acme,
        statecast.Client(server.address, token=token_of("bolt")) as bolt,
    ):
        acme.session("gru", "taken").observe([1.0])
        bolt.session("gru", "origin").observe([1.0, 2.0])
        assert bolt.sessions("gru").fork("origin", "taken").position == 2
        assert acme.sessions("gru").get("taken").position == 1
        with pytest.raises(statecast.AlreadyExists, match="'taken'"):
            bolt.sessions("gru").fork("origin", "taken")
