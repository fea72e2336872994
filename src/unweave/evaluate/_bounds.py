r"""How far an error on a sample may lie from the error on all: bounds that assume only that the
observations are independent draws.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta


@dataclass(frozen=True)
class Hoeffding:
    """With `n` observations and `models` to choose among, the probability of a misleading sample,
    one on which the error of some model is off by more than `error`, is at most `misleading`."""

    n: int
    models: float | int
    error: float
    misleading: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        models = f"any of {self.models:,.6g} models" if self.models > 1 else "one model"
        if self.misleading >= 1:
            return (
                f"{self.n:,} observations promise nothing: the error of {models} may be off by "
                f"more than {self.error:.3g}."
            )
        return (
            f"with {self.n:,} observations the error of {models} is off by more than "
            f"{self.error:.3g} with a probability of at most {self.misleading:.3g}."
        )


def hoeffding(
    *,
    n: int | None = None,
    error: float | None = None,
    confidence: float | None = None,
    models: float | int = 1,
    log_models: float | None = None,
) -> Hoeffding:
    r"""Hoeffding's inequality with a union bound, solved for the one of three that is not given.

    $$P\Big(\max_{m \le M} |\hat e_m - e_m| > \varepsilon\Big) \le 2 M e^{-2 n \varepsilon^2}$$

    for errors between 0 and 1, averaged over $n$ independent observations (Hoeffding 1963, theorem
    2). It says nothing of models that were not among the $M$ before the observations were seen.

    **Arguments:** `n` observations; the `error` that is allowed; the `confidence` that no sample
    misleads; `models`, or its logarithm where it is too large a number, such as $w b \log 2$ for
    $w$ weights of $b$ bits.

    **Raises:** `ValueError` unless two of the three are given, and within their ranges.
    """
    if [n, error, confidence].count(None) != 1:
        raise ValueError(
            "give two of n, error and confidence, such as n=1000, confidence=0.95; the third is "
            "what is computed."
        )
    if models < 1 or (log_models is not None and log_models < 0):
        raise ValueError(f"{models:g} models were given; there is at least one.")
    if (n is not None and n < 1) or (error is not None and not 0 < error < 1):
        raise ValueError(f"n is {n} and error is {error}; give n from 1 and an error in 0 to 1.")
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}; give one between 0 and 1, such as 0.95.")
    many = math.log(models) if log_models is None else log_models
    counted = math.exp(many) if many < 700 else math.inf
    if n is None:
        assert error is not None
        assert confidence is not None
        exact = (math.log(2 / (1 - confidence)) + many) / (2 * error**2)
        n = math.ceil(round(exact, 9))
    elif error is None:
        assert confidence is not None
        return Hoeffding(
            n, counted, math.sqrt((math.log(2 / (1 - confidence)) + many) / (2 * n)), 1 - confidence
        )
    exponent = math.log(2) + many - 2 * n * error**2
    return Hoeffding(n, counted, error, math.exp(exponent) if exponent < 0 else 1.0)


def exact_interval(wrong: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Where the error of one model lies of which `wrong` of `n` answers were wrong, on observations
    that it was not chosen by (Clopper and Pearson 1934): at least as sure as `confidence`.

    **Raises:** `ValueError` where `wrong` is not from 0 to `n`.
    """
    if not 0 <= wrong <= n or n < 1:
        raise ValueError(f"{wrong} wrong of {n} were given; give from 0 to n, and n from 1.")
    tail = (1 - confidence) / 2
    low = 0.0 if wrong == 0 else float(beta.ppf(tail, wrong, n - wrong + 1))
    high = 1.0 if wrong == n else float(beta.ppf(1 - tail, wrong + 1, n - wrong))
    return low, high


def bernoulli_kl(q: float, p: float) -> float:
    r"""$\mathrm{kl}(q \| p) = q \log \frac{q}{p} + (1 - q) \log \frac{1 - q}{1 - p}$ in nats."""
    first = 0.0 if q == 0 else (math.inf if p == 0 else q * math.log(q / p))
    last = 0.0 if q == 1 else (math.inf if p == 1 else (1 - q) * math.log((1 - q) / (1 - p)))
    return first + last


def kl_inverse(q: float, most: float) -> float:
    r"""The largest $p$ with $\mathrm{kl}(q \| p) \le$ `most` nats: how large an error may be of
    which $q$ was seen.

    **Raises:** `ValueError` where `q` is not from 0 to 1, or `most` is negative.
    """
    if not (0 <= q <= 1 and most >= 0):
        raise ValueError(f"q is {q} and most is {most}; give a share, and nats from 0.")
    low, high = q, 1.0
    # kl grows with p from q on; halved until two neighbouring numbers are left
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if bernoulli_kl(q, middle) <= most else (low, middle)
    return high


def maurer(error: float, divergence: float, n: int, *, confidence: float = 0.95) -> float:
    r"""What the mean error of a stochastic classifier is at most, from its mean `error` on `n`
    observations and the divergence $\mathrm{KL}(Q \| P)$ in nats of its distribution from one that
    was fixed before these were seen (Maurer 2004, theorem 5):

    $$\mathrm{kl}(\hat e \| e) \le \frac{\mathrm{KL}(Q \| P) + \log (2 \sqrt{n} / \delta)}{n}$$
    """
    return kl_inverse(error, _nats(divergence, n, confidence))


def mcallester(error: float, divergence: float, n: int, *, confidence: float = 0.95) -> float:
    r"""The same, looser and by hand: $e \le \hat e + \sqrt{(\mathrm{KL}(Q \| P) + \log (2 \sqrt{n}
    / \delta)) / 2n}$ (McAllester 1999, with the constant of Maurer 2004), at most 1."""
    return min(1.0, error + math.sqrt(_nats(divergence, n, confidence) / 2))


def _nats(divergence: float, n: int, confidence: float) -> float:
    if n < 8 or divergence < 0 or not 0 < confidence < 1:
        raise ValueError(
            f"n is {n}, the divergence {divergence} and the confidence {confidence}; the bound "
            "holds for n from 8, a divergence from 0 and a confidence between 0 and 1."
        )
    return (divergence + math.log(2 * np.sqrt(n) / (1 - confidence))) / n
