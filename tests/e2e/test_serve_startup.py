"""What `statecast serve` says when it starts, and when it cannot."""

import signal
import subprocess
import sys

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from statecast.v1 import model_pb2, model_pb2_grpc
from tests.model_files import write_model
from tests.server_process import clean_environment, serving


def _serve(*flags, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cli", "serve", *flags],
        capture_output=True,
        text=True,
        env=clean_environment(**environment),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ([], {}, "repository is required: --repository or STATECAST_REPOSITORY"),
        (["--repository", "absent"], {}, "repository absent: not a folder"),
        (["--repository", "."], {"STATECAST_ADRESS": "x"}, "did you mean STATECAST_ADDRESS?"),
        (["--repository", ".", "--max-sessions", "none"], {}, "max_sessions: "),
    ],
)
def test_a_server_that_cannot_start_says_why_in_a_line(flags, environment, message):
    """Exit status 2, the setting's name, and no traceback."""
    ended = _serve(*flags, **environment)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_damaged_model_stops_the_start_and_is_named(tmp_path):
    """The message holds the file and what is wrong with it."""
    write_model(tmp_path, "good")
    bad = tmp_path / "bad" / "1" / "model.onnx"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"\0")
    ended = _serve("--repository", str(tmp_path))
    assert ended.returncode == 2
    assert "bad/1/model.onnx: " in ended.stderr


def test_an_address_in_use_stops_the_start(repository):
    """A second server does not share the first one's port in silence."""
    with serving(repository) as first:
        ended = _serve("--repository", str(repository), "--address", first.address)
    assert ended.returncode == 2
    assert f"address {first.address}: cannot listen there" in ended.stderr


def test_cuda_without_its_provider_stops_the_start(repository):
    """The CPU never stands in for the GPU unasked."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    ended = _serve("--repository", str(repository), "--device", "cuda")
    assert ended.returncode == 2
    assert "serve-cuda" in ended.stderr


def test_the_first_screen_tells_what_is_served(repository):
    """Models, address, device and threads, and a command to try."""
    command = [
        sys.executable,
        "-m",
        "cli",
        "serve",
        "--repository",
        str(repository),
        "--address",
        "127.0.0.1:0",
        "--store",
        "memory:",
        # Otherwise as many as are fastest when they are measured: on a busy machine not always the same.
        "--intra-op-threads",
        "1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        screen = ""
        for line in process.stderr:
            screen += line
            if "serving" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    for text in (
        "gru",
        "two",
        "y, temperature",
        "4 steps x 3 levels",
        "device cpu",
        "1 thread",
        "statecast stream",
    ):
        assert text in screen
    assert process.returncode == 0, rest


def test_reflection_and_models_describe_the_server(channel):
    """A generic client finds the API, and GetModel what each model wants."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    service = pool.FindServiceByName("statecast.v1.ForecastService")
    assert {method.name for method in service.methods} == {"Forecast", "StreamForecasts"}
    stub = model_pb2_grpc.ModelServiceStub(channel)
    assert [model.name for model in stub.ListModels(model_pb2.ListModelsRequest()).models] == ["gru", "two"]
    model = stub.GetModel(model_pb2.GetModelRequest(model="two")).model
    assert [(feature.name, feature.required) for feature in model.features] == [
        ("y", False),
        ("temperature", True),
    ]
    with pytest.raises(grpc.RpcError, match="model 'absent' is not served"):
        stub.GetModel(model_pb2.GetModelRequest(model="absent"))
