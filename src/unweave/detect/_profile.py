r"""The matrix profile: how far each stretch of a series is from its nearest match elsewhere."""

import importlib
import warnings

import numpy as np
from jaxtyping import Float, Num

from ._detector import Conditions, Detector, Score
from ._series import over_samples


def matrix_profile(length: int) -> Detector:
    r"""The z-normalised Euclidean distance of each stretch of `length` samples to the nearest
    stretch of any normal observation (an AB-join; Yeh et al. 2016, ICDM), the greatest of them for
    an observation, the mean of those that cover it for a sample, and over channels. By stumpy.

    Raises `ImportError` without stumpy, `ValueError` for observations that are no series of at
    least that length.
    """
    name = f"matrix profile ({length})"

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        stumpy = _stumpy()
        _check(normal, length)
        gap = np.full((len(normal), 1, normal.shape[-1]), np.nan)
        known = np.concatenate([normal.astype(np.float64), gap], axis=1)
        known = known.reshape(-1, normal.shape[-1])

        def distances(x: np.ndarray) -> np.ndarray:
            """`(n, stretch)`, NaN where nothing was observed."""
            _check(x, length)
            between = np.full((len(x), 1, x.shape[-1]), np.nan)
            joined = np.concatenate([x.astype(np.float64), between], axis=1)
            joined = joined.reshape(-1, x.shape[-1])
            found = [_join(stumpy, joined[:, c], known[:, c], length) for c in range(x.shape[-1])]
            profile = np.mean(found, axis=0)
            padded = np.r_[profile, np.full(length - 1, np.nan)]
            return padded.reshape(len(x), x.shape[1] + 1)[:, : x.shape[1] - length + 1]

        def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            return np.nan_to_num(distances(x), nan=0.0).max(1)

        def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            found = np.nan_to_num(distances(x), nan=0.0)
            begin = np.arange(found.shape[1])
            return np.stack([over_samples(row, begin, length, x.shape[1]) for row in found])

        return Score(name, of, within)

    return Detector(name, "distance", learn)


def self_profile(series: Num[np.ndarray, " time"], length: int) -> Float[np.ndarray, " stretch"]:
    """The distance of each stretch of one series to its nearest match that does not overlap it by
    more than three quarters: nothing has to be known to be normal, only rare.

    Raises `ImportError` without stumpy.
    """
    stumpy = _stumpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stumpy.stump(np.asarray(series, np.float64), m=length)
    return np.asarray(found[:, 0], np.float64)


def _join(stumpy, unknown: np.ndarray, known: np.ndarray, length: int) -> np.ndarray:
    with warnings.catch_warnings():
        # it warns of stretches without a match, which are those with gaps
        warnings.simplefilter("ignore")
        found = stumpy.stump(unknown, m=length, T_B=known, ignore_trivial=False)
    distances = np.asarray(found[:, 0], np.float64)
    return np.where(np.isfinite(distances), distances, np.nan)


def _stumpy():
    try:
        return importlib.import_module("stumpy")
    except ImportError:
        raise ImportError(
            "the matrix profile needs stumpy; get it by: pip install 'unweave[profile]'; or take "
            "neighbours(normalised=True), which is the same of whole observations."
        ) from None


def _check(x: np.ndarray, length: int) -> None:
    if x.ndim != 3 or not 3 <= length <= x.shape[1]:
        raise ValueError(
            f"a matrix profile of stretches of {length} samples was asked of observations of shape "
            f"{x.shape[1:]}; give series (time, channel) and 3 <= length <= samples."
        )
