"""The search: supports from regressions, fits of the best of them, and the one to believe."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ._candidate import Candidate
from ._elsewhere import Elsewhere
from ._forms import FORMS, rows
from ._library import PERIODIC, PLAIN, TURN, Family, Term, polynomial
from ._records import Noise, Record, profiled
from ._shooting import Shooter, Shot, Windows, course_records, windows
from ._sparse import best_subsets, normal, thresholded

Say = Callable[[str], None]
_MOST_TERMS = 6
# fewer readings of a state than this are sparse
_SPARSE = 120
_SHORTLIST = 4
# criteria this much worse than the best are not looked at further
MARGIN = 15.0
# what a factor costs: a sine of a short arc, or of what never changes its sign, is rarely meant
_FACTOR_PRICE, _SHORT_PRICE, _ONE_SIGN_PRICE = 2.0, 10.0, 6.0


@dataclass(frozen=True, eq=False)
class Row:
    """One right side of a state: its terms, first coefficients, and its criterion."""

    terms: tuple[Term, ...]
    coefficients: np.ndarray
    score: float
    family: str


@dataclass(frozen=True, eq=False)
class Scored:
    """A fitted candidate with its criterion, lower is better."""

    shot: Shot
    score: float


class TermPrices:
    """What the criterion asks for terms, on states that were seen at `x` `(n, state)`: BIC's price,
    and that of choosing each term out of those that are no less simple (extended BIC, Chen and
    Chen 2008, Biometrika 95:759)."""

    def __init__(self, x: np.ndarray, libraries: Sequence[Family]):
        self._every = len({term.shape for f in libraries for term in f.terms})
        self._arcs = np.ptp(x, axis=0)
        self._one_sign = np.asarray(x.min(axis=0) * x.max(axis=0) > 0)

    def of(self, terms: Sequence[Term], count: int) -> float:
        """The price of a right side for `count` readings."""
        numbers = sum(1 + len(term.inner) for term in terms)
        choice = sum(2 * np.log(self._rivals(term)) + self._extra(term) for term in terms)
        return numbers * float(np.log(max(count, 2))) + float(choice)

    def _rivals(self, term: Term) -> int:
        """How many terms there are that are as simple as this one or simpler."""
        if term.name:
            return self._every
        degree = max(1, sum(term.powers))
        return math.comb(degree + len(term.powers), degree)

    def _extra(self, term: Term) -> float:
        if not term.name:
            return 0.0
        if term.name in PERIODIC and any(self._arcs[i] < TURN for i in term.of):
            return _SHORT_PRICE
        if term.name in PERIODIC and any(self._one_sign[i] for i in term.of):
            return _ONE_SIGN_PRICE
        return _FACTOR_PRICE


@dataclass(eq=False)
class Search:
    """What is searched, and what has been fitted so far."""

    records: list[Record]
    noise: Noise
    libraries: Sequence[Family]
    say: Say
    cut: Windows = field(init=False)
    shooter: Shooter = field(init=False)
    fitted: dict[Candidate, Scored] = field(default_factory=dict)
    tried: int = 0
    prices: TermPrices = field(init=False)
    elsewhere: Elsewhere = field(init=False)

    def __post_init__(self) -> None:
        x = np.concatenate([r.x for r in self.records])
        self.prices = TermPrices(x, self.libraries)
        self.elsewhere = Elsewhere(self.records)
        self._cut()

    def _cut(self) -> None:
        x = np.concatenate([r.x for r in self.records])
        self.cut = windows(self.records, self.noise)
        self.shooter = Shooter(self.cut, x.std(axis=0) + 1e-9 * np.abs(x).max() + 1e-300)

    def reweighed(self, best: Scored) -> Scored:
        """The best candidate fitted again with the noise's profile taken from its own course,
        and every other forgotten: their criteria were of other weights."""
        if not self.noise.grows.any():
            return best
        courses = course_records(self.records, self.cut, best.shot)
        self.records, self.noise = profiled(self.records, [one.x for one in courses], self.noise)
        self._cut()
        self.fitted.clear()
        again = self.fit(best.shot.candidate, best.shot.theta, best.shot.starts)
        return best if again is None else again

    def first_starts(self, shot: Shot) -> list[np.ndarray]:
        """Where each record of a fitted candidate starts."""
        return [shot.starts[j] for j, (_, a, _) in enumerate(self.cut.places) if a == 0]

    @property
    def count(self) -> int:
        """How many readings of a state there are, on average."""
        return int(self.shooter.count.mean())

    def shortlist(self, records: Sequence[Record], state: int) -> list[Row]:
        """The best right sides of a state, over libraries, forms, sizes and thresholds."""
        found: dict[tuple[Term, ...], Row] = {}
        for family in self.libraries:
            terms = family.terms
            judge = normal(rows("integral", records, terms, state))
            supports = set()
            for form in FORMS:
                problem = judge if form == "integral" else normal(rows(form, records, terms, state))
                supports |= set(best_subsets(problem, most=_MOST_TERMS, keep=2))
                supports |= {s for s in thresholded(problem) if len(s) <= _MOST_TERMS + 2}
            by_size: dict[int, list] = {}
            for s in supports:
                by_size.setdefault(len(s), []).append(s)
            for listed in by_size.values():
                left = judge.left_over(listed)
                for support, rest in zip(listed, left, strict=True):
                    row = tuple(terms[j] for j in support)
                    n = judge.count
                    score = n * np.log(rest / n + self.noise.floor[state] ** 2)
                    score += self.prices.of(row, self.count)
                    if row not in found or score < found[row].score:
                        found[row] = Row(row, judge.coefficients(support), score, family.name)
        ranked = sorted(found.values(), key=lambda row: row.score)
        return _diverse(ranked)

    def criterion(self, shot: Shot) -> float:
        """$\\sum_i n_i \\log(\\mathrm{misfit}_i / n_i)$ with the floor, and the price of every
        right side."""
        return self._likelihood(shot.misfit) + self._price(shot.candidate)

    def _likelihood(self, misfit: np.ndarray) -> float:
        count = self.shooter.count
        mean = misfit / count * self.noise.scale**2
        return float((count * np.log(mean + self.noise.floor**2)).sum())

    def _price(self, candidate: Candidate) -> float:
        return sum(self.prices.of(row, self.count) for row in candidate.rows)

    def fit(self, candidate: Candidate, theta: np.ndarray, starts=None) -> Scored | None:
        """The candidate fitted to the courses, once."""
        if candidate in self.fitted:
            return self.fitted[candidate]
        if not all(candidate.rows):
            return None
        self.tried += 1
        price, best = (
            self._price(candidate),
            min((one.score for one in self.fitted.values()), default=np.inf),
        )
        shot = self.shooter.fit(
            candidate,
            theta,
            starts=starts,
            hopeless=lambda misfit: self._likelihood(misfit) + price > best + MARGIN,
        )
        if shot is None:
            return None
        score = self.criterion(shot)
        if score < best:
            score += self.elsewhere.price(candidate, shot.theta, shot.substeps)
        scored = Scored(shot, score)
        self.fitted[candidate] = scored
        return scored


def _diverse(ranked: Sequence[Row]) -> list[Row]:
    """The best few right sides; of those that differ only in an inner number the best one, not
    all from one library, and always the best polynomials of low degree."""
    kept: list[Row] = []
    shapes: set[tuple[Term, ...]] = set()
    of_family: dict[str, int] = {}
    for row in ranked:
        shape = tuple(term.shape for term in row.terms)
        seen = of_family.get(row.family, 0)
        plain = row.family in PLAIN and not seen
        if shape in shapes or seen >= 2 or (len(kept) >= _SHORTLIST and not plain):
            continue
        shapes.add(shape)
        of_family[row.family] = seen + 1
        kept.append(row)
    return kept


def assemble(chosen: Sequence[Row]) -> tuple[Candidate, np.ndarray]:
    """The candidate of one right side for each state, with its first numbers."""
    candidate = Candidate(tuple(row.terms for row in chosen))
    theta = np.concatenate([row.coefficients for row in chosen])
    return candidate, np.concatenate([theta, candidate.inner])


def search(work: Search) -> list[Scored]:
    """All fitted candidates, the best first."""
    records, d = work.records, work.records[0].x.shape[1]
    best: Scored | None = None
    for turn in range(3):
        lists = [work.shortlist(records, i) for i in range(d)]
        found = _coordinate(work, lists, best)
        if found is None:
            break
        found = _pruned(work, found)
        if best is not None and found.score >= best.score - 1e-9:
            break
        best = work.reweighed(found) if turn == 0 else found
        work.say(f"round {turn + 1}: {work.tried} candidates fitted")
        records = course_records(work.records, work.cut, best.shot)
    if best is not None and work.count < _SPARSE:
        _exchanged(work, best)
    return sorted(work.fitted.values(), key=lambda one: one.score)


def _coordinate(work: Search, lists: Sequence[Sequence[Row]], best: Scored | None):
    """The best combination found by exchanging one state's right side at a time."""
    current = [rows[0] for rows in lists]
    held = work.fit(*assemble(current))
    for i, listed in enumerate(lists):
        for row in listed[1:]:
            trial = [*current[:i], row, *current[i + 1 :]]
            scored = work.fit(*assemble(trial))
            if scored is not None and (held is None or scored.score < held.score):
                held, current = scored, trial
    if best is None or (held is not None and held.score < best.score):
        return held
    return best


def _pruned(work: Search, best: Scored) -> Scored:
    """Terms removed one after the other for as long as the criterion falls."""
    while True:
        shot = best.shot
        k = shot.candidate.coefficients
        variance = np.diag(np.linalg.pinv(shot.information))[:k]
        order = np.argsort(np.abs(shot.theta[:k]) / np.sqrt(np.maximum(variance, 1e-300)))
        for place in order[:3].tolist():
            candidate = shot.candidate.without(place)
            theta = without_number(shot, place, candidate)
            scored = work.fit(candidate, theta, shot.starts)
            if scored is not None and scored.score < best.score:
                best = scored
                break
        else:
            return best


def _exchanged(work: Search, best: Scored) -> None:
    """Single terms exchanged for, and joined by, others of degree two, for as long as that helps:
    a smoothed course of few readings proposes too little, and fits of few readings are cheap."""
    simple = polynomial(len(best.shot.candidate.rows), 2)
    while True:
        held = best
        records = course_records(work.records, work.cut, best.shot)
        for i, row in enumerate(held.shot.candidate.rows):
            new = [term for term in simple if term not in row]
            trials = [(*row[:j], term, *row[j + 1 :]) for j in range(len(row)) for term in new]
            trials += [(*row, term) for term in new]
            for trial in trials:
                candidate = held.shot.candidate.with_row(i, trial)
                scored = work.fit(candidate, _numbers(held.shot, candidate, i, records))
                if scored is not None and scored.score < best.score:
                    best = scored
        if best is held:
            return
        best = _pruned(work, best)


def _numbers(shot: Shot, candidate: Candidate, state: int, records: Sequence[Record]) -> np.ndarray:
    """The numbers of a fitted candidate with another right side for one state, whose coefficients
    are those of a regression on the fitted course."""
    k, parts = 0, []
    for i, row in enumerate(shot.candidate.rows):
        if i == state:
            problem = normal(rows("integral", records, candidate.rows[i], i))
            parts.append(problem.coefficients(tuple(range(len(candidate.rows[i])))))
        else:
            parts.append(shot.theta[k : k + len(row)])
        k += len(row)
    return np.concatenate([*parts, candidate.inner])


def without_number(shot: Shot, place: int, candidate: Candidate) -> np.ndarray:
    """The numbers of a candidate that has lost one coefficient."""
    k = shot.candidate.coefficients
    coefficients = np.delete(shot.theta[:k], place)
    inner, at = {}, k
    for term in shot.candidate.terms:
        inner[term] = shot.theta[at : at + len(term.inner)]
        at += len(term.inner)
    return np.concatenate([coefficients, *(inner[term] for term in candidate.terms)])
