"""Tokens in a file: what is taken, what is refused, and that no message holds a token."""

import pytest

from service.errors import InvalidSettings
from service.security.caller import Role, Tenants
from service.security.token_file import TokenFile, entry_of, new_token
from tests.fakes import HandClock

SECRET = "a-secret-of-some-length"


@pytest.fixture
def clock():
    """Moves when told."""
    return HandClock()


def tokens(path, clock):
    """What a server has of a file."""
    return TokenFile(path, Tenants(0.0, clock), clock)


def test_a_token_names_its_tenant_and_role(tmp_path, clock):
    """Hashed or plain; another text is nobody's."""
    path = tmp_path / "tokens.toml"
    made = new_token()
    path.write_text(
        entry_of(made, "acme", Role.OPERATE) + f'[[token]]\nplain = "{SECRET}"\ntenant = "bolt"\n'
    )
    found = tokens(path, clock)
    assert (found.find(made).tenant.name, found.find(made).role) == ("acme", Role.OPERATE)
    assert (found.find(SECRET).tenant.name, found.find(SECRET).role) == ("bolt", Role.PREDICT)
    for wrong in ("", SECRET[:-1], SECRET + "0", made.upper(), "é" * 20):
        assert found.find(wrong) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"expected \[\[token\]\] tables"),
        (f"{SECRET} = = 1", "expected TOML"),
        ("token = 3", r"expected \[\[token\]\] tables"),
        (f'[[token]]\nplain = "{SECRET}"\n', "token 1: tenant: expected 1 to 64 letters"),
        (f'[[token]]\nplain = "{SECRET}"\ntenant = "a\\u001fb"', "tenant: expected"),
        (
            f'[[token]]\nplain = "{SECRET}"\ntenant = "a"\nrole = "root"',
            "role: expected one of predict, operate",
        ),
        ('[[token]]\nplain = "short"\ntenant = "a"', "plain: expected at least 16 characters"),
        ('[[token]]\nsha256 = "short"\ntenant = "a"', "sha256: expected 64 hexadecimal digits"),
        ('[[token]]\ntenant = "a"', "expected sha256 or plain"),
        (f'[[token]]\nplain = "{SECRET}"\ntenant = "a"\nrôle = "x"', "TOML"),
        (f'[[token]]\nplain = "{SECRET}"\ntenant = "a"\ntenand = "x"', "tenand is not one of"),
        (f'[[token]]\nplain = ["{SECRET}"]\ntenant = "a"', "expected texts"),
        ((f'[[token]]\nplain = "{SECRET}"\ntenant = "a"\n') * 2, "token 2: the same as one before"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_its_secrets(content, message, tmp_path, clock):
    """The message names the token by its place."""
    path = tmp_path / "tokens.toml"
    path.write_text(content)
    with pytest.raises(InvalidSettings, match=message) as caught:
        tokens(path, clock)
    assert SECRET not in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_file_that_changes_is_read_again(tmp_path, clock, capsys):
    """Within a second; one that is wrong, or gone, leaves the tokens there are, and is told once."""
    path = tmp_path / "tokens.toml"
    path.write_text(entry_of(SECRET, "acme", Role.PREDICT))
    found = tokens(path, clock)
    path.write_text("wrong")
    for _ in range(3):
        clock.now_s += 2
        assert found.find(SECRET)
    assert "".join(capsys.readouterr()).count("kept as before") == 1
    path.write_text(entry_of("another-token-of-length", "bolt", Role.PREDICT))
    clock.now_s += 2
    assert found.find(SECRET) is None
    assert found.find("another-token-of-length").tenant.name == "bolt"
    path.unlink()
    clock.now_s += 2
    assert found.find("another-token-of-length")
