"""ONNX Runtime sessions on the device that was asked for, or not at all."""

import onnxruntime

from service.errors import DeviceUnavailable

RUNTIME = f"onnxruntime {onnxruntime.__version__}"
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(
    model: bytes,
    device: str,
    intra_op_threads: int,
    *,
    plans_memory: bool = True,
    captured: bool = False,
) -> onnxruntime.InferenceSession:
    """A session for one graph.

    Args:
        plans_memory: keep, for every shape that comes, where its tensors lie in one allocation.
        captured: on cuda, record the kernels of the first run and replay them in later ones, which must
            have its shapes and addresses.

    Raises:
        DeviceUnavailable: this ONNX Runtime has no provider for the device, or it could not start.
    """
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise DeviceUnavailable(
            f"device {device}: this onnxruntime has no {provider}"
            + ("; install the extra serve-cuda in place of serve" if device == "cuda" else "")
        )
    if device == "cuda":
        # Finds CUDA and cuDNN where they are Python packages; those of the system are found without it.
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = plans_memory
    # A waiting thread that spins takes a core from the server's own, once for every graph.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings = {"enable_cuda_graph": "1"} if captured else {}
    session = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
    session.disable_fallback()
    # ONNX Runtime goes on with the CPU alone where the CUDA libraries do not load.
    if session.get_providers()[0] != provider:
        raise DeviceUnavailable(
            f"device {device}: {provider} did not start: expected an NVIDIA GPU and its driver, "
            f"given to the container if this is one (--gpus all); found {session.get_providers()}"
        )
    return session
