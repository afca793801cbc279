"""Messages as JSON and back, as proto3 has it, with the fields' own names.

The library takes three microseconds for each number that it writes, and a forecast has hundreds of them.
"""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_M = TypeVar("_M", bound=Message)

_FLOATS = frozenset({FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE})
_LONG = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
# So many are written as short as they can be; more of them as fast as they can be. Both read back the same.
_FEW = 32


class BadJson(ValueError):
    """A text that is no such message."""


def parse(text: bytes, kind: type[_M]) -> _M:
    """The message that a text says; an empty text is the message without fields.

    Raises:
        BadJson: it is none, and why.
    """
    try:
        if text and not text.lstrip().startswith(b"{"):
            raise ValueError("found no object")
        return json_format.Parse(text.decode() or "{}", kind())
    except (json_format.Error, ValueError) as error:
        raise BadJson(f"expected {kind.DESCRIPTOR.full_name} as JSON: {error}") from error
    except RecursionError as error:
        raise BadJson(f"expected {kind.DESCRIPTOR.full_name} as JSON: found too many levels") from error


def render(message: Message) -> str:
    """A message as JSON in one line: every field but optional ones that are not set.

    No `map` and no well-known type is understood; our services have none.
    """
    parts = []
    for field in cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields):
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        parts.append(f'"{field.name}":{_repeated(value, field) if field.is_repeated else _one(value, field)}')
    return f"{{{','.join(parts)}}}"


def _repeated(values: Sequence[Any], field: FieldDescriptor) -> str:
    # The sum of finite numbers may be infinite: then each is looked at, and written alike.
    if field.cpp_type in _FLOATS and len(values) and math.isfinite(sum(values)):
        return f"[{_numbers(values, field)}]"
    return f"[{','.join(_one(value, field) for value in values)}]"


def _numbers(values: Sequence[float], field: FieldDescriptor) -> str:
    """Finite numbers with commas between."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return ",".join(map(repr, values))
    if len(values) > _FEW:
        return ("%.9g," * len(values))[:-1] % tuple(values)
    return ",".join(map(str, np.array(values, np.float32)))


def _one(value: Any, field: FieldDescriptor) -> str:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return render(value)
    if field.cpp_type in _FLOATS:
        if math.isfinite(value):
            return _numbers([value], field)
        return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
    if field.cpp_type in _LONG:
        return f'"{value}"'
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f'"{base64.b64encode(value).decode()}"'
    if field.enum_type is not None:
        number = field.enum_type.values_by_number.get(value)
        # A number that has no name is written as it is.
        return str(value) if number is None else f'"{number.name}"'
    return json.dumps(value)
