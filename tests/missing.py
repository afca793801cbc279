"""What a test needs and this machine lacks: continuous integration fails, elsewhere the test is skipped."""

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """End the test: `reason` says what is not here, and where it comes from if that is known."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
