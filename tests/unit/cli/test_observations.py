"""Observations out of lines."""

import math
from datetime import UTC, datetime

import pytest

from cli.observations import DataError, read


def _read(text, features=("y",)):
    return list(read(text.splitlines(keepends=True), features, "default"))


def _values(text, features=("y",)):
    return [observation.values for observation in _read(text, features)]


def test_the_long_layout_is_read_by_name():
    """Columns may come in any order, with others between; a quoted comma is no separator."""
    text = 'ds,price,note,unique_id,y\n2024-05-01T14:00:00+02:00,3,"a, b",shop,5\n'
    (row,) = _read(text, ("y", "price"))
    assert (row.line, row.session_id, row.values) == (2, "shop", [5, 3])
    assert row.time == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_file_without_ids_is_one_session():
    """Rows without unique_id and ds have the session they were given and no time."""
    (row,) = _read("y\n5\n")
    assert (row.session_id, row.time) == ("default", None)


def test_bare_numbers_are_rows_of_a_single_feature():
    """A file without a header is read where it has one reading; blank lines are passed over."""
    assert _values("1\n\n2.5\n-3e2\n") == [[1], [2.5], [-300]]
    assert math.isnan(_values("nan\n")[0][0])
    with pytest.raises(DataError, match="line 1, header: expected columns y, price"):
        _read("1\n2\n", ("y", "price"))


def test_an_empty_cell_is_a_missing_value():
    """Missing values reach the model as NaN."""
    ((first, second),) = _values("y,price\n,3\n", ("y", "price"))
    assert math.isnan(first)
    assert second == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, header: expected columns y .*or bare numbers, found nothing"),
        ("x\n1\n", "line 1, header: expected columns y .*found no column 'y' in x"),
        ("y,y\n1,2\n", "line 1, header: expected each column once, found 'y' 2 times"),
        ("y\n1\nmany\n", "line 3, y: expected a number or an empty cell, found 'many'"),
        ("1\nmany\n", "line 2, value: expected a number or an empty cell, found 'many'"),
        ("ds,y\n01/05/2024,1\n", "line 2, ds: expected a date or time such as .*found '01/05/2024'"),
        ("ds,y\n,1\n", "line 2, ds: expected a date or time such as .*found ''"),
        ("unique_id,y\n,1\n", "line 2, unique_id: expected a name, found an empty cell"),
        ("ds,y\n2024-05-01\n", "line 2, row: expected 2 cells, found 1"),
        ('y\n"1\n', "line 2, row: expected comma-separated cells"),
    ],
)
def test_a_wrong_line_is_named(text, words):
    """The error says which line and column, what was expected and what was found."""
    with pytest.raises(DataError, match=words):
        _read(text)


def test_rows_come_as_their_lines_do():
    """Nothing is read ahead: a pipe's row is there before its next line."""
    taken = []

    def lines():
        for line in ("y\n", "1\n", "2\n"):
            taken.append(line)
            yield line

    rows = read(lines(), ("y",), "a")
    assert next(rows).values == [1]
    assert taken == ["y\n", "1\n"]


def test_a_category_is_read_by_its_name():
    """Of a feature with categories a cell is one of them, and becomes its index; another is refused."""
    indices = [{}, {"work": 0, "rest": 1}]
    text = "y,day\n1,rest\n2,\n"
    first, second = (row.values for row in read(text.splitlines(True), ("y", "day"), "a", indices))
    assert first == [1, 1]
    assert math.isnan(second[1])
    with pytest.raises(DataError, match=r"line 2, day: expected one of work, rest, .*found 'holiday'"):
        list(read(["y,day\n", "1,holiday\n"], ("y", "day"), "a", indices))


def test_bare_symbols_are_rows_of_a_single_feature():
    """A file without a header may hold one symbol a line."""
    assert [row.values for row in read(["b\n", "a\n"], ("symbol",), "s", [{"a": 0, "b": 1}])] == [[1], [0]]
