r"""Courses of two competing species, each with causes of its own that are known.

$$\dot x_1 = r_1 x_1 (1 - x_1 / N_1) - a_1 x_1 x_2, \qquad
\dot x_2 = r_2 x_2 (1 - x_2 / N_2) - a_2 x_1 x_2$$

V. Volterra, "Fluctuations in the abundance of a species considered mathematically", Nature
118:558-560, 1926; fitted to yeasts and to Paramecium by G. F. Gause, "The Struggle for
Existence", Williams and Wilkins, 1934. The logarithms of the state are integrated: they stay
finite however rare a species becomes, and their error is the state's relative one.
"""

from dataclasses import replace

import numpy as np
from scipy.integrate import solve_ivp

from .._schema import Schema
from ._dataset import Dataset, dataset
from ._heart import Factor

_DAYS = 24.0

#: The factors of a course, in the order in which arrays hold them.
COMPETITION_FACTORS: tuple[Factor, ...] = (
    *(Factor(name, "1/day", 0.4, 1.2) for name in ("r1", "r2")),
    *(Factor(name, "volume", 80.0, 240.0) for name in ("N1", "N2")),
    *(Factor(name, "1/(day volume)", 0.001, 0.008) for name in ("a1", "a2")),
    *(Factor(name, "volume", 2.0, 20.0) for name in ("x1(0)", "x2(0)")),
)


def competition_cloud(n: int, *, seed: int = 0, noise: float = 0.05, samples: int = 25) -> Dataset:
    r"""`n` short courses of the competition of two species, with their factors.

    $\dot x_i = r_i x_i (1 - x_i / N_i) - a_i x_1 x_2$ over 24 days, observed at `samples` times
    in even steps from the first day on as $y_i = x_i e^{\sigma \epsilon}$. Each course draws its
    own factors uniformly: $r_i$ from 0.4 to 1.2 a day, $N_i$ from 80 to 240 and the start from 2
    to 20 in volume, $a_i$ from 0.001 to 0.008 a day and volume. Species 1 can invade 2 where
    $a_1 N_2 < r_1$, so either may win, both may last, and the start may decide.

    **Arguments:** `noise`, $\sigma$, about the relative error of a measurement; `seed`.

    **Raises:** `ValueError` for fewer than one course or two samples, and for negative noise.
    """
    if n < 1 or samples < 2:
        raise ValueError(f"{n} courses of {samples} samples were asked for; give at least 1 and 2.")
    if not 0 <= noise < np.inf:
        raise ValueError(f"a noise of {noise} was given; give 0 or more, such as 0.05.")
    random = np.random.default_rng(seed)
    low, high = (
        np.array([getattr(f, end) for f in COMPETITION_FACTORS]) for end in ("low", "high")
    )
    factors = random.uniform(low, high, (n, len(low)))
    times = np.linspace(0.0, _DAYS, samples)
    clean = _solve(factors, times)
    schema = Schema(
        kind="trajectories",
        axes=("time", "channel"),
        shape=(samples, 2),
        channels=("x1", "x2"),
        units=("volume", "volume"),
        step=_DAYS / (samples - 1),
        time_unit="day",
    )
    cloud = dataset(
        clean * np.exp(noise * random.standard_normal(clean.shape)),
        schema,
        factors=factors,
        factor_names=tuple(factor.title for factor in COMPETITION_FACTORS),
    )
    return replace(cloud, spans=np.tile(times[[0, -1]], (n, 1)))


def _solve(factors: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The courses `(n, time, 2)` without noise, all in one integration."""
    r, most, a, start = np.moveaxis(factors.reshape(len(factors), 4, 2), 1, 0)

    def rates(_: float, flat: np.ndarray) -> np.ndarray:
        x = np.exp(flat.reshape(r.shape))
        return (r * (1 - x / most) - a * x[:, ::-1]).ravel()

    # one step serves all courses, whose mean error is controlled: hence the tight tolerance
    solved = solve_ivp(
        rates, (times[0], times[-1]), np.log(start).ravel(), method="DOP853", t_eval=times,
        rtol=1e-9, atol=1e-9,
    )  # fmt: skip
    return np.exp(np.moveaxis(solved.y.reshape(*r.shape, len(times)), -1, 1))
