"""What an attribution is worth: the checks that go with every one."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array
from scipy.stats import rankdata

from .._many import precision
from .._model import AbstractLayered, Key
from ..targets import Target
from ._attribution import Attribution, Method, inputs
from ._fill import AbstractFill, neutral
from ._gradient import gradient_times_input, integrated_gradients
from ._order import Null, Orders, Walk, areas, deletion_insertion, shuffled

#: A gradient is said to have vanished where it attributes less than this share of what integrated
#: gradients do.
_VANISHED = 0.1


@dataclass(frozen=True, eq=False)
class Redrawn:
    """What is left of an attribution when the model's weights are redrawn (Adebayo et al. 2018):
    `rank`, Spearman's correlation of the sizes of its values with those of a model whose weights
    are shuffled within each array, mean over the inputs, for each redraw; `area`, what a
    deletion from the true model in the order of the other's attribution comes to, for each redraw.
    Both are empty where the model has no weights."""

    rank: np.ndarray
    area: np.ndarray


@dataclass(frozen=True, eq=False)
class Trust:
    """An attribution with its checks.

    `completeness` `(n,)`, as the attribution's; `orders`, deletion and insertion; `redrawn`, the
    check with other weights; `spread`, the root mean square over keys of what the values differ by
    from their mean, over the root mean square of the values, 0 where nothing is drawn; `saturated`
    `(n,)`, where the gradient at the input vanishes though it does not along the path to it, so
    that a saliency says nothing.
    """

    attribution: Attribution
    completeness: np.ndarray
    orders: Orders
    redrawn: Redrawn
    spread: float
    keys: int
    saturated: np.ndarray

    def sentence(self) -> str:
        """The checks in words."""
        n, random = len(self.completeness), self.orders.deletion.random
        parts = []
        if np.isfinite(self.completeness).any():
            parts.append(f"completeness error {_percent(np.nanmedian(self.completeness))}")
        for word, order in (
            ("deletes", self.orders.deletion), ("inserts", self.orders.insertion)
        ):  # fmt: skip
            parts.append(f"{word} better than {100 * order.beaten:.0f} % of {len(random)} random "
                         f"orders (area {order.area:.2f} against {order.random.mean():.2f} ± "
                         f"{order.random.std():.2f})")  # fmt: skip
        if len(self.redrawn.rank):
            parts.append(
                f"with redrawn weights rank correlation {np.median(self.redrawn.rank):.2f}, area "
                f"{np.median(self.redrawn.area):.2f}"
            )
        if self.attribution.drawn:
            parts.append(f"spread over {self.keys} keys {_percent(self.spread)}")
        if self.saturated.any():
            parts.append(f"the gradient is saturated at {self.saturated.sum()} of {n}")
        return "; ".join(parts) + "."


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def trusted(
    method: Method,
    target: Target,
    x: np.ndarray | Array,
    *,
    conditions: Any = None,
    fill: AbstractFill | None = None,
    baseline: np.ndarray | Array | float | None = None,
    orders: int = 100,
    null: Null = shuffled,
    redraws: int = 3,
    keys: int = 3,
    steps: int = 16,
    seed: int = 0,
    quiet: bool = True,
) -> Trust:
    """An attribution by `method` of a target at `x` `(n, *input)`, with all of its checks.

    **Arguments:** `method`, such as `saliency`, or with options of its own a `functools.partial`
    of it; `fill`, what stands in the place of what is deleted, the `baseline` where None;
    `baseline`, what saturation is looked for from, zeros where None; so many random `orders`,
    drawn as `null` says, `redraws` of the weights, and `keys` where the method draws; `seed` of
    it all; with `quiet` false a bar on stderr.
    """
    x = inputs(target, x)
    fill = neutral(0.0 if baseline is None else np.asarray(baseline)) if fill is None else fill
    root = jax.random.key(seed)
    first = method(target, x, conditions=conditions, key=root)

    found = deletion_insertion(
        target, x, first.ranking, fill=fill, orders=orders, null=null, conditions=conditions,
        seed=seed, steps=steps, quiet=quiet,
    )  # fmt: skip
    walk = Walk.start(target, fill, steps=steps)
    several = [first.values]
    if first.drawn:
        for key in jax.random.split(root, max(1, keys) - 1):
            several.append(method(target, x, conditions=conditions, key=key).values)
    ranks, lost = [], []
    for key in jax.random.split(jax.random.fold_in(root, 1), redraws if _weights(target) else 0):
        other = method(redrawn(target, key), x, conditions=conditions, key=root)
        ranks.append(rank_correlation(first.values, other.values, x))
        lost.append(areas(walk.curves(x, other.ranking, conditions, seed=seed))[0])
    return Trust(
        first, first.completeness, found, Redrawn(np.asarray(ranks), np.asarray(lost)),
        _spread(np.stack(several)), len(several),
        saturated(target, x, baseline=baseline, conditions=conditions),
    )  # fmt: skip


def saturated(
    target: Target,
    x: np.ndarray | Array,
    *,
    baseline: np.ndarray | Array | float | None = None,
    conditions: Any = None,
) -> np.ndarray:
    r"""Whether the gradient at each input `(n,)` has vanished though the target depends on it:
    $\sum_i |(x_i - b_i)\, \partial_i f(x)|$ is less than a tenth of the same sum of integrated
    gradients, which look along the whole path from the baseline."""
    here = gradient_times_input(target, x, baseline=baseline, conditions=conditions)
    along = integrated_gradients(target, x, baseline=baseline, conditions=conditions)
    sums = [np.abs(a.values).reshape(len(a.values), -1).sum(1) for a in (here, along)]
    return sums[0] < _VANISHED * sums[1]


def rank_correlation(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> float:
    """Spearman's, of the sizes of two attributions of `x` over the observed entries of each
    input, mean over the inputs; 0 where one of the two has no order."""
    found = []
    for one, other, seen in zip(np.abs(a), np.abs(b), ~np.isnan(x), strict=True):
        ranks = rankdata(one[seen]), rankdata(other[seen])
        moves = min(np.ptp(ranks[0]), np.ptp(ranks[1])) > 0
        found.append(np.corrcoef(*ranks)[0, 1] if moves else 0.0)
    return float(np.mean(found))


def redrawn(target: Target, key: Key) -> Target:
    """The target of the same model with the numbers of each array of weights shuffled, so that
    they are distributed as they were and nothing that was learned is left."""
    leaves, tree = jax.tree.flatten(target)
    keys = jax.random.split(key, len(leaves))
    with precision(target):
        changed = [_shuffled(leaf, one) for leaf, one in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, changed)


def cascade(
    method: Method,
    target: Target,
    x: np.ndarray | Array,
    *,
    conditions: Any = None,
    key: Key,
) -> dict[str, float]:
    """The rank correlation of an attribution with that of the model whose last layer, last two
    layers, and so on to all of them, were redrawn (Adebayo et al. 2018, section 4.1); for models
    with layers of their own weights.

    Raises `TypeError` for other models.
    """
    x = inputs(target, x)
    first = method(target, x, conditions=conditions, key=key)
    model = _layered(target)
    layers = model.layers()
    places = [(i, n) for i, layer in enumerate(layers) for n in range(layer.depth)]
    weights, found = [layer.weights for layer in layers], {}
    for count, (i, n) in enumerate(reversed(places), 1):
        part = jax.random.fold_in(key, count)
        weights[i] = _with_redrawn(weights[i], n, part)
        changed = _replaced(target, model, model.with_weights(tuple(weights)))
        other = method(changed, x, conditions=conditions, key=key)
        found[f"layers from {len(places) - count + 1}"] = rank_correlation(
            first.values, other.values, x
        )
    return found


def _layered(target: Target) -> AbstractLayered:
    every = jax.tree.leaves(target, is_leaf=lambda node: isinstance(node, AbstractLayered))
    for node in every:
        if isinstance(node, AbstractLayered):
            return node
    raise TypeError(
        f"the model behind '{target.name}' has no layers of their own weights; redrawn(target) "
        "redraws all of it at once."
    )


def _replaced(target: Target, old: AbstractLayered, new: AbstractLayered) -> Target:
    return jax.tree.map(
        lambda node: new if node is old else node, target, is_leaf=lambda node: node is old
    )


def _with_redrawn(weights: Any, n: int, key: Key) -> Any:
    leaves, tree = jax.tree.flatten(weights)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        tree, [a.at[n].set(_shuffled(a[n], one)) for a, one in zip(leaves, keys, strict=True)]
    )


def _shuffled(leaf: Any, key: Key) -> Any:
    if not eqx.is_inexact_array(leaf) or leaf.size < 2:
        return leaf
    return jax.random.permutation(key, leaf.ravel()).reshape(leaf.shape)


def _weights(target: Target) -> bool:
    return any(eqx.is_inexact_array(a) and a.size > 1 for a in jax.tree.leaves(target))


def _spread(values: np.ndarray) -> float:
    size = np.sqrt(np.mean(values.mean(0) ** 2))
    return float(np.sqrt(values.var(0).mean()) / size) if size > 0 else 0.0
