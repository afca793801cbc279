"""Who can connect: TLS, callers' certificates, new certificates, and addresses that others can reach."""

import ssl
import subprocess
import sys

import pytest

import statecast
from tests.certificates import Authority
from tests.server_process import ServerProcess, clean_environment, serving


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Signs for this file's servers and callers."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server_files(authority):
    """The server's certificate and key."""
    return authority.sign("server")


def tls_flags(files):
    return ["--tls-cert", str(files[0]), "--tls-key", str(files[1])]


def models(address, **named):
    """Names of what a server serves, asked once."""
    with statecast.Client(address, retry_budget_s=0, attempt_timeout_s=5, **named) as client:
        return [model.name for model in client.models()]


def certificate_of(server):
    """What a new connection is shown."""
    host, port = server.address.split(":")
    return ssl.get_server_certificate((host, int(port))).split()


@pytest.fixture(scope="module")
def server(repository, server_files):
    """A server by TLS."""
    with serving(repository, *tls_flags(server_files)) as running:
        yield running


def test_a_server_with_a_certificate_speaks_tls_alone(server, authority, tmp_path):
    """A caller that trusts its authority is answered; one in clear text, or that trusts another, is not."""
    assert models(server.address, tls=authority.ca) == ["gru", "two"]
    for wrong in ({}, {"tls": Authority(tmp_path, "another").ca}, {"tls": True}):
        with pytest.raises(statecast.Unavailable):
            models(server.address, **wrong)


async def test_the_async_client_speaks_tls(server, authority):
    """As the one that blocks."""
    async with statecast.AsyncClient(server.address, tls=authority.ca) as client:
        assert len(await client.models()) == 2


def test_commands_speak_tls(server, authority):
    """`--tls-ca` on what asks a server; without it there is no answer."""
    command = [sys.executable, "-m", "cli", "health", "--server", server.address]
    for flags, status in ((["--tls-ca", str(authority.ca)], 0), ([], 1), (["--tls-ca", "absent.pem"], 1)):
        ended = subprocess.run(
            [*command, *flags], capture_output=True, text=True, env=clean_environment(), check=False
        )
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr


def test_callers_without_a_certificate_of_the_authority_are_turned_away(
    repository, server_files, authority, tmp_path
):
    """Mutual TLS: one that the authority signed is let in; none, or a stranger's, is not."""
    stranger = Authority(tmp_path, "stranger")
    with serving(repository, *tls_flags(server_files), "--tls-client-ca", str(authority.ca)) as running:
        cert, key = authority.sign("caller")
        known = statecast.Tls(authority.ca, cert, key)
        assert models(running.address, tls=known) == ["gru", "two"]
        for wrong in (authority.ca, statecast.Tls(authority.ca, *stranger.sign("caller"))):
            with pytest.raises(statecast.Unavailable):
                models(running.address, tls=wrong)


def test_a_certificate_is_read_again_when_it_changes(repository, authority):
    """New connections see the new one; files that do not fit are refused, and what there is goes on."""
    files = authority.sign("old", file="rotating")
    with serving(repository, *tls_flags(files)) as running:
        old = certificate_of(running)
        with statecast.Client(running.address, tls=authority.ca) as client:
            assert client.models()
            authority.sign("new", file="rotating")
            new = certificate_of(running)
            assert new == files[0].read_text().split() != old
            assert running.wait_for("certificate read again")
            files[1].write_text("no key")
            assert certificate_of(running) == new
            assert "rotating.key" in running.wait_for("certificate kept as before")["reason"]
            authority.sign("newest", file="rotating")
            assert certificate_of(running) == files[0].read_text().split() != new
            assert client.models()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0"])
def test_an_address_that_others_reach_wants_tls_or_a_word(address, repository, server_files):
    """In clear text it stops the start; with a certificate, or told to be insecure, it serves."""
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository), "--address", address]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(), check=False, timeout=60
    )
    assert ended.returncode == 2
    assert "in clear text; give --tls-cert and --tls-key" in ended.stderr
    if address.startswith("0"):
        for flags in (["--insecure"], tls_flags(server_files)):
            with ServerProcess(repository, *flags, address=address) as running:
                assert running.process.poll() is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tls-cert", "{cert}"], "tls_cert and tls_key: expected both or neither"),
        (["--tls-client-ca", "{cert}"], "tls_client_ca: expected tls_cert and tls_key beside it"),
        (["--tls-cert", "{cert}", "--tls-key", "{other}"], "expected a PEM certificate chain and its key"),
        (["--tls-cert", "{cert}", "--tls-key", "absent.key"], "tls: cannot read absent.key"),
        (["--tls-cert", "{cert}", "--tls-key", "{key}", "--tls-client-ca", "{key}"], "tls_client_ca"),
    ],
)
def test_files_that_do_not_fit_stop_the_start(flags, message, repository, authority, server_files):
    """A line that names the setting, and nothing of what the files hold."""
    named = {"cert": server_files[0], "key": server_files[1], "other": authority.sign("other")[1]}
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository)]
    command += [flag.format(**named) for flag in flags]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(), check=False, timeout=60
    )
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "PRIVATE KEY" not in ended.stderr


def test_a_token_is_not_sent_in_clear_text_to_another_machine():
    """Neither client does so unasked; on this machine, by TLS or when told to, they do."""
    for client in (statecast.Client, statecast.AsyncClient):
        for target in ("10.1.2.3:50051", "dns:///server:443", "server"):
            with pytest.raises(ValueError, match="in clear text"):
                client(target, token="secret")
        client("10.1.2.3:50051", token="secret", tls=True)
        client("10.1.2.3:50051", token="secret", insecure=True)
        for target in ("localhost:50051", "127.0.0.1:1", "[::1]:1", "ipv4:127.0.0.1:1", "unix:/tmp/x"):
            client(target, token="secret")
