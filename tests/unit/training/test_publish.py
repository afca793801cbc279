"""The repository a model is published to."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from training import publish as publish_module
from training.publish import publish


def _files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_versions_count_up(tmp_path: Path) -> None:
    """Each file is the next version, and the ones before stay as they are."""
    assert publish(b"one", tmp_path / "r", "m") == (1, tmp_path / "r/m/1/model.onnx")
    assert publish(b"two", tmp_path / "r", "m")[0] == 2
    assert (tmp_path / "r/m/1/model.onnx").read_bytes() == b"one"
    assert _files(tmp_path / "r") == ["m/1/model.onnx", "m/2/model.onnx"]


def test_next_version_is_above_the_highest(tmp_path: Path) -> None:
    """Numbers are compared as numbers, gaps are not filled, and other names do not count."""
    for name in ("2", "10", "notes", ".unfinished-1"):
        (tmp_path / "m" / name).mkdir(parents=True)
    assert publish(b"x", tmp_path, "m")[0] == 11


def test_rivals_get_a_version_each(tmp_path: Path) -> None:
    """Two that publish at once never overwrite one another."""
    contents = [str(number).encode() for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        versions = list(pool.map(lambda content: publish(content, tmp_path, "m")[0], contents))
    assert sorted(versions) == list(range(1, 13))
    for content, version in zip(contents, versions, strict=True):
        assert (tmp_path / "m" / str(version) / "model.onnx").read_bytes() == content


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves no version and no half file."""

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish_module, "_write_durably", full)
    with pytest.raises(OSError, match="No space"):
        publish(b"model", tmp_path, "m")
    assert list((tmp_path / "m").iterdir()) == []
