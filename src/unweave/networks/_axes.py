r"""The leading principal axes of some data, by maximum likelihood, with or without gaps."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

# Expectation maximisation stops when the noise variance changes by less than this part
_TOLERANCE = 1e-6
_MOST_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Axes:
    r"""Probabilistic PCA in float64: `mean` `(size,)`; `basis` `(size, axis)`, orthonormal and
    the strongest first; `strengths` `(axis,)`, the lengths of the loadings; and the
    `noise_variance` $\sigma^2$."""

    mean: np.ndarray
    basis: np.ndarray
    strengths: np.ndarray
    noise_variance: float

    @property
    def loadings(self) -> np.ndarray:
        """$W$ `(size, axis)`."""
        return self.basis * self.strengths


def principal_axes(rows: np.ndarray, count: int) -> Axes:
    r"""Maximum-likelihood probabilistic PCA (Tipping and Bishop 1999, equations 7 and 8).

    $W = U_q (\Lambda_q - \sigma^2 I)^{1/2}$, where $\sigma^2$ is the mean of the eigenvalues
    that are left out. Where entries are missing the same likelihood, of the observed entries,
    is maximised by expectation maximisation (Roweis 1998). In each column of $W$
    the largest loading is positive.

    **Arguments:** `rows` `(n, size)`, NaN = not observed; `count`, how many axes.

    **Raises:** `ValueError` if there are not more rows and entries than axes, or if some entry
    is observed in no row.
    """
    n, size = rows.shape
    if not 1 <= count < min(n, size):
        raise ValueError(
            f"{count} principal axes were asked for, and {n} observations of {size} numbers "
            f"have from 1 to {min(n, size) - 1}; ask for fewer or give more data."
        )
    observed = ~np.isnan(rows)
    never = np.flatnonzero(~observed.any(axis=0))
    if len(never):
        raise ValueError(
            f"{len(never)} of the {size} entries of an observation are never observed, the "
            f"first at position {never[0]}; leave them out."
        )
    if observed.all():
        return _closed_form(rows, count)
    filled = np.where(observed, rows, np.nanmean(np.where(observed, rows, np.nan), axis=0))
    return _expectation_maximisation(rows, observed, _closed_form(filled, count))


def fill_gaps(rows: np.ndarray, axes: Axes) -> np.ndarray:
    """`rows` `(n, size)` with what the axes expect wherever nothing was observed."""
    missing = np.isnan(rows)
    if not missing.any():
        return rows
    weights = np.column_stack([axes.loadings, axes.mean])
    latent, _ = _expected_latents(
        np.where(missing, 0.0, rows), (~missing).astype(float), weights, axes.noise_variance
    )
    return np.where(missing, latent @ weights.T, rows)


def _closed_form(rows: np.ndarray, count: int) -> Axes:
    n, size = rows.shape
    mean = rows.mean(axis=0)
    centred = rows - mean
    # the covariance and the Gram matrix share their eigenvalues: take the smaller of the two
    tall = n >= size
    square = (centred.T @ centred if tall else centred @ centred.T) / n
    last = len(square) - 1
    values, vectors = scipy.linalg.eigh(square, subset_by_index=[last - count + 1, last])
    values, vectors = values[::-1], vectors[:, ::-1]
    if not tall:
        # orthonormal even where an eigenvalue is zero, and equal to the division where not
        vectors = np.linalg.qr(centred.T @ vectors)[0]
    total = np.trace(square)
    noise = _floor((total - values.sum()) / (size - count), total / size)
    return Axes(mean, _with_signs(vectors), np.sqrt(np.maximum(values - noise, 0)), noise)


def _expectation_maximisation(rows: np.ndarray, observed: np.ndarray, start: Axes) -> Axes:
    """Maximises the likelihood of the observed entries, from `start`."""
    size, count = start.loadings.shape
    seen = observed.astype(float)
    values = np.where(observed, rows, 0.0)
    power = (values**2).sum() / seen.sum()
    # the mean is one more column, that of a latent which is always 1
    weights = np.column_stack([start.loadings, start.mean])
    noise = start.noise_variance
    for _ in range(_MOST_ITERATIONS):
        mean, second = _expected_latents(values, seen, weights, noise)
        moments = (seen.T @ second.reshape(len(rows), -1)).reshape(size, count + 1, count + 1)
        cross = values.T @ mean
        # an entry seen fewer times than there are axes has a singular system: the least change
        ridge = 1e-9 * noise * np.eye(count + 1)
        weights = np.linalg.solve(moments + ridge, cross[..., None])[..., 0]
        before = noise
        quadratic = np.einsum("sj,sjk,sk->", weights, moments, weights)
        left = (values**2).sum() - 2 * (weights * cross).sum() + quadratic
        noise = _floor(left / seen.sum(), power)
        if abs(noise - before) < _TOLERANCE * before:
            break
    # any rotation of the latents is as likely: take the one that makes the columns orthogonal
    basis, strengths, _ = np.linalg.svd(weights[:, :-1], full_matrices=False)
    return Axes(weights[:, -1], _with_signs(basis), strengths, noise)


def _expected_latents(
    values: np.ndarray, seen: np.ndarray, weights: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """First and second moments of the latents and of the constant 1, given each row."""
    loadings, offset = weights[:, :-1], weights[:, -1]
    size, count = loadings.shape
    outer = (loadings[:, :, None] * loadings[:, None, :]).reshape(size, -1)
    precision = (seen @ outer).reshape(-1, count, count) + noise * np.eye(count)
    covariance = noise * np.linalg.inv(precision)
    residual = values - seen * offset
    latent = np.linalg.solve(precision, (residual @ loadings)[..., None])[..., 0]
    mean = np.column_stack([latent, np.ones(len(values))])
    second = mean[:, :, None] * mean[:, None, :]
    second[:, :-1, :-1] += covariance
    return mean, second


def _floor(noise: float, power: float) -> float:
    """Keeps the noise variance positive where the data lie in the axes exactly."""
    return float(max(noise, 1e-8 * power, np.finfo(np.float32).tiny))


def _with_signs(basis: np.ndarray) -> np.ndarray:
    largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=0)[None, :], axis=0)
    return basis * np.where(largest < 0, -1.0, 1.0)
