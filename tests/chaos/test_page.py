"""The figures of `make chaos` in the documentation."""

import pytest

from tests.chaos.page import write

PAGE = "# What survives\n\n## Figures\n\nstale\n"


def test_the_figures_replace_the_old_ones(tmp_path):
    """A row for each measure; what stands above the heading stays."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    write({"kill -9": {"rows": 40847, "rows_lost": 0, "told": True}}, page)
    written = page.read_text()
    assert written.startswith("# What survives\n\n## Figures\n")
    assert "| kill -9 | rows 40,847, rows lost 0, told yes |" in written
    assert "stale" not in written


def test_a_page_without_the_heading_is_left_alone(tmp_path):
    """It is another page, or was changed."""
    page = tmp_path / "page.md"
    page.write_text("# Something else\n")
    with pytest.raises(ValueError, match="## Figures"):
        write({}, page)
    assert page.read_text() == "# Something else\n"
