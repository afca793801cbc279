"""Fits that may fail: a baseline less is no reason to publish nothing."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np

Found = TypeVar("Found")


def fitted(fit: Callable[[], Found]) -> Found | None:
    """What `fit` gives, without statsmodels' warnings; None where a series is such that it finds nothing."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return fit()
        except (ValueError, np.linalg.LinAlgError, IndexError, ZeroDivisionError):
            return None
