"""What equilibria mean, in words: where a system ends, who survives, and how surely."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float

from ._arrays import Equilibrium
from ._equilibria import equilibria_of_many
from ._field import Corner, Field

_ABSENT = 1e-6


@dataclass(frozen=True, eq=False)
class Survival:
    """How often each outcome held over draws of the latents.

    **Arguments:** `probabilities`, outcome to share of the draws, the commonest first;
    `errors`, the standard error of each share, $\\sqrt{p (1 - p) / n}$; `outcomes`, the outcome
    of every draw; `sentences`, the same in words.
    """

    probabilities: dict[str, float]
    errors: dict[str, float]
    outcomes: tuple[str, ...]
    sentences: tuple[str, ...]


def describe(found: Sequence[Equilibrium], names: Sequence[str]) -> list[str]:
    """A plain sentence for each equilibrium: where it is, of what kind, who is excluded.

    A component is excluded where it is 0, nobody is negative, and its rate is 0 whenever it is
    absent: a population, which cannot come from nothing.

    **Raises:** `ValueError` where there is not one name for each component.
    """
    _check_names(found, names)
    absent = _absent(found)
    sentences = []
    for e, gone in zip(found, absent, strict=True):
        place = ", ".join(f"{n} = {_number(v)}" for n, v in zip(names, e.x, strict=True))
        text = f"{place}: {_kind_in_words(e)}"
        if e.is_stable and gone.any():
            text += f", {_all_of(_named(names, gone))} excluded"
        sentences.append(text)
    return sentences


def outcome(found: Sequence[Equilibrium], names: Sequence[str]) -> str:
    """In a few words, how it ends: "x1 excludes x2", "x1 and x2 coexist", "depends on the start".

    Only stable equilibria count. Where components are populations (see `describe`) it says who
    is left; otherwise how many states it can come to rest in.

    **Raises:** `ValueError` where there is not one name for each component.
    """
    _check_names(found, names)
    absent = _absent(found)
    stable = [i for i, e in enumerate(found) if e.is_stable]
    if not stable:
        return "no stable equilibrium"
    if not any(gone.any() for gone in absent):
        return "one stable equilibrium" if len(stable) == 1 else _several(len(stable))
    ends = sorted({_fate(names, absent[i]) for i in stable})
    if len(ends) > 1:
        return f"depends on the start: {' or '.join(ends)}"
    return ends[0] if len(stable) == 1 else f"{ends[0]}, in {_several(len(stable))}"


def survivors(
    field_of: Callable[[Array], Field],
    zs: Float[np.ndarray | Array, "draw latent"],
    names: Sequence[str],
    low: Corner,
    high: Corner,
    *,
    starts: int = 48,
) -> Survival:
    """With what probability each outcome holds, over draws of the latents such as a posterior's.

    **Arguments:** `field_of(z)`, the field for latents `z` `(latent,)`; `zs` `(draw, latent)`;
    `names` of the components; `low`, `high` `(state,)`, a box that holds the equilibria of every
    draw; `starts` of the search, for each draw.

    **Raises:** `ValueError` as `equilibria` and `outcome` do.
    """
    if np.ndim(zs) != 2 or len(zs) == 0:
        raise ValueError(
            f"zs has shape {np.shape(zs)}; give one row of latents for each draw, such as the "
            "draws of a posterior."
        )
    searched = equilibria_of_many(field_of, zs, low, high, starts=starts)
    outcomes = tuple(outcome(found, names) for found in searched)
    words, counts = np.unique(outcomes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    n = len(outcomes)
    shares = {str(words[i]): float(counts[i] / n) for i in order}
    errors = {word: float(np.sqrt(p * (1 - p) / n)) for word, p in shares.items()}
    sentences = tuple(
        f"{word}: {100 * p:.3g} % of {n} draws (standard error {100 * errors[word]:.1g} %)"
        for word, p in shares.items()
    )
    return Survival(shares, errors, outcomes, sentences)


def _check_names(found: Sequence[Equilibrium], names: Sequence[str]) -> None:
    if any(len(e.x) != len(names) for e in found):
        raise ValueError(
            f"{len(names)} names were given for a state of {len(found[0].x)} components; give "
            "one for each."
        )


def _absent(found: Sequence[Equilibrium]) -> list[np.ndarray]:
    """For each equilibrium, which components are populations that are not there."""
    if not found:
        return []
    x = np.stack([e.x for e in found])
    size = np.maximum(np.abs(x).max(axis=0), 1e-300)
    nobody_negative = bool((x >= -_ABSENT * size).all())
    result = []
    for e in found:
        zero = np.abs(e.x) <= _ABSENT * size
        others = np.where(np.eye(len(e.x), dtype=bool), 0.0, np.abs(e.jacobian)).max(axis=1)
        alone = others <= _ABSENT * np.abs(e.jacobian).max()
        # in one dimension every rate is alone; a population then grows or shrinks from 0
        lives = len(e.x) > 1 or len(found) > 1
        result.append(zero & alone & nobody_negative & lives)
    return result


def _fate(names: Sequence[str], gone: np.ndarray) -> str:
    left, lost = _named(names, ~gone), _named(names, gone)
    if not left:
        return f"{_list(lost)} {'dies' if len(lost) == 1 else 'die'} out"
    if not lost:
        return f"{left[0]} survives" if len(left) == 1 else f"{_list(left)} coexist"
    return f"{_list(left)} {'excludes' if len(left) == 1 else 'exclude'} {_list(lost)}"


def _several(n: int) -> str:
    words = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
    return f"{words.get(n, str(n))} stable equilibria"


def _kind_in_words(e: Equilibrium) -> str:
    if e.kind == "centre":
        return "centre (of the linearised field)"
    if e.kind in ("degenerate", "line of equilibria"):
        leave = "" if not e.unstable else f", {e.unstable} unstable {_directions(e.unstable)}"
        point = "degenerate, an eigenvalue is zero" if e.kind == "degenerate" else e.kind
        return point + leave
    if e.kind.startswith("saddle") and len(e.x) > 2:
        return f"{e.kind}, {e.unstable} unstable {_directions(e.unstable)}"
    return e.kind


def _directions(n: int) -> str:
    return "direction" if n == 1 else "directions"


def _named(names: Sequence[str], which: np.ndarray) -> list[str]:
    return [name for name, here in zip(names, which, strict=True) if here]


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _all_of(words: Sequence[str]) -> str:
    return f"{_list(words)} {'is' if len(words) == 1 else 'are'}"


def _number(value: float) -> str:
    return f"{value + 0.0:.4g}"
