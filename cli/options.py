"""Command-line flags made from a settings model: a setting is written once, in its model."""

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.markup import escape

from cli.completion import values_of

Command = Callable[..., None]


def options_of(
    model: type[BaseModel], config_help: str, **switches: Any
) -> Callable[[Command], Callable[..., None]]:
    """Gives a command one flag per field of `model`, and `--config FILE`.

    The command receives the flags that were given, by field name and still as text, and the file:
    the model converts and checks them, as it does for a file's or an environment's values. A tuple
    is written with commas, or its flag is given several times. `switches` are parameters of the command
    itself, off where they are not given.
    """

    def decorate(command: Command) -> Callable[..., None]:
        def with_flags(config: Path | None = None, **flags: Any) -> None:
            on = {name: bool(flags.pop(name)) for name in switches}
            given = {
                name: _parts(value) if isinstance(value, list) else value
                for name, value in flags.items()
                if value is not None
            }
            command(given, config, **on)

        parameters = [_flag(name, field) for name, field in model.model_fields.items()]
        file = Annotated[Path | None, typer.Option("--config", help=config_help, exists=True, dir_okay=False)]
        parameters.append(_parameter("config", file))
        parameters += [_parameter(name, annotation) for name, annotation in switches.items()]
        with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_flags

    return decorate


def _flag(name: str, field: FieldInfo) -> inspect.Parameter:
    dashed = (field.alias or name).replace("_", "-")
    default = (
        "" if field.is_required() else f" [default: {_shown(field.get_default(call_default_factory=True))}]"
    )
    # Rich would take what stands in brackets for markup.
    help_text = escape(f"{field.description or ''}{default}")
    if _plain(field) is bool:
        option = typer.Option(f"--{dashed}/--no-{dashed}", help=help_text, show_default=False)
        return _parameter(name, Annotated[bool | None, option])
    choices = _choices(field)
    option = typer.Option(
        f"--{dashed}",
        help=help_text,
        metavar=_metavar(field),
        show_default=False,
        autocompletion=values_of(choices) if choices else None,
    )
    if _is_tuple(field):
        return _parameter(name, Annotated[list[str] | None, option])
    return _parameter(name, Annotated[str | None, option])


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _parts(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _plain(field: FieldInfo) -> Any:
    """The annotation without `| None`."""
    annotation = field.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _is_tuple(field: FieldInfo) -> bool:
    return get_origin(_plain(field)) is tuple


def _choices(field: FieldInfo) -> list[str]:
    """What it takes, where that is a list of words; of a tuple, what each part does."""
    if field.examples:
        return [str(value) for value in field.examples]
    plain = _plain(field)
    part = next(iter(get_args(plain)), None) if _is_tuple(field) else plain
    return [str(value) for value in get_args(part)] if get_origin(part) is Literal else []


def _metavar(field: FieldInfo) -> str:
    plain = _plain(field)
    if _is_tuple(field):
        return "A,B,..."
    if get_args(plain):
        return "|".join(str(value) for value in get_args(plain))
    return {int: "N", float: "X", Path: "PATH"}.get(plain, "TEXT")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value) or "none"
    return "none" if value is None else str(value)
