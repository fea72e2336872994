"""What attacks found, and what is to be made of it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._budgets import AbstractBudget, Smooth


@dataclass(frozen=True, eq=False)
class Found:
    """What one attack found, with a row for each observation.

    `kind` is `white-box`, `black-box` or `transfer`. `standing` says which withstood it, None
    where the goal has no limit; `accuracy` is their share. `perturbed` are the attacked inputs,
    `readings` what the model says of them (the margin of the true class in nats, or the target's
    number), `sizes` the budget's norm of what was changed. Of an attack that looks for the nearest
    point, `distances` are those at which each row fell, infinite where it did not, and a row
    counts as fallen where its distance is within the budget. `gradients` and `queries` are spent
    on the average row. `trace` holds after every step the share that stands and the mean of the
    highest loss so far; `flat` is the share of rows without a slope at the start.
    """

    name: str
    kind: str
    accuracy: float | None
    standing: np.ndarray | None
    readings: np.ndarray
    perturbed: np.ndarray
    sizes: np.ndarray
    gradients: float
    queries: float
    trace: np.ndarray
    flat: float
    distances: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Robustness:
    """The verdict over all attacks: of each observation the worst that any of them found.

    `clean` and `robust` are the shares right, or within the limit, before and after, `interval`
    Wilson's 95 % of `robust`, `standing` which withstood all, each None where the goal has no
    limit. `before` and `after` are the
    model's readings of the inputs `x` and of the `perturbed`, `by` the attack that found each (its
    place in `attacks`, -1 where the input had fallen as it was). `warnings` say in sentences why
    the evaluation may be broken; without one it may still be too optimistic, as any attack.
    """

    what: str
    budget: AbstractBudget
    n: int
    clean: float | None
    robust: float | None
    interval: tuple[float, float] | None
    standing: np.ndarray | None
    x: np.ndarray
    perturbed: np.ndarray
    before: np.ndarray
    after: np.ndarray
    by: np.ndarray
    attacks: tuple[Found, ...]
    warnings: tuple[str, ...]
    seed: int

    def sentence(self) -> str:
        """The verdict in a sentence."""
        within = budget_words(self.budget)
        if self.robust is None or self.interval is None or self.clean is None:
            moved = np.median(self.after - self.before)
            return (
                f"Within {within}, {self.what} moves by {moved:+.4g} on the median of {self.n} "
                f"inputs, from {np.median(self.before):.4g} to {np.median(self.after):.4g}."
            )
        low, high = self.interval
        return (
            f"Of {self.n} observations {100 * self.clean:.1f} % stand as they are and "
            f"{100 * self.robust:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f}) within "
            f"{within}."
        )

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "what": self.what, "budget": budget_words(self.budget),
            "radius": float(self.budget.radius), "n": self.n, "clean": self.clean,
            "robust": self.robust, "interval": None if self.interval is None else [*self.interval],
            "median_before": float(np.median(self.before)),
            "median_after": float(np.median(self.after)),
            "attacks": {
                found.name: {
                    "kind": found.kind, "accuracy": found.accuracy,
                    "median_reading": float(np.median(found.readings)),
                    "gradients": found.gradients, "queries": found.queries,
                    "median_distance": None if found.distances is None
                    else float(np.median(found.distances)),
                }
                for found in self.attacks
            },
            "warnings": list(self.warnings), "seed": self.seed,
        }  # fmt: skip


def budget_words(budget: AbstractBudget) -> str:
    """A budget as it is written in a sentence."""
    if isinstance(budget, Smooth):
        return f"{budget_words(budget.ball)}, smooth over {budget.width:g} samples"
    return f"{budget.norm_name} {float(budget.radius):.4g}"


def wilson(successes: int, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    r"""Wilson's (1927) interval of a share, $\frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)
    / n + z^2 / 4 n^2}}{1 + z^2 / n}$; honest near 0 and 1, where an attack leads."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is no share.")
    share = successes / n
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    unit = 1 + z**2 / n
    return max(0.0, (middle - half) / unit), min(1.0, (middle + half) / unit)


def suspicions(
    attacks: tuple[Found, ...],
    noise: Found | None,
    clean: float | None,
    before: np.ndarray,
    beyond: tuple[float, float] | None,
) -> tuple[str, ...]:
    """Why an evaluation may be broken, a sentence for each sign (Athalye et al. 2018, section 3.1;
    Carlini et al. 2019).

    `noise` is what random points found; `beyond` the shares that the first gradient attack leaves
    at four times the budget and without any.
    """
    white = [found for found in attacks if found.kind == "white-box"]
    told = [*_flat(white), *_too_few(attacks)]
    if clean is None:
        return (*told, *_noisy_numbers(white, noise, before))
    n = len(before)
    step = max(0.02, 1.5 / n)
    if not white:
        return tuple(told)
    best = min(white, key=lambda found: found.accuracy or 0.0)
    assert best.accuracy is not None
    for found in attacks:
        if found.kind != "white-box" and (found.accuracy or 0.0) < best.accuracy - step:
            told.append(
                f"Gradients are masked: {found.name} ({found.kind}) leaves "
                f"{100 * (found.accuracy or 0.0):.1f} % standing, the best gradient attack "
                f"{100 * best.accuracy:.1f} %. Trust the lower number, and it may be lower still."
            )
    if noise is not None and noise.accuracy is not None:
        fallen = clean - noise.accuracy
        if fallen >= step and noise.accuracy <= best.accuracy:
            told.append(
                f"Random points do as much harm as gradients ({100 * noise.accuracy:.1f} % against "
                f"{100 * best.accuracy:.1f} % standing): the gradient leads nowhere."
            )
    if beyond is not None:
        told += _beyond(white[0], beyond, clean, step)
    return tuple(told)


def _flat(white: list[Found]) -> list[str]:
    flat = max((found.flat for found in white), default=0.0)
    if flat < 0.05:
        return []
    return [
        f"The gradient vanishes on {100 * flat:.0f} % of the inputs: the loss is saturated or the "
        "model has steps. Attack it by apgd_dlr() and by Square, or through a surrogate."
    ]


def _too_few(attacks: tuple[Found, ...]) -> list[str]:
    """Attacks that were still finding something in the last quarter of their steps."""
    told = []
    for found in attacks:
        steps, n = len(found.trace) - 1, len(found.readings)
        if steps < 4 or found.kind == "black-box" or found.distances is not None:
            continue
        late = found.trace[steps - steps // 4]
        if found.accuracy is not None:
            still = late[0] - found.trace[-1, 0]
            how = f"{100 * still:.1f} % of the inputs fell"
            on = still > max(0.01, 1.5 / n)
        else:
            whole = found.trace[-1, 1] - found.trace[0, 1]
            still = found.trace[-1, 1] - late[1]
            on = whole > 0 and still > 0.1 * whole
            how = f"the number made {100 * still / max(whole, 1e-300):.0f} % of its way"
        if on:
            told.append(
                f"{found.name} has too few steps: {how} in the last quarter of {steps}. Give it "
                "more."
            )
    return told


def _noisy_numbers(white: list[Found], noise: Found | None, before: np.ndarray) -> list[str]:
    if not white or noise is None:
        return []
    far = max(abs(float(np.mean(found.readings - before))) for found in white)
    other = abs(float(np.mean(noise.readings - before)))
    if other <= 0 or other < 0.9 * far:
        return []
    return [
        f"Random points move the number by {other:.3g} on average, gradients by {far:.3g}: the "
        "gradient leads nowhere."
    ]


def _beyond(first: Found, beyond: tuple[float, float], clean: float, step: float) -> list[str]:
    assert first.accuracy is not None
    wider, unbounded = beyond
    told = []
    touched = step < first.accuracy < clean - step
    if wider > first.accuracy + step or (touched and wider >= first.accuracy):
        told.append(
            f"{first.name} leaves {100 * wider:.1f} % standing with four times the budget and "
            f"{100 * first.accuracy:.1f} % with it: more room should do more harm."
        )
    if unbounded > step:
        told.append(
            f"{first.name} leaves {100 * unbounded:.1f} % standing without any budget, where "
            "nothing should: it does not find what is there."
        )
    return told
