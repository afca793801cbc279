"""What each package loads, seen from a fresh interpreter."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

# Imports every module below the package named by the only argument, then prints what is loaded.
LOAD_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
print(json.dumps({"walked": names, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
# Imports the package named by the first argument, then runs the model file named by the second.
LOAD_MODEL = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
import onnxruntime
onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
print(json.dumps({"loaded": sorted(sys.modules)}))
"""
HELP = """
import json, sys
sys.argv = ["statecast", "--help"]
from cli.main import app
try:
    app()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps({"loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


DEPENDENCIES = """
import json, sys
import grpc, grpc.aio, google.protobuf.json_format, numpy
print(json.dumps({"loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"
# What `Client(trace=True)` needs beyond the three.
EXTRA = "opentelemetry"
CLIENT = Path(__file__).parents[2] / "client" / "statecast"


def imports_of(path: Path) -> list[str]:
    """The modules a source file names, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


def loaded_by(
    program: str, *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> dict[str, list[str]]:
    """What a fresh interpreter, away from the checkout, has loaded after `program`."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def test_the_service_never_loads_torch(tmp_path: Path) -> None:
    """Every module of the service loads, and with them neither torch nor the training package."""
    found = loaded_by(LOAD_ALL, "service", cwd=tmp_path)
    assert "service.app" in found["walked"]
    assert not {"torch", "lightning", "training", "pandas", "cli"} & set(found["loaded"])


def test_training_never_loads_grpc(tmp_path: Path) -> None:
    """Every module of training loads, and with them neither grpc nor the service."""
    found = loaded_by(LOAD_ALL, "training", cwd=tmp_path)
    assert "training.export" in found["walked"]
    assert not {"grpc", "service", "cli", "statecast"} & set(found["loaded"])


def test_the_client_needs_three_packages(tmp_path: Path) -> None:
    """The client loads nothing that grpc, protobuf and numpy do not load by themselves, but for an extra."""
    found = set(loaded_by(LOAD_ALL, "statecast", cwd=tmp_path)["loaded"])
    allowed = set(loaded_by(DEPENDENCIES, cwd=tmp_path)["loaded"])
    assert found - allowed - set(sys.stdlib_module_names) == {"statecast", EXTRA}


def test_the_client_imports_three_packages() -> None:
    """Beyond itself and the standard library the client's code names grpc, protobuf and numpy alone.

    Of the extra `trace` is the module that is loaded only when asked for.
    """
    sources = [path for path in CLIENT.rglob("*.py") if path.parent.name != "v1"]
    assert EXTRA in {name.partition(".")[0] for name in imports_of(CLIENT / "tracing.py")}
    sources.remove(CLIENT / "tracing.py")
    imported = {name.partition(".")[0] for path in sources for name in imports_of(path)}
    assert "grpc" in imported
    assert imported - set(sys.stdlib_module_names) <= {"statecast", "grpc", "google", "numpy"}


@pytest.mark.parametrize("heavy", ["torch", "onnxruntime", "onnx", "grpc", "numpy", "pandas"])
def test_help_is_light(heavy: str, tmp_path: Path) -> None:
    """`statecast --help` answers without loading what its commands need."""
    assert heavy not in loaded_by(HELP, cwd=tmp_path)["loaded"]


@pytest.mark.parametrize("package", ["service.engine", "service.app", "training.parity"])
def test_onnx_runtime_reports_to_nobody(package: str, tmp_path: Path) -> None:
    """Where our code loads ONNX Runtime, it leaves no telemetry behind to send."""
    model, home = tmp_path / "model.onnx", tmp_path / "home"
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "abs", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), model)
    # Both of these variables turn telemetry off by themselves.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", TELEMETRY_SWITCH)}
    home.mkdir()
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    loaded_by(LOAD_MODEL, package, str(model), cwd=tmp_path, env=environment)
    assert [path.name for path in home.rglob("deviceid")] == []
