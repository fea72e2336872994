"""What the card says, in sentences made of its numbers alone.

A recipe is called ahead only where the bootstrap interval of `_paired.difference` leaves out
zero; otherwise the two tie. Times are compared by their ranges over seeds.
"""

from ._density import DENSITY
from ._paired import LEAST_SEEDS, LEAST_UNITS
from ._parameters import PARAMETERS
from ._repeated import REPEATED
from ._seconds import SECONDS
from ._standing import Place, Standing, standing
from ._trial import Trial
from ._words import listed, number, span, with_unit


def verdict(trial: Trial) -> tuple[str, ...]:
    """Sentences for each purpose: the lowest error, little data, how likely, how cheap."""
    shares = sorted(trial.sizes)
    whole = standing(trial, REPEATED, shares[-1], trial.names)
    sentences = [*_errors(trial, whole, shares[-1])]
    if len(shares) > 1:
        little = standing(trial, REPEATED, shares[0], trial.names)
        sentences += _errors(trial, little, shares[0])
    sentences += _likely(trial, shares[-1])
    if whole is not None:
        sentences += _cheap(trial, whole, shares[-1])
    return tuple(sentences)


def _errors(trial: Trial, found: Standing | None, share: float) -> list[str]:
    """Who has the lowest error with this share of the training data."""
    head = f"With {trial.size(share)}"
    unit = REPEATED.unit(trial.schema)
    if found is None:
        return [f"{head} no recipe has an error for every seed, so nothing is said of errors."]
    if len(found.places) == 1:
        return [f"{head} only {_named(trial, found.best, unit)}, has an error."]
    sentences = [f"{head}, {_ranked(trial, found, 'the lowest error', unit)}"]
    level = [place.name for place in found.tied if place.name in trial.baselines]
    if found.is_enough and level and len(trial.names) > len(trial.baselines):
        sentences.append(f"So no recipe is ahead of the baseline {listed(level)} there.")
    return sentences


def _ranked(trial: Trial, found: Standing, what: str, unit: str) -> str:
    """Who is first, who ties with it, who is next and by how much."""
    if not found.is_enough:
        return _undecided(trial, found, what, unit)
    tied, rest = found.tied, found.left_behind
    names = listed([_named(trial, place, unit) for place in tied])
    words = f"{names}, {'tie for' if len(tied) > 1 else 'has'} {what}"
    if not rest:
        return f"{words}."
    after = rest[0]
    assert after.behind is not None
    gap = with_unit(number(after.behind.value, 3), unit)
    interval = f"{number(after.behind.low, 3)} to {number(after.behind.high, 3)}"
    by = f"by {gap} on average (95 % interval {interval})"
    if len(tied) > 1:
        return f"{words}; {_named(trial, after, unit)}, is behind {by}."
    return f"{words}, ahead of {_named(trial, after, unit)}, {by}."


def _undecided(trial: Trial, found: Standing, what: str, unit: str) -> str:
    second = found.places[1]
    behind = second.behind
    assert behind is not None
    return (
        f"{_named(trial, found.best, unit)}, has {what} before {_named(trial, second, unit)}, but "
        f"{_counted(behind.seeds, 'seed')} and {_counted(behind.units, trial.unit_noun)} are not "
        f"enough to tell that from chance: it takes {LEAST_SEEDS} and {LEAST_UNITS}."
    )


def _named(trial: Trial, place: Place, unit: str) -> str:
    """A recipe with its number, as a clause that wants a comma after it."""
    entry = place.entry
    words = f"{with_unit(number(entry.median), unit)} {span(entry.low, entry.high)}".strip()
    return f"{trial.called(place.name)}, {words}"


def _likely(trial: Trial, share: float) -> list[str]:
    """Who finds the test data most likely, each kind of density by itself."""
    kinds: dict[str, list[str]] = {}
    for name in trial.names:
        entry = trial.entry(name, DENSITY, share)
        if entry is not None:
            kinds.setdefault(entry.kind, []).append(name)
    sentences = []
    for kind, names in kinds.items():
        found = None if kind == "unnormalised" else standing(trial, DENSITY, share, names)
        if found is None:
            continue
        if len(found.places) == 1:
            alone = _named(trial, found.best, "nats")
            sentences.append(f"Of the log-densities, one is of the kind '{kind}': {alone}.")
        else:
            ranked = _ranked(trial, found, "the highest log-density", "nats")
            sentences.append(f"Of the log-densities of the kind '{kind}', {ranked}")
    return sentences + _across(trial, kinds, share)


def _across(trial: Trial, kinds: dict[str, list[str]], share: float) -> list[str]:
    """The one thing that two kinds say of each other: a bound above an exact value."""
    if not {"exact", "bound"} <= set(kinds):
        return []
    names = kinds["exact"] + kinds["bound"]
    found = standing(trial, DENSITY, share, names)
    if found is None or not found.is_enough:
        return []
    exact = [p for p in found.places if p.name in kinds["exact"]]
    if found.best.name in kinds["bound"]:
        above = f"The bound of {trial.called(found.best.name)} lies above every exact value"
        if all(p in found.left_behind for p in exact):
            return [f"{above}, so its model finds the test data more likely."]
        return [f"{above}, but by no more than chance would give."]
    return [
        "No bound lies above every exact value, which says nothing about the models behind the "
        "bounds."
    ]


def _cheap(trial: Trial, found: Standing, share: float) -> list[str]:
    """What the models with the lowest error cost."""
    if not found.is_enough or len(found.places) == 1:
        return []
    times = {p.name: trial.entry(p.name, SECONDS, share) for p in found.tied}
    known = {name: entry for name, entry in times.items() if entry is not None}
    if not known:
        return []
    order = sorted(known, key=lambda name: known[name].median)
    first, rest = order[0], order[1:]
    level = [name for name in rest if known[name].low <= known[first].high]
    if not rest:
        return [f"To fit it, {trial.called(first)} took {_cost(trial, first, share)}."]
    cheap = listed([trial.called(name) for name in (first, *level)])
    words = f"{cheap} tie for the least time" if level else f"{cheap} is the cheapest"
    costs = [f"{trial.called(name)} took {_cost(trial, name, share)}" for name in order]
    return [f"Of those that tie for the lowest error, {words}: {listed(costs)}."]


def _cost(trial: Trial, name: str, share: float) -> str:
    seconds, size = (trial.entry(name, row, share) for row in (SECONDS, PARAMETERS))
    assert seconds is not None
    words = f"{number(seconds.median)} s"
    return words if size is None else f"{words} and has {number(size.median)} fitted numbers"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
