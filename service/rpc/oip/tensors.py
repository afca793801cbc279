"""Input tensors: from raw bytes, or typed contents, to arrays. Sizes are checked before any is made."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.errors import InvalidRequest
from service.rpc.inference import grpc_service_pb2 as pb
from service.rpc.oip.contract import Tensor

_DTYPES = {"FP64": "<f8", "INT64": "<i8"}
_CONTENTS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}
_PREFIX_BYTES = 4


@dataclass(frozen=True, eq=False, slots=True)
class Sent:
    """A tensor of a request.

    Attributes:
        shape: with the batch dimension.
        items: numbers (num,), or texts as bytes.
    """

    shape: tuple[int, ...]
    items: "npt.NDArray[Any] | list[bytes]"


def read(request: pb.ModelInferRequest, known: Sequence[Tensor]) -> dict[str, Sent]:
    """A request's tensors by name, each as `known` says that it must be.

    Raises:
        InvalidRequest: names the tensor and what is wrong with it.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        expected = f"one for each of {len(request.inputs)} inputs"
        raise InvalidRequest("raw_input_contents", f"{len(raw)} items", expected)
    by_name = {tensor.name: tensor for tensor in known}
    sent: dict[str, Sent] = {}
    for index, each in enumerate(request.inputs):
        tensor = by_name.get(each.name)
        if tensor is None:
            expected = f"one of {', '.join(by_name)}"
            raise InvalidRequest(f"inputs[{index}].name", repr(each.name[:64]), expected)
        if each.name in sent:
            raise InvalidRequest(f"inputs[{index}].name", repr(each.name), "each input once")
        shape = _shape(each, tensor)
        sent[each.name] = Sent(shape, _items(each, raw[index] if raw else None, math.prod(shape)))
    for tensor in known:
        if not tensor.is_extra and tensor.name not in sent:
            raise InvalidRequest("inputs", ", ".join(sent) or "none", f"input {tensor.name!r}")
    return sent


def _shape(each: pb.ModelInferRequest.InferInputTensor, tensor: Tensor) -> tuple[int, ...]:
    field = f"input {each.name!r}"
    if each.parameters:
        names = ", ".join(sorted(each.parameters))[:64]
        raise InvalidRequest(f"{field}: parameters", names, "none: shared memory is not served")
    if each.datatype != tensor.datatype:
        raise InvalidRequest(f"{field}: datatype", repr(each.datatype[:64]), tensor.datatype)
    shape, wanted = tuple(each.shape), (-1, *tensor.dims)
    limits = (*wanted[:-1], tensor.least) if shape and shape[-1] == tensor.least else wanted
    if len(shape) != len(wanted) or any(
        size < 1 or limit not in (-1, size) for size, limit in zip(shape, limits, strict=True)
    ):
        raise InvalidRequest(f"{field}: shape", list(shape[:16]), f"{list(wanted)}, -1 being any from 1 on")
    return shape


def _items(
    each: pb.ModelInferRequest.InferInputTensor, raw: bytes | None, num: int
) -> "npt.NDArray[Any] | list[bytes]":
    field = f"input {each.name!r}"
    if raw is None:
        return _typed(each, field, num)
    if each.HasField("contents"):
        raise InvalidRequest(f"{field}: contents", "contents", "none beside raw_input_contents")
    if each.datatype == "BYTES":
        return _texts(raw, field, num)
    dtype = np.dtype(_DTYPES[each.datatype])
    if len(raw) != num * dtype.itemsize:
        expected = f"{num * dtype.itemsize} for shape {list(each.shape)}"
        raise InvalidRequest(f"{field}: raw_input_contents", f"{len(raw)} bytes", expected)
    return np.frombuffer(raw, dtype)


def _typed(
    each: pb.ModelInferRequest.InferInputTensor, field: str, num: int
) -> "npt.NDArray[Any] | list[bytes]":
    wanted = _CONTENTS[each.datatype]
    for descriptor, _ in each.contents.ListFields():
        if descriptor.name != wanted:
            raise InvalidRequest(f"{field}: contents", descriptor.name, f"{wanted} for {each.datatype}")
    items = getattr(each.contents, wanted)
    if len(items) != num:
        expected = f"{num} for shape {list(each.shape)}, or raw_input_contents"
        raise InvalidRequest(f"{field}: contents.{wanted}", f"{len(items)} items", expected)
    return list(items) if each.datatype == "BYTES" else np.array(items, _DTYPES[each.datatype])


def _texts(raw: bytes, field: str, num: int) -> list[bytes]:
    texts = list(_split(raw, field))
    if len(texts) != num:
        raise InvalidRequest(f"{field}: raw_input_contents", f"{len(texts)} items", f"{num} for its shape")
    return texts


def _split(raw: bytes, field: str) -> Iterator[bytes]:
    """Each text stands behind its size, a little-endian uint32."""
    start = 0
    while start < len(raw):
        begin = start + _PREFIX_BYTES
        start = begin + int.from_bytes(raw[start:begin], "little")
        if begin > len(raw) or start > len(raw):
            raise InvalidRequest(f"{field}: raw_input_contents", "a size beyond the end", "whole items")
        yield raw[begin:start]


def pack_texts(texts: Sequence[str]) -> bytes:
    """Raw items of a BYTES tensor."""
    encoded = [text.encode() for text in texts]
    return b"".join(len(text).to_bytes(_PREFIX_BYTES, "little") + text for text in encoded)
