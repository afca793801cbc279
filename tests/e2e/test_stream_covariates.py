"""`statecast stream` with a file of covariates: what each row tells the graph of the steps after it."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.echo_model import MISSING, write_echo
from tests.server_process import clean_environment, serving

HOUR = int(np.datetime64("2024-05-01T00", "h").astype(np.int64))
KIEL = 1.0
_names = (f"s{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("repository")
    write_echo(path)
    with serving(path) as running:
        yield running


def _stream(server, data, *arguments, given=None):
    command = [sys.executable, "-m", "cli", "stream", "--server", server.address, "--data", data, "--json"]
    return subprocess.run(
        [*map(str, command), *arguments],
        input=given, capture_output=True, timeout=60, encoding="utf-8", env=clean_environment(),
    )  # fmt: skip


def _told(done):
    """Of each line its session and what the graph saw: y, promo, shop, promo ahead, hour, rows, timeless."""
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        (line["session"], np.array(list(line["quantiles"].values())).T.ravel().tolist()) for line in lines
    ]


@pytest.fixture
def file(tmp_path):
    """Write a file of such lines under a fresh name, and give its path."""

    def write(*lines):
        path = tmp_path / f"{next(_names)}.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_each_row_brings_what_later_rows_know(server, file):
    """Two series in turn; rows after the last target are the steps past the end, and no rows themselves."""
    one, two = next(_names), next(_names)
    path = file(
        "ds,unique_id,promo,y,shop",
        f"2024-05-01T00:00,{one},10,1,Kiel",
        f"2024-05-01T00:00,{two},20,5,Ulm",
        f"2024-05-01T01:00,{one},11,2,Kiel",
        f"2024-05-01T01:00,{two},21,,Ulm",
        f"2024-05-01T02:00,{one},12,,Kiel",
        f"2024-05-01T02:00,{two},22,7,Ulm",
        f"2024-05-01T03:00,{one},13,,Kiel",
        f"2024-05-01T04:00,{one},14,,Kiel",
    )
    assert _told(_stream(server, path)) == [
        (one, [1, 10, KIEL, 11, 12, 13, HOUR, 1, 0]),
        (two, [5, 20, 0, 21, 22, MISSING, HOUR, 1, 0]),
        (one, [2, 11, KIEL, 12, 13, 14, HOUR + 1, 2, 0]),
        (two, [MISSING, 21, 0, 22, MISSING, MISSING, HOUR + 1, 2, 0]),
        (two, [7, 22, 0, MISSING, MISSING, MISSING, HOUR + 2, 3, 0]),
    ]


def test_steps_are_counted_by_the_times(server, file):
    """A gap and an empty cell leave steps unknown; a row that comes late tells no other row anything."""
    path = file(
        "ds,y,promo,shop",
        "2024-05-01T00:00,1,10,Kiel",
        "2024-05-01T02:00,2,12,Kiel",
        "2024-05-01T01:00,9,99,Kiel",
        "2024-05-01T03:00,,,Kiel",
        "2024-05-01T04:00,,14,Kiel",
    )
    done = _stream(server, path)
    assert "1 rows were at or before the last time of their session" in done.stderr
    told = [list(json.loads(line)["quantiles"].values()) for line in done.stdout.splitlines()]
    ahead = [np.array(one).T.ravel().tolist()[3:6] for one in told]
    assert ahead[:2] == [[MISSING, 12, MISSING], [MISSING, 14, MISSING]]
    assert len(ahead) == 3


def test_without_times_each_row_is_a_step(server, file):
    """The next three rows, in order."""
    path = file("y,promo,shop", "1,10,Kiel", "2,11,Kiel", ",12,Kiel")
    assert [told[:6] for _, told in _told(_stream(server, path))] == [
        [1, 10, KIEL, 11, 12, MISSING],
        [2, 11, KIEL, 12, MISSING, MISSING],
    ]


def test_the_last_forecast_is_of_the_last_observed_row(server, file):
    """With `--reply last` too, rows that only say what is known ahead are not sent."""
    path = file("y,promo,shop", "1,10,Kiel", "2,11,Kiel", ",12,Kiel", ",13,Kiel")
    (only,) = _told(_stream(server, path, "--reply", "last"))
    assert only[1] == [2, 11, KIEL, 12, 13, MISSING, MISSING, 2, 2]


def test_a_static_value_stands_in_every_row(server, file):
    """One cell of the series is enough, as it is in training."""
    path = file("y,promo,shop", "1,10,", "2,11,Kiel", "3,12,")
    assert [told[2] for _, told in _told(_stream(server, path))] == [KIEL] * 3


def test_two_static_values_are_refused(server, file):
    """The line, both values, and where the first one stands."""
    path = file("y,promo,shop", "1,10,Kiel", "2,11,", "3,12,Ulm")
    done = _stream(server, path)
    assert (done.returncode, done.stdout) == (2, "")
    found = "line 4, shop: expected 'Kiel', as in line 2: the column is static, found 'Ulm'"
    assert done.stderr == f"statecast stream: {path}, {found}\n"


def test_a_pipe_knows_nothing_ahead(server):
    """Its rows are answered as they come; nothing is known of the steps after them."""
    session = ("--session", next(_names))
    told = _told(_stream(server, "-", *session, given="y,promo,shop\n1,10,Kiel\n2,11,Kiel\n"))
    assert [row[:6] for _, row in told] == [[y, y + 9, KIEL, *[MISSING] * 3] for y in (1, 2)]
