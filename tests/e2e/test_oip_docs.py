"""What README and guide show of Triton's client, run as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from models.artifact import unseal
from tests.model_files import write_model
from tests.reference import assert_close, reference_forecasts
from tests.server_process import serving
from tests.triton import run

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "README.md": ("py", [316.1]),
    "docs/open-inference-protocol.md": ("python", [316.1, 317.3, 317.6]),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The model that they name."""
    path = tmp_path_factory.mktemp("repository")
    write_model(path, "co2", "gru", features=("y",))
    return path


@pytest.mark.parametrize("file", EXAMPLES)
def test_the_example_prints_the_forecasts_of_its_rows(repository, file):
    """Unchanged but for the address, and again: the start begins the sequence anew."""
    language, values = EXAMPLES[file]
    (example,) = re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / file).read_text(), re.DOTALL | re.MULTILINE
    )
    assert "localhost:50051" in example
    content = (repository / "co2" / "1" / "model.onnx").read_bytes()
    expected = reference_forecasts(content, unseal(content)[1], np.array(values)[:, None])[:, 0]
    with serving(repository) as server:
        for _ in range(2):
            printed = run(example.replace("localhost:50051", server.address)).splitlines()
            forecasts = [[float(n) for n in line.partition("[")[2].rstrip("]").split()] for line in printed]
            assert_close(forecasts, expected)
