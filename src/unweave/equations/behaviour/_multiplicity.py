"""How many times over a root is one, and where exactly a multiple root lies."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array

from ._scan import Sampler, Scan, sampler

_HALVINGS = 8
_HIGHEST = 6


def beside(seen: Scan, x: np.ndarray) -> np.ndarray:
    """The larger size of the function a hundredth of the interval to either side of `x`."""
    width = 0.01 * (seen.x[-1] - seen.x[0])
    finite = np.isfinite(seen.value)
    if not finite.any():
        return np.zeros_like(x)
    at, size = seen.x[finite], np.abs(seen.value[finite])
    return np.maximum(np.interp(x - width, at, size), np.interp(x + width, at, size))


def noise_at(sample: Sampler, x: np.ndarray) -> np.ndarray:
    """How much the values at `x` `(n,)` scatter by rounding: their spread over 64 neighbours."""
    ulp = np.spacing(np.maximum(np.abs(x), np.finfo(float).tiny))
    around = x[:, None] + np.arange(-32, 33) * ulp[:, None]
    values = sample(around.reshape(-1))[0].reshape(around.shape)
    return np.ptp(values, axis=1) if len(x) else x


def order_at(sample: Sampler, x: np.ndarray, reach: np.ndarray) -> np.ndarray:
    r"""The whole number m with $|f(x \pm h)| \sim h^m$, from the smallest h above the noise."""
    h = reach[:, None] * 0.5 ** np.arange(_HALVINGS)
    around = np.stack([x[:, None] - h, x[:, None] + h])
    values = np.abs(sample(around.reshape(-1))[0].reshape(around.shape))
    size = np.where(np.isfinite(values), values, 0.0).sum(axis=0)
    heard = size[:, 1:] > 1e4 * noise_at(sample, x)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log2(size[:, :-1] / size[:, 1:])
    last = np.where(heard, np.arange(_HALVINGS - 1), 0).max(axis=1)
    order = growth[np.arange(len(x)), last]
    return np.maximum(np.rint(np.where(np.isfinite(order), order, 1.0)), 1).astype(int)


def sharpen(
    function: Callable[[Array], Array], x: np.ndarray, orders: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """Roots of three and more times over, put where the derivative one order lower is 0.

    There rounding blurs the function itself over a wide stretch, while that derivative crosses
    zero steeply. One that would leave its surroundings stays where it was.
    """
    x = x.copy()
    for order in sorted({int(m) for m in orders if 3 <= m <= _HIGHEST}):
        derivative = function
        for _ in range(order - 1):
            derivative = jax.grad(derivative)
        sample = sampler(derivative)
        mine = np.flatnonzero(orders == order)
        new = x[mine]
        for _ in range(12):
            value, slope = sample(new)
            with np.errstate(divide="ignore", invalid="ignore"):
                new = new - np.where(value == 0, 0.0, value / slope)
        stays = ~(np.abs(new - x[mine]) < 0.1 * reach[mine])
        x[mine] = np.where(stays, x[mine], new)
    return x
