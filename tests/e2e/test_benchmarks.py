"""The benchmark works: rows are measured, held against references, and reported. No timing is judged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.envoy import configuration
from benchmarks.page_frames import CHROMIUM
from tests.missing import missing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a quick run of two rows printed, and the folder it wrote to."""
    output = tmp_path_factory.mktemp("results")
    rows = ["--only", "frames", "--only", "streams-32"]
    command = [sys.executable, "-m", "benchmarks", "--quick", *rows, "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, output


def test_rows_are_measured_against_references(run: tuple[str, Path]) -> None:
    """Each row that was asked for has its figure, its reference's, their ratio and spread, and a verdict."""
    report = json.loads((run[1] / "benchmark.json").read_text("utf-8"))
    assert [row["name"] for row in report["rows"]] == ["frames", "streams-32"]
    for row in report["rows"]:
        assert row["ours"] > 0
        assert row["reference_value"] > 0
        assert 0 < row["lowest"] <= row["ratio"] <= row["highest"]
        assert row["verdict"] in ("met", "missed")
    assert report["quick"]
    assert report["partial"]


def test_the_report_names_the_machine_and_the_rows(run: tuple[str, Path]) -> None:
    """The table says what was measured, where, and that a quick run means little."""
    printed, output = run
    assert "frames of 256 sessions" in printed
    assert "CPU: " in printed
    assert "core" in printed
    assert "quick run" in printed
    assert (output / "benchmark.png").stat().st_size > 1000


def test_the_page_is_measured_in_a_real_browser(tmp_path: Path) -> None:
    """Frames with rows coming and without, how many were drawn, and how many of the rows were shown."""
    if not Path(CHROMIUM).exists():
        missing(f"no {CHROMIUM}: Debian's package chromium has it")
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--only",
        "page-drawing",
        "--output",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))["rows"]
    assert row["ours"] > 0
    assert row["reference_value"] > 0
    assert row["verdict"] in ("met", "missed")
    assert row["notes"]["drawings_per_s"] > 0
    assert row["notes"]["longest_gap_ms"] > 0
    assert 0 < row["notes"]["share_of_rows_shown"] <= 1


def test_envoy_is_measured_as_it_is_shipped() -> None:
    """With other addresses in the places that `deploy/envoy.yaml` has, and nothing else changed."""
    made = configuration(4000, ["127.0.0.1:4001", "127.0.0.1:4002"])
    shipped = (ROOT / "deploy" / "envoy.yaml").read_text("utf-8")
    for ours, theirs in (("4000", "50050"), ("4001", "50051"), ("4002", "50052")):
        made = made.replace(f"port_value: {ours}", f"port_value: {theirs}")
    assert made == shipped
    assert configuration(4000, ["127.0.0.1:4001"]).count("endpoint: {") == 1
