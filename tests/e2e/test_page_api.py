"""The page's port: its files, its calls, and whom it answers."""

import base64
import http.client
import json
import signal
import ssl
import subprocess
import sys

import pytest

import statecast
from service.security.caller import Role
from statecast.v1 import forecast_pb2, model_pb2, session_pb2
from tests.certificates import Authority
from tests.http_api import FORECAST, SESSIONS, Events, ask, call
from tests.http_port import FLAGS, address_of, family, fetch
from tests.server_process import clean_environment, serving
from tests.tenants import token_of, write_tokens

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What flags name: tokens, and a certificate with its key and authority."""
    folder = tmp_path_factory.mktemp("files")
    authority = Authority(folder)
    cert, key = authority.sign("server")
    tokens = write_tokens(folder / "tokens.toml")
    return {"TOKENS": str(tokens), "CERT": str(cert), "KEY": str(key), "CA": str(authority.ca)}


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, *FLAGS) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(repository, files):
    """A server that asks who calls."""
    with serving(repository, *FLAGS, "--tokens", files["TOKENS"]) as running:
        yield running


def test_the_page_is_files_that_run_nothing_from_elsewhere(server):
    """With a policy that allows scripts and styles of files alone."""
    status, headers, content = ask(server, "GET", "/")
    assert status == 200
    assert b"<title>" in content
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]


def test_a_file_that_has_not_changed_is_not_sent_again(server):
    """Its tag is that of its content."""
    _, headers, _ = ask(server, "GET", "/")
    status, _, content = ask(server, "GET", "/", headers={"If-None-Match": headers["etag"]})
    assert (status, content) == (304, b"")
    assert ask(server, "GET", "/", headers={"If-None-Match": '"another"'})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/absent.js",
        "/assets/",
        "/assets/../gateway.py",
        "/assets/..%2fgateway.py",
        "/assets/%2e%2e/%2e%2e/settings.py",
        "/assets//etc/passwd",
        "/assets/%2fetc/hostname.txt",
        "/assets/views",
        "/assets/index.html%00.js",
    ],
)
def test_files_of_the_page_alone_are_answered(server, path):
    """Nothing beside the folder, whatever the path is written like."""
    assert ask(server, "GET", path)[0] == 404


def test_a_call_is_that_of_grpc(server):
    """The same request and answer, as JSON: names of the protocol, long numbers as text, all fields there."""
    rows = [{"values": [1.0]}, {"values": ["NaN"]}, {"values": [2.5]}]
    status, answer = call(server, FORECAST, {"model": "gru", "session_id": "json", "rows": rows})
    assert status == 200
    assert (answer["position"], answer["model_version"], answer["num_skipped"]) == ("3", "1", "0")
    assert answer["quantile_levels"] == [0.1, 0.5, 0.9]
    with statecast.Client(server.address) as client:
        expected = client.session("gru", "grpc").forecast([1.0, float("nan"), 2.5])
    assert answer["forecasts"][0]["values"] == pytest.approx(
        expected.forecasts[-1].values.ravel().tolist(), rel=1e-6
    )
    status, found = call(server, f"{SESSIONS}GetSession", {"model": "gru", "session_id": "json"})
    assert status == 200
    assert (found["session"]["position"], found["session"]["place"]) == ("3", "SESSION_PLACE_MEMORY")


@pytest.mark.parametrize(
    ("name", "message", "status", "error"),
    [
        (FORECAST, {"model": "none", "session_id": "s", "rows": [{"values": [1]}]}, 404,
         {"code": "NOT_FOUND", "field": "model"}),
        (FORECAST, {"model": "gru", "session_id": "s", "rows": [{"values": [1, 2, 3]}]}, 400,
         {"code": "INVALID_ARGUMENT", "field": "rows[0].values"}),
        (FORECAST, {"model": "gru", "session_id": "s", "rows": [{"values": [1]}], "position": 9}, 409,
         {"code": "ABORTED", "committed_position": "0"}),
        (FORECAST, {"no_such_field": 1}, 400, {"code": "INVALID_ARGUMENT"}),
        (f"{SESSIONS}GetSession", {"model": "gru", "session_id": "absent"}, 404, {"code": "NOT_FOUND"}),
        (f"{SESSIONS}Nonsense", {}, 404, {"code": "UNIMPLEMENTED"}),
        ("statecast.v1.ForecastService/StreamForecasts", {}, 404, {"code": "UNIMPLEMENTED"}),
        ("grpc.health.v1.Health/Check", {}, 404, {"code": "UNIMPLEMENTED"}),
        ("inference.GRPCInferenceService/ServerLive", {}, 404, {"code": "UNIMPLEMENTED"}),
    ],
)  # fmt: skip
def test_an_error_says_what_grpc_says(server, name, message, status, error):
    """Code, words, and the field that is wrong."""
    found, answer = call(server, name, message)
    assert found == status
    assert answer["message"]
    assert {key: answer[key] for key in error} == error


def test_every_call_but_streams_of_requests_is_there(server):
    """A call that is added to the protocol is answered without a word here."""
    for file in (forecast_pb2, session_pb2, model_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if method.client_streaming or method.server_streaming:
                    continue
                _, answer = call(server, f"{service.full_name}/{method.name}", {"model": "none"})
                assert answer.get("code") != "UNIMPLEMENTED", method.full_name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=b"}, 415),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
    ],
)
def test_a_form_of_another_origin_calls_nothing(server, headers, status):
    """What a browser sends for another page without asking us is refused; no such question is answered."""
    name = "/api/statecast.v1.ModelService/ListModels"
    assert ask(server, "POST", name, b"{}", headers)[0] == status
    preflight = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
    answered, sent, _ = ask(server, "OPTIONS", name, headers=preflight)
    assert answered == 405
    assert not [key for key in sent if key.lower().startswith("access-control")]
    assert ask(server, "GET", name, headers=JSON)[0] == 405


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "127.0.0.1.elsewhere.example:80", "10.0.0.1", "", "[::2]"]
)
def test_a_name_that_was_pointed_here_is_refused(server, host):
    """Neither the page nor a call is answered under it; under our own names and addresses both are."""
    name = "/api/statecast.v1.ModelService/ListModels"
    assert ask(server, "POST", name, b"{}", {**JSON, "Host": host})[0] == 421
    assert ask(server, "GET", "/", headers={"Host": host})[0] == 421
    for own in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"):
        assert ask(server, "POST", name, b"{}", {**JSON, "Host": own})[0] == 200
        assert ask(server, "GET", "/", headers={"Host": own})[0] == 200


def test_what_is_too_large_is_not_read(server):
    """And said so."""
    status, _, content = ask(server, "POST", f"/api/{FORECAST}", b" " * (1 << 20) + b"{}", JSON)
    assert (status, json.loads(content)["code"]) == (413, "RESOURCE_EXHAUSTED")


def test_a_stream_comes_as_events_until_its_reader_leaves(server):
    """What a watch tells, one event each; the call ends with its page."""

    def num_open():
        return family(server, "statecast_requests_open")["SessionService/WatchSessions",]

    with Events(server, f"{SESSIONS}WatchSessions", {"model": "gru", "prefix": "told"}) as events:
        assert events.answer.getheader("content-type").startswith("text/event-stream")
        assert events.block() == [": open"]
        assert num_open() == 1
        with statecast.Client(server.address) as client:
            client.session("gru", "told").observe([1.0])
            client.sessions("gru").delete("told")
        kind, message = events.next()
        assert (kind, message["event"]) == ("message", "SESSION_EVENT_DELETED")
        assert message["session"]["session_id"] == "told"
    while num_open() != 0:
        pass


def test_a_stream_that_fails_says_how(server):
    """As the last event."""
    with Events(server, f"{SESSIONS}WatchSessions", {"model": "none"}) as events:
        kind, message = events.next()
        assert (kind, message["code"]) == ("error", "NOT_FOUND")
        assert events.next() is None


def test_a_server_that_drains_ends_its_streams(repository):
    """With an error that says to come again."""
    with serving(repository, *FLAGS) as server:
        with Events(server, f"{SESSIONS}WatchSessions", {"model": "gru"}) as events:
            events.block()
            server.send(signal.SIGTERM)
            kind, message = events.next()
            assert (kind, message["code"]) == ("error", "UNAVAILABLE")
        assert server.wait() == 0


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (["--http-address", "127.0.0.1:0"], 200),
        (["--http-address", "127.0.0.1:0", "--no-page"], 404),
        (["--http-address", "0.0.0.0:0"], 404),
        (["--http-address", "0.0.0.0:0", "--insecure"], 404),
        (["--http-address", "0.0.0.0:0", "--insecure", "--page"], 200),
        (["--http-address", "0.0.0.0:0", "--tokens", "TOKENS"], 404),
        (
            [
                "--http-address",
                "127.0.0.1:0",
                "--tls-cert",
                "CERT",
                "--tls-key",
                "KEY",
                "--tls-client-ca",
                "CA",
            ],
            404,
        ),
    ],
)
def test_the_page_is_shown_where_only_this_machine_looks_or_by_a_word(repository, files, flags, status):
    """Probes are answered wherever the port was put."""
    with serving(repository, *(files.get(flag, flag) for flag in flags)) as server:
        address = address_of(server).replace("0.0.0.0", "127.0.0.1")
        assert fetch(address, "/")[0] == status
        assert fetch(address, "/livez")[0] == 200


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--page"], "other machines could reach http_address"),
        (["--page", "--tokens", "TOKENS"], "other machines could reach http_address"),
        (["--page", "--http-tls", "--tls-cert", "CERT", "--tls-key", "KEY"], "callers who show tokens"),
        (["--http-tls"], "http_tls: expected tls_cert and tls_key"),
    ],
)
def test_a_page_that_others_could_read_or_ask_stops_the_start(repository, files, flags, reason):
    """Clear text, or nobody asked who calls."""
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository), "--store", "memory:"]
    command += ["--address", "127.0.0.1:0", "--http-address", "0.0.0.0:0"]
    command += [files.get(flag, flag) for flag in flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean_environment())
    assert done.returncode != 0
    assert reason in " ".join(done.stderr.split())


def test_the_page_speaks_tls_where_callers_show_tokens(repository, files, tmp_path):
    """With a certificate that may change; clear text is not answered, and the health check asks by https."""
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    flags = ["--tls-cert", str(cert), "--tls-key", str(key), "--http-tls", "--tokens", files["TOKENS"]]
    with serving(repository, *flags, "--http-address", "0.0.0.0:0") as server:
        port = int(address_of(server).rpartition(":")[2])

        def get(path, ca, headers=None):
            context = ssl.create_default_context(cafile=ca)
            connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
            try:
                connection.request("POST" if headers else "GET", path, "{}", headers or {})
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        assert get("/", authority.ca)[0] == 200
        shown = {**JSON, "Authorization": f"Bearer {token_of('acme')}", "Host": "forecasts.example"}
        status, content = get("/api/statecast.v1.ModelService/ListModels", authority.ca, shown)
        assert (status, json.loads(content)["models"][0]["name"]) == (200, "gru")
        assert get("/api/statecast.v1.ModelService/ListModels", authority.ca, JSON)[0] == 401
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(server, "GET", "/livez")
        done = subprocess.run(
            [sys.executable, "-m", "cli", "health", "--http"],
            capture_output=True, text=True, timeout=60,
            env=clean_environment(STATECAST_HTTP_ADDRESS=f"0.0.0.0:{port}", STATECAST_HTTP_TLS="true"),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        other = Authority(tmp_path, "other")
        other.sign("server")
        assert get("/", other.ca)[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            get("/", authority.ca)
        cert.write_text("no certificate")
        assert get("/", other.ca)[0] == 200


def test_the_health_of_a_server_is_its_counts_in_order(server):
    """Models with their histograms and sessions by place, calls by method and status, and the process."""
    for _ in range(3):
        call(server, FORECAST, {"model": "two", "session_id": "healthy", "rows": [{"values": [1, 2]}]})
    call(
        server,
        FORECAST,
        {"model": "two", "session_id": "healthy", "rows": [{"values": [1, 2]}], "position": 9},
    )
    status, found = call(server, "health")
    assert status == 200
    (two,) = (model for model in found["models"] if model["name"] == "two")
    assert (two["rows_applied"], two["sessions"], two["model_version"]) == (3, {"memory": 1, "store": 0}, 1)
    assert {"rows_waiting", "journal_rows", "store_failures"} <= two.keys()
    for name in ("batch_rows", "queue_seconds", "step_seconds", "store_seconds"):
        assert len(two[name]["counts"]) == len(two[name]["bounds"]) + 1
    assert (sum(two["batch_rows"]["counts"]), two["batch_rows"]["sum"]) == (two["batches"], 4)
    (forecast,) = (each for each in found["requests"] if each["method"] == "ForecastService/Forecast")
    assert forecast["open"] == 0
    assert sum(forecast["seconds"]["counts"]) == sum(forecast["ended"].values())
    assert forecast["ended"]["ABORTED"] == found["errors"]["ABORTED"] >= 1
    assert "OK" not in found["errors"]
    assert found["ready"] is True
    assert found["memory_bytes"] > 1e6
    assert 0 < found["uptime_s"] < 1e5
    assert {"statecast-server", "grpcio"} <= found["versions"].keys()


def test_tokens_and_roles_are_those_of_grpc(repository, tmp_path):
    """Without a valid token nothing of a call is read; health wants an operator; a tenant sees its own."""
    flags = ["--tokens", str(write_tokens(tmp_path / "tokens.toml"))]
    predict, operate = token_of("acme"), token_of("acme", Role.OPERATE)
    row = {"model": "gru", "session_id": "mine", "rows": [{"values": [1.0]}]}
    with serving(repository, *FLAGS, *flags) as server:
        assert ask(server, "GET", "/")[0] == 200
        for name in (FORECAST, f"{SESSIONS}WatchRows", f"{SESSIONS}Nonsense", "health", "caller"):
            for headers in (
                {},
                {"Authorization": "Bearer wrong-token-0123456789"},
                {"Authorization": predict},
            ):
                status, _, content = ask(server, "POST", f"/api/{name}", b"{nothing", {**JSON, **headers})
                assert (status, json.loads(content)["code"]) == (401, "UNAUTHENTICATED")
            # A token in the address opens nothing.
            asked = f"/api/{name}?authorization=Bearer%20{operate}&access_token={operate}&token={operate}"
            assert ask(server, "POST", asked, b"{}", JSON)[0] == 401
        assert call(server, FORECAST, row, token=predict)[0] == 200
        find = {"model": "gru", "session_id": "mine"}
        assert call(server, f"{SESSIONS}GetSession", find, token=predict)[0] == 200
        assert call(server, f"{SESSIONS}GetSession", find, token=token_of("bolt"))[1]["code"] == "NOT_FOUND"
        load = "statecast.v1.ModelService/LoadModel"
        for name, message in (("health", {}), (load, {"model": "gru"})):
            status, told = call(server, name, message, token=predict)
            assert (status, told) == (
                403, {"code": "PERMISSION_DENIED", "message": "this call wants the role operate"}
            )  # fmt: skip
            assert call(server, name, message, token=operate)[0] == 200
        with Events(server, f"{SESSIONS}WatchRows", find, token=predict) as events:
            assert events.block() == [": open"]
            call(server, FORECAST, row, token=token_of("bolt"))
            call(server, FORECAST, row, token=predict)
            _, message = events.next()
            (told,) = message["rows"]
            assert (told["position"], told["values"], told["num_skipped"]) == ("2", [1.0], "0")
            assert len(told["forecast"]["values"]) == 12
            assert message["quantile_levels"] == [0.1, 0.5, 0.9]


def test_what_is_turned_away_at_the_port_is_counted(guarded):
    """As what was asked for is whatever a caller writes, under one name; what gRPC refuses counts there."""

    def counted():
        told = family(guarded, "statecast_requests_total")
        return {status: count for (method, status), count in told.items() if method == "page"}

    before = counted()
    for name in (f"{SESSIONS}ListSessions", f"{SESSIONS}Nonsense", "caller", "health"):
        assert call(guarded, name, token="wrong-token-0123456789")[0] == 401
    assert call(guarded, "caller", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    delete = {"model": "gru", "session_id": "absent"}
    assert call(guarded, f"{SESSIONS}DeleteSession", delete, token=token_of("acme"))[0] == 403
    assert call(guarded, f"{SESSIONS}GetSession", delete, token=token_of("acme"))[0] == 404
    after = counted()
    assert {status: after[status] - before.get(status, 0) for status in after} == {
        "UNAUTHENTICATED": 4,
        "PERMISSION_DENIED": 2,
    }


@pytest.mark.parametrize("name", ["ResetSession", "ExportSession", "ImportSession", "DeleteSession"])
def test_sessions_are_moved_and_ended_by_operators(guarded, name):
    """Others are told so, be there such a session or not; by gRPC a tenant's sessions are its own."""
    predict, operate = token_of("acme"), token_of("acme", Role.OPERATE)
    with statecast.Client(guarded.address, token=predict) as client:
        client.session("gru", name).forecast([[1.0]])
        sessions = client.sessions("gru")
        kept = sessions.export(name)
        for session_id in (
            name,
            "absent",
            f"{name}~what-if-0000000g",
            "try-1",
            "try-00000000.1",
            "a try-00000000",
        ):
            message = {"model": "gru", "session_id": session_id}
            assert call(guarded, f"{SESSIONS}{name}", message, token=predict) == (
                403, {"code": "PERMISSION_DENIED", "message": "this call wants the role operate"}
            )  # fmt: skip
        assert call(guarded, f"{SESSIONS}{name}", {"model": "none"}, token=predict)[0] == 403
        assert call(guarded, f"{SESSIONS}{name}", {}, token="of nobody")[0] == 401
        assert sessions.export(name) == kept
        message = {"model": "gru", "session_id": name}
        if name == "ImportSession":
            message |= {"exported": base64.b64encode(kept).decode(), "overwrite": True}
        assert call(guarded, f"{SESSIONS}{name}", message, token=token_of("bolt", Role.OPERATE))[0] >= 400
        assert sessions.export(name) == kept
        assert call(guarded, f"{SESSIONS}{name}", message, token=operate)[0] == 200
        client.session("gru", "by-grpc").forecast([[1.0]])
        sessions.import_("by-grpc", sessions.export("by-grpc"), overwrite=True)
        sessions.reset("by-grpc")
        sessions.delete("by-grpc")


def test_what_the_page_opened_itself_everybody_ends(guarded):
    """Copies of "what if" and tries, by the form of their ids; they are not exported or reset."""
    with statecast.Client(guarded.address, token=token_of("acme")) as client:
        for session_id in ("try-00c0ffee", "a/~what-if-00c0ffee", "a/~what-if-00c0ffee.1"):
            client.session("gru", session_id).forecast([[1.0]])
            message = {"model": "gru", "session_id": session_id}
            for name in ("ExportSession", "ResetSession", "ImportSession"):
                assert call(guarded, f"{SESSIONS}{name}", message, token=token_of("acme"))[0] == 403
            assert call(guarded, f"{SESSIONS}DeleteSession", message, token=token_of("bolt"))[0] == 404
            assert call(guarded, f"{SESSIONS}DeleteSession", message, token=token_of("acme"))[0] == 200
        assert not [each for each in client.sessions("gru").list() if "c0ffee" in each.session_id]


def test_where_nobody_operates_the_page_ends_no_sessions(repository):
    """As it offers none of that there."""
    with serving(repository, *FLAGS, "--no-admin-calls") as closed:
        status, told = call(closed, f"{SESSIONS}DeleteSession", {"model": "gru", "session_id": "a"})
        assert (status, told["code"]) == (403, "PERMISSION_DENIED")
        assert "admin_calls" in told["message"]


def test_the_page_is_told_who_calls(repository, server, tmp_path):
    """Whose token it is, and whether it may change what is served; where nobody may, nobody is told so."""
    flags = ["--tokens", str(write_tokens(tmp_path / "tokens.toml"))]
    with serving(repository, *FLAGS, *flags) as guarded:
        for role in (Role.PREDICT, Role.OPERATE):
            found = call(guarded, "caller", token=token_of("acme", role))
            assert found == (
                200,
                {"tenant": "acme", "role": role.value, "operates": role is Role.OPERATE},
            )
    assert call(server, "caller") == (200, {"tenant": "", "role": "operate", "operates": True})
    with serving(repository, *FLAGS, "--no-admin-calls") as closed:
        assert call(closed, "caller")[1]["operates"] is False
