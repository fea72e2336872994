r"""Which latents, and which combinations of them, the data determine: Fisher's information in
words.

A direction in which the information is nil is a way to change latents that no such data could
notice; relative changes $v_i$ along it leave every product $\prod z_i^{w_i}$ with $w \cdot v = 0$
as it is. Whatever is known less well than its prior is counted as not determined.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ._certainty import Certainty

# relative to the largest eigenvalue of the scaled information: below it a direction is unseen
_UNSEEN = 1e-9
# a standard error of more than this share of the estimate is weak
_WEAK = 0.5


@dataclass(frozen=True)
class Identifiability:
    """`status` of each free latent: determined, weak or undetermined; what the data say in
    `sentences`; the combinations that are `determined` although their parts are not."""

    status: tuple[str, ...]
    sentences: tuple[str, ...]
    determined: tuple[str, ...]


def identifiability(certainty: Certainty, names: tuple[str, ...]) -> Identifiability:
    """What the data determine, of the free latents called `names`."""
    errors, width = certainty.errors, certainty.width
    null = unseen(certainty.fisher)
    status = []
    for k in range(len(names)):
        relative = (
            errors[k] if certainty.is_log[k] else errors[k] / max(abs(certainty.phi[k]), 1e-300)
        )
        if not np.isfinite(errors[k]) or errors[k] >= width[k]:
            status.append("undetermined")
        else:
            status.append("weak" if relative > _WEAK else "determined")
    determined: list[str] = []
    told: set[int] = set()
    said = _Said(certainty.labels, names)
    for direction in null:
        parts = _involved(direction)
        told |= set(parts)
        words, found = _in_words(certainty, direction, said.called(parts))
        said.add(parts, words)
        determined += found
    covariance = certainty.covariance
    hardly = [k for k, how in enumerate(status) if how == "undetermined" and k not in told]
    sentences = said.sentences() + said.hardly(
        hardly, {k: _exchanged(covariance, k) for k in hardly}
    )
    weak = [k for k, how in enumerate(status) if how == "weak"]
    if weak:
        words = said.listed(weak)
        sentences.append(
            f"{_listed(words)} {'is' if len(words) == 1 else 'are'} known to within a factor "
            "only: the standard error is more than half of the estimate."
        )
    if not sentences:
        sentences.append("The data determine every latent that was fitted.")
    return Identifiability(tuple(status), tuple(sentences), tuple(dict.fromkeys(determined)))


def unseen(fisher: np.ndarray) -> list[np.ndarray]:
    """Directions `(k,)` in which the information is nil, made as sparse as elimination can."""
    size = np.sqrt(np.maximum(np.diag(fisher), 0.0))
    blank = size == 0
    scale = np.where(blank, 1.0, size)
    values, vectors = np.linalg.eigh(fisher / np.outer(scale, scale))
    null = vectors[:, values < _UNSEEN * max(values.max(), 1e-300)] / scale[:, None]
    return _sparse(null.T)


def next_measurement(
    certainty: Certainty, design: np.ndarray, information: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""What one more reading would add, for each of many candidates.

    `design` `(candidate, k)` is $\partial\eta / \partial\varphi$ of each and `information`
    `(candidate,)` the noise's; returns the gain in $\log\det F$, $\log(1 + I\, s^\top C s)$
    (D-optimality; Fedorov 1972, section 2.5), and for each the factor by which the largest
    standard error relative to its prior's width would shrink.
    """
    covariance = certainty.posterior
    spread = np.einsum("ck,kl,cl->c", design, covariance, design) * information
    worst = int(np.argmax(np.sqrt(np.diag(covariance)) / certainty.width))
    along = (design @ covariance[:, worst]) ** 2 * information
    left = 1 - along / ((1 + spread) * covariance[worst, worst])
    return np.log1p(spread), np.sqrt(np.clip(left, 0.0, 1.0))


class _Said:
    """Sentences about latents, what holds of many records alike said once.

    `labels` `(k,)` are pairs of a latent and a record, -1 where it is shared, and `names` what
    they are called.
    """

    def __init__(self, labels: Sequence[tuple[int, int]], names: Sequence[str]):
        self.labels, self.names = labels, tuple(names)
        self.bare = tuple(
            name if record < 0 else name.rpartition("@")[0]
            for name, (_, record) in zip(names, labels, strict=True)
        )
        self.records = len({record for _, record in labels if record >= 0})
        self._said: dict[str, list[tuple[int, ...]]] = {}

    def called(self, parts: Sequence[int]) -> tuple[str, ...]:
        """The names for a sentence about `parts`: without a record if all of these are of one."""
        return self.names if self._record(parts) is None else self.bare

    def add(self, parts: Sequence[int], sentence: str) -> None:
        """A sentence about some of the latents."""
        self._said.setdefault(sentence, []).append(tuple(parts))

    def sentences(self) -> list[str]:
        """Every sentence once, with the records in which it holds."""
        return [self._where(sentence, held) for sentence, held in self._said.items()]

    def hardly(self, parts: Sequence[int], others: Mapping[int, Sequence[int]]) -> list[str]:
        """The latents that are worse known than their range, and `others` that each is exchanged
        with: a latent of many records in one sentence, with the partners that most of them have."""
        groups: dict[str, list[int]] = {}
        for k in parts:
            groups.setdefault(self.bare[k], []).append(k)
        sentences = []
        for name, held in groups.items():
            common = Counter(self.bare[i] for k in held for i in others[k])
            most = [other for other, times in common.most_common() if 2 * times > len(held)]
            where = self._of(held)
            if len(held) == 1:
                alike = self._record([held[0], *others[held[0]]]) is not None
                most = most if alike else [self.names[i] for i in others[held[0]]]
                name = name if alike else self.names[held[0]]
                where = f"record {self.names[held[0]].rpartition('@')[2]}" if alike else ""
            told = f"the data hardly say more about {name} than its range does"
            told += f"; it is exchanged with {_listed(most)}." if most else "."
            sentences.append(f"In {where}, {told}" if where else told[0].upper() + told[1:])
        return sentences

    def listed(self, parts: Sequence[int]) -> list[str]:
        """The names of some latents; one of many records with how many these are."""
        counts: dict[str, list[int]] = {}
        for k in parts:
            counts.setdefault(self.bare[k], []).append(k)
        return [
            self.names[held[0]] if len(held) == 1 else f"{name} (in {self._of(held)})"
            for name, held in counts.items()
        ]

    def _where(self, sentence: str, held: list[tuple[int, ...]]) -> str:
        if self._record(held[0]) is None:
            return sentence
        record = f"record {self.names[held[0][0]].rpartition('@')[2]}"
        where = self._of(held) if len(held) > 1 else record
        begun = sentence[0].lower() + sentence[1:] if sentence.startswith("The ") else sentence
        return f"In {where}, {begun}"

    def _of(self, held: Sequence[object]) -> str:
        return f"{len(held)} of {self.records} records"

    def _record(self, parts: Sequence[int]) -> int | None:
        """The one record that all of them are of, or None."""
        records = {self.labels[k][1] for k in parts}
        return records.pop() if len(records) == 1 and min(records) >= 0 else None


def _involved(direction: np.ndarray) -> list[int]:
    return np.flatnonzero(np.abs(direction) > 1e-3 * np.abs(direction).max()).tolist()


def _in_words(
    certainty: Certainty, direction: np.ndarray, names: tuple[str, ...]
) -> tuple[str, list[str]]:
    """A direction that is not seen, and the products that stay along it."""
    parts = _involved(direction)
    involved = [names[k] for k in parts]
    if len(parts) == 1:
        return f"The data say nothing about {involved[0]}.", []
    told = f"{_listed(involved)} cannot be told apart"
    if not certainty.is_log[parts].all():
        return f"{told}: a change of one is undone by the others.", []
    found = [
        text
        for a, b in itertools.pairwise(parts)
        if (text := _product(names[a], names[b], direction[b], direction[a]))
    ]
    if len(found) < len(parts) - 1:
        size = np.expm1(0.1 * direction / np.abs(direction).max())
        # what moves by less than the sentence can say does not take part
        moving = [k for k in parts if abs(size[k]) >= 0.005]
        told = f"{_listed([names[k] for k in moving])} cannot be told apart"
        moves = ", ".join(f"{names[k]} by {100 * size[k]:+.0f} %" for k in moving)
        return f"{told}: changing {moves} changes nothing.", found
    only = f"{told}: the data determine only {_listed(found)}."
    return f"{only} Fix one of them at a known value.", found


def _exchanged(covariance: np.ndarray, k: int) -> list[int]:
    """The two latents at most that a change of this one is undone by."""
    size = np.sqrt(np.abs(np.diag(covariance)))
    with np.errstate(invalid="ignore", divide="ignore"):
        together = np.nan_to_num(np.abs(covariance[k] / (size * size[k])))
    together[k] = 0
    return [int(i) for i in np.argsort(-together)[:2] if together[i] > 0.9]


def _product(a: str, b: str, power_a: float, power_b: float) -> str:
    """The product of powers that stays: $a^{p} / b^{q}$ with small whole numbers, or nothing."""
    if not (power_a and power_b):
        return ""
    ratio = Fraction(power_a / power_b).limit_denominator(4)
    if ratio == 0 or abs(float(ratio) - power_a / power_b) > 1e-3 * abs(power_a / power_b):
        return ""
    p, q = abs(ratio.numerator), abs(ratio.denominator)
    left = a if p == 1 else f"{a}^{p}"
    right = b if q == 1 else f"{b}^{q}"
    return f"{left}/{right}" if ratio > 0 else f"{left}*{right}"


def _sparse(rows: np.ndarray) -> list[np.ndarray]:
    """The same span by Gauss–Jordan elimination with pivots."""
    rows, done = rows.copy(), 0
    size = np.abs(rows).max() if rows.size else 0.0
    for _ in range(len(rows)):
        left = np.abs(rows[done:])
        if not left.size or left.max() < 1e-12 * size:
            break
        r, c = np.unravel_index(int(np.argmax(left)), left.shape)
        rows[[done, done + r]] = rows[[done + r, done]]
        rows[done] /= rows[done, c]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, c], rows[done])
        done += 1
    return [np.where(np.abs(row) < 1e-6, 0.0, row) for row in rows[:done]]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
