"""Tokens that others sign: every claim counts, and no algorithm but those of public keys."""

import base64
import http.server
import json
import threading

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.errors import InvalidSettings, Unauthenticated
from service.security.caller import Role, Tenants
from service.security.jwks import KeySet, parse
from service.security.jwt_tokens import Claims, JwtTokens
from tests.fakes import HandClock

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEYS = {
    "rsa": (RSA, "RS256", RSAAlgorithm.to_jwk),
    "ec": (EC, "ES256", ECAlgorithm.to_jwk),
    "ed": (ED, "EdDSA", OKPAlgorithm.to_jwk),
}


def jwk(name, **changes):
    """A public key as a JWKS has it."""
    key, algorithm, made = KEYS[name]
    return json.loads(made(key.public_key())) | {"kid": name, "alg": algorithm} | changes


def jwks(*entries):
    """A JWKS of them."""
    return json.dumps({"keys": entries})


@pytest.fixture
def clock():
    """Moves when told."""
    return HandClock()


def claims(clock, **changes):
    """Good ones, and changes; None takes one away."""
    made = {"iss": "us", "aud": "here", "exp": clock.wall_s() + 100, "tenant": "acme"} | changes
    return {name: value for name, value in made.items() if value is not None}


def signed(content, name="ec", algorithm=None, key=None, **header):
    """A token."""
    own, usual, _ = KEYS[name]
    return jwt.encode(content, key or own, algorithm or usual, headers={"kid": name, **header})


@pytest.fixture
def tokens(tmp_path, clock):
    """A checker with the three keys."""
    path = tmp_path / "jwks.json"
    path.write_text(jwks(*map(jwk, KEYS)))
    return JwtTokens(
        KeySet(str(path), clock), Claims("us", "here", "tenant", "role"), Tenants(0.0, clock), clock
    )


@pytest.mark.parametrize("name", KEYS)
async def test_a_signed_token_names_tenant_and_role(name, tokens, clock):
    """By each kind of key, again and again until it ends."""
    token = signed(claims(clock, role="operate"), name)
    for _ in range(2):
        caller = await tokens.find(token)
        assert (caller.tenant.name, caller.role) == ("acme", Role.OPERATE)
    assert (await tokens.find(signed(claims(clock), name))).role is Role.PREDICT
    clock.now_s += 129
    assert await tokens.find(token)
    clock.now_s += 2
    with pytest.raises(Unauthenticated, match="has expired"):
        await tokens.find(token)


WRONG = {
    "issuer": lambda clock: signed(claims(clock, iss="them")),
    "no issuer": lambda clock: signed(claims(clock, iss=None)),
    "audience": lambda clock: signed(claims(clock, aud=["there"])),
    "no audience": lambda clock: signed(claims(clock, aud=None)),
    "no end": lambda clock: signed(claims(clock, exp=None)),
    "an end that is no number": lambda clock: signed(claims(clock, exp=True)),
    "an endless end": lambda clock: signed(claims(clock, exp=1e300)),
    "ended": lambda clock: signed(claims(clock, exp=clock.wall_s() - 31)),
    "not yet": lambda clock: signed(claims(clock, nbf=clock.wall_s() + 31)),
    "no tenant": lambda clock: signed(claims(clock, tenant=None)),
    "a tenant with a separator": lambda clock: signed(claims(clock, tenant="acme\x1fx")),
    "a list of tenants": lambda clock: signed(claims(clock, tenant=["acme"])),
    "an unknown key": lambda clock: signed(claims(clock), kid="unknown"),
    "no key": lambda clock: jwt.encode(claims(clock), EC, "ES256"),
    "a number for a key": lambda clock: raw({"alg": "ES256", "kid": 5}, claims(clock)),
    "another's key": lambda clock: signed(claims(clock), key=ec.generate_private_key(ec.SECP256R1())),
    "a key of another kind": lambda clock: signed(claims(clock), "rsa", kid="ec"),
    "a stronger hash than the key's": lambda clock: signed(claims(clock), "rsa", "RS512"),
    "no signature": lambda clock: raw({"alg": "none", "kid": "ec"}, claims(clock)),
    "none in disguise": lambda clock: raw({"alg": "nOnE", "kid": "ec"}, claims(clock)),
    "the public key as a secret": lambda clock: hmac_signed(claims(clock)),
    "long": lambda clock: signed(claims(clock, more="x" * 9000)),
    "nothing": lambda clock: "",
    "dots": lambda clock: "..",
    "deep": lambda clock: raw_text('{"alg":"ES256","kid":"ec","x":' + "[" * 3000 + "]" * 3000 + "}"),
}


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def raw(header, content):
    """A token that nobody signed."""
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(content).encode())}."


def raw_text(header):
    return f"{encoded(header.encode())}.{encoded(b'{}')}.AAAA"


def hmac_signed(content):
    """Signed with what everybody can read, as if it were a secret."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = encoded(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
    body = encoded(json.dumps(content).encode())
    import hmac

    signature = hmac.digest(public, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{encoded(signature)}"


@pytest.mark.parametrize("case", WRONG)
async def test_a_token_that_is_wrong_is_refused(case, tokens, clock):
    """And nothing else happens, whatever is wrong with it."""
    with pytest.raises(Unauthenticated):
        await tokens.find(WRONG[case](clock))


def test_secret_keys_and_those_of_other_uses_are_left_out():
    """A JWKS with nothing else in it is none."""
    secret = {"kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256"}
    entries = [secret, jwk("ec", use="enc"), {"kty": "EC"}, "no key", jwk("rsa", alg="HS256")]
    assert list(parse(jwks(*entries, jwk("ed")).encode())) == ["ed"]
    for content in (jwks(*entries), "[]", "{}", '{"keys": 3}', "", "[" * 100_000):
        with pytest.raises(ValueError, match="expected"):
            parse(content.encode())


def test_keys_come_from_a_file_or_by_https(clock):
    """Others could change what comes in clear text."""
    for source in ("http://idp.example/jwks", "ftp://127.0.0.1/jwks", "file://localhost/etc/passwd"):
        with pytest.raises(InvalidSettings, match="https"):
            KeySet(source, clock)
    with pytest.raises(InvalidSettings, match="absent"):
        KeySet("absent.json", clock)


@pytest.fixture
def provider():
    """Answers with its `content`, and counts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            self.send_response(200 if self.server.content else 503)
            self.end_headers()
            self.wfile.write(self.server.content.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.asked = jwks(jwk("ec")), 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def test_keys_come_and_go_while_the_server_runs(provider, clock):
    """An unknown key makes us ask, not more often than every ten seconds; so does time."""
    url = f"http://127.0.0.1:{provider.server_port}/jwks"
    tokens = JwtTokens(KeySet(url, clock), Claims("us", "here", "tenant", "role"), Tenants(0.0, clock), clock)
    old, new = (
        signed(claims(clock, exp=clock.wall_s() + 5000)),
        signed(claims(clock, exp=clock.wall_s() + 5000), "ed"),
    )
    assert await tokens.find(old)
    clock.now_s += 11
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await tokens.find(new)
    assert provider.asked == 2
    provider.content = jwks(jwk("ec"), jwk("ed"))
    clock.now_s += 11
    assert await tokens.find(new)
    assert await tokens.find(old)
    provider.content = ""
    clock.now_s += 301
    assert await tokens.find(new)
    provider.content = jwks(jwk("ed"))
    clock.now_s += 11
    assert await tokens.find(new)
    with pytest.raises(Unauthenticated):
        await tokens.find(old)
