"""docs/security.md: each line of its table names tests that there are."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")


def functions(path):
    """Names of a file's tests."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_threat_has_tests_that_there_are():
    """A test that is renamed or taken away is missed here."""
    section = PAGE.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row.split(" | ")[-1])
        assert named, row
        for path, function in named:
            assert not function or function in functions(path), f"{path}::{function}"


def test_every_setting_on_the_page_is_one():
    """A flag that is renamed is missed here."""
    from service.settings import Settings

    others = {"tls-ca", "token-file", "server", "tenant", "role", "only", "config"}
    flags = set(re.findall(r"--([a-z][a-z-]+)", PAGE)) - others
    assert {flag.replace("-", "_") for flag in flags} <= set(Settings.model_fields)
