r"""Mutual information between latents and factors, by estimators that say what they are.

What an estimate is worth depends on how it is made, so each estimator is a value with a name, and
scores carry that name. Latents and factors are only compared by their ranks: a latent that is a
monotone function of a factor, however curved, has the same information as the factor itself.
"""

import abc
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.special import digamma
from scipy.stats import rankdata

# so many different values, of at least four observations each, are those of a discrete variable
_MOST_VALUES, _EACH = 64, 4


class AbstractInformation(abc.ABC):
    """An estimator of $I(z_j; v_i)$ in nats for every latent and factor, and of the $H(v_i)$ that
    it cannot exceed."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What the estimator is, in words that a table can hold."""

    @abc.abstractmethod
    def matrix(
        self, codes: np.ndarray, factors: np.ndarray, discrete: tuple[bool, ...]
    ) -> np.ndarray:
        """`(latent, factor)` in nats, at least 0, of codes `(n, latent)` and factors
        `(n, factor)`."""

    @abc.abstractmethod
    def most(self, factors: np.ndarray, discrete: tuple[bool, ...]) -> np.ndarray:
        """`(factor,)` in nats: what a latent that is the factor itself would have."""


@dataclass(frozen=True)
class Histogram(AbstractInformation):
    r"""The plug-in estimate $\sum p_{ab} \log \frac{p_{ab}}{p_a p_b}$ over cells: a continuous
    variable is cut into `bins` that hold equally many, a discrete one keeps its values.

    Its bias is about $(A - 1)(B - 1) / 2n$ nats, $A$ and $B$ the numbers of values (Roulston 1999).
    """

    bins: int = 20

    @property
    def name(self) -> str:
        return f"histogram of {self.bins} equally filled bins"

    def matrix(
        self, codes: np.ndarray, factors: np.ndarray, discrete: tuple[bool, ...]
    ) -> np.ndarray:
        levels = [_cut(f, d, self.bins) for f, d in zip(factors.T, discrete, strict=True)]
        cells = [_cut(z, is_discrete(z), self.bins) for z in codes.T]
        return np.array([[plug_in(z, v) for v in levels] for z in cells])

    def most(self, factors: np.ndarray, discrete: tuple[bool, ...]) -> np.ndarray:
        return _entropies(factors, discrete, self.bins)


@dataclass(frozen=True)
class Neighbours(AbstractInformation):
    r"""Between a latent and the values of a factor, by the `k` nearest neighbours among
    observations of the same value: $\psi(n) + \psi(k) - \langle \psi(n_v) \rangle - \langle
    \psi(m) \rangle$ (Ross 2014, equation 2).

    A continuous factor is cut into `bins` that hold equally many, so that its entropy is finite:
    $\log$ `bins`. The latent stays continuous; one with few values is counted.
    """

    k: int = 3
    bins: int = 20

    @property
    def name(self) -> str:
        return f"{self.k} nearest neighbours (Ross), factors in {self.bins} equally filled bins"

    def matrix(
        self, codes: np.ndarray, factors: np.ndarray, discrete: tuple[bool, ...]
    ) -> np.ndarray:
        levels = [_cut(f, d, self.bins) for f, d in zip(factors.T, discrete, strict=True)]
        return np.array([[_mixed(z, v, self.k) for v in levels] for z in map(_places, codes.T)])

    def most(self, factors: np.ndarray, discrete: tuple[bool, ...]) -> np.ndarray:
        return _entropies(factors, discrete, self.bins)


@dataclass(frozen=True)
class Kraskov(AbstractInformation):
    r"""Between two continuous variables, by the `k` nearest neighbours in the plane of their
    ranks: $\psi(n) + \psi(k) - \langle \psi(n_x) + \psi(n_y) \rangle$ (Kraskov, Stögbauer and
    Grassberger 2004, equation 8). Where one is discrete as `Neighbours`, where both are counted.

    The information of a variable with itself has no limit but that of the estimator, $\psi(n) -
    \psi(k)$: what a share of it means depends on $n$.
    """

    k: int = 3

    @property
    def name(self) -> str:
        return f"{self.k} nearest neighbours (Kraskov)"

    def matrix(
        self, codes: np.ndarray, factors: np.ndarray, discrete: tuple[bool, ...]
    ) -> np.ndarray:
        return np.array(
            [
                [self._pair(z, v, d) for v, d in zip(factors.T, discrete, strict=True)]
                for z in codes.T
            ]
        )

    def most(self, factors: np.ndarray, discrete: tuple[bool, ...]) -> np.ndarray:
        itself = float(digamma(len(factors)) - digamma(self.k))
        counted = _entropies(factors, discrete, 1)
        return np.where(discrete, counted, itself)

    def _pair(self, z: np.ndarray, v: np.ndarray, discrete: bool) -> float:
        if discrete:
            return _mixed(_places(z), _values(v), self.k)
        if is_discrete(z):
            return _mixed(_spread(v), _values(z), self.k)
        return _continuous(_spread(z), _spread(v), self.k)


def is_discrete(values: np.ndarray) -> bool:
    """Whether a variable `(n,)` has few values, each often: at most 64, and at most a quarter of
    the observations."""
    return len(np.unique(values)) <= min(_MOST_VALUES, len(values) // _EACH)


def plug_in(a: np.ndarray, b: np.ndarray) -> float:
    """The mutual information in nats of two variables `(n,)` of whole numbers from 0, by counts."""
    width = int(b.max()) + 1
    joint = np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width)
    p = joint.reshape(-1, width) / len(a)
    expected = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    seen = p > 0
    return max(0.0, float((p[seen] * np.log(p[seen] / expected[seen])).sum()))


def entropy(values: np.ndarray) -> float:
    """The entropy in nats of a variable `(n,)` of whole numbers from 0, by counts."""
    p = np.bincount(values) / len(values)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def _entropies(factors: np.ndarray, discrete: tuple[bool, ...], bins: int) -> np.ndarray:
    cut = (_cut(f, d, bins) for f, d in zip(factors.T, discrete, strict=True))
    return np.array([entropy(values) for values in cut])


def _cut(values: np.ndarray, discrete: bool, bins: int) -> np.ndarray:
    """Whole numbers: a discrete variable's values, or the bins of a continuous one's ranks."""
    return _values(values) if discrete else _ranks(values) * bins // len(values)


def _values(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].ravel()


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 0, those of equal values in an order that chance gave once and for all: rows in the
    order of a grid would tell the factors by their places."""
    shuffled = np.random.default_rng(0).permutation(len(values))
    ranks = np.empty(len(values), np.int64)
    ranks[shuffled] = rankdata(values[shuffled], method="ordinal") - 1
    return ranks


def _spread(values: np.ndarray) -> np.ndarray:
    """Ranks, each moved a little, always in the same way: whole numbers would have many neighbours
    at the same distance, and those are neither within it nor beyond."""
    n = len(values)
    return (np.arange(n) + np.random.default_rng(1).uniform(-0.25, 0.25, n))[_ranks(values)]


def _places(z: np.ndarray) -> np.ndarray:
    """Ranks of a continuous latent; of one with few values these, as whole numbers."""
    return _values(z) if is_discrete(z) else _spread(z)


def _mixed(places: np.ndarray, labels: np.ndarray, k: int) -> float:
    if places.dtype.kind == "i":
        return plug_in(places, labels)
    return ross(places, labels, k)


def ross(values: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Equation 2 of Ross (2014) in nats, for values `(n,)` and labels `(n,)`, whole numbers from 0;
    a label that occurs once is left out."""
    counts = np.bincount(labels)
    kept = counts[labels] > 1
    if not kept.any():
        return 0.0
    if not kept.all():
        labels, values = labels[kept], values[kept]
    order = np.lexsort((values, labels))
    a, label = values[order], labels[order]
    n, size = len(a), counts[label]
    near = np.minimum(k, size - 1)
    radius = np.full(n, np.inf)
    place = np.arange(n)
    # the k nearest lie in one of the windows of k + 1 neighbours that hold the point itself
    for back in range(k + 1):
        for width in np.unique(near):
            left, right = place - back, place - back + width
            fits = (near == width) & (back <= width) & (left >= 0) & (right < n)
            i, lo, hi = place[fits], left[fits], right[fits]
            same = (label[lo] == label[i]) & (label[hi] == label[i])
            i, lo, hi = i[same], lo[same], hi[same]
            radius[i] = np.minimum(radius[i], np.maximum(a[i] - a[lo], a[hi] - a[i]))
    within = _within(a, radius)
    value = digamma(n) + digamma(near).mean() - digamma(size).mean() - digamma(within).mean()
    return max(0.0, float(value))


def _within(values: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """How many of the values lie nearer than the radius, each itself included."""
    ordered = np.sort(values)
    above = np.searchsorted(ordered, values + radius, side="left")
    return np.maximum(1, above - np.searchsorted(ordered, values - radius, side="right"))


def _continuous(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Equation 8 of Kraskov et al. (2004)."""
    n, pairs = len(x), np.stack([x, y], axis=1)
    distance, _ = KDTree(pairs).query(pairs, k=k + 1, p=np.inf)
    radius = np.asarray(distance)[:, -1]
    counted = digamma(_within(x, radius)) + digamma(_within(y, radius))
    return max(0.0, float(digamma(n) + digamma(k) - counted.mean()))
