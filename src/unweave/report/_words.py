"""What the numbers say, in plain sentences."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._content import Measure, ReportContent

_SMALL = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
_NOUNS = {"beats": "beats", "windows": "windows", "images": "images"}
_KINDS = {
    "exact": "exact",
    "bound": "a lower bound",
    "estimate": "an estimate",
    "unnormalised": "up to an unknown constant, so not comparable between models",
}
# a difference in explained variance below this is small, whatever its spread
_LITTLE = 0.005
# samples and data are compared from this many of each
_ENOUGH = 20


def verdict(content: ReportContent) -> tuple[str, ...]:
    """A few sentences that say what the model is worth, composed from the numbers alone; of an
    equation, what its own account says."""
    if content.equation is not None:
        return tuple(content.equation.account["verdict"])
    if content.prediction is not None:
        return _answers(content.prediction)
    sentences = [
        _what_is_kept(content),
        *_against_baselines(content),
        _carries_over(content),
        _unused(content),
        _chosen(content),
        *_samples(content),
        *content.health,
    ]
    found = tuple(sentence for sentence in sentences if sentence)
    return found or ("No measure on held-out data was given, so nothing is claimed here.",)


def _answers(told: Mapping[str, Any]) -> tuple[str, ...]:
    """What a predictor reached, and whether its depth is a differential equation."""
    seen = f"{told['n']:,} test observations"
    if told["kind"] == "accuracy":
        first = (
            f"It answers {percent(told['score'])} of {seen} rightly; always saying the class that "
            f"is most frequent in training would answer {percent(told['most_frequent'])}."
        )
    else:
        errors = ", ".join(f"{k} {number(v)}" for k, v in told["root_mean_square"].items())
        first = (
            f"It explains {percent(told['score'])} of the answers' variance on {seen}; root mean "
            f"square errors: {errors}."
        )
    return (first, told["verdict"]) if told["verdict"] else (first,)


def count(n: int) -> str:
    """A number as a word as far as twelve."""
    return _SMALL[n] if 0 <= n < len(_SMALL) else f"{n:,}"


def percent(share: float) -> str:
    """A share in percent, with as many decimals as keep it apart from 100 %."""
    if not math.isfinite(share):
        return "not a number"
    for decimals in (1, 2, 3):
        text = f"{100 * share:.{decimals}f}"
        if share >= 1 or not text.startswith("100"):
            break
    else:
        text = "99.999"
    return text.replace("-", "−") + " %"


def duration(seconds: float) -> str:
    """A time as one would say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def kind_of_density(kind: str) -> str:
    """What a log-density of this kind is, in words."""
    return _KINDS.get(kind, kind)


def noun(content: ReportContent) -> str:
    """What one calls the observations."""
    return _NOUNS.get(content.schema.kind, "observations")


def number(value: float) -> str:
    """A number with a true minus and thousands parted."""
    return f"{value:,.4g}".replace("-", "−") if abs(value) < 1e4 else f"{value:,.0f}"


def typeset(words: str) -> str:
    """The words with true minus signs and a space before per cent, as the page writes numbers."""
    return re.sub(r"(?<=\d)%", " %", re.sub(r"(?<![^\s(=\[])-(?=\.?\d)", "−", words))


def sentence(words: str) -> str:
    """The words with a capital at their beginning and a stop at their end."""
    words = words.strip().rstrip(".")
    return capital(words) + "." if words else ""


def capital(words: str) -> str:
    """The words with a capital at their beginning."""
    return words[:1].upper() + words[1:]


def _latents(n: int) -> str:
    return f"{count(n)} latent" + ("" if n == 1 else "s")


def _what_is_kept(content: ReportContent) -> str:
    measure, n = content.explained_variance, len(content.latents)
    if measure is None:
        return ""
    if not math.isfinite(measure.value):
        return (
            "The reconstructions hold numbers that are not finite: the model is broken, and "
            "nothing below should be believed."
        )
    seen = f"of the variance of {noun(content)} never seen in training"
    verb = "keeps" if n == 1 else "keep"
    if measure.value <= 0:
        return (
            f"{capital(_latents(n))} {verb} nothing {seen} ({percent(measure.value)}): the "
            "mean observation is a better guess than this model's reconstruction."
        )
    active = None if content.active is None else sum(content.active)
    if active is None or n == 1:
        carried = ""
    elif active == n:
        carried = "; all of them carry information"
    else:
        carried = f"; {count(active)} of them {'carries' if active == 1 else 'carry'} information"
    return f"{capital(_latents(n))} {verb} {percent(measure.value)} {seen}{carried}."


def _against_baselines(content: ReportContent) -> list[str]:
    measure = content.explained_variance
    if measure is None or not math.isfinite(measure.value):
        return []
    sentences = []
    for name, other in content.baselines.items():
        if not math.isfinite(other.value) or (other.value <= 0 and measure.value > 0):
            continue  # that the mean explains nothing goes without saying
        if name.startswith("PCA"):
            sentences.append(_against_pca(measure, name, other))
        else:
            sentences.append(_against_trivial(measure, name, other))
    return sentences


def _against_pca(measure: Measure, name: str, pca: Measure) -> str:
    gain = measure.value - pca.value
    head = f"{name} keeps {percent(pca.value)}"
    if abs(gain) <= _spread(measure, pca):
        return f"{head}, a difference within the spread: the nonlinearity buys nothing here."
    if abs(gain) <= _LITTLE:
        return f"{head}, a small difference: the nonlinearity buys little here."
    if gain < 0:
        return f"{head}, more than this model: train it longer or better, or use PCA."
    saved = gain / max(1 - pca.value, 1e-12)
    return f"{head}, so the nonlinearity removes {percent(saved)} of what PCA leaves over."


def _against_trivial(measure: Measure, name: str, other: Measure) -> str:
    head = f"{capital(name)} alone, without any latent, keeps {percent(other.value)}"
    if measure.value - other.value > max(_spread(measure, other), _LITTLE):
        return f"{head}; what the model adds is the rest."
    return f"{head}: against that, the latents add nothing to speak of."


def _spread(one: Measure, two: Measure) -> float:
    return max(one.spread or 0.0, two.spread or 0.0)


def _carries_over(content: ReportContent) -> str:
    measure, train = content.explained_variance, content.explained_variance_train
    if measure is None or train is None or not math.isfinite(train):
        return ""
    gap = train - measure.value
    if not gap > max(0.05, 3 * (measure.spread or 0.0)):
        return ""
    return (
        f"On its training data the model keeps {percent(train)}, far more than on test data: "
        "it has learned them by heart. More data, fewer latents or stopping earlier would help."
    )


def _unused(content: ReportContent) -> str:
    if content.active is None or all(content.active):
        return ""
    names = [n for n, on in zip(content.latents, content.active, strict=True) if not on]
    left = len(content.latents) - len(names)
    if left == 0:
        return (
            "No latent carries information: the decoder ignores them (posterior collapse). "
            "A weaker pull to the prior, a smaller β, would help."
        )
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    are, would = ("is", "it") if len(names) == 1 else ("are", "them")
    rest = _latents(left)
    return f"Unused {are} {shown}; a model without {would}, with {rest}, would do as well."


def _chosen(content: ReportContent) -> str:
    return "" if content.choices is None else sentence(content.choices["sentence"])


def _samples(content: ReportContent) -> list[str]:
    """Whether draws vary as much, and are as rough, as what was measured."""
    x, drawn = content.x, content.samples
    if x is None or drawn is None or min(len(x), len(drawn)) < _ENOUGH:
        return []
    if not np.isfinite(drawn).all():
        return ["Some samples hold numbers that are not finite: the model cannot be drawn from."]
    sentences = []
    variety = _ratio(_variance(drawn), _variance(x))
    if variety < 0.6:
        sentences.append(
            f"Samples lack variety: they have {percent(variety)} of the variance of the data, "
            "so rare shapes are missing."
        )
    elif variety > 1.7:
        sentences.append(
            f"Samples vary more than the data ({variety:.1f} times the variance): some of them "
            "are shapes that were never measured."
        )
    rough = _ratio(_roughness(drawn), _roughness(x))
    if rough < 0.5:
        sentences.append("Samples are smoother than the data: fine detail is missing.")
    elif rough > 2:
        sentences.append("Samples are rougher than the data: the model's noise is too strong.")
    return sentences


def _ratio(one: float, two: float) -> float:
    return one / two if two > 0 else 1.0


def _variance(xs: np.ndarray) -> float:
    """The variance over observations, summed over entries; NaN was not observed."""
    xs = np.asarray(xs, dtype=float)
    seen = np.isfinite(xs)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, xs, 0).sum(axis=0) / n
    return float((np.where(seen, (xs - mean) ** 2, 0).sum(axis=0) / n).sum())


def _roughness(xs: np.ndarray) -> float:
    """The mean square of the steps from one sample (or row) to the next."""
    steps = np.diff(np.asarray(xs, dtype=float), axis=1)
    steps = steps[np.isfinite(steps)]
    return float(np.square(steps).mean()) if steps.size else 0.0
