"""Who may call what: tokens, roles, certificates' names, bounds of a tenant, and what is off in the open."""

import json
import queue
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

import statecast
from service.rpc import access
from service.security.caller import Role
from service.security.token_file import entry_of
from statecast.v1 import model_pb2, model_pb2_grpc
from tests.certificates import Authority
from tests.e2e.test_tenants import CASES, INFERENCE, METHODS, MODELS, outcome
from tests.server_process import clean_environment, serving
from tests.tenants import TOKENS, shown, token_of, write_tokens

OPERATORS = sorted(access.OPERATE)
STREAMS = sorted(name for name, method in METHODS.items() if method.server_streaming)
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def token_path(tmp_path_factory):
    """The server's file of tokens."""
    return write_tokens(tmp_path_factory.mktemp("access") / "tokens.toml")


@pytest.fixture(scope="module")
def server(repository, token_path):
    """A server that asks who calls."""
    with serving(repository, "--tokens", str(token_path)) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    """A connection that shows nothing by itself."""
    with grpc.insecure_channel(server.address) as opened:
        yield opened


def code_of(found):
    """The status of an outcome."""
    return "OK" if found[1] is None else found[1][0].name


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer acme-predict-0123456780"),),
        (("authorization", "Basic acme-predict-0123456789"),),
        (("authorization", "acme-predict-0123456789"),),
        (("authorization", f"Bearer {'x' * 7000}"),),
        (*shown("acme"), *shown("bolt")),
        (("token", "acme-predict-0123456789"),),
    ],
    ids=["none", "empty", "wrong", "scheme", "bare", "long", "two", "header"],
)
@pytest.mark.parametrize(
    "method", sorted(set(METHODS) - access.OPEN), ids=lambda name: name.rpartition("/")[2]
)
def test_a_call_without_a_valid_token_is_refused(method, metadata, channel):
    """Whatever the call, and with the same words."""
    messages, error = outcome(channel, method, CASES[method]("any"), metadata)
    assert messages == []
    assert error[:2] == (
        grpc.StatusCode.UNAUTHENTICATED,
        "expected a valid token, authorization: Bearer ...",
    )


def test_methods_that_there_are_not_are_refused_alike(channel):
    """What the server has is told to those who may know."""
    call = channel.unary_unary("/statecast.v1.Nothing/AtAll")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", metadata=shown("acme"))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_probes_need_no_token(server, channel):
    """Health, and the open protocol's two questions."""
    for method in (INFERENCE + "ServerLive", INFERENCE + "ServerReady"):
        assert code_of(outcome(channel, method, CASES[method](""), ())) == "OK"
    command = [sys.executable, "-m", "cli", "health", "--server", server.address]
    assert subprocess.run(command, env=clean_environment(), check=False).returncode == 0


def test_calls_that_change_what_is_served_want_an_operator(channel):
    """One who may predict is told so; an operator is not stopped."""
    assert set(OPERATORS) < set(METHODS)
    for method in OPERATORS:
        messages, error = outcome(channel, method, CASES[method](""), shown("acme"))
        assert messages == []
        assert error[:2] == (grpc.StatusCode.PERMISSION_DENIED, "this call wants the role operate")
    load = MODELS + "LoadModel"
    assert code_of(outcome(channel, load, CASES[load](""), shown("acme", Role.OPERATE))) == "OK"


def test_reflection_wants_a_token(channel):
    """A generic client that shows one finds the API."""
    call = channel.stream_stream(REFLECTION)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([b"\x3a\x00"])))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    (answer,) = call(iter([b"\x3a\x00"]), metadata=shown("bolt"))
    assert b"statecast.v1.ForecastService" in answer


async def test_both_clients_show_their_token_with_every_kind_of_call(server, tmp_path):
    """Unary calls, streams, many at once, watches; what they are told is an error of their own."""
    path = tmp_path / "token"
    path.write_text(token_of("acme") + "\n")
    with statecast.Client(server.address, token=statecast.token_file(path)) as client:
        with client.stream("gru") as stream:
            assert set(stream.forecast({f"s{n}": [1.0] for n in range(3)})) == {"s0", "s1", "s2"}
        with client.sessions("gru").watch():
            pass
        path.write_text("another-token-012345")
        with pytest.raises(statecast.Unauthenticated):
            client.models()
    async with statecast.AsyncClient(server.address, token=token_of("acme")) as client:
        async with client.stream("gru") as stream:
            assert set(await stream.forecast({"s0": [1.0]})) == {"s0"}
        async with await client.sessions("gru").watch():
            pass
    with statecast.Client(server.address) as client, pytest.raises(statecast.Unauthenticated):
        client.models()


def test_commands_show_the_token_of_a_file_or_the_environment(server, tmp_path):
    """Never one of the command line, which others can list."""
    path = tmp_path / "token"
    path.write_text(token_of("acme"))
    command = [sys.executable, "-m", "cli", "sessions", "ls", "--model", "gru", "--server", server.address]
    for flags, variables, status in (
        (["--token-file", str(path)], {}, 0),
        ([], {"STATECAST_TOKEN": token_of("acme")}, 0),
        ([], {"STATECAST_TOKEN_FILE": str(path)}, 0),
        ([], {}, 1),
        (["--token-file", "absent"], {}, 2),
    ):
        environment = clean_environment(**variables)
        ended = subprocess.run(
            [*command, *flags], capture_output=True, text=True, env=environment, check=False
        )
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_token_that_leaves_the_file_opens_no_further_call(repository, tmp_path):
    """A running server reads the file again, and its log holds no token."""
    path = write_tokens(tmp_path / "tokens.toml")
    command = [
        sys.executable,
        "-m",
        "cli",
        "tokens",
        "new",
        str(path),
        "--tenant",
        "new",
        "--role",
        "operate",
    ]
    with serving(repository, "--tokens", str(path)) as running:
        made = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=True)
        made_token = made.stdout.strip()
        assert made_token not in path.read_text()
        with grpc.insecure_channel(running.address) as channel:
            stub = model_pb2_grpc.ModelServiceStub(channel)

            def codes_until(wanted, token):
                for _ in range(10_000):
                    try:
                        stub.ListModels(
                            model_pb2.ListModelsRequest(), metadata=(("authorization", f"Bearer {token}"),)
                        )
                        found = "OK"
                    except grpc.RpcError as error:
                        found = error.code().name
                    if found == wanted:
                        return
                raise AssertionError(f"never {wanted}")

            codes_until("OK", made_token)
            path.write_text(entry_of(made_token, "new", Role.PREDICT))
            codes_until("UNAUTHENTICATED", token_of("acme"))
            codes_until("OK", made_token)
    log = json.dumps(running.log)
    assert "tokens read again" in log
    assert not any(token in log for token in [*TOKENS.values(), made_token])


def test_open_streams_end_when_their_token_leaves_the_file(repository, tmp_path):
    """Every kind of stream, others' streams go on; our client goes on with the token that it has then."""
    path, kept = write_tokens(tmp_path / "tokens.toml"), tmp_path / "token"
    kept.write_text(token_of("acme"))
    with (
        serving(repository, "--tokens", str(path)) as running,
        grpc.insecure_channel(running.address) as channel,
        statecast.Client(running.address, token=statecast.token_file(kept)) as client,
        client.stream("gru") as stream,
    ):
        assert stream.forecast({"a": [1.0]})["a"].position == 1
        streams = {who: [_open(channel, each, shown(who)) for each in STREAMS] for who in ("acme", "bolt")}
        kept.write_text(token_of("acme", Role.OPERATE))
        write_tokens(path, {who: token for who, token in TOKENS.items() if who != ("acme", Role.PREDICT)})
        for _, call in streams["acme"]:
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "not valid any more" in caught.value.details()
        assert stream.forecast({"a": [1.0]})["a"].position == 2
        with statecast.Client(running.address, token=token_of("bolt")) as other:
            other.sessions("gru").reset("any")
        for requests, call in streams["bolt"]:
            requests.put(None)
            # Nothing more comes of the first two, and the watch has something to tell.
            next(call, None)
            call.cancel()
            assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)


def _open(channel, method, metadata):
    """A stream that has begun: its requests, None for their end, and its answers."""
    requests = queue.SimpleQueue()
    for message in CASES[method]("any"):
        requests.put(message.SerializeToString())
    if METHODS[method].client_streaming:
        call = channel.stream_stream(method)(iter(requests.get, None), metadata=metadata)
        next(call)
    else:
        call = channel.unary_stream(method)(requests.get(), metadata=metadata)
        call.initial_metadata()
    return requests, call


def test_tokens_that_an_identity_provider_signs_name_a_tenant_and_a_role(repository, tmp_path):
    """By its keys, for this audience, of this issuer; what is signed by another key is nobody's."""
    ours, others = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(ECAlgorithm.to_jwk(ours.public_key())) | {"kid": "1", "alg": "ES256", "use": "sig"}
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk]}))
    flags = ["--jwks", str(path), "--jwt-issuer", "https://idp", "--jwt-audience", "statecast"]
    until = datetime.now(UTC) + timedelta(hours=1)
    claims = {"iss": "https://idp", "aud": "statecast", "exp": until, "tenant": "acme"}

    def signed(key=ours, **changes):
        return jwt.encode(claims | changes, key, "ES256", headers={"kid": "1"})

    with serving(repository, *flags) as running:
        with statecast.Client(running.address, token=signed()) as client:
            client.session("gru", "a").observe([1.0])
            assert [info.session_id for info in client.sessions("gru").list()] == ["a"]
        with statecast.Client(running.address, token=signed(tenant="bolt")) as client:
            assert list(client.sessions("gru").list()) == []
        for wrong in (signed(others), signed(aud="another"), signed(iss="another"), signed()[:-2]):
            with (
                statecast.Client(running.address, token=wrong) as client,
                pytest.raises(statecast.Unauthenticated),
            ):
                client.models()
        with grpc.insecure_channel(running.address) as channel:
            load = MODELS + "LoadModel"
            for role, code in (("operate", "OK"), (["a", "operate"], "OK"), ("predict", "PERMISSION_DENIED")):
                metadata = (("authorization", f"Bearer {signed(role=role)}"),)
                assert code_of(outcome(channel, load, CASES[load](""), metadata)) == code


def test_the_name_in_a_certificate_can_be_the_tenant(repository, tmp_path):
    """Where the server is told so; a token beside it says otherwise."""
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    flags = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.ca)]
    flags += ["--tls-client-tenants", "--tokens", str(write_tokens(tmp_path / "tokens.toml"))]
    with serving(repository, *flags) as running:

        def client(name, **named):
            files = statecast.Tls(authority.ca, *authority.sign(name))
            return statecast.Client(running.address, tls=files, **named)

        def listed(opened):
            return [info.session_id for info in opened.sessions("gru").list()]

        with client("acme") as acme, client("bolt") as bolt, client("bolt", token=token_of("acme")) as other:
            acme.session("gru", "a").observe([1.0])
            with acme.stream("gru") as stream:
                stream.forecast({"b": [1.0]})
            assert (listed(acme), listed(bolt), listed(other)) == (["a", "b"], [], ["a", "b"])
            with acme.sessions("gru").watch() as events:
                acme.sessions("gru").delete("b")
                assert next(iter(events)).session.session_id == "b"
        with client("no tenant's name") as nobody, pytest.raises(statecast.Unauthenticated):
            nobody.models()


def test_a_tenant_has_bounds_of_its_own(repository, tmp_path):
    """One that is at its bound of sessions leaves the others theirs, and an end makes room."""
    for store in (["--store", "memory:"], ["--data-dir", str(tmp_path)]):
        flags = ["--tokens", str(write_tokens(tmp_path / "tokens.toml")), "--max-sessions", "3", *store]
        with (
            serving(repository, *flags) as running,
            statecast.Client(running.address, token=token_of("acme")) as acme,
            statecast.Client(running.address, token=token_of("bolt")) as bolt,
        ):
            for number in range(3):
                acme.session("gru", f"s{number}").observe([1.0])
            for refused in (
                lambda: acme.session("gru", "s3").observe([1.0]),
                lambda: acme.sessions("gru").fork("s0", "s3"),
            ):
                with pytest.raises(statecast.Overloaded, match="3 sessions are open already") as caught:
                    refused()
                assert caught.value.retry_after_s < 0
            acme.session("gru", "s0").observe([1.0])
            for number in range(3):
                bolt.session("gru", f"s{number}").observe([1.0])
            acme.sessions("gru").delete("s0")
            acme.session("gru", "s4").observe([1.0])


def test_a_tenant_that_sends_too_much_is_told_when_to_go_on(repository, tmp_path):
    """By unary calls, by streams and by the open protocol; others go on meanwhile."""
    flags = ["--tokens", str(write_tokens(tmp_path / "tokens.toml")), "--tenant-rows-per-s", "50"]
    with serving(repository, *flags) as running:
        options = {"retry_budget_s": 0.0, "token": token_of("acme")}
        with statecast.Client(running.address, **options) as acme:
            acme.session("gru", "a").observe([1.0] * 5_000)
            for refused in (
                lambda: acme.session("gru", "b").observe([1.0]),
                lambda: acme.sessions("gru").get("a"),
                lambda: acme.models(),
            ):
                with pytest.raises(statecast.Overloaded, match="more than 50 rows a second") as caught:
                    refused()
                assert 50 < caught.value.retry_after_s <= 101
            with grpc.insecure_channel(running.address) as channel:
                for method in ("ModelInfer", "ModelStreamInfer"):
                    found = outcome(
                        channel, INFERENCE + method, CASES[INFERENCE + method]("c"), shown("acme")
                    )
                    assert "more than 50 rows" in repr(found)
                stream = outcome(
                    channel,
                    "/statecast.v1.ForecastService/StreamForecasts",
                    CASES["/statecast.v1.ForecastService/StreamForecasts"]("d"),
                    shown("acme"),
                )
                assert all(b"more than 50 rows" in message for message in stream[0])
        with statecast.Client(running.address, token=token_of("bolt")) as bolt:
            assert bolt.session("gru", "a").observe([1.0]).position == 1


def test_a_server_in_the_open_without_tokens_has_no_operators_and_no_reflection(repository):
    """Unless it is told to have them."""
    address = ["--address", "0.0.0.0:0", "--insecure"]
    for flags, code in (([], "PERMISSION_DENIED"), (["--admin-calls", "--reflection"], "OK")):
        with serving(repository, *address, *flags) as running:
            port = running.address.rpartition(":")[2]
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                load = MODELS + "LoadModel"
                assert code_of(outcome(channel, load, CASES[load](""), ())) == code
                forecast = "/statecast.v1.ForecastService/Forecast"
                assert code_of(outcome(channel, forecast, CASES[forecast]("a"), ())) == "OK"
                call = channel.stream_stream(REFLECTION)
                if code == "OK":
                    assert list(call(iter([b"\x3a\x00"])))
                else:
                    with pytest.raises(grpc.RpcError) as caught:
                        list(call(iter([b"\x3a\x00"])))
                    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
