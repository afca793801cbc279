"""The example of the client's README."""

import re
from pathlib import Path

from tests.fake_server import FakeServer

README = Path(__file__).parents[3] / "client" / "README.md"


def test_the_example_runs(capsys):
    """As it stands there, but for the address."""
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    server = FakeServer()
    try:
        exec(example.replace("localhost:50051", server.target), {})
    finally:
        server.stop()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["4", "meter-18", "meter-19", "100"]
