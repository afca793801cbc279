"""Which model a command means where none is named."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statecast import Client, Model


def only_model(client: "Client") -> "Model":
    """The model that a server has, where it has one.

    Raises:
        ValueError: it has none, or several; names them.
    """
    models = client.models()
    if len(models) != 1:
        names = ", ".join(model.name for model in models) or "none"
        raise ValueError(f"--model: expected one of those served, which are {names}")
    return models[0]
