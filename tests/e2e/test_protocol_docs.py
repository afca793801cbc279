"""What docs/protocol.md shows, run as it stands where it can be."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from statecast.v1 import forecast_pb2
from tests.model_files import write_model
from tests.server_process import clean_environment, serving

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "protocol.md").read_text()
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


# What compiles them, of Debian.
GO_PACKAGES = "golang-go protoc-gen-go protoc-gen-go-grpc golang-google-grpc-dev golang-google-genproto-dev"
JAVA_PACKAGES = (
    "default-jdk-headless protobuf-compiler protobuf-compiler-grpc-java-plugin "
    "libgrpc-java libnetty-java libperfmark-java"
)
# Debian's grpc-go cannot be installed with golang-github-golang-protobuf-1-5-dev, which runs them:
# `dpkg -x` that one, and name its usr/share/gocode in GOPATH.
GO_PROTOBUF = "src/github.com/golang/protobuf/proto"
GO_SOURCES, JARS = Path("/usr/share/gocode"), Path("/usr/share/java")


def _generate(block, plugins, folder):
    """Stubs, by the block's own command, made by plugins of this machine."""
    found = re.search(r"^// buf generate proto (.*) --template '(.*)'$", block, re.MULTILINE)
    template = json.loads(found[2])
    for plugin in template["plugins"]:
        plugin |= plugins[plugin.pop("remote")]
        plugin["out"] = str(folder / plugin["out"])
    buf = Path(sys.executable).parent / "buf"
    command = [buf, "generate", ROOT / "proto", "--path", ROOT / found[1].removeprefix("--path ")]
    subprocess.run([*command, "--template", json.dumps(template)], check=True, cwd=folder)


def test_the_go_part_compiles_and_runs(address, tmp_path):
    """With the stubs of its own command."""
    if not all(map(shutil.which, ("go", "protoc-gen-go", "protoc-gen-go-grpc"))) or not GO_SOURCES.is_dir():
        pytest.skip(f"no Go with gRPC here: apt-get install {GO_PACKAGES}")
    module = tmp_path / "src" / "example.com" / "you"
    module.mkdir(parents=True)
    block = _block("go")
    local = {"protocolbuffers": "protoc-gen-go", "grpc": "protoc-gen-go-grpc"}
    _generate(block, {f"buf.build/{owner}/go": {"local": name} for owner, name in local.items()}, module)
    # Debian's grpc-go is of before NewClient; all else is as it stands.
    changes = {
        "grpc.NewClient(": "grpc.Dial(",
        "grpc.WithTransportCredentials(insecure.NewCredentials())": "grpc.WithInsecure()",
        '\t"google.golang.org/grpc/credentials/insecure"\n': "",
        "localhost:50051": address,
    }
    for ours, theirs in changes.items():
        assert block.count(ours) == 1
        block = block.replace(ours, theirs)
    (module / "main.go").write_text(block)
    program = tmp_path / "one-row"
    sources = [str(tmp_path), *filter(None, os.environ.get("GOPATH", "").split(":")), str(GO_SOURCES)]
    environment = clean_environment(GO111MODULE="off", GOPATH=":".join(sources), GOFLAGS="")
    built = subprocess.run(
        ["go", "build", "-o", program, "./main.go"],
        cwd=module,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    protobuf = next(filter(Path.is_dir, (Path(each) / GO_PROTOBUF for each in sources)))
    if not (protobuf / "registry.go").exists():
        pytest.skip(f"it compiles; {protobuf} is of before 1.4 and reads no message of such stubs")
    assert re.fullmatch(r"1 next step: \[\S+ \S+ \S+\]\n", _run([str(program)], address))


def test_the_java_part_compiles_and_runs(address, tmp_path):
    """With the stubs of its own command; a row at another position is refused with the session's own."""
    if (
        not all(map(shutil.which, ("javac", "protoc", "grpc_java_plugin")))
        or not (JARS / "grpc-netty.jar").exists()
    ):
        pytest.skip(f"no Java with gRPC here: apt-get install {JAVA_PACKAGES}")
    block = _block("java").replace("localhost:50051", address)
    plugins = {"protocolbuffers": {"protoc_builtin": "java"}, "grpc": {"local": "grpc_java_plugin"}}
    _generate(block, {f"buf.build/{owner}/java": plugin for owner, plugin in plugins.items()}, tmp_path)
    classes = f"{JARS}/*:{tmp_path}"
    for position, expected in ((0, r"1 next step: \[\S+ \S+ \S+\]\n"), (7, "")):
        (tmp_path / "OneRow.java").write_text(block.replace("setPosition(0)", f"setPosition({position})"))
        command = [
            "javac",
            "-cp",
            classes,
            "-sourcepath",
            f"{tmp_path}/gen",
            "-d",
            tmp_path,
            tmp_path / "OneRow.java",
        ]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        done = subprocess.run(["java", "-cp", classes, "OneRow"], capture_output=True, text=True, timeout=60)
        assert re.fullmatch(expected, done.stdout), done.stderr
        assert ("go on from 1" in done.stderr) is (position == 7)


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
    named = set(re.findall(r"^\t+(\w+): ", block, re.MULTILINE)) | set(re.findall(r"\banswer\.(\w+)", block))
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
