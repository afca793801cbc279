"""The comparison of cells and the measurement of options: what they measure and what they write."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.cells.__main__ import main
from benchmarks.cells.endless import Endless, endless
from benchmarks.cells.fitted import Fitted
from benchmarks.cells.page import write_page
from benchmarks.learning import replaced
from models.artifact import FORECAST, digest, seal
from models.cells import CELLS
from tests import model_files
from tests.unit.training.series_files import wave


def _fitted(content: bytes, manifest: Any) -> Fitted:
    return Fitted("lstm", "waves", content, manifest, {}, 0, 0.0, 0.0)


def _worn(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same, its forecasts a thousandth higher for each row that its state has seen."""
    (last,) = [node for node in model.graph.node if FORECAST in node.output]
    last.output[list(last.output).index(FORECAST)] = "worn/sound"
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.array(value, dtype), name)
            for name, value, dtype in (
                ("worn/from", [0], np.int64),
                ("worn/to", [1], np.int64),
                ("worn/along", [2], np.int64),
                ("worn/behind", [3], np.int64),
                ("worn/a_row", 1e-3, np.float32),
            )
        ]
    )
    make = onnx.helper.make_node
    model.graph.node.extend(
        [
            make("Slice", ["scale_values", "worn/from", "worn/to", "worn/along"], ["worn/num_seen"]),
            make("Cast", ["worn/num_seen"], ["worn/seen_float"], to=onnx.TensorProto.FLOAT),
            make("Unsqueeze", ["worn/seen_float", "worn/behind"], ["worn/seen_wide"]),
            make("Mul", ["worn/seen_wide", "worn/a_row"], ["worn/wear"]),
            make("Add", ["worn/sound", "worn/wear"], [FORECAST]),
        ]
    )
    return model


def test_an_error_that_grows_is_found() -> None:
    """A file that wears with the rows of a stream is said to go bad, and from where; a sound one is not."""
    content, manifest = model_files.sealed("m", "lstm", features=("y",))
    target = wave(120)
    sound = endless(_fitted(content, manifest), target, late=6_000)
    assert sound.ratio == pytest.approx(1, abs=0.02)
    assert sound.first_above == 0
    worn_graph = _worn(onnx.load_model_from_string(content))
    worn = seal(worn_graph, manifest.model_copy(update={"digest": digest(worn_graph)}))
    bad = endless(_fitted(worn, manifest), target, late=6_000)
    assert not bad.ratio <= 1.1
    assert bad.first_above >= 960


def test_one_command_measures_and_notes(tmp_path: Path) -> None:
    """A quick run of one cell trains on both series, streams, and writes its figures, but no page."""
    main(only=["gru"], quick=True, output=tmp_path, docs=tmp_path)
    made = json.loads((tmp_path / "cells.json").read_text())
    assert [(one["cell"], one["series"]) for one in made["fits"]] == [("gru", "co2"), ("gru", "sunspots")]
    for one in made["fits"]:
        assert one["scores"]["mase"] > 0
        assert one["num_parameters"] > 3_000
        assert one["steps_per_s"] > 0
    assert made["streams"][0]["ratio"] == pytest.approx(1, abs=0.2)
    assert not (tmp_path / "cells.md").exists()


def test_the_page_has_every_cell_and_says_which_goes_bad(tmp_path: Path) -> None:
    """A line in each table for each cell; a ratio above 1.1 is named with the row from which."""
    scores = {"mase": 1.0, "weighted_quantile_loss": 0.1, "coverage": 0.8, "drift_mase": 2.5}
    fits = [
        {
            "cell": cell,
            "series": series,
            "scores": scores,
            "num_parameters": 1_000,
            "training_s": 2.0,
            "steps_per_s": 3e4,
        }
        for cell in CELLS
        for series in ("co2", "sunspots")
    ]
    sound = Endless("gru", 1.0, 1.02, 0)
    streams = [sound, replace(sound, cell="elman", late=3.0, first_above=7_416)]
    made = {
        "made_at": "now",
        "took_s": 1,
        "machine": {"cores": "2"},
        "epochs": 1,
        "series": {"co2": "weekly CO2", "sunspots": "yearly sunspots"},
        "fits": fits,
        "streams": [{**vars(one), "ratio": one.ratio} for one in streams],
    }
    write_page(made, tmp_path / "cells.md")
    page = (tmp_path / "cells.md").read_text()
    for cell in CELLS:
        assert page.count(f"| `{cell}` |") >= 3
    assert "| drift | 2.500 | 2.500 |" in page
    assert "`elman` (from row 7,416)" in page


def test_a_table_is_put_between_its_marks() -> None:
    """What stood between them goes, all else stays; a page without marks is refused."""
    marks = "<!-- measured: make learning -->", "<!-- /measured -->"
    page = f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n"
    expected = f"before\n{marks[0]}\n\nnewer\n\n{marks[1]}\nafter\n"
    assert replaced(replaced(page, "new"), "newer") == expected
    with pytest.raises(ValueError, match="one pair of marks"):
        replaced("nothing", "new")
    docs = Path(__file__).parents[2] / "docs" / "training.md"
    assert "a new table" in replaced(docs.read_text("utf-8"), "a new table")
