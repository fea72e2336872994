r"""Attributes as directions among latents: sums of codes, edits, and what an edit does besides.

An attribute is anything that is known of some observations, a factor or a label. Its direction is
read off their codes by linear regression, in the standard normal scores of the latents, so that one
step means the same for every prior. Whether turning it turns anything else is measured on what
comes out, and not among the codes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ._many import many
from ._model import require

# the ridge of the regressions, in standardised units: enough that a latent which never varies
# does no harm
_RIDGE = 1e-3
# an effect below this is not worth a sentence
_LITTLE = 0.1


@dataclass(frozen=True, eq=False)
class Attributes:
    """Directions of known attributes among the standard scores of a model's latents.

    `directions` `(attribute, latent)`: the step that turns each attribute by one of its standard
    deviations; `explained`, the share of each attribute's variance that the codes tell, by five
    parts of the data each left out in turn; `mean` and `std` of each.
    """

    names: tuple[str, ...]
    directions: Float[np.ndarray, "attribute latent"]
    explained: Float[np.ndarray, " attribute"]
    mean: Float[np.ndarray, " attribute"]
    std: Float[np.ndarray, " attribute"]

    def index(self, name: str) -> int:
        """The place of the attribute called `name`."""
        if name not in self.names:
            raise ValueError(f"no attribute is called '{name}'; there are {', '.join(self.names)}.")
        return self.names.index(name)


@dataclass(frozen=True, eq=False)
class Effects:
    """What turning each attribute does to all of them.

    `matrix` `(turned, changed)`: by how many of its standard deviations an attribute changes where
    one is turned by one of its own, the mean over observations; `spread`, the deviation over them.
    """

    names: tuple[str, ...]
    matrix: Float[np.ndarray, "turned changed"]
    spread: Float[np.ndarray, "turned changed"]

    def words(self) -> list[str]:
        """A sentence for each attribute, with everything that it also turns."""
        sentences = []
        for i, name in enumerate(self.names):
            own = f"Turning {name} by one deviation turns it by {self.matrix[i, i]:+.2f}"
            besides = [
                f"{other} by {self.matrix[i, j]:+.2f}"
                for j, other in enumerate(self.names)
                if j != i and abs(self.matrix[i, j]) >= _LITTLE
            ]
            also = f"; it also turns {', '.join(besides)}" if besides else " and little else"
            sentences.append(f"{own}{also}.")
        return sentences


def attribute_directions(
    model: Any,
    xs: Num[np.ndarray, "n ..."],
    values: Num[np.ndarray, "row attribute"],
    names: Sequence[str],
    *,
    hold_others: bool = True,
) -> Attributes:
    r"""Reads the directions of attributes off the codes of observations `xs` whose `values` are
    known.

    With standardised values $a \approx W e$ of the scores $e$, an attribute is turned along the
    column of the pseudo-inverse of $W$ that leaves the other attributes where they are; without
    `hold_others` along its own row, $w_i / |w_i|^2$, which takes along whatever is correlated with
    it.

    **Raises:** `TypeError` for a model that cannot encode and decode, `ValueError` for values that
    do not fit the observations or never vary.
    """
    require(model, "encoder", "decoder", tool="attribute_directions")
    values = _checked(xs, values, names)
    mean, std = values.mean(0), values.std(0)
    still = [name for name, s in zip(names, std, strict=True) if s == 0]
    if still:
        raise ValueError(
            f"'{still[0]}' has one value only, so that nothing turns it; leave it out."
        )
    scores = _scores(model, xs)
    wanted = (values - mean) / std
    weights = _ridge(scores, wanted)
    if hold_others:
        directions = np.linalg.pinv(weights).T
    else:
        directions = weights / np.maximum((weights**2).sum(1, keepdims=True), 1e-12)
    explained = _cross_validated(scores, wanted)
    return Attributes(tuple(names), directions, explained, mean, std)


def edit(
    model: Any, x: Num[Array | np.ndarray, "..."], attributes: Attributes, name: str, amount: float
) -> Num[np.ndarray, "..."]:
    """`x` encoded, the attribute called `name` turned by `amount` standard deviations, decoded."""
    require(model, "encoder", "decoder", tool="edit")
    step = amount * attributes.directions[attributes.index(name)]
    return np.asarray(_edited(model, jnp.asarray(x, float), jnp.asarray(step, float)))


def combine(
    model: Any,
    plus: Sequence[Num[Array | np.ndarray, "..."]],
    minus: Sequence[Num[Array | np.ndarray, "..."]] = (),
) -> Num[np.ndarray, "..."]:
    r"""The observation at $\sum_i e(x_i^+) - \sum_j e(x_j^-)$: arithmetic of codes, in standard
    scores (Mikolov et al. 2013; Radford et al. 2016, section 6.3.2).

    `combine(model, [a, c], [b])` is to c as a is to b.
    """
    require(model, "encoder", "decoder", tool="combine")
    if not plus:
        raise ValueError("nothing was given to add; give at least one observation.")
    total = sum(_scores(model, np.asarray(plus)))
    if minus:
        total = total - sum(_scores(model, np.asarray(minus)))
    return np.asarray(model.decode(model.latents.from_normal(jnp.asarray(total, float))))


def cross_effects(
    model: Any,
    xs: Num[np.ndarray, "n ..."],
    attributes: Attributes,
    measure: Callable[[Any], Any],
    *,
    amount: float = 1.0,
) -> Effects:
    """Turns each attribute of each of `xs` by `amount` and measures all of them on what comes out,
    against what comes out unturned.

    **Arguments:** `measure`, from many observations `(n, ...)` to their attributes `(n,
    attribute)`: the true ones where they can be computed, or `linear_measure`.
    """
    require(model, "encoder", "decoder", tool="cross_effects")
    x = np.asarray(xs, np.float32)
    steps = np.concatenate([np.zeros_like(attributes.directions[:1]), attributes.directions])
    found = []
    for step in amount * steps:
        turned = many(eqx.Partial(_edited_by, model, jnp.asarray(step, jnp.float32)), x)
        found.append(np.asarray(measure(turned), float))
    change = (np.stack(found[1:]) - found[0]) / (amount * attributes.std)
    return Effects(attributes.names, change.mean(1), change.std(1))


def linear_measure(
    xs: Num[np.ndarray, "n ..."], values: Num[np.ndarray, "row attribute"]
) -> Callable[[Any], Float[np.ndarray, "n attribute"]]:
    """A measure of attributes from observations alone: ridge regression on their entries, for where
    no formula gives the attributes. It sees what is linear in them."""
    x = np.asarray(xs, float).reshape(len(xs), -1)
    values = _checked(xs, values, [""] * np.asarray(values).shape[1])
    centre, unit = x.mean(0), x.std() or 1.0
    mean, std = values.mean(0), np.maximum(values.std(0), 1e-12)
    weights = _ridge((x - centre) / unit, (values - mean) / std)

    def measure(observations: Any) -> np.ndarray:
        flat = np.asarray(observations, float).reshape(len(observations), -1)
        return mean + std * ((flat - centre) / unit @ weights.T)

    return measure


def _checked(xs: Any, values: Any, names: Sequence[str]) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 2 or len(values) != len(xs) or values.shape[1] != len(names):
        raise ValueError(
            f"values of shape {values.shape} were given for {len(xs)} observations and "
            f"{len(names)} names; give one row for each observation, one column for each name."
        )
    if not np.isfinite(values).all():
        raise ValueError("some values are not known; leave out the observations that lack them.")
    return values


def _scores(model: Any, xs: Any) -> np.ndarray:
    return many(eqx.Partial(_score, model), np.asarray(xs, np.float32))


def _score(model: Any, x: Array) -> Array:
    return model.latents.to_normal(model.encode(x))


def _edited_by(model: Any, step: Array, x: Array) -> Array:
    return model.decode(model.latents.from_normal(_score(model, x) + step))


@eqx.filter_jit
def _edited(model: Any, x: Array, step: Array) -> Array:
    return _edited_by(model, step, x)


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights `(output, input)` of y on x, both centred by their own means."""
    x, y = x - x.mean(0), y - y.mean(0)
    gram = x.T @ x / len(x) + _RIDGE * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ y / len(x)).T


def _cross_validated(x: np.ndarray, y: np.ndarray, folds: int = 5) -> np.ndarray:
    place, left = np.arange(len(x)) % folds, np.zeros(y.shape[1])
    for fold in range(folds):
        here, there = place == fold, place != fold
        weights = _ridge(x[there], y[there])
        guess = y[there].mean(0) + (x[here] - x[there].mean(0)) @ weights.T
        left += ((y[here] - guess) ** 2).sum(0)
    return 1 - left / np.maximum(((y - y.mean(0)) ** 2).sum(0), 1e-12)
