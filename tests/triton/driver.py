"""Drives a server with Triton's own client: a plan as JSON on stdin, what came back as JSON on stdout.

Run by the interpreter of the environment that has `tritonclient`, which shares no process with our stubs:
two files that define the same messages clash.
"""

import asyncio
import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import json_format
from tritonclient.utils import InferenceServerException

TIMEOUT_S = 30.0


def inputs_of(request):
    """The tensors of a planned request."""
    values = np.array(request["values"], np.float64)
    tensors = {"x": (values, "FP64")}
    if "ids" in request:
        ids = np.array([[name.encode()] for name in request["ids"]], np.object_)
        tensors["sequence_ids"] = (ids, "BYTES")
    for name in ("positions", "times_us"):
        if name in request:
            tensors[name] = (np.array(request[name], np.int64), "INT64")
    found = []
    for name, (array, datatype) in tensors.items():
        found.append(triton.InferInput(name, list(array.shape), datatype))
        found[-1].set_data_from_numpy(array)
    return found


def arguments_of(request):
    """How the client is called."""
    outputs = [triton.InferRequestedOutput(name) for name in request.get("outputs", [])]
    return {
        "model_name": request["model"],
        "inputs": inputs_of(request),
        "outputs": outputs or None,
        **request.get("arguments", {}),
    }


def told(result, error=None):
    """An answer as JSON."""
    if error is not None:
        return {"error": str(error)}
    response = result.get_response()
    tensors = {output.name: result.as_numpy(output.name) for output in response.outputs}
    return {
        "id": response.id,
        "version": response.model_version,
        "parameters": json_format.MessageToDict(response).get("parameters", {}),
        "outputs": {name: listed(array) for name, array in tensors.items()},
    }


def listed(array):
    """A tensor's items as JSON."""
    if array.dtype == object:
        return [[item.decode() for item in row] for row in array]
    return array.tolist()


def run_sync(client, requests):
    """One call after the other."""
    answers = []
    for request in requests:
        try:
            answers.append(told(client.infer(**arguments_of(request))))
        except InferenceServerException as error:
            answers.append(told(None, error))
    return answers


def run_async(client, requests):
    """Every call of a wave at once, with callbacks, a wave after the other: calls may pass each other."""
    answers = []
    for wave in requests:
        done = queue.Queue()
        for index, request in enumerate(wave):
            client.async_infer(
                callback=lambda result, error, index=index, done=done: done.put((index, told(result, error))),
                **arguments_of(request),
            )
        by_index = dict(done.get(timeout=TIMEOUT_S) for _ in wave)
        answers += [by_index[index] for index in range(len(wave))]
    return answers


def run_stream(client, requests):
    """Every request on one stream at once; answers in the order in which they come."""
    done = queue.Queue()
    client.start_stream(callback=lambda result, error: done.put(told(result, error)))
    for request in requests:
        client.async_stream_infer(**arguments_of(request))
    answers = [done.get(timeout=TIMEOUT_S) for _ in requests]
    client.stop_stream()
    return answers


async def run_aio(address, requests):
    """`run_async` with asyncio."""
    answers = []
    async with triton_aio.InferenceServerClient(address) as client:
        for wave in requests:
            calls = [client.infer(**arguments_of(request)) for request in wave]
            answers += [told(result) for result in await asyncio.gather(*calls)]
    return answers


async def run_aio_stream(address, requests):
    """One stream, with asyncio."""

    async def sent():
        for request in requests:
            yield arguments_of(request)

    answers = []
    async with triton_aio.InferenceServerClient(address) as client:
        async for result, error in client.stream_infer(sent()):
            answers.append(told(result, error))
            if len(answers) == len(requests):
                break
    return answers


def describe(client, model):
    """What the client can ask beside inference."""
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model),
        "other_ready": client.is_model_ready("nobody"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata(model, as_json=True),
        "config": client.get_model_config(model, as_json=True)["config"],
        "statistics": client.get_inference_statistics(model, as_json=True)["model_stats"],
        "index": client.get_model_repository_index(as_json=True)["models"],
    }


def descriptors():
    """Names and numbers of the protocol as this client has it, for `tests/contract/test_oip_proto.py`."""
    from google.protobuf import descriptor_pb2
    from tritonclient.grpc import model_config_pb2, service_pb2

    found = []
    for module in (service_pb2, model_config_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        found.append(json_format.MessageToDict(file))
    return found


def main():
    """Do what stdin says."""
    plan = json.load(sys.stdin)
    address, mode, requests = plan.get("address"), plan["mode"], plan.get("requests")
    if mode == "descriptors":
        return descriptors()
    if mode in ("aio", "aio_stream"):
        return asyncio.run({"aio": run_aio, "aio_stream": run_aio_stream}[mode](address, requests))
    with triton.InferenceServerClient(address) as client:
        if mode == "describe":
            return describe(client, plan["model"])
        if mode == "load":
            client.load_model(plan["model"])
            return None
        return {"sync": run_sync, "async": run_async, "stream": run_stream}[mode](client, requests)


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
