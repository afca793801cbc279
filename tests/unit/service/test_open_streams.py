"""Streams end with the token that opened them, whatever kind of token it is."""

import json
from contextlib import ExitStack

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from service.rpc.open_streams import OpenStreams
from service.security.authenticator import Authenticator
from service.security.caller import Role
from service.security.token_file import entry_of
from service.settings import Settings
from tests.fakes import HandClock

KEY = ec.generate_private_key(ec.SECP256R1())
TOKEN = "a-secret-of-some-length"
SHOWN = f"Bearer {TOKEN}"


@pytest.fixture
def clock():
    """Moves when told."""
    return HandClock()


@pytest.fixture
def path(tmp_path):
    """A file with one token."""
    made = tmp_path / "tokens.toml"
    made.write_text(entry_of(TOKEN, "acme", Role.PREDICT))
    return made


def authenticator(clock, **settings):
    """As a server makes it."""
    return Authenticator(Settings.build({"repository": "none", **settings}, None), clock)


async def begin(stack, knows, streams, authorization):
    """What a stream is told by, open as long as the stack."""
    return stack.enter_context(streams.opened(authorization, await knows.by_token(authorization)))


@pytest.mark.parametrize(
    ("then", "ends"),
    [
        (entry_of("another-token-of-length", "acme", Role.PREDICT), True),
        (entry_of(TOKEN, "bolt", Role.PREDICT), True),
        (entry_of(TOKEN, "acme", Role.OPERATE), False),
        ("wrong", False),
    ],
    ids=["gone", "another tenant's", "another role", "a wrong file"],
)
async def test_a_stream_ends_when_its_token_is_not_its_tenants_any_more(then, ends, path, clock):
    """And not when the file still says the same of its tenant, or nothing that can be read."""
    knows = authenticator(clock, tokens=str(path))
    streams = OpenStreams(knows)
    with ExitStack() as stack:
        first, second = [await begin(stack, knows, streams, SHOWN) for _ in range(2)]
        path.write_text(then)
        await streams.look()
        assert not first.done()
        clock.now_s += 2
        await streams.look()
        assert (first.done(), second.done()) == (ends, ends)


async def test_a_stream_that_has_ended_is_asked_after_no_more(path, clock):
    """Others with its token are."""
    knows = authenticator(clock, tokens=str(path))
    streams = OpenStreams(knows)
    with ExitStack() as stack, ExitStack() as ended:
        first, second = [await begin(each, knows, streams, SHOWN) for each in (ended, stack)]
        ended.close()
        path.write_text(entry_of("another-token-of-length", "acme", Role.PREDICT))
        clock.now_s += 2
        await streams.look()
        assert (first.done(), second.done()) == (False, True)


async def test_a_signed_tokens_streams_end_with_it(tmp_path, clock):
    """At its `exp`, and what clocks may differ by."""
    keys = tmp_path / "jwks.json"
    jwk = json.loads(ECAlgorithm.to_jwk(KEY.public_key())) | {"kid": "1", "alg": "ES256"}
    keys.write_text(json.dumps({"keys": [jwk]}))
    knows = authenticator(clock, jwks=str(keys), jwt_issuer="us", jwt_audience="here")
    claims = {"iss": "us", "aud": "here", "exp": clock.wall_s() + 100, "tenant": "acme"}
    streams = OpenStreams(knows)
    token = jwt.encode(claims, KEY, "ES256", headers={"kid": "1"})
    with ExitStack() as stack:
        withdrawn = await begin(stack, knows, streams, f"Bearer {token}")
        for now_s, ended in ((99, False), (129, False), (131, True)):
            clock.now_s = now_s
            await streams.look()
            assert withdrawn.done() is ended
