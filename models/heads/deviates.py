"""Constants that scipy computes and a graph then holds: quantiles of unit distributions, fixed draws."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import qmc, t

Floats = npt.NDArray[np.float64]


def normal_deviates(levels: Floats) -> Floats:
    """z at each level, of any shape."""
    return np.asarray(ndtri(levels), np.float64)


def student_deviates(levels: Floats, degrees_of_freedom: float) -> Floats:
    """t at each level, of any shape."""
    return np.asarray(t.ppf(levels, degrees_of_freedom), np.float64)


def sobol_draws(num: int, num_dimensions: int, seed: int) -> Floats:
    """(num, num_dimensions) in the open unit interval: a scrambled Sobol sequence (Owen 1998)."""
    # Balanced for a power of two: the first `num` of the next one.
    points = qmc.Sobol(num_dimensions, scramble=True, rng=seed).random_base2(max(num - 1, 1).bit_length())
    least = 1 / (4 * num)
    return np.clip(np.asarray(points[:num], np.float64), least, 1 - least)
