r"""From the score of windows to a score of every sample of the series they were cut from."""

import numpy as np
from jaxtyping import Float, Num


def sliding(
    series: Num[np.ndarray, "time channel"], length: int, *, step: int = 1
) -> Num[np.ndarray, "window length channel"]:
    """All windows of that many samples, one every `step`, as a view; the last one ends the series,
    where `step` would leave samples uncovered.

    Raises `ValueError` for a length or step that does not fit.
    """
    if not 1 <= length <= len(series) or step < 1:
        raise ValueError(
            f"windows of {length} samples, one every {step}, do not fit a series of {len(series)}; "
            "give 1 <= length <= samples and a step of at least 1."
        )
    view = np.lib.stride_tricks.sliding_window_view(series, length, axis=0)
    return np.moveaxis(view, -1, 1)[starts(len(series), length, step)]


def starts(total: int, length: int, step: int) -> np.ndarray:
    """Where the windows of `sliding` begin."""
    regular = np.arange(0, total - length + 1, step)
    return regular if regular[-1] == total - length else np.r_[regular, total - length]


def over_samples(
    scores: Float[np.ndarray, " window"], begin: np.ndarray, length: int, total: int
) -> Float[np.ndarray, " time"]:
    r"""The score of each sample: the mean over the windows of `length` samples that cover it,
    NaN where none does. `begin` are their first samples."""
    rise, count = np.zeros(total + 1), np.zeros(total + 1)
    np.add.at(rise, begin, scores)
    np.add.at(rise, begin + length, -scores)
    np.add.at(count, begin, 1)
    np.add.at(count, begin + length, -1)
    covered = np.cumsum(count)[:total]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(covered > 0, np.cumsum(rise)[:total] / covered, np.nan)


def period(
    series: Num[np.ndarray, "..."],
    *,
    least: int = 3,
    longest: int = 400,
) -> int:
    """The samples of a period: the lag of the highest peak of the autocorrelation (of the first
    channel) between `least` and `longest`, as TSB-UAD chooses the length of windows.

    Raises `ValueError` where there is no peak.
    """
    values = np.asarray(series, np.float64).reshape(len(series), -1)[:, 0]
    values = np.where(np.isnan(values), np.nanmean(values), values)
    values = values - values.mean()
    power = np.abs(np.fft.rfft(values, 2 * len(values))) ** 2
    correlation = np.fft.irfft(power)[: min(longest, len(values) // 2) + 2]
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
    peaks = peaks[peaks >= least]
    if not len(peaks):
        raise ValueError(
            f"the autocorrelation of these {len(values)} samples has no peak between {least} and "
            f"{longest}; say how long a window is."
        )
    return int(peaks[np.argmax(correlation[peaks])])


def largest_span(
    by_sample: Float[np.ndarray, " time"], level: float | Float[np.ndarray, " time"]
) -> tuple[int, int, float]:
    r"""Where in a series it is strange: the stretch $[a, b)$ whose score exceeds `level` by the
    largest sum, $\max_{a < b} \sum_{t = a}^{b - 1} (s_t - l_t)$, with that sum (Kadane's maximum
    segment). Gaps count nothing.
    """
    excess = np.nan_to_num(by_sample - level, nan=0.0)
    sums = np.r_[0.0, np.cumsum(excess)]
    lowest = np.minimum.accumulate(sums[:-1])
    end = int(np.argmax(sums[1:] - lowest)) + 1
    start = int(np.argmin(sums[:end]))
    return start, end, float(sums[end] - sums[start])
