"""Messages of the Open Inference Protocol, for tests. Never beside `tritonclient`: both define them."""

import grpc
import numpy as np

from service.rpc.inference import grpc_service_pb2 as pb

_SERVICE = "/inference.GRPCInferenceService/"


class InferenceStub:
    """The service's calls by name, and `stream`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
            answer = getattr(pb, method.output_type.name)
            make = channel.stream_stream if method.client_streaming else channel.unary_unary
            call = make(_SERVICE + method.name, lambda message: _bytes(message), answer.FromString)
            setattr(self, method.name, call)


def _bytes(message):
    return message if isinstance(message, bytes) else message.SerializeToString()


def parameter(value):
    """A value as the protocol carries it."""
    field = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
    return pb.InferParameter(**{field: value})


def tensor(request, name, array, datatype):
    """Add a raw tensor."""
    array = np.asarray(array)
    request.inputs.add(name=name, datatype=datatype, shape=array.shape)
    if datatype == "BYTES":
        items = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
        raw = b"".join(len(item).to_bytes(4, "little") + item for item in items)
    else:
        raw = array.astype({"FP64": "<f8", "INT64": "<i8", "FP32": "<f4"}[datatype]).tobytes()
    request.raw_input_contents.append(raw)


def infer_request(
    values, sequence_id=None, *, model="two", request_id="", ids=None, outputs=(), **parameters
):
    """A request; `values` is (B, T, F), or (T, F) for one sequence; parameters by name."""
    values = np.asarray(values, np.float64)
    request = pb.ModelInferRequest(model_name=model, id=request_id)
    if sequence_id is not None:
        parameters["sequence_id"] = sequence_id
    for short in ("start", "end"):
        if short in parameters:
            parameters[f"sequence_{short}"] = parameters.pop(short)
    for name, value in parameters.items():
        request.parameters[name].CopyFrom(parameter(value))
    tensor(request, "x", values if values.ndim == 3 else values[None], "FP64")
    if ids is not None:
        tensor(request, "sequence_ids", np.array(ids, object)[:, None], "BYTES")
    for name in outputs:
        request.outputs.add(name=name)
    return request


def outputs_of(response):
    """Tensors of an answer by name."""
    dtypes = {"FP32": "<f4", "INT64": "<i8"}
    found = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.datatype == "BYTES":
            texts, start = [], 0
            while start < len(raw):
                size = int.from_bytes(raw[start : start + 4], "little")
                texts.append(raw[start + 4 : start + 4 + size].decode())
                start += 4 + size
            found[output.name] = texts
        else:
            found[output.name] = np.frombuffer(raw, dtypes[output.datatype]).reshape(tuple(output.shape))
    return found
