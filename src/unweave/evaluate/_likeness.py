r"""What single numbers, neighbours in time and frequencies of drawn series have of real ones."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from ._samples import checked

VERSION = "likeness 1"


@dataclass(frozen=True)
class Aspect:
    """One distance `of` something, for each channel; `floor` is that of real ones from other real
    ones, and `unit` what it is measured in."""

    of: str
    distance: tuple[float, ...]
    floor: tuple[float, ...]
    unit: str

    def sentence(self) -> str:
        """The same in words, the channel that is worst off."""
        worst = int(np.argmax(self.distance))
        channel = f", worst in channel {worst}" if len(self.distance) > 1 else ""
        return (
            f"{self.of}: {self.distance[worst]:.3g} {self.unit} (real from real "
            f"{self.floor[worst]:.3g}{channel})"
        )


@dataclass(frozen=True)
class Likeness:
    """Distances of `marginals`, `autocorrelation` and `spectrum` of `n` drawn series from real
    ones."""

    marginals: Aspect
    autocorrelation: Aspect
    spectrum: Aspect
    n: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        parts = (self.marginals, self.autocorrelation, self.spectrum)
        words = "; ".join(part.sentence() for part in parts)
        return f"{words} ({self.version}, n = {self.n:,})"


def likeness(real: np.ndarray, drawn: np.ndarray, *, others: np.ndarray | None = None) -> Likeness:
    r"""Three looks at series that a reader can check by eye, for each channel.

    - **marginals**: the 1-Wasserstein distance of all samples, in deviations of the real ones;
    - **autocorrelation**: the root mean square difference of $\rho_k = \sum_t x_t x_{t+k} / \sum_t
      x_t^2$ over lags up to half of the series, $x$ less the mean over all real series, the sums
      over all series too;
    - **spectrum**: the root mean square difference of the mean periodograms in decibels, the mean
      level of each series left out; frequencies below a millionth of the largest real power are
      left out.

    **Arguments:** series `(n, time, channel)` of 4 samples or more; `others` are real ones that set
    the floor, without them every other one of `real` against those between.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are fewer than 4.
    """
    real, drawn = checked(real, drawn, least=4)
    if real.ndim != 3 or real.shape[1] < 4:
        raise ValueError(
            f"likeness is for series (n, time, channel) of 4 samples or more, and these have shape "
            f"{real.shape}; use two_sample, which takes any."
        )
    if others is None:
        ground, others = real[::2], real[1::2]
    else:
        ground, others = checked(real, others, least=4)
    return Likeness(
        Aspect("marginals", _marginals(real, drawn), _marginals(ground, others), "deviations"),
        Aspect(
            "autocorrelation", _autocorrelations(real, drawn), _autocorrelations(ground, others),
            "of correlation",
        ),
        Aspect("spectrum", _spectra(real, drawn), _spectra(ground, others), "dB"),
        len(drawn),
    )  # fmt: skip


def _marginals(real: np.ndarray, drawn: np.ndarray) -> tuple[float, ...]:
    deviation = real.std((0, 1))
    return tuple(
        float(wasserstein_distance(real[..., c].ravel(), drawn[..., c].ravel()))
        / (deviation[c] if deviation[c] > 0 else 1.0)
        for c in range(real.shape[2])
    )


def _autocorrelations(real: np.ndarray, drawn: np.ndarray) -> tuple[float, ...]:
    mean = real.mean((0, 1))
    apart = autocorrelation(real - mean) - autocorrelation(drawn - mean)
    return tuple(np.sqrt((apart[1:] ** 2).mean(0)).tolist())


def autocorrelation(x: np.ndarray) -> np.ndarray:
    """Of series `(n, time, channel)` with mean 0, by lag up to half of the series:
    `(1 + time // 2, channel)`; 0 where a channel never moves."""
    square = (x**2).sum((0, 1))
    return np.stack(
        [
            np.divide(
                (x[:, : x.shape[1] - lag] * x[:, lag:]).sum((0, 1)), square,
                out=np.zeros_like(square), where=square > 0,
            )
            for lag in range(1 + x.shape[1] // 2)
        ]
    )  # fmt: skip


def _spectra(real: np.ndarray, drawn: np.ndarray) -> tuple[float, ...]:
    first, second = (power_spectrum(x)[1:] for x in (real, drawn))
    least = 1e-6 * first.max(0)
    counts = (first > least) & (least > 0)
    ratio = np.log10(np.where(counts, np.maximum(second, least * 1e-3), 1.0))
    apart = 10 * (ratio - np.log10(np.where(counts, first, 1.0)))
    return tuple(np.sqrt((apart**2).sum(0) / np.maximum(counts.sum(0), 1)).tolist())


def power_spectrum(x: np.ndarray) -> np.ndarray:
    r"""The mean periodogram $\frac1n \sum_j |\sum_t x_{jt} e^{-2 \pi i f t / T}|^2 / T$ of series
    `(n, time, channel)`, from frequency 0 to half of the rate: `(1 + time // 2, channel)`."""
    return (np.abs(np.fft.rfft(x, axis=1)) ** 2).mean(0) / x.shape[1]
