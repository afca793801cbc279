"""What docs/protocol.md shows, run as it stands where it can be."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from statecast.v1 import forecast_pb2
from tests.model_files import write_model
from tests.server_process import clean_environment, serving

GUIDE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
MESSAGES = forecast_pb2.DESCRIPTOR.message_types_by_name


def _block(language):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert "localhost:50051" in block
    return block


@pytest.fixture
def address(tmp_path):
    """A server that has the guide's model, and none of its sessions."""
    write_model(tmp_path, "co2", features=("y",), frequency="W-SAT")
    with serving(tmp_path) as server:
        yield server.address


def _run(command, address):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean_environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_shell_part_counts_rows_once(address):
    """The model, the same answer to the same request twice, and where the session stands."""
    buf = Path(sys.executable).parent / "buf"
    program = _block("sh").replace("localhost:50051", address).replace("buf curl", f"{buf} curl")
    output = _run(["bash", "-euc", program], address)
    decoder, answers = json.JSONDecoder(), []
    while output := output.lstrip():
        answer, end = decoder.raw_decode(output)
        answers.append(answer)
        output = output[end:]
    model, first, second, session = answers
    assert model["model"]["name"] == "co2"
    assert first["position"] == second["position"] == session["session"]["position"] == "2"
    assert "numSkipped" not in first
    assert second["numSkipped"] == "2"
    assert first["forecasts"] == second["forecasts"]


def test_the_python_part_runs(address):
    """One series, a refusal with its position, and a frame of three."""
    output = _run([sys.executable, "-c", _block("python").replace("localhost:50051", address)], address)
    first, refusal, frame = output.splitlines()
    assert re.fullmatch(r"1 \(\d+, \d+\)", first)
    assert refusal == "ABORTED go on from 1"
    assert re.fullmatch(r"\[2 1 1\] \(3, \d+, \d+\)", frame)


def _camel(name, first_upper):
    words = name.split("_")
    return "".join(
        word if not (number or first_upper) else word.capitalize() for number, word in enumerate(words)
    )


def test_the_go_part_names_messages_and_fields_that_there_are():
    """Types of the package, and the fields set and read."""
    block = _block("go")
    types = set(re.findall(r"statecastv1\.(?!New)(\w+)", block))
    assert types <= set(MESSAGES)
    fields = {_camel(field.name, True) for message in MESSAGES.values() for field in message.fields}
    named = set(re.findall(r"^\t(\w+): ", block, re.MULTILINE)) | set(re.findall(r"\banswer\.(\w+)", block))
    named |= set(re.findall(r"\{(\w+): ", block))
    assert len(named) >= 7
    assert named <= fields


def test_the_java_part_names_messages_and_fields_that_there_are():
    """Builders' setters and messages' getters."""
    block = _block("java")
    assert set(re.findall(r"(\w+)\.newBuilder", block)) <= set(MESSAGES)
    known = set()
    for message in MESSAGES.values():
        for field in message.fields:
            name = _camel(field.name, True)
            is_many = field.is_repeated
            known |= {f"add{name}", f"get{name}Count", f"get{name}List", f"get{name}"} if is_many else {
                f"set{name}", f"get{name}"
            }  # fmt: skip
    named = set(re.findall(r"\.((?:set|add)\w+)\(", block))
    named |= set(re.findall(r"answer\.(get\w+)\(", block)) | set(re.findall(r"\)\.(getValues\w+)\(", block))
    assert len(named) >= 7
    assert named <= known
