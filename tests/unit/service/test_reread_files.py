"""Files that are read again when they change."""

import pytest

from service.errors import InvalidSettings
from service.reread_files import RereadFiles


@pytest.fixture
def paths(tmp_path):
    """Two, with a number each."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("1")
    return [tmp_path / "one", tmp_path / "two"]


def _sum_of(paths):
    def _sum():
        try:
            return sum(int(path.read_text()) for path in paths)
        except (OSError, ValueError) as error:
            raise InvalidSettings(f"wrong: {error}") from error

    return RereadFiles("numbers", paths, _sum)


def test_a_change_of_either_is_seen_once(paths):
    """What they say together is another then, and only then."""
    files = _sum_of(paths)
    assert (files.content, files.have_changed()) == (2, False)
    paths[1].write_text("40")
    assert (files.have_changed(), files.content) == (True, 41)
    assert not files.have_changed()


def test_what_cannot_be_used_changes_nothing_and_is_said_once(paths, capsys):
    """A file that is wrong, or away, leaves what they said; when it is right again it counts."""
    files = _sum_of(paths)
    for break_it in (lambda: paths[0].write_text("no number"), paths[0].unlink):
        break_it()
        assert [files.have_changed() for _ in range(3)] == [False] * 3
        assert files.content == 2
        assert "".join(capsys.readouterr()).count("numbers kept as before") == 1
    paths[0].write_text("7")
    assert (files.have_changed(), files.content) == (True, 8)


def test_wrong_from_the_start_is_an_error(paths):
    """There is nothing to go on with."""
    paths[0].unlink()
    with pytest.raises(InvalidSettings, match="No such file"):
        _sum_of(paths)
