r"""What the best formula misses and the best network finds: where, and how much.

With the residuals $r = x - \hat x_\text{formula}$ and what the network says beside the formula,
$d = \hat x_\text{network} - \hat x_\text{formula}$, the part that the network explains is

$$ 1 - \frac{\sum (r - \beta d)^2}{\sum r^2}, $$

$\beta$ of a channel being fitted on one half of the test observations and judged on the other. A
network that copies noise would explain some of it: with $\varphi_f$ and $\varphi_n$ the parts of
the noise that both copy (`Fitted.copied`), the sums are divided by $1 - \varphi_f$ and by
$1 - \varphi_f - \varphi_n$, as degrees of freedom are. So it is at most 0, in the mean, where the
formula leaves noise alone.
"""

from dataclasses import dataclass, replace

import numpy as np

from ._left_over import LEFT_OVER, kept_rows
from ._paired import enough
from ._repeated import REPEATED
from ._trial import Entry, Trial

_DRAWS = 1000
# a model that copies everything has explained nothing
_LEAST = 1e-3


@dataclass(frozen=True)
class Missed:
    """Of what `formula` leaves over, `network` explains the part `share` (95 % interval `low` to
    `high`, over seeds and test observations).

    For a series also where: at each of `times` (in `time_unit`) the root mean square that the
    formula leaves, `before`, and that is left once the network has explained its part, `after`,
    in `unit`; `first` and `last` bound the shortest span that holds half of what is explained.
    """

    formula: str
    network: str
    share: float
    low: float
    high: float
    n_seeds: int
    n_observations: int
    times: tuple[float, ...] = ()
    time_unit: str = ""
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    unit: str = ""
    first: float = float("nan")
    last: float = float("nan")

    @property
    def is_something(self) -> bool:
        """Whether more is explained than chance would give."""
        return self.low > 0

    def rms(self, values: tuple[float, ...]) -> float:
        """The root mean square of `before` or `after` within the span."""
        inside = [
            v for t, v in zip(self.times, values, strict=True) if self.first <= t <= self.last
        ]
        return float(np.sqrt(np.mean(np.square(inside))))


def missed(trial: Trial) -> Missed | None:
    """What the formula with the lowest error misses, by the network or hybrid with the lowest;
    None where there are not both with a reading for every seed, or too few of anything."""
    formula = _best(trial, trial.formulas())
    others = [n for n in trial.names if n not in trial.baselines and n not in trial.formulas()]
    network = _best(trial, others)
    units = trial.every_unit
    if formula is None or network is None or not enough(trial.seeds, len(units)):
        return None
    squares, rest, codes = [], [], []
    for seed in range(trial.seeds):
        one, other = (_kept(trial, name, seed) for name in (formula, network))
        code = np.searchsorted(units, trial.units[seed])[kept_rows(len(trial.units[seed]))]
        r, left = _explained(one.parts, one.parts - other.parts, code)
        squares.append(r / max(1 - one.value, _LEAST))
        rest.append(left / max(1 - one.value - other.value, _LEAST))
        codes.append(code)
    share, low, high = _interval(squares, rest, codes, len(units))
    found = Missed(formula, network, share, low, high, trial.seeds, sum(map(len, codes)))
    return _placed(trial, found, np.concatenate(squares), np.concatenate(rest))


def _best(trial: Trial, names: list[str]) -> str | None:
    """The name with the lowest error of those that have one, and residuals, for every seed."""
    whole = max(trial.sizes)
    errors: dict[str, Entry] = {}
    for name in names:
        entry = trial.entry(name, REPEATED, whole)
        kept = trial.readings(name, LEFT_OVER, whole)
        if entry is not None and entry.n_seeds == trial.seeds and None not in kept:
            errors[name] = entry
    return min(errors, key=lambda name: errors[name].median) if errors else None


@dataclass(frozen=True, eq=False)
class _Kept:
    """The residuals `(n, *shape)` of one fit, and the part of the noise that it copies."""

    parts: np.ndarray
    value: float


def _kept(trial: Trial, name: str, seed: int) -> _Kept:
    reading = trial.readings(name, LEFT_OVER, max(trial.sizes))[seed]
    assert reading is not None  # `_best` has looked
    assert reading.parts is not None
    return _Kept(np.asarray(reading.parts, np.float64), reading.value)


def _explained(r: np.ndarray, d: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The squares of what the formula leaves and of what is left after the network, each
    `(n, *shape)`, in units of each channel's own deviation; 0 where nothing was observed."""
    axes = tuple(range(r.ndim - 1))
    seen = np.isfinite(r) & np.isfinite(d)
    r, d = np.where(seen, r, 0), np.where(seen, d, 0)
    half = code % 2
    rest = np.zeros_like(r)
    for side in (0, 1):
        inside = half == side
        fit = ~inside
        power = (d[fit] ** 2).sum(axes)
        slope = np.divide((r[fit] * d[fit]).sum(axes), power, out=np.zeros_like(power),
                          where=power > 0)  # fmt: skip
        rest[inside] = (r[inside] - slope * d[inside]) ** 2
    return r**2, rest


def _interval(
    squares: list[np.ndarray], rest: list[np.ndarray], codes: list[np.ndarray], units: int
) -> tuple[float, float, float]:
    """The part that is explained, and its bootstrap interval over seeds and units."""
    scale = np.concatenate(squares).mean(axis=tuple(range(squares[0].ndim - 1)))
    scale = np.where(scale > 0, scale, 1.0)

    def by_unit(tables: list[np.ndarray]) -> np.ndarray:
        sums = [(table / scale).reshape(len(table), -1).sum(1) for table in tables]
        return np.stack([np.bincount(c, s, units) for c, s in zip(codes, sums, strict=True)])

    before, after = by_unit(squares), by_unit(rest)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(units, np.full(units, 1 / units), size=_DRAWS)
    seeds = rng.multinomial(len(codes), np.full(len(codes), 1 / len(codes)), size=_DRAWS)
    total = ((seeds @ before) * counts).sum(1)
    left = ((seeds @ after) * counts).sum(1)
    drawn = 1 - np.divide(left, total, out=np.ones_like(left), where=total > 0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(1 - after.sum() / before.sum()), float(low), float(high)


def _placed(trial: Trial, found: Missed, squares: np.ndarray, rest: np.ndarray) -> Missed:
    """The same with where it is, for a series whose channels share a unit."""
    schema = trial.schema
    if not schema.is_series or len(set(schema.units)) != 1:
        return found
    axes = (0, *range(2, squares.ndim))
    before, after = squares.mean(axes), rest.mean(axes)
    first, last = shortest(np.maximum(before - after, 0))
    times = schema.times
    return replace(
        found, times=tuple(times), time_unit=schema.time_unit, unit=schema.units[0],
        before=tuple(np.sqrt(before).tolist()), after=tuple(np.sqrt(after).tolist()),
        first=times[first], last=times[last],
    )  # fmt: skip


def shortest(gains: np.ndarray) -> tuple[int, int]:
    """The first and the last index of the shortest run that holds half of the sum."""
    total = np.concatenate([[0.0], np.cumsum(gains)])
    ends = np.searchsorted(total, total[:-1] + total[-1] / 2)
    length = np.where(ends < len(total), ends - np.arange(len(gains)), len(gains) + 1)
    first = int(np.argmin(length))
    return first, min(max(int(ends[first]) - 1, first), len(gains) - 1)
