"""Whose a session is: inside the server the ids of a tenant's sessions begin with its name, nowhere else.

A caller's id holds no control character, so none can be written that begins as another tenant's does.
"""

# ASCII's unit separator.
SEPARATOR = "\x1f"


def prefix_of(tenant: str) -> str:
    """What the keys of a tenant's sessions begin with; nothing for the nameless one."""
    return tenant + SEPARATOR if tenant else ""


def own_id(key: str) -> str:
    """A session's id in its caller's words."""
    return key[key.find(SEPARATOR) + 1 :]


def tenant_of(key: str) -> str:
    """Whose session it is; empty for the nameless tenant's."""
    return key[: max(key.find(SEPARATOR), 0)]
