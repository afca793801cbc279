"""Servers with tenants, and calls in a tenant's name, for tests."""

from service.security.caller import Role
from service.security.token_file import entry_of

# Tokens by tenant and role; long enough to be taken as they are.
TOKENS = {
    ("acme", Role.PREDICT): "acme-predict-0123456789",
    ("acme", Role.OPERATE): "acme-operate-0123456789",
    ("bolt", Role.PREDICT): "bolt-predict-0123456789",
    ("bolt", Role.OPERATE): "bolt-operate-0123456789",
}


def write_tokens(path, tokens=TOKENS):
    """A file that `--tokens` reads."""
    path.write_text("\n".join(entry_of(token, *who) for who, token in tokens.items()))
    return path


def token_of(tenant, role=Role.PREDICT):
    """What a caller of that role shows."""
    return TOKENS[tenant, role]


def shown(tenant, role=Role.PREDICT):
    """The metadata of a caller's calls."""
    return (("authorization", f"Bearer {token_of(tenant, role)}"),)
