"""The parameters of a request: those of sequences, and ours."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import InvalidRequest
from service.rpc import validation
from service.rpc.inference import grpc_service_pb2 as pb
from service.sessions.frame import NO_POSITION

POSITION, STRICT_START = "statecast_position", "statecast_strict_start"
# The flags by another name: Triton's client sends them with a sequence_id only, and its users may not.
START, END = "statecast_sequence_start", "statecast_sequence_end"
# What an answer says of its only sequence, in the order of `COUNTS`.
COUNTED = ("statecast_skipped", "statecast_late", "statecast_missing_steps")
FINAL = "triton_final_response"
_KNOWN = {POSITION, STRICT_START, START, END, "triton_enable_empty_final_response"}
# Parameters of others are left alone; a misspelt one of these would be a promise that nobody keeps.
_OURS = ("statecast_", "triton_")
_MODULUS = 1 << 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the parameters say.

    Attributes:
        sequence_id: the session's id; empty for none.
        position: rows consumed before the first row, or NO_POSITION.
        timeout_s: seconds until nobody waits any more.
        is_strict: whether a start on a live sequence is refused.
    """

    sequence_id: str
    is_start: bool
    is_end: bool
    is_strict: bool
    position: int
    timeout_s: float


def read(parameters: Mapping[str, pb.InferParameter]) -> Options:
    """What a request's parameters say.

    Raises:
        InvalidRequest: one has a wrong type or value, or is one of ours that there is not.
    """
    _refuse_unknown(parameters)
    _truth(parameters, "triton_enable_empty_final_response")
    # There is one queue, first come first served: priorities are taken and change nothing.
    _number(parameters, "priority")
    timeout_us = _number(parameters, "timeout")
    if timeout_us < 0:
        raise InvalidRequest("timeout", timeout_us, "microseconds, 0 for none")
    return Options(
        _sequence_id(parameters),
        _truth(parameters, "sequence_start") or _truth(parameters, START),
        _truth(parameters, "sequence_end") or _truth(parameters, END),
        _truth(parameters, STRICT_START),
        _position(parameters),
        timeout_us / 1e6 if timeout_us else math.inf,
    )


def _sequence_id(parameters: Mapping[str, pb.InferParameter]) -> str:
    """A text is the session's id as it is, a number its digits; one below 0 is a uint64 in disguise."""
    if "sequence_id" not in parameters:
        return ""
    parameter = parameters["sequence_id"]
    match parameter.WhichOneof("parameter_choice"):
        case "string_param":
            if parameter.string_param:
                validation.check_session_id(parameter.string_param, "sequence_id")
            return parameter.string_param
        case "int64_param":
            number = parameter.int64_param % _MODULUS
        case "uint64_param":
            number = parameter.uint64_param
        case choice:
            raise InvalidRequest("sequence_id", choice or "no value", "int64_param or string_param")
    return str(number) if number else ""


def _position(parameters: Mapping[str, pb.InferParameter]) -> int:
    if POSITION not in parameters:
        return NO_POSITION
    position = _number(parameters, POSITION)
    if position < 0:
        raise InvalidRequest(POSITION, position, "a number of rows")
    validation.check_position(position)
    return position


def _number(parameters: Mapping[str, pb.InferParameter], name: str) -> int:
    """0 where there is none."""
    if name not in parameters:
        return 0
    parameter = parameters[name]
    match parameter.WhichOneof("parameter_choice"):
        case "int64_param":
            return parameter.int64_param
        case "uint64_param":
            return parameter.uint64_param
        case choice:
            raise InvalidRequest(name, choice or "no value", "int64_param")


def _truth(parameters: Mapping[str, pb.InferParameter], name: str) -> bool:
    """False where there is none."""
    if name not in parameters:
        return False
    choice = parameters[name].WhichOneof("parameter_choice")
    if choice != "bool_param":
        raise InvalidRequest(name, choice or "no value", "bool_param")
    return parameters[name].bool_param


def _refuse_unknown(parameters: Mapping[str, pb.InferParameter]) -> None:
    for name in parameters:
        if name.startswith(_OURS) and name not in _KNOWN:
            nearest = difflib.get_close_matches(name[:64], sorted(_KNOWN), n=1)
            known = nearest[0] if nearest else ", ".join(sorted(_KNOWN))
            raise InvalidRequest("parameters", repr(name[:64]), f"{known}, or a name that is not ours")
