"""What every committed file must hold to."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A pattern that does not match its own spelling here.
REGISTRY_ADDRESS = re.compile(
    r"https?://[\w.:@-]*\b(pypi|pythonhosted|registry|mirrors?|artifactory|nexus|npmjs|devpi|ftp)\b|"
    r"https?://[^\s\"'<>]*/simple\b|file:///\w",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(r"(?<![\w.:~$})])/(?:home|root|Users|work|opt|mnt|workspace)/[\w.-]+")
EXACT_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.]*")


def committed_texts() -> list[Path]:
    """Text files that git has or would take, but for the generated and the licence."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def violations(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """`file:line: match` for each match of `pattern`."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in pattern.finditer(line)
    ]


@pytest.fixture(scope="module")
def texts() -> list[Path]:
    """The files, where this is a git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return committed_texts()


def test_no_file_names_a_registry(texts: list[Path]) -> None:
    """Where packages come from is each machine's own setting."""
    assert violations(REGISTRY_ADDRESS, texts) == []


def test_no_file_names_a_path_of_one_machine(texts: list[Path]) -> None:
    """What is committed works in any folder of any machine."""
    assert violations(MACHINE_PATH, texts) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY_ADDRESS, "index-url = https:" + "//pypi.example/simple"),
        (REGISTRY_ADDRESS, "see https:" + "//registry.example.org/name"),
        (REGISTRY_ADDRESS, "find-links = file://" + "/wheels"),
        (MACHINE_PATH, "data is in /home/" + "someone/data"),
        (MACHINE_PATH, "--volume=/opt/" + "wheels:/wheels"),
    ],
)
def test_the_patterns_see_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    """An address or a path of the kind that is refused is found."""
    assert pattern.search(text)


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-torch.txt"])
def test_constraints_are_exact(name: str) -> None:
    """Each line of a constraints file is one package at one version."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not EXACT_PIN.fullmatch(line)] == []


def test_torch_is_pinned_apart() -> None:
    """constraints.txt leaves PyTorch alone, whose build each machine chooses."""
    names = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert "torch" not in names
    assert not [name for name in names if name.startswith(("nvidia", "triton", "cuda"))]


def test_ci_decides_nothing_itself() -> None:
    """.ci/run calls make test and nothing else."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]
