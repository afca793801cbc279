"""What a `ModelInfer` request asks for, read and checked: nothing has been applied yet."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models.artifact import FORECAST, ROWS
from models.manifest import Manifest
from service.engine.runner import Reply, Rows
from service.errors import InvalidRequest, StatecastError
from service.rpc import validation
from service.rpc.graph_rows import graph_rows
from service.rpc.inference import grpc_service_pb2 as pb
from service.rpc.oip import contract, parameters, tensors
from service.rpc.oip.contract import InferenceLimits
from service.rpc.oip.parameters import Options
from service.rpc.oip.tensors import Sent
from service.sessions.frame import NO_POSITION, Integers


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Rows for N distinct sequences, T each, W columns as the graph reads them, and what is to come back.

    Attributes:
        values: (N, T, W).
        times_us: (N, T), or None.
        positions: (N,) rows consumed before each sequence's first row, or NO_POSITION.
        is_many: whether the ids came as a tensor: then each sequence is refused on its own.
        outputs: names, in the order in which they are given.
        errors: by index, sequences that are refused at once.
    """

    sequence_ids: list[str]
    values: Rows
    times_us: Integers | None
    positions: Integers
    options: Options
    is_many: bool
    outputs: tuple[str, ...]
    errors: dict[int, StatecastError]

    @property
    def reply(self) -> Reply:
        """A forecast that nobody wants is not computed."""
        return Reply.LAST if FORECAST in self.outputs else Reply.NONE

    @property
    def num_rows(self) -> int:
        """Of all sequences."""
        num_sequences, num_rows, _ = self.values.shape
        return int(num_sequences * num_rows)


def read(request: pb.ModelInferRequest, manifest: Manifest, limits: InferenceLimits) -> Asked:
    """What a request asks for.

    Raises:
        InvalidRequest: names what is wrong.
    """
    options = parameters.read(request.parameters)
    sent = tensors.read(request, contract.inputs(manifest))
    is_many = contract.SEQUENCE_IDS in sent
    outputs = _outputs(request, manifest, is_many)
    num_sequences, num_rows, num_features = sent[ROWS].shape
    if num_sequences > limits.max_batch_size:
        expected = f"at most {limits.max_batch_size} (max_batch_size)"
        raise InvalidRequest(f"input {ROWS!r}", f"{num_sequences} sequences", expected)
    validation.check_num_rows(num_rows, f"input {ROWS!r}", limits.max_rows_per_chunk)
    values: Rows = np.asarray(sent[ROWS].items).reshape(num_sequences, num_rows, num_features)
    sequence_ids = _sequence_ids(sent, options, num_sequences)
    times_us = _integers(sent, contract.TIMES_US, (num_sequences, num_rows))
    positions = _positions(sent, options, num_sequences)
    asked = Asked(sequence_ids, values, times_us, positions, options, is_many, outputs, {})
    _check_size(asked, manifest, limits)
    _check_entries(asked, manifest)
    return replace(asked, values=_graph_rows(asked, manifest))


def _graph_rows(asked: Asked, manifest: Manifest) -> Rows:
    num_sequences, num_rows, sent = asked.values.shape
    times = None if asked.times_us is None else asked.times_us.reshape(-1)
    rows = graph_rows(asked.values.reshape(-1, sent), times, manifest.row_layout)
    return rows.reshape(num_sequences, num_rows, -1)


def _outputs(request: pb.ModelInferRequest, manifest: Manifest, is_many: bool) -> tuple[str, ...]:
    tensors = contract.outputs(manifest)
    if not request.outputs:
        return tuple(tensor.name for tensor in tensors if is_many or not tensor.is_extra)
    known = [tensor.name for tensor in tensors]
    names = []
    for index, each in enumerate(request.outputs):
        if each.name not in known or each.name in names:
            expected = f"one of {', '.join(known)}, each once"
            raise InvalidRequest(f"outputs[{index}].name", repr(each.name[:64]), expected)
        if each.parameters:
            found = ", ".join(sorted(each.parameters))[:64]
            expected = "none: neither shared memory nor classification is served"
            raise InvalidRequest(f"outputs[{index}].parameters", found, expected)
        names.append(each.name)
    return tuple(names)


def _sequence_ids(sent: dict[str, Sent], options: Options, num_sequences: int) -> list[str]:
    tensor = sent.get(contract.SEQUENCE_IDS)
    if tensor is None:
        if not options.sequence_id:
            expected = f"a number other than 0, a text, or input {contract.SEQUENCE_IDS!r}"
            raise InvalidRequest("sequence_id", "none", expected)
        if num_sequences != 1:
            expected = f"1 for one sequence_id; for many sequences send input {contract.SEQUENCE_IDS!r}"
            raise InvalidRequest(f"input {ROWS!r}: batch dimension", num_sequences, expected)
        return [options.sequence_id]
    if options.sequence_id:
        expected = f"none beside input {contract.SEQUENCE_IDS!r}"
        raise InvalidRequest("sequence_id", repr(options.sequence_id), expected)
    _check_batch(contract.SEQUENCE_IDS, tensor.shape, num_sequences)
    names = [_name(index, each) for index, each in enumerate(tensor.items)]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"input {contract.SEQUENCE_IDS!r}", f"{twice!r} twice", "each sequence once")
    return names


def _name(index: int, content: bytes) -> str:
    field = f"input {contract.SEQUENCE_IDS!r}: item {index}"
    try:
        name = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(field, f"{len(content)} bytes that are not UTF-8", "a session's id") from error
    validation.check_session_id(name, field)
    return name


def _positions(sent: dict[str, Sent], options: Options, num_sequences: int) -> Integers:
    positions = _integers(sent, contract.POSITIONS, (num_sequences, 1))
    if positions is None:
        if options.position != NO_POSITION and contract.SEQUENCE_IDS in sent:
            expected = f"input {contract.POSITIONS!r} for many sequences"
            raise InvalidRequest(parameters.POSITION, options.position, expected)
        return np.array([options.position] * num_sequences, np.int64)
    if options.position != NO_POSITION:
        expected = f"none beside input {contract.POSITIONS!r}"
        raise InvalidRequest(parameters.POSITION, options.position, expected)
    return positions.reshape(-1)


def _integers(sent: dict[str, Sent], name: str, shape: tuple[int, int]) -> Integers | None:
    tensor = sent.get(name)
    if tensor is None:
        return None
    _check_batch(name, tensor.shape, shape[0])
    if tensor.shape != shape:
        raise InvalidRequest(f"input {name!r}: shape", list(tensor.shape), str(list(shape)))
    items: npt.NDArray[Any] = np.asarray(tensor.items, np.int64)
    return items.reshape(shape)


def _check_batch(name: str, shape: tuple[int, ...], num_sequences: int) -> None:
    if shape[0] != num_sequences:
        expected = f"{num_sequences}, that of input {ROWS!r}"
        raise InvalidRequest(f"input {name!r}: batch dimension", shape[0], expected)


def _check_size(asked: Asked, manifest: Manifest, limits: InferenceLimits) -> None:
    """Forecasts must fit one message; found out before anything is applied."""
    if asked.reply is Reply.LAST:
        # What is true of a forecast for each row of one session is true of one for each session.
        validation.check_reply_size(len(asked.values), Reply.EACH, manifest, limits.max_message_bytes)


def _check_entries(asked: Asked, manifest: Manifest) -> None:
    """What is wrong with single sequences; raised where there is but one."""
    num_rows = asked.values.shape[1]
    flat = asked.values.reshape(-1, asked.values.shape[2])
    suspect = validation.bad_rows(flat, manifest).reshape(-1, num_rows).any(axis=1)
    suspect |= asked.positions < NO_POSITION
    if asked.times_us is not None:
        suspect |= validation.bad_times(asked.times_us).any(axis=1)
    for index in np.flatnonzero(suspect).tolist():
        try:
            _check_entry(asked, index, manifest)
        except InvalidRequest as error:
            if not asked.is_many:
                raise
            asked.errors[index] = error


def _check_entry(asked: Asked, index: int, manifest: Manifest) -> None:
    position = int(asked.positions[index])
    if position < NO_POSITION:
        raise InvalidRequest(contract.POSITIONS, position, "a number of rows, or -1 for none")
    validation.check_values(asked.values[index], manifest, f"input {ROWS!r}: values")
    if asked.times_us is not None:
        validation.check_times(asked.times_us[index], f"input {contract.TIMES_US!r}: times")
