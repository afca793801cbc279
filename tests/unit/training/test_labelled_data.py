"""Files of labels, categories and texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.training.series_files import settings_for
from training.dataset import Dataset
from training.errors import DataError
from training.read import read
from training.segments import TrainingSegments, ValidationSegments
from training.settings import SettingsError


def _weather(path: Path, num: int = 40) -> Path:
    rows = [
        f"2024-01-01T{hour % 24:02d}:00,{'rain' if hour % 3 else 'dry'},{hour},{'sw' if hour % 2 else 'n'}"
        for hour in range(24)
    ]
    path.write_text("\n".join(["ds,sky,pressure,wind", *rows[:num]]))
    return path


def _read(path: Path, **options: Any) -> Dataset:
    return read(settings_for(path, **options))


def test_a_label_of_the_row_is_no_feature(tmp_path: Path) -> None:
    """The target leaves the features, its values are indices of its sorted labels; words are categories."""
    data = _weather(tmp_path / "d.csv")
    dataset = _read(data, target="sky", task="binary", categorical=["wind"], horizon=1)
    assert dataset.features == ("pressure", "wind")
    assert dataset.categories == ((), ("n", "sw"))
    assert dataset.labels == ("dry", "rain")
    (one,) = dataset.series
    assert one.target[:4].tolist() == [0, 1, 1, 0]
    assert one.values[:3].tolist() == [[0, 0], [1, 1], [2, 0]]


def test_labels_to_come_are_features_of_the_past(tmp_path: Path) -> None:
    """Those of rows that came are known, so the target stays the first feature, with its categories."""
    dataset = _read(
        _weather(tmp_path / "d.csv"), target="sky", task="next-symbol", categorical=["wind"], horizon=2
    )
    assert dataset.features == ("sky", "pressure", "wind")
    assert dataset.categories == (("dry", "rain"), (), ("n", "sw"))
    assert dataset.num_categories == (2, 0, 2)
    assert dataset.series[0].target is not None
    np.testing.assert_array_equal(dataset.series[0].target, dataset.series[0].values[:, 0])


def test_a_plain_text_is_one_series_of_characters(tmp_path: Path) -> None:
    """Its alphabet is the vocabulary and the labels; what follows from a text need not be given."""
    path = tmp_path / "t.txt"
    path.write_text("abracadabra, abracadabra")
    settings = settings_for(path)
    assert (settings.task, settings.head, settings.predicts) == ("next-symbol", "classes", "ahead")
    dataset = read(settings)
    assert dataset.labels == dataset.categories[0] == (" ", ",", "a", "b", "c", "d", "r")
    assert dataset.series[0].values[:4, 0].tolist() == [2, 3, 6, 2]


def _texts(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["text,kind", *rows]))
    return path


@pytest.mark.parametrize("loss_at", ["every-row", "end"])
def test_texts_with_labels_are_series_held_out_whole(loss_at: str, tmp_path: Path) -> None:
    """Each is learned or judged as a whole, and its label stands at every row or at its last."""
    rows = [f"{'ab' * (2 + n)},{'even' if n % 2 else 'odd'}" for n in range(10)]
    path = _texts(tmp_path / "d.csv", rows)
    dataset = _read(
        path, text_column="text", target="kind", loss_at=loss_at, validation_fraction=0.3, horizon=1
    )
    assert dataset.features == ("character",)
    assert [len(one.times) for one in dataset.series] == list(range(4, 24, 2))
    starts = [one.validation_start for one in dataset.series]
    assert sum(start == 0 for start in starts) == 3
    assert all(start in (0, len(one.times)) for start, one in zip(starts, dataset.series, strict=True))
    known = (~np.isnan(dataset.series[4].target)).nonzero()[0].tolist()
    assert known == (list(range(12)) if loss_at == "every-row" else [11])
    trained = TrainingSegments(
        dataset.series, horizon=1, batch_size=4, segment_length=8, seed=0, epoch=0, lead=0
    )
    held_out = ValidationSegments(dataset.series, horizon=1, batch_size=4, lead=0)
    num_trained = sum(int((~segment.targets.isnan()).sum()) for segment in trained)
    num_held_out = sum(int((~segment.targets.isnan()).sum()) for segment in held_out)
    lengths = [len(one.times) if loss_at == "every-row" else 1 for one in dataset.series]
    assert num_held_out == sum(length for length, start in zip(lengths, starts, strict=True) if not start)
    assert num_trained % sum(length for length, start in zip(lengths, starts, strict=True) if start) == 0


BAD_FILES: list[tuple[list[str], dict[str, Any], str]] = [
    (["ab,x", ",y"], {}, "row 3, column text: expected a text, found nothing"),
    (["ab,x", "ab,"], {}, "row 3, column kind: expected a label, found nothing"),
    (["ab,x", "ab,x"], {}, "column kind: expected at least two different values, found 1: 'x'"),
    (
        ["ab,x", "ab,y", "ab,z"],
        {"task": "binary"},
        "column kind: expected two different values, found 3: 'x', 'y', 'z'",
    ),
    (["ab,x", "ab,y"], {"text_column": "words"}, "expected a column 'words', found columns text, kind"),
]


@pytest.mark.parametrize(("rows", "options", "message"), BAD_FILES)
def test_a_bad_file_of_texts_is_named(
    rows: list[str], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """The error names the row and the column, what was expected and what was found."""
    path = _texts(tmp_path / "d.csv", rows)
    with pytest.raises(DataError, match=message):
        _read(path, **{"text_column": "text", "target": "kind", "horizon": 1} | options)


def test_a_series_with_two_labels_is_named(tmp_path: Path) -> None:
    """Where a series has one label, the error names the series that has another."""
    path = tmp_path / "d.csv"
    lines = [f"s{series},2024-01-01T0{hour}:00,{series % 2},1" for series in range(4) for hour in range(6)]
    lines[8] = lines[8].replace(",1,1", ",0,1")
    path.write_text("\n".join(["unique_id,ds,y,x", *lines]))
    with pytest.raises(DataError, match="series 's1', column y: expected one label, found '0', '1'"):
        _read(path, task="classification", predicts="series", horizon=1)


def test_labels_need_something_to_tell_them_by(tmp_path: Path) -> None:
    """A file of labels alone has no feature for the label of the row."""
    path = tmp_path / "d.csv"
    path.write_text("\n".join(["ds,y", *(f"2024-01-01T{hour:02d}:00,{hour % 2}" for hour in range(24))]))
    with pytest.raises(DataError, match="expected a column besides y, to tell its labels by, found none"):
        _read(path, task="binary", horizon=1)


def test_a_short_text_is_refused(tmp_path: Path) -> None:
    """The error says how many characters are needed."""
    path = tmp_path / "t.txt"
    path.write_text("ab")
    with pytest.raises(DataError, match=r"expected at least \d+ characters, found 2"):
        _read(path)


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"task": "ranking"}, "task: .*found 'ranking'"),
    ({"head": "classes"}, "head: expected for task regression, one of quantile, .*found 'classes'"),
    (
        {"task": "binary", "head": "gaussian"},
        "head: expected for task binary, one of binary, found 'gaussian'",
    ),
    ({"task": "binary", "horizon": 2}, "horizon: expected 1, as row is predicted, found 2"),
    ({"predicts": "series"}, "predicts: expected ahead for task regression, found 'series'"),
    ({"task": "next-symbol", "decoder": "roll-out"}, "decoder: expected direct or recurrent for task"),
    ({"decoder": "beam"}, "decoder: expected one of direct, recurrent, roll-out, found 'beam'"),
    ({"categorical": ["y"]}, "categorical: expected covariates, not the target, found 'y'"),
    ({"task": "binary", "required": ["y"], "horizon": 1}, "required: expected features only"),
    ({"data": Path("a.txt"), "task": "regression"}, "task: expected next-symbol for a plain text"),
    ({"text_column": "t", "predicts": "row", "horizon": 1}, "predicts: expected series, as each text"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_options_that_contradict_each_other_are_named(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """The error names the option, what was expected and what was found."""
    with pytest.raises(SettingsError, match=message):
        settings_for(**{"data": tmp_path / "d.csv"} | options)
