"""Answers of `ModelInfer`: always raw, the outputs that were asked for, in that order."""

import numpy as np

from models.artifact import FORECAST
from models.manifest import Manifest
from service.rpc.inference import grpc_service_pb2 as pb
from service.rpc.oip import contract, parameters
from service.rpc.oip.advance import Outcome
from service.rpc.oip.asked import Asked
from service.rpc.oip.tensors import pack_texts
from service.rpc.status import status_of


def message(
    request: pb.ModelInferRequest, asked: Asked, outcome: Outcome, manifest: Manifest
) -> pb.ModelInferResponse:
    """The whole answer."""
    response = pb.ModelInferResponse(
        model_name=request.model_name, model_version=str(outcome.version), id=request.id
    )
    tensors = {tensor.name: tensor for tensor in contract.outputs(manifest)}
    num = len(asked.sequence_ids)
    for name in asked.outputs:
        tensor = tensors[name]
        response.outputs.add(name=name, datatype=tensor.datatype, shape=(num, *tensor.dims))
        response.raw_output_contents.append(_raw(name, outcome, num))
    if not asked.is_many:
        told = response.parameters
        told[parameters.POSITION].int64_param = outcome.positions.item(0)
        for name, count in zip(parameters.COUNTED, outcome.counts, strict=True):
            if count:
                told[name].int64_param = count
    return response


def _raw(name: str, outcome: Outcome, num: int) -> bytes:
    if name == FORECAST:
        assert outcome.forecast is not None
        return outcome.forecast
    if name == contract.POSITIONS:
        return outcome.positions.astype(np.dtype("<i8")).tobytes()
    return pack_texts([_told(outcome, index) for index in range(num)])


def _told(outcome: Outcome, index: int) -> str:
    """Why a sequence was refused, the status first; empty where it was not."""
    error = outcome.errors.get(index)
    return "" if error is None else in_band(status_of(error).code.name, str(error))


def in_band(code: str, text: str) -> str:
    """An error where the protocol has room for a text only."""
    return f"[{code}] {text}"
