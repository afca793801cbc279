"""One run in several processes, as torchrun starts them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.unit.training.series_files import write_csv
from training import processes, shared_lanes
from training.segments import Segment
from training.shared_lanes import OwnLanes

OPTIONS = [
    "--freq",
    "h",
    "--horizon",
    "3",
    "--hidden-size",
    "8",
    "--max-epochs",
    "3",
    "--batch-size",
    "4",
    "--segment-length",
    "16",
]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=170)


def _losses(directory: Path) -> list[float]:
    """Training and validation losses, epoch by epoch."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = directory.rglob("events.out.*")
    found = EventAccumulator(str(events.parent)).Reload()
    return [scalar.value for name in ("train_loss", "val_loss") for scalar in found.Scalars(name)]


def test_two_processes_learn_as_one_does(tmp_path: Path) -> None:
    """torchrun's two processes have the loss curve of one, and publish one version."""
    data = write_csv(tmp_path / "data.csv", num_rows=120, num_series=3)
    curves = []
    for devices in ("1", "2"):
        logs = tmp_path / f"logs-{devices}"
        arguments = ["--data", str(data), "--output", str(tmp_path / "repository" / f"of{devices}"), *OPTIONS]
        arguments += ["--baselines", "quick", "--logger", "tensorboard", "--log-dir", str(logs)]
        done = _run("-m", "cli", "train", *arguments, "--devices", devices)
        assert done.returncode == 0, done.stderr
        curves.append(_losses(logs))
        assert [path.name for path in (tmp_path / "repository" / f"of{devices}").iterdir()] == ["1"]
        assert done.stdout.count("serve it:") == 1
    assert len(curves[0]) == 6
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)


def test_a_process_that_fails_ends_all(tmp_path: Path) -> None:
    """torchrun ends the others, however long they would train, and says whose fault it was."""
    data = write_csv(tmp_path / "data.csv", num_rows=120)
    done = _run(*TORCHRUN, "-m", "tests.unit.training.rank_that_fails", str(data))
    assert done.returncode != 0
    assert "rank 1 is out of order" in done.stderr


@pytest.mark.parametrize("num_lanes", [4, 5, 1])
def test_lanes_are_shared_out(num_lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lane is in one process alone, in each segment in the same one; all have as many lanes."""
    lanes = torch.arange(num_lanes, dtype=torch.float64)
    segment = Segment(
        lanes[:, None, None].expand(-1, 5, 1),
        lanes[:, None, None].expand(-1, 5, 2),
        torch.zeros(num_lanes, dtype=torch.bool),
    )
    monkeypatch.setattr(shared_lanes, "num_processes", lambda: 3)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(shared_lanes, "rank", lambda rank=rank: rank)
        (part,) = OwnLanes([segment])
        parts.append(part)
    assert len({len(part.fresh) for part in parts}) == 1
    kept = torch.cat([part.targets[:, 0, 0] for part in parts])
    assert sorted(kept[~kept.isnan()].tolist()) == lanes.tolist()
    idle = torch.cat([part.fresh for part in parts])
    assert torch.equal(idle, kept.isnan())


def test_without_torchrun_there_is_one_process() -> None:
    """No environment variable of another tool's makes a run wait for others."""
    assert (processes.rank(), processes.num_processes(), processes.num_here()) == (0, 1, 1)
